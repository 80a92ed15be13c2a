//! An upstream's error in one normal form, out of whatever shape it has.

/// An error as an upstream gave it, or one of ours on its way to a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// Word for word.
    pub message: String,
    /// OpenAI's and Anthropic's `type`, Gemini's `status`.
    pub kind: Option<String>,
    pub code: Option<String>,
    pub param: Option<String>,
    /// The HTTP status that it names itself, or that it came with.
    pub status: Option<u16>,
    /// `RetryInfo.retryDelay`, `retry-after`.
    pub retry_after_ms: Option<u64>,
    /// Gemini's `reason` (`API_KEY_INVALID`).
    pub reason: Option<String>,
}

/// What an error means, whatever protocol said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    BadRequest,
    ContextTooLong,
    BadKey,
    NoMoney,
    Forbidden,
    NotFound,
    TooLarge,
    Policy,
    RateLimited,
    Upstream,
    Overloaded,
    Timeout,
}
