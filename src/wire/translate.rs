//! Translates requests and answers between protocols. Must never know one protocol's spelling, a socket or a clock.

mod ids;

use super::dialect::{Dialect, Sent};
use super::facts::Facts;
use super::feed::{Broken, Feed, Form};
use super::ir::{
    AnswerBlock, Event, EventReader, EventWriter, Fold, Losses, Outcome, Refusal, Request, Sink, Target, Undo,
    UpstreamError, WriterSetup,
};
use super::json::escape_line_separators;
use super::sequence::{Sequence, delta_bytes, kind_bytes};
use super::undo::Undoing;
use super::{Protocol, ReadError};
use ids::CallIds;

/// Most text and data of an answer that is put together for a client that wants it whole.
pub const FOLDED_BYTES_MAX: usize = 64 << 20;

/// What an answer's translation needs to know.
#[derive(Debug, Clone)]
pub struct Setup {
    pub upstream: Protocol,
    pub client: Protocol,
    /// The client wants a stream.
    pub stream: bool,
    /// The account group that can read the answer's state again.
    pub account: String,
    pub undo: Undo,
    pub writer: WriterSetup,
}

/// Translates one answer: the upstream's bytes in, the client's out. Behind its end, or the upstream's error, nothing is
/// written any more but by `fail`.
pub struct Translator {
    feed: Feed,
    stages: Sequence<Undoing<Ending>>,
    ended: bool,
}

impl Translator {
    pub fn new(setup: Setup) -> Translator {
        let reader = (setup.upstream.dialect().reader)(&setup.account);
        let written = match setup.stream {
            true => Written::Stream((setup.client.dialect_for(setup.writer.operation).writer)(setup.writer.clone())),
            false => Written::Whole(Box::default()),
        };
        Translator::of(reader, written, setup)
    }

    fn of(reader: Box<dyn EventReader>, written: Written, setup: Setup) -> Translator {
        // Every other protocol has a field in which thinking comes back.
        let keeps = setup.client == Protocol::OpenAiChat;
        let ending = Ending {
            written,
            facts: if keeps { Facts::with_keepsake() } else { Facts::default() },
            ids: CallIds::new(setup.client, &setup.writer.call_id),
            out: Vec::new(),
            begun: false,
            over: false,
            dialect: setup.client.dialect_for(setup.writer.operation),
            setup: setup.writer,
        };
        let feed = Feed::new(reader, Form::Sse, Broken::Read);
        Translator { feed, stages: Sequence::new(Undoing::new(setup.undo, ending)), ended: false }
    }

    /// Tells the form of the upstream's body, before its first byte. It need not be the one that was asked for.
    pub fn begin(&mut self, form: Form) {
        self.feed.begin(form);
    }

    /// Reads a piece of the upstream's body and writes what it means to the client.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.done() {
            return;
        }
        self.write_into(out, |feed, stages| {
            feed.push(piece, stages);
        });
        self.note_service_tier();
    }

    /// The upstream's bytes have ended. What the client misses of an answer that was not complete is for `fail` to say.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        if !std::mem::replace(&mut self.ended, true) {
            let mut outcome = Outcome::Truncated;
            self.write_into(out, |feed, stages| outcome = feed.finish(stages));
            self.note_service_tier();
            self.ending().facts.conclude(outcome);
        }
        self.facts().outcome.unwrap_or(Outcome::Truncated)
    }

    fn note_service_tier(&mut self) {
        self.stages.sink.sink.facts.note_service_tier(self.feed.service_tier().as_ref());
    }

    /// Lets events be written straight behind what the caller has.
    fn write_into(&mut self, out: &mut Vec<u8>, work: impl FnOnce(&mut Feed, &mut Sequence<Undoing<Ending>>)) {
        let start = out.len();
        std::mem::swap(out, &mut self.ending().out);
        work(&mut self.feed, &mut self.stages);
        std::mem::swap(out, &mut self.ending().out);
        escape_line_separators(out, start);
    }

    /// Ends the client's stream with its protocol's error event. Nothing is written where the stream has ended already, or
    /// the client waits for a whole answer.
    pub fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        let ending = self.ending();
        let over = std::mem::replace(&mut ending.over, true);
        ending.facts.error.get_or_insert_with(|| error.clone());
        ending.facts.conclude(Outcome::Errored);
        self.ended = true;
        if let (false, Written::Stream(writer)) = (over, &mut self.ending().written) {
            writer.fail(error, out);
        }
    }

    /// The body for a client that wants a whole answer, once that has ended well.
    pub fn whole(&mut self) -> Option<Vec<u8>> {
        let Ending { written, setup, dialect, .. } = self.ending();
        match written {
            Written::Whole(folded) if folded.fold.answer.ended => {
                Some((dialect.write_whole)(&folded.fold.answer, setup, &mut folded.losses))
            }
            Written::Whole(_) | Written::Stream(_) => None,
        }
    }

    pub fn facts(&self) -> &Facts {
        &self.stages.sink.sink.facts
    }

    /// What could not be said of the answer. Of a whole one it is known after `whole`.
    pub fn losses(&self) -> &Losses {
        match &self.stages.sink.sink.written {
            Written::Stream(writer) => writer.losses(),
            Written::Whole(folded) => &folded.losses,
        }
    }

    /// The answer's end, or the upstream's error, has come: nothing of what follows would be read.
    pub fn done(&self) -> bool {
        self.ended || self.stages.over() || self.stages.sink.sink.over || self.feed.done()
    }

    fn ending(&mut self) -> &mut Ending {
        &mut self.stages.sink.sink
    }
}

/// Where the events of an answer end: in the client's bytes and in the facts.
struct Ending {
    written: Written,
    facts: Facts,
    ids: CallIds,
    out: Vec<u8>,
    /// Something was written.
    begun: bool,
    /// Nothing more is written.
    over: bool,
    dialect: &'static Dialect,
    setup: WriterSetup,
}

enum Written {
    Stream(Box<dyn EventWriter>),
    Whole(Box<Folded>),
}

/// An answer for a client that wants it whole.
#[derive(Default)]
struct Folded {
    fold: Fold,
    bytes: usize,
    losses: Losses,
}

impl Sink for Ending {
    fn event(&mut self, mut event: Event<'_>) {
        if self.over {
            return;
        }
        self.ids.settle(&mut event);
        self.facts.note(&event);
        self.over = matches!(event, Event::End | Event::Failed(_));
        match (&mut self.written, event) {
            // What the client gets of it is said by `fail`.
            (_, Event::Failed(_)) => self.over = false,
            (Written::Stream(writer), event) => {
                let before = self.out.len();
                writer.event(&event, &mut self.out);
                self.begun |= self.out.len() > before;
            }
            (Written::Whole(folded), event) => {
                folded.bytes += bytes_of(&event);
                if folded.bytes <= FOLDED_BYTES_MAX {
                    return folded.fold.event(event);
                }
                let message = format!("the upstream's answer is longer than {FOLDED_BYTES_MAX} bytes");
                self.facts.note(&Event::Failed(UpstreamError { message, ..UpstreamError::default() }));
                self.over = true;
            }
        }
    }

    /// A keepalive is given on once there is a stream to keep alive.
    fn alive(&mut self) {
        if let (true, false, Written::Stream(writer)) = (self.begun, self.over, &mut self.written) {
            writer.keepalive(&mut self.out);
        }
    }
}

/// What an event adds to a folded answer.
fn bytes_of(event: &Event<'_>) -> usize {
    match event {
        Event::BlockStart { kind, .. } => size_of::<AnswerBlock>() + kind_bytes(kind),
        Event::Delta { delta, .. } => delta_bytes(delta),
        Event::Start(_)
        | Event::BlockStop { .. }
        | Event::Usage { .. }
        | Event::Finish(_)
        | Event::Failed(_)
        | Event::End => 0,
    }
}

/// Why a request cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untranslatable {
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A client's request as the upstream's protocol says it, with what its answer must undo. `prepare` may change the request
/// in between: name the model and stream of a path, put fetched media in the place of their URLs.
pub fn translate_request(
    (client, upstream): (Protocol, Protocol),
    body: &str,
    depth_max: usize,
    target: &Target<'_>,
    losses: &mut Losses,
    prepare: impl FnOnce(&mut Request<'_>),
) -> Result<Sent, Untranslatable> {
    let mut request = (client.dialect().read_request)(body, depth_max)?;
    prepare(&mut request);
    Ok((upstream.dialect().write_request)(&request, target, losses)?)
}

#[cfg(test)]
mod tests;
