//! Puts the blocks of a choice one after the other, however its upstream mixed them. Must never know a protocol.
//!
//! It stands behind every reader, so that nothing behind it sees two open blocks of one choice, a gap in the numbers of
//! blocks, or half of a surrogate pair.

use std::borrow::Cow;

use super::ir::{BlockKind, Delta, Event, Sink, UpstreamError};
use super::json::{Str, Value, mended_surrogates, open_high_surrogate};

/// Most bytes of blocks that wait for their turn.
pub const WAITING_BYTES_MAX: usize = 16 << 20;
/// Most choices of one answer.
pub const CHOICES_MAX: usize = 128;
/// What a block or a delta that waits costs beside its text.
const ENTRY_BYTES: usize = 128;

pub struct Sequence<S> {
    pub sink: S,
    choices: Vec<Choice>,
    waiting_bytes: usize,
    /// `End` or `Failed` went through.
    over: bool,
}

/// One choice: an open block, whose deltas go on at once, and those that wait behind it.
#[derive(Default)]
struct Choice {
    choice: u32,
    open: Option<Open>,
    waiting: Vec<Waiting>,
    /// Blocks that went on: the next one's number.
    begun: u32,
}

struct Open {
    /// The number that the reader knows it by.
    block: u32,
    /// The first half of a surrogate pair, whose other half must come next.
    half: Option<Said>,
}

/// A text or arguments, as the inside of a JSON string.
struct Said {
    token: String,
    arguments: bool,
}

struct Waiting {
    block: u32,
    kind: BlockKind<'static>,
    deltas: Vec<Delta<'static>>,
    /// The last texts in a row, as one.
    said: Option<Said>,
    bytes: usize,
    stopped: bool,
}

impl<S: Sink> Sink for Sequence<S> {
    fn event(&mut self, event: Event<'_>) {
        if self.over {
            return;
        }
        match mended(event) {
            Event::BlockStart { choice, block, kind } => self.start(choice, block, kind),
            Event::Delta { choice, block, delta } => self.delta(choice, block, delta),
            Event::BlockStop { choice, block } => self.stop(choice, block),
            event @ Event::Start(_) => self.sink.event(event),
            event @ Event::Usage { .. } => {
                self.close(None);
                self.sink.event(event);
            }
            Event::Finish(finish) => {
                self.close(Some(finish.choice));
                self.sink.event(Event::Finish(finish));
            }
            Event::End => {
                self.close(None);
                self.over = true;
                self.sink.event(Event::End);
            }
            event @ Event::Failed(_) => {
                self.over = true;
                self.sink.event(event);
            }
        }
    }

    fn alive(&mut self) {
        if !self.over {
            self.sink.alive();
        }
    }
}

impl<S: Sink> Sequence<S> {
    pub fn new(sink: S) -> Sequence<S> {
        Sequence { sink, choices: Vec::new(), waiting_bytes: 0, over: false }
    }

    /// `End` or `Failed` went through; nothing follows.
    pub fn over(&self) -> bool {
        self.over
    }

    fn start(&mut self, choice: u32, block: u32, kind: BlockKind<'_>) {
        let at = match self.known(choice) {
            Some(at) => at,
            None if self.choices.len() == CHOICES_MAX => {
                return self.fail(format!("the upstream gave more than {CHOICES_MAX} choices"));
            }
            None => {
                self.choices.push(Choice { choice, ..Choice::default() });
                self.choices.len() - 1
            }
        };
        let state = &mut self.choices[at];
        if state.open.is_none() {
            return state.begin(block, kind, &mut self.sink);
        }
        let waiting = Waiting::new(block, kind.into_owned());
        let bytes = waiting.bytes;
        state.waiting.push(waiting);
        self.count(bytes);
    }

    fn delta(&mut self, choice: u32, block: u32, delta: Delta<'_>) {
        let Some(at) = self.known(choice) else { return };
        let state = &mut self.choices[at];
        if state.open.as_ref().is_some_and(|open| open.block == block) {
            return state.pass(delta, &mut self.sink);
        }
        // What belongs to a block that never began, or is over, belongs to nothing.
        if let Some(waiting) = state.waiting.iter_mut().find(|waiting| waiting.block == block && !waiting.stopped) {
            let before = waiting.bytes;
            waiting.keep(delta);
            let bytes = waiting.bytes - before;
            self.count(bytes);
        }
    }

    fn stop(&mut self, choice: u32, block: u32) {
        let Some(at) = self.known(choice) else { return };
        let state = &mut self.choices[at];
        if state.open.as_ref().is_some_and(|open| open.block == block) {
            state.close(&mut self.sink);
            self.waiting_bytes -= state.advance(&mut self.sink);
        } else if let Some(waiting) = state.waiting.iter_mut().find(|waiting| waiting.block == block) {
            waiting.stopped = true;
        }
    }

    /// Closes whatever is open or waits, in order.
    fn close(&mut self, only: Option<u32>) {
        for state in self.choices.iter_mut().filter(|state| only.is_none_or(|choice| choice == state.choice)) {
            while state.open.is_some() {
                state.close(&mut self.sink);
                self.waiting_bytes -= state.advance(&mut self.sink);
            }
        }
    }

    fn known(&self, choice: u32) -> Option<usize> {
        self.choices.iter().position(|known| known.choice == choice)
    }

    fn count(&mut self, bytes: usize) {
        self.waiting_bytes += bytes;
        if self.waiting_bytes > WAITING_BYTES_MAX {
            self.fail(format!("the upstream mixed more than {WAITING_BYTES_MAX} bytes of the parts of its answer"));
        }
    }

    fn fail(&mut self, message: String) {
        self.over = true;
        self.choices = Vec::new();
        self.sink.event(Event::Failed(UpstreamError { message, ..UpstreamError::default() }));
    }
}

impl Choice {
    fn begin(&mut self, block: u32, kind: BlockKind<'_>, sink: &mut dyn Sink) {
        self.open = Some(Open { block, half: None });
        self.begun += 1;
        sink.event(Event::BlockStart { choice: self.choice, block: self.begun - 1, kind });
    }

    /// Gives on a delta of the open block; of a text all but a half at its end.
    fn pass(&mut self, delta: Delta<'_>, sink: &mut dyn Sink) {
        if matches!(delta, Delta::NextPart) {
            self.flush(sink);
        }
        let (choice, block) = (self.choice, self.begun - 1);
        let Some(open) = &mut self.open else { return };
        let joined = text_of(&delta).and_then(|(text, arguments)| {
            let before = open.half.take().map(|half| half.token);
            (before.is_some() || may_be_halved(&text)).then(|| (before.unwrap_or_default() + &text, arguments))
        });
        let Some((joined, arguments)) = joined else {
            return sink.event(Event::Delta { choice, block, delta });
        };
        let whole = if open_high_surrogate(joined.as_bytes()) { joined.len() - 6 } else { joined.len() };
        let (whole, half) = joined.split_at(whole);
        if !half.is_empty() {
            open.half = Some(Said { token: half.to_owned(), arguments });
        }
        if !whole.is_empty() {
            sink.event(Event::Delta { choice, block, delta: said(mended_surrogates(whole), arguments) });
        }
    }

    /// Gives on a half that stayed alone.
    fn flush(&mut self, sink: &mut dyn Sink) {
        if let Some(Said { token, arguments }) = self.open.as_mut().and_then(|open| open.half.take()) {
            let delta = said(mended_surrogates(&token), arguments);
            sink.event(Event::Delta { choice: self.choice, block: self.begun - 1, delta });
        }
    }

    fn close(&mut self, sink: &mut dyn Sink) {
        self.flush(sink);
        self.open = None;
        sink.event(Event::BlockStop { choice: self.choice, block: self.begun - 1 });
    }

    /// Gives on the blocks that wait, up to one that is still under way. Returns the bytes that no longer wait.
    fn advance(&mut self, sink: &mut dyn Sink) -> usize {
        let mut freed = 0;
        let mut given = 0;
        while self.open.is_none() && given < self.waiting.len() {
            let place = &mut self.waiting[given];
            let waiting = std::mem::replace(place, Waiting::new(place.block, BlockKind::Text));
            given += 1;
            freed += waiting.bytes;
            self.begin(waiting.block, waiting.kind, sink);
            let last = waiting.said.map(|text| said(Cow::Owned(text.token), text.arguments));
            for delta in waiting.deltas.into_iter().chain(last) {
                self.pass(delta, sink);
            }
            if waiting.stopped {
                self.close(sink);
            }
        }
        self.waiting.drain(..given);
        freed
    }
}

impl Waiting {
    fn new(block: u32, kind: BlockKind<'static>) -> Waiting {
        let bytes = kind_bytes(&kind);
        Waiting { block, kind, deltas: Vec::new(), said: None, bytes: ENTRY_BYTES + bytes, stopped: false }
    }

    fn keep(&mut self, delta: Delta<'_>) {
        let Some((text, arguments)) = text_of(&delta) else {
            self.settle();
            self.bytes += ENTRY_BYTES + delta_bytes(&delta);
            self.deltas.push(delta.into_owned());
            return;
        };
        self.bytes += text.len();
        if self.said.as_ref().is_some_and(|known| known.arguments != arguments) {
            self.settle();
        }
        match &mut self.said {
            Some(known) => known.token.push_str(&text),
            None => {
                self.bytes += ENTRY_BYTES;
                self.said = Some(Said { token: text.into_owned(), arguments });
            }
        }
    }

    fn settle(&mut self) {
        self.deltas.extend(self.said.take().map(|text| said(Cow::Owned(text.token), text.arguments)));
    }
}

/// The text of a delta whose pieces can be joined, and whether it is of arguments.
fn text_of<'d>(delta: &'d Delta<'_>) -> Option<(Cow<'d, str>, bool)> {
    match delta {
        Delta::Text(text) => Some((text.as_token(), false)),
        Delta::Arguments(text) => Some((text.as_token(), true)),
        Delta::State(_)
        | Delta::Citation(_)
        | Delta::Data(_)
        | Delta::Url(_)
        | Delta::NextPart
        | Delta::Logprobs(_) => None,
    }
}

fn said(token: Cow<'_, str>, arguments: bool) -> Delta<'_> {
    let text = Str::token(token);
    if arguments { Delta::Arguments(text) } else { Delta::Text(text) }
}

/// The same, no half of a surrogate pair in what comes in one piece: strict readers of JSON refuse the whole event.
fn mended(mut event: Event<'_>) -> Event<'_> {
    match &mut event {
        Event::Start(start) => [&mut start.id, &mut start.model, &mut start.service_tier].into_iter().for_each(mend),
        Event::BlockStart { kind: BlockKind::Call { id, name, .. }, .. } => {
            mend(id);
            mend_text(name);
        }
        Event::Delta { delta: Delta::Citation(citation), .. } => {
            [&mut citation.url, &mut citation.title, &mut citation.cited].into_iter().for_each(mend);
            mend_value(&mut citation.raw);
        }
        Event::Delta { delta: Delta::Logprobs(list), .. } => mend_value(list),
        Event::Delta { delta: Delta::Url(url), .. } => mend_text(url),
        Event::Delta { delta: Delta::State(state), .. } => mend_text(&mut state.payload),
        Event::Finish(finish) => {
            [&mut finish.native, &mut finish.stop_sequence, &mut finish.message].into_iter().for_each(mend);
        }
        Event::BlockStart { .. }
        | Event::Delta { .. }
        | Event::BlockStop { .. }
        | Event::Usage { .. }
        | Event::Failed(_)
        | Event::End => {}
    }
    event
}

fn mend(text: &mut Option<Str<'_>>) {
    text.iter_mut().for_each(mend_text);
}

fn mend_text(text: &mut Str<'_>) {
    if may_be_halved(&text.as_token()) {
        *text = Str::token(mended_surrogates(&text.as_token()).into_owned());
    }
}

/// Recursion ends with the document, whose depth is limited.
fn mend_value(value: &mut Value<'_>) {
    match value {
        Value::String(text) => mend_text(text),
        Value::Array(list) => list.iter_mut().for_each(mend_value),
        Value::Object(object) => {
            for (name, value) in &mut object.members {
                mend_text(name);
                mend_value(value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The bytes that a block brings with its beginning.
pub(super) fn kind_bytes(kind: &BlockKind<'_>) -> usize {
    match kind {
        BlockKind::Foreign { raw, .. } => raw.to_json().len(),
        BlockKind::Call { name, .. } => name.as_token().len(),
        BlockKind::Text | BlockKind::Refusal | BlockKind::Reasoning { .. } | BlockKind::Media { .. } => 0,
    }
}

/// The bytes of a delta.
pub(super) fn delta_bytes(delta: &Delta<'_>) -> usize {
    match delta {
        Delta::Text(text) | Delta::Arguments(text) | Delta::Data(text) | Delta::Url(text) => text.as_token().len(),
        Delta::State(state) => state.payload.as_token().len(),
        Delta::Citation(citation) => citation.raw.to_json().len(),
        Delta::Logprobs(value) => value.to_json().len(),
        Delta::NextPart => 0,
    }
}

/// Whether an escape of a surrogate is in the inside of a string. Sometimes it only looks like one.
fn may_be_halved(token: &str) -> bool {
    let bytes = token.as_bytes();
    memchr::memchr_iter(b'\\', bytes).any(|at| matches!(bytes.get(at + 1..at + 3), Some([b'u', b'd' | b'D'])))
}

#[cfg(test)]
pub(super) mod tests;
