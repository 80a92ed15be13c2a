//! Money set aside for a call, and how it ends. Must never wait for the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::{Core, bounded};
use super::wallet::{self, Cell, Leg};
use super::{CallId, Position, UsageRecord};
use crate::pricing::Amount;

/// Money set aside for a call. Settled or voided exactly once; a drop without either releases it and is counted.
pub struct Hold {
    core: Arc<Core>,
    cell: Arc<Cell>,
    call: CallId,
    legs: Vec<Leg>,
    amount: Amount,
    ended: bool,
}

/// What a settlement took. After `Ledger::close` nothing is recorded, and so nothing charged.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    pub charge: Amount,
    pub position: Position,
}

impl Hold {
    pub(super) fn new(core: Arc<Core>, cell: Arc<Cell>, call: CallId, legs: Vec<Leg>) -> Hold {
        let amount = Amount::from_nano(legs.iter().map(|leg| leg.amount).sum());
        core.open_holds.fetch_add(1, Ordering::Relaxed);
        Hold { core, cell, call, legs, amount, ended: false }
    }

    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Charges `record.charge` (at most the hold), gives the rest back, and appends the record to the journal: when this
    /// returns, the record is in the kernel. The record's id and account are those of the hold.
    pub fn settle(mut self, mut record: UsageRecord) -> Settled {
        record.charge = record.charge.clamp(Amount::ZERO, self.amount);
        record.sources = wallet::drain(&self.legs, record.charge.nano());
        record.held = self.amount;
        self.finish(record)
    }

    /// Gives everything back and records the call with a charge of nothing.
    pub fn void(mut self, mut record: UsageRecord) -> Position {
        record.charge = Amount::ZERO;
        record.sources = Vec::new();
        record.held = self.amount;
        self.finish(record).position
    }

    fn finish(&mut self, mut record: UsageRecord) -> Settled {
        record.id = self.call;
        record.account = self.cell.account.clone();
        let record = bounded(record);
        let (charge, sources) = (record.charge, record.sources.clone());
        // The money stays held until the record is safe: nobody can spend it in between.
        match self.core.record(record) {
            Some(position) => {
                self.end(&sources);
                Settled { charge, position }
            }
            None => {
                self.end(&[]);
                Settled { charge: Amount::ZERO, position: Position(0) }
            }
        }
    }

    fn end(&mut self, sources: &[super::Source]) {
        self.ended = true;
        self.cell.end(&self.legs, sources);
        self.core.open_holds.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.ended {
            self.end(&[]);
            self.core.dropped_holds.fetch_add(1, Ordering::Relaxed);
            tracing::error!(call = %self.call, amount = %self.amount, "a hold was dropped without an end: it is given back");
        }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").field("call", &self.call).field("amount", &self.amount).finish_non_exhaustive()
    }
}
