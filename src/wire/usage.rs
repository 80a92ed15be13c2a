//! Token counts as a vendor reports them, in one inclusive normal form.

use super::json::Value;

/// Units of one call. Totals include their subsets: `cache_read` is part of `input_total`, `reasoning` of `output_total`.
///
/// `pricing::meters` makes them disjoint. Source: the formulas of each protocol's reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_total: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub cache_write_30m: u64,
    pub audio_in: u64,
    pub image_in: u64,
    pub video_in: u64,
    pub output_total: u64,
    pub reasoning: u64,
    pub audio_out: u64,
    pub image_out: u64,
    /// Server-side web searches, counted events.
    pub web_searches: u64,
    /// Pages that a server-side tool fetched, counted events.
    pub web_fetches: u64,
}

impl Usage {
    /// The units of two calls together.
    pub fn plus(&self, other: &Usage) -> Usage {
        Usage {
            input_total: self.input_total.saturating_add(other.input_total),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            cache_write_30m: self.cache_write_30m.saturating_add(other.cache_write_30m),
            audio_in: self.audio_in.saturating_add(other.audio_in),
            image_in: self.image_in.saturating_add(other.image_in),
            video_in: self.video_in.saturating_add(other.video_in),
            output_total: self.output_total.saturating_add(other.output_total),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_out: self.audio_out.saturating_add(other.audio_out),
            image_out: self.image_out.saturating_add(other.image_out),
            web_searches: self.web_searches.saturating_add(other.web_searches),
            web_fetches: self.web_fetches.saturating_add(other.web_fetches),
        }
    }
}

/// The highest count that is believed. Sums of such stay far within what clients and ledgers can hold.
pub const COUNT_MAX: u64 = 1 << 48;

/// A count however a vendor writes it: a number with a fraction or a text too.
pub fn count(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Number(number) => count_of(number),
        Value::String(text) => count_of(&text.decode()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Below zero is zero, a fraction is rounded; anything else is no count.
pub fn count_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let real = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number.round() as u64);
    text.parse().ok().or_else(real).filter(|count| *count <= COUNT_MAX)
}

/// Where the counts of a usage record come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// By the upstream.
    Reported,
    /// By us, over a stream that the client left before the upstream reported.
    Counted,
    /// By us, for an upstream that finished without reporting.
    Estimated,
}

impl UsageSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            UsageSource::Reported => "reported",
            UsageSource::Counted => "counted",
            UsageSource::Estimated => "estimated",
        }
    }
}
