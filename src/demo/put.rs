//! Writing bytes and cutting texts, shared by all that is sent. Must never know a protocol.

use std::io::Write;

use super::knobs::TEXT_BYTES_MAX;

/// One token of this upstream, in bytes of text.
pub(super) const TOKEN_BYTES: usize = 4;
pub(super) const CHUNK_BYTES_DEFAULT: usize = 16;
/// A text longer than this is cut by size and not by words.
pub(super) const WORDS_BYTES_MAX: usize = 1024;

/// How a text becomes stream chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pieces {
    Words,
    Bytes(usize),
}

pub(super) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

/// Writes a JSON string with its quotes.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every write and a str is always JSON");
}

/// Tokens that a text of this many bytes counts, at least one.
pub(super) fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(TOKEN_BYTES).max(1) as u64
}

/// The longest start of `text` with at most `bytes_max` bytes.
pub(super) fn clip(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Something to read, of exactly this size.
pub(super) fn filler(bytes: usize) -> String {
    "the quick brown fox jumps over a lazy dog and runs ".chars().cycle().take(bytes.min(TEXT_BYTES_MAX)).collect()
}

/// Cuts a text into non-empty pieces that give it back when joined.
pub(super) fn pieces(text: &str, cut: Pieces) -> Vec<&str> {
    let bytes = match cut {
        Pieces::Words if text.len() <= WORDS_BYTES_MAX => return text.split_inclusive(' ').collect(),
        Pieces::Words => CHUNK_BYTES_DEFAULT.max(text.len() / WORDS_BYTES_MAX),
        Pieces::Bytes(bytes) => bytes,
    };
    let mut pieces = Vec::with_capacity(text.len() / bytes + 1);
    let mut rest = text;
    while !rest.is_empty() {
        // A character wider than a piece still goes out whole.
        let end = clip(rest, bytes).len().max(rest.chars().next().map_or(1, char::len_utf8));
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The arguments of a call in about three pieces.
pub(super) fn thirds(text: &str) -> Vec<&str> {
    pieces(text, Pieces::Bytes(text.len().div_ceil(3).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_characters_whole() {
        assert_eq!(pieces("日本語", Pieces::Bytes(1)), ["日", "本", "語"]);
        assert_eq!(clip("日本語", 5), "日");
        assert_eq!(thirds("abcdefg"), ["abc", "def", "g"]);
    }
}
