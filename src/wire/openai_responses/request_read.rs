//! Reads an OpenAI Responses request into the canonical form. Must never know which upstream it goes to.

use super::fields::Fields;
use super::items_read::read_items;
use super::tools_read::{Tools, read_tool_choice, read_tools};
use crate::wire::ir::{Class, Effort, Extra, Format, Part, Place, ReasoningWish, Request, Role, SchemaDialect, Turn};
use crate::wire::json::{LESS_NESTING, LoneSurrogates, Value};
use crate::wire::{Protocol, ReadError};

/// The name of the mark on the only turn of a request whose `input` is a bare string.
pub(super) const BARE_INPUT: &str = "input";

/// Reads a whole request body whose containers are nested at most `depth_max` deep.
pub fn read_request(body: &str, depth_max: usize) -> Result<Request<'_>, ReadError> {
    let value = Value::parse(body, depth_max, LoneSurrogates::Refused).map_err(|fault| {
        let message = match fault.expected {
            LESS_NESTING => format!("the body is nested deeper than {depth_max} levels"),
            expected => format!("the body is no JSON: at byte {} {expected} was expected", fault.at),
        };
        ReadError { param: None, message }
    })?;
    let Value::Object(object) = value else {
        return Err(ReadError { param: None, message: "the body must be a JSON object".to_owned() });
    };
    let mut body = Fields::new("", object);
    let model = body.needed("model")?.into_decoded();
    let mut request = Request::new(Protocol::OpenAiResponses, model);
    read_turns(&mut body, &mut request)?;
    let Tools { tools, extra } = read_tools(&mut body)?;
    request.tools = tools;
    request.tool_choice = read_tool_choice(&mut body)?;
    read_limits(&mut body, &mut request)?;
    let mut nested = extra;
    read_text(&mut body, &mut request, &mut nested)?;
    read_reasoning(&mut body, &mut request, &mut nested)?;
    read_identity(&mut body, &mut request)?;
    keep_state(&mut body, &mut request)?;
    request.extra = body.finish();
    request.extra.append(&mut nested);
    Ok(request)
}

fn read_turns<'a>(body: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    match body.take("instructions") {
        None => {}
        Some(Value::String(text)) => {
            let mut turn = Turn::new(Role::System, vec![Part::text(text)]);
            turn.place = Place::Lead;
            turn.bare = true;
            request.turns.push(turn);
        }
        Some(_) => return Err(body.error("instructions", "must be a string")),
    }
    match body.take("input") {
        // A stored prompt or an earlier answer can be all there is.
        None => {}
        Some(Value::String(text)) => {
            let mut turn = Turn::new(Role::User, vec![Part::text(text)]);
            turn.bare = true;
            turn.extra.push(Extra {
                protocol: Protocol::OpenAiResponses,
                path: BARE_INPUT.into(),
                name: BARE_INPUT.into(),
                value: Value::Bool(true),
                class: Class::Idle,
            });
            request.turns.push(turn);
        }
        Some(Value::Array(elements)) if elements.is_empty() => {
            body.add("input", Value::Array(elements), Class::Idle);
        }
        Some(Value::Array(elements)) => {
            request.turns.extend(read_items(elements)?);
        }
        Some(_) => return Err(body.error("input", "must be a string or a list of items")),
    }
    Ok(())
}

fn read_limits<'a>(body: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    if let Some(Value::Bool(false)) = body.peek("stream") {
        body.keep("stream", Class::Idle);
    }
    request.stream = body.bool("stream")?.unwrap_or(false);
    request.parallel_calls = body.bool("parallel_tool_calls")?;
    request.output_tokens_max = body.uint("max_output_tokens")?;
    request.temperature = body.number("temperature")?;
    request.top_p = body.number("top_p")?;
    // Not OpenAI's, but the open form of this protocol has them.
    request.presence_penalty = body.number("presence_penalty")?;
    request.frequency_penalty = body.number("frequency_penalty")?;
    request.top_logprobs = body.uint("top_logprobs")?;
    if request.top_logprobs.is_some_and(|count| count > 0) {
        request.logprobs = Some(true);
    }
    read_include(body, request)
}

/// `include` stays as it is for this protocol; elsewhere only the wish for log probabilities means something.
fn read_include<'a>(body: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let Some(elements) = body.array("include")? else { return Ok(()) };
    let mut class = Class::Idle;
    for (at, element) in elements.iter().enumerate() {
        match element.as_text().as_deref() {
            Some("reasoning.encrypted_content") => {}
            Some("message.output_text.logprobs") => request.logprobs = Some(true),
            Some(_) => class = Class::Dropped,
            None => return Err(body.error(&format!("include[{at}]"), "must be a string")),
        }
    }
    body.add("include", Value::Array(elements), class);
    Ok(())
}

fn read_text<'a>(
    body: &mut Fields<'a>,
    request: &mut Request<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<(), ReadError> {
    let Some(mut text) = body.object("text")? else { return Ok(()) };
    request.verbosity = text.str("verbosity")?;
    if let Some(mut format) = text.object("format")? {
        request.format = Some(match &*format.needed("type")?.decode() {
            "text" => Format::Text,
            "json_object" => Format::Json,
            "json_schema" => Format::Schema {
                name: format.str("name")?,
                description: format.str("description")?,
                schema: match format.take("schema") {
                    Some(schema @ Value::Object(_)) => schema,
                    _ => return Err(format.error("schema", "must be a JSON Schema object")),
                },
                dialect: SchemaDialect::JsonSchema,
                strict: format.bool("strict")?,
            },
            _ => return Err(format.error("type", "must be text, json_object or json_schema")),
        });
        extra.extend(format.finish());
    }
    extra.extend(text.finish());
    if request.verbosity.is_none() && request.format.is_none() {
        body.add("text", Value::object(), Class::Idle);
    }
    Ok(())
}

fn read_reasoning<'a>(
    body: &mut Fields<'a>,
    request: &mut Request<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<(), ReadError> {
    let Some(mut fields) = body.object("reasoning")? else { return Ok(()) };
    let effort = fields.word("effort").and_then(|word| effort(&word));
    let mut wish = ReasoningWish { effort, ..ReasoningWish::default() };
    match wish.effort {
        Some(_) => drop(fields.take("effort")),
        None => fields.keep("effort", Class::Unknown),
    }
    wish.display = fields.str("summary")?;
    if wish.display.is_some() || fields.peek("generate_summary").is_some() {
        wish.show = Some(true);
    }
    fields.keep("generate_summary", Class::Idle);
    let said =
        |fields: &Fields<'_>, name: &str, words: &[&str]| fields.word(name).is_some_and(|word| words.contains(&&*word));
    let class = if said(&fields, "context", &["auto", "current_turn"]) { Class::Idle } else { Class::Dropped };
    fields.keep("context", class);
    let class = if said(&fields, "mode", &["standard"]) { Class::Idle } else { Class::Dropped };
    fields.keep("mode", class);
    extra.extend(fields.finish());
    request.reasoning = Some(wish);
    Ok(())
}

pub(super) fn effort(word: &str) -> Option<Effort> {
    Some(match word {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::Xhigh,
        "max" => Effort::Max,
        _ => return None,
    })
}

fn read_identity<'a>(body: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    request.service_tier = body.str("service_tier")?;
    request.user = body.str("user")?;
    request.safety_identifier = body.str("safety_identifier")?;
    request.prompt_cache_key = body.str("prompt_cache_key")?;
    request.metadata = match body.take("metadata") {
        None => None,
        Some(metadata @ Value::Object(_)) => Some(metadata),
        Some(_) => return Err(body.error("metadata", "must be an object")),
    };
    body.keep_all(
        &["prompt_cache_options", "prompt_cache_retention", "moderation", "access_programs", "image"],
        Class::Dropped,
    );
    Ok(())
}

/// What the upstream keeps between calls. Another vendor cannot know it.
fn keep_state(body: &mut Fields<'_>, request: &mut Request<'_>) -> Result<(), ReadError> {
    body.keep_all(&["previous_response_id", "conversation", "prompt"], Class::Refused);
    let background = matches!(body.peek("background"), Some(Value::Bool(true)));
    body.keep("background", if background { Class::Refused } else { Class::Idle });
    if let Some(options) = body.peek("stream_options").cloned() {
        body.lose_in("stream_options", &options, &["include_obfuscation"]);
    }
    let stored = matches!(body.peek("store"), Some(Value::Bool(true)));
    body.keep("store", if stored { Class::Dropped } else { Class::Idle });
    body.keep_all(&["stream_options", "background_options"], Class::Idle);
    let disabled = body.word("truncation").is_some_and(|word| word == "disabled");
    body.keep("truncation", if disabled { Class::Idle } else { Class::Dropped });
    body.keep_all(&["context_management", "max_tool_calls"], Class::Dropped);
    let nothing = request.turns.iter().all(|turn| turn.place == Place::Lead)
        && ["previous_response_id", "conversation", "prompt"].iter().all(|name| !body.kept(name));
    if nothing {
        return Err(body.error("input", "is missing: a string or a list of items is needed"));
    }
    Ok(())
}
