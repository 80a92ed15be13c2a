//! Media of other protocols in the forms that Anthropic takes.

use super::write::*;
use super::*;
use crate::wire::ir::{Media, MediaKind, Part, PartKind, Role, Source, Turn};
use crate::wire::json::Str;
#[track_caller]
fn check_media(kind: MediaKind, source: Source<'static>, name: Option<&'static str>, expected: Result<&str, &str>) {
    let media = Media { kind, source, name: name.map(Str::from), detail: None, document: None };
    let request = chat(vec![Turn::new(Role::User, vec![Part::new(PartKind::Media(media))])]);
    match (try_write(&request, &target()), expected) {
        (Ok(written), Ok(block)) => assert_eq!(written.body["messages"][0]["content"][0], dom(block)),
        (Err(refusal), Err(message)) => {
            assert_eq!(refusal.param, "messages");
            assert!(refusal.message.contains(message), "{refusal:?}");
        }
        (written, _) => panic!("{:?}", written.map(|written| written.body)),
    }
}

#[test]
fn media_in_the_forms_that_are_taken() {
    use MediaKind::{Audio, Document, Image, Video};
    let base64 = |mime: &'static str, data: &'static str| Source::Base64 { mime: mime.into(), data: data.into() };
    let png = r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgoA"}}"#;
    check_media(Image, base64("image/png", "iVBORw0KGgoA"), None, Ok(png));
    check_media(Image, base64("", "iVBORw0KGgoA"), None, Ok(png));
    check_media(Document, base64("image/png", "iVBORw0KGgoA"), Some("a.png"), Ok(png));
    let jpeg = r#"{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"QUJD"}}"#;
    check_media(Image, base64("image/jpg", "QUJD"), None, Ok(jpeg));
    check_media(Image, base64("image/heic", "QUJD"), None, Err("PNG, JPEG, GIF or WebP"));
    let pdf = r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"title":"a.pdf"}"#;
    check_media(Document, base64("", "JVBERi0="), Some("a.pdf"), Ok(pdf));
    let text = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"ABC"},"title":"a.md"}"#;
    check_media(Document, base64("text/markdown", "QUJD"), Some("a.md"), Ok(text));
    check_media(Document, base64("application/zip", "QUJD"), None, Err("PDF or plain text"));
    let url =
        |mime: Option<&'static str>, url: &'static str| Source::Url { mime: mime.map(Into::into), url: url.into() };
    let by_url = r#"{"type":"document","source":{"type":"url","url":"https://a.example/a"}}"#;
    check_media(Document, url(None, "https://a.example/a"), None, Ok(by_url));
    check_media(Image, url(None, "gs://bucket/a"), None, Err("http and https"));
    check_media(Image, Source::File { id: "file-1".into(), mime: None }, None, Err("files by id"));
    check_media(Audio, base64("audio/wav", "QUJD"), None, Err("no audio"));
    check_media(Video, url(None, "https://a.example/a"), None, Err("no video"));
}

#[test]
fn a_model_that_is_blind_gets_no_image() {
    let source = Source::Url { mime: None, url: "https://a.example".into() };
    let media = Media { kind: MediaKind::Image, source, name: None, detail: None, document: None };
    let request = chat(vec![Turn::new(Role::User, vec![Part::new(PartKind::Media(media))])]);
    assert!(try_write(&request, &Target { vision: false, ..target() }).is_err());
}
