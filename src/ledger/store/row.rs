//! A usage record as a row of the store and back, without loss: the hash chain is checked on what is read. Must never decide.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Row, Transaction, params};

use super::failed;
use crate::ledger::codec::named;
use crate::ledger::wallet::Tier;
use crate::ledger::{CallId, LedgerError, Source, UsageRecord};
use crate::pricing::{Amount, Meter, PriceRowId};
use crate::wire::{Protocol, UsageSource};

/// The numbers of a record's names.
pub struct Numbers {
    pub account: i64,
    pub key: i64,
    pub model: i64,
    pub catalog_rev: i64,
    pub channel: Option<i64>,
    pub provider: Option<i64>,
}

/// Adds a row; false where the call's id is there already.
pub fn insert(tx: &Transaction<'_>, n: i64, record: &UsageRecord, names: &Numbers) -> Result<bool, LedgerError> {
    let json = |error: serde_json::Error| LedgerError::Store(error.to_string());
    let sources: Vec<(&str, &str, i64)> = record.sources.iter().map(|s| (s.tier, &*s.grant, s.amount.nano())).collect();
    let rows = record.price_row_ids.iter().fold(String::new(), |mut text, id| {
        let _ = write!(text, "{:016x}", id.0);
        text
    });
    let values = params![
        n,
        record.id.0.as_bytes(),
        record.created_at_ms,
        names.account,
        names.key,
        names.model,
        (record.requested_model != record.model).then_some(&*record.requested_model),
        record.protocol.as_str(),
        record.operation.as_str(),
        record.stream,
        record.status,
        record.error_code.as_deref(),
        record.finish.as_deref(),
        serde_json::to_string(&record.usage).map_err(json)?,
        record.usage_source.map(UsageSource::as_str),
        record.charge.nano(),
        record.held.nano(),
        serde_json::to_string(&sources).map_err(json)?,
        rows,
        names.catalog_rev,
        record.latency_ms,
        record.first_content_ms,
        record.attempts,
        serde_json::to_string(&record.losses).map_err(json)?,
        record.client_request_id.as_deref(),
        names.channel,
        names.provider,
        record.cost.nano(),
        record.upstream_request_id.as_deref(),
    ];
    let mut insert = tx
        .prepare_cached(
            "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29) ON CONFLICT (id) DO NOTHING",
        )
        .map_err(failed)?;
    Ok(insert.execute(values).map_err(failed)? == 1)
}

/// What `read` takes from a row of `usage u`, in its order.
pub const COLUMNS: &str = "u.n, u.id, u.created_at, \
    (SELECT name FROM names WHERE id = u.account), (SELECT name FROM names WHERE id = u.key), \
    (SELECT name FROM names WHERE id = u.model), u.requested_model, u.protocol, u.operation, u.stream, u.status, \
    u.error_code, u.finish, u.usage, u.usage_source, u.charge, u.held, u.sources, u.price_row_ids, \
    (SELECT name FROM names WHERE id = u.catalog_rev), u.latency_ms, u.first_content_ms, u.attempts, u.losses, \
    u.client_request_id, (SELECT name FROM names WHERE id = u.channel), (SELECT name FROM names WHERE id = u.provider), \
    u.cost, u.upstream_request_id";

/// Reads a row of `COLUMNS`: its number and the record.
pub fn read(row: &Row<'_>) -> rusqlite::Result<(i64, UsageRecord)> {
    let model: Arc<str> = row.get(5)?;
    let requested: Option<Arc<str>> = row.get(6)?;
    let record = UsageRecord {
        id: CallId(uuid::Uuid::from_bytes(row.get(1)?)),
        created_at_ms: row.get(2)?,
        account: row.get(3)?,
        key_id: row.get(4)?,
        requested_model: requested.unwrap_or_else(|| model.clone()),
        model,
        protocol: text(row, 7, Protocol::parse)?,
        operation: text(row, 8, |name| named(name))?,
        stream: row.get(9)?,
        status: row.get(10)?,
        error_code: row.get::<_, Option<String>>(11)?.map(Cow::Owned),
        finish: row.get::<_, Option<String>>(12)?.map(Cow::Owned),
        usage: text(row, 13, |json| {
            let counts: BTreeMap<&str, u64> = serde_json::from_str(json).ok()?;
            counts.into_iter().map(|(name, count)| Some((Meter::parse(name)?, count))).collect()
        })?,
        usage_source: match row.get_ref(14)? {
            ValueRef::Null => None,
            name => Some(named(name.as_str()?).ok_or_else(|| unreadable(14))?),
        },
        charge: Amount::from_nano(row.get(15)?),
        held: Amount::from_nano(row.get(16)?),
        sources: text(row, 17, read_sources)?,
        price_row_ids: text(row, 18, read_row_ids)?,
        catalog_rev: row.get(19)?,
        latency_ms: row.get(20)?,
        first_content_ms: row.get(21)?,
        attempts: row.get(22)?,
        losses: text(row, 23, |json| {
            let losses: Vec<String> = serde_json::from_str(json).ok()?;
            Some(losses.into_iter().map(Cow::Owned).collect())
        })?,
        client_request_id: row.get::<_, Option<String>>(24)?.map(String::into_boxed_str),
        channel: row.get(25)?,
        provider: row.get(26)?,
        cost: Amount::from_nano(row.get(27)?),
        upstream_request_id: row.get::<_, Option<String>>(28)?.map(String::into_boxed_str),
    };
    Ok((row.get(0)?, record))
}

fn read_sources(json: &str) -> Option<Vec<Source>> {
    let sources: Vec<(String, Arc<str>, i64)> = serde_json::from_str(json).ok()?;
    let read = |(tier, grant, nano): (String, Arc<str>, i64)| {
        Some(Source { tier: Tier::parse(&tier)?.as_str(), grant, amount: Amount::from_nano(nano) })
    };
    sources.into_iter().map(read).collect()
}

fn read_row_ids(text: &str) -> Option<Vec<PriceRowId>> {
    let digits = text.as_bytes().chunks(16);
    digits.map(|id| u64::from_str_radix(std::str::from_utf8(id).ok()?, 16).ok().map(PriceRowId)).collect()
}

fn text<T>(row: &Row<'_>, column: usize, parse: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(row.get_ref(column)?.as_str()?).ok_or_else(|| unreadable(column))
}

fn unreadable(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "not as it was written".into())
}
