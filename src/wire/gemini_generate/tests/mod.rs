//! What Gemini says and is told, by small cases, properties and, where they are at hand, recordings.

mod array;
mod embed;
mod errors;
mod properties;
mod reader;
mod recordings;
mod request_read;
mod request_write;
mod writer;

use crate::wire::ir::{Effort, Event, EventReader};
use crate::wire::ir::{Efforts, Quirks, ReasoningStyle, Target};

pub(super) fn target() -> Target<'static> {
    Target {
        model: "gem-1",
        stream: false,
        output_max: 0,
        output_limit: None,
        reasoning: ReasoningStyle::Unknown,
        sampling: true,
        vision: true,
        quirks: Quirks::NONE,
        account: "acme",
    }
}

pub(super) fn by_level() -> ReasoningStyle {
    ReasoningStyle::Effort { efforts: Efforts::of(&[Effort::Low, Effort::High]), off: false }
}

/// The JSON payloads of a stream, however it is framed.
pub(super) fn payloads(stream: &str) -> Vec<String> {
    let text = stream.replace("\r\n", "\n");
    text.lines().filter_map(|line| line.strip_prefix("data:")).map(|data| data.trim().to_owned()).collect()
}

pub(super) fn read_stream<'d>(payloads: impl IntoIterator<Item = &'d str>) -> Vec<Event<'static>> {
    let mut reader = super::GeminiReader::new("acme");
    let mut events: Vec<Event<'static>> = Vec::new();
    for data in payloads {
        reader.read_event(None, data, &mut events);
    }
    reader.end(&mut events);
    events
}

pub(super) fn read_whole(body: &str) -> Vec<Event<'static>> {
    let mut events: Vec<Event<'static>> = Vec::new();
    super::GeminiReader::new("acme").read_whole(body, &mut events).unwrap();
    events
}
