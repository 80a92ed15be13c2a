//! Anthropic Messages. Must never know sockets.

mod fields;
mod read;
#[cfg(test)]
mod tests;
mod turns;
mod write;

pub(super) use fields::check;
pub(super) use read::read;
pub(super) use write::Messages;

/// What the signature of a thought and a redacted thought are sealed as.
const SIGNATURE: &str = "messages.signature";
const REDACTED: &str = "messages.redacted";
