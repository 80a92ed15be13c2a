//! One answer of a chat stream as it grows: its blocks of text, thinking, refusal and media. Must never read what stands
//! beside the choices.

use std::borrow::Cow;

use super::calls::{Calls, Piece};
use super::read_messages::google_signature;
use super::read_parts::data_uri;
use super::thinking::{self, Gathered};
use crate::wire::Protocol;
use crate::wire::ir::{BlockKind, Citation, Delta, Event, Finish, Sink, Start, State, StopReason};
use crate::wire::json::{Str, Value};

const OWN: Protocol = Protocol::OpenAiChat;
/// Most citations that wait for a text to stand under.
const WAITING_MAX: usize = 256;

/// Where events go. `Start` goes out before the first.
pub struct Out<'s> {
    pub sink: &'s mut dyn Sink,
    pub start: &'s mut Option<Start<'static>>,
    pub account: &'s str,
}

impl Out<'_> {
    pub fn emit(&mut self, event: Event<'_>) {
        if let Some(start) = self.start.take() {
            self.sink.event(Event::Start(start));
        }
        self.sink.event(event);
    }

    pub fn state(&self, payload: String) -> State<'static> {
        State { origin: OWN, account: Some(Cow::Owned(self.account.to_owned())), payload: Str::plain(payload) }
    }
}

/// What is said outside of calls, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Text,
    Refusal,
    Thinking { redacted: bool },
    Sound,
}

pub struct Choice {
    pub index: u32,
    pub finish: Option<Str<'static>>,
    /// Something was said or called.
    pub produced: bool,
    refused: bool,
    next_block: u32,
    open: Option<(Flow, u32)>,
    /// Of the open block of thinking.
    details: Gathered,
    calls: Calls,
    /// Citations that came before their text.
    waiting: Vec<Citation<'static>>,
    cited: bool,
}

impl Choice {
    pub fn new(index: u32) -> Choice {
        Choice {
            index,
            finish: None,
            produced: false,
            refused: false,
            next_block: 0,
            open: None,
            details: Gathered::default(),
            calls: Calls::default(),
            waiting: Vec::new(),
            cited: false,
        }
    }

    /// A `delta` or a `message`.
    pub fn read_message(&mut self, message: &Value<'_>, whole: bool, out: &mut Out<'_>) {
        self.read_thinking(message, out);
        match message.get("content") {
            Some(Value::String(text)) => self.say(Flow::Text, text, out),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.read_part(part, out)),
            _ => {}
        }
        if let Some(text) = message.get("refusal").and_then(Value::as_str) {
            self.say(Flow::Refusal, text, out);
        }
        for annotation in message.get("annotations").and_then(Value::as_array).unwrap_or_default() {
            self.read_annotation(annotation, out);
        }
        for image in message.get("images").and_then(Value::as_array).unwrap_or_default() {
            self.read_image(image, out);
        }
        if let Some(audio) = message.get("audio") {
            self.read_sound(audio, out);
        }
        // A signature of the whole message belongs to what was said last, or to the first call.
        let mut signature = message.get("extra_content").and_then(google_signature);
        for call in message.get("tool_calls").and_then(Value::as_array).unwrap_or_default() {
            let mut piece = Piece::of(call);
            piece.sign(&mut signature);
            self.call(piece, whole, out);
        }
        if let Some(call) = message.get("function_call") {
            self.call(Piece::legacy(call), whole, out);
        }
        if let Some(signature) = signature {
            self.sign(signature, out);
        }
    }

    fn read_thinking(&mut self, message: &Value<'_>, out: &mut Out<'_>) {
        let text = |name: &str| message.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Two or three names of one text; some send it under all.
        let flat = text("reasoning_content").or_else(|| text("reasoning"));
        let details = message.get("reasoning_details").and_then(Value::as_array).unwrap_or_default();
        if let Some(text) = flat {
            self.think(text, out);
        }
        for entry in details {
            let said = thinking::said(entry);
            if let Some(text) = said.as_ref().filter(|_| flat.is_none()) {
                self.think(text, out);
            }
            let thinks = matches!(self.open, Some((Flow::Thinking { .. }, _)));
            if thinking::is_stateful(entry) && !thinks {
                self.open(Flow::Thinking { redacted: true }, out);
                self.produced = true;
            } else if said.is_none() && !thinking::is_stateful(entry) {
                continue;
            }
            self.details.push(entry);
        }
    }

    /// A signature ends a block of thinking: what is thought behind it is another one.
    fn think(&mut self, text: &Str<'_>, out: &mut Out<'_>) {
        if self.details.stateful && !text.is_empty() {
            self.close_flow(out);
        }
        self.say(Flow::Thinking { redacted: false }, text, out);
    }

    /// Mistral: `[{"type":"thinking","thinking":[{"type":"text","text":"…"}]},{"type":"text","text":"…"}]`.
    fn read_part(&mut self, part: &Value<'_>, out: &mut Out<'_>) {
        match part.get("thinking") {
            Some(Value::String(text)) => self.think(text, out),
            Some(Value::Array(parts)) => {
                parts.iter().filter_map(|part| part.get("text")?.as_str()).for_each(|text| self.think(text, out));
            }
            _ => {}
        }
        if let Some(text) = part.as_str().or_else(|| part.get("text")?.as_str()) {
            self.say(Flow::Text, text, out);
        }
        if let Some(text) = part.get("refusal").and_then(Value::as_str) {
            self.say(Flow::Refusal, text, out);
        }
        if part.get("image_url").is_some() {
            self.read_image(part, out);
        }
    }

    fn say(&mut self, flow: Flow, text: &Str<'_>, out: &mut Out<'_>) {
        if text.is_empty() {
            return;
        }
        self.produced = true;
        self.refused |= flow == Flow::Refusal;
        let block = self.open(flow, out);
        self.delta(block, Delta::Text(text.borrowed()), out);
    }

    fn delta(&self, block: u32, delta: Delta<'_>, out: &mut Out<'_>) {
        out.emit(Event::Delta { choice: self.index, block, delta });
    }

    /// The open block of that kind, or a new one.
    fn open(&mut self, flow: Flow, out: &mut Out<'_>) -> u32 {
        match self.open {
            Some((open, block)) if open == flow => return block,
            _ => self.close_flow(out),
        }
        self.calls.settle(self.index, &mut self.next_block, out);
        let kind = match flow {
            Flow::Text => BlockKind::Text,
            Flow::Refusal => BlockKind::Refusal,
            Flow::Thinking { redacted } => BlockKind::Reasoning { redacted },
            Flow::Sound => BlockKind::Media { image: false, mime: Cow::Borrowed("") },
        };
        let block = self.start_block(kind, out);
        self.open = Some((flow, block));
        if flow == Flow::Text {
            for citation in std::mem::take(&mut self.waiting) {
                self.delta(block, Delta::Citation(citation), out);
            }
        }
        block
    }

    fn start_block(&mut self, kind: BlockKind<'_>, out: &mut Out<'_>) -> u32 {
        let block = self.next_block;
        self.next_block += 1;
        out.emit(Event::BlockStart { choice: self.index, block, kind });
        block
    }

    fn close_flow(&mut self, out: &mut Out<'_>) {
        let Some((flow, block)) = self.open.take() else { return };
        let payload = self.details.payload();
        if let (Flow::Thinking { .. }, Some(payload)) = (flow, payload) {
            let state = out.state(payload);
            self.delta(block, Delta::State(state), out);
        }
        out.emit(Event::BlockStop { choice: self.index, block });
    }

    /// OpenRouter: `{"type":"image_url","image_url":{"url":"data:image/png;base64,…"}}`.
    fn read_image(&mut self, image: &Value<'_>, out: &mut Out<'_>) {
        let link = image.get("image_url").unwrap_or(image);
        let Some(url) = link.as_str().or_else(|| link.get("url")?.as_str()).filter(|url| !url.is_empty()) else {
            return;
        };
        self.close_flow(out);
        self.calls.settle(self.index, &mut self.next_block, out);
        self.produced = true;
        let (mime, delta) = match data_uri(url) {
            Some((mime, data)) => (mime, Delta::Data(data)),
            None => (String::new(), Delta::Url(url.borrowed())),
        };
        let block = self.start_block(BlockKind::Media { image: true, mime: mime.into() }, out);
        self.delta(block, delta, out);
        out.emit(Event::BlockStop { choice: self.index, block });
    }

    /// `{id, data, transcript, expires_at}`: what is heard is not text of the answer.
    fn read_sound(&mut self, audio: &Value<'_>, out: &mut Out<'_>) {
        let text = |name: &str| audio.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(data) = text("data") {
            self.produced = true;
            let block = self.open(Flow::Sound, out);
            self.delta(block, Delta::Data(data.borrowed()), out);
        }
        if let Some(transcript) = text("transcript") {
            self.say(Flow::Sound, transcript, out);
        }
    }

    fn read_annotation(&mut self, annotation: &Value<'_>, out: &mut Out<'_>) {
        let Some(cited) = annotation.get("url_citation") else { return };
        let text = |name: &str| cited.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).cloned();
        let count = |name: &str| cited.get(name).and_then(Value::as_u64);
        let span = count("start_index").zip(count("end_index"));
        let citation = Citation {
            url: text("url"),
            title: text("title"),
            cited: text("content"),
            // A span of nothing is how some vendors say that they have none.
            span: span.filter(|(start, end)| start < end),
            origin: OWN,
            raw: annotation.clone(),
        };
        self.cited = true;
        match self.open {
            Some((Flow::Text, block)) => self.delta(block, Delta::Citation(citation), out),
            _ if self.waiting.len() < WAITING_MAX => self.waiting.push(citation.into_owned()),
            _ => {}
        }
    }

    /// Sources that are told beside the answer.
    pub fn cite(&mut self, sources: &[(Str<'static>, Option<Str<'static>>)], out: &mut Out<'_>) {
        if self.cited || sources.is_empty() || !self.produced {
            return;
        }
        let block = self.open(Flow::Text, out);
        for (url, title) in sources {
            let citation = Citation {
                url: Some(url.borrowed()),
                title: title.as_ref().map(Str::borrowed),
                cited: None,
                span: None,
                origin: OWN,
                raw: Value::Null,
            };
            self.delta(block, Delta::Citation(citation), out);
        }
    }

    pub fn read_logprobs(&mut self, logprobs: &Value<'_>, out: &mut Out<'_>) {
        let (name, block) = match self.open {
            Some((Flow::Text, block)) => ("content", block),
            Some((Flow::Refusal, block)) => ("refusal", block),
            _ => return,
        };
        if let Some(list @ Value::Array(entries)) = logprobs.get(name)
            && !entries.is_empty()
        {
            self.delta(block, Delta::Logprobs(list.clone()), out);
        }
    }

    fn call(&mut self, piece: Piece<'_>, whole: bool, out: &mut Out<'_>) {
        if piece.says_nothing() {
            return;
        }
        self.produced = true;
        if self.calls.begins(&piece, whole) {
            self.close_flow(out);
        }
        self.calls.push(piece, whole, self.index, &mut self.next_block, out);
    }

    fn sign(&mut self, signature: Str<'_>, out: &mut Out<'_>) {
        match self.open {
            Some((Flow::Text, block)) => {
                let state = out.state(signature.decode().into_owned());
                self.delta(block, Delta::State(state), out);
            }
            _ => self.calls.sign_first(signature, self.index, out),
        }
    }

    /// Closes what is open. Citations whose text was over stand under an empty one.
    pub fn close(&mut self, out: &mut Out<'_>) {
        if !self.waiting.is_empty() {
            self.waiting.iter_mut().for_each(|citation| citation.span = None);
            self.open(Flow::Text, out);
        }
        self.close_flow(out);
        self.calls.finish(self.index, &mut self.next_block, out);
    }

    /// Vendors say `stop`, or nothing, where calls were made; but an end by length or filter is one.
    pub fn finish(&self) -> Finish<'_> {
        let word = self.finish.as_ref().map(Str::decode).unwrap_or_default();
        let called = !self.calls.is_empty();
        let reason = match reason_of(&word) {
            StopReason::Done | StopReason::Unknown | StopReason::ToolCalls if called => StopReason::ToolCalls,
            // Nothing was said, nor why.
            StopReason::Done if word.is_empty() && !self.produced => StopReason::Unknown,
            StopReason::ToolCalls => StopReason::Done,
            StopReason::Done if self.refused => StopReason::Refused,
            reason => reason,
        };
        Finish {
            choice: self.index,
            reason,
            native: self.finish.as_ref().map(Str::borrowed),
            stop_sequence: None,
            message: None,
        }
    }
}

fn reason_of(word: &str) -> StopReason {
    match word {
        "" | "stop" | "end_turn" | "eos" | "eos_token" | "end" | "complete" | "COMPLETE" | "STOP" => StopReason::Done,
        "stop_sequence" => StopReason::StopSequence,
        "length" | "max_tokens" | "MAX_TOKENS" | "max_output_tokens" => StopReason::Length,
        "model_length" | "context_length" | "model_context_window_exceeded" => StopReason::ContextFull,
        "tool_calls" | "function_call" | "tool_use" | "tool_call" => StopReason::ToolCalls,
        "content_filter" | "content_filtered" | "sensitive" | "safety" | "SAFETY" | "RECITATION"
        | "PROHIBITED_CONTENT" | "BLOCKLIST" | "SPII" => StopReason::Filtered,
        "refusal" => StopReason::Refused,
        "MALFORMED_FUNCTION_CALL" | "malformed_function_call" => StopReason::BadCall,
        _ => StopReason::Unknown,
    }
}
