//! Recorded traffic, where it is at hand: `QINGWAVE_RECORDINGS` names the folder.

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::wire::Usage;
use crate::wire::ir::{BlockKind, Delta, Fold, Losses, Sink, StopReason};

struct Case {
    id: String,
    folder: PathBuf,
}

/// The cases of this protocol; none, with a printed line, where there are no recordings.
fn cases() -> Vec<Case> {
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else {
        println!("QINGWAVE_RECORDINGS is not set: recordings are skipped");
        return Vec::new();
    };
    let index: Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
    let of = |about: &Value| Case {
        id: about["id"].as_str().unwrap().to_owned(),
        folder: root.join(about["dir"].as_str().unwrap()),
    };
    let cases: Vec<Case> =
        index["cases"].as_array().unwrap().iter().filter(|c| c["protocol"] == "anthropic-messages").map(of).collect();
    assert!(cases.len() > 40, "only {} recordings", cases.len());
    cases
}

impl Case {
    fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(name)).ok()
    }

    fn expected(&self) -> Value {
        dom(&self.text("meta.json").unwrap())["expected"].take()
    }

    /// Its answer as events, streamed or whole.
    fn events(&self) -> Vec<Event<'static>> {
        match self.text("response.sse") {
            Some(stream) => {
                let (events, outcome) = read_stream(&stream);
                assert_eq!(outcome, Outcome::Complete, "{}", self.id);
                events
            }
            None => read_body(&self.text("response.json").unwrap()),
        }
    }
}

/// What an answer says, in the words of `meta.expected`.
#[derive(Default)]
struct Seen {
    text: String,
    reasoning: String,
    /// Id, name, arguments.
    calls: Vec<(String, String, String)>,
    blocks: Vec<String>,
    states: usize,
    finish: Option<String>,
    reason: Option<StopReason>,
    usage: Option<Usage>,
    iterations: usize,
    error: Option<String>,
    ended: bool,
}

fn seen(events: &[Event<'static>]) -> Seen {
    let mut seen = Seen::default();
    let mut reasoning = false;
    for event in events {
        match event {
            Event::BlockStart { kind, .. } => {
                reasoning = matches!(kind, BlockKind::Reasoning { .. });
                seen.blocks.push(match kind {
                    BlockKind::Text => "text".to_owned(),
                    BlockKind::Reasoning { redacted: false } => "thinking".to_owned(),
                    BlockKind::Reasoning { redacted: true } => "redacted_thinking".to_owned(),
                    BlockKind::Call { id, name, .. } => {
                        let id = id.as_ref().unwrap().decode().into_owned();
                        seen.calls.push((id, name.decode().into_owned(), String::new()));
                        "tool_use".to_owned()
                    }
                    BlockKind::Foreign { what, raw, .. } => {
                        if &**what == "mcp_tool_use" || &**what == "server_tool_use" {
                            assert!(raw.get("input").unwrap().as_object().is_some(), "{raw:?}");
                        }
                        what.clone().into_owned()
                    }
                    BlockKind::Refusal | BlockKind::Media { .. } => panic!("{kind:?}"),
                });
            }
            Event::Delta { delta: Delta::Text(text), .. } => {
                if reasoning { &mut seen.reasoning } else { &mut seen.text }.push_str(&text.decode());
            }
            Event::Delta { delta: Delta::Arguments(text), .. } => {
                seen.calls.last_mut().unwrap().2.push_str(&text.decode());
            }
            Event::Delta { delta: Delta::State(_), .. } => seen.states += 1,
            Event::Usage { usage, iterations } => {
                seen.usage = Some(*usage);
                seen.iterations = iterations.len();
            }
            Event::Finish(finish) => {
                seen.finish = finish.native.as_ref().map(|word| word.decode().into_owned());
                seen.reason = Some(finish.reason);
            }
            Event::Failed(error) => seen.error = Some(error.message.clone()),
            Event::End => seen.ended = true,
            Event::Start(_) | Event::Delta { .. } | Event::BlockStop { .. } => {}
        }
    }
    seen
}

fn is_text(expected: &Value, name: &str, text: &str) -> bool {
    match (&expected[name], &expected[format!("{name}_sha256")]) {
        (Value::String(known), _) => known == text,
        (_, Value::String(hash)) => {
            use sha2::Digest;
            data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(text)) == *hash
        }
        _ => text.is_empty(),
    }
}

/// Arguments as values: a whole answer has an object where a stream has its text. Text that a limit cut is no JSON; a whole
/// answer says it as `_raw`.
fn arguments(text: &str) -> Value {
    let value = match text.trim() {
        "" => Value::Object(Default::default()),
        json => serde_json::from_str(json).unwrap_or_else(|_| text.into()),
    };
    if value["_raw"].is_string() { value["_raw"].clone() } else { value }
}

#[test]
fn answers_are_understood() {
    let (mut checked, mut states, mut several) = (0, 0, 0);
    for case in cases() {
        let (id, expected) = (&case.id, case.expected());
        let seen = seen(&case.events());
        // Files that hold the answers of several calls in a row: one reader reads one answer, and nothing behind its end.
        if case.text("response.sse").is_some_and(|it| it.matches("event: message_stop").count() > 1) {
            assert!(seen.ended, "{id}");
            several += 1;
            continue;
        }
        checked += 1;
        states += seen.states;
        if expected["error"].is_object() || expected["finish"].is_null() {
            assert!(seen.error.is_some() && !seen.ended, "{id}");
            continue;
        }
        assert!(seen.ended && seen.error.is_none(), "{id}");
        assert!(is_text(&expected, "text", &seen.text), "{id}: {}", seen.text);
        assert!(is_text(&expected, "reasoning_text", &seen.reasoning), "{id}: {}", seen.reasoning);
        let blocks: Vec<&str> = expected["blocks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(seen.blocks, blocks, "{id}");
        let calls = expected["tool_calls"].as_array().unwrap();
        assert_eq!(calls.len(), seen.calls.len(), "{id}");
        for (call, (call_id, name, json)) in calls.iter().zip(&seen.calls) {
            assert_eq!((call["id"].as_str(), call["name"].as_str()), (Some(&**call_id), Some(&**name)), "{id}");
            assert_eq!(arguments(call["arguments"].as_str().unwrap()), arguments(json), "{id}");
        }
        check_finish(id, &expected, &seen);
        check_usage(id, &expected["usage"], &seen);
    }
    println!("{checked} answers, {states} states, {several} files of several answers");
}

fn check_finish(id: &str, expected: &Value, seen: &Seen) {
    assert_eq!(expected["finish"].as_str(), seen.finish.as_deref(), "{id}");
    let reason = match seen.finish.as_deref().unwrap() {
        "end_turn" => StopReason::Done,
        "tool_use" => StopReason::ToolCalls,
        "max_tokens" => StopReason::Length,
        "stop_sequence" => StopReason::StopSequence,
        "pause_turn" => StopReason::Paused,
        "refusal" => StopReason::Filtered,
        other => panic!("{id}: {other}"),
    };
    assert_eq!(seen.reason, Some(reason), "{id}");
}

fn check_usage(id: &str, expected: &Value, seen: &Seen) {
    let usage = seen.usage.unwrap_or_default();
    let count = |name: &str| expected[name].as_u64().unwrap_or(0);
    let written = usage.cache_write_5m + usage.cache_write_1h;
    let pairs = [
        ("input_total", usage.input_total),
        ("input_uncached", usage.input_total - usage.cache_read - written),
        ("output_total", usage.output_total),
        ("cache_read", usage.cache_read),
        ("cache_write", written),
        ("reasoning", usage.reasoning),
    ];
    for (name, is) in pairs {
        assert_eq!(is, count(name), "{id}: {name}");
    }
    if expected["cache_write_1h"].is_u64() {
        assert_eq!(usage.cache_write_1h, count("cache_write_1h"), "{id}");
    }
    assert_eq!(seen.iterations, expected["iterations"].as_array().map_or(0, Vec::len), "{id}");
    let searches = expected["server_tool_use"]["web_search_requests"].as_u64().unwrap_or(0);
    assert_eq!(usage.web_searches, searches, "{id}");
}

#[test]
fn answers_written_and_read_again_say_the_same() {
    let mut written = 0;
    for case in cases() {
        let events = case.events();
        let first = seen(&events);
        if !first.ended {
            continue;
        }
        written += 1;
        let (again, outcome) = read_stream(&write_stream(&events));
        assert_eq!(outcome, Outcome::Complete, "{}", case.id);
        same(&case.id, &first, &seen(&again));

        let mut fold = Fold::default();
        events.iter().for_each(|event| fold.event(event.clone()));
        let body = write_whole(&fold.answer, &setup(), &mut Losses::default());
        same(&case.id, &first, &seen(&read_body(std::str::from_utf8(&body).unwrap())));
    }
    println!("{written} answers");
}

fn same(id: &str, first: &Seen, again: &Seen) {
    assert_eq!((&first.text, &first.reasoning), (&again.text, &again.reasoning), "{id}");
    // The API itself sends texts in which it says nothing.
    let texts = |seen: &Seen| seen.blocks.iter().filter(|kind| *kind != "text").cloned().collect::<Vec<_>>();
    assert_eq!(texts(first), texts(again), "{id}");
    let calls = |seen: &Seen| {
        seen.calls.iter().map(|(id, name, json)| (id.clone(), name.clone(), arguments(json))).collect::<Vec<_>>()
    };
    assert_eq!(calls(first), calls(again), "{id}");
    assert_eq!((first.states, first.reason, first.usage), (again.states, again.reason, again.usage), "{id}");
}

#[test]
fn requests_written_and_read_again_are_the_same() {
    let mut requests = 0;
    for case in cases() {
        let Some(body) = case.text("request.json") else { continue };
        requests += 1;
        round_trip::check_body(&case.id, &body);
    }
    println!("{requests} requests");
}
