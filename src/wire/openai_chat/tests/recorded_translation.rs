//! Recorded traffic of thirty vendors through the canonical form: what a client would see of it, and requests said again.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::*;
use super::recordings::{Case, cases};
use crate::wire::ir::{
    Answer, BlockKind, Event, EventReader, Fold, Losses, Outcome, Quirks, ReasoningStyle, StopReason, Target,
};
use crate::wire::sse::{Splitter, Unit, fields};

/// Reads a stream that the network cut into pieces of `step` bytes.
pub fn read_stream(bytes: &[u8], step: usize) -> (Vec<Event<'static>>, Outcome) {
    let mut reader = ChatReader::new("acme");
    let mut events: Vec<Event<'static>> = Vec::new();
    let mut splitter = Splitter::default();
    let mut begun = false;
    let mut hear = |raw: &[u8], events: &mut Vec<Event<'static>>| {
        let fields = fields(raw, !std::mem::replace(&mut begun, true));
        let Some(data) = fields.data else { return };
        let name = fields.event.map(|name| String::from_utf8_lossy(name).into_owned());
        reader.read_event(name.as_deref(), std::str::from_utf8(&data).unwrap(), events);
    };
    for piece in bytes.chunks(step) {
        let mut at = 0;
        while let Some(unit) = splitter.next(piece, &mut at) {
            if let Unit::Event(Some(raw)) = unit {
                hear(raw, &mut events);
            }
        }
    }
    if !splitter.pending().is_empty() {
        hear(splitter.pending(), &mut events);
    }
    let outcome = reader.end(&mut events);
    (events, outcome)
}

fn read_answer(case: &Case) -> Option<(Vec<Event<'static>>, Option<Outcome>)> {
    if let Some(stream) = case.read("response.sse") {
        let (events, outcome) = read_stream(&stream, stream.len().max(1));
        for step in [1, 7, 100] {
            assert_eq!(read_stream(&stream, step).0, events, "{}", case.id);
        }
        return Some((events, Some(outcome)));
    }
    let body = String::from_utf8(case.read("response.json")?).unwrap();
    let mut events: Vec<Event<'static>> = Vec::new();
    ChatReader::new("acme").read_whole(&body, &mut events).ok()?;
    Some((events, None))
}

pub fn fold(events: &[Event<'static>]) -> Answer {
    let mut fold = Fold::default();
    super::read_answers::sequenced(events).into_iter().for_each(|event| crate::wire::ir::Sink::event(&mut fold, event));
    fold.answer
}

/// What `meta.expected` names, as we read it; calls without a name, id and arguments are not calls (Snowflake).
fn problems(case: &Case, events: &[Event<'static>]) -> Vec<String> {
    let expected = &case.meta()["expected"];
    let answer = fold(events);
    let blocks = answer.choices.iter().find(|choice| choice.choice == 0).map(|choice| &choice.blocks);
    let blocks = || blocks.into_iter().flatten();
    let joined = |wanted: fn(&BlockKind<'_>) -> bool| -> String {
        blocks().filter(|block| wanted(&block.kind)).map(|block| block.text().decode().into_owned()).collect()
    };
    let mut problems = Vec::new();
    let mut same_text = |name: &str, is: String| {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(is.as_bytes()));
        let stem = name.trim_end_matches("_text");
        let sha = expected[format!("{stem}_sha256")].as_str();
        let ok = sha.map_or(expected[name].as_str().unwrap_or("") == is, |sha| sha == digest);
        if !ok {
            problems.push(format!("{name}: {:?} is {is:?}", expected[name]));
        }
    };
    same_text("text", joined(|kind| matches!(kind, BlockKind::Text)));
    // The index does not know thinking that stands in `reasoning_details` alone.
    if case.id != "pydantic-ai--test-snowflake-thinking-streaming--0" {
        same_text("reasoning_text", joined(|kind| matches!(kind, BlockKind::Reasoning { .. })));
    }
    same_text("refusal", joined(|kind| matches!(kind, BlockKind::Refusal)));
    let calls: Vec<(String, String, String)> = blocks()
        .filter_map(|block| match &block.kind {
            BlockKind::Call { id, name, .. } => Some((
                id.as_ref().map(|id| id.decode().into_owned()).unwrap_or_default(),
                name.decode().into_owned(),
                block.text().decode().into_owned(),
            )),
            _ => None,
        })
        .collect();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let wanted: Vec<(String, String, String)> = expected["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| (text(&call["id"]), text(&call["name"]), text(&call["arguments"])))
        .filter(|call| *call != Default::default())
        .collect();
    if calls != wanted {
        problems.push(format!("calls: {wanted:?} are {calls:?}"));
    }
    let native = answer.choices.iter().find_map(|choice| choice.finish.as_ref()?.native.clone());
    let failed = events.iter().any(|event| matches!(event, Event::Failed(_)));
    let finish = expected["finish"].as_str().filter(|word| !word.is_empty() && !failed);
    if native.as_ref().map(|word| word.decode().into_owned()).as_deref() != finish {
        problems.push(format!("finish: {finish:?} is {native:?}"));
    }
    let reason = answer.choices.first().and_then(|choice| choice.finish.as_ref()).map(|finish| finish.reason);
    let mapped = match finish {
        _ if failed => None,
        Some("length") => Some(StopReason::Length),
        _ if !calls.is_empty() => Some(StopReason::ToolCalls),
        _ if expected["refusal"].is_string() => Some(StopReason::Refused),
        _ => Some(StopReason::Done),
    };
    if reason != mapped {
        problems.push(format!("reason: {mapped:?} is {reason:?}"));
    }
    if failed != expected["error"].is_object() {
        problems.push(format!("error: {:?} is {failed}", expected["error"]));
    }
    let counts = &expected["usage"];
    // Zeros beside something said are no report.
    let counted = counts.is_object() && (counts["input_total"] != 0 || counts["output_total"] != 0);
    match answer.usage {
        None if counted => problems.push("usage is missing".to_owned()),
        None => {}
        Some(usage) => {
            // The index does not know Mistral's `num_cached_tokens`.
            let mistral = expected["usage_raw"]["num_cached_tokens"].as_u64().unwrap_or(0);
            let count = |name: &str| counts[name].as_u64().unwrap_or(0);
            let pairs = [
                ("input_total", usage.input_total),
                ("output_total", usage.output_total),
                ("cache_read", usage.cache_read - mistral),
                ("cache_write", usage.cache_write_30m),
                ("reasoning", usage.reasoning),
            ];
            for (name, is) in pairs {
                if is != count(name) {
                    problems.push(format!("usage.{name}: {} is {is}", count(name)));
                }
            }
        }
    }
    problems
}

#[test]
fn every_recorded_answer_is_read_as_it_was_meant() {
    let (mut exact, mut all) = (0, 0);
    let mut wrong = Vec::new();
    for case in cases() {
        let Some((events, outcome)) = read_answer(&case) else {
            // Neither an answer nor an error.
            assert_eq!(case.id, "pydantic-ai--test-invalid-response--0");
            continue;
        };
        all += 1;
        let mut problems = problems(&case, &events);
        let failed = events.iter().any(|event| matches!(event, Event::Failed(_)));
        let expected = if failed { Outcome::Errored } else { Outcome::Complete };
        if outcome.is_some_and(|outcome| outcome != expected) {
            problems.push(format!("{outcome:?}"));
        }
        if problems.is_empty() { exact += 1 } else { wrong.push(format!("{}: {}", case.id, problems.join("; "))) }
    }
    println!("{exact} of {all} answers are read exactly");
    wrong.iter().for_each(|line| println!("{}", &line[..line.floor_char_boundary(600)]));
    assert_eq!(exact, all);
}

pub fn target(model: &str, stream: bool) -> Target<'_> {
    Target {
        model,
        stream,
        output_max: 0,
        output_limit: None,
        reasoning: ReasoningStyle::Unknown,
        sampling: true,
        vision: true,
        quirks: Quirks::NONE,
        account: "acme",
    }
}

/// What a request says again of itself: usage is always asked for in a stream, and `type: "function"` is always said.
pub fn normal(mut request: Value) -> Value {
    if request["stream"] == true {
        request["stream_options"]["include_usage"] = true.into();
    }
    for tool in request.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        if tool["type"].is_null() {
            tool["type"] = "function".into();
        }
    }
    request
}

#[test]
fn recorded_requests_are_said_again_unchanged() {
    let mut all = 0;
    for case in cases() {
        let Some(body) = case.read("request.json").and_then(|body| String::from_utf8(body).ok()) else { continue };
        let request = read_request(&body, 64).unwrap_or_else(|error| panic!("{}: {error}", case.id));
        let mut losses = Losses::default();
        let (out, undo) = write_request(&request, &target(&request.model, request.stream), &mut losses).unwrap();
        let expected = normal(serde_json::from_str(&body).unwrap());
        let is: Value = serde_json::from_slice(&out).unwrap();
        assert!(is == expected, "{}:\n{}\n{}", case.id, head(&expected), head(&is));
        assert!(losses.is_empty() && undo.is_empty(), "{}: {losses:?}", case.id);
        all += 1;
    }
    println!("{all} requests are said again unchanged");
}

fn head(value: &Value) -> String {
    let text = value.to_string();
    text[..text.floor_char_boundary(3000)].to_owned()
}
