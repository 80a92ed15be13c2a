//! The events of a streamed answer in one buffer. Must never know a protocol.

use std::ops::Range;

use bytes::Bytes;

/// The events of a stream, one after the other.
pub(super) struct Events {
    pub bytes: Bytes,
    pub events: Vec<Event>,
    /// The first event after the last content: what only closes the stream.
    pub closing: usize,
}

pub(super) struct Event {
    pub range: Range<usize>,
    /// Text of the answer or arguments of a call; the others frame it.
    pub is_content: bool,
}

/// Events in the making.
pub(super) struct Building {
    out: Vec<u8>,
    events: Vec<Event>,
    opened: usize,
    /// Written before every content event.
    ping: Option<fn(&mut Vec<u8>, usize)>,
}

impl Building {
    pub fn new(ping: Option<fn(&mut Vec<u8>, usize)>) -> Building {
        Building { out: Vec::with_capacity(2048), events: Vec::with_capacity(32), opened: 0, ping }
    }

    /// One event. `write` gets its place among all events, from 0.
    pub fn event(&mut self, is_content: bool, write: impl FnOnce(&mut Vec<u8>, usize)) {
        if let Some(ping) = self.ping.filter(|_| is_content) {
            self.add(false, ping);
        }
        self.add(is_content, write);
    }

    fn add(&mut self, is_content: bool, write: impl FnOnce(&mut Vec<u8>, usize)) {
        let start = self.out.len();
        write(&mut self.out, self.events.len());
        self.events.push(Event { range: start..self.out.len(), is_content });
    }

    /// All that comes before the first content is written.
    pub fn opened(&mut self) {
        self.opened = self.events.len();
    }

    pub fn done(self) -> Events {
        let closing = self.events.iter().rposition(|event| event.is_content).map_or(self.opened, |last| last + 1);
        Events { bytes: self.out.into(), events: self.events, closing }
    }
}
