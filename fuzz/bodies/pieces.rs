//! What looks on at bytes in pieces forwards and learns the same for every cut; and the media sniffer.

use bytes::Bytes;
use qingwave::wire::Protocol;
use qingwave::wire::feed::Form;
use qingwave::wire::gemini_generate::{ArraySplitter, Element};
use qingwave::wire::openai_chat::ChatTap;
use qingwave::wire::tap::Tap;

#[path = "../../src/egress/magic.rs"]
mod magic;

/// Longer chat streams may pass in part, which is not the same for every cut.
const TAPPED_BYTES_MAX: usize = 32 << 10;

/// The first byte says how the stream is cut.
pub fn check_tap(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else { return };
    if stream.len() > TAPPED_BYTES_MAX {
        return;
    }
    let piece_bytes = usize::from(*cut).max(1);
    let (kept, learnt) = tap_chat(stream, usize::MAX, false);
    assert_eq!(kept, stream);
    assert_eq!(tap_chat(stream, piece_bytes, false), (kept, learnt.clone()));
    let (sifted, sifted_learnt) = tap_chat(stream, usize::MAX, true);
    assert_eq!(sifted_learnt, learnt);
    assert_eq!(tap_chat(stream, piece_bytes, true), (sifted, sifted_learnt));
    for protocol in Protocol::ALL {
        assert_eq!(tap(protocol, stream, piece_bytes), tap(protocol, stream, usize::MAX), "{protocol:?}");
    }
}

fn tap_chat(stream: &[u8], piece_bytes: usize, drop_usage: bool) -> (Vec<u8>, String) {
    let mut tap = ChatTap::new(drop_usage);
    let mut forwarded = Vec::new();
    for piece in stream.chunks(piece_bytes) {
        tap.push(Bytes::copy_from_slice(piece), &mut |bytes| forwarded.extend_from_slice(&bytes));
    }
    tap.finish(&mut |bytes| forwarded.extend_from_slice(&bytes));
    let learnt = (
        (tap.content_seen(), tap.done(), tap.error(), tap.outcome(), tap.usage()),
        (tap.finish_reason(), tap.service_tier(), tap.output_text(), tap.output_bytes()),
    );
    (forwarded, format!("{learnt:?}"))
}

fn tap(protocol: Protocol, stream: &[u8], piece_bytes: usize) -> String {
    let form = match Form::of(protocol, Some("text/event-stream"), stream) {
        Form::Array => Form::Array,
        Form::Sse | Form::Whole => Form::Sse,
    };
    let mut tap = Tap::new(protocol, "acme", form);
    let mut forwarded = Vec::new();
    for piece in stream.chunks(piece_bytes) {
        tap.push(Bytes::copy_from_slice(piece), &mut |bytes| forwarded.extend_from_slice(&bytes));
    }
    tap.finish();
    assert_eq!(forwarded, stream, "{protocol:?}");
    let facts = tap.facts();
    format!("{facts:?} {} {}", facts.output_text(), tap.done())
}

/// The elements of a JSON array are the array's, however it is cut.
pub fn check_array(input: &[u8]) {
    let (elements, closed) = split(input, usize::MAX);
    assert_eq!(split(input, 1 + input.len() % 11), (elements.clone(), closed), "the cut changes the elements");
    let Ok(document) = serde_json::from_slice::<Vec<serde_json::Value>>(input) else { return };
    assert!(closed, "an array that is whole is closed");
    let objects = document.iter().filter(|element| element.is_object() || element.is_array());
    if document.iter().all(|element| element.is_object()) {
        let read: Vec<serde_json::Value> =
            elements.iter().map(|element| serde_json::from_slice(element).expect("an element is JSON")).collect();
        assert!(read.iter().eq(objects), "{read:?}");
    }
}

fn split(input: &[u8], piece_bytes: usize) -> (Vec<Vec<u8>>, bool) {
    let mut splitter = ArraySplitter::default();
    let mut elements = Vec::new();
    for piece in input.chunks(piece_bytes) {
        let mut at = 0;
        while let Some(element) = splitter.next(piece, &mut at) {
            match element {
                Element::Whole(raw) => elements.push(raw.to_vec()),
                Element::Overlong => unreachable!("inputs are shorter than an element may be"),
            }
        }
    }
    (elements, splitter.closed())
}

/// What media are is told by their first bytes alone.
pub fn check_media(input: &[u8]) {
    let told = magic::media_type(input);
    let longer = [input, b"\xff\xfb\x90ftypID3%PDF-"].concat();
    if told.is_some() {
        assert_eq!(magic::media_type(&longer), told, "what follows changes what it is");
    }
    assert!(input.len() > 1 || told.is_none(), "a byte says nothing");
}
