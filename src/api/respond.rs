//! What every handler answers with: JSON, the refusals of routing, and the ledger's errors as the client may see them.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri, header};
use serde::Serialize;

use super::error::{ClientError, Code};
use crate::ledger::{Ledger, LedgerError};
use crate::wire::Protocol;

pub type Answer = Result<Response, ClientError>;

/// Characters of a path or name that a message repeats.
const SHOWN_CHARS_MAX: usize = 100;
/// When the ledger could not answer, a try after this is worth it.
const LEDGER_RETRY_S: u64 = 5;

pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        ClientError::new(Code::Internal, "the answer could not be written: try again, and tell the operator")
    })?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((status, headers, Body::from(body)).into_response())
}

pub fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// Runs what touches the disk where it may block.
pub async fn blocking<T: Send + 'static>(
    ledger: &Ledger,
    work: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    let ledger = ledger.clone();
    match tokio::task::spawn_blocking(move || work(&ledger)).await {
        Ok(result) => result,
        Err(error) => Err(LedgerError::Store(format!("the ledger's work was cut off: {error}"))),
    }
}

/// The ledger's error for a customer: what they can fix word for word, the rest without its inside.
pub fn ledger_error(error: LedgerError) -> ClientError {
    match error {
        LedgerError::Invalid(message) => ClientError::new(Code::InvalidRequest, message),
        LedgerError::NotFound(message) => ClientError::new(Code::PathNotFound, message),
        error @ (LedgerError::Locked { .. } | LedgerError::Store(_)) => {
            tracing::error!(%error, "the ledger could not answer");
            let message = format!("the ledger cannot answer: try again in {LEDGER_RETRY_S} seconds");
            ClientError::new(Code::LedgerUnavailable, message).retry_after(LEDGER_RETRY_S)
        }
    }
}

/// An error in the shape of the caller's protocol.
pub fn in_protocol<T>(protocol: Protocol, result: Result<T, ClientError>) -> Result<T, ClientError> {
    result.map_err(|error| error.shaped(protocol))
}

/// What SDKs ask before they begin (Claude Code: `HEAD /api/hello`).
pub async fn hello() -> &'static str {
    "ok"
}

/// Stored responses are kept by upstreams, and ours to reach only as `previous_response_id`.
pub async fn stored_response() -> ClientError {
    let message = "responses are not stored here: send the whole conversation as input, with store: false";
    ClientError::new(Code::InvalidRequest, message)
}

pub async fn path_not_found(method: Method, uri: Uri) -> ClientError {
    let shown = shown(uri.path());
    let message =
        format!("{method} {shown} is not a path of this gateway: check the base URL, and docs/api.md for the paths");
    ClientError::new(Code::PathNotFound, message)
}

/// The router adds `Allow`.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ClientError {
    let message = format!("{method} is not possible on {}: the Allow header says what is", shown(uri.path()));
    ClientError::new(Code::OperationNotSupported, message)
}

/// A client's text as a message may repeat it.
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Unix milliseconds.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
