//! Events written as chat answers, and read again.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::super::*;
use super::read_answers::{sequenced, told};
use super::recorded_translation::{fold, read_stream};
use super::recordings::cases;
use crate::wire::ir::{
    BlockKind, Citation, Delta, Event, EventReader, EventWriter, Feature, Finish, Losses, Outcome, Start, State,
    StopReason, UpstreamError, WriterSetup,
};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, Usage};

fn setup(include_usage: bool) -> WriterSetup {
    WriterSetup { call_id: "call".into(), created: 7, model: "m".into(), include_usage, ..WriterSetup::default() }
}

fn written(events: &[Event<'static>], writer: &mut dyn EventWriter) -> String {
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

/// The choices of every chunk, and what stands behind them.
fn chunks(stream: &str) -> Vec<Json> {
    let payloads =
        stream.split("\n\n").filter(|event| !event.is_empty()).map(|event| event.strip_prefix("data: ").unwrap());
    payloads.filter(|payload| *payload != "[DONE]").map(|payload| serde_json::from_str(payload).unwrap()).collect()
}

fn deltas(stream: &str) -> Vec<Json> {
    chunks(stream).iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect()
}

fn block(block: u32, kind: BlockKind<'static>, said: Vec<Delta<'static>>) -> Vec<Event<'static>> {
    let mut events = vec![Event::BlockStart { choice: 0, block, kind }];
    events.extend(said.into_iter().map(|delta| Event::Delta { choice: 0, block, delta }));
    events.push(Event::BlockStop { choice: 0, block });
    events
}

fn text(text: &'static str) -> Delta<'static> {
    Delta::Text(Str::plain(text))
}

fn call(id: Option<&'static str>, name: &'static str) -> BlockKind<'static> {
    BlockKind::Call { id: id.map(Str::plain), name: Str::plain(name), custom: false }
}

fn state(origin: Protocol) -> State<'static> {
    State { origin, account: Some("acme".into()), payload: Str::plain("sig+/=") }
}

fn finish(reason: StopReason) -> Event<'static> {
    Event::Finish(Finish { choice: 0, reason, native: Some(Str::plain("word")), stop_sequence: None, message: None })
}

fn usage() -> Event<'static> {
    let usage = Usage { input_total: 5, cache_read: 2, output_total: 3, reasoning: 1, ..Usage::default() };
    Event::Usage { usage, iterations: Vec::new() }
}

fn answer(blocks: Vec<Vec<Event<'static>>>, reason: StopReason) -> Vec<Event<'static>> {
    let mut events = vec![Event::Start(Start::default())];
    events.extend(blocks.into_iter().flatten());
    events.extend([usage(), finish(reason), Event::End]);
    events
}

#[test]
fn chunks_as_openai_sends_them() {
    let events = answer(
        vec![
            block(0, BlockKind::Text, vec![text("Hi")]),
            block(1, call(Some("c1"), "f"), vec![Delta::Arguments(Str::token(r#"{\"a\":1}"#))]),
            block(2, call(Some("c2"), "g"), vec![]),
        ],
        StopReason::ToolCalls,
    );
    let stream = written(&events, &mut ChatWriter::new(setup(true)));
    let mut all = chunks(&stream);
    let id = all[0]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("chatcmpl-"));
    for chunk in &all {
        let head = [&chunk["id"], &chunk["object"], &chunk["created"], &chunk["model"]];
        assert_eq!(head, [&json!(id), &json!("chat.completion.chunk"), &json!(7), &json!("m")]);
    }
    let last = all.pop().unwrap();
    assert!(all.iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], 8);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
    assert_eq!(last["usage"]["completion_tokens_details"]["reasoning_tokens"], 1);
    assert_eq!(
        deltas(&stream)[..7],
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "Hi"}),
            json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":1}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            json!({}),
        ]
    );
    assert_eq!(all.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    assert!(stream.ends_with("data: [DONE]\n\n"));
    // Who did not ask gets no usage, and no null.
    let quiet = written(&events, &mut ChatWriter::new(setup(false)));
    assert!(chunks(&quiet).iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(chunks(&quiet).len(), all.len());
}

#[test]
fn a_broken_answer_ends_with_an_error_and_without_done() {
    let mut writer = ChatWriter::new(setup(true));
    let mut out = Vec::new();
    let error =
        UpstreamError { message: "gone".into(), kind: Some("overloaded_error".into()), ..UpstreamError::default() };
    writer.fail(&error, &mut out);
    let expected =
        json!({"error": {"message": "gone", "type": "server_error", "param": null, "code": "server_is_overloaded"}});
    let said = String::from_utf8(out).unwrap();
    assert_eq!(chunks(&said), [expected]);
    assert!(!said.contains("DONE"));
}

#[test]
fn finish_words() {
    let word = |reason, blocks| {
        let events = answer(blocks, reason);
        let stream = written(&events, &mut ChatWriter::new(setup(false)));
        let last = chunks(&stream).pop().unwrap()["choices"][0].clone();
        let whole: Json =
            serde_json::from_slice(&write_whole(&fold(&events), &setup(false), &mut Losses::default())).unwrap();
        assert_eq!(last["finish_reason"], whole["choices"][0]["finish_reason"]);
        assert_eq!(last["native_finish_reason"], whole["choices"][0]["native_finish_reason"]);
        (last["finish_reason"].as_str().unwrap().to_owned(), last["native_finish_reason"].clone())
    };
    let said = || vec![block(0, BlockKind::Text, vec![text("a")])];
    for (reason, expected) in [
        (StopReason::Done, "stop"),
        (StopReason::StopSequence, "stop"),
        (StopReason::Length, "length"),
        (StopReason::ContextFull, "length"),
        (StopReason::ToolCalls, "tool_calls"),
        (StopReason::Filtered, "content_filter"),
        (StopReason::Refused, "content_filter"),
        (StopReason::Paused, "stop"),
    ] {
        assert_eq!(word(reason, said()), (expected.to_owned(), Json::Null));
    }
    assert_eq!(word(StopReason::Unknown, said()), ("stop".to_owned(), json!("word")));
    assert_eq!(word(StopReason::BadCall, said()), ("stop".to_owned(), json!("word")));
    let refused = vec![block(0, BlockKind::Refusal, vec![text("no")])];
    assert_eq!(word(StopReason::Refused, refused), ("stop".to_owned(), Json::Null));
}

#[test]
fn state_travels_in_fields_that_clients_send_back() {
    let events = answer(
        vec![
            block(
                0,
                BlockKind::Reasoning { redacted: false },
                vec![text("hm"), Delta::State(state(Protocol::AnthropicMessages))],
            ),
            block(1, BlockKind::Reasoning { redacted: true }, vec![Delta::State(state(Protocol::AnthropicMessages))]),
            block(
                2,
                call(Some("c1"), "f"),
                vec![Delta::State(state(Protocol::GeminiGenerate)), Delta::Arguments(Str::plain("{}"))],
            ),
        ],
        StopReason::ToolCalls,
    );
    let am = state(Protocol::AnthropicMessages).wrapped();
    let gm = state(Protocol::GeminiGenerate).wrapped();
    let stream = written(&events, &mut ChatWriter::new(setup(false)));
    let signed = json!({"google": {"thought_signature": gm}});
    assert_eq!(
        deltas(&stream)[1..5],
        [
            json!({"reasoning_content": "hm"}),
            json!({"reasoning_details": [{"type": "reasoning.text", "signature": am, "index": 0}]}),
            json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": am, "index": 1}]}),
            json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}, "extra_content": signed}]}),
        ]
    );
    let whole = write_whole(&fold(&events), &setup(false), &mut Losses::default());
    let message = serde_json::from_slice::<Json>(&whole).unwrap()["choices"][0]["message"].clone();
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(
        message["reasoning_details"],
        json!([
            {"type": "reasoning.text", "text": "hm", "signature": am, "index": 0},
            {"type": "reasoning.encrypted", "data": am, "index": 1},
        ])
    );
    assert_eq!(message["tool_calls"][0]["extra_content"], signed);
}

/// A client that puts the pieces of a stream together and sends them back gives every block its own state again.
#[test]
fn state_comes_back_to_its_own_text() {
    let thought = |n, said: &'static str, payload: &'static str| {
        let mut state = state(Protocol::AnthropicMessages);
        state.payload = Str::plain(payload);
        block(n, BlockKind::Reasoning { redacted: false }, vec![text(said), text("."), Delta::State(state)])
    };
    let blocks = vec![thought(0, "one", "s1"), block(1, BlockKind::Text, vec![text("a")]), thought(2, "two", "s2")];
    let stream = written(&answer(blocks, StopReason::Done), &mut ChatWriter::new(setup(false)));
    let (mut flat, mut details) = (String::new(), Vec::new());
    for delta in deltas(&stream) {
        flat.push_str(delta["reasoning_content"].as_str().unwrap_or(""));
        details.extend(delta["reasoning_details"].as_array().cloned().unwrap_or_default());
    }
    let message = json!({"role": "assistant", "content": "a", "reasoning_content": flat, "reasoning_details": details});
    let body = json!({"model": "m", "messages": [message]}).to_string();
    let request = read_request(&body, 64).unwrap();
    let thoughts: Vec<(String, String, Protocol)> = request.turns[0]
        .parts
        .iter()
        .filter_map(|part| match &part.kind {
            crate::wire::ir::PartKind::Reasoning(reasoning) => {
                let state = part.state.as_ref().unwrap();
                Some((reasoning.text[0].decode().into_owned(), state.payload.decode().into_owned(), state.origin))
            }
            _ => None,
        })
        .collect();
    let am = Protocol::AnthropicMessages;
    assert_eq!(thoughts, [("one.".into(), "s1".into(), am), ("two.".into(), "s2".into(), am)]);
}

#[test]
fn citations_stand_where_their_text_does() {
    let cited = |url: Option<&'static str>, span| {
        Delta::Citation(Citation {
            url: url.map(Str::plain),
            title: Some(Str::plain("t")),
            cited: None,
            span,
            origin: Protocol::AnthropicMessages,
            raw: Value::Null,
        })
    };
    let blocks = vec![
        block(0, BlockKind::Text, vec![text("häh")]),
        block(
            1,
            BlockKind::Text,
            vec![text("abcd"), cited(Some("u"), Some((1, 2))), cited(Some("v"), None), cited(None, None)],
        ),
    ];
    let events = answer(blocks, StopReason::Done);
    let annotation = |from: u64, to: u64, url: &str| json!({"type": "url_citation", "url_citation": {"start_index": from, "end_index": to, "url": url, "title": "t"}});
    let mut writer = ChatWriter::new(setup(false));
    let stream = written(&events, &mut writer);
    assert_eq!(
        deltas(&stream)[3..5],
        [json!({"annotations": [annotation(4, 5, "u")]}), json!({"annotations": [annotation(3, 7, "v")]})]
    );
    let mut losses = Losses::default();
    let whole: Json = serde_json::from_slice(&write_whole(&fold(&events), &setup(false), &mut losses)).unwrap();
    assert_eq!(whole["choices"][0]["message"]["annotations"], json!([annotation(4, 5, "u"), annotation(3, 7, "v")]));
    assert_eq!(whole["choices"][0]["message"]["content"], "hähabcd");
    for losses in [&losses, writer.losses()] {
        assert_eq!(losses.iter().map(|loss| &loss.feature).collect::<Vec<_>>(), [&Feature::Citations]);
    }
}

#[test]
fn a_whole_answer() {
    let events = answer(
        vec![
            block(0, BlockKind::Reasoning { redacted: false }, vec![text("h"), Delta::NextPart, text("m")]),
            block(1, call(None, "f"), vec![]),
        ],
        StopReason::ToolCalls,
    );
    let whole: Json =
        serde_json::from_slice(&write_whole(&fold(&events), &setup(false), &mut Losses::default())).unwrap();
    let id = whole["choices"][0]["message"]["tool_calls"][0]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("call_") && id.len() == 29);
    assert_eq!(
        whole["choices"],
        json!([{
            "index": 0,
            "message": {
                "role": "assistant", "content": null, "refusal": null, "reasoning_content": "h\n\nm",
                "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "logprobs": null,
            "finish_reason": "tool_calls",
        }])
    );
    assert_eq!((&whole["object"], &whole["created"]), (&json!("chat.completion"), &json!(7)));
    // The same id in a stream.
    let stream = written(&events, &mut ChatWriter::new(setup(false)));
    assert!(stream.contains("chatcmpl-"));
    assert_eq!(chunks(&stream)[0]["id"], whole["id"]);
}

#[test]
fn images_and_sound() {
    let events = answer(
        vec![
            block(
                0,
                BlockKind::Media { image: true, mime: "image/png".into() },
                vec![Delta::Data(Str::plain("AA")), Delta::Data(Str::plain("BB"))],
            ),
            block(
                1,
                BlockKind::Media { image: false, mime: "audio/wav".into() },
                vec![Delta::Data(Str::plain("CC")), Delta::Data(Str::plain("DD"))],
            ),
        ],
        StopReason::Done,
    );
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AABB"}}]);
    let stream = written(&events, &mut ChatWriter::new(setup(false)));
    let said = deltas(&stream);
    assert_eq!(said[1]["images"], image);
    assert_eq!((&said[2]["audio"]["data"], &said[3]["audio"]), (&json!("CC"), &json!({"data": "DD"})));
    let whole: Json =
        serde_json::from_slice(&write_whole(&fold(&events), &setup(false), &mut Losses::default())).unwrap();
    assert_eq!(whole["choices"][0]["message"]["images"], image);
    assert_eq!(whole["choices"][0]["message"]["audio"]["data"], "CCDD");
}

#[test]
fn who_asked_in_the_old_form_is_answered_in_it() {
    assert!(echo(r#"{"tools":[{"functions":1}],"functions":[]}"#).is_empty());
    let echo: Arc<[(Cow<'static, str>, String)]> = echo(r#"{"functions":[]}"#).into();
    let setup = WriterSetup { echo, ..setup(false) };
    let events =
        answer(vec![block(0, call(Some("c1"), "f"), vec![Delta::Arguments(Str::plain("{}"))])], StopReason::ToolCalls);
    let stream = written(&events, &mut ChatWriter::new(setup.clone()));
    assert_eq!(
        deltas(&stream)[1..3],
        [json!({"function_call": {"name": "f", "arguments": ""}}), json!({"function_call": {"arguments": "{}"}})]
    );
    let whole: Json = serde_json::from_slice(&write_whole(&fold(&events), &setup, &mut Losses::default())).unwrap();
    assert_eq!(whole["choices"][0]["message"]["function_call"], json!({"name": "f", "arguments": "{}"}));
    assert_eq!(whole["choices"][0]["finish_reason"], "function_call");
}

#[test]
fn errors_have_openais_shape_and_the_upstreams_message() {
    let check = |body: &str, status: u16, sent: u16, expected: [Option<&str>; 3]| {
        let error = UpstreamError::read(Some(status), body.as_bytes());
        let said: Json = serde_json::from_slice(&write_error(&error, sent, "req")).unwrap();
        let field = |name: &str| said["error"][name].as_str().map(str::to_owned);
        assert_eq!(
            [field("message"), field("type"), field("code")],
            expected.map(|text| text.map(str::to_owned)),
            "{body}"
        );
        assert!(said["error"].get("param").is_some());
    };
    check(
        r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
        529,
        503,
        [Some("busy"), Some("server_error"), Some("server_is_overloaded")],
    );
    check(
        r#"{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}"#,
        429,
        429,
        [Some("quota"), Some("rate_limit_exceeded"), Some("rate_limit_exceeded")],
    );
    check(
        r#"{"error":{"message":"bad","type":"invalid_request_error","param":"x","code":"unsupported_value"}}"#,
        400,
        400,
        [Some("bad"), Some("invalid_request_error"), Some("unsupported_value")],
    );
    // Our key at the upstream is not the client's affair.
    check(
        r#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#,
        401,
        502,
        [Some("no"), Some("server_error"), None],
    );
}

/// What an answer says, without what writing it must change: ids of the answer, empty arguments, words of vendors.
fn said(events: &[Event<'static>]) -> String {
    let events: Vec<Event<'static>> = sequenced(events)
        .into_iter()
        .filter(|event| !matches!(event, Event::Delta { delta: Delta::State(_) | Delta::Logprobs(_), .. }))
        .map(|event| match event {
            Event::BlockStart { choice, block, kind: BlockKind::Call { id, name, custom } } => {
                let id = id.filter(|id| !id.decode().starts_with("call_"));
                Event::BlockStart { choice, block, kind: BlockKind::Call { id, name, custom } }
            }
            Event::Delta { choice, block, delta: Delta::Citation(citation) } => {
                let title = citation.title.or(Some(Str::plain("")));
                Event::Delta { choice, block, delta: Delta::Citation(Citation { title, span: None, ..citation }) }
            }
            Event::Usage { usage, .. } => {
                assert_eq!(usage.cache_write_5m + usage.cache_write_1h, 0);
                Event::Usage { usage, iterations: Vec::new() }
            }
            event => event,
        })
        .collect();
    // A redacted block holds nothing but state.
    told(&events).replace("|]", "|{}]").replace("[redacted|{}]", "")
}

#[test]
fn what_is_written_is_read_again_the_same() {
    let (mut streams, mut wholes) = (0, 0);
    for case in cases() {
        let (events, outcome) = match (case.read("response.sse"), case.read("response.json")) {
            (Some(stream), _) => read_stream(&stream, stream.len().max(1)),
            (None, Some(body)) => {
                let mut events: Vec<Event<'static>> = Vec::new();
                if ChatReader::new("acme").read_whole(std::str::from_utf8(&body).unwrap(), &mut events).is_err() {
                    continue;
                }
                (events, Outcome::Complete)
            }
            (None, None) => continue,
        };
        if outcome != Outcome::Complete || events.iter().any(|event| matches!(event, Event::Failed(_))) {
            continue;
        }
        // State of this protocol holds its text once more, which other clients' state does not.
        let foreign = |event: Event<'static>| match event {
            Event::Delta { choice, block, delta: Delta::State(_) } => {
                Event::Delta { choice, block, delta: Delta::State(state(Protocol::AnthropicMessages)) }
            }
            event => event,
        };
        let events: Vec<Event<'static>> = sequenced(&events).into_iter().map(foreign).collect();
        let stream = written(&events, &mut ChatWriter::new(setup(true)));
        let (again, outcome) = read_stream(stream.as_bytes(), 100);
        assert_eq!(outcome, Outcome::Complete, "{}", case.id);
        assert_eq!(said(&again), said(&events), "{}", case.id);
        let states = |events: &[Event<'static>]| {
            events.iter().filter(|event| matches!(event, Event::Delta { delta: Delta::State(_), .. })).count()
        };
        assert_eq!(states(&again), states(&events), "{}", case.id);
        streams += 1;

        let whole = write_whole(&fold(&events), &setup(false), &mut Losses::default());
        let mut again: Vec<Event<'static>> = Vec::new();
        ChatReader::new("acme").read_whole(std::str::from_utf8(&whole).unwrap(), &mut again).unwrap();
        assert_eq!(sorted(&said(&again)), sorted(&said(&events)), "{}", case.id);
        wholes += 1;
    }
    println!("{streams} streams and {wholes} whole answers are read again the same");
}

/// A whole message has an order of its own: thinking, text, calls.
fn sorted(said: &str) -> Vec<char> {
    let mut chars: Vec<char> = said.chars().collect();
    chars.sort_unstable();
    chars
}

#[test]
fn legacy_completions() {
    let body = r#"{"model":"m","prompt":["Say hi"],"max_tokens":5,"stop":"x","stream":true,"echo":false,"best_of":1,"suffix":null,"foo":1}"#;
    let request = read_completion_request(body, 64).unwrap();
    assert!(request.stream);
    let mut losses = Losses::default();
    let (out, _) = write_request(&request, &super::recorded_translation::target("m", true), &mut losses).unwrap();
    assert_eq!(
        serde_json::from_slice::<Json>(&out).unwrap(),
        json!({
            "model": "m", "messages": [{"role": "user", "content": "Say hi"}], "max_completion_tokens": 5, "stop": "x",
            "stream": true, "stream_options": {"include_usage": true}, "foo": 1,
        })
    );
    for (body, param) in [
        (r#"{"model":"m"}"#, "prompt"),
        (r#"{"model":"m","prompt":["a","b"]}"#, "prompt"),
        (r#"{"model":"m","prompt":[1,2]}"#, "prompt"),
        (r#"{"model":"m","prompt":[[1]]}"#, "prompt"),
        (r#"{"model":"m","prompt":"a","suffix":"b"}"#, "suffix"),
        (r#"{"model":"m","prompt":"a","echo":true}"#, "echo"),
        (r#"{"model":"m","prompt":"a","best_of":3}"#, "best_of"),
    ] {
        assert_eq!(read_completion_request(body, 64).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    let probs = Value::Array(vec![
        Value::parse(
            r#"{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5}]}"#,
            9,
            crate::wire::json::LoneSurrogates::Allowed,
        )
        .unwrap(),
    ]);
    let events = answer(
        vec![
            block(0, BlockKind::Reasoning { redacted: false }, vec![text("hm")]),
            block(1, BlockKind::Text, vec![text("Hi"), Delta::Logprobs(probs)]),
        ],
        StopReason::Length,
    );
    let mut writer = CompletionWriter::new(setup(true));
    let stream = written(&events, &mut writer);
    let all = chunks(&stream);
    let expected =
        json!({"tokens": ["Hi"], "token_logprobs": [-0.5], "top_logprobs": [{"Hi": -0.5}], "text_offset": [0]});
    let choice = |text: &str, finish: Json, logprobs: Json| json!([{"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish}]);
    assert_eq!(all[0]["object"], "text_completion");
    assert_eq!(all[0]["choices"], choice("Hi", Json::Null, Json::Null));
    assert_eq!(all[1]["choices"], choice("", Json::Null, expected.clone()));
    assert_eq!(all[2]["choices"], choice("", json!("length"), Json::Null));
    assert_eq!(all[3]["usage"]["total_tokens"], 8);
    assert!(stream.ends_with("data: [DONE]\n\n"));
    let mut losses = Losses::default();
    let whole: Json =
        serde_json::from_slice(&write_completion_whole(&fold(&events), &setup(false), &mut losses)).unwrap();
    assert_eq!(whole["choices"], choice("Hi", json!("length"), expected));
    assert_eq!(whole["usage"]["total_tokens"], 8);
    assert_eq!(&losses, writer.losses());
}
