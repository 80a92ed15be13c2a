//! The `qingwave` command: what it can be asked, and where each question goes. Must never decide about money itself.

mod admin_client;
mod books;
mod catalog;
mod check;
mod money;
mod print;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api;
use crate::config::{self, Config};
use crate::ledger::Policy;
use crate::pricing::Amount;

/// The command worked, but what it checked is wrong, or it could not do what it was asked.
pub const FAILED: u8 = 1;
/// The command line is wrong; clap uses the same.
pub const USAGE: u8 = 2;
/// The configuration or the catalog is wrong (`EX_CONFIG`).
pub const BAD_CONFIGURATION: u8 = 78;

/// An AI model gateway: one endpoint, one key, every model, every call priced and provable.
#[derive(Debug, Parser)]
#[command(name = "qingwave", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole product with a built-in upstream: no provider key, no configuration
    Demo(DemoArgs),
    /// Run the gateway
    Serve(ServeArgs),
    /// Say everything that is wrong with a configuration and its catalog
    Check(CheckArgs),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Create and list accounts
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Show and fund the wallet of an account
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Verify and export the double-entry ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Look at the catalog's files, or have the running gateway read them again
    #[command(subcommand)]
    Catalog(CatalogCommand),
}

#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Address of model calls and the public API; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of metrics, health and the admin API; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9090")]
    pub admin_listen: SocketAddr,
    /// Keep the store here [default: a temporary folder, removed at exit]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Files that are applied over the shipped catalog
    #[arg(long, value_name = "DIR")]
    pub overlay: Option<PathBuf>,
    /// Fix ids and random faults
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print one JSON line on stdout once both listeners accept
    #[arg(long)]
    pub json: bool,
    /// What happens when the wallet does not cover a call's worst case
    #[arg(long, default_value = "clamp")]
    pub policy: PolicyArg,
    /// What the demo account starts with, in USD
    #[arg(long, value_name = "USD", default_value = "10", value_parser = amount)]
    pub fund: Amount,
    /// off, error, warn, info, debug, trace, or directives
    #[arg(long, default_value = "warn")]
    pub log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyArg {
    Clamp,
    Strict,
}

impl From<PolicyArg> for config::Policy {
    fn from(policy: PolicyArg) -> config::Policy {
        match policy {
            PolicyArg::Clamp => config::Policy::Clamp,
            PolicyArg::Strict => config::Policy::Strict,
        }
    }
}

impl From<PolicyArg> for Policy {
    fn from(policy: PolicyArg) -> Policy {
        match policy {
            PolicyArg::Clamp => Policy::Clamp,
            PolicyArg::Strict => Policy::Strict,
        }
    }
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration file
    #[arg(short = 'c', long, value_name = "FILE")]
    config: PathBuf,
    /// Take over from the running gateway without closing its listeners (refused: not whole yet)
    #[arg(long)]
    upgrade: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration file
    #[arg(short = 'c', long, value_name = "FILE")]
    config: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Whose books: those of a configuration, or those in a data directory.
#[derive(Debug, Clone, Args)]
struct Place {
    /// The configuration file [default: none, every key has its default]
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Create a key; it is shown this once
    Create {
        /// The account that the key spends from
        #[arg(long, value_name = "ID")]
        account: String,
        /// What you call it
        #[arg(long, default_value = "")]
        name: String,
        /// A model that the key may call; repeat for more [default: all]
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// What happens when the wallet does not cover a call's worst case [default: the configuration's]
        #[arg(long)]
        policy: Option<PolicyArg>,
        /// Refuse calls whose parameters cannot all be said to their upstream, in place of dropping some
        #[arg(long)]
        strict_parameters: bool,
        /// When it ends: RFC 3339 or Unix milliseconds [default: never]
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires: Option<i64>,
        #[command(flatten)]
        place: Place,
    },
    /// List keys, without their secrets
    List {
        /// Only this account's
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a key; in force within a second
    Revoke {
        /// The key's id, key-…
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
enum AccountsCommand {
    /// Create an account
    Create {
        /// Its id [default: one is made]
        #[arg(long)]
        id: Option<String>,
        /// What you call it
        #[arg(long)]
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// List accounts
    List {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
enum WalletCommand {
    /// Show what an account has
    Show {
        /// The account's id
        account: String,
        #[command(flatten)]
        place: Place,
    },
    /// Give an account credits
    Fund {
        /// The account's id
        account: String,
        /// How much, in USD, e.g. 25 or 2.50
        #[arg(value_name = "USD", value_parser = amount)]
        amount: Amount,
        /// Repeat with the same key and it happens once [default: one is made, each time another]
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Recompute every balance and charge, and say what does not agree
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// Write transfers and their legs as CSV
    Export {
        /// The file to write [default: stdout]
        #[arg(short = 'o', long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
enum CatalogCommand {
    /// List models, their channels and prices
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show a model by id or alias
    Show {
        /// The model's id or alias
        model: String,
        #[command(flatten)]
        place: Place,
    },
    /// Say everything that is wrong with the catalog
    Lint {
        #[command(flatten)]
        place: Place,
    },
    /// Have the running gateway read the catalog again
    Reload {
        /// Apply also what needs to be confirmed: a price change of more than 10x, the loss of many models
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: Place,
    },
}

/// Why a command did not do what it was asked. The text is for stderr.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Failed(String),
    Usage(String),
    /// Already shown in full, with places.
    BadConfiguration(String),
}

impl Failure {
    fn failed(problem: impl Into<String>) -> Failure {
        Failure::Failed(problem.into())
    }

    fn report(&self) -> ExitCode {
        match self {
            Failure::Failed(problem) => {
                eprintln!("qingwave: {problem}");
                ExitCode::from(FAILED)
            }
            Failure::Usage(problem) => {
                eprintln!("qingwave: {problem}");
                ExitCode::from(USAGE)
            }
            Failure::BadConfiguration(problem) => {
                eprint!("{problem}");
                ExitCode::from(BAD_CONFIGURATION)
            }
        }
    }
}

/// Runs the command of this process' arguments.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(args) => super::demo::run(args),
        Command::Serve(args) => match serve(&args) {
            Ok(config) => super::serve::run(config),
            Err(failure) => failure.report(),
        },
        Command::Check(args) => done(check::run(&args.config, args.json)),
        Command::Keys(command) => done(money::keys(command)),
        Command::Accounts(command) => done(money::accounts(command)),
        Command::Wallet(command) => done(money::wallet(command)),
        Command::Ledger(command) => done(money::ledger(command)),
        Command::Catalog(command) => done(catalog::run(command)),
    }
}

fn done(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn serve(args: &ServeArgs) -> Result<Config, Failure> {
    if args.upgrade {
        return Err(Failure::failed(
            "serve --upgrade is refused: the hand-over of open holds from one process to the next is not whole, and two \
             owners could charge a call twice; stop the running gateway (it lets its calls finish), then start this one",
        ));
    }
    read_config(&args.config)
}

/// Reads and validates a configuration file.
fn read_config(path: &Path) -> Result<Config, Failure> {
    let text = read_text(path)?;
    Config::read(path, &text, &config::resolve).map_err(|refused| {
        let count = print::count(refused.problems, "problem");
        Failure::BadConfiguration(format!("{}{}: {count}\n", refused.rendered, path.display()))
    })
}

/// A configuration's text, within its bound.
fn read_text(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        Failure::BadConfiguration(format!("qingwave: {} cannot be read: {error}\n", path.display()))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(config::TEXT_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

impl Place {
    /// The configuration that a command works with.
    fn config(&self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            Some(path) => read_config(path)?,
            None => Config::defaults(),
        };
        if let Some(data) = &self.data {
            config.data_dir = data.clone();
        }
        Ok(config)
    }
}

fn amount(text: &str) -> Result<Amount, String> {
    match Amount::parse(text) {
        Ok(amount) if amount.is_zero() => Err("expected more than nothing".to_owned()),
        other => other.map_err(|problem| problem.to_string()),
    }
}

fn time(text: &str) -> Result<i64, String> {
    api::parse_time(text).ok_or_else(|| "expected an RFC 3339 time or Unix milliseconds".to_owned())
}

#[cfg(test)]
mod tests;
