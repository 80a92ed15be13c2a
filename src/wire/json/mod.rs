//! Reads JSON in one pass without a DOM: a strict cursor over bytes. Must never know what the members mean.
//!
//! The caller walks the containers that it knows and skips the rest; a skipped value is checked against the whole
//! grammar all the same. Nothing is allocated, nothing recurses, every byte is looked at once.

mod text;
mod tree;
mod write;

use std::ops::Range;

pub use text::{
    decode_lossy, decoded_len, escape_into, escape_line_separators, mended_surrogates, open_high_surrogate,
    opens_with_low_surrogate,
};
pub use tree::{Object, Str, Value};
pub use write::Json;

/// Deepest nesting that a cursor can follow, whatever its caller asks for.
pub const DEPTH_MAX: usize = 1024;

/// What a fault expects of a document that is nested deeper than the cursor may go.
pub const LESS_NESTING: &str = "less nesting";

/// Where a document stops being JSON, and what was expected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub at: usize,
    pub expected: &'static str,
}

/// What a value is, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// Whether a `\ud83d` without its other half passes. A stream may cut a pair between two deltas; a request may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoneSurrogates {
    Refused,
    Allowed,
}

/// A string as it stands between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub raw: &'a [u8],
    /// Where `raw` begins.
    pub at: usize,
    /// Whether `raw` holds a backslash.
    pub escaped: bool,
}

impl Token<'_> {
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The text it stands for. Bytes that are no UTF-8 and halves of surrogate pairs become U+FFFD.
    pub fn text(&self) -> String {
        decode_lossy(self.raw)
    }

    /// The string with its quotes.
    pub fn span(&self) -> Range<usize> {
        self.at - 1..self.at + self.raw.len() + 1
    }
}

/// How far the walk through one container has come.
#[derive(Debug)]
pub struct Walk {
    begun: bool,
}

pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    depth_max: usize,
    lone_surrogates: LoneSurrogates,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], depth_max: usize, lone_surrogates: LoneSurrogates) -> Cursor<'a> {
        Cursor { bytes, at: 0, depth: 0, depth_max: depth_max.min(DEPTH_MAX), lone_surrogates }
    }

    /// Where the cursor stands.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn bytes(&self, span: Range<usize>) -> &'a [u8] {
        &self.bytes[span]
    }

    fn fault<T>(&self, expected: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, expected })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// What the next value is.
    pub fn kind(&mut self) -> Result<Kind, Fault> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Kind::String),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => self.fault("a value"),
        }
    }

    /// Enters an object or array, whose opening byte the caller has seen through `kind`.
    pub fn enter(&mut self) -> Result<Walk, Fault> {
        self.deeper()?;
        Ok(Walk { begun: false })
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        if self.depth == self.depth_max {
            return self.fault(LESS_NESTING);
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// The next key of an object, its colon read too, or `None` behind the object's end.
    pub fn key(&mut self, walk: &mut Walk) -> Result<Option<Token<'a>>, Fault> {
        self.space();
        match (self.peek(), walk.begun) {
            (Some(b'}'), _) => {
                self.at += 1;
                self.depth -= 1;
                return Ok(None);
            }
            (Some(b','), true) => {
                self.at += 1;
                self.space();
            }
            (Some(_), false) => {}
            _ => return self.fault("`,` or `}`"),
        }
        walk.begun = true;
        self.key_and_colon().map(Some)
    }

    fn key_and_colon(&mut self) -> Result<Token<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return self.fault("a key in double quotes");
        }
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return self.fault("`:`");
        }
        self.at += 1;
        Ok(key)
    }

    /// Whether an array has another element, at which the cursor then stands.
    pub fn element(&mut self, walk: &mut Walk) -> Result<bool, Fault> {
        self.space();
        match (self.peek(), walk.begun) {
            // After a comma a value must follow, which the caller's next step finds out.
            (Some(b']'), _) => {
                self.at += 1;
                self.depth -= 1;
                return Ok(false);
            }
            (Some(b','), true) => {
                self.at += 1;
                self.space();
                if self.peek() == Some(b']') {
                    return self.fault("a value");
                }
            }
            (Some(_), false) => {}
            _ => return self.fault("`,` or `]`"),
        }
        walk.begun = true;
        Ok(true)
    }

    /// Reads a string whose opening quote the caller has seen.
    pub fn string(&mut self) -> Result<Token<'a>, Fault> {
        let start = self.at + 1;
        self.at = start;
        let mut escaped = false;
        loop {
            self.at += text::plain_len(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fault("an escape for a control character"),
                None => return self.fault("the end of a string"),
            }
        }
        let raw = &self.bytes[start..self.at];
        self.at += 1;
        Ok(Token { raw, at: start, escaped })
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let rest = &self.bytes[self.at..];
                let Some(unit) = text::code_unit(rest) else { return self.fault("four hex digits after \\u") };
                let paired = match unit {
                    0xD800..=0xDBFF => matches!(text::code_unit(&rest[6..]), Some(0xDC00..=0xDFFF)),
                    0xDC00..=0xDFFF => false,
                    _ => {
                        self.at += 6;
                        return Ok(());
                    }
                };
                if !paired && self.lone_surrogates == LoneSurrogates::Refused {
                    return self.fault("both halves of a surrogate pair");
                }
                self.at += if paired { 12 } else { 6 };
            }
            _ => return self.fault("an escape that JSON knows"),
        }
        Ok(())
    }

    /// Reads a number and gives its text.
    pub fn number(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fault("a digit"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(&self.bytes[start..self.at])
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return self.fault("a digit");
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fault("true, false or null");
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes over the next value, whatever it is, and gives where it stands.
    pub fn skip(&mut self) -> Result<Range<usize>, Fault> {
        self.space();
        let start = self.at;
        let base = self.depth;
        let mut nested = Nesting::default();
        loop {
            let opened = self.open_or_scalar(&mut nested)?;
            if !opened && !self.next_value(&mut nested, base)? {
                return Ok(start..self.at);
            }
        }
    }

    /// Passes over the next value.
    pub fn ignore(&mut self) -> Result<(), Fault> {
        self.skip().map(|_| ())
    }

    /// Reads a scalar (`false`), or opens a container and comes to stand at its first value (`true`). A container that
    /// is closed at once counts as a scalar.
    fn open_or_scalar(&mut self, nested: &mut Nesting) -> Result<bool, Fault> {
        match self.kind()? {
            Kind::String => self.string().map(|_| ())?,
            Kind::Number => self.number().map(|_| ())?,
            Kind::True => self.literal("true")?,
            Kind::False => self.literal("false")?,
            Kind::Null => self.literal("null")?,
            kind @ (Kind::Object | Kind::Array) => {
                self.deeper()?;
                self.space();
                let object = kind == Kind::Object;
                if self.peek() == Some(if object { b'}' } else { b']' }) {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(false);
                }
                nested.set(self.depth, object);
                if object {
                    self.key_and_colon()?;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// After a value: closes what ends here and comes to stand at the next value, or says that none is left.
    fn next_value(&mut self, nested: &mut Nesting, base: usize) -> Result<bool, Fault> {
        while self.depth > base {
            let object = nested.is_object(self.depth);
            self.space();
            match (self.peek(), object) {
                (Some(b','), _) => {
                    self.at += 1;
                    if object {
                        self.space();
                        self.key_and_colon()?;
                    }
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    self.depth -= 1;
                }
                (_, true) => return self.fault("`,` or `}`"),
                (_, false) => return self.fault("`,` or `]`"),
            }
        }
        Ok(false)
    }

    /// Nothing but white space may be left.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at < self.bytes.len() { self.fault("the end of the document") } else { Ok(()) }
    }
}

/// Which of the open containers are objects, one bit a level.
#[derive(Default)]
struct Nesting([u64; DEPTH_MAX / 64 + 1]);

impl Nesting {
    fn set(&mut self, depth: usize, object: bool) {
        let bit = 1 << (depth % 64);
        if object {
            self.0[depth / 64] |= bit;
        } else {
            self.0[depth / 64] &= !bit;
        }
    }

    fn is_object(&self, depth: usize) -> bool {
        self.0[depth / 64] & (1 << (depth % 64)) != 0
    }
}

#[cfg(test)]
pub(crate) mod tests;
