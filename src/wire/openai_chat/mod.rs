//! OpenAI Chat Completions on the wire: a tap on an answer, errors, and requests and answers to and from the
//! canonical form.

mod answer;
mod answer_write;
mod calls;
mod choice;
mod completions;
mod error;
mod error_write;
mod facts;
mod members;
mod read_messages;
mod read_parts;
mod read_tools;
mod redact;
mod request_read;
mod request_write;
mod stream_read;
mod stream_write;
mod tap;
mod thinking;
mod usage;
mod whole;
mod whole_write;
mod write_assistant;
mod write_content;
mod write_media;
mod write_messages;
mod write_own;
mod write_reasoning;
mod write_tools;

pub use answer_write::echo;
pub use completions::{CompletionWriter, read_completion_request, write_completion_whole};
pub use error::{InBandError, error_event, error_message, is_error_object};
pub use error_write::write_error;
pub use redact::redact;
pub use request_read::read_request;
pub use request_write::write_request;
pub use stream_read::ChatReader;
pub use stream_write::ChatWriter;
pub use tap::{ChatTap, HELD_BYTES_MAX};
pub use usage::read_usage;
pub use whole::{WholeAnswer, output_text, read_whole};
pub use whole_write::write_whole;

pub use crate::wire::facts::OUTPUT_KEPT_BYTES_MAX;
pub use crate::wire::head::{Head as ChatHead, HeadError, MODEL_BYTES_MAX, OutputLimitField, Splice};

/// The head of a request of this protocol.
pub fn read_head(body: &[u8], depth_max: usize) -> Result<ChatHead, HeadError> {
    crate::wire::head::read_head(crate::wire::Protocol::OpenAiChat, body, depth_max)
}

#[cfg(test)]
mod tests;
