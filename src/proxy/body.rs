//! The body of a request: read once into one buffer, within its limits and its time. Must never know what it says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::proxy::Session;

use super::Shared;
use crate::api::error::{ClientError, Code};

/// Slowest steady upload, in bytes a second, once `body_idle_ms` has passed.
const BODY_RATE_MIN: u64 = 1 << 10;

/// Bytes counted against `bodies_bytes_total`; given back when dropped.
pub struct BodyLease {
    shared: Arc<Shared>,
    bytes: u64,
}

impl BodyLease {
    pub fn new(shared: Arc<Shared>) -> BodyLease {
        BodyLease { shared, bytes: 0 }
    }

    pub fn grow_to(&mut self, bytes: u64) -> Result<(), ClientError> {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.shared.body_bytes.fetch_add(more, Ordering::AcqRel);
        self.bytes += more;
        if before + more > self.shared.limits.bodies_bytes_total {
            let message = "too many request bodies are being served; try again shortly";
            return Err(ClientError::new(Code::ConcurrencyLimited, message).retry_after(1));
        }
        Ok(())
    }
}

impl Drop for BodyLease {
    fn drop(&mut self) {
        self.shared.body_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Reads the whole body once, into one buffer.
pub async fn read_body(shared: &Arc<Shared>, session: &mut Session) -> Result<(Bytes, BodyLease), ClientError> {
    let max = shared.limits.body_bytes_max;
    let too_large = || {
        let message = format!("the body is over {max} bytes: shorten it, or link images by URL");
        ClientError::new(Code::BodyTooLarge, message)
    };
    let headers = &session.req_header().headers;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > max) {
        return Err(too_large());
    }
    let mut lease = BodyLease::new(shared.clone());
    lease.grow_to(announced.unwrap_or(0))?;
    if headers.get(header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        session.downstream_session.write_continue_response().await.map_err(|_| broken_body())?;
    }
    let patience = Duration::from_millis(shared.limits.body_idle_ms);
    let began = Instant::now();
    let mut body = Body::default();
    loop {
        let read = session.downstream_session.read_request_body();
        let Ok(read) = tokio::time::timeout(patience, read).await else { return Err(slow_body()) };
        let Some(piece) = read.map_err(|_| broken_body())? else { break };
        if body.bytes + piece.len() as u64 > max {
            return Err(too_large());
        }
        body.push(piece, announced);
        lease.grow_to(body.bytes)?;
        let waited = began.elapsed();
        if waited > patience && body.bytes < waited.as_secs() * BODY_RATE_MIN {
            return Err(slow_body());
        }
    }
    Ok((body.into_bytes(), lease))
}

/// A body in pieces; copied only when there are several.
#[derive(Default)]
struct Body {
    only: Option<Bytes>,
    joined: BytesMut,
    bytes: u64,
}

impl Body {
    fn push(&mut self, piece: Bytes, announced: Option<u64>) {
        let first = self.bytes == 0;
        self.bytes += piece.len() as u64;
        if first {
            self.only = Some(piece);
            return;
        }
        if let Some(only) = self.only.take() {
            let expected = announced.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            self.joined.reserve(expected.max(only.len() + piece.len()));
            self.joined.extend_from_slice(&only);
        }
        self.joined.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        self.only.unwrap_or_else(|| self.joined.freeze())
    }
}

fn slow_body() -> ClientError {
    let message = "the body came too slowly: send it again over a better connection";
    ClientError::new(Code::InvalidRequest, message).status(408)
}

fn broken_body() -> ClientError {
    ClientError::new(Code::InvalidRequest, "the body ended before it was complete: send it again")
}
