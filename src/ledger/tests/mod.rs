//! What a caller of the ledger can see, and what must hold for every order of events.

mod crash;
mod forms;
mod journal;
mod lists;
mod model;
mod money;
mod operators;
mod proof;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::pricing::{Amount, Meter, PriceRow, PriceRowId, Rate};
use crate::wire::{Operation, Protocol, UsageSource};

/// Small, so that tests of the journal cross segments.
const SEGMENT_BYTES: u64 = 4096;
/// 2026-01-01 00:00 UTC.
const NEW_YEAR_MS: i64 = 1_767_225_600_000;

fn options(data_dir: &Path) -> Options {
    Options {
        data_dir: data_dir.to_owned(),
        durability: Durability::Process,
        policy: Policy::Clamp,
        pepper: Some(b"pepper".to_vec()),
        admin_url: Some("http://127.0.0.1:9090".into()),
        journal_bytes_max: 1 << 30,
    }
}

/// A ledger with account `acc` worth so many nano-USD.
struct Bench {
    dir: TempDir,
    ledger: Ledger,
    principal: Principal,
}

impl Bench {
    fn new(nano: i64) -> Bench {
        Bench::with_segments(nano, 1 << 20)
    }

    fn with_segments(nano: i64, segment_bytes: u64) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_with(options(dir.path()), segment_bytes).unwrap();
        ledger.create_account(Some("acc"), "Account").unwrap();
        if nano > 0 {
            ledger.fund("acc", Amount::from_nano(nano), "first").unwrap();
        }
        ledger.remember_price_rows("model", &[per_token()]);
        Bench { dir, ledger, principal: principal("acc") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    fn hold(&self, nano: i64) -> Result<Hold, HoldRefused> {
        self.ledger.hold(&self.principal, CallId(Uuid::now_v7()), Amount::from_nano(nano), &mut |_| None)
    }

    /// A call that holds and is charged so much.
    fn call(&self, held: i64, charge: i64) -> CallId {
        let id = CallId(Uuid::now_v7());
        let hold = self.ledger.hold(&self.principal, id, Amount::from_nano(held), &mut |_| None).unwrap();
        hold.settle(charged(&self.principal, id, charge));
        id
    }

    fn wallet(&self) -> (i64, i64) {
        let view = self.ledger.wallet("acc").unwrap();
        assert_eq!(view.available.nano(), view.posted.nano() - view.pending.nano());
        (view.posted.nano(), view.pending.nano())
    }

    fn prove(&self) -> VerifyReport {
        let report = self.ledger.verify().unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        assert!(report.ok);
        report
    }

    fn all(&self) -> Vec<UsageRecord> {
        self.ledger.usage(&UsageQuery { limit: 1000, ..UsageQuery::default() }).unwrap().data
    }
}

fn open(data_dir: &Path) -> Ledger {
    Ledger::open_with(options(data_dir), SEGMENT_BYTES).unwrap()
}

fn principal(account: &str) -> Principal {
    Principal {
        account: account.into(),
        key_id: "key-1".into(),
        policy: Policy::Strict,
        models: None,
        strict_parameters: false,
    }
}

/// One nano-USD a token.
fn per_token() -> PriceRow {
    let rate = Rate { nano_usd: 1_000_000, per: 1_000_000 };
    PriceRow { id: PriceRowId(7), meter: Meter::InputTokens, rate, when: [].into(), input_tokens_gt: None }
}

fn call_at(unix_ms: i64, random: u64) -> CallId {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&random.to_be_bytes());
    CallId(uuid::Builder::from_unix_timestamp_millis(unix_ms as u64, &bytes).into_uuid())
}

/// A record of a call with as many tokens as its charge.
fn charged(principal: &Principal, id: CallId, charge: i64) -> UsageRecord {
    let mut record = UsageRecord::new(principal, id, "model".into(), Protocol::OpenAiChat, Operation::Chat);
    record.status = 200;
    record.charge = Amount::from_nano(charge);
    record.usage.set(Meter::InputTokens, charge as u64);
    record.usage_source = Some(UsageSource::Reported);
    record.price_row_ids = vec![PriceRowId(7)];
    record.channel = Some("channel".into());
    record.provider = Some("provider".into());
    record.cost = Amount::from_nano(charge / 2);
    record
}

/// A record with something in every field.
fn full() -> UsageRecord {
    let principal = principal("acc");
    let id = call_at(NEW_YEAR_MS, 5);
    let mut record = charged(&principal, id, 1500);
    record.requested_model = "model-alias".into();
    record.stream = true;
    record.error_code = Some(Cow::Borrowed("stream_interrupted"));
    record.finish = Some(Cow::Borrowed("stop"));
    record.sources = vec![
        Source { tier: "free", grant: "20454".into(), amount: Amount::from_nano(500) },
        Source { tier: "permanent", grant: "permanent".into(), amount: Amount::from_nano(1000) },
    ];
    record.held = Amount::from_nano(2000);
    record.catalog_rev = "rev-1".into();
    record.latency_ms = 1234;
    record.first_content_ms = Some(56);
    record.attempts = 2;
    record.losses = vec![Cow::Borrowed("seed;dropped"), Cow::Borrowed("top_k;dropped")];
    record.client_request_id = Some("=HYPERLINK(\"x\")".into());
    record.upstream_request_id = Some("req_1".into());
    record
}

/// Runs SQL on the store behind the ledger's back.
fn tamper(data_dir: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(data_dir.join(store::schema::FILE_NAME)).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    conn.execute_batch(sql).unwrap();
}

fn shared(texts: &[&str]) -> Vec<Arc<str>> {
    texts.iter().map(|text| Arc::from(*text)).collect()
}
