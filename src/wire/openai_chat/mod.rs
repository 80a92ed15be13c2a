//! OpenAI Chat Completions on the wire: the head of a request, a tap on an answer, errors.

mod answer;
mod error;
mod error_write;
mod facts;
mod head;
mod redact;
mod request_read;
mod request_write;
mod splice;
mod stream_read;
mod stream_write;
mod tap;
mod usage;
mod whole;
mod whole_write;

pub use error::{InBandError, error_event, error_message, is_error_object};
pub use error_write::write_error;
pub use facts::{OUTPUT_KEPT_BYTES_MAX, Outcome};
pub use head::{ChatHead, HeadError, MODEL_BYTES_MAX, read_head};
pub use redact::redact;
pub use request_read::read_request;
pub use request_write::write_request;
pub use splice::{OutputLimitField, Splice};
pub use stream_read::ChatReader;
pub use stream_write::ChatWriter;
pub use tap::{ChatTap, HELD_BYTES_MAX};
pub use whole::{WholeAnswer, output_text, read_whole};
pub use whole_write::write_whole;

#[cfg(test)]
mod tests;
