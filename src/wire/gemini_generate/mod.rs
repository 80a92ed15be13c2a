//! Gemini generateContent on the wire: requests and answers to and from the canonical form, errors.

mod answer;
mod array;
mod candidate;
pub mod count;
pub mod embed;
mod errors;
mod fields;
mod finish;
mod grounding;
mod logprobs;
mod media;
mod partial;
mod read;
mod signature;
mod stream_read;
mod stream_write;
mod usage;
mod whole_write;
mod write;

pub use array::{ArraySplitter, ELEMENT_BYTES_MAX, Element};
pub use errors::{read_error, write_error};
pub use media::must_inline;
pub use read::read_request;
pub use stream_read::GeminiReader;
pub use stream_write::GeminiWriter;
pub use whole_write::write_whole;
pub use write::write_request;

#[cfg(test)]
mod tests;
