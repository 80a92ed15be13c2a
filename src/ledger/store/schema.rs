//! The tables of the store, and how a connection to it is set up. Must never know the journal.
//!
//! Usage and transfers are one table each, not one a month: every list and rollup goes through an index that ends in the
//! time, so the size of the table is not felt, and a retention that drops months would break the chain of hashes anyway.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::failed;
use crate::ledger::LedgerError;

pub const FILE_NAME: &str = "ledger.sqlite";
/// SQLite before 3.51.3 can lose committed transactions when a WAL file is reset.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENTS_MAX: usize = 64;
/// Eight times the usual page: each is two writes to the WAL and one to the file, and a batch fills many.
const PAGE_BYTES: u32 = 32 << 10;
/// Pages in the WAL file at which a commit checkpoints.
const CHECKPOINT_PAGES: u32 = 1500;
/// Pages that the writer keeps in memory.
const CACHE_KIB: i32 = 16 << 10;
/// A WAL file is cut back to this after a checkpoint.
const WAL_BYTES_MAX: u32 = 64 << 20;

const STEPS: &[M<'static>] = &[M::up(V1), M::up(V2)];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

const V2: &str = "ALTER TABLE keys ADD COLUMN strict_parameters INTEGER NOT NULL DEFAULT 0;";

// Lists of values are written as comparisons: for `IN (…)` SQLite builds a table of its own at every insert.
const V1: &str = "
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    position INTEGER NOT NULL,
    pepper_check BLOB
) STRICT;
INSERT INTO state VALUES (1, 0, 0, NULL);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    account TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    models TEXT,
    policy TEXT CHECK (policy = 'clamp' OR policy = 'strict'),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX keys_of_account ON keys (account);

-- balance = credits - debits: liabilities and income stand above zero, assets and expenses below, all together at zero.
CREATE TABLE ledger_accounts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind = 'asset' OR kind = 'liability' OR kind = 'income' OR kind = 'expense'),
    owner TEXT,
    balance INTEGER NOT NULL DEFAULT 0,
    CHECK ((kind <> 'liability' AND kind <> 'income') OR balance >= 0),
    CHECK ((kind <> 'asset' AND kind <> 'expense') OR balance <= 0)
) STRICT;

CREATE TABLE grants (
    account TEXT NOT NULL REFERENCES accounts (id),
    tier TEXT NOT NULL CHECK (tier = 'free' OR tier = 'plan' OR tier = 'permanent'),
    id TEXT NOT NULL,
    ledger_account INTEGER NOT NULL UNIQUE REFERENCES ledger_accounts (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (account, tier, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE fundings (
    account TEXT NOT NULL REFERENCES accounts (id),
    idempotency_key TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    at INTEGER NOT NULL,
    PRIMARY KEY (account, idempotency_key)
) STRICT, WITHOUT ROWID;

-- Names that usage rows repeat: accounts, keys, models, channels, providers, catalog revisions.
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- Rows of calls and transfers name others by number without a foreign key: ten look-ups a call cost more than the rest of
-- the insert, the writer makes the numbers itself, and `ledger verify` joins them all.
CREATE TABLE usage (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    created_at INTEGER NOT NULL,
    account INTEGER NOT NULL,
    key INTEGER NOT NULL,
    model INTEGER NOT NULL,
    requested_model TEXT,
    protocol TEXT NOT NULL,
    operation TEXT NOT NULL,
    stream INTEGER NOT NULL,
    status INTEGER NOT NULL,
    error_code TEXT,
    finish TEXT,
    usage TEXT NOT NULL,
    usage_source TEXT,
    charge INTEGER NOT NULL CHECK (charge >= 0),
    held INTEGER NOT NULL,
    sources TEXT NOT NULL,
    price_row_ids TEXT NOT NULL,
    catalog_rev INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    first_content_ms INTEGER,
    attempts INTEGER NOT NULL,
    losses TEXT NOT NULL,
    client_request_id TEXT,
    channel INTEGER,
    provider INTEGER,
    cost INTEGER NOT NULL CHECK (cost >= 0),
    upstream_request_id TEXT,
    CHECK (charge <= held)
) STRICT;
CREATE INDEX usage_by_time ON usage (created_at);
CREATE INDEX usage_by_account ON usage (account, created_at);
CREATE INDEX usage_by_account_model ON usage (account, model, created_at);
CREATE INDEX usage_by_model ON usage (model, created_at);
CREATE INDEX usage_by_key ON usage (key, created_at);
CREATE INDEX usage_by_account_status ON usage (account, status, created_at) WHERE status <> 200;
CREATE INDEX usage_by_status ON usage (status, created_at) WHERE status <> 200;

-- One row per leg: an amount from one account to another, so that every row balances.
CREATE TABLE transfers (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind = 'TOPUP' OR kind = 'FUND' OR kind = 'SETTLE' OR kind = 'COST'),
    leg INTEGER NOT NULL,
    call INTEGER,
    reference TEXT,
    at INTEGER NOT NULL,
    debit INTEGER NOT NULL,
    credit INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    CHECK (debit <> credit),
    CHECK ((call IS NULL) <> (reference IS NULL))
) STRICT;

-- A writer's transaction: which rows it added, and the hash over them and the block before.
CREATE TABLE blocks (
    n INTEGER PRIMARY KEY,
    usage_last INTEGER NOT NULL,
    transfers_last INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE rollup_account_day (
    account INTEGER NOT NULL,
    day INTEGER NOT NULL,
    model INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    charge INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (account, day, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_model_day (
    day INTEGER NOT NULL,
    model INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    charge INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (day, model)
) STRICT, WITHOUT ROWID;

-- 64-bit unsigned values are kept as the signed integer of the same bits.
CREATE TABLE price_rows (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    meter TEXT NOT NULL,
    nano_usd INTEGER NOT NULL,
    per INTEGER NOT NULL,
    conditions TEXT NOT NULL,
    input_tokens_gt INTEGER
) STRICT;

CREATE TRIGGER usage_is_not_updated BEFORE UPDATE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
CREATE TRIGGER usage_is_not_deleted BEFORE DELETE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
CREATE TRIGGER transfers_are_not_updated BEFORE UPDATE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER transfers_are_not_deleted BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER blocks_are_not_updated BEFORE UPDATE ON blocks BEGIN SELECT RAISE(ABORT, 'blocks are append-only'); END;
CREATE TRIGGER blocks_are_not_deleted BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'blocks are append-only'); END;
CREATE TRIGGER price_rows_are_not_updated BEFORE UPDATE ON price_rows BEGIN SELECT RAISE(ABORT, 'price rows are append-only'); END;
CREATE TRIGGER price_rows_are_not_deleted BEFORE DELETE ON price_rows BEGIN SELECT RAISE(ABORT, 'price rows are append-only'); END;
";

/// The writer's connection, with the tables of this build.
pub fn open_writer(data_dir: &Path) -> Result<Connection, LedgerError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(LedgerError::Store(format!("SQLite {} is too old: it can lose commits", rusqlite::version())));
    }
    let mut conn = Connection::open(data_dir.join(FILE_NAME)).map_err(failed)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    // Only a new file takes it.
    conn.pragma_update(None, "page_size", PAGE_BYTES).map_err(failed)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(LedgerError::Store(format!("SQLite took journal mode {mode}, not WAL")));
    }
    conn.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    conn.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX).map_err(failed)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB).map_err(failed)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    MIGRATIONS.to_latest(&mut conn).map_err(|error| LedgerError::Store(error.to_string()))?;
    Ok(conn)
}

/// A connection that cannot change anything.
pub fn open_reader(data_dir: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(data_dir.join(FILE_NAME), flags).map_err(failed)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_has_no_wal_reset_bug() {
        assert!(rusqlite::version_number() >= SQLITE_VERSION_MIN, "{}", rusqlite::version());
    }

    #[test]
    fn migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }
}
