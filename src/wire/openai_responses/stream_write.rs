//! Writes events as an OpenAI Responses stream.

use super::errors::{code, write_members};
use super::feed::Feed;
use super::items_out::{Item, Items, Kind};
use super::options_write::service_tier;
use super::response_write::{Identity, State, write_response};
use crate::wire::ir::{
    BlockKind, Delta, Event, EventWriter, Feature, Ids, Losses, Start, StopReason, UpstreamError, WriterSetup,
};
use crate::wire::json::Json;
use crate::wire::{Protocol, Usage};

const OURS: Protocol = Protocol::OpenAiResponses;
/// Most bytes of one answer: all of it is said once more at its end.
const ANSWER_BYTES_MAX: usize = 64 << 20;

pub struct ResponsesWriter {
    setup: WriterSetup,
    losses: Losses,
    identity: Identity,
    feed: Feed,
    items: Items,
    started: bool,
    usage: Option<Usage>,
    finish: Option<(StopReason, Option<String>)>,
    /// The last event was written.
    over: bool,
}

/// What the last event says.
struct Ending {
    status: &'static str,
    reason: Option<&'static str>,
    error: Option<UpstreamError>,
}

impl ResponsesWriter {
    pub fn new(setup: WriterSetup) -> ResponsesWriter {
        ResponsesWriter::with_feed(setup, Feed::default())
    }

    /// Writes no events, only gathers the answer.
    pub(super) fn silent(setup: WriterSetup) -> ResponsesWriter {
        ResponsesWriter::with_feed(setup, Feed::silent())
    }

    fn with_feed(setup: WriterSetup, feed: Feed) -> ResponsesWriter {
        let mut ids = Ids::new(&setup.call_id);
        let identity = Identity {
            id: setup.response_id.clone().unwrap_or_else(|| ids.mint("resp_")),
            model: setup.model.clone(),
            created: setup.created,
            service_tier: None,
        };
        let items = Items::new(ids, &setup);
        ResponsesWriter {
            setup,
            losses: Losses::default(),
            identity,
            feed,
            items,
            started: false,
            usage: None,
            finish: None,
            over: false,
        }
    }

    fn start(&mut self, start: &Start<'_>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if let Some(model) = start.model.as_ref().filter(|model| !model.is_empty()) {
            self.identity.model = model.decode().into_owned();
        }
        self.identity.created = start.created.unwrap_or(self.setup.created);
        self.identity.service_tier = start.service_tier.as_ref().and_then(|tier| service_tier(&tier.decode()));
        for kind in ["response.created", "response.in_progress"] {
            let (identity, setup) = (&self.identity, &self.setup);
            self.feed.emit(out, kind, |json| {
                let state = State { status: "in_progress", output: &[], usage: None, error: None, reason: None };
                write_response(json.key("response"), identity, setup, &state);
            });
        }
    }

    fn block_start(&mut self, kind: &BlockKind<'_>, out: &mut Vec<u8>) {
        let feed = &mut self.feed;
        match kind {
            BlockKind::Text => self.items.text_start(false, feed, out),
            BlockKind::Refusal => self.items.text_start(true, feed, out),
            BlockKind::Reasoning { redacted } => self.items.reasoning_start(*redacted, feed, out),
            BlockKind::Call { id, name, custom } => self.items.call_start(id.as_ref(), name, *custom, feed, out),
            BlockKind::Media { image: true, mime } => self.items.image_start(mime, feed, out),
            BlockKind::Media { image: false, .. } => {
                self.items.nothing_start(feed, out);
                self.losses.dropped(Feature::AudioOut);
            }
            BlockKind::Foreign { protocol, raw, .. } if *protocol == OURS => self.items.raw(raw, feed, out),
            BlockKind::Foreign { .. } => {
                self.items.nothing_start(feed, out);
                self.losses.dropped(Feature::ServerTool);
            }
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let feed = &mut self.feed;
        match delta {
            Delta::Text(text) => self.items.text(text, feed, out),
            Delta::Arguments(text) => self.items.arguments(text, feed, out),
            Delta::State(state) => self.items.state(state, feed, out),
            Delta::Citation(citation) => {
                if !self.items.citation(citation, feed, out) {
                    self.losses.dropped(Feature::Citations);
                }
            }
            Delta::Data(data) => self.items.data(data, feed, out),
            Delta::Url(_) => {
                // An image stands in this protocol by its bytes alone.
                if matches!(self.items.open(), Some(Item { kind: Kind::Image { .. }, .. })) {
                    self.losses.dropped(Feature::ImageOut);
                }
            }
            Delta::NextPart => self.items.next_part(feed, out),
            Delta::Logprobs(list) => self.items.logprobs(list, feed, out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let ending = self.ending();
        if let Some(error) = ending.error {
            return self.fail(&error, out);
        }
        self.items.close(ending.status, &mut self.feed, out);
        self.over = true;
        let kind = if ending.status == "completed" { "response.completed" } else { "response.incomplete" };
        let (identity, setup, items, usage) = (&self.identity, &self.setup, &self.items, self.usage.as_ref());
        self.feed.emit(out, kind, |json| {
            let state =
                State { status: ending.status, output: items.finished(), usage, error: None, reason: ending.reason };
            write_response(json.key("response"), identity, setup, &state);
        });
    }

    fn ending(&self) -> Ending {
        let ending = |status, reason| Ending { status, reason, error: None };
        match self.finish.as_ref().map_or(StopReason::Done, |(reason, _)| *reason) {
            StopReason::Done
            | StopReason::StopSequence
            | StopReason::ToolCalls
            | StopReason::Refused
            | StopReason::Unknown => ending("completed", None),
            StopReason::Length | StopReason::ContextFull => ending("incomplete", Some("max_output_tokens")),
            StopReason::Filtered => ending("incomplete", Some("content_filter")),
            StopReason::Paused => ending("incomplete", None),
            StopReason::BadCall => {
                let said = self.finish.as_ref().and_then(|(_, message)| message.clone());
                let message = said.unwrap_or_else(|| "the model made a call that cannot be read".to_owned());
                let code = Some("upstream_malformed_tool_call".to_owned());
                Ending {
                    status: "failed",
                    reason: None,
                    error: Some(UpstreamError { message, code, ..Default::default() }),
                }
            }
        }
    }

    /// The whole answer, once all its events were taken.
    pub(super) fn into_whole(mut self) -> (Vec<u8>, Losses) {
        let ending = self.ending();
        self.items.close(ending.status, &mut self.feed, &mut Vec::new());
        let error = ending.error.as_ref().map(|error| (code(error).unwrap_or("server_error"), error.message.as_str()));
        let (output, usage) = (self.items.finished(), self.usage.as_ref());
        let state = State { status: ending.status, output, usage, error, reason: ending.reason };
        let mut out = Vec::with_capacity(output.len() + 1024);
        write_response(&mut Json::new(&mut out), &self.identity, &self.setup, &state);
        (out, self.losses)
    }
}

impl EventWriter for ResponsesWriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let choice = match event {
            Event::BlockStart { choice, .. } | Event::Delta { choice, .. } | Event::BlockStop { choice, .. } => *choice,
            Event::Finish(finish) => finish.choice,
            Event::Start(_) | Event::Usage { .. } | Event::Failed(_) | Event::End => 0,
        };
        if choice != 0 {
            self.losses.dropped(Feature::Choices);
        }
        if choice != 0 || self.over || matches!(event, Event::Failed(_)) {
            return;
        }
        match event {
            Event::Start(start) => self.start(start, out),
            _ => self.start(&Start::default(), out),
        }
        match event {
            Event::Start(_) | Event::Failed(_) => {}
            Event::BlockStart { kind, .. } => self.block_start(kind, out),
            Event::Delta { delta, .. } => self.delta(delta, out),
            Event::BlockStop { .. } => self.items.block_stop(&mut self.feed, out),
            Event::Usage { usage, .. } => self.usage = Some(*usage),
            Event::Finish(finish) => {
                let message = finish.message.as_ref().map(|message| message.decode().into_owned());
                self.finish = Some((finish.reason, message));
            }
            Event::End => self.end(out),
        }
        if self.items.bytes() > ANSWER_BYTES_MAX && !self.over {
            let message = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
            self.fail(&UpstreamError { message, ..UpstreamError::default() }, out);
        }
    }

    /// Some clients act on `error` alone, others only on `response.failed`.
    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        self.start(&Start::default(), out);
        self.over = true;
        self.items.break_off();
        self.feed.emit(out, "error", |json| {
            match code(error) {
                Some(code) => json.key("code").text(code),
                None => json.key("code").null(),
            }
            json.key("message").text(&error.message);
            match &error.param {
                Some(param) => json.key("param").text(param),
                None => json.key("param").null(),
            }
            json.key("error").object(|json| write_members(json, error));
        });
        let (identity, setup, output, usage) =
            (&self.identity, &self.setup, self.items.finished(), self.usage.as_ref());
        self.feed.emit(out, "response.failed", |json| {
            let error = Some((code(error).unwrap_or("server_error"), error.message.as_str()));
            let state = State { status: "failed", output, usage, error, reason: None };
            write_response(json.key("response"), identity, setup, &state);
        });
    }

    /// A comment, without the blank line behind which some clients look for an event.
    fn keepalive(&mut self, out: &mut Vec<u8>) {
        if self.started && !self.over {
            out.extend_from_slice(b": ping\n");
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}
