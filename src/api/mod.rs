//! Everything answered by us: models, usage, wallet, keys, admin. Must never know sockets or pingora.

mod accounts;
mod admin;
mod body;
pub mod credentials;
pub mod error;
mod export;
mod listing;
pub mod models;
mod operations;
pub mod params;
mod respond;
mod usage;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use secrecy::SecretString;

use crate::catalog::{Catalog, Problem};
use crate::demo::Demo;
use crate::ledger::Ledger;
use crate::telemetry::Metrics;

pub use params::parse_time;

/// What the routes answer from. Built by `app`, shared with `proxy`.
pub struct State {
    pub ledger: Ledger,
    pub catalog: ArcSwap<Catalog>,
    pub metrics: Arc<Metrics>,
    /// The built-in upstream, in `qingwave demo` and in tests.
    pub demo: Option<Demo>,
    pub admin_key: SecretString,
    /// Reads the catalog's files again and swaps it in. `bool` = `force`.
    pub reload: Box<Reload>,
    /// Calls being drained: `/readyz` says 503.
    pub draining: AtomicBool,
}

pub type Reload = dyn Fn(&State, bool) -> Result<Reloaded, ReloadRefused> + Send + Sync;

/// A reload that took effect.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Reloaded {
    pub rev: Arc<str>,
    pub models: usize,
    pub channels: usize,
    /// Semantic differences, a line each: `model gpt-4o: output_tokens 10.00 → 12.00 per 1M`.
    pub changes: Vec<String>,
}

/// The last good catalog keeps serving.
#[derive(Debug, Clone)]
pub enum ReloadRefused {
    Broken(Vec<Problem>),
    /// A price change of more than 10x, or the loss of more than 20 % of the models, without force.
    NeedsForce(Vec<String>),
    Unreadable(String),
}

/// The routes of the data listener that are not model calls (`/v1/models`, `/v1/usage`, …). Unknown paths are a 404 `path_not_found`.
pub fn public_router(state: Arc<State>) -> axum::Router {
    use axum::routing::get;
    axum::Router::new()
        .route("/v1/models", get(models::list))
        // An alias holds a slash, sent raw or as %2F.
        .route("/v1/models/{*id}", get(models::show))
        .route("/v1beta/models", get(models::list))
        .route("/v1beta/models/{*id}", get(models::show))
        .route("/v1/beta/models", get(models::list))
        .route("/v1/beta/models/{*id}", get(models::show))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::show))
        .route("/api/hello", get(respond::hello))
        .route("/v1/responses/{*id}", axum::routing::any(respond::stored_response))
        .route("/v1/usage", get(usage::list))
        .route("/v1/usage.csv", get(usage::csv))
        .route("/v1/wallet", get(usage::wallet))
        .fallback(respond::path_not_found)
        .method_not_allowed_fallback(respond::method_not_allowed)
        .with_state(state)
}

/// The routes of the admin listener: `/admin/*` with the admin key; `/metrics`, `/healthz`, `/readyz` open.
pub fn admin_router(state: Arc<State>) -> axum::Router {
    admin::router(state)
}

#[cfg(test)]
mod tests;
