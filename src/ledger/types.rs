//! The words that callers of the ledger use: options, principals, refusals, queries and views. Must never know storage.

use std::path::PathBuf;
use std::sync::Arc;

use super::UsageRecord;
use crate::pricing::Amount;

/// Identity of a call: a UUID v7, shown as `call-` and 32 hex digits. It is the `x-request-id` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub uuid::Uuid);

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "call-{}", self.0.simple())
    }
}

impl CallId {
    /// Unix ms in a UUID v7; 0 in any other.
    pub fn created_at_ms(self) -> i64 {
        let Some((seconds, nanos)) = self.0.get_timestamp().map(|at| at.to_unix()) else { return 0 };
        i64::try_from(seconds).unwrap_or(0).saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000))
    }

    /// Reads what `Display` shows.
    pub fn parse(text: &str) -> Option<CallId> {
        let digits = text.strip_prefix("call-").filter(|digits| digits.len() == 32)?;
        uuid::Uuid::try_parse(digits).ok().map(CallId)
    }
}

/// What to do when a wallet does not cover the worst case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Clamp,
    Strict,
}

impl Policy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Policy::Clamp => "clamp",
            Policy::Strict => "strict",
        }
    }

    pub fn parse(name: &str) -> Option<Policy> {
        [Policy::Clamp, Policy::Strict].into_iter().find(|policy| policy.as_str() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A settlement survives `kill -9`: the terminal bytes wait for the kernel to have it.
    Process,
    /// It survives a power cut: they wait for the disk.
    Power,
}

#[derive(Clone)]
pub struct Options {
    pub data_dir: PathBuf,
    pub durability: Durability,
    pub policy: Policy,
    /// HMAC pepper of the keys. `None`: a random one, made once and kept in the data directory (mode 0600).
    pub pepper: Option<Vec<u8>>,
    /// Written into the lock file, so that a command finds the running gateway.
    pub admin_url: Option<String>,
    /// Most bytes of the journal that are not in the store; beyond, new calls are refused.
    pub journal_bytes_max: u64,
}

impl std::fmt::Debug for Options {
    /// Without the pepper.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("data_dir", &self.data_dir)
            .field("durability", &self.durability)
            .field("policy", &self.policy)
            .field("admin_url", &self.admin_url)
            .field("journal_bytes_max", &self.journal_bytes_max)
            .finish_non_exhaustive()
    }
}

/// Who calls: what a key resolves to. Cheap to clone behind its `Arc`.
#[derive(Debug)]
pub struct Principal {
    pub account: Arc<str>,
    /// `key-…`, never the secret.
    pub key_id: Arc<str>,
    pub policy: Policy,
    /// Models that the key may call; `None` = all.
    pub models: Option<Vec<Arc<str>>>,
    /// A call whose parameters cannot all be said to its upstream is refused, not translated with losses.
    pub strict_parameters: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// Not shaped like a key of ours, or unknown.
    Invalid,
    Revoked,
    Expired,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldRefused {
    /// The wallet does not cover it.
    Short { available: Amount },
    /// The ledger takes no new calls (journal full, disk failed, closing).
    NotAdmitting { reason: &'static str, retry_after_s: u64 },
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// A leg of a charge: from which tier and grant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Source {
    pub tier: &'static str,
    pub grant: Arc<str>,
    pub amount: Amount,
}

/// What is asked of the list of calls. Times are Unix ms, `from` inclusive, `to` exclusive.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// `None` = all accounts: operators only.
    pub account: Option<Arc<str>>,
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    pub model: Option<String>,
    pub key: Option<String>,
    pub status: Option<u16>,
    pub cursor: Option<String>,
    pub limit: usize,
}

#[derive(Debug, Clone)]
pub struct UsagePage {
    /// Newest first.
    pub data: Vec<UsageRecord>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct WalletTier {
    pub tier: &'static str,
    pub grant: Arc<str>,
    pub amount: Amount,
    pub expires_at: Option<i64>,
}

/// The API sub-wallet of an account. `available` = `posted` − `pending`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct WalletView {
    pub account: Arc<str>,
    pub posted: Amount,
    pub pending: Amount,
    pub available: Amount,
    pub tiers: Vec<WalletTier>,
}

#[derive(Debug, Clone, Default)]
pub struct NewKey {
    pub account: String,
    pub name: String,
    pub models: Option<Vec<String>>,
    pub policy: Option<Policy>,
    pub strict_parameters: bool,
    pub expires_at_ms: Option<i64>,
}

/// A key as it is listed: without its secret.
#[derive(Debug, Clone, serde::Serialize)]
pub struct KeyView {
    pub id: Arc<str>,
    pub account: Arc<str>,
    pub name: String,
    /// `sk-qw-…abcd`
    pub hint: String,
    pub models: Option<Vec<Arc<str>>>,
    /// `clamp` or `strict`
    pub policy: &'static str,
    pub strict_parameters: bool,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

/// A key just made: the only time its secret is shown.
pub struct CreatedKey {
    pub view: KeyView,
    pub secret: secrecy::SecretString,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct AccountView {
    pub id: Arc<str>,
    pub name: String,
    pub created_at: i64,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct VerifyReport {
    pub ok: bool,
    pub calls: u64,
    pub transfers: u64,
    pub accounts: u64,
    /// Charges of usage rows, recomputed from their meters and price rows, and compared.
    pub recomputed: u64,
    /// Each a sentence that names account, day and amounts.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    pub journal_lag_seconds: f64,
    pub journal_bytes: u64,
    pub journal_queue: u64,
    pub open_holds: u64,
    pub dropped_holds: u64,
    /// Refused calls that were not recorded, because no calls were admitted.
    pub skipped_notes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process owns this data directory; its admin address, when the lock file tells it.
    #[error("data directory {} is in use by process {pid}", path.display())]
    Locked { path: PathBuf, pid: u32, admin_url: Option<String> },
    #[error("{0}")]
    NotFound(String),
    /// The caller can fix it.
    #[error("{0}")]
    Invalid(String),
    /// The store or disk failed.
    #[error("{0}")]
    Store(String),
}
