//! The translator over all pairs of protocols: the same bytes for every cut, JSON in every event, and what the client's own
//! reader understands ends as the upstream's answer ended.

use qingwave::wire::Protocol;
use qingwave::wire::feed::{Broken, Feed, Form};
use qingwave::wire::ir::{Event, Framing, Outcome, Undo, UpstreamError, WriterSetup};
use qingwave::wire::sequence::Sequence;
use qingwave::wire::translate::{Setup, Translator};

use super::{events, is_json};

/// The last bytes of an input say from where to where, in what shape, and how it is cut.
pub const CONTROL_BYTES: usize = 2;

#[derive(Debug, Clone, Copy)]
struct Way {
    upstream: Protocol,
    client: Protocol,
    stream: bool,
    array: bool,
    undo: bool,
    usage_asked: bool,
}

impl Way {
    fn of(control: u8) -> Way {
        let client = Protocol::ALL[usize::from(control >> 2 & 3)];
        Way {
            upstream: Protocol::ALL[usize::from(control & 3)],
            client,
            stream: control & 16 == 0,
            array: control & 32 != 0 && client == Protocol::GeminiGenerate,
            undo: control & 64 != 0,
            usage_asked: control & 128 == 0,
        }
    }
}

pub fn check(input: &[u8]) {
    let Some((bytes, [control, cut])) = input.split_last_chunk::<CONTROL_BYTES>() else { return };
    let way = Way::of(*control);
    let (out, outcome) = translate(way, bytes, usize::MAX);
    let (by_pieces, _) = translate(way, bytes, 1 + usize::from(*cut) % 97);
    assert_eq!(String::from_utf8_lossy(&by_pieces), String::from_utf8_lossy(&out), "{way:?}: the cut changes it");
    if way.stream && !way.array {
        check_frames(&out);
    } else if !out.is_empty() {
        assert!(is_json(&out), "{way:?}: no JSON: {}", String::from_utf8_lossy(&out));
    }
    check_ending(way, &out, outcome);
}

fn translate(way: Way, bytes: &[u8], piece_bytes: usize) -> (Vec<u8>, Outcome) {
    let undo = Undo {
        tool_names: vec![("tide".to_owned(), "harbour.tide".to_owned())],
        wrapped_tools: vec!["log".to_owned()],
        answer_tool: Some("now".to_owned()),
        stop: vec!["ea".to_owned(), "\"}".to_owned()],
    };
    let writer = WriterSetup {
        call_id: "call-of-a-test".to_owned(),
        created: 1_764_000_000,
        model: "public-model".to_owned(),
        include_usage: way.usage_asked,
        framing: if way.array { Framing::Array } else { Framing::Sse },
        ..WriterSetup::default()
    };
    let mut translator = Translator::new(Setup {
        upstream: way.upstream,
        client: way.client,
        stream: way.stream,
        account: "acme".to_owned(),
        undo: if way.undo { undo } else { Undo::default() },
        writer,
    });
    translator.begin(Form::of(way.upstream, None, bytes));
    let mut out = Vec::new();
    for piece in bytes.chunks(piece_bytes) {
        translator.push(piece, &mut out);
    }
    let outcome = translator.finish(&mut out);
    match (outcome, way.stream) {
        (Outcome::Complete, true) => {}
        (Outcome::Complete, false) => out.extend(translator.whole().expect("a complete answer is whole")),
        (Outcome::Truncated | Outcome::Errored, true) => {
            let cut = || UpstreamError { message: "it broke off".to_owned(), ..UpstreamError::default() };
            let error = translator.facts().error.clone().unwrap_or_else(cut);
            translator.fail(&error, &mut out);
        }
        (Outcome::Truncated | Outcome::Errored, false) => assert!(out.is_empty(), "half an answer"),
    }
    (out, outcome)
}

/// Lines of `event:` and `data:` alone, JSON in each, a blank line behind each event.
fn check_frames(out: &[u8]) {
    let text = std::str::from_utf8(out).expect("a stream is UTF-8");
    // A keepalive is a comment of one line.
    let text: String = text.split_inclusive('\n').filter(|line| *line != ": ping\n").collect();
    let ended = text.is_empty() || text.ends_with("\n\n") || text.ends_with("\r\n\r\n");
    assert!(ended, "no blank line at the end: {text}");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("event: ")) {
        let data = line.strip_prefix("data: ").unwrap_or_else(|| panic!("an odd line: {line}"));
        assert!(data == "[DONE]" || is_json(data.as_bytes()), "no JSON: {data}");
    }
}

/// A complete answer has its end for the client, who may be told that it failed (a call that is none), and a broken one is
/// not complete.
fn check_ending(way: Way, out: &[u8], outcome: Outcome) {
    if out.is_empty() {
        assert!(outcome != Outcome::Complete, "{way:?}: nothing came of a complete answer");
        return;
    }
    let form = match (way.stream, way.array) {
        (false, _) => Form::Whole,
        (true, true) => Form::Array,
        (true, false) => Form::Sse,
    };
    let mut feed = Feed::new((way.client.dialect().reader)("acme"), form, Broken::Read);
    let mut sequence = Sequence::new(Vec::<Event<'static>>::new());
    feed.push(out, &mut sequence);
    let seen = feed.finish(&mut sequence);
    events::check(&sequence.sink, seen);
    let wrong = match outcome {
        Outcome::Complete => seen == Outcome::Truncated,
        Outcome::Truncated | Outcome::Errored => seen == Outcome::Complete,
    };
    assert!(!wrong, "{way:?}: {outcome:?} became {seen:?}: {}", String::from_utf8_lossy(out));
}
