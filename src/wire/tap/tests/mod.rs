//! Taps, first of a protocol for tests, then of recorded answers.

mod recordings;
mod scripts;
