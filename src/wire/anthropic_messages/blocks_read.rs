//! Reads the content blocks of an answer. Must never know of the message around them.

use std::borrow::Cow;

use super::opaque;
use crate::wire::Protocol;
use crate::wire::ir::{BlockKind, Citation, Delta, Event, Sink};
use crate::wire::json::{LoneSurrogates, Str, Value};

/// Deepest nesting of an answer that is followed.
pub(super) const ANSWER_DEPTH_MAX: usize = 256;
/// Most blocks that are open at a time; the API has one. A start beyond it closes the oldest.
const OPEN_MAX: usize = 64;
/// Longest signature, and longest input of a server tool, that is put together from deltas.
const GATHERED_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<Open>,
    /// The number of the next block.
    next: u32,
    pub calls_seen: bool,
}

#[derive(Debug)]
struct Open {
    /// The upstream's number.
    index: u64,
    block: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    /// The signature as a token: that of the start, until a delta brings one.
    Thinking {
        signature: String,
        by_delta: bool,
    },
    Redacted,
    /// Arguments that stood in the start; they count if no delta comes.
    Call {
        whole: Option<String>,
    },
    /// A server tool's block is emitted when it is whole. `input` gathers its deltas as a token.
    Foreign {
        raw: Value<'static>,
        input: String,
    },
}

impl Blocks {
    pub fn start(&mut self, index: u64, block: &Value<'_>, account: &str, sink: &mut dyn Sink) {
        self.stop(index, account, sink);
        if self.open.len() == OPEN_MAX {
            let oldest = self.open.remove(0);
            close(oldest, &mut self.next, account, sink);
        }
        let kind = block.get("type").and_then(Value::as_text).unwrap_or_default();
        let member = |name| block.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match &*kind {
            "text" => {
                let number = self.open_block(index, BlockKind::Text, Kind::Text, sink);
                emit_text(number, member("text"), sink);
                for citation in block.get("citations").and_then(Value::as_array).unwrap_or_default() {
                    delta(number, Delta::Citation(read_citation(citation)), sink);
                }
            }
            "thinking" => {
                let signature = member("signature").map(|text| text.as_token().into_owned()).unwrap_or_default();
                let kind = Kind::Thinking { signature, by_delta: false };
                let number = self.open_block(index, BlockKind::Reasoning { redacted: false }, kind, sink);
                emit_text(number, member("thinking"), sink);
            }
            "redacted_thinking" => {
                let kind = BlockKind::Reasoning { redacted: true };
                let number = self.open_block(index, kind, Kind::Redacted, sink);
                if let Some(data) = member("data") {
                    delta(number, Delta::State(opaque::made(account, true, data.borrowed())), sink);
                }
            }
            "tool_use" => {
                self.calls_seen = true;
                let id = member("id").map(Str::borrowed);
                let name = member("name").map_or(Str::plain(""), Str::borrowed);
                let whole = block.get("input").filter(|input| !is_empty(input)).map(Value::to_json);
                self.open_block(index, BlockKind::Call { id, name, custom: false }, Kind::Call { whole }, sink);
            }
            _ => {
                let raw = block.clone().into_owned();
                let kind = Kind::Foreign { raw, input: String::new() };
                self.open.push(Open { index, block: 0, kind });
            }
        }
    }

    fn open_block(&mut self, index: u64, kind: BlockKind<'_>, open: Kind, sink: &mut dyn Sink) -> u32 {
        let block = self.next;
        self.next += 1;
        self.open.push(Open { index, block, kind: open });
        sink.event(Event::BlockStart { choice: 0, block, kind });
        block
    }

    pub fn delta(&mut self, index: u64, piece: &Value<'_>, account: &str, sink: &mut dyn Sink) {
        let kind = piece.get("type").and_then(Value::as_text).unwrap_or_default();
        let at = match (self.open.iter().rposition(|open| open.index == index), &*kind) {
            (Some(at), _) => at,
            // Relays that leave out the start of a block.
            (None, "text_delta") => self.start_missing(index, "text", account, sink),
            (None, "thinking_delta") => self.start_missing(index, "thinking", account, sink),
            (None, _) => return,
        };
        let open = &mut self.open[at];
        let text = |name| piece.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match (&*kind, &mut open.kind) {
            ("text_delta", Kind::Text) => emit_text(open.block, text("text"), sink),
            ("thinking_delta", Kind::Thinking { .. }) => emit_text(open.block, text("thinking"), sink),
            ("signature_delta", Kind::Thinking { signature, by_delta }) => {
                if !std::mem::replace(by_delta, true) {
                    signature.clear();
                }
                gather(signature, text("signature"));
            }
            ("input_json_delta", Kind::Call { whole }) => {
                if let Some(json) = text("partial_json") {
                    *whole = None;
                    delta(open.block, Delta::Arguments(json.borrowed()), sink);
                }
            }
            ("input_json_delta", Kind::Foreign { input, .. }) => gather(input, text("partial_json")),
            ("citations_delta", Kind::Text) => {
                if let Some(citation) = piece.get("citation") {
                    delta(open.block, Delta::Citation(read_citation(citation)), sink);
                }
            }
            ("compaction_delta", Kind::Foreign { raw, .. }) => add_members(raw, piece),
            // A delta that is not known, or not of this block.
            _ => {}
        }
    }

    fn start_missing(&mut self, index: u64, kind: &'static str, account: &str, sink: &mut dyn Sink) -> usize {
        let mut block = Value::object();
        if let Some(object) = block.as_object_mut() {
            object.set("type", Value::text(kind));
        }
        self.start(index, &block, account, sink);
        self.open.len() - 1
    }

    pub fn stop(&mut self, index: u64, account: &str, sink: &mut dyn Sink) {
        if let Some(at) = self.open.iter().rposition(|open| open.index == index) {
            let open = self.open.remove(at);
            close(open, &mut self.next, account, sink);
        }
    }

    pub fn close_all(&mut self, account: &str, sink: &mut dyn Sink) {
        for open in std::mem::take(&mut self.open) {
            close(open, &mut self.next, account, sink);
        }
    }

    /// A block of a whole answer.
    pub fn whole(&mut self, block: &Value<'_>, account: &str, sink: &mut dyn Sink) {
        self.start(0, block, account, sink);
        self.stop(0, account, sink);
    }
}

fn close(open: Open, next: &mut u32, account: &str, sink: &mut dyn Sink) {
    let Open { block, kind, .. } = open;
    let block = match kind {
        Kind::Text | Kind::Redacted => block,
        Kind::Thinking { signature, .. } => {
            if !signature.is_empty() {
                delta(block, Delta::State(opaque::made(account, false, Str::token(signature))), sink);
            }
            block
        }
        Kind::Call { whole } => {
            if let Some(json) = whole {
                delta(block, Delta::Arguments(Str::plain(json)), sink);
            }
            block
        }
        Kind::Foreign { raw, input } => {
            let block = *next;
            *next += 1;
            let raw = with_input(raw, &input);
            let what = raw.get("type").and_then(Value::as_text).unwrap_or_default().into_owned();
            let kind = BlockKind::Foreign { protocol: Protocol::AnthropicMessages, what: Cow::Owned(what), raw };
            sink.event(Event::BlockStart { choice: 0, block, kind });
            block
        }
    };
    sink.event(Event::BlockStop { choice: 0, block });
}

fn delta(block: u32, delta: Delta<'_>, sink: &mut dyn Sink) {
    sink.event(Event::Delta { choice: 0, block, delta });
}

fn emit_text(block: u32, text: Option<&Str<'_>>, sink: &mut dyn Sink) {
    if let Some(text) = text {
        delta(block, Delta::Text(text.borrowed()), sink);
    }
}

/// Tokens put together are a token.
fn gather(token: &mut String, piece: Option<&Str<'_>>) {
    if let Some(piece) = piece.map(Str::as_token)
        && token.len() + piece.len() <= GATHERED_BYTES_MAX
    {
        token.push_str(&piece);
    }
}

fn is_empty(input: &Value<'_>) -> bool {
    input.is_null() || input.as_object().is_some_and(|object| object.is_empty())
}

/// A server tool's call with the input that its deltas said; one that is no JSON stays a text.
fn with_input(mut raw: Value<'static>, input: &str) -> Value<'static> {
    if !input.is_empty() {
        let input = Str::token(input).decode().into_owned();
        let value = Value::parse(&input, ANSWER_DEPTH_MAX, LoneSurrogates::Allowed).map(Value::into_owned);
        if let Some(object) = raw.as_object_mut() {
            object.set("input", value.unwrap_or_else(|_| Value::text(input.clone())));
        }
    }
    raw
}

/// A compaction's delta brings the members that its start left empty.
fn add_members(raw: &mut Value<'static>, piece: &Value<'_>) {
    if let (Some(raw), Some(piece)) = (raw.as_object_mut(), piece.as_object()) {
        for (name, value) in piece.members.iter().filter(|(name, value)| *name != "type" && !value.is_null()) {
            raw.set(name.clone().into_owned(), value.clone().into_owned());
        }
    }
}

/// Where a text is from: the web, a search result or a document of the request.
fn read_citation<'a>(citation: &Value<'a>) -> Citation<'a> {
    let text = |name| citation.get(name).and_then(Value::as_str).cloned();
    let url = text("url").or_else(|| text("source").filter(|source| source.decode().starts_with("http")));
    Citation {
        url,
        title: text("title").or_else(|| text("document_title")),
        cited: text("cited_text"),
        span: None,
        origin: Protocol::AnthropicMessages,
        raw: citation.clone(),
    }
}
