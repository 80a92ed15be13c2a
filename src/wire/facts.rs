//! What must be known of an answer whatever its protocol: content, usage, finish, errors. Folded from its events.

use super::Usage;
use super::ir::{Event, Iteration, Outcome, Part, Sink, UpstreamError};

/// Most of the produced text that is kept for counting.
pub const OUTPUT_KEPT_BYTES_MAX: usize = 256 << 10;

/// Thinking that the calls of an answer need back, for clients that cannot carry it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keepsake {
    /// Ids of the calls, as the client sees them.
    pub calls: Vec<String>,
    /// Reasoning parts in order, with their state; and calls with a state of their own (GM), arguments left out.
    pub parts: Vec<Part<'static>>,
}

#[derive(Debug, Default)]
pub struct Facts {
    pub content_seen: bool,
    pub ended: bool,
    pub error: Option<UpstreamError>,
    pub usage: Option<Usage>,
    pub iterations: Vec<Iteration>,
    /// The vendor's own finish word of the first choice.
    pub finish: Option<String>,
    pub service_tier: Option<String>,
    pub outcome: Option<Outcome>,
}

impl Facts {
    pub fn output_text(&self) -> String {
        unimplemented!()
    }

    pub fn output_bytes(&self) -> u64 {
        unimplemented!()
    }

    pub fn keepsake(&self) -> Option<Keepsake> {
        unimplemented!()
    }
}

impl Sink for Facts {
    fn event(&mut self, event: Event<'_>) {
        let _ = event;
        unimplemented!()
    }
}
