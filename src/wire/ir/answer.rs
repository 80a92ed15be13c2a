//! An answer folded out of its events: what a whole answer is written from.

use super::event::{BlockKind, Citation, Delta, Event, Finish, Iteration, Sink, Start};
use super::state::State;
use crate::wire::Usage;
use crate::wire::json::{Str, Value};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    pub start: Start<'static>,
    /// In the order of their first block or finish; `choices[i].choice` is the index that the upstream gave.
    pub choices: Vec<AnswerChoice>,
    pub usage: Option<Usage>,
    pub iterations: Vec<Iteration>,
    pub ended: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AnswerChoice {
    pub choice: u32,
    pub blocks: Vec<AnswerBlock>,
    pub finish: Option<Finish<'static>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AnswerBlock {
    pub kind: BlockKind<'static>,
    /// The text, arguments or base64 data of the block, as the inside of a JSON string.
    token: String,
    /// RS: where later summary parts begin in `token`.
    pub part_starts: Vec<usize>,
    pub url: Option<Str<'static>>,
    /// What is heard in a sound, as the inside of a JSON string.
    transcript: String,
    pub state: Option<State<'static>>,
    pub citations: Vec<Citation<'static>>,
    pub logprobs: Vec<Value<'static>>,
}

impl AnswerBlock {
    pub fn new(kind: BlockKind<'static>) -> AnswerBlock {
        AnswerBlock {
            kind,
            token: String::new(),
            part_starts: Vec::new(),
            url: None,
            transcript: String::new(),
            state: None,
            citations: Vec::new(),
            logprobs: Vec::new(),
        }
    }

    pub fn text(&self) -> Str<'_> {
        Str::token(self.token.as_str())
    }

    /// What is heard in a sound; empty where nobody said.
    pub fn transcript(&self) -> Str<'_> {
        Str::token(self.transcript.as_str())
    }

    /// The summary parts of a reasoning block; one where nothing divides it.
    pub fn parts(&self) -> Vec<Str<'_>> {
        let mut starts = vec![0];
        starts.extend(&self.part_starts);
        starts.push(self.token.len());
        starts.windows(2).map(|pair| Str::token(&self.token[pair[0]..pair[1]])).collect()
    }

    pub fn push(&mut self, delta: Delta<'_>) {
        match delta {
            Delta::Text(text) if matches!(self.kind, BlockKind::Media { .. }) => {
                self.transcript.push_str(&text.as_token());
            }
            Delta::Text(text) | Delta::Arguments(text) | Delta::Data(text) => self.token.push_str(&text.as_token()),
            Delta::State(state) => self.state = Some(state.into_owned()),
            Delta::Citation(citation) => self.citations.push(citation.into_owned()),
            Delta::Url(url) => self.url = Some(url.into_owned()),
            Delta::NextPart => self.part_starts.push(self.token.len()),
            Delta::Logprobs(Value::Array(list)) => self.logprobs.extend(list.into_iter().map(Value::into_owned)),
            Delta::Logprobs(value) => self.logprobs.push(value.into_owned()),
        }
    }
}

impl Answer {
    pub fn choice(&mut self, choice: u32) -> &mut AnswerChoice {
        let at = match self.choices.iter().position(|known| known.choice == choice) {
            Some(at) => at,
            None => {
                self.choices.push(AnswerChoice { choice, blocks: Vec::new(), finish: None });
                self.choices.len() - 1
            }
        };
        &mut self.choices[at]
    }
}

/// Folds events, one block after the other, into an answer.
#[derive(Debug, Default)]
pub struct Fold {
    pub answer: Answer,
}

impl Sink for Fold {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(start) => self.answer.start = start.into_owned(),
            Event::BlockStart { choice, kind, .. } => {
                self.answer.choice(choice).blocks.push(AnswerBlock::new(kind.into_owned()));
            }
            Event::Delta { choice, delta, .. } => {
                if let Some(block) = self.answer.choice(choice).blocks.last_mut() {
                    block.push(delta);
                }
            }
            Event::BlockStop { .. } | Event::Failed(_) => {}
            Event::Usage { usage, iterations } => {
                self.answer.usage = Some(usage);
                self.answer.iterations = iterations;
            }
            Event::Finish(finish) => {
                let choice = finish.choice;
                self.answer.choice(choice).finish = Some(finish.into_owned());
            }
            Event::End => self.answer.ended = true,
        }
    }
}
