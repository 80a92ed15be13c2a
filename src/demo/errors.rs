//! Refusals, and error bodies in the shape of each vendor. Must never know sockets.

use serde_json::{Value, json};

/// Whose shape an error has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    OpenAi,
    Anthropic,
    Google,
    /// Google's inside a list of one: what a stream without `alt=sse` is answered with.
    GoogleList,
}

/// Why a request is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub message: String,
    pub param: Option<String>,
    pub code: Option<&'static str>,
}

impl Refusal {
    pub fn new(message: impl Into<String>) -> Refusal {
        Refusal { status: 400, message: message.into(), param: None, code: None }
    }

    pub fn param(self, param: impl Into<String>) -> Refusal {
        Refusal { param: Some(param.into()), ..self }
    }

    pub fn code(self, code: &'static str) -> Refusal {
        Refusal { code: Some(code), ..self }
    }

    pub fn status(self, status: u16) -> Refusal {
        Refusal { status, ..self }
    }

    pub fn unreadable(error: &serde_json::Error) -> Refusal {
        Refusal::new(format!("the request body could not be read: {error}"))
    }

    pub fn body(&self, form: Form, request_id: &str) -> Vec<u8> {
        let Refusal { status, message, param, code } = self;
        match form {
            Form::OpenAi => openai(message, "invalid_request_error", param.as_deref(), *code),
            Form::Anthropic => anthropic(*status, message, request_id),
            Form::Google | Form::GoogleList => google(form, *status, message, None),
        }
    }
}

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
pub(super) fn by_status(form: Form, status: u16, retry_after_s: Option<u32>, request_id: &str) -> Vec<u8> {
    let Words { message, kind, code } = words(status);
    match form {
        Form::OpenAi => openai(message, kind, None, code),
        Form::Anthropic => anthropic(status, message, request_id),
        Form::Google | Form::GoogleList => google(form, status, message, retry_after_s),
    }
}

/// What a status means, for errors that say it in other words than a whole body.
pub(super) fn message(status: u16) -> &'static str {
    words(status).message
}

fn openai(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Vec<u8> {
    let error = json!({ "message": message, "type": kind, "param": param, "code": code });
    json!({ "error": error }).to_string().into_bytes()
}

fn anthropic(status: u16, message: &str, request_id: &str) -> Vec<u8> {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        ..500 => "invalid_request_error",
        _ => "api_error",
    };
    let error = json!({ "type": kind, "message": message });
    json!({ "type": "error", "error": error, "request_id": request_id }).to_string().into_bytes()
}

fn google(form: Form, status: u16, message: &str, retry_after_s: Option<u32>) -> Vec<u8> {
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        ..500 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    };
    let mut error = json!({ "code": status, "message": message, "status": word });
    if let Some(seconds) = retry_after_s {
        let retry = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s") });
        error["details"] = json!([retry]);
    }
    let error = json!({ "error": error });
    if form == Form::GoogleList { Value::from(vec![error]) } else { error }.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, status: u16, pointer: &str, expected: &str) {
        let body: Value = serde_json::from_slice(&by_status(form, status, Some(7), "req_1")).unwrap();
        assert_eq!(body.pointer(pointer).and_then(Value::as_str), Some(expected), "{form:?} {status}: {body}");
    }

    #[test]
    fn every_vendor_has_its_own_words_for_a_status() {
        check(Form::OpenAi, 429, "/error/code", "rate_limit_exceeded");
        check(Form::OpenAi, 529, "/error/type", "overloaded_error");
        check(Form::Anthropic, 529, "/error/type", "overloaded_error");
        check(Form::Anthropic, 401, "/error/type", "authentication_error");
        check(Form::Anthropic, 422, "/error/type", "invalid_request_error");
        check(Form::Anthropic, 500, "/request_id", "req_1");
        check(Form::Google, 503, "/error/status", "UNAVAILABLE");
        check(Form::Google, 418, "/error/status", "INVALID_ARGUMENT");
        check(Form::Google, 429, "/error/details/0/retryDelay", "7s");
        check(Form::GoogleList, 500, "/0/error/status", "INTERNAL");
    }
}
