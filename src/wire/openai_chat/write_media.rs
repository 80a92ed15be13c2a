//! Writes images, files, sounds and films as parts of a chat message. Must never fetch anything.

use std::borrow::Cow;

use super::request_write::Form;
use crate::wire::Protocol;
use crate::wire::ir::{Media, MediaKind, Quirk, Source, Target};
use crate::wire::json::{Json, Str};

/// How a medium can be said to an upstream.
pub enum MediaForm {
    Image,
    Video,
    Audio,
    File,
    /// A file of text, as a text.
    Text,
    /// Not at all; why, and what to do next.
    None(&'static str),
}

impl MediaForm {
    /// `from`: whose client sent it. Both protocols of OpenAI know each other's files.
    pub fn of(media: &Media<'_>, from: Protocol, target: &Target<'_>) -> MediaForm {
        let Media { kind, source, .. } = media;
        match (kind, source) {
            (MediaKind::Document, Source::File { .. }) if from == Protocol::OpenAiResponses => MediaForm::File,
            (_, Source::File { .. }) => {
                MediaForm::None("a file id is known only to the vendor that gave it: send the file's bytes")
            }
            (MediaKind::Image, _) if !target.vision => {
                MediaForm::None("this model takes no images: leave them out or choose another model")
            }
            (MediaKind::Image, Source::Base64 { .. } | Source::Url { .. }) => MediaForm::Image,
            (MediaKind::Video, Source::Base64 { .. } | Source::Url { .. }) if target.quirks.has(Quirk::VideoUrl) => {
                MediaForm::Video
            }
            (MediaKind::Video, _) => {
                MediaForm::None("this model's upstream takes no videos: leave them out or choose another model")
            }
            (MediaKind::Audio, Source::Base64 { .. }) => MediaForm::Audio,
            (MediaKind::Audio, _) => MediaForm::None("this model's upstream takes sound as bytes only: send its bytes"),
            (MediaKind::Document, _) if is_text(media) => MediaForm::Text,
            (MediaKind::Document, Source::Text(_)) => MediaForm::Text,
            (MediaKind::Document, Source::Base64 { .. }) => MediaForm::File,
            (MediaKind::Document, Source::Url { .. }) => {
                MediaForm::None("this model's upstream takes files as bytes only: send the file's bytes")
            }
            (MediaKind::Image, Source::Text(_)) => MediaForm::Text,
        }
    }

    pub fn problem(&self) -> Option<&'static str> {
        match self {
            MediaForm::None(problem) => Some(problem),
            MediaForm::Image | MediaForm::Video | MediaForm::Audio | MediaForm::File | MediaForm::Text => None,
        }
    }
}

/// A file of text is said as a text.
pub fn is_text(media: &Media<'_>) -> bool {
    media.kind == MediaKind::Document
        && match &media.source {
            Source::Text(_) => true,
            Source::Base64 { mime, .. } => mime.starts_with("text/"),
            Source::Url { .. } | Source::File { .. } => false,
        }
}

/// A part for a medium of another protocol that `MediaForm` has a form for.
pub fn write_part_media(json: &mut Json<'_>, media: &Media<'_>, mark: impl FnOnce(&mut Json<'_>)) {
    let context = media.document.as_ref().and_then(|document| document.context.as_ref());
    if let Some(context) = context {
        json.object(|json| {
            json.key("type").text("text");
            json.key("text").str(context);
        });
    }
    json.object(|json| {
        match titled_text(media) {
            Some(text) => {
                json.key("type").text("text");
                json.key("text").str(&text);
            }
            None => write_media(json, media, false, &Form { own: false, extra: &[] }),
        }
        mark(json);
    });
}

/// The text of a file of text under its name.
pub fn titled_text<'m>(media: &'m Media<'_>) -> Option<Str<'m>> {
    let text = text_of(media)?;
    Some(match &media.name {
        Some(name) => Str::token(format!("{}:\\n\\n{}", name.as_token(), text.as_token())),
        None => text,
    })
}

/// The text of a file of text.
fn text_of<'m>(media: &'m Media<'_>) -> Option<Str<'m>> {
    match &media.source {
        Source::Text(text) => Some(text.borrowed()),
        Source::Base64 { mime, data } if media.kind == MediaKind::Document && mime.starts_with("text/") => {
            let bytes = data_encoding::BASE64.decode(data.decode().as_bytes()).ok()?;
            Some(Str::plain(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Source::Base64 { .. } | Source::Url { .. } | Source::File { .. } => None,
    }
}

/// The members of a media part. `whole_file`: it stood in a `file` part, whatever it is.
pub(super) fn write_media(json: &mut Json<'_>, media: &Media<'_>, whole_file: bool, form: &Form<'_, '_>) {
    let Media { kind, source, name, detail, document: _ } = media;
    let kind = match kind {
        MediaKind::Image if !whole_file => "image_url",
        MediaKind::Video if !whole_file => "video_url",
        MediaKind::Audio if !whole_file => "input_audio",
        _ => "file",
    };
    json.key("type").text(kind);
    if form.given(kind).is_some() {
        return;
    }
    json.key(kind).object(|json| {
        match kind {
            "input_audio" => write_audio(json, source),
            "file" => {
                let file_name = name.as_ref().map(Str::borrowed);
                let standard = || (!form.own).then_some(Str::plain("document.pdf"));
                if let Some(name) = file_name.or_else(standard) {
                    json.key("filename").str(&name);
                }
                match source {
                    Source::File { id, .. } => json.key("file_id").str(id),
                    Source::Base64 { .. } | Source::Url { .. } | Source::Text(_) => {
                        write_link(json.key("file_data"), source);
                    }
                }
            }
            _ => {
                write_link(json.key("url"), source);
                if let Some(detail) = detail {
                    json.key("detail").str(detail);
                }
            }
        }
        form.say_in(json, kind);
    });
}

fn write_link(json: &mut Json<'_>, source: &Source<'_>) {
    match source {
        Source::Base64 { mime, data } => {
            let mime: &str = if mime.is_empty() { "application/octet-stream" } else { mime };
            json.texts([Str::plain(format!("data:{mime};base64,")), data.borrowed()]);
        }
        Source::Url { url, .. } => json.str(url),
        Source::File { id, .. } => json.str(id),
        Source::Text(text) => json.str(text),
    }
}

fn write_audio(json: &mut Json<'_>, source: &Source<'_>) {
    match source {
        Source::Base64 { mime, data } => {
            json.key("data").str(data);
            json.key("format").text(&audio_format(mime));
        }
        Source::Url { .. } | Source::File { .. } | Source::Text(_) => write_link(json.key("data"), source),
    }
}

/// OpenAI's word for a sound's media type.
fn audio_format(mime: &str) -> Cow<'_, str> {
    let kind = mime.split('/').next_back().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    Cow::Borrowed(match kind {
        "mpeg" | "mpga" | "mp3" => "mp3",
        "wave" | "x-wav" | "vnd.wave" | "wav" => "wav",
        "" => "wav",
        other => other,
    })
}
