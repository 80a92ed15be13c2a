//! What Gemini takes as media, and by which way. Must never fetch anything.

use std::borrow::Cow;

use crate::wire::ir::{MediaKind, Quirk, Quirks};

/// Whether a URL must be fetched and sent as bytes: Gemini opens its own uploads, Cloud Storage and YouTube by itself, and any
/// https address only where the upstream says so.
pub fn must_inline(url: &str, quirks: Quirks) -> bool {
    let opens = is_upload(url) || is_youtube(url) || (quirks.has(Quirk::HttpsFiles) && has_scheme(url, "https"));
    !opens
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.split_once("://").is_some_and(|(found, _)| found.eq_ignore_ascii_case(scheme))
}

/// The host of an http(s) URL, in lower case.
fn host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    Some(host.to_ascii_lowercase())
}

/// A file that only Google can open: Files API or Cloud Storage.
pub fn is_upload(url: &str) -> bool {
    has_scheme(url, "gs")
        || (host(url).as_deref() == Some("generativelanguage.googleapis.com") && url.contains("/files/"))
        || url.starts_with("files/")
}

pub fn is_youtube(url: &str) -> bool {
    const HOSTS: [&str; 4] = ["youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"];
    host(url).is_some_and(|host| HOSTS.contains(&host.as_str()))
}

/// A media type in the words that Gemini takes.
pub fn gemini_mime<'m>(mime: &'m str, kind: MediaKind, url: &str) -> Cow<'m, str> {
    Cow::Borrowed(match mime {
        "" | "application/octet-stream" => guessed(kind, url),
        "audio/mpeg" => "audio/mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
        "image/jpg" => "image/jpeg",
        known => known,
    })
}

/// By the name's ending, else what is usual of its kind.
fn guessed(kind: MediaKind, url: &str) -> &'static str {
    const ENDINGS: [(&str, &str); 16] = [
        (".png", "image/png"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".webp", "image/webp"),
        (".gif", "image/gif"),
        (".heic", "image/heic"),
        (".pdf", "application/pdf"),
        (".txt", "text/plain"),
        (".html", "text/html"),
        (".csv", "text/csv"),
        (".mp3", "audio/mp3"),
        (".wav", "audio/wav"),
        (".flac", "audio/flac"),
        (".mp4", "video/mp4"),
        (".webm", "video/webm"),
        (".mov", "video/mov"),
    ];
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let ends = |ending: &str| {
        let tail = path.len().checked_sub(ending.len()).and_then(|at| path.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
    };
    let known = ENDINGS.iter().find(|(ending, _)| ends(ending)).map(|(_, mime)| *mime);
    known.unwrap_or(match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Document => "application/pdf",
        MediaKind::Audio => "audio/wav",
        MediaKind::Video => "video/mp4",
    })
}
