//! The one thread that writes to the store: moves the journal, and runs what operators ask for. Must never drop a record.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::codec::{self, Entry};
use super::core::Core;
use super::journal::frame::{self, Next};
use super::store::{Mark, Store};
use super::{LedgerError, UsageRecord};

/// Most records of one transaction.
pub const BATCH_LEN_MAX: usize = 4000;
/// Journal bytes that are read for one transaction. Larger than any frame.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// With so much behind a transaction the next one follows at once.
const BACKLOG_BYTES: u64 = 1 << 20;
/// Rest between two transactions, so that each has something to carry. Who waits for the store ends it.
const REST: Duration = Duration::from_millis(250);
/// Waits after a failure of the store, doubling.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Waits between tries to make room: the next segment, or the deletion of old ones.
const TIDY_PAUSE: Duration = Duration::from_secs(1);
/// Commands of operators that wait.
const COMMANDS_MAX: usize = 1024;
/// How long an operator's command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a reader waits for what was journalled before it.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });

type Command = Box<dyn FnOnce(&mut Store, &Core) + Send>;

/// How others reach the writer.
#[derive(Default)]
pub struct Inbox {
    commands: Mutex<Commands>,
    /// Records that the journal refused; they are only here.
    stranded: Mutex<Vec<Entry>>,
    /// Those and the ones on their way to the store.
    stranded_count: AtomicUsize,
    thread: OnceLock<Thread>,
    idle: AtomicBool,
    hurry: AtomicBool,
    stop: AtomicBool,
    /// Stops without moving anything more: as if the process had been killed.
    abandon: AtomicBool,
    dead: AtomicBool,
    moved: Mutex<()>,
    moved_more: Condvar,
}

#[derive(Default)]
struct Commands {
    queue: VecDeque<Command>,
    closed: bool,
}

impl Inbox {
    /// Runs `work` on the writer's thread and waits for it.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store, &Core) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = sync_channel(1);
        {
            let mut commands = self.commands.lock();
            if commands.closed {
                return Err(LedgerError::Store("the ledger is closed".into()));
            }
            if commands.queue.len() >= COMMANDS_MAX {
                return Err(LedgerError::Store("the store is busy".into()));
            }
            commands.queue.push_back(Box::new(move |store, core| {
                // Nobody listens any more after the timeout: the work is done all the same.
                let _ = answer.send(work(store, core));
            }));
        }
        self.wake();
        match answered.recv_timeout(COMMAND_TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(LedgerError::Store("the store did not answer in time".into())),
            Err(RecvTimeoutError::Disconnected) => Err(LedgerError::Store("the ledger was closed".into())),
        }
    }

    /// Takes a record that the journal could not.
    pub fn strand(&self, entry: Entry) {
        self.stranded_count.fetch_add(1, Ordering::SeqCst);
        self.stranded.lock().push(entry);
        self.wake();
    }

    /// After an append: a thread that rests or works looks by itself.
    pub fn wake_if_idle(&self) {
        if self.idle.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub fn stop(&self, abandon: bool) {
        self.abandon.store(abandon, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Waits until everything journalled before this call is in the store.
    pub fn flush(&self, core: &Core) -> Result<(), LedgerError> {
        let target = core.journal.last_sequence();
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let mut moved = self.moved.lock();
        while core.journal.moved_sequence() < target || self.stranded_count.load(Ordering::SeqCst) > 0 {
            if self.is_dead() {
                return Err(LedgerError::Store("the ledger is closed".into()));
            }
            self.hurry.store(true, Ordering::SeqCst);
            self.wake();
            if self.moved_more.wait_until(&mut moved, deadline).timed_out() {
                return Err(LedgerError::Store("the store is behind the journal: try again later".into()));
            }
        }
        Ok(())
    }

    fn next_command(&self) -> Option<Command> {
        self.commands.lock().queue.pop_front()
    }
}

/// Says that the thread is gone, also when it panicked.
struct Alive<'a>(&'a Inbox);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        let mut commands = self.0.commands.lock();
        commands.closed = true;
        commands.queue.clear();
        drop(commands);
        self.0.dead.store(true, Ordering::SeqCst);
        let _moved = self.0.moved.lock();
        self.0.moved_more.notify_all();
    }
}

/// What one look at the journal brought.
enum Step {
    Nothing,
    /// A transaction; `full` where more waits already.
    Moved {
        full: bool,
    },
}

/// The thread's body.
pub fn run(core: &Core, mut store: Store) {
    let inbox = &core.inbox;
    inbox.thread.get_or_init(std::thread::current);
    let _alive = Alive(inbox);
    let mut writer = Writer { buffer: Vec::new(), backoff: BACKOFF_MIN, tidied: None };
    loop {
        while let Some(command) = inbox.next_command() {
            command(&mut store, core);
        }
        if inbox.abandon.load(Ordering::SeqCst) {
            return;
        }
        // Read before the look at the journal: what was appended before the stop is moved.
        let stop = inbox.stop.load(Ordering::SeqCst);
        match writer.step(core, &mut store) {
            Ok(step) => {
                writer.backoff = BACKOFF_MIN;
                writer.tidy(core, &store);
                match step {
                    Step::Nothing if stop => break,
                    Step::Nothing => writer.idle(core),
                    Step::Moved { full } => {
                        if !full && !stop && !inbox.hurry.swap(false, Ordering::SeqCst) {
                            std::thread::park_timeout(REST);
                        }
                    }
                }
            }
            Err(error) if stop => {
                let lost = inbox.stranded_count.load(Ordering::SeqCst);
                tracing::error!(%error, lost, "the store failed while closing: the rest stays in the journal");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the store failed: calls wait in the journal");
                core.journal.make_spare();
                std::thread::park_timeout(writer.backoff);
                writer.backoff = (writer.backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
    writer.leave(core, &store);
}

struct Writer {
    buffer: Vec<u8>,
    backoff: Duration,
    /// When making room last failed.
    tidied: Option<Instant>,
}

impl Writer {
    /// Moves one batch.
    fn step(&mut self, core: &Core, store: &mut Store) -> Result<Step, LedgerError> {
        self.move_stranded(core, store)?;
        let moved = Mark { sequence: core.journal.moved_sequence(), position: core.journal.moved() };
        if core.journal.end() == moved.position {
            return Ok(Step::Nothing);
        }
        core.journal
            .read(moved.position, BATCH_BYTES_MAX, &mut self.buffer)
            .map_err(|error| LedgerError::Store(format!("the journal could not be read: {error}")))?;
        let batch = Batch::read(&self.buffer, moved, BATCH_LEN_MAX)?;
        take(core, store, &batch.entries, Some(batch.mark))?;
        core.journal.note_moved(batch.mark.position, batch.mark.sequence, batch.last_ms);
        let _moved = core.inbox.moved.lock();
        core.inbox.moved_more.notify_all();
        let behind = core.journal.end() - batch.mark.position;
        Ok(Step::Moved { full: batch.entries.len() == BATCH_LEN_MAX || behind > BACKLOG_BYTES })
    }

    fn move_stranded(&mut self, core: &Core, store: &mut Store) -> Result<(), LedgerError> {
        let stranded = std::mem::take(&mut *core.inbox.stranded.lock());
        if stranded.is_empty() {
            return Ok(());
        }
        match take(core, store, &stranded, None) {
            Ok(()) => {
                core.inbox.stranded_count.fetch_sub(stranded.len(), Ordering::SeqCst);
                let _moved = core.inbox.moved.lock();
                core.inbox.moved_more.notify_all();
                Ok(())
            }
            Err(error) => {
                // In front of those that came meanwhile.
                core.inbox.stranded.lock().splice(0..0, stranded);
                Err(error)
            }
        }
    }

    /// Makes the next segment, and deletes those that the store has on its disk.
    fn tidy(&mut self, core: &Core, store: &Store) {
        if self.tidied.is_some_and(|at| at.elapsed() < TIDY_PAUSE) {
            return;
        }
        core.journal.make_spare();
        let finished = core.journal.finished(core.journal.moved());
        let stuck = finished > 0
            && match store.checkpoint() {
                Ok(true) => {
                    core.journal.delete(finished);
                    false
                }
                Ok(false) => true,
                Err(error) => {
                    tracing::warn!(%error, "a checkpoint failed");
                    true
                }
            };
        self.tidied = (stuck || core.journal.lacks_space()).then(Instant::now);
    }

    fn idle(&self, core: &Core) {
        let inbox = &core.inbox;
        inbox.idle.store(true, Ordering::SeqCst);
        // An append between the last look and the flag did not wake anybody.
        if core.journal.end() == core.journal.moved() {
            match self.tidied {
                Some(_) => std::thread::park_timeout(TIDY_PAUSE),
                None => std::thread::park(),
            }
        }
        inbox.idle.store(false, Ordering::SeqCst);
    }

    fn leave(&self, core: &Core, store: &Store) {
        core.journal.close();
        if core.journal.end() != core.journal.moved() {
            tracing::warn!("calls ended while the ledger closed: they stay in the journal until it is opened again");
            return;
        }
        match store.checkpoint() {
            Ok(true) => core.journal.delete_all(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the last checkpoint failed: the journal stays"),
        }
    }
}

fn take(core: &Core, store: &mut Store, entries: &[Entry], mark: Option<Mark>) -> Result<(), LedgerError> {
    for at in store.take(entries, mark)? {
        if let Entry::Usage(record) = &entries[at] {
            core.undo(record);
        }
    }
    Ok(())
}

/// Entries for one transaction, and the mark behind them.
pub struct Batch {
    pub entries: Vec<Entry>,
    pub mark: Mark,
    /// When the last of its calls ended, Unix ms.
    pub last_ms: i64,
}

impl Batch {
    /// Reads whole frames from the front of `bytes`, which begin at `from`. A frame that is not whole ends the batch; one
    /// that this build cannot read is an error.
    pub fn read(bytes: &[u8], from: Mark, len_max: usize) -> Result<Batch, LedgerError> {
        let mut batch = Batch { entries: Vec::new(), mark: from, last_ms: super::now_ms() };
        let mut rest = bytes;
        while batch.entries.len() < len_max {
            let frame = match frame::next(rest) {
                Next::Frame(frame) => frame,
                Next::Cut | Next::End if !batch.entries.is_empty() => break,
                Next::Cut | Next::End | Next::Damaged => {
                    let at = batch.mark.position;
                    return Err(LedgerError::Store(format!("the journal cannot be read at position {at}")));
                }
            };
            let entry = codec::read_entry(frame.payload).map_err(|error| LedgerError::Store(error.to_string()))?;
            if let Entry::Usage(record) = &entry {
                batch.last_ms = ended_ms(record);
            }
            batch.entries.push(entry);
            batch.mark = Mark { sequence: frame.sequence, position: batch.mark.position + frame.size() as u64 };
            rest = &rest[frame.size()..];
        }
        Ok(batch)
    }
}

fn ended_ms(record: &UsageRecord) -> i64 {
    record.created_at_ms.saturating_add(i64::from(record.latency_ms))
}
