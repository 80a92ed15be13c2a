//! Each test is its data: what goes in, and what a client or an upstream sees of it.

mod answers;
mod errors;
mod grammar;
mod property;
mod read;
mod recordings;
mod round_trip;
mod schema;
mod write;
mod write_media;
mod write_order;
mod write_settings;
mod write_thinking;
mod write_tools;
mod writer;

use crate::wire::ir::{Efforts, Event, EventReader, EventWriter, Outcome, Quirks, ReasoningStyle, Target};
use crate::wire::json::{LoneSurrogates, Value};

use super::*;

/// Events of a stream: name and data.
fn events_of(stream: &str) -> Vec<(Option<String>, String)> {
    let stream = stream.replace("\r\n", "\n");
    let mut events = Vec::new();
    for block in stream.split("\n\n") {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let lines: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        if let Some(data) = field("data").filter(|data| !data.is_empty()) {
            events.push((field("event"), data));
        }
    }
    events
}

/// Reads a stream to its end.
fn read_stream(stream: &str) -> (Vec<Event<'static>>, Outcome) {
    let mut reader = MessagesReader::new("acme");
    let mut events = Vec::new();
    for (name, data) in events_of(stream) {
        reader.read_event(name.as_deref(), &data, &mut events);
    }
    let outcome = reader.end(&mut events);
    (events, outcome)
}

fn read_body(body: &str) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    MessagesReader::new("acme").read_whole(body, &mut events).unwrap();
    events
}

/// Writes events as a stream, whose grammar is checked on the way.
fn write_stream(events: &[Event<'_>]) -> String {
    let mut writer = MessagesWriter::new(setup());
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut out));
    let stream = String::from_utf8(out).unwrap();
    grammar::check(&stream);
    stream
}

fn setup() -> crate::wire::ir::WriterSetup {
    crate::wire::ir::WriterSetup {
        call_id: "call-1".into(),
        model: "asked-for".into(),
        input_tokens_estimated: 7,
        ..Default::default()
    }
}

/// A model of which nothing special is known.
fn target() -> Target<'static> {
    Target {
        model: "m",
        stream: false,
        output_max: 0,
        output_limit: None,
        reasoning: ReasoningStyle::Unknown,
        sampling: true,
        vision: true,
        quirks: Quirks::NONE.with(crate::wire::ir::Quirk::SystemTurns),
        account: "acme",
    }
}

fn adaptive() -> ReasoningStyle {
    use crate::wire::ir::Effort::{High, Low, Max, Medium, Xhigh};
    ReasoningStyle::Effort { efforts: Efforts::of(&[Low, Medium, High, Xhigh, Max]), off: true }
}

const BUDGET: ReasoningStyle = ReasoningStyle::Budget { min: 1024, max: 64_000, off: true };

fn parse(json: &str) -> Value<'_> {
    Value::parse(json, 128, LoneSurrogates::Allowed).unwrap_or_else(|fault| panic!("{fault:?} in {json}"))
}

/// As a JSON value: members in any order, numbers by value.
fn dom(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}
