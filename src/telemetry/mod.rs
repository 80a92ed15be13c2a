//! Metrics and logs. Must never know requests' contents: labels come from the catalog alone.

pub mod logs;
pub mod metrics;

pub use metrics::{CallFacts, Metrics};
