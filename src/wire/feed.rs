//! Brings the bytes of one answer to the reader of its protocol, however the network cut them. Must never know what they say.

use super::Protocol;
use super::gemini_generate::{ArraySplitter, Element};
use super::ir::{Event, EventReader, Outcome, Sink, UpstreamError};
use super::json::{Cursor, DEPTH_MAX, LoneSurrogates, Str};
use super::sse::{self, Place, Splitter, Unit};

/// Longest whole answer that is put together.
pub const WHOLE_BYTES_MAX: usize = 64 << 20;

/// How the body of an answer is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Server-sent events.
    Sse,
    /// GM without `alt=sse`: one JSON array, element by element.
    Array,
    /// One document.
    Whole,
}

impl Form {
    /// Tells it by the first bytes of a body and, where they do not tell, by its content type: an upstream may answer a
    /// request for a stream with plain JSON or a page of HTML, and the other way round.
    pub fn of(protocol: Protocol, content_type: Option<&str>, start: &[u8]) -> Form {
        let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
        let named = content_type.is_some_and(|text| {
            text.trim_start().get(..17).is_some_and(|text| text.eq_ignore_ascii_case("text/event-stream"))
        });
        let field = ["data:", "event:", "id:", "retry:", ":"].iter().any(|field| start.starts_with(field.as_bytes()));
        match start.first() {
            Some(b'[') if protocol == Protocol::GeminiGenerate => Form::Array,
            Some(b'{' | b'[' | b'<') => Form::Whole,
            _ if named || field => Form::Sse,
            _ => Form::Whole,
        }
    }
}

/// What is done with an event whose data is no JSON, or that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The answer fails: something of it is lost.
    Read,
    /// It is passed over: its bytes reach the client all the same.
    Skipped,
}

pub struct Feed {
    reader: Box<dyn EventReader>,
    broken: Broken,
    parts: Parts,
    /// An event has been heard, so that no byte order mark can follow.
    begun: bool,
}

/// The bytes under way.
enum Parts {
    Sse(Splitter),
    Array(ArraySplitter),
    /// The document so far; `None` when it became too long.
    Whole(Option<Vec<u8>>),
}

impl Feed {
    pub fn new(reader: Box<dyn EventReader>, form: Form, broken: Broken) -> Feed {
        let mut feed = Feed { reader, broken, parts: Parts::Whole(None), begun: false };
        feed.begin(form);
        feed
    }

    /// Starts anew with another form.
    pub fn begin(&mut self, form: Form) {
        self.parts = match form {
            Form::Sse => Parts::Sse(Splitter::default()),
            Form::Array => Parts::Array(ArraySplitter::default()),
            Form::Whole => Parts::Whole(Some(Vec::new())),
        };
    }

    /// Nothing of what follows would be looked at.
    pub fn done(&self) -> bool {
        self.reader.done()
    }

    /// The tier that the answer was served at, where that is told behind its start.
    pub fn service_tier(&self) -> Option<Str<'_>> {
        self.reader.service_tier().map(Str::plain)
    }

    /// Returns whether something was passed over that is too long to look into. Where it may not be skipped it is a failure
    /// of the answer, and nothing is passed over.
    pub fn push(&mut self, piece: &[u8], sink: &mut dyn Sink) -> bool {
        let Feed { reader, broken, parts, begun } = self;
        let mut overlong = false;
        let mut pass_over = |sink: &mut dyn Sink| match broken {
            Broken::Skipped => overlong = true,
            Broken::Read => {
                let message = "a part of the upstream's answer is too long to be translated".to_owned();
                sink.event(Event::Failed(UpstreamError { message, ..UpstreamError::default() }));
            }
        };
        match parts {
            Parts::Sse(splitter) => {
                let mut at = 0;
                while let Some(unit) = splitter.next(piece, &mut at) {
                    let first = !std::mem::replace(begun, true);
                    match unit {
                        Unit::Event(Some(raw)) => hear(reader.as_mut(), raw, first, *broken, sink),
                        Unit::Event(None) if !reader.done() => pass_over(sink),
                        Unit::Comment(_) => sink.alive(),
                        Unit::Event(None) | Unit::Tail => {}
                    }
                }
            }
            Parts::Array(splitter) => {
                let mut at = 0;
                while let Some(element) = splitter.next(piece, &mut at) {
                    match element {
                        Element::Whole(raw) => read(reader.as_mut(), None, raw, *broken, sink),
                        Element::Overlong => pass_over(sink),
                    }
                }
            }
            Parts::Whole(body) => {
                let fits = body.as_ref().is_some_and(|body| body.len() + piece.len() <= WHOLE_BYTES_MAX);
                match body.as_mut().filter(|_| fits) {
                    Some(body) => body.extend_from_slice(piece),
                    None => {
                        *body = None;
                        pass_over(sink);
                    }
                }
            }
        }
        overlong
    }

    /// The bytes have ended. A last event without its blank line counts if its payload is whole.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> Outcome {
        match &mut self.parts {
            Parts::Sse(splitter) => {
                let rest = splitter.pending();
                if sse::fields(rest, !self.begun).data.is_some_and(|data| is_payload(data.trim_ascii())) {
                    hear(self.reader.as_mut(), rest, !self.begun, self.broken, sink);
                }
            }
            Parts::Array(_) => {}
            Parts::Whole(body) => {
                let body = body.take().unwrap_or_default();
                return match read_whole(self.reader.as_mut(), &body, sink) {
                    Ok(outcome) => outcome,
                    Err(why) => {
                        let message = format!("the upstream answered without an answer: {why}");
                        sink.event(Event::Failed(UpstreamError { message, ..UpstreamError::default() }));
                        Outcome::Errored
                    }
                };
            }
        }
        self.reader.end(sink)
    }

    /// Bytes that must precede an event of ours so that it stands on a boundary.
    pub fn error_prefix(&self) -> &'static [u8] {
        match &self.parts {
            Parts::Sse(splitter) => match splitter.place() {
                Place::Boundary => b"",
                Place::LineStart => b"\n",
                Place::InLine => b"\n\n",
            },
            Parts::Array(splitter) => splitter.prefix(),
            Parts::Whole(_) => b"",
        }
    }

    /// Bytes that must follow it.
    pub fn error_suffix(&self) -> &'static [u8] {
        match &self.parts {
            Parts::Array(_) => b"]",
            Parts::Sse(_) | Parts::Whole(_) => b"",
        }
    }
}

/// Hears an event of a stream. Keepalives are none that a reader is given.
fn hear(reader: &mut dyn EventReader, raw: &[u8], stream_start: bool, broken: Broken, sink: &mut dyn Sink) {
    let fields = sse::fields(raw, stream_start);
    let data = fields.data.as_deref().unwrap_or_default().trim_ascii();
    let name = fields.event.and_then(|name| std::str::from_utf8(name).ok());
    if fields.data.is_none() && name.is_none() {
        return;
    }
    if is_keepalive(name, data) {
        return sink.alive();
    }
    read(reader, name, data, broken, sink);
}

/// `data:`, `data: ""`, `data: : ping`, no data at all, or an event that is called so.
fn is_keepalive(name: Option<&str>, data: &[u8]) -> bool {
    const NAMES: [&str; 3] = ["ping", "keepalive", "heartbeat"];
    let typed = |name: &str| {
        let rest =
            data.strip_prefix(b"{").map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(b"\"type\""));
        let value = rest.map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(b":"));
        let value = value.map(<[u8]>::trim_ascii_start).and_then(|value| value.strip_prefix(b"\""));
        value.is_some_and(|value| value.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\"")))
    };
    match data {
        b"" | b"\"\"" => name != Some("error"),
        [b':', ..] => true,
        _ => NAMES.iter().any(|known| name == Some(*known) || typed(known)),
    }
}

fn read(reader: &mut dyn EventReader, name: Option<&str>, data: &[u8], broken: Broken, sink: &mut dyn Sink) {
    let skipped = broken == Broken::Skipped && name != Some("error") && !is_payload(data);
    if !reader.done() && !skipped {
        reader.read_event(name, &String::from_utf8_lossy(data), sink);
    }
}

/// Whether it is a whole document, or the end mark of a chat stream.
fn is_payload(data: &[u8]) -> bool {
    let mut cursor = Cursor::new(data, DEPTH_MAX, LoneSurrogates::Allowed);
    data == b"[DONE]" || cursor.ignore().and_then(|()| cursor.end()).is_ok()
}

/// Reads a whole answer. An error says what it is when it is neither an answer nor an error object.
pub fn read_whole(reader: &mut dyn EventReader, body: &[u8], sink: &mut dyn Sink) -> Result<Outcome, String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    match body.first() {
        None => return Err("an empty body".to_owned()),
        Some(b'<') => return Err("HTML or XML".to_owned()),
        Some(_) => {}
    }
    match reader.read_whole(&String::from_utf8_lossy(body), sink) {
        Ok(()) => Ok(reader.end(sink)),
        Err(_) if UpstreamError::is_in(body) => {
            sink.event(Event::Failed(UpstreamError::read(None, body)));
            Ok(Outcome::Errored)
        }
        Err(why) => Err(why),
    }
}

#[cfg(test)]
pub(super) mod tests;
