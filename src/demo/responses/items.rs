//! Reads the items of a Responses request: which output answers which call, and which reasoning is ours. Must never know sockets.

use std::borrow::Cow;

use super::super::ask::{Ask, media_type_of};
use super::super::errors::Refusal;
use super::super::seen::State;
use super::super::tree::Node;
use super::ENCRYPTED;
use super::read::{check_name, too_long};

const CALL_ID_BYTES_MAX: usize = 64;

/// `before` holds the calls of the stored answer that the items go on from.
pub(super) fn read<'a>(
    items: &'a [Node<'_>],
    before: Vec<String>,
    state: &State,
    ask: &mut Ask<'a>,
) -> Result<(), Refusal> {
    let mut open: Vec<Cow<'a, str>> = before.into_iter().map(Cow::from).collect();
    for (place, item) in items.iter().enumerate() {
        ask.prompt.count += 1;
        match kind_of(item) {
            "message" => message(place, item, ask)?,
            "function_call" | "custom_tool_call" => {
                ask.prompt.model();
                open.push(call(place, item)?.into());
            }
            kind @ ("function_call_output" | "custom_tool_call_output") => {
                let id = item.text_of("call_id").unwrap_or_default();
                let Some(found) = open.iter().position(|open| *open == id) else {
                    let kind = if kind.starts_with("custom") { "custom tool call" } else { "function call" };
                    let message = format!("No tool call found for {kind} output with call_id {id}.");
                    return Err(Refusal::new(message).param("input"));
                };
                open.remove(found);
                output(place, item, ask)?;
            }
            "reasoning" => {
                reasoning(place, item, state)?;
                check_followed(place, items)?;
                ask.prompt.model();
            }
            // Brought by the client, as its tools are.
            "additional_tools" => {}
            _ => ask.prompt.model(),
        }
    }
    expect_answered(open.first().map(|id| &**id))
}

/// Refuses a call that is still open at the end.
pub(super) fn expect_answered(open: Option<&str>) -> Result<(), Refusal> {
    match open {
        Some(id) => Err(Refusal::new(format!("No tool output found for function call {id}.")).param("input")),
        None => Ok(()),
    }
}

fn kind_of<'a>(item: &'a Node<'_>) -> &'a str {
    item.text_of("type").unwrap_or("message")
}

fn check_id(item: &Node<'_>, place: usize, start: &str) -> Result<(), Refusal> {
    match item.text_of("id") {
        Some(id) if !id.starts_with(start) => {
            let param = format!("input[{place}].id");
            let message = format!("Invalid '{param}': '{id}'. Expected an ID that begins with '{start}'.");
            Err(Refusal::new(message).param(param).code("invalid_value"))
        }
        _ => Ok(()),
    }
}

fn message<'a>(place: usize, item: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    check_id(item, place, "msg")?;
    let role = item.text_of("role").unwrap_or_default();
    let is_user = role == "user";
    let say = |text: &'a str, ask: &mut Ask<'a>| {
        ask.prompt.prefix.add(text);
        if is_user {
            ask.prompt.user(Some(text.into()));
        }
    };
    if let Some(text) = item.text_of("content") {
        say(text, ask);
    }
    for (number, part) in item.list_of("content").iter().enumerate() {
        let kind = part.text_of("type").unwrap_or_default();
        let is_output = matches!(kind, "output_text" | "refusal");
        if is_output != (role == "assistant") {
            let fitting = if role == "assistant" { "'output_text' and 'refusal'" } else { "those of input" };
            let message = format!("Invalid value: '{kind}'. Supported values are: {fitting}.");
            let param = format!("input[{place}].content[{number}]");
            return Err(Refusal::new(message).param(param).code("invalid_value"));
        }
        match part.text_of("text").or(part.text_of("refusal")) {
            Some(text) => say(text, ask),
            None => media(&format!("input[{place}].content[{number}]"), part, ask)?,
        }
    }
    match role {
        "user" => ask.prompt.user(None),
        "assistant" => ask.prompt.model(),
        // Instructions in the middle answer nobody.
        _ => {}
    }
    Ok(())
}

fn media<'a>(param: &str, part: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    let found = match part.text_of("type") {
        Some("input_image") => part.text_of("image_url").map(|url| media_type_of(url, "image/url")),
        Some("input_audio") => {
            let format = part.get("input_audio").and_then(|audio| audio.text_of("format"));
            Some(format!("audio/{}", format.unwrap_or_default()).into())
        }
        _ => part
            .text_of("file_data")
            .map(|data| media_type_of(data, "file"))
            .or(part.get("file_url").map(|_| "url".into())),
    };
    let kind = found.or(part.get("file_id").map(|_| "file_id".into()));
    let missing = || {
        let message = format!("Missing required parameter: '{param}' has neither data, URL nor file_id.");
        Refusal::new(message).param(param).code("missing_required_parameter")
    };
    ask.prompt.media.push(kind.ok_or_else(missing)?);
    Ok(())
}

fn call<'a>(place: usize, item: &'a Node<'_>) -> Result<&'a str, Refusal> {
    let custom = kind_of(item) == "custom_tool_call";
    check_id(item, place, if custom { "ctc" } else { "fc" })?;
    let id = item.text_of("call_id").unwrap_or_default();
    if id.is_empty() || id.len() > CALL_ID_BYTES_MAX {
        return Err(too_long(&format!("input[{place}].call_id"), id.len()));
    }
    check_name(item.text_of("name").unwrap_or_default(), &format!("input[{place}].name"))?;
    Ok(id)
}

fn output<'a>(place: usize, item: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    let mut last = item.text_of("output").unwrap_or_default();
    ask.prompt.prefix.add(last);
    for (number, part) in item.list_of("output").iter().enumerate() {
        match part.text_of("text") {
            Some(text) => {
                ask.prompt.prefix.add(text);
                last = text;
            }
            None => media(&format!("input[{place}].output[{number}]"), part, ask)?,
        }
    }
    ask.prompt.result(last.into(), false);
    Ok(())
}

/// Reasoning comes back sealed, or by the id of an answer that is stored.
fn reasoning(place: usize, item: &Node<'_>, state: &State) -> Result<(), Refusal> {
    check_id(item, place, "rs")?;
    let id = item.text_of("id");
    let named = id.unwrap_or("(without id)");
    if let Some(sealed) = item.text_of("encrypted_content") {
        let inside = state.seal.open(ENCRYPTED, sealed, "");
        let param = format!("input[{place}].encrypted_content");
        let Some(inside) = inside else {
            let message = format!("The encrypted content for item {named} could not be verified.");
            return Err(Refusal::new(message).param(param).code("invalid_encrypted_content"));
        };
        if id.is_some_and(|id| id != inside) {
            let message = format!("The encrypted content for item {named} was made for another item id.");
            return Err(Refusal::new(message).param(param).code("invalid_encrypted_content"));
        }
        return Ok(());
    }
    let stored = id.and_then(|id| id.strip_prefix("rs_")).and_then(|id| state.stored_calls(id));
    if stored.is_none() {
        let message = format!("Item with id '{named}' not found. Items are not kept when `store` is set to false.");
        return Err(Refusal::new(message).status(404).param("input"));
    }
    Ok(())
}

/// Reasoning belongs to what it led to.
fn check_followed(place: usize, items: &[Node<'_>]) -> Result<(), Refusal> {
    let follows = items[place + 1..].first().is_some_and(|next| match kind_of(next) {
        "message" => next.text_of("role") == Some("assistant"),
        kind => !kind.ends_with("_output"),
    });
    if follows {
        return Ok(());
    }
    let id = items[place].text_of("id").unwrap_or("(without id)");
    let message = format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
    Err(Refusal::new(message).param("input"))
}
