//! OpenAI Chat Completions. Must never know sockets.

mod options;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::read;
pub(super) use write::Chat;
