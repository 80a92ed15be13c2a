//! Answers of other protocols as an Anthropic client sees them.

use super::*;
use crate::wire::ir::{
    BlockKind, Citation, Delta, Feature, Finish, Fold, LossKind, Losses, Sink, Start, State, StopReason,
};
use crate::wire::json::Str;
use crate::wire::{Protocol, Usage};

fn begin(kind: BlockKind<'static>) -> Event<'static> {
    Event::BlockStart { choice: 0, block: 0, kind }
}

fn say(delta: Delta<'static>) -> Event<'static> {
    Event::Delta { choice: 0, block: 0, delta }
}

const DONE: Event<'static> = Event::BlockStop { choice: 0, block: 0 };

fn finish(reason: StopReason) -> Event<'static> {
    Event::Finish(Finish { choice: 0, reason, native: None, stop_sequence: None, message: None })
}

fn call(id: Option<&'static str>, name: &'static str, custom: bool) -> BlockKind<'static> {
    BlockKind::Call { id: id.map(Str::from), name: name.into(), custom }
}

fn state(origin: Protocol) -> Delta<'static> {
    Delta::State(State { origin, account: Some("acme".into()), payload: "enc+/=".into() })
}

/// The content of an answer of `blocks`, written whole, once its stream, put together again, says the same.
#[track_caller]
fn check(blocks: &[Event<'static>], content: &str) -> Losses {
    let mut events = vec![Event::Start(Start::default())];
    events.extend_from_slice(blocks);
    events.extend([finish(StopReason::Done), Event::End]);
    let mut fold = Fold::default();
    events.iter().for_each(|event| fold.event(event.clone()));
    let mut losses = Losses::default();
    let body = write_whole(&fold.answer, &setup(), &mut losses);
    let message = dom(std::str::from_utf8(&body).unwrap());
    assert_eq!(message["content"], dom(content));
    assert_eq!(put_together(&write_stream(&events)), message["content"]);

    let mut writer = MessagesWriter::new(setup());
    events.iter().for_each(|event| writer.event(event, &mut Vec::new()));
    assert_eq!(*writer.losses(), losses);
    losses
}

/// As an SDK does it.
fn put_together(stream: &str) -> serde_json::Value {
    let mut blocks: Vec<serde_json::Value> = Vec::new();
    let mut json = String::new();
    for (_, data) in events_of(stream) {
        let event = dom(&data);
        let add = |to: &mut serde_json::Value, more: &serde_json::Value| {
            *to = format!("{}{}", to.as_str().unwrap(), more.as_str().unwrap()).into();
        };
        match event["type"].as_str().unwrap() {
            "content_block_start" => blocks.push(event["content_block"].clone()),
            "content_block_delta" => {
                let (block, delta) = (blocks.last_mut().unwrap(), &event["delta"]);
                match delta["type"].as_str().unwrap() {
                    "text_delta" => add(&mut block["text"], &delta["text"]),
                    "thinking_delta" => add(&mut block["thinking"], &delta["thinking"]),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => json.push_str(delta["partial_json"].as_str().unwrap()),
                    "citations_delta" => match block.get_mut("citations") {
                        Some(list) => list.as_array_mut().unwrap().push(delta["citation"].clone()),
                        None => block["citations"] = vec![delta["citation"].clone()].into(),
                    },
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" if !json.is_empty() => {
                blocks.last_mut().unwrap()["input"] = dom(&std::mem::take(&mut json));
            }
            _ => {}
        }
    }
    blocks.into()
}

#[test]
fn blocks_of_every_kind() {
    use Protocol::OpenAiResponses as Rs;
    let carried = State { origin: Rs, account: Some("acme".into()), payload: "enc+/=".into() }.wrapped();
    let thought = [
        begin(BlockKind::Reasoning { redacted: false }),
        say(Delta::NextPart),
        say(Delta::Text("one".into())),
        say(Delta::NextPart),
        say(Delta::Text("two".into())),
        say(state(Rs)),
        DONE,
    ];
    check(&thought, &format!(r#"[{{"type":"thinking","thinking":"one\n\ntwo","signature":"{carried}"}}]"#));
    let unsigned = [begin(BlockKind::Reasoning { redacted: false }), say(Delta::Text("hm".into())), DONE];
    check(&unsigned, r#"[{"type":"thinking","thinking":"hm","signature":""}]"#);
    let hidden = [begin(BlockKind::Reasoning { redacted: true }), say(state(Rs)), DONE];
    check(&hidden, &format!(r#"[{{"type":"redacted_thinking","data":"{carried}"}}]"#));
    let omitted = [begin(BlockKind::Reasoning { redacted: false }), say(state(Rs)), DONE];
    check(&omitted, &format!(r#"[{{"type":"thinking","thinking":"","signature":"{carried}"}}]"#));
    check(&[begin(BlockKind::Reasoning { redacted: false }), DONE], "[]");
    let text = [begin(BlockKind::Text), say(Delta::Text("".into())), say(Delta::Text(Str::token("a\\n\\u00e9"))), DONE];
    check(&text, r#"[{"type":"text","text":"a\né"}]"#);
    check(&[begin(BlockKind::Text), say(Delta::Text("".into())), DONE], "[]");
}

/// A text and a call have no field for state; a block beside them has, and a client sends it back.
#[test]
fn states_of_texts_and_calls_come_back() {
    let gm = || state(Protocol::GeminiGenerate);
    let blocks = [
        begin(BlockKind::Text),
        say(Delta::Text("a".into())),
        say(gm()),
        DONE,
        begin(call(Some("x"), "f", false)),
        say(gm()),
        say(Delta::Arguments("{}".into())),
        DONE,
        begin(call(Some("y"), "f", false)),
        DONE,
        begin(BlockKind::Text),
        say(gm()),
        DONE,
    ];
    let carried = match gm() {
        Delta::State(state) => state.wrapped(),
        _ => unreachable!(),
    };
    let beside = |mark| format!(r#"{{"type":"redacted_thinking","data":"{carried}.{mark}"}}"#);
    let tool_use = |id| format!(r#"{{"type":"tool_use","id":"{id}","name":"f","input":{{}}}}"#);
    let text = r#"{"type":"text","text":"a"}"#.to_owned();
    let content = [text, beside("b"), beside("n"), tool_use("x"), tool_use("y")].join(",");
    check(&blocks, &format!("[{content}]"));
    let body = format!(r#"{{"model":"m","messages":[{{"role":"assistant","content":[{content}]}}]}}"#);
    let request = read_request(&body, 64).unwrap();
    let states: Vec<bool> = request.turns[0].parts.iter().map(|part| part.state.is_some()).collect();
    // The last one had a text without a character: an answer does not end with a block that shows nothing.
    assert_eq!(states, [true, true, false]);
    assert_eq!(request.turns[0].parts[0].state.as_ref().unwrap().origin, Protocol::GeminiGenerate);
}

#[test]
fn calls() {
    let arguments = |text: &'static str| say(Delta::Arguments(text.into()));
    let one = [begin(call(Some("call_1"), "f", false)), arguments("{\"n\""), arguments(":1.0}"), DONE];
    check(&one, r#"[{"type":"tool_use","id":"call_1","name":"f","input":{"n":1.0}}]"#);
    check(&[begin(call(Some("a"), "f", false)), DONE], r#"[{"type":"tool_use","id":"a","name":"f","input":{}}]"#);
    let free = [begin(call(Some("a"), "f", true)), arguments("say \"hi\"\n"), arguments("\\"), DONE];
    check(&free, r#"[{"type":"tool_use","id":"a","name":"f","input":{"input":"say \"hi\"\n\\"}}]"#);
    // Ids that are missing, not allowed, or given twice.
    let mut blocks = Vec::new();
    for id in [None, Some(""), Some("a.b|c"), Some("x"), Some("x")] {
        blocks.extend([begin(call(id, "f", false)), DONE]);
    }
    let stream =
        put_together(&write_stream(&[&[Event::Start(Start::default())][..], &blocks, &[Event::End][..]].concat()));
    let ids: Vec<&str> = stream.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("toolu_") && ids[1].starts_with("toolu_") && ids[2].starts_with("abc_"), "{ids:?}");
    assert!(ids[3] == "x" && ids[4].starts_with("toolu_"), "{ids:?}");
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 5);
}

#[test]
fn what_cannot_be_said_of_an_answer_is_a_loss() {
    let media = BlockKind::Media { image: true, mime: "image/png".into() };
    let losses = check(&[begin(media), say(Delta::Data("QUJD".into())), DONE], "[]");
    assert_eq!(
        losses.iter().map(|loss| (&loss.feature, loss.kind)).next(),
        Some((&Feature::ImageOut, LossKind::Dropped))
    );
    let foreign =
        BlockKind::Foreign { protocol: Protocol::OpenAiResponses, what: "web_search_call".into(), raw: parse("{}") };
    let losses = check(&[begin(foreign), DONE], "[]");
    assert_eq!(losses.iter().map(|loss| &loss.feature).next(), Some(&Feature::ServerTool));
}

#[test]
fn citations_of_the_web_have_a_form() {
    let citation = |url: Option<&'static str>| {
        say(Delta::Citation(Citation {
            url: url.map(Str::from),
            title: Some("T".into()),
            cited: None,
            span: Some((0, 1)),
            origin: Protocol::OpenAiResponses,
            raw: parse("{}"),
        }))
    };
    let blocks = [
        begin(BlockKind::Text),
        say(Delta::Text("a".into())),
        citation(Some("https://a.example")),
        citation(None),
        DONE,
    ];
    let losses = check(
        &blocks,
        r#"[{"type":"text","text":"a","citations":[{"type":"web_search_result_location","url":"https://a.example","title":"T","cited_text":"","encrypted_index":""}]}]"#,
    );
    assert_eq!(losses.iter().map(|loss| &loss.feature).next(), Some(&Feature::Citations));
}

/// The last two events of an answer.
fn ending(events: &[Event<'static>]) -> serde_json::Value {
    let stream = write_stream(events);
    let all = events_of(&stream);
    assert_eq!(all[all.len() - 1].1, r#"{"type":"message_stop"}"#);
    dom(&all[all.len() - 2].1)
}

#[test]
fn reasons_to_stop() {
    let of = |reason, refusal: bool| {
        let mut events = vec![Event::Start(Start::default())];
        if refusal {
            events.extend([begin(BlockKind::Refusal), say(Delta::Text("no".into())), DONE]);
        }
        let finish =
            Finish { choice: 0, reason, native: None, stop_sequence: Some("END".into()), message: Some("why".into()) };
        events.extend([Event::Finish(finish), Event::End]);
        ending(&events)["delta"].clone()
    };
    let plain = |word| dom(&format!(r#"{{"stop_reason":"{word}","stop_sequence":null,"stop_details":null}}"#));
    let refused = dom(
        r#"{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":null,"explanation":"why"}}"#,
    );
    assert_eq!(of(StopReason::Done, false), plain("end_turn"));
    assert_eq!(of(StopReason::Done, true), refused);
    assert_eq!(of(StopReason::Length, false), plain("max_tokens"));
    assert_eq!(of(StopReason::ContextFull, false), plain("model_context_window_exceeded"));
    assert_eq!(of(StopReason::ToolCalls, false), plain("tool_use"));
    assert_eq!(of(StopReason::Filtered, false), refused);
    assert_eq!(of(StopReason::Refused, false), refused);
    assert_eq!(of(StopReason::Paused, false), plain("pause_turn"));
    assert_eq!(of(StopReason::BadCall, false), plain("end_turn"));
    assert_eq!(of(StopReason::Unknown, false), plain("end_turn"));
    assert_eq!(of(StopReason::StopSequence, false)["stop_sequence"], "END");
}

#[test]
fn counts_come_at_the_start_as_far_as_known_and_whole_at_the_end() {
    let usage = Usage {
        input_total: 100,
        cache_read: 20,
        cache_write_5m: 10,
        cache_write_1h: 5,
        cache_write_30m: 5,
        output_total: 30,
        reasoning: 12,
        web_searches: 2,
        ..Usage::default()
    };
    let stream = write_stream(&[
        Event::Start(Start::default()),
        Event::Usage { usage, iterations: Vec::new() },
        finish(StopReason::Done),
        Event::End,
    ]);
    let first = dom(&events_of(&stream)[0].1);
    assert_eq!(
        (&first["message"]["usage"]["input_tokens"], &first["message"]["model"]),
        (&7.into(), &"asked-for".into())
    );
    let expected = r#"{"input_tokens":60,"cache_creation_input_tokens":20,"cache_read_input_tokens":20,
        "cache_creation":{"ephemeral_5m_input_tokens":15,"ephemeral_1h_input_tokens":5},"output_tokens":30,
        "output_tokens_details":{"thinking_tokens":12},"server_tool_use":{"web_search_requests":2,"web_fetch_requests":0},"service_tier":"standard"}"#;
    assert_eq!(dom(&events_of(&stream)[1].1)["usage"], dom(expected));
}

#[test]
fn ids_of_messages() {
    let of = |id: &'static str| {
        let start = Start { id: Some(id.into()), model: Some("up".into()), ..Start::default() };
        dom(&events_of(&write_stream(&[Event::Start(start)]))[0].1)["message"].clone()
    };
    assert_eq!((&of("msg_1")["id"], &of("msg_1")["model"]), (&"msg_1".into(), &"up".into()));
    let minted = of("chatcmpl-1")["id"].clone();
    assert!(minted.as_str().unwrap().starts_with("msg_") && minted == of("resp_1")["id"]);
}

#[test]
fn one_answer_of_several() {
    let other = [
        Event::BlockStart { choice: 1, block: 0, kind: BlockKind::Text },
        Event::Delta { choice: 1, block: 0, delta: Delta::Text("no".into()) },
        Event::BlockStop { choice: 1, block: 0 },
    ];
    let losses = check(&other, "[]");
    assert!(losses.iter().any(|loss| loss.feature == Feature::Choices));
}
