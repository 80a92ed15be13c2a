//! The store: accounts, keys, usage and the double entry in SQLite. Must never know the journal's files or HTTP.

pub mod accounts;
pub mod book;
pub mod export;
pub mod pen;
pub mod read;
pub mod row;
pub mod schema;
pub mod verify;

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{LedgerError, codec::Entry};
use pen::{Counters, Names, Pen};

/// The writer's side of the store. One per data directory.
pub struct Store {
    conn: Connection,
    names: Names,
    counters: Counters,
}

/// How far the journal is in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    pub sequence: u64,
    pub position: u64,
}

pub(super) fn failed(error: rusqlite::Error) -> LedgerError {
    LedgerError::Store(format!("store: {error}"))
}

impl Store {
    pub fn open(data_dir: &Path) -> Result<Store, LedgerError> {
        let conn = schema::open_writer(data_dir)?;
        let counters = Counters::load(&conn).map_err(failed)?;
        Ok(Store { conn, names: Names::default(), counters })
    }

    pub fn mark(&self) -> Result<Mark, LedgerError> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Mark {
                sequence: row.get::<_, i64>(0)?.cast_unsigned(),
                position: row.get::<_, i64>(1)?.cast_unsigned(),
            })
        };
        self.conn.query_row("SELECT sequence, position FROM state", [], read).map_err(failed)
    }

    /// Moves entries in one transaction with the mark behind them. Returns the calls that were in the store already: they
    /// are not charged again.
    pub fn take(&mut self, entries: &[Entry], mark: Option<Mark>) -> Result<Vec<usize>, LedgerError> {
        self.write(false, |pen| {
            let mut known = Vec::new();
            for (at, entry) in entries.iter().enumerate() {
                match entry {
                    Entry::Usage(record) if !pen.usage(record)? => known.push(at),
                    Entry::Usage(_) => {}
                    Entry::PriceRow { owner, row } => pen.price_row(owner, row)?,
                }
            }
            if let Some(mark) = mark {
                pen.mark(mark)?;
            }
            Ok(known)
        })
    }

    /// Runs `work` in one transaction. `durable`: the disk has it when this returns.
    fn write<T>(
        &mut self,
        durable: bool,
        work: impl FnOnce(&mut Pen<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        if durable {
            self.conn.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        }
        let done = self.write_once(work);
        // Staying at FULL is slow, not wrong: what was committed is committed.
        if durable && let Err(error) = self.conn.pragma_update(None, "synchronous", "NORMAL") {
            tracing::warn!(%error, "the store stays at synchronous=FULL");
        }
        done
    }

    fn write_once<T>(&mut self, work: impl FnOnce(&mut Pen<'_>) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let Store { conn, names, counters } = self;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut pen = Pen::new(&tx, names, *counters);
        let done = work(&mut pen).and_then(|value| Ok((value, pen.finish()?)));
        let done = done.and_then(|done| tx.commit().map(|()| done).map_err(failed));
        match done {
            Ok((value, next)) => {
                *counters = next;
                Ok(value)
            }
            Err(error) => {
                // Names that the transaction made are gone with it.
                *names = Names::default();
                Err(error)
            }
        }
    }

    /// Brings the WAL into the database file. True when all of it is there, and on the disk.
    pub fn checkpoint(&self) -> Result<bool, LedgerError> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (busy, in_wal, moved) = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read).map_err(failed)?;
        Ok(busy == 0 && in_wal == moved)
    }
}
