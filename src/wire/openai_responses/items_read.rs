//! Reads the items of a Responses `input` into turns: one turn an item. Must never know which upstream they go to.

use super::fields::Fields;
use super::namespaces::flat_name;
use super::parts_read::{read_output, read_parts};
use crate::wire::ir::{
    Arguments, Call, CallResult, Class, Extra, Media, MediaKind, Part, PartKind, Reasoning, Role, Source, State, Turn,
};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, ReadError};

const OURS: Protocol = Protocol::OpenAiResponses;

/// The mark of a turn whose only part is an item as it came, not a part of a message.
pub(super) const WHOLE_ITEM: &str = "item";

pub(super) fn read_items(elements: Vec<Value<'_>>) -> Result<Vec<Turn<'_>>, ReadError> {
    let mut turns = Vec::with_capacity(elements.len());
    for (at, element) in elements.into_iter().enumerate() {
        let item = Fields::of(format!("input[{at}]"), element)?;
        turns.push(read_item(item)?);
    }
    Ok(carry_states(turns))
}

fn read_item(mut item: Fields<'_>) -> Result<Turn<'_>, ReadError> {
    let kind = item.word("type").map(|kind| kind.into_owned());
    match kind.as_deref() {
        Some("message") => message(item),
        None if item.peek("role").is_some() => message(item),
        Some("function_call") => call(item, "arguments", false),
        Some("custom_tool_call") => call(item, "input", true),
        Some("function_call_output") => result(item, false),
        Some("custom_tool_call_output") => result(item, true),
        Some("reasoning") => reasoning(item),
        Some("image_generation_call") if item.word("result").is_some_and(|data| !data.is_empty()) => image(item),
        Some(kind) => Ok(foreign(kind, item)),
        None if item.peek("id").is_some() => Ok(foreign("item_reference", item)),
        None => {
            item.take("type");
            Err(item.error("type", "is missing: an item has a type or a role"))
        }
    }
}

fn message(mut item: Fields<'_>) -> Result<Turn<'_>, ReadError> {
    let role = match &*item.needed("role")?.decode() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "developer" => Role::Developer,
        _ => return Err(item.error("role", "must be user, assistant, system or developer")),
    };
    let mut turn = Turn::new(role, Vec::new());
    match item.take("content") {
        Some(Value::String(text)) => {
            turn.bare = true;
            turn.parts = vec![Part::text(text)];
        }
        Some(Value::Array(parts)) => turn.parts = read_parts(&item.path_of("content"), parts, role)?,
        // Written again from its extra.
        None if item.was_null("content") => {}
        None | Some(_) => return Err(item.error("content", "must be a string or a list of parts")),
    }
    // The same item with or without its type is the same message.
    item.keep_all(&["type", "id", "status"], Class::Idle);
    item.keep("phase", Class::Dropped);
    turn.extra = item.finish();
    Ok(turn)
}

fn call<'a>(mut item: Fields<'a>, arguments: &str, custom: bool) -> Result<Turn<'a>, ReadError> {
    item.take("type");
    let id = match item.str("call_id")? {
        Some(id) => Some(id),
        None => item.peek("id").and_then(Value::as_str).cloned(),
    };
    let name = item.needed("name")?;
    let name = match item.word("namespace") {
        Some(space) => Str::plain(flat_name(&space, &name.decode())),
        None => name,
    };
    let arguments = match item.take(arguments) {
        Some(Value::String(text)) => Arguments::Text(text),
        Some(object @ Value::Object(_)) if !custom => Arguments::Object(object),
        None => Arguments::Text(Str::plain("")),
        Some(_) => return Err(item.error(arguments, "must be a string")),
    };
    item.keep_all(&["id", "status", "namespace"], Class::Idle);
    let direct =
        item.peek("caller").is_none_or(|caller| caller.get("type").is_some_and(|kind| *kind == Value::text("direct")));
    item.keep("caller", if direct { Class::Idle } else { Class::Dropped });
    let mut turn = Turn::new(Role::Assistant, vec![Part::new(PartKind::Call(Call { id, name, arguments, custom }))]);
    turn.extra = item.finish();
    Ok(turn)
}

fn result(mut item: Fields<'_>, custom: bool) -> Result<Turn<'_>, ReadError> {
    item.take("type");
    let call_id = Some(item.needed("call_id")?);
    let (content, bare) = match item.take("output") {
        Some(Value::String(text)) => (vec![Part::text(text)], true),
        Some(Value::Array(parts)) => (read_output(&item.path_of("output"), parts)?, false),
        // What a client makes of a value that is no text.
        Some(value) => (vec![Part::text(value.to_json())], true),
        None => return Err(item.error("output", "is missing: a string or a list of parts is needed")),
    };
    item.keep_all(&["id", "status"], Class::Idle);
    item.keep_all(&["caller", "name"], Class::Dropped);
    let result = CallResult { call_id, name: None, content, bare, is_error: false, custom, response: None };
    let mut turn = Turn::new(Role::Tool, vec![Part::new(PartKind::Result(result))]);
    turn.extra = item.finish();
    Ok(turn)
}

fn reasoning(mut item: Fields<'_>) -> Result<Turn<'_>, ReadError> {
    item.take("type");
    let id = item.str("id")?;
    let text = texts(&mut item, "summary")?;
    let full = texts(&mut item, "content")?;
    let state = item.str("encrypted_content")?.map(|text| State::read(OURS, text));
    item.keep("status", Class::Idle);
    let redacted = text.is_empty() && full.is_empty() && state.is_some();
    let mut part = Part::new(PartKind::Reasoning(Reasoning { text, full, redacted, id }));
    part.state = state;
    let mut turn = Turn::new(Role::Assistant, vec![part]);
    turn.extra = item.finish();
    Ok(turn)
}

/// The texts of a list of `{type, text}`. An empty list other than the summary is kept as it is.
fn texts<'a>(item: &mut Fields<'a>, name: &str) -> Result<Vec<Str<'a>>, ReadError> {
    let Some(parts) = item.array(name)? else { return Ok(Vec::new()) };
    if parts.is_empty() && name != "summary" {
        item.add(name, Value::Array(parts), Class::Idle);
        return Ok(Vec::new());
    }
    let mut texts = Vec::with_capacity(parts.len());
    for (at, part) in parts.into_iter().enumerate() {
        let mut part = Fields::of(format!("{}[{at}]", item.path_of(name)), part)?;
        part.take("type");
        texts.push(part.needed("text")?);
        item.lose(part);
    }
    Ok(texts)
}

/// An image that a model made: others take it as a medium of the assistant's turn.
fn image(mut item: Fields<'_>) -> Result<Turn<'_>, ReadError> {
    item.take("type");
    let data = item.needed("result")?;
    let format = item.word("output_format").map_or_else(|| "png".to_owned(), |format| format.to_lowercase());
    let media = Media {
        kind: MediaKind::Image,
        source: Source::Base64 { mime: format!("image/{format}").into(), data },
        name: None,
        detail: None,
        document: None,
    };
    item.keep_all(
        &["id", "status", "output_format", "action", "background", "quality", "revised_prompt", "size"],
        Class::Idle,
    );
    let mut turn = Turn::new(Role::Assistant, vec![Part::new(PartKind::Media(media))]);
    turn.extra = item.finish();
    Ok(turn)
}

/// An item that only this protocol has. Calls of hosted tools and their outputs are dropped together by others; what stands for
/// turns that are not in the request refuses.
fn foreign<'a>(kind: &str, item: Fields<'a>) -> Turn<'a> {
    let class = match kind {
        "item_reference" | "compaction" | "compaction_trigger" | "context_compaction" | "additional_tools" => {
            Class::Refused
        }
        "configuration_update" => Class::Dropped,
        known if HOSTED.iter().any(|tool| known.strip_prefix(tool).is_some_and(|end| ENDS.contains(&end))) => {
            Class::Dropped
        }
        _ => Class::Unknown,
    };
    let role = if kind.ends_with("_output") || kind.ends_with("_response") { Role::Tool } else { Role::Assistant };
    let what = kind.to_owned().into();
    let part = Part::new(PartKind::Foreign { protocol: OURS, what, raw: item.into_value(), class });
    let mut turn = Turn::new(role, vec![part]);
    turn.extra.push(Extra {
        protocol: OURS,
        path: WHOLE_ITEM.into(),
        name: WHOLE_ITEM.into(),
        value: Value::Null,
        class: Class::Idle,
    });
    turn
}

const HOSTED: [&str; 12] = [
    "web_search",
    "file_search",
    "code_interpreter",
    "image_generation",
    "computer",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
    "program",
    "mcp_approval",
    "mcp",
];
const ENDS: [&str; 7] = ["", "_call", "_call_output", "_output", "_list_tools", "_request", "_response"];

/// Gives a foreign state that has an item of its own to what it belongs to: the writer of answers puts a state of a call before the
/// call, and one of a text behind the text.
fn carry_states(turns: Vec<Turn<'_>>) -> Vec<Turn<'_>> {
    let mut kept: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    let mut rest = turns.into_iter().peekable();
    while let Some(mut turn) = rest.next() {
        let owner = if is_state_alone(&turn) {
            match rest.peek_mut().filter(|next| takes_state(next, true)) {
                Some(next) => Some(next),
                None => kept.last_mut().filter(|before| takes_state(before, false)),
            }
        } else {
            None
        };
        match owner.and_then(|owner| owner.parts.last_mut()) {
            Some(part) => part.state = turn.parts[0].state.take(),
            None => kept.push(turn),
        }
    }
    kept
}

fn is_state_alone(turn: &Turn<'_>) -> bool {
    let [Part { kind: PartKind::Reasoning(reasoning), state: Some(state), .. }] = turn.parts.as_slice() else {
        return false;
    };
    reasoning.redacted && state.origin == Protocol::GeminiGenerate
}

fn takes_state(turn: &Turn<'_>, calls_only: bool) -> bool {
    turn.role == Role::Assistant
        && turn.parts.last().is_some_and(|part| {
            part.state.is_none()
                && match &part.kind {
                    PartKind::Call(_) => true,
                    PartKind::Text(_) => !calls_only,
                    PartKind::Refusal(_)
                    | PartKind::Media(_)
                    | PartKind::Reasoning(_)
                    | PartKind::Result(_)
                    | PartKind::Foreign { .. } => false,
                }
        })
}
