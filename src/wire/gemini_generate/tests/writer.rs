//! What a Gemini client is sent, and that a Gemini reader understands it.

use super::array::split;
use super::recordings::{cases_with, fold};
use super::{payloads, read_stream, read_whole};
use crate::wire::gemini_generate::{GeminiWriter, write_whole};
use crate::wire::ir::{
    Answer, BlockKind, Citation, Delta, Event, EventWriter, Finish, Fold, Framing, Losses, Sink, Start, State,
    StopReason, UpstreamError, WriterSetup,
};
use crate::wire::json::{Str, Value};
use crate::wire::{Protocol, Usage};

fn setup(framing: Framing) -> WriterSetup {
    WriterSetup { call_id: "c-1".into(), model: "gem-1".into(), framing, ..WriterSetup::default() }
}

fn written(events: &[Event<'static>], framing: Framing) -> (String, Losses) {
    let mut writer = GeminiWriter::new(setup(framing));
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut out));
    (String::from_utf8(out).unwrap(), writer.losses().clone())
}

fn elements(body: &str) -> Vec<String> {
    let (elements, closed) = split([body.as_bytes()]);
    assert!(closed, "{body}");
    elements.into_iter().map(|element| String::from_utf8(element.unwrap()).unwrap()).collect()
}

pub fn block(choice: u32, block: u32, kind: BlockKind<'static>, deltas: Vec<Delta<'static>>) -> Vec<Event<'static>> {
    let mut events = vec![Event::BlockStart { choice, block, kind }];
    events.extend(deltas.into_iter().map(|delta| Event::Delta { choice, block, delta }));
    events.push(Event::BlockStop { choice, block });
    events
}

pub fn text(text: &'static str) -> Delta<'static> {
    Delta::Text(Str::plain(text))
}

fn finish(choice: u32, reason: StopReason) -> Event<'static> {
    Event::Finish(Finish { choice, reason, native: None, stop_sequence: None, message: None })
}

fn call(id: Option<&'static str>, name: &'static str) -> BlockKind<'static> {
    BlockKind::Call { id: id.map(Str::plain), name: Str::plain(name), custom: false }
}

fn arguments(text: &'static str) -> Delta<'static> {
    Delta::Arguments(Str::plain(text))
}

fn state(origin: Protocol, payload: &'static str) -> Delta<'static> {
    Delta::State(State { origin, account: Some("acme".into()), payload: Str::plain(payload) })
}

fn answer(blocks: Vec<Vec<Event<'static>>>, reason: StopReason) -> Vec<Event<'static>> {
    let mut events = vec![Event::Start(Start::default())];
    events.extend(blocks.into_iter().flatten());
    let usage = Usage { input_total: 20, cache_read: 4, output_total: 9, reasoning: 3, ..Usage::default() };
    events.extend([Event::Usage { usage, iterations: Vec::new() }, finish(0, reason), Event::End]);
    events
}

fn whole(events: &[Event<'static>]) -> (String, Losses) {
    let mut fold = Fold::default();
    events.iter().for_each(|event| fold.event(event.clone()));
    let mut losses = Losses::default();
    let body = write_whole(&fold.answer, &setup(Framing::Sse), &mut losses);
    (String::from_utf8(body).unwrap(), losses)
}

#[test]
fn a_stream_is_framed_as_googles_clients_need_it() {
    let events = answer(vec![block(0, 0, BlockKind::Text, vec![text("Hi "), text("you")])], StopReason::Done);
    let one = r#"{"candidates":[{"content":{"parts":[{"text":"Hi "}],"role":"model"},"index":0}],"modelVersion":"gem-1","responseId":"c-1"}"#;
    let two = one.replace("Hi ", "you");
    let end = r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":20,"candidatesTokenCount":6,"totalTokenCount":29,"cachedContentTokenCount":4,"thoughtsTokenCount":3},"modelVersion":"gem-1","responseId":"c-1"}"#;
    let (sse, _) = written(&events, Framing::Sse);
    assert_eq!(sse, format!("data: {one}\r\n\r\ndata: {two}\r\n\r\ndata: {end}\r\n\r\n"));
    let (array, _) = written(&events, Framing::Array);
    assert_eq!(array, format!("[{one}\r\n,\r\n{two}\r\n,\r\n{end}]"));
}

#[test]
fn calls_come_whole_with_arguments_that_are_an_object() {
    let blocks = vec![
        block(
            0,
            0,
            call(Some("call_1"), "add"),
            vec![arguments("{\"a\":1.0,"), arguments("\"b\":12345678901234567890}")],
        ),
        block(0, 1, call(None, "now"), vec![]),
    ];
    let (sse, losses) = written(&answer(blocks, StopReason::ToolCalls), Framing::Sse);
    let chunks = payloads(&sse);
    assert_eq!(chunks.len(), 3);
    assert!(
        chunks[0]
            .contains(r#"{"functionCall":{"id":"call_1","name":"add","args":{"a":1.0,"b":12345678901234567890}}}"#)
    );
    assert!(chunks[1].contains(r#"{"functionCall":{"name":"now","args":{}}}"#));
    assert!(chunks[2].contains(r#""finishReason":"STOP""#));
    assert!(losses.is_empty());
}

#[test]
fn arguments_that_are_no_object_are_kept_as_text() {
    for (text, args) in [
        (r#"{"a":"#, r#"{"_raw":"{\"a\":"}"#),
        ("[1]", r#"{"_raw":"[1]"}"#),
        ("\"a\"", r#"{"_raw":"\"a\""}"#),
        (" null ", "{}"),
        ("", "{}"),
    ] {
        let blocks = || vec![block(0, 0, call(None, "add"), vec![arguments(text)])];
        let (sse, losses) = written(&answer(blocks(), StopReason::Length), Framing::Sse);
        assert!(sse.contains(&format!(r#""functionCall":{{"name":"add","args":{args}}}"#)), "{sse}");
        assert!(sse.contains("\"finishReason\":\"MAX_TOKENS\""));
        assert!(losses.is_empty());
        let (sse, _) = written(&answer(blocks(), StopReason::ToolCalls), Framing::Sse);
        assert!(sse.contains("\"finishReason\":\"STOP\""));
    }
}

#[test]
fn a_failure_is_the_last_thing_said() {
    let error = UpstreamError {
        message: "busy".into(),
        kind: Some("UNAVAILABLE".into()),
        retry_after_ms: Some(1500),
        ..UpstreamError::default()
    };
    for (framing, start, end) in
        [(Framing::Sse, "data: {\"error\":{", "\r\n\r\n"), (Framing::Array, "[{\"error\":{", "]")]
    {
        let mut writer = GeminiWriter::new(setup(framing));
        let mut out = Vec::new();
        writer.fail(&error, &mut out);
        writer.event(&Event::End, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with(start) && out.ends_with(end), "{out}");
        assert!(
            out.contains(r#""code":503,"message":"busy","status":"UNAVAILABLE""#) && out.contains("\"1.5s\""),
            "{out}"
        );
    }
}

#[test]
fn an_array_without_elements_is_closed() {
    let mut writer = GeminiWriter::new(setup(Framing::Array));
    let mut out = Vec::new();
    writer.event(&Event::End, &mut out);
    assert_eq!(elements(std::str::from_utf8(&out).unwrap()).len(), 1);
}

/// What of an answer must survive being written and read.
fn seen(answer: &Answer) -> Vec<String> {
    let mut seen = Vec::new();
    for choice in &answer.choices {
        for block in &choice.blocks {
            let kind = match &block.kind {
                BlockKind::Refusal => "Text".to_owned(),
                BlockKind::Reasoning { .. } => "Reasoning".to_owned(),
                BlockKind::Call { id, name, .. } => format!("{:?} {}", id.as_ref().map(Str::decode), name.decode()),
                BlockKind::Foreign { raw, .. } => raw.to_json(),
                kind => format!("{kind:?}"),
            };
            let decoded = |text: &Option<Str<'static>>| text.as_ref().map(|text| text.decode().into_owned());
            let citations: Vec<_> =
                block.citations.iter().map(|c| (decoded(&c.url), decoded(&c.title), c.span)).collect();
            let state = block.state.as_ref().map(|state| state.payload.decode());
            let logprobs: Vec<_> = block.logprobs.iter().map(Value::to_json).collect();
            let text = block.text().decode().into_owned();
            seen.push(format!(
                "{} {kind} {text:?} {:?} {citations:?} {state:?} {logprobs:?}",
                choice.choice, block.url
            ));
        }
        let finish = choice
            .finish
            .as_ref()
            .map(|finish| (finish.reason, finish.message.as_ref().map(|why| why.decode().into_owned())));
        seen.push(format!("{} {finish:?}", choice.choice));
    }
    let usage = answer.usage.map(|usage| Usage { web_searches: 0, ..usage });
    seen.push(format!("{usage:?}"));
    seen
}

#[track_caller]
fn check_round(id: &str, events: &[Event<'static>]) {
    let expected = seen(&fold(events.to_vec()).answer);
    let (sse, losses) = written(events, Framing::Sse);
    assert!(losses.is_empty(), "{id}: {losses:?}");
    assert!(!sse.lines().any(|line| line.starts_with(':')));
    let again = read_stream(payloads(&sse).iter().map(String::as_str));
    assert_eq!(seen(&fold(again).answer), expected, "{id}: SSE");
    let (array, _) = written(events, Framing::Array);
    let again = read_stream(elements(&array).iter().map(String::as_str));
    assert_eq!(seen(&fold(again).answer), expected, "{id}: array");
    assert_eq!(seen(&fold(read_whole(&array)).answer), expected, "{id}: array at once");
    let (body, losses) = whole(events);
    assert!(losses.is_empty(), "{id}: {losses:?}");
    assert_eq!(seen(&fold(read_whole(&body)).answer), expected, "{id}: whole");
}

fn citation(url: &'static str, span: (u64, u64)) -> Delta<'static> {
    Delta::Citation(Citation {
        url: Some(Str::plain(url)),
        title: Some(Str::plain("a title")),
        cited: None,
        span: Some(span),
        origin: Protocol::OpenAiResponses,
        raw: Value::object(),
    })
}

#[test]
fn what_is_written_is_read_again() {
    let gm = |payload| state(Protocol::GeminiGenerate, payload);
    check_round(
        "thought, text, calls",
        &answer(
            vec![
                block(0, 0, BlockKind::Reasoning { redacted: false }, vec![text("hm"), text(" so")]),
                block(0, 1, BlockKind::Text, vec![text("é😀 \"q\"\n"), gm("c2ln")]),
                block(0, 2, call(Some("id1"), "f"), vec![arguments("{\"x\":{\"y\":[1,2]}}"), gm("c2ln")]),
                block(0, 3, call(None, "g"), vec![arguments("{}")]),
                block(0, 4, BlockKind::Text, vec![text("after")]),
            ],
            StopReason::ToolCalls,
        ),
    );
    check_round(
        "citations in characters",
        &answer(
            vec![block(
                0,
                0,
                BlockKind::Text,
                vec![text("né "), text("à Zoé"), citation("http://a", (3, 8)), citation("http://b", (0, 2))],
            )],
            StopReason::Done,
        ),
    );
    check_round(
        "media",
        &answer(
            vec![
                block(0, 0, BlockKind::Text, vec![text("see")]),
                block(
                    0,
                    1,
                    BlockKind::Media { image: true, mime: "image/png".into() },
                    vec![Delta::Data(Str::plain("iVBO")), Delta::Data(Str::plain("Rw0K"))],
                ),
            ],
            StopReason::Length,
        ),
    );
    let mut several = vec![Event::Start(Start::default())];
    several.extend(block(0, 0, BlockKind::Text, vec![text("one")]));
    several.extend(block(1, 0, BlockKind::Text, vec![text("two")]));
    several.extend([finish(0, StopReason::Done), finish(1, StopReason::Filtered), Event::End]);
    check_round("several candidates", &several);
}

#[test]
fn foreign_state_comes_back_where_clients_keep_it() {
    // A thought without text, or whose state stands for itself, is carried by the call behind it.
    for (origin, shown, redacted) in [
        (Protocol::OpenAiResponses, true, false),
        (Protocol::OpenAiResponses, false, false),
        (Protocol::AnthropicMessages, false, true),
    ] {
        let thought = if shown { vec![text("hm"), state(origin, "gAA=")] } else { vec![state(origin, "gAA=")] };
        let blocks = vec![
            block(0, 0, BlockKind::Reasoning { redacted }, thought),
            block(0, 1, call(Some("id1"), "f"), vec![arguments("{}")]),
        ];
        let events = answer(blocks, StopReason::ToolCalls);
        for body in [written(&events, Framing::Array).0, whole(&events).0] {
            check_comes_back(&body, origin, redacted, shown.then_some("hm"));
        }
    }
    // Anthropic's text and signature travel together.
    let blocks = vec![
        block(
            0,
            0,
            BlockKind::Reasoning { redacted: false },
            vec![text("h"), text("m"), state(Protocol::AnthropicMessages, "gAA=")],
        ),
        block(0, 1, call(Some("id1"), "f"), vec![arguments("{}")]),
    ];
    let events = answer(blocks, StopReason::ToolCalls);
    for body in [written(&events, Framing::Array).0, whole(&events).0] {
        check_comes_back(&body, Protocol::AnthropicMessages, false, Some("hm"));
    }
}

/// The client sends all parts back, and the thought is whole again.
fn check_comes_back(body: &str, origin: Protocol, redacted: bool, shown: Option<&str>) {
    use crate::wire::ir::{Part, PartKind};
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    let chunks = value.as_array().cloned().unwrap_or_else(|| vec![value]);
    let parts: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array().unwrap().clone())
        .collect();
    let history = serde_json::json!({ "contents": [{ "role": "model", "parts": parts }] }).to_string();
    let request = crate::wire::gemini_generate::read_request(&history, 64).unwrap();
    let parts: Vec<&Part<'_>> = request.turns[0]
        .parts
        .iter()
        .filter(|part| !matches!(&part.kind, PartKind::Text(text) if text.is_empty()))
        .collect();
    let [thought, call] = parts.as_slice() else { panic!("{parts:?}") };
    let expected = State { origin, account: Some("acme".into()), payload: Str::plain("gAA=") };
    assert_eq!(thought.state.as_ref(), Some(&expected));
    let PartKind::Reasoning(reasoning) = &thought.kind else { panic!("{thought:?}") };
    assert_eq!(reasoning.redacted, redacted);
    assert_eq!(reasoning.text.first().map(|text| text.decode()).as_deref(), shown);
    assert!(matches!(call.kind, PartKind::Call(_)) && call.state.is_none());
}

#[test]
fn recorded_answers_are_written_and_read_again() {
    let mut answers = 0;
    for (id, events) in cases_with() {
        let last = fold(events.clone());
        if !last.answer.ended {
            continue;
        }
        check_round(&id, &events);
        answers += 1;
    }
    println!("{answers} answers written and read again");
}
