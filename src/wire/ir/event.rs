//! An answer as a stream of events, and who reads and writes them. A whole answer is the same events at once.
//!
//! Order: `Start`, then blocks one after the other (`BlockStart`, its `Delta`s, `BlockStop`), then `Usage` where it is known,
//! a `Finish` for every choice, `End`. A `Failed` ends everything. Readers may interleave blocks, where their upstream does;
//! `Sequence` stands behind every reader and puts them one after the other, so writers never see two open blocks of one
//! choice. Blocks are numbered from 0 per choice, in the order of their starts.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::UpstreamError;
use super::loss::Losses;
use super::state::State;
use crate::wire::json::{Str, Value};
use crate::wire::{Operation, Protocol, Usage};

#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Comes first, once.
    Start(Start<'a>),
    BlockStart {
        choice: u32,
        block: u32,
        kind: BlockKind<'a>,
    },
    Delta {
        choice: u32,
        block: u32,
        delta: Delta<'a>,
    },
    BlockStop {
        choice: u32,
        block: u32,
    },
    /// The final counts; comes at most once, after the last block. Readers keep cumulative reports to themselves.
    Usage {
        usage: Usage,
        iterations: Vec<Iteration>,
    },
    Finish(Finish<'a>),
    /// The upstream's own error within its answer. Writers ignore it: what the client gets goes through `EventWriter::fail`.
    Failed(UpstreamError),
    /// The protocol's end was seen, or the bytes ended where the answer was complete.
    End,
}

/// The model and tier as the upstream names them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Start<'a> {
    pub id: Option<Str<'a>>,
    pub model: Option<Str<'a>>,
    /// Unix seconds.
    pub created: Option<i64>,
    pub service_tier: Option<Str<'a>>,
    /// Input counts that are known at the start (AM `message_start`); the final ones come in `Usage`.
    pub usage: Option<Usage>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum BlockKind<'a> {
    Text,
    Refusal,
    /// Thinking, shown; `redacted`: nothing to show, only state.
    Reasoning {
        redacted: bool,
    },
    /// Arguments come as `Delta::Arguments` pieces of one JSON text (for `custom`: of plain text). No pieces = `{}`.
    Call {
        id: Option<Str<'a>>,
        name: Str<'a>,
        custom: bool,
    },
    /// An image or sound; `mime` as known. Data comes as one or more `Delta::Data` of base64, or one `Delta::Url`.
    Media {
        image: bool,
        mime: Cow<'a, str>,
    },
    /// A server tool's call or result. Only a writer of the same protocol could say it; others drop it, with a loss where
    /// it is a result. `Delta::Text` never comes.
    Foreign {
        protocol: Protocol,
        what: Cow<'a, str>,
        raw: Value<'a>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Delta<'a> {
    /// Of a text, refusal or reasoning; of a sound, what is heard in it. May be empty; an open half of a surrogate pair never
    /// ends it (`Sequence` joins).
    Text(Str<'a>),
    Arguments(Str<'a>),
    /// State of the block: an AM signature, RS encrypted content, a GM thought signature. At most one a block.
    State(State<'a>),
    Citation(Citation<'a>),
    Data(Str<'a>),
    Url(Str<'a>),
    /// RS: the next summary part of a reasoning block begins.
    NextPart,
    /// Log probabilities of what was just said, as OpenAI has them (`[{token,logprob,bytes,top_logprobs}]`).
    Logprobs(Value<'a>),
}

/// Where a text says it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Citation<'a> {
    pub url: Option<Str<'a>>,
    pub title: Option<Str<'a>>,
    pub cited: Option<Str<'a>>,
    /// Characters of the block's text.
    pub span: Option<(u64, u64)>,
    pub origin: Protocol,
    /// As it came.
    pub raw: Value<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    Done,
    /// One of the client's stop texts was produced.
    StopSequence,
    Length,
    ContextFull,
    /// Calls are among the blocks, and nothing else ended it.
    ToolCalls,
    Filtered,
    Refused,
    /// A server tool wants to go on (AM `pause_turn`).
    Paused,
    /// The model made a call that is none (GM `MALFORMED_FUNCTION_CALL`).
    BadCall,
    /// A word that is not known.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Finish<'a> {
    pub choice: u32,
    pub reason: StopReason,
    /// The vendor's own word.
    pub native: Option<Str<'a>>,
    pub stop_sequence: Option<Str<'a>>,
    /// Why, in words, where the vendor says (`finishMessage`, `stop_details.explanation`).
    pub message: Option<Str<'a>>,
}

/// A model that took part in an answer beside or before the answering one (AM `usage.iterations`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iteration {
    /// `None` = the answering model.
    pub model: Option<String>,
    pub usage: Usage,
}

/// How a finished answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    /// The bytes ended before that.
    Truncated,
    Errored,
}

pub trait Sink {
    fn event(&mut self, event: Event<'_>);

    /// The upstream said that it is still there, and nothing else.
    fn alive(&mut self) {}
}

impl Sink for Vec<Event<'static>> {
    fn event(&mut self, event: Event<'_>) {
        self.push(event.into_owned());
    }
}

/// Reads one answer of a protocol. A reader never fails: what it cannot understand becomes `Event::Failed`.
pub trait EventReader: Send {
    /// One event of a stream: its `event:` name and its data, keepalives already left out. Where the end mark is in it, the
    /// reader closes what is open and emits `Usage`, `Finish` and `End` at once. Nothing is emitted behind `End` or `Failed`.
    fn read_event(&mut self, name: Option<&str>, data: &str, sink: &mut dyn Sink);

    /// The bytes of a stream have ended. Emits what `read_event` would at an end mark, if the answer was complete without one.
    fn end(&mut self, sink: &mut dyn Sink) -> Outcome;

    /// A whole answer. `Err` says in words why it is none (JSON of something else).
    fn read_whole(&mut self, body: &str, sink: &mut dyn Sink) -> Result<(), String>;

    /// `End` or `Failed` was emitted.
    fn done(&self) -> bool;

    /// The tier that the answer was served at, where that is told behind its start (RS: in its last event).
    fn service_tier(&self) -> Option<&str> {
        None
    }
}

/// Writes one streamed answer of a protocol.
pub trait EventWriter: Send {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>);

    /// Says between two events that the stream is still there, where the protocol has a way to.
    fn keepalive(&mut self, _out: &mut Vec<u8>) {}

    /// Ends the stream with the protocol's own error event. Nothing may follow.
    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>);

    /// What could not be said of this answer.
    fn losses(&self) -> &Losses;
}

/// How a stream is framed for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    #[default]
    Sse,
    /// GM without `alt=sse`: one JSON array, piece by piece.
    Array,
}

/// What a writer needs beside the events. Clock and ids are inputs.
#[derive(Debug, Clone, Default)]
pub struct WriterSetup {
    /// Ours; ids of the answer are made from it.
    pub call_id: String,
    /// RS: the answer's own id, where its beginning was not written by us.
    pub response_id: Option<String>,
    /// Unix seconds.
    pub created: i64,
    /// The name to give where the upstream gives none.
    pub model: String,
    /// CC: the client asked for the usage chunk.
    pub include_usage: bool,
    pub framing: Framing,
    /// What the client asked for: legacy completions have a form of their own.
    pub operation: Operation,
    /// Input tokens as estimated, for protocols that tell them at the start; 0 = not estimated.
    pub input_tokens_estimated: u64,
    /// RS: fields of the request that an answer repeats, as raw JSON.
    pub echo: Arc<[(Cow<'static, str>, String)]>,
}

impl Event<'_> {
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Start(start) => Event::Start(start.into_owned()),
            Event::BlockStart { choice, block, kind } => Event::BlockStart { choice, block, kind: kind.into_owned() },
            Event::Delta { choice, block, delta } => Event::Delta { choice, block, delta: delta.into_owned() },
            Event::BlockStop { choice, block } => Event::BlockStop { choice, block },
            Event::Usage { usage, iterations } => Event::Usage { usage, iterations },
            Event::Finish(finish) => Event::Finish(finish.into_owned()),
            Event::Failed(error) => Event::Failed(error),
            Event::End => Event::End,
        }
    }
}

impl Start<'_> {
    pub fn into_owned(self) -> Start<'static> {
        Start {
            id: self.id.map(Str::into_owned),
            model: self.model.map(Str::into_owned),
            created: self.created,
            service_tier: self.service_tier.map(Str::into_owned),
            usage: self.usage,
        }
    }
}

impl BlockKind<'_> {
    pub fn into_owned(self) -> BlockKind<'static> {
        match self {
            BlockKind::Text => BlockKind::Text,
            BlockKind::Refusal => BlockKind::Refusal,
            BlockKind::Reasoning { redacted } => BlockKind::Reasoning { redacted },
            BlockKind::Call { id, name, custom } => {
                BlockKind::Call { id: id.map(Str::into_owned), name: name.into_owned(), custom }
            }
            BlockKind::Media { image, mime } => BlockKind::Media { image, mime: Cow::Owned(mime.into_owned()) },
            BlockKind::Foreign { protocol, what, raw } => {
                BlockKind::Foreign { protocol, what: Cow::Owned(what.into_owned()), raw: raw.into_owned() }
            }
        }
    }
}

impl Delta<'_> {
    pub fn into_owned(self) -> Delta<'static> {
        match self {
            Delta::Text(text) => Delta::Text(text.into_owned()),
            Delta::Arguments(text) => Delta::Arguments(text.into_owned()),
            Delta::State(state) => Delta::State(state.into_owned()),
            Delta::Citation(citation) => Delta::Citation(citation.into_owned()),
            Delta::Data(data) => Delta::Data(data.into_owned()),
            Delta::Url(url) => Delta::Url(url.into_owned()),
            Delta::NextPart => Delta::NextPart,
            Delta::Logprobs(value) => Delta::Logprobs(value.into_owned()),
        }
    }
}

impl Citation<'_> {
    pub fn into_owned(self) -> Citation<'static> {
        Citation {
            url: self.url.map(Str::into_owned),
            title: self.title.map(Str::into_owned),
            cited: self.cited.map(Str::into_owned),
            span: self.span,
            origin: self.origin,
            raw: self.raw.into_owned(),
        }
    }
}

impl Finish<'_> {
    pub fn into_owned(self) -> Finish<'static> {
        Finish {
            choice: self.choice,
            reason: self.reason,
            native: self.native.map(Str::into_owned),
            stop_sequence: self.stop_sequence.map(Str::into_owned),
            message: self.message.map(Str::into_owned),
        }
    }
}
