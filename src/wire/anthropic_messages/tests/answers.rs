//! Answers of Anthropic and of those who speak like it, as events.

use super::*;
use crate::wire::ir::{BlockKind, Delta, Finish, StopReason};
use crate::wire::{Protocol, Usage};

/// Events in short: one line each.
fn lines(events: &[Event<'static>]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &Event<'_>) -> String {
    match event {
        Event::Start(start) => format!("start {}", start.id.as_ref().map(|id| id.decode()).unwrap_or_default()),
        Event::BlockStart { block, kind, .. } => format!("{block} {}", kind_of(kind)),
        Event::Delta { block, delta, .. } => format!("{block} {}", delta_of(delta)),
        Event::BlockStop { block, .. } => format!("{block} stop"),
        Event::Usage { usage, .. } => format!("usage {}/{}", usage.input_total, usage.output_total),
        Event::Finish(Finish { reason, native, .. }) => {
            format!("finish {reason:?} {}", native.as_ref().map(|it| it.decode()).unwrap_or_default())
        }
        Event::Failed(error) => format!("failed {}: {}", error.kind.as_deref().unwrap_or_default(), error.message),
        Event::End => "end".to_owned(),
    }
}

fn kind_of(kind: &BlockKind<'_>) -> String {
    match kind {
        BlockKind::Text => "text".to_owned(),
        BlockKind::Reasoning { redacted } => format!("reasoning {redacted}"),
        BlockKind::Call { id, name, .. } => {
            format!("call {} {}", id.as_ref().map(|id| id.decode()).unwrap_or_default(), name.decode())
        }
        BlockKind::Foreign { raw, .. } => format!("foreign {}", raw.to_json()),
        BlockKind::Refusal | BlockKind::Media { .. } => panic!("{kind:?}"),
    }
}

fn delta_of(delta: &Delta<'_>) -> String {
    match delta {
        Delta::Text(text) => format!("text {}", text.as_token()),
        Delta::Arguments(text) => format!("arguments {}", text.decode()),
        Delta::State(state) => format!("state {} {}", state.account.as_deref().unwrap(), state.payload.decode()),
        Delta::Citation(citation) => format!("citation {}", citation.url.as_ref().unwrap().decode()),
        Delta::Data(_) | Delta::Url(_) | Delta::NextPart | Delta::Logprobs(_) => panic!("{delta:?}"),
    }
}

/// A stream of the events given as data lines, named by their type.
fn stream(events: &[&str]) -> String {
    let name = |data: &str| parse(data).get("type").unwrap().as_text().unwrap().into_owned();
    events.iter().map(|data| format!("event: {}\ndata: {}\n\n", name(data), data.replace('\n', ""))).collect()
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m","content":[],"usage":{"input_tokens":9,"cache_read_input_tokens":3,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn block(index: u64, block: &str) -> String {
    format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
}

fn delta(index: u64, delta: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#)
}

fn stop(index: u64) -> String {
    format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
}

fn end(reason: &str) -> String {
    format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{{"output_tokens":5}}}}"#)
}

#[track_caller]
fn check(events: &[&str], expected: &[&str], outcome: Outcome) {
    let (events, ended) = read_stream(&stream(events));
    assert_eq!((lines(&events), ended), (expected.iter().map(|it| it.to_string()).collect(), outcome));
}

#[test]
fn every_kind_of_block() {
    check(
        &[
            START,
            r#"{"type":"ping"}"#,
            &block(0, r#"{"type":"thinking","thinking":"","signature":""}"#),
            &delta(0, r#"{"type":"thinking_delta","thinking":"hm"}"#),
            &delta(0, r#"{"type":"signature_delta","signature":"c2ln"}"#),
            &stop(0),
            &block(1, r#"{"type":"redacted_thinking","data":"ZGF0YQ=="}"#),
            &stop(1),
            &block(2, r#"{"type":"text","text":""}"#),
            &delta(2, r#"{"type":"text_delta","text":"a\ud83d"}"#),
            &delta(
                2,
                r#"{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"u","title":"t"}}"#,
            ),
            &delta(2, r#"{"type":"invented_delta","x":1}"#),
            &stop(2),
            &block(3, r#"{"type":"server_tool_use","id":"srv","name":"web_search","input":{}}"#),
            &delta(3, r#"{"type":"input_json_delta","partial_json":"{\"query\""}"#),
            &delta(3, r#"{"type":"input_json_delta","partial_json":":\"q\"}"}"#),
            &stop(3),
            &block(4, r#"{"type":"web_search_tool_result","tool_use_id":"srv","content":[]}"#),
            &stop(4),
            &block(5, r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#),
            &delta(5, r#"{"type":"input_json_delta","partial_json":""}"#),
            &delta(5, r#"{"type":"input_json_delta","partial_json":"{\"a\":"}"#),
            &delta(5, r#"{"type":"input_json_delta","partial_json":"1.0}"}"#),
            &stop(5),
            &block(6, r#"{"type":"tool_use","id":"toolu_2","name":"g","input":{}}"#),
            &stop(6),
            r#"{"type":"invented","x":1}"#,
            &end("tool_use"),
            STOP,
            START,
        ],
        &[
            "start msg_1",
            "0 reasoning false",
            "0 text hm",
            "0 state acme c2ln",
            "0 stop",
            "1 reasoning true",
            "1 state acme redacted:ZGF0YQ==",
            "1 stop",
            "2 text",
            "2 text a\\ud83d",
            "2 citation u",
            "2 stop",
            r#"3 foreign {"type":"server_tool_use","id":"srv","name":"web_search","input":{"query":"q"}}"#,
            "3 stop",
            r#"4 foreign {"type":"web_search_tool_result","tool_use_id":"srv","content":[]}"#,
            "4 stop",
            "5 call toolu_1 f",
            "5 arguments {\"a\":",
            "5 arguments 1.0}",
            "5 stop",
            "6 call toolu_2 g",
            "6 stop",
            "usage 12/5",
            "finish ToolCalls tool_use",
            "end",
        ],
        Outcome::Complete,
    );
}

#[test]
fn a_missing_message_stop_is_forgiven_but_not_a_missing_reason() {
    let text = block(0, r#"{"type":"text","text":"hi"}"#);
    let said = ["start msg_1", "0 text", "0 text hi"];
    let whole = [&said[..], &["0 stop", "usage 12/5", "finish Done end_turn", "end"]].concat();
    check(&[START, &text, &end("end_turn")], &whole, Outcome::Complete);
    check(&[START, &text, &stop(0)], &[&said[..], &["0 stop"]].concat(), Outcome::Truncated);
    check(
        &[START, &text, r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{}}"#],
        &said,
        Outcome::Truncated,
    );
    check(
        &[START, &text, STOP],
        &[&said[..], &["0 stop", "usage 12/1", "finish Unknown ", "end"]].concat(),
        Outcome::Complete,
    );
    check(&[], &[], Outcome::Truncated);
}

#[test]
fn relays_ways_are_taken() {
    let twice = START.replace("msg_1", "msg_2");
    check(
        &[
            START,
            &twice,
            // No start, no number; a call whole in its start; a block that is never closed; a start that comes again.
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
            &block(0, r#"{"type":"tool_use","id":"t","name":"f","input":{"n":1.0}}"#),
            &block(1, r#"{"type":"text","text":"b"}"#),
            &end("end_turn"),
            STOP,
        ],
        &[
            "start msg_1",
            "0 text",
            "0 text a",
            "0 stop",
            "1 call t f",
            "2 text",
            "2 text b",
            "1 arguments {\"n\":1.0}",
            "1 stop",
            "2 stop",
            "usage 12/5",
            "finish ToolCalls end_turn",
            "end",
        ],
        Outcome::Complete,
    );
    // Interleaved blocks stay apart.
    check(
        &[
            START,
            &block(0, r#"{"type":"tool_use","id":"a","name":"f"}"#),
            &block(1, r#"{"type":"tool_use","id":"b","name":"f"}"#),
            &delta(1, r#"{"type":"input_json_delta","partial_json":"1"}"#),
            &delta(0, r#"{"type":"input_json_delta","partial_json":"0"}"#),
            &end("tool_use"),
        ],
        &[
            "start msg_1",
            "0 call a f",
            "1 call b f",
            "1 arguments 1",
            "0 arguments 0",
            "0 stop",
            "1 stop",
            "usage 12/5",
            "finish ToolCalls tool_use",
            "end",
        ],
        Outcome::Complete,
    );
}

#[test]
fn errors_end_it() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    check(&[START, error, STOP], &["start msg_1", "failed overloaded_error: busy"], Outcome::Errored);
    let mut events = Vec::new();
    let mut reader = MessagesReader::new("acme");
    reader.read_event(None, r#"{"error":{"message":"no"}}"#, &mut events);
    assert!(reader.done() && lines(&events) == ["failed : no"]);
    let mut reader = MessagesReader::new("acme");
    let mut events = Vec::new();
    reader.read_event(Some("message_start"), "<html>", &mut events);
    assert_eq!((lines(&events).len(), reader.end(&mut events)), (1, Outcome::Errored));
    let body = r#"{"type":"error","error":{"type":"api_error","message":"oh"},"request_id":"r"}"#;
    assert_eq!(lines(&read_body(body)), ["failed api_error: oh"]);
    for none in ["{}", "[]", "<html>", r#"{"choices":[]}"#] {
        assert!(MessagesReader::new("acme").read_whole(none, &mut Vec::new()).is_err(), "{none}");
    }
}

#[test]
fn a_whole_answer_is_the_same_events() {
    let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[
        {"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":"a","citations":[{"type":"web_search_result_location","url":"u"}]},
        {"type":"tool_use","id":"t","name":"f","input":{"n":1.0,"a":null}}],
        "stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}"#;
    let expected = [
        "start msg_1",
        "0 reasoning false",
        "0 text hm",
        "0 state acme c2ln",
        "0 stop",
        "1 text",
        "1 text a",
        "1 citation u",
        "1 stop",
        "2 call t f",
        "2 arguments {\"n\":1.0,\"a\":null}",
        "2 stop",
        "usage 1/2",
        "finish Length max_tokens",
        "end",
    ];
    assert_eq!(lines(&read_body(body)), expected);
}

#[track_caller]
fn check_reason(native: &str, reason: StopReason) {
    let details = r#","stop_sequence":"END","stop_details":{"type":"refusal","category":"c","explanation":"why"}"#;
    let body = format!(r#"{{"content":[],"stop_reason":"{native}"{details}}}"#);
    let finish = read_body(&body)
        .into_iter()
        .find_map(|event| if let Event::Finish(finish) = event { Some(finish) } else { None });
    let finish = finish.unwrap();
    assert_eq!((finish.reason, finish.native.unwrap()), (reason, native.into()));
    assert_eq!((finish.stop_sequence, finish.message), (Some("END".into()), Some("why".into())));
}

#[test]
fn reasons_to_stop() {
    check_reason("end_turn", StopReason::Done);
    check_reason("max_tokens", StopReason::Length);
    check_reason("stop_sequence", StopReason::StopSequence);
    check_reason("pause_turn", StopReason::Paused);
    check_reason("refusal", StopReason::Filtered);
    check_reason("model_context_window_exceeded", StopReason::ContextFull);
    check_reason("tool_use", StopReason::Done);
    check_reason("invented", StopReason::Unknown);
}

#[track_caller]
fn check_usage(reports: &[&str], expected: Option<Usage>) {
    let mut events =
        vec![START.replace(r#"{"input_tokens":9,"cache_read_input_tokens":3,"output_tokens":1}"#, reports[0])];
    for report in &reports[1..] {
        events.push(format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{report}}}"#));
    }
    let events: Vec<&str> = events.iter().map(String::as_str).chain([STOP]).collect();
    let (events, _) = read_stream(&stream(&events));
    let usage =
        events.into_iter().find_map(|event| if let Event::Usage { usage, .. } = event { Some(usage) } else { None });
    assert_eq!(usage, expected, "{reports:?}");
}

#[test]
fn counts_overwrite_field_by_field() {
    let of = |input_total, output_total| Usage { input_total, output_total, ..Usage::default() };
    check_usage(
        &[r#"{"input_tokens":9,"output_tokens":1}"#, r#"{"output_tokens":5}"#, r#"{"output_tokens":7}"#],
        Some(of(9, 7)),
    );
    check_usage(
        &[
            r#"{"input_tokens":9,"cache_creation_input_tokens":30,"cache_read_input_tokens":4,"output_tokens":1,
                "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}"#,
            r#"{"input_tokens":null,"output_tokens":8,"output_tokens_details":{"thinking_tokens":6},"server_tool_use":{"web_search_requests":2}}"#,
        ],
        Some(Usage {
            cache_read: 4,
            cache_write_5m: 10,
            cache_write_1h: 20,
            reasoning: 6,
            web_searches: 2,
            ..of(43, 8)
        }),
    );
    // No split: the usual five minutes. Numbers as relays write them.
    check_usage(
        &[r#"{"input_tokens":"9","cache_creation_input_tokens":3.0,"output_tokens":-1}"#],
        Some(Usage { cache_write_5m: 3, ..of(12, 0) }),
    );
    check_usage(&[r#"{"input_tokens":0,"output_tokens":0}"#, "{}"], None);
    check_usage(&["null"], None);
}

#[test]
fn every_pass_of_every_model_is_told() {
    let body = r#"{"content":[],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":6,"iterations":[
        {"type":"message","input_tokens":5,"output_tokens":6,"cache_read_input_tokens":1},
        {"type":"advisor_message","model":"other","input_tokens":7,"output_tokens":8}]}}"#;
    let iterations = read_body(body)
        .into_iter()
        .find_map(|it| if let Event::Usage { iterations, .. } = it { Some(iterations) } else { None });
    let told: Vec<_> =
        iterations.unwrap().into_iter().map(|it| (it.model, it.usage.input_total, it.usage.output_total)).collect();
    assert_eq!(told, [(None, 6, 6), (Some("other".to_owned()), 7, 8)]);
}

#[test]
fn a_signature_is_a_state_of_its_account() {
    let (events, _) = read_stream(&stream(&[
        &block(0, r#"{"type":"thinking","thinking":"x","signature":"a+/="}"#),
        &end("end_turn"),
    ]));
    let state = events.into_iter().find_map(|event| match event {
        Event::Delta { delta: Delta::State(state), .. } => Some(state),
        _ => None,
    });
    let state = state.unwrap();
    assert!(
        state.readable_by(Protocol::AnthropicMessages, "acme") && !state.readable_by(Protocol::AnthropicMessages, "b")
    );
}
