//! Reads tools and the choice among them. Must never know which upstream they go to.

use std::borrow::Cow;

use super::fields::{Fields, Path, unknown};
use super::request_read::texts;
use super::turns_read::read_cache;
use crate::wire::ir::{Class, Request, SchemaDialect, ServerTool, Tool, ToolChoice, ToolKind, WebSearch};
use crate::wire::json::Value;
use crate::wire::{Protocol, ReadError};

pub(super) fn read_tools<'a>(tools: Vec<Value<'a>>, path: &Path<'_>) -> Result<Vec<Tool<'a>>, ReadError> {
    tools.into_iter().enumerate().map(|(at, tool)| read_tool(tool, &path.element(at))).collect()
}

fn read_tool<'a>(tool: Value<'a>, path: &Path<'_>) -> Result<Tool<'a>, ReadError> {
    let mut fields = Fields::read(tool, path)?;
    let cache = read_cache(&mut fields)?;
    let kind = fields.peek("type").and_then(Value::as_str).cloned();
    let (kind, extra) = match kind.as_ref().map(|kind| kind.decode()).as_deref() {
        None | Some("custom") => read_function(fields)?,
        Some(kind) => read_server_tool(kind, fields),
    };
    Ok(Tool { kind, cache, extra })
}

type Read<'a> = (ToolKind<'a>, Vec<crate::wire::ir::Extra<'a>>);

fn read_function<'a>(mut fields: Fields<'a, '_>) -> Result<Read<'a>, ReadError> {
    let kind = ToolKind::Function {
        name: fields.required_text("name")?,
        description: fields.text("description")?,
        parameters: fields.take("input_schema"),
        dialect: SchemaDialect::JsonSchema,
        strict: fields.bool("strict")?,
    };
    let extra = fields.rest(|name, value| match name {
        "type" | "eager_input_streaming" => Class::Idle,
        "defer_loading" if value.as_bool() == Some(false) => Class::Idle,
        "defer_loading" | "input_examples" | "allowed_callers" => Class::Dropped,
        _ => Class::Unknown,
    });
    Ok((kind, extra))
}

/// `raw` keeps everything; the extras tell other protocols what is lost of it.
fn read_server_tool<'a>(kind: &str, mut fields: Fields<'a, '_>) -> Read<'a> {
    let tool = match family(kind) {
        "web_search" => ServerTool::WebSearch(read_web_search(&fields)),
        "web_fetch" => ServerTool::WebFetch,
        "code_execution" => ServerTool::CodeExecution,
        known if known.starts_with("tool_search_tool") => ServerTool::ToolSearch,
        _ => ServerTool::Other(Cow::Owned(kind.to_owned())),
    };
    let raw = fields.copy();
    let server = |kind| ToolKind::Server { protocol: Protocol::AnthropicMessages, kind, raw };
    match tool {
        ServerTool::ToolSearch | ServerTool::Other(_) => (server(tool), fields.extra),
        ServerTool::WebSearch(_) | ServerTool::WebFetch | ServerTool::CodeExecution => {
            if let (ServerTool::WebSearch(_), Some(place)) = (&tool, fields.peek("user_location").cloned()) {
                let path = fields.path().member("user_location");
                if let Ok(mut place) = Fields::read(place, &path) {
                    WebSearch::PLACE.iter().for_each(|known| drop(place.take(known)));
                    fields.extra.extend(place.rest(unknown));
                }
            }
            for known in ["type", "name", "max_uses", "allowed_domains", "blocked_domains", "user_location"] {
                if known == "type" || known == "name" || matches!(tool, ServerTool::WebSearch(_)) {
                    fields.take(known);
                }
            }
            let extra = fields.rest(|name, _| match name {
                "allowed_callers" | "defer_loading" | "max_uses" | "allowed_domains" | "blocked_domains"
                | "max_content_tokens" | "citations" | "use_cache" | "strict" => Class::Dropped,
                _ => Class::Unknown,
            });
            (server(tool), extra)
        }
    }
}

/// A server tool's type without its date: `web_search_20250305` is a `web_search`.
fn family(kind: &str) -> &str {
    match kind.rsplit_once('_') {
        Some((family, date)) if date.bytes().all(|b| b.is_ascii_digit()) => family,
        _ => kind,
    }
}

fn read_web_search<'a>(fields: &Fields<'a, '_>) -> WebSearch<'a> {
    let member = |name| fields.peek(name).filter(|value| !value.is_null()).cloned();
    WebSearch {
        max_uses: member("max_uses").and_then(|max| max.as_u64()),
        allowed_domains: texts(member("allowed_domains")),
        blocked_domains: texts(member("blocked_domains")),
        user_location: member("user_location").as_ref().and_then(WebSearch::place),
        context_size: None,
    }
}

/// Reads `tool_choice` into the request, whose tools are read already.
pub(super) fn read_tool_choice<'a>(
    choice: Value<'a>,
    holder: &mut Fields<'a, '_>,
    request: &mut Request<'a>,
) -> Result<(), ReadError> {
    let path = holder.path().member("tool_choice");
    let mut choice = Fields::read(choice, &path)?;
    request.parallel_calls = choice.bool("disable_parallel_tool_use")?.map(|disabled| !disabled);
    let raw = choice.copy();
    let kind = choice.required_text("type")?;
    request.tool_choice = Some(match &*kind.decode() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => {
            let name = choice.required_text("name")?;
            let hosted = request.tools.iter().any(|tool| match &tool.kind {
                ToolKind::Server { raw, .. } => raw.get("name").and_then(Value::as_str) == Some(&name),
                ToolKind::Function { .. } | ToolKind::Custom { .. } => false,
            });
            match hosted {
                true => ToolChoice::Hosted { protocol: Protocol::AnthropicMessages, raw },
                false => ToolChoice::One { name, custom: false },
            }
        }
        _ => return Err(path.member("type").error("tool_choice.type must be auto, any, tool or none")),
    });
    holder.extra.extend(choice.rest(unknown));
    Ok(())
}
