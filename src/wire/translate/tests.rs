//! Translation from end to end, first of a protocol for tests, then of the four.

mod pairs;
mod recordings;
mod requests;
mod samples;
mod scripts;
mod undone;
