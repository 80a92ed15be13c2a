//! Reads the parts of a content. Must never know which upstream they go to.

use std::borrow::Cow;

use super::super::fields::{Path, absent, get, idle, is, keep, key_is, standard_base64, take, take_object, take_text};
use super::super::partial::PartialArgs;
use super::super::signature;
use crate::wire::ir::{
    Arguments, Call, CallResult, Class, Extra, Media, MediaKind, Part, PartKind, Reasoning, Source, State,
};
use crate::wire::json::{Object, Str, Value};
use crate::wire::{Protocol, ReadError};

/// What a part holds; at most one member says it, the others modify it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Inline,
    File,
    Call,
    Response,
    /// Only Gemini has it.
    Own,
}

const HELD: [(&str, Holds); 10] = [
    ("text", Holds::Text),
    ("inlineData", Holds::Inline),
    ("fileData", Holds::File),
    ("functionCall", Holds::Call),
    ("functionResponse", Holds::Response),
    ("executableCode", Holds::Own),
    ("codeExecutionResult", Holds::Own),
    ("toolCall", Holds::Own),
    ("toolResponse", Holds::Own),
    ("audioTranscription", Holds::Own),
];
const MODIFIERS: [&str; 5] = ["thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"];

/// Takes a part in that goes on with the arguments of the last call, as Vertex streams them and its SDKs send them back.
pub fn go_on<'a>(part: &Value<'a>, parts: &mut [Part<'a>]) -> bool {
    let Some(more) = get(part, "functionCall").filter(|call| get(call, "name").is_none()) else { return false };
    let Some(Part { kind: PartKind::Call(call), extra, .. }) = parts.last_mut() else { return false };
    let Some(open) = extra.iter().position(|extra| extra.name == "willContinue" && extra.value == Value::Bool(true))
    else {
        return false;
    };
    if get(more, "willContinue") != Some(&Value::Bool(true)) {
        extra.remove(open);
    }
    let mut pieces: Vec<Value<'a>> = Vec::new();
    let said = extra.iter().find(|extra| extra.name == "partialArgs").map(|extra| &extra.value);
    for list in said.into_iter().chain(get(more, "partialArgs")) {
        pieces.extend(list.as_array().unwrap_or_default().iter().cloned());
    }
    let pieces = Value::Array(pieces);
    let mut whole = PartialArgs::default();
    whole.push(&pieces);
    call.arguments = Arguments::Object(Value::Object(whole.finish()));
    match extra.iter_mut().find(|extra| extra.name == "partialArgs") {
        Some(said) => said.value = pieces,
        None => extra.push(idle(&Path::ROOT.key("functionCall"), "partialArgs", pieces)),
    }
    true
}

/// Adds a part to those before it.
pub fn read_part<'a>(part: Value<'a>, at: &Path<'_>, parts: &mut Vec<Part<'a>>) -> Result<(), ReadError> {
    let mut object = match part {
        Value::Object(object) => object,
        Value::String(text) => {
            parts.push(Part::text(text));
            return Ok(());
        }
        _ => return Err(at.error("must be an object")),
    };
    let thought = matches!(get_of(&object, "thought"), Some(Value::Bool(true)));
    let (holds, what) = held(&object);
    let foreign = match holds {
        Some(Holds::Own) => Some(Class::Dropped),
        Some(holds) if thought && holds != Holds::Text => Some(Class::Dropped),
        None if what.is_some() => Some(Class::Unknown),
        Some(_) | None => None,
    };
    if let Some(class) = foreign {
        let what = Cow::Owned(what.unwrap_or_default());
        let raw = Value::Object(object);
        parts.push(Part::new(PartKind::Foreign { protocol: Protocol::GeminiGenerate, what, raw, class }));
        return Ok(());
    }
    let mut extra = Vec::new();
    let state = match take_text(&mut object, "thoughtSignature", at)? {
        Some(text) if signature::is_stand_in(&text) => {
            extra.push(idle(at, "thoughtSignature", Value::String(text)));
            None
        }
        text => text.map(signature::read),
    };
    extra.extend(take(&mut object, "thought").filter(|_| !thought).map(|no| idle(at, "thought", no)));
    let kind = match holds {
        Some(Holds::Text) => text(&mut object, thought, at)?,
        Some(Holds::Inline) => inline(&mut object, at, &mut extra)?,
        Some(Holds::File) => file(&mut object, at, &mut extra)?,
        Some(Holds::Call) => call(&mut object, at, &mut extra)?,
        Some(Holds::Response) => response(&mut object, at, &mut extra)?,
        Some(Holds::Own) | None => {
            extra.push(absent(at, "text"));
            if thought { PartKind::Reasoning(Reasoning::default()) } else { PartKind::Text(Str::plain("")) }
        }
    };
    keep(object, at, modifier_class, &mut extra);
    push(Part { kind, cache: None, state: None, extra }, state, parts);
    Ok(())
}

fn get_of<'v, 'a>(object: &'v Object<'a>, camel: &str) -> Option<&'v Value<'a>> {
    object.members.iter().rev().find(|(key, _)| key_is(key, camel)).map(|(_, value)| value)
}

/// What the part holds, and the name of that member; of an unknown one the name alone.
fn held(object: &Object<'_>) -> (Option<Holds>, Option<String>) {
    let mut unknown = None;
    for (key, value) in &object.members {
        if value.is_null() {
            continue;
        }
        if let Some((name, holds)) = HELD.iter().find(|(name, _)| key_is(key, name)) {
            return (Some(*holds), Some((*name).to_owned()));
        }
        if unknown.is_none() && !MODIFIERS.iter().any(|name| key_is(key, name)) {
            unknown = Some(key.decode().into_owned());
        }
    }
    (None, unknown)
}

fn modifier_class(name: &str) -> Class {
    if MODIFIERS.iter().any(|known| is(name, known)) { Class::Dropped } else { Class::Unknown }
}

/// Puts a part behind those before it. State of another protocol's model came from us: on a thought it closes what we streamed
/// as several thought parts; on a text or call it belongs to a thought of its own, or to the one just before.
fn push<'a>(mut part: Part<'a>, state: Option<(State<'a>, bool)>, parts: &mut Vec<Part<'a>>) {
    let Some((state, redacted)) = state else {
        parts.push(part);
        return;
    };
    if state.origin == Protocol::GeminiGenerate {
        part.state = Some(state);
        parts.push(part);
        return;
    }
    let thought = |parts: &mut Vec<Part<'a>>| {
        let open = |part: &mut Part<'a>| part.state.is_none() && matches!(part.kind, PartKind::Reasoning(_));
        parts.pop_if(open).unwrap_or_else(|| Part::new(PartKind::Reasoning(Reasoning::default())))
    };
    let mut whole = thought(parts);
    let own = matches!(part.kind, PartKind::Reasoning(_));
    if own {
        // Earlier pieces of the same thought.
        let mut pieces = vec![part];
        while !is_blank(&whole) {
            pieces.push(whole);
            whole = thought(parts);
        }
        whole = joined(pieces);
        part = Part::text("");
    }
    whole.state = Some(state);
    if let PartKind::Reasoning(reasoning) = &mut whole.kind {
        reasoning.redacted = redacted;
    }
    parts.push(whole);
    if !own && !matches!(&part.kind, PartKind::Text(text) if text.is_empty()) {
        parts.push(part);
    }
}

fn is_blank(part: &Part<'_>) -> bool {
    matches!(&part.kind, PartKind::Reasoning(reasoning) if reasoning.text.is_empty())
}

/// Pieces of one thought, last first, as one.
fn joined<'a>(pieces: Vec<Part<'a>>) -> Part<'a> {
    let mut token = String::new();
    let mut extra = Vec::new();
    for piece in pieces.into_iter().rev() {
        if let PartKind::Reasoning(reasoning) = &piece.kind {
            reasoning.text.iter().for_each(|text| token.push_str(&text.as_token()));
        }
        extra.extend(piece.extra);
    }
    let text = if token.is_empty() { Vec::new() } else { vec![Str::token(token)] };
    Part { extra, ..Part::new(PartKind::Reasoning(Reasoning { text, ..Reasoning::default() })) }
}

fn text<'a>(object: &mut Object<'a>, thought: bool, at: &Path<'_>) -> Result<PartKind<'a>, ReadError> {
    let text = take_text(object, "text", at)?.unwrap_or_else(|| Str::plain(""));
    Ok(if thought {
        let text = if text.is_empty() { Vec::new() } else { vec![text] };
        PartKind::Reasoning(Reasoning { text, ..Reasoning::default() })
    } else {
        PartKind::Text(text)
    })
}

/// What a media type is a kind of.
pub fn media_kind(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

fn lower_case(mime: Option<Str<'_>>) -> Option<Cow<'_, str>> {
    let mime = mime?.into_decoded();
    Some(if mime.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(mime.to_ascii_lowercase()) } else { mime })
}

fn inline<'a>(object: &mut Object<'a>, at: &Path<'_>, extra: &mut Vec<Extra<'a>>) -> Result<PartKind<'a>, ReadError> {
    let mut blob = take_object(object, "inlineData", at)?.unwrap_or_default();
    let at = &at.key("inlineData");
    let mime = lower_case(take_text(&mut blob, "mimeType", at)?);
    let data = take_text(&mut blob, "data", at)?.ok_or_else(|| at.key("data").error("is missing"))?;
    let name = take_text(&mut blob, "displayName", at)?;
    keep(blob, at, |_| Class::Unknown, extra);
    let mime = mime.unwrap_or_else(|| {
        extra.push(absent(at, "mimeType"));
        Cow::Borrowed("")
    });
    let (kind, data) = (media_kind(&mime), standard_base64(data));
    Ok(PartKind::Media(Media { kind, source: Source::Base64 { mime, data }, name, detail: None, document: None }))
}

fn file<'a>(object: &mut Object<'a>, at: &Path<'_>, extra: &mut Vec<Extra<'a>>) -> Result<PartKind<'a>, ReadError> {
    let mut file = take_object(object, "fileData", at)?.unwrap_or_default();
    let at = &at.key("fileData");
    let mime = lower_case(take_text(&mut file, "mimeType", at)?);
    let url = take_text(&mut file, "fileUri", at)?.ok_or_else(|| at.key("fileUri").error("is missing"))?;
    let name = take_text(&mut file, "displayName", at)?;
    keep(file, at, |_| Class::Unknown, extra);
    let video = super::super::media::is_youtube(&url.decode());
    let kind = match &mime {
        None if video => MediaKind::Video,
        mime => media_kind(mime.as_deref().unwrap_or_default()),
    };
    // A file that only Google can open.
    let source = match super::super::media::is_upload(&url.decode()) {
        true => Source::File { id: url, mime },
        false => Source::Url { mime, url },
    };
    Ok(PartKind::Media(Media { kind, source, name, detail: None, document: None }))
}

fn call<'a>(object: &mut Object<'a>, at: &Path<'_>, extra: &mut Vec<Extra<'a>>) -> Result<PartKind<'a>, ReadError> {
    let mut call = take_object(object, "functionCall", at)?.unwrap_or_default();
    let at = &at.key("functionCall");
    let id = take_text(&mut call, "id", at)?.filter(|id| !id.is_empty());
    let name = take_text(&mut call, "name", at)?.ok_or_else(|| at.key("name").error("is missing"))?;
    let pieces = take(&mut call, "partialArgs");
    let args = match take_object(&mut call, "args", at)? {
        Some(args) => args,
        None => {
            extra.push(absent(at, "args"));
            let mut whole = PartialArgs::default();
            pieces.iter().for_each(|pieces| whole.push(pieces));
            whole.finish()
        }
    };
    extra.extend(pieces.map(|pieces| idle(at, "partialArgs", pieces)));
    extra.extend(take(&mut call, "willContinue").map(|more| idle(at, "willContinue", more)));
    keep(call, at, |_| Class::Unknown, extra);
    Ok(PartKind::Call(Call { id, name, arguments: Arguments::Object(Value::Object(args)), custom: false }))
}

fn response<'a>(object: &mut Object<'a>, at: &Path<'_>, extra: &mut Vec<Extra<'a>>) -> Result<PartKind<'a>, ReadError> {
    let mut result = take_object(object, "functionResponse", at)?.unwrap_or_default();
    let at = &at.key("functionResponse");
    let call_id = take_text(&mut result, "id", at)?.filter(|id| !id.is_empty());
    let name = take_text(&mut result, "name", at)?;
    let response = take(&mut result, "response");
    let mut content = Vec::new();
    let mut is_error = false;
    if let Some(response) = &response {
        let (text, error) = result_text(response);
        content.push(Part::text(text));
        is_error = error;
    } else {
        extra.push(absent(at, "response"));
    }
    match take(&mut result, "parts") {
        Some(Value::Array(list)) => {
            for (index, part) in list.into_iter().enumerate() {
                read_part(part, &at.key("parts").index(index), &mut content)?;
            }
        }
        Some(_) => return Err(at.key("parts").error("must be an array")),
        None => {}
    }
    let class =
        |name: &str| if is(name, "willContinue") || is(name, "scheduling") { Class::Dropped } else { Class::Unknown };
    keep(result, at, class, extra);
    Ok(PartKind::Result(CallResult { call_id, name, content, bare: false, is_error, custom: false, response }))
}

/// The text of a function's response, and whether it is an error.
pub fn result_text<'a>(response: &Value<'a>) -> (Str<'a>, bool) {
    let sole = match response.as_object().map(|object| object.members.as_slice()) {
        Some([(key, value)]) => Some((key.decode(), value)),
        _ => None,
    };
    let (value, is_error) = match &sole {
        Some((key, value)) if *key == "result" || *key == "output" => (*value, false),
        Some((key, value)) if *key == "error" => (*value, true),
        _ => (response, false),
    };
    match value {
        Value::String(text) => (text.clone(), is_error),
        other => (Str::plain(other.to_json()), is_error),
    }
}
