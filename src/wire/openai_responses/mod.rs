//! OpenAI Responses on the wire: requests and answers to and from the canonical form, errors.

mod calls;
mod echo;
mod errors;
mod feed;
mod fields;
mod items_answer;
mod items_json;
mod items_out;
mod items_read;
mod items_write;
mod namespaces;
mod options_write;
mod parts_read;
mod plan;
mod plan_parts;
mod request_read;
mod request_write;
mod response_write;
mod stored;
mod stream_read;
mod stream_write;
mod told;
mod tools_read;
mod tools_write;
mod usage;
mod whole_write;

pub use echo::echo;
pub use errors::write_error;
pub use request_read::read_request;
pub use request_write::write_request;
pub use stored::{STORED_FIELDS, Stored, stored};
pub use stream_read::ResponsesReader;
pub use stream_write::ResponsesWriter;
pub use whole_write::write_whole;

/// The answer of the endpoint that counts the tokens of a request.
pub fn write_input_tokens_answer(input_tokens: u64) -> Vec<u8> {
    format!(r#"{{"object":"response.input_tokens","input_tokens":{input_tokens}}}"#).into_bytes()
}

#[cfg(test)]
mod tests;
