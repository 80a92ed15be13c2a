//! Errors in the shape of Gemini generateContent.

use super::fields::get;
use crate::wire::Protocol;
use crate::wire::ir::UpstreamError;
use crate::wire::json::{Json, LoneSurrogates, Value};

const DEPTH_MAX: usize = 64;
/// Statuses of google.rpc, by the HTTP status that they come with.
const WORDS: [(u16, &str); 16] = [
    (400, "INVALID_ARGUMENT"),
    (401, "UNAUTHENTICATED"),
    (402, "RESOURCE_EXHAUSTED"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (408, "DEADLINE_EXCEEDED"),
    (409, "ABORTED"),
    (413, "INVALID_ARGUMENT"),
    (422, "INVALID_ARGUMENT"),
    (429, "RESOURCE_EXHAUSTED"),
    (499, "CANCELLED"),
    (500, "INTERNAL"),
    (501, "UNIMPLEMENTED"),
    (503, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
    (529, "UNAVAILABLE"),
];

/// An error body. `status` is the one that the client gets; `request_id` is ours.
pub fn write_error(error: &UpstreamError, status: u16, request_id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write(error, status, Some(request_id), &mut out);
    out
}

/// The same, as it stands in a stream.
pub fn write(error: &UpstreamError, status: u16, request_id: Option<&str>, out: &mut Vec<u8>) {
    Json::new(out).object(|json| {
        json.key("error").object(|json| {
            json.key("code").uint(status.into());
            json.key("message").text(&error.message);
            json.key("status").text(word(error, status));
            json.key("details").array(|json| details(json, error, request_id));
        });
    });
}

fn word(error: &UpstreamError, status: u16) -> &'static str {
    const MORE: [&str; 4] = ["FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS", "DATA_LOSS"];
    // What a Gemini upstream said itself.
    let own = MORE.iter().chain(WORDS.iter().map(|(_, word)| word)).find(|word| error.kind.as_deref() == Some(**word));
    let by_status = || match WORDS.iter().find(|(known, _)| *known == status) {
        Some((_, word)) => word,
        None if status < 500 => "INVALID_ARGUMENT",
        None => "INTERNAL",
    };
    own.copied().unwrap_or_else(by_status)
}

fn details(json: &mut Json<'_>, error: &UpstreamError, request_id: Option<&str>) {
    let reason = error.reason.clone().or_else(|| error.code.as_ref().map(|code| code.to_ascii_uppercase()));
    if reason.is_some() || error.param.is_some() {
        json.object(|json| {
            json.key("@type").text("type.googleapis.com/google.rpc.ErrorInfo");
            json.key("reason").text(reason.as_deref().unwrap_or("INVALID_PARAMETER"));
            json.key("domain").text("qingwave");
            json.key("metadata").object(|json| {
                error.code.iter().for_each(|code| json.key("code").text(code));
                error.param.iter().for_each(|param| json.key("param").text(param));
            });
        });
    }
    if let Some(ms) = error.retry_after_ms {
        json.object(|json| {
            json.key("@type").text("type.googleapis.com/google.rpc.RetryInfo");
            json.key("retryDelay").text(&seconds(ms));
        });
    }
    if let Some(id) = request_id {
        json.object(|json| {
            json.key("@type").text("type.googleapis.com/google.rpc.RequestInfo");
            json.key("requestId").text(id);
        });
    }
}

/// `17s`, `1.5s`
fn seconds(ms: u64) -> String {
    match ms % 1000 {
        0 => format!("{}s", ms / 1000),
        rest => format!("{}.{}s", ms / 1000, format!("{rest:03}").trim_end_matches('0')),
    }
}

/// The HTTP status of an error that comes in the middle of an answer: what it means, whatever protocol said it. Google has no
/// word for a bad gateway.
pub fn status_of(error: &UpstreamError) -> u16 {
    match error.status_for(Protocol::GeminiGenerate) {
        502 => error.status.unwrap_or(500),
        status => status,
    }
}

/// An error body of Gemini: an object with `error`, or an array of one such. `None` for anything else.
pub fn read_error(body: &str) -> Option<UpstreamError> {
    read(&Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed).ok()?)
}

pub fn read(value: &Value<'_>) -> Option<UpstreamError> {
    let value = match value {
        Value::Array(list) => list.first()?,
        other => other,
    };
    let error = get(value, "error")?;
    let text = |value: &Value<'_>, name: &str| get(value, name).and_then(Value::as_text).map(|text| text.into_owned());
    let says_nothing = match error {
        Value::Object(object) => object.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(bool) => !bool,
        Value::Null | Value::Number(_) | Value::Array(_) => false,
    };
    if says_nothing {
        return None;
    }
    if let Value::String(message) = error {
        return Some(UpstreamError { message: message.decode().into_owned(), ..UpstreamError::default() });
    }
    let details = get(error, "details").and_then(Value::as_array).unwrap_or_default();
    let delay = details.iter().find_map(|detail| get(detail, "retryDelay")).and_then(Value::as_text);
    Some(UpstreamError {
        message: text(error, "message").filter(|text| !text.is_empty()).unwrap_or_else(|| error.to_json()),
        kind: text(error, "status"),
        code: None,
        param: None,
        status: get(error, "code").and_then(Value::as_u64).and_then(|code| code.try_into().ok()),
        retry_after_ms: delay.and_then(|delay| delay_ms(&delay)),
        reason: details.iter().find_map(|detail| text(detail, "reason")),
    })
}

/// `17s` or `17.25s`; of fractions the first three digits count.
fn delay_ms(text: &str) -> Option<u64> {
    let number = text.strip_suffix('s')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let ms: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(ms.parse().ok()?)
}
