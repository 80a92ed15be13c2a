//! Chat on the wire, as a client and an upstream see it.

mod error;
mod read_answers;
mod read_requests;
mod recorded_translation;
mod recordings;
mod tap;
mod whole;
mod write_answers;
mod write_requests;
