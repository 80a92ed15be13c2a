//! Writes a canonical request as Anthropic Messages. What cannot be said is a loss or a refusal, never silence.

use super::arrange::{Prompt, What, arrange};
use super::blocks_write::{Marks, write_content, write_extras, write_mark, write_message};
use super::names::Names;
use super::thinking::{Plan, Thinking, plan};
use super::tools_write::tools;
use super::{schema, settings};
use crate::wire::Protocol;
use crate::wire::ir::{
    Feature, Format, Losses, Quirk, Refusal, Request, SchemaDialect, Target, Undo, leave_out, said_again,
};
use crate::wire::json::{Json, Str, Value};

const AM: Protocol = Protocol::AnthropicMessages;
/// Asks for what the API has no field for.
const JSON_ONLY: &str = "Answer with one JSON object only, without any text around it.";

/// The body for an upstream, and what its answer must undo.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(Vec<u8>, Undo), Refusal> {
    leave_out(&request.extra, AM, losses)?;
    refuse(request)?;
    note_dropped(request, losses);
    let mut names = Names::default();
    let prompt = arrange(request, target, &mut names, losses)?;
    let format = answer_format(request, target, losses)?;
    let answer_schema = if let AnswerFormat::Tool(schema) = &format { Some(schema.clone()) } else { None };
    let mut tools = tools(request, target, answer_schema, &mut names, losses)?;
    let plan = plan(request, target, &prompt, tools.forced(), losses);
    tools.force(plan.choice);
    let mut marks = Marks::count(tools.marks(), request.cache_all.as_ref(), &prompt, losses);
    let mut undo = names.into_undo();
    undo.answer_tool = tools.answer_tool.clone();

    let mut out = Vec::with_capacity(4096);
    Json::new(&mut out).object(|json| {
        json.key("model").text(target.model);
        json.key("max_tokens").uint(plan.max_tokens);
        json.key("stream").bool(target.stream);
        write_head(json, request, target, &plan, &mut undo, losses);
        write_thinking(json, request, &plan);
        write_output_config(json, request, &plan, &format);
        tools.write(json, request, &mut marks);
        write_prompt(json, &prompt, matches!(format, AnswerFormat::Line), &mut marks);
        write_extras(json, &request.extra, None);
    });
    Ok((out, undo))
}

/// What would make another answer if it were left out.
fn refuse(request: &Request<'_>) -> Result<(), Refusal> {
    let refuse = |feature: Feature, message: &str| Err(Refusal::new(feature.param(request.protocol), message));
    if request.choices.is_some_and(|choices| choices > 1) {
        return refuse(Feature::Choices, "this model's upstream gives one answer a call: ask for 1");
    }
    if request.logprobs == Some(true) || request.top_logprobs.is_some_and(|top| top > 0) {
        let message = "this model's upstream gives no log probabilities: leave them out";
        return Err(Refusal::new(logprobs_param(request), message));
    }
    if request.audio_out.is_some() {
        return refuse(Feature::AudioOut, "this model's upstream gives no sound: ask for text");
    }
    if request.image_out {
        return refuse(Feature::ImageOut, "this model's upstream gives no images: ask for text");
    }
    Ok(())
}

/// Where the client asked for them: by a switch, or by their number.
fn logprobs_param(request: &Request<'_>) -> &'static str {
    match request.protocol {
        Protocol::OpenAiChat if request.logprobs == Some(true) => "logprobs",
        Protocol::OpenAiChat => "top_logprobs",
        Protocol::OpenAiResponses if request.top_logprobs.is_some_and(|top| top > 0) => "top_logprobs",
        Protocol::OpenAiResponses => "include",
        Protocol::GeminiGenerate if request.logprobs == Some(true) => "generationConfig.responseLogprobs",
        Protocol::GeminiGenerate => "generationConfig.logprobs",
        Protocol::AnthropicMessages => "logprobs",
    }
}

fn note_dropped(request: &Request<'_>, losses: &mut Losses) {
    // Every field is looked at: here, or by the writers of its part of the body.
    let Request {
        protocol: _,
        model: _,
        stream: _,
        turns: _,
        tools: _,
        tool_choice: _,
        parallel_calls: _,
        output_tokens_max: _,
        format: _,
        stop: _,
        choices: _,
        temperature: _,
        top_p: _,
        top_k: _,
        presence_penalty,
        frequency_penalty,
        seed,
        logprobs: _,
        top_logprobs: _,
        verbosity,
        reasoning: _,
        service_tier: _,
        user: _,
        safety_identifier: _,
        metadata,
        prompt_cache_key,
        audio_out: _,
        image_out: _,
        cache_all: _,
        extra: _,
    } = request;
    let dropped = [
        (presence_penalty.is_some(), Feature::PresencePenalty),
        (frequency_penalty.is_some(), Feature::FrequencyPenalty),
        (seed.is_some(), Feature::Seed),
        (verbosity.is_some(), Feature::Verbosity),
        (metadata.is_some(), Feature::Metadata),
        (prompt_cache_key.is_some(), Feature::PromptCacheKey),
    ];
    dropped.into_iter().filter(|(is_there, _)| *is_there).for_each(|(_, feature)| losses.dropped(feature));
}

/// How the form of the answer is asked for.
enum AnswerFormat<'r> {
    Free,
    /// `output_config.format`, with what only our own protocol says beside the schema.
    Config(Value<'r>),
    /// A forced tool.
    Tool(Value<'r>),
    /// A line in the system text.
    Line,
}

fn answer_format<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<AnswerFormat<'r>, Refusal> {
    let (schema, dialect) = match &request.format {
        None | Some(Format::Text) => return Ok(AnswerFormat::Free),
        Some(Format::Json) => {
            losses.approximated(Feature::ResponseFormat);
            return Ok(AnswerFormat::Line);
        }
        Some(Format::Schema { schema, dialect, .. }) => (schema, *dialect),
    };
    if target.quirks.has(Quirk::NoOutputFormat) {
        return answer_tool(request, schema, dialect).map(AnswerFormat::Tool);
    }
    if request.protocol == AM {
        return Ok(AnswerFormat::Config(schema.clone()));
    }
    let (schema, lossy) = schema::bound(schema, dialect);
    if lossy {
        losses.approximated(Feature::Schema);
    }
    Ok(AnswerFormat::Config(schema))
}

/// The schema as a function's input, which is always an object.
fn answer_tool<'r>(request: &Request<'_>, schema: &'r Value<'r>, dialect: SchemaDialect) -> Result<Value<'r>, Refusal> {
    let kind = schema.get("type").and_then(Value::as_text).map(|kind| kind.to_ascii_lowercase());
    if kind.is_some_and(|kind| kind != "object") {
        let message = "this model's upstream answers in objects alone: put the schema into a property of one";
        let param = match (request.protocol, dialect) {
            (Protocol::GeminiGenerate, SchemaDialect::OpenApi) => "generationConfig.responseSchema".into(),
            (Protocol::GeminiGenerate, SchemaDialect::JsonSchema) => "generationConfig.responseJsonSchema".into(),
            (protocol, _) => Feature::ResponseFormat.param(protocol),
        };
        return Err(Refusal::new(param, message));
    }
    Ok(schema::input(Some(schema), dialect).0.into_owned())
}

fn write_head(
    json: &mut Json<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    plan: &Plan<'_>,
    undo: &mut Undo,
    losses: &mut Losses,
) {
    settings::write_sampling(json, request, target, plan.thinks(), losses);
    settings::write_stop(json, &request.stop, &mut undo.stop);
    if let Some(tier) = settings::tier(request, losses) {
        json.key("service_tier").str(&tier);
    }
    let user = settings::user(request, losses);
    if user.is_some() || has_extras(request, "metadata") {
        json.key("metadata").object(|json| {
            if let Some(user) = user {
                json.key("user_id").text(&user);
            }
            write_extras(json, &request.extra, Some("metadata"));
        });
    }
    if let Some(mark) = &request.cache_all {
        write_mark(json, mark, &request.extra);
    }
}

fn has_extras(request: &Request<'_>, of: &str) -> bool {
    said_again(&request.extra, AM).any(|extra| super::fields::parent(extra) == Some(of))
}

fn write_thinking(json: &mut Json<'_>, request: &Request<'_>, plan: &Plan<'_>) {
    let Some(thinking) = plan.thinking else { return };
    json.key("thinking").object(|json| {
        match thinking {
            Thinking::Enabled { budget } => {
                json.key("type").text("enabled");
                json.key("budget_tokens").uint(budget);
            }
            Thinking::Adaptive => json.key("type").text("adaptive"),
            Thinking::Disabled => json.key("type").text("disabled"),
        }
        if let Some(display) = &plan.display {
            json.key("display").str(display);
        }
        write_extras(json, &request.extra, Some("thinking"));
    });
}

fn write_output_config(json: &mut Json<'_>, request: &Request<'_>, plan: &Plan<'_>, format: &AnswerFormat<'_>) {
    let config = if let AnswerFormat::Config(schema) = format { Some(schema) } else { None };
    if plan.effort.is_none() && config.is_none() && !has_extras(request, "output_config") {
        return;
    }
    json.key("output_config").object(|json| {
        if let Some(effort) = plan.effort {
            json.key("effort").text(effort);
        }
        if let Some(schema) = config {
            json.key("format").object(|json| {
                json.key("type").text("json_schema");
                // No other protocol's name for a schema has a place here.
                if let (AM, Some(Format::Schema { name: Some(name), .. })) = (request.protocol, &request.format) {
                    json.key("name").str(name);
                }
                json.key("schema").value(schema);
                write_extras(json, &request.extra, Some("format"));
            });
        }
        write_extras(json, &request.extra, Some("output_config"));
    });
}

fn write_prompt(json: &mut Json<'_>, prompt: &Prompt<'_>, json_only: bool, marks: &mut Marks) {
    let line = json_only.then(|| What::Text(Str::plain(JSON_ONLY)).alone());
    if let (false, None) = (prompt.system.is_empty(), &line) {
        write_content(json, "system", &prompt.system, prompt.system_bare, marks);
    } else if let Some(line) = line {
        json.key("system").array(|json| {
            for block in prompt.system.iter().chain([&line]) {
                super::blocks_write::write_block(json, block, marks);
            }
        });
    }
    json.key("messages").array(|json| {
        prompt.messages.iter().for_each(|message| write_message(json, message, marks));
    });
}
