//! The open ledger of a data directory: what calls, lists and proofs go through. Must never know HTTP.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::core::{Core, bounded};
use super::journal::{SEGMENT_BYTES, sync::Syncer};
use super::keys::{Keyring, Pepper};
use super::lock::{Lock, private_dir};
use super::store::accounts::unknown_account;
use super::store::read::Readers;
use super::store::{Store, export, read, verify};
use super::writer::{self, Inbox};
use super::{
    CallId, Durability, Gauges, Hold, HoldRefused, KeyRefusal, LedgerError, Options, Position, Principal, UsagePage,
    UsageQuery, UsageRecord, VerifyReport, WalletView, recover,
};
use crate::pricing::{Amount, PriceRow};

/// The ledger of one data directory. Cheap to clone; every method may be called from any thread.
///
/// Methods marked *blocking* touch the disk: call them off the proxy's threads. When the last clone is dropped, the ledger
/// closes.
#[derive(Clone)]
pub struct Ledger {
    handle: Arc<Handle>,
}

/// What ends with the last clone.
struct Handle {
    core: Arc<Core>,
    running: Mutex<Option<Running>>,
}

struct Running {
    writer: JoinHandle<()>,
    syncer: Option<JoinHandle<()>>,
    /// Let go last.
    _lock: Lock,
}

impl Ledger {
    /// *Blocking.* Takes the lock, replays the journal, voids orphans, loads keys and wallets, starts the threads.
    pub fn open(options: Options) -> Result<Ledger, LedgerError> {
        Ledger::open_with(options, SEGMENT_BYTES)
    }

    pub(super) fn open_with(options: Options, segment_bytes: u64) -> Result<Ledger, LedgerError> {
        let lock = Lock::take(&options.data_dir, options.admin_url.as_deref())?;
        let pepper = match &options.pepper {
            Some(pepper) => Pepper::new(pepper),
            None => Pepper::load(&options.data_dir)?,
        };
        let dir = recover::journal_dir(&options.data_dir);
        private_dir(&dir)?;
        let mut store = Store::open(&options.data_dir)?;
        store.check_pepper(&pepper.digest("the pepper of this data directory"))?;
        let start = recover::replay(&dir, &mut store)?;
        let power = options.durability == Durability::Power;
        let core = Arc::new(Core {
            wallets: recover::wallets(&store)?,
            keys: Keyring::new(pepper, recover::keys(&store, &options)?),
            journal: recover::start(&dir, segment_bytes, power, start)?,
            syncer: Syncer::new(start.position),
            inbox: Inbox::default(),
            readers: Readers::new(&options.data_dir),
            price_rows: Mutex::new(recover::price_rows(&store)?),
            open_holds: AtomicU64::new(0),
            dropped_holds: AtomicU64::new(0),
            skipped_notes: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            options,
        });
        let running = start_threads(&core, store, lock)?;
        Ok(Ledger { handle: Arc::new(Handle { core, running: Mutex::new(Some(running)) }) })
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// *Blocking.* Moves everything to the store and lets the lock go. A call that ends later is not recorded, and so not
    /// charged.
    pub fn close(&self) {
        self.handle.close(false);
    }

    /// Leaves everything as a killed process would.
    #[cfg(test)]
    pub(super) fn crash(&self) {
        self.handle.close(true);
    }

    /// A digest look-up in a snapshot: no lock, no I/O. `now_ms` decides expiry.
    pub fn authenticate(&self, presented: &str, now_ms: i64) -> Result<Arc<Principal>, KeyRefusal> {
        self.core().keys.authenticate(presented, now_ms)
    }

    /// Sets `want` aside; where only less is there, asks `fallback(available)` for a smaller amount (`None` refuses).
    /// The closure runs under the wallet's lock: it must be pure and short.
    pub fn hold(
        &self,
        principal: &Principal,
        call: CallId,
        want: Amount,
        fallback: &mut dyn FnMut(Amount) -> Option<Amount>,
    ) -> Result<Hold, HoldRefused> {
        let core = self.core();
        core.admitting()?;
        let short = |available| HoldRefused::Short { available };
        let cell = core.wallets.get(&principal.account).ok_or(short(Amount::ZERO))?;
        let legs = cell.hold(want.nano(), fallback).map_err(short)?;
        Ok(Hold::new(core.clone(), cell, call, legs))
    }

    /// Records a call that was refused before anything was held. Its charge is nothing. While no calls are admitted it is
    /// only counted: refusals carry no money, and must not fill a disk that is short already.
    pub fn note(&self, mut record: UsageRecord) {
        if self.admitting().is_err() {
            self.core().skipped_notes.fetch_add(1, Ordering::Relaxed);
            return;
        }
        record.charge = Amount::ZERO;
        record.held = Amount::ZERO;
        record.sources = Vec::new();
        // `None`: closed, and said so.
        let _ = self.core().record(bounded(record));
    }

    /// `None` where the position is durable enough already (always under `Durability::Process`). Ends on any runtime.
    pub fn durable(&self, position: Position) -> Option<BoxFuture<'static, ()>> {
        self.core().durable(position)
    }

    /// Whether new calls are taken; the reason when not.
    pub fn admitting(&self) -> Result<(), HoldRefused> {
        self.core().admitting()
    }

    /// Makes the price rows known, so that every charge can be recomputed later. Idempotent; queued, not blocking.
    pub fn remember_price_rows(&self, owner: &str, rows: &[PriceRow]) {
        self.core().remember_price_rows(owner, rows);
    }

    /// *Blocking.* Sees every call that was settled before. A store that is too far behind for that is an error.
    pub fn usage(&self, query: &UsageQuery) -> Result<UsagePage, LedgerError> {
        let core = self.core();
        core.inbox.flush(core)?;
        core.readers.with(|conn| read::page(conn, query))
    }

    /// *Blocking.* Shows all records of a query to `each`, newest first, at most 1,000 at a time, until it says no. Constant
    /// memory, and no read transaction is open while `each` works. The query's limit plays no part.
    pub fn usage_stream(
        &self,
        query: &UsageQuery,
        each: &mut dyn FnMut(&[UsageRecord]) -> bool,
    ) -> Result<(), LedgerError> {
        let core = self.core();
        core.inbox.flush(core)?;
        read::stream(&core.readers, query, each)
    }

    /// *Blocking.* One call, also by operators.
    pub fn call(&self, id: CallId) -> Result<Option<UsageRecord>, LedgerError> {
        let core = self.core();
        core.inbox.flush(core)?;
        core.readers.with(|conn| read::call(conn, id))
    }

    pub fn wallet(&self, account: &str) -> Result<WalletView, LedgerError> {
        let cell = self.core().wallets.get(account).ok_or_else(|| unknown_account(account))?;
        Ok(cell.view())
    }

    /// *Blocking.* Proves what the store holds, in one snapshot; the gateway may go on.
    pub fn verify(&self) -> Result<VerifyReport, LedgerError> {
        let core = self.core();
        // A store that is behind can be proved all the same.
        if let Err(error) = core.inbox.flush(core) {
            tracing::warn!(%error, "the proof leaves out calls that are still in the journal");
        }
        core.readers.with(verify::verify)
    }

    /// *Blocking.* Writes the double-entry ledger (transfers and their legs) as CSV, in constant memory.
    pub fn export(&self, out: &mut dyn Write) -> Result<u64, LedgerError> {
        let core = self.core();
        core.inbox.flush(core)?;
        export::export(&core.readers, out)
    }

    pub fn gauges(&self) -> Gauges {
        let core = self.core();
        Gauges {
            journal_lag_seconds: core.journal.lag_seconds(),
            journal_bytes: core.journal.backlog_bytes(),
            journal_queue: core.journal.last_sequence().saturating_sub(core.journal.moved_sequence()),
            open_holds: core.open_holds.load(Ordering::Relaxed),
            dropped_holds: core.dropped_holds.load(Ordering::Relaxed),
            skipped_notes: core.skipped_notes.load(Ordering::Relaxed),
        }
    }
}

fn start_threads(core: &Arc<Core>, store: Store, lock: Lock) -> Result<Running, LedgerError> {
    let failed = |error: std::io::Error| LedgerError::Store(format!("a thread could not be started: {error}"));
    let syncer = if core.options.durability == Durability::Power {
        let core = core.clone();
        let run = move || core.syncer.run(&core.journal);
        Some(Builder::new().name("ledger-sync".into()).spawn(run).map_err(failed)?)
    } else {
        None
    };
    let shared = core.clone();
    let run = move || writer::run(&shared, store);
    match Builder::new().name("ledger-writer".into()).spawn(run) {
        Ok(writer) => Ok(Running { writer, syncer, _lock: lock }),
        Err(error) => {
            core.syncer.stop();
            Err(failed(error))
        }
    }
}

impl Handle {
    fn close(&self, abandon: bool) {
        let mut running = self.running.lock();
        let Some(Running { writer, syncer, _lock }) = running.take() else { return };
        self.core.closing.store(true, Ordering::SeqCst);
        self.core.readers.close_idle();
        self.core.inbox.stop(abandon);
        join(writer);
        self.core.journal.close();
        self.core.syncer.stop();
        syncer.into_iter().for_each(join);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close(false);
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the ledger panicked");
    }
}
