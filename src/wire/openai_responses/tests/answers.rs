//! Answers in the plain: blocks with what was said in them. Events may interleave.

use std::collections::BTreeMap;

use super::super::ResponsesReader;
use crate::wire::Usage;
use crate::wire::ir::{
    BlockKind, Citation, Delta, Event, EventReader, Finish, Outcome, Sink, Start, State, StopReason, UpstreamError,
};
use crate::wire::json::Value;

/// Stands between the sections of a reasoning block.
pub(super) const NEXT_PART: char = '\u{241e}';

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub kind: BlockKind<'static>,
    pub text: String,
    /// The sections of a reasoning block.
    pub parts: usize,
    pub url: Option<String>,
    pub state: Option<State<'static>>,
    pub citations: Vec<Citation<'static>>,
    pub logprobs: Vec<Value<'static>>,
}

/// Checks the order of events as it gathers them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plain {
    pub start: Option<Start<'static>>,
    pub blocks: Vec<Block>,
    open: BTreeMap<u32, ()>,
    pub usage: Option<Usage>,
    pub finish: Option<Finish<'static>>,
    pub error: Option<UpstreamError>,
    pub ended: bool,
    pub outcome: Option<Outcome>,
}

impl Sink for Plain {
    fn event(&mut self, event: Event<'_>) {
        assert!(!self.ended && self.error.is_none(), "behind the end: {event:?}");
        assert!(
            self.start.is_some() || matches!(event, Event::Start(_) | Event::Failed(_)),
            "before the start: {event:?}"
        );
        match event.into_owned() {
            Event::Start(start) => assert!(self.start.replace(start).is_none()),
            Event::BlockStart { choice: 0, block, kind } => {
                assert_eq!(block as usize, self.blocks.len());
                assert!(self.usage.is_none());
                self.open.insert(block, ());
                let block = Block {
                    kind,
                    text: String::new(),
                    parts: 1,
                    url: None,
                    state: None,
                    citations: vec![],
                    logprobs: vec![],
                };
                self.blocks.push(block);
            }
            Event::Delta { choice: 0, block, delta } => {
                assert!(self.open.contains_key(&block), "block {block} is not open: {delta:?}");
                let block = &mut self.blocks[block as usize];
                match delta {
                    Delta::Text(text) | Delta::Arguments(text) | Delta::Data(text) => {
                        assert!(!text.is_empty());
                        block.text.push_str(&text.as_token());
                    }
                    Delta::State(state) => assert!(block.state.replace(state).is_none()),
                    Delta::Citation(citation) => block.citations.push(citation),
                    Delta::Url(url) => block.url = Some(url.decode().into_owned()),
                    Delta::NextPart => {
                        block.parts += 1;
                        block.text.push(NEXT_PART);
                    }
                    Delta::Logprobs(Value::Array(list)) => block.logprobs.extend(list),
                    Delta::Logprobs(other) => panic!("{other:?}"),
                }
            }
            Event::BlockStop { choice: 0, block } => assert!(self.open.remove(&block).is_some(), "{block}"),
            Event::Usage { usage, .. } => assert!(self.usage.replace(usage).is_none()),
            Event::Finish(finish) => {
                assert!(self.open.is_empty());
                assert!(self.finish.replace(finish).is_none());
            }
            Event::Failed(error) => self.error = Some(error),
            Event::End => self.ended = true,
            event => panic!("{event:?}"),
        }
    }
}

impl Plain {
    fn finished(mut self, reader: &mut ResponsesReader) -> Plain {
        let outcome = reader.end(&mut self);
        self.outcome = Some(outcome);
        assert_eq!(self.ended || self.error.is_some(), reader.done());
        self.open.clear();
        self.decode();
        self
    }

    /// Texts as they read.
    pub fn decode(&mut self) {
        for block in &mut self.blocks {
            block.text = crate::wire::json::Str::token(std::mem::take(&mut block.text)).decode().into_owned();
        }
    }

    pub fn reason(&self) -> Option<StopReason> {
        self.finish.as_ref().map(|finish| finish.reason)
    }

    /// The texts of the blocks of a kind.
    pub fn said(&self, is_kind: impl Fn(&BlockKind<'_>) -> bool) -> String {
        self.blocks.iter().filter(|block| is_kind(&block.kind)).map(|block| block.text.as_str()).collect()
    }
}

/// Reads the data of events.
pub(super) fn read_events<'d>(events: impl IntoIterator<Item = (Option<&'d str>, &'d str)>) -> Plain {
    let (mut reader, mut plain) = (ResponsesReader::new("acme"), Plain::default());
    for (name, data) in events {
        reader.read_event(name, data, &mut plain);
    }
    plain.finished(&mut reader)
}

/// Reads the text of a stream.
pub(super) fn read_sse(text: &str) -> Plain {
    let text = text.replace("\r\n", "\n");
    read_events(sse_data(&text).map(|data| (None, data)))
}

pub(super) fn sse_data(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim)
}

pub(super) fn read_whole(body: &str) -> Result<Plain, String> {
    let (mut reader, mut plain) = (ResponsesReader::new("acme"), Plain::default());
    reader.read_whole(body, &mut plain)?;
    Ok(plain.finished(&mut reader))
}
