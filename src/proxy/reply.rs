//! What the client is told when its call failed: ours, or the upstream's own words.

use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::attempt::Failure;
use crate::api::error::{ClientError, Code, openai_error};
use crate::wire::openai_chat;

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
}

impl From<ClientError> for Reply {
    fn from(error: ClientError) -> Reply {
        Reply {
            status: error.status,
            code: error.code.as_str(),
            body: error.body().into(),
            retry_after: error.retry_after_s.map(HeaderValue::from),
            allow: error.allow,
            replacement: error.replacement.and_then(|id| HeaderValue::from_str(&id).ok()),
        }
    }
}

impl Reply {
    pub fn header(&self, request_id: &HeaderValue) -> Result<ResponseHeader> {
        let mut head = ResponseHeader::build(self.status, Some(6))?;
        head.insert_header(header::CONTENT_TYPE, "application/json")?;
        head.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        head.insert_header("x-request-id", request_id.clone())?;
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
pub fn of_failure(failure: Option<&Failure>, attempts: usize) -> Reply {
    let tried = if attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
    match failure {
        None => ClientError::new(Code::NoHealthyChannel, "no channel could be tried; try again shortly")
            .retry_after(1)
            .into(),
        Some(Failure::Timeout { message }) => {
            let message = format!("the upstream was too slow{tried}: {}; try again, or another model", humane(message));
            ClientError::new(Code::UpstreamTimeout, message).into()
        }
        Some(Failure::Transport { message } | Failure::Empty { message }) => {
            let message =
                format!("the upstream gave no answer{tried}: {}; try again, or another model", humane(message));
            ClientError::new(Code::UpstreamError, message).into()
        }
        Some(Failure::InBand { error }) => Reply {
            status: error.status().filter(|s| (400..600).contains(s)).unwrap_or(502),
            code: Code::UpstreamError.as_str(),
            body: in_band_body(error),
            retry_after: None,
            allow: None,
            replacement: None,
        },
        Some(Failure::Status { status: status @ 401..=403, body, .. }) => {
            let theirs = openai_chat::redact(&openai_chat::error_message(body).unwrap_or_default());
            let message = format!("the upstream refused our key for it (status {status}): {theirs}");
            ClientError::new(Code::UpstreamAuth, message.trim_end_matches([' ', ':']).to_owned()).into()
        }
        Some(Failure::Status { status, headers, body }) => Reply {
            status: if (400..600).contains(status) { *status } else { 502 },
            code: Code::UpstreamError.as_str(),
            body: upstream_body(*status, body),
            retry_after: headers.retry_after.clone(),
            allow: None,
            replacement: None,
        },
    }
}

/// An upstream's error body: as it came where it is an error object of the protocol, else its message in one.
fn upstream_body(status: u16, body: &Bytes) -> Bytes {
    if openai_chat::is_error_object(body) {
        let text = String::from_utf8_lossy(body);
        let redacted = openai_chat::redact(&text);
        return if redacted == text { body.clone() } else { Bytes::from(redacted.into_bytes()) };
    }
    let message = openai_chat::error_message(body)
        .map(|text| openai_chat::redact(&text))
        .unwrap_or_else(|| format!("the upstream answered with status {status} and no message"));
    let status = if (400..600).contains(&status) { status } else { 502 };
    openai_error(&message, status, None, Code::UpstreamError.as_str()).into()
}

fn in_band_body(error: &openai_chat::InBandError) -> Bytes {
    let message = openai_chat::redact(&error.message);
    let code = error.code.clone().unwrap_or_else(|| Code::UpstreamError.as_str().to_owned());
    let kind = error.kind.clone().unwrap_or_else(|| "server_error".to_owned());
    serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string().into()
}

/// The message of the event that ends a broken stream.
pub fn interrupted_message(failure: &Failure) -> String {
    let why = match failure {
        Failure::Transport { message } | Failure::Timeout { message } | Failure::Empty { message } => humane(message),
        Failure::Status { .. } | Failure::InBand { .. } => "the upstream reported an error".to_owned(),
    };
    format!("the answer was interrupted: {why}; it is incomplete and not charged")
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
