//! Reads an Anthropic Messages answer, streamed or whole, into events. Must never know which client it goes to.

use std::mem;

use super::blocks_read::{ANSWER_DEPTH_MAX, Blocks};
use super::errors::read_error;
use super::usage::Counts;
use crate::wire::ir::{Event, EventReader, Finish, Outcome, Sink, Start, StopReason, UpstreamError};
use crate::wire::json::{LoneSurrogates, Value};

/// `account`: the account group that can read the state (signatures) of this answer again.
pub struct MessagesReader {
    account: String,
    started: bool,
    blocks: Blocks,
    counts: Counts,
    /// Kept until the end, since calls may change what it means and usage comes first.
    finish: Option<Finish<'static>>,
    /// `End` or `Failed` was emitted.
    over: Option<Outcome>,
}

impl MessagesReader {
    pub fn new(account: &str) -> MessagesReader {
        MessagesReader {
            account: account.to_owned(),
            started: false,
            blocks: Blocks::default(),
            counts: Counts::default(),
            finish: None,
            over: None,
        }
    }

    /// A second `message_start` (some relays send one) only adds to the counts.
    fn start(&mut self, message: &Value<'_>, sink: &mut dyn Sink) {
        let usage = message.get("usage");
        if let Some(usage) = usage {
            self.counts.merge(usage);
        }
        if mem::replace(&mut self.started, true) {
            return;
        }
        let text = |value: Option<&Value<'_>>| value.and_then(Value::as_str).map(|text| text.clone().into_owned());
        sink.event(Event::Start(Start {
            id: text(message.get("id")).filter(|id| !id.is_empty()),
            model: text(message.get("model")).filter(|model| !model.is_empty()),
            created: None,
            service_tier: text(usage.and_then(|usage| usage.get("service_tier"))),
            usage: self.counts.usage(),
        }));
    }

    /// Answers that lack a `message_start` begin all the same.
    fn start_unnamed(&mut self, sink: &mut dyn Sink) {
        if !mem::replace(&mut self.started, true) {
            sink.event(Event::Start(Start::default()));
        }
    }

    /// `stop_reason` and what belongs to it, in a `message_delta` or in a whole message.
    fn take_finish(&mut self, from: &Value<'_>) {
        let text = |value: Option<&Value<'_>>| value.and_then(Value::as_str).map(|text| text.clone().into_owned());
        let Some(native) = text(from.get("stop_reason")).filter(|word| !word.is_empty()) else { return };
        let details = from.get("stop_details");
        self.finish = Some(Finish {
            choice: 0,
            reason: reason_of(&native.decode()),
            native: Some(native),
            stop_sequence: text(from.get("stop_sequence")),
            message: text(details.and_then(|details| details.get("explanation"))),
        });
    }

    fn complete(&mut self, sink: &mut dyn Sink) {
        self.start_unnamed(sink);
        self.blocks.close_all(&self.account, sink);
        if let Some(usage) = self.counts.usage() {
            sink.event(Event::Usage { usage, iterations: self.counts.iterations() });
        }
        let mut finish = self.finish.take().unwrap_or(Finish {
            choice: 0,
            reason: StopReason::Unknown,
            native: None,
            stop_sequence: None,
            message: None,
        });
        finish.reason = match (finish.reason, self.blocks.calls_seen) {
            (StopReason::Done | StopReason::StopSequence | StopReason::Unknown, true) => StopReason::ToolCalls,
            (StopReason::ToolCalls, false) => StopReason::Done,
            (reason, _) => reason,
        };
        sink.event(Event::Finish(finish));
        sink.event(Event::End);
        self.over = Some(Outcome::Complete);
    }

    fn fail(&mut self, error: UpstreamError, sink: &mut dyn Sink) {
        sink.event(Event::Failed(error));
        self.over = Some(Outcome::Errored);
    }

    fn read(&mut self, name: Option<&str>, event: &Value<'_>, sink: &mut dyn Sink) {
        let kind = event.get("type").and_then(Value::as_text);
        match kind.as_deref().or(name).unwrap_or_default() {
            "message_start" => {
                if let Some(message) = event.get("message") {
                    self.start(message, sink);
                }
            }
            "content_block_start" => {
                if let Some(block) = event.get("content_block") {
                    self.start_unnamed(sink);
                    self.blocks.start(index(event), block, &self.account, sink);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = event.get("delta") {
                    self.start_unnamed(sink);
                    self.blocks.delta(index(event), delta, &self.account, sink);
                }
            }
            "content_block_stop" => self.blocks.stop(index(event), &self.account, sink),
            "message_delta" => {
                for usage in [event.get("delta").and_then(|delta| delta.get("usage")), event.get("usage")] {
                    usage.into_iter().for_each(|usage| self.counts.merge(usage));
                }
                if let Some(delta) = event.get("delta") {
                    self.take_finish(delta);
                }
            }
            "message_stop" => self.complete(sink),
            // Types that are not known say nothing to us, unless they carry an error.
            _ => {
                let named = || (name == Some("error")).then(|| UpstreamError::of_value(event));
                if let Some(error) = read_error(event).or_else(named) {
                    self.fail(error, sink);
                }
            }
        }
    }
}

/// Blocks are numbered by the upstream; one that does not number means the first.
fn index(event: &Value<'_>) -> u64 {
    event.get("index").and_then(Value::as_u64).unwrap_or(0)
}

fn reason_of(native: &str) -> StopReason {
    match native {
        "end_turn" => StopReason::Done,
        "max_tokens" => StopReason::Length,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolCalls,
        // The vendor's classifiers end an answer so, at any point of it: text before it is no refusal in words.
        "refusal" => StopReason::Filtered,
        "pause_turn" | "compaction" => StopReason::Paused,
        "model_context_window_exceeded" => StopReason::ContextFull,
        _ => StopReason::Unknown,
    }
}

impl EventReader for MessagesReader {
    fn read_event(&mut self, name: Option<&str>, data: &str, sink: &mut dyn Sink) {
        if self.over.is_some() || data.trim() == "[DONE]" {
            return;
        }
        match Value::parse(data, ANSWER_DEPTH_MAX, LoneSurrogates::Allowed) {
            Ok(event) => self.read(name, &event, sink),
            Err(fault) => {
                let message = format!("the upstream sent an event that is not JSON at byte {}", fault.at);
                self.fail(UpstreamError { message, ..UpstreamError::default() }, sink);
            }
        }
    }

    fn end(&mut self, sink: &mut dyn Sink) -> Outcome {
        if self.over.is_none() && self.finish.is_some() {
            self.complete(sink);
        }
        self.over.unwrap_or(Outcome::Truncated)
    }

    fn read_whole(&mut self, body: &str, sink: &mut dyn Sink) -> Result<(), String> {
        let message = Value::parse(body, ANSWER_DEPTH_MAX, LoneSurrogates::Allowed)
            .map_err(|fault| format!("the body is not JSON: expected {} at byte {}", fault.expected, fault.at))?;
        if let Some(error) = read_error(&message) {
            self.fail(error, sink);
            return Ok(());
        }
        let content =
            message.get("content").and_then(Value::as_array).ok_or("the body is no message: it has no content")?;
        self.start(&message, sink);
        for block in content {
            self.blocks.whole(block, &self.account, sink);
        }
        self.take_finish(&message);
        self.complete(sink);
        Ok(())
    }

    fn done(&self) -> bool {
        self.over.is_some()
    }
}
