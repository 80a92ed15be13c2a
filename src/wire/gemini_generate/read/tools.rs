//! Reads tools and how they may be chosen. Must never know which upstream they go to.

use std::borrow::Cow;

use super::super::fields::{Path, idle, is, keep, take, take_object, take_text};
use crate::wire::ir::{Class, Extra, Request, SchemaDialect, ServerTool, Tool, ToolChoice, ToolKind, WebSearch};
use crate::wire::json::{Object, Str, Value};
use crate::wire::{Protocol, ReadError};

/// Where a tool stood among the entries of `tools`, so that a Gemini writer puts it there again.
pub const ENTRY: &str = "toolEntry";

pub fn read_tools<'a>(list: Value<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let at = Path::ROOT.key("tools");
    let entries = match list {
        Value::Array(entries) => entries,
        entry @ Value::Object(_) => vec![entry],
        _ => return Err(at.error("must be an array")),
    };
    let several = entries.len() > 1;
    for (index, entry) in entries.into_iter().enumerate() {
        let at = at.index(index);
        let Value::Object(entry) = entry else { return Err(at.error("must be an object")) };
        let first = request.tools.len();
        read_entry(entry, &at, request)?;
        if several || request.tools.len() > first + 1 {
            for tool in &mut request.tools[first..] {
                tool.extra.push(idle(&at, ENTRY, Value::number(index)));
            }
        }
    }
    Ok(())
}

fn read_entry<'a>(mut entry: Object<'a>, at: &Path<'_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let first = request.tools.len();
    match take(&mut entry, "functionDeclarations") {
        Some(Value::Array(list)) => {
            for (index, declaration) in list.into_iter().enumerate() {
                let list = at.key("functionDeclarations");
                let at = list.index(index);
                let Value::Object(declaration) = declaration else { return Err(at.error("must be an object")) };
                request.tools.push(read_declaration(declaration, &at)?);
            }
        }
        Some(_) => return Err(at.key("functionDeclarations").error("must be an array")),
        None => {}
    }
    let mut rest = Object::default();
    for (name, value) in entry.members {
        match server_tool(&name.decode(), &value) {
            Some(kind) => {
                let said = name.decode().into_owned();
                let mut tool = hosted(kind, name, value);
                note_settings(&mut tool, &at.key(&said));
                request.tools.push(tool);
            }
            None if !value.is_null() => rest.members.push((name, value)),
            None => {}
        }
    }
    match request.tools.get_mut(first) {
        // Beside what we know, an unknown field; alone, an unknown tool.
        Some(tool) => keep(rest, at, |_| Class::Unknown, &mut tool.extra),
        None => {
            for (name, value) in rest.members {
                let kind = ServerTool::Other(Cow::Owned(name.decode().into_owned()));
                request.tools.push(hosted(kind, name, value));
            }
        }
    }
    Ok(())
}

fn hosted<'a>(kind: ServerTool<'a>, name: Str<'a>, value: Value<'a>) -> Tool<'a> {
    let raw = Value::Object(Object { members: vec![(camel(name), value)] });
    Tool { kind: ToolKind::Server { protocol: Protocol::GeminiGenerate, kind, raw }, cache: None, extra: Vec::new() }
}

/// What Google's own tools are told beside: others have no word for it.
fn note_settings(tool: &mut Tool<'_>, at: &Path<'_>) {
    let ToolKind::Server { kind, raw, .. } = &tool.kind else { return };
    let Some((_, settings)) = raw.as_object().and_then(|raw| raw.members.first()) else { return };
    if matches!(kind, ServerTool::Other(_)) {
        return;
    }
    let mut settings = settings.as_object().cloned().unwrap_or_default();
    settings.members.retain(|(name, _)| !is(&name.decode(), "excludeDomains"));
    let mut lost = Vec::new();
    keep(settings, at, |_| Class::Dropped, &mut lost);
    // Said again as a part of the whole.
    lost.iter_mut().for_each(|extra| extra.name = Str::plain(""));
    tool.extra.extend(lost);
}

/// `google_search` as `googleSearch`.
fn camel(name: Str<'_>) -> Str<'_> {
    let text = name.decode();
    if !text.contains('_') {
        return name;
    }
    let mut words = text.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    Str::plain(camel)
}

fn server_tool<'a>(name: &str, value: &Value<'a>) -> Option<ServerTool<'a>> {
    const SEARCHES: [&str; 3] = ["googleSearch", "googleSearchRetrieval", "enterpriseWebSearch"];
    const OTHERS: [&str; 7] =
        ["googleMaps", "fileSearch", "computerUse", "mcpServers", "retrieval", "parallelAiSearch", "exaAiSearch"];
    if value.is_null() {
        return None;
    }
    if SEARCHES.iter().any(|known| is(name, known)) {
        let blocked = super::super::fields::get(value, "excludeDomains").and_then(Value::as_array).unwrap_or_default();
        let blocked_domains = blocked.iter().filter_map(|domain| domain.as_str().cloned()).collect();
        return Some(ServerTool::WebSearch(WebSearch { blocked_domains, ..WebSearch::default() }));
    }
    if is(name, "urlContext") {
        return Some(ServerTool::WebFetch);
    }
    if is(name, "codeExecution") {
        return Some(ServerTool::CodeExecution);
    }
    OTHERS.iter().find(|known| is(name, known)).map(|known| ServerTool::Other(Cow::Borrowed(known)))
}

fn read_declaration<'a>(mut declaration: Object<'a>, at: &Path<'_>) -> Result<Tool<'a>, ReadError> {
    let name = take_text(&mut declaration, "name", at)?.ok_or_else(|| at.key("name").error("is missing"))?;
    let description = take_text(&mut declaration, "description", at)?;
    let (parameters, dialect) = match take(&mut declaration, "parametersJsonSchema") {
        Some(schema) => (Some(schema), SchemaDialect::JsonSchema),
        None => (take(&mut declaration, "parameters"), SchemaDialect::OpenApi),
    };
    let mut extra = Vec::new();
    keep(declaration, at, declaration_class, &mut extra);
    let kind = ToolKind::Function { name, description, parameters, dialect, strict: None };
    Ok(Tool { kind, cache: None, extra })
}

fn declaration_class(name: &str) -> Class {
    const KNOWN: [&str; 4] = ["response", "responseJsonSchema", "behavior", "parameters"];
    if KNOWN.iter().any(|known| is(name, known)) { Class::Dropped } else { Class::Unknown }
}

pub fn read_tool_config<'a>(mut config: Object<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let at = Path::ROOT.key("toolConfig");
    if let Some(calling) = take_object(&mut config, "functionCallingConfig", &at)? {
        read_calling(calling, &at.key("functionCallingConfig"), request)?;
    }
    let class = |name: &str| match name {
        _ if is(name, "includeServerSideToolInvocations") => Class::Idle,
        _ if is(name, "retrievalConfig") => Class::Dropped,
        _ => Class::Unknown,
    };
    keep(config, &at, class, &mut request.extra);
    Ok(())
}

fn read_calling<'a>(mut calling: Object<'a>, at: &Path<'_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let mode = take_text(&mut calling, "mode", at)?;
    let names: Vec<Str<'a>> = match take(&mut calling, "allowedFunctionNames") {
        Some(Value::Array(list)) => list.into_iter().filter_map(|name| name.as_str().cloned()).collect(),
        Some(_) => return Err(at.key("allowedFunctionNames").error("must be an array")),
        None => Vec::new(),
    };
    let word = mode.as_ref().map(|mode| mode.decode().to_ascii_uppercase());
    request.tool_choice = match (word.as_deref(), names.as_slice()) {
        (Some("AUTO"), []) => Some(ToolChoice::Auto),
        (Some("AUTO"), _) => Some(ToolChoice::Allowed { required: false, names }),
        (Some("ANY"), []) => Some(ToolChoice::Required),
        (Some("ANY"), [name]) => Some(ToolChoice::One { name: name.clone(), custom: false }),
        (Some("ANY"), _) => Some(ToolChoice::Allowed { required: true, names }),
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("VALIDATED"), _) => Some(ToolChoice::Validated { names }),
        (Some("MODE_UNSPECIFIED") | None, _) => {
            request.extra.extend(names_again(at, names));
            None
        }
        (Some(_), _) => return Err(at.key("mode").error("must be AUTO, ANY, NONE or VALIDATED")),
    };
    let class = |name: &str| if is(name, "streamFunctionCallArguments") { Class::Idle } else { Class::Unknown };
    keep(calling, at, class, &mut request.extra);
    Ok(())
}

/// Names without a mode say nothing.
fn names_again<'a>(at: &Path<'_>, names: Vec<Str<'a>>) -> Option<Extra<'a>> {
    let list = names.into_iter().map(Value::String).collect::<Vec<_>>();
    (!list.is_empty()).then(|| idle(at, "allowedFunctionNames", Value::Array(list)))
}
