//! Undoes in an answer what a writer had to change in its request, so that the client sees what it asked for. Must never
//! know a protocol.

mod stop;
mod unwrap;

use super::ir::{BlockKind, Delta, Event, Finish, Sink, StopReason, Undo};
use super::json::Str;
use stop::{StopTexts, StopWatch};
use unwrap::Unwrap;

/// A stage between `Sequence` and the writer. Where there is nothing to undo, events pass as they are.
pub struct Undoing<S> {
    pub sink: S,
    undo: Undo,
    stops: StopTexts,
    choices: Vec<Choice>,
}

/// How far one choice has come.
struct Choice {
    choice: u32,
    open: Open,
    /// Calls that the client sees.
    calls: bool,
    /// The answer tool was called.
    answered: bool,
    watch: StopWatch,
    /// The stop text at which the answer was cut: nothing but its finish goes on.
    cut: Option<usize>,
}

/// The block under way.
enum Open {
    /// Passes as it is.
    Plain,
    /// A text, whose end is held back while it may be the beginning of a stop text.
    Text,
    /// The answer's text in the form of arguments.
    Answer {
        said: bool,
    },
    Wrapped(Unwrap),
}

impl<S: Sink> Undoing<S> {
    pub fn new(undo: Undo, sink: S) -> Undoing<S> {
        let stops = StopTexts::new(&undo.stop);
        Undoing { sink, undo, stops, choices: Vec::new() }
    }

    fn choice(&mut self, choice: u32) -> usize {
        if let Some(at) = self.choices.iter().position(|known| known.choice == choice) {
            return at;
        }
        let watch = StopWatch::new(&self.stops);
        self.choices.push(Choice { choice, open: Open::Plain, calls: false, answered: false, watch, cut: None });
        self.choices.len() - 1
    }

    fn start(&mut self, choice: u32, block: u32, kind: BlockKind<'_>) {
        let at = self.choice(choice);
        let Undoing { sink, undo, stops, choices } = self;
        let state = &mut choices[at];
        if state.cut.is_some() {
            return;
        }
        let (open, kind) = match kind {
            BlockKind::Text => (Open::Text, BlockKind::Text),
            BlockKind::Call { id, name, custom } => {
                let sent = name.decode();
                if undo.answer_tool.as_deref() == Some(&sent) {
                    state.answered = true;
                    (Open::Answer { said: false }, BlockKind::Text)
                } else {
                    state.calls = true;
                    let wrapped = undo.wrapped_tools.iter().any(|tool| *tool == *sent);
                    let known = undo.tool_names.iter().find(|(name, _)| *name == *sent);
                    let name = known.map_or(name.borrowed(), |(_, known)| Str::plain(known.clone())).into_owned();
                    let open = if wrapped { Open::Wrapped(Unwrap::default()) } else { Open::Plain };
                    (open, BlockKind::Call { id, name, custom: custom || wrapped })
                }
            }
            kind @ (BlockKind::Refusal
            | BlockKind::Reasoning { .. }
            | BlockKind::Media { .. }
            | BlockKind::Foreign { .. }) => (Open::Plain, kind),
        };
        state.open = open;
        state.watch = StopWatch::new(stops);
        sink.event(Event::BlockStart { choice, block, kind });
    }

    fn delta(&mut self, choice: u32, block: u32, delta: Delta<'_>) {
        let at = self.choice(choice);
        let Undoing { sink, stops, choices, .. } = self;
        let state = &mut choices[at];
        if state.cut.is_some() {
            return;
        }
        let delta = match (&mut state.open, delta) {
            (Open::Wrapped(unwrap), Delta::Arguments(text)) => {
                if let Some(text) = unwrap.push(&text) {
                    sink.event(Event::Delta { choice, block, delta: Delta::Arguments(text) });
                }
                return;
            }
            (Open::Answer { said }, Delta::Arguments(text)) => {
                *said |= !text.is_empty();
                Delta::Text(text)
            }
            (_, delta) => delta,
        };
        match (&state.open, delta) {
            (Open::Text | Open::Answer { .. }, Delta::Text(text)) if !stops.is_empty() => {
                state.text(stops, block, &text, sink);
            }
            (_, delta) => sink.event(Event::Delta { choice, block, delta }),
        }
    }

    fn stop(&mut self, choice: u32, block: u32) {
        let at = self.choice(choice);
        let Undoing { sink, stops, choices, .. } = self;
        let state = &mut choices[at];
        if state.cut.is_some() {
            return;
        }
        match &mut state.open {
            Open::Plain | Open::Text | Open::Answer { said: true } => {}
            // A call without arguments is one with none.
            Open::Answer { said: false } => state.text(stops, block, &Str::plain("{}"), sink),
            Open::Wrapped(unwrap) => {
                if let Some(text) = std::mem::take(unwrap).finish() {
                    sink.event(Event::Delta { choice, block, delta: Delta::Arguments(text) });
                }
            }
        }
        if state.cut.is_none() {
            state.text_ends(stops, block, sink);
        }
        if state.cut.is_none() {
            sink.event(Event::BlockStop { choice, block });
        }
        state.open = Open::Plain;
    }

    fn finish<'a>(&mut self, finish: Finish<'a>) -> Finish<'a> {
        let at = self.choice(finish.choice);
        let state = &self.choices[at];
        if let Some(stop) = state.cut {
            let stop_sequence = self.undo.stop.get(stop).map(|text| Str::plain(text.clone()));
            return Finish { reason: StopReason::StopSequence, stop_sequence, message: None, ..finish };
        }
        if state.answered && !state.calls && finish.reason == StopReason::ToolCalls {
            return Finish { reason: StopReason::Done, ..finish };
        }
        finish
    }
}

impl Choice {
    /// Gives on a text up to what may be the beginning of a stop text, and ends the choice at a whole one.
    fn text(&mut self, stops: &StopTexts, block: u32, text: &Str<'_>, sink: &mut dyn Sink) {
        let free = self.watch.push(stops, &text.decode());
        self.give(block, free, sink);
    }

    fn text_ends(&mut self, stops: &StopTexts, block: u32, sink: &mut dyn Sink) {
        let rest = self.watch.end(stops);
        self.give(block, rest, sink);
    }

    fn give(&mut self, block: u32, text: String, sink: &mut dyn Sink) {
        let choice = self.choice;
        if !text.is_empty() {
            sink.event(Event::Delta { choice, block, delta: Delta::Text(Str::plain(text)) });
        }
        if let Some(stop) = self.watch.found() {
            self.cut = Some(stop);
            sink.event(Event::BlockStop { choice, block });
        }
    }
}

impl<S: Sink> Sink for Undoing<S> {
    fn event(&mut self, event: Event<'_>) {
        if self.undo.is_empty() {
            return self.sink.event(event);
        }
        match event {
            Event::BlockStart { choice, block, kind } => self.start(choice, block, kind),
            Event::Delta { choice, block, delta } => self.delta(choice, block, delta),
            Event::BlockStop { choice, block } => self.stop(choice, block),
            Event::Finish(finish) => {
                let finish = self.finish(finish);
                self.sink.event(Event::Finish(finish));
            }
            Event::Start(_) | Event::Usage { .. } | Event::End | Event::Failed(_) => self.sink.event(event),
        }
    }

    fn alive(&mut self) {
        self.sink.alive();
    }
}

#[cfg(test)]
mod tests;
