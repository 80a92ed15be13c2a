//! Puts the calls of a chat stream together, however their vendor cut them. Must never parse arguments: they stay text.
//!
//! Met: an index that is missing, always 0 or starts at 1; an id that comes late; a name in pieces or in every piece;
//! arguments as an object, or whole in one piece; a list that ends in an empty call.

use super::choice::Out;
use super::read_messages::google_signature;
use crate::wire::ir::{BlockKind, Delta, Event};
use crate::wire::json::{Str, Value};

/// Most calls of one answer; more are not read.
const CALLS_MAX: usize = 1024;
/// Most of a call's arguments that wait for its id.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// Arguments up to this length are known again when they come twice.
const REPEAT_BYTES_MAX: usize = 16 << 10;
/// The index of the old `function_call`, which has none.
const LEGACY_INDEX: u64 = u64::MAX;

/// What one element of `tool_calls` says.
pub struct Piece<'a> {
    index: Option<u64>,
    id: Option<Str<'a>>,
    name: Option<Str<'a>>,
    arguments: Option<Str<'a>>,
    custom: bool,
    signature: Option<Str<'a>>,
}

impl<'a> Piece<'a> {
    pub fn of(call: &Value<'a>) -> Piece<'a> {
        let says = |inner: &&Value<'a>| inner.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        let is_custom = call.get("type").and_then(Value::as_str).is_some_and(|kind| *kind == "custom");
        let function = call.get("function").filter(|function| !is_custom && function.as_object().is_some());
        let custom = call.get("custom").filter(|custom| is_custom || function.is_none() || says(custom));
        // Snowflake sends both, one of them empty.
        let custom = custom.filter(|_| function.is_none_or(|function| !says(&function)) || is_custom);
        let inner = custom.or(function);
        let arguments = match inner.and_then(|inner| inner.get(if custom.is_some() { "input" } else { "arguments" })) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(object @ Value::Object(_)) => Some(Str::plain(object.to_json())),
            _ => None,
        };
        let text = |value: Option<&Value<'a>>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).cloned();
        Piece {
            index: call.get("index").and_then(Value::as_u64),
            id: text(call.get("id")),
            name: text(inner.and_then(|inner| inner.get("name"))),
            arguments: arguments.filter(|text| !text.is_empty()),
            custom: custom.is_some(),
            signature: call.get("extra_content").and_then(google_signature),
        }
    }

    /// Of `function_call: {name, arguments}`.
    pub fn legacy(function: &Value<'a>) -> Piece<'a> {
        let mut call = Value::object();
        if let Some(object) = call.as_object_mut() {
            object.set("function", function.clone());
        }
        Piece { index: Some(LEGACY_INDEX), ..Piece::of(&call) }
    }

    /// Snowflake fills its lists up with such.
    pub fn says_nothing(&self) -> bool {
        self.id.is_none() && self.name.is_none() && self.arguments.is_none() && self.signature.is_none()
    }

    /// Takes a signature of the whole message, if it has none of its own.
    pub fn sign(&mut self, signature: &mut Option<Str<'a>>) {
        if self.signature.is_none() && !self.says_nothing() {
            self.signature = signature.take();
        }
    }

    /// Its arguments are the beginning of an object.
    fn is_fresh(&self) -> bool {
        self.arguments.as_ref().is_some_and(|text| text.decode().trim_start().starts_with('{'))
    }
}

#[derive(Default)]
pub struct Calls {
    list: Vec<Call>,
}

#[derive(Default)]
struct Call {
    index: Option<u64>,
    id: Option<Str<'static>>,
    /// As the inside of a JSON string.
    name: String,
    custom: bool,
    /// Its block, once that has begun.
    block: Option<u32>,
    stopped: bool,
    /// Arguments that came before the block began, as the inside of a JSON string.
    waiting: String,
    /// The first `REPEAT_BYTES_MAX` of all arguments.
    so_far: String,
    scan: Scan,
    signature: Option<Str<'static>>,
    signed: bool,
}

enum Slot {
    New,
    Known(usize),
    /// The same once more.
    Repeated,
}

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a piece is the first of a call.
    pub fn begins(&self, piece: &Piece<'_>, whole: bool) -> bool {
        matches!(self.slot(piece, whole), Slot::New)
    }

    fn slot(&self, piece: &Piece<'_>, whole: bool) -> Slot {
        if whole {
            return Slot::New;
        }
        let by_id = || {
            let id = piece.id.as_ref()?;
            self.list.iter().rposition(|call| call.id.as_ref() == Some(id))
        };
        let candidate = match piece.index {
            Some(index) => {
                let by_index = self.list.iter().rposition(|call| call.index == Some(index));
                // An id under another index is a call of its own only where it has a name.
                match by_id().filter(|at| self.list[*at].index == Some(index) || piece.name.is_none()) {
                    Some(at) => Some(at),
                    None => by_index,
                }
            }
            None => match (by_id(), self.list.len().checked_sub(1)) {
                (Some(at), _) => Some(at),
                (None, last) => last.filter(|_| piece.name.is_none()),
            },
        };
        match candidate {
            None => Slot::New,
            Some(at) => self.list[at].takes(piece, at),
        }
    }

    pub fn push(&mut self, piece: Piece<'_>, whole: bool, choice: u32, next_block: &mut u32, out: &mut Out<'_>) {
        let at = match self.slot(&piece, whole) {
            Slot::Repeated => return,
            Slot::Known(at) => at,
            Slot::New if self.list.len() == CALLS_MAX => return,
            Slot::New => {
                self.settle_complete(choice, next_block, out);
                // Without a name it is another call of the same tool.
                let name = self.list.last().filter(|_| piece.name.is_none() && piece.id.is_none());
                let name = name.map(|last| last.name.clone()).unwrap_or_default();
                self.list.push(Call { index: piece.index, custom: piece.custom, name, ..Call::default() });
                self.list.len() - 1
            }
        };
        let call = &mut self.list[at];
        call.take_names(&piece);
        if let Some(signature) = piece.signature {
            call.sign(signature, choice, out);
        }
        if let Some(text) = piece.arguments {
            call.take_arguments(&text, choice, out);
        }
        let ready = call.id.is_some() && !call.name.is_empty() && !call.waiting.is_empty();
        if whole || ready || call.waiting.len() > WAITING_BYTES_MAX {
            self.start_up_to(at, choice, next_block, out);
        }
        if whole {
            self.list[at].stop(choice, out);
        }
    }

    /// Begins the block of a call, and of those before it, so that blocks keep the order of their calls.
    fn start_up_to(&mut self, at: usize, choice: u32, next_block: &mut u32, out: &mut Out<'_>) {
        for call in &mut self.list[..=at] {
            call.start(choice, next_block, out);
        }
    }

    fn settle_complete(&mut self, choice: u32, next_block: &mut u32, out: &mut Out<'_>) {
        let Some(last) = self.list.iter().rposition(|call| call.scan.is_complete()) else { return };
        if !self.list[last].stopped {
            self.start_up_to(last, choice, next_block, out);
        }
        for call in self.list.iter_mut().filter(|call| call.scan.is_complete()) {
            call.stop(choice, out);
        }
    }

    /// Something else begins: calls that are complete end, and others keep their place before it.
    pub fn settle(&mut self, choice: u32, next_block: &mut u32, out: &mut Out<'_>) {
        if self.list.is_empty() {
            return;
        }
        self.settle_complete(choice, next_block, out);
        let last = self.list.len() - 1;
        self.start_up_to(last, choice, next_block, out);
    }

    pub fn finish(&mut self, choice: u32, next_block: &mut u32, out: &mut Out<'_>) {
        for call in &mut self.list {
            call.start(choice, next_block, out);
            call.stop(choice, out);
        }
    }

    /// A signature of the whole message: the first call carries it.
    pub fn sign_first(&mut self, signature: Str<'_>, choice: u32, out: &mut Out<'_>) {
        if let Some(first) = self.list.first_mut() {
            first.sign(signature, choice, out);
        }
    }
}

impl Call {
    /// Whether a piece goes on with this call, which it seems to mean.
    fn takes(&self, piece: &Piece<'_>, at: usize) -> Slot {
        let complete = self.scan.is_complete();
        let other_id = matches!((&self.id, &piece.id), (Some(known), Some(id)) if known != id);
        if other_id {
            // Relays that make up a new id for every piece have no name in it, and are in the middle of the arguments.
            return if piece.name.is_some() || complete { Slot::New } else { Slot::Known(at) };
        }
        if !complete {
            return Slot::Known(at);
        }
        let known_name = Str::token(self.name.as_str());
        let other_name = piece.name.as_ref().is_some_and(|name| *name != known_name);
        let same_id = piece.id.is_some() && self.id.is_some();
        match (&piece.arguments, piece.is_fresh()) {
            _ if same_id => Slot::Repeated,
            (Some(text), true) if !other_name && self.so_far == *text.as_token() => Slot::Repeated,
            (_, true) => Slot::New,
            _ if other_name => Slot::New,
            _ => Slot::Known(at),
        }
    }

    fn take_names(&mut self, piece: &Piece<'_>) {
        if self.block.is_some() {
            return;
        }
        if self.id.is_none() {
            self.id = piece.id.clone().map(Str::into_owned);
        }
        let Some(piece) = piece.name.as_ref().map(Str::as_token) else { return };
        if self.name.is_empty() || piece.starts_with(self.name.as_str()) {
            // The first piece, the whole name again, or all of it so far.
            self.name = piece.into_owned();
        } else if self.so_far.is_empty() {
            self.name.push_str(&piece);
        }
    }

    fn take_arguments(&mut self, text: &Str<'_>, choice: u32, out: &mut Out<'_>) {
        if self.stopped {
            return;
        }
        let token = text.as_token();
        if !self.custom {
            self.scan.feed(token.as_bytes());
        }
        if self.so_far.len() + token.len() <= REPEAT_BYTES_MAX {
            self.so_far.push_str(&token);
        }
        match self.block {
            Some(block) => out.emit(Event::Delta { choice, block, delta: Delta::Arguments(text.borrowed()) }),
            None => self.waiting.push_str(&token),
        }
    }

    fn start(&mut self, choice: u32, next_block: &mut u32, out: &mut Out<'_>) {
        if self.block.is_some() {
            return;
        }
        let block = *next_block;
        *next_block += 1;
        self.block = Some(block);
        let id = self.id.as_ref().map(Str::borrowed);
        let kind = BlockKind::Call { id, name: Str::token(self.name.as_str()), custom: self.custom };
        out.emit(Event::BlockStart { choice, block, kind });
        if let Some(signature) = self.signature.take() {
            self.sign(signature, choice, out);
        }
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            out.emit(Event::Delta { choice, block, delta: Delta::Arguments(Str::token(waiting)) });
        }
    }

    /// At most one signature a call.
    fn sign(&mut self, signature: Str<'_>, choice: u32, out: &mut Out<'_>) {
        if self.signed || self.stopped {
            return;
        }
        match self.block {
            Some(block) => {
                self.signed = true;
                let state = out.state(signature.decode().into_owned());
                out.emit(Event::Delta { choice, block, delta: Delta::State(state) });
            }
            None => self.signature = Some(signature.into_owned()),
        }
    }

    fn stop(&mut self, choice: u32, out: &mut Out<'_>) {
        if let Some(block) = self.block.filter(|_| !self.stopped) {
            self.stopped = true;
            out.emit(Event::BlockStop { choice, block });
        }
    }
}

/// Follows the braces of a JSON text that comes in pieces, each the inside of a JSON string.
#[derive(Default)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    complete: bool,
}

impl Scan {
    fn is_complete(&self) -> bool {
        self.complete
    }

    fn feed(&mut self, token: &[u8]) {
        let mut at = 0;
        while at < token.len() {
            let byte = token[at];
            at += 1;
            if byte != b'\\' {
                self.see(byte);
                continue;
            }
            match token.get(at) {
                Some(b'u') => {
                    let digits = token.get(at + 1..at + 5).and_then(|digits| std::str::from_utf8(digits).ok());
                    let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                    self.see(unit.and_then(|unit| u8::try_from(unit).ok()).unwrap_or(b'x'));
                    at += 5;
                }
                Some(quoted @ (b'"' | b'\\' | b'/')) => {
                    self.see(*quoted);
                    at += 1;
                }
                _ => {
                    self.see(b' ');
                    at += 1;
                }
            }
        }
    }

    fn see(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                self.complete |= self.depth == 0;
            }
            _ => {}
        }
    }
}
