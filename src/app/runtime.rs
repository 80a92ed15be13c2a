//! What `serve` and `demo` share: the runtime, signals, and a stop that lets calls finish.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::gateway::Running;

/// Longest wait for tasks that ignore the stop.
const RUNTIME_STOP_MAX: Duration = Duration::from_secs(1);

/// One worker per processor that this process may use.
pub fn build() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("qingwave").build()
}

/// Serves until a signal: SIGTERM or SIGINT stops gracefully, a second one at once; SIGHUP reloads.
pub async fn until_stopped(running: Running) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => running.reload(),
        }
    }
    tracing::info!(calls = running.load.calls(), "stopping: running calls may finish, a second signal cuts them");
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped at once"),
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Ends the runtime; what is left on it is cut.
pub fn end(runtime: Runtime, outcome: std::io::Result<()>) -> ExitCode {
    runtime.shutdown_timeout(RUNTIME_STOP_MAX);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "failed");
            ExitCode::FAILURE
        }
    }
}
