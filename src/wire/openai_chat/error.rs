//! Errors of this protocol: ours into it, and an upstream's out of whatever shape it has.

use bytes::Bytes;
use serde_json::{Value, json};

/// Most of an upstream's message that is kept.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// An error object inside an answer that began with a 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InBandError {
    pub message: String,
    pub kind: Option<String>,
    pub code: Option<String>,
    /// A numeric `status` or `status_code` beside a `code` that is a word.
    pub http_status: Option<u16>,
}

impl InBandError {
    /// The HTTP status that the error names, if it does (a numeric `code` or `status`).
    pub fn status(&self) -> Option<u16> {
        let named = || self.code.as_deref().and_then(|code| code.parse().ok());
        self.http_status.or_else(named).filter(|status| (100..600).contains(status))
    }

    /// Reads the value of an `error` field, or a text that stands in its place.
    pub(super) fn read(raw: &[u8]) -> InBandError {
        match serde_json::from_slice(raw) {
            Ok(value) => InBandError::of(&value),
            Err(_) => InBandError::of(&Value::String(String::from_utf8_lossy(raw).into_owned())),
        }
    }

    fn of(value: &Value) -> InBandError {
        if let Some(inner) = value.get("error").filter(|inner| inner.is_object() || inner.is_string()) {
            return InBandError::of(inner);
        }
        if let Some(first) = value.get(0) {
            return InBandError::of(first);
        }
        let text = |name: &str| match &value[name] {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let numeric = |name: &str| value[name].as_u64().and_then(|status| u16::try_from(status).ok());
        let message = message_of(value).unwrap_or_else(|| value.to_string());
        InBandError {
            message: clipped(&message),
            kind: text("type").or_else(|| value["status"].as_str().map(str::to_owned)),
            code: text("code"),
            http_status: numeric("status").or_else(|| numeric("status_code")),
        }
    }
}

fn clipped(text: &str) -> String {
    text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

/// An SSE event that ends a broken stream: `data: {"error":{…}}` and its blank line.
pub fn error_event(message: &str, kind: &str, code: &str) -> Bytes {
    let error = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    Bytes::from(format!("data: {error}\n\n"))
}

/// Whether a body is an error object of this protocol (`{"error":{"message":…}}`).
pub fn is_error_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["error"]["message"].is_string())
}

/// The message of an upstream's error body, in any of the shapes met (`error` as object or text, `detail`, `message`, array).
///
/// Plain text is its own message. `None` for HTML, for other JSON and for nothing.
pub fn error_message(body: &[u8]) -> Option<String> {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return message_of(&value).map(|message| clipped(&message));
    }
    let text = std::str::from_utf8(body).ok()?.trim().trim_start_matches('\u{feff}');
    let is_text = !text.is_empty() && !text.starts_with(['<', '{', '[']);
    is_text.then(|| clipped(text))
}

/// Looks for the message where vendors put it. Recursion ends with the document, whose depth serde_json limits.
fn message_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        // Gemini's chat endpoint: `[{"error":{…}}]`; FastAPI: a list of `{"loc":[…],"msg":"…"}`.
        Value::Array(list) => {
            let messages: Vec<String> = list.iter().filter_map(message_of).collect();
            (!messages.is_empty()).then(|| messages.join("; "))
        }
        Value::Object(fields) => {
            ["error", "message", "detail", "msg", "errors"].iter().find_map(|name| message_of(fields.get(*name)?))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
