//! One part of a content as Gemini has it. Knows the form of parts, and nothing of the conversation around them.

use std::borrow::Cow;

use super::super::fields::{said_in, was_absent};
use crate::wire::ir::{Document, Extra, Feature, Losses, Media, MediaKind, Quirk, Refusal, Request, Source, Target};
use crate::wire::json::{Json, Str, Value};
use crate::wire::{Protocol, ir};

#[derive(Debug)]
pub struct Piece<'r> {
    pub body: Body<'r>,
    pub signature: Option<Str<'r>>,
    pub extras: &'r [Extra<'r>],
}

#[derive(Debug)]
pub enum Body<'r> {
    Text { text: Str<'r>, thought: bool },
    Inline { mime: Cow<'r, str>, data: Str<'r>, name: Option<Str<'r>> },
    File { mime: Option<Cow<'r, str>>, uri: Str<'r>, name: Option<Str<'r>> },
    Call { id: Option<Str<'r>>, name: Str<'r>, args: Args<'r> },
    Result(Outcome<'r>),
    Raw(&'r Value<'r>),
}

#[derive(Debug)]
pub enum Args<'r> {
    Object(&'r Value<'r>),
    /// An object as JSON.
    Json(Cow<'r, str>),
    /// A text that is none.
    Member {
        key: &'static str,
        text: Str<'r>,
    },
}

#[derive(Debug)]
pub struct Outcome<'r> {
    pub id: Option<Str<'r>>,
    pub name: Str<'r>,
    pub response: Response<'r>,
    pub media: Vec<Piece<'r>>,
}

#[derive(Debug)]
pub enum Response<'r> {
    Object(&'r Value<'r>),
    Text { error: bool, texts: Vec<Str<'r>> },
}

impl<'r> Piece<'r> {
    pub fn new(body: Body<'r>) -> Piece<'r> {
        Piece { body, signature: None, extras: &[] }
    }

    pub fn text(text: Str<'r>) -> Piece<'r> {
        Piece::new(Body::Text { text, thought: false })
    }

    pub fn write(&self, json: &mut Json<'_>) {
        if let Body::Raw(value) = self.body {
            return json.value(value);
        }
        json.object(|json| {
            self.write_body(json);
            if let Some(signature) = &self.signature {
                json.key("thoughtSignature").str(signature);
            }
            again(json, self.extras, "parts");
        });
    }

    fn write_body(&self, json: &mut Json<'_>) {
        let missing = |name| was_absent(self.extras, name);
        match &self.body {
            Body::Text { text, thought } => {
                if !missing("text") {
                    json.key("text").str(text);
                }
                if *thought {
                    json.key("thought").bool(true);
                }
            }
            Body::Inline { mime, data, name } => json.key("inlineData").object(|json| {
                if !missing("mimeType") {
                    json.key("mimeType").text(mime);
                }
                json.key("data").str(data);
                name.iter().for_each(|name| json.key("displayName").str(name));
                again(json, self.extras, "inlineData");
            }),
            Body::File { mime, uri, name } => json.key("fileData").object(|json| {
                mime.iter().for_each(|mime| json.key("mimeType").text(mime));
                json.key("fileUri").str(uri);
                name.iter().for_each(|name| json.key("displayName").str(name));
                again(json, self.extras, "fileData");
            }),
            Body::Call { id, name, args } => json.key("functionCall").object(|json| {
                id.iter().for_each(|id| json.key("id").str(id));
                json.key("name").str(name);
                if !missing("args") {
                    args.write(json.key("args"));
                }
                again(json, self.extras, "functionCall");
            }),
            Body::Result(outcome) => json.key("functionResponse").object(|json| {
                outcome.write(json, missing("response"));
                again(json, self.extras, "functionResponse");
            }),
            Body::Raw(_) => {}
        }
    }
}

impl Args<'_> {
    fn write(&self, json: &mut Json<'_>) {
        match self {
            Args::Object(value) => json.value(value),
            Args::Json(text) => json.raw(text),
            Args::Member { key, text } => json.object(|json| json.key(key).str(text)),
        }
    }
}

impl Outcome<'_> {
    fn write(&self, json: &mut Json<'_>, missing: bool) {
        self.id.iter().for_each(|id| json.key("id").str(id));
        if !self.name.is_empty() {
            json.key("name").str(&self.name);
        }
        if !missing {
            let json = json.key("response");
            match &self.response {
                Response::Object(value) => json.value(value),
                Response::Text { error, texts } => json.object(|json| {
                    let json = json.key(if *error { "error" } else { "result" });
                    let between = |at| if at == 0 { Str::plain("") } else { Str::plain("\n") };
                    json.texts(texts.iter().enumerate().flat_map(|(at, text)| [between(at), text.borrowed()]));
                }),
            }
        }
        if !self.media.is_empty() {
            json.key("parts").array(|json| self.media.iter().for_each(|piece| piece.write(json)));
        }
    }
}

/// Says again what only Gemini says and stood in `container`.
pub fn again(json: &mut Json<'_>, extras: &[Extra<'_>], container: &str) {
    for extra in said_in(extras, container) {
        json.key_of(&extra.name).value(&extra.value);
    }
}

/// What Anthropic's documents have beside.
pub fn note_document(document: Option<&Document<'_>>, losses: &mut Losses) {
    let Some(Document { context, citations }) = document else { return };
    if context.is_some() {
        losses.field("context");
    }
    if citations.is_some() {
        losses.dropped(Feature::Citations);
    }
}

/// A medium as bytes or as a file that Gemini opens by itself.
pub fn media<'r>(
    media: &'r Media<'r>,
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Body<'r>, Refusal> {
    let native = request.protocol == Protocol::GeminiGenerate;
    let Media { kind, source, name, detail: _, document } = media;
    let here = || Feature::Conversation.param(request.protocol);
    if *kind == MediaKind::Image && !target.vision && !native {
        return Err(Refusal::new(here(), "this model takes no images: leave them out or choose another model"));
    }
    note_document(document.as_deref(), losses);
    let shown = native || target.quirks.has(Quirk::Vertex);
    if name.is_some() && !shown {
        losses.approximated(Feature::FileName);
    }
    let name = name.as_ref().filter(|_| shown).map(Str::borrowed);
    let mime_of = |mime: &'r str, url: &str| {
        if native { Cow::Borrowed(mime) } else { super::super::media::gemini_mime(mime, *kind, url) }
    };
    Ok(match source {
        Source::Base64 { mime, data } => {
            let named = media.name.as_ref().map(Str::decode);
            Body::Inline { mime: mime_of(mime, named.as_deref().unwrap_or_default()), data: data.borrowed(), name }
        }
        Source::Text(text) => {
            let data = data_encoding::BASE64.encode(text.decode().as_bytes());
            Body::Inline { mime: Cow::Borrowed("text/plain"), data: Str::plain(data), name }
        }
        Source::File { id, mime } if native => {
            Body::File { mime: mime.as_deref().map(Cow::Borrowed), uri: id.borrowed(), name }
        }
        Source::File { .. } => {
            let message = "a file id of another vendor is unknown to this model's upstream: send the file's content";
            return Err(Refusal::new(here(), message));
        }
        Source::Url { mime, url } => {
            let address = url.decode();
            if !native && super::super::media::must_inline(&address, target.quirks) {
                let start = &address[..address.floor_char_boundary(100)];
                let message =
                    format!("the media at {start} must be inlined: this model's upstream opens no such address");
                return Err(Refusal::new(here(), message));
            }
            let mime = match mime {
                Some(mime) => Some(mime_of(mime, &address)),
                None if native || super::super::media::is_youtube(&address) => None,
                None => Some(mime_of("", &address)),
            };
            Body::File { mime, uri: url.borrowed(), name }
        }
    })
}

/// Whether the part's own id is one that we minted.
pub fn id_minted(extras: &[ir::Extra<'_>]) -> bool {
    was_absent(extras, "id")
}

#[cfg(test)]
mod tests {
    use super::super::super::fields::{Path, absent};
    use super::*;

    #[test]
    fn a_mark_is_no_member() {
        let extras = [absent(&Path::ROOT.key("functionCall"), "id")];
        assert!(id_minted(&extras));
        let mut out = Vec::new();
        again(&mut Json::new(&mut out), &extras, "functionCall");
        assert!(out.is_empty());
    }
}
