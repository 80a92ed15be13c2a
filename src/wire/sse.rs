//! Splits a byte stream into server-sent events, however the network cut it. Must never know what the events say.
//!
//! Lines end with LF, CRLF or a lone CR; a blank line ends an event. Source: WHATWG HTML, "Interpreting an event stream".

use std::borrow::Cow;

/// Longest event that is put together; a longer one is followed to its end without being kept.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Buffers larger than this are given back after use.
const PENDING_KEPT_MAX: usize = 64 << 10;

/// A part of the stream that ends on a line's end.
#[derive(Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// An event up to its blank line; `None` when it was too long to keep.
    Event(Option<&'a [u8]>),
    /// A comment line outside an event. It stands alone, so that a keepalive need not wait for the next event.
    Comment(&'a [u8]),
    /// The LF of a CRLF whose CR ended the unit before.
    Tail,
}

#[derive(Default)]
pub struct Splitter {
    /// The unit under way, as far as earlier pieces brought it.
    pending: Vec<u8>,
    /// `pending` was handed out and is to be forgotten.
    spent: bool,
    /// Bytes of the unit under way, kept or not.
    unit_bytes: usize,
    overlong: bool,
    /// A line of the unit is complete.
    lines_seen: bool,
    /// The current line has a byte.
    in_line: bool,
    /// The current line is a comment that stands alone.
    in_comment: bool,
    /// The last byte was a CR that ended a line.
    after_cr: bool,
}

/// Where in an event a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Boundary,
    /// Between two lines of an event.
    LineStart,
    InLine,
}

impl Splitter {
    /// The next unit that ends in `piece`, which was read up to `at`. On `None` the rest of the piece has been taken in,
    /// and `at` stands where the incomplete unit began (0 when it began in an earlier piece).
    pub fn next<'a>(&'a mut self, piece: &'a [u8], at: &mut usize) -> Option<Unit<'a>> {
        self.forget_spent();
        let start = *at;
        let mut pos = start;
        if self.after_cr && pos < piece.len() {
            self.after_cr = false;
            if piece[pos] == b'\n' {
                pos += 1;
                if self.unit_bytes == 0 {
                    *at = pos;
                    return Some(Unit::Tail);
                }
            }
        }
        while pos < piece.len() {
            if !self.in_line {
                self.in_comment = !self.lines_seen && piece[pos] == b':';
            }
            let Some(found) = memchr::memchr2(b'\n', b'\r', &piece[pos..]) else {
                self.in_line = true;
                break;
            };
            let blank = !self.in_line && found == 0;
            pos += found + 1;
            self.in_line = false;
            if piece[pos - 1] == b'\r' {
                match piece.get(pos) {
                    Some(b'\n') => pos += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank || self.in_comment {
                *at = pos;
                return Some(self.unit(piece, start, pos));
            }
            self.lines_seen = true;
        }
        self.keep(&piece[start..]);
        None
    }

    fn unit<'a>(&'a mut self, piece: &'a [u8], start: usize, end: usize) -> Unit<'a> {
        let comment = self.in_comment;
        self.lines_seen = false;
        self.in_comment = false;
        self.unit_bytes += end - start;
        // Judged by the whole length, so that every cut comes to the same.
        let overlong = self.overlong || self.unit_bytes > FRAME_BYTES_MAX;
        let split = self.unit_bytes > end - start;
        self.unit_bytes = 0;
        self.overlong = false;
        if overlong {
            self.spent = true;
            return if comment { Unit::Comment(b"") } else { Unit::Event(None) };
        }
        let raw = if split {
            self.pending.extend_from_slice(&piece[start..end]);
            self.spent = true;
            &self.pending
        } else {
            &piece[start..end]
        };
        if comment { Unit::Comment(raw) } else { Unit::Event(Some(raw)) }
    }

    fn keep(&mut self, rest: &[u8]) {
        self.unit_bytes += rest.len();
        if self.overlong || self.unit_bytes > FRAME_BYTES_MAX {
            self.overlong = true;
            self.pending = Vec::new();
        } else {
            self.pending.extend_from_slice(rest);
        }
    }

    fn forget_spent(&mut self) {
        if std::mem::take(&mut self.spent) {
            self.pending.clear();
            if self.pending.capacity() > PENDING_KEPT_MAX {
                self.pending = Vec::new();
            }
        }
    }

    /// The unit under way, as far as it has come and was kept.
    pub fn pending(&self) -> &[u8] {
        if self.spent { b"" } else { &self.pending }
    }

    /// Bytes of the unit under way.
    pub fn pending_bytes(&self) -> usize {
        self.unit_bytes
    }

    pub fn place(&self) -> Place {
        match (self.unit_bytes, self.in_line) {
            (0, _) => Place::Boundary,
            // A CR may still become a CRLF: what follows must not begin with the LF that would complete it.
            (_, true) => Place::InLine,
            (_, false) if self.after_cr => Place::InLine,
            (_, false) => Place::LineStart,
        }
    }
}

/// The fields of an event that matter here.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The `data` lines, joined with LF; `None` when there is none.
    pub data: Option<Cow<'a, [u8]>>,
    /// The last `event` line.
    pub event: Option<&'a [u8]>,
}

/// Reads the lines of an event. A byte order mark is passed over at the start of the stream, and only there.
pub fn fields(raw: &[u8], stream_start: bool) -> Fields<'_> {
    let mut rest = raw.strip_prefix(b"\xEF\xBB\xBF").filter(|_| stream_start).unwrap_or(raw);
    let mut fields = Fields { data: None, event: None };
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => match &mut fields.data {
                None => fields.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    let data = data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            b"event" => fields.event = Some(value),
            _ => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests;
