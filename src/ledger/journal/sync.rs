//! Group commit: one thread brings the journal to the disk for all who wait. Must never know what records mean.
//!
//! It never lingers: what is appended while the disk works is the next group.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::Journal;

#[derive(Debug)]
pub struct Syncer {
    synced: watch::Sender<u64>,
    thread: OnceLock<Thread>,
    stop: AtomicBool,
}

impl Syncer {
    pub fn new(position: u64) -> Syncer {
        Syncer { synced: watch::Sender::new(position), thread: OnceLock::new(), stop: AtomicBool::new(false) }
    }

    /// A future that ends when the disk has everything before `position`; `None` when it has.
    ///
    /// Also ends when the disk fails: nobody can say then whether it has it. No new call is admitted from there on, and
    /// the record, which the kernel has, still goes to the store.
    pub fn durable(&self, position: u64) -> Option<BoxFuture<'static, ()>> {
        let mut synced = self.synced.subscribe();
        if *synced.borrow_and_update() >= position {
            return None;
        }
        self.wake();
        let wait = async move {
            // An error says that the ledger is gone.
            let _ = synced.wait_for(|synced| *synced >= position).await;
        };
        Some(wait.boxed())
    }

    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// The thread's body.
    pub fn run(&self, journal: &Journal) {
        self.thread.get_or_init(std::thread::current);
        loop {
            let stop = self.stop.load(Ordering::SeqCst);
            let end = journal.end();
            let synced = *self.synced.borrow();
            if end > synced {
                if let Err(error) = sync(journal, synced) {
                    tracing::error!(%error, "the journal could not be synced: no new calls are admitted");
                    journal.note_failed();
                    // Lets go of everybody, also of those that come later.
                    self.synced.send_replace(u64::MAX);
                    return;
                }
                self.synced.send_replace(end);
            } else if stop {
                return;
            } else {
                std::thread::park();
            }
        }
    }
}

fn sync(journal: &Journal, behind: u64) -> std::io::Result<()> {
    for segment in journal.segments_behind(behind) {
        segment.file.sync_data()?;
    }
    Ok(())
}
