//! What machines ask: `/metrics`, `/healthz`, `/readyz`. Open, so they must never tell of accounts or keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use super::State;
use super::respond;
use crate::ledger::HoldRefused;
use crate::telemetry::metrics::LedgerGauges;

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn metrics(Extract(state): Extract<Arc<State>>) -> Response {
    let gauges = state.ledger.gauges();
    let text = state.metrics.render(LedgerGauges {
        journal_lag_seconds: gauges.journal_lag_seconds,
        journal_bytes: gauges.journal_bytes,
        journal_queue: gauges.journal_queue,
        open_holds: gauges.open_holds,
        dropped_holds: gauges.dropped_holds,
    });
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response()
}

/// The process answers.
pub async fn healthz() -> &'static str {
    "ok"
}

/// Whether new calls are taken: a load balancer asks this.
pub async fn readyz(Extract(state): Extract<Arc<State>>) -> Response {
    let reason = if state.draining.load(Ordering::Acquire) {
        Some(("draining", None))
    } else {
        match state.ledger.admitting() {
            Ok(()) => None,
            Err(HoldRefused::NotAdmitting { reason, retry_after_s }) => Some((reason, Some(retry_after_s))),
            Err(HoldRefused::Short { .. }) => Some(("the ledger takes no calls", None)),
        }
    };
    let Some((reason, retry_after_s)) = reason else {
        return respond::ok(&json!({"ready": true})).into_response();
    };
    let mut response =
        respond::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"ready": false, "reason": reason})).into_response();
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
