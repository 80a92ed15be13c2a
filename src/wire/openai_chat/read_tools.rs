//! Reads the tools of a chat request, and which of them are to be called. Must never know which upstream they go to.

use std::borrow::Cow;

use super::members::{Members, missing, wrong};
use super::read_parts::{MARK, cache_mark};
use crate::wire::ir::{Request, SchemaDialect, ServerTool, Tool, ToolChoice, ToolKind, WebSearch};
use crate::wire::json::{Object, Str, Value};
use crate::wire::{Protocol, ReadError};

pub fn read_tools<'a>(top: &mut Members<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let tools = top.array("tools")?;
    if tools.as_ref().is_some_and(Vec::is_empty) {
        top.form("tools", Value::Array(Vec::new()));
    }
    for (at, tool) in tools.into_iter().flatten().enumerate() {
        request.tools.push(read_tool(tool, format!("tools[{at}]"))?);
    }
    request.parallel_calls = top.bool("parallel_tool_calls")?;
    if request.tools.is_empty()
        && let Some(functions) = top.array("functions")?
    {
        top.form("functions", Value::Array(functions.clone()));
        // This form has room for one call in an answer.
        request.parallel_calls = Some(false);
        for (at, function) in functions.into_iter().enumerate() {
            let mut function = Members::of(function, format!("functions[{at}]"))?;
            let kind = read_function(&mut function)?;
            request.tools.push(Tool { kind, cache: None, extra: function.rest() });
        }
    }
    if let Some(options) = top.take("web_search_options") {
        let search = WebSearch {
            user_location: location(options.get("user_location")),
            context_size: options.get("search_context_size").and_then(Value::as_str).cloned(),
            ..WebSearch::default()
        };
        let kind = ServerTool::WebSearch(search);
        let kind = ToolKind::Server { protocol: Protocol::OpenAiChat, kind, raw: options.clone() };
        top.left_in("web_search_options", &options, &["user_location", "search_context_size"]);
        if let Some(location) = options.get("user_location") {
            let way = "web_search_options.user_location";
            top.left_in(way, location, &["type", "approximate"]);
            if let Some(place) = location.get("approximate") {
                top.left_in(&format!("{way}.approximate"), place, &WebSearch::PLACE);
            }
        }
        top.form("web_search_options", options);
        request.tools.push(Tool { kind, cache: None, extra: Vec::new() });
    }
    Ok(())
}

/// `{type, approximate: {city, …}}` without its inner object.
fn location<'a>(location: Option<&Value<'a>>) -> Option<Value<'a>> {
    let mut flat = Object::default();
    flat.set("type", Value::text("approximate"));
    let places = location?.get("approximate")?.as_object()?.members.iter().cloned();
    flat.members.extend(places);
    WebSearch::place(&Value::Object(flat))
}

fn read_tool(tool: Value<'_>, path: String) -> Result<Tool<'_>, ReadError> {
    let kind = tool.get("type").and_then(Value::as_text).map_or_else(|| "function".to_owned(), Cow::into_owned);
    if !matches!(&*kind, "function" | "custom") {
        if tool.as_object().is_none() {
            return Err(wrong(&path, "an object"));
        }
        let kind = server_tool(&tool, kind);
        let mut extra = Vec::new();
        if matches!(kind, ServerTool::WebSearch(_)) {
            const KNOWN: [&str; 5] =
                ["max_uses", "allowed_domains", "excluded_domains", "user_location", "search_context_size"];
            let mut whole = Members::of(Value::object(), path)?;
            whole.left_in("parameters", tool.get("parameters").unwrap_or(&Value::Null), &KNOWN);
            whole.left_here(&tool, &["type", "parameters"]);
            extra = whole.rest();
        }
        let kind = ToolKind::Server { protocol: Protocol::OpenAiChat, kind, raw: tool };
        return Ok(Tool { kind, cache: None, extra });
    }
    let mut members = Members::of(tool, path)?;
    members.take("type");
    let name = if kind == "custom" { "custom" } else { "function" };
    let Some(mut inner) = members.object(name)? else { return Err(missing(&members.path(name))) };
    let kind = if kind == "custom" { read_custom(&mut inner)? } else { read_function(&mut inner)? };
    members.absorb(inner);
    let cache = members.take("cache_control").map(|value| {
        let mark = cache_mark(&value);
        members.left_in("cache_control", &value, &MARK);
        members.form("cache_control", value);
        mark
    });
    Ok(Tool { kind, cache, extra: members.rest() })
}

fn read_function<'a>(function: &mut Members<'a>) -> Result<ToolKind<'a>, ReadError> {
    Ok(ToolKind::Function {
        name: function.required_text("name")?,
        description: function.text("description")?,
        parameters: function.take("parameters"),
        dialect: SchemaDialect::JsonSchema,
        strict: function.bool("strict")?,
    })
}

/// A grammar stands in an object of its own here; the canonical form has its members beside the type.
fn read_custom<'a>(custom: &mut Members<'a>) -> Result<ToolKind<'a>, ReadError> {
    let name = custom.required_text("name")?;
    let description = custom.text("description")?;
    let format = custom.take("format").map(|format| match format.get("grammar").and_then(Value::as_object) {
        Some(grammar) => {
            let mut flat = Object::default();
            flat.set("type", Value::text("grammar"));
            flat.members.extend(grammar.members.iter().cloned());
            Value::Object(flat)
        }
        None => format,
    });
    Ok(ToolKind::Custom { name, description, format })
}

fn server_tool<'a>(tool: &Value<'a>, kind: String) -> ServerTool<'a> {
    if kind != "openrouter:web_search" {
        return ServerTool::Other(kind.into());
    }
    let parameter = |name: &str| tool.get("parameters")?.get(name);
    let domains = |name: &str| {
        let domains = parameter(name).and_then(Value::as_array).unwrap_or_default();
        domains.iter().filter_map(Value::as_str).cloned().collect()
    };
    ServerTool::WebSearch(WebSearch {
        max_uses: parameter("max_uses").and_then(Value::as_u64),
        allowed_domains: domains("allowed_domains"),
        blocked_domains: domains("excluded_domains"),
        user_location: parameter("user_location").and_then(WebSearch::place),
        context_size: parameter("search_context_size").and_then(Value::as_str).cloned(),
    })
}

pub fn read_tool_choice<'a>(top: &mut Members<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    if let Some(choice) = top.take("tool_choice") {
        let (said, canonical) = read_choice(&choice, "tool_choice")?;
        if !matches!(said, ToolChoice::Hosted { .. }) {
            top.left_in("tool_choice", &choice, &["type", "function", "custom", "allowed_tools", "mode", "tools"]);
            for inner in ["function", "custom", "allowed_tools"] {
                if let Some(object) = choice.get(inner) {
                    top.left_in(&format!("tool_choice.{inner}"), object, &["name", "mode", "tools"]);
                }
            }
        }
        if !canonical {
            top.form("tool_choice", choice);
        }
        request.tool_choice = Some(said);
    }
    // The old form: a word, or `{name}`.
    if let Some(choice) = top.take("function_call") {
        request.tool_choice = Some(match choice.get("name").and_then(Value::as_str) {
            Some(name) => ToolChoice::One { name: name.clone(), custom: false },
            None => read_choice(&choice, "function_call")?.0,
        });
        top.form("function_call", choice);
    }
    Ok(())
}

/// The choice, and whether it is written in the one form that we would write it in.
fn read_choice<'a>(choice: &Value<'a>, path: &str) -> Result<(ToolChoice<'a>, bool), ReadError> {
    let word = choice.as_text().or_else(|| choice.get("type")?.as_text());
    let named = |object: &str| choice.get(object)?.get("name")?.as_str().cloned();
    Ok(match word.as_deref() {
        Some("auto") => (ToolChoice::Auto, choice.as_str().is_some()),
        Some("none") => (ToolChoice::None, choice.as_str().is_some()),
        Some("required") => (ToolChoice::Required, choice.as_str().is_some()),
        // Mistral's word.
        Some("any") => (ToolChoice::Required, false),
        Some("allowed_tools") => (read_allowed(choice, path)?, false),
        Some("custom") => match named("custom") {
            Some(name) => (ToolChoice::One { name, custom: true }, true),
            None => return Err(missing(&format!("{path}.custom.name"))),
        },
        Some("function") | None => match named("function") {
            Some(name) => (ToolChoice::One { name, custom: false }, word.is_some()),
            None => return Err(missing(&format!("{path}.function.name"))),
        },
        Some(_) if choice.as_object().is_some() => {
            (ToolChoice::Hosted { protocol: Protocol::OpenAiChat, raw: choice.clone() }, true)
        }
        Some(_) => return Err(wrong(path, "none, auto, required or an object that names a tool")),
    })
}

fn read_allowed<'a>(choice: &Value<'a>, path: &str) -> Result<ToolChoice<'a>, ReadError> {
    let allowed = choice.get("allowed_tools").unwrap_or(choice);
    let mode = allowed.get("mode").and_then(Value::as_text);
    let tools = allowed.get("tools").and_then(Value::as_array);
    let tools = tools.ok_or_else(|| missing(&format!("{path}.allowed_tools.tools")))?;
    let name = |tool: &Value<'a>| -> Option<Str<'a>> {
        let inner = tool.get("function").or_else(|| tool.get("custom")).unwrap_or(tool);
        inner.get("name")?.as_str().cloned()
    };
    Ok(ToolChoice::Allowed {
        required: mode.as_deref() == Some("required"),
        names: tools.iter().filter_map(name).collect(),
    })
}
