//! What of a prompt was seen before: the upstream's prompt cache. Must never know a protocol or the clock.

use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use super::put::TOKEN_BYTES;
use super::reply::mix;

/// A prompt is remembered in steps of this many bytes, 1,024 tokens; shorter ones only by their marks.
const BLOCK_BYTES: usize = 4096;
/// Steps of one prompt that are remembered: digesting more would make long prompts slow.
const BLOCKS_MAX: usize = 8;
/// Prefixes that are remembered; then all are forgotten.
const PREFIXES_MAX: usize = 64 << 10;

/// Four sums over every fourth word: quick rather than strong, since a prompt is digested on every call.
#[derive(Default)]
struct Digest([u64; 4]);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        let (quads, rest) = bytes.as_chunks::<32>();
        for quad in quads {
            let (words, _) = quad.as_chunks::<8>();
            for (lane, word) in self.0.iter_mut().zip(words) {
                *lane = (lane.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        let (words, rest) = rest.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        // The length tells a short text from the same one with zeros behind it.
        for word in words.chain([u64::from_le_bytes(last), bytes.len() as u64]) {
            self.0[0] = (self.0[0].rotate_left(23) ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
    }

    fn value(&self) -> u64 {
        self.0.iter().fold(0, |sum, lane| mix(sum ^ lane))
    }
}

/// The texts of a prompt in order, digested.
#[derive(Default)]
pub(super) struct Prefix {
    digest: Digest,
    pub bytes: u64,
    /// Bytes since the last whole block.
    filled: usize,
    blocks: Vec<u64>,
    marks: Vec<Mark>,
    /// Only what is marked is cached.
    pub by_marks: bool,
    /// The texts are too short to be cached.
    short: bool,
}

#[derive(Clone, Copy)]
struct Mark {
    digest: u64,
    tokens: u64,
    /// Kept for an hour and not for five minutes.
    hour: bool,
}

/// Tokens of a prompt that were read from the cache or written to it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cached {
    pub read: u64,
    pub written_5m: u64,
    pub written_1h: u64,
}

impl Prefix {
    /// For texts that are no longer than this together.
    pub fn of_at_most(bytes: usize) -> Prefix {
        Prefix { short: bytes < BLOCK_BYTES, ..Prefix::default() }
    }

    pub fn add(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        if self.short {
            return;
        }
        let mut rest = text.as_bytes();
        while let Some((block, after)) = rest.split_at_checked(BLOCK_BYTES - self.filled) {
            if self.blocks.len() == BLOCKS_MAX && !self.by_marks {
                return;
            }
            self.digest.add(block);
            if !self.by_marks {
                self.blocks.push(self.digest.value());
            }
            (self.filled, rest) = (0, after);
        }
        self.digest.add(rest);
        self.filled += rest.len();
    }

    /// The client wants what came so far to be cached.
    pub fn mark(&mut self, hour: bool) {
        let tokens = self.bytes / TOKEN_BYTES as u64;
        self.marks.push(Mark { digest: self.digest.value(), tokens, hour });
    }

    pub fn marks(&self) -> usize {
        self.marks.len()
    }

    /// Tokens of the whole prompt.
    pub fn tokens(&self) -> u64 {
        (self.bytes / TOKEN_BYTES as u64).max(1)
    }
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefix").field("bytes", &self.bytes).field("marks", &self.marks.len()).finish()
    }
}

/// The prefixes that were seen.
#[derive(Default)]
pub(super) struct Memory {
    seen: Mutex<FxHashSet<u64>>,
}

impl Memory {
    /// What is known of a prompt; afterwards all of it is.
    pub fn look(&self, model: &str, prefix: &Prefix) -> Cached {
        let counts = if prefix.by_marks { prefix.marks.is_empty() } else { prefix.blocks.is_empty() };
        if counts {
            return Cached::default();
        }
        let mut name = Digest::default();
        name.add(model.as_bytes());
        let salt = name.value();
        let mut seen = self.seen.lock();
        if seen.len() >= PREFIXES_MAX {
            seen.clear();
        }
        if prefix.by_marks {
            return by_marks(&mut seen, salt, &prefix.marks);
        }
        let known = prefix.blocks.iter().take_while(|digest| seen.contains(&(*digest ^ salt))).count();
        seen.extend(prefix.blocks[known..].iter().map(|digest| digest ^ salt));
        Cached { read: (known * BLOCK_BYTES / TOKEN_BYTES) as u64, ..Cached::default() }
    }

    pub fn forget(&self) {
        self.seen.lock().clear();
    }
}

/// The longest marked prefix that is known is read, the rest up to the last mark is written.
fn by_marks(seen: &mut FxHashSet<u64>, salt: u64, marks: &[Mark]) -> Cached {
    let known = marks.iter().rev().find(|mark| seen.contains(&(mark.digest ^ salt)));
    let mut cached = Cached { read: known.map_or(0, |mark| mark.tokens), ..Cached::default() };
    let mut counted = cached.read;
    for mark in marks {
        let new = mark.tokens.saturating_sub(counted);
        counted += new;
        *if mark.hour { &mut cached.written_1h } else { &mut cached.written_5m } += new;
        seen.insert(mark.digest ^ salt);
    }
    cached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(texts: &[&str]) -> Prefix {
        let mut prefix = Prefix::default();
        texts.iter().for_each(|text| prefix.add(text));
        prefix
    }

    #[test]
    fn a_long_prefix_is_known_the_second_time() {
        let (memory, long) = (Memory::default(), "x".repeat(9000));
        let read = |model: &str, texts: &[&str]| memory.look(model, &prompt(texts)).read;
        assert_eq!([read("m", &[&long, "a"]), read("m", &[&long, "b"]), read("n", &[&long])], [0, 2048, 0]);
        assert_eq!([read("m", &["y", &long]), read("m", &["short"]), read("m", &["short"])], [0, 0, 0]);
        memory.forget();
        assert_eq!(read("m", &[&long]), 0);
    }

    #[test]
    fn marks_write_first_and_read_afterwards() {
        let memory = Memory::default();
        let marked = |texts: &[(&str, bool)]| {
            let mut prefix = Prefix { by_marks: true, ..Prefix::default() };
            for (text, hour) in texts {
                prefix.add(text);
                prefix.mark(*hour);
            }
            memory.look("m", &prefix)
        };
        let (one, two) = ("system text.", "and a question here.");
        assert_eq!(marked(&[(one, true)]), Cached { written_1h: 3, ..Cached::default() });
        assert_eq!(marked(&[(one, true), (two, false)]), Cached { read: 3, written_5m: 5, written_1h: 0 });
        assert_eq!(marked(&[(one, true), (two, false)]), Cached { read: 8, ..Cached::default() });
    }
}
