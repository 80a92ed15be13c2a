//! What a client of each protocol understands of an answer: four small decoders, as strict as the official SDKs and stricter.
//! Must never use the code under test: they read with a plain JSON DOM and a line splitter of their own.

mod chat;
mod gemini;
mod messages;
mod responses;
mod sse;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire::Protocol;

/// How an answer reaches a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Stream,
    /// GM without `alt=sse`.
    Array,
}

/// An answer as a client understood it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Seen {
    pub choices: BTreeMap<u64, Heard>,
    pub usage: Option<Tokens>,
    /// The message of an error, in-band or as the body.
    pub error: Option<String>,
    /// The protocol's end was seen: a client takes the answer as finished.
    pub ended: bool,
    /// What is against the grammar of the protocol.
    pub wrong: Vec<String>,
}

/// One choice.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Heard {
    pub text: String,
    pub refusal: String,
    pub reasoning: String,
    pub calls: Vec<Called>,
    /// In the protocol's words; RS: status, and the reason behind a slash.
    pub stop: Option<String>,
    pub stop_sequence: Option<String>,
    /// Base64 or URL of images and sounds.
    pub media: Vec<String>,
    /// Signatures, encrypted content.
    pub states: Vec<String>,
    /// URLs or titles of citations.
    pub citations: Vec<String>,
    pub logprobs: usize,
    /// Kinds of blocks in their order, neighbours of one kind once.
    pub order: Vec<&'static str>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub struct Called {
    pub id: String,
    pub name: String,
    pub arguments: String,
    pub custom: bool,
}

/// Token counts, inclusive.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

/// Decodes an answer in `protocol`. `usage_asked`: CC, the client asked for the usage chunk.
pub fn decode(protocol: Protocol, shape: Shape, bytes: &[u8], usage_asked: bool) -> Seen {
    let mut seen = Seen::default();
    let Ok(text) = std::str::from_utf8(bytes) else {
        seen.wrong.push("not UTF-8".to_owned());
        return seen;
    };
    match (protocol, shape) {
        (Protocol::OpenAiChat, Shape::Whole) => chat::whole(text, &mut seen),
        (Protocol::OpenAiChat, _) => chat::stream(text, usage_asked, &mut seen),
        (Protocol::OpenAiResponses, Shape::Whole) => responses::whole(text, &mut seen),
        (Protocol::OpenAiResponses, _) => responses::stream(text, &mut seen),
        (Protocol::AnthropicMessages, Shape::Whole) => messages::whole(text, &mut seen),
        (Protocol::AnthropicMessages, _) => messages::stream(text, &mut seen),
        (Protocol::GeminiGenerate, Shape::Whole) => gemini::whole(text, &mut seen),
        (Protocol::GeminiGenerate, Shape::Stream) => gemini::stream(text, &mut seen),
        (Protocol::GeminiGenerate, Shape::Array) => gemini::array(text, &mut seen),
    }
    seen
}

impl Seen {
    fn claim(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.wrong.len() < 20 {
            self.wrong.push(what());
        }
    }

    fn choice(&mut self, index: u64) -> &mut Heard {
        self.choices.entry(index).or_default()
    }

    /// The choice that recordings tell of.
    pub fn first(&self) -> Heard {
        self.choices.values().next().cloned().unwrap_or_default()
    }

    /// A client would take this as a finished answer.
    pub fn finished(&self) -> bool {
        self.ended && self.error.is_none()
    }

    /// A member that must be a number of tokens.
    fn count(&mut self, usage: &Value, path: &str) -> u64 {
        let found = path.split('.').try_fold(usage, |at, name| at.get(name));
        let count = found.and_then(Value::as_u64);
        self.claim(count.is_some(), || format!("usage.{path} is no count: {found:?}"));
        count.unwrap_or(0)
    }

    fn parse(&mut self, text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| {
            self.claim(false, || format!("no JSON: {error}: {}", short(text)));
            Value::Null
        })
    }

    /// A text that must be there and not be empty.
    fn named<'v>(&mut self, value: &'v Value, name: &str) -> &'v str {
        let text = value[name].as_str().unwrap_or("");
        self.claim(!text.is_empty(), || format!("{name} is missing in {}", short(&value.to_string())));
        text
    }

    fn key(&mut self, value: &Value, name: &str, fits: impl Fn(&Value) -> bool) {
        let is = value.get(name);
        self.claim(is.is_some_and(fits), || format!("{name}: {is:?}"));
    }
}

impl Heard {
    fn kind(&mut self, kind: &'static str) {
        if self.order.last() != Some(&kind) {
            self.order.push(kind);
        }
    }
}

/// An error object that stands at `error`; the message is taken.
fn error_of(value: &Value, seen: &mut Seen) -> bool {
    let Some(error) = value.get("error").filter(|error| !error.is_null()) else { return false };
    let message = error["message"].as_str();
    seen.claim(message.is_some_and(|text| !text.is_empty()), || format!("error without a message: {error}"));
    seen.error = Some(message.unwrap_or_default().to_owned());
    true
}

pub fn short(text: &str) -> String {
    text.chars().take(160).collect()
}

/// Arguments must be a JSON object; the empty text is one only where the protocol says so.
fn object_text(text: &str, seen: &mut Seen, whose: &str) {
    let object = serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
    seen.claim(object, || format!("{whose}: arguments are no object: {}", short(text)));
}
