//! OpenAI Responses. Must never know sockets.

mod fields;
mod items;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use fields::check;
pub(super) use read::read;
pub(super) use write::Responses;

/// What encrypted reasoning is sealed as.
const ENCRYPTED: &str = "responses.reasoning";
