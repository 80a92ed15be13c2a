//! Keys, accounts and the ledger, wherever they are: the store itself, or the gateway that owns it.
//!
//! Both answer in the JSON of the admin API, so a command prints one way.

use std::io::Write;

use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};

use super::Failure;
use super::admin_client::{AdminClient, admin_key};
use crate::config::{Config, Durability, Policy};
use crate::ledger::{self, Ledger, LedgerError, NewKey};
use crate::pricing::Amount;

pub enum Books {
    Store(Ledger),
    Gateway(AdminClient),
}

/// Whether a command may make a store that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    Make,
    Refuse,
}

impl Books {
    pub fn open(config: &Config, absent: Absent) -> Result<Books, Failure> {
        if absent == Absent::Refuse && !config.data_dir.is_dir() {
            let dir = config.data_dir.display();
            return Err(Failure::failed(format!(
                "data directory {dir} does not exist: name it with --data or -c, or create an account first"
            )));
        }
        match Ledger::open(options(config)) {
            Ok(ledger) => Ok(Books::Store(ledger)),
            Err(LedgerError::Locked { admin_url: Some(url), .. }) => {
                Ok(Books::Gateway(AdminClient::new(&url, admin_key(config)?)?))
            }
            Err(error @ LedgerError::Locked { .. }) => {
                Err(Failure::failed(format!("{error}, which has no admin API: wait for it to end")))
            }
            Err(error) => Err(Failure::failed(error.to_string())),
        }
    }

    /// Does something with the books, and lets the store go whatever comes of it.
    pub fn with<T>(
        config: &Config,
        absent: Absent,
        work: impl FnOnce(&Books) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let books = Books::open(config, absent)?;
        let result = work(&books);
        if let Books::Store(ledger) = &books {
            ledger.close();
        }
        result
    }

    pub fn create_key(&self, key: NewKey) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => {
                let created = ledger.create_key(key).map_err(told)?;
                let mut view = shown(&created.view)?;
                view["key"] = json!(created.secret.expose_secret());
                Ok(view)
            }
            Books::Gateway(admin) => {
                let policy = key.policy.map(policy_name);
                let body = json!({
                    "account": key.account, "name": key.name, "models": key.models, "policy": policy,
                    "strict_parameters": key.strict_parameters, "expires_at": key.expires_at_ms,
                });
                admin.ask(Method::POST, "/admin/keys", Some(&body))
            }
        }
    }

    pub fn keys(&self, account: Option<&str>) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => Ok(json!({"data": shown(&ledger.keys(account).map_err(told)?)?})),
            Books::Gateway(admin) => {
                let filter = account.map(|id| format!("?account={}", encoded(id))).unwrap_or_default();
                admin.ask(Method::GET, &format!("/admin/keys{filter}"), None)
            }
        }
    }

    pub fn revoke_key(&self, id: &str) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => shown(&ledger.revoke_key(id).map_err(told)?),
            Books::Gateway(admin) => admin.ask(Method::DELETE, &format!("/admin/keys/{}", encoded(id)), None),
        }
    }

    pub fn create_account(&self, id: Option<&str>, name: &str) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => shown(&ledger.create_account(id, name).map_err(told)?),
            Books::Gateway(admin) => admin.ask(Method::POST, "/admin/accounts", Some(&json!({"id": id, "name": name}))),
        }
    }

    pub fn accounts(&self) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => Ok(json!({"data": shown(&ledger.accounts().map_err(told)?)?})),
            Books::Gateway(admin) => admin.ask(Method::GET, "/admin/accounts", None),
        }
    }

    pub fn wallet(&self, account: &str) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => shown(&ledger.wallet(account).map_err(told)?),
            Books::Gateway(admin) => {
                admin.ask(Method::GET, &format!("/admin/accounts/{}/wallet", encoded(account)), None)
            }
        }
    }

    pub fn fund(&self, account: &str, amount: Amount, idempotency_key: &str) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => shown(&ledger.fund(account, amount, idempotency_key).map_err(told)?),
            Books::Gateway(admin) => {
                let body = json!({"amount": amount, "idempotency_key": idempotency_key});
                admin.ask(Method::POST, &format!("/admin/accounts/{}/fund", encoded(account)), Some(&body))
            }
        }
    }

    pub fn verify(&self) -> Result<Value, Failure> {
        match self {
            Books::Store(ledger) => shown(&ledger.verify().map_err(told)?),
            Books::Gateway(admin) => admin.ask(Method::GET, "/admin/ledger/verify", None),
        }
    }

    pub fn export(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Books::Store(ledger) => ledger.export(out).map(drop).map_err(told),
            Books::Gateway(admin) => admin.copy("/admin/ledger/export", out),
        }
    }
}

/// The ledger's options of a configuration. A command has no admin API, so `admin_url` is none.
fn options(config: &Config) -> ledger::Options {
    ledger::Options {
        data_dir: config.data_dir.clone(),
        durability: match config.ledger.durability {
            Durability::Process => ledger::Durability::Process,
            Durability::Power => ledger::Durability::Power,
        },
        policy: match config.ledger.policy {
            Policy::Clamp => ledger::Policy::Clamp,
            Policy::Strict => ledger::Policy::Strict,
        },
        pepper: config.secrets.pepper.as_ref().map(|pepper| pepper.expose_secret().as_bytes().to_vec()),
        admin_url: None,
        journal_bytes_max: config.ledger.journal_bytes_max,
    }
}

const fn policy_name(policy: ledger::Policy) -> &'static str {
    match policy {
        ledger::Policy::Clamp => "clamp",
        ledger::Policy::Strict => "strict",
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(error: LedgerError) -> Failure {
    Failure::failed(error.to_string())
}

fn shown(view: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(view).map_err(|error| Failure::failed(format!("cannot be shown: {error}")))
}

/// A text as one segment of a path or one value of a query.
pub fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
