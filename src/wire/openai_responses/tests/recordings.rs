//! Recorded traffic of many vendors, where it is at hand: `QINGWAVE_RECORDINGS` names the folder.

use std::path::PathBuf;

use serde_json::Value;

use super::super::{ResponsesReader, ResponsesWriter, write_whole};
use super::answers::{Block, NEXT_PART, Plain, read_sse, read_whole, sse_data};
use super::grammar::check_stream;
use super::request_read::check_round_trip;
use crate::wire::ir::{BlockKind, Event, EventReader, EventWriter, Fold, Losses, Outcome, Sink, WriterSetup};

pub(super) struct Case {
    pub id: String,
    folder: PathBuf,
}

/// The cases of this protocol; none, with a printed line, where there are no recordings.
pub(super) fn cases() -> Vec<Case> {
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else {
        println!("QINGWAVE_RECORDINGS is not set: recordings are skipped");
        return Vec::new();
    };
    let index: Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
    let of = |about: &Value| {
        let folder = root.join(about["dir"].as_str().unwrap());
        Case { id: about["id"].as_str().unwrap().to_owned(), folder }
    };
    let cases: Vec<Case> =
        index["cases"].as_array().unwrap().iter().filter(|c| c["protocol"] == "openai-responses").map(of).collect();
    assert!(cases.len() > 50, "only {} recordings", cases.len());
    cases
}

impl Case {
    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read(self.folder.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn expected(&self) -> Value {
        let meta: Value = serde_json::from_str(&self.read("meta.json").unwrap()).unwrap();
        meta["expected"].clone()
    }
}

#[test]
fn requests_come_back() {
    let mut requests = 0;
    for case in cases() {
        let Some(body) = case.read("request.json") else { continue };
        println!("{}", case.id);
        requests += 1;
        check_round_trip(&body);
    }
    println!("{requests} requests");
}

/// Four answers one after the other in one file; a reader reads the first.
const FOUR_ANSWERS: &str = "ai--openai-reasoning-encrypted-content-1-stream--0";
/// Its first event lacks a brace, which is an error of ours and none in the index.
const BROKEN: &str = "ai--parallel-tool-call-wrapper-1-stream--0";
const EXCEPTIONS: [(&str, &str); 5] = [
    (FOUR_ANSWERS, "text"),
    (FOUR_ANSWERS, "reasoning"),
    (FOUR_ANSWERS, "calls"),
    (FOUR_ANSWERS, "usage"),
    (BROKEN, "error"),
];

/// What a value says of a text: the text itself, or its hash and length.
fn is_text(expected: &Value, name: &str, is: &str) -> bool {
    use sha2::Digest;
    let short = name.trim_end_matches("_text").trim_end_matches("text");
    let key = |end: &str| if name == "text" { format!("text_{end}") } else { format!("{short}_{end}") };
    match (&expected[name], &expected[key("sha256")]) {
        (Value::String(text), _) => text == is,
        (_, Value::String(hash)) => {
            let digest = sha2::Sha256::digest(is);
            *hash == digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        }
        _ => is.is_empty(),
    }
}

#[test]
fn answers_are_understood() {
    let (mut read, mut streams) = (0, 0);
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = case.expected();
        let plain = match (case.read("response.sse"), case.read("response.json")) {
            (Some(stream), _) => {
                streams += 1;
                read_sse(&stream)
            }
            (None, Some(body)) => read_whole(&body).unwrap_or_else(|error| panic!("{}: {error}", case.id)),
            (None, None) => panic!("{}", case.id),
        };
        read += 1;
        for fault in faults(&plain, &expected) {
            if !EXCEPTIONS.contains(&(case.id.as_str(), fault)) {
                wrong.push(format!("{}: {fault}", case.id));
            }
        }
    }
    println!("{read} answers, {streams} of them streams");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn faults(plain: &Plain, expected: &Value) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let mut hold = |name: &'static str, holds: bool| {
        if !holds {
            faults.push(name);
        }
    };
    hold("text", is_text(expected, "text", &plain.said(|kind| matches!(kind, BlockKind::Text))));
    let thought = plain.said(|kind| matches!(kind, BlockKind::Reasoning { .. })).replace(NEXT_PART, "");
    hold("reasoning", is_text(expected, "reasoning_text", &thought));
    let is_calls = |block: &Block| match &block.kind {
        BlockKind::Call { id, name, .. } => {
            Some((id.as_ref().map(|id| id.decode().into_owned()), name.decode().into_owned(), block.text.clone()))
        }
        _ => None,
    };
    let calls: Vec<_> = plain.blocks.iter().filter_map(is_calls).collect();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let wanted: Vec<_> = expected["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| (text(&call["id"]), text(&call["name"]).unwrap(), text(&call["arguments"]).unwrap_or_default()))
        .collect();
    hold("calls", calls == wanted);
    match expected["finish"].as_str() {
        Some("failed") => hold("finish", plain.outcome == Some(Outcome::Errored)),
        Some(word) => {
            let native = plain.finish.as_ref().and_then(|finish| finish.native.as_ref());
            hold("finish", native.is_some_and(|native| *native == word) && plain.outcome == Some(Outcome::Complete));
        }
        None => hold("finish", plain.finish.is_none()),
    }
    let count = |name: &str| expected["usage"][name].as_u64().unwrap_or(0);
    match plain.usage {
        None => hold("usage", count("output_total") == 0),
        Some(usage) => {
            let is = [usage.input_total, usage.output_total, usage.cache_read, usage.cache_write_30m, usage.reasoning];
            let names = ["input_total", "output_total", "cache_read", "cache_write", "reasoning"];
            hold("usage", is == names.map(count));
        }
    }
    let error = &expected["error"];
    let message = error["message"].as_str().or(error.as_str());
    hold("error", message == plain.error.as_ref().map(|error| error.message.as_str()));
    faults
}

/// What is written of a recorded answer obeys the grammar, and says the same when it is read again.
#[test]
fn answers_written_again_say_the_same() {
    let mut written = 0;
    for case in cases() {
        let mut reader = ResponsesReader::new("acme");
        let mut events: Vec<Event<'static>> = Vec::new();
        match (case.read("response.sse"), case.read("response.json")) {
            (Some(stream), _) => sse_data(&stream.replace("\r\n", "\n")).for_each(|data| {
                reader.read_event(None, data, &mut events);
            }),
            (None, body) => reader.read_whole(&body.unwrap(), &mut events).unwrap(),
        }
        if events.last() != Some(&Event::End) {
            continue;
        }
        written += 1;
        println!("{}", case.id);
        let setup = WriterSetup { call_id: case.id.clone(), model: "m".to_owned(), ..WriterSetup::default() };
        let (mut writer, mut out) = (ResponsesWriter::new(setup), Vec::new());
        let (mut was, mut fold) = (Plain::default(), Fold::default());
        for event in &events {
            writer.event(event, &mut out);
            was.event(event.clone());
            fold.event(event.clone());
        }
        was.decode();
        let response = check_stream(&out);
        let is = read_sse(std::str::from_utf8(&out).unwrap());
        assert_eq!((&is.blocks, is.usage, is.reason()), (&was.blocks, was.usage, was.reason()));
        assert!(writer.losses().is_empty());
        let setup = WriterSetup { call_id: case.id.clone(), model: "m".to_owned(), ..WriterSetup::default() };
        let whole = write_whole(&fold.answer, &setup, &mut Losses::default());
        assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), response);
    }
    println!("{written} answers");
}
