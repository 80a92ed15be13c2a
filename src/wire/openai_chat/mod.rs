//! OpenAI Chat Completions on the wire: the head of a request, a tap on an answer, errors.

mod answer;
mod error;
mod facts;
mod head;
mod redact;
mod splice;
mod tap;
mod usage;
mod whole;

pub use error::{InBandError, error_event, error_message, is_error_object};
pub use facts::{OUTPUT_KEPT_BYTES_MAX, Outcome};
pub use head::{ChatHead, HeadError, MODEL_BYTES_MAX, read_head};
pub use redact::redact;
pub use splice::{OutputLimitField, Splice};
pub use tap::{ChatTap, HELD_BYTES_MAX};
pub use whole::{WholeAnswer, output_text, read_whole};

#[cfg(test)]
mod tests;
