//! Double entry, wallets, holds, journal, store, keys. Must never know HTTP.

mod admin;
mod codec;
mod core;
mod hold;
mod journal;
mod keys;
#[expect(clippy::module_inception, reason = "the open ledger is what the module is named after")]
mod ledger;
mod lock;
mod recover;
mod store;
mod types;
mod usage;
mod wallet;
mod writer;

#[cfg(test)]
mod tests;

pub use hold::{Hold, Settled};
pub use ledger::Ledger;
pub use types::*;
pub use usage::{CustomerRecord, OperatorRecord, UsageRecord};

/// Unix ms.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
