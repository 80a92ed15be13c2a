//! Ids that we make: deterministic, so that the same call says the same bytes. No clock, no chance.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes the ids of one answer from the call's id.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    call_id: String,
    made: u64,
}

impl Ids {
    pub fn new(call_id: &str) -> Ids {
        Ids { call_id: call_id.to_owned(), made: 0 }
    }

    /// `prefix` and 24 letters or digits: `call_4bXw…`.
    pub fn mint(&mut self, prefix: &str) -> String {
        self.made += 1;
        let hash = Sha256::new().chain_update(&self.call_id).chain_update(self.made.to_be_bytes()).finalize();
        format!("{prefix}{}", base62(&hash, 24))
    }
}

fn base62(bytes: &[u8], len: usize) -> String {
    bytes.iter().take(len).map(|byte| char::from(BASE62[usize::from(*byte) % 62])).collect()
}

/// An id that fits a rule, the same for the same id, so that a call and its result still meet: unchanged where `fits` says so,
/// else its allowed characters and ten hex digits of its hash, at most 64 long.
pub fn fitted_id<'a>(id: &'a str, fits: impl Fn(&str) -> bool) -> Cow<'a, str> {
    if fits(id) {
        return Cow::Borrowed(id);
    }
    let kept: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(53).collect();
    let hash = Sha256::digest(id);
    let hex: String = hash[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    Cow::Owned(format!("{kept}_{hex}"))
}
