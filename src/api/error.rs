//! What a client is told when a call cannot be served: a status, a stable code, a next step. The one place that
//! chooses statuses.

use serde_json::json;

use crate::wire::Protocol;
use crate::wire::ir::UpstreamError;

/// A stable code of the contract. Clients branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    InvalidRequest,
    InvalidApiKey,
    KeyRevoked,
    KeyExpired,
    InsufficientBalance,
    ModelNotAllowed,
    ModelNotFound,
    ModelRetired,
    OperationNotSupported,
    PathNotFound,
    BodyTooLarge,
    UnsupportedEncoding,
    RateLimited,
    ConcurrencyLimited,
    QuotaExceeded,
    UnsupportedParameter,
    IdempotencyConflict,
    UpstreamError,
    UpstreamAuth,
    NoChannelConfigured,
    NoHealthyChannel,
    UpstreamTimeout,
    StreamInterrupted,
    LedgerUnavailable,
    Internal,
}

impl Code {
    /// In the order of `docs/errors.md`.
    pub const ALL: [Code; 25] = [
        Code::InvalidRequest,
        Code::InvalidApiKey,
        Code::KeyRevoked,
        Code::KeyExpired,
        Code::InsufficientBalance,
        Code::ModelNotAllowed,
        Code::ModelNotFound,
        Code::ModelRetired,
        Code::OperationNotSupported,
        Code::PathNotFound,
        Code::BodyTooLarge,
        Code::UnsupportedEncoding,
        Code::RateLimited,
        Code::ConcurrencyLimited,
        Code::QuotaExceeded,
        Code::UnsupportedParameter,
        Code::IdempotencyConflict,
        Code::UpstreamError,
        Code::UpstreamAuth,
        Code::NoChannelConfigured,
        Code::NoHealthyChannel,
        Code::UpstreamTimeout,
        Code::StreamInterrupted,
        Code::LedgerUnavailable,
        Code::Internal,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Code::InvalidRequest => "invalid_request",
            Code::InvalidApiKey => "invalid_api_key",
            Code::KeyRevoked => "key_revoked",
            Code::KeyExpired => "key_expired",
            Code::InsufficientBalance => "insufficient_balance",
            Code::ModelNotAllowed => "model_not_allowed",
            Code::ModelNotFound => "model_not_found",
            Code::ModelRetired => "model_retired",
            Code::OperationNotSupported => "operation_not_supported",
            Code::PathNotFound => "path_not_found",
            Code::BodyTooLarge => "body_too_large",
            Code::UnsupportedEncoding => "unsupported_encoding",
            Code::RateLimited => "rate_limited",
            Code::ConcurrencyLimited => "concurrency_limited",
            Code::QuotaExceeded => "quota_exceeded",
            Code::UnsupportedParameter => "unsupported_parameter",
            Code::IdempotencyConflict => "idempotency_conflict",
            Code::UpstreamError => "upstream_error",
            Code::UpstreamAuth => "upstream_auth",
            Code::NoChannelConfigured => "no_channel_configured",
            Code::NoHealthyChannel => "no_healthy_channel",
            Code::UpstreamTimeout => "upstream_timeout",
            Code::StreamInterrupted => "stream_interrupted",
            Code::LedgerUnavailable => "ledger_unavailable",
            Code::Internal => "internal",
        }
    }

    pub const fn status(self) -> u16 {
        match self {
            Code::InvalidRequest | Code::UnsupportedParameter => 400,
            Code::InvalidApiKey | Code::KeyRevoked | Code::KeyExpired => 401,
            Code::InsufficientBalance => 402,
            Code::ModelNotAllowed => 403,
            Code::ModelNotFound | Code::ModelRetired | Code::PathNotFound => 404,
            Code::OperationNotSupported => 405,
            Code::IdempotencyConflict => 409,
            Code::BodyTooLarge => 413,
            Code::UnsupportedEncoding => 415,
            Code::RateLimited | Code::ConcurrencyLimited | Code::QuotaExceeded => 429,
            Code::UpstreamError | Code::UpstreamAuth | Code::StreamInterrupted => 502,
            Code::NoChannelConfigured | Code::NoHealthyChannel | Code::LedgerUnavailable => 503,
            Code::UpstreamTimeout => 504,
            Code::Internal => 500,
        }
    }

    /// OpenAI's `type` of the same meaning. Its SDKs choose the exception by status.
    const fn openai_type(status: u16) -> &'static str {
        match status {
            402 => "insufficient_quota",
            403 => "permission_error",
            429 => "rate_limit_exceeded",
            504 => "timeout",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }
}

/// An answer of ours that is not the asked-for one.
#[derive(Debug, Clone)]
pub struct ClientError {
    pub code: Code,
    pub status: u16,
    /// A lowercase sentence that names the value and, where there is one, the next step.
    pub message: String,
    /// The request field at fault.
    pub param: Option<String>,
    pub retry_after_s: Option<u64>,
    /// The value of `Allow` of a 405.
    pub allow: Option<&'static str>,
    /// The model that replaces a retired one: `x-qingwave-replacement`.
    pub replacement: Option<std::sync::Arc<str>>,
    /// Whose shape the body has.
    protocol: Protocol,
}

impl ClientError {
    pub fn new(code: Code, message: impl Into<String>) -> ClientError {
        ClientError {
            code,
            status: code.status(),
            message: message.into(),
            param: None,
            retry_after_s: None,
            allow: None,
            replacement: None,
            protocol: Protocol::OpenAiChat,
        }
    }

    /// Told in the shape of a protocol.
    pub fn shaped(mut self, protocol: Protocol) -> ClientError {
        self.protocol = protocol;
        self
    }

    pub fn param(mut self, param: impl Into<String>) -> ClientError {
        self.param = Some(param.into());
        self
    }

    /// For the statuses that share a code with another: 408, 409, 414, 422, 426, 431.
    pub fn status(mut self, status: u16) -> ClientError {
        self.status = status;
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> ClientError {
        self.retry_after_s = Some(seconds);
        self
    }

    pub fn allow(mut self, methods: &'static str) -> ClientError {
        self.allow = Some(methods);
        self
    }

    /// The status as a protocol has it: Anthropic says 529 where nobody can answer at the moment.
    pub fn status_for(&self, protocol: Protocol) -> u16 {
        match (protocol, self.code) {
            (Protocol::AnthropicMessages, Code::NoHealthyChannel) => 529,
            _ => self.status,
        }
    }

    /// The body in the shape of the caller's protocol.
    pub fn body_for(&self, protocol: Protocol, request_id: &str) -> Vec<u8> {
        match protocol {
            Protocol::OpenAiChat | Protocol::OpenAiResponses => self.body(),
            Protocol::AnthropicMessages | Protocol::GeminiGenerate => {
                let error = UpstreamError {
                    message: self.message.clone(),
                    code: Some(self.code.as_str().to_owned()),
                    param: self.param.clone(),
                    status: Some(self.status),
                    retry_after_ms: self.retry_after_s.map(|seconds| seconds.saturating_mul(1000)),
                    ..UpstreamError::default()
                };
                (protocol.dialect().write_error)(&error, self.status_for(protocol), request_id)
            }
        }
    }

    /// The body in OpenAI's shape: `{"error":{message,type,param,code}}`.
    pub fn body(&self) -> Vec<u8> {
        openai_error(&self.message, self.status, self.param.as_deref(), self.code.as_str())
    }
}

/// An error object in OpenAI's shape.
pub fn openai_error(message: &str, status: u16, param: Option<&str>, code: &str) -> Vec<u8> {
    json!({"error": {"message": message, "type": Code::openai_type(status), "param": param, "code": code}})
        .to_string()
        .into_bytes()
}

impl axum::response::IntoResponse for ClientError {
    fn into_response(self) -> axum::response::Response {
        let mut response = axum::response::Response::builder()
            .status(self.status_for(self.protocol))
            .header("content-type", "application/json")
            .header("cache-control", "no-store");
        if let Some(seconds) = self.retry_after_s {
            response = response.header("retry-after", seconds);
        }
        if let Some(allow) = self.allow {
            response = response.header("allow", allow);
        }
        if self.status == 401 {
            response = response.header("www-authenticate", "Bearer");
        }
        if let Some(model) = &self.replacement {
            response = response.header("x-qingwave-replacement", &**model);
        }
        response.body(self.body_for(self.protocol, "").into()).expect("status and headers are valid")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn codes_are_all_there_and_distinct() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        // A code that is added to the enum but not to ALL fails here, in the number of the match's arms.
        assert_eq!(Code::ALL.last().map(|code| *code as usize + 1), Some(Code::ALL.len()));
    }

    #[test]
    fn the_document_has_every_code_with_its_status() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
        let document = std::fs::read_to_string(path).unwrap();
        let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
        for code in Code::ALL {
            let row = format!("| `{}` | {}", code.as_str(), code.status());
            assert_eq!(rows.iter().filter(|line| line.starts_with(&row)).count(), 1, "docs/errors.md lacks {row}");
        }
        assert_eq!(rows.len(), Code::ALL.len(), "docs/errors.md names a code that is not there");
    }

    #[test]
    fn an_error_has_openais_shape() {
        let error = ClientError::new(Code::RateLimited, "slow down").param("model").retry_after(7);
        let body: serde_json::Value = serde_json::from_slice(&error.body()).unwrap();
        let expected = json!({"error": {
            "message": "slow down", "type": "rate_limit_exceeded", "param": "model", "code": "rate_limited",
        }});
        assert_eq!(body, expected);
        let response = error.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "7");
    }

    #[test]
    fn every_code_makes_a_valid_answer() {
        for code in Code::ALL {
            let response = ClientError::new(code, "x").allow("GET").into_response();
            assert_eq!(response.status().as_u16(), code.status());
            assert_eq!(response.headers().contains_key("www-authenticate"), code.status() == 401);
        }
    }
}
