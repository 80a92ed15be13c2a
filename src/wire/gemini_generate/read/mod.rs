//! Reads a Gemini generateContent request into the canonical form. Must never know which upstream it goes to.

mod config;
mod pairs;
mod parts;
mod tools;

use super::fields::{Path, absent, idle, keep, take, take_object, take_text};
use crate::wire::ir::{Class, Place, Request, Role, Turn};
use crate::wire::json::{Fault, LoneSurrogates, Object, Value};
use crate::wire::{Protocol, ReadError};

pub(super) use tools::ENTRY;

/// Reads a whole request body whose containers are nested at most `depth_max` deep. Model and stream stand in the path: the
/// caller sets them.
pub fn read_request(body: &str, depth_max: usize) -> Result<Request<'_>, ReadError> {
    read_value(parse(body, depth_max)?)
}

pub(super) fn parse(body: &str, depth_max: usize) -> Result<Value<'_>, ReadError> {
    Value::parse(body, depth_max, LoneSurrogates::Refused).map_err(|Fault { at, expected }| ReadError {
        param: None,
        message: format!("the body is not valid JSON: expected {expected} at byte {at}"),
    })
}

pub(super) fn read_value(value: Value<'_>) -> Result<Request<'_>, ReadError> {
    let Value::Object(mut top) = value else {
        return Err(ReadError { param: None, message: "the body must be a JSON object".to_owned() });
    };
    let root = Path::ROOT;
    let mut request = Request::new(Protocol::GeminiGenerate, "");
    read_model(&mut top, &mut request)?;
    if let Some(system) = take(&mut top, "systemInstruction") {
        request.turns.push(read_system(system, &root.key("systemInstruction"))?);
    }
    let contents = take(&mut top, "contents").ok_or_else(|| root.key("contents").error("is missing"))?;
    read_contents(contents, &mut request)?;
    pairs::pair(&mut request.turns);
    if let Some(list) = take(&mut top, "tools") {
        tools::read_tools(list, &mut request)?;
    }
    if let Some(choice) = take_object(&mut top, "toolConfig", &root)? {
        tools::read_tool_config(choice, &mut request)?;
    }
    if let Some(config) = take_object(&mut top, "generationConfig", &root)? {
        config::read_config(config, &mut request)?;
    }
    request.service_tier = take_text(&mut top, "serviceTier", &root)?;
    request.metadata = take_object(&mut top, "labels", &root)?.map(Value::Object);
    keep(top, &root, top_class, &mut request.extra);
    Ok(request)
}

/// The name in a body is that of the path, which the caller sets.
fn read_model<'a>(top: &mut Object<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    if let Some(model) = take_text(top, "model", &Path::ROOT)? {
        let name = model.decode();
        request.model = name.strip_prefix("models/").unwrap_or(&name).to_owned().into();
        request.extra.push(idle(&Path::ROOT, "model", Value::String(model.clone())));
    }
    Ok(())
}

fn top_class(name: &str) -> Class {
    use super::fields::is;
    const DROPPED: [&str; 3] = ["safetySettings", "modelArmorConfig", "processingOptions"];
    if is(name, "cachedContent") {
        Class::Refused
    } else if DROPPED.iter().any(|known| is(name, known)) {
        Class::Dropped
    } else {
        Class::Unknown
    }
}

fn read_system<'a>(system: Value<'a>, at: &Path<'_>) -> Result<Turn<'a>, ReadError> {
    let mut turn = match system {
        Value::String(text) => {
            let part = crate::wire::ir::Part::text(text);
            Turn { bare: true, ..Turn::new(Role::System, vec![part]) }
        }
        Value::Object(mut content) => {
            let role = take(&mut content, "role");
            let mut turn = read_content(content, Role::System, at)?;
            turn.extra.extend(role.map(|role| idle(at, "role", role)));
            turn
        }
        _ => return Err(at.error("must be an object with `parts`")),
    };
    turn.place = Place::Lead;
    Ok(turn)
}

fn read_contents<'a>(contents: Value<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let at = Path::ROOT.key("contents");
    let list = match contents {
        Value::Array(list) => list,
        object @ Value::Object(_) => vec![object],
        _ => return Err(at.error("must be an array")),
    };
    for (index, content) in list.into_iter().enumerate() {
        let at = at.index(index);
        let Value::Object(mut content) = content else { return Err(at.error("must be an object")) };
        let role = take_text(&mut content, "role", &at)?;
        let known = role.as_ref().map(|role| role.decode());
        let (role, mark) = match known.as_deref() {
            Some("user") => (Role::User, None),
            Some("model") => (Role::Assistant, None),
            None => (Role::User, Some(absent(&at, "role"))),
            Some("system") => (Role::System, role.clone().map(|role| idle(&at, "role", Value::String(role)))),
            // Where results of calls stood before they stood with the user.
            Some("function" | "tool") => (Role::User, role.clone().map(|role| idle(&at, "role", Value::String(role)))),
            Some(_) => return Err(at.key("role").error("must be `user` or `model`")),
        };
        if role == Role::Assistant && goes_on(&mut content, &mut request.turns) {
            continue;
        }
        let mut turn = read_content(content, role, &at)?;
        turn.extra.extend(mark);
        request.turns.push(turn);
    }
    Ok(())
}

/// A content that says nothing but more of the last call's arguments.
fn goes_on<'a>(content: &mut Object<'a>, turns: &mut [Turn<'a>]) -> bool {
    let Some(last) = turns.last_mut().filter(|turn| turn.role == Role::Assistant) else { return false };
    let parts = content.members.iter_mut().find(|(name, _)| *name == "parts");
    let Some((_, Value::Array(list))) = parts else { return false };
    let more = list.iter().take_while(|part| parts::go_on(part, &mut last.parts)).count();
    list.drain(..more);
    more > 0 && list.is_empty()
}

fn read_content<'a>(mut content: Object<'a>, role: Role, at: &Path<'_>) -> Result<Turn<'a>, ReadError> {
    let mut turn = Turn::new(role, Vec::new());
    match take(&mut content, "parts") {
        Some(Value::Array(list)) => {
            for (index, part) in list.into_iter().enumerate() {
                if parts::go_on(&part, &mut turn.parts) {
                    continue;
                }
                parts::read_part(part, &at.key("parts").index(index), &mut turn.parts)?;
            }
        }
        Some(part @ Value::Object(_)) => parts::read_part(part, &at.key("parts").index(0), &mut turn.parts)?,
        Some(_) => return Err(at.key("parts").error("must be an array")),
        None => turn.extra.push(absent(at, "parts")),
    }
    keep(content, at, |_| Class::Unknown, &mut turn.extra);
    Ok(turn)
}
