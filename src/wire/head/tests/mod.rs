//! Heads of all protocols, and what a splice changes in their bodies.

pub(crate) mod chat;
mod others;
mod splice;
