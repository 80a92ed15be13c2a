//! What could not be said in another protocol. Each dropped or approximated thing is a `Loss`; nothing is lost in silence.

use std::borrow::Cow;

use crate::wire::Protocol;

/// Most losses that are kept one by one; more are only counted.
pub const LOSSES_MAX: usize = 256;
/// Longest path that is kept of one.
const PATH_BYTES_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossKind {
    Dropped,
    /// Moved into the range that the upstream takes.
    Clamped,
    /// Said in other words that mean nearly the same.
    Approximated,
}

impl LossKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            LossKind::Dropped => "dropped",
            LossKind::Clamped => "clamped",
            LossKind::Approximated => "approximated",
        }
    }
}

/// Something known that a protocol may be unable to say. The name in losses is OpenAI's or Anthropic's where they have one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Feature {
    Temperature,
    TopP,
    TopK,
    PresencePenalty,
    FrequencyPenalty,
    Seed,
    Stop,
    Choices,
    Logprobs,
    OutputLimit,
    ResponseFormat,
    Verbosity,
    Reasoning,
    ReasoningState,
    ServiceTier,
    User,
    SafetyIdentifier,
    Metadata,
    PromptCacheKey,
    CacheControl,
    Tools,
    ToolChoice,
    ParallelCalls,
    Strict,
    IsError,
    MessageName,
    Detail,
    Citations,
    AudioOut,
    ImageOut,
    ServerTool,
    /// A role that was said as another.
    Role,
    /// A schema that had to be simplified.
    Schema,
    /// A field by its path.
    Field(Cow<'static, str>),
}

impl Feature {
    /// The parameter's name as a client of `protocol` spells it.
    pub fn param(&self, protocol: Protocol) -> Cow<'_, str> {
        use Protocol::{AnthropicMessages as Am, GeminiGenerate as Gm, OpenAiChat as Cc, OpenAiResponses as Rs};
        Cow::Borrowed(match (self, protocol) {
            (Feature::Temperature, Gm) => "generationConfig.temperature",
            (Feature::Temperature, _) => "temperature",
            (Feature::TopP, Gm) => "generationConfig.topP",
            (Feature::TopP, _) => "top_p",
            (Feature::TopK, Gm) => "generationConfig.topK",
            (Feature::TopK, _) => "top_k",
            (Feature::PresencePenalty, Gm) => "generationConfig.presencePenalty",
            (Feature::PresencePenalty, _) => "presence_penalty",
            (Feature::FrequencyPenalty, Gm) => "generationConfig.frequencyPenalty",
            (Feature::FrequencyPenalty, _) => "frequency_penalty",
            (Feature::Seed, Gm) => "generationConfig.seed",
            (Feature::Seed, _) => "seed",
            (Feature::Stop, Gm) => "generationConfig.stopSequences",
            (Feature::Stop, Am) => "stop_sequences",
            (Feature::Stop, Cc | Rs) => "stop",
            (Feature::Choices, Gm) => "generationConfig.candidateCount",
            (Feature::Choices, _) => "n",
            (Feature::Logprobs, Gm) => "generationConfig.responseLogprobs",
            (Feature::Logprobs, Rs) => "top_logprobs",
            (Feature::Logprobs, _) => "logprobs",
            (Feature::OutputLimit, Gm) => "generationConfig.maxOutputTokens",
            (Feature::OutputLimit, Rs) => "max_output_tokens",
            (Feature::OutputLimit, Am) => "max_tokens",
            (Feature::OutputLimit, Cc) => "max_completion_tokens",
            (Feature::ResponseFormat, Gm) => "generationConfig.responseMimeType",
            (Feature::ResponseFormat, Rs) => "text.format",
            (Feature::ResponseFormat, Am) => "output_config.format",
            (Feature::ResponseFormat, Cc) => "response_format",
            (Feature::Verbosity, Rs) => "text.verbosity",
            (Feature::Verbosity, _) => "verbosity",
            (Feature::Reasoning, Gm) => "generationConfig.thinkingConfig",
            (Feature::Reasoning, Rs) => "reasoning",
            (Feature::Reasoning, Am) => "thinking",
            (Feature::Reasoning, Cc) => "reasoning_effort",
            (Feature::ReasoningState, Gm) => "thoughtSignature",
            (Feature::ReasoningState, Rs) => "encrypted_content",
            (Feature::ReasoningState, Am) => "signature",
            (Feature::ReasoningState, Cc) => "reasoning_details",
            (Feature::ServiceTier, Gm) => "serviceTier",
            (Feature::ServiceTier, _) => "service_tier",
            (Feature::User, Am) => "metadata.user_id",
            (Feature::User, _) => "user",
            (Feature::SafetyIdentifier, _) => "safety_identifier",
            (Feature::Metadata, Gm) => "labels",
            (Feature::Metadata, _) => "metadata",
            (Feature::PromptCacheKey, _) => "prompt_cache_key",
            (Feature::CacheControl, Am) => "cache_control",
            (Feature::CacheControl, _) => "prompt_cache_breakpoint",
            (Feature::Tools, _) => "tools",
            (Feature::ToolChoice, Gm) => "toolConfig.functionCallingConfig",
            (Feature::ToolChoice, _) => "tool_choice",
            (Feature::ParallelCalls, Am) => "tool_choice.disable_parallel_tool_use",
            (Feature::ParallelCalls, _) => "parallel_tool_calls",
            (Feature::Strict, _) => "strict",
            (Feature::IsError, _) => "is_error",
            (Feature::MessageName, _) => "name",
            (Feature::Detail, Gm) => "mediaResolution",
            (Feature::Detail, _) => "detail",
            (Feature::Citations, _) => "citations",
            (Feature::AudioOut, Gm) => "generationConfig.speechConfig",
            (Feature::AudioOut, _) => "audio",
            (Feature::ImageOut, Gm) => "generationConfig.responseModalities",
            (Feature::ImageOut, _) => "modalities",
            (Feature::ServerTool, _) => "tools",
            (Feature::Role, _) => "role",
            (Feature::Schema, _) => "schema",
            (Feature::Field(path), _) => return Cow::Borrowed(path),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Loss {
    pub feature: Feature,
    pub kind: LossKind,
}

/// Each loss once, in the order met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    list: Vec<Loss>,
    /// Those over `LOSSES_MAX`.
    more: usize,
}

impl Losses {
    pub fn add(&mut self, feature: Feature, kind: LossKind) {
        let loss = Loss { feature, kind };
        if self.list.contains(&loss) {
            return;
        }
        if self.list.len() == LOSSES_MAX {
            self.more += 1;
        } else {
            self.list.push(loss);
        }
    }

    pub fn dropped(&mut self, feature: Feature) {
        self.add(feature, LossKind::Dropped);
    }

    pub fn clamped(&mut self, feature: Feature) {
        self.add(feature, LossKind::Clamped);
    }

    pub fn approximated(&mut self, feature: Feature) {
        self.add(feature, LossKind::Approximated);
    }

    /// A field that is known only by its path, shortened where it is very long.
    pub fn field(&mut self, path: &str) {
        let path = &path[..path.floor_char_boundary(PATH_BYTES_MAX)];
        self.dropped(Feature::Field(Cow::Owned(path.to_owned())));
    }

    pub fn extend(&mut self, other: &Losses) {
        for loss in &other.list {
            self.add(loss.feature.clone(), loss.kind);
        }
        self.more += other.more;
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.list.iter()
    }

    pub fn more(&self) -> usize {
        self.more
    }
}

/// Why a request cannot be said in a protocol at all: a 400 `unsupported_parameter` that names the parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// In the client's spelling.
    pub param: String,
    /// A lowercase sentence that says what to do next.
    pub message: String,
}

impl Refusal {
    pub fn new(param: impl Into<String>, message: impl Into<String>) -> Refusal {
        Refusal { param: param.into(), message: message.into() }
    }
}
