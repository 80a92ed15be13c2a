//! Reads messages, system texts and their blocks. Must never know which upstream they go to.

use std::borrow::Cow;

use super::fields::{Fields, Path, into_str, unknown};
use super::opaque::{self, Owner};
use crate::wire::ir::{
    Arguments, CacheMark, Call, CallResult, Class, Document, Extra, Media, MediaKind, Part, PartKind, Place, Reasoning,
    Role, Source, State, Turn,
};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, ReadError};

const AM: Protocol = Protocol::AnthropicMessages;
/// Begins a system block that Claude Code writes for Anthropic's accounting alone.
const BILLING_HEADER: &str = "x-anthropic-billing-header:";

/// The leading system text; `None` where it is empty.
pub(super) fn read_system<'a>(system: Value<'a>, path: &Path<'_>) -> Result<Option<Turn<'a>>, ReadError> {
    let (mut parts, bare) = read_content(system, path)?;
    if parts.is_empty() {
        return Ok(None);
    }
    // It changes with every version of its client and says nothing to a model: to others it is not worth a lost cache.
    for part in &mut parts {
        match &part.kind {
            PartKind::Text(text) if !bare && text.decode().starts_with(BILLING_HEADER) => {
                let mut raw = Value::object();
                if let (Some(object), PartKind::Text(text)) = (raw.as_object_mut(), &part.kind) {
                    object.set("type", Value::text("text"));
                    object.set("text", Value::String(text.clone()));
                }
                part.kind = foreign("billing header", raw, Class::Idle);
            }
            _ => {}
        }
    }
    let mut turn = Turn::new(Role::System, parts);
    turn.place = Place::Lead;
    turn.bare = bare;
    Ok(Some(turn))
}

pub(super) fn read_turn<'a>(message: Value<'a>, path: &Path<'_>) -> Result<Turn<'a>, ReadError> {
    let mut fields = Fields::read(message, path)?;
    let role = match &*fields.required_text("role")?.decode() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(path.member("role").error(format!("{path}.role must be user, assistant or system"))),
    };
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    let (parts, bare) = read_content(content, &path.member("content"))?;
    let mut turn = Turn::new(role, parts);
    turn.bare = bare;
    turn.extra = fields.rest(unknown);
    Ok(turn)
}

/// Blocks, or the one text that stands for them (`true`).
fn read_content<'a>(content: Value<'a>, path: &Path<'_>) -> Result<(Vec<Part<'a>>, bool), ReadError> {
    match content {
        Value::String(text) => Ok((vec![Part::text(text)], true)),
        Value::Array(blocks) => {
            let mut parts = Parts { list: Vec::with_capacity(blocks.len()), waiting: None };
            for (at, block) in blocks.into_iter().enumerate() {
                parts.read(block, &path.element(at))?;
            }
            Ok((parts.list, false))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(path.error(format!("{path} must be a string or an array of blocks")))
        }
    }
}

/// The parts of one content, those that have state beside them with it.
struct Parts<'a> {
    list: Vec<Part<'a>>,
    /// State of the part that comes next.
    waiting: Option<State<'a>>,
}

impl<'a> Parts<'a> {
    fn read(&mut self, block: Value<'a>, path: &Path<'_>) -> Result<(), ReadError> {
        match opaque::read_beside(&block) {
            Some((state, Owner::Next)) => self.waiting = Some(state),
            Some((state, Owner::Before)) => {
                if let Some(part) = self.list.last_mut().filter(|part| takes_state(part)) {
                    part.state = Some(state);
                }
            }
            None => {
                let mut part = read_part(block, path)?;
                if takes_state(&part) {
                    part.state = self.waiting.take();
                }
                self.list.push(part);
            }
        }
        Ok(())
    }
}

fn takes_state(part: &Part<'_>) -> bool {
    part.state.is_none() && matches!(part.kind, PartKind::Text(_) | PartKind::Call(_))
}

fn read_part<'a>(block: Value<'a>, path: &Path<'_>) -> Result<Part<'a>, ReadError> {
    let mut fields = Fields::read(block, path)?;
    let cache = read_cache(&mut fields)?;
    let Some(kind) = fields.peek("type").and_then(Value::as_str).cloned() else { return Err(fields.missing("type")) };
    let mut part = match &*kind.decode() {
        "text" => read_text(fields)?,
        "image" => read_image(fields)?,
        "document" => read_document(fields)?,
        "search_result" => read_search_result(fields),
        "thinking" | "redacted_thinking" => read_thinking(fields)?,
        "tool_use" => read_call(fields)?,
        "tool_result" => read_result(fields)?,
        "compaction" => read_compaction(fields),
        name => {
            let class = class_of_block(name);
            foreign_part(name.to_owned(), fields, class)
        }
    };
    part.cache = cache;
    Ok(part)
}

/// What other protocols do with blocks that only Anthropic has. Calls and results of server tools go together, since all of
/// them do.
fn class_of_block(name: &str) -> Class {
    match name {
        // A file that the client put in; the answer is about it.
        "container_upload" => Class::Refused,
        // Says where another model took over.
        "fallback" => Class::Idle,
        _ => Class::Dropped,
    }
}

fn foreign<'a>(what: impl Into<Cow<'a, str>>, raw: Value<'a>, class: Class) -> PartKind<'a> {
    PartKind::Foreign { protocol: AM, what: what.into(), raw, class }
}

fn foreign_part<'a>(what: String, fields: Fields<'a, '_>, class: Class) -> Part<'a> {
    let mut fields = fields;
    let extra = std::mem::take(&mut fields.extra);
    let mut part = Part::new(foreign(what, fields.into_value(), class));
    part.extra = extra;
    part
}

fn read_text<'a>(mut fields: Fields<'a, '_>) -> Result<Part<'a>, ReadError> {
    fields.take("type");
    let mut part = Part::text(fields.required_text("text")?);
    part.extra = fields.rest(|name, value| match name {
        "citations" if value.as_array().is_some_and(<[_]>::is_empty) => Class::Idle,
        "citations" => Class::Dropped,
        _ => Class::Unknown,
    });
    Ok(part)
}

fn read_image<'a>(mut fields: Fields<'a, '_>) -> Result<Part<'a>, ReadError> {
    let Some(source) = read_source(&mut fields, MediaKind::Image)? else {
        return Ok(foreign_part("image".to_owned(), fields, Class::Refused));
    };
    fields.take("type");
    Ok(media(MediaKind::Image, source, None, None, fields.rest(unknown)))
}

fn media<'a>(
    kind: MediaKind,
    source: Source<'a>,
    name: Option<Str<'a>>,
    document: Option<Box<Document<'a>>>,
    extra: Vec<crate::wire::ir::Extra<'a>>,
) -> Part<'a> {
    let mut part = Part::new(PartKind::Media(Media { kind, source, name, detail: None, document }));
    part.extra = extra;
    part
}

/// The source of an image or document; `None`, and the member left in its place, where it is of a kind that is not known.
fn read_source<'a>(fields: &mut Fields<'a, '_>, of: MediaKind) -> Result<Option<Source<'a>>, ReadError> {
    let kind = fields.peek("source").and_then(|source| source.get("type")).and_then(Value::as_str).cloned();
    let known = kind.as_ref().is_some_and(|kind| matches!(&*kind.decode(), "base64" | "url" | "file" | "text"));
    if kind.is_some() && !known {
        return Ok(None);
    }
    let path = fields.path().member("source");
    let source = fields.take("source").ok_or_else(|| fields.missing("source"))?;
    let mut source = Fields::read(source, &path)?;
    let kind = source.required_text("type")?;
    let read = match &*kind.decode() {
        "base64" => {
            let mime = source.text("media_type")?.map(lower).unwrap_or_default();
            Source::Base64 { mime, data: source.required_text("data")? }
        }
        "url" => {
            let mime = (of == MediaKind::Document).then_some(Cow::Borrowed("application/pdf"));
            Source::Url { mime, url: source.required_text("url")? }
        }
        "file" => Source::File { id: source.required_text("file_id")?, mime: None },
        _ => {
            if let Some(mime) = source.text("media_type")?.filter(|mime| *mime != "text/plain") {
                source.keep("media_type", Value::String(mime), Class::Idle);
            }
            Source::Text(source.required_text("data")?)
        }
    };
    fields.extra.extend(source.rest(unknown));
    Ok(Some(read))
}

fn lower(text: Str<'_>) -> Cow<'_, str> {
    let text = text.into_decoded();
    if text.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { text }
}

fn read_document<'a>(mut fields: Fields<'a, '_>) -> Result<Part<'a>, ReadError> {
    let Some(source) = read_source(&mut fields, MediaKind::Document)? else {
        let text = fields.peek("source").and_then(|source| source.get("content")).and_then(text_of);
        return Ok(match text {
            Some(text) => read_as_text(fields, "title", text),
            None => foreign_part("document".to_owned(), fields, Class::Refused),
        });
    };
    fields.take("type");
    let name = fields.text("title")?;
    let document = Document { context: fields.text("context")?, citations: fields.take("citations") };
    let document = (document != Document::default()).then(|| Box::new(document));
    Ok(media(MediaKind::Document, source, name, document, fields.rest(unknown)))
}

/// A search result is a document to others, its source and its texts in one.
fn read_search_result<'a>(fields: Fields<'a, '_>) -> Part<'a> {
    match fields.peek("content").and_then(text_of) {
        Some(text) => {
            let mut fields = fields;
            note_inner(&mut fields);
            let source = fields.peek("source").and_then(Value::as_text).filter(|source| !source.is_empty());
            let text = source.map_or_else(|| text.clone(), |source| format!("{source}\n\n{text}"));
            read_as_text(fields, "title", text)
        }
        None => foreign_part("search_result".to_owned(), fields, Class::Refused),
    }
}

/// What stands beside the texts of a search result.
fn note_inner(fields: &mut Fields<'_, '_>) {
    let Some(Value::Array(blocks)) = fields.peek("content").cloned() else { return };
    let path = fields.path().member("content");
    for (at, block) in blocks.into_iter().enumerate() {
        let path = path.element(at);
        let Ok(mut block) = Fields::read(block, &path) else { continue };
        ["type", "text", "cache_control"].iter().for_each(|known| drop(block.take(known)));
        let unsaid = block.rest(unknown).into_iter().map(|extra| Extra { name: "".into(), ..extra });
        fields.extra.extend(unsaid);
    }
}

/// A block that others get as a plain text document. All of its own members are extras, `type` too, by which our writer
/// knows that they say it whole.
fn read_as_text<'a>(fields: Fields<'a, '_>, title: &str, text: String) -> Part<'a> {
    let name = fields.peek(title).and_then(Value::as_str).cloned();
    let extra = fields.rest(|name, value| match name {
        "type" | "source" | "title" | "content" => Class::Idle,
        "citations" if value.get("enabled").and_then(Value::as_bool) != Some(true) => Class::Idle,
        "citations" | "context" => Class::Dropped,
        _ => Class::Unknown,
    });
    media(MediaKind::Document, Source::Text(Str::plain(text)), name, None, extra)
}

/// The text of a string or of text blocks alone.
fn text_of(content: &Value<'_>) -> Option<String> {
    if let Some(text) = content.as_text() {
        return Some(text.into_owned());
    }
    let texts = content.as_array()?.iter().map(|block| block.get("text").and_then(Value::as_text));
    Some(texts.collect::<Option<Vec<_>>>()?.join("\n\n"))
}

/// What stands for the turns before it: to others its summary is what the model said.
fn read_compaction<'a>(fields: Fields<'a, '_>) -> Part<'a> {
    match fields.peek("content").and_then(Value::as_str).cloned() {
        Some(summary) => {
            let mut part = Part::text(summary);
            part.extra = fields.rest(|name, _| match name {
                "type" | "content" | "encrypted_content" => Class::Idle,
                _ => Class::Unknown,
            });
            part
        }
        None => foreign_part("compaction".to_owned(), fields, Class::Idle),
    }
}

fn read_thinking<'a>(mut fields: Fields<'a, '_>) -> Result<Part<'a>, ReadError> {
    let redacted = fields.text("type")?.is_some_and(|kind| kind == "redacted_thinking");
    let shown = fields.text("thinking")?.filter(|text| !text.is_empty());
    let state = fields.text(if redacted { "data" } else { "signature" })?.filter(|state| !state.is_empty());
    let reasoning = Reasoning { text: shown.into_iter().collect(), redacted, ..Reasoning::default() };
    let mut part = Part::new(PartKind::Reasoning(reasoning));
    part.state = state.map(|state| State::read(AM, state));
    part.extra = fields.rest(unknown);
    Ok(part)
}

fn read_call<'a>(mut fields: Fields<'a, '_>) -> Result<Part<'a>, ReadError> {
    fields.take("type");
    let id = fields.required_text("id")?;
    let name = fields.required_text("name")?;
    let arguments = Arguments::Object(fields.take("input").unwrap_or_else(Value::object));
    let mut part = Part::new(PartKind::Call(Call { id: Some(id), name, arguments, custom: false }));
    part.extra = fields.rest(|name, value| match name {
        "caller" if value.get("type").and_then(Value::as_str).is_some_and(|kind| *kind == "direct") => Class::Idle,
        "caller" => Class::Dropped,
        _ => Class::Unknown,
    });
    Ok(part)
}

fn read_result<'a>(mut fields: Fields<'a, '_>) -> Result<Part<'a>, ReadError> {
    fields.take("type");
    let call_id = fields.required_text("tool_use_id")?;
    let path = fields.path().member("content");
    let (content, bare) = fields.take("content").map_or(Ok((Vec::new(), false)), |it| read_content(it, &path))?;
    let is_error = fields.bool("is_error")?;
    if is_error == Some(false) {
        fields.keep("is_error", Value::Bool(false), Class::Idle);
    }
    let result = CallResult {
        call_id: Some(call_id),
        name: None,
        content,
        bare,
        is_error: is_error.unwrap_or(false),
        custom: false,
        response: None,
    };
    let mut part = Part::new(PartKind::Result(result));
    part.extra = fields.rest(unknown);
    Ok(part)
}

/// `cache_control` of whatever carries it.
pub(super) fn read_cache<'a>(holder: &mut Fields<'a, '_>) -> Result<Option<CacheMark<'a>>, ReadError> {
    let Some(mark) = holder.take("cache_control") else { return Ok(None) };
    let path = holder.path().member("cache_control");
    let mut mark = Fields::read(mark, &path)?;
    mark.take("type");
    let ttl = mark.take("ttl").and_then(into_str);
    holder.extra.extend(mark.rest(|name, _| match name {
        // Who may share the entry: Anthropic's own affair.
        "scope" => Class::Idle,
        _ => Class::Unknown,
    }));
    Ok(Some(CacheMark { ttl }))
}
