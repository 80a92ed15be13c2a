//! Error bodies in OpenAI's shape. Must never know sockets.

/// What the body says beside the status.
struct Words {
    message: &'static str,
    kind: &'static str,
    code: Option<&'static str>,
}

fn words(status: u16) -> Words {
    let (message, kind, code) = match status {
        400 => ("demo upstream: this request is not valid", "invalid_request_error", None),
        401 => ("demo upstream: incorrect api key provided", "invalid_request_error", Some("invalid_api_key")),
        403 => ("demo upstream: this key may not use this model", "invalid_request_error", Some("model_not_allowed")),
        404 => ("demo upstream: this model does not exist", "invalid_request_error", Some("model_not_found")),
        408 => ("demo upstream: the request took too long", "timeout", None),
        429 => ("demo upstream: rate limit reached for requests", "requests", Some("rate_limit_exceeded")),
        500 => ("demo upstream: an error occurred while processing the request", "server_error", None),
        503 => ("demo upstream: the model is not available at the moment", "service_unavailable_error", None),
        529 => ("demo upstream: overloaded", "overloaded_error", None),
        _ if status < 500 => ("demo upstream: the request was refused", "invalid_request_error", None),
        _ => ("demo upstream: the server failed", "server_error", None),
    };
    Words { message, kind, code }
}

/// The body for a status that was asked for by a knob.
pub(super) fn by_status(status: u16) -> Vec<u8> {
    let Words { message, kind, code } = words(status);
    body(message, kind, None, code)
}

/// The body for a request that this upstream cannot answer.
pub(super) fn invalid_request(message: &str, param: Option<&str>, code: Option<&str>) -> Vec<u8> {
    body(message, "invalid_request_error", param, code)
}

fn body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Vec<u8> {
    let error = serde_json::json!({ "message": message, "type": kind, "param": param, "code": code });
    serde_json::json!({ "error": error }).to_string().into_bytes()
}
