//! Writing inside one transaction: calls, transfers, balances, rollups and the block that seals them. Must never commit.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rustc_hash::FxHashMap;

use super::book::{self, About, BlockHasher, Hash, Posting, Sums};
use super::{Mark, failed, row};
use crate::ledger::{LedgerError, UsageRecord};
use crate::pricing::PriceRow;

/// Names that are kept in memory; beyond, the map starts anew.
const NAMES_MAX: usize = 100_000;

/// Row numbers of names and of ledger accounts.
#[derive(Debug, Default)]
pub struct Names {
    names: FxHashMap<Box<str>, i64>,
    accounts: FxHashMap<Box<str>, i64>,
}

/// The last numbers given, and the hash of the last block.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    pub usage: i64,
    pub transfers: i64,
    pub block: i64,
    pub hash: Hash,
}

impl Counters {
    pub fn load(conn: &Connection) -> rusqlite::Result<Counters> {
        let last = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        let block = conn.query_row("SELECT n, hash FROM blocks ORDER BY n DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Hash>(1)?))
        });
        let (block, hash) = block.optional()?.unwrap_or_default();
        Ok(Counters {
            usage: last("SELECT coalesce(max(n), 0) FROM usage")?,
            transfers: last("SELECT coalesce(max(id), 0) FROM transfers")?,
            block,
            hash,
        })
    }
}

pub struct Pen<'a> {
    pub tx: &'a Transaction<'a>,
    names: &'a mut Names,
    first: Counters,
    next: Counters,
    hasher: BlockHasher,
    balances: FxHashMap<i64, i64>,
    /// By account, day, model.
    rollups: FxHashMap<(i64, i64, i64), Sums>,
}

impl<'a> Pen<'a> {
    pub fn new(tx: &'a Transaction<'a>, names: &'a mut Names, counters: Counters) -> Pen<'a> {
        if names.names.len() > NAMES_MAX || names.accounts.len() > NAMES_MAX {
            *names = Names::default();
        }
        let hasher = BlockHasher::new(&counters.hash, counters.block + 1);
        let (balances, rollups) = (FxHashMap::default(), FxHashMap::default());
        Pen { tx, names, first: counters, next: counters, hasher, balances, rollups }
    }

    /// The number of a name.
    fn name(&mut self, name: &str) -> Result<i64, LedgerError> {
        if let Some(id) = self.names.names.get(name) {
            return Ok(*id);
        }
        let mut insert = self.tx.prepare_cached(
            "INSERT INTO names (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = name RETURNING id",
        );
        let insert = insert.as_mut().map_err(|error| LedgerError::Store(error.to_string()))?;
        let id = insert.query_row([name], |row| row.get(0)).map_err(failed)?;
        self.names.names.insert(name.into(), id);
        Ok(id)
    }

    /// The number of a ledger account, which is made where it is missing.
    pub fn ledger_account(&mut self, name: &str) -> Result<i64, LedgerError> {
        if let Some(id) = self.names.accounts.get(name) {
            return Ok(*id);
        }
        let (kind, owner) = book::kind_and_owner(name);
        let id = self
            .tx
            .query_row(
                "INSERT INTO ledger_accounts (name, kind, owner) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET name = name RETURNING id",
                params![name, kind, owner],
                |row| row.get(0),
            )
            .map_err(failed)?;
        self.names.accounts.insert(name.into(), id);
        Ok(id)
    }

    /// Adds a call with its transfers and sums; false where its id is there already, and nothing is added.
    pub fn usage(&mut self, record: &UsageRecord) -> Result<bool, LedgerError> {
        let names = row::Numbers {
            account: self.name(&record.account)?,
            key: self.name(&record.key_id)?,
            model: self.name(&record.model)?,
            catalog_rev: self.name(&record.catalog_rev)?,
            channel: record.channel.as_deref().map(|name| self.name(name)).transpose()?,
            provider: record.provider.as_deref().map(|name| self.name(name)).transpose()?,
        };
        let n = self.next.usage + 1;
        if !row::insert(self.tx, n, record, &names)? {
            return Ok(false);
        }
        self.next.usage = n;
        self.hasher.usage(record);
        let about = About::Call(record.id);
        for posting in book::postings(record) {
            self.post(&about, Some(n), record.created_at_ms, &posting)?;
        }
        let day = book::day(record.created_at_ms);
        self.rollups.entry((names.account, day, names.model)).or_default().add(record);
        Ok(true)
    }

    /// Adds a leg of a transfer. `call` is the number of the call that it is about.
    pub fn post(&mut self, about: &About, call: Option<i64>, at: i64, posting: &Posting) -> Result<(), LedgerError> {
        let (debit, credit) = (self.ledger_account(&posting.debit)?, self.ledger_account(&posting.credit)?);
        let reference = match about {
            About::Call(_) => None,
            About::Reference(reference) => Some(reference),
        };
        let id = self.next.transfers + 1;
        self.tx
            .prepare_cached(
                "INSERT INTO transfers (id, kind, leg, call, reference, at, debit, credit, amount)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    id,
                    posting.kind,
                    posting.leg,
                    call,
                    reference,
                    at,
                    debit,
                    credit,
                    posting.amount
                ])
            })
            .map_err(failed)?;
        self.next.transfers = id;
        self.hasher.transfer(about, at, posting);
        let overflow = || LedgerError::Store("a balance outgrows its range".into());
        for (account, change) in [(debit, -posting.amount), (credit, posting.amount)] {
            let balance = self.balances.entry(account).or_default();
            *balance = balance.checked_add(change).ok_or_else(overflow)?;
        }
        Ok(())
    }

    pub fn price_row(&mut self, owner: &str, row: &PriceRow) -> Result<(), LedgerError> {
        let conditions = serde_json::to_string(&row.when).map_err(|error| LedgerError::Store(error.to_string()))?;
        self.tx
            .prepare_cached(
                "INSERT INTO price_rows (id, owner, meter, nano_usd, per, conditions, input_tokens_gt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    row.id.0.cast_signed(),
                    owner,
                    row.meter.as_str(),
                    row.rate.nano_usd.cast_signed(),
                    row.rate.per.cast_signed(),
                    conditions,
                    row.input_tokens_gt.map(u64::cast_signed)
                ])
            })
            .map_err(failed)?;
        Ok(())
    }

    pub fn mark(&mut self, mark: Mark) -> Result<(), LedgerError> {
        let values = params![mark.sequence.cast_signed(), mark.position.cast_signed()];
        self.tx
            .prepare_cached("UPDATE state SET sequence = ?1, position = ?2")
            .and_then(|mut update| update.execute(values))
            .map_err(failed)?;
        Ok(())
    }

    /// Writes balances, rollups and the block; the counters behind them.
    pub fn finish(mut self) -> Result<Counters, LedgerError> {
        self.write_sums().map_err(failed)?;
        if (self.next.usage, self.next.transfers) == (self.first.usage, self.first.transfers) {
            return Ok(self.next);
        }
        self.next.block += 1;
        self.next.hash = self.hasher.finish();
        self.tx
            .prepare_cached("INSERT INTO blocks (n, usage_last, transfers_last, hash) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| {
                insert.execute(params![self.next.block, self.next.usage, self.next.transfers, self.next.hash])
            })
            .map_err(failed)?;
        Ok(self.next)
    }

    fn write_sums(&self) -> rusqlite::Result<()> {
        let mut balance = self.tx.prepare_cached("UPDATE ledger_accounts SET balance = balance + ?2 WHERE id = ?1")?;
        // Growing ones first is not needed: a constraint looks at one row, and a row is changed once.
        for (account, change) in &self.balances {
            balance.execute(params![account, change])?;
        }
        let mut by_account = self.tx.prepare_cached(
            "INSERT INTO rollup_account_day VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (account, day, model) DO UPDATE SET calls = calls + excluded.calls,
             errors = errors + excluded.errors, input_tokens = input_tokens + excluded.input_tokens,
             output_tokens = output_tokens + excluded.output_tokens, charge = charge + excluded.charge,
             cost = cost + excluded.cost",
        )?;
        let mut by_model = self.tx.prepare_cached(
            "INSERT INTO rollup_model_day VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (day, model) DO UPDATE SET calls = calls + excluded.calls,
             errors = errors + excluded.errors, input_tokens = input_tokens + excluded.input_tokens,
             output_tokens = output_tokens + excluded.output_tokens, charge = charge + excluded.charge,
             cost = cost + excluded.cost",
        )?;
        for ((account, day, model), s) in &self.rollups {
            by_account.execute(params![
                account,
                day,
                model,
                s.calls,
                s.errors,
                s.input_tokens,
                s.output_tokens,
                s.charge,
                s.cost
            ])?;
            by_model.execute(params![
                day,
                model,
                s.calls,
                s.errors,
                s.input_tokens,
                s.output_tokens,
                s.charge,
                s.cost
            ])?;
        }
        Ok(())
    }
}
