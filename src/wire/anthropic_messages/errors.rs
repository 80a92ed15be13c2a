//! Errors in the shape of Anthropic Messages. Must never know what happened: type and status are told.

use crate::wire::Protocol;
use crate::wire::ir::UpstreamError;
use crate::wire::json::{Json, Value};

/// An error body. `status` is the one that the client gets; `request_id` is ours.
///
/// The status alone makes the type: the upstream's own word may be about our affairs, a key of ours for instance.
pub fn write_error(error: &UpstreamError, status: u16, request_id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + error.message.len());
    write_envelope(&mut Json::new(&mut out), type_of(status), &error.message, Some(request_id));
    out
}

/// `event: error`, which ends a stream.
pub(super) fn write_event(error: &UpstreamError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: ");
    let kind = error.class().kind(Protocol::AnthropicMessages);
    write_envelope(&mut Json::new(out), kind, &error.message, None);
    out.extend_from_slice(b"\n\n");
}

fn write_envelope(json: &mut Json<'_>, kind: &str, message: &str, request_id: Option<&str>) {
    json.object(|json| {
        json.key("type").text("error");
        json.key("error").object(|json| {
            json.key("type").text(kind);
            json.key("message").text(message);
        });
        if let Some(id) = request_id {
            json.key("request_id").text(id);
        }
    });
}

fn type_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// The error that an event or a body carries, if any: `{"type":"error","error":{…}}`.
pub(super) fn read_error(value: &Value<'_>) -> Option<UpstreamError> {
    let told = value.get("type").and_then(Value::as_str).is_some_and(|kind| *kind == "error");
    let error = value.get("error").filter(|error| !error.is_null());
    (told || error.is_some()).then(|| UpstreamError::of_value(value))
}
