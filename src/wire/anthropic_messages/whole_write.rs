//! Writes a folded answer as a whole Anthropic Messages answer.

use crate::wire::ir::{Answer, Losses, WriterSetup};

/// The body of a whole answer. What cannot be said of it is added to `losses`.
pub fn write_whole(answer: &Answer, setup: &WriterSetup, losses: &mut Losses) -> Vec<u8> {
    let _ = (answer, setup, losses);
    unimplemented!()
}
