//! The tap under every cut: the bytes that go on, and what was learnt.

use proptest::prelude::*;

use super::super::*;
use crate::wire::Usage;
use crate::wire::feed::tests::{ScriptReader, sse};
use crate::wire::sse::{FRAME_BYTES_MAX, Splitter, Unit, fields};

/// What a tap knows at the end.
#[derive(Debug, Clone, PartialEq)]
struct Learnt {
    content_seen: bool,
    done: bool,
    error: Option<String>,
    outcome: Outcome,
    usage: Option<Usage>,
    finish: Option<String>,
    text: String,
    bytes: u64,
}

fn script_tap() -> Tap {
    Tap::of(Box::new(ScriptReader::default()), Form::Sse)
}

fn run(mut tap: Tap, pieces: &[&[u8]]) -> Learnt {
    let mut forwarded = Vec::new();
    for piece in pieces {
        tap.push(Bytes::copy_from_slice(piece), &mut |bytes| forwarded.extend_from_slice(&bytes));
    }
    let done = tap.done();
    tap.finish();
    assert_eq!(forwarded, pieces.concat());
    let facts = tap.facts();
    Learnt {
        content_seen: facts.content_seen,
        done,
        error: facts.error.as_ref().map(|error| error.message.clone()),
        outcome: tap.outcome(),
        usage: facts.usage,
        finish: facts.finish.clone(),
        text: facts.output_text(),
        bytes: facts.output_bytes(),
    }
}

fn check(stream: &str) -> Learnt {
    let stream = stream.as_bytes();
    let learnt = run(script_tap(), &[stream]);
    assert_eq!(run(script_tap(), &stream.chunks(1).collect::<Vec<_>>()), learnt, "byte by byte");
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(run(script_tap(), &[head, tail]), learnt, "cut at {cut}");
    }
    learnt
}

#[test]
fn an_ordinary_stream() {
    for end in ["\n", "\r\n", "\r"] {
        let learnt = check(&sse(&["start", "0+text", "0.Hi é", "0-", "usage7", "finish", "[DONE]", "0.behind"], end));
        let expected = Learnt {
            content_seen: true,
            done: true,
            error: None,
            outcome: Outcome::Complete,
            usage: Some(Usage { input_total: 3, output_total: 7, ..Usage::default() }),
            finish: Some("done".to_owned()),
            text: "Hi é".to_owned(),
            bytes: 5,
        };
        assert_eq!(learnt, expected);
    }
}

#[test]
fn a_cut_stream_is_truncated_and_an_error_is_one() {
    assert_eq!(check(&sse(&["0+text", "0.a"], "\n")).outcome, Outcome::Truncated);
    assert_eq!(check("").outcome, Outcome::Truncated);
    let failed = check(&(sse(&["0+text", "0.a"], "\n") + "event: error\ndata: {\"message\":\"m\"}\n\n"));
    assert_eq!((failed.outcome, failed.error.as_deref()), (Outcome::Errored, Some("m")));
    let skipped = check(&(sse(&["0+text"], "\n") + "data: {oops\n\n" + &sse(&["0.a", "finish"], "\n")));
    assert_eq!((skipped.outcome, skipped.text.as_str()), (Outcome::Complete, "a"));
}

#[test]
fn an_overlong_event_flows_and_counts_as_content() {
    let long = format!("data: \"0.{}\"\n\n", "x".repeat(FRAME_BYTES_MAX));
    let stream = sse(&["0+text"], "\n") + &long + &sse(&["finish", "[DONE]"], "\n");
    let learnt = run(script_tap(), &stream.as_bytes().chunks(1 << 20).collect::<Vec<_>>());
    assert_eq!((learnt.content_seen, learnt.bytes, learnt.outcome), (true, 0, Outcome::Complete));
}

#[test]
fn nothing_is_copied() {
    let stream = Bytes::from(sse(&["0+text", "0.a"], "\n"));
    let mut out = Vec::new();
    script_tap().push(stream.clone(), &mut |bytes| out.push(bytes));
    assert_eq!((out.len(), out[0].as_ptr()), (1, stream.as_ptr()));
}

#[test]
fn an_event_of_ours_stands_alone_wherever_a_stream_breaks() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = sse(&["0+text", "0.a", "finish"], end);
        for cut in 0..=stream.len() {
            let mut tap = script_tap();
            let mut sent = Vec::new();
            tap.push(Bytes::copy_from_slice(&stream.as_bytes()[..cut]), &mut |bytes| sent.extend_from_slice(&bytes));
            tap.finish();
            sent.extend_from_slice(tap.error_prefix());
            sent.extend_from_slice(b"data: ours\n\n");
            let (mut splitter, mut at, mut last) = (Splitter::default(), 0, None);
            while let Some(unit) = splitter.next(&sent, &mut at) {
                if let Unit::Event(Some(raw)) = unit {
                    last = fields(raw, false).data.map(|data| data.into_owned());
                }
            }
            assert_eq!(last.as_deref(), Some(&b"ours"[..]), "cut at {cut}");
        }
    }
}

fn any_line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "start",
            "0+text",
            "0.a",
            r"0.\ud83d",
            r"0.\ude00",
            "1+f",
            "1,{",
            "0-",
            "usage7",
            "finish",
            "[DONE]",
            "failed",
        ][..],
    )
}

proptest! {
    #[test]
    fn any_stream_under_every_cut(script in prop::collection::vec(any_line(), 0..9), end in prop::sample::select(&["\n", "\r\n", "\r"][..]), lost in 0..20usize) {
        let mut stream = sse(&script, end);
        stream.truncate(stream.len().saturating_sub(lost));
        check(&stream);
    }
}
