//! Cases 22 to 28: calls of tools and their results.

use serde_json::{Value, json};

use super::*;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::tests::fixtures::request;
use crate::wire::tests::targets::{read, targets, write};

/// Names and arguments of the calls, in order.
fn calls(seen: &Seen) -> Vec<(String, Value)> {
    let arguments = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    seen.first().calls.iter().map(|call| (call.name.clone(), arguments(&call.arguments))).collect()
}

fn tide(port: &str) -> (String, Value) {
    ("tide".to_owned(), json!({ "port": port }))
}

/// The body for the target of that name.
pub fn sent(from: Protocol, body: &str, target: &str) -> Value {
    let (_, to, target) = targets().into_iter().find(|(name, ..)| *name == target).unwrap();
    let written = write(to, &read(from, body).unwrap(), &target).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    serde_json::from_slice(&written.body).unwrap()
}

#[test]
fn case_22_a_tool_without_arguments() {
    for arguments in [r#""arguments":"""#, r#""arguments":"{}""#, r#""arguments":null"#, r#""arguments":{}"#] {
        let call = format!(
            r#""choices":[{{"index":0,"delta":{{"role":"assistant","tool_calls":[{{"index":0,"id":"call_1","type":"function","function":{{"name":"now",{arguments}}}}}]}},"finish_reason":"tool_calls"}}]"#
        );
        each(OpenAiChat, Shape::Stream, &chat(&[&call]), |way, seen| {
            assert_eq!(calls(seen), [("now".to_owned(), json!({}))], "{way:?} {arguments}");
        });
    }
    for (upstream, name) in
        [(AnthropicMessages, "call_without_arguments.sse"), (OpenAiChat, "call_without_arguments.sse")]
    {
        each_of(upstream, name, |_, seen| assert_eq!(calls(seen), [("now".to_owned(), json!({}))]));
    }
    each_of(AnthropicMessages, "thinking.sse", |_, seen| {
        assert_eq!(calls(seen), [("steer".to_owned(), json!({ "degrees": 15 }))]);
    });
}

#[test]
fn case_23_parallel_calls_at_index_zero_or_none() {
    each_of(OpenAiChat, "calls_all_index_zero.sse", |_, seen| {
        assert_eq!(calls(seen), [tide("Emden"), tide("Norden")]);
    });
    let bytes = edit(&stream(OpenAiChat, "calls_all_index_zero"), "\"tool_calls\":[{\"index\":0,", "\"tool_calls\":[{");
    each(OpenAiChat, Shape::Stream, &bytes, |_, seen| assert_eq!(calls(seen), [tide("Emden"), tide("Norden")]));
    // No ids either: a name begins a new one.
    let text = String::from_utf8(bytes).unwrap().replace("\"id\":\"call_a1\",", "").replace("\"id\":\"call_b2\",", "");
    each(OpenAiChat, Shape::Stream, text.as_bytes(), |_, seen| {
        assert_eq!(calls(seen), [tide("Emden"), tide("Norden")]);
    });
}

/// The decoder of CC insists on a running index.
#[test]
fn case_24_one_gemini_call_a_chunk() {
    each_of(GeminiGenerate, "thought_and_calls.sse", |_, seen| {
        assert_eq!(calls(seen), [tide("Emden"), tide("Norden")]);
    });
}

#[test]
fn case_25_output_index_is_no_tool_index() {
    each_of(OpenAiResponses, "reasoning_and_calls.sse", |_, seen| {
        assert_eq!(calls(seen), [tide("Emden"), ("now".to_owned(), json!({}))]);
    });
}

#[test]
fn case_26_interleaved_pieces() {
    each_of(OpenAiChat, "calls_interleaved.sse", |_, seen| {
        assert_eq!(calls(seen), [tide("Emden"), ("wind".to_owned(), json!({ "at": "pier 3" }))]);
    });
}

#[test]
fn case_27_ids_that_a_target_refuses() {
    let body = request(OpenAiChat, "odd_ids");
    for (target, fits) in [
        (
            "budget",
            &(|id: &str| id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))) as &dyn Fn(&str) -> bool,
        ),
        ("responses", &|id: &str| id.len() <= 64),
    ] {
        let out = sent(OpenAiChat, &body, target);
        let (calls, results) = ids(&out);
        assert_eq!(calls, results, "{target}: both ends the same");
        assert_eq!(calls.len(), 2);
        assert_ne!(calls[0], calls[1]);
        assert!(calls.iter().all(|id| fits(id)), "{target}: {calls:?}");
    }
    // Mistral takes nine letters or digits.
    let out = sent(AnthropicMessages, &request(AnthropicMessages, "tools"), "mistral");
    let (calls, results) = ids(&out);
    assert_eq!(calls, results);
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|id| id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric())), "{calls:?}");
    // Of an answer: ids that are missing or said twice come out as different ones.
    each_of(OpenAiChat, "ids_odd.json", |way, seen| {
        let ids: Vec<String> = seen.first().calls.iter().map(|call| call.id.clone()).collect();
        assert_eq!(ids.len(), 2, "{way:?}");
        assert_ne!(ids[0], ids[1], "{way:?}");
    });
}

/// Ids of calls and of results, in order, wherever they stand.
fn ids(body: &Value) -> (Vec<String>, Vec<String>) {
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    fn walk(value: &Value, calls: &mut Vec<String>, results: &mut Vec<String>) {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let kind = value["type"].as_str().unwrap_or("");
        match kind {
            "function" if value["function"]["arguments"].is_string() => calls.extend(text("id")),
            "tool_use" => calls.extend(text("id")),
            "function_call" => calls.extend(text("call_id")),
            "function_call_output" => results.extend(text("call_id")),
            "tool_result" => results.extend(text("tool_use_id")),
            _ if value["role"] == "tool" => results.extend(text("tool_call_id")),
            _ => {}
        }
        let inner: Vec<&Value> = match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(object) => object.values().collect(),
            _ => Vec::new(),
        };
        inner.into_iter().for_each(|value| walk(value, calls, results));
    }
    walk(body, &mut calls, &mut results);
    (calls, results)
}

#[test]
fn case_28_parallel_results_in_separate_messages() {
    let body = request(OpenAiChat, "tools");
    let messages = sent(OpenAiChat, &body, "budget");
    let with_results: Vec<&Value> = messages["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["content"].as_array().into_iter().flatten().any(|b| b["type"] == "tool_result"))
        .collect();
    assert_eq!(with_results.len(), 1, "all in one user message");
    let kinds: Vec<&str> =
        with_results[0]["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["tool_result"; 3], "first in it");

    let contents = sent(OpenAiChat, &body, "gemini-2.5");
    let with_results: Vec<usize> = contents["contents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|content| {
            content["parts"].as_array().into_iter().flatten().filter(|p| p.get("functionResponse").is_some()).count()
        })
        .filter(|count| *count > 0)
        .collect();
    assert_eq!(with_results, [3], "all in one content");

    let chat = sent(AnthropicMessages, &request(AnthropicMessages, "tools"), "openai");
    let roles: Vec<&str> =
        chat["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    let first = roles.iter().position(|role| *role == "tool").unwrap();
    assert_eq!(roles[first - 1], "assistant");
    assert_eq!(roles[first..first + 3], ["tool"; 3], "one message each, right after the calls");
}
