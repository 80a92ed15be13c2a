//! What every part of an open ledger shares, and whether new calls are admitted. Must never block on the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use super::codec::{self, Entry};
use super::journal::{AppendError, Journal, frame, sync::Syncer};
use super::keys::Keyring;
use super::store::read::Readers;
use super::wallet::Wallets;
use super::writer::Inbox;
use super::{Durability, HoldRefused, Options, Position, UsageRecord};
use crate::pricing::{Amount, PriceRow};

/// Most that one call can cost us, 10,000 USD: a provider that reports nonsense must not overflow what we owe it.
pub const COST_NANO_MAX: i64 = 10_000_000_000_000;
/// Price rows that are remembered as known; beyond, they are journalled again, which is harmless.
const PRICE_ROWS_MAX: usize = 1 << 20;
const RETRY_AFTER_S: u64 = 5;

pub struct Core {
    pub options: Options,
    pub wallets: Wallets,
    pub keys: Keyring,
    pub journal: Journal,
    pub syncer: Syncer,
    pub inbox: Inbox,
    pub readers: Readers,
    pub price_rows: Mutex<FxHashSet<u64>>,
    pub open_holds: AtomicU64,
    pub dropped_holds: AtomicU64,
    pub skipped_notes: AtomicU64,
    pub closing: AtomicBool,
}

impl Core {
    pub fn admitting(&self) -> Result<(), HoldRefused> {
        let refuse = |reason| Err(HoldRefused::NotAdmitting { reason, retry_after_s: RETRY_AFTER_S });
        if self.closing.load(Ordering::Relaxed) {
            return refuse("the ledger is closing");
        }
        if self.journal.has_failed() {
            return refuse("the journal could not be written");
        }
        if self.inbox.is_dead() {
            return refuse("the ledger's writer has stopped");
        }
        if self.journal.lacks_space() {
            return refuse("the disk is full");
        }
        if self.journal.backlog_bytes() > self.options.journal_bytes_max {
            return refuse("the store is too far behind the journal");
        }
        Ok(())
    }

    /// Appends a record. `None` where the ledger is closed, and nothing was recorded.
    pub fn record(&self, record: UsageRecord) -> Option<Position> {
        let mut bytes = frame::begin();
        codec::write_usage(&record, &mut bytes);
        match self.journal.append(&mut bytes) {
            Ok(position) => {
                self.wake();
                Some(Position(position))
            }
            Err(AppendError::Closed) => {
                tracing::error!(call = %record.id, "a call ended after the ledger was closed: it is not charged");
                None
            }
            Err(AppendError::Failed(error)) => {
                tracing::error!(call = %record.id, %error, "the journal failed: the record goes to the store directly");
                self.inbox.strand(Entry::Usage(Box::new(record)));
                Some(Position(self.journal.end()))
            }
        }
    }

    pub fn wake(&self) {
        self.inbox.wake_if_idle();
        if self.options.durability == Durability::Power {
            self.syncer.wake();
        }
    }

    pub fn durable(&self, position: Position) -> Option<BoxFuture<'static, ()>> {
        match self.options.durability {
            Durability::Process => None,
            Durability::Power => self.syncer.durable(position.0),
        }
    }

    /// Journals the rows that are not known yet, so that they are in the store before the calls that they price.
    pub fn remember_price_rows(&self, owner: &str, rows: &[PriceRow]) {
        // Held over the appends: who finds a row known may rely on its being in the journal.
        let mut known = self.price_rows.lock();
        for row in rows {
            if known.contains(&row.id.0) {
                continue;
            }
            let mut bytes = frame::begin();
            codec::write_price_row(owner, row, &mut bytes);
            match self.journal.append(&mut bytes) {
                Ok(_) if known.len() < PRICE_ROWS_MAX => drop(known.insert(row.id.0)),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, owner, "a price row could not be journalled"),
            }
        }
        self.wake();
    }

    /// A call whose id the store had already: it is not charged twice, so what it took goes back.
    pub fn undo(&self, record: &UsageRecord) {
        tracing::error!(call = %record.id, account = %record.account, "a call id came twice: the second is not charged");
        let Some(cell) = self.wallets.get(&record.account) else { return };
        for source in &record.sources {
            if let Some(tier) = super::wallet::Tier::parse(source.tier) {
                cell.grow(tier, &source.grant, record.created_at_ms, source.amount.nano());
            }
        }
    }
}

/// A record that no reader of it can choke on: texts and lists at most so long, money inside its limits.
pub fn bounded(mut record: UsageRecord) -> UsageRecord {
    record.bound();
    if record.cost.nano() > COST_NANO_MAX {
        tracing::warn!(call = %record.id, cost = %record.cost, "the cost of a call is cut to its limit");
    }
    record.cost = record.cost.clamp(Amount::ZERO, Amount::from_nano(COST_NANO_MAX));
    record
}

/// Keeps the compiler's word that handles can be shared.
const fn _shared<T: Send + Sync>() {}
const _: () = _shared::<Arc<Core>>();
