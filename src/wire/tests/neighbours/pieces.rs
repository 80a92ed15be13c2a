//! The same answer in more pieces.

use serde_json::{Value, json};

use super::Told;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::tests::decode::Shape;
use crate::wire::tests::recordings::Case;

/// CC: what a chunk says together is said in chunks of their own. GM: every part in a chunk.
pub fn one_member_a_piece(case: &Case, events: Vec<Told>) -> Option<Vec<Told>> {
    let mut out = Vec::new();
    for event in events {
        match case.protocol {
            OpenAiChat if case.shape == Shape::Stream => {
                let mut rest = event.clone();
                let alone = event.data["choices"].as_array().is_some_and(|choices| choices.len() == 1);
                if !alone {
                    out.push(event);
                    continue;
                }
                let delta = rest.data["choices"][0]["delta"].as_object_mut().filter(|_| alone);
                for name in ["role", "reasoning_content", "reasoning", "content"] {
                    let Some(value) = delta.as_ref().and_then(|delta| delta.get(name)).cloned() else { continue };
                    let together = delta.as_ref().is_some_and(|delta| {
                        delta.contains_key("reasoning_details")
                            || delta.contains_key("reasoning") && delta.contains_key("reasoning_content")
                    });
                    if together || !event.data["choices"][0]["logprobs"].is_null() {
                        continue;
                    }
                    let mut one = event.clone();
                    one.data["choices"][0]["delta"] = json!({name: value});
                    one.data["choices"][0]["finish_reason"] = Value::Null;
                    ["usage", "error", "citations", "search_results"].iter().for_each(|name| {
                        one.data.as_object_mut().map(|data| data.remove(*name));
                    });
                    out.push(one);
                }
                let taken = out.len();
                if let Some(delta) = rest.data["choices"][0]["delta"].as_object_mut().filter(|_| alone && taken > 0)
                    && event.data["choices"][0]["logprobs"].is_null()
                    && !delta.contains_key("reasoning_details")
                    && !(delta.contains_key("reasoning") && delta.contains_key("reasoning_content"))
                {
                    ["role", "reasoning_content", "reasoning", "content"].iter().for_each(|name| {
                        delta.remove(*name);
                    });
                }
                out.push(rest);
            }
            GeminiGenerate if case.shape == Shape::Stream => {
                let parts = event.data["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
                for part in parts.iter().rev().skip(1).rev() {
                    let mut one = event.clone();
                    let candidate = one.data["candidates"][0].as_object_mut()?;
                    ["finishReason", "groundingMetadata", "logprobsResult"].iter().for_each(|name| {
                        candidate.remove(*name);
                    });
                    candidate["content"]["parts"] = json!([part]);
                    out.push(one);
                }
                let mut rest = event;
                if let Some(last) = parts.last() {
                    rest.data["candidates"][0]["content"]["parts"] = json!([last]);
                }
                out.push(rest);
            }
            _ => return None,
        }
    }
    Some(out)
}

pub fn smaller_pieces(case: &Case, events: Vec<Told>) -> Option<Vec<Told>> {
    let pointer: &[&str] = match case.protocol {
        OpenAiChat => &[
            "/choices/0/delta/content",
            "/choices/0/delta/reasoning_content",
            "/choices/0/delta/tool_calls/0/function/arguments",
        ],
        OpenAiResponses => &["/delta"],
        AnthropicMessages => &["/delta/text", "/delta/thinking", "/delta/partial_json"],
        GeminiGenerate => return None,
    };
    let mut out = Vec::new();
    for event in events {
        let found = pointer.iter().filter_map(|at| Some((at, event.data.pointer(at)?.as_str()?.to_owned())));
        let found: Vec<_> = found.filter(|(_, text)| text.chars().count() > 1).collect();
        let plain = event.data["choices"][0]["logprobs"].is_null()
            && event.data["logprobs"].as_array().is_none_or(Vec::is_empty);
        let several = event.data["choices"][0]["delta"]["tool_calls"].as_array().is_some_and(|calls| calls.len() > 1)
            || event.data["choices"][0]["delta"]
                .as_object()
                .is_some_and(|delta| delta.contains_key("reasoning") || delta.contains_key("reasoning_details"))
            || !event.data["choices"][0]["message"].is_null();
        let [(at, text)] = found.as_slice() else {
            out.push(event);
            continue;
        };
        if !plain || several {
            out.push(event);
            continue;
        }
        let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
        let (head, tail) = text.split_at(half);
        let (mut first, mut second) = (event.clone(), event.clone());
        *first.data.pointer_mut(at)? = json!(head);
        *second.data.pointer_mut(at)? = json!(tail);
        if case.protocol == OpenAiChat {
            first.data["choices"][0]["finish_reason"] = Value::Null;
            first.data.as_object_mut().map(|data| data.remove("usage"));
            if let Some(call) = second.data.pointer_mut("/choices/0/delta/tool_calls/0").and_then(Value::as_object_mut)
            {
                call.remove("id");
                call["function"].as_object_mut().map(|function| function.remove("name"));
            }
        }
        out.extend([first, second]);
    }
    (case.shape == Shape::Stream).then_some(out)
}
