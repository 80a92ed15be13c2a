//! Looks on at a streamed answer that goes to a client of its own protocol: its bytes go on as they came, and what must be
//! known of them is learnt.
//!
//! Nothing is copied but the events that the network cut in two.

use bytes::Bytes;

use super::Protocol;
use super::facts::Facts;
use super::feed::{Broken, Feed, Form, read_whole as feed_whole};
use super::ir::{EventReader, Outcome};
use super::json::Str;

pub struct Tap {
    feed: Feed,
    facts: Facts,
    ended: bool,
}

impl Tap {
    /// `account`: the account group that can read the answer's state again.
    pub fn new(protocol: Protocol, account: &str, form: Form) -> Tap {
        Tap::of((protocol.dialect().reader)(account), form)
    }

    fn of(reader: Box<dyn EventReader>, form: Form) -> Tap {
        Tap { feed: Feed::new(reader, form, Broken::Skipped), facts: Facts::default(), ended: false }
    }

    /// Reads a piece and gives it on.
    pub fn push(&mut self, piece: Bytes, out: &mut dyn FnMut(Bytes)) {
        if !self.done() {
            let overlong = self.feed.push(&piece, &mut self.facts);
            if overlong {
                self.facts.note_overlong();
            }
            self.facts.note_service_tier(self.feed.service_tier().as_ref());
        }
        out(piece);
    }

    /// The bytes have ended.
    ///
    /// A last event without its blank line counts if its payload is whole.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let outcome = self.feed.finish(&mut self.facts);
        self.facts.note_service_tier(self.feed.service_tier().as_ref());
        self.facts.conclude(outcome);
    }

    /// The protocol's end mark, or an error, has come: nothing of what follows belongs to the answer.
    pub fn done(&self) -> bool {
        self.ended || self.feed.done()
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How the answer ended, or would end if its bytes ended here.
    pub fn outcome(&self) -> Outcome {
        self.facts.outcome.unwrap_or(Outcome::Truncated)
    }

    /// Bytes that must precede an event of ours so that it stands on an event boundary.
    pub fn error_prefix(&self) -> &'static [u8] {
        self.feed.error_prefix()
    }

    /// Bytes that must follow it: the end of a GM array.
    pub fn error_suffix(&self) -> &'static [u8] {
        self.feed.error_suffix()
    }
}

/// Reads a whole answer of a protocol, or an error object in the place of one. An error when it is neither (HTML, empty,
/// other JSON).
pub fn read_whole(protocol: Protocol, account: &str, body: &[u8]) -> Result<Facts, String> {
    let mut facts = Facts::default();
    let mut reader = (protocol.dialect().reader)(account);
    let outcome = feed_whole(reader.as_mut(), body, &mut facts)?;
    facts.note_service_tier(reader.service_tier().map(Str::plain).as_ref());
    facts.conclude(outcome);
    Ok(facts)
}

#[cfg(test)]
mod tests;
