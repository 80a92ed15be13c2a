//! Errors in the shape of OpenAI Responses.

use crate::wire::Protocol;
use crate::wire::ir::UpstreamError;
use crate::wire::json::Json;

const OURS: Protocol = Protocol::OpenAiResponses;

/// An error body. `status` is the one that the client gets; `request_id` is ours.
pub fn write_error(error: &UpstreamError, status: u16, request_id: &str) -> Vec<u8> {
    // Both stand in headers; the body of this protocol has no place for them.
    let _ = (status, request_id);
    let mut out = Vec::with_capacity(128 + error.message.len());
    Json::new(&mut out).object(|json| json.key("error").object(|json| write_members(json, error)));
    out
}

/// `message`, `type`, `param` and `code`.
pub(super) fn write_members(json: &mut Json<'_>, error: &UpstreamError) {
    json.key("message").text(&error.message);
    json.key("type").text(error.class().kind(OURS));
    match &error.param {
        Some(param) => json.key("param").text(param),
        None => json.key("param").null(),
    }
    match code(error) {
        Some(code) => json.key("code").text(code),
        None => json.key("code").null(),
    }
}

/// The upstream's own code, else what this protocol calls such an error.
pub(super) fn code(error: &UpstreamError) -> Option<&str> {
    error.code.as_deref().or(error.class().code())
}
