//! Reads the content parts of a Responses request. Must never know which upstream they go to.

use std::borrow::Cow;

use super::fields::Fields;
use crate::wire::ir::{CacheMark, Class, Media, MediaKind, Part, PartKind, Role, Source};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, ReadError};

const OURS: Protocol = Protocol::OpenAiResponses;

/// The parts of a message. `path` is the list's.
pub(super) fn read_parts<'a>(path: &str, parts: Vec<Value<'a>>, role: Role) -> Result<Vec<Part<'a>>, ReadError> {
    let text = if role == Role::Assistant { "output_text" } else { "input_text" };
    read(path, parts, text)
}

/// The parts of a call's result.
pub(super) fn read_output<'a>(path: &str, parts: Vec<Value<'a>>) -> Result<Vec<Part<'a>>, ReadError> {
    read(path, parts, "input_text")
}

/// `text`: the type of a text part there; another one is remembered.
fn read<'a>(path: &str, parts: Vec<Value<'a>>, text: &str) -> Result<Vec<Part<'a>>, ReadError> {
    let part = |(at, part)| read_part(Fields::of(format!("{path}[{at}]"), part)?, text);
    parts.into_iter().enumerate().map(part).collect()
}

fn read_part<'a>(mut fields: Fields<'a>, text: &str) -> Result<Part<'a>, ReadError> {
    let Some(kind) = fields.word("type").map(|kind| kind.into_owned()) else {
        return Err(fields.error("type", "is missing: a part has a type"));
    };
    let cache = cache_mark(&mut fields);
    let kind = match kind.as_str() {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
            if kind == text {
                fields.take("type");
            } else {
                fields.keep("type", Class::Idle);
            }
            let said = fields.needed("text")?;
            let cited = !fields.peek("annotations").is_none_or(is_empty_list);
            fields.keep("annotations", if cited { Class::Dropped } else { Class::Idle });
            fields.keep("logprobs", Class::Idle);
            PartKind::Text(said)
        }
        "refusal" => {
            fields.take("type");
            PartKind::Refusal(fields.needed("refusal")?)
        }
        "input_image" => image(&mut fields)?,
        "input_file" => file(&mut fields)?,
        "input_audio" => audio(&mut fields)?,
        other => {
            // A medium that is left out leaves a question about nothing.
            let class = if other.starts_with("input_") { Class::Refused } else { Class::Unknown };
            let what = other.to_owned().into();
            return Ok(Part::new(PartKind::Foreign { protocol: OURS, what, raw: fields.into_value(), class }));
        }
    };
    let mut part = Part::new(kind);
    part.cache = cache;
    part.extra = fields.finish();
    Ok(part)
}

/// `{"mode":"explicit"}`, perhaps with a time to live; in any other form it is only kept.
fn cache_mark<'a>(fields: &mut Fields<'a>) -> Option<CacheMark<'a>> {
    let mark = fields.peek("prompt_cache_breakpoint")?.as_object()?;
    let plain = mark.members.iter().all(|(name, value)| match (&*name.decode(), value) {
        ("mode", value) => *value == Value::text("explicit"),
        ("ttl", value) => value.as_str().is_some(),
        _ => false,
    });
    if !plain || mark.get("mode").is_none() {
        fields.keep("prompt_cache_breakpoint", Class::Dropped);
        return None;
    }
    let mut mark = fields.take("prompt_cache_breakpoint")?;
    let ttl = match mark.as_object_mut()?.take("ttl") {
        Some(Value::String(ttl)) => Some(ttl),
        _ => None,
    };
    Some(CacheMark { ttl })
}

fn is_empty_list(value: &Value<'_>) -> bool {
    value.as_array().is_some_and(<[Value<'_>]>::is_empty)
}

fn media<'a>(kind: MediaKind, source: Source<'a>) -> Media<'a> {
    Media { kind, source, name: None, detail: None, document: None }
}

fn image<'a>(fields: &mut Fields<'a>) -> Result<PartKind<'a>, ReadError> {
    fields.take("type");
    let source = match (fields.str("image_url")?, fields.str("file_id")?) {
        (Some(url), _) => from_url(url),
        (None, Some(id)) => Source::File { id, mime: None },
        (None, None) => return Err(fields.error("image_url", "is missing: an image has a URL or a file_id")),
    };
    let mut media = media(MediaKind::Image, source);
    media.detail = fields.str("detail")?;
    Ok(PartKind::Media(media))
}

fn file<'a>(fields: &mut Fields<'a>) -> Result<PartKind<'a>, ReadError> {
    fields.take("type");
    let (data, url, id) = (fields.str("file_data")?, fields.str("file_url")?, fields.str("file_id")?);
    let source = match (data, url, id) {
        (Some(data), _, _) => match from_url(data) {
            // Bare base64 says nothing of its kind.
            Source::Url { url: data, .. } => Source::Base64 { mime: Cow::Borrowed(""), data },
            source => source,
        },
        (None, Some(url), _) => Source::Url { mime: None, url },
        (None, None, Some(id)) => Source::File { id, mime: None },
        (None, None, None) => {
            return Err(fields.error("file_data", "is missing: a file has file_data, a file_url or a file_id"));
        }
    };
    let mut media = media(MediaKind::Document, source);
    media.name = fields.str("filename")?;
    fields.keep("detail", Class::Dropped);
    Ok(PartKind::Media(media))
}

fn audio<'a>(fields: &mut Fields<'a>) -> Result<PartKind<'a>, ReadError> {
    fields.take("type");
    let Some(mut sound) = fields.object("input_audio")? else {
        return Err(fields.error("input_audio", "is missing: an object of data and format"));
    };
    let data = sound.needed("data")?;
    let mime = format!("audio/{}", sound.needed("format")?.decode().to_lowercase());
    fields.lose(sound);
    Ok(PartKind::Media(media(MediaKind::Audio, Source::Base64 { mime: mime.into(), data })))
}

/// The bytes of a `data:` URI, or the URL as it is.
pub(super) fn from_url(url: Str<'_>) -> Source<'_> {
    let found = {
        let text = url.decode();
        text.strip_prefix("data:").and_then(|rest| {
            let (head, data) = rest.split_once(',')?;
            let head = head.strip_suffix(";base64")?;
            let mime = head.split(';').next().unwrap_or_default().to_lowercase();
            Some((mime, text.len() - data.len()))
        })
    };
    let Some((mime, start)) = found else { return Source::Url { mime: None, url } };
    let data = match url.into_decoded() {
        Cow::Borrowed(text) => Str::plain(&text[start..]),
        Cow::Owned(text) => Str::plain(text[start..].to_owned()),
    };
    Source::Base64 { mime: mime.into(), data }
}
