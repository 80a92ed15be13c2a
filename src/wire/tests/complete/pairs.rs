//! Calls and their results in a request: which result answers which call, however a protocol says so.

use serde_json::{Value, json};

use crate::wire::Protocol;

#[derive(Debug)]
struct Call {
    path: String,
    id: String,
    name: String,
    arguments: Value,
}

#[derive(Debug)]
struct Outcome {
    path: String,
    /// Index of the call that it answers.
    call: Option<usize>,
}

pub fn check(
    from: Protocol,
    to: Protocol,
    request: &Value,
    out: &Value,
    declared: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (calls, outcomes) = read(from, request);
    let (out_calls, out_outcomes) = read(to, out);
    let mut missing = Vec::new();
    let mut at = 0;
    // Where each call stands in the output.
    let mut places = Vec::new();
    for call in &calls {
        let found = out_calls[at..].iter().position(|out| same(call, out));
        places.push(found.map(|found| at + found));
        match found {
            Some(found) => at += found + 1,
            None if declared(&call.path) => {}
            None => missing.push(format!("{}: the call of {} is gone or changed", call.path, call.name)),
        }
    }
    for outcome in &outcomes {
        let Some(call) = outcome.call else { continue };
        let there = places[call].is_some_and(|place| out_outcomes.iter().any(|out| out.call == Some(place)));
        if !there && places[call].is_some() && !declared(&outcome.path) {
            missing.push(format!("{}: the result lost its call {}", outcome.path, calls[call].name));
        }
    }
    let lone = out_outcomes.iter().filter(|out| out.call.is_none()).count();
    let lone_before = outcomes.iter().filter(|outcome| outcome.call.is_none()).count();
    if lone > lone_before {
        missing.push(format!("{lone} results in the output answer no call"));
    }
    missing
}

fn same(call: &Call, out: &Call) -> bool {
    let text = call.arguments.as_str();
    let arguments = call.arguments == out.arguments
        // Free text becomes the one input of a wrapped tool; arguments that are no object are kept as text.
        || text.is_some_and(|text| out.arguments.to_string().contains(&json!(text).to_string()));
    arguments && (call.name == out.name || out.name.len() >= 3 && !call.name.is_empty())
}

fn arguments(text: &Value) -> Value {
    match text.as_str() {
        Some("") => json!({}),
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        None => text.clone(),
    }
}

fn read(protocol: Protocol, body: &Value) -> (Vec<Call>, Vec<Outcome>) {
    let (mut calls, mut outcomes) = (Vec::new(), Vec::new());
    let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    match protocol {
        Protocol::OpenAiChat => {
            for (at, message) in list("messages").iter().enumerate() {
                for (i, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
                    let (body, field) =
                        if call["custom"].is_object() { ("custom", "input") } else { ("function", "arguments") };
                    calls.push(Call {
                        path: format!("messages[{at}].tool_calls[{i}]"),
                        id: text(&call["id"]),
                        name: text(&call[body]["name"]),
                        arguments: if body == "custom" {
                            call[body][field].clone()
                        } else {
                            arguments(&call[body][field])
                        },
                    });
                }
                if message["role"] == "tool" {
                    let call = by_id(&calls, &message["tool_call_id"]);
                    outcomes.push(Outcome { path: format!("messages[{at}]"), call });
                }
            }
        }
        Protocol::OpenAiResponses => {
            for (at, item) in list("input").iter().enumerate() {
                let path = format!("input[{at}]");
                match item["type"].as_str() {
                    Some("function_call") => calls.push(Call {
                        path,
                        id: text(&item["call_id"]),
                        name: text(&item["name"]),
                        arguments: arguments(&item["arguments"]),
                    }),
                    Some("custom_tool_call") => calls.push(Call {
                        path,
                        id: text(&item["call_id"]),
                        name: text(&item["name"]),
                        arguments: item["input"].clone(),
                    }),
                    Some("function_call_output" | "custom_tool_call_output") => {
                        outcomes.push(Outcome { path, call: by_id(&calls, &item["call_id"]) });
                    }
                    _ => {}
                }
            }
        }
        Protocol::AnthropicMessages => {
            for (at, message) in list("messages").iter().enumerate() {
                for (i, block) in message["content"].as_array().into_iter().flatten().enumerate() {
                    let path = format!("messages[{at}].content[{i}]");
                    match block["type"].as_str() {
                        Some("tool_use") => calls.push(Call {
                            path,
                            id: text(&block["id"]),
                            name: text(&block["name"]),
                            arguments: block["input"].clone(),
                        }),
                        Some("tool_result") => {
                            outcomes.push(Outcome { path, call: by_id(&calls, &block["tool_use_id"]) });
                        }
                        _ => {}
                    }
                }
            }
        }
        Protocol::GeminiGenerate => gemini(&list("contents"), &mut calls, &mut outcomes),
    }
    (calls, outcomes)
}

fn gemini(contents: &[Value], calls: &mut Vec<Call>, outcomes: &mut Vec<Outcome>) {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    for (at, content) in contents.iter().enumerate() {
        for (i, part) in content["parts"].as_array().into_iter().flatten().enumerate() {
            let path = format!("contents[{at}].parts[{i}]");
            if let Some(call) = part.get("functionCall").or_else(|| part.get("function_call")) {
                let arguments = call.get("args").cloned().unwrap_or_else(|| pieces(&call["partialArgs"]));
                calls.push(Call { path, id: text(&call["id"]), name: text(&call["name"]), arguments });
            } else if let Some(result) = part.get("functionResponse").or_else(|| part.get("function_response")) {
                let open = |call: usize| !outcomes.iter().any(|outcome: &Outcome| outcome.call == Some(call));
                let call = by_id(calls, &result["id"]).filter(|call| open(*call)).or_else(|| {
                    (0..calls.len()).find(|call| open(*call) && calls[*call].name == text(&result["name"]))
                });
                outcomes.push(Outcome { path, call });
            }
        }
    }
}

/// Arguments in pieces, as far as they stand at the top.
fn pieces(list: &Value) -> Value {
    let mut whole = json!({});
    for piece in list.as_array().into_iter().flatten() {
        let value = ["stringValue", "numberValue", "boolValue"].iter().find_map(|name| piece.get(name));
        if let Some(name) = piece["jsonPath"].as_str().and_then(|path| path.strip_prefix("$.")) {
            whole[name] = value.cloned().unwrap_or(Value::Null);
        }
    }
    whole
}

fn by_id(calls: &[Call], id: &Value) -> Option<usize> {
    let id = id.as_str().filter(|id| !id.is_empty())?;
    calls.iter().rposition(|call| call.id == id)
}
