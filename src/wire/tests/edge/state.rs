//! Cases 29 to 32: state of models through clients that have no field for it, and final objects.

use serde_json::{Value, json};

use super::calls::sent;
use super::*;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::ir::State;
use crate::wire::json::Str;
use crate::wire::tests::fixtures::request;
use crate::wire::tests::targets::ACCOUNT;

const STAND_IN: &str = "skip_thought_signature_validator";

/// The signatures of functionCall parts, `None` where there is none.
fn signatures(body: &Value) -> Vec<Option<String>> {
    let parts = body["contents"].as_array().unwrap().iter().flat_map(|content| content["parts"].as_array().unwrap());
    parts
        .filter(|part| part.get("functionCall").is_some())
        .map(|part| part["thoughtSignature"].as_str().map(str::to_owned))
        .collect()
}

fn is_stand_in(signature: &str) -> bool {
    signature == STAND_IN || signature == data_encoding::BASE64.encode(STAND_IN.as_bytes())
}

#[test]
fn case_29_a_lost_thought_signature() {
    // No signature at all: the stand-in on the first call of the step.
    let out = sent(OpenAiChat, &request(OpenAiChat, "tools"), "gemini-3");
    let first = signatures(&out)[0].clone().expect("calls of Gemini 3 need one");
    assert!(is_stand_in(&first), "{first}");
    // 2.5 does not insist.
    assert_eq!(signatures(&sent(OpenAiChat, &request(OpenAiChat, "tools"), "gemini-2.5"))[0], None);
    // Its own, in the field that CC has for it, comes back as it was.
    let out = sent(OpenAiChat, &request(OpenAiChat, "signatures"), "gemini-3");
    assert_eq!(signatures(&out)[0].as_deref(), Some("c2lnbmVk"));
}

/// An answer of Gemini, through a client of each protocol that echoes what it got, and back to Gemini.
#[test]
fn case_29_a_thought_signature_that_a_client_carries() {
    let bytes = stream(GeminiGenerate, "thought_and_calls");
    for client in [OpenAiChat, OpenAiResponses, AnthropicMessages] {
        let way = Way::new(GeminiGenerate, Shape::Stream, client, Shape::Whole);
        let answer: Value = serde_json::from_slice(&whole(&way, &bytes)).unwrap();
        let body = echoed(client, &answer);
        let out = sent(client, &body.to_string(), "gemini-3");
        let first = signatures(&out)[0].clone().unwrap_or_default();
        assert_eq!(first, "c2lnbmVkLWNhbGw=", "{client:?}: {out}");
    }
}

/// The next request of a client that sends back what it was given, and the results of the calls.
fn echoed(client: Protocol, answer: &Value) -> Value {
    match client {
        OpenAiChat => {
            let message = &answer["choices"][0]["message"];
            let mut messages = vec![json!({"role": "user", "content": "Tides?"}), message.clone()];
            for call in message["tool_calls"].as_array().unwrap() {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "2 m"}));
            }
            json!({"model": "m", "messages": messages})
        }
        OpenAiResponses => {
            let mut input = vec![json!({"role": "user", "content": "Tides?"})];
            input.extend(answer["output"].as_array().unwrap().iter().cloned());
            for item in answer["output"].as_array().unwrap().iter().filter(|item| item["type"] == "function_call") {
                input.push(json!({"type": "function_call_output", "call_id": item["call_id"], "output": "2 m"}));
            }
            json!({"model": "m", "input": input})
        }
        AnthropicMessages => {
            let content = answer["content"].as_array().unwrap();
            let results: Vec<Value> = content
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|block| json!({"type": "tool_result", "tool_use_id": block["id"], "content": "2 m"}))
                .collect();
            json!({"model": "m", "max_tokens": 100, "messages": [
                {"role": "user", "content": "Tides?"},
                {"role": "assistant", "content": content},
                {"role": "user", "content": results},
            ]})
        }
        GeminiGenerate => unreachable!("it has a field of its own"),
    }
}

#[test]
fn case_30_a_foreign_signature_is_not_sent_to_anthropic() {
    let with = |signature: &str| {
        json!({"model": "m", "max_tokens": 100, "messages": [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "The moon.", "signature": signature},
                {"type": "text", "text": "Because."},
            ]},
            {"role": "user", "content": "Really?"},
        ]})
        .to_string()
    };
    let made =
        |origin, account: &str| State { origin, account: Some(account.into()), payload: Str::plain("c2ln") }.wrapped();
    let thinking = |body: &str| -> Vec<String> {
        let out = sent(AnthropicMessages, body, "budget");
        let blocks = out["messages"][1]["content"].as_array().cloned().unwrap_or_default();
        assert!(blocks.iter().any(|block| block["text"] == "Because."), "the text stays: {out}");
        blocks.iter().filter_map(|block| block["signature"].as_str().map(str::to_owned)).collect()
    };
    // Not ours: passed on, its owner judges it. Ours and of the same account: unwrapped.
    assert_eq!(thinking(&with("EqQBc2ln")), ["EqQBc2ln"]);
    assert_eq!(thinking(&with(&made(AnthropicMessages, ACCOUNT))), ["c2ln"]);
    // Ours, but of another vendor or account: the block is dropped.
    assert_eq!(thinking(&with(&made(GeminiGenerate, ACCOUNT))), [""; 0]);
    assert_eq!(thinking(&with(&made(OpenAiResponses, ACCOUNT))), [""; 0]);
    assert_eq!(thinking(&with(&made(AnthropicMessages, "other"))), [""; 0]);
    // Thinking of a chat client without any signature cannot go back.
    let out = sent(OpenAiChat, &request(OpenAiChat, "reasoning"), "budget");
    assert!(!out.to_string().contains("\"type\":\"thinking\""), "{out}");
}

/// The decoder of RS checks every member that openai-python and Codex insist on.
#[test]
fn case_31_the_final_response_is_complete() {
    for case in fixtures::answers().iter().filter(|case| case.protocol != OpenAiResponses && !case.errs()) {
        let way = Way::new(case.protocol, case.shape, OpenAiResponses, Shape::Stream);
        let out = String::from_utf8(whole(&way, &case.response)).unwrap();
        let seen = decode(OpenAiResponses, Shape::Stream, out.as_bytes(), true);
        assert!(seen.wrong.is_empty(), "{}: {:#?}", case.id, seen.wrong);
        let terminal = ["response.completed", "response.incomplete", "response.failed"];
        let ends = out.lines().filter(|line| terminal.iter().any(|name| *line == format!("event: {name}"))).count();
        assert_eq!(ends, 1, "{}", case.id);
    }
}

#[test]
fn case_32_reasoning_ate_the_budget() {
    for (upstream, name) in [(OpenAiResponses, "length_in_thought.json"), (GeminiGenerate, "length_in_thought.json")] {
        each_of(upstream, name, |way, seen| {
            let heard = seen.first();
            let word = match way.client {
                OpenAiChat => "length",
                OpenAiResponses => "incomplete/max_output_tokens",
                AnthropicMessages => "max_tokens",
                GeminiGenerate => "MAX_TOKENS",
            };
            assert!(seen.finished(), "{way:?}: no error");
            assert_eq!((heard.stop.as_deref(), heard.text.as_str()), (Some(word), ""), "{way:?}");
        });
    }
}
