//! The mapping of protocols cell by cell: what one tiny request becomes, loses, or is refused for. By the sections of the
//! mapping tables.

mod content;
mod conversation;
mod options;
mod pairs;
mod reasoning;
mod tools;

use serde_json::{Value, json};

use super::targets::{Written, read, targets, write};
use crate::wire::Protocol::{self, AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::ir::{ReasoningStyle, Target};

/// What must hold of a cell.
#[derive(Debug, Clone)]
enum Want {
    /// The member at this JSON pointer has this value.
    Is(&'static str, Value),
    /// Nothing stands at this pointer.
    Not(&'static str),
    /// The body has this text somewhere.
    Has(&'static str),
    /// The body has this text nowhere.
    Lacks(&'static str),
    /// Lost, in the client's spelling: `seed;dropped`.
    Lost(&'static str),
    /// No loss at all.
    Whole,
    /// A refusal that names this parameter in the client's spelling.
    Refused(&'static str),
    /// To be undone in the answer: the debug form of `Undo` has this text.
    Undone(&'static str),
}
use Want::{Has, Is, Lacks, Lost, Not, Refused, Undone, Whole};

/// Upstreams by the protocol that they speak.
const CC: &[&str] = &["openai", "mistral", "deepseek", "openrouter", "google-chat"];
const OPENAI: &[&str] = &["openai"];
const RS: &[&str] = &["responses"];
const AM: &[&str] = &["adaptive", "budget", "old-claude"];
const GM: &[&str] = &["gemini-3", "gemini-2.5", "vertex"];

/// Checks one cell of the tables.
#[track_caller]
fn cell(topic: &str, from: Protocol, to: &[&str], request: Value, wants: &[Want]) {
    let text = request.to_string();
    let request = read(from, &text).unwrap_or_else(|error| panic!("{topic}: {error} {text}"));
    for name in to {
        let (protocol, target) = upstream(name);
        let about = format!("{topic}: {from:?} to {name}");
        match write(protocol, &request, &target) {
            Ok(written) => check(&about, from, &written, wants),
            Err(refusal) => match wants {
                [Refused(param)] => {
                    assert_eq!(refusal.param, *param, "{about}: {}", refusal.message);
                    let words = &refusal.message;
                    assert!(words.starts_with(|c: char| !c.is_ascii_uppercase()) && !words.ends_with('.'), "{words}");
                }
                _ => panic!("{about} is refused: {}: {}", refusal.param, refusal.message),
            },
        }
    }
}

/// The targets of all tests, and some that only cells need.
fn upstream(name: &str) -> (Protocol, Target<'static>) {
    let known = |name: &str| {
        let (_, protocol, target) = targets().into_iter().find(|(known, ..)| *known == name).expect("a known target");
        (protocol, target)
    };
    match name {
        "always" => {
            let (protocol, target) = known("adaptive");
            let ReasoningStyle::Effort { efforts, .. } = target.reasoning else { panic!("efforts") };
            (protocol, Target { reasoning: ReasoningStyle::Effort { efforts, off: false }, ..target })
        }
        "blind" => {
            let (protocol, target) = known("openai");
            (protocol, Target { vision: false, ..target })
        }
        name => known(name),
    }
}

#[track_caller]
fn check(about: &str, from: Protocol, written: &Written, wants: &[Want]) {
    let out = String::from_utf8(written.body.clone()).unwrap();
    let body: Value = serde_json::from_str(&out).unwrap();
    let lost: Vec<String> = written.losses.texts(from).into_iter().map(|text| text.into_owned()).collect();
    for want in wants {
        let holds = match want {
            Is(pointer, value) => body.pointer(pointer) == Some(value),
            Not(pointer) => body.pointer(pointer).is_none_or(Value::is_null),
            Has(text) => out.contains(text),
            Lacks(text) => !out.contains(text),
            Lost(loss) => lost.iter().any(|known| known == loss),
            Whole => lost.is_empty(),
            Refused(_) => false,
            Undone(text) => format!("{:?}", written.undo).contains(text),
        };
        assert!(holds, "{about}: not {want:?}\nlost {lost:?}\nof {out}");
    }
}

/// A small request of a protocol, with more members or others.
fn small(protocol: Protocol, more: Value) -> Value {
    let mut body = match protocol {
        OpenAiChat => json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
        OpenAiResponses => json!({"model": "m", "input": [{"role": "user", "content": "hi"}]}),
        AnthropicMessages => {
            json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]})
        }
        GeminiGenerate => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
    };
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn cc(more: Value) -> Value {
    small(OpenAiChat, more)
}

fn rs(more: Value) -> Value {
    small(OpenAiResponses, more)
}

fn am(more: Value) -> Value {
    small(AnthropicMessages, more)
}

fn gm(more: Value) -> Value {
    small(GeminiGenerate, more)
}

/// One user message of these parts.
fn said(protocol: Protocol, parts: Value) -> Value {
    match protocol {
        OpenAiChat => cc(json!({"messages": [{"role": "user", "content": parts}]})),
        OpenAiResponses => rs(json!({"input": [{"role": "user", "content": parts}]})),
        AnthropicMessages => am(json!({"messages": [{"role": "user", "content": parts}]})),
        GeminiGenerate => gm(json!({"contents": [{"role": "user", "parts": parts}]})),
    }
}

/// With one function `f` to call.
fn tooled(protocol: Protocol, more: Value) -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    let tools = match protocol {
        OpenAiChat => json!([{"type": "function", "function": {"name": "f", "parameters": schema}}]),
        OpenAiResponses => json!([{"type": "function", "name": "f", "parameters": schema}]),
        AnthropicMessages => json!([{"name": "f", "input_schema": schema}]),
        GeminiGenerate => json!([{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}]),
    };
    let mut body = small(protocol, json!({"tools": tools}));
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}
