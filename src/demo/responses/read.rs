//! Reads a Responses request whose fields are known to be right, and refuses what their values make wrong. Must never know sockets.

use std::borrow::Cow;

use super::super::ask::{Ask, Format, Schema, Thinking, Tool, ToolChoice, strict_problem};
use super::super::errors::Refusal;
use super::super::seen::State;
use super::super::tree::Node;
use super::items;

const OUTPUT_TOKENS_MIN: u64 = 16;
const NAME_BYTES_MAX: usize = 64;

pub(in super::super) fn read<'a>(tree: &'a Node<'_>, state: &State) -> Result<Ask<'a>, Refusal> {
    let mut ask = Ask {
        model: tree.text_of("model").unwrap_or_default().into(),
        stream: tree.flag_of("stream").unwrap_or(false),
        include_usage: true,
        choices: 1,
        output_tokens_max: tree.whole_of("max_output_tokens"),
        single_call: tree.flag_of("parallel_tool_calls") == Some(false),
        thinking: read_thinking(tree),
        ..Ask::default()
    };
    if let Some(tokens) = ask.output_tokens_max.filter(|tokens| *tokens < OUTPUT_TOKENS_MIN) {
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {OUTPUT_TOKENS_MIN}, but got {tokens}."
        );
        return Err(Refusal::new(message).param("max_output_tokens").code("integer_below_min_value"));
    }
    check_range(tree, "temperature", 2.0)?;
    check_range(tree, "top_p", 1.0)?;
    read_tools(tree, &mut ask)?;
    read_tool_choice(tree, &mut ask)?;
    if let Some(text) = tree.text_of("instructions") {
        ask.prompt.prefix.add(text);
    }
    let before = previous(tree, state)?;
    match tree.get("input") {
        Some(Node::Text(text)) => {
            items::expect_answered(before.first().map(String::as_str))?;
            ask.prompt.prefix.add(text);
            ask.prompt.user(Some(Cow::from(&**text)));
        }
        Some(Node::List(list)) if !list.is_empty() => items::read(list, before, state, &mut ask)?,
        _ if tree.get("previous_response_id").or(tree.get("conversation")).or(tree.get("prompt")).is_some() => {}
        _ => {
            return Err(missing(
                "One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.",
            ));
        }
    }
    ask.format = read_format(tree)?;
    ask.check_limits().map(|()| ask)
}

fn missing(message: &str) -> Refusal {
    Refusal::new(message).param("input").code("missing_required_parameter")
}

/// Reasoning is done when an effort is named, and told when a summary is asked for.
fn read_thinking(tree: &Node<'_>) -> Thinking {
    let Some(reasoning) = tree.get("reasoning") else { return Thinking::Off };
    let summary = reasoning.get("summary").or(reasoning.get("generate_summary"));
    match (reasoning.text_of("effort"), summary) {
        (Some("none"), _) | (None, None) => Thinking::Off,
        (_, Some(_)) => Thinking::Shown,
        (Some(_), None) => Thinking::Hidden,
    }
}

fn check_range(tree: &Node<'_>, name: &str, max: f64) -> Result<(), Refusal> {
    match tree.number_of(name) {
        Some(number) if !(0.0..=max).contains(&number) => {
            let message = format!("Invalid '{name}': {number} is not between 0 and {max}.");
            Err(Refusal::new(message).param(name).code("decimal_out_of_range"))
        }
        _ => Ok(()),
    }
}

/// The calls of the stored answer that this request goes on from.
fn previous(tree: &Node<'_>, state: &State) -> Result<Vec<String>, Refusal> {
    let Some(id) = tree.text_of("previous_response_id") else { return Ok(Vec::new()) };
    let stored = id.strip_prefix("resp_").and_then(|id| state.stored_calls(id));
    stored.ok_or_else(|| {
        let message = format!("Previous response with id '{id}' not found.");
        Refusal::new(message).param("previous_response_id").code("previous_response_not_found")
    })
}

fn read_tools<'a>(tree: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    for (place, tool) in tree.list_of("tools").iter().enumerate() {
        if tool.text_of("type") == Some("namespace") {
            ask.namespaced.extend(tool.list_of("tools").iter().filter_map(|inner| namespaced(tool, inner)));
        }
        let custom = tool.text_of("type") == Some("custom");
        if !custom && tool.text_of("type") != Some("function") {
            continue;
        }
        let name = tool.text_of("name").unwrap_or_default();
        check_name(name, &format!("tools[{place}].name"))?;
        let parameters = tool.get("parameters");
        if tool.flag_of("strict") == Some(true)
            && let Some(problem) = parameters.and_then(|schema| strict_problem(&schema.to_value()))
        {
            let message = format!("Invalid schema for function '{name}': {problem}");
            let param = format!("tools[{place}].parameters");
            return Err(Refusal::new(message).param(param).code("invalid_function_parameters"));
        }
        ask.tools.push(Tool { namespace: None, name: name.into(), custom, parameters: parameters.map(Schema::Tree) });
    }
    Ok(())
}

/// A tool in a namespace, whose fields are not checked.
fn namespaced<'a>(namespace: &'a Node<'_>, tool: &'a Node<'_>) -> Option<Tool<'a>> {
    let custom = match tool.text_of("type") {
        Some("function") => false,
        Some("custom") => true,
        _ => return None,
    };
    let (namespace, name) = (namespace.text_of("name")?, tool.text_of("name")?);
    Some(Tool { namespace: Some(namespace.into()), name: name.into(), custom, parameters: None })
}

pub(super) fn check_name(name: &str, param: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(plain) {
        let message = format!("Invalid '{param}': string does not match pattern '^[a-zA-Z0-9_-]+$'.");
        return Err(Refusal::new(message).param(param).code("invalid_value"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(too_long(param, name.len()));
    }
    Ok(())
}

pub(super) fn too_long(param: &str, bytes: usize) -> Refusal {
    let message =
        format!("Invalid '{param}': string too long. Expected at most {NAME_BYTES_MAX} characters, got {bytes}.");
    Refusal::new(message).param(param).code("string_above_max_length")
}

fn read_tool_choice(tree: &Node<'_>, ask: &mut Ask<'_>) -> Result<(), Refusal> {
    let Some(choice) = tree.get("tool_choice") else { return Ok(()) };
    let named = |name: Option<&str>| match name {
        Some(name) if ask.tools.iter().any(|tool| tool.name == name) => Ok(ToolChoice::Named(name.to_owned())),
        Some(name) => {
            let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
            Err(Refusal::new(message).param("tool_choice"))
        }
        None => Ok(ToolChoice::Any),
    };
    ask.tool_choice = match (choice.text(), choice.text_of("type")) {
        (Some("none"), _) => ToolChoice::None,
        (Some("auto" | "required"), _) => ToolChoice::Any,
        (Some(word), _) => {
            let message = format!("Invalid value: '{word}'. Supported values are: 'none', 'auto', and 'required'.");
            return Err(Refusal::new(message).param("tool_choice").code("invalid_value"));
        }
        (None, Some("function" | "custom")) => named(choice.text_of("name"))?,
        (None, Some("allowed_tools")) => named(choice.list_of("tools").first().and_then(|tool| tool.text_of("name")))?,
        (None, _) => ToolChoice::Any,
    };
    Ok(())
}

fn read_format(tree: &Node<'_>) -> Result<Option<Format>, Refusal> {
    let Some(format) = tree.get("text").and_then(|text| text.get("format")) else { return Ok(None) };
    match format.text_of("type") {
        Some("json_object") => {
            if !says_json(tree) {
                let message = "Input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.";
                return Err(Refusal::new(message).param("input"));
            }
            Ok(Some(Format::Json))
        }
        Some("json_schema") => {
            let schema = format.get("schema").map(Node::to_value).unwrap_or_default();
            let name = format.text_of("name").unwrap_or_default();
            check_name(name, "text.format.name")?;
            if format.flag_of("strict") == Some(true)
                && let Some(problem) = strict_problem(&schema)
            {
                let message = format!("Invalid schema for response_format '{name}': {problem}");
                return Err(Refusal::new(message).param("text.format.schema").code("invalid_json_schema"));
            }
            Ok(Some(Format::Schema(schema)))
        }
        _ => Ok(None),
    }
}

/// Some text of the prompt names JSON.
fn says_json(tree: &Node<'_>) -> bool {
    let says = |text: &str| text.to_ascii_lowercase().contains("json");
    let of_item = |item: &Node<'_>| {
        item.text_of("content").is_some_and(says)
            || item.list_of("content").iter().any(|part| part.text_of("text").is_some_and(says))
    };
    tree.text_of("instructions").is_some_and(says)
        || tree.text_of("input").is_some_and(says)
        || tree.list_of("input").iter().any(of_item)
}
