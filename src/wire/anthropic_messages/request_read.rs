//! Reads an Anthropic Messages request into the canonical form. Must never know which upstream it goes to.

use super::fields::{Fields, Path, into_array, into_str, unknown};
use super::tools_read::{read_tool_choice, read_tools};
use super::turns_read::{read_cache, read_system, read_turn};
use crate::wire::ir::{Class, Effort, Format, ReasoningMode, ReasoningWish, Request, SchemaDialect};
use crate::wire::json::{Fault, LESS_NESTING, LoneSurrogates, Str, Value};
use crate::wire::{Protocol, ReadError};

/// Reads a whole request body whose containers are nested at most `depth_max` deep.
pub fn read_request(body: &str, depth_max: usize) -> Result<Request<'_>, ReadError> {
    let value = Value::parse(body, depth_max, LoneSurrogates::Refused).map_err(not_json)?;
    let root = Path::ROOT;
    let mut fields = Fields::read(value, &root).map_err(|_| whole_error("the body must be a JSON object"))?;
    let mut request = Request::new(Protocol::AnthropicMessages, fields.required_text("model")?.into_decoded());
    request.stream = fields.bool("stream")?.unwrap_or(false);
    read_prompt(&mut fields, &mut request)?;
    read_settings(&mut fields, &mut request)?;
    read_reasoning(&mut fields, &mut request)?;
    request.cache_all = read_cache(&mut fields)?;
    request.extra = fields.rest(class_of);
    Ok(request)
}

fn not_json(fault: Fault) -> ReadError {
    let Fault { at, expected } = fault;
    whole_error(match expected {
        LESS_NESTING => format!("the body is nested too deeply at byte {at}; expected fewer levels"),
        _ => format!("the body is not valid JSON: expected {expected} at byte {at}"),
    })
}

fn whole_error(message: impl Into<String>) -> ReadError {
    ReadError { param: None, message: message.into() }
}

fn read_prompt<'a>(fields: &mut Fields<'a, '_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let root = fields.path();
    if let Some(system) = fields.take("system") {
        request.turns.extend(read_system(system, &root.member("system"))?);
    }
    let messages = fields.array("messages")?.ok_or_else(|| fields.missing("messages"))?;
    let path = root.member("messages");
    request.turns.reserve(messages.len());
    for (at, message) in messages.into_iter().enumerate() {
        request.turns.push(read_turn(message, &path.element(at))?);
    }
    if let Some(tools) = fields.array("tools")? {
        request.tools = read_tools(tools, &root.member("tools"))?;
    }
    if let Some(choice) = fields.take("tool_choice") {
        read_tool_choice(choice, fields, request)?;
    }
    Ok(())
}

fn read_settings<'a>(fields: &mut Fields<'a, '_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    request.output_tokens_max = fields.uint("max_tokens")?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_k = fields.number("top_k")?;
    request.service_tier = fields.text("service_tier")?;
    let path = fields.path().member("stop_sequences");
    for (at, stop) in fields.array("stop_sequences")?.unwrap_or_default().into_iter().enumerate() {
        let path = path.element(at);
        request.stop.push(into_str(stop).ok_or_else(|| path.error(format!("{path} must be a string")))?);
    }
    if let Some(metadata) = fields.take("metadata") {
        let path = fields.path().member("metadata");
        let mut metadata = Fields::read(metadata, &path)?;
        request.user = metadata.text("user_id")?;
        fields.extra.extend(metadata.rest(unknown));
    }
    Ok(())
}

fn read_reasoning<'a>(fields: &mut Fields<'a, '_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let mut wish = ReasoningWish::default();
    if let Some(thinking) = fields.take("thinking") {
        read_thinking(thinking, fields, &mut wish)?;
    }
    if let Some(config) = fields.take("output_config") {
        let path = fields.path().member("output_config");
        let mut config = Fields::read(config, &path)?;
        wish.effort = read_effort(&mut config)?;
        if let Some(format) = config.take("format") {
            request.format = read_format("format", format, &mut config)?;
        }
        fields.extra.extend(config.rest(|name, _| match name {
            "task_budget" => Class::Dropped,
            _ => Class::Unknown,
        }));
    }
    // The beta's spelling of `output_config.format`.
    if let Some(format) = fields.take("output_format") {
        request.format = read_format("output_format", format, fields)?;
    }
    request.reasoning = (wish != ReasoningWish::default()).then_some(wish);
    Ok(())
}

/// A way of thinking that is not known is an extra, like any word that came after us.
fn read_thinking<'a>(
    thinking: Value<'a>,
    holder: &mut Fields<'a, '_>,
    wish: &mut ReasoningWish<'a>,
) -> Result<(), ReadError> {
    let path = holder.path().member("thinking");
    let mut fields = Fields::read(thinking, &path)?;
    let whole = fields.copy();
    wish.mode = Some(match &*fields.required_text("type")?.decode() {
        "enabled" => ReasoningMode::Enabled,
        "adaptive" => ReasoningMode::Adaptive,
        "disabled" => ReasoningMode::Disabled,
        _ => {
            holder.keep("thinking", whole, Class::Unknown);
            return Ok(());
        }
    });
    wish.budget = fields.int("budget_tokens")?;
    wish.display = fields.text("display")?;
    wish.show = wish.display.as_ref().map(|display| *display != "omitted");
    holder.extra.extend(fields.rest(unknown));
    Ok(())
}

fn read_effort(config: &mut Fields<'_, '_>) -> Result<Option<Effort>, ReadError> {
    let Some(effort) = config.text("effort")? else { return Ok(None) };
    Ok(Some(match &*effort.decode() {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::Xhigh,
        "max" => Effort::Max,
        // A word that came after us.
        _ => {
            config.keep("effort", Value::String(effort.clone()), Class::Unknown);
            return Ok(None);
        }
    }))
}

/// `None`, and kept as an extra, where it is of a kind that is not known.
fn read_format<'a>(
    name: &'static str,
    format: Value<'a>,
    holder: &mut Fields<'a, '_>,
) -> Result<Option<Format<'a>>, ReadError> {
    let path = holder.path().member(name);
    let mut fields = Fields::read(format, &path)?;
    let whole = fields.copy();
    if fields.required_text("type")? != "json_schema" {
        holder.keep(name, whole, Class::Unknown);
        return Ok(None);
    }
    let schema = fields.take("schema").ok_or_else(|| fields.missing("schema"))?;
    let title = fields.text("name")?;
    holder.extra.extend(fields.rest(unknown));
    Ok(Some(Format::Schema {
        name: title,
        description: None,
        schema,
        dialect: SchemaDialect::JsonSchema,
        strict: None,
    }))
}

/// What other protocols do with the members of the request that only Anthropic has.
fn class_of(name: &str, value: &Value<'_>) -> Class {
    match name {
        // State at Anthropic, or tools that it calls: without them the answer is another one.
        "container" => Class::Refused,
        "mcp_servers" if value.as_array().is_some_and(<[_]>::is_empty) => Class::Idle,
        "mcp_servers" => Class::Refused,
        // Where the call may run is a promise, and no other vendor gives it.
        "inference_geo" if value.as_text().is_some_and(|geo| matches!(&*geo, "global" | "not_available")) => {
            Class::Idle
        }
        "inference_geo" => Class::Refused,
        "context_management" | "fallbacks" | "user_profile_id" | "diagnostics" => Class::Dropped,
        "speed" if value.as_text().is_some_and(|speed| speed == "standard") => Class::Idle,
        "speed" => Class::Dropped,
        // Switches of Anthropic's own interface; in bodies of Bedrock and Vertex, or by SDKs that send them twice.
        "betas" | "anthropic_beta" | "anthropic_version" => Class::Idle,
        _ => Class::Unknown,
    }
}

/// The texts of an array; whatever else stands in it is left out.
pub(super) fn texts<'a>(value: Option<Value<'a>>) -> Vec<Str<'a>> {
    value.and_then(into_array).unwrap_or_default().into_iter().filter_map(into_str).collect()
}
