//! The output items of a Responses answer on their way to events. Items are known by their place in the output, never by their
//! order of arrival: some vendors even change ids within a stream.

mod done;

use super::stream_read::{take, take_str};
use super::told::Told;
use crate::wire::Protocol;
use crate::wire::ir::{BlockKind, Citation, Delta, Event, Sink};
use crate::wire::json::{Str, Value};

const OURS: Protocol = Protocol::OpenAiResponses;
/// Most items of an answer, and most parts of a message.
const ITEMS_MAX: usize = 4096;

/// Where the text of a reasoning item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Summary,
    /// The whole thinking, as open models show it.
    Full,
}

pub(super) struct Output {
    account: String,
    items: Vec<Item>,
    blocks: u32,
    over_limit: bool,
    /// What was seen, for the finish.
    pub called: bool,
    pub refused: bool,
    pub told: bool,
    pub searches: u64,
}

/// Places from here on are those of closed items that made room.
const PLACES_MAX: u64 = 1 << 32;

struct Item {
    index: u64,
    id: String,
    kind: Kind,
    closed: bool,
}

enum Kind {
    Message {
        part: Option<Part>,
        /// The parts that have begun.
        begun: Vec<u64>,
    },
    /// Its block begins with its first text, or with its state: many have neither.
    Reasoning { block: Option<u32>, section: Option<(Section, u64)>, told: Told },
    /// Its block begins once its name is known.
    Call { block: Option<u32>, custom: bool, told: Told },
    /// Said whole when it is done.
    Other,
}

/// The open part of a message.
struct Part {
    index: u64,
    block: u32,
    refusal: bool,
    told: Told,
    citations: usize,
    logprobs: bool,
}

impl Output {
    pub fn new(account: &str) -> Output {
        Output {
            account: account.to_owned(),
            items: Vec::new(),
            blocks: 0,
            over_limit: false,
            called: false,
            refused: false,
            told: false,
            searches: 0,
        }
    }

    pub fn is_over_limit(&self) -> bool {
        self.over_limit
    }

    /// Where an event without a place belongs: by its id, else to the last item.
    pub fn locate(&self, item_id: Option<&Str<'_>>, item: Option<&Value<'_>>) -> u64 {
        let inner = item.and_then(|item| item.get("id")?.as_str());
        let id = item_id.or(inner).map(Str::decode);
        let known = id.as_deref().and_then(|id| self.items.iter().rfind(|item| item.id == id));
        let last = self.items.last().map_or(0, |item| item.index);
        let other = if item.is_some() { self.next_index() } else { last };
        known.map_or(other, |item| item.index)
    }

    fn next_index(&self) -> u64 {
        self.items.iter().map(|item| item.index.saturating_add(1)).max().unwrap_or(0)
    }

    /// The last item of that kind at that place, perhaps closed; else a new one.
    fn item(&mut self, index: u64, is_kind: impl Fn(&Kind) -> bool, new: impl FnOnce() -> Kind) -> &mut Item {
        let known = self.items.iter().rposition(|item| item.index == index && is_kind(&item.kind));
        let at = known.unwrap_or_else(|| {
            if self.items.len() < ITEMS_MAX {
                self.items.push(Item { index, id: String::new(), kind: new(), closed: false });
            } else {
                self.over_limit = true;
            }
            self.items.len() - 1
        });
        &mut self.items[at]
    }

    fn message(&mut self, index: u64) -> &mut Item {
        let new = || Kind::Message { part: None, begun: Vec::new() };
        self.item(index, |kind| matches!(kind, Kind::Message { .. }), new)
    }

    fn reasoning(&mut self, index: u64) -> &mut Item {
        let new = || Kind::Reasoning { block: None, section: None, told: Told::default() };
        self.item(index, |kind| matches!(kind, Kind::Reasoning { .. }), new)
    }

    /// A second item at the place of a closed one: some vendors number none of them.
    fn forget_closed(&mut self, index: u64, kind: &str) {
        let next = self.next_index();
        if let Some(item) = self.items.iter_mut().rfind(|item| item.index == index && item.kind.is(kind))
            && item.closed
        {
            item.index = next.max(PLACES_MAX);
        }
    }

    pub fn added(&mut self, index: u64, item: Value<'_>, sink: &mut dyn Sink) {
        let text = |name: &str| item.get(name).and_then(Value::as_text).map(|text| text.into_owned());
        let (kind, id) = (text("type").unwrap_or_default(), text("id").unwrap_or_default());
        self.forget_closed(index, &kind);
        let known = match kind.as_str() {
            "message" => self.message(index),
            "reasoning" => self.reasoning(index),
            "function_call" | "custom_tool_call" => return self.call_added(index, id, &kind, item, sink),
            _ => self.item(index, |kind| matches!(kind, Kind::Other), || Kind::Other),
        };
        known.id = id;
    }

    fn call_added(&mut self, index: u64, id: String, kind: &str, mut item: Value<'_>, sink: &mut dyn Sink) {
        let custom = kind == "custom_tool_call";
        let next = self.blocks;
        let new = || Kind::Call { block: None, custom, told: Told::default() };
        let known = self.item(index, |kind| matches!(kind, Kind::Call { .. }), new);
        known.id = id;
        if let Kind::Call { block: block @ None, custom, .. } = &mut known.kind
            && let Some(start) = call_start(&mut item, *custom)
        {
            *block = Some(next);
            self.blocks += 1;
            self.called = true;
            sink.event(Event::BlockStart { choice: 0, block: next, kind: start });
        }
    }

    pub fn arguments(&mut self, index: u64, text: Str<'_>, sink: &mut dyn Sink) {
        let call = self.items.iter_mut().rfind(|item| item.index == index && matches!(item.kind, Kind::Call { .. }));
        // Arguments of a call without a name come again when it is done.
        if let Some(Item { kind: Kind::Call { block: Some(block), told, .. }, closed: false, .. }) = call
            && !text.is_empty()
        {
            told.add(&text);
            sink.event(Event::Delta { choice: 0, block: *block, delta: Delta::Arguments(text) });
        }
    }

    /// The whole arguments: what of them did not come in pieces.
    pub fn arguments_done(&mut self, index: u64, text: Str<'_>, sink: &mut dyn Sink) {
        let call = self.items.iter().rfind(|item| item.index == index && matches!(item.kind, Kind::Call { .. }));
        if let Some(Item { kind: Kind::Call { told, .. }, .. }) = call
            && let Some(rest) = told.rest(text)
        {
            self.arguments(index, rest, sink);
        }
    }

    pub fn part_added(&mut self, index: u64, content: u64, part: Option<&Value<'_>>, sink: &mut dyn Sink) {
        let kind = part.and_then(|part| part.get("type")?.as_text());
        // Any other block begins with what is in it.
        if kind.as_deref() == Some("reasoning_text") {
            self.thought(index, (Section::Full, content), Str::plain(""), sink);
        }
    }

    /// The open part of a message, begun where it is not. `None` for one that was closed.
    fn part(&mut self, index: u64, content: u64, refusal: bool, sink: &mut dyn Sink) -> Option<&mut Part> {
        let next = self.blocks;
        self.refused |= refusal;
        let Item { kind: Kind::Message { part, begun }, closed: false, .. } = self.message(index) else { return None };
        let is_open = part.as_ref().is_some_and(|part| part.index == content && part.refusal == refusal);
        if !is_open {
            let again = part.as_ref().is_none_or(|part| part.index != content) && begun.contains(&content);
            if again || begun.len() == ITEMS_MAX {
                self.over_limit |= !again;
                return None;
            }
            if let Some(before) = part.take() {
                sink.event(Event::BlockStop { choice: 0, block: before.block });
            }
            begun.push(content);
            *part = Some(Part {
                index: content,
                block: next,
                refusal,
                told: Told::default(),
                citations: 0,
                logprobs: false,
            });
            let kind = if refusal { BlockKind::Refusal } else { BlockKind::Text };
            sink.event(Event::BlockStart { choice: 0, block: next, kind });
            self.blocks += 1;
        }
        match &mut self.message(index).kind {
            Kind::Message { part, .. } => part.as_mut(),
            Kind::Reasoning { .. } | Kind::Call { .. } | Kind::Other => None,
        }
    }

    fn open_part(&self, index: u64, content: u64, refusal: bool) -> Option<&Part> {
        let is_it = |item: &&Item| item.index == index && matches!(item.kind, Kind::Message { .. });
        match &self.items.iter().rfind(is_it)?.kind {
            Kind::Message { part, .. } => part.as_ref().filter(|part| part.index == content && part.refusal == refusal),
            Kind::Reasoning { .. } | Kind::Call { .. } | Kind::Other => None,
        }
    }

    pub fn text(
        &mut self,
        index: u64,
        content: u64,
        refusal: bool,
        text: Str<'_>,
        logprobs: Option<Value<'_>>,
        sink: &mut dyn Sink,
    ) {
        let logprobs = logprobs.filter(|list| list.as_array().is_some_and(|list| !list.is_empty()));
        if text.is_empty() && logprobs.is_none() {
            return;
        }
        self.told |= !refusal && !text.is_empty();
        let Some(part) = self.part(index, content, refusal, sink) else { return };
        let block = part.block;
        if !text.is_empty() {
            part.told.add(&text);
            sink.event(Event::Delta { choice: 0, block, delta: Delta::Text(text) });
        }
        if let Some(logprobs) = logprobs {
            part.logprobs = true;
            sink.event(Event::Delta { choice: 0, block, delta: Delta::Logprobs(logprobs) });
        }
    }

    /// The whole text of a part: what of it did not come in pieces.
    pub fn text_done(
        &mut self,
        index: u64,
        content: u64,
        refusal: bool,
        text: Str<'_>,
        logprobs: Option<Value<'_>>,
        sink: &mut dyn Sink,
    ) {
        let known = self.open_part(index, content, refusal);
        let text = match known {
            Some(part) => part.told.rest(text).unwrap_or(Str::plain("")),
            None => text,
        };
        let logprobs = logprobs.filter(|_| !known.is_some_and(|part| part.logprobs));
        self.text(index, content, refusal, text, logprobs, sink);
    }

    pub fn annotation(&mut self, index: u64, content: u64, annotation: Value<'_>, sink: &mut dyn Sink) {
        let Some(part) = self.part(index, content, false, sink) else { return };
        part.citations += 1;
        let delta = Delta::Citation(citation(annotation));
        sink.event(Event::Delta { choice: 0, block: part.block, delta });
    }

    /// A part as it ended: what did not come in pieces comes now.
    pub fn part_done(&mut self, index: u64, content: u64, mut part: Value<'_>, sink: &mut dyn Sink) {
        let kind = part.get("type").and_then(Value::as_text).map(|kind| kind.into_owned());
        match kind.as_deref() {
            Some("refusal") => {
                self.text_done(index, content, true, take_str(&mut part, "refusal"), None, sink);
            }
            Some("reasoning_text") => {
                self.thought_done(index, (Section::Full, content), take_str(&mut part, "text"), sink);
            }
            Some("output_text" | "text") => {
                let logprobs = take(&mut part, "logprobs");
                self.text_done(index, content, false, take_str(&mut part, "text"), logprobs, sink);
                let known = self.open_part(index, content, false).map_or(0, |part| part.citations);
                if let Some(Value::Array(annotations)) = take(&mut part, "annotations") {
                    for annotation in annotations.into_iter().skip(known) {
                        self.annotation(index, content, annotation, sink);
                    }
                }
            }
            _ => {}
        }
    }

    pub fn thought(&mut self, index: u64, at: (Section, u64), text: Str<'_>, sink: &mut dyn Sink) {
        let next = self.blocks;
        let mut begun = 0;
        let Item { kind: Kind::Reasoning { block, section, told }, closed: false, .. } = self.reasoning(index) else {
            return;
        };
        let block = *block.get_or_insert_with(|| {
            begun = 1;
            sink.event(Event::BlockStart { choice: 0, block: next, kind: BlockKind::Reasoning { redacted: false } });
            next
        });
        if section.is_some_and(|before| before != at) {
            sink.event(Event::Delta { choice: 0, block, delta: Delta::NextPart });
        }
        if *section != Some(at) {
            *told = Told::default();
        }
        *section = Some(at);
        if !text.is_empty() {
            told.add(&text);
            sink.event(Event::Delta { choice: 0, block, delta: Delta::Text(text) });
        }
        self.blocks += begun;
    }

    /// The whole text of a section: what of it did not come in pieces.
    pub fn thought_done(&mut self, index: u64, at: (Section, u64), text: Str<'_>, sink: &mut dyn Sink) {
        let Kind::Reasoning { section, told, .. } = &self.reasoning(index).kind else { return };
        match section {
            Some(known) if *known == at => {
                if let Some(rest) = told.rest(text) {
                    self.thought(index, at, rest, sink);
                }
            }
            _ => self.thought(index, at, text, sink),
        }
    }

    pub fn close_all(&mut self, sink: &mut dyn Sink) {
        for item in &mut self.items {
            item.close(sink);
        }
    }
}

impl Kind {
    /// Whether an item of that type is of this kind.
    fn is(&self, name: &str) -> bool {
        match self {
            Kind::Message { .. } => name == "message",
            Kind::Reasoning { .. } => name == "reasoning",
            Kind::Call { custom, .. } => name == if *custom { "custom_tool_call" } else { "function_call" },
            Kind::Other => !matches!(name, "message" | "reasoning" | "function_call" | "custom_tool_call"),
        }
    }
}

impl Item {
    fn close(&mut self, sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let block = match &self.kind {
            Kind::Message { part, .. } => part.as_ref().map(|part| part.block),
            Kind::Reasoning { block, .. } | Kind::Call { block, .. } => *block,
            Kind::Other => None,
        };
        if let Some(block) = block {
            sink.event(Event::BlockStop { choice: 0, block });
        }
    }
}

/// `None` as long as it has no name.
fn call_start<'a>(item: &mut Value<'a>, custom: bool) -> Option<BlockKind<'a>> {
    let name = take_str(item, "name");
    if name.is_empty() {
        return None;
    }
    let id = [take_str(item, "call_id"), take_str(item, "id")].into_iter().find(|id| !id.is_empty());
    Some(BlockKind::Call { id, name, custom })
}

fn citation(raw: Value<'_>) -> Citation<'_> {
    let text = |name: &str| raw.get(name).and_then(Value::as_str).cloned();
    let number = |name: &str| raw.get(name).and_then(Value::as_u64);
    Citation {
        url: text("url"),
        title: text("title").or_else(|| text("filename")),
        cited: None,
        span: number("start_index").zip(number("end_index")),
        origin: OURS,
        raw,
    }
}
