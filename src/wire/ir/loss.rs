//! What could not be said in another protocol. Each dropped or approximated thing is a `Loss`; nothing is lost in silence.

use std::borrow::Cow;

use super::request::ToolChoice;
use super::state::State;
use crate::wire::Protocol;

/// Most losses that are kept one by one; more are only counted.
pub const LOSSES_MAX: usize = 256;
/// Longest path that is kept of one.
const PATH_BYTES_MAX: usize = 200;
/// Longest header that lists losses, its `more;N` included.
pub const LOSSES_HEADER_BYTES_MAX: usize = 1024;
/// Room for `, more;` and a count.
const MORE_BYTES_MAX: usize = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossKind {
    Dropped,
    /// Moved into the range that the upstream takes.
    Clamped,
    /// Said in other words that mean nearly the same.
    Approximated,
    /// Left out because no answer needs it: thoughts of earlier answers that no signature vouches for, which clients echo
    /// without knowing and upstreams leave out themselves; how tools are called where there are none. Strict calls allow it.
    Omitted,
}

impl LossKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            LossKind::Dropped => "dropped",
            LossKind::Clamped => "clamped",
            LossKind::Approximated => "approximated",
            LossKind::Omitted => "omitted",
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
    /// How sound in the answer is to be: its voice and format.
    AudioForm,
    ImageOut,
    ServerTool,
    /// What was said so far: where a refusal of something in it points to.
    Conversation,
    /// The result of a call.
    CallResult,
    /// An image, file, sound or film.
    Media,
    /// The name or title of a file.
    FileName,
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
            (Feature::AudioOut, Gm) => "generationConfig.responseModalities",
            (Feature::AudioOut, _) => "modalities",
            (Feature::AudioForm, Gm) => "generationConfig.speechConfig",
            (Feature::AudioForm, _) => "audio",
            (Feature::ImageOut, Gm) => "generationConfig.responseModalities",
            (Feature::ImageOut, _) => "modalities",
            (Feature::ServerTool, _) => "tools",
            (Feature::Conversation, Gm) => "contents",
            (Feature::Conversation, Rs) => "input",
            (Feature::Conversation, Am | Cc) => "messages",
            (Feature::CallResult, Gm) => "functionResponse",
            (Feature::CallResult, Rs) => "function_call_output",
            (Feature::CallResult, Am) => "tool_result",
            (Feature::CallResult, Cc) => "tool_call_id",
            (Feature::Media, Gm) => "inlineData",
            (Feature::Media, Rs) => "input_image",
            (Feature::Media, Am) => "source",
            (Feature::Media, Cc) => "image_url",
            (Feature::FileName, Gm) => "displayName",
            (Feature::FileName, Am) => "title",
            (Feature::FileName, Cc | Rs) => "filename",
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

    /// What no answer needs.
    pub fn omitted(&mut self, feature: Feature) {
        self.add(feature, LossKind::Omitted);
    }

    /// Thinking of an earlier answer that cannot go back: a loss where it came with its state, else a mere echo.
    pub fn thinking(&mut self, state: Option<&State<'_>>) {
        let kind = if state.is_some() { LossKind::Dropped } else { LossKind::Omitted };
        self.add(Feature::ReasoningState, kind);
    }

    /// A choice among tools, and the wish for one call at a time, where no tool is sent.
    pub fn without_tools(&mut self, choice: Option<&ToolChoice<'_>>, parallel: Option<bool>) {
        match choice {
            None | Some(ToolChoice::Auto) => {}
            Some(ToolChoice::None | ToolChoice::Allowed { required: false, .. } | ToolChoice::Validated { .. }) => {
                self.omitted(Feature::ToolChoice);
            }
            Some(
                ToolChoice::Required
                | ToolChoice::One { .. }
                | ToolChoice::Allowed { required: true, .. }
                | ToolChoice::Hosted { .. },
            ) => self.dropped(Feature::ToolChoice),
        }
        if parallel == Some(false) {
            self.omitted(Feature::ParallelCalls);
        }
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

    /// Each as the usage record has it: `seed;dropped`.
    pub fn texts(&self, protocol: Protocol) -> Vec<Cow<'static, str>> {
        let text = |loss: &Loss| Cow::Owned(format!("{};{}", loss.feature.param(protocol), loss.kind.as_str()));
        let more = (self.more > 0).then(|| Cow::Owned(format!("more;{}", self.more)));
        self.list.iter().map(text).chain(more).collect()
    }

    /// The first loss that a strict call may not have.
    pub fn first(&self) -> Option<&Loss> {
        self.list.iter().find(|loss| loss.kind != LossKind::Omitted)
    }

    /// The list as a header's value, in the words of a client of `protocol`: `seed;dropped, temperature;clamped, more;12`.
    /// Printable ASCII alone: other bytes, and those that divide the list, are percent-encoded. `None` where nothing is lost.
    ///
    /// ```
    /// use qingwave::wire::{Protocol, ir::{Feature, Losses}};
    /// let mut losses = Losses::default();
    /// losses.dropped(Feature::Seed);
    /// losses.clamped(Feature::Temperature);
    /// losses.field("messages[0].größe");
    /// let header = losses.header(Protocol::OpenAiChat);
    /// assert_eq!(header.as_deref(), Some("seed;dropped, temperature;clamped, messages[0].gr%C3%B6%C3%9Fe;dropped"));
    /// ```
    pub fn header(&self, protocol: Protocol) -> Option<String> {
        let mut entries: Vec<String> = Vec::with_capacity(self.list.len());
        for loss in &self.list {
            let entry = format!("{};{}", percent_encoded(&loss.feature.param(protocol)), loss.kind.as_str());
            // Two features may have one name in this protocol.
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        let mut header = String::new();
        let mut left = entries.len() + self.more;
        for entry in &entries {
            let comma = if header.is_empty() { "" } else { ", " };
            let reserved = if left > 1 { MORE_BYTES_MAX } else { 0 };
            if header.len() + comma.len() + entry.len() + reserved > LOSSES_HEADER_BYTES_MAX {
                break;
            }
            header.push_str(comma);
            header.push_str(entry);
            left -= 1;
        }
        if left > 0 {
            let comma = if header.is_empty() { "" } else { ", " };
            header.push_str(&format!("{comma}more;{left}"));
        }
        (!header.is_empty()).then_some(header)
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

fn percent_encoded(text: &str) -> Cow<'_, str> {
    let stands = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b',' | b';' | b'"');
    if text.bytes().all(stands) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if stands(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests;
