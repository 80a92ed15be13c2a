//! Anthropic Messages on the wire: requests and answers to and from the canonical form, errors.

mod arguments;
mod arrange;
mod blocks_read;
mod blocks_write;
mod errors;
mod fields;
mod media;
mod names;
mod opaque;
mod pairing;
mod request_read;
mod request_write;
mod said;
mod schema;
mod settings;
mod stream_read;
mod stream_write;
mod thinking;
mod tools_read;
mod tools_write;
mod turns_read;
mod usage;
mod whole_write;

pub use errors::write_error;
pub use request_read::read_request;
pub use request_write::write_request;
pub use stream_read::MessagesReader;
pub use stream_write::MessagesWriter;
pub use whole_write::write_whole;

#[cfg(test)]
mod tests;
