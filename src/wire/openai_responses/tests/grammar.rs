//! What every stream of this protocol obeys: pairs, places, numbers, and an end that says everything again.

use std::collections::BTreeMap;

use serde_json::Value;

/// A text part, summary part or call that is being told.
#[derive(Default)]
struct Open {
    item: Option<Value>,
    /// The open inner part: its kind, place and text so far.
    part: Option<(String, u64, String)>,
    parts: u64,
    arguments: String,
    arguments_done: bool,
}

/// Checks a stream, and gives its events and the response of its last one.
#[track_caller]
pub(super) fn check_stream(stream: &[u8]) -> Value {
    let text = std::str::from_utf8(stream).unwrap();
    let events: Vec<Value> = text.split_terminator("\n\n").map(event).collect();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at as u64, "{event}");
    }
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
    let (last, broken) = (*kinds.last().unwrap(), kinds.contains(&"error"));
    assert!(matches!(last, "response.completed" | "response.incomplete" | "response.failed"));
    assert_eq!(broken, last == "response.failed");
    let end = if broken { kinds.len() - 2 } else { kinds.len() - 1 };
    assert!(kinds[2..end].iter().all(|kind| !matches!(*kind, "error" | "response.created" | "response.in_progress")));

    let mut open: BTreeMap<u64, Open> = BTreeMap::new();
    let mut done: Vec<Value> = Vec::new();
    for event in &events[2..end] {
        step(event, &mut open, &mut done);
    }
    for edge in [&events[0], &events[1], events.last().unwrap()] {
        check_response(&edge["response"], last.trim_start_matches("response."), edge["type"] == last);
        assert_eq!(edge["response"]["id"], events[0]["response"]["id"]);
    }
    let response = &events.last().unwrap()["response"];
    let output = response["output"].as_array().unwrap();
    assert_eq!(output[..done.len()], done[..]);
    assert!(broken || (open.is_empty() && output.len() == done.len()));
    response.clone()
}

fn event(frame: &str) -> Value {
    let (name, data) = frame.split_once('\n').unwrap();
    let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(name.strip_prefix("event: ").unwrap(), event["type"]);
    event
}

#[track_caller]
fn step(event: &Value, open: &mut BTreeMap<u64, Open>, done: &mut Vec<Value>) {
    let index = event["output_index"].as_u64().unwrap_or_else(|| panic!("no place: {event}"));
    let kind = event["type"].as_str().unwrap().strip_prefix("response.").unwrap();
    if kind == "output_item.added" {
        assert!(open.is_empty(), "two open items: {event}");
        assert_eq!(index, done.len() as u64);
        open.insert(index, Open { item: Some(event["item"].clone()), ..Open::default() });
        return;
    }
    let item = open.get_mut(&index).unwrap_or_else(|| panic!("not open: {event}"));
    let opened = item.item.as_ref().unwrap();
    if kind == "output_item.done" {
        check_done(item, &event["item"]);
        done.push(event["item"].clone());
        open.remove(&index);
        return;
    }
    assert_eq!(event["item_id"], opened["id"], "{event}");
    let inner = if kind.starts_with("reasoning_summary") { "summary_index" } else { "content_index" };
    let at = event[inner].as_u64();
    match kind {
        "content_part.added" | "reasoning_summary_part.added" => {
            assert!(item.part.is_none());
            assert_eq!(at, Some(item.parts));
            let part = event["part"]["type"].as_str().unwrap().to_owned();
            item.part = Some((part, item.parts, String::new()));
        }
        "output_text.delta" | "refusal.delta" | "reasoning_summary_text.delta" => {
            let (part, number, text) = item.part.as_mut().unwrap();
            assert_eq!((kind_of(part), at), (kind.trim_end_matches(".delta"), Some(*number)));
            text.push_str(event["delta"].as_str().unwrap());
            assert_eq!(kind == "output_text.delta", event["logprobs"].is_array());
        }
        "output_text.annotation.added" => assert!(event["annotation"].is_object() && item.part.is_some()),
        "output_text.done" | "refusal.done" | "reasoning_summary_text.done" => {
            let (part, _, text) = item.part.as_ref().unwrap();
            assert_eq!(kind_of(part), kind.trim_end_matches(".done"));
            assert_eq!(event[if kind == "refusal.done" { "refusal" } else { "text" }], *text);
        }
        "content_part.done" | "reasoning_summary_part.done" => {
            let (part, number, text) = item.part.take().unwrap();
            assert_eq!(event["part"]["type"], part);
            assert_eq!(at, Some(number));
            assert_eq!(event["part"][if part == "refusal" { "refusal" } else { "text" }], text);
            item.parts += 1;
        }
        "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
            assert!(!item.arguments_done);
            item.arguments.push_str(event["delta"].as_str().unwrap());
        }
        "function_call_arguments.done" | "custom_tool_call_input.done" => {
            let name = if kind.starts_with("function") { "arguments" } else { "input" };
            assert_eq!(event[name], item.arguments);
            item.arguments_done = true;
        }
        kind => assert!(kind.starts_with("image_generation_call."), "{kind}"),
    }
}

fn kind_of(part: &str) -> &str {
    match part {
        "output_text" => "output_text",
        "summary_text" => "reasoning_summary_text",
        other => other,
    }
}

fn check_done(open: &Open, item: &Value) {
    let opened = open.item.as_ref().unwrap();
    assert!(open.part.is_none());
    for name in ["id", "type", "call_id", "name"] {
        assert_eq!(opened[name], item[name]);
    }
    match item["type"].as_str().unwrap() {
        "message" => assert_eq!(item["content"].as_array().unwrap().len() as u64, open.parts),
        "reasoning" => assert_eq!(item["summary"].as_array().unwrap().len() as u64, open.parts),
        "function_call" => {
            assert!(open.arguments_done);
            assert_eq!(item["arguments"], open.arguments);
        }
        "custom_tool_call" => {
            assert!(open.arguments_done);
            assert_eq!(item["input"], open.arguments);
        }
        _ => {}
    }
}

fn check_response(response: &Value, status: &str, last: bool) {
    assert_eq!(response["status"], if last { status } else { "in_progress" });
    assert_eq!(response["object"], "response");
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    for name in ["created_at", "parallel_tool_calls", "tool_choice", "tools", "text", "metadata", "truncation", "model"]
    {
        assert!(!response[name].is_null(), "{name}");
    }
    for name in ["error", "incomplete_details", "instructions", "temperature", "top_p", "user", "previous_response_id"]
    {
        assert!(response.get(name).is_some(), "{name}");
    }
    let usage = &response["usage"];
    if !usage.is_null() {
        for name in [
            "/input_tokens",
            "/output_tokens",
            "/total_tokens",
            "/input_tokens_details/cached_tokens",
            "/input_tokens_details/cache_write_tokens",
            "/output_tokens_details/reasoning_tokens",
        ] {
            assert!(usage.pointer(name).is_some_and(Value::is_u64), "{name}");
        }
    }
}
