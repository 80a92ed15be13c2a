//! The gateway beside a bare Pingora pass-through and nginx, on the same load in one run. `docs/performance.md` explains it.
//!
//! One executable plays every part that is ours (load, upstream, bare Pingora), so that all share profile and allocator.

mod bare;
mod load;
mod process;
mod report;
mod rounds;
mod target;
mod workload;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The demo upstream: prints its address and serves until stdin ends.
    Upstream,
    /// Bare Pingora between `--listen` and `--upstream`.
    Bare,
}

/// Compares the gateway with bare Pingora and nginx: medians over interleaved rounds, ratios per round.
#[derive(Parser)]
pub struct Options {
    /// Rounds; each runs every workload on every target.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds measured per workload, target and round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of load before they begin.
    #[arg(long, default_value_t = 0.7)]
    warmup: f64,
    /// Workloads, separated by commas: whole, body80k, body1m, stream, paced, idle, burst; translated ones by client, upstream
    /// and shape (chat-messages-whole, messages-chat-stream, chat-gemini-image ...); `native` and `translated` for all of a kind.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Targets, separated by commas: gateway, bare, nginx, direct. Those that cannot start are left out, and said so.
    #[arg(long, value_delimiter = ',', default_value = "gateway,bare,nginx,direct")]
    targets: Vec<String>,
    /// The gateway's binary.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_qingwave"))]
    gateway: PathBuf,
    /// Core of the target; load and upstream run on the other one.
    #[arg(long, default_value_t = 0)]
    target_core: usize,
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Streams held open by the workload `idle`.
    #[arg(long, default_value_t = 2000)]
    idle_streams: usize,
    /// Streams at once in the workload `burst`.
    #[arg(long, default_value_t = 1000)]
    burst_streams: usize,
    /// Prints one JSON object on stdout in place of the tables.
    #[arg(long)]
    json: bool,
    /// Exit code 1 when a limit of the project is exceeded or a call failed.
    #[arg(long)]
    check: bool,
    #[arg(long, hide = true)]
    role: Option<Role>,
    #[arg(long, hide = true)]
    listen: Option<SocketAddr>,
    #[arg(long, hide = true)]
    upstream: Option<SocketAddr>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    match options.role {
        Some(Role::Upstream) => target::serve_upstream(),
        Some(Role::Bare) => {
            let need =
                |address: Option<SocketAddr>| address.ok_or(io::Error::other("--listen and --upstream are needed"));
            bare::serve(need(options.listen)?, need(options.upstream)?)
        }
        None => {
            let report = rounds::run(&options)?;
            if options.json {
                println!("{}", report.json())
            } else {
                print!("{report}")
            }
            if options.check && !report.holds() {
                std::process::exit(1);
            }
            Ok(())
        }
    }
}
