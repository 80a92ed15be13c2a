//! Qingwave, an AI model gateway on Pingora. `ARCHITECTURE.md` explains the house; `tests/layers.rs` proves it.
//!
//! A pure core (`wire`, `pricing`, `catalog`, `routing`) decides; a thin shell around it does.

pub mod api;
pub mod app;
pub mod catalog;
pub mod config;
pub mod demo;
pub mod egress;
pub mod ledger;
pub mod pricing;
pub mod proxy;
pub mod routing;
pub mod telemetry;
pub mod wire;
