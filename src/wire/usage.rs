//! Token counts as a vendor reports them, in one inclusive normal form.

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
