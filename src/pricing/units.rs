//! From a vendor's inclusive totals to disjoint meters. Must never know prices.

use super::{Meter, Meters};
use crate::wire::Usage;

/// Disjoint counts of a usage, and whether the vendor's numbers were consistent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disjoint {
    pub meters: Meters,
    /// A total was smaller than its subsets together: they were cut down to it.
    pub saturated: bool,
}

/// The disjoint meters of a usage: subsets are taken out of their totals.
///
/// `input_tokens` excludes cached, cache-written, audio, image and video tokens; `output_tokens` excludes reasoning, audio
/// and image tokens. The meters of a side always add up to the side's total, so that a bound on totals bounds the charge.
pub fn meters(usage: &Usage) -> Meters {
    disjoint(usage).meters
}

/// Like `meters`, and says whether subsets had to be cut down to their total, in the order in which they stand here.
pub fn disjoint(usage: &Usage) -> Disjoint {
    let cache_write = usage.cache_write_5m.saturating_add(usage.cache_write_1h).saturating_add(usage.cache_write_30m);
    let mut meters = Meters::default();
    let mut saturated = false;
    let mut split = |total: u64, rest: Meter, subsets: &[(Meter, u64)]| {
        let mut left = total;
        for (meter, count) in subsets {
            let taken = left.min(*count);
            saturated |= taken < *count;
            left -= taken;
            meters.set(*meter, taken);
        }
        meters.set(rest, left);
    };
    split(
        usage.input_total,
        Meter::InputTokens,
        &[
            (Meter::CacheReadTokens, usage.cache_read),
            (Meter::CacheWriteTokens, cache_write),
            (Meter::InputAudioTokens, usage.audio_in),
            (Meter::InputImageTokens, usage.image_in),
            (Meter::InputVideoTokens, usage.video_in),
        ],
    );
    split(
        usage.output_total,
        Meter::OutputTokens,
        &[
            (Meter::ReasoningTokens, usage.reasoning),
            (Meter::OutputAudioTokens, usage.audio_out),
            (Meter::OutputImageTokens, usage.image_out),
        ],
    );
    meters.set(Meter::WebSearchCalls, usage.web_searches);
    Disjoint { meters, saturated }
}
