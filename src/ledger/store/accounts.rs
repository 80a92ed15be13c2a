//! Accounts, keys and money from outside: what operators change. Must never know cells in memory.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::book::{self, About, Posting};
use super::{Store, failed};
use crate::ledger::keys::Digest;
use crate::ledger::wallet::{Grant, Tier};
use crate::ledger::{AccountView, LedgerError, Policy};
use crate::pricing::Amount;

/// A key as it is stored. Its policy is `None` where it follows the gateway's.
#[derive(Debug, Clone)]
pub struct StoredKey {
    pub id: Arc<str>,
    pub digest: Digest,
    pub account: Arc<str>,
    pub name: String,
    pub hint: String,
    pub models: Option<Vec<Arc<str>>>,
    pub policy: Option<Policy>,
    pub strict_parameters: bool,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

const KEY_COLUMNS: &str =
    "id, digest, account, name, hint, models, policy, created_at, expires_at, revoked_at, strict_parameters";

fn read_key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let models: Option<String> = row.get(5)?;
    let unreadable = |error| rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Text, Box::new(error));
    Ok(StoredKey {
        id: row.get(0)?,
        digest: row.get(1)?,
        account: row.get(2)?,
        name: row.get(3)?,
        hint: row.get(4)?,
        models: models.map(|json| serde_json::from_str(&json)).transpose().map_err(unreadable)?,
        policy: row.get::<_, Option<String>>(6)?.as_deref().and_then(Policy::parse),
        created_at: row.get(7)?,
        expires_at: row.get(8)?,
        revoked_at: row.get(9)?,
        strict_parameters: row.get(10)?,
    })
}

/// What became of a funding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funded {
    Now,
    Before,
}

impl Store {
    pub fn create_account(&mut self, id: &str, name: &str, now_ms: i64) -> Result<(), LedgerError> {
        self.write(true, |pen| {
            let added = pen
                .tx
                .execute(
                    "INSERT INTO accounts (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
                    params![id, name, now_ms],
                )
                .map_err(failed)?;
            if added == 0 { Err(LedgerError::Invalid(format!("account \"{id}\" exists already"))) } else { Ok(()) }
        })
    }

    /// Adds a key. `Invalid` where its digest is there already.
    pub fn create_key(&mut self, key: &StoredKey) -> Result<(), LedgerError> {
        let models = key.models.as_ref().map(serde_json::to_string).transpose();
        let models = models.map_err(|error| LedgerError::Store(error.to_string()))?;
        self.write(true, |pen| {
            let known = pen
                .tx
                .query_row("SELECT 1 FROM accounts WHERE id = ?1", [&key.account], |_| Ok(()))
                .optional()
                .map_err(failed)?;
            known.ok_or_else(|| unknown_account(&key.account))?;
            pen.tx
                .execute(
                    "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10)",
                    params![
                        key.id,
                        key.digest,
                        key.account,
                        key.name,
                        key.hint,
                        models,
                        key.policy.map(Policy::as_str),
                        key.created_at,
                        key.expires_at,
                        key.strict_parameters
                    ],
                )
                .map_err(failed)?;
            Ok(())
        })
    }

    /// The key, revoked: at `now_ms`, or when it was before.
    pub fn revoke_key(&mut self, id: &str, now_ms: i64) -> Result<StoredKey, LedgerError> {
        self.write(true, |pen| {
            let revoke = "UPDATE keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1 RETURNING ";
            pen.tx
                .query_row(&format!("{revoke}{KEY_COLUMNS}"), params![id, now_ms], read_key)
                .optional()
                .map_err(failed)?
                .ok_or_else(|| LedgerError::NotFound(format!("no key \"{id}\"")))
        })
    }

    /// Refuses a pepper that is not the one of the keys: all of them would be unknown.
    pub fn check_pepper(&mut self, check: &Digest) -> Result<(), LedgerError> {
        let sql = "SELECT pepper_check, EXISTS (SELECT 1 FROM keys) FROM state";
        let read = |row: &Row<'_>| Ok((row.get::<_, Option<Digest>>(0)?, row.get::<_, bool>(1)?));
        let (stored, has_keys) = self.conn.query_row(sql, [], read).map_err(failed)?;
        match stored {
            Some(stored) if stored == *check => Ok(()),
            Some(_) if has_keys => {
                let problem = "the pepper is not the one that the keys of this data directory were made with";
                Err(LedgerError::Invalid(problem.into()))
            }
            Some(_) | None => self.write(true, |pen| {
                pen.tx.execute("UPDATE state SET pepper_check = ?1", [check]).map_err(failed)?;
                Ok(())
            }),
        }
    }

    pub fn key_by_digest(&self, digest: &Digest) -> Result<Option<StoredKey>, LedgerError> {
        let sql = format!("SELECT {KEY_COLUMNS} FROM keys WHERE digest = ?1");
        self.conn.query_row(&sql, [digest], read_key).optional().map_err(failed)
    }

    /// TOPUP and FUND in one durable transaction, once per account and idempotency key.
    pub fn fund(&mut self, account: &str, nano: i64, key: &str, now_ms: i64) -> Result<Funded, LedgerError> {
        self.write(true, |pen| {
            let before: Option<i64> = pen
                .tx
                .query_row(
                    "SELECT amount FROM fundings WHERE account = ?1 AND idempotency_key = ?2",
                    [account, key],
                    |row| row.get(0),
                )
                .optional()
                .map_err(failed)?;
            match before {
                Some(before) if before == nano => return Ok(Funded::Before),
                Some(before) => {
                    let before = Amount::from_nano(before);
                    let problem = format!("idempotency key \"{key}\" was used before, to fund {before}");
                    return Err(LedgerError::Invalid(problem));
                }
                None => {}
            }
            let tier = Tier::Permanent.as_str();
            let (cash, master) = (book::CASH_MANUAL.to_owned(), book::master(account));
            let api = book::api(account, tier, tier);
            pen.ledger_account(&master)?;
            let grant = pen.ledger_account(&api)?;
            for (name, change) in [(&cash, nano.checked_neg()), (&api, Some(nano))] {
                let id = pen.ledger_account(name)?;
                let sql = "SELECT balance FROM ledger_accounts WHERE id = ?1";
                let balance: i64 = pen.tx.query_row(sql, [id], |row| row.get(0)).map_err(failed)?;
                change
                    .and_then(|change| balance.checked_add(change))
                    .ok_or_else(|| LedgerError::Invalid("the amount is too large".into()))?;
            }
            pen.tx
                .execute("INSERT INTO fundings VALUES (?1, ?2, ?3, ?4)", params![account, key, nano, now_ms])
                .and_then(|_| {
                    pen.tx.execute(
                        "INSERT INTO grants VALUES (?1, ?2, ?2, ?3, ?4, NULL) ON CONFLICT DO NOTHING",
                        params![account, tier, grant, now_ms],
                    )
                })
                .map_err(failed)?;
            let about = About::Reference(key.to_owned());
            let topup = Posting { kind: book::TOPUP, leg: 0, debit: cash, credit: master.clone(), amount: nano };
            let fund = Posting { kind: book::FUND, leg: 0, debit: master, credit: api, amount: nano };
            pen.post(&about, None, now_ms, &topup)?;
            pen.post(&about, None, now_ms, &fund)?;
            Ok(Funded::Now)
        })
    }

    pub(in crate::ledger) fn connection(&self) -> &Connection {
        &self.conn
    }
}

pub fn unknown_account(id: &str) -> LedgerError {
    LedgerError::NotFound(format!("no account \"{id}\""))
}

pub fn accounts(conn: &Connection) -> Result<Vec<AccountView>, LedgerError> {
    let mut select = conn.prepare_cached("SELECT id, name, created_at FROM accounts ORDER BY rowid").map_err(failed)?;
    let read = |row: &Row<'_>| Ok(AccountView { id: row.get(0)?, name: row.get(1)?, created_at: row.get(2)? });
    select.query_map([], read).and_then(Iterator::collect).map_err(failed)
}

/// Keys, oldest first; of one account where it is named.
pub fn keys(conn: &Connection, account: Option<&str>) -> Result<Vec<StoredKey>, LedgerError> {
    let of = if account.is_some() { "WHERE account = ?1" } else { "WHERE ?1 IS NULL" };
    let sql = format!("SELECT {KEY_COLUMNS} FROM keys {of} ORDER BY rowid");
    let mut select = conn.prepare_cached(&sql).map_err(failed)?;
    select.query_map([account], read_key).and_then(Iterator::collect).map_err(failed)
}

/// Every grant with what it is worth, and whose it is.
pub fn grants(conn: &Connection) -> Result<Vec<(Arc<str>, Grant)>, LedgerError> {
    let mut select = conn
        .prepare(
            "SELECT g.account, g.tier, g.id, g.expires_at, g.created_at, a.balance
             FROM grants g JOIN ledger_accounts a ON a.id = g.ledger_account ORDER BY g.account",
        )
        .map_err(failed)?;
    let read = |row: &Row<'_>| {
        let tier: String = row.get(1)?;
        let tier = Tier::parse(&tier).ok_or_else(|| rusqlite::Error::InvalidColumnName(tier))?;
        let grant = Grant {
            tier,
            id: row.get(2)?,
            expires_at: row.get(3)?,
            created_at: row.get(4)?,
            posted: row.get(5)?,
            held: 0,
        };
        Ok((row.get(0)?, grant))
    };
    select.query_map([], read).and_then(Iterator::collect).map_err(failed)
}

/// Ids of the price rows that are known.
pub fn price_row_ids(conn: &Connection) -> Result<Vec<u64>, LedgerError> {
    let mut select = conn.prepare("SELECT id FROM price_rows").map_err(failed)?;
    select.query_map([], |row| row.get::<_, i64>(0).map(i64::cast_unsigned)).and_then(Iterator::collect).map_err(failed)
}
