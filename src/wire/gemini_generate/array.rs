//! Takes the elements out of a JSON array that comes piece by piece, as Gemini streams without `alt=sse`. Must never know what
//! the elements say; whether they are JSON is their reader's affair.

/// Longest element that is put together; a longer one is followed to its end without being kept.
pub const ELEMENT_BYTES_MAX: usize = 16 << 20;
/// Buffers larger than this are given back after use.
const PENDING_KEPT_MAX: usize = 64 << 10;

#[derive(Debug, PartialEq, Eq)]
pub enum Element<'a> {
    Whole(&'a [u8]),
    Overlong,
}

/// Every byte is looked at once, however the network cut the stream. An object outside an array counts as one element.
#[derive(Default)]
pub struct ArraySplitter {
    /// The element under way, as far as earlier pieces brought it.
    pending: Vec<u8>,
    /// `pending` was handed out and is to be forgotten.
    spent: bool,
    overlong: bool,
    /// Within the array.
    inside: bool,
    /// An element may begin: behind the bracket or a comma.
    free: bool,
    /// An element has begun.
    begun: bool,
    /// Containers open within the element.
    depth: u64,
    in_string: bool,
    escaped: bool,
    closed: bool,
}

impl ArraySplitter {
    /// The array or the lone object is closed.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Bytes that must precede an element of ours. None can end an element that is under way, nor follow the array's end: to
    /// close its texts and containers would make half of a call a whole one. There the array stays open, and no client takes
    /// broken JSON for an answer.
    pub fn prefix(&self) -> &'static [u8] {
        match (self.inside, self.begun || self.free) {
            (false, _) if !self.closed => b"[",
            (true, false) => b",",
            (true, true) | (false, _) => b"",
        }
    }

    /// The next element that ends in `piece`, which was read up to `at`. On `None` the rest of the piece has been taken in.
    pub fn next<'a>(&'a mut self, piece: &'a [u8], at: &mut usize) -> Option<Element<'a>> {
        self.forget_spent();
        let mut start = *at;
        let mut pos = *at;
        while pos < piece.len() {
            if self.in_string {
                pos = self.string(piece, pos);
                continue;
            }
            let byte = piece[pos];
            if !self.begun {
                start = pos;
                pos += 1;
                if self.before(byte) {
                    start = pos;
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        *at = pos + 1;
                        self.closed |= !self.inside;
                        return Some(self.element(&piece[start..pos + 1]));
                    }
                }
                // A text, number or word ends where something else begins.
                b',' | b']' if self.depth == 0 => {
                    *at = pos;
                    return Some(self.element(&piece[start..pos]));
                }
                _ => {}
            }
            pos += 1;
        }
        if self.begun {
            self.keep(&piece[start..]);
        }
        *at = piece.len();
        None
    }

    /// A byte between elements; `true` where it is none of the next element's.
    fn before(&mut self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return true,
            b',' => {
                self.free = true;
                return true;
            }
            // A byte order mark.
            0xEF | 0xBB | 0xBF if !self.inside => return true,
            b'[' if !self.inside && !self.closed => {
                self.inside = true;
                self.free = true;
                return true;
            }
            b']' => {
                self.closed = true;
                self.inside = false;
                return true;
            }
            _ if self.closed => return true,
            b'{' | b'[' => self.depth = 1,
            b'"' => self.in_string = true,
            _ => {}
        }
        self.begun = true;
        self.free = false;
        false
    }

    /// Passes through a string; where it ends or the piece does.
    fn string(&mut self, piece: &[u8], mut pos: usize) -> usize {
        if self.escaped {
            self.escaped = false;
            return pos + 1;
        }
        match memchr::memchr2(b'"', b'\\', &piece[pos..]) {
            None => piece.len(),
            Some(found) => {
                pos += found;
                if piece[pos] == b'"' {
                    self.in_string = false;
                } else {
                    self.escaped = true;
                }
                pos + 1
            }
        }
    }

    fn element<'a>(&'a mut self, last: &'a [u8]) -> Element<'a> {
        self.begun = false;
        let overlong = self.overlong || self.pending.len() + last.len() > ELEMENT_BYTES_MAX;
        self.overlong = false;
        self.spent = true;
        if overlong {
            return Element::Overlong;
        }
        if self.pending.is_empty() {
            return Element::Whole(last);
        }
        self.pending.extend_from_slice(last);
        Element::Whole(&self.pending)
    }

    fn keep(&mut self, rest: &[u8]) {
        // Judged by the whole length, so that every cut comes to the same.
        self.overlong |= self.pending.len() + rest.len() > ELEMENT_BYTES_MAX;
        if self.overlong {
            self.pending = Vec::new();
        } else {
            self.pending.extend_from_slice(rest);
        }
    }

    fn forget_spent(&mut self) {
        if std::mem::take(&mut self.spent) {
            if self.pending.capacity() > PENDING_KEPT_MAX {
                self.pending = Vec::new();
            } else {
                self.pending.clear();
            }
        }
    }
}
