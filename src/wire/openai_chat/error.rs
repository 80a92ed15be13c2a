//! Errors of this protocol: ours into it, and what is one.

use bytes::Bytes;
use serde_json::{Value, json};

pub use crate::wire::ir::{UpstreamError as InBandError, error_message};

/// An SSE event that ends a broken stream: `data: {"error":{…}}` and its blank line.
pub fn error_event(message: &str, kind: &str, code: &str) -> Bytes {
    let error = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    Bytes::from(format!("data: {error}\n\n"))
}

/// Whether a body is an error object of this protocol (`{"error":{"message":…}}`).
pub fn is_error_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["error"]["message"].is_string())
}
