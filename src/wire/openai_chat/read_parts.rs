//! Reads the parts of a message's content. Must never know which upstream they go to.

use std::borrow::Cow;

use super::members::{Members, missing, wrong};
use crate::wire::ir::{CacheMark, Class, Media, MediaKind, Part, PartKind, Reasoning, Source};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, ReadError};

pub fn read_part(part: Value<'_>, path: String) -> Result<Part<'_>, ReadError> {
    let kind = match &part {
        Value::String(text) => return Ok(Part::text(text.clone())),
        part => part.get("type").and_then(Value::as_text).map(Cow::into_owned),
    };
    let kind = kind.unwrap_or_else(|| "text".to_owned());
    const KNOWN: [&str; 8] =
        ["text", "refusal", "image_url", "input_audio", "file", "video_url", "document_url", "thinking"];
    if !KNOWN.contains(&&*kind) {
        // A medium that is left out leaves a question about nothing.
        let is_medium = kind.starts_with("input_") || kind.ends_with("_url");
        let class = if is_medium { Class::Refused } else { Class::Unknown };
        let what = kind.into();
        return Ok(Part::new(PartKind::Foreign { protocol: Protocol::OpenAiChat, what, raw: part, class }));
    }
    let mut members = Members::of(part, path)?;
    members.take("type");
    let kind = match &*kind {
        "text" => PartKind::Text(members.required_text("text")?),
        "refusal" => PartKind::Refusal(members.required_text("refusal")?),
        "image_url" => PartKind::Media(read_linked(&mut members, "image_url", MediaKind::Image)?),
        "video_url" => PartKind::Media(read_linked(&mut members, "video_url", MediaKind::Video)?),
        // Mistral.
        "document_url" => PartKind::Media(read_document(&mut members)?),
        "input_audio" => PartKind::Media(read_audio(&mut members)?),
        "file" => PartKind::Media(read_file(&mut members)?),
        _ => PartKind::Reasoning(read_thinking(&mut members)?),
    };
    let mut part = Part::new(kind);
    for name in ["cache_control", "prompt_cache_breakpoint"] {
        if let Some(value) = members.take(name) {
            part.cache = Some(cache_mark(&value));
            members.left_in(name, &value, &MARK);
            members.form(name, value);
        }
    }
    part.extra = members.rest();
    Ok(part)
}

/// What a cache mark is made of, in either spelling.
pub const MARK: [&str; 3] = ["type", "mode", "ttl"];

pub fn cache_mark<'a>(value: &Value<'a>) -> CacheMark<'a> {
    CacheMark { ttl: value.get("ttl").and_then(Value::as_str).cloned() }
}

fn media<'a>(kind: MediaKind, source: Source<'a>) -> Media<'a> {
    Media { kind, source, name: None, detail: None, document: None }
}

/// `{url, detail?}`; some clients give the bare URL.
fn read_linked<'a>(members: &mut Members<'a>, name: &'static str, kind: MediaKind) -> Result<Media<'a>, ReadError> {
    let value = members.take(name).ok_or_else(|| missing(&members.path(name)))?;
    if let Value::String(url) = value {
        members.form(name, Value::String(url.clone()));
        return Ok(media(kind, linked(url)));
    }
    let mut inner = Members::of(value, members.path(name))?;
    let mut media = media(kind, linked(inner.required_text("url")?));
    media.detail = inner.text("detail")?;
    members.absorb(inner);
    Ok(media)
}

/// A document by its URL, in either form, and the name beside it.
fn read_document<'a>(members: &mut Members<'a>) -> Result<Media<'a>, ReadError> {
    let name = members.text("document_name")?;
    let whole = members.get("document_url").cloned();
    let mut media = read_linked(members, "document_url", MediaKind::Document)?;
    if let Source::Url { mime, .. } = &mut media.source {
        *mime = Some("application/pdf".into());
    }
    for (member, value) in [("type", Some(Value::text("document_url"))), ("document_url", whole)] {
        if let Some(value) = value {
            members.form(member, value);
        }
    }
    if let Some(name) = &name {
        members.form("document_name", Value::String(name.clone()));
    }
    Ok(Media { name, ..media })
}

/// A `data:` URI holds the bytes; anything else leads to them.
fn linked(url: Str<'_>) -> Source<'_> {
    match data_uri(&url) {
        Some((mime, data)) => Source::Base64 { mime: mime.into(), data },
        None => Source::Url { mime: None, url },
    }
}

/// The media type in lower case and the base64 of a `data:` URI.
pub fn data_uri<'a>(url: &Str<'a>) -> Option<(String, Str<'a>)> {
    let token = url.as_token();
    let rest = token.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).map(|_| &token[5..])?;
    // A media type with its parameters is short; the data may be long.
    let comma = rest.as_bytes().iter().take(256).position(|byte| *byte == b',')?;
    let head = Str::token(&rest[..comma]).decode().to_ascii_lowercase();
    let head = head.strip_suffix(";base64")?;
    let mime = head.split(';').next().unwrap_or_default().trim().to_owned();
    let start = 5 + comma + 1;
    let data = match url.clone().into_token() {
        Cow::Borrowed(token) => Str::token(&token[start..]),
        Cow::Owned(token) => Str::token(token[start..].to_owned()),
    };
    Some((mime, data))
}

fn read_audio<'a>(members: &mut Members<'a>) -> Result<Media<'a>, ReadError> {
    let value = members.take("input_audio").ok_or_else(|| missing(&members.path("input_audio")))?;
    // Mistral: a URL, a `data:` URI or bare base64.
    if let Value::String(text) = value {
        members.form("input_audio", Value::String(text.clone()));
        let source = match linked(text) {
            Source::Url { url, .. } if !url.decode().starts_with("http") => {
                Source::Base64 { mime: "audio/mp3".into(), data: url }
            }
            source => source,
        };
        return Ok(media(MediaKind::Audio, source));
    }
    let mut inner = Members::of(value.clone(), members.path("input_audio"))?;
    let data = inner.required_text("data")?;
    let format = inner.text("format")?;
    let source = match (linked(data), format) {
        (Source::Url { url: data, .. }, Some(format)) => {
            Source::Base64 { mime: format!("audio/{}", format.decode().to_ascii_lowercase()).into(), data }
        }
        (source, _) => {
            members.form("input_audio", value);
            return Ok(media(MediaKind::Audio, source));
        }
    };
    members.absorb(inner);
    Ok(media(MediaKind::Audio, source))
}

fn read_file<'a>(members: &mut Members<'a>) -> Result<Media<'a>, ReadError> {
    let value = members.take("file").ok_or_else(|| missing(&members.path("file")))?;
    let mut inner = Members::of(value.clone(), members.path("file"))?;
    let name = inner.text("filename")?;
    let id = inner.text("file_id")?;
    let source = match (inner.text("file_data")?, id) {
        (Some(data), id) => {
            if let Some(id) = id {
                inner.form("file_id", Value::String(id));
            }
            match linked(data) {
                // Bare base64.
                Source::Url { url, .. } if !url.decode().contains("://") => {
                    let is_pdf = name.as_ref().is_some_and(|name| name.decode().ends_with(".pdf"));
                    members.form("file", value);
                    inner = Members::of(Value::object(), "")?;
                    Source::Base64 { mime: if is_pdf { "application/pdf" } else { "" }.into(), data: url }
                }
                source => source,
            }
        }
        (None, Some(id)) => Source::File { id, mime: None },
        (None, None) => return Err(wrong(&inner.path("file_data"), "given, or a file_id beside it")),
    };
    members.absorb(inner);
    let kind = match &source {
        Source::Base64 { mime, .. } => match mime.split('/').next() {
            Some("image") => MediaKind::Image,
            Some("audio") => MediaKind::Audio,
            Some("video") => MediaKind::Video,
            _ => MediaKind::Document,
        },
        Source::Url { .. } | Source::File { .. } | Source::Text(_) => MediaKind::Document,
    };
    members.form("type", Value::text("file"));
    Ok(Media { name, ..media(kind, source) })
}

/// Mistral: `{type: "thinking", thinking: [{type: "text", text}]}`, or a bare text.
fn read_thinking<'a>(members: &mut Members<'a>) -> Result<Reasoning<'a>, ReadError> {
    let mut reasoning = Reasoning::default();
    let Some(value) = members.take("thinking") else { return Ok(reasoning) };
    match &value {
        Value::String(text) => reasoning.text.push(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&Str<'a>> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            match texts[..] {
                [] => {}
                [text] => reasoning.text.push(text.clone()),
                _ => {
                    let whole: String = texts.iter().map(|text| text.as_token()).collect();
                    reasoning.text.push(Str::token(whole));
                }
            }
        }
        _ => return Err(wrong(&members.path("thinking"), "an array of parts")),
    }
    members.form("thinking", value);
    Ok(reasoning)
}
