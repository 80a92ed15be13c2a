//! `qingwave serve`: the gateway on a configuration file.

use std::process::ExitCode;

use super::gateway::{self, Setup};
use super::runtime;
use crate::config::{Config, LogFormat};
use crate::telemetry::logs;

/// Runs until a signal stops it.
pub fn run(config: Config) -> ExitCode {
    logs::start(&config.log.level, config.log.format == LogFormat::Json);
    let runtime = match runtime::build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("qingwave: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let tls = config.tls.is_some();
    let started = runtime.block_on(gateway::start(Setup { config, demo: None, seed: None }));
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            eprintln!("qingwave: {error}");
            return ExitCode::FAILURE;
        }
    };
    let scheme = if tls { "https" } else { "http" };
    tracing::info!(listen = %format!("{scheme}://{}", running.address), admin = %format!("http://{}", running.admin_address), "ready");
    let outcome = runtime.block_on(runtime::until_stopped(running));
    runtime::end(runtime, outcome)
}
