//! Decodes Chat Completions as openai-python and async-openai take them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::sse::{Rules, frames};
use super::{Called, Heard, Seen, Tokens, error_of, object_text, short};

const FINISH: [&str; 4] = ["stop", "length", "tool_calls", "content_filter"];

pub fn stream(text: &str, usage_asked: bool, seen: &mut Seen) {
    let frames = frames(text, &Rules { comments: true, named: false }, seen);
    let mut head = None;
    let mut roles = BTreeSet::new();
    let mut usage_chunk = false;
    for (at, frame) in frames.iter().enumerate() {
        if frame.data == "[DONE]" {
            seen.claim(at + 1 == frames.len(), || "data behind [DONE]".to_owned());
            seen.ended = true;
            continue;
        }
        let chunk = seen.parse(&frame.data);
        if error_of(&chunk, seen) {
            seen.claim(at + 2 >= frames.len(), || "chunks behind an error".to_owned());
            continue;
        }
        seen.claim(!usage_chunk, || "a chunk behind the usage chunk".to_owned());
        seen.claim(chunk["object"] == "chat.completion.chunk", || format!("object {}", chunk["object"]));
        seen.named(&chunk, "id");
        seen.named(&chunk, "model");
        seen.key(&chunk, "created", Value::is_u64);
        let same = (chunk["id"].clone(), chunk["model"].clone(), chunk["created"].clone());
        seen.claim(*head.get_or_insert(same.clone()) == same, || format!("id, model or created change: {same:?}"));
        seen.key(&chunk, "choices", Value::is_array);
        let choices = chunk["choices"].as_array().cloned().unwrap_or_default();
        match chunk.get("usage") {
            Some(usage) if usage.is_object() => {
                seen.claim(usage_asked, || "a usage chunk that nobody asked for".to_owned());
                seen.claim(choices.is_empty(), || "usage beside choices".to_owned());
                usage_chunk = true;
                read_usage(usage, seen);
            }
            Some(usage) => seen.claim(usage_asked && usage.is_null(), || format!("usage {usage}")),
            None => seen.claim(!usage_asked, || "usage:null is missing".to_owned()),
        }
        seen.claim(!choices.is_empty() || usage_chunk, || "a chunk without choices".to_owned());
        for choice in &choices {
            let index = choice["index"].as_u64();
            seen.claim(index.is_some(), || format!("choice without index: {choice}"));
            let index = index.unwrap_or(0);
            seen.claim(choice["delta"].is_object(), || format!("choice without delta: {choice}"));
            let first = roles.insert(index);
            let role = choice["delta"].get("role");
            let fits = if first { role == Some(&"assistant".into()) } else { role.is_none() };
            seen.claim(fits, || format!("choice {index}: role {role:?}, first {first}"));
            delta(choice, index, seen);
        }
    }
    seen.claim(seen.ended != seen.error.is_some() || seen.error.is_some(), || "no [DONE]".to_owned());
    close(seen);
}

fn delta(choice: &Value, index: u64, seen: &mut Seen) {
    let finished = seen.choice(index).stop.is_some();
    seen.claim(!finished, || format!("choice {index}: a delta behind its finish: {choice}"));
    seen.key(choice, "finish_reason", |word| word.is_null() || word.is_string());
    if let Some(word) = choice["finish_reason"].as_str() {
        seen.claim(FINISH.contains(&word), || format!("finish_reason {word:?}"));
        seen.choice(index).stop = Some(word.to_owned());
    }
    let delta = &choice["delta"];
    let heard = seen.choice(index);
    said(delta, heard);
    heard.logprobs += logprobs(choice);
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let at = call["index"].as_u64().map_or(usize::MAX, |at| at as usize);
        let known = seen.choice(index).calls.len();
        seen.claim(at <= known, || format!("tool index {} after {known} calls", call["index"]));
        let body = if call["type"] == "custom" || call.get("custom").is_some() { "custom" } else { "function" };
        let piece = call[body][if body == "custom" { "input" } else { "arguments" }].as_str();
        if at == known {
            let (id, name) = (seen.named(call, "id").to_owned(), seen.named(&call[body], "name").to_owned());
            seen.claim(call["type"] == body, || format!("type of a call: {}", call["type"]));
            seen.claim(piece.is_some(), || format!("no arguments: {call}"));
            let arguments = piece.unwrap_or("").to_owned();
            let heard = seen.choice(index);
            heard.kind("call");
            heard.calls.push(Called { id, name, arguments, custom: body == "custom" });
        } else if at < known {
            let again = call.get("id").is_some() || call[body].get("name").is_some();
            seen.claim(!again, || format!("id or name again: {call}"));
            seen.claim(piece.is_some(), || format!("a call delta without a piece: {call}"));
            seen.choice(index).calls[at].arguments.push_str(piece.unwrap_or(""));
        }
    }
}

/// What a message and a delta have in common.
fn said(message: &Value, heard: &mut Heard) {
    let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|name| message[*name].as_str());
    if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
        heard.kind("reasoning");
        heard.reasoning.push_str(text);
    }
    if let Some(text) = message["content"].as_str().filter(|text| !text.is_empty()) {
        heard.kind("text");
        heard.text.push_str(text);
    }
    if let Some(text) = message["refusal"].as_str().filter(|text| !text.is_empty()) {
        heard.kind("refusal");
        heard.refusal.push_str(text);
    }
    for detail in message["reasoning_details"].as_array().into_iter().flatten() {
        heard.states.extend(["signature", "data"].iter().filter_map(|name| detail[*name].as_str()).map(str::to_owned));
    }
    for image in message["images"].as_array().into_iter().flatten() {
        heard.kind("media");
        heard.media.extend(image["image_url"]["url"].as_str().map(str::to_owned));
    }
    if let Some(data) = message["audio"]["data"].as_str() {
        heard.kind("media");
        heard.media.push(data.to_owned());
    }
    heard.states.extend(message["extra_content"]["google"]["thought_signature"].as_str().map(str::to_owned));
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        heard.states.extend(call["extra_content"]["google"]["thought_signature"].as_str().map(str::to_owned));
    }
    heard.states.extend(message["extra_content"]["google"]["thought_signature"].as_str().map(str::to_owned));
    for citation in message["annotations"].as_array().into_iter().flatten() {
        heard.citations.push(citation["url_citation"]["url"].as_str().unwrap_or("?").to_owned());
    }
}

fn logprobs(choice: &Value) -> usize {
    choice["logprobs"]["content"].as_array().map_or(0, Vec::len)
}

pub fn whole(text: &str, seen: &mut Seen) {
    let body = seen.parse(text);
    if error_of(&body, seen) {
        return;
    }
    seen.claim(body["object"] == "chat.completion", || format!("object {}", body["object"]));
    seen.named(&body, "id");
    seen.named(&body, "model");
    seen.key(&body, "created", Value::is_u64);
    let choices = body["choices"].as_array().cloned().unwrap_or_default();
    seen.claim(!choices.is_empty(), || format!("no choices: {}", short(text)));
    for choice in &choices {
        let index = choice["index"].as_u64().unwrap_or(u64::MAX);
        let message = &choice["message"];
        seen.claim(index != u64::MAX, || format!("index {}", choice["index"]));
        seen.claim(message["role"] == "assistant", || format!("role {}", message["role"]));
        seen.key(message, "content", |content| content.is_null() || content.is_string());
        seen.key(message, "refusal", |refusal| refusal.is_null() || refusal.is_string());
        let word = seen.named(choice, "finish_reason").to_owned();
        seen.claim(FINISH.contains(&word.as_str()), || format!("finish_reason {word:?}"));
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let body = if call["type"] == "custom" { "custom" } else { "function" };
            seen.claim(call["type"] == body, || format!("type of a call: {}", call["type"]));
            let (id, name) = (seen.named(call, "id").to_owned(), seen.named(&call[body], "name").to_owned());
            let arguments = call[body][if body == "custom" { "input" } else { "arguments" }].as_str();
            seen.claim(arguments.is_some(), || format!("no arguments: {call}"));
            let arguments = arguments.unwrap_or("").to_owned();
            seen.choice(index).calls.push(Called { id, name, arguments, custom: body == "custom" });
        }
        let heard = seen.choice(index);
        said(message, heard);
        heard.logprobs += logprobs(choice);
        heard.stop = Some(word);
    }
    if let Some(usage) = body.get("usage").filter(|usage| !usage.is_null()) {
        read_usage(usage, seen);
    }
    seen.ended = true;
    close(seen);
}

fn read_usage(usage: &Value, seen: &mut Seen) {
    let tokens = Tokens {
        input: seen.count(usage, "prompt_tokens"),
        cache_read: seen.count(usage, "prompt_tokens_details.cached_tokens"),
        cache_write: usage["prompt_tokens_details"]["cache_write_tokens"].as_u64().unwrap_or(0),
        output: seen.count(usage, "completion_tokens"),
        reasoning: seen.count(usage, "completion_tokens_details.reasoning_tokens"),
    };
    let total = seen.count(usage, "total_tokens");
    seen.claim(total == tokens.input + tokens.output, || format!("total_tokens {total} of {tokens:?}"));
    seen.usage = Some(tokens);
}

/// What must hold of a finished answer.
fn close(seen: &mut Seen) {
    let finished = seen.finished();
    for (index, heard) in seen.choices.clone() {
        seen.claim(!finished || heard.stop.is_some(), || format!("choice {index} has no finish"));
        let calls = !heard.calls.is_empty();
        let word = heard.stop.as_deref();
        seen.claim(word != Some("tool_calls") || calls, || "tool_calls without a call".to_owned());
        seen.claim(word != Some("stop") || !calls, || "stop beside calls".to_owned());
        ids(&heard.calls, seen);
        for call in heard.calls.iter().filter(|call| !call.custom && word == Some("tool_calls")) {
            object_text(&call.arguments, seen, &call.name);
        }
    }
}

pub fn ids(calls: &[Called], seen: &mut Seen) {
    let ids: BTreeSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    seen.claim(ids.len() == calls.len(), || format!("call ids repeat: {ids:?}"));
}
