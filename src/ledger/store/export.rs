//! The double entry as CSV, in bounded read transactions. Must never hold more than a page.

use std::io::Write;

use rusqlite::Connection;

use super::book::{About, Posting};
use super::read::{PAGE_LEN_MAX, Readers};
use super::{book, failed};
use crate::ledger::usage::{guarded, rfc3339};
use crate::ledger::{CallId, LedgerError};
use crate::pricing::Amount;

const COLUMNS: [&str; 8] = ["id", "at", "kind", "leg", "reference", "debit", "credit", "amount"];

/// A leg of a transfer as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub id: i64,
    pub at: i64,
    pub about: About,
    pub posting: Posting,
}

/// Legs behind `after`, at most up to `last`, oldest first.
pub fn transfers(conn: &Connection, after: i64, last: i64, len: usize) -> Result<Vec<Transfer>, LedgerError> {
    let mut select = conn
        .prepare_cached(
            "SELECT t.id, t.at, t.kind, t.leg, u.id, t.reference,
             (SELECT name FROM ledger_accounts WHERE id = t.debit), (SELECT name FROM ledger_accounts WHERE id = t.credit),
             t.amount FROM transfers t LEFT JOIN usage u ON u.n = t.call
             WHERE t.id > ?1 AND t.id <= ?2 ORDER BY t.id LIMIT ?3",
        )
        .map_err(failed)?;
    let read = |row: &rusqlite::Row<'_>| {
        let about = match row.get::<_, Option<[u8; 16]>>(4)? {
            Some(id) => About::Call(CallId(uuid::Uuid::from_bytes(id))),
            // A call that is gone: only behind our back, and for the proof to find.
            None => row.get::<_, Option<_>>(5)?.map_or(About::Call(CallId(uuid::Uuid::nil())), About::Reference),
        };
        let kind: String = row.get(2)?;
        let kind = [book::TOPUP, book::FUND, book::SETTLE, book::COST].into_iter().find(|known| *known == kind);
        let kind = kind.ok_or(rusqlite::Error::InvalidColumnType(2, "kind".into(), rusqlite::types::Type::Text))?;
        let posting = Posting { kind, leg: row.get(3)?, debit: row.get(6)?, credit: row.get(7)?, amount: row.get(8)? };
        Ok(Transfer { id: row.get(0)?, at: row.get(1)?, about, posting })
    };
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    select.query_map([after, last, len], read).and_then(Iterator::collect).map_err(failed)
}

/// Writes every leg, oldest first; how many.
pub fn export(readers: &Readers, out: &mut dyn Write) -> Result<u64, LedgerError> {
    let failed = |error: csv::Error| LedgerError::Store(format!("the export could not be written: {error}"));
    let mut out = csv::Writer::from_writer(out);
    out.write_record(COLUMNS).map_err(failed)?;
    let (mut after, mut count) = (0, 0);
    loop {
        let page = readers.with(|conn| transfers(conn, after, i64::MAX, PAGE_LEN_MAX))?;
        let Some(last) = page.last() else { break };
        after = last.id;
        count += page.len() as u64;
        for transfer in &page {
            out.write_record(cells(transfer)).map_err(failed)?;
        }
    }
    out.flush().map_err(|error| failed(error.into()))?;
    Ok(count)
}

fn cells(transfer: &Transfer) -> [String; 8] {
    let Transfer { id, at, about, posting } = transfer;
    let reference = match about {
        About::Call(id) => id.to_string(),
        About::Reference(key) => key.clone(),
    };
    let text = |text: String| guarded(text.into()).into_owned();
    [
        id.to_string(),
        rfc3339(*at),
        posting.kind.to_owned(),
        posting.leg.to_string(),
        text(reference),
        text(posting.debit.clone()),
        text(posting.credit.clone()),
        Amount::from_nano(posting.amount).to_string(),
    ]
}
