//! Media as Anthropic takes them. Must never know where in a conversation they stand.

use std::borrow::Cow;

use crate::wire::Protocol;
use crate::wire::ir::{Document, Feature, Losses, Media, MediaKind, Refusal, Request, Source, Target};
use crate::wire::json::{Json, Str};

/// An image or document whose source is checked.
pub(super) struct Attachment<'r> {
    image: bool,
    source: Sent<'r>,
    title: Option<&'r Str<'r>>,
    document: Option<&'r Document<'r>>,
}

enum Sent<'r> {
    Base64 { mime: Cow<'r, str>, data: Str<'r> },
    Url(Str<'r>),
    File(Str<'r>),
    Text(Str<'r>),
}

const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const PDF: &str = "application/pdf";
/// Longest text file that is unpacked from base64.
const TEXT_BYTES_MAX: usize = 32 << 20;

/// Checks a medium, or says what to do about it.
pub(super) fn attach<'r>(
    media: &'r Media<'r>,
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Attachment<'r>, Refusal> {
    let Media { kind, source, name, detail, document } = media;
    let refuse = |what: &str| Err(Refusal::new(Feature::Conversation.param(request.protocol), what));
    if detail.as_ref().is_some_and(|detail| *detail != "auto") {
        losses.dropped(Feature::Detail);
    }
    let (source, is_image) = match (kind, sent(source, *kind)) {
        (MediaKind::Audio, _) => return refuse("this model's upstream takes no audio: send text or images"),
        (MediaKind::Video, _) => return refuse("this model's upstream takes no video: send text or images"),
        (MediaKind::Image | MediaKind::Document, Ok(sent)) => sent,
        (MediaKind::Image | MediaKind::Document, Err(what)) => return refuse(what),
    };
    if is_image && !target.vision {
        return refuse("this model takes no images: leave them out, or choose a model that does");
    }
    if matches!(source, Sent::File(_)) && request.protocol != Protocol::AnthropicMessages {
        return refuse("this model's upstream does not know files by id: send the data or a URL");
    }
    let title = name.as_ref().filter(|title| !is_image && !title.is_empty());
    Ok(Attachment { image: is_image, source, title, document: document.as_deref() })
}

/// The source in a form that is taken, and whether it is an image: a file may turn out to be one.
fn sent<'r>(source: &'r Source<'r>, kind: MediaKind) -> Result<(Sent<'r>, bool), &'static str> {
    let image = kind == MediaKind::Image;
    match source {
        Source::Base64 { mime, data } => base64(mime, data, image),
        Source::Url { url, mime } => {
            let scheme = url.decode();
            if !(scheme.starts_with("https://") || scheme.starts_with("http://")) {
                return Err("this model's upstream fetches media from http and https alone: send the data itself");
            }
            let is_image = image || mime.as_deref().is_some_and(|mime| mime.starts_with("image/"));
            Ok((Sent::Url(url.borrowed()), is_image))
        }
        Source::File { id, .. } => Ok((Sent::File(id.borrowed()), image)),
        Source::Text(text) => Ok((Sent::Text(text.borrowed()), false)),
    }
}

fn base64<'r>(mime: &'r str, data: &'r Str<'r>, image: bool) -> Result<(Sent<'r>, bool), &'static str> {
    let mime = match mime.split(';').next().unwrap_or_default().trim() {
        "image/jpg" => "image/jpeg",
        "" | "application/octet-stream" => sniff(&data.decode()).unwrap_or_default(),
        mime => mime,
    };
    if IMAGES.contains(&mime) || mime == PDF {
        let is_image = mime != PDF;
        return Ok((Sent::Base64 { mime: Cow::Borrowed(mime), data: data.borrowed() }, is_image));
    }
    if image {
        return Err("this model's upstream takes images as PNG, JPEG, GIF or WebP: convert it");
    }
    match text_file(mime, data) {
        Some(text) => Ok((Sent::Text(Str::plain(text)), false)),
        None => Err("this model's upstream takes files as PDF or plain text: convert it"),
    }
}

/// What the first bytes say, in base64.
fn sniff(data: &str) -> Option<&'static str> {
    const STARTS: [(&str, &str); 5] = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi", PDF),
    ];
    STARTS.into_iter().find(|(start, _)| data.starts_with(start)).map(|(_, mime)| mime)
}

/// Text in base64, whatever kind of text it is.
fn text_file(mime: &str, data: &Str<'_>) -> Option<String> {
    const TEXTS: [&str; 5] =
        ["application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript"];
    if !(mime.is_empty() || mime.starts_with("text/") || TEXTS.contains(&mime)) {
        return None;
    }
    let data = data.decode();
    if data.len() > TEXT_BYTES_MAX {
        return None;
    }
    String::from_utf8(data_encoding::BASE64.decode(data.as_bytes()).ok()?).ok()
}

impl Attachment<'_> {
    /// The members of its block, apart from those that any block may have. `beside` writes what else stands in the source.
    pub fn write(&self, json: &mut Json<'_>, beside: impl FnOnce(&mut Json<'_>)) {
        let Attachment { image, source, title, document } = self;
        json.key("type").text(if *image { "image" } else { "document" });
        json.key("source").object(|json| {
            match source {
                Sent::Base64 { mime, data } => {
                    json.key("type").text("base64");
                    json.key("media_type").text(mime);
                    json.key("data").str(data);
                }
                Sent::Url(url) => {
                    json.key("type").text("url");
                    json.key("url").str(url);
                }
                Sent::File(id) => {
                    json.key("type").text("file");
                    json.key("file_id").str(id);
                }
                Sent::Text(text) => {
                    json.key("type").text("text");
                    json.key("media_type").text("text/plain");
                    json.key("data").str(text);
                }
            }
            beside(json);
        });
        if let Some(title) = title {
            json.key("title").str(title);
        }
        if let Some(Document { context, citations }) = document {
            if let Some(context) = context {
                json.key("context").str(context);
            }
            if let Some(citations) = citations {
                json.key("citations").value(citations);
            }
        }
    }
}
