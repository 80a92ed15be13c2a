//! Takes the plain text of a free-form tool out of the arguments `{"input":"…"}` that it was wrapped in, as they come.

use std::borrow::Cow;

use crate::wire::json::{LoneSurrogates, Str, Value, mended_surrogates};

/// Longest beginning that is looked at before the arguments count as something else; and most of those that is kept.
const BEGINNING_BYTES_MAX: usize = 64;
const KEPT_BYTES_MAX: usize = 16 << 20;

pub enum Unwrap {
    /// Nothing is decided: the arguments so far, decoded.
    Beginning(String),
    /// Inside the text; what is kept is an escape that is not whole yet.
    Inside(String),
    /// Behind the text.
    Behind,
    /// The arguments have another form: they are kept to their end.
    Other(String),
}

impl Default for Unwrap {
    fn default() -> Unwrap {
        Unwrap::Beginning(String::new())
    }
}

impl Unwrap {
    /// Takes a piece of the arguments and returns the text that came with it.
    pub fn push(&mut self, piece: &Str<'_>) -> Option<Str<'static>> {
        let piece = piece.decode();
        match self {
            Unwrap::Beginning(text) => {
                let text = std::mem::take(text) + &piece;
                self.begin(text)
            }
            Unwrap::Inside(rest) => {
                let text = std::mem::take(rest) + &piece;
                self.inside(text)
            }
            Unwrap::Behind => None,
            Unwrap::Other(text) => {
                let room = KEPT_BYTES_MAX.saturating_sub(text.len());
                text.push_str(&piece[..piece.floor_char_boundary(room)]);
                None
            }
        }
    }

    /// The arguments are over. What has another form is given as the text in it, else as it is.
    pub fn finish(self) -> Option<Str<'static>> {
        match self {
            Unwrap::Inside(_) | Unwrap::Behind => None,
            Unwrap::Beginning(text) | Unwrap::Other(text) => {
                let value = Value::parse(&text, 64, LoneSurrogates::Allowed).ok();
                let input = value.as_ref().and_then(|value| value.get("input").or(Some(value))?.as_text());
                let empty = value.as_ref().and_then(Value::as_object).is_some_and(|object| object.is_empty());
                let text = if empty { String::new() } else { input.map_or(text.clone(), Cow::into_owned) };
                Some(Str::plain(text)).filter(|text| !text.is_empty())
            }
        }
    }

    fn begin(&mut self, text: String) -> Option<Str<'static>> {
        match inside_of(&text) {
            Beginning::Whole(at) => self.inside(text[at..].to_owned()),
            Beginning::Partial if text.len() <= BEGINNING_BYTES_MAX => {
                *self = Unwrap::Beginning(text);
                None
            }
            Beginning::Partial | Beginning::Other => {
                *self = Unwrap::Other(text);
                None
            }
        }
    }

    /// Gives the inside of the JSON string as it is, up to its quote or to an escape that is not whole.
    fn inside(&mut self, text: String) -> Option<Str<'static>> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at..]) {
            at += found;
            if bytes[at] == b'"' {
                *self = Unwrap::Behind;
                return some(&text[..at]);
            }
            let len = escape_len(&bytes[at..]);
            if at + len > bytes.len() {
                *self = Unwrap::Inside(text[at..].to_owned());
                return some(&text[..at]);
            }
            at += len;
        }
        *self = Unwrap::Inside(String::new());
        some(&text)
    }
}

/// The inside of a JSON string as a token. Control characters, which some models write bare, are escaped.
fn some(inside: &str) -> Option<Str<'static>> {
    let inside = mended_surrogates(inside);
    if inside.bytes().any(|byte| byte < 0x20) {
        let escaped = |c: char| if c < ' ' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
        return Some(Str::token(inside.chars().map(escaped).collect::<String>()));
    }
    Some(Str::token(inside.into_owned())).filter(|text| !text.is_empty())
}

/// The bytes of the escape at the start: with both halves where it is the first half of a surrogate pair.
fn escape_len(bytes: &[u8]) -> usize {
    match bytes.get(1..4) {
        _ if bytes.get(1) != Some(&b'u') => 2,
        Some([_, b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B']) => {
            let alone = !b"\\u".starts_with(bytes.get(6..bytes.len().min(8)).unwrap_or_default());
            if alone { 6 } else { 12 }
        }
        _ => 6,
    }
}

enum Beginning {
    /// The text begins here.
    Whole(usize),
    /// So far it may be one.
    Partial,
    Other,
}

/// Whether `{"input":"` stands at the start, white space allowed between its tokens.
fn inside_of(text: &str) -> Beginning {
    let mut rest = text;
    for token in ["{", "\"input\"", ":", "\""] {
        rest = rest.trim_start_matches([' ', '\n', '\r', '\t']);
        if let Some(after) = rest.strip_prefix(token) {
            rest = after;
        } else if token.starts_with(rest) {
            return Beginning::Partial;
        } else {
            return Beginning::Other;
        }
    }
    Beginning::Whole(text.len() - rest.len())
}
