//! Reads an OpenAI Chat Completions request into the canonical form. Must never know which upstream it goes to.
//!
//! Where this protocol can say one thing in several ways, an idle `Extra` keeps the way that the client chose.

use super::members::{Members, wrong};
use super::read_messages::read_messages;
use super::read_parts::MARK;
use super::read_tools::{read_tool_choice, read_tools};
use crate::wire::ir::{Class, Effort, Format, ReasoningMode, ReasoningWish, Request, SchemaDialect};
use crate::wire::json::{Fault, LESS_NESTING, LoneSurrogates, Value};
use crate::wire::{Protocol, ReadError};

/// Known fields without which the answer means the same.
const DROPPED: [&str; 5] = ["logit_bias", "prediction", "moderation", "prompt_cache_options", "prompt_cache_retention"];

/// Reads a whole request body whose containers are nested at most `depth_max` deep.
pub fn read_request(body: &str, depth_max: usize) -> Result<Request<'_>, ReadError> {
    let mut top = Members::of(parse(body, depth_max)?, "")?;
    let mut request = Request::new(Protocol::OpenAiChat, top.required_text("model")?.into_decoded());
    let messages = top.array("messages")?.ok_or_else(|| ReadError::new("messages", "messages is missing"))?;
    request.turns = read_messages(messages)?;
    read_tools(&mut top, &mut request)?;
    read_tool_choice(&mut top, &mut request)?;
    read_format(&mut top, &mut request)?;
    read_limits(&mut top, &mut request)?;
    read_sampling(&mut top, &mut request)?;
    request.reasoning = read_reasoning(&mut top)?;
    read_identity(&mut top, &mut request)?;
    read_modalities(&mut top, &mut request)?;
    read_stream(&mut top, &mut request)?;
    for name in DROPPED {
        top.keep(name, Class::Dropped);
    }
    request.extra = top.rest();
    Ok(request)
}

pub(super) fn parse(body: &str, depth_max: usize) -> Result<Value<'_>, ReadError> {
    Value::parse(body, depth_max, LoneSurrogates::Refused).map_err(|Fault { at, expected }| {
        let message = match expected {
            LESS_NESTING => format!("the body is nested too deeply at byte {at}; expected fewer levels"),
            _ => format!("the body is not valid JSON: expected {expected} at byte {at}"),
        };
        ReadError { param: None, message }
    })
}

pub(super) fn read_stream(top: &mut Members<'_>, request: &mut Request<'_>) -> Result<(), ReadError> {
    let stream = top.bool("stream")?;
    request.stream = stream == Some(true);
    if stream == Some(false) {
        top.form("stream", Value::Bool(false));
    }
    if let Some(options) = top.take("stream_options") {
        top.left_in("stream_options", &options, &["include_usage", "include_obfuscation"]);
        top.form("stream_options", options);
    }
    Ok(())
}

fn read_limits<'a>(top: &mut Members<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let old = top.count("max_tokens")?;
    let new = top.count("max_completion_tokens")?;
    request.output_tokens_max = new.or(old);
    for (name, limit) in [("max_tokens", old), ("max_completion_tokens", new)] {
        if let Some(limit) = limit {
            top.form(name, Value::number(limit));
        }
    }
    request.choices = top.count("n")?;
    Ok(())
}

pub(super) fn read_sampling<'a>(top: &mut Members<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    request.temperature = top.number("temperature")?;
    request.top_p = top.number("top_p")?;
    request.top_k = top.number("top_k")?;
    request.presence_penalty = top.number("presence_penalty")?;
    request.frequency_penalty = top.number("frequency_penalty")?;
    request.seed = top.number("seed")?;
    request.verbosity = top.text("verbosity")?;
    match top.take("stop") {
        None => {}
        Some(Value::String(text)) => {
            top.form("stop", Value::String(text.clone()));
            request.stop.push(text);
        }
        Some(Value::Array(texts)) => {
            for text in texts {
                let Value::String(text) = text else { return Err(wrong("stop", "a string or an array of strings")) };
                request.stop.push(text);
            }
            if request.stop.is_empty() {
                top.form("stop", Value::Array(Vec::new()));
            }
        }
        Some(_) => return Err(wrong("stop", "a string or an array of strings")),
    }
    Ok(())
}

fn read_format<'a>(top: &mut Members<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    request.logprobs = top.bool("logprobs")?;
    request.top_logprobs = top.count("top_logprobs")?;
    let Some(value) = top.take("response_format") else { return Ok(()) };
    let mut format = Members::of(value.clone(), "response_format")?;
    let kind = format.required_text("type")?;
    request.format = Some(match &*kind.decode() {
        "text" => Format::Text,
        "json_object" => Format::Json,
        "json_schema" => {
            let Some(mut inner) = format.object("json_schema")? else {
                return Err(super::members::missing("response_format.json_schema"));
            };
            let schema = Format::Schema {
                name: inner.text("name")?,
                description: inner.text("description")?,
                schema: inner.take("schema").unwrap_or_else(Value::object),
                dialect: SchemaDialect::JsonSchema,
                strict: inner.bool("strict")?,
            };
            format.absorb(inner);
            schema
        }
        _ => {
            top.note("response_format", value, Class::Refused);
            return Ok(());
        }
    });
    top.absorb(format);
    Ok(())
}

/// Vendors switch thinking in many ways; each is said again as it came.
fn read_reasoning<'a>(top: &mut Members<'a>) -> Result<Option<ReasoningWish<'a>>, ReadError> {
    let mut wish = ReasoningWish::default();
    if let Some(word) = top.text("reasoning_effort")? {
        wish.effort = effort_of(&word.decode());
        let class = if wish.effort.is_some() { Class::Idle } else { Class::Dropped };
        top.note("reasoning_effort", Value::String(word), class);
    }
    // OpenRouter: `{effort, max_tokens, enabled, exclude}`.
    if let Some(mut reasoning) = open(top, "reasoning") {
        let word = reasoning.take("effort").and_then(|word| effort_of(&word.as_text()?));
        wish.effort = wish.effort.or(word);
        wish.budget = reasoning.take("max_tokens").and_then(|tokens| tokens.as_i64());
        let enabled = reasoning.take("enabled").and_then(|enabled| enabled.as_bool());
        wish.mode = enabled.map(|enabled| if enabled { ReasoningMode::Adaptive } else { ReasoningMode::Disabled });
        wish.show = reasoning.take("exclude").and_then(|exclude| exclude.as_bool()).map(|exclude| !exclude);
        absorb_unknown(top, reasoning);
    }
    // Z.ai, Moonshot, DeepSeek, Doubao, and Anthropic's own chat endpoint: `{type, budget_tokens}`.
    if let Some(mut thinking) = open(top, "thinking") {
        let kind = thinking.take("type");
        let budget = thinking.take("budget_tokens").and_then(|tokens| tokens.as_i64());
        wish.budget = wish.budget.or(budget);
        wish.mode = match kind.as_ref().and_then(Value::as_text).as_deref() {
            Some("disabled") => Some(ReasoningMode::Disabled),
            Some("enabled") if budget.is_some() => Some(ReasoningMode::Enabled),
            Some("enabled" | "adaptive" | "auto") => Some(ReasoningMode::Adaptive),
            _ => wish.mode,
        };
        absorb_unknown(top, thinking);
    }
    // Alibaba.
    if let Some(enabled) = top.bool("enable_thinking")? {
        wish.mode = Some(if enabled { ReasoningMode::Adaptive } else { ReasoningMode::Disabled });
        top.form("enable_thinking", Value::Bool(enabled));
    }
    if let Some(tokens) = top.count("thinking_budget")? {
        wish.budget = i64::try_from(tokens).ok();
        top.form("thinking_budget", Value::number(tokens));
    }
    if let Some(show) = top.bool("include_reasoning")? {
        wish.show = Some(show);
        top.form("include_reasoning", Value::Bool(show));
    }
    Ok(Some(wish).filter(|wish| *wish != ReasoningWish::default()))
}

/// Opens an object whose form is kept; anything else of that name stays an unknown field.
fn open<'a>(top: &mut Members<'a>, name: &'static str) -> Option<Members<'a>> {
    let value = top.get(name).filter(|value| value.as_object().is_some())?.clone();
    top.keep(name, Class::Idle);
    Members::of(value, name).ok()
}

fn absorb_unknown<'a>(top: &mut Members<'a>, mut inner: Members<'a>) {
    inner.forget_forms();
    top.absorb(inner);
}

pub(super) fn effort_of(word: &str) -> Option<Effort> {
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

pub(super) fn read_identity<'a>(top: &mut Members<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    request.service_tier = top.text("service_tier")?;
    request.user = top.text("user")?;
    request.safety_identifier = top.text("safety_identifier")?;
    request.prompt_cache_key = top.text("prompt_cache_key")?;
    request.metadata = top.take("metadata");
    if let Some(store) = top.bool("store")? {
        top.note("store", Value::Bool(store), if store { Class::Dropped } else { Class::Idle });
    }
    if let Some(value) = top.take("cache_control") {
        request.cache_all = Some(super::read_parts::cache_mark(&value));
        top.left_in("cache_control", &value, &MARK);
        top.form("cache_control", value);
    }
    Ok(())
}

fn read_modalities<'a>(top: &mut Members<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let audio = top.take("audio");
    if let Some(audio) = &audio {
        top.left_in("audio", audio, &["voice", "format"]);
    }
    let words = top.array("modalities")?;
    let has = |word: &str| words.iter().flatten().any(|known| known.as_str().is_some_and(|known| *known == word));
    request.image_out = has("image");
    // How it is to sound says nothing where no sound is asked for.
    match audio {
        audio if has("audio") => request.audio_out = audio.or_else(|| Some(Value::object())),
        Some(audio) => top.form("audio", audio),
        None => {}
    }
    if let Some(words) = words {
        top.form("modalities", Value::Array(words));
    }
    Ok(())
}
