//! Composes the answer to a chat request and writes it whole or as stream events. Must never know sockets or the clock.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;

use bytes::Bytes;
use serde_json::{Value, json};

use super::ask::{Ask, Messages, Tool};
use super::knobs::{CHUNKS_MAX, Knobs, TEXT_BYTES_MAX};
use super::sample::sample;

const GREETING: &str = "Hello from the demo upstream.";
/// Bytes of the user's words that come back.
const ECHO_BYTES_MAX: usize = 400;
/// One token of this upstream, in bytes of text.
const TOKEN_BYTES: usize = 4;
const CHUNKS_DEFAULT: usize = 16;
const CHUNK_BYTES_DEFAULT: usize = 16;
/// A text longer than this is cut by size and not by words.
const WORDS_BYTES_MAX: usize = 1024;
/// Place of the send time in a stamped chunk: `@`, 20 digits, `@`.
pub(super) const STAMP: &str = "@00000000000000000000@";

/// What makes one call different from every other: fixed by the seed and the call's number.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub answer_id: String,
    pub request_id: String,
    /// Unix seconds.
    pub created: u64,
}

/// An answer, ready to be written.
pub(super) struct Answer<'a> {
    identity: &'a Identity,
    model: &'a str,
    choices: u32,
    content: Content<'a>,
    finish: &'static str,
    prompt_tokens: u64,
    completion_tokens: u64,
}

enum Content<'a> {
    Text { text: String, cut: Pieces },
    Call { name: Cow<'a, str>, custom: bool, arguments: String },
}

/// How a text becomes stream chunks.
#[derive(Clone, Copy)]
enum Pieces {
    Words,
    Bytes(usize),
}

/// The events of a stream, one after the other in one buffer.
pub(super) struct Events {
    pub bytes: Bytes,
    pub events: Vec<Event>,
    /// How many events open the stream, before the first content.
    pub opening: usize,
}

pub(super) struct Event {
    pub range: Range<usize>,
    /// A delta with text or arguments; the others open and close the stream.
    pub is_content: bool,
}

impl<'a> Answer<'a> {
    pub fn compose(ask: &'a Ask<'a>, knobs: &Knobs, identity: &'a Identity) -> Answer<'a> {
        let (content, finish) = match ask.tool_to_call() {
            Some(tool) => (call(tool, TEXT_BYTES_MAX / ask.choices as usize), "tool_calls"),
            None if knobs.tool => (weather_call(), "tool_calls"),
            None => text(ask, knobs),
        };
        let bytes = match &content {
            Content::Text { text, .. } => text.len(),
            Content::Call { name, arguments, .. } => name.len() + arguments.len(),
        };
        let tokens = bytes.div_ceil(TOKEN_BYTES).max(1) as u64;
        Answer {
            identity,
            model: &ask.model,
            choices: ask.choices,
            content,
            finish,
            prompt_tokens: (ask.messages.text_bytes / TOKEN_BYTES as u64).max(1),
            completion_tokens: tokens * u64::from(ask.choices),
        }
    }

    /// The body of a whole answer.
    pub fn whole(&self, usage: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write_opening("chat.completion", &mut out);
        for index in 0..self.choices {
            let comma = if index > 0 { "," } else { "" };
            put(&mut out, format_args!(r#"{comma}{{"index":{index},"message":{{"role":"assistant","content":"#));
            match &self.content {
                Content::Text { text, .. } => put_string(&mut out, text),
                Content::Call { .. } => {
                    out.extend_from_slice(br#"null,"tool_calls":["#);
                    self.write_call(index, None, &mut out);
                    out.push(b']');
                }
            }
            put(
                &mut out,
                format_args!(
                    r#","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"{}"}}"#,
                    self.finish
                ),
            );
        }
        out.push(b']');
        if usage {
            self.write_usage(&mut out);
        }
        out.push(b'}');
        out
    }

    /// The events of a stream up to `[DONE]`; a usage event only with `usage`.
    pub fn events(&self, usage: bool) -> Events {
        let mut head = b"data: ".to_vec();
        self.write_opening("chat.completion.chunk", &mut head);
        let tail: &[u8] = if usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        let mut stream = StreamText { head, tail, out: Vec::new(), events: Vec::new() };
        let role = match self.content {
            Content::Text { .. } => r#"{"role":"assistant","content":"","refusal":null}"#,
            Content::Call { .. } => r#"{"role":"assistant","content":null,"refusal":null}"#,
        };
        self.each_choice(&mut stream, false, None, |out, _| out.extend_from_slice(role.as_bytes()));
        match &self.content {
            Content::Text { text, cut } => self.text_events(&mut stream, text, *cut),
            Content::Call { arguments, .. } => self.call_events(&mut stream, arguments),
        }
        self.each_choice(&mut stream, false, Some(self.finish), |out, _| out.extend_from_slice(b"{}"));
        if usage {
            stream.event(false, |out| {
                out.push(b']');
                self.write_usage(out);
                out.extend_from_slice(b"}\n\n");
            });
        }
        let start = stream.out.len();
        stream.out.extend_from_slice(b"data: [DONE]\n\n");
        stream.events.push(Event { range: start..stream.out.len(), is_content: false });
        Events { bytes: stream.out.into(), events: stream.events, opening: self.choices as usize }
    }

    fn text_events(&self, stream: &mut StreamText, text: &str, cut: Pieces) {
        for piece in pieces(text, cut) {
            self.each_choice(stream, true, None, |out, _| {
                out.extend_from_slice(br#"{"content":"#);
                put_string(out, piece);
                out.push(b'}');
            });
        }
    }

    fn call_events(&self, stream: &mut StreamText, arguments: &str) {
        self.each_choice(stream, true, None, |out, index| {
            out.extend_from_slice(br#"{"tool_calls":["#);
            self.write_call(index, Some(""), out);
            out.extend_from_slice(b"]}");
        });
        let Content::Call { custom, .. } = &self.content else { return };
        let (kind, field) = if *custom { ("custom", "input") } else { ("function", "arguments") };
        for piece in pieces(arguments, Pieces::Bytes(arguments.len().div_ceil(3).max(1))) {
            self.each_choice(stream, true, None, |out, _| {
                put(out, format_args!(r#"{{"tool_calls":[{{"index":0,"{kind}":{{"{field}":"#));
                put_string(out, piece);
                out.extend_from_slice(b"}}]}");
            });
        }
    }

    /// The same event for every choice, the deltas interleaved.
    fn each_choice(
        &self,
        stream: &mut StreamText,
        is_content: bool,
        finish: Option<&str>,
        delta: impl Fn(&mut Vec<u8>, u32),
    ) {
        for index in 0..self.choices {
            stream.event(is_content, |out| put(out, format_args!(r#"{{"index":{index},"delta":"#)));
            delta(&mut stream.out, index);
            match finish {
                None => stream.out.extend_from_slice(br#","logprobs":null,"finish_reason":null}"#),
                Some(finish) => put(&mut stream.out, format_args!(r#","logprobs":null,"finish_reason":"{finish}"}}"#)),
            }
            stream.out.extend_from_slice(stream.tail);
            let end = stream.out.len();
            stream.events.last_mut().expect("an event was just begun").range.end = end;
        }
    }

    fn write_opening(&self, object: &str, out: &mut Vec<u8>) {
        let Identity { answer_id, created, .. } = self.identity;
        put(out, format_args!(r#"{{"id":"{answer_id}","object":"{object}","created":{created},"model":"#));
        put_string(out, self.model);
        out.extend_from_slice(br#","service_tier":"default","system_fingerprint":"fp_demo","choices":["#);
    }

    /// A tool call; `arguments` replaces its own, as the first event of a streamed call does.
    fn write_call(&self, choice: u32, arguments: Option<&str>, out: &mut Vec<u8>) {
        let Content::Call { name, custom, arguments: own } = &self.content else { return };
        let (kind, field) = if *custom { ("custom", "input") } else { ("function", "arguments") };
        let index = if arguments.is_some() { r#""index":0,"# } else { "" };
        let id = self.identity.answer_id.trim_start_matches("chatcmpl-");
        put(out, format_args!(r#"{{{index}"id":"call_{choice}{id}","type":"{kind}","{kind}":{{"name":"#));
        put_string(out, name);
        put(out, format_args!(r#","{field}":"#));
        put_string(out, arguments.unwrap_or(own));
        out.extend_from_slice(b"}}");
    }

    fn write_usage(&self, out: &mut Vec<u8>) {
        let (prompt, completion) = (self.prompt_tokens, self.completion_tokens);
        put(
            out,
            format_args!(
                r#","usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
                prompt + completion
            ),
        );
    }
}

/// Events in the making: all share a head and a tail.
struct StreamText {
    head: Vec<u8>,
    tail: &'static [u8],
    out: Vec<u8>,
    events: Vec<Event>,
}

impl StreamText {
    /// Begins an event; its range ends where `write` ends, unless the caller extends it.
    fn event(&mut self, is_content: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        self.out.extend_from_slice(&self.head);
        write(&mut self.out);
        self.events.push(Event { range: start..self.out.len(), is_content });
    }
}

fn text(ask: &Ask<'_>, knobs: &Knobs) -> (Content<'static>, &'static str) {
    let (mut text, cut) = filler_text(ask, knobs).unwrap_or_else(|| (words(ask), Pieces::Words));
    text.truncate(clip(&text, TEXT_BYTES_MAX / ask.choices as usize).len());
    let bytes_max = ask.output_tokens_max.unwrap_or(u64::MAX).max(1).saturating_mul(TOKEN_BYTES as u64);
    let finish = if text.len() as u64 > bytes_max { "length" } else { "stop" };
    if finish == "length" {
        text.truncate(clip(&text, bytes_max as usize).len());
    }
    (Content::Text { text, cut }, finish)
}

/// The text that the size knobs ask for, if any.
fn filler_text(ask: &Ask<'_>, knobs: &Knobs) -> Option<(String, Pieces)> {
    let text_bytes_max = TEXT_BYTES_MAX / ask.choices as usize;
    if let Some(bytes) = knobs.whole_bytes.filter(|_| !ask.stream || (knobs.chunks, knobs.chunk_bytes) == (None, None))
    {
        let bytes = bytes.min(text_bytes_max);
        return Some((filler(bytes), Pieces::Bytes((bytes / WORDS_BYTES_MAX).max(CHUNK_BYTES_DEFAULT))));
    }
    if knobs.chunks.is_none() && knobs.chunk_bytes.is_none() && !knobs.stamp {
        return None;
    }
    let stamp = if knobs.stamp && ask.stream { STAMP } else { "" };
    let chunk_bytes = knobs.chunk_bytes.unwrap_or(CHUNK_BYTES_DEFAULT).clamp(stamp.len().max(1), text_bytes_max);
    let chunks_max = (text_bytes_max / chunk_bytes).min(CHUNKS_MAX / ask.choices as usize);
    let chunks = knobs.chunks.unwrap_or(CHUNKS_DEFAULT).min(chunks_max);
    let chunk = format!("{stamp}{}", filler(chunk_bytes - stamp.len()));
    Some((chunk.repeat(chunks), Pieces::Bytes(chunk_bytes)))
}

/// Something to read: the tool's answer, the JSON that was asked for, or the user's words.
fn words(ask: &Ask<'_>) -> String {
    if let Some(json) = wanted_json(ask) {
        return json;
    }
    let Messages { last_role, last_text, user_text, .. } = &ask.messages;
    match user_text {
        _ if last_role == "tool" => format!("{GREETING} The tool answered: {}", clip(last_text, ECHO_BYTES_MAX)),
        Some(said) if !said.is_empty() => format!("{GREETING} You said: {}", clip(said, ECHO_BYTES_MAX)),
        _ => GREETING.to_owned(),
    }
}

/// JSON for `response_format` `json_object` and `json_schema`.
fn wanted_json(ask: &Ask<'_>) -> Option<String> {
    let format: Value = serde_json::from_str(ask.response_format?.get()).ok()?;
    match format.get("type")?.as_str()? {
        "json_schema" => format.pointer("/json_schema/schema").map(|schema| sample(schema).to_string()),
        "json_object" => Some(json!({ "answer": GREETING }).to_string()),
        _ => None,
    }
}

fn call<'a>(tool: &Tool<'a>, bytes_max: usize) -> Content<'a> {
    let arguments = if tool.custom {
        "example".to_owned()
    } else {
        let schema = tool
            .parameters
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_else(|| json!({"type": "object"}));
        let arguments = sample(&schema).to_string();
        if arguments.len() > bytes_max { "{}".to_owned() } else { arguments }
    };
    Content::Call { name: tool.name.clone(), custom: tool.custom, arguments }
}

/// The call for `o1` when the request brings no tool.
fn weather_call() -> Content<'static> {
    Content::Call { name: "get_weather".into(), custom: false, arguments: json!({ "city": "Paris" }).to_string() }
}

fn filler(bytes: usize) -> String {
    "the quick brown fox jumps over a lazy dog and runs ".chars().cycle().take(bytes).collect()
}

/// The longest start of `text` with at most `bytes_max` bytes.
fn clip(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Cuts a text into non-empty pieces that give it back when joined.
fn pieces(text: &str, cut: Pieces) -> Vec<&str> {
    let bytes = match cut {
        Pieces::Words if text.len() <= WORDS_BYTES_MAX => return text.split_inclusive(' ').collect(),
        Pieces::Words => CHUNK_BYTES_DEFAULT.max(text.len() / WORDS_BYTES_MAX),
        Pieces::Bytes(bytes) => bytes,
    };
    let mut pieces = Vec::with_capacity(text.len() / bytes + 1);
    let mut rest = text;
    while !rest.is_empty() {
        // A character wider than a piece still goes out whole.
        let end = clip(rest, bytes).len().max(rest.chars().next().map_or(1, char::len_utf8));
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

/// Writes a JSON string with its quotes.
fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every write and a str is always JSON");
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
