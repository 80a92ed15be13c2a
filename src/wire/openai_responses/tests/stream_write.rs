//! Streams and whole answers as they are written, and read again.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::super::*;
use super::answers::{Plain, read_sse, read_whole as read_body};
use super::grammar::check_stream;
use crate::wire::ir::{
    Answer, BlockKind, Citation, Delta, Event, EventWriter, Feature, Finish, Fold, Losses, Sink, Start, State,
    StopReason, UpstreamError, WriterSetup,
};
use crate::wire::json::{LoneSurrogates, Str, Value};
use crate::wire::{Protocol, Usage};

fn setup() -> WriterSetup {
    WriterSetup {
        call_id: "call".to_owned(),
        created: 1_700_000_000,
        model: "public".to_owned(),
        ..WriterSetup::default()
    }
}

/// Blocks with their deltas, as the events of a finished answer.
fn answer(blocks: Vec<(BlockKind<'static>, Vec<Delta<'static>>)>, reason: StopReason) -> Vec<Event<'static>> {
    let mut events = vec![Event::Start(Start { model: Some("m".into()), created: Some(7), ..Start::default() })];
    for (block, (kind, deltas)) in (0..).zip(blocks) {
        events.push(Event::BlockStart { choice: 0, block, kind });
        events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, block, delta }));
        events.push(Event::BlockStop { choice: 0, block });
    }
    let usage = Usage { input_total: 9, cache_read: 4, output_total: 5, reasoning: 2, ..Usage::default() };
    events.push(Event::Usage { usage, iterations: Vec::new() });
    events.push(Event::Finish(Finish { choice: 0, reason, native: None, stop_sequence: None, message: None }));
    events.push(Event::End);
    events
}

fn write(events: &[Event<'static>], setup: WriterSetup) -> (Vec<u8>, Losses) {
    let (mut writer, mut out) = (ResponsesWriter::new(setup), Vec::new());
    for event in events {
        writer.event(event, &mut out);
    }
    (out, writer.losses().clone())
}

fn folded(events: &[Event<'static>]) -> Answer {
    let mut fold = Fold::default();
    events.iter().for_each(|event| fold.event(event.clone()));
    fold.answer
}

fn plain(events: &[Event<'static>]) -> Plain {
    let mut plain = Plain::default();
    events.iter().for_each(|event| plain.event(event.clone()));
    plain.decode();
    plain
}

/// Writes both ways and reads again. Gives the response, and what was read of it.
#[track_caller]
fn check(events: &[Event<'static>]) -> (Json, Plain) {
    let (stream, losses) = write(events, setup());
    let response = check_stream(&stream);
    let mut lost = Losses::default();
    let body = write_whole(&folded(events), &setup(), &mut lost);
    assert_eq!(serde_json::from_slice::<Json>(&body).unwrap(), response);
    assert_eq!(lost, losses);
    let read = read_sse(std::str::from_utf8(&stream).unwrap());
    let mut whole = read_body(std::str::from_utf8(&body).unwrap()).unwrap();
    // A stream tells of them when it begins, a whole answer when it ends.
    whole.start = read.start.clone();
    assert_eq!(whole, read);
    assert_eq!(read.usage, plain(events).usage);
    (response, read)
}

/// Checks that the blocks come back as they were.
#[track_caller]
fn check_same(events: &[Event<'static>]) -> Json {
    let (response, read) = check(events);
    let said = plain(events);
    assert_eq!(read.blocks, said.blocks);
    assert_eq!(read.reason(), said.reason());
    response
}

fn text(pieces: &[&'static str]) -> (BlockKind<'static>, Vec<Delta<'static>>) {
    (BlockKind::Text, pieces.iter().map(|piece| Delta::Text(Str::plain(*piece))).collect())
}

fn call(id: &'static str, pieces: &[&'static str]) -> (BlockKind<'static>, Vec<Delta<'static>>) {
    let kind = BlockKind::Call { id: Some(id.into()), name: "f".into(), custom: false };
    (kind, pieces.iter().map(|piece| Delta::Arguments(Str::token(*piece))).collect())
}

fn state(origin: Protocol) -> State<'static> {
    State { origin, account: Some("acme".into()), payload: "sig=".into() }
}

fn thought(pieces: Vec<Delta<'static>>) -> (BlockKind<'static>, Vec<Delta<'static>>) {
    (BlockKind::Reasoning { redacted: false }, pieces)
}

#[test]
fn every_kind_of_block_comes_back() {
    let value = |json: &'static str| Value::parse(json, 8, LoneSurrogates::Allowed).unwrap();
    let custom = BlockKind::Call { id: Some("c3".into()), name: "sql".into(), custom: true };
    let citation = Citation {
        url: Some("https://e.example".into()),
        title: Some("t".into()),
        cited: None,
        span: Some((0, 2)),
        origin: Protocol::OpenAiResponses,
        raw: value(r#"{"type":"url_citation","url":"https://e.example","title":"t","start_index":0,"end_index":2}"#),
    };
    let logprobs = value(r#"[{"token":"hi","logprob":-0.5,"bytes":[104],"top_logprobs":[]}]"#);
    let response = check_same(&answer(
        vec![
            thought(vec![
                Delta::Text("a\n\"b\"".into()),
                Delta::Text("c".into()),
                Delta::NextPart,
                Delta::Text("d".into()),
                Delta::State(state(Protocol::OpenAiResponses)),
            ]),
            (
                BlockKind::Text,
                vec![
                    Delta::Text("hi".into()),
                    Delta::Logprobs(logprobs),
                    Delta::Citation(citation),
                    Delta::Text("\u{1f600} there".into()),
                ],
            ),
            text(&["second"]),
            call("c1", &[r#"{\"a\":"#, " 1.0}"]),
            call("c2", &["{}"]),
            (custom, vec![Delta::Arguments("select \"1\"".into())]),
            (BlockKind::Reasoning { redacted: true }, vec![Delta::State(state(Protocol::OpenAiResponses))]),
            text(&["end"]),
            (
                BlockKind::Media { image: true, mime: Cow::Borrowed("image/webp") },
                vec![Delta::Data("iVBO".into()), Delta::Data("Rw==".into())],
            ),
        ],
        StopReason::ToolCalls,
    ));
    let kinds: Vec<&str> = response["output"].as_array().unwrap().iter().map(|i| i["type"].as_str().unwrap()).collect();
    let calls = ["function_call", "function_call", "custom_tool_call"];
    assert_eq!(
        kinds,
        [&["reasoning", "message"][..], &calls, &["reasoning", "message", "image_generation_call"]].concat()
    );
    assert_eq!(response["output"][1]["content"].as_array().unwrap().len(), 2);
    assert_eq!((&response["model"], &response["created_at"]), (&json!("m"), &json!(7)));
    assert_eq!(response["usage"]["total_tokens"], 14);
}

#[test]
fn a_call_without_arguments_is_an_empty_object() {
    let (response, read) = check(&answer(vec![call("c1", &[])], StopReason::ToolCalls));
    assert_eq!(response["output"][0]["arguments"], "{}");
    assert_eq!(read.blocks[0].text, "{}");
    let kind = BlockKind::Call { id: None, name: "f".into(), custom: false };
    let (response, _) = check(&answer(vec![(kind, vec![])], StopReason::ToolCalls));
    assert!(response["output"][0]["call_id"].as_str().unwrap().starts_with("call_"));
}

#[test]
fn foreign_state_is_carried_in_an_envelope() {
    let foreign = state(Protocol::AnthropicMessages);
    let events = answer(
        vec![
            thought(vec![Delta::Text("t".into()), Delta::State(foreign.clone())]),
            thought(vec![Delta::State(foreign.clone())]),
            (BlockKind::Reasoning { redacted: true }, vec![Delta::State(foreign.clone())]),
            text(&["x"]),
        ],
        StopReason::Done,
    );
    let (response, read) = check(&events);
    let redacted: Vec<bool> =
        read.blocks.iter().map(|block| block.kind == BlockKind::Reasoning { redacted: true }).collect();
    assert_eq!(redacted, [false, false, true, false]);
    // What the client sends back is what was carried.
    let body = json!({"model": "m", "input": response["output"]}).to_string();
    let request = read_request(&body, 64).unwrap();
    let states: Vec<_> = request.turns.iter().filter_map(|turn| turn.parts[0].state.clone()).collect();
    assert_eq!(states, vec![foreign; 3]);
}

#[test]
fn a_state_of_a_call_or_text_stands_beside_it() {
    let signed = state(Protocol::GeminiGenerate);
    let early = {
        let (kind, mut deltas) = call("c1", &["{}"]);
        deltas.insert(0, Delta::State(signed.clone()));
        (kind, deltas)
    };
    let late = (BlockKind::Text, vec![Delta::Text("x".into()), Delta::State(signed.clone())]);
    let events = answer(vec![text(&["a"]), late, early, call("c2", &["{}"])], StopReason::ToolCalls);
    let (response, _) = check(&events);
    let kinds: Vec<&str> = response["output"].as_array().unwrap().iter().map(|i| i["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "reasoning", "reasoning", "function_call", "function_call"]);
    let body = json!({"model": "m", "input": response["output"]}).to_string();
    let request = read_request(&body, 64).unwrap();
    let states: Vec<_> =
        request.turns.iter().map(|turn| turn.parts.last().unwrap().state.as_ref() == Some(&signed)).collect();
    assert_eq!(states, [true, true, false]);
}

#[test]
fn reasons_to_end_have_a_status() {
    let cases = [
        (StopReason::Done, "completed", Json::Null),
        (StopReason::StopSequence, "completed", Json::Null),
        (StopReason::Unknown, "completed", Json::Null),
        (StopReason::Length, "incomplete", json!({"reason": "max_output_tokens"})),
        (StopReason::ContextFull, "incomplete", json!({"reason": "max_output_tokens"})),
        (StopReason::Filtered, "incomplete", json!({"reason": "content_filter"})),
        (StopReason::Paused, "incomplete", Json::Null),
    ];
    for (reason, status, details) in cases {
        let (response, _) = check(&answer(vec![text(&["x"])], reason));
        assert_eq!((&response["status"], &response["incomplete_details"]), (&json!(status), &details), "{reason:?}");
        assert_eq!(response["output"][0]["status"], status);
    }
    let refusal = (BlockKind::Refusal, vec![Delta::Text("no".into())]);
    check_same(&answer(vec![refusal], StopReason::Refused));
    check_same(&answer(vec![], StopReason::Done));
    let events = answer(vec![text(&["x"])], StopReason::BadCall);
    let (stream, _) = write(&events, setup());
    let response = check_stream(&stream);
    assert_eq!(response["error"]["code"], "upstream_malformed_tool_call");
    let body = write_whole(&folded(&events), &setup(), &mut Losses::default());
    assert_eq!(serde_json::from_slice::<Json>(&body).unwrap()["status"], "failed");
}

#[test]
fn a_failure_is_said_twice_wherever_it_comes() {
    let error = UpstreamError {
        message: "busy".to_owned(),
        kind: Some("overloaded_error".to_owned()),
        status: Some(529),
        ..UpstreamError::default()
    };
    let events = answer(
        vec![
            thought(vec![Delta::Text("a".into()), Delta::NextPart, Delta::Text("b".into())]),
            text(&["x", "y"]),
            call("c1", &["{", "}"]),
            (BlockKind::Media { image: true, mime: "image/png".into() }, vec![Delta::Data("AA".into())]),
        ],
        StopReason::ToolCalls,
    );
    for cut in 0..events.len() {
        let (mut writer, mut out) = (ResponsesWriter::new(setup()), Vec::new());
        events[..cut].iter().for_each(|event| writer.event(event, &mut out));
        writer.fail(&error, &mut out);
        writer.event(&Event::End, &mut out);
        writer.fail(&error, &mut out);
        let response = check_stream(&out);
        assert_eq!(response["error"], json!({"code": "server_is_overloaded", "message": "busy"}));
        let read = read_sse(std::str::from_utf8(&out).unwrap());
        let known = read.error.unwrap();
        assert_eq!((known.message.as_str(), known.kind.as_deref()), ("busy", Some("server_error")));
    }
}

#[test]
fn what_cannot_be_said_is_a_loss() {
    let foreign = BlockKind::Foreign { protocol: Protocol::AnthropicMessages, what: "x".into(), raw: Value::Null };
    let document = Citation {
        url: None,
        title: None,
        cited: Some("c".into()),
        span: None,
        origin: Protocol::AnthropicMessages,
        raw: Value::Null,
    };
    let page = Citation { url: Some("u".into()), ..document.clone() };
    let events = answer(
        vec![
            (foreign, vec![]),
            (BlockKind::Media { image: false, mime: "audio/wav".into() }, vec![Delta::Data("AA".into())]),
            (BlockKind::Media { image: true, mime: "image/png".into() }, vec![Delta::Url("https://e.example".into())]),
            (BlockKind::Text, vec![Delta::Text("x".into()), Delta::Citation(document), Delta::Citation(page)]),
        ],
        StopReason::Done,
    );
    let (response, read) = check(&events);
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
    assert_eq!(response["output"][0]["content"][0]["annotations"][0]["title"], "");
    assert_eq!(read.blocks.len(), 1);
    let (_, losses) = write(&events, setup());
    let lost: Vec<_> = losses.iter().map(|loss| loss.feature.clone()).collect();
    assert_eq!(lost, [Feature::ServerTool, Feature::AudioOut, Feature::ImageOut, Feature::Citations]);
}

#[test]
fn the_request_is_repeated() {
    let body = r#"{ "model": "m", "input": "hi",
        "instructions": "be\nbrief", "temperature": 0.50, "text": { "verbosity": "low" }, "tools": [
            { "type": "namespace", "name": "ns", "tools": [ { "type": "function", "name": "f" } ] }
        ], "service_tier": null }"#;
    let fields = echo(body);
    assert!(fields.iter().all(|(_, raw)| !raw.contains('\n')));
    let setup = WriterSetup { echo: Arc::from(fields), ..setup() };
    let kind = BlockKind::Call { id: Some("c".into()), name: "ns__f".into(), custom: false };
    let events = answer(vec![(kind, vec![Delta::Arguments("{}".into())])], StopReason::ToolCalls);
    let response = check_stream(&write(&events, setup).0);
    assert_eq!(response["instructions"], "be\nbrief");
    assert_eq!(response["temperature"], 0.5);
    assert_eq!(response["text"], json!({"verbosity": "low", "format": {"type": "text"}}));
    assert_eq!(response["service_tier"], "default");
    let item = &response["output"][0];
    assert_eq!((&item["name"], &item["namespace"]), (&json!("f"), &json!("ns")));

    let large = format!(r#"{{"instructions":"{}","user":"u"}}"#, "x".repeat(300 << 10));
    assert_eq!(echo(&large), [(Cow::Borrowed("user"), "\"u\"".to_owned())]);
    assert!(echo("no").is_empty());
}

#[test]
fn the_same_call_says_the_same_bytes() {
    let events = answer(vec![text(&["x"]), call("c", &["{}"])], StopReason::ToolCalls);
    assert_eq!(write(&events, setup()).0, write(&events, setup()).0);
    let other = WriterSetup { call_id: "other".to_owned(), ..setup() };
    assert_ne!(write(&events, setup()).0, write(&events, other).0);
}

#[test]
fn errors_and_counts_have_their_form() {
    let error = UpstreamError { message: "no \"m\"".to_owned(), status: Some(404), ..UpstreamError::default() };
    let body: Json = serde_json::from_slice(&write_error(&error, 404, "req")).unwrap();
    let expected =
        json!({"message": "no \"m\"", "type": "invalid_request_error", "param": null, "code": "model_not_found"});
    assert_eq!(body, json!({"error": expected}));
    assert_eq!(write_input_tokens_answer(7), br#"{"object":"response.input_tokens","input_tokens":7}"#);
}
