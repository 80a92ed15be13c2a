//! The inside of JSON strings: finding their end fast, and what their escapes stand for.

use std::borrow::Cow;

/// How many bytes from the start stand for themselves: no quote, no backslash, no control character.
pub fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    // Most strings are keys and words: eight bytes at a time find their end soonest.
    for word in bytes.chunks_exact(8).take(4) {
        let word = u64::from_le_bytes(word.try_into().expect("a chunk of eight"));
        if let Some(found) = first_special(word) {
            return at + found;
        }
        at += 8;
    }
    // A long text: whole blocks without a branch inside, which compilers turn into vector code.
    for block in bytes[at..].chunks_exact(64) {
        if block.iter().fold(false, |found, &byte| found | is_special(byte)) {
            break;
        }
        at += 64;
    }
    for word in bytes[at..].chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("a chunk of eight"));
        if let Some(found) = first_special(word) {
            return at + found;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len() - at)
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The index of the first special byte of a little-endian word. A borrow can only mark bytes above a true hit, so the
/// lowest mark is always right.
fn first_special(word: u64) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let marks = (quote | backslash | control) & HIGH;
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

/// The UTF-16 unit of a `\uXXXX` at the start of `bytes`.
pub fn code_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)? as u16))
}

enum Piece<'a> {
    Plain(&'a [u8]),
    Char(char),
}

/// Walks through the inside of a string. A half of a pair is U+FFFD; an escape that breaks off ends the walk.
fn pieces(mut raw: &[u8], mut each: impl FnMut(Piece<'_>)) {
    while !raw.is_empty() {
        let plain = memchr::memchr(b'\\', raw).unwrap_or(raw.len());
        if plain > 0 {
            each(Piece::Plain(&raw[..plain]));
            raw = &raw[plain..];
            continue;
        }
        let Some((char, len)) = escape(raw) else { return };
        each(Piece::Char(char));
        raw = &raw[len..];
    }
}

/// What the escape at the start of `raw` stands for, and its length.
fn escape(raw: &[u8]) -> Option<(char, usize)> {
    let char = match raw.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = u32::from(code_unit(raw)?);
            if let 0xD800..=0xDBFF = unit
                && let Some(low @ 0xDC00..=0xDFFF) = code_unit(&raw[6..])
            {
                let code = 0x10000 + ((unit - 0xD800) << 10) + (u32::from(low) - 0xDC00);
                return char::from_u32(code).map(|char| (char, 12));
            }
            return Some((char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), 6));
        }
        other => char::from(*other),
    };
    Some((char, 2))
}

/// The text that the inside of a string stands for.
pub fn decode_lossy(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    pieces(raw, |piece| match piece {
        Piece::Plain(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        Piece::Char(char) => text.push(char),
    });
    text
}

/// The bytes of that text.
pub fn decoded_len(raw: &[u8]) -> usize {
    let mut len = 0;
    pieces(raw, |piece| {
        len += match piece {
            Piece::Plain(bytes) => bytes.len(),
            Piece::Char(char) => char.len_utf8(),
        }
    });
    len
}

/// Writes a text as the inside of a JSON string.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_len(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]]);
            }
        }
        rest = &rest[plain + 1..];
    }
}

/// Escapes what some readers of events take for the end of a line (U+0085, U+2028, U+2029) in JSON from `start` on. In valid
/// JSON they stand inside strings alone.
pub fn escape_line_separators(out: &mut Vec<u8>, start: usize) {
    let found = |bytes: &[u8]| match bytes {
        [0xC2, 0x85, ..] => Some(("\\u0085", 2)),
        [0xE2, 0x80, 0xA8, ..] => Some(("\\u2028", 3)),
        [0xE2, 0x80, 0xA9, ..] => Some(("\\u2029", 3)),
        _ => None,
    };
    let Some(first) = memchr::memchr2_iter(0xC2, 0xE2, &out[start..]).find(|at| found(&out[start + at..]).is_some())
    else {
        return;
    };
    let tail = out.split_off(start + first);
    let mut rest = &tail[..];
    while !rest.is_empty() {
        let plain = memchr::memchr2_iter(0xC2, 0xE2, rest).find(|at| found(&rest[*at..]).is_some());
        let (before, from) = rest.split_at(plain.unwrap_or(rest.len()));
        out.extend_from_slice(before);
        rest = match found(from) {
            Some((escape, len)) => {
                out.extend_from_slice(escape.as_bytes());
                &from[len..]
            }
            None => from,
        };
    }
}

/// Whether the inside of a string ends in the first half of a surrogate pair.
pub fn open_high_surrogate(raw: &[u8]) -> bool {
    let Some(start) = raw.len().checked_sub(6) else { return false };
    // A backslash behind an odd number of others is itself escaped.
    let escapes = raw[..start].iter().rev().take_while(|byte| **byte == b'\\').count();
    escapes.is_multiple_of(2) && matches!(code_unit(&raw[start..]), Some(0xD800..=0xDBFF))
}

/// Whether the inside of a string begins with the second half of a surrogate pair.
pub fn opens_with_low_surrogate(raw: &[u8]) -> bool {
    matches!(code_unit(raw), Some(0xDC00..=0xDFFF))
}

/// The inside of a string with U+FFFD in the place of halves of surrogate pairs, which strict JSON readers refuse.
pub fn mended_surrogates(token: &str) -> Cow<'_, str> {
    let bytes = token.as_bytes();
    let mut mended = String::new();
    let mut taken = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        let (half, len) = match code_unit(&bytes[at..]) {
            Some(0xD800..=0xDBFF) if opens_with_low_surrogate(&bytes[at + 6..]) => (false, 12),
            Some(0xD800..=0xDFFF) => (true, 6),
            Some(_) => (false, 6),
            None => (false, 2),
        };
        if half {
            mended.push_str(&token[taken..at]);
            mended.push(char::REPLACEMENT_CHARACTER);
            taken = at + len;
        }
        at = (at + len).min(bytes.len());
    }
    if taken == 0 {
        return Cow::Borrowed(token);
    }
    mended.push_str(&token[taken..]);
    Cow::Owned(mended)
}
