//! A whole call: what a request's writer had to change is undone in the answer, so that the client sees what it asked for.

use serde_json::{Value, json};

use super::decode::{Seen, Shape, decode};
use super::drive::{Way, shapes, translate};
use super::fixtures::request;
use super::targets::{read, targets, write};
use crate::wire::Protocol;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};

/// Writes the request for a target, and reads the answer that `answer` makes of what was sent, in every shape and cut.
fn call(client: Protocol, body: &str, target: &str, answer: impl Fn(&Value) -> Value, check: impl Fn(&Way, &Seen)) {
    let (_, upstream, target) = targets().into_iter().find(|(name, ..)| *name == target).unwrap();
    let written =
        write(upstream, &read(client, body).unwrap(), &target).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let sent: Value = serde_json::from_slice(&written.body).unwrap();
    let answer = answer(&sent).to_string();
    for to in shapes(client) {
        let mut way = Way::new(upstream, Shape::Whole, client, *to);
        way.undo = written.undo.clone();
        for size in [1, 7, answer.len()] {
            let out = translate(&way, answer.as_bytes().chunks(size));
            let seen = decode(client, *to, &out, true);
            assert!(seen.wrong.is_empty(), "{way:?}: {:#?}", seen.wrong);
            check(&way, &seen);
        }
    }
}

fn responses(output: Value) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": output,
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}})
}

fn message(content: Value, stop: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": stop,
        "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 2}})
}

#[test]
fn a_stop_text_that_the_upstream_cannot_be_told_cuts_the_answer() {
    let say = |text: &str| {
        responses(json!([{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}]))
    };
    call(
        OpenAiChat,
        &request(OpenAiChat, "stop"),
        "responses",
        |_| say("One, two, three, four"),
        |way, seen| {
            assert_eq!(seen.first().text, "One, two, ", "{way:?}");
            assert_eq!(seen.first().stop.as_deref(), Some("stop"), "{way:?}");
        },
    );
    call(
        OpenAiChat,
        &request(OpenAiChat, "stop"),
        "responses",
        |_| say("One, two, thre"),
        |way, seen| {
            assert_eq!(seen.first().text, "One, two, thre", "{way:?}: what only begins like it is said");
        },
    );
    call(
        AnthropicMessages,
        &request(AnthropicMessages, "sampling"),
        "responses",
        |_| say("A reef knot"),
        |way, seen| {
            let heard = seen.first();
            assert_eq!(heard.text, "A ", "{way:?}");
            assert_eq!((heard.stop.as_deref(), heard.stop_sequence.as_deref()), (Some("stop_sequence"), Some("reef")));
        },
    );
}

#[test]
fn a_tool_that_had_to_be_renamed_has_its_own_name_in_the_answer() {
    let name = "t".repeat(100);
    for target in ["openai", "responses", "gemini-2.5"] {
        let answer = |sent: &Value| {
            let tool = &sent["tools"][0];
            let short = ["/function/name", "/name", "/functionDeclarations/0/name"]
                .iter()
                .find_map(|path| tool.pointer(path))
                .and_then(Value::as_str)
                .unwrap();
            assert!(short.len() <= 64, "{short}");
            match target {
                "openai" => json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
                    "index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
                    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": short, "arguments": "{}"}}]}}]}),
                "responses" => responses(json!([{"id": "fc_1", "type": "function_call", "status": "completed",
                    "call_id": "call_1", "name": short, "arguments": "{}"}])),
                _ => json!({"candidates": [{"content": {"role": "model", "parts": [
                    {"functionCall": {"name": short, "args": {}}}]}, "finishReason": "STOP"}]}),
            }
        };
        call(AnthropicMessages, &request(AnthropicMessages, "long_name"), target, answer, |way, seen| {
            assert_eq!(seen.first().calls[0].name, name, "{way:?}");
        });
    }
}

#[test]
fn a_schema_that_was_said_as_a_forced_tool_is_answered_as_text() {
    let answer = |sent: &Value| {
        let forced = sent["tool_choice"]["name"].clone();
        assert!(forced.is_string(), "{sent}");
        message(json!([{"type": "tool_use", "id": "toolu_1", "name": forced, "input": {"port": "Emden"}}]), "tool_use")
    };
    for (client, name) in [(OpenAiChat, "structured"), (OpenAiResponses, "structured"), (GeminiGenerate, "structured")]
    {
        call(client, &request(client, name), "old-claude", answer, |way, seen| {
            let heard = seen.first();
            assert_eq!(serde_json::from_str::<Value>(&heard.text).ok(), Some(json!({"port": "Emden"})), "{way:?}");
            assert!(heard.calls.is_empty(), "{way:?}");
        });
    }
}

#[test]
fn a_free_form_tool_that_was_wrapped_is_called_with_free_text() {
    let input = "wind 7, \"gusts\" 9 \\ \u{1f30a}\n";
    for target in ["budget", "gemini-2.5"] {
        let answer = |_: &Value| match target {
            "budget" => message(
                json!([{"type": "tool_use", "id": "toolu_1", "name": "log", "input": {"input": input}}]),
                "tool_use",
            ),
            _ => json!({"candidates": [{"content": {"role": "model", "parts": [
                {"functionCall": {"name": "log", "args": {"input": input}}}]}, "finishReason": "STOP"}]}),
        };
        for client in [OpenAiChat, OpenAiResponses] {
            call(client, &request(client, "custom_tool"), target, answer, |way, seen| {
                let call = &seen.first().calls[0];
                assert!(call.custom, "{way:?}");
                assert_eq!((call.name.as_str(), call.arguments.as_str()), ("log", input), "{way:?}");
            });
        }
    }
}

/// What a client gets, it may send back: every answer is a legal part of the next request, in every pair.
#[test]
fn answers_may_come_back_as_history() {
    for case in super::fixtures::answers().iter().filter(|case| !case.errs() && case.expected["cut"] != true) {
        for client in Protocol::ALL.into_iter().filter(|client| *client != case.protocol) {
            let way = Way::new(case.protocol, case.shape, client, Shape::Whole);
            let answer: Value = serde_json::from_slice(&translate(&way, [case.response.as_slice()])).unwrap();
            let Some(body) = next(client, &answer) else { continue };
            let body = body.to_string();
            let request = read(client, &body).unwrap_or_else(|error| panic!("{} {client:?}: {error}: {body}", case.id));
            for (name, to, target) in targets() {
                if let Ok(written) = write(to, &request, &target) {
                    assert!(written.body.starts_with(b"{"), "{name}");
                    let text = String::from_utf8(written.body).unwrap();
                    // Our envelopes are for clients; no upstream may see one.
                    let envelope = ["qg1.", "cWcxL"].iter().any(|mark| text.contains(mark));
                    let foreign = envelope && to != client;
                    assert!(!foreign, "{} {client:?} to {name}: an envelope is sent upstream: {text}", case.id);
                }
            }
        }
    }
}

/// State of a model travels through every client that echoes what it was given, and comes back to its maker as it was.
#[test]
fn state_comes_home_through_every_client() {
    for (upstream, name, target, state) in [
        (AnthropicMessages, "thinking.sse", "budget", "EqQBc2lnbmVk"),
        (AnthropicMessages, "redacted.json", "budget", "EmwKcmVkYWN0ZWQ="),
        (OpenAiResponses, "reasoning_and_calls.sse", "responses", "gAAAAenc0"),
        (OpenAiResponses, "reasoning_hidden.json", "responses", "gAAAAenc1"),
        (GeminiGenerate, "thought_and_calls.sse", "gemini-3", "c2lnbmVkLWNhbGw="),
        (GeminiGenerate, "call_with_id.json", "gemini-3", "c2ln"),
    ] {
        let case = super::fixtures::answer(upstream, name);
        let (_, to, target) = targets().into_iter().find(|(name, ..)| *name == target).unwrap();
        for client in Protocol::ALL.into_iter().filter(|client| *client != upstream) {
            let way = Way::new(upstream, case.shape, client, Shape::Whole);
            let answer: Value = serde_json::from_slice(&translate(&way, [case.response.as_slice()])).unwrap();
            let body = next(client, &answer).unwrap().to_string();
            let written = write(to, &read(client, &body).unwrap(), &target).unwrap();
            let sent = String::from_utf8(written.body).unwrap();
            assert!(sent.contains(&format!("\"{state}\"")), "{name} through {client:?}: {sent}");
        }
    }
}

/// The next request of a client that echoes what it was given.
fn next(client: Protocol, answer: &Value) -> Option<Value> {
    let user = "Go on.";
    Some(match client {
        OpenAiChat => {
            let message = answer["choices"][0]["message"].clone();
            let mut messages = vec![json!({"role": "user", "content": "Start."}), message.clone()];
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "done"}));
            }
            messages.push(json!({"role": "user", "content": user}));
            json!({"model": "m", "messages": messages})
        }
        OpenAiResponses => {
            let mut input = vec![json!({"role": "user", "content": "Start."})];
            for item in answer["output"].as_array()? {
                input.push(item.clone());
                let kind = item["type"].as_str().unwrap_or("").strip_suffix("_call");
                if let Some(kind @ ("function" | "custom_tool")) = kind {
                    let output = format!("{kind}_call_output");
                    input.push(json!({"type": output, "call_id": item["call_id"], "output": "done"}));
                }
            }
            input.push(json!({"role": "user", "content": user}));
            json!({"model": "m", "input": input})
        }
        AnthropicMessages => {
            let content = answer["content"].as_array().filter(|content| !content.is_empty())?;
            let mut results: Vec<Value> = content
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|block| json!({"type": "tool_result", "tool_use_id": block["id"], "content": "done"}))
                .collect();
            results.push(json!({"type": "text", "text": user}));
            json!({"model": "m", "max_tokens": 100, "messages": [
                {"role": "user", "content": "Start."},
                {"role": "assistant", "content": content},
                {"role": "user", "content": results},
            ]})
        }
        GeminiGenerate => {
            let content = answer["candidates"][0].get("content")?;
            let mut results: Vec<Value> = content["parts"]
                .as_array()?
                .iter()
                .filter_map(|part| part.get("functionCall"))
                .map(|call| json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"result": "done"}}}))
                .collect();
            results.push(json!({"text": user}));
            json!({"contents": [{"role": "user", "parts": [{"text": "Start."}]}, content, {"role": "user", "parts": results}]})
        }
    })
}
