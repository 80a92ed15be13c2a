//! Gemini generateContent on the wire: requests and answers to and from the canonical form, errors.

mod errors;
mod request_read;
mod request_write;
mod stream_read;
mod stream_write;
mod whole_write;

pub use errors::write_error;
pub use request_read::read_request;
pub use request_write::write_request;
pub use stream_read::GeminiReader;
pub use stream_write::GeminiWriter;
pub use whole_write::write_whole;
