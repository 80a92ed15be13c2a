//! What OpenAI and its kin offer beside the chat protocols. Must never know sockets.

pub(super) mod completions;
pub(super) mod embeddings;
pub(super) mod models;
pub(super) mod moderations;
pub(super) mod rerank;
#[cfg(test)]
mod tests;
