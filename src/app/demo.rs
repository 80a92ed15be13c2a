//! `qingwave demo`: the whole product on the built-in upstream, with a funded account and a key, no provider key needed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use include_dir::{Dir, include_dir};
use secrecy::ExposeSecret;

use super::cli::DemoArgs;
use super::gateway::{self, Running, Setup};
use super::{runtime, secrets};
use crate::config::Config;
use crate::demo::Demo;
use crate::ledger::{Ledger, NewKey};
use crate::pricing::Amount;
use crate::telemetry::logs;

/// The catalog as shipped, so that the binary alone is enough.
static CATALOG: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalog");
const ACCOUNT: &str = "acc-demo";

/// What `--json` prints, in this order.
#[derive(serde::Serialize)]
struct Line<'a> {
    base_url: &'a str,
    api_key: &'a str,
    admin_url: &'a str,
    admin_key: &'a str,
}

/// A folder that is removed when the demo ends.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(folder) = &self.0
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            eprintln!("qingwave: {} could not be removed: {error}", folder.display());
        }
    }
}

/// Runs until a signal stops it.
pub fn run(args: DemoArgs) -> ExitCode {
    logs::start(&args.log_level, false);
    match try_run(args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("qingwave: {message}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(args: DemoArgs) -> Result<ExitCode, String> {
    let (data_dir, _temporary) = data_dir(&args)?;
    let catalog_dir = data_dir.join("catalog");
    write_catalog(&catalog_dir)?;
    let runtime = runtime::build().map_err(|e| format!("the runtime does not start: {e}"))?;
    let (running, api_key) = runtime.block_on(start(&args, data_dir, catalog_dir))?;
    announce(&args, &running, &api_key);
    let outcome = runtime.block_on(runtime::until_stopped(running));
    Ok(runtime::end(runtime, outcome))
}

fn data_dir(args: &DemoArgs) -> Result<(PathBuf, Temporary), String> {
    if let Some(folder) = &args.data {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        return Ok((folder.clone(), Temporary(None)));
    }
    let folder = std::env::temp_dir().join(format!("qingwave-demo-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok((folder.clone(), Temporary(Some(folder))))
}

/// Lays the shipped catalog out, so that it can be edited while the demo runs. An edited one is left alone.
fn write_catalog(folder: &Path) -> Result<(), String> {
    if folder.exists() {
        return Ok(());
    }
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    // Whole or not at all: a demo that is killed here leaves no half of a catalog.
    let beside = folder.with_extension("new");
    std::fs::create_dir_all(&beside).map_err(failed)?;
    CATALOG.extract(&beside).and_then(|()| std::fs::rename(&beside, folder)).map_err(failed)
}

async fn start(args: &DemoArgs, data_dir: PathBuf, catalog_dir: PathBuf) -> Result<(Running, String), String> {
    let demo = Demo::start(args.seed.unwrap_or_default())
        .await
        .map_err(|e| format!("the built-in upstream does not start: {e}"))?;
    let mut config = Config::defaults();
    config.listen = args.listen;
    config.admin_listen = args.admin_listen;
    config.data_dir = data_dir.clone();
    config.catalog_dir = catalog_dir;
    config.overlay_dir = args.overlay.clone();
    config.ledger.policy = args.policy.into();
    let running =
        gateway::start(Setup { config, demo: Some(demo), seed: args.seed }).await.map_err(|e| e.to_string())?;
    let ledger = running.state.ledger.clone();
    let (fund, seed) = (args.fund, args.seed);
    let key = tokio::task::spawn_blocking(move || customer(&ledger, &data_dir, fund, seed)).await;
    let key = key.map_err(|e| e.to_string()).flatten()?;
    Ok((running, key))
}

/// The demo's account and key: made at the first start, found again at the next.
fn customer(ledger: &Ledger, data_dir: &Path, fund: Amount, seed: Option<u64>) -> Result<String, String> {
    let known = ledger.accounts().map_err(|e| e.to_string())?.iter().any(|account| &*account.id == ACCOUNT);
    if !known {
        ledger.create_account(Some(ACCOUNT), "demo").map_err(|e| e.to_string())?;
        ledger.fund(ACCOUNT, fund, "demo").map_err(|e| e.to_string())?;
    }
    let make = || {
        let new = NewKey { account: ACCOUNT.to_owned(), name: "demo".to_owned(), ..NewKey::default() };
        let created = match seed {
            Some(seed) => ledger.create_key_with_secret(new, seeded_secret(seed)),
            None => ledger.create_key(new),
        };
        created.map(|key| key.secret.expose_secret().to_owned()).map_err(|e| e.to_string())
    };
    secrets::keep(&data_dir.join("demo.key"), make).map(|key| key.expose_secret().to_owned())
}

/// The same key for the same seed. Not a secret: for demonstrations and tests alone.
fn seeded_secret(seed: u64) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(seed.to_le_bytes()).into()
}

fn announce(args: &DemoArgs, running: &Running, api_key: &str) {
    let base_url = format!("http://{}", running.address);
    let admin_url = format!("http://{}", running.admin_address);
    let admin_key = gateway::shown(&running.state.admin_key);
    if args.json {
        let line = Line { base_url: &base_url, api_key, admin_url: &admin_url, admin_key: &admin_key };
        println!("{}", serde_json::to_string(&line).expect("texts are JSON"));
        return;
    }
    println!(
        "qingwave demo is running: every model answers from the built-in upstream, no provider key needed.

  address    {base_url}/v1
  API key    {api_key}
  balance    {} USD
  admin      {admin_url}   (key {admin_key})

Try it:

  curl {base_url}/v1/chat/completions -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \\
    -d '{{\"model\":\"demo\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'

  curl -N {base_url}/v1/chat/completions -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \\
    -d '{{\"model\":\"gpt-4o\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'

  curl {base_url}/v1/usage -H 'Authorization: Bearer {api_key}'

Ctrl-C stops it.",
        running.state.ledger.wallet(ACCOUNT).map_or_else(|e| e.to_string(), |wallet| wallet.available.to_string())
    );
}
