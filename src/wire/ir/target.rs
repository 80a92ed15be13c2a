//! What a writer must know of the upstream it writes for, and what it leaves for the answer to undo.

use super::request::Effort;

/// The upstream that a request is written for. All of it comes from the catalog.
#[derive(Debug, Clone)]
pub struct Target<'t> {
    /// The model's name there.
    pub model: &'t str,
    pub stream: bool,
    /// The model's ceiling; 0 = unknown.
    pub output_max: u64,
    /// A lower limit than the client's, where the hold was clamped.
    pub output_limit: Option<u64>,
    pub reasoning: ReasoningStyle,
    /// `temperature`, `top_p`, `top_k` and penalties are taken.
    pub sampling: bool,
    /// Images are taken.
    pub vision: bool,
    pub quirks: Quirks,
    /// The account group whose signatures it can read.
    pub account: &'t str,
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningStyle {
    /// It cannot.
    Never,
    /// By effort words (CC `reasoning_effort`, RS `reasoning.effort`, AM adaptive with `output_config.effort`, GM
    /// `thinkingLevel`). `efforts` are those it takes; `off`: whether it can be told not to.
    Effort { efforts: Efforts, off: bool },
    /// By a number of tokens (AM `budget_tokens`, GM `thinkingBudget`).
    Budget { min: u32, max: u32, off: bool },
    /// Not known: say what the protocol can say.
    Unknown,
}

/// A set of efforts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Efforts(u8);

impl Efforts {
    pub const fn of(efforts: &[Effort]) -> Efforts {
        let mut bits = 0;
        let mut at = 0;
        while at < efforts.len() {
            bits |= 1 << efforts[at] as u8;
            at += 1;
        }
        Efforts(bits)
    }

    pub const fn has(self, effort: Effort) -> bool {
        self.0 & (1 << effort as u8) != 0
    }

    /// The effort itself where it is taken, else the nearest that is: the next higher, else the highest. `Effort::None` is never
    /// chosen for another.
    pub fn nearest(self, effort: Effort) -> Option<Effort> {
        const ALL: [Effort; 6] =
            [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max];
        if self.has(effort) {
            return Some(effort);
        }
        let taken = || ALL.into_iter().filter(|candidate| self.has(*candidate));
        taken().find(|candidate| *candidate > effort).or_else(|| taken().next_back())
    }
}

/// What a vendor does differently from the protocol it speaks. A closed set; the catalog names them per provider or channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Quirk {
    /// CC: the output limit is `max_tokens`.
    MaxTokens,
    /// CC: `system` in place of `developer`.
    NoDeveloperRole,
    /// CC: earlier thinking comes back as `reasoning_content` on assistant turns.
    ReasoningContent,
    /// CC: earlier thinking comes back as `reasoning_details` (OpenRouter).
    ReasoningDetails,
    /// CC: thinking is a content part (Mistral).
    ThinkingParts,
    /// CC: call ids are nine letters or digits (Mistral).
    ShortCallIds,
    /// CC: signatures stand in `extra_content.google` (Gemini's own chat endpoint).
    GoogleSignatures,
    /// CC: `stream_options` is refused.
    NoStreamOptions,
    /// CC: `cache_control` on parts is taken (OpenRouter, Alibaba).
    CacheControlParts,
    /// CC: `prompt_cache_breakpoint` on parts is taken (OpenAI from gpt-5.6 on).
    CacheBreakpoints,
    /// CC: `video_url` parts are taken.
    VideoUrl,
    /// CC: reasoning is switched by `thinking: {type: enabled|disabled}` (Z.ai, Moonshot, DeepSeek, Doubao).
    ThinkingSwitch,
    /// CC: reasoning is switched by `enable_thinking` and `thinking_budget` (Alibaba).
    EnableThinking,
    /// CC: reasoning is `reasoning: {effort, max_tokens}` (OpenRouter).
    ReasoningObject,
    /// CC: `top_k` is taken.
    TopK,
    /// CC: `strict` and `json_schema` are refused; `json_object` is taken.
    NoJsonSchema,
    /// CC: `parallel_tool_calls` is refused.
    NoParallelCalls,
    /// AM: a `system` role inside `messages` is taken.
    SystemTurns,
    /// AM: `output_config.format` is refused: a forced tool says the schema.
    NoOutputFormat,
    /// GM: the Vertex flavour.
    Vertex,
    /// GM: tools and a response schema together are refused (before 3).
    NoSchemaWithTools,
    /// GM: any https URL is taken as `fileUri`.
    HttpsFiles,
    /// GM: calls need their `thoughtSignature` (3 and later).
    SignedCalls,
    /// GM: media inside a function response are refused (before 3).
    NoMediaInResults,
    /// Azure: `api-key` header, deployment in the path.
    Azure,
}

impl Quirk {
    pub const ALL: [(Quirk, &'static str); 25] = [
        (Quirk::MaxTokens, "max_tokens"),
        (Quirk::NoDeveloperRole, "no_developer_role"),
        (Quirk::ReasoningContent, "reasoning_content"),
        (Quirk::ReasoningDetails, "reasoning_details"),
        (Quirk::ThinkingParts, "thinking_parts"),
        (Quirk::ShortCallIds, "short_call_ids"),
        (Quirk::GoogleSignatures, "google_signatures"),
        (Quirk::NoStreamOptions, "no_stream_options"),
        (Quirk::CacheControlParts, "cache_control_parts"),
        (Quirk::CacheBreakpoints, "cache_breakpoints"),
        (Quirk::VideoUrl, "video_url"),
        (Quirk::ThinkingSwitch, "thinking_switch"),
        (Quirk::EnableThinking, "enable_thinking"),
        (Quirk::ReasoningObject, "reasoning_object"),
        (Quirk::TopK, "top_k"),
        (Quirk::NoJsonSchema, "no_json_schema"),
        (Quirk::NoParallelCalls, "no_parallel_calls"),
        (Quirk::SystemTurns, "system_turns"),
        (Quirk::NoOutputFormat, "no_output_format"),
        (Quirk::Vertex, "vertex"),
        (Quirk::NoSchemaWithTools, "no_schema_with_tools"),
        (Quirk::HttpsFiles, "https_files"),
        (Quirk::SignedCalls, "signed_calls"),
        (Quirk::NoMediaInResults, "no_media_in_results"),
        (Quirk::Azure, "azure"),
    ];

    pub fn parse(name: &str) -> Option<Quirk> {
        Quirk::ALL.into_iter().find(|(_, known)| *known == name).map(|(quirk, _)| quirk)
    }
}

/// A set of quirks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quirks(u32);

impl Quirks {
    pub const NONE: Quirks = Quirks(0);

    pub const fn of(quirks: &[Quirk]) -> Quirks {
        let mut bits = 0;
        let mut at = 0;
        while at < quirks.len() {
            bits |= 1 << quirks[at] as u8;
            at += 1;
        }
        Quirks(bits)
    }

    pub const fn has(self, quirk: Quirk) -> bool {
        self.0 & (1 << quirk as u8) != 0
    }

    pub const fn with(self, quirk: Quirk) -> Quirks {
        Quirks(self.0 | 1 << quirk as u8)
    }

    pub const fn union(self, other: Quirks) -> Quirks {
        Quirks(self.0 | other.0)
    }
}

/// What a writer changed in the request that the answer must undo, so that the client sees what it asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undo {
    /// Names of tools as they were sent, and as the client knows them.
    pub tool_names: Vec<(String, String)>,
    /// Free-form tools that were sent as functions of one `input` text, by the name sent.
    pub wrapped_tools: Vec<String>,
    /// The function whose arguments are really the answer's text (a schema that could only be said as a forced tool).
    pub answer_tool: Option<String>,
    /// Stop texts that the upstream cannot be told: the answer is cut at the gateway.
    pub stop: Vec<String>,
}

impl Undo {
    pub fn is_empty(&self) -> bool {
        *self == Undo::default()
    }
}
