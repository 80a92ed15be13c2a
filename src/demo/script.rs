//! An answer as steps to perform: what to send, when to wait, how to end. Decides all misbehaviour; must never know sockets.

use std::time::Duration;

use bytes::Bytes;

use super::errors::{self, Form};
use super::knobs::{Fault, Knobs};
use super::stream::{Event, Events};

pub(super) const JSON: &str = "application/json";
pub(super) const SSE: &str = "text/event-stream; charset=utf-8";

/// An answer in the words of its protocol.
pub(super) trait Writer {
    /// The body of a whole answer.
    fn whole(&self, usage: bool) -> Vec<u8>;
    /// All events of a stream.
    fn events(&self, usage: bool) -> Events;
    /// An error in place of the event with this number; the stream ends with it.
    fn failure(&self, place: usize) -> Vec<u8>;
    fn stream_type(&self) -> &'static str {
        SSE
    }
    /// An event whose data is not JSON.
    fn malformed(&self) -> &'static [u8] {
        b"data: {\"broken\":\n\n"
    }
}

/// What an answer needs beside its words.
pub(super) struct Frame {
    pub form: Form,
    pub request_id: String,
}

impl Frame {
    /// Anthropic calls the header by another name than the rest.
    fn head(&self, status: u16, content_type: &'static str, length: Option<usize>) -> Head {
        let id_header = if self.form == Form::Anthropic { "request-id" } else { "x-request-id" };
        let request_id = self.request_id.clone();
        Head { status, content_type, length, retry_after_s: None, id_header, request_id }
    }
}

/// One step. A script ends with `End`, `Hang`, `Reset` or `Close`, and nothing follows those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Wait(Duration),
    Head(Head),
    /// One write on the wire. With `stamped`, the send time goes into its stamps.
    Send {
        bytes: Bytes,
        stamped: bool,
    },
    /// The body ends as HTTP wants it.
    End,
    /// Nothing more, until the client leaves.
    Hang,
    /// TCP reset; RST_STREAM on HTTP/2.
    Reset,
    /// FIN, wherever the body stands.
    Close,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub status: u16,
    pub content_type: &'static str,
    /// Bytes of the body; `None` for a body of unknown length.
    pub length: Option<usize>,
    pub retry_after_s: Option<u32>,
    /// The name of the header with the request's id.
    pub id_header: &'static str,
    pub request_id: String,
}

#[derive(Debug)]
pub(super) struct Script {
    pub steps: Vec<Step>,
    /// Bytes per write, when small writes were asked for.
    pub write_bytes: Option<usize>,
}

impl Script {
    /// A plain JSON answer.
    pub fn json(status: u16, body: Vec<u8>, frame: &Frame) -> Script {
        let mut script = Script { steps: Vec::with_capacity(3), write_bytes: None };
        script.steps.push(Step::Head(frame.head(status, JSON, Some(body.len()))));
        script.send(body.into(), false);
        script.steps.push(Step::End);
        script
    }

    /// The answer to a call, with the fault that the knobs ask for; `usage` says whether a stream tells it.
    pub fn answer(writer: &impl Writer, stream: bool, usage: bool, knobs: &Knobs, frame: &Frame) -> Script {
        Script::faulty(knobs, frame, |script| {
            if stream {
                script.steps.push(Step::Head(frame.head(200, writer.stream_type(), None)));
                script.stream(writer, writer.events(knobs.usage.unwrap_or(usage)), knobs);
            } else {
                script.whole(writer.whole(knobs.usage.unwrap_or(true)), knobs.fault, frame);
            }
        })
    }

    /// The answer to a call that never streams, with the fault that the knobs ask for.
    pub fn body(body: Vec<u8>, knobs: &Knobs, frame: &Frame) -> Script {
        Script::faulty(knobs, frame, |script| script.whole(body, knobs.fault, frame))
    }

    /// What goes wrong before the answer, else the answer.
    fn faulty(knobs: &Knobs, frame: &Frame, write: impl FnOnce(&mut Script)) -> Script {
        let mut script = Script { steps: Vec::with_capacity(4), write_bytes: knobs.write_bytes };
        if let Some(delay) = knobs.first_delay {
            script.steps.push(Step::Wait(delay));
        }
        match knobs.fault {
            Some(Fault::Hang) => script.steps.push(Step::Hang),
            Some(Fault::Reset(1)) => script.steps.push(Step::Reset),
            Some(Fault::Status(status)) => {
                let body = errors::by_status(frame.form, status, knobs.retry_after_s, &frame.request_id);
                // Google says in the body when to come again.
                let in_body = matches!(frame.form, Form::Google | Form::GoogleList);
                let retry_after_s = knobs.retry_after_s.filter(|_| !in_body);
                script.steps.push(Step::Head(Head { retry_after_s, ..frame.head(status, JSON, Some(body.len())) }));
                script.send(body.into(), false);
                script.steps.push(Step::End);
            }
            _ => write(&mut script),
        }
        script
    }

    fn send(&mut self, bytes: Bytes, stamped: bool) {
        if !bytes.is_empty() {
            self.steps.push(Step::Send { bytes, stamped });
        }
    }

    /// A whole answer has no chunks: a fault after none of them comes before the body, any other in its middle.
    fn whole(&mut self, body: Vec<u8>, fault: Option<Fault>, frame: &Frame) {
        let body = Bytes::from(body);
        let part = |chunk: u32| body.slice(..if chunk > 1 { body.len() / 2 } else { 0 });
        let (sent, promised, end) = match fault {
            Some(Fault::Reset(chunk)) => (part(chunk), body.len(), Step::Reset),
            Some(Fault::Close(chunk)) => (part(chunk), body.len(), Step::Close),
            Some(Fault::Stall(chunk)) => (part(chunk), body.len(), Step::Hang),
            Some(Fault::Cut(chunk)) => (part(chunk), part(chunk).len(), Step::End),
            Some(Fault::Malformed(_)) => {
                let broken = Bytes::from([&body[..body.len() / 2], b"\"broken\":"].concat());
                (broken.clone(), broken.len(), Step::End)
            }
            Some(Fault::ErrorObject(_)) => {
                let error = Bytes::from(errors::by_status(frame.form, 500, None, &frame.request_id));
                (error.clone(), error.len(), Step::End)
            }
            Some(Fault::Status(_) | Fault::Hang) | None => (body.clone(), body.len(), Step::End),
        };
        self.steps.push(Step::Head(frame.head(200, JSON, Some(promised))));
        self.send(sent, false);
        self.steps.push(end);
    }

    fn stream(&mut self, writer: &impl Writer, stream: Events, knobs: &Knobs) {
        let mut fault = knobs.fault.and_then(|fault| Some((fault, chunk_of(fault)?)));
        let group_max = knobs.group.unwrap_or(1);
        let (mut chunk, mut grouped, mut from) = (0, 0, 0);
        for (place, Event { range, is_content }) in stream.events.iter().enumerate() {
            // A fault beyond the last chunk comes before the events that close the stream.
            let closes = place >= stream.closing;
            let fails = fault.is_some_and(|(_, at)| closes || (*is_content && at == chunk + 1));
            let waits = *is_content && knobs.chunk_delay.is_some() && (grouped == 0 || chunk == 0);
            if fails || waits {
                self.send(stream.bytes.slice(from..range.start), knobs.stamp);
                (from, grouped) = (range.start, 0);
            }
            if let Some((fault, _)) = fault.take_if(|_| fails)
                && self.fail(fault, writer, place)
            {
                return;
            }
            if let Some(delay) = knobs.chunk_delay.filter(|_| waits && chunk > 0) {
                self.steps.push(Step::Wait(delay));
            }
            chunk += u32::from(*is_content);
            grouped += 1;
            if grouped >= group_max || place + 1 == stream.events.len() {
                self.send(stream.bytes.slice(from..range.end), knobs.stamp);
                (from, grouped) = (range.end, 0);
            }
        }
        self.steps.push(Step::End);
    }

    /// Misbehaves inside a stream; true when that ends it.
    fn fail(&mut self, fault: Fault, writer: &impl Writer, place: usize) -> bool {
        let end = match fault {
            Fault::Reset(_) => Step::Reset,
            Fault::Close(_) => Step::Close,
            Fault::Stall(_) | Fault::Hang => Step::Hang,
            Fault::Cut(_) | Fault::Status(_) => Step::End,
            Fault::Malformed(_) => {
                self.send(Bytes::from_static(writer.malformed()), false);
                return false;
            }
            Fault::ErrorObject(_) => {
                self.send(writer.failure(place).into(), false);
                Step::End
            }
        };
        self.steps.push(end);
        true
    }
}

/// The chunk before which a fault comes; `None` for those that replace the answer.
fn chunk_of(fault: Fault) -> Option<u32> {
    match fault {
        Fault::Status(_) | Fault::Hang => None,
        Fault::Reset(chunk) | Fault::Cut(chunk) | Fault::Close(chunk) => Some(chunk),
        Fault::ErrorObject(chunk) | Fault::Malformed(chunk) | Fault::Stall(chunk) => Some(chunk),
    }
}
