//! Gathers from the events of one chat stream what must be known of it. Must never know how the bytes were cut.

use super::answer::{Answer, Form};
use super::error::InBandError;
use super::usage::{is_zero, read_usage};
use super::whole::is_error_list;
use crate::wire::facts::Produced;
use crate::wire::ir::Outcome;
use crate::wire::json::{Token, decode_lossy};
use crate::wire::{Usage, sse};

/// Longest finish reason or service tier that is kept whole.
const WORD_BYTES_MAX: usize = 128;

/// What an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that is payload: blank lines, a keepalive.
    Nothing,
    Chunk,
    /// The chunk that only reports usage.
    UsageOnly,
    Error,
    Done,
    /// A payload that is no JSON.
    Broken,
}

#[derive(Default)]
pub struct Facts {
    pub content_seen: bool,
    pub done: bool,
    pub error: Option<InBandError>,
    pub finish: Option<String>,
    pub service_tier: Option<String>,
    usage: Option<Usage>,
    choices_seen: u128,
    choices_finished: u128,
    produced: Produced,
    /// Something that is not text was produced.
    media: bool,
}

impl Facts {
    /// Hears an event. Whatever comes behind `[DONE]` is not part of the answer.
    pub fn hear(&mut self, raw: &[u8], stream_start: bool) -> Heard {
        if self.done {
            return Heard::Nothing;
        }
        let fields = sse::fields(raw, stream_start);
        let Some(data) = fields.data else { return Heard::Nothing };
        let data = data.trim_ascii();
        // Seen as keepalives: `data:`, `data: ""`, `data: : ping`.
        if matches!(data, b"" | b"\"\"") || data[0] == b':' {
            return Heard::Nothing;
        }
        if data == b"[DONE]" {
            self.done = true;
            return Heard::Done;
        }
        if fields.event == Some(b"error") || (data[0] == b'[' && is_error_list(data)) {
            self.fail(data);
            return Heard::Error;
        }
        match Answer::read(data, Form::Chunk) {
            Ok(answer) => self.note(&answer, data),
            Err(_) => Heard::Broken,
        }
    }

    /// An event that was too long to look into. Nothing else than an answer is that long.
    pub fn overlong(&mut self) {
        self.content_seen |= !self.done;
    }

    fn note(&mut self, answer: &Answer<'_>, data: &[u8]) -> Heard {
        for token in answer.texts.iter() {
            self.produced.add_token(token.raw, token.escaped);
        }
        self.media |= answer.media;
        self.content_seen |= answer.media || !answer.texts.is_empty();
        self.choices_seen |= answer.choices_seen;
        self.choices_finished |= answer.choices_finished;
        note_word(&mut self.finish, answer.finish);
        note_word(&mut self.service_tier, answer.service_tier);
        if let Some(usage) = answer.usage().and_then(read_usage) {
            // Reports are cumulative, the last one stands; but nothing is no report where there was one.
            if self.usage.is_none() || !is_zero(&usage) {
                self.usage = Some(usage);
            }
        }
        match answer.error {
            Some(raw) => self.fail(raw),
            None if answer.is_error => self.fail(data),
            None if answer.is_usage_only() => return Heard::UsageOnly,
            None => return Heard::Chunk,
        }
        Heard::Error
    }

    fn fail(&mut self, raw: &[u8]) {
        self.error.get_or_insert_with(|| InBandError::read(None, raw));
    }

    pub fn output_text(&self) -> String {
        self.produced.text()
    }

    pub fn output_bytes(&self) -> u64 {
        self.produced.bytes()
    }

    /// `None` also where zeros are reported beside produced content.
    pub fn usage(&self) -> Option<Usage> {
        self.usage.filter(|usage| !(is_zero(usage) && (self.produced.bytes() > 0 || self.media)))
    }

    /// `Complete`: a finish reason for every choice seen, or `[DONE]` behind a usage report.
    ///
    /// `[DONE]` alone is not believed: servers that lose their worker send it too. Yet some vendors never give a finish reason
    /// (Snowflake); they report usage, which an upstream can only do at the end of its answer.
    pub fn outcome(&self) -> Outcome {
        if self.error.is_some() {
            return Outcome::Errored;
        }
        let all_finished = self.choices_seen != 0 && self.choices_seen == self.choices_finished;
        if all_finished || (self.done && self.usage().is_some()) { Outcome::Complete } else { Outcome::Truncated }
    }
}

fn note_word(word: &mut Option<String>, token: Option<Token<'_>>) {
    let Some(token) = token else { return };
    let raw = &token.raw[..token.raw.len().min(WORD_BYTES_MAX)];
    if word.as_ref().is_none_or(|word| word.as_bytes() != raw) {
        *word = Some(decode_lossy(raw));
    }
}
