//! Reads one candidate of an answer, part by part, into blocks. Must never know how the answer is framed.

use super::fields::{get, known};
use super::grounding::{self, Said, Source};
use super::partial::PartialArgs;
use super::{finish, logprobs};
use crate::wire::Protocol;
use crate::wire::ir::{BlockKind, Delta, Event, Finish, Sink, State};
use crate::wire::json::{Object, Str, Value};

/// One answer among several.
#[derive(Default)]
pub struct Candidate {
    pub index: u32,
    blocks: u32,
    open: Option<Open>,
    /// Calls that are the client's to answer.
    calls: u64,
    pub finish: Option<(String, Option<String>)>,
    said: Said,
    /// Of the chunk under way, until its first text.
    logprobs: Option<Value<'static>>,
    sources: Vec<Source>,
    sources_told: Vec<Source>,
    pub searches: u64,
}

struct Open {
    block: u32,
    kind: Kind,
    /// State was told; what follows is another block.
    signed: bool,
}

enum Kind {
    Text,
    Thought,
    /// A call whose arguments come piece by piece.
    Call(PartialArgs),
}

impl Candidate {
    pub fn new(index: u32) -> Candidate {
        Candidate { index, ..Candidate::default() }
    }

    pub fn read(&mut self, value: Object<'_>, account: &str, sink: &mut dyn Sink) {
        const NAMES: [&str; 6] =
            ["content", "finishReason", "finishMessage", "groundingMetadata", "citationMetadata", "logprobsResult"];
        let mut content = None;
        let mut beside = Object::default();
        for (key, value) in value.members {
            match known(&key, &NAMES) {
                _ if value.is_null() => {}
                "content" => content = Some(value),
                "" => {}
                _ => beside.members.push((key, value)),
            }
        }
        // What stands beside the content speaks of it.
        let beside = Value::Object(beside);
        self.logprobs = get(&beside, "logprobsResult").and_then(logprobs::read);
        if let Some(Value::Object(mut content)) = content
            && let Some(Value::Array(parts)) = super::fields::take(&mut content, "parts")
        {
            for part in parts {
                if let Value::Object(part) = part {
                    self.part(part, account, sink);
                }
            }
        }
        self.read_beside(&beside, sink);
    }

    fn read_beside(&mut self, beside: &Value<'_>, sink: &mut dyn Sink) {
        // Those of thoughts and calls alone have no place elsewhere.
        if let (Some(list), Some(Open { block, kind: Kind::Text, .. })) = (self.logprobs.take(), &self.open) {
            self.delta(*block, Delta::Logprobs(list), sink);
        }
        grounding::read(beside, &mut self.sources, &self.sources_told);
        let queries = get(beside, "groundingMetadata").and_then(|metadata| get(metadata, "webSearchQueries"));
        if let Some(Value::Array(queries)) = queries {
            self.searches = self.searches.max(queries.len() as u64);
        }
        let text = |name: &str| get(beside, name).and_then(Value::as_text).map(|text| text.into_owned());
        if let Some(word) = text("finishReason").filter(|word| !word.is_empty()) {
            self.finish = Some((word, text("finishMessage")));
        }
    }

    fn part(&mut self, part: Object<'_>, account: &str, sink: &mut dyn Sink) {
        const NAMES: [&str; 8] = [
            "text",
            "thought",
            "thoughtSignature",
            "functionCall",
            "inlineData",
            "fileData",
            "partMetadata",
            "mediaResolution",
        ];
        let mut thought = false;
        let mut state = None;
        let (mut text, mut call, mut media, mut own) = (None, None, None, None);
        for (key, value) in &part.members {
            match (known(key, &NAMES), value) {
                (_, Value::Null) | ("partMetadata" | "mediaResolution", _) => {}
                ("text", Value::String(found)) => text = Some(found),
                ("thought", value) => thought = *value == Value::Bool(true),
                ("thoughtSignature", Value::String(payload)) if !payload.is_empty() => {
                    let (origin, account) = (Protocol::GeminiGenerate, Some(account.into()));
                    state = Some(State { origin, account, payload: payload.borrowed() });
                }
                ("thoughtSignature" | "text", _) => {}
                ("functionCall", found) => call = Some(found),
                ("inlineData" | "fileData", found) => media = Some(found),
                _ => own = Some(key),
            }
        }
        match (text, call, media, own) {
            (Some(text), ..) => self.text(text, thought, state, sink),
            (None, Some(call), ..) => self.call(call, state, sink),
            (None, None, Some(media), _) if !thought => self.media(media, state, sink),
            // Nothing but a signature.
            (None, None, None, None) => self.text(&Str::plain(""), thought, state, sink),
            (None, None, media, own) => {
                let name = own.map_or_else(|| "media".to_owned(), |key| key.decode().into_owned());
                // A draft of a picture, thought and not shown.
                let what = if media.is_some() { format!("thought {name}") } else { name };
                self.own(what, part.clone(), sink);
            }
        }
    }

    /// What only Gemini has.
    fn own(&mut self, what: String, part: Object<'_>, sink: &mut dyn Sink) {
        if what == "functionResponse" {
            // Google ran that call itself.
            self.calls = self.calls.saturating_sub(1);
        }
        let raw = Value::Object(part);
        let block = self.begin(BlockKind::Foreign { protocol: Protocol::GeminiGenerate, what: what.into(), raw }, sink);
        sink.event(Event::BlockStop { choice: self.index, block });
    }

    fn text(&mut self, text: &Str<'_>, thought: bool, state: Option<State<'_>>, sink: &mut dyn Sink) {
        if text.is_empty() && state.is_none() {
            return;
        }
        let goes_on = |open: &Open| {
            let same = matches!((&open.kind, thought), (Kind::Text, false) | (Kind::Thought, true));
            same && !open.signed
        };
        let block = match self.open.as_ref().filter(|open| goes_on(open)) {
            Some(open) => open.block,
            None => {
                let (kind, open) = match thought {
                    true => (BlockKind::Reasoning { redacted: false }, Kind::Thought),
                    false => (BlockKind::Text, Kind::Text),
                };
                let block = self.begin(kind, sink);
                if !thought {
                    self.said.begin(block);
                }
                self.open = Some(Open { block, kind: open, signed: false });
                block
            }
        };
        if !text.is_empty() {
            if !thought {
                self.said.push(text);
            }
            self.delta(block, Delta::Text(text.borrowed()), sink);
            if let Some(list) = self.logprobs.take_if(|_| !thought) {
                self.delta(block, Delta::Logprobs(list), sink);
            }
        }
        self.sign(block, state, sink);
    }

    fn sign(&mut self, block: u32, state: Option<State<'_>>, sink: &mut dyn Sink) {
        let Some(state) = state else { return };
        if let Some(open) = self.open.as_mut().filter(|open| open.block == block) {
            open.signed = true;
        }
        self.delta(block, Delta::State(state), sink);
    }

    fn call(&mut self, call: &Value<'_>, state: Option<State<'_>>, sink: &mut dyn Sink) {
        let name = get(call, "name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let goes_on = get(call, "willContinue").and_then(Value::as_bool).unwrap_or(false);
        let pieces = get(call, "partialArgs");
        if let Some(name) = name {
            let id = get(call, "id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(Str::borrowed);
            let block = self.begin(BlockKind::Call { id, name: name.borrowed(), custom: false }, sink);
            self.calls += 1;
            if !goes_on && pieces.is_none() {
                // Clients of chat take a signature from the first piece of a call alone.
                self.sign(block, state, sink);
                let args = match get(call, "args") {
                    // Relays that took them from another protocol as they were.
                    Some(Value::String(text)) => Str::plain(text.decode().into_owned()),
                    Some(args) => Str::plain(args.to_json()),
                    None => Str::plain("{}"),
                };
                self.delta(block, Delta::Arguments(args), sink);
                sink.event(Event::BlockStop { choice: self.index, block });
                return;
            }
            self.open = Some(Open { block, kind: Kind::Call(PartialArgs::default()), signed: false });
        }
        let Some(Open { block, kind: Kind::Call(args), signed }) = &mut self.open else { return };
        if let Some(pieces) = pieces {
            args.push(pieces);
        }
        let (block, state) = (*block, state.filter(|_| !*signed));
        self.sign(block, state, sink);
        if !goes_on {
            self.close(sink);
        }
    }

    fn media(&mut self, media: &Value<'_>, state: Option<State<'_>>, sink: &mut dyn Sink) {
        let mime = get(media, "mimeType").and_then(Value::as_text).unwrap_or_default();
        let image = !mime.starts_with("audio/");
        let block = self.begin(BlockKind::Media { image, mime }, sink);
        if let Some(Value::String(data)) = get(media, "data") {
            self.delta(block, Delta::Data(data.borrowed()), sink);
        } else if let Some(Value::String(url)) = get(media, "fileUri") {
            self.delta(block, Delta::Url(url.borrowed()), sink);
        }
        self.sign(block, state, sink);
        sink.event(Event::BlockStop { choice: self.index, block });
    }

    /// The open text, or an empty one.
    fn text_block(&mut self, sink: &mut dyn Sink) -> u32 {
        if let Some(Open { block, kind: Kind::Text, .. }) = &self.open {
            return *block;
        }
        let block = self.begin(BlockKind::Text, sink);
        self.said.begin(block);
        self.open = Some(Open { block, kind: Kind::Text, signed: false });
        block
    }

    fn begin(&mut self, kind: BlockKind<'_>, sink: &mut dyn Sink) -> u32 {
        self.close(sink);
        let block = self.blocks;
        self.blocks += 1;
        sink.event(Event::BlockStart { choice: self.index, block, kind });
        block
    }

    fn delta(&self, block: u32, delta: Delta<'_>, sink: &mut dyn Sink) {
        sink.event(Event::Delta { choice: self.index, block, delta });
    }

    /// Closes the open block, its citations told.
    pub fn close(&mut self, sink: &mut dyn Sink) {
        let Some(Open { block, kind, .. }) = self.open.take() else { return };
        match kind {
            Kind::Text => {
                for source in std::mem::take(&mut self.sources) {
                    match source.within(block, &self.said) {
                        Some(citation) => {
                            self.delta(block, Delta::Citation(citation), sink);
                            self.sources_told.push(source);
                        }
                        None => self.sources.push(source),
                    }
                }
            }
            Kind::Thought => {}
            Kind::Call(args) => {
                let args = Value::Object(args.finish()).to_json();
                self.delta(block, Delta::Arguments(Str::plain(args)), sink);
            }
        }
        sink.event(Event::BlockStop { choice: self.index, block });
    }

    /// Citations that stand in no open text are told of the last one all the same, those of an answer without text of an
    /// empty one.
    pub fn last_citations(&mut self, sink: &mut dyn Sink) {
        if self.sources.is_empty() {
            return;
        }
        let block = self.text_block(sink);
        for source in std::mem::take(&mut self.sources) {
            let citation = source.within(block, &self.said).unwrap_or_else(|| source.anywhere());
            self.delta(block, Delta::Citation(citation), sink);
        }
    }

    /// Why it ended, as far as it said.
    pub fn finished(&self) -> Finish<'_> {
        let (word, why) = match &self.finish {
            Some((word, why)) => (Some(word.as_str()), why.as_deref()),
            None => (None, None),
        };
        Finish {
            choice: self.index,
            reason: finish::reason(word.unwrap_or_default(), self.calls > 0),
            native: word.map(Str::plain),
            stop_sequence: None,
            message: why.map(Str::plain),
        }
    }
}
