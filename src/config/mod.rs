//! `qingwave.yaml` → validated `Config`, with every problem at once. Must never know the rest of the shell.

mod fields;
mod read;
mod report;
mod secret;
mod tree;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;

use crate::catalog::Problem;

pub use secret::resolve;

#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub data_dir: PathBuf,
    pub catalog_dir: PathBuf,
    pub overlay_dir: Option<PathBuf>,
    pub tls: Option<Tls>,
    pub secrets: Secrets,
    pub limits: Limits,
    pub ledger: Ledger,
    pub routing: Routing,
    pub egress: Egress,
    pub log: Log,
    pub shutdown: Shutdown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// Resolved references. `None`: made once and kept in the data directory.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    pub pepper: Option<SecretString>,
    pub admin_key: Option<SecretString>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub body_bytes_max: u64,
    pub media_body_bytes_max: u64,
    /// Bodies of all running calls together.
    pub bodies_bytes_total: u64,
    pub header_bytes_max: usize,
    pub uri_bytes_max: usize,
    pub json_depth_max: usize,
    /// From the first byte of a request to the end of its header.
    pub header_ms: u64,
    /// Longest silence while a body is read.
    pub body_idle_ms: u64,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    Process,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Clamp,
    Strict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    pub durability: Durability,
    pub policy: Policy,
    /// IANA name, e.g. `UTC`.
    pub day_zone: String,
    pub journal_bytes_max: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    pub attempts_max: usize,
    pub connect_ms: u64,
    pub first_content_ms: u64,
    pub idle_ms: u64,
    /// Reserved: accepted and checked, without effect.
    pub keepalive_after_ms: u64,
}

/// What is fetched for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Egress {
    /// URLs of clients may lead to addresses that are not public.
    pub allow_private: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    pub grace_ms: u64,
}

/// A file that cannot be used: shown with `file:line:col` and a caret under each place.
#[derive(Debug)]
pub struct Refused {
    /// Every problem, one block each, at most 50; plain text.
    pub rendered: String,
    /// How many there are, also those beyond what is rendered.
    pub problems: usize,
    /// The same as data.
    pub list: Vec<Problem>,
}

/// A megabyte of text is far more than a configuration needs; readers of files stop there.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// The defaults, as if the file were empty; paths are relative to the working directory.
    pub fn defaults() -> Config {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            data_dir: PathBuf::from("data"),
            catalog_dir: PathBuf::from("catalog"),
            overlay_dir: None,
            tls: None,
            secrets: Secrets::default(),
            limits: Limits {
                body_bytes_max: 32 << 20,
                media_body_bytes_max: 100 << 20,
                bodies_bytes_total: 1 << 30,
                header_bytes_max: 32 << 10,
                uri_bytes_max: 8 << 10,
                json_depth_max: 64,
                header_ms: 10_000,
                body_idle_ms: 60_000,
                connections_max: 20_000,
                connections_per_address_max: 4096,
            },
            ledger: Ledger {
                durability: Durability::Process,
                policy: Policy::Clamp,
                day_zone: "UTC".to_owned(),
                journal_bytes_max: 1 << 30,
            },
            routing: Routing {
                attempts_max: 4,
                connect_ms: 5_000,
                first_content_ms: 30_000,
                idle_ms: 60_000,
                keepalive_after_ms: 20_000,
            },
            egress: Egress { allow_private: false },
            log: Log { level: "info".to_owned(), format: LogFormat::Text },
            shutdown: Shutdown { grace_ms: 30_000 },
        }
    }

    /// Reads a file's text. Relative paths, the default ones too, are relative to `path`'s folder, so that a file means the
    /// same wherever the gateway is started. `resolve` turns `env:NAME` and `file:path` into values.
    pub fn read(
        path: &std::path::Path,
        text: &str,
        resolve: &dyn Fn(&str) -> Result<SecretString, String>,
    ) -> Result<Config, Refused> {
        read::read(path, text, resolve)
    }
}

/// Shows problems of a text as [`Refused`] does; for other files of the same form, such as a catalog's.
pub fn show_problem(out: &mut String, text: &str, problem: &Problem) {
    let place = tree::Place { line: problem.line.max(1), column: problem.column.max(1), width: 1 };
    report::show(out, &problem.path, text, place, &problem.message, None);
}

#[cfg(test)]
mod tests;
