//! Fields that nobody knows, at every level of a request: each is named where another protocol cannot say it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::recordings::{cases, short_name};
use super::requests::with_model;
use super::targets::{plain, read, targets, write};
use crate::wire::Protocol::{self, AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::ir::Feature;

/// How their names begin; each has a number of its own.
const MARK: &str = "x_invented_";

/// A request whose `"?"` members are places for invented fields.
fn request(protocol: Protocol) -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    match protocol {
        OpenAiChat => json!({
            "?": 0, "model": "m",
            "messages": [
                {"?": 0, "role": "system", "content": [{"?": 0, "type": "text", "text": "s"}]},
                {"?": 0, "role": "user", "content": [
                    {"?": 0, "type": "text", "text": "t", "cache_control": {"?": 0, "type": "ephemeral"}},
                    {"?": 0, "type": "image_url", "image_url": {"?": 0, "url": "data:image/png;base64,AA=="}},
                    {"?": 0, "type": "file", "file": {"?": 0, "file_data": "data:application/pdf;base64,AA==", "filename": "f"}},
                ]},
                {"?": 0, "role": "assistant", "content": null, "tool_calls": [
                    {"?": 0, "id": "c", "type": "function", "function": {"?": 0, "name": "f", "arguments": "{}"}},
                ]},
                {"?": 0, "role": "tool", "tool_call_id": "c", "content": [{"?": 0, "type": "text", "text": "r"}]},
            ],
            "tools": [
                {"?": 0, "type": "function", "function": {"?": 0, "name": "f", "parameters": schema}},
                {"?": 0, "type": "custom", "custom": {"?": 0, "name": "g"}},
            ],
            "tool_choice": {"?": 0, "type": "function", "function": {"?": 0, "name": "f"}},
            "stream_options": {"?": 0, "include_usage": true},
            "thinking": {"?": 0, "type": "enabled"},
            "reasoning": {"?": 0, "effort": "low"},
            "web_search_options": {"?": 0, "user_location": {"?": 0, "type": "approximate", "approximate": {"?": 0, "city": "Oslo"}}},
        }),
        OpenAiResponses => json!({
            "?": 0, "model": "m",
            "input": [
                {"?": 0, "role": "user", "content": [
                    {"?": 0, "type": "input_text", "text": "t", "prompt_cache_breakpoint": {"?": 0, "mode": "explicit"}},
                    {"?": 0, "type": "input_image", "image_url": "data:image/png;base64,AA=="},
                    {"?": 0, "type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "f"},
                ]},
                {"?": 0, "type": "reasoning", "summary": [{"?": 0, "type": "summary_text", "text": "h"}]},
                {"?": 0, "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"?": 0, "type": "function_call_output", "call_id": "c", "output": [{"?": 0, "type": "input_text", "text": "r"}]},
                {"?": 0, "role": "assistant", "content": [{"?": 0, "type": "output_text", "text": "t"}]},
                {"?": 0, "role": "user", "content": "more"},
            ],
            "tools": [
                {"?": 0, "type": "function", "name": "f", "parameters": schema},
                {"?": 0, "type": "custom", "name": "g", "format": {"type": "text"}},
                {"?": 0, "type": "web_search", "filters": {"?": 0, "allowed_domains": ["a.example"]},
                    "user_location": {"?": 0, "type": "approximate", "city": "Oslo"}},
                {"type": "namespace", "name": "n", "tools": [{"?": 0, "type": "function", "name": "h"}], "?": 0},
            ],
            "tool_choice": {"?": 0, "type": "function", "name": "f"},
            "text": {"?": 0, "format": {"?": 0, "type": "json_schema", "name": "n", "schema": schema}},
            "reasoning": {"?": 0, "effort": "low"},
            "stream_options": {"?": 0, "include_obfuscation": false},
        }),
        AnthropicMessages => json!({
            "?": 0, "model": "m", "max_tokens": 100,
            "system": [{"?": 0, "type": "text", "text": "s", "cache_control": {"?": 0, "type": "ephemeral"}}],
            "messages": [
                {"?": 0, "role": "user", "content": [
                    {"?": 0, "type": "text", "text": "t"},
                    {"?": 0, "type": "image", "source": {"?": 0, "type": "base64", "media_type": "image/png", "data": "AA=="}},
                    {"?": 0, "type": "document", "source": {"?": 0, "type": "text", "media_type": "text/plain", "data": "d"}},
                    {"?": 0, "type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}]},
                ]},
                {"?": 0, "role": "assistant", "content": [
                    {"?": 0, "type": "thinking", "thinking": "h", "signature": "c2ln"},
                    {"?": 0, "type": "tool_use", "id": "c", "name": "f", "input": {}},
                ]},
                {"?": 0, "role": "user", "content": [
                    {"?": 0, "type": "tool_result", "tool_use_id": "c", "content": [{"?": 0, "type": "text", "text": "r"}]},
                ]},
            ],
            "tools": [
                {"?": 0, "name": "f", "input_schema": schema, "cache_control": {"?": 0, "type": "ephemeral"}},
                {"?": 0, "type": "web_search_20250305", "name": "web_search", "user_location": {"?": 0, "type": "approximate", "city": "Oslo"}},
            ],
            "tool_choice": {"?": 0, "type": "auto"},
            "metadata": {"?": 0, "user_id": "u"},
            "thinking": {"?": 0, "type": "disabled"},
            "output_config": {"?": 0, "format": {"?": 0, "type": "json_schema", "schema": schema}},
            "cache_control": {"?": 0, "type": "ephemeral"},
        }),
        GeminiGenerate => json!({
            "?": 0,
            "systemInstruction": {"?": 0, "parts": [{"?": 0, "text": "s"}]},
            "contents": [
                {"?": 0, "role": "user", "parts": [
                    {"?": 0, "text": "t"},
                    {"?": 0, "inlineData": {"?": 0, "mimeType": "image/png", "data": "AA=="}},
                    {"?": 0, "fileData": {"?": 0, "mimeType": "image/png", "fileUri": "https://a.example/x.png"}},
                ]},
                {"?": 0, "role": "model", "parts": [{"?": 0, "functionCall": {"?": 0, "name": "f", "args": {}}}]},
                {"?": 0, "role": "user", "parts": [
                    {"?": 0, "functionResponse": {"?": 0, "name": "f", "response": {"result": "r"},
                        "parts": [{"?": 0, "inlineData": {"?": 0, "mimeType": "image/png", "data": "AA=="}}]}},
                ]},
            ],
            "tools": [
                {"?": 0, "functionDeclarations": [{"?": 0, "name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]},
                {"?": 0, "googleSearch": {"?": 0}},
            ],
            "toolConfig": {"?": 0, "functionCallingConfig": {"?": 0, "mode": "AUTO"}},
            "generationConfig": {"?": 0, "thinkingConfig": {"?": 0, "thinkingBudget": 0}},
        }),
    }
}

/// Puts a field with a name of its own in every place; says where they are.
fn invent(value: &mut Value, path: &str, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if members.remove("?").is_some() {
                let name = format!("{MARK}{}", paths.len());
                paths.push(if path.is_empty() { name.clone() } else { format!("{path}.{name}") });
                members.insert(name, json!({"deep": [1, "two"]}));
            }
            for (name, value) in members.iter_mut().filter(|(name, _)| !name.starts_with(MARK)) {
                invent(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, paths);
            }
        }
        Value::Array(list) => {
            list.iter_mut().enumerate().for_each(|(at, value)| invent(value, &format!("{path}[{at}]"), paths));
        }
        _ => {}
    }
}

#[test]
fn each_invented_field_is_named_as_lost() {
    let mut failures = BTreeSet::new();
    for protocol in Protocol::ALL {
        let (mut body, mut paths) = (request(protocol), Vec::new());
        invent(&mut body, "", &mut paths);
        assert!(paths.len() >= 20, "{protocol:?}: {}", paths.len());
        let text = body.to_string();
        let request = read(protocol, &text).unwrap();
        // Files that only some upstreams take are not what this is about.
        for (name, to, target) in targets().into_iter().filter(|(name, to, _)| *to != protocol && *name != "gemini-2.5")
        {
            let written = match write(to, &request, &target) {
                Ok(written) => written,
                Err(refusal) => {
                    failures.insert(format!(
                        "{} {name} refuses {}: {}",
                        short_name(protocol),
                        refusal.param,
                        refusal.message
                    ));
                    continue;
                }
            };
            let lost: BTreeSet<String> = written
                .losses
                .iter()
                .filter_map(|loss| match &loss.feature {
                    Feature::Field(path) => Some(path.to_string()),
                    _ => None,
                })
                .collect();
            // A field whose whole holder is left out is lost with it.
            let named = |path: &String| {
                lost.iter().any(|lost| {
                    path == lost || path.strip_prefix(lost.as_str()).is_some_and(|rest| rest.starts_with('.'))
                })
            };
            let silent: Vec<&String> = paths.iter().filter(|path| !named(path)).collect();
            if !silent.is_empty() {
                failures.insert(format!("{} {name}: {silent:?}", short_name(protocol)));
            }
            let out = String::from_utf8(written.body).unwrap();
            if out.contains(MARK) {
                failures.insert(format!("{} {name}: said to another vendor: {out}", short_name(protocol)));
            }
        }
    }
    failures.iter().for_each(|failure| println!("  FAIL {failure}"));
    assert!(failures.is_empty(), "{} times", failures.len());
}

/// The same in recorded requests: one field in each object of a shape that was not seen before. What is data stays data.
#[test]
fn a_field_in_any_object_of_a_recorded_request_is_named() {
    const DATA: [&str; 10] = [
        ".parameters",
        ".parametersJsonSchema",
        "nput_schema",
        "chema",
        ".args",
        ".input",
        ".response",
        "logit_bias",
        "metadata",
        "labels",
    ];
    let mut seen = BTreeSet::new();
    let mut silent = BTreeSet::new();
    for case in cases() {
        let Some(body) = &case.request else { continue };
        let body: Value = serde_json::from_str(&with_model(body)).unwrap();
        let mut places = Vec::new();
        objects(&body, "", &mut places);
        for (pointer, path) in places {
            let shape: String =
                path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
            // What is left out whole is named by its type.
            let holders = pointer.match_indices('/').map(|(at, _)| &pointer[..at]).chain([pointer.as_str()]);
            let kinds: Vec<String> =
                holders.filter_map(|holder| body.pointer(holder)?["type"].as_str().map(str::to_owned)).collect();
            let kind = body.pointer(&pointer).and_then(|object| object["type"].as_str()).unwrap_or("").to_owned();
            let is_data = DATA.iter().any(|name| shape.contains(name)) || shape.contains(".arguments");
            if is_data || !seen.insert((case.protocol as u8, shape.clone(), kind.clone())) {
                continue;
            }
            let mut body = body.clone();
            body.pointer_mut(&pointer).and_then(Value::as_object_mut).unwrap().insert(format!("{MARK}0"), json!(1));
            let text = body.to_string();
            let Ok(request) = read(case.protocol, &text) else { continue };
            let named = if path.is_empty() { format!("{MARK}0") } else { format!("{path}.{MARK}0") };
            // OpenAI's two protocols say these alike: what is in them goes on whole.
            let alike = matches!(shape.as_str(), "moderation" | "prompt_cache_options");
            for to in Protocol::ALL.into_iter().filter(|to| *to != case.protocol && !(alike && *to == OpenAiChat)) {
                let Ok(written) = write(to, &request, &plain(to)) else { continue };
                let lost = written.losses.iter().any(|loss| match &loss.feature {
                    Feature::Field(path) => named.starts_with(&**path) || shape.is_empty() && named == **path,
                    Feature::ServerTool | Feature::ReasoningState | Feature::Citations => true,
                    _ => false,
                });
                let texts = written.losses.texts(case.protocol);
                let lost = lost || kinds.iter().any(|kind| texts.iter().any(|text| text.starts_with(kind.as_str())));
                if !lost {
                    silent.insert(format!("{} {shape} {kind:?} to {}", short_name(case.protocol), short_name(to)));
                }
            }
        }
    }
    silent.iter().for_each(|line| println!("  FAIL {line}"));
    assert!(silent.is_empty(), "{} shapes", silent.len());
}

/// JSON pointers and paths of every object.
fn objects(value: &Value, path: &str, places: &mut Vec<(String, String)>) {
    fn walk(value: &Value, pointer: &str, path: &str, places: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) => {
                places.push((pointer.to_owned(), path.to_owned()));
                for (name, value) in members {
                    let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let name = name.replace('~', "~0").replace('/', "~1");
                    walk(value, &format!("{pointer}/{name}"), &inner, places);
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    walk(value, &format!("{pointer}/{at}"), &format!("{path}[{at}]"), places);
                }
            }
            _ => {}
        }
    }
    walk(value, "", path, places);
}
