//! The text that a model produced, for counting where no usage is reported. It is decoded only when somebody has to count.

use crate::wire::json::{Str, decode_lossy, decoded_len, open_high_surrogate, opens_with_low_surrogate};

/// Most of the produced text, escaped as it came, that is kept for counting.
pub const OUTPUT_KEPT_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
pub struct Produced {
    /// Insides of JSON strings, one behind the other.
    kept: Vec<u8>,
    full: bool,
    bytes: u64,
    /// The text so far ends in the first half of a surrogate pair.
    half_open: bool,
}

impl Produced {
    pub fn add(&mut self, text: &Str<'_>) {
        let token = text.as_token();
        self.add_token(token.as_bytes(), memchr::memchr(b'\\', token.as_bytes()).is_some());
    }

    /// Adds the inside of a JSON string. `escaped`: whether it holds a backslash.
    pub fn add_token(&mut self, raw: &[u8], escaped: bool) {
        let bytes = if escaped { decoded_len(raw) } else { raw.len() };
        self.bytes += bytes as u64;
        if self.half_open && opens_with_low_surrogate(raw) {
            // Each half counted as U+FFFD, three bytes; together they are a character of four.
            self.bytes -= 2;
        }
        if !raw.is_empty() {
            self.half_open = escaped && open_high_surrogate(raw);
        }
        self.keep(raw);
    }

    fn keep(&mut self, raw: &[u8]) {
        if self.full {
            return;
        }
        let room = OUTPUT_KEPT_BYTES_MAX - self.kept.len();
        if raw.len() <= room {
            self.kept.extend_from_slice(raw);
            return;
        }
        self.full = true;
        let is_start = |at: &usize| raw[*at] & 0xC0 != 0x80;
        let end = (0..=room).rev().find(is_start).unwrap_or(0);
        self.kept.extend_from_slice(&raw[..end]);
    }

    pub fn text(&self) -> String {
        decode_lossy(&self.kept)
    }

    /// Of all that was produced, kept or not.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
