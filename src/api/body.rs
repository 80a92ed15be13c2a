//! The JSON bodies of admin requests: small, typed, and refused with the name of the field at fault.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::JsonRejection;
use http::Request;
use serde::de::DeserializeOwned;

use super::error::{ClientError, Code};

/// The largest admin body names a key's models.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Reads a body into a type that denies unknown fields.
pub async fn read<T: DeserializeOwned>(request: Request<Body>) -> Result<T, ClientError> {
    let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| {
        let message = format!("the body is broken off or larger than {BODY_BYTES_MAX} bytes");
        ClientError::new(Code::BodyTooLarge, message)
    })?;
    Json::<T>::from_bytes(&bytes).map(|Json(value)| value).map_err(|rejection| match rejection {
        JsonRejection::JsonDataError(error) => wrong_field(&inner(&error)),
        JsonRejection::JsonSyntaxError(error) => {
            ClientError::new(Code::InvalidRequest, format!("the body is not JSON: {}", inner(&error)))
        }
        other => ClientError::new(Code::InvalidRequest, other.body_text()),
    })
}

/// The message that names path and problem, below the extractor's own words.
fn inner(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |e| e.source()).next().map_or_else(|| error.to_string(), |e| e.to_string())
}

/// `amount: invalid type: integer 5, expected a string …`, `unknown field `x`, expected …`.
fn wrong_field(message: &str) -> ClientError {
    let quoted = || message.split('`').nth(1);
    let path = message.split_once(": ").map(|(path, _)| path).filter(|path| {
        !path.is_empty() && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'[' | b']'))
    });
    let error = ClientError::new(Code::InvalidRequest, message.replace('`', "\""));
    match path.or_else(quoted) {
        Some(param) => error.param(param.chars().take(60).collect::<String>()),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fund {
        amount: String,
        models: Option<Vec<String>>,
    }

    async fn check(body: impl Into<Body>, status: u16, param: Option<&str>, part: &str) {
        let error = read::<Fund>(Request::new(body.into())).await.unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (status, param), "{}", error.message);
        assert!(error.message.contains(part), "{}", error.message);
    }

    #[tokio::test]
    async fn the_field_at_fault_is_named() {
        check(r#"{"amount":5}"#, 400, Some("amount"), "expected a string").await;
        check(r#"{"amount":"5","amunt":1}"#, 400, Some("amunt"), "unknown field").await;
        check(r#"{}"#, 400, Some("amount"), "missing field").await;
        check(r#"{"amount":"5","amount":"6"}"#, 400, Some("amount"), "duplicate field").await;
        check(r#"{"amount":"5","models":["a",7]}"#, 400, Some("models[1]"), "expected a string").await;
        check("", 400, None, "not JSON").await;
        check("{", 400, None, "not JSON").await;
        check("[]", 400, None, "").await;
        check(vec![b' '; BODY_BYTES_MAX + 1], 413, None, "65536").await;
    }

    #[tokio::test]
    async fn a_right_body_is_read() {
        let fund: Fund = read(Request::new(Body::from(r#"{"amount":"5","models":null}"#))).await.unwrap();
        assert_eq!((fund.amount.as_str(), fund.models), ("5", None));
    }
}
