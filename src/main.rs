//! The `qingwave` command: parses arguments and hands over to `app`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().expect("nothing has chosen a TLS provider before main");
    qingwave::app::cli::main()
}
