//! Conversations of every protocol's clients with every protocol's upstream, thinking and calls in them, accepted by it turn
//! after turn.

use serde_json::{Value, json};

use super::seen::State;
use super::testing::{head, script, sent};
use crate::wire::Protocol::{self, AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::feed::Form;
use crate::wire::ir::{
    Effort, Efforts, Feature, Loss, LossKind, Losses, Outcome, Quirk, Quirks, ReasoningStyle, Target, Undo, WriterSetup,
};
use crate::wire::translate::{Setup, Translator, translate_request};

const ACCOUNT: &str = "acme";
/// Thinks in forty bytes, and calls twice.
const MODEL: &str = "m--l40-o2";

fn target(stream: bool, reasoning: ReasoningStyle, quirks: &[Quirk]) -> Target<'static> {
    Target {
        model: MODEL,
        stream,
        output_max: 64_000,
        output_limit: None,
        reasoning,
        sampling: true,
        vision: true,
        quirks: Quirks::of(quirks),
        account: ACCOUNT,
    }
}

/// Each protocol's ways of thinking.
fn targets(upstream: Protocol, stream: bool) -> Vec<Target<'static>> {
    const ALL: Efforts =
        Efforts::of(&[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max]);
    let effort = ReasoningStyle::Effort { efforts: ALL, off: true };
    let always = ReasoningStyle::Effort { efforts: ALL, off: false };
    let budget = ReasoningStyle::Budget { min: 1024, max: 32_768, off: true };
    match upstream {
        OpenAiChat => vec![
            target(stream, effort, &[]),
            target(stream, effort, &[Quirk::ReasoningContent, Quirk::MaxTokens, Quirk::NoDeveloperRole]),
        ],
        OpenAiResponses => vec![target(stream, effort, &[])],
        AnthropicMessages => vec![target(stream, always, &[Quirk::SystemTurns]), target(stream, budget, &[])],
        GeminiGenerate => vec![
            target(stream, always, &[Quirk::SignedCalls]),
            target(stream, budget, &[Quirk::SignedCalls, Quirk::Vertex]),
        ],
    }
}

fn path(upstream: Protocol, stream: bool) -> String {
    match upstream {
        OpenAiChat => "/v1/chat/completions".to_owned(),
        OpenAiResponses => "/v1/responses".to_owned(),
        AnthropicMessages => "/v1/messages".to_owned(),
        GeminiGenerate if stream => format!("/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"),
        GeminiGenerate => format!("/v1beta/models/{MODEL}:generateContent"),
    }
}

/// What a client says first: a tool to call, and that it wants thinking.
fn opening(client: Protocol) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    match client {
        OpenAiChat => json!({
            "model": "m", "reasoning_effort": "high", "max_completion_tokens": 4000,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tides?"}],
            "tools": [{"type": "function", "function": {"name": "look.up", "parameters": schema}}],
        }),
        OpenAiResponses => json!({
            "model": "m", "reasoning": {"effort": "high", "summary": "auto"}, "store": false,
            "include": ["reasoning.encrypted_content"], "instructions": "Be brief.",
            "input": [{"role": "user", "content": "Tides?"}],
            "tools": [{"type": "function", "name": "look_up", "parameters": schema}],
        }),
        AnthropicMessages => json!({
            "model": "m", "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000},
            "system": "Be brief.", "messages": [{"role": "user", "content": "Tides?"}],
            "tools": [{"name": "look_up", "input_schema": schema}],
        }),
        GeminiGenerate => json!({
            "generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingLevel": "HIGH"}},
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": "Tides?"}]}],
            "tools": [{"functionDeclarations": [{"name": "look_up", "parameters": schema}]}],
        }),
    }
}

/// Adds the answer to the conversation as SDKs do, and what the client says to it: results of its calls, else another question.
/// Says how many calls there were.
fn go_on(client: Protocol, body: &mut Value, answer: &Value) -> usize {
    let say = |list: &mut Value, more: Vec<Value>| list.as_array_mut().unwrap().extend(more);
    match client {
        OpenAiChat => {
            let message = answer["choices"][0]["message"].clone();
            let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
            let mut more = vec![message];
            more.extend(calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "2 m"})));
            if calls.is_empty() {
                more.push(json!({"role": "user", "content": "And tomorrow?"}));
            }
            say(&mut body["messages"], more);
            calls.len()
        }
        OpenAiResponses => {
            let items = answer["output"].as_array().unwrap().clone();
            let calls: Vec<Value> = items.iter().filter(|item| item["type"] == "function_call").cloned().collect();
            let mut more = items;
            more.extend(
                calls
                    .iter()
                    .map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "2 m"})),
            );
            if calls.is_empty() {
                more.push(json!({"role": "user", "content": "And tomorrow?"}));
            }
            say(&mut body["input"], more);
            calls.len()
        }
        AnthropicMessages => {
            let blocks = answer["content"].as_array().unwrap();
            let calls: Vec<&Value> = blocks.iter().filter(|block| block["type"] == "tool_use").collect();
            let result = |call: &&Value| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "2 m"});
            let mut said: Vec<Value> = calls.iter().map(result).collect();
            if calls.is_empty() {
                said.push(json!({"type": "text", "text": "And tomorrow?"}));
            }
            let more = vec![json!({"role": "assistant", "content": blocks}), json!({"role": "user", "content": said})];
            say(&mut body["messages"], more);
            calls.len()
        }
        GeminiGenerate => {
            let content = answer["candidates"][0]["content"].clone();
            let parts = content["parts"].as_array().unwrap();
            let calls: Vec<&Value> =
                parts.iter().map(|part| &part["functionCall"]).filter(|it| it.is_object()).collect();
            let result = |call: &&Value| json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"result": "2 m"}}});
            let mut said: Vec<Value> = calls.iter().map(result).collect();
            if calls.is_empty() {
                said.push(json!({"text": "And tomorrow?"}));
            }
            let count = calls.len();
            say(&mut body["contents"], vec![content, json!({"role": "user", "parts": said})]);
            count
        }
    }
}

fn answer(client: Protocol, upstream: Protocol, undo: Undo, stream: bool, bytes: &str) -> Value {
    let writer = WriterSetup { call_id: "call-of-a-test".to_owned(), ..WriterSetup::default() };
    let setup = Setup { upstream, client, stream: false, account: ACCOUNT.to_owned(), undo, writer };
    let mut translator = Translator::new(setup);
    translator.begin(if stream { Form::Sse } else { Form::Whole });
    let mut out = Vec::new();
    translator.push(bytes.as_bytes(), &mut out);
    assert_eq!(translator.finish(&mut out), Outcome::Complete, "{bytes}");
    serde_json::from_slice(&translator.whole().unwrap()).unwrap()
}

/// How a client treats what it was given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Memory {
    Faithful,
    /// Knows no field but those of its protocol's first day: thoughts and their state are gone.
    Forgetful,
    /// Echoes thoughts, but not their state.
    Careless,
}

/// The last thing said by the model, as such a client keeps it.
fn forget(value: &mut Value, memory: Memory) {
    const STATE: [&str; 5] =
        ["signature", "encrypted_content", "thoughtSignature", "reasoning_details", "extra_content"];
    match value {
        Value::Object(members) => {
            STATE.iter().for_each(|name| drop(members.remove(*name)));
            if memory == Memory::Forgetful {
                members.remove("reasoning_content");
            }
            members.values_mut().for_each(|value| forget(value, memory));
        }
        Value::Array(list) => {
            let is_thought = |item: &Value| {
                let kind = item["type"].as_str().unwrap_or("");
                matches!(kind, "thinking" | "reasoning") && memory == Memory::Forgetful
                    || kind == "redacted_thinking"
                    || item["thought"] == true && memory == Memory::Forgetful
            };
            list.retain(|item| !is_thought(item));
            list.iter_mut().for_each(|item| forget(item, memory));
        }
        _ => {}
    }
}

fn converse(client: Protocol, upstream: Protocol, target: &Target<'_>, memory: Memory) {
    let state = State::new(7);
    let mut body = opening(client);
    let mut calls = 0;
    for turn in 0..6 {
        if turn == 5 {
            body.as_object_mut().unwrap().remove("tools");
        }
        let text = body.to_string();
        let mut losses = Losses::default();
        let (sent_body, undo) = translate_request((client, upstream), &text, 64, target, &mut losses, |_| {}).unwrap();
        let asked: Value = serde_json::from_slice(&sent_body).unwrap();
        let script = script(&state, &path(upstream, target.stream), &asked);
        let bytes = sent(&script);
        let about = format!("{client:?} to {upstream:?}, turn {turn}: {bytes}\nfor {asked}\nof {text}");
        assert_eq!(head(&script).status, 200, "{about}");
        // A budget of thinking needs the thoughts before a call's results; who forgot them gets none for this once.
        let allowed = |loss: &Loss| memory != Memory::Faithful && loss.feature == Feature::Reasoning;
        let dropped = losses.iter().find(|loss| loss.kind == LossKind::Dropped && !allowed(loss));
        assert_eq!(dropped, None, "{about}");
        let answer = answer(client, upstream, undo, target.stream, &bytes);
        calls += go_on(client, &mut body, &answer);
        if memory != Memory::Faithful {
            forget(&mut body, memory);
        }
    }
    assert!(calls >= 4, "{client:?} to {upstream:?}: {calls} calls in {body}");
}

#[test]
fn conversations_with_thinking_and_calls_are_accepted_in_all_pairs() {
    for client in Protocol::ALL {
        for upstream in Protocol::ALL.into_iter().filter(|upstream| *upstream != client) {
            for stream in [false, true] {
                for target in targets(upstream, stream) {
                    for memory in [Memory::Faithful, Memory::Forgetful, Memory::Careless] {
                        converse(client, upstream, &target, memory);
                    }
                }
            }
        }
    }
}

/// A conversation that began with another vendor goes on: its thoughts stay behind, everything else is taken.
#[test]
fn conversations_move_from_one_vendor_to_another() {
    for client in Protocol::ALL {
        for first in Protocol::ALL {
            for then in Protocol::ALL.into_iter().filter(|then| *then != client && *then != first && first != client) {
                for target in targets(then, false) {
                    let state = State::new(7);
                    let mut body = opening(client);
                    for upstream in [first, then, first, then, then] {
                        let other = targets(first, false).remove(0);
                        let target = if upstream == then { &target } else { &other };
                        let mut losses = Losses::default();
                        let text = body.to_string();
                        let (sent_body, undo) =
                            translate_request((client, upstream), &text, 64, target, &mut losses, |_| {}).unwrap();
                        let asked: Value = serde_json::from_slice(&sent_body).unwrap();
                        let script = script(&state, &path(upstream, false), &asked);
                        let bytes = sent(&script);
                        let about = format!("{client:?} from {first:?} to {then:?}: {bytes}\nfor {asked}\nof {text}");
                        assert_eq!(head(&script).status, 200, "{about}");
                        let answer = answer(client, upstream, undo, false, &bytes);
                        go_on(client, &mut body, &answer);
                    }
                }
            }
        }
    }
}
