//! Keeps the signed thinking of an answer, for clients of protocols that have no field for it.

use crate::wire::ir::{Arguments, BlockKind, Call, Delta, Event, Part, PartKind, Reasoning, State};
use crate::wire::json::Str;

/// Most of an answer's thinking that is kept. A part of it would be worth nothing: its signature covers the whole.
pub const KEEPSAKE_BYTES_MAX: usize = 1 << 20;

/// Thinking that the calls of an answer need back, for clients that cannot carry it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keepsake {
    /// Ids of the calls, as the client sees them.
    pub calls: Vec<String>,
    /// Reasoning parts in order, with their state; and calls with a state of their own (GM), arguments left out.
    pub parts: Vec<Part<'static>>,
}

impl Keepsake {
    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let texts = |part: &Part<'_>| match &part.kind {
            PartKind::Reasoning(reasoning) => reasoning.text.iter().map(|text| text.as_token().len()).sum(),
            _ => 0,
        };
        let state = |part: &Part<'_>| part.state.as_ref().map_or(0, |state| state.payload.as_token().len());
        let parts: usize = self.parts.iter().map(|part| size_of::<Part<'_>>() + texts(part) + state(part)).sum();
        parts + self.calls.iter().map(|id| id.len() + size_of::<String>()).sum::<usize>()
    }
}

/// Gathers the keepsake of one choice, the first that is met.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    choice: Option<u32>,
    blocks: Vec<Block>,
    calls: Vec<String>,
    bytes: usize,
    over: bool,
}

#[derive(Debug)]
struct Block {
    block: u32,
    kind: BlockKind<'static>,
    /// Insides of JSON strings; RS has several summaries in one block.
    texts: Vec<String>,
    state: Option<State<'static>>,
}

impl Keeper {
    pub fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::BlockStart { choice, block, kind } if *self.choice.get_or_insert(*choice) == *choice => {
                self.begin(*block, kind);
            }
            Event::Delta { choice, block, delta } if self.choice == Some(*choice) => self.delta(*block, delta),
            _ => {}
        }
    }

    fn begin(&mut self, block: u32, kind: &BlockKind<'_>) {
        match kind {
            BlockKind::Reasoning { .. } => {}
            BlockKind::Call { id, name, .. } => {
                let id = id.as_ref().map_or(String::new(), |id| id.decode().into_owned());
                self.spend(id.len() + name.as_token().len());
                if !self.over && !id.is_empty() {
                    self.calls.push(id);
                }
            }
            BlockKind::Text | BlockKind::Refusal | BlockKind::Media { .. } | BlockKind::Foreign { .. } => return,
        }
        self.spend(size_of::<Block>());
        if !self.over {
            let kind = kind.clone().into_owned();
            self.blocks.push(Block { block, kind, texts: vec![String::new()], state: None });
        }
    }

    fn delta(&mut self, block: u32, delta: &Delta<'_>) {
        let Some(at) = self.blocks.iter().rposition(|known| known.block == block) else { return };
        match delta {
            Delta::Text(text) => {
                let token = text.as_token();
                self.spend(token.len());
                if let Some(last) = self.blocks.get_mut(at).and_then(|block| block.texts.last_mut()) {
                    last.push_str(&token);
                }
            }
            Delta::NextPart => {
                self.spend(size_of::<String>());
                if let Some(block) = self.blocks.get_mut(at) {
                    block.texts.push(String::new());
                }
            }
            Delta::State(state) => {
                self.spend(state.payload.as_token().len());
                if let Some(block) = self.blocks.get_mut(at) {
                    block.state = Some(state.clone().into_owned());
                }
            }
            Delta::Arguments(_) | Delta::Citation(_) | Delta::Data(_) | Delta::Url(_) | Delta::Logprobs(_) => {}
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > KEEPSAKE_BYTES_MAX {
            self.over = true;
            self.blocks = Vec::new();
            self.calls = Vec::new();
        }
    }

    pub fn keepsake(&self) -> Option<Keepsake> {
        let parts: Vec<Part<'static>> = self.blocks.iter().filter_map(Block::part).collect();
        (!parts.is_empty() && !self.calls.is_empty()).then(|| Keepsake { calls: self.calls.clone(), parts })
    }
}

impl Block {
    /// `None` for what has no state: nothing would ask for it.
    fn part(&self) -> Option<Part<'static>> {
        let state = self.state.clone()?;
        let kind = match &self.kind {
            BlockKind::Reasoning { redacted } => {
                let texts = self.texts.iter().filter(|text| !text.is_empty());
                let text = texts.map(|text| Str::token(text.clone())).collect();
                PartKind::Reasoning(Reasoning { text, redacted: *redacted, ..Reasoning::default() })
            }
            BlockKind::Call { id, name, custom } => {
                let arguments = Arguments::Text(Str::plain(""));
                PartKind::Call(Call { id: id.clone(), name: name.clone(), arguments, custom: *custom })
            }
            BlockKind::Text | BlockKind::Refusal | BlockKind::Media { .. } | BlockKind::Foreign { .. } => return None,
        };
        Some(Part { state: Some(state), ..Part::new(kind) })
    }
}
