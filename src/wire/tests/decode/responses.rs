//! Decodes Responses as openai-python and Codex take them: paired events, numbers without gaps, and a final object that holds
//! what the deltas said.

use serde_json::{Value, json};

use super::chat::ids;
use super::sse::{Rules, frames};
use super::{Called, Seen, Tokens, error_of, object_text, short};

pub fn stream(text: &str, seen: &mut Seen) {
    let frames = frames(text, &Rules { comments: true, named: true }, seen);
    let mut state = State::default();
    for (at, frame) in frames.iter().enumerate() {
        let data = seen.parse(&frame.data);
        let kind = data["type"].as_str().unwrap_or("").to_owned();
        seen.claim(frame.event.as_deref() == Some(&kind), || format!("event {:?} has type {kind:?}", frame.event));
        let number = data["sequence_number"].as_u64();
        seen.claim(number == Some(at as u64), || format!("sequence_number {number:?} at {at}"));
        seen.claim(!state.ended, || format!("{kind} behind the end"));
        state.event(&kind, &data, at, seen);
    }
    seen.claim(state.ended, || "the stream has no terminal event".to_owned());
}

#[derive(Default)]
struct State {
    id: Value,
    /// Finished items.
    items: Vec<Value>,
    /// The item as it was added, and what its deltas made of it.
    open: Option<Value>,
    part: Option<Part>,
    error_event: bool,
    ended: bool,
}

/// A content or summary part under way.
struct Part {
    summary: bool,
    index: u64,
    value: Value,
    text_done: bool,
}

impl State {
    fn event(&mut self, kind: &str, data: &Value, at: usize, seen: &mut Seen) {
        let name = kind.strip_prefix("response.").unwrap_or(kind);
        match name {
            "created" | "in_progress" => {
                seen.claim(at == usize::from(name == "in_progress"), || format!("{name} stands at {at}"));
                let response = &data["response"];
                object(response, seen);
                seen.claim(response["status"] == "in_progress", || format!("status {}", response["status"]));
                seen.claim(response["output"] == json!([]), || "output at the start".to_owned());
                self.id = response["id"].clone();
            }
            "completed" | "incomplete" | "failed" => self.terminal(name, data, seen),
            "error" => {
                self.error_event = true;
                seen.named(data, "message");
            }
            "output_item.added" => {
                seen.claim(self.open.is_none(), || "an item starts in another".to_owned());
                let index = data["output_index"].as_u64();
                seen.claim(index == Some(self.items.len() as u64), || format!("output_index {index:?}"));
                let item = data["item"].clone();
                seen.named(&item, "id");
                if item["type"] == "message" {
                    let fresh = item["content"] == json!([]) && item["role"] == "assistant";
                    seen.claim(fresh && item["status"] == "in_progress", || format!("a message starts as {item}"));
                }
                if item["type"] == "function_call" {
                    seen.claim(item["arguments"] == "", || format!("a call starts as {item}"));
                    seen.named(&item, "call_id");
                    seen.named(&item, "name");
                }
                self.open = Some(item);
            }
            "output_item.done" => self.item_done(data, seen),
            _ => self.within(name, data, seen),
        }
    }

    fn item_done(&mut self, data: &Value, seen: &mut Seen) {
        seen.claim(data["output_index"] == self.items.len(), || format!("output_index {}", data["output_index"]));
        seen.claim(self.part.is_none(), || "an item ends before its part".to_owned());
        let Some(open) = self.open.take() else {
            return seen.claim(false, || "an item ends that was not added".to_owned());
        };
        let item = data["item"].clone();
        // Media come whole with the item; everything else must be what the deltas made of it.
        for name in ["type", "id", "call_id", "name", "arguments", "input", "content", "summary"] {
            let same = open.get(name) == item.get(name) || open["type"] == "image_generation_call";
            seen.claim(same, || {
                format!("item.{name} is {} after deltas of {}", brief(item.get(name)), brief(open.get(name)))
            });
        }
        self.items.push(item);
    }

    fn within(&mut self, name: &str, data: &Value, seen: &mut Seen) {
        let Some(item) = self.open.as_mut() else {
            return seen.claim(false, || format!("{name} outside an item"));
        };
        let ours = data["item_id"] == item["id"] && data["output_index"] == self.items.len();
        seen.claim(ours, || format!("{name}: item {} at {}", data["item_id"], data["output_index"]));
        let text = |field: &str| data[field].as_str().unwrap_or("").to_owned();
        match name {
            "content_part.added" | "reasoning_summary_part.added" => {
                seen.claim(self.part.is_none(), || "a part starts in another".to_owned());
                let summary = name.starts_with("reasoning");
                let index = data[if summary { "summary_index" } else { "content_index" }].as_u64();
                let list = &item[if summary { "summary" } else { "content" }];
                let known = list.as_array().map_or(0, Vec::len) as u64;
                seen.claim(index == Some(known), || format!("{name}: index {index:?} of {known}"));
                let index = index.unwrap_or(0);
                self.part = Some(Part { summary, index, value: data["part"].clone(), text_done: false });
            }
            "content_part.done" | "reasoning_summary_part.done" => {
                let Some(part) = self.part.take() else {
                    return seen.claim(false, || format!("{name} without a part"));
                };
                seen.claim(part.text_done, || format!("{name} before its text is done"));
                let is = strip(&data["part"]);
                seen.claim(is == strip(&part.value), || {
                    format!("{name}: {} after {}", brief(Some(&is)), brief(Some(&part.value)))
                });
                let list = if part.summary { "summary" } else { "content" };
                match item[list].as_array_mut() {
                    Some(list) => list.push(data["part"].clone()),
                    None => item[list] = json!([data["part"]]),
                }
            }
            "output_text.delta" | "refusal.delta" | "reasoning_summary_text.delta" | "reasoning_text.delta" => {
                seen.claim(name != "output_text.delta" || data["logprobs"].is_array(), || {
                    "delta without logprobs".into()
                });
                seen.claim(data["delta"].is_string(), || format!("{name}: {}", data["delta"]));
                self.in_part(name, data, seen, |value, field| append(&mut value[field], &text("delta")));
            }
            "output_text.done" | "refusal.done" | "reasoning_summary_text.done" | "reasoning_text.done" => {
                let field = if name == "refusal.done" { "refusal" } else { "text" };
                let is = text(field);
                let mut same = false;
                self.in_part(name, data, seen, |value, field| same = value[field] == is.as_str());
                seen.claim(same, || format!("{name} does not hold its deltas: {}", short(&is)));
                if let Some(part) = &mut self.part {
                    part.text_done = true;
                }
            }
            "output_text.annotation.added" => {
                let index = data["annotation_index"].as_u64();
                let mut known = 0;
                self.in_part(name, data, seen, |value, _| {
                    if let Some(list) = value["annotations"].as_array_mut() {
                        known = list.len() as u64;
                        list.push(data["annotation"].clone());
                    }
                });
                seen.claim(index == Some(known), || format!("annotation_index {index:?} of {known}"));
            }
            "function_call_arguments.delta" => append(&mut item["arguments"], &text("delta")),
            "function_call_arguments.done" => {
                let same =
                    item["arguments"] == data["arguments"] || data["arguments"] == "{}" && item["arguments"] == "";
                seen.claim(same, || format!("arguments.done: {}", data["arguments"]));
                item["arguments"] = data["arguments"].clone();
            }
            "custom_tool_call_input.delta" => append(&mut item["input"], &text("delta")),
            "custom_tool_call_input.done" => {
                seen.claim(item["input"] == data["input"], || format!("input.done: {}", data["input"]));
            }
            other if other.starts_with("image_generation_call.") => {}
            other => seen.claim(false, || format!("unknown event {other:?}")),
        }
    }

    fn in_part(&mut self, name: &str, data: &Value, seen: &mut Seen, then: impl FnOnce(&mut Value, &str)) {
        let Some(part) = self.part.as_mut() else {
            return seen.claim(false, || format!("{name} outside a part"));
        };
        let index = &data[if part.summary { "summary_index" } else { "content_index" }];
        seen.claim(*index == part.index, || format!("{name}: index {index} of part {}", part.index));
        let (kind, field) = match name.split('.').next().unwrap_or("") {
            "refusal" => ("refusal", "refusal"),
            "reasoning_summary_text" => ("summary_text", "text"),
            "reasoning_text" => ("reasoning_text", "text"),
            _ => ("output_text", "text"),
        };
        seen.claim(part.value["type"] == kind, || format!("{name} in a part of type {}", part.value["type"]));
        then(&mut part.value, field);
    }

    fn terminal(&mut self, name: &str, data: &Value, seen: &mut Seen) {
        self.ended = true;
        let response = &data["response"];
        seen.claim(response["status"] == name, || format!("{name}: status {}", response["status"]));
        seen.claim(response["id"] == self.id, || format!("the id changed to {}", response["id"]));
        let failed = name == "failed";
        seen.claim(failed || self.open.is_none(), || "the answer ends within an item".to_owned());
        seen.claim(failed || !self.error_event, || "an error event before success".to_owned());
        if !failed {
            let output = response["output"].as_array().cloned().unwrap_or_default();
            seen.claim(output == self.items, || {
                format!("the final output is not the items: {}", brief(Some(&response["output"])))
            });
        }
        final_object(response, seen);
    }
}

/// `logprobs` may be left out of a finished part.
fn strip(part: &Value) -> Value {
    let mut part = part.clone();
    if let Some(object) = part.as_object_mut() {
        object.remove("logprobs");
    }
    part
}

fn append(text: &mut Value, more: &str) {
    *text = Value::String(format!("{}{more}", text.as_str().unwrap_or("")));
}

fn brief(value: Option<&Value>) -> String {
    value.map_or("nothing".to_owned(), |value| short(&value.to_string()))
}

pub fn whole(text: &str, seen: &mut Seen) {
    let body = seen.parse(text);
    if body.get("object").is_none() && error_of(&body, seen) {
        return;
    }
    final_object(&body, seen);
}

/// What openai-python requires of every response object.
fn object(response: &Value, seen: &mut Seen) {
    seen.named(response, "id");
    seen.named(response, "model");
    seen.claim(response["object"] == "response", || format!("object {}", response["object"]));
    seen.key(response, "created_at", Value::is_number);
    seen.key(response, "output", Value::is_array);
    seen.key(response, "parallel_tool_calls", Value::is_boolean);
    seen.key(response, "tools", Value::is_array);
    seen.key(response, "tool_choice", |choice| choice.is_string() || choice.is_object());
    for name in ["error", "incomplete_details", "instructions", "metadata", "temperature", "top_p"] {
        seen.key(response, name, |_| true);
    }
}

fn final_object(response: &Value, seen: &mut Seen) {
    object(response, seen);
    seen.choice(0);
    for item in response["output"].as_array().cloned().unwrap_or_default() {
        read_item(&item, seen);
    }
    let status = response["status"].as_str().unwrap_or("");
    let reason = response["incomplete_details"]["reason"].as_str();
    seen.claim(status == "incomplete" || reason.is_none(), || format!("{status} with reason {reason:?}"));
    seen.claim((status == "failed") == response["error"].is_object(), || format!("{status}: {}", response["error"]));
    match status {
        "failed" => {
            seen.named(&response["error"], "code");
            error_of(response, seen);
        }
        "completed" | "incomplete" => seen.ended = true,
        other => seen.claim(false, || format!("status {other:?}")),
    }
    let stop = reason.map_or(status.to_owned(), |reason| format!("{status}/{reason}"));
    seen.choice(0).stop = Some(stop);
    if response["usage"].is_object() {
        read_usage(&response["usage"], seen);
    }
    let heard = seen.first();
    ids(&heard.calls, seen);
    for call in heard.calls.iter().filter(|call| !call.custom && status == "completed") {
        object_text(&call.arguments, seen, &call.name);
    }
}

fn read_item(item: &Value, seen: &mut Seen) {
    seen.named(item, "id");
    let text = |name: &str| item[name].as_str().unwrap_or("").to_owned();
    match item["type"].as_str().unwrap_or("") {
        "message" => {
            seen.claim(item["role"] == "assistant", || format!("role {}", item["role"]));
            seen.claim(["completed", "incomplete"].contains(&text("status").as_str()), || format!("status: {item}"));
            for part in item["content"].as_array().into_iter().flatten() {
                read_part(part, seen);
            }
        }
        "reasoning" => {
            seen.key(item, "summary", Value::is_array);
            let heard = seen.choice(0);
            heard.kind("reasoning");
            for part in ["content", "summary"].iter().flat_map(|list| item[*list].as_array()).flatten() {
                heard.reasoning.push_str(part["text"].as_str().unwrap_or(""));
            }
            heard.states.extend(item["encrypted_content"].as_str().map(str::to_owned));
        }
        kind @ ("function_call" | "custom_tool_call") => {
            let (id, name) = (seen.named(item, "call_id").to_owned(), seen.named(item, "name").to_owned());
            seen.claim(id.len() <= 64, || format!("call_id of {} bytes", id.len()));
            let custom = kind == "custom_tool_call";
            let field = if custom { "input" } else { "arguments" };
            seen.key(item, field, Value::is_string);
            let heard = seen.choice(0);
            heard.kind("call");
            heard.calls.push(Called { id, name, arguments: text(field), custom });
        }
        "image_generation_call" => {
            let data = seen.named(item, "result").to_owned();
            let heard = seen.choice(0);
            heard.kind("media");
            heard.media.push(data);
        }
        other => seen.claim(false, || format!("item of type {other:?}")),
    }
}

fn read_part(part: &Value, seen: &mut Seen) {
    match part["type"].as_str().unwrap_or("") {
        "output_text" => {
            seen.key(part, "text", Value::is_string);
            seen.key(part, "annotations", Value::is_array);
            let heard = seen.choice(0);
            heard.kind("text");
            heard.text.push_str(part["text"].as_str().unwrap_or(""));
            heard.logprobs += part["logprobs"].as_array().map_or(0, Vec::len);
            for note in part["annotations"].as_array().into_iter().flatten() {
                let url = ["url", "filename", "file_id"].iter().find_map(|name| note[*name].as_str());
                heard.citations.push(url.unwrap_or("?").to_owned());
            }
        }
        "refusal" => {
            let text = seen.named(part, "refusal").to_owned();
            let heard = seen.choice(0);
            heard.kind("refusal");
            heard.refusal.push_str(&text);
        }
        other => seen.claim(false, || format!("part of type {other:?}")),
    }
}

fn read_usage(usage: &Value, seen: &mut Seen) {
    let tokens = Tokens {
        input: seen.count(usage, "input_tokens"),
        cache_read: seen.count(usage, "input_tokens_details.cached_tokens"),
        cache_write: seen.count(usage, "input_tokens_details.cache_write_tokens"),
        output: seen.count(usage, "output_tokens"),
        reasoning: seen.count(usage, "output_tokens_details.reasoning_tokens"),
    };
    let total = seen.count(usage, "total_tokens");
    seen.claim(total == tokens.input + tokens.output, || format!("total_tokens {total} of {tokens:?}"));
    seen.usage = Some(tokens);
}
