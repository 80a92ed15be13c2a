//! Gemini generateContent and its neighbours. Must never know sockets.

mod contents;
mod embed;
mod fields;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use embed::embed;
pub(super) use fields::{Method, check};
pub(super) use read::read;
pub(super) use write::{Framing, Gemini};

/// What the signature of a call and that of a text are sealed as.
const CALL_SIGNATURE: &str = "gemini.call";
const TEXT_SIGNATURE: &str = "gemini.text";
