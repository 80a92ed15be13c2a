//! Reads the messages of a chat request into turns. Must never know which upstream they go to.

use super::members::{Members, missing, wrong};
use super::read_parts::read_part;
use super::thinking::{self, Thinking};
use crate::wire::ir::{Arguments, Call, CallResult, Class, Part, PartKind, Role, State, Turn};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, ReadError};

pub fn read_messages(messages: Vec<Value<'_>>) -> Result<Vec<Turn<'_>>, ReadError> {
    let turns = messages.into_iter().enumerate().map(|(at, message)| read_message(message, at));
    let mut turns = turns.collect::<Result<Vec<_>, _>>()?;
    mark_custom(&mut turns);
    Ok(turns)
}

fn read_message(message: Value<'_>, at: usize) -> Result<Turn<'_>, ReadError> {
    let mut members = Members::of(message, format!("messages[{at}]"))?;
    let role = members.required_text("role")?;
    match &*role.decode() {
        "system" => read_said(members, Role::System),
        "developer" => read_said(members, Role::Developer),
        "user" => read_said(members, Role::User),
        "assistant" => read_assistant(members),
        "tool" => read_result(members),
        "function" => {
            members.form("role", Value::text("function"));
            read_result(members)
        }
        _ => Err(wrong(&members.path("role"), "one of system, developer, user, assistant, tool")),
    }
}

fn read_said(mut members: Members<'_>, role: Role) -> Result<Turn<'_>, ReadError> {
    let name = members.text("name")?;
    let (parts, bare) = read_content(&mut members)?;
    Ok(Turn { name, bare, extra: members.rest(), ..Turn::new(role, parts) })
}

/// The content, and whether it was a bare string.
fn read_content<'a>(members: &mut Members<'a>) -> Result<(Vec<Part<'a>>, bool), ReadError> {
    match members.take("content") {
        None => Ok((Vec::new(), false)),
        Some(Value::String(text)) => Ok((vec![Part::text(text)], true)),
        Some(Value::Array(parts)) => {
            if parts.is_empty() {
                members.form("content", Value::Array(Vec::new()));
            }
            let path = members.path("content");
            let part = |(at, part)| read_part(part, format!("{path}[{at}]"));
            Ok((parts.into_iter().enumerate().map(part).collect::<Result<_, _>>()?, false))
        }
        Some(_) => Err(wrong(&members.path("content"), "a string or an array of parts")),
    }
}

fn read_assistant(mut members: Members<'_>) -> Result<Turn<'_>, ReadError> {
    let name = members.text("name")?;
    let Thinking { mut parts, of_calls } = read_thinking(&mut members);
    let (content, bare) = read_content(&mut members)?;
    parts.extend(content);
    if let Some(refusal) = members.text("refusal")? {
        members.form("refusal", Value::String(refusal.clone()));
        parts.push(Part::new(PartKind::Refusal(refusal)));
    }
    // A signature of the whole message belongs to what was said last.
    if let Some(extra) = members.take("extra_content") {
        let said = parts.iter_mut().rev().find(|part| matches!(part.kind, PartKind::Text(_)));
        if let (Some(part), Some(signature)) = (said, google_signature(&extra)) {
            part.state = Some(google_state(signature));
        }
        members.form("extra_content", extra);
    }
    read_images(&mut members, &mut parts)?;
    let calls = members.array("tool_calls")?;
    if calls.as_ref().is_some_and(Vec::is_empty) {
        members.form("tool_calls", Value::Array(Vec::new()));
    }
    for (at, call) in calls.into_iter().flatten().enumerate() {
        parts.push(read_call(call, members.path(&format!("tool_calls[{at}]")))?);
    }
    if let Some(call) = members.take("function_call") {
        members.left_in("function_call", &call, &["name", "arguments"]);
        let mut function = Members::of(call.clone(), members.path("function_call"))?;
        members.form("function_call", call);
        let (name, arguments) = (function.required_text("name")?, read_arguments(&mut function)?);
        parts.push(Part::new(PartKind::Call(Call { id: None, name, arguments, custom: false })));
    }
    for (id, state) in of_calls {
        give_state(&mut parts, id, state);
    }
    members.keep("audio", Class::Dropped);
    members.keep("annotations", Class::Idle);
    Ok(Turn { name, bare, extra: members.rest(), ..Turn::new(Role::Assistant, parts) })
}

/// Images of the model's own (OpenRouter), as answers have them.
fn read_images<'a>(members: &mut Members<'a>, parts: &mut Vec<Part<'a>>) -> Result<(), ReadError> {
    let Some(images) = members.array("images")? else { return Ok(()) };
    members.form("images", Value::Array(images.clone()));
    let path = members.path("images");
    for (at, image) in images.into_iter().enumerate() {
        let mut part = read_part(image, format!("{path}[{at}]"))?;
        // The whole list is said again.
        part.extra.iter_mut().for_each(|extra| extra.name = Str::plain(""));
        parts.push(part);
    }
    Ok(())
}

/// Gives a state to the call that it belongs to: the named one, else the first, else to the last text.
fn give_state<'a>(parts: &mut [Part<'a>], id: Option<Str<'a>>, state: State<'a>) {
    let is_call = |part: &Part<'a>, any: bool| match &part.kind {
        PartKind::Call(call) => part.state.is_none() && (any || call.id.is_some() && call.id == id),
        _ => false,
    };
    let named = parts.iter().position(|part| is_call(part, false));
    let owner = named
        .or_else(|| parts.iter().position(|part| is_call(part, true)))
        .or_else(|| parts.iter().rposition(|part| part.state.is_none() && matches!(part.kind, PartKind::Text(_))));
    if let Some(owner) = owner {
        parts[owner].state = Some(state);
    }
}

/// Thinking comes back under the name that the client got it by.
fn read_thinking<'a>(members: &mut Members<'a>) -> Thinking<'a> {
    let mut flat: Option<Str<'a>> = None;
    for name in ["reasoning_content", "reasoning"] {
        match members.take(name) {
            Some(Value::String(text)) => {
                members.form(name, Value::String(text.clone()));
                flat = flat.filter(|flat| !flat.is_empty()).or(Some(text));
            }
            Some(other) => members.note(name, other, Class::Unknown),
            None => {}
        }
    }
    let details = match members.take("reasoning_details") {
        Some(Value::Array(details)) => {
            const KNOWN: [&str; 8] = ["type", "text", "summary", "signature", "data", "format", "id", "index"];
            for (at, entry) in details.iter().enumerate() {
                members.left_in(&format!("reasoning_details[{at}]"), entry, &KNOWN);
            }
            members.form("reasoning_details", Value::Array(details.clone()));
            details
        }
        Some(other) => {
            members.note("reasoning_details", other, Class::Unknown);
            Vec::new()
        }
        None => Vec::new(),
    };
    thinking::read(details, flat.filter(|flat| !flat.is_empty()))
}

fn read_call(call: Value<'_>, path: String) -> Result<Part<'_>, ReadError> {
    let mut members = Members::of(call, path)?;
    let id = members.text("id")?;
    let id = match id {
        Some(id) if id.is_empty() => {
            members.form("id", Value::String(id));
            None
        }
        id => id,
    };
    let kind = members.text("type")?;
    let custom = kind.is_some_and(|kind| kind == "custom");
    let Some(mut function) = members.object(if custom { "custom" } else { "function" })? else {
        return Err(missing(&members.path(if custom { "custom" } else { "function" })));
    };
    let name = function.required_text("name")?;
    let arguments = match custom {
        true => Arguments::Text(function.text("input")?.unwrap_or(Str::plain(""))),
        false => read_arguments(&mut function)?,
    };
    members.absorb(function);
    members.keep("index", Class::Idle);
    let mut part = Part::new(PartKind::Call(Call { id, name, arguments, custom }));
    if let Some(extra) = members.take("extra_content") {
        part.state = google_signature(&extra).map(google_state);
        members.form("extra_content", extra);
    }
    part.extra = members.rest();
    Ok(part)
}

fn read_arguments<'a>(function: &mut Members<'a>) -> Result<Arguments<'a>, ReadError> {
    Ok(match function.take("arguments") {
        None => Arguments::Text(Str::plain("")),
        Some(Value::String(text)) => Arguments::Text(text),
        Some(object @ Value::Object(_)) => Arguments::Object(object),
        Some(_) => return Err(wrong(&function.path("arguments"), "a string of JSON")),
    })
}

/// Gemini's chat endpoint: `{google: {thought_signature}}`.
pub(super) fn google_signature<'a>(extra: &Value<'a>) -> Option<Str<'a>> {
    extra.get("google")?.get("thought_signature")?.as_str().filter(|signature| !signature.is_empty()).cloned()
}

/// What stands in that field is Gemini's own, unless it is in our envelope.
fn google_state(signature: Str<'_>) -> State<'_> {
    State::read(Protocol::GeminiGenerate, signature)
}

fn read_result(mut members: Members<'_>) -> Result<Turn<'_>, ReadError> {
    let call_id = members.text("tool_call_id")?;
    let name = members.text("name")?;
    let (content, bare) = read_content(&mut members)?;
    let result = CallResult { call_id, name, content, bare, is_error: false, custom: false, response: None };
    let part = Part::new(PartKind::Result(result));
    Ok(Turn { extra: members.rest(), ..Turn::new(Role::Tool, vec![part]) })
}

/// Marks the results of free-form calls as such.
fn mark_custom(turns: &mut [Turn<'_>]) {
    let calls = turns.iter().flat_map(|turn| &turn.parts);
    let ids: Vec<String> = calls
        .filter_map(|part| match &part.kind {
            PartKind::Call(Call { id: Some(id), custom: true, .. }) => Some(id.decode().into_owned()),
            _ => None,
        })
        .collect();
    if ids.is_empty() {
        return;
    }
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let PartKind::Result(result) = &mut part.kind {
            result.custom = result.call_id.as_ref().is_some_and(|id| ids.iter().any(|custom| *id == custom.as_str()));
        }
    }
}
