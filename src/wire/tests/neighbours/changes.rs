//! How a neighbour of a vendor says the same answer otherwise. Must never change what it means.

use serde_json::{Map, Value, json};

use super::Told;
use super::pieces::{one_member_a_piece, smaller_pieces};
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::tests::decode::Shape;
use crate::wire::tests::recordings::Case;

pub type Change = fn(&Case, Vec<Told>) -> Option<Vec<Told>>;

/// By name, for whom it is.
pub const CHANGES: [(&str, Change); 26] = [
    ("members in another order", |_, events| Some(events)),
    ("members that nobody knows", |_, events| {
        Some(edited(events, &|object| {
            object.insert("x_new".to_owned(), json!({"type": "thing", "list": [1, {"text": 7}]}));
        }))
    }),
    ("nulls where nothing is", nulls),
    ("no ids but of calls", |case, events| {
        let names: &[&str] = match case.protocol {
            OpenAiChat => {
                return Some(each(events, |data| {
                    data.as_object_mut().map(|data| data.remove("id"));
                }));
            }
            OpenAiResponses => &["item_id", "id"],
            AnthropicMessages => {
                return Some(each(events, |data| {
                    if let Some(message) = data["message"].as_object_mut() {
                        message.remove("id");
                    }
                }));
            }
            GeminiGenerate => &["responseId", "modelVersion", "createTime"],
        };
        Some(edited(events, &|object| {
            names.iter().for_each(|name| {
                object.remove(*name);
            })
        }))
    }),
    ("no event names", |case, mut events| {
        events.iter_mut().for_each(|event| event.name = None);
        matches!(case.protocol, AnthropicMessages | OpenAiResponses).then_some(events)
    }),
    ("no types beside event names", |case, events| {
        let named = case.shape == Shape::Stream && events.iter().all(|event| event.name.is_some());
        named.then(|| {
            each(events, |data| {
                data.as_object_mut().map(|data| data.remove("type"));
            })
        })
    }),
    ("no places of items", |case, events| {
        // Where ids change as well, nothing tells the items apart.
        let sequential = case.protocol == OpenAiResponses && !case.id.contains("id-rotation");
        sequential.then(|| {
            each(events, |data| {
                data.as_object_mut().map(|data| (data.remove("output_index"), data.remove("sequence_number")));
            })
        })
    }),
    ("no ends of parts", |case, events| {
        without(case, events, |kind| {
            kind == "content_block_stop"
                || kind.starts_with("response.") && kind.ends_with(".done") && kind != "response.output_item.done"
        })
    }),
    ("no starts", |case, events| {
        without(case, events, |kind| {
            [
                "response.created",
                "response.in_progress",
                "response.content_part.added",
                "response.reasoning_summary_part.added",
            ]
            .contains(&kind)
        })
    }),
    ("no pieces, only ends", |case, events| {
        without(case, events, |kind| kind.starts_with("response.") && kind.ends_with(".delta"))
    }),
    ("no items at the end", |case, mut events| {
        let last = events.iter_mut().rfind(|event| event.data["response"]["output"].is_array())?;
        last.data["response"]["output"] = json!([]);
        (case.shape == Shape::Stream).then_some(events)
    }),
    ("nothing but the end", |case, events| {
        let is_last = |event: &&Told| {
            ["completed", "incomplete"].iter().any(|word| event.data["type"] == *format!("response.{word}"))
        };
        let last = events.iter().find(is_last)?;
        let whole = last.data["response"]["output"].as_array().is_some_and(|output| !output.is_empty());
        (case.shape == Shape::Stream && whole).then(|| vec![last.clone()])
    }),
    ("no end mark", |case, events| match case.protocol {
        // Without a word for its end, the mark is all that there is.
        OpenAiChat => case
            .finish()
            .filter(|word| !word.is_empty())
            .map(|_| events.into_iter().filter(|event| event.raw != "[DONE]").collect()),
        AnthropicMessages => without(case, events, |kind| kind == "message_stop"),
        OpenAiResponses | GeminiGenerate => None,
    }),
    ("counts as texts", |_, events| Some(counts(events, &|count| json!(count.to_string())))),
    ("counts with a fraction", |_, events| Some(counts(events, &|count| json!(count as f64)))),
    ("usage beside the finish", usage_beside_finish),
    ("usage in every chunk", |case, mut events| {
        let usage = events.iter().rev().find_map(|event| event.data["usage"].as_object().cloned())?;
        (case.protocol == OpenAiChat && case.shape == Shape::Stream).then(|| {
            events
                .iter_mut()
                .filter(|event| event.data.is_object())
                .for_each(|event| event.data["usage"] = json!(usage));
            events
        })
    }),
    ("calls without a place", |case, events| {
        apart(&events)
            .then(|| {
                edited(events, &|object| {
                    if object.contains_key("function") {
                        object.remove("index");
                    }
                })
            })
            .filter(|_| case.protocol == OpenAiChat && case.shape == Shape::Stream)
    }),
    ("calls all in one place", |case, events| {
        apart(&events)
            .then(|| {
                edited(events, &|object| {
                    if object.contains_key("function") {
                        object.insert("index".to_owned(), json!(0));
                    }
                })
            })
            .filter(|_| case.protocol == OpenAiChat && case.shape == Shape::Stream)
    }),
    ("arguments as objects", |case, events| {
        (case.protocol == OpenAiChat && case.shape == Shape::Whole).then(|| {
            edited(events, &|object| {
                if let Some(Ok(arguments @ Value::Object(_))) =
                    object.get("arguments").and_then(Value::as_str).map(serde_json::from_str::<Value>)
                {
                    object.insert("arguments".to_owned(), arguments);
                }
            })
        })
    }),
    ("one member a piece", one_member_a_piece),
    ("texts in smaller pieces", smaller_pieces),
    ("all in one chunk", |case, events| {
        if case.protocol != GeminiGenerate
            || case.shape != Shape::Stream
            || events.iter().any(|event| event.data["error"].is_object())
        {
            return None;
        }
        let mut all = events.iter().rfind(|event| event.data["candidates"][0].is_object())?.clone();
        let mut parts: Vec<Value> = Vec::new();
        for event in &events {
            let candidates = event.data["candidates"].as_array().map_or(0, Vec::len);
            let first = event.data["candidates"][0].clone();
            if candidates > 1 || first["index"].as_u64().unwrap_or(0) > 0 {
                return None;
            }
            parts.extend(first["content"]["parts"].as_array().cloned().unwrap_or_default());
            for name in ["finishReason", "finishMessage", "groundingMetadata", "citationMetadata", "logprobsResult"] {
                if !first[name].is_null() {
                    all.data["candidates"][0][name] = first[name].clone();
                }
            }
            if !event.data["usageMetadata"].is_null() {
                all.data["usageMetadata"] = event.data["usageMetadata"].clone();
            }
        }
        all.data["candidates"][0]["content"] = json!({"role": "model", "parts": parts});
        let finished = all.data["candidates"][0]["finishReason"].is_string();
        finished.then(|| vec![all])
    }),
    ("names in snake case", |case, events| {
        (case.protocol == GeminiGenerate)
            .then(|| events.into_iter().map(|event| Told { data: snake(&event.data), ..event }).collect())
    }),
    ("wrapped in a response", |case, events| {
        (case.protocol == GeminiGenerate && case.shape != Shape::Array).then(|| {
            events
                .into_iter()
                .map(|event| match event.data["error"] {
                    Value::Null => Told { data: json!({"response": event.data}), ..event },
                    _ => event,
                })
                .collect()
        })
    }),
    ("a start twice", |case, mut events| {
        let first = events.first()?.clone();
        events.insert(1, first.clone());
        (case.protocol == AnthropicMessages && first.data["type"] == "message_start").then_some(events)
    }),
];

fn each(mut events: Vec<Told>, change: impl Fn(&mut Value)) -> Vec<Told> {
    events.iter_mut().filter(|event| event.data.is_object()).for_each(|event| change(&mut event.data));
    events
}

/// Changes every object but those that are data: arguments, schemas, what is repeated of the request.
fn edited(mut events: Vec<Told>, change: &dyn Fn(&mut Map<String, Value>)) -> Vec<Told> {
    fn walk(value: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|value| walk(value, change)),
            Value::Object(object) => {
                const DATA: [&str; 9] =
                    ["args", "arguments", "input", "partialArgs", "tools", "text", "tool_choice", "error", "metadata"];
                object
                    .iter_mut()
                    .filter(|(name, _)| !DATA.contains(&name.as_str()))
                    .for_each(|(_, value)| walk(value, change));
                change(object);
            }
            _ => {}
        }
    }
    events.iter_mut().for_each(|event| walk(&mut event.data, change));
    events
}

fn without(case: &Case, events: Vec<Told>, gone: impl Fn(&str) -> bool) -> Option<Vec<Told>> {
    let kind = |event: &Told| event.data["type"].as_str().unwrap_or_default().to_owned();
    let left: Vec<Told> = events.iter().filter(|event| !gone(&kind(event))).cloned().collect();
    (case.shape == Shape::Stream && left.len() < events.len()).then_some(left)
}

fn nulls(case: &Case, events: Vec<Told>) -> Option<Vec<Told>> {
    let add = |object: &mut Map<String, Value>, names: &[&str]| {
        names.iter().for_each(|name| {
            object.entry(*name).or_insert(Value::Null);
        });
    };
    Some(edited(events, &|object| match case.protocol {
        OpenAiChat if object.contains_key("delta") || object.contains_key("message") => {
            add(object, &["finish_reason", "logprobs", "usage"])
        }
        OpenAiChat if object.contains_key("choices") => add(object, &["usage", "error", "service_tier", "citations"]),
        OpenAiChat if object.contains_key("role") || object.contains_key("content") => add(
            object,
            &[
                "content",
                "refusal",
                "tool_calls",
                "function_call",
                "audio",
                "reasoning_content",
                "reasoning",
                "annotations",
                "images",
                "reasoning_details",
            ],
        ),
        OpenAiChat if object.contains_key("function") => add(object, &["id", "type", "custom", "extra_content"]),
        OpenAiResponses => {
            add(object, &["error", "encrypted_content", "namespace", "logprobs", "annotations", "refusal"])
        }
        AnthropicMessages if object.contains_key("content_block") || object.contains_key("delta") => {
            add(object, &["error"])
        }
        AnthropicMessages => add(object, &["citations", "signature", "stop_details", "cache_creation"]),
        GeminiGenerate if object.contains_key("text") || object.contains_key("functionCall") => {
            add(object, &["functionCall", "inlineData", "thought", "thoughtSignature", "text", "executableCode"])
        }
        GeminiGenerate => add(object, &["finishReason", "error", "promptFeedback", "groundingMetadata"]),
        OpenAiChat => {}
    }))
}

fn counts(events: Vec<Told>, as_else: &dyn Fn(u64) -> Value) -> Vec<Told> {
    edited(events, &|object| {
        for (name, value) in object.iter_mut() {
            let counted = name.ends_with("_tokens") || name.ends_with("TokenCount") || name == "tokenCount";
            if let Some(count) = value.as_u64().filter(|_| counted) {
                *value = as_else(count);
            }
        }
    })
}

fn usage_beside_finish(case: &Case, mut events: Vec<Told>) -> Option<Vec<Told>> {
    let alone =
        |event: &Told| event.data["choices"].as_array().is_some_and(Vec::is_empty) && event.data["usage"].is_object();
    let at = events.iter().rposition(alone).filter(|_| case.protocol == OpenAiChat)?;
    let usage = events.remove(at).data["usage"].take();
    let finish = events.iter_mut().rfind(|event| event.data["choices"][0]["finish_reason"].is_string())?;
    finish.data["usage"] = usage;
    Some(events)
}

/// Whether every call begins with its id and name, and ends before the next.
fn apart(events: &[Told]) -> bool {
    let mut seen: Vec<u64> = Vec::new();
    let pieces = events.iter().flat_map(|event| event.data["choices"].as_array().into_iter().flatten());
    for call in pieces.flat_map(|choice| choice["delta"]["tool_calls"].as_array().into_iter().flatten()) {
        let Some(index) = call["index"].as_u64() else { return false };
        let begins = call["id"].as_str().is_some_and(|id| !id.is_empty()) && call["function"]["name"].is_string();
        if !seen.contains(&index) {
            if !begins {
                return false;
            }
            seen.push(index);
        }
        if seen.last() != Some(&index) || !call["function"].is_object() {
            return false;
        }
    }
    true
}

fn snake(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(snake).collect(),
        Value::Object(object) => {
            let name = |name: &str| {
                name.chars().fold(String::new(), |mut out, c| {
                    if c.is_ascii_uppercase() {
                        out.push('_');
                    }
                    out.push(c.to_ascii_lowercase());
                    out
                })
            };
            let member = |(key, value): (&String, &Value)| match key.as_str() {
                "args" => (key.clone(), value.clone()),
                _ => (name(key), snake(value)),
            };
            Value::Object(object.iter().map(member).collect())
        }
        other => other.clone(),
    }
}
