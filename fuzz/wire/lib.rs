//! The wire alone, so that fuzzing builds in seconds and looks at nothing else.

#[path = "../../src/wire/mod.rs"]
pub mod wire;
