//! Tells what a whole text has more than the pieces of it that came before.

use crate::wire::json::Str;

/// A text that came in pieces, as far as it must be known to tell whether a longer one begins with it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    bytes: usize,
    hash: u64,
}

impl Told {
    pub fn add(&mut self, piece: &Str<'_>) {
        let piece = piece.decode();
        self.bytes += piece.len();
        self.hash = hash(self.hash, piece.as_bytes());
    }

    /// What the whole text has more; `None` for nothing, or where it is another text.
    pub fn rest<'a>(&self, whole: Str<'a>) -> Option<Str<'a>> {
        if self.bytes == 0 {
            return Some(whole).filter(|whole| !whole.is_empty());
        }
        let text = whole.decode();
        let (begin, rest) = text.split_at_checked(self.bytes)?;
        let goes_on = !rest.is_empty() && hash(0, begin.as_bytes()) == self.hash;
        goes_on.then(|| Str::plain(rest.to_owned()))
    }
}

fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x100_0000_01b3;
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_add(1).wrapping_mul(PRIME))
}
