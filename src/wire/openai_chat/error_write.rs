//! Errors in the shape of OpenAI Chat Completions. Must never change an upstream's message.

use crate::wire::Protocol;
use crate::wire::ir::{ErrorClass, UpstreamError};
use crate::wire::json::Json;

/// OpenAI's own types, which stay as they are.
const KINDS: [&str; 7] = [
    "invalid_request_error",
    "insufficient_quota",
    "rate_limit_exceeded",
    "requests",
    "server_error",
    "timeout",
    "tokens",
];

/// An error body. `status` is the one that the client gets; `request_id` is ours, and has no place in this shape.
pub fn write_error(error: &UpstreamError, status: u16, _request_id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(error.message.len() + 128);
    error_object(error, status, &mut out);
    out
}

pub(super) fn error_object(error: &UpstreamError, status: u16, out: &mut Vec<u8>) {
    let class = error.class();
    // What the client is not to blame for is ours or the upstream's: a bad key of ours is no bad key of its.
    let hidden = status >= 500 && class.status(Protocol::OpenAiChat) < 500;
    let class = if hidden { ErrorClass::Upstream } else { class };
    let own_kind = error.kind.as_deref().filter(|kind| !hidden && KINDS.contains(kind));
    let own_code = error.code.as_deref().filter(|code| !hidden && code.parse::<u64>().is_err());
    Json::new(out).object(|json| {
        json.key("error").object(|json| {
            json.key("message").text(&error.message);
            json.key("type").text(own_kind.unwrap_or(class.kind(Protocol::OpenAiChat)));
            match error.param.as_deref() {
                Some(param) => json.key("param").text(param),
                None => json.key("param").null(),
            }
            match own_code.or(class.code()) {
                Some(code) => json.key("code").text(code),
                None => json.key("code").null(),
            }
        });
    });
}
