//! Reads a Gemini generateContent answer, streamed or whole, into events.

use super::candidate::Candidate;
use super::fields::{get, known};
use super::{errors, usage};
use crate::wire::Usage;
use crate::wire::ir::{Event, EventReader, Finish, Outcome, Sink, Start, StopReason, UpstreamError};
use crate::wire::json::{LoneSurrogates, Object, Str, Value};

/// Deepest nesting of an answer.
const DEPTH_MAX: usize = 256;
/// Most candidates that are followed.
const CANDIDATES_MAX: usize = 64;

/// `account`: the account group that can read the state (signatures) of this answer again.
pub struct GeminiReader {
    account: String,
    started: bool,
    outcome: Option<Outcome>,
    candidates: Vec<Candidate>,
    usage: Option<Usage>,
    /// The prompt was refused: the word, and why.
    blocked: Option<(String, Option<String>)>,
}

impl GeminiReader {
    pub fn new(account: &str) -> GeminiReader {
        GeminiReader {
            account: account.to_owned(),
            started: false,
            outcome: None,
            candidates: Vec::new(),
            usage: None,
            blocked: None,
        }
    }

    fn fail(&mut self, error: UpstreamError, sink: &mut dyn Sink) {
        self.outcome = Some(Outcome::Errored);
        sink.event(Event::Failed(error));
    }

    /// One object of a stream, or a whole answer. `false`: it is neither answer nor error.
    fn chunk(&mut self, chunk: Value<'_>, sink: &mut dyn Sink) -> bool {
        let members = match chunk {
            Value::Object(object) => object.members,
            Value::Array(_) => return self.failed(&chunk, sink),
            _ => return false,
        };
        let mut candidates = None;
        let mut feedback = None;
        let mut counts = None;
        let mut start = Start::default();
        for (key, value) in members {
            match (known(&key, &NAMES), value) {
                (_, Value::Null) => {}
                ("error", error) => return self.failed(&sole("error", error), sink),
                // Some relays put it one deeper.
                ("response", inner @ Value::Object(_)) => return self.chunk_within(inner, sink),
                ("candidates", list) => candidates = Some(list),
                ("promptFeedback", found) => feedback = Some(found),
                ("usageMetadata", found) => counts = Some(found),
                ("responseId", Value::String(id)) if !id.is_empty() => start.id = Some(id),
                ("modelVersion", Value::String(model)) if !model.is_empty() => start.model = Some(model),
                ("createTime", Value::String(time)) if !self.started => start.created = unix_seconds(&time.decode()),
                _ => {}
            }
        }
        if candidates.is_none() && feedback.is_none() && counts.is_none() {
            return false;
        }
        if !self.started {
            self.started = true;
            start.service_tier = counts.as_ref().and_then(tier);
            sink.event(Event::Start(start));
        }
        if let Some(found) = counts.as_ref().and_then(usage::read) {
            self.usage = Some(found);
        }
        if let Some(feedback) = &feedback {
            self.feedback(feedback);
        }
        if let Some(Value::Array(list)) = candidates {
            for (at, candidate) in list.into_iter().enumerate() {
                self.candidate(candidate, at, sink);
            }
        }
        true
    }

    /// `response` within `response` is no answer.
    fn chunk_within(&mut self, inner: Value<'_>, sink: &mut dyn Sink) -> bool {
        let nested = get(&inner, "response").is_some();
        !nested && self.chunk(inner, sink)
    }

    fn failed(&mut self, value: &Value<'_>, sink: &mut dyn Sink) -> bool {
        let error = errors::read(value);
        let failed = error.is_some();
        error.into_iter().for_each(|error| self.fail(error, sink));
        failed
    }

    fn feedback(&mut self, feedback: &Value<'_>) {
        let text = |name: &str| get(feedback, name).and_then(Value::as_text).map(|text| text.into_owned());
        if let Some(word) = text("blockReason") {
            self.blocked = Some((word, text("blockReasonMessage")));
        }
    }

    fn candidate(&mut self, value: Value<'_>, at: usize, sink: &mut dyn Sink) {
        let Value::Object(value) = value else { return };
        let index = value.members.iter().find(|(key, _)| *key == "index").and_then(|(_, value)| value.as_u64());
        let Ok(index) = u32::try_from(index.unwrap_or(at as u64)) else { return };
        let known = self.candidates.iter().position(|known| known.index == index);
        let known = match known {
            Some(known) => known,
            None if self.candidates.len() == CANDIDATES_MAX => return,
            None => {
                self.candidates.push(Candidate::new(index));
                self.candidates.len() - 1
            }
        };
        self.candidates[known].read(value, &self.account, sink);
    }

    /// Closes everything; what is missing stays missing.
    fn close(&mut self, sink: &mut dyn Sink) {
        self.outcome = Some(Outcome::Complete);
        for candidate in &mut self.candidates {
            candidate.last_citations(sink);
            candidate.close(sink);
        }
        let searches = self.candidates.iter().map(|candidate| candidate.searches).sum();
        if let Some(usage) = self.usage {
            sink.event(Event::Usage { usage: Usage { web_searches: searches, ..usage }, iterations: Vec::new() });
        }
        for candidate in &self.candidates {
            sink.event(Event::Finish(candidate.finished()));
        }
        if let (Some((word, why)), []) = (&self.blocked, self.candidates.as_slice()) {
            sink.event(Event::Finish(Finish {
                choice: 0,
                reason: StopReason::Filtered,
                native: Some(Str::plain(word.as_str())),
                stop_sequence: None,
                message: why.as_deref().map(Str::plain),
            }));
        }
        sink.event(Event::End);
    }

    fn complete(&self) -> bool {
        match self.candidates.as_slice() {
            [] => self.blocked.is_some(),
            list => list.iter().all(|candidate| candidate.finish.is_some()),
        }
    }
}

impl EventReader for GeminiReader {
    fn read_event(&mut self, _name: Option<&str>, data: &str, sink: &mut dyn Sink) {
        if self.outcome.is_some() || data.trim().is_empty() || data.trim() == "[DONE]" {
            return;
        }
        match Value::parse(data, DEPTH_MAX, LoneSurrogates::Allowed) {
            Ok(chunk) => {
                self.chunk(chunk, sink);
            }
            Err(fault) => {
                let message = format!("the upstream's stream holds what is no JSON: expected {}", fault.expected);
                self.fail(UpstreamError { message, ..UpstreamError::default() }, sink);
            }
        }
    }

    fn end(&mut self, sink: &mut dyn Sink) -> Outcome {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        // There is no end mark: the bytes end, and every candidate has said why.
        if self.complete() {
            self.close(sink);
        }
        self.outcome.unwrap_or(Outcome::Truncated)
    }

    fn read_whole(&mut self, body: &str, sink: &mut dyn Sink) -> Result<(), String> {
        let value = Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed)
            .map_err(|fault| format!("the answer is no JSON: expected {} at byte {}", fault.expected, fault.at))?;
        let chunks = match value {
            // A stream without `alt=sse`, or an error in an array.
            Value::Array(list) => list,
            whole => vec![whole],
        };
        let mut understood = false;
        for chunk in chunks {
            if self.outcome.is_none() {
                understood |= self.chunk(chunk, sink);
            }
        }
        match self.outcome {
            Some(_) => Ok(()),
            None if !understood => Err("the answer has neither candidates nor an error".to_owned()),
            None if self.candidates.is_empty() && self.blocked.is_none() => {
                Err("the answer has no candidates".to_owned())
            }
            None => {
                self.close(sink);
                Ok(())
            }
        }
    }

    fn done(&self) -> bool {
        self.outcome.is_some()
    }
}

const NAMES: [&str; 8] =
    ["candidates", "usageMetadata", "modelVersion", "responseId", "promptFeedback", "createTime", "error", "response"];

fn sole<'a>(name: &'static str, value: Value<'a>) -> Value<'a> {
    Value::Object(Object { members: vec![(Str::plain(name), value)] })
}

fn tier<'a>(counts: &Value<'a>) -> Option<Str<'a>> {
    get(counts, "serviceTier").or_else(|| get(counts, "trafficType")).and_then(Value::as_str).cloned()
}

/// `2026-08-21T09:30:00.123456Z`
fn unix_seconds(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days since 1970 of a year that begins in March, so that leap days come last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era_day = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = era_day + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}
