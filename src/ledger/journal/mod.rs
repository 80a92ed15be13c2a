//! The journal: settled calls on their way to the store, in files that survive `kill -9`. Must never know what records mean.
//!
//! Appending is one `pwrite` under a short lock, so the files always hold a whole prefix of what was appended. A position
//! counts the bytes of all records ever appended.

pub mod frame;
pub mod segment;
pub mod sync;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use segment::{HEADER_BYTES, Header, Segment};

/// Size of a segment.
pub const SEGMENT_BYTES: u64 = 16 << 20;

/// Where a journal goes on: behind everything that recovery found.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    pub segment: u64,
    pub position: u64,
    /// Of the last record ever appended.
    pub sequence: u64,
}

#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    segment_bytes: u64,
    /// New files are made durable in their directory too.
    sync_dir: bool,
    head: Mutex<Head>,
    /// Every segment that is still needed, oldest first; the last one is the head's.
    live: Mutex<VecDeque<Arc<Segment>>>,
    /// The next segment, made ahead so that no settlement waits for the file system.
    spare: Mutex<Option<(u64, File, PathBuf)>>,
    end: AtomicU64,
    last_sequence: AtomicU64,
    moved: AtomicU64,
    moved_sequence: AtomicU64,
    /// Unix ms of the oldest record that is not in the store; 0 when all are.
    oldest_ms: AtomicI64,
    /// A record could not be written. Not retried: what the disk holds is unknown then.
    failed: AtomicBool,
    /// No spare segment could be made.
    no_space: AtomicBool,
}

#[derive(Debug)]
struct Head {
    segment: Arc<Segment>,
    /// In the segment's file.
    offset: u64,
    closed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the journal is closed")]
    Closed,
    #[error("the journal could not be written: {0}")]
    Failed(#[from] io::Error),
}

impl Journal {
    pub fn start(dir: &Path, segment_bytes: u64, sync_dir: bool, start: Start) -> io::Result<Journal> {
        let (file, path) = segment::allocate(dir, start.segment, segment_bytes)?;
        let header = Header { number: start.segment, base: start.position, sequence: start.sequence + 1 };
        header.write(&file)?;
        let segment = Arc::new(Segment { number: start.segment, base: start.position, file, path });
        let journal = Journal {
            dir: dir.to_owned(),
            segment_bytes,
            sync_dir,
            head: Mutex::new(Head { segment: segment.clone(), offset: HEADER_BYTES, closed: false }),
            live: Mutex::new(VecDeque::from([segment])),
            spare: Mutex::new(None),
            end: AtomicU64::new(start.position),
            last_sequence: AtomicU64::new(start.sequence),
            moved: AtomicU64::new(start.position),
            moved_sequence: AtomicU64::new(start.sequence),
            oldest_ms: AtomicI64::new(0),
            failed: AtomicBool::new(false),
            no_space: AtomicBool::new(false),
        };
        journal.make_spare();
        journal.sync_directory()?;
        Ok(journal)
    }

    /// Writes one frame, made with `frame::begin`; the position behind it. When this returns, the kernel has it.
    pub fn append(&self, frame: &mut [u8]) -> Result<u64, AppendError> {
        let mut head = self.head.lock();
        if head.closed {
            return Err(AppendError::Closed);
        }
        let size = frame.len() as u64;
        if head.offset + size > self.segment_bytes && head.offset > HEADER_BYTES {
            // Without a next segment this one grows: the calls under way need a place.
            if let Err(error) = self.roll(&mut head) {
                self.note_no_space(&error);
            }
        }
        let sequence = self.last_sequence.load(Ordering::Relaxed) + 1;
        frame::seal(frame, sequence);
        if let Err(error) = head.segment.file.write_all_at(frame, head.offset) {
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.note_no_space(&error),
                _ => self.failed.store(true, Ordering::Relaxed),
            }
            return Err(error.into());
        }
        head.offset += size;
        let before = self.end.load(Ordering::Relaxed);
        if before == self.moved.load(Ordering::Relaxed) {
            self.oldest_ms.store(super::now_ms(), Ordering::Relaxed);
        }
        self.last_sequence.store(sequence, Ordering::Release);
        // Pairs with the writer's look at it after it has said that it is idle.
        self.end.store(before + size, Ordering::SeqCst);
        Ok(before + size)
    }

    fn roll(&self, head: &mut Head) -> io::Result<()> {
        let number = head.segment.number + 1;
        // Held until the segment is live, so that nobody makes a file of the same name meanwhile.
        let mut spare = self.spare.lock();
        let (file, path) = match spare.take().filter(|(spare, ..)| *spare == number) {
            Some((_, file, path)) => (file, path),
            None => self.allocate(number)?,
        };
        let base = self.end.load(Ordering::Relaxed);
        let sequence = self.last_sequence.load(Ordering::Relaxed) + 1;
        if let Err(error) = (Header { number, base, sequence }).write(&file) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let segment = Arc::new(Segment { number, base, file, path });
        self.live.lock().push_back(segment.clone());
        head.segment = segment;
        head.offset = HEADER_BYTES;
        Ok(())
    }

    /// Makes the next segment where there is none. Without space for it new calls are refused, while there is still room for
    /// those under way.
    pub fn make_spare(&self) {
        let mut spare = self.spare.lock();
        let next = self.live.lock().back().map_or(0, |segment| segment.number + 1);
        if spare.as_ref().is_some_and(|(number, ..)| *number == next) {
            self.no_space.store(false, Ordering::Relaxed);
            return;
        }
        match self.allocate(next) {
            Ok((file, path)) => {
                *spare = Some((next, file, path));
                self.no_space.store(false, Ordering::Relaxed);
            }
            Err(error) => self.note_no_space(&error),
        }
    }

    fn allocate(&self, number: u64) -> io::Result<(File, PathBuf)> {
        let (file, path) = segment::allocate(&self.dir, number, self.segment_bytes)?;
        if let Err(error) = self.sync_directory() {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok((file, path))
    }

    fn note_no_space(&self, error: &io::Error) {
        if !self.no_space.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "no room for the next journal segment: new calls are refused");
        }
    }

    fn sync_directory(&self) -> io::Result<()> {
        if self.sync_dir { File::open(&self.dir)?.sync_all() } else { Ok(()) }
    }

    /// Reads what was appended behind `position`: whole frames, at most about `bytes_max` unless the first is larger.
    pub fn read(&self, position: u64, bytes_max: usize, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        let end = self.end.load(Ordering::Acquire);
        let (segment, segment_end) = {
            let live = self.live.lock();
            let at = live.partition_point(|segment| segment.base <= position).saturating_sub(1);
            let segment = live.get(at).cloned().ok_or_else(|| io::Error::other("no journal segment is open"))?;
            (segment, live.get(at + 1).map_or(end, |next| next.base))
        };
        let len = usize::try_from(segment_end.saturating_sub(position)).unwrap_or(usize::MAX).min(bytes_max);
        into.resize(len, 0);
        segment.file.read_exact_at(into, HEADER_BYTES + (position - segment.base))
    }

    /// Notes that everything up to here is in the store.
    pub fn note_moved(&self, position: u64, sequence: u64, last_record_ms: i64) {
        self.moved.store(position, Ordering::Release);
        self.moved_sequence.store(sequence, Ordering::Release);
        let rest = position < self.end.load(Ordering::Acquire);
        // The journal is in the order in which calls ended: the next record is not older than this one.
        self.oldest_ms.store(if rest { last_record_ms } else { 0 }, Ordering::Relaxed);
    }

    /// Segments that lie wholly before `position`, so that the store has all of them.
    pub fn finished(&self, position: u64) -> usize {
        let live = self.live.lock();
        (1..live.len()).take_while(|at| live[*at].base <= position).count()
    }

    /// Deletes the oldest `count` segments. They must be in the store, and the store on the disk.
    pub fn delete(&self, count: usize) {
        for _ in 0..count {
            let Some(segment) = self.live.lock().pop_front() else { return };
            if let Err(error) = std::fs::remove_file(&segment.path) {
                tracing::warn!(%error, path = %segment.path.display(), "a journal segment could not be deleted");
            }
        }
    }

    /// Deletes every file of a journal that is closed, in the store, and there on the disk.
    pub fn delete_all(&self) {
        let count = self.live.lock().len();
        self.delete(count);
        if let Some((_, _, path)) = self.spare.lock().take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "a journal segment could not be deleted");
        }
    }

    /// Segments that hold records behind `position`, for the disk to be told of.
    pub fn segments_behind(&self, position: u64) -> Vec<Arc<Segment>> {
        let live = self.live.lock();
        let first = live.partition_point(|segment| segment.base <= position).saturating_sub(1);
        live.iter().skip(first).cloned().collect()
    }

    /// Nothing can be appended any more.
    pub fn close(&self) {
        self.head.lock().closed = true;
    }

    pub fn end(&self) -> u64 {
        self.end.load(Ordering::SeqCst)
    }

    pub fn last_sequence(&self) -> u64 {
        self.last_sequence.load(Ordering::Acquire)
    }

    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Acquire)
    }

    pub fn moved_sequence(&self) -> u64 {
        self.moved_sequence.load(Ordering::Acquire)
    }

    /// Bytes that are not in the store.
    pub fn backlog_bytes(&self) -> u64 {
        self.end.load(Ordering::Relaxed).saturating_sub(self.moved.load(Ordering::Relaxed))
    }

    /// Age of the oldest record that is not in the store.
    pub fn lag_seconds(&self) -> f64 {
        match self.oldest_ms.load(Ordering::Relaxed) {
            0 => 0.0,
            oldest => super::now_ms().saturating_sub(oldest).max(0) as f64 / 1000.0,
        }
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn note_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub fn lacks_space(&self) -> bool {
        self.no_space.load(Ordering::Relaxed)
    }
}
