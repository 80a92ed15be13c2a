//! Decides which content parts of Responses say the parts of a message or result. Writes nothing.

use std::borrow::Cow;

use super::plan::foreign;
use crate::wire::Protocol;
use crate::wire::ir::{
    CacheMark, CallResult, Extra, Feature, Losses, Media, MediaKind, Part, PartKind, Refusal, Source,
};
use crate::wire::json::{Str, Value};

const OURS: Protocol = Protocol::OpenAiResponses;

pub(super) enum Content<'r> {
    Text(Str<'r>),
    Parts(Vec<PartOut<'r>>),
}

pub(super) struct PartOut<'r> {
    pub kind: Kind<'r>,
    pub mark: Option<&'r CacheMark<'r>>,
    pub extra: &'r [Extra<'r>],
}

pub(super) enum Kind<'r> {
    Text { assistant: bool, text: Str<'r> },
    Refusal(&'r Str<'r>),
    Image { source: Blob<'r>, detail: Option<&'r Str<'r>> },
    File { source: Blob<'r>, name: Option<Cow<'r, str>> },
    Audio { data: &'r Str<'r>, format: Cow<'r, str> },
    Raw(&'r Value<'r>),
}

/// The bytes of a medium, or where they are.
pub(super) enum Blob<'r> {
    Data { mime: Cow<'r, str>, data: &'r Str<'r> },
    Url(&'r Str<'r>),
    File(&'r Str<'r>),
}

impl<'r> Content<'r> {
    /// One bare text where it was one, and nothing else needs a part.
    pub fn of(mut parts: Vec<PartOut<'r>>, bare: bool) -> Content<'r> {
        match parts.as_mut_slice() {
            [PartOut { kind: Kind::Text { text, .. }, mark: None, .. }] if bare => {
                Content::Text(std::mem::replace(text, Str::plain("")))
            }
            _ => Content::Parts(parts),
        }
    }

    pub fn marks(&mut self) -> impl Iterator<Item = &mut Option<&'r CacheMark<'r>>> {
        let parts = match self {
            Content::Text(_) => [].as_mut_slice(),
            Content::Parts(parts) => parts.as_mut_slice(),
        };
        parts.iter_mut().map(|part| &mut part.mark).filter(|mark| mark.is_some())
    }
}

/// How parts are said to one upstream.
pub(super) struct Parts {
    pub protocol: Protocol,
    pub own: bool,
    /// Cache marks are taken.
    pub marks: bool,
    pub vision: bool,
}

impl Parts {
    /// `None` where it is left out.
    pub fn part<'r>(
        &self,
        part: &'r Part<'r>,
        assistant: bool,
        losses: &mut Losses,
    ) -> Result<Option<PartOut<'r>>, Refusal> {
        let kind = match &part.kind {
            PartKind::Text(text) => Kind::Text { assistant, text: text.borrowed() },
            PartKind::Refusal(text) => Kind::Refusal(text),
            PartKind::Media(media) => self.media(media, losses)?,
            PartKind::Foreign { raw, .. } if self.own => Kind::Raw(raw),
            PartKind::Foreign { what, class, .. } => {
                foreign(what, *class, self.protocol, losses)?;
                return Ok(None);
            }
            PartKind::Reasoning(_) | PartKind::Call(_) | PartKind::Result(_) => return Ok(None),
        };
        // Only input can be marked.
        let mark = self.mark(part.cache.as_ref(), !assistant, losses);
        Ok(Some(PartOut { kind, mark, extra: &part.extra }))
    }

    fn mark<'r>(&self, mark: Option<&'r CacheMark<'r>>, input: bool, losses: &mut Losses) -> Option<&'r CacheMark<'r>> {
        let mark = mark?;
        if !self.marks || !(input || self.own) {
            losses.dropped(Feature::CacheControl);
            return None;
        }
        if !self.own && mark.ttl.as_ref().is_some_and(|ttl| *ttl != "30m") {
            losses.approximated(Feature::CacheControl);
        }
        Some(mark)
    }

    /// What a call gave. A mark of the whole result goes to its last part.
    pub fn output<'r>(
        &self,
        result: &'r CallResult<'r>,
        mark: Option<&'r CacheMark<'r>>,
        losses: &mut Losses,
    ) -> Result<Content<'r>, Refusal> {
        let CallResult { call_id: _, name: _, content, bare, is_error, custom: _, response: _ } = result;
        let mut parts = Vec::with_capacity(content.len());
        for part in content {
            parts.extend(self.part(part, false, losses)?);
        }
        if *is_error {
            losses.approximated(Feature::IsError);
            say_error(&mut parts);
        }
        let mark = self.mark(mark, true, losses);
        if let (Some(last), Some(mark)) = (parts.last_mut(), mark) {
            last.mark = Some(mark);
        }
        if parts.is_empty() && !self.own {
            return Ok(Content::Text(Str::plain("")));
        }
        // A lone text is said in the form that every vendor takes.
        Ok(Content::of(parts, *bare || !self.own))
    }

    fn media<'r>(&self, media: &'r Media<'r>, losses: &mut Losses) -> Result<Kind<'r>, Refusal> {
        let Media { kind, source, name, detail, document } = media;
        if let Some(document) = document {
            if document.context.is_some() {
                losses.field("context");
            }
            if document.citations.is_some() {
                losses.dropped(Feature::Citations);
            }
        }
        match kind {
            MediaKind::Image if !self.vision && !self.own => Err(self.refusal("this model takes no images")),
            MediaKind::Image => Ok(Kind::Image { source: self.blob(source, "image/png")?, detail: detail.as_ref() }),
            MediaKind::Document => self.document(source, name.as_ref()),
            MediaKind::Audio => self.audio(source),
            MediaKind::Video => Err(self.refusal("this model takes no videos")),
        }
    }

    fn document<'r>(&self, source: &'r Source<'r>, name: Option<&'r Str<'r>>) -> Result<Kind<'r>, Refusal> {
        if let Source::Text(text) = source {
            let text = match name {
                Some(name) => Str::token(format!("{}\\n\\n{}", name.as_token(), text.as_token())),
                None => text.borrowed(),
            };
            return Ok(Kind::Text { assistant: false, text });
        }
        let named = name.map(Str::decode);
        let name = match source {
            Source::Base64 { mime, .. } if named.is_none() && !self.own => Some(file_name(mime)),
            _ => named,
        };
        Ok(Kind::File { source: self.blob(source, "application/pdf")?, name })
    }

    fn audio<'r>(&self, source: &'r Source<'r>) -> Result<Kind<'r>, Refusal> {
        let Source::Base64 { mime, data } = source else {
            return Err(self.refusal("audio must come as base64 data"));
        };
        let format = mime.strip_prefix("audio/").unwrap_or(mime);
        let format = match format {
            "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
            "mp3" | "mpeg" | "x-mp3" => "mp3",
            other if self.own => other,
            _ => return Err(self.refusal("audio must be wav or mp3")),
        };
        Ok(Kind::Audio { data, format: Cow::Borrowed(format) })
    }

    /// `usual`: the media type where none is known.
    fn blob<'r>(&self, source: &'r Source<'r>, usual: &'static str) -> Result<Blob<'r>, Refusal> {
        Ok(match source {
            Source::Base64 { mime, data } if mime.is_empty() && !self.own => {
                Blob::Data { mime: Cow::Borrowed(usual), data }
            }
            Source::Base64 { mime, data } => Blob::Data { mime: Cow::Borrowed(mime), data },
            Source::Url { url, .. } => Blob::Url(url),
            Source::File { id, .. } if matches!(self.protocol, OURS | Protocol::OpenAiChat) => Blob::File(id),
            Source::File { .. } => {
                return Err(self.refusal("a file id is known to its own vendor only: send the bytes"));
            }
            Source::Text(_) => return Err(self.refusal("a text is no image")),
        })
    }

    fn refusal(&self, message: &str) -> Refusal {
        Refusal::new(Feature::Conversation.param(self.protocol), message)
    }
}

/// There is no field for it, so the text says it.
fn say_error(parts: &mut Vec<PartOut<'_>>) {
    for part in parts.iter_mut() {
        if let Kind::Text { text, .. } = &mut part.kind {
            *text = Str::token(format!("Error: {}", text.as_token()));
            return;
        }
    }
    let kind = Kind::Text { assistant: false, text: Str::plain("Error") };
    parts.insert(0, PartOut { kind, mark: None, extra: &[] });
}

/// A name for a file that has none; the upstream tells its kind by it.
fn file_name(mime: &str) -> Cow<'static, str> {
    Cow::Borrowed(match mime {
        "text/plain" => "document.txt",
        "text/markdown" => "document.md",
        "text/csv" => "document.csv",
        "text/html" => "document.html",
        "application/json" => "document.json",
        _ => "document.pdf",
    })
}
