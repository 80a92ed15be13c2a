//! Small invented answers in every protocol that say the same: thinking, text, two calls, usage. Shapes: sections 2 to 5 of
//! the protocol notes.

use serde_json::{Value, json};

use super::pairs::Said;
use crate::wire::Protocol;
use crate::wire::ir::StopReason;

pub(super) struct Sample {
    pub name: &'static str,
    pub protocol: Protocol,
    pub stream: String,
    pub whole: String,
    pub said: Said,
}

pub(super) fn all() -> Vec<Sample> {
    let samples = [
        said_chat(),
        said_responses(),
        said_messages(),
        said_generate(),
        called_chat(),
        called_responses(),
        called_messages(),
        called_generate(),
    ];
    samples.into()
}

/// A text with all that is hard in one, cut short by its limit.
fn text_said() -> Said {
    Said { text: "Hé \"😀\"\n".to_owned(), finish: Some(StopReason::Length), input: 9, output: 4, ..Said::default() }
}

fn calls_said() -> Said {
    Said {
        thinking: "Let me see.".to_owned(),
        text: "Looking".to_owned(),
        calls: vec![
            ("weather".to_owned(), r#"{"city":"Rome","n":1}"#.to_owned()),
            ("clock".to_owned(), "{}".to_owned()),
        ],
        finish: Some(StopReason::ToolCalls),
        input: 20,
        output: 12,
    }
}

fn events(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

fn named(events: &[Value]) -> String {
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect()
}

fn said_chat() -> Sample {
    let chunk = |choices: Value| json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices});
    let delta = |delta: Value, finish: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]));
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
    let mut last = chunk(json!([]));
    last["usage"] = usage.clone();
    // A pair in two halves.
    let halves = r#"data: {"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}

data: {"choices":[{"index":0,"delta":{"content":"\ude00\""}}]}

"#;
    let stream = [
        events(&[
            delta(json!({"role": "assistant", "content": ""}), json!(null)),
            delta(json!({"content": "Hé \""}), json!(null)),
        ]),
        halves.to_owned(),
        events(&[delta(json!({"content": "\n"}), json!(null)), delta(json!({}), json!("length")), last]),
        "data: [DONE]\n\n".to_owned(),
    ];
    let whole = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hé \"😀\"\n"}, "finish_reason": "length"}]});
    Sample {
        name: "text",
        protocol: Protocol::OpenAiChat,
        stream: stream.concat(),
        whole: whole.to_string(),
        said: text_said(),
    }
}

fn called_chat() -> Sample {
    let delta = |delta: Value, finish: Value| json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let call = |index: u8, fields: Value| {
        let mut call = fields;
        call["index"] = index.into();
        delta(json!({"tool_calls": [call]}), json!(null))
    };
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 12, "total_tokens": 32});
    let stream = events(&[
        delta(json!({"role": "assistant", "reasoning_content": "Let me "}), json!(null)),
        delta(json!({"reasoning_content": "see."}), json!(null)),
        delta(json!({"content": "Looking"}), json!(null)),
        call(0, json!({"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}})),
        call(1, json!({"id": "call_b", "type": "function", "function": {"name": "clock", "arguments": ""}})),
        call(0, json!({"function": {"arguments": "{\"city\":\"Ro"}})),
        call(0, json!({"function": {"arguments": "me\",\"n\":1}"}})),
        delta(json!({}), json!("tool_calls")),
        json!({"id": "c", "model": "m", "choices": [], "usage": usage}),
    ]) + "data: [DONE]\n\n";
    let whole = json!({"id": "c", "model": "m", "usage": usage, "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "reasoning_content": "Let me see.", "content": "Looking", "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\",\"n\":1}"}},
            {"id": "call_b", "type": "function", "function": {"name": "clock", "arguments": ""}}]}}]});
    Sample { name: "calls", protocol: Protocol::OpenAiChat, stream, whole: whole.to_string(), said: calls_said() }
}

fn response(status: &str, output: Value, usage: Value) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": output, "usage": usage,
        "error": null, "incomplete_details": if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { json!(null) }})
}

fn said_responses() -> Sample {
    let usage = json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 13});
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let item = |content: Value| json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content});
    let text = "Hé \"😀\"\n";
    let last = response("incomplete", json!([item(json!([part(text)]))]), usage);
    let at = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
    let with = |kind: &str, name: &str, value: Value| {
        let mut event = at.clone();
        event["type"] = kind.into();
        event[name] = value;
        event
    };
    let stream = named(&[
        json!({"type": "response.created", "response": response("in_progress", json!([]), json!(null))}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item(json!([]))}),
        with("response.content_part.added", "part", part("")),
        with("response.output_text.delta", "delta", json!("Hé \"😀")),
        with("response.output_text.delta", "delta", json!("\"\n")),
        with("response.output_text.done", "text", json!(text)),
        with("response.content_part.done", "part", part(text)),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item(json!([part(text)]))}),
        json!({"type": "response.incomplete", "response": last}),
    ]);
    Sample { name: "text", protocol: Protocol::OpenAiResponses, stream, whole: last.to_string(), said: text_said() }
}

fn called_responses() -> Sample {
    let usage = json!({"input_tokens": 20, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 32});
    let thinking =
        json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Let me see."}]});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Looking", "annotations": []}]});
    let call = |id: &str, name: &str, arguments: &str| {
        json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"), "name": name,
            "arguments": arguments, "status": "completed"})
    };
    let city = "{\"city\":\"Rome\",\"n\":1}";
    let items = [thinking, message, call("a", "weather", city), call("b", "clock", "{}")];
    let last = response("completed", json!(items), usage);
    let mut all =
        vec![json!({"type": "response.created", "response": response("in_progress", json!([]), json!(null))})];
    for (index, item) in items.iter().enumerate() {
        let mut added = item.clone();
        let event = |kind: &str, name: &str, value: Value| {
            let mut event = json!({"type": kind, "output_index": index, "item_id": item["id"], "content_index": 0, "summary_index": 0});
            event[name] = value;
            event
        };
        let mut inside = Vec::new();
        match index {
            0 => {
                added["summary"] = json!([]);
                inside.push(event(
                    "response.reasoning_summary_part.added",
                    "part",
                    json!({"type": "summary_text", "text": ""}),
                ));
                inside.push(event("response.reasoning_summary_text.delta", "delta", json!("Let me see.")));
                inside.push(event("response.reasoning_summary_text.done", "text", json!("Let me see.")));
            }
            1 => {
                added["content"] = json!([]);
                inside.push(event("response.content_part.added", "part", json!({"type": "output_text", "text": ""})));
                inside.push(event("response.output_text.delta", "delta", json!("Looking")));
                inside.push(event("response.output_text.done", "text", json!("Looking")));
            }
            _ => {
                added["arguments"] = json!("");
                inside.push(event("response.function_call_arguments.delta", "delta", item["arguments"].clone()));
                inside.push(event("response.function_call_arguments.done", "arguments", item["arguments"].clone()));
            }
        }
        all.push(json!({"type": "response.output_item.added", "output_index": index, "item": added}));
        all.extend(inside);
        all.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    all.push(json!({"type": "response.completed", "response": last}));
    Sample {
        name: "calls",
        protocol: Protocol::OpenAiResponses,
        stream: named(&all),
        whole: last.to_string(),
        said: calls_said(),
    }
}

fn message(content: Value, stop: Value, input: u64, output: u64) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": stop,
        "stop_sequence": null, "usage": {"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": output}})
}

/// Blocks with their deltas as a stream of AM.
fn message_stream(blocks: &[(Value, Vec<Value>)], stop: &str, input: u64, output: u64) -> String {
    let mut all = vec![json!({"type": "message_start", "message": message(json!([]), json!(null), input, 1)})];
    for (index, (block, deltas)) in blocks.iter().enumerate() {
        all.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        all.push(json!({"type": "ping"}));
        all.extend(deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})));
        all.push(json!({"type": "content_block_stop", "index": index}));
    }
    all.push(json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": output}}));
    all.push(json!({"type": "message_stop"}));
    named(&all)
}

fn said_messages() -> Sample {
    let text = |text: &str| json!({"type": "text_delta", "text": text});
    let blocks = [(json!({"type": "text", "text": ""}), vec![text("Hé \"😀"), text("\"\n")])];
    let whole = message(json!([{"type": "text", "text": "Hé \"😀\"\n"}]), json!("max_tokens"), 9, 4);
    let stream = message_stream(&blocks, "max_tokens", 9, 4);
    Sample { name: "text", protocol: Protocol::AnthropicMessages, stream, whole: whole.to_string(), said: text_said() }
}

fn called_messages() -> Sample {
    let arguments = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
    let blocks = [
        (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            vec![
                json!({"type": "thinking_delta", "thinking": "Let me see."}),
                json!({"type": "signature_delta", "signature": "c2ln"}),
            ],
        ),
        (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "Looking"})]),
        (
            json!({"type": "tool_use", "id": "toolu_a", "name": "weather", "input": {}}),
            vec![arguments(""), arguments("{\"city\":\"Ro"), arguments("me\",\"n\":1}")],
        ),
        (json!({"type": "tool_use", "id": "toolu_b", "name": "clock", "input": {}}), vec![]),
    ];
    let whole = message(
        json!([
            {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
            {"type": "text", "text": "Looking"},
            {"type": "tool_use", "id": "toolu_a", "name": "weather", "input": {"city": "Rome", "n": 1}},
            {"type": "tool_use", "id": "toolu_b", "name": "clock", "input": {}},
        ]),
        json!("tool_use"),
        20,
        12,
    );
    let stream = message_stream(&blocks, "tool_use", 20, 12);
    Sample {
        name: "calls",
        protocol: Protocol::AnthropicMessages,
        stream,
        whole: whole.to_string(),
        said: calls_said(),
    }
}

/// A chunk or a whole answer of GM.
fn generated(parts: Value, finish: Value, input: u64, output: u64) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}],
        "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output},
        "modelVersion": "m", "responseId": "r1"})
}

fn said_generate() -> Sample {
    let stream = events(&[
        generated(json!([{"text": "Hé \"😀"}]), json!(null), 10, 1),
        generated(json!([{"text": "\"\n"}]), json!("MAX_TOKENS"), 9, 4),
    ])
    .replace('\n', "\r\n");
    let whole = generated(json!([{"text": "Hé \"😀\"\n"}]), json!("MAX_TOKENS"), 9, 4);
    Sample { name: "text", protocol: Protocol::GeminiGenerate, stream, whole: whole.to_string(), said: text_said() }
}

fn called_generate() -> Sample {
    let thought = json!({"text": "Let me see.", "thought": true});
    let weather =
        json!({"functionCall": {"name": "weather", "args": {"city": "Rome", "n": 1}}, "thoughtSignature": "c2ln"});
    let clock = json!({"functionCall": {"name": "clock", "args": {}}});
    let stream = events(&[
        generated(json!([thought]), json!(null), 20, 3),
        generated(json!([{"text": "Looking"}, weather]), json!(null), 20, 9),
        generated(json!([clock]), json!("STOP"), 20, 12),
    ]);
    let whole = generated(json!([thought, {"text": "Looking"}, weather, clock]), json!("STOP"), 20, 12);
    Sample { name: "calls", protocol: Protocol::GeminiGenerate, stream, whole: whole.to_string(), said: calls_said() }
}
