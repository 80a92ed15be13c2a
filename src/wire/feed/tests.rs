//! A protocol for tests: every event is a JSON string, a line of a script of events. And the feed under every cut.

use proptest::prelude::*;

use super::*;
use crate::wire::ir::{EventWriter, Losses};
use crate::wire::json::Value;
use crate::wire::sequence::tests::{event, line};

/// Reads scripts; `[DONE]` is the end mark, a `finish` makes an answer complete without one.
#[derive(Default)]
pub(crate) struct ScriptReader {
    finished: bool,
    done: bool,
}

impl ScriptReader {
    fn give(&mut self, said: &Value<'_>, sink: &mut dyn Sink) {
        let Some(text) = said.as_text() else { return };
        self.finished |= text == "finish";
        self.done |= text == "failed";
        sink.event(event(&text));
    }
}

impl EventReader for ScriptReader {
    fn read_event(&mut self, name: Option<&str>, data: &str, sink: &mut dyn Sink) {
        if data == "[DONE]" {
            self.done = true;
            return sink.event(Event::End);
        }
        match Value::parse(data, 8, LoneSurrogates::Allowed) {
            Ok(value) if name != Some("error") => self.give(&value, sink),
            _ => {
                self.done = true;
                sink.event(Event::Failed(UpstreamError::read(None, data.as_bytes())));
            }
        }
    }

    fn end(&mut self, sink: &mut dyn Sink) -> Outcome {
        if self.finished && !std::mem::replace(&mut self.done, true) {
            sink.event(Event::End);
        }
        if self.finished { Outcome::Complete } else { Outcome::Truncated }
    }

    fn read_whole(&mut self, body: &str, sink: &mut dyn Sink) -> Result<(), String> {
        let value = Value::parse(body, 8, LoneSurrogates::Allowed).map_err(|_| "no JSON".to_owned())?;
        value.as_array().ok_or("no list")?.iter().for_each(|said| self.give(said, sink));
        Ok(())
    }

    fn done(&self) -> bool {
        self.done
    }
}

/// Writes scripts, a line an event.
#[derive(Default)]
pub(crate) struct ScriptWriter {
    losses: Losses,
}

impl EventWriter for ScriptWriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(line(event).as_bytes());
        out.push(b'\n');
    }

    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("! {}\n", error.message).as_bytes());
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

/// A script as server-sent events.
pub(crate) fn sse(script: &[&str], end: &str) -> String {
    script.iter().map(|said| format!("data: {}{end}{end}", payload(said))).collect()
}

fn payload(said: &str) -> String {
    if said == "[DONE]" { said.to_owned() } else { serde_json::json!(said).to_string() }
}

fn run(pieces: &[&[u8]], form: Form, broken: Broken) -> (Vec<String>, Outcome) {
    let mut feed = Feed::new(Box::new(ScriptReader::default()), form, broken);
    let mut events: Vec<Event<'static>> = Vec::new();
    for piece in pieces {
        assert!(!feed.push(piece, &mut events));
    }
    let outcome = feed.finish(&mut events);
    (events.iter().map(line).collect(), outcome)
}

#[track_caller]
fn check(stream: &str, form: Form, broken: Broken, expected: &str, outcome: Outcome) {
    let stream = stream.as_bytes();
    let one = run(&[stream], form, broken);
    assert_eq!((one.0.join(" ").as_str(), one.1), (expected, outcome));
    assert_eq!(run(&stream.chunks(1).collect::<Vec<_>>(), form, broken), one, "byte by byte");
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(run(&[head, tail], form, broken), one, "cut at {cut}");
    }
}

#[test]
fn events_reach_the_reader_and_keepalives_do_not() {
    let stream = sse(&["0+text", "0.é😀", "finish", "[DONE]", "0.x"], "\r\n");
    let stream = format!("\u{feff}: ping\r\n{stream}").replacen(
        "data: ",
        "data:\r\n\r\ndata: \"\"\r\n\r\ndata: : x\r\n\r\ndata:",
        1,
    );
    for broken in [Broken::Read, Broken::Skipped] {
        check(&stream, Form::Sse, broken, "0+text 0.é😀 finish end", Outcome::Complete);
    }
}

#[test]
fn a_last_event_without_its_blank_line_counts_if_it_is_whole() {
    let stream = sse(&["0+text", "finish"], "\n");
    for cut in 0..3 {
        check(&stream[..stream.len() - cut], Form::Sse, Broken::Read, "0+text finish end", Outcome::Complete);
    }
    check(&stream[..stream.len() - 4], Form::Sse, Broken::Read, "0+text", Outcome::Truncated);
    check("", Form::Sse, Broken::Read, "", Outcome::Truncated);
}

#[test]
fn a_broken_payload_fails_where_it_is_missed_and_is_skipped_where_it_is_not() {
    let stream = "data: \"0+text\"\n\ndata: {oops\n\ndata: \"finish\"\n\n";
    check(stream, Form::Sse, Broken::Read, "0+text failed", Outcome::Truncated);
    check(stream, Form::Sse, Broken::Skipped, "0+text finish end", Outcome::Complete);
    check("event: error\ndata: out of memory\n\n", Form::Sse, Broken::Skipped, "failed", Outcome::Truncated);
}

#[test]
fn an_array_is_read_element_by_element() {
    let stream = "[\"0+text\"\r\n,\r\n\"0.],\\\"é\" ,\"finish\"\n]\n";
    check(stream, Form::Array, Broken::Read, "0+text 0.],\"é finish end", Outcome::Complete);
    check(&stream[..12], Form::Array, Broken::Read, "0+text", Outcome::Truncated);
}

#[test]
fn an_error_of_ours_can_stand_in_an_array() {
    for (come, prefix) in [("", "["), (" [", ""), ("[{} ", ","), ("[{}, ", ""), ("[{}, {", "")] {
        let mut feed = Feed::new(Box::new(ScriptReader::default()), Form::Array, Broken::Read);
        feed.push(come.as_bytes(), &mut Vec::new());
        assert_eq!((feed.error_prefix(), feed.error_suffix()), (prefix.as_bytes(), &b"]"[..]), "{come}");
    }
}

#[test]
fn a_whole_document_is_read_at_its_end() {
    check(
        r#" ["start","0+text","0.a","finish"] "#,
        Form::Whole,
        Broken::Read,
        "start 0+text 0.a finish end",
        Outcome::Complete,
    );
    for (body, message) in [
        ("", "the upstream answered without an answer: an empty body"),
        ("<html>", "the upstream answered without an answer: HTML or XML"),
        ("{}", "the upstream answered without an answer: no list"),
        (r#"{"error":{"message":"m","code":429}}"#, "m"),
    ] {
        let mut feed = Feed::new(Box::new(ScriptReader::default()), Form::Whole, Broken::Read);
        let mut events: Vec<Event<'static>> = Vec::new();
        feed.push(body.as_bytes(), &mut events);
        assert_eq!(feed.finish(&mut events), Outcome::Errored);
        let [Event::Failed(error)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(error.message, message);
    }
}

#[test]
fn a_document_that_is_too_long_is_not_kept() {
    let mut feed = Feed::new(Box::new(ScriptReader::default()), Form::Whole, Broken::Read);
    let mut events: Vec<Event<'static>> = Vec::new();
    let piece = vec![b' '; WHOLE_BYTES_MAX / 4];
    assert!((0..4).all(|_| !feed.push(&piece, &mut events)));
    assert!(events.is_empty());
    feed.push(b" ", &mut events);
    assert!(matches!(events.as_slice(), [Event::Failed(_)]));
}

#[test]
fn a_form_is_told_by_the_first_bytes_then_by_the_type() {
    use Protocol::{AnthropicMessages as Am, GeminiGenerate as Gm, OpenAiChat as Cc};
    let sse = Some("text/event-stream; charset=utf-8");
    let json = Some("application/json");
    for (protocol, kind, start, form) in [
        (Am, sse, "event: message_start", Form::Sse),
        (Am, json, "event: message_start", Form::Sse),
        (Am, sse, "", Form::Sse),
        (Cc, Some("Text/Event-Stream"), "garbage", Form::Sse),
        (Cc, sse, "\u{feff} {\"error\"", Form::Whole),
        (Cc, None, "data:{}", Form::Sse),
        (Cc, None, ": ping", Form::Sse),
        (Cc, json, "[{\"error\"", Form::Whole),
        (Gm, json, "[{\"candidates\"", Form::Array),
        (Gm, json, "{\"candidates\"", Form::Whole),
        (Gm, sse, "data: {", Form::Sse),
        (Cc, sse, "<html>", Form::Whole),
        (Cc, json, "", Form::Whole),
        (Cc, Some("text/event-strea€"), "", Form::Whole),
    ] {
        assert_eq!(Form::of(protocol, kind, start.as_bytes()), form, "{kind:?} {start}");
    }
}

proptest! {
    #[test]
    fn any_bytes_under_every_cut(bytes in prop::collection::vec(prop::sample::select(&b"data: \"0+.ab-[]{}\\\n\n\r:\xf0\x9f\x98\x80"[..]), 0..60)) {
        for form in [Form::Sse, Form::Array] {
            let whole = run(&[&bytes], form, Broken::Skipped);
            prop_assert_eq!(&run(&bytes.chunks(1).collect::<Vec<_>>(), form, Broken::Skipped), &whole);
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                prop_assert_eq!(&run(&[head, tail], form, Broken::Skipped), &whole);
            }
        }
    }
}
