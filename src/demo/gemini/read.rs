//! Reads a generateContent request whose fields are known to be right, and refuses what their values make wrong. Must never know
//! sockets.

use super::super::ask::{Ask, Format, Schema, Thinking, Tool, ToolChoice};
use super::super::errors::Refusal;
use super::super::seal::Seal;
use super::super::tree::Node;
use super::contents;

const NAME_BYTES_MAX: usize = 64;
const STOPS_MAX: usize = 5;
const CHOICES_MAX: u64 = 8;
const DEPTH_MAX: usize = 32;

pub(in super::super) fn read<'a>(
    tree: &'a Node<'_>,
    model: &'a str,
    stream: bool,
    seal: &Seal,
) -> Result<Ask<'a>, Refusal> {
    static EMPTY: Node<'_> = Node::Null;
    let config = tree.get("generationConfig").unwrap_or(&EMPTY);
    let mut ask = Ask {
        model: model.into(),
        stream,
        include_usage: true,
        choices: u32::try_from(config.whole_of("candidateCount").unwrap_or(1)).unwrap_or(u32::MAX),
        output_tokens_max: config.whole_of("maxOutputTokens"),
        thinking: read_thinking(config)?,
        ..Ask::default()
    };
    ask.stops = config.list_of("stopSequences").iter().filter_map(Node::text).map(Into::into).collect();
    check_config(config, &ask)?;
    if let Some(name) = tree.text_of("cachedContent") {
        let message = format!("CachedContent not found, or this key may not use it: {name}");
        return Err(Refusal::new(message).status(403));
    }
    ask.format = read_format(config)?;
    read_tools(tree, &mut ask)?;
    read_choice(tree, &mut ask)?;
    if is_old(model) && ask.format.is_some() && !ask.tools.is_empty() {
        let message = "Function calling with a response mime type: 'application/json' is not supported by this model";
        return Err(Refusal::new(message));
    }
    for part in tree.get("systemInstruction").map_or(&[][..], |content| content.list_of("parts")) {
        let Some(text) = part.text_of("text") else {
            return Err(Refusal::new("* GenerateContentRequest.system_instruction.parts: only text is supported."));
        };
        ask.prompt.prefix.add(text);
    }
    contents::read(tree.list_of("contents"), !is_old(model), seal, &mut ask)?;
    ask.check_limits().map(|()| ask)
}

/// Models before Gemini 3 give no ids to calls and do not insist on signatures.
pub(super) fn is_old(model: &str) -> bool {
    model.starts_with("gemini-1") || model.starts_with("gemini-2")
}

fn read_thinking(config: &Node<'_>) -> Result<Thinking, Refusal> {
    let Some(thinking) = config.get("thinkingConfig") else { return Ok(Thinking::Off) };
    let (budget, level) = (thinking.number_of("thinkingBudget"), thinking.text_of("thinkingLevel"));
    if budget.is_some() && level.is_some() {
        return Err(Refusal::new("Only one of thinking budget and thinking level may be set."));
    }
    Ok(match (budget, thinking.flag_of("includeThoughts")) {
        (Some(0.0), _) => Thinking::Off,
        (_, Some(true)) => Thinking::Shown,
        _ => Thinking::Hidden,
    })
}

fn check_config(config: &Node<'_>, ask: &Ask<'_>) -> Result<(), Refusal> {
    let refuse = |what: &str| Err(Refusal::new(format!("* GenerateContentRequest.generation_config.{what}")));
    let outside =
        |name: &str, min: f64, max: f64| config.number_of(name).is_some_and(|number| !(min..=max).contains(&number));
    if outside("temperature", 0.0, 2.0) {
        return refuse("temperature: temperature must be in the range [0.0, 2.0].");
    }
    if outside("topP", 0.0, 1.0) {
        return refuse("top_p: top_p must be in the range [0.0, 1.0].");
    }
    if config.number_of("topK").is_some_and(|top_k| top_k < 1.0 || top_k.fract() != 0.0) {
        return refuse("top_k: top_k must be a positive integer.");
    }
    if outside("maxOutputTokens", 1.0, 1e9) {
        return refuse("max_output_tokens: max_output_tokens must be positive.");
    }
    if outside("candidateCount", 1.0, CHOICES_MAX as f64) {
        return refuse("candidate_count: candidate_count must be between 1 and 8.");
    }
    if ask.stops.len() > STOPS_MAX || ask.stops.iter().any(|stop| stop.is_empty()) {
        return refuse("stop_sequences: at most 5 sequences, none of them empty.");
    }
    if config.get("logprobs").is_some() && config.flag_of("responseLogprobs") != Some(true) {
        return refuse("logprobs: logprobs may only be set with response_logprobs.");
    }
    Ok(())
}

fn read_format(config: &Node<'_>) -> Result<Option<Format>, Refusal> {
    let (schema, json_schema) = (config.get("responseSchema"), config.get("responseJsonSchema"));
    let mime_type = config.text_of("responseMimeType").unwrap_or("text/plain");
    match (schema.or(json_schema), mime_type) {
        _ if schema.is_some() && json_schema.is_some() => {
            Err(Refusal::new("Only one of response_schema and response_json_schema may be set."))
        }
        (Some(_), "text/plain") => Err(Refusal::new("A response schema needs response_mime_type 'application/json'.")),
        (Some(given), "application/json" | "text/x.enum") => {
            if schema.is_some() {
                check_schema(given, "generation_config.response_schema", 0)?;
            }
            Ok(Some(Format::Schema(given.to_value())))
        }
        (None, "application/json") => Ok(Some(Format::Json)),
        (None, "text/plain") => Ok(None),
        (_, other) => Err(Refusal::new(format!("* response_mime_type: '{other}' is not a supported type."))),
    }
}

/// What the tables cannot say about a schema.
fn check_schema(schema: &Node<'_>, way: &str, depth: usize) -> Result<(), Refusal> {
    if depth > DEPTH_MAX {
        return Err(Refusal::new(format!("* GenerateContentRequest.{way}: the schema is too deep.")));
    }
    let refuse = |what: String| Err(Refusal::new(format!("* GenerateContentRequest.{way}.{what}")));
    let kind = schema.text_of("type").unwrap_or_default();
    if kind == "ARRAY" && schema.get("items").is_none() {
        return refuse("items: missing field.".to_owned());
    }
    if kind != "STRING" && schema.get("enum").is_some() {
        return refuse("enum: only allowed for STRING type.".to_owned());
    }
    let formats: Option<&[&str]> = match kind {
        "STRING" => Some(&["enum", "date-time"]),
        "INTEGER" => Some(&["int32", "int64"]),
        "NUMBER" => Some(&["float", "double"]),
        _ => None,
    };
    if let (Some(format), Some(known)) = (schema.text_of("format"), formats)
        && !known.contains(&format)
    {
        return refuse(format!("format: only '{}' are supported for {kind} type.", known.join("' and '")));
    }
    let properties = schema.get("properties");
    for (place, name) in schema.list_of("required").iter().filter_map(Node::text).enumerate() {
        if properties.is_none_or(|properties| properties.get(name).is_none()) {
            return refuse(format!("required[{place}]: property is not defined"));
        }
    }
    for (name, property) in properties.map_or(&[][..], Node::members) {
        check_schema(property, &format!("{way}.properties[{name}]"), depth + 1)?;
    }
    for (place, either) in schema.list_of("anyOf").iter().enumerate() {
        check_schema(either, &format!("{way}.any_of[{place}]"), depth + 1)?;
    }
    match schema.get("items") {
        Some(items) => check_schema(items, &format!("{way}.items"), depth + 1),
        None => Ok(()),
    }
}

fn read_tools<'a>(tree: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    for (place, tool) in tree.list_of("tools").iter().enumerate() {
        for (number, declared) in tool.list_of("functionDeclarations").iter().enumerate() {
            let way = format!("tools[{place}].function_declarations[{number}]");
            let name = declared.text_of("name").unwrap_or_default();
            if !is_name(name) {
                let message = format!(
                    "* GenerateContentRequest.{way}.name: Invalid function name. It must begin with a letter or an underscore and \
                     hold letters, digits, underscores, dots, colons or dashes, {NAME_BYTES_MAX} at most."
                );
                return Err(Refusal::new(message));
            }
            if ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Refusal::new(format!("Duplicate function declaration found: {name}")));
            }
            let (parameters, json_schema) = (declared.get("parameters"), declared.get("parametersJsonSchema"));
            if let Some(schema) = parameters {
                if json_schema.is_some() {
                    return Err(Refusal::new(format!(
                        "{way}: only one of parameters and parameters_json_schema may be set."
                    )));
                }
                check_schema(schema, &format!("{way}.parameters"), 0)?;
            }
            let schema = parameters.or(json_schema).map(Schema::Tree);
            ask.tools.push(Tool { namespace: None, name: name.into(), custom: false, parameters: schema });
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    name.len() <= NAME_BYTES_MAX && name.as_bytes().first().is_some_and(first) && name.bytes().all(plain)
}

fn read_choice(tree: &Node<'_>, ask: &mut Ask<'_>) -> Result<(), Refusal> {
    let Some(config) = tree.get("toolConfig").and_then(|config| config.get("functionCallingConfig")) else {
        return Ok(());
    };
    let mode = config.text_of("mode").unwrap_or("AUTO");
    let allowed = config.list_of("allowedFunctionNames");
    if !allowed.is_empty() && !matches!(mode, "ANY" | "VALIDATED") {
        let message =
            "Function calling config: allowed_function_names may only be set when the mode is ANY or VALIDATED.";
        return Err(Refusal::new(message));
    }
    for name in allowed.iter().filter_map(Node::text) {
        if !ask.tools.iter().any(|tool| tool.name == name) {
            let message =
                format!("Function calling config: allowed_function_names holds '{name}', which is not declared.");
            return Err(Refusal::new(message));
        }
    }
    if mode == "ANY" && ask.tools.is_empty() {
        return Err(Refusal::new("Function calling mode is ANY, but no function_declarations are given."));
    }
    ask.tool_choice = match (mode, allowed.first().and_then(Node::text)) {
        ("NONE", _) => ToolChoice::None,
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        (_, None) => ToolChoice::Any,
    };
    Ok(())
}
