//! Structured logs on stderr. Keys and prompts are never given to them; see `SECURITY` in `ARCHITECTURE.md`.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

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
        registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
    };
    drop(started);
    // Filters look at a record that has been made: Pingora formats headers, keys included, for levels that nobody may see.
    tracing_log::log::set_max_level(tracing_log::log::LevelFilter::Error);
}
