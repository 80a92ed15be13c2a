//! Reads an OpenAI Responses answer, streamed or whole, into events.

use super::items_answer::{Output, Section};
use super::usage::read_usage;
use crate::wire::ir::{Event, EventReader, Finish, Outcome, Sink, Start, StopReason, UpstreamError};
use crate::wire::json::{LoneSurrogates, Object, Str, Value};

/// Deepest nesting of an event.
const DEPTH_MAX: usize = 256;

/// `account`: the account group that can read the state (signatures) of this answer again.
pub struct ResponsesReader {
    started: bool,
    outcome: Option<Outcome>,
    /// As the last event tells it.
    service_tier: Option<String>,
    output: Output,
}

impl ResponsesReader {
    pub fn new(account: &str) -> ResponsesReader {
        ResponsesReader { started: false, outcome: None, service_tier: None, output: Output::new(account) }
    }
}

impl EventReader for ResponsesReader {
    fn read_event(&mut self, name: Option<&str>, data: &str, sink: &mut dyn Sink) {
        // Some vendors add the end mark of chat completions.
        if self.done() || data.trim() == "[DONE]" {
            return;
        }
        let Ok(value) = Value::parse(data, DEPTH_MAX, LoneSurrogates::Allowed) else {
            return self.fail(words("the upstream sent an event that is no JSON"), sink);
        };
        let Value::Object(object) = value else { return };
        let mut event = Told::of(object);
        let said = event.kind.take();
        let kind = said.as_ref().map(Str::decode);
        let kind = kind.as_deref().or(name).unwrap_or_default();
        if kind.starts_with("response.") && !self.started {
            self.start(event.response.as_ref(), sink);
        }
        match kind {
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                let response = event.response.unwrap_or(Value::Null);
                self.end_with(response, kind.trim_start_matches("response."), sink);
            }
            "error" | "response.error" => self.fail_with(data, sink),
            kind if kind.starts_with("response.") => self.read_part(kind, event, sink),
            // Proxies say their errors in their own way.
            _ if event.error => self.fail_with(data, sink),
            _ => {}
        }
    }

    fn end(&mut self, _sink: &mut dyn Sink) -> Outcome {
        self.outcome.unwrap_or(Outcome::Truncated)
    }

    fn read_whole(&mut self, body: &str, sink: &mut dyn Sink) -> Result<(), String> {
        let response = Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed)
            .map_err(|fault| format!("the answer is no JSON: at byte {} {} was expected", fault.at, fault.expected))?;
        let has_output = response.get("output").is_some_and(|output| output.as_array().is_some());
        if !has_output {
            if response.get("error").is_some_and(|error| !error.is_null()) {
                self.fail(UpstreamError::of_value(&response), sink);
                return Ok(());
            }
            return Err("the answer has no output list".to_owned());
        }
        let status = response.get("status").and_then(Value::as_text).map(|status| status.into_owned());
        if let Some(status @ ("queued" | "in_progress")) = status.as_deref() {
            return Err(format!("the answer is not finished: its status is {status}"));
        }
        self.start(Some(&response), sink);
        self.end_with(response, "completed", sink);
        Ok(())
    }

    fn done(&self) -> bool {
        self.outcome.is_some()
    }

    fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }
}

impl ResponsesReader {
    fn start(&mut self, response: Option<&Value<'_>>, sink: &mut dyn Sink) {
        self.started = true;
        let text = |name: &str| {
            response.and_then(|response| response.get(name)?.as_str().cloned()).filter(|text| !text.is_empty())
        };
        let created = response.and_then(|response| {
            let created = response.get("created_at")?.as_number()?;
            created.split('.').next()?.parse().ok()
        });
        // At its start an answer only repeats the wish; `auto` says nothing.
        let service_tier = text("service_tier").filter(|tier| *tier != "auto");
        sink.event(Event::Start(Start { id: text("id"), model: text("model"), created, service_tier, usage: None }));
    }

    fn fail(&mut self, error: UpstreamError, sink: &mut dyn Sink) {
        self.outcome = Some(Outcome::Errored);
        sink.event(Event::Failed(error));
    }

    fn fail_with(&mut self, event: &str, sink: &mut dyn Sink) {
        let event = Value::parse(event, DEPTH_MAX, LoneSurrogates::Allowed).unwrap_or(Value::Null);
        self.fail(UpstreamError::of_value(&event), sink);
    }

    /// An event within the answer.
    fn read_part(&mut self, kind: &str, event: Told<'_>, sink: &mut dyn Sink) {
        let output = &mut self.output;
        let at = event.output_index.unwrap_or_else(|| output.locate(event.item_id.as_ref(), event.item.as_ref()));
        let Told { delta, text, logprobs, content_index: content, summary_index: summary, .. } = event;
        match &kind["response.".len()..] {
            "output_text.delta" => output.text(at, content, false, delta, logprobs, sink),
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => output.arguments(at, delta, sink),
            "reasoning_summary_text.delta" | "reasoning_summary.delta" => {
                output.thought(at, (Section::Summary, summary), delta, sink);
            }
            "reasoning_text.delta" | "reasoning.delta" => output.thought(at, (Section::Full, content), delta, sink),
            "refusal.delta" => output.text(at, content, true, delta, None, sink),
            "output_text.done" => output.text_done(at, content, false, text, logprobs, sink),
            "refusal.done" => output.text_done(at, content, true, text, None, sink),
            "reasoning_summary_part.added" => {
                output.thought(at, (Section::Summary, summary), Str::plain(""), sink);
            }
            "reasoning_summary_text.done" => output.thought_done(at, (Section::Summary, summary), text, sink),
            "reasoning_text.done" | "reasoning.done" => output.thought_done(at, (Section::Full, content), text, sink),
            "function_call_arguments.done" | "custom_tool_call_input.done" => output.arguments_done(at, text, sink),
            "content_part.added" => output.part_added(at, content, event.part.as_ref(), sink),
            "content_part.done" => {
                if let Some(part) = event.part {
                    output.part_done(at, content, part, sink);
                }
            }
            "output_text.annotation.added" => {
                if let Some(annotation) = event.annotation {
                    output.annotation(at, content, annotation, sink);
                }
            }
            "output_item.added" => {
                if let Some(item) = event.item {
                    output.added(at, item, sink);
                }
            }
            "output_item.done" => {
                if let Some(item) = event.item {
                    output.finished(at, item, sink);
                }
            }
            // Progress of hosted tools, whose item says everything once it is done; and what is not known.
            _ => {}
        }
        if self.output.is_over_limit() {
            self.fail(words("the upstream's answer has too many items"), sink);
        }
    }

    /// The last event of a stream, or a whole answer. `status`: what the event's name says.
    fn end_with(&mut self, mut response: Value<'_>, status: &str, sink: &mut dyn Sink) {
        self.service_tier = response.get("service_tier").and_then(Value::as_text).map(|tier| tier.into_owned());
        if let Some(Value::Array(items)) = take(&mut response, "output") {
            self.output.complete(items, sink);
        }
        self.output.close_all(sink);
        if self.output.is_over_limit() {
            return self.fail(words("the upstream's answer has too many items"), sink);
        }
        if let Some(usage) = read_usage(&response, self.output.searches) {
            sink.event(Event::Usage { usage, iterations: Vec::new() });
        }
        let said = response.get("status").and_then(Value::as_text).map(|status| status.into_owned());
        let status = said.as_deref().unwrap_or(status);
        if matches!(status, "failed" | "cancelled" | "canceled") {
            let error = response.get("error").filter(|error| !error.is_null()).map(UpstreamError::of_value);
            let error = error.unwrap_or_else(|| words(&format!("the upstream's answer is {status}")));
            return self.fail(error, sink);
        }
        let why = response.get("incomplete_details").and_then(|details| details.get("reason")?.as_text());
        let native = match &why {
            Some(why) => Str::plain(format!("{status}:{why}")),
            None => Str::plain(status.to_owned()),
        };
        let reason = self.reason(status, why.as_deref());
        sink.event(Event::Finish(Finish {
            choice: 0,
            reason,
            native: Some(native),
            stop_sequence: None,
            message: None,
        }));
        sink.event(Event::End);
        self.outcome = Some(Outcome::Complete);
    }

    fn reason(&self, status: &str, why: Option<&str>) -> StopReason {
        match (status, why) {
            (_, Some("max_output_tokens" | "max_tokens" | "length")) => StopReason::Length,
            (_, Some("content_filter")) => StopReason::Filtered,
            _ if self.output.called => StopReason::ToolCalls,
            ("incomplete", _) => StopReason::Unknown,
            _ if self.output.refused && !self.output.told => StopReason::Refused,
            _ => StopReason::Done,
        }
    }
}

/// The members of an event, found in one walk: a stream has thousands.
struct Told<'a> {
    kind: Option<Str<'a>>,
    output_index: Option<u64>,
    item_id: Option<Str<'a>>,
    content_index: u64,
    summary_index: u64,
    delta: Str<'a>,
    /// The whole of what came in deltas, under whatever name.
    text: Str<'a>,
    logprobs: Option<Value<'a>>,
    part: Option<Value<'a>>,
    item: Option<Value<'a>>,
    annotation: Option<Value<'a>>,
    response: Option<Value<'a>>,
    error: bool,
}

impl<'a> Told<'a> {
    fn of(object: Object<'a>) -> Told<'a> {
        let mut told = Told {
            kind: None,
            output_index: None,
            item_id: None,
            content_index: 0,
            summary_index: 0,
            delta: Str::plain(""),
            text: Str::plain(""),
            logprobs: None,
            part: None,
            item: None,
            annotation: None,
            response: None,
            error: false,
        };
        for (name, value) in object.members {
            match (&*name.decode(), value) {
                (_, Value::Null) => {}
                ("type", Value::String(kind)) => told.kind = Some(kind),
                ("output_index", value) => told.output_index = value.as_u64(),
                ("item_id", Value::String(id)) => told.item_id = Some(id),
                ("content_index", value) => told.content_index = value.as_u64().unwrap_or(0),
                ("summary_index", value) => told.summary_index = value.as_u64().unwrap_or(0),
                ("delta", Value::String(delta)) => told.delta = delta,
                ("text" | "refusal" | "arguments" | "input", Value::String(text)) => told.text = text,
                ("logprobs", value) => told.logprobs = Some(value),
                ("part", value) => told.part = Some(value),
                ("item", value) => told.item = Some(value),
                ("annotation", value) => told.annotation = Some(value),
                ("response", value) => told.response = Some(value),
                ("error", _) => told.error = true,
                _ => {}
            }
        }
        told
    }
}

fn words(message: &str) -> UpstreamError {
    UpstreamError { message: message.to_owned(), ..UpstreamError::default() }
}

/// A member that is not null, out of an object.
pub(super) fn take<'a>(value: &mut Value<'a>, name: &str) -> Option<Value<'a>> {
    value.as_object_mut()?.take(name).filter(|value| !value.is_null())
}

pub(super) fn take_str<'a>(value: &mut Value<'a>, name: &str) -> Str<'a> {
    match take(value, name) {
        Some(Value::String(text)) => text,
        _ => Str::plain(""),
    }
}
