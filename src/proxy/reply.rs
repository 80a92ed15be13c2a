//! What the client is told when its call failed: ours, or the upstream's own words.

use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::attempt::Failure;
use crate::api::error::{ClientError, Code};
use crate::wire::Protocol;
use crate::wire::ir::UpstreamError;
use crate::wire::json::{LoneSurrogates, Value};
use crate::wire::openai_chat::redact;

/// The status of a call whose client left, in records and metrics. Never sent.
pub const CLIENT_LEFT: u16 = 499;

/// A complete answer that is an error.
pub struct Reply {
    pub status: u16,
    pub code: &'static str,
    pub body: Bytes,
    pub retry_after: Option<HeaderValue>,
    pub allow: Option<&'static str>,
    pub replacement: Option<HeaderValue>,
    /// A number in it was counted by us.
    estimated: bool,
    protocol: Protocol,
}

/// Who asked, and how far the call came: an error is told in the caller's protocol.
pub struct Asker<'a> {
    pub protocol: Protocol,
    pub request_id: &'a HeaderValue,
    /// The last upstream spoke the caller's protocol.
    pub native: bool,
    pub attempts: usize,
}

impl Asker<'_> {
    fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

impl Reply {
    fn whole(status: u16, code: &'static str, body: Vec<u8>, protocol: Protocol) -> Reply {
        Reply {
            status,
            code,
            body: body.into(),
            retry_after: None,
            allow: None,
            replacement: None,
            estimated: false,
            protocol,
        }
    }

    /// Our own error, in the shape of the caller's protocol.
    pub fn of(error: ClientError, protocol: Protocol, request_id: &HeaderValue) -> Reply {
        let body = error.body_for(protocol, request_id.to_str().unwrap_or_default());
        Reply {
            retry_after: error.retry_after_s.map(HeaderValue::from),
            allow: error.allow,
            replacement: error.replacement.as_deref().and_then(|id| HeaderValue::from_str(id).ok()),
            ..Reply::whole(error.status_for(protocol), error.code.as_str(), body, protocol)
        }
    }

    /// A count of tokens: ours, so an estimate.
    pub fn counted(body: Vec<u8>, protocol: Protocol) -> Reply {
        Reply { estimated: true, ..Reply::whole(200, "", body, protocol) }
    }

    pub fn header(&self, request_id: &HeaderValue) -> Result<ResponseHeader> {
        let mut head = ResponseHeader::build(self.status, Some(6))?;
        head.insert_header(header::CONTENT_TYPE, "application/json")?;
        head.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        head.insert_header("x-request-id", request_id.clone())?;
        if self.protocol == Protocol::AnthropicMessages {
            head.insert_header("request-id", request_id.clone())?;
        }
        if self.estimated {
            head.insert_header("x-qingwave-estimated", "input_tokens")?;
        }
        if let Some(wait) = &self.retry_after {
            head.insert_header(header::RETRY_AFTER, wait.clone())?;
        }
        if let Some(methods) = self.allow {
            head.insert_header(header::ALLOW, methods)?;
        }
        if let Some(model) = &self.replacement {
            head.insert_header("x-qingwave-replacement", model.clone())?;
        }
        Ok(head)
    }

    /// Writes the reply on a session that nothing was written to.
    pub async fn write(self, session: &mut Session, request_id: &HeaderValue) -> Result<()> {
        let head = self.header(request_id)?;
        let no_body = session.req_header().method == http::Method::HEAD;
        session.write_response_header(Box::new(head), no_body).await?;
        if no_body {
            return Ok(());
        }
        session.write_response_body(Some(self.body), true).await
    }
}

/// The answer to a call after its last attempt.
pub fn of_failure(failure: Option<&Failure>, asker: &Asker<'_>) -> Reply {
    let ours = |code, message: String| Reply::of(ClientError::new(code, message), asker.protocol, asker.request_id);
    let tried = if asker.attempts > 1 { format!(" after {} attempts", asker.attempts) } else { String::new() };
    match failure {
        None => {
            let error = ClientError::new(Code::NoHealthyChannel, "no channel could be tried; try again shortly");
            Reply::of(error.retry_after(1), asker.protocol, asker.request_id)
        }
        Some(Failure::Unsayable { error }) => Reply::of((**error).clone(), asker.protocol, asker.request_id),
        Some(Failure::Timeout { message }) => ours(
            Code::UpstreamTimeout,
            format!("the upstream was too slow{tried}: {}; try again, or another model", humane(message)),
        ),
        Some(Failure::Transport { message } | Failure::Empty { message }) => ours(
            Code::UpstreamError,
            format!("the upstream gave no answer{tried}: {}; try again, or another model", humane(message)),
        ),
        Some(Failure::InBand { error }) => {
            let named = error.status.filter(|status| (400..600).contains(status));
            theirs(error.clone(), named.unwrap_or_else(|| error.status_for(asker.protocol)), None, asker)
        }
        Some(Failure::Status { status: status @ 401..=403, body, .. }) => {
            let theirs = redact(&UpstreamError::read(Some(*status), body).message);
            let message = format!("the upstream refused our key for it (status {status}): {theirs}");
            ours(Code::UpstreamAuth, message.trim_end_matches([' ', ':']).to_owned())
        }
        Some(Failure::Status { status, headers, body }) => {
            let status = if (400..600).contains(status) { *status } else { 502 };
            let mut error = UpstreamError::read(Some(status), body);
            if error.retry_after_ms.is_none() {
                let seconds = headers.retry_after.as_ref().and_then(|wait| wait.to_str().ok()?.parse::<u64>().ok());
                error.retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1000));
            }
            let mut reply = theirs(error, status, headers.retry_after.clone(), asker);
            if asker.native && is_error_body(asker.protocol, body) {
                reply.body = as_it_came(body);
            }
            reply
        }
    }
}

/// An upstream's error in the caller's protocol, word for word but for keys and addresses.
fn theirs(mut error: UpstreamError, status: u16, retry_after: Option<HeaderValue>, asker: &Asker<'_>) -> Reply {
    error.message = redact(&error.message);
    if error.code.is_none() && error.kind.is_none() {
        // It did not say what it was: that it was the upstream's is all that is known.
        error.code = Some(Code::UpstreamError.as_str().to_owned());
    }
    let status = if asker.native { status } else { error.status_for(asker.protocol) };
    let seconds = error.retry_after_ms.map(|ms| HeaderValue::from(ms.div_ceil(1000)));
    let body = (asker.protocol.dialect().write_error)(&error, status, asker.request_id());
    Reply {
        retry_after: retry_after.or(seconds),
        ..Reply::whole(status, Code::UpstreamError.as_str(), body, asker.protocol)
    }
}

/// Whether a body is an error object of a protocol.
fn is_error_body(protocol: Protocol, body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let Ok(body) = Value::parse(text, 64, LoneSurrogates::Allowed) else { return false };
    let Some(error) = body.get("error") else { return false };
    let has = |name: &str| error.get(name).is_some_and(|value| value.as_str().is_some());
    match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => has("message"),
        Protocol::AnthropicMessages => {
            has("message") && has("type") && body.get("type").is_some_and(|t| t.as_text().as_deref() == Some("error"))
        }
        Protocol::GeminiGenerate => has("message") && has("status"),
    }
}

/// An upstream's error body of the caller's protocol.
fn as_it_came(body: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let redacted = redact(&text);
    if redacted == text { body.clone() } else { redacted.into() }
}

/// The error that ends a broken stream: the upstream's own where it gave one.
pub fn interruption(failure: &Failure) -> UpstreamError {
    if let Failure::InBand { error } = failure {
        return UpstreamError { message: redact(&error.message), ..error.clone() };
    }
    let why = match failure {
        Failure::Transport { message } | Failure::Timeout { message } | Failure::Empty { message } => humane(message),
        Failure::Status { .. } | Failure::InBand { .. } | Failure::Unsayable { .. } => {
            "the upstream reported an error".to_owned()
        }
    };
    UpstreamError {
        message: format!("the answer was interrupted: {why}; it is incomplete and not charged"),
        kind: Some("server_error".to_owned()),
        code: Some(Code::StreamInterrupted.as_str().to_owned()),
        status: Some(502),
        ..UpstreamError::default()
    }
}

/// Pingora's names of transport errors, in words.
fn humane(name: &str) -> String {
    match name {
        "ConnectRefused" => "the connection was refused".to_owned(),
        "ConnectTimedout" => "the connection could not be made in time".to_owned(),
        "ConnectError" | "ConnectNoRoute" | "SocketError" => "the connection could not be made".to_owned(),
        "TLSHandshakeFailure" | "InvalidCert" | "HandshakeError" => "the TLS handshake failed".to_owned(),
        "TLSHandshakeTimedout" => "the TLS handshake took too long".to_owned(),
        "ConnectionClosed" | "ReadError" | "WriteError" | "H2Error" | "PrematureBodyEnd" => {
            "the connection broke".to_owned()
        }
        "ReadTimedout" => "nothing came for too long".to_owned(),
        "WriteTimedout" => "it did not take the request".to_owned(),
        "FirstContentDeadline" => "no content came before the deadline".to_owned(),
        other => other.to_owned(),
    }
}
