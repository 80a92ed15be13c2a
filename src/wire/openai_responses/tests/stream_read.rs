//! Streams as vendors really send them.

use serde_json::{Value as Json, json};

use super::answers::{NEXT_PART, Plain, read_events, read_whole};
use crate::wire::ir::{BlockKind, Outcome, StopReason};

fn read(events: &[Json]) -> Plain {
    let texts: Vec<String> = events.iter().map(Json::to_string).collect();
    read_events(texts.iter().map(|text| (None, text.as_str())))
}

fn created() -> Json {
    json!({"type": "response.created", "response": {
        "id": "resp_1", "model": "m", "created_at": 7.0, "status": "in_progress", "service_tier": "auto", "output": []
    }})
}

fn completed(output: Json) -> Json {
    json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": output,
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": "2"}}})
}

fn delta(kind: &str, index: u64, text: &str) -> Json {
    json!({"type": format!("response.{kind}.delta"), "output_index": index, "item_id": "x", "content_index": 0,
        "summary_index": 0, "delta": text})
}

fn added(index: u64, item: Json) -> Json {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn done(index: u64, item: Json) -> Json {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn call(id: &str, arguments: &str) -> Json {
    json!({"type": "function_call", "id": "fc", "call_id": id, "name": "f", "arguments": arguments})
}

fn message(text: &str) -> Json {
    json!({"type": "message", "id": "msg", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

#[track_caller]
fn check_text(plain: &Plain, text: &str) {
    assert_eq!(plain.said(|kind| matches!(kind, BlockKind::Text)), text);
    assert_eq!((plain.outcome, plain.reason()), (Some(Outcome::Complete), Some(StopReason::Done)));
    assert_eq!(plain.usage.map(|usage| (usage.input_total, usage.cache_read, usage.output_total)), Some((3, 1, 2)));
}

#[test]
fn a_text_comes_however_it_is_told() {
    let part_done = json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0,
        "part": {"type": "output_text", "text": "hey you", "annotations": []}});
    let text_done =
        json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "hey you"});
    let cases = [
        vec![
            added(0, message("")),
            delta("output_text", 0, "hey"),
            delta("output_text", 0, " you"),
            done(0, message("hey you")),
        ],
        vec![delta("output_text", 0, "hey you")],
        vec![added(0, message("")), text_done.clone(), part_done.clone(), done(0, message("hey you"))],
        vec![delta("output_text", 0, "hey"), part_done, text_done],
        vec![done(0, message("hey you"))],
        vec![],
    ];
    for events in cases {
        let output = if events.is_empty() { json!([message("hey you")]) } else { json!([]) };
        let mut all = vec![created()];
        all.extend(events);
        all.push(completed(output));
        check_text(&read(&all), "hey you");
        *all.last_mut().unwrap() = completed(json!([message("hey you")]));
        all.push(json!({"type": "response.output_text.delta", "delta": "behind the end"}));
        check_text(&read(&all), "hey you");
    }
}

#[test]
fn ids_that_change_and_places_that_do_not() {
    let item = |id: &str| json!({"type": "message", "id": id, "content": [{"type": "output_text", "text": "ab"}]});
    let output = json!([{"type": "reasoning", "id": "other", "summary": []}, item("c")]);
    let events = [
        created(),
        added(0, item("a")),
        json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "b", "delta": "ab"}),
        done(0, item("d")),
        completed(output),
    ];
    check_text(&read(&events), "ab");
    // All items at one place.
    let events = [
        created(),
        added(0, message("")),
        delta("output_text", 0, "a"),
        done(0, message("a")),
        added(0, message("")),
        delta("output_text", 0, "b"),
        done(0, message("b")),
        completed(json!([message("a"), message("b")])),
    ];
    check_text(&read(&events), "ab");
    // No places, only ids.
    let events = [
        created(),
        json!({"type": "response.output_item.added", "item": {"type": "function_call", "id": "1", "call_id": "c1", "name": "f"}}),
        json!({"type": "response.output_item.added", "item": {"type": "function_call", "id": "2", "call_id": "c2", "name": "g"}}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "1", "delta": "{1"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "2", "delta": "{2"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "1", "delta": "}"}),
        completed(json!([])),
    ];
    let plain = read(&events);
    assert_eq!(plain.blocks.iter().map(|block| block.text.as_str()).collect::<Vec<_>>(), ["{1}", "{2"]);
    assert_eq!(plain.reason(), Some(StopReason::ToolCalls));
}

#[test]
fn calls_interleave_and_may_be_whole() {
    let events = [
        created(),
        added(1, call("c2", "")),
        added(0, call("c1", "")),
        delta("function_call_arguments", 0, "{\"a\""),
        delta("function_call_arguments", 1, "{}"),
        delta("function_call_arguments", 0, ":1}"),
        json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{\"a\":1}"}),
        done(0, call("c1", "{\"a\":1}")),
        done(1, call("c2", "{}")),
        added(2, call("c3", "{\"whole\":1}")),
        done(2, call("c3", "{\"whole\":1}")),
        added(3, json!({"type": "function_call", "call_id": "c4", "name": ""})),
        delta("function_call_arguments", 3, "{"),
        done(3, call("c4", "{}")),
        added(4, json!({"type": "custom_tool_call", "call_id": "c5", "name": "sql", "input": ""})),
        delta("custom_tool_call_input", 4, "select"),
        done(4, json!({"type": "custom_tool_call", "call_id": "c5", "name": "sql", "input": "select 1"})),
        completed(json!([])),
    ];
    let texts: Vec<String> = read(&events).blocks.into_iter().map(|block| block.text).collect();
    assert_eq!(texts, ["{}", "{\"a\":1}", "{\"whole\":1}", "{}", "select 1"]);
}

#[test]
fn thinking_has_sections_and_state() {
    let item = |text: &str, state: Json| {
        json!({"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": text}],
            "encrypted_content": state})
    };
    let summary = |kind: &str, index: u64, text: &str| json!({"type": format!("response.reasoning_summary_{kind}"), "output_index": 0, "summary_index": index, "delta": text, "text": text});
    let events = [
        created(),
        added(0, item("", Json::Null)),
        summary("part.added", 0, ""),
        summary("text.delta", 0, "a"),
        summary("text.done", 0, "a"),
        summary("text.delta", 1, "b"),
        summary("text.done", 2, "c"),
        done(0, json!({"type": "reasoning", "summary": [], "encrypted_content": "gAAA"})),
        added(1, json!({"type": "reasoning", "summary": []})),
        json!({"type": "response.content_part.added", "output_index": 1, "content_index": 0, "part": {"type": "reasoning_text", "text": ""}}),
        delta("reasoning_text", 1, "full"),
        done(1, item("full", Json::Null)),
        added(2, item("", Json::Null)),
        done(2, json!({"type": "reasoning", "summary": []})),
        done(3, json!({"type": "reasoning", "summary": [], "encrypted_content": "gBBB"})),
        done(4, item("late", json!("gCCC"))),
        completed(json!([])),
    ];
    let plain = read(&events);
    let texts: Vec<String> = plain.blocks.iter().map(|block| block.text.replace(NEXT_PART, "|")).collect();
    assert_eq!(texts, ["a|b|c", "full", "", "late"]);
    let states: Vec<bool> = plain.blocks.iter().map(|block| block.state.is_some()).collect();
    assert_eq!(states, [true, false, true, true]);
    assert_eq!(plain.blocks[2].kind, BlockKind::Reasoning { redacted: true });
    assert_eq!(plain.blocks[0].state.as_ref().unwrap().account.as_deref(), Some("acme"));
}

#[test]
fn citations_and_probabilities_come_once() {
    let annotation =
        json!({"type": "url_citation", "url": "https://e.example", "title": "t", "start_index": 1, "end_index": 3});
    let second = json!({"type": "file_citation", "file_id": "f", "filename": "n", "index": 1});
    let logprob = json!({"token": "a", "logprob": -0.1, "top_logprobs": []});
    let part =
        json!({"type": "output_text", "text": "abc", "annotations": [annotation, second], "logprobs": [logprob]});
    let events = [
        created(),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "abc", "logprobs": [logprob]}),
        json!({"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0, "annotation": annotation}),
        json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": part}),
        done(0, json!({"type": "message", "content": [part]})),
        completed(json!([{"type": "message", "content": [part]}])),
    ];
    let plain = read(&events);
    let block = &plain.blocks[0];
    assert_eq!((block.citations.len(), block.logprobs.len()), (2, 1));
    assert_eq!(block.citations[0].span, Some((1, 3)));
    assert_eq!(block.citations[1].title.as_ref().unwrap(), "n");
}

#[test]
fn hosted_tools_are_told_when_they_are_done() {
    let search = json!({"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}});
    let image = json!({"type": "image_generation_call", "id": "ig", "result": "iVBO", "output_format": "WEBP"});
    let events = [
        created(),
        added(0, search.clone()),
        json!({"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws"}),
        done(0, search.clone()),
        json!({"type": "response.image_generation_call.partial_image", "output_index": 1, "partial_image_b64": "AAAA"}),
        done(1, image),
        json!({"type": "response.from_the_future", "output_index": 1}),
        json!({"type": "keepalive"}),
        completed(json!([])),
    ];
    let plain = read(&events);
    assert!(matches!(&plain.blocks[0].kind, BlockKind::Foreign { what, .. } if what == "web_search_call"));
    assert_eq!(plain.blocks[1].kind, BlockKind::Media { image: true, mime: "image/webp".into() });
    assert_eq!(plain.blocks[1].text, "iVBO");
    assert_eq!(plain.usage.unwrap().web_searches, 1);
}

#[test]
fn ends_are_told_apart() {
    let ending = |response: Json| {
        read(&[created(), delta("output_text", 0, "x"), json!({"type": "response.incomplete", "response": response})])
    };
    let incomplete = |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
    for (response, reason, native) in [
        (incomplete("max_output_tokens"), StopReason::Length, "incomplete:max_output_tokens"),
        (incomplete("content_filter"), StopReason::Filtered, "incomplete:content_filter"),
        (incomplete("steered"), StopReason::Unknown, "incomplete:steered"),
        (json!({}), StopReason::Unknown, "incomplete"),
    ] {
        let plain = ending(response);
        assert_eq!(plain.reason(), Some(reason));
        assert_eq!(plain.finish.unwrap().native.unwrap(), native);
    }
    let refusal = read(&[created(), delta("refusal", 0, "no"), completed(json!([]))]);
    assert_eq!(refusal.reason(), Some(StopReason::Refused));
    let cut = read(&[created(), delta("output_text", 0, "x")]);
    assert_eq!((cut.outcome, cut.finish), (Some(Outcome::Truncated), None));
    let marked = read_events([(None, "[DONE]")]);
    assert_eq!(marked.outcome, Some(Outcome::Truncated));
}

#[test]
fn errors_are_read_in_every_shape() {
    let cases = [
        json!({"type": "error", "code": "server_error", "message": "no", "param": null}),
        json!({"type": "error", "error": {"type": "t", "code": "server_error", "message": "no"}}),
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "no"}}}),
        json!({"error": {"code": "server_error", "message": "no"}}),
    ];
    for case in cases {
        let plain = read(&[created(), case, completed(json!([]))]);
        let error = plain.error.unwrap();
        assert_eq!((error.message.as_str(), error.code.as_deref()), ("no", Some("server_error")));
        assert_eq!(plain.outcome, Some(Outcome::Errored));
    }
    let paid = json!({"type": "response.failed", "response": {"status": "failed", "error": null, "usage": {"input_tokens": 1, "output_tokens": 0}}});
    let plain = read(&[created(), paid]);
    assert_eq!(plain.usage.unwrap().input_total, 1);
    assert!(plain.error.unwrap().message.contains("failed"));
    assert_eq!(read_events([(None, "{\"type\":")]).outcome, Some(Outcome::Errored));
    assert_eq!(read_events([(Some("error"), "{\"message\":\"no\"}")]).error.unwrap().message, "no");
}

#[test]
fn whole_answers_that_are_none() {
    assert!(read_whole("no").is_err());
    assert!(read_whole("[]").is_err());
    assert!(read_whole(r#"{"object":"list"}"#).is_err());
    assert!(read_whole(r#"{"status":"queued","output":[]}"#).unwrap_err().contains("queued"));
    assert_eq!(read_whole(r#"{"error":{"message":"no"}}"#).unwrap().error.unwrap().message, "no");
    let failed = read_whole(r#"{"status":"failed","output":[],"error":{"code":"x","message":"no"}}"#).unwrap();
    assert_eq!(failed.error.unwrap().code.as_deref(), Some("x"));
    let empty =
        read_whole(r#"{"status":"completed","output":[],"usage":{"input_tokens":0,"output_tokens":0}}"#).unwrap();
    assert_eq!((empty.usage, empty.outcome), (None, Some(Outcome::Complete)));
}

proptest::proptest! {
    /// Whatever comes, in whatever order, nothing panics and the order of events holds.
    #[test]
    fn any_order_of_events_is_read(order in proptest::collection::vec(0usize..24, 0..40)) {
        let wild = [
            created(),
            added(0, message("")), added(0, call("c", "")), added(1, call("c", "")), added(u64::MAX, message("")),
            delta("output_text", 0, "a"), delta("output_text", 1, "b"), delta("refusal", 0, "c"),
            delta("reasoning_text", 0, "d"), delta("reasoning_summary_text", 2, "e"),
            delta("function_call_arguments", 0, "{"), delta("function_call_arguments", 1, "}"),
            done(0, message("ab")), done(1, call("c", "{}")), done(2, json!({"type": "reasoning", "encrypted_content": "g"})),
            done(3, json!({"type": "x"})), done(0, json!(1)), json!({"type": "response.output_item.added"}),
            json!({"type": "response.content_part.added", "content_index": 5, "part": 1}), json!([1]), json!("x"),
            json!({"type": "response.output_text.annotation.added", "annotation": {}}),
            json!({"type": "response.content_part.done", "content_index": 1, "part": {"type": "refusal", "refusal": "no"}}),
            completed(json!([message("ab"), call("c", "{}"), {"type": "reasoning", "summary": [{"text": "s"}]}, 7])),
        ];
        let events: Vec<Json> = order.iter().map(|at| wild[*at].clone()).collect();
        read(&events);
    }
}
