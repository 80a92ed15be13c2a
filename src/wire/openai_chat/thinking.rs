//! `reasoning_details`, in which thinking and its state travel through clients of this protocol. Must never look into a state.
//!
//! OpenRouter's form: a list of `reasoning.text` (`text`, `signature`), `reasoning.summary` (`summary`) and
//! `reasoning.encrypted` (`data`), pieces of one by an equal `index`. Of our own answers to a client the first block's text
//! stands only in `reasoning_content`.

use std::borrow::Cow;

use crate::wire::Protocol;
use crate::wire::ir::{Part, PartKind, Reasoning, State};
use crate::wire::json::{LoneSurrogates, Object, Str, Value};

/// Longest `reasoning_details` that is gathered from a stream; a longer one loses its state.
const DETAILS_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting of a payload that is said again.
const PAYLOAD_DEPTH_MAX: usize = 32;

/// The thinking of an assistant message: `flat` is `reasoning_content` or `reasoning`.
pub fn read<'a>(details: Vec<Value<'a>>, flat: Option<Str<'a>>) -> Thinking<'a> {
    let ours = |entry: &Value<'a>| carried(entry).is_some_and(|state| read_state(state).account.is_some());
    if details.iter().any(ours) {
        return Thinking { parts: read_blocks(&details, flat, read_state), of_calls: Vec::new() };
    }
    let stateful: Vec<&Value<'a>> = details.iter().filter(|entry| is_stateful(entry)).collect();
    if let Some(vendor) = stateful.first().and_then(|entry| vendor_of(entry))
        && stateful.iter().all(|entry| vendor_of(entry) == Some(vendor))
    {
        return read_vendors(vendor, details, flat);
    }
    Thinking { parts: read_unknown(details, flat), of_calls: Vec::new() }
}

#[derive(Default)]
pub struct Thinking<'a> {
    pub parts: Vec<Part<'a>>,
    /// State of calls, by their id where it is said.
    pub of_calls: Vec<(Option<Str<'a>>, State<'a>)>,
}

/// Whose state an entry holds, by the name that OpenRouter gives to its form.
fn vendor_of(entry: &Value<'_>) -> Option<Protocol> {
    match &*entry.get("format")?.as_text()? {
        "anthropic-claude-v1" => Some(Protocol::AnthropicMessages),
        "google-gemini-v1" => Some(Protocol::GeminiGenerate),
        "openai-responses-v1" => Some(Protocol::OpenAiResponses),
        _ => None,
    }
}

/// State of a known vendor in its own form.
fn read_vendors<'a>(vendor: Protocol, details: Vec<Value<'a>>, flat: Option<Str<'a>>) -> Thinking<'a> {
    let made = |payload: Str<'a>| State { origin: vendor, account: None, payload };
    match vendor {
        Protocol::AnthropicMessages | Protocol::OpenAiChat => {
            Thinking { parts: read_blocks(&details, flat, made), of_calls: Vec::new() }
        }
        Protocol::GeminiGenerate => {
            // A signature belongs to a call, or to what was said.
            let id = |entry: &Value<'a>| entry.get("id").and_then(Value::as_str).cloned();
            let of_calls = details.iter().filter_map(|entry| Some((id(entry), made(carried(entry)?)))).collect();
            let text = flat.or_else(|| joined(details.iter().filter_map(said)));
            Thinking { parts: text.map(|text| part(Some(text), false, None)).into_iter().collect(), of_calls }
        }
        Protocol::OpenAiResponses => Thinking { parts: read_items(&details, made), of_calls: Vec::new() },
    }
}

/// Summaries and encrypted content of one index are one item.
fn read_items<'a>(details: &[Value<'a>], made: impl Fn(Str<'a>) -> State<'a>) -> Vec<Part<'a>> {
    let mut items: Vec<(Option<&Value<'a>>, Part<'a>)> = Vec::new();
    for entry in details {
        let index = entry.get("index");
        if items.last().is_none_or(|(last, part)| *last != index || part.state.is_some()) {
            items.push((index, part(None, false, None)));
        }
        let Some((_, part)) = items.last_mut() else { continue };
        let PartKind::Reasoning(reasoning) = &mut part.kind else { continue };
        reasoning.text.extend(said(entry));
        let id = entry.get("id").and_then(Value::as_str).filter(|id| id.decode().starts_with("rs_"));
        reasoning.id = reasoning.id.take().or_else(|| id.cloned());
        part.state = carried(entry).map(&made);
        reasoning.redacted = reasoning.text.is_empty() && part.state.is_some();
    }
    items.into_iter().map(|(_, part)| part).collect()
}

/// State of an unknown vendor goes back whole to who made it.
fn read_unknown<'a>(details: Vec<Value<'a>>, flat: Option<Str<'a>>) -> Vec<Part<'a>> {
    let text = flat.or_else(|| joined(details.iter().filter_map(said)));
    let state = details.iter().any(|entry| carried(entry).is_some()).then(|| State {
        origin: Protocol::OpenAiChat,
        account: None,
        payload: Str::plain(Value::Array(details).to_json()),
    });
    if text.is_none() && state.is_none() {
        return Vec::new();
    }
    let redacted = text.is_none();
    vec![part(text, redacted, state)]
}

fn part<'a>(text: Option<Str<'a>>, redacted: bool, state: Option<State<'a>>) -> Part<'a> {
    let reasoning = Reasoning { text: text.into_iter().collect(), redacted, ..Reasoning::default() };
    Part { state, ..Part::new(PartKind::Reasoning(reasoning)) }
}

fn read_state(text: Str<'_>) -> State<'_> {
    State::read(Protocol::OpenAiChat, text)
}

/// The state of an entry.
fn carried<'a>(entry: &Value<'a>) -> Option<Str<'a>> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("signature").or_else(|| text("data")).cloned()
}

pub fn is_stateful(entry: &Value<'_>) -> bool {
    carried(entry).is_some()
}

/// The text of an entry.
pub fn said<'a>(entry: &Value<'a>) -> Option<Str<'a>> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("text").or_else(|| text("summary")).cloned()
}

fn joined<'a>(texts: impl Iterator<Item = Str<'a>>) -> Option<Str<'a>> {
    let mut texts: Vec<Str<'a>> = texts.collect();
    if texts.len() < 2 {
        return texts.pop();
    }
    let whole: String = texts.iter().map(|text| text.as_token()).collect();
    Some(Str::token(whole))
}

/// One block of thinking as our answer had it.
struct Block<'a> {
    index: Option<Cow<'a, str>>,
    texts: Vec<Str<'a>>,
    redacted: bool,
    state: Option<State<'a>>,
}

/// Blocks apart, each with the very text that its state was made for.
fn read_blocks<'a>(details: &[Value<'a>], flat: Option<Str<'a>>, made: impl Fn(Str<'a>) -> State<'a>) -> Vec<Part<'a>> {
    let mut blocks: Vec<Block<'a>> = Vec::new();
    for entry in details {
        let index = match entry.get("index") {
            Some(Value::Number(index)) => Some(index.clone()),
            _ => None,
        };
        let redacted = entry.get("type").and_then(Value::as_str).is_some_and(|kind| *kind == "reasoning.encrypted");
        let known = blocks.last().is_some_and(|last| last.index == index && last.redacted == redacted && !redacted);
        if !known {
            blocks.push(Block { index, texts: Vec::new(), redacted, state: None });
        }
        let Some(block) = blocks.last_mut() else { continue };
        block.texts.extend(said(entry));
        block.state = carried(entry).map(&made).or(block.state.take());
    }
    let mut rest = flat.as_ref().map(Str::decode).unwrap_or_default().into_owned();
    let texts: Vec<Option<Str<'a>>> = blocks.iter_mut().map(|block| joined(block.texts.drain(..))).collect();
    for text in texts.iter().flatten() {
        if let Some(at) = rest.rfind(&*text.decode()) {
            rest.replace_range(at..at + text.decode().len(), "");
        }
    }
    let blocks = blocks.into_iter().zip(texts).map(|(block, text)| {
        let left = || (!block.redacted && !rest.is_empty()).then(|| Str::plain(std::mem::take(&mut rest)));
        let text = text.or_else(left);
        part(text, block.redacted, block.state)
    });
    blocks.collect()
}

/// The entries of a payload of ours, if it is what we made.
pub fn payload_entries(payload: &str) -> Option<Vec<Value<'_>>> {
    match Value::parse(payload, PAYLOAD_DEPTH_MAX, LoneSurrogates::Allowed) {
        Ok(Value::Array(entries)) => Some(entries),
        _ => None,
    }
}

/// Gathers the details of one block of thinking from a stream.
#[derive(Debug, Default)]
pub struct Gathered {
    entries: Vec<Entry>,
    bytes: usize,
    /// A signature or encrypted data is among them.
    pub stateful: bool,
}

#[derive(Debug)]
struct Entry {
    /// Without its text.
    object: Object<'static>,
    /// `text` or `summary`, and the inside of its JSON string so far.
    text: Option<(&'static str, String)>,
}

impl Gathered {
    pub fn push(&mut self, entry: &Value<'_>) {
        let Some(object) = entry.as_object() else { return };
        self.bytes = self.bytes.saturating_add(64);
        let mut object = object.clone();
        let mut text = None;
        for name in ["text", "summary"] {
            if let Some(Value::String(piece)) = object.get(name) {
                let piece = piece.as_token().into_owned();
                self.bytes = self.bytes.saturating_add(piece.len());
                object.take(name);
                text = Some((name, piece));
            }
        }
        self.stateful |= carried(entry).is_some();
        if self.bytes > DETAILS_BYTES_MAX {
            self.entries.clear();
            return;
        }
        let same = |known: &Entry| {
            ["type", "index"].iter().all(|name| known.object.get(name) == object.get(name))
                && known.object.get("data").is_none()
                && known.object.get("signature").is_none()
        };
        match self.entries.last_mut().filter(|known| same(known)) {
            Some(known) => known.extend(object, text),
            None => self.entries.push(Entry { object: owned(object), text }),
        }
    }

    /// The state of the block, if it has one.
    pub fn payload(&mut self) -> Option<String> {
        let gathered = std::mem::take(self);
        if !gathered.stateful || gathered.bytes > DETAILS_BYTES_MAX {
            return None;
        }
        let entries = gathered.entries.into_iter().map(|Entry { mut object, text }| {
            if let Some((name, text)) = text {
                object.set(name, Value::String(Str::token(text)));
            }
            Value::Object(object)
        });
        Some(Value::Array(entries.collect()).to_json())
    }
}

impl Entry {
    fn extend(&mut self, object: Object<'_>, text: Option<(&'static str, String)>) {
        for (name, value) in object.members {
            if !value.is_null() {
                self.object.set(name.into_owned(), value.into_owned());
            }
        }
        match (&mut self.text, text) {
            (Some((known, so_far)), Some((name, piece))) if *known == name => so_far.push_str(&piece),
            (so_far @ None, text) => *so_far = text,
            (Some(_), _) => {}
        }
    }
}

fn owned(object: Object<'_>) -> Object<'static> {
    match Value::Object(object).into_owned() {
        Value::Object(object) => object,
        _ => Object::default(),
    }
}
