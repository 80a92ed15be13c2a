//! Reads an OpenAI Chat Completions answer, streamed or whole, into events. Must never be told which vendor gave it.

use std::borrow::Cow;

use super::choice::{Choice, Out};
use super::usage::{is_zero, read_usage};
use crate::wire::Usage;
use crate::wire::ir::{Event, EventReader, Outcome, Sink, Start, UpstreamError};
use crate::wire::json::{LoneSurrogates, Str, Value};

/// Deepest nesting of a chunk or an answer.
const DEPTH_MAX: usize = 128;
/// Most answers that a call can have; more are not read.
const CHOICES_MAX: usize = 128;
/// Finish reasons that say that the answer broke off: OpenRouter's, vLLM's, DeepSeek's and Z.ai's.
const BROKEN: [&str; 4] = ["error", "abort", "insufficient_system_resource", "network_error"];
/// Most sources of an answer that are told.
const SOURCES_MAX: usize = 128;

/// `account`: the account group that can read the state (signatures) of this answer again.
pub struct ChatReader {
    account: String,
    /// Gathered until the first thing is said.
    start: Option<Start<'static>>,
    /// The last one told, which may come behind the start.
    tier: Option<String>,
    choices: Vec<Choice>,
    /// The last one that counts something.
    usage: Option<Usage>,
    /// What the answer is from, where it is told beside the answer (Perplexity): URL and title.
    sources: Vec<(Str<'static>, Option<Str<'static>>)>,
    /// `[DONE]` was read.
    closed: bool,
    outcome: Option<Outcome>,
}

impl ChatReader {
    pub fn new(account: &str) -> ChatReader {
        ChatReader {
            account: account.to_owned(),
            start: Some(Start::default()),
            tier: None,
            choices: Vec::new(),
            usage: None,
            sources: Vec::new(),
            closed: false,
            outcome: None,
        }
    }

    /// One document: a chunk, or the whole answer.
    fn read(&mut self, document: &Value<'_>, whole: bool, sink: &mut dyn Sink) {
        self.note_head(document);
        for (at, choice) in document.get("choices").and_then(Value::as_array).unwrap_or_default().iter().enumerate() {
            self.read_choice(choice, at, whole, sink);
        }
        let groq = document.get("x_groq").and_then(|groq| groq.get("usage"));
        for usage in [groq, document.get("usage")].into_iter().flatten() {
            self.note_usage(usage);
        }
        self.note_sources(document);
        let is_error = || document.get("object").and_then(Value::as_str).is_some_and(|object| *object == "error");
        if let Some(error) = document.get("error").filter(|error| says_something(error)) {
            self.fail(UpstreamError::of_value(error), sink);
        } else if is_error() {
            self.fail(UpstreamError::of_value(document), sink);
        }
    }

    fn note_head(&mut self, document: &Value<'_>) {
        let said = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(tier) = said("service_tier")
            && self.tier.as_ref().is_none_or(|known| *tier != known.as_str())
        {
            self.tier = Some(tier.decode().into_owned());
        }
        let Some(start) = &mut self.start else { return };
        let text = |name: &str| said(name).map(|text| text.clone().into_owned());
        if start.id.is_none() {
            start.id = text("id");
        }
        if start.model.is_none() {
            start.model = text("model");
        }
        if start.service_tier.is_none() {
            start.service_tier = text("service_tier");
        }
        let created = || document.get("created").and_then(Value::as_i64).filter(|created| *created > 0);
        start.created = start.created.or_else(created);
    }

    fn read_choice(&mut self, choice: &Value<'_>, position: usize, whole: bool, sink: &mut dyn Sink) {
        let index = choice.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
        let index = index.unwrap_or(position as u32);
        if let Some(usage) = choice.get("usage") {
            self.note_usage(usage);
        }
        let at = match self.choices.iter().position(|known| known.index == index) {
            Some(at) => at,
            None if self.choices.len() == CHOICES_MAX => return,
            None => {
                self.choices.push(Choice::new(index));
                self.choices.len() - 1
            }
        };
        let mut out = Out { sink, start: &mut self.start, account: &self.account };
        let known = &mut self.choices[at];
        // Perplexity sends both: beside each `delta` the whole text so far, and an empty `delta` in a whole answer.
        let object = |name: &str| choice.get(name).filter(|value| value.as_object().is_some());
        let names = if whole { ["message", "delta"] } else { ["delta", "message"] };
        if let Some(message) = object(names[0]).or_else(|| object(names[1])) {
            known.read_message(message, whole, &mut out);
        }
        if let Some(logprobs) = choice.get("logprobs") {
            known.read_logprobs(logprobs, &mut out);
        }
        if let Some(word) = choice.get("finish_reason").and_then(Value::as_str).filter(|word| !word.is_empty()) {
            known.finish = Some(word.clone().into_owned());
        }
    }

    /// Reports are cumulative, the last one stands; but nothing is no report where there was one.
    fn note_usage(&mut self, usage: &Value<'_>) {
        if usage.as_object().is_none() {
            return;
        }
        if let Some(usage) = read_usage(usage.to_json().as_bytes())
            && (self.usage.is_none() || !is_zero(&usage))
        {
            self.usage = Some(usage);
        }
    }

    /// `search_results: [{url, title}]`, or `citations: [url]`.
    fn note_sources(&mut self, document: &Value<'_>) {
        let list = |name: &str| document.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
        let Some(list) = list("search_results").or_else(|| list("citations")) else { return };
        if list.len().min(SOURCES_MAX) == self.sources.len() {
            return;
        }
        let source = |entry: &Value<'_>| {
            let url = entry.as_str().or_else(|| entry.get("url")?.as_str())?.clone().into_owned();
            let title = entry.get("title").and_then(Value::as_str).map(|title| title.clone().into_owned());
            Some((url, title))
        };
        self.sources = list.iter().take(SOURCES_MAX).filter_map(source).collect();
    }

    /// `None` also where zeros are reported beside something produced.
    fn counted(&self) -> Option<Usage> {
        let produced = self.choices.iter().any(|choice| choice.produced);
        self.usage.filter(|usage| !(produced && is_zero(usage)))
    }

    /// A finish reason for every choice, or `[DONE]` behind a usage report: some vendors never give a reason, yet usage can only
    /// be reported at the end. `[DONE]` alone is not believed: servers that lose their worker send it too.
    fn is_complete(&self) -> bool {
        let finished = !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finish.is_some());
        finished || (self.closed && self.counted().is_some())
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let usage = self.counted();
        let broken = |choice: &Choice| {
            choice.finish.as_ref().map(Str::decode).filter(|word| BROKEN.contains(&&**word)).map(Cow::into_owned)
        };
        if let Some(word) = self.choices.iter().find_map(broken) {
            let message = format!("the upstream ended its answer with the finish reason {word}");
            return self.fail(UpstreamError { message, ..UpstreamError::default() }, sink);
        }
        // Every answer ends, also one in which nothing was said.
        if self.choices.is_empty() {
            self.choices.push(Choice::new(0));
        }
        let mut out = Out { sink, start: &mut self.start, account: &self.account };
        for choice in &mut self.choices {
            if choice.index == 0 {
                choice.cite(&self.sources, &mut out);
            }
            choice.close(&mut out);
        }
        if let Some(usage) = usage {
            out.emit(Event::Usage { usage, iterations: Vec::new() });
        }
        for choice in &self.choices {
            out.emit(Event::Finish(choice.finish()));
        }
        out.emit(Event::End);
        self.outcome = Some(Outcome::Complete);
    }

    /// What was reported before is told too: it was spent.
    fn fail(&mut self, error: UpstreamError, sink: &mut dyn Sink) {
        self.tell_usage(sink);
        Out { sink, start: &mut self.start, account: &self.account }.emit(Event::Failed(error));
        self.outcome = Some(Outcome::Errored);
    }

    fn tell_usage(&mut self, sink: &mut dyn Sink) {
        if let Some(usage) = self.counted() {
            let mut out = Out { sink, start: &mut self.start, account: &self.account };
            out.emit(Event::Usage { usage, iterations: Vec::new() });
        }
    }
}

impl EventReader for ChatReader {
    fn read_event(&mut self, name: Option<&str>, data: &str, sink: &mut dyn Sink) {
        let data = data.trim();
        // Seen as keepalives: `data:`, `data: ""`, `data: : ping`.
        if self.outcome.is_some() || self.closed || matches!(data, "" | "\"\"") || data.starts_with(':') {
            return;
        }
        if data == "[DONE]" {
            self.closed = true;
            if self.is_complete() {
                self.finish(sink);
            }
            return;
        }
        match Value::parse(data, DEPTH_MAX, LoneSurrogates::Allowed) {
            Ok(value) if name == Some("error") || is_error_list(&value) => {
                self.fail(UpstreamError::of_value(&value), sink);
            }
            Ok(document @ Value::Object(_)) => self.read(&document, false, sink),
            Ok(_) => {}
            Err(_) if name == Some("error") => self.fail(UpstreamError::read(None, data.as_bytes()), sink),
            Err(fault) => {
                let message = format!("the upstream sent an event that is no JSON from byte {} on", fault.at);
                self.fail(UpstreamError { message, ..UpstreamError::default() }, sink);
            }
        }
    }

    fn end(&mut self, sink: &mut dyn Sink) -> Outcome {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        if self.is_complete() {
            self.finish(sink);
        } else {
            self.tell_usage(sink);
            self.outcome = Some(Outcome::Truncated);
        }
        self.outcome.unwrap_or(Outcome::Truncated)
    }

    fn read_whole(&mut self, body: &str, sink: &mut dyn Sink) -> Result<(), String> {
        let body = body.trim_start_matches('\u{feff}').trim();
        match body.bytes().next() {
            None => return Err("an empty body".to_owned()),
            Some(b'<') => return Err("HTML or XML".to_owned()),
            Some(_) => {}
        }
        let document = match Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed) {
            Ok(document) => document,
            Err(fault) => return Err(format!("broken JSON, {} expected at byte {}", fault.expected, fault.at)),
        };
        if is_error_list(&document) {
            self.fail(UpstreamError::of_value(&document), sink);
            return Ok(());
        }
        if document.as_object().is_none() {
            return Err("no JSON object".to_owned());
        }
        self.read(&document, true, sink);
        if self.outcome.is_some() {
            return Ok(());
        }
        if document.get("choices").is_none_or(|choices| choices.as_array().is_none() && !choices.is_null()) {
            return Err("JSON without choices".to_owned());
        }
        // A whole document is complete, whatever its finish reason.
        self.finish(sink);
        Ok(())
    }

    fn done(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Complete | Outcome::Errored))
    }

    fn service_tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }
}

/// Some vendors send `null`, `""`, `{}` or `false` beside every good answer.
fn says_something(error: &Value<'_>) -> bool {
    match error {
        Value::Object(object) => !object.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(bool) => *bool,
        Value::Number(_) | Value::Null => false,
    }
}

/// Gemini's chat endpoint: `[{"error": {…}}]`.
fn is_error_list(value: &Value<'_>) -> bool {
    let first = value.as_array().and_then(|list| list.first()?.get("error"));
    first.is_some_and(|error| matches!(error, Value::Object(_) | Value::String(_)))
}
