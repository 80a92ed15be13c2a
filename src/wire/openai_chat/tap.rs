//! Looks on at a chat stream: its bytes go on as they came, and what must be known of them is learnt.
//!
//! Nothing is copied but the events that the network cut in two. With `drop_usage` only whole events go on, so that the
//! one that is not for the client can be left out.

use bytes::Bytes;

use super::error::InBandError;
use super::facts::{Facts, Heard};
use crate::wire::Usage;
use crate::wire::ir::Outcome;
use crate::wire::sse::{FRAME_BYTES_MAX, Place, Splitter, Unit};

/// Most bytes of an incomplete event that are withheld; a usage chunk is far smaller, so a longer event may pass.
pub const HELD_BYTES_MAX: usize = 64 << 10;

/// Looks on at a chat stream: forwards its bytes, and learns content, usage, finish and errors.
#[derive(Default)]
pub struct ChatTap {
    drop_usage: bool,
    splitter: Splitter,
    facts: Facts,
    /// A unit has been heard, so that no byte order mark can follow.
    begun: bool,
    /// The bytes of the unit under way go on as they come; what came of it so far is out.
    passing: bool,
    /// The last unit went on, so that the LF that may belong to it does too.
    last_passed: bool,
    ended: bool,
}

impl ChatTap {
    /// `drop_usage`: swallow the usage-only chunk (`choices: []` with usage), which the client did not ask for.
    pub fn new(drop_usage: bool) -> ChatTap {
        ChatTap { drop_usage, passing: !drop_usage, last_passed: true, ..ChatTap::default() }
    }

    /// Reads a piece and gives on what may go on, in order.
    pub fn push(&mut self, piece: Bytes, out: &mut dyn FnMut(Bytes)) {
        if self.facts.done {
            out(piece);
        } else if self.drop_usage {
            self.sift(&piece, out);
        } else {
            self.listen(&piece);
            out(piece);
        }
    }

    /// The bytes have ended: flushes what was withheld.
    ///
    /// A last event without its blank line counts if its payload is whole. If it is not, what was withheld of it is left
    /// out: clients throw it away, and an event of ours behind it would be taken for its end.
    pub fn finish(&mut self, out: &mut dyn FnMut(Bytes)) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let rest = self.splitter.pending();
        if rest.is_empty() {
            return;
        }
        let heard = self.facts.hear(rest, !self.begun);
        if self.passing || matches!(heard, Heard::UsageOnly | Heard::Broken) {
            return;
        }
        out(Bytes::copy_from_slice(rest));
        self.passing = true;
    }

    fn listen(&mut self, piece: &[u8]) {
        let mut at = 0;
        while let Some(unit) = self.splitter.next(piece, &mut at) {
            hear(&mut self.facts, &mut self.begun, &unit);
        }
    }

    /// Gives on the piece without what is dropped, and without the incomplete unit at its end.
    fn sift(&mut self, piece: &Bytes, out: &mut dyn FnMut(Bytes)) {
        // Together they may be more than the splitter keeps: then what is withheld goes first.
        if !self.passing && self.splitter.pending_bytes() + piece.len() > FRAME_BYTES_MAX {
            self.let_pass(out);
        }
        // Bytes of the piece up to here are dealt with.
        let mut from = 0;
        let mut at = 0;
        loop {
            let start = at;
            let held = !self.passing && self.splitter.pending_bytes() > 0;
            let Some(unit) = self.splitter.next(piece, &mut at) else { break };
            let keep = match unit {
                Unit::Tail => self.last_passed,
                Unit::Event(_) | Unit::Comment(_) => {
                    hear(&mut self.facts, &mut self.begun, &unit) != Heard::UsageOnly || self.passing
                }
            };
            if held {
                // The unit began in an earlier piece; it is whole only in the splitter's buffer.
                if keep && let Unit::Event(Some(raw)) | Unit::Comment(raw) = unit {
                    out(Bytes::copy_from_slice(raw));
                }
                from = at;
            } else if !keep {
                forward(piece, from, start, out);
                from = at;
            }
            self.last_passed = keep;
            // Behind the end mark there is nothing to wait for.
            self.passing = self.facts.done;
        }
        if self.passing {
            return forward(piece, from, piece.len(), out);
        }
        forward(piece, from, at, out);
        if self.splitter.pending_bytes() > HELD_BYTES_MAX {
            self.let_pass(out);
        }
    }

    /// Lets the unit under way go on as it comes, and what came of it so far first.
    fn let_pass(&mut self, out: &mut dyn FnMut(Bytes)) {
        let held = self.splitter.pending();
        if !held.is_empty() {
            out(Bytes::copy_from_slice(held));
        }
        self.passing = true;
    }

    /// A text, reasoning, tool-call or refusal delta with at least one character has come.
    pub fn content_seen(&self) -> bool {
        self.facts.content_seen
    }

    /// `[DONE]` has come.
    pub fn done(&self) -> bool {
        self.facts.done
    }

    pub fn error(&self) -> Option<&InBandError> {
        self.facts.error.as_ref()
    }

    pub fn outcome(&self) -> Outcome {
        self.facts.outcome()
    }

    /// Bytes that must precede an event of ours so that it stands on an event boundary.
    pub fn error_prefix(&self) -> &'static [u8] {
        match self.splitter.place() {
            _ if !self.passing => b"",
            Place::Boundary => b"",
            Place::LineStart => b"\n",
            Place::InLine => b"\n\n",
        }
    }

    pub fn usage(&self) -> Option<Usage> {
        self.facts.usage()
    }

    pub fn finish_reason(&self) -> Option<&str> {
        self.facts.finish.as_deref()
    }

    pub fn service_tier(&self) -> Option<&str> {
        self.facts.service_tier.as_deref()
    }

    /// The produced text (content, reasoning, refusal, tool arguments), as far as it was kept.
    pub fn output_text(&self) -> String {
        self.facts.output_text()
    }

    /// Bytes of the produced text, kept or not.
    pub fn output_bytes(&self) -> u64 {
        self.facts.output_bytes()
    }
}

fn hear(facts: &mut Facts, begun: &mut bool, unit: &Unit<'_>) -> Heard {
    let stream_start = !std::mem::replace(begun, true);
    match unit {
        Unit::Event(Some(raw)) => facts.hear(raw, stream_start),
        Unit::Event(None) => {
            facts.overlong();
            Heard::Chunk
        }
        Unit::Comment(_) | Unit::Tail => Heard::Nothing,
    }
}

fn forward(piece: &Bytes, from: usize, to: usize, out: &mut dyn FnMut(Bytes)) {
    if from < to {
        out(piece.slice(from..to));
    }
}
