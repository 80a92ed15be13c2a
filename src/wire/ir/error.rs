//! An upstream's error in one normal form, out of whatever shape it has, and what it means in each protocol. Must never know
//! whose error it is: its message is kept word for word.

use super::class;
use crate::wire::Protocol;
use crate::wire::json::{LoneSurrogates, Value};

/// Most of an upstream's message that is kept.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Most of a code, a type, a parameter or a reason that is kept.
const WORD_BYTES_MAX: usize = 256;
/// Deepest nesting of an error body that is looked into.
const DEPTH_MAX: usize = 64;
/// Most messages of a list that are put together.
const MESSAGES_MAX: usize = 16;

/// An error as an upstream gave it, or one of ours on its way to a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// Word for word.
    pub message: String,
    /// OpenAI's and Anthropic's `type`, Gemini's `status`.
    pub kind: Option<String>,
    pub code: Option<String>,
    pub param: Option<String>,
    /// The HTTP status that it came with, if that was one of an error; else the one that it names itself.
    pub status: Option<u16>,
    /// `RetryInfo.retryDelay`, `retry-after`.
    pub retry_after_ms: Option<u64>,
    /// Gemini's `reason` (`API_KEY_INVALID`), Azure's `innererror.code`.
    pub reason: Option<String>,
}

/// What an error means, whatever protocol said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    BadRequest,
    ContextTooLong,
    BadKey,
    NoMoney,
    Forbidden,
    NotFound,
    TooLarge,
    Policy,
    RateLimited,
    Upstream,
    Overloaded,
    Timeout,
}

impl UpstreamError {
    /// Reads an error body, or the value of an `error` field, or a text that stands in the place of one. `status`: the HTTP
    /// status that it came with; a 2xx is none of an error.
    ///
    /// A page of HTML, an empty body and JSON that says nothing get a message of ours.
    pub fn read(status: Option<u16>, body: &[u8]) -> UpstreamError {
        let status = status.filter(|status| (300..600).contains(status));
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut error = match Value::parse(text, DEPTH_MAX, LoneSurrogates::Allowed) {
            Ok(value) => UpstreamError::of(&value, text),
            Err(_) if is_markup(text) => UpstreamError::default(),
            Err(_) => UpstreamError { message: clipped(text, MESSAGE_BYTES_MAX), ..UpstreamError::default() },
        };
        error.status = status.or(error.status);
        if error.message.is_empty() {
            error.message = wordless(error.status, is_markup(text));
        }
        error
    }

    /// Whether a body says that it is an error: `{"error":…}` with something in it, alone or first in a list, or
    /// `"object":"error"`.
    pub fn is_in(body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        let Ok(value) = Value::parse(&text, DEPTH_MAX, LoneSurrogates::Allowed) else { return false };
        let first = value.as_array().and_then(<[Value<'_>]>::first).unwrap_or(&value);
        let says = |error: &Value<'_>| match error {
            Value::Object(object) => !object.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        };
        first.get("error").is_some_and(says) || first.get("object").and_then(Value::as_text).as_deref() == Some("error")
    }

    /// Reads an error that stands within an answer.
    pub fn of_value(value: &Value<'_>) -> UpstreamError {
        let mut error = UpstreamError::of(value, &value.to_json());
        if error.message.is_empty() {
            error.message = wordless(error.status, false);
        }
        error
    }

    fn of(value: &Value<'_>, text: &str) -> UpstreamError {
        let mut error = UpstreamError::default();
        // From the outside in: what stands nearer to the message wins.
        let mut at = value;
        for _ in 0..DEPTH_MAX {
            error.note(at);
            let inner = match at {
                Value::Array(list) => list.first(),
                _ => ["error", "detail", "response"].iter().find_map(|name| at.get(name).filter(is_container)),
            };
            match inner {
                Some(inner) => at = inner,
                None => break,
            }
        }
        let message = message_of(value);
        let says_nothing = matches!(text, "{}" | "[]" | "null" | "\"\"" | "true" | "false");
        error.message = message.unwrap_or_else(|| if says_nothing { String::new() } else { text.to_owned() });
        error.message.truncate(error.message.floor_char_boundary(MESSAGE_BYTES_MAX));
        error
    }

    /// Takes what one object says, in the place of what was known.
    fn note(&mut self, value: &Value<'_>) {
        let word = |name: &str| match value.get(name)? {
            Value::String(text) if !text.is_empty() => Some(clipped(&text.decode(), WORD_BYTES_MAX)),
            Value::Number(number) => Some(clipped(number, WORD_BYTES_MAX)),
            _ => None,
        };
        let text = |name: &str| value.get(name).filter(|value| value.as_str().is_some()).and_then(|_| word(name));
        // Anthropic wraps its errors in `{"type":"error"}`.
        let kind = word("type").filter(|kind| kind != "error").or_else(|| text("status"));
        self.kind = kind.or(self.kind.take());
        self.code = word("code").or(self.code.take());
        self.param = text("param").or(self.param.take());
        let inner = value.get("innererror").and_then(|inner| inner.get("code")?.as_text());
        self.reason = inner.map(|code| code.into_owned()).or_else(|| text("reason")).or(self.reason.take());
        let status = ["status", "status_code", "code"].iter().find_map(|name| word(name)?.parse().ok());
        self.status = status.filter(|status| (100..600).contains(status)).or(self.status);
        for detail in value.get("details").and_then(Value::as_array).unwrap_or_default() {
            self.note_detail(detail);
        }
    }

    /// Google's `details`: `ErrorInfo`, `RetryInfo`.
    fn note_detail(&mut self, detail: &Value<'_>) {
        if let Some(reason) = detail.get("reason").and_then(Value::as_text).filter(|reason| !reason.is_empty()) {
            self.reason = Some(clipped(&reason, WORD_BYTES_MAX));
        }
        if let Some(delay) = detail.get("retryDelay").and_then(Value::as_text) {
            self.retry_after_ms = delay_ms(&delay).or(self.retry_after_ms);
        }
    }

    pub fn class(&self) -> ErrorClass {
        class::of(self)
    }

    /// The HTTP status that a client of `protocol` gets. The upstream's own is kept where it says more than the class.
    pub fn status_for(&self, protocol: Protocol) -> u16 {
        let class = self.class();
        match (class, self.status) {
            (ErrorClass::BadRequest, Some(status @ (405 | 409 | 422))) => status,
            (ErrorClass::Upstream, Some(status @ (500 | 502))) => status,
            _ => class.status(protocol),
        }
    }
}

impl ErrorClass {
    /// The HTTP status that a protocol has for it.
    pub const fn status(self, protocol: Protocol) -> u16 {
        match self {
            ErrorClass::BadRequest | ErrorClass::ContextTooLong | ErrorClass::Policy => 400,
            ErrorClass::BadKey => 401,
            ErrorClass::NoMoney => 402,
            ErrorClass::Forbidden => 403,
            ErrorClass::NotFound => 404,
            ErrorClass::TooLarge => 413,
            ErrorClass::RateLimited => 429,
            ErrorClass::Upstream => 502,
            ErrorClass::Overloaded => match protocol {
                Protocol::AnthropicMessages => 529,
                Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::GeminiGenerate => 503,
            },
            ErrorClass::Timeout => 504,
        }
    }

    /// OpenAI's and Anthropic's `type`, Gemini's `status`.
    pub const fn kind(self, protocol: Protocol) -> &'static str {
        match protocol {
            Protocol::OpenAiChat | Protocol::OpenAiResponses => self.openai_kind(),
            Protocol::AnthropicMessages => self.anthropic_kind(),
            Protocol::GeminiGenerate => self.gemini_kind(),
        }
    }

    const fn openai_kind(self) -> &'static str {
        match self {
            ErrorClass::BadRequest
            | ErrorClass::ContextTooLong
            | ErrorClass::BadKey
            | ErrorClass::NotFound
            | ErrorClass::TooLarge
            | ErrorClass::Policy => "invalid_request_error",
            ErrorClass::NoMoney => "insufficient_quota",
            ErrorClass::Forbidden => "permission_error",
            ErrorClass::RateLimited => "rate_limit_exceeded",
            ErrorClass::Upstream | ErrorClass::Overloaded => "server_error",
            ErrorClass::Timeout => "timeout",
        }
    }

    const fn anthropic_kind(self) -> &'static str {
        match self {
            ErrorClass::BadRequest | ErrorClass::ContextTooLong | ErrorClass::Policy => "invalid_request_error",
            ErrorClass::BadKey => "authentication_error",
            ErrorClass::NoMoney => "billing_error",
            ErrorClass::Forbidden => "permission_error",
            ErrorClass::NotFound => "not_found_error",
            ErrorClass::TooLarge => "request_too_large",
            ErrorClass::RateLimited => "rate_limit_error",
            ErrorClass::Upstream => "api_error",
            ErrorClass::Overloaded => "overloaded_error",
            ErrorClass::Timeout => "timeout_error",
        }
    }

    const fn gemini_kind(self) -> &'static str {
        match self {
            ErrorClass::BadRequest | ErrorClass::ContextTooLong | ErrorClass::TooLarge | ErrorClass::Policy => {
                "INVALID_ARGUMENT"
            }
            ErrorClass::BadKey => "UNAUTHENTICATED",
            ErrorClass::NoMoney | ErrorClass::RateLimited => "RESOURCE_EXHAUSTED",
            ErrorClass::Forbidden => "PERMISSION_DENIED",
            ErrorClass::NotFound => "NOT_FOUND",
            ErrorClass::Upstream => "INTERNAL",
            ErrorClass::Overloaded => "UNAVAILABLE",
            ErrorClass::Timeout => "DEADLINE_EXCEEDED",
        }
    }

    /// OpenAI's `code`, where it has one for the class.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            ErrorClass::ContextTooLong => Some("context_length_exceeded"),
            ErrorClass::BadKey => Some("invalid_api_key"),
            ErrorClass::NoMoney => Some("insufficient_quota"),
            ErrorClass::NotFound => Some("model_not_found"),
            ErrorClass::Policy => Some("content_policy_violation"),
            ErrorClass::RateLimited => Some("rate_limit_exceeded"),
            ErrorClass::Overloaded => Some("server_is_overloaded"),
            ErrorClass::BadRequest
            | ErrorClass::Forbidden
            | ErrorClass::TooLarge
            | ErrorClass::Upstream
            | ErrorClass::Timeout => None,
        }
    }
}

/// The message of an upstream's error body, in any of the shapes met (`error` as object or text, `detail`, `message`, array).
///
/// Plain text is its own message. `None` for HTML, for other JSON and for nothing.
pub fn error_message(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim_start_matches('\u{feff}').trim();
    if let Ok(value) = Value::parse(text, DEPTH_MAX, LoneSurrogates::Allowed) {
        return message_of(&value).map(|message| clipped(&message, MESSAGE_BYTES_MAX));
    }
    let is_text = !text.is_empty() && !text.starts_with(['<', '{', '[']);
    is_text.then(|| clipped(text, MESSAGE_BYTES_MAX))
}

/// Looks for the message where vendors put it. Recursion ends with the document, whose depth is limited.
fn message_of(value: &Value<'_>) -> Option<String> {
    match value {
        Value::String(text) => Some(text.decode().into_owned()).filter(|text| !text.trim().is_empty()),
        // Gemini's chat endpoint: `[{"error":{…}}]`; FastAPI: a list of `{"loc":[…],"msg":"…"}`.
        Value::Array(list) => {
            let messages: Vec<String> = list.iter().filter_map(message_of).take(MESSAGES_MAX).collect();
            (!messages.is_empty()).then(|| messages.join("; "))
        }
        Value::Object(fields) => ["error", "message", "detail", "msg", "errors", "response"]
            .iter()
            .find_map(|name| message_of(fields.get(name)?)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_container(value: &&Value<'_>) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

fn is_markup(text: &str) -> bool {
    text.starts_with('<')
}

fn wordless(status: Option<u16>, markup: bool) -> String {
    let what = if markup { "a page of HTML" } else { "no message" };
    match status {
        Some(status) => format!("the upstream answered with status {status} and {what}"),
        None => format!("the upstream answered with an error and {what}"),
    }
}

fn clipped(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

/// Protobuf's duration as JSON has it: `17s`, `0.250s`.
fn delay_ms(text: &str) -> Option<u64> {
    let (whole, fraction) =
        text.trim().strip_suffix('s')?.split_once('.').unwrap_or((text.trim().strip_suffix('s')?, ""));
    let digits = fraction.get(..fraction.len().min(3))?;
    let ms: u64 = format!("{digits:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(ms)
}

#[cfg(test)]
mod tests;
