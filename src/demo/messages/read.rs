//! Reads a Messages request whose fields are known to be right, and refuses what their values make wrong. Must never know sockets.

use std::borrow::Cow;

use serde_json::Value;

use super::super::ask::{Ask, Format, Schema, Thinking, Tool, ToolChoice};
use super::super::errors::Refusal;
use super::super::seal::Seal;
use super::super::tree::Node;
use super::turns;

const CACHE_MARKS_MAX: usize = 4;
const BUDGET_TOKENS_MIN: u64 = 1024;
const TOOL_NAME_BYTES_MAX: usize = 128;

pub(in super::super) fn read<'a>(tree: &'a Node<'_>, seal: &Seal) -> Result<Ask<'a>, Refusal> {
    let mut ask = Ask {
        model: tree.text_of("model").unwrap_or_default().into(),
        stream: tree.flag_of("stream").unwrap_or(false),
        include_usage: true,
        choices: 1,
        output_tokens_max: tree.whole_of("max_tokens"),
        format: tree.get("output_config").and_then(|config| config.get("format")).map(read_format).transpose()?,
        thinking: read_thinking(tree)?,
        ..Ask::default()
    };
    ask.prompt.prefix.by_marks = true;
    ask.stops = tree.list_of("stop_sequences").iter().filter_map(Node::text).map(Cow::from).collect();
    if ask.stops.iter().any(|stop| stop.trim().is_empty()) {
        return Err(Refusal::new("stop_sequences: each stop sequence must contain non-whitespace"));
    }
    check_sampling(tree, ask.thinking)?;
    read_tools(tree, &mut ask)?;
    read_tool_choice(tree, &mut ask)?;
    read_system(tree, &mut ask)?;
    turns::read(tree.list_of("messages"), is_budgeted(tree), seal, &mut ask)?;
    if tree.get("cache_control").is_some() {
        let hour = is_hour(tree);
        ask.prompt.prefix.mark(hour);
    }
    if ask.prompt.prefix.marks() > CACHE_MARKS_MAX {
        let found = ask.prompt.prefix.marks();
        let message = format!("at most {CACHE_MARKS_MAX} blocks may have cache_control. Found {found}.");
        return Err(Refusal::new(message));
    }
    ask.check_limits().map(|()| ask)
}

/// Marks the prompt so far when the block says so.
pub(super) fn mark(block: &Node<'_>, ask: &mut Ask<'_>) {
    if block.get("cache_control").is_some() {
        ask.prompt.prefix.mark(is_hour(block));
    }
}

fn is_hour(block: &Node<'_>) -> bool {
    block.get("cache_control").and_then(|mark| mark.text_of("ttl")) == Some("1h")
}

fn read_format(format: &Node<'_>) -> Result<Format, Refusal> {
    let schema = format.get("schema").map(Node::to_value).unwrap_or_default();
    if let Some(way) = open_object(&schema, "output_config.format.schema", 0) {
        let message = format!("{way}: For 'object' type, 'additionalProperties' must be set to false");
        return Err(Refusal::new(message));
    }
    Ok(Format::Schema(schema))
}

/// The way to an object in a schema that does not close itself.
fn open_object(schema: &Value, way: &str, depth: usize) -> Option<String> {
    const DEPTH_MAX: usize = 64;
    let is_object = schema.get("type") == Some(&Value::from("object"));
    if depth > DEPTH_MAX {
        return None;
    }
    if is_object && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Some(way.to_owned());
    }
    let properties = ["properties", "$defs"].iter().filter_map(|group| schema.get(group)?.as_object()).flatten();
    let either = ["anyOf", "allOf"].iter().filter_map(|group| schema.get(group)?.as_array()).flatten();
    let inner = properties.map(|(_, schema)| schema).chain(either).chain(schema.get("items"));
    inner.into_iter().find_map(|schema| open_object(schema, way, depth + 1))
}

fn read_thinking(tree: &Node<'_>) -> Result<Thinking, Refusal> {
    let Some(thinking) = tree.get("thinking") else { return Ok(Thinking::Off) };
    if let Some(budget) = thinking.whole_of("budget_tokens") {
        if budget < BUDGET_TOKENS_MIN {
            let message = format!("thinking.enabled.budget_tokens: Input should be at least {BUDGET_TOKENS_MIN}");
            return Err(Refusal::new(message));
        }
        if tree.whole_of("max_tokens").is_some_and(|max| max <= budget) {
            return Err(Refusal::new("`max_tokens` must be greater than `thinking.budget_tokens`"));
        }
    }
    Ok(match (thinking.text_of("type"), thinking.text_of("display")) {
        (Some("disabled"), _) => Thinking::Off,
        (_, Some("omitted")) => Thinking::Hidden,
        _ => Thinking::Shown,
    })
}

/// Thinking is on as older models have it, with a budget.
fn is_budgeted(tree: &Node<'_>) -> bool {
    tree.get("thinking").and_then(|thinking| thinking.text_of("type")) == Some("enabled")
}

fn check_sampling(tree: &Node<'_>, thinking: Thinking) -> Result<(), Refusal> {
    let temperature = tree.number_of("temperature");
    if temperature.is_some_and(|temperature| !(0.0..=1.0).contains(&temperature)) {
        return Err(Refusal::new("temperature: range: 0..1"));
    }
    if tree.number_of("top_p").is_some_and(|top_p| !(0.0..=1.0).contains(&top_p)) {
        return Err(Refusal::new("top_p: range: 0..1"));
    }
    if thinking == Thinking::Off {
        return Ok(());
    }
    if temperature.is_some_and(|temperature| temperature != 1.0) {
        return Err(Refusal::new("`temperature` may only be set to 1 when thinking is enabled"));
    }
    if tree.get("top_k").is_some() {
        return Err(Refusal::new("`top_k` must be unset when thinking is enabled"));
    }
    // Adaptive thinking bears a forced tool.
    match tree.get("tool_choice").and_then(|choice| choice.text_of("type")) {
        Some("any" | "tool") if is_budgeted(tree) => {
            Err(Refusal::new("Thinking may not be enabled when tool_choice forces tool use"))
        }
        _ => Ok(()),
    }
}

fn read_tools<'a>(tree: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    for (place, tool) in tree.list_of("tools").iter().enumerate() {
        mark(tool, ask);
        let name = tool.text_of("name").unwrap_or_default();
        let Some(schema) = tool.get("input_schema") else { continue };
        if !is_plain(name, TOOL_NAME_BYTES_MAX) {
            let pattern = format!("^[a-zA-Z0-9_-]{{1,{TOOL_NAME_BYTES_MAX}}}$");
            let message = format!("tools.{place}.custom.name: String should match pattern '{pattern}'");
            return Err(Refusal::new(message));
        }
        if schema.text_of("type") != Some("object") {
            return Err(Refusal::new(format!("tools.{place}.custom.input_schema.type: Input should be 'object'")));
        }
        if ask.tools.iter().any(|tool| tool.name == name) {
            return Err(Refusal::new("tools: Tool names must be unique"));
        }
        if tool.flag_of("strict") == Some(true)
            && let Some(way) = open_object(&schema.to_value(), &format!("tools.{place}.custom.input_schema"), 0)
        {
            let message = format!("{way}: For 'object' type, 'additionalProperties' must be set to false");
            return Err(Refusal::new(message));
        }
        ask.tools.push(Tool {
            namespace: None,
            name: name.into(),
            custom: false,
            parameters: Some(Schema::Tree(schema)),
        });
    }
    Ok(())
}

/// Letters, digits, `_` and `-`, one at least.
pub(super) fn is_plain(name: &str, bytes_max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=bytes_max).contains(&name.len()) && name.bytes().all(plain)
}

fn read_tool_choice(tree: &Node<'_>, ask: &mut Ask<'_>) -> Result<(), Refusal> {
    let Some(choice) = tree.get("tool_choice") else { return Ok(()) };
    if tree.list_of("tools").is_empty() {
        return Err(Refusal::new("tool_choice may only be specified while providing tools"));
    }
    ask.single_call = choice.flag_of("disable_parallel_tool_use").unwrap_or(false);
    ask.tool_choice = match choice.text_of("type") {
        Some("none") => ToolChoice::None,
        Some("tool") => {
            let name = choice.text_of("name").unwrap_or_default();
            if !tree.list_of("tools").iter().any(|tool| tool.text_of("name") == Some(name)) {
                return Err(Refusal::new(format!("Tool '{name}' not found in provided tools")));
            }
            ToolChoice::Named(name.to_owned())
        }
        _ => ToolChoice::Any,
    };
    Ok(())
}

fn read_system<'a>(tree: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    match tree.get("system") {
        Some(Node::Text(text)) => ask.prompt.prefix.add(text),
        Some(Node::List(blocks)) => {
            for block in blocks {
                let text = block.text_of("text").unwrap_or_default();
                if text.is_empty() {
                    return Err(Refusal::new("system: text content blocks must be non-empty"));
                }
                ask.prompt.prefix.add(text);
                mark(block, ask);
            }
        }
        _ => {}
    }
    Ok(())
}
