//! Structured logs on stderr. Keys and prompts are never given to them; see `SECURITY` in `ARCHITECTURE.md`.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Only for a terminal, and not where `NO_COLOR` says no.
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Starts logging at a level (`info`, or an `EnvFilter` directive), as text or JSON lines. A second call is a no-op.
///
/// Pingora speaks through `log`; its per-attempt warnings are our records and metrics, so it starts at `error`.
pub fn start(level: &str, json: bool) {
    let directives = format!("{level},pingora_proxy=error,pingora_core=error,pingora=error,h2=error");
    let filter = EnvFilter::try_new(&directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if json {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours())).try_init()
    };
    drop(started);
    // Filters look at a record that has been made: Pingora formats headers, keys included, for levels that nobody may see.
    tracing_log::log::set_max_level(tracing_log::log::LevelFilter::Error);
}
