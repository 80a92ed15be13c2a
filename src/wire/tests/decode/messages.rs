//! Decodes Anthropic Messages as the official SDKs take them, and with the order that the service keeps.

use serde_json::Value;

use super::chat::ids;
use super::sse::{Rules, frames};
use super::{Called, Seen, Tokens, error_of, object_text, short};

const STOP: [&str; 7] =
    ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"];

#[derive(Default)]
struct Open {
    index: u64,
    kind: String,
    arguments: String,
    signed: bool,
    text: String,
}

pub fn stream(text: &str, seen: &mut Seen) {
    let frames = frames(text, &Rules { comments: false, named: true }, seen);
    let (mut usage, mut blocks, mut open) = (Value::Null, 0, None::<Open>);
    let mut place = Place::Before;
    for (at, frame) in frames.iter().enumerate() {
        let data = seen.parse(&frame.data);
        let kind = data["type"].as_str().unwrap_or("").to_owned();
        seen.claim(frame.event.as_deref() == Some(&kind), || format!("event {:?} has type {kind:?}", frame.event));
        seen.claim(place != Place::Ended, || format!("{kind} behind the end"));
        match kind.as_str() {
            "message_start" => {
                seen.claim(place == Place::Before && at == 0, || "message_start stands twice or late".to_owned());
                place = Place::Blocks;
                head(&data["message"], seen);
                let empty = data["message"]["content"].as_array().is_some_and(Vec::is_empty);
                seen.claim(empty, || "message_start has content".to_owned());
                seen.claim(data["message"]["stop_reason"].is_null(), || "message_start has a stop_reason".to_owned());
                usage = data["message"]["usage"].clone();
                seen.count(&usage, "input_tokens");
                seen.count(&usage, "output_tokens");
            }
            "ping" => seen.claim(place == Place::Blocks, || "ping outside the message".to_owned()),
            "content_block_start" => {
                seen.claim(place == Place::Blocks && open.is_none(), || "a block starts in another".to_owned());
                let index = data["index"].as_u64();
                seen.claim(index == Some(blocks), || format!("block index {index:?} of {blocks}"));
                blocks += 1;
                open = Some(block_start(&data["content_block"], blocks - 1, seen));
            }
            "content_block_delta" => match &mut open {
                Some(open) if data["index"] == open.index => block_delta(&data["delta"], open, seen),
                _ => seen.claim(false, || format!("a delta of a block that is not open: {}", short(&frame.data))),
            },
            "content_block_stop" => {
                let same = open.as_ref().is_some_and(|open| data["index"] == open.index);
                seen.claim(same, || "a stop of a block that is not open".to_owned());
                if let Some(open) = open.take() {
                    block_stop(open, seen);
                }
            }
            "message_delta" => {
                seen.claim(place == Place::Blocks && open.is_none(), || "message_delta stands early".to_owned());
                place = Place::Delta;
                let word = seen.named(&data["delta"], "stop_reason").to_owned();
                stop(&word, &data["delta"]["stop_sequence"], seen);
                seen.count(&data["usage"], "output_tokens");
                for (name, value) in data["usage"].as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
                    usage[name] = value.clone();
                }
            }
            "message_stop" => {
                seen.claim(place == Place::Delta, || "message_stop without message_delta".to_owned());
                place = Place::Ended;
                seen.ended = true;
            }
            "error" => {
                error_of(&data, seen);
                seen.named(&data["error"], "type");
                place = Place::Ended;
            }
            other => seen.claim(false, || format!("unknown event {other:?}")),
        }
    }
    seen.claim(place == Place::Ended, || "the stream has no end".to_owned());
    if place != Place::Before && seen.error.is_none() {
        read_usage(&usage, seen);
    }
    close(seen);
}

#[derive(PartialEq)]
enum Place {
    Before,
    Blocks,
    Delta,
    Ended,
}

fn head(message: &Value, seen: &mut Seen) {
    seen.claim(message["type"] == "message" && message["role"] == "assistant", || "no assistant message".to_owned());
    seen.named(message, "id");
    seen.named(message, "model");
    seen.key(message, "stop_sequence", |text| text.is_null() || text.is_string());
    seen.choice(0);
}

fn stop(word: &str, sequence: &Value, seen: &mut Seen) {
    seen.claim(STOP.contains(&word), || format!("stop_reason {word:?}"));
    seen.claim((word == "stop_sequence") == sequence.is_string(), || format!("{word}: stop_sequence {sequence}"));
    let heard = seen.choice(0);
    heard.stop = Some(word.to_owned());
    heard.stop_sequence = sequence.as_str().map(str::to_owned);
}

fn block_start(block: &Value, index: u64, seen: &mut Seen) -> Open {
    let kind = seen.named(block, "type").to_owned();
    let heard = seen.choice(0);
    match kind.as_str() {
        "text" => {
            heard.kind("text");
            heard.text.push_str(block["text"].as_str().unwrap_or(""));
            seen.claim(block["text"] == "", || format!("a text block starts with {}", block["text"]));
        }
        "thinking" => {
            heard.kind("reasoning");
            seen.claim(block["thinking"] == "" && block["signature"] == "", || format!("thinking starts: {block}"));
        }
        "redacted_thinking" => {
            heard.kind("reasoning");
            heard.states.push(block["data"].as_str().unwrap_or("").to_owned());
            seen.named(block, "data");
        }
        "tool_use" => {
            seen.claim(block["input"] == serde_json::json!({}), || format!("a call starts with {}", block["input"]));
            call(block, String::new(), seen);
        }
        other => seen.claim(false, || format!("block of type {other:?}")),
    }
    Open { index, kind, ..Open::default() }
}

fn call(block: &Value, arguments: String, seen: &mut Seen) {
    let (id, name) = (seen.named(block, "id").to_owned(), seen.named(block, "name").to_owned());
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    seen.claim(id.chars().all(plain), || format!("call id {id:?}"));
    let heard = seen.choice(0);
    heard.kind("call");
    heard.calls.push(Called { id, name, arguments, custom: false });
}

fn block_delta(delta: &Value, open: &mut Open, seen: &mut Seen) {
    let kind = delta["type"].as_str().unwrap_or("");
    seen.claim(!open.signed, || format!("{kind} behind the signature"));
    let (of, field) = match kind {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("thinking", "signature"),
        "input_json_delta" => ("tool_use", "partial_json"),
        "citations_delta" => ("text", "citation"),
        other => return seen.claim(false, || format!("delta of type {other:?}")),
    };
    seen.claim(open.kind == of, || format!("{kind} in {}", open.kind));
    let text = delta[field].as_str().unwrap_or("");
    seen.claim(delta[field].is_string() || field == "citation", || format!("{kind}: {delta}"));
    open.text.push_str(text);
    let heard = seen.choice(0);
    match kind {
        "text_delta" => heard.text.push_str(text),
        "thinking_delta" => heard.reasoning.push_str(text),
        "signature_delta" => {
            open.signed = true;
            heard.states.push(text.to_owned());
        }
        "input_json_delta" => open.arguments.push_str(text),
        _ => cited(&delta["citation"], seen),
    }
}

fn cited(citation: &Value, seen: &mut Seen) {
    seen.named(citation, "type");
    let url = ["url", "document_title", "title", "source"].iter().find_map(|name| citation[*name].as_str());
    seen.choice(0).citations.push(url.unwrap_or("?").to_owned());
}

fn block_stop(open: Open, seen: &mut Seen) {
    match open.kind.as_str() {
        "tool_use" => {
            if let Some(call) = seen.choice(0).calls.last_mut() {
                call.arguments = if open.arguments.is_empty() { "{}".to_owned() } else { open.arguments };
            }
        }
        "text" => seen.claim(!open.text.is_empty(), || "an empty text block, refused when it comes back".to_owned()),
        _ => {}
    }
}

pub fn whole(text: &str, seen: &mut Seen) {
    let body = seen.parse(text);
    if body["type"] == "error" {
        error_of(&body, seen);
        seen.named(&body["error"], "type");
        return;
    }
    head(&body, seen);
    seen.key(&body, "content", Value::is_array);
    for block in body["content"].as_array().into_iter().flatten() {
        let text = |name: &str| block[name].as_str().unwrap_or("").to_owned();
        match block["type"].as_str().unwrap_or("") {
            "text" => {
                seen.named(block, "text");
                let heard = seen.choice(0);
                heard.kind("text");
                heard.text.push_str(&text("text"));
                for citation in block["citations"].as_array().into_iter().flatten() {
                    cited(citation, seen);
                }
            }
            "thinking" => {
                seen.key(block, "thinking", Value::is_string);
                seen.key(block, "signature", Value::is_string);
                let heard = seen.choice(0);
                heard.kind("reasoning");
                heard.reasoning.push_str(&text("thinking"));
                heard.states.push(text("signature"));
            }
            "redacted_thinking" => {
                let data = seen.named(block, "data").to_owned();
                let heard = seen.choice(0);
                heard.kind("reasoning");
                heard.states.push(data);
            }
            "tool_use" => {
                seen.key(block, "input", Value::is_object);
                call(block, block["input"].to_string(), seen);
            }
            other => seen.claim(false, || format!("block of type {other:?}")),
        }
    }
    let word = seen.named(&body, "stop_reason").to_owned();
    stop(&word, &body["stop_sequence"], seen);
    read_usage(&body["usage"], seen);
    seen.ended = true;
    close(seen);
}

fn read_usage(usage: &Value, seen: &mut Seen) {
    let part = |name: &str| usage[name].as_u64().unwrap_or(0);
    let (cache_read, cache_write) = (part("cache_read_input_tokens"), part("cache_creation_input_tokens"));
    let split = &usage["cache_creation"];
    if split.is_object() {
        let of = |name: &str| split[name].as_u64().unwrap_or(0);
        let sum = of("ephemeral_5m_input_tokens") + of("ephemeral_1h_input_tokens");
        seen.claim(sum == cache_write, || format!("cache_creation: {sum} of {cache_write}"));
    }
    let tokens = Tokens {
        input: seen.count(usage, "input_tokens") + cache_read + cache_write,
        cache_read,
        cache_write,
        output: seen.count(usage, "output_tokens"),
        reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(0),
    };
    // The keys must be there for SDKs; where the upstream told nothing, they are zero.
    seen.usage = (tokens != Tokens::default()).then_some(tokens);
}

fn close(seen: &mut Seen) {
    let heard = seen.first();
    let word = heard.stop.as_deref();
    let calls = !heard.calls.is_empty();
    seen.claim(word != Some("tool_use") || calls, || "tool_use without a call".to_owned());
    seen.claim(word != Some("end_turn") || !calls, || "end_turn beside calls".to_owned());
    ids(&heard.calls, seen);
    for call in heard.calls.iter().filter(|_| word == Some("tool_use")) {
        object_text(&call.arguments, seen, &call.name);
    }
}
