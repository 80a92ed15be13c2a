//! The grammar of an answer's events, as it is behind `Sequence`.

use qingwave::wire::ir::{BlockKind, Delta, Event, Outcome};
use qingwave::wire::json::{Str, open_high_surrogate};

use super::is_json;

/// Fails where events do not keep to their order, or do not say how the answer ended.
pub fn check(events: &[Event<'static>], outcome: Outcome) {
    let mut grammar = Grammar::default();
    for event in events {
        grammar.event(event);
    }
    match outcome {
        Outcome::Complete => assert!(matches!(events.last(), Some(Event::End)), "complete, but without its end"),
        Outcome::Errored => assert!(grammar.failed, "errored, but nothing failed"),
        Outcome::Truncated => assert!(!grammar.over, "truncated behind its end"),
    }
}

#[derive(Default)]
struct Grammar {
    begun: bool,
    over: bool,
    failed: bool,
    usage: bool,
    choices: Vec<Choice>,
}

#[derive(Default)]
struct Choice {
    choice: u32,
    blocks: u32,
    open: bool,
    finished: bool,
}

impl Grammar {
    fn choice(&mut self, choice: u32) -> &mut Choice {
        let at = self.choices.iter().position(|known| known.choice == choice).unwrap_or_else(|| {
            self.choices.push(Choice { choice, ..Choice::default() });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    fn event(&mut self, event: &Event<'static>) {
        assert!(!self.over, "behind the end: {event:?}");
        match event {
            Event::Start(_) => assert!(!std::mem::replace(&mut self.begun, true), "starts twice"),
            Event::BlockStart { choice, block, kind } => {
                assert!(self.begun && !self.usage, "a block before the start or behind the usage");
                let state = self.choice(*choice);
                assert!(
                    !state.open && !state.finished && state.blocks == *block,
                    "block {block} of {choice} at a bad place"
                );
                (state.open, state.blocks) = (true, block + 1);
                check_kind(kind);
            }
            Event::Delta { choice, block, delta } => {
                let state = self.choice(*choice);
                assert!(
                    state.open && state.blocks == block + 1,
                    "a delta of block {block} of {choice}, which is not open"
                );
                check_delta(delta);
            }
            Event::BlockStop { choice, block } => {
                let state = self.choice(*choice);
                assert!(
                    std::mem::take(&mut state.open) && state.blocks == block + 1,
                    "block {block} of {choice} is not open"
                );
            }
            Event::Usage { .. } => {
                assert!(!std::mem::replace(&mut self.usage, true), "usage twice");
                assert!(
                    self.choices.iter().all(|choice| !choice.open && !choice.finished),
                    "usage before the last block"
                );
            }
            Event::Finish(finish) => {
                let state = self.choice(finish.choice);
                assert!(
                    !state.open && !std::mem::replace(&mut state.finished, true),
                    "{} finishes twice",
                    finish.choice
                );
                finish.native.as_ref().map(check_text);
                finish.stop_sequence.as_ref().map(check_text);
                finish.message.as_ref().map(check_text);
            }
            Event::Failed(_) => (self.failed, self.over) = (true, true),
            Event::End => {
                assert!(self.choices.iter().all(|choice| !choice.open), "ends within a block");
                self.over = true;
            }
        }
    }
}

fn check_kind(kind: &BlockKind<'_>) {
    match kind {
        BlockKind::Call { id, name, .. } => {
            check_text(name);
            id.as_ref().map(check_text);
        }
        BlockKind::Foreign { raw, .. } => assert!(is_json(raw.to_json().as_bytes()), "a foreign block that is no JSON"),
        BlockKind::Text | BlockKind::Refusal | BlockKind::Reasoning { .. } | BlockKind::Media { .. } => {}
    }
}

fn check_delta(delta: &Delta<'_>) {
    match delta {
        Delta::Text(text) | Delta::Arguments(text) => {
            check_text(text);
            assert!(!open_high_surrogate(text.as_token().as_bytes()), "half a pair ends a text");
        }
        Delta::Data(text) | Delta::Url(text) => check_text(text),
        Delta::State(state) => check_text(&state.payload),
        Delta::Citation(citation) => assert!(is_json(citation.raw.to_json().as_bytes()), "a citation that is no JSON"),
        Delta::Logprobs(value) => assert!(is_json(value.to_json().as_bytes()), "probabilities that are no JSON"),
        Delta::NextPart => {}
    }
}

/// A token can stand between quotes.
fn check_text(text: &Str<'_>) {
    let token = text.as_token();
    assert!(is_json(format!("\"{token}\"").as_bytes()), "not the inside of a string: {token:?}");
}
