//! Writes a canonical request as OpenAI Responses. What cannot be said is a loss or a refusal, never silence.

use super::calls::sent_name;
use super::items_write::write_input;
use super::options_write::{Options, options};
use super::plan::plan;
use super::tools_write::{ToolPlan, plan_tools, write_tool_choice, write_tools};
use crate::wire::Protocol;
use crate::wire::ir::{
    Extra, Feature, Format, Losses, Refusal, Request, Target, Undo, leave_out, said_again, said_alike,
};
use crate::wire::json::{Json, Str};
use crate::wire::schema::{is_openai_strict, json_schema};

const OURS: Protocol = Protocol::OpenAiResponses;

/// The body for an upstream, and what its answer must undo.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(Vec<u8>, Undo), Refusal> {
    let own = request.protocol == OURS;
    leave_out(&request.extra, OURS, losses)?;
    let options = options(request, target, losses)?;
    let plan = plan(request, target, losses)?;
    let tools = plan_tools(request, losses)?;
    strictness(request, losses);
    let undo = undo(request, &tools);
    let extra = Sorted::of(&request.extra);

    let mut out = Vec::with_capacity(1024);
    Json::new(&mut out).object(|json| {
        json.key("model").text(target.model);
        if let Some(instructions) = instructions(request, plan.instructions, losses) {
            json.key("instructions").str(&instructions);
        }
        if !(own && plan.items.is_empty()) {
            write_input(json.key("input"), &plan.items);
        }
        write_tools(json, &tools, &extra.tools);
        write_tool_choice(json, request, &tools);
        write_text(json, request, &extra);
        write_options(json, request, &options, &extra);
        if target.stream {
            json.key("stream").bool(true);
        }
        if !own {
            json.key("store").bool(false);
            write_include(json, &options);
        }
        for extra in extra.top.iter().filter(|extra| !(target.stream && extra.name == "stream")) {
            json.key_of(&extra.name).value(&extra.value);
        }
        for extra in said_alike(&request.extra, OURS) {
            json.key_of(&extra.name).value(&extra.value);
        }
    });
    Ok((out, undo))
}

/// What the answer must undo.
fn undo(request: &Request<'_>, tools: &ToolPlan<'_>) -> Undo {
    let stop = request.stop.iter().map(|text| text.decode().into_owned()).filter(|text| !text.is_empty());
    Undo { tool_names: tools.renamed(), stop: stop.collect(), ..Undo::default() }
}

/// The request's own extras, by the object in which they stand.
struct Sorted<'e, 'a> {
    top: Vec<&'e Extra<'a>>,
    text: Vec<&'e Extra<'a>>,
    format: Vec<&'e Extra<'a>>,
    reasoning: Vec<&'e Extra<'a>>,
    tools: Vec<&'e Extra<'a>>,
}

impl<'e, 'a> Sorted<'e, 'a> {
    fn of(extras: &'e [Extra<'a>]) -> Sorted<'e, 'a> {
        let mut sorted = Sorted { top: vec![], text: vec![], format: vec![], reasoning: vec![], tools: vec![] };
        for extra in said_again(extras, OURS).filter(|extra| !extra.name.is_empty()) {
            let path = &*extra.path;
            // A member whose name holds a dot stands at the top like any other.
            let list = if *path == *extra.name.decode() && !path.starts_with("tools[") {
                &mut sorted.top
            } else if path.starts_with("text.format.") {
                &mut sorted.format
            } else if path.starts_with("text.") {
                &mut sorted.text
            } else if path.starts_with("reasoning.") {
                &mut sorted.reasoning
            } else {
                &mut sorted.tools
            };
            list.push(extra);
        }
        sorted
    }
}

fn say(json: &mut Json<'_>, extras: &[&Extra<'_>]) {
    for extra in extras {
        json.key_of(&extra.name).value(&extra.value);
    }
}

/// Asking for any JSON needs the word in the prompt. Gemini's clients need not say it.
fn instructions<'r>(request: &Request<'_>, instructions: Option<Str<'r>>, losses: &mut Losses) -> Option<Str<'r>> {
    const ASK: &str = "Answer with one JSON object.";
    if request.format != Some(Format::Json) || request.protocol != Protocol::GeminiGenerate {
        return instructions;
    }
    losses.approximated(Feature::ResponseFormat);
    Some(match instructions {
        Some(text) => Str::token(format!("{}\\n\\n{ASK}", text.as_token())),
        None => Str::plain(ASK),
    })
}

fn write_text(json: &mut Json<'_>, request: &Request<'_>, extra: &Sorted<'_, '_>) {
    if request.format.is_none() && request.verbosity.is_none() && extra.text.is_empty() && extra.format.is_empty() {
        return;
    }
    json.key("text").object(|json| {
        if let Some(format) = &request.format {
            json.key("format").object(|json| {
                write_format(json, format, request.protocol);
                say(json, &extra.format);
            });
        }
        if let Some(verbosity) = &request.verbosity {
            json.key("verbosity").str(verbosity);
        }
        say(json, &extra.text);
    });
}

fn write_format(json: &mut Json<'_>, format: &Format<'_>, protocol: Protocol) {
    let own = protocol == OURS;
    match format {
        Format::Text => json.key("type").text("text"),
        Format::Json => json.key("type").text("json_object"),
        Format::Schema { name, description, schema, dialect, strict } => {
            json.key("type").text("json_schema");
            match name {
                Some(name) if own => json.key("name").str(name),
                Some(name) => json.key("name").text(&sent_name(name, false)),
                None if own => {}
                None => json.key("name").text("response"),
            }
            if let Some(description) = description {
                json.key("description").str(description);
            }
            let schema = json_schema(schema, *dialect);
            json.key("schema").value(&schema);
            match strict {
                Some(strict) if own => json.key("strict").bool(*strict),
                None if own => {}
                strict => {
                    let strict = strict.unwrap_or(binds(protocol)) && is_openai_strict(&schema);
                    json.key("strict").bool(strict);
                }
            }
        }
    }
}

/// Whether a schema binds where nothing is said of it: chat completions have a switch, the others mean it.
fn binds(protocol: Protocol) -> bool {
    match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => false,
        Protocol::AnthropicMessages | Protocol::GeminiGenerate => true,
    }
}

/// A schema that was to bind, and cannot.
fn strictness(request: &Request<'_>, losses: &mut Losses) {
    if let Some(Format::Schema { schema, dialect, strict, .. }) = &request.format
        && request.protocol != OURS
        && strict.unwrap_or(binds(request.protocol))
        && !is_openai_strict(&json_schema(schema, *dialect))
    {
        losses.dropped(Feature::Strict);
    }
}

fn write_options(json: &mut Json<'_>, request: &Request<'_>, options: &Options<'_>, extra: &Sorted<'_, '_>) {
    if let Some(limit) = options.output_tokens_max {
        json.key("max_output_tokens").uint(limit);
    }
    for (name, number) in &options.numbers {
        json.key(name).raw(number);
    }
    if options.reasoning.is_some() || !extra.reasoning.is_empty() {
        json.key("reasoning").object(|json| {
            if let Some(reasoning) = &options.reasoning {
                if let Some(effort) = reasoning.effort {
                    json.key("effort").text(effort);
                }
                if let Some(summary) = &reasoning.summary {
                    json.key("summary").text(summary);
                }
            }
            say(json, &extra.reasoning);
        });
    }
    for (name, text) in &options.texts {
        json.key(name).text(text);
    }
    if let Some(metadata) = &request.metadata {
        json.key("metadata").value(metadata);
    }
}

/// Nothing is stored there, so the state of reasoning must come back with the answer.
fn write_include(json: &mut Json<'_>, options: &Options<'_>) {
    if !options.include_state && !options.include_logprobs {
        return;
    }
    json.key("include").array(|json| {
        if options.include_state {
            json.text("reasoning.encrypted_content");
        }
        if options.include_logprobs {
            json.text("message.output_text.logprobs");
        }
    });
}
