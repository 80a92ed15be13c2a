//! What is remembered between two calls of one account: thinking that a client cannot carry, and where a stored response lives.
//! In memory, bounded and short-lived; what is forgotten costs quality or a clear 400, never correctness.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

/// A digest of account and name: what one account keeps can never be found by another.
type Key = [u8; 16];

pub struct Memory<V> {
    kept: Mutex<Kept<V>>,
    bytes_max: usize,
    age_max: Duration,
}

struct Kept<V> {
    entries: FxHashMap<Key, Entry<V>>,
    /// Oldest first. A key that was kept again stands twice; its older place is passed over by its time.
    order: VecDeque<(Key, Instant)>,
    bytes: usize,
}

struct Entry<V> {
    value: V,
    at: Instant,
    bytes: usize,
}

/// What an entry costs beside its value.
const ENTRY_BYTES: usize = 128;

impl<V: Clone> Memory<V> {
    pub fn new(bytes_max: usize, age_max: Duration) -> Memory<V> {
        let kept = Kept { entries: FxHashMap::default(), order: VecDeque::new(), bytes: 0 };
        Memory { kept: Mutex::new(kept), bytes_max, age_max }
    }

    /// Keeps a value of about `bytes` bytes. The oldest go first where there is no room; one that is too large alone is not kept.
    pub fn keep(&self, account: &str, name: &str, value: V, bytes: usize, now: Instant) {
        let bytes = bytes + ENTRY_BYTES;
        if bytes > self.bytes_max {
            return;
        }
        let key = key(account, name);
        let kept = &mut *self.kept.lock();
        if let Some(old) = kept.entries.insert(key, Entry { value, at: now, bytes }) {
            kept.bytes -= old.bytes;
        }
        kept.bytes += bytes;
        kept.order.push_back((key, now));
        while let Some(&(oldest, at)) = kept.order.front() {
            let old = now.duration_since(at) > self.age_max;
            if !old && kept.bytes <= self.bytes_max {
                break;
            }
            kept.order.pop_front();
            if kept.entries.get(&oldest).is_some_and(|entry| entry.at == at)
                && let Some(entry) = kept.entries.remove(&oldest)
            {
                kept.bytes -= entry.bytes;
            }
        }
    }

    pub fn find(&self, account: &str, name: &str, now: Instant) -> Option<V> {
        let kept = self.kept.lock();
        let entry = kept.entries.get(&key(account, name))?;
        (now.duration_since(entry.at) <= self.age_max).then(|| entry.value.clone())
    }
}

fn key(account: &str, name: &str) -> Key {
    let digest =
        Sha256::new().chain_update((account.len() as u64).to_be_bytes()).chain_update(account).chain_update(name);
    let mut key = Key::default();
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn an_account_finds_its_own_and_nothing_else() {
        let (memory, now) = (Memory::new(1 << 20, HOUR), Instant::now());
        memory.keep("a", "call_1", 1, 10, now);
        memory.keep("a", "call_1", 2, 10, now);
        assert_eq!(memory.find("a", "call_1", now), Some(2));
        assert_eq!(memory.find("b", "call_1", now), None);
        assert_eq!(memory.find("ac", "all_1", now), None);
    }

    #[test]
    fn what_is_old_or_has_no_room_is_forgotten() {
        let (memory, now) = (Memory::new(3 * (ENTRY_BYTES + 10), HOUR), Instant::now());
        for at in 0..4 {
            memory.keep("a", &at.to_string(), at, 10, now);
        }
        assert_eq!((memory.find("a", "0", now), memory.find("a", "3", now)), (None, Some(3)));
        let later = now + HOUR + Duration::from_secs(1);
        assert_eq!(memory.find("a", "3", later), None);
        memory.keep("a", "4", 4, 10, later);
        assert_eq!(memory.kept.lock().entries.len(), 1);
        memory.keep("a", "huge", 5, 1 << 20, later);
        assert_eq!(memory.find("a", "huge", later), None);
    }

    #[test]
    fn a_value_kept_again_survives_its_older_place() {
        let (memory, now) = (Memory::new(2 * (ENTRY_BYTES + 10), HOUR), Instant::now());
        memory.keep("a", "x", 1, 10, now);
        memory.keep("a", "x", 2, 10, now + Duration::from_secs(1));
        memory.keep("a", "y", 3, 10, now + Duration::from_secs(2));
        assert_eq!(memory.find("a", "x", now + Duration::from_secs(2)), Some(2));
    }
}
