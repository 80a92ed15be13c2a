//! What must be known of an answer whatever its protocol: content, usage, finish, errors. Folded from its events, whose
//! blocks may be mixed. Must never change one.

mod keepsake;
mod produced;

use super::Usage;
use super::ir::{BlockKind, Delta, Event, Finish, Iteration, Outcome, Sink, StopReason, UpstreamError};
use super::json::Str;
use keepsake::Keeper;

pub use keepsake::{KEEPSAKE_BYTES_MAX, Keepsake};
pub use produced::{OUTPUT_KEPT_BYTES_MAX, Produced};

/// Longest finish word or service tier that is kept whole.
const WORD_BYTES_MAX: usize = 128;

#[derive(Debug, Default)]
pub struct Facts {
    /// Something that a client could use has come: a character of text, thinking, arguments or data, or the beginning of a
    /// call, an image, a sound, or of what a server tool did.
    pub content_seen: bool,
    /// `End` has come.
    pub ended: bool,
    pub error: Option<UpstreamError>,
    /// The upstream's id of the answer.
    pub id: Option<String>,
    /// `None` also where zeros are reported beside produced content.
    pub usage: Option<Usage>,
    /// What the upstream said of the input before it answered.
    pub usage_at_start: Option<Usage>,
    pub iterations: Vec<Iteration>,
    /// The vendor's own finish word of the first choice, else ours.
    pub finish: Option<String>,
    /// The tier that the answer was served at.
    pub service_tier: Option<String>,
    /// Known at the end.
    pub outcome: Option<Outcome>,
    finished_choice: Option<u32>,
    produced: Produced,
    /// Something that is not text was produced.
    media: bool,
    keeper: Option<Keeper>,
}

impl Facts {
    /// Facts with a keepsake of the thinking, for a client that cannot carry it.
    pub fn with_keepsake() -> Facts {
        Facts { keeper: Some(Keeper::default()), ..Facts::default() }
    }

    pub fn note(&mut self, event: &Event<'_>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.note(event);
        }
        match event {
            Event::Start(start) => {
                self.note_service_tier(start.service_tier.as_ref());
                self.usage_at_start = start.usage;
                self.id = start.id.as_ref().map(|id| clipped(id));
            }
            Event::BlockStart { kind, .. } => self.begin(kind),
            Event::Delta { delta, .. } => self.delta(delta),
            Event::BlockStop { .. } => {}
            Event::Usage { usage, iterations } => {
                self.usage = Some(*usage).filter(|usage| !(is_zero(usage) && self.has_produced()));
                self.iterations.clone_from(iterations);
            }
            Event::Finish(finish) => self.finish(finish),
            Event::Failed(error) => {
                self.error.get_or_insert_with(|| error.clone());
                self.outcome = Some(Outcome::Errored);
            }
            Event::End => {
                self.ended = true;
                self.outcome.get_or_insert(Outcome::Complete);
            }
        }
    }

    fn begin(&mut self, kind: &BlockKind<'_>) {
        match kind {
            BlockKind::Call { name, .. } => {
                self.content_seen |= !name.is_empty();
                self.produced.add(name);
            }
            BlockKind::Media { .. } => {
                self.content_seen = true;
                self.media = true;
            }
            BlockKind::Foreign { .. } => self.content_seen = true,
            BlockKind::Text | BlockKind::Refusal | BlockKind::Reasoning { .. } => {}
        }
    }

    fn delta(&mut self, delta: &Delta<'_>) {
        match delta {
            Delta::Text(text) | Delta::Arguments(text) => {
                self.content_seen |= !text.is_empty();
                self.produced.add(text);
            }
            Delta::Data(data) | Delta::Url(data) => self.content_seen |= !data.is_empty(),
            Delta::State(_) | Delta::Citation(_) | Delta::NextPart | Delta::Logprobs(_) => {}
        }
    }

    fn finish(&mut self, finish: &Finish<'_>) {
        if self.finished_choice.is_none_or(|choice| finish.choice < choice) {
            self.finished_choice = Some(finish.choice);
            let native = finish.native.as_ref().filter(|word| !word.is_empty());
            self.finish = Some(native.map_or_else(|| word_of(finish.reason).to_owned(), clipped));
        }
    }

    /// A tier that came later than the start is the one that the answer was really served at.
    pub fn note_service_tier(&mut self, tier: Option<&Str<'_>>) {
        if let Some(tier) = tier.filter(|tier| !tier.is_empty()) {
            self.service_tier = Some(clipped(tier));
        }
    }

    /// An event that was too long to look into. Nothing else than an answer is that long.
    pub fn note_overlong(&mut self) {
        self.content_seen = true;
    }

    /// The answer's bytes have ended. An error that was noted stands.
    pub fn conclude(&mut self, outcome: Outcome) {
        self.outcome = Some(if self.error.is_some() { Outcome::Errored } else { outcome });
    }

    /// The produced text (text, thinking, refusals, calls), as far as it was kept.
    pub fn output_text(&self) -> String {
        self.produced.text()
    }

    /// Bytes of the produced text, kept or not.
    pub fn output_bytes(&self) -> u64 {
        self.produced.bytes()
    }

    /// `None` where there is nothing that a later request would need.
    pub fn keepsake(&self) -> Option<Keepsake> {
        self.keeper.as_ref()?.keepsake()
    }

    fn has_produced(&self) -> bool {
        self.produced.bytes() > 0 || self.media
    }

    /// Nothing was said, nothing reported as output or written to a cache, and no reason to end: no answer at all.
    pub fn is_blank(&self) -> bool {
        let usage = self.usage.unwrap_or_default();
        let written = usage.cache_write_5m + usage.cache_write_30m + usage.cache_write_1h;
        let finish = self.finish.as_deref().unwrap_or_default();
        !self.content_seen && usage.output_total == 0 && written == 0 && matches!(finish, "" | "error" | UNKNOWN)
    }
}

impl Sink for Facts {
    fn event(&mut self, event: Event<'_>) {
        self.note(&event);
    }
}

const UNKNOWN: &str = "unknown";

/// Our own word for an end, where the vendor has none.
fn word_of(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Done => "done",
        StopReason::StopSequence => "stop_sequence",
        StopReason::Length => "length",
        StopReason::ContextFull => "context_full",
        StopReason::ToolCalls => "tool_calls",
        StopReason::Filtered => "filtered",
        StopReason::Refused => "refused",
        StopReason::Paused => "paused",
        StopReason::BadCall => "bad_call",
        StopReason::Unknown => UNKNOWN,
    }
}

fn clipped(word: &Str<'_>) -> String {
    let word = word.decode();
    word[..word.floor_char_boundary(WORD_BYTES_MAX)].to_owned()
}

/// Whether an upstream counted nothing.
fn is_zero(usage: &Usage) -> bool {
    usage.input_total == 0 && usage.output_total == 0
}

#[cfg(test)]
mod tests;
