//! Reads the tools of a Responses request and how they are to be chosen. Must never know which upstream they go to.

use super::fields::{Fields, unsaid};
use super::namespaces::{NAMESPACE, flat_name};
use crate::wire::ir::{Class, Extra, SchemaDialect, ServerTool, Tool, ToolChoice, ToolKind, WebSearch};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, ReadError};

const OURS: Protocol = Protocol::OpenAiResponses;

#[derive(Default)]
pub(super) struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    /// Tools that others can leave out.
    pub extra: Vec<Extra<'a>>,
}

pub(super) fn read_tools<'a>(body: &mut Fields<'a>) -> Result<Tools<'a>, ReadError> {
    let mut read = Tools::default();
    let Some(elements) = body.array("tools")? else { return Ok(read) };
    if elements.is_empty() {
        body.add("tools", Value::Array(elements), Class::Idle);
        return Ok(read);
    }
    for (at, element) in elements.into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool = Fields::of(path.as_str(), element)?;
        let Some(kind) = tool.word("type").map(|kind| kind.into_owned()) else {
            return Err(tool.error("type", "is missing: a tool has a type"));
        };
        match kind.as_str() {
            "function" => read.tools.push(function(tool, None)?),
            "custom" => read.tools.push(custom(tool, None)?),
            "namespace" => namespace(tool, &mut read.tools)?,
            // Elsewhere no tool is hidden, so there is nothing to search for.
            "tool_search" => read.extra.push(Extra {
                protocol: OURS,
                name: Str::plain(path.clone()),
                path: path.into(),
                value: tool.into_value(),
                class: Class::Dropped,
            }),
            _ => read.tools.push(hosted(&kind, &path, tool.into_value())),
        }
    }
    Ok(read)
}

fn function<'a>(mut tool: Fields<'a>, namespace: Option<&str>) -> Result<Tool<'a>, ReadError> {
    tool.take("type");
    let name = tool_name(&mut tool, namespace)?;
    let parameters = match tool.take("parameters") {
        None => None,
        Some(schema @ Value::Object(_)) => Some(schema),
        Some(_) => return Err(tool.error("parameters", "must be a JSON Schema object")),
    };
    let kind = ToolKind::Function {
        name,
        description: tool.str("description")?,
        parameters,
        dialect: SchemaDialect::JsonSchema,
        strict: tool.bool("strict")?,
    };
    keep_common(&mut tool);
    Ok(Tool { kind, cache: None, extra: tool.finish() })
}

fn custom<'a>(mut tool: Fields<'a>, namespace: Option<&str>) -> Result<Tool<'a>, ReadError> {
    tool.take("type");
    let name = tool_name(&mut tool, namespace)?;
    let kind = ToolKind::Custom { name, description: tool.str("description")?, format: tool.take("format") };
    keep_common(&mut tool);
    Ok(Tool { kind, cache: None, extra: tool.finish() })
}

fn tool_name<'a>(tool: &mut Fields<'a>, namespace: Option<&str>) -> Result<Str<'a>, ReadError> {
    let name = tool.needed("name")?;
    Ok(match namespace {
        Some(space) => Str::plain(flat_name(space, &name.decode())),
        None => name,
    })
}

fn keep_common(tool: &mut Fields<'_>) {
    tool.keep("defer_loading", Class::Idle);
    tool.keep_all(&["output_schema", "allowed_callers", "async"], Class::Dropped);
}

/// The tools of a namespace become tools of their own. The first carries the whole namespace, so that a writer of this protocol
/// can say it as it came.
fn namespace<'a>(tool: Fields<'a>, tools: &mut Vec<Tool<'a>>) -> Result<(), ReadError> {
    let path = tool.path_of("tools");
    let raw = tool.into_value();
    let mut fields = Fields::of(path.trim_end_matches(".tools"), raw.clone())?;
    let space = fields.needed("name")?;
    let space = space.decode();
    let inner = fields.array("tools")?.unwrap_or_default();
    if inner.is_empty() {
        tools.push(hosted(NAMESPACE, path.trim_end_matches(".tools"), raw));
        return Ok(());
    }
    let mut unknown: Vec<Extra<'a>> =
        unsaid(path.trim_end_matches(".tools"), &raw, &["type", "name", "tools"], Class::Dropped).collect();
    let mut whole = Some(raw);
    for (at, element) in inner.into_iter().enumerate() {
        let tool = Fields::of(format!("{path}[{at}]"), element)?;
        let is_custom = tool.word("type").is_some_and(|kind| kind == "custom");
        let mut tool = if is_custom { custom(tool, Some(&space))? } else { function(tool, Some(&space))? };
        tool.extra.append(&mut unknown);
        tool.extra.push(Extra {
            protocol: OURS,
            path: format!("{path}[{at}]").into(),
            name: NAMESPACE.into(),
            value: whole.take().unwrap_or(Value::Null),
            class: Class::Idle,
        });
        tools.push(tool);
    }
    Ok(())
}

fn hosted<'a>(kind: &str, path: &str, raw: Value<'a>) -> Tool<'a> {
    let (tool, known) = if kind.starts_with("web_search") {
        let known = ["type", "filters", "user_location", "search_context_size"].as_slice();
        (ServerTool::WebSearch(web_search(&raw)), known)
    } else if kind == "code_interpreter" {
        let automatic = raw.get("container").is_some_and(is_automatic);
        (ServerTool::CodeExecution, if automatic { ["type", "container"].as_slice() } else { &["type"] })
    } else {
        // Refused by others, whatever is in it.
        return Tool {
            kind: ToolKind::Server { protocol: OURS, kind: ServerTool::Other(kind.to_owned().into()), raw },
            cache: None,
            extra: Vec::new(),
        };
    };
    // Said again as a part of the whole.
    let mut extra: Vec<Extra<'a>> = unsaid(path, &raw, known, Class::Dropped).collect();
    for (name, known) in
        [("filters", ["allowed_domains", "blocked_domains"].as_slice()), ("user_location", &WebSearch::PLACE)]
    {
        if let Some(inner) = raw.get(name).filter(|_| matches!(tool, ServerTool::WebSearch(_))) {
            extra.extend(unsaid(&format!("{path}.{name}"), inner, known, Class::Unknown));
        }
    }
    Tool { kind: ToolKind::Server { protocol: OURS, kind: tool, raw }, cache: None, extra }
}

fn is_automatic(container: &Value<'_>) -> bool {
    container.as_object().is_some_and(|container| container.members.len() == 1)
        && container.get("type").is_some_and(|kind| *kind == Value::text("auto"))
}

fn web_search<'a>(raw: &Value<'a>) -> WebSearch<'a> {
    let domains = |name: &str| {
        let list = raw.get("filters").and_then(|filters| filters.get(name)).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|domain| domain.as_str().cloned()).collect()
    };
    WebSearch {
        max_uses: None,
        allowed_domains: domains("allowed_domains"),
        blocked_domains: domains("blocked_domains"),
        user_location: raw.get("user_location").and_then(WebSearch::place),
        context_size: raw.get("search_context_size").and_then(Value::as_str).cloned(),
    }
}

pub(super) fn read_tool_choice<'a>(body: &mut Fields<'a>) -> Result<Option<ToolChoice<'a>>, ReadError> {
    let Some(choice) = body.take("tool_choice") else { return Ok(None) };
    if let Some(word) = choice.as_text() {
        return match &*word {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(body.error("tool_choice", "must be auto, none, required or an object")),
        };
    }
    if choice.as_object().is_none() {
        return Err(body.error("tool_choice", "must be auto, none, required or an object"));
    }
    let Some(chosen) = chosen(&choice) else {
        return Ok(Some(ToolChoice::Hosted { protocol: OURS, raw: choice }));
    };
    let mut rest = Fields::of("tool_choice", choice)?;
    for known in ["type", "name", NAMESPACE, "mode", "tools"] {
        rest.take(known);
    }
    body.lose(rest);
    Ok(Some(chosen))
}

/// What other protocols can say too; `None` for what names a hosted tool.
fn chosen<'a>(choice: &Value<'a>) -> Option<ToolChoice<'a>> {
    match &*choice.get("type")?.as_text()? {
        kind @ ("function" | "custom") => {
            Some(ToolChoice::One { name: choice_name(choice)?, custom: kind == "custom" })
        }
        "allowed_tools" => {
            let required = &*choice.get("mode")?.as_text()? == "required";
            let tools = choice.get("tools")?.as_array()?;
            let named = |tool: &Value<'a>| {
                let kind = tool.get("type")?.as_text()?;
                if matches!(&*kind, "function" | "custom") { choice_name(tool) } else { None }
            };
            Some(ToolChoice::Allowed { required, names: tools.iter().map(named).collect::<Option<_>>()? })
        }
        _ => None,
    }
}

fn choice_name<'a>(choice: &Value<'a>) -> Option<Str<'a>> {
    let name = choice.get("name")?.as_str()?.clone();
    match choice.get(NAMESPACE).and_then(Value::as_text) {
        Some(space) => Some(Str::plain(flat_name(&space, &name.decode()))),
        None => Some(name),
    }
}
