//! Protocols, sans-IO: bytes in, typed facts and bytes out. Must never know where bytes come from.

pub mod anthropic_messages;
pub mod dialect;
pub mod facts;
pub mod feed;
pub mod gemini_generate;
pub mod head;
pub mod ir;
pub mod json;
pub mod openai_chat;
pub mod openai_responses;
pub mod plain;
pub mod reach;
pub mod recall;
pub mod schema;
pub mod sequence;
pub mod sse;
pub mod tap;
pub mod translate;
pub mod undo;
pub mod usage;

pub use usage::{Usage, UsageSource};

#[cfg(test)]
pub(crate) mod recordings;

/// A wire dialect. The name is stable: catalog, usage records and metric labels use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Protocol {
    #[serde(rename = "openai.chat")]
    OpenAiChat,
    #[serde(rename = "openai.responses")]
    OpenAiResponses,
    #[serde(rename = "anthropic.messages")]
    AnthropicMessages,
    #[serde(rename = "gemini.generate")]
    GeminiGenerate,
}

impl Protocol {
    pub const ALL: [Protocol; 4] =
        [Protocol::OpenAiChat, Protocol::OpenAiResponses, Protocol::AnthropicMessages, Protocol::GeminiGenerate];

    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::OpenAiChat => "openai.chat",
            Protocol::OpenAiResponses => "openai.responses",
            Protocol::AnthropicMessages => "anthropic.messages",
            Protocol::GeminiGenerate => "gemini.generate",
        }
    }

    pub fn parse(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|p| p.as_str() == name)
    }
}

/// What a call asks for, apart from the dialect it is said in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    #[default]
    Chat,
    /// How many tokens a chat's input has, without an answer.
    CountTokens,
    Embeddings,
    Rerank,
    Moderations,
    /// The old text completions, a prompt in and its continuation out.
    Completions,
}

impl Operation {
    /// What is asked of an upstream of another protocol.
    pub const fn translated(self) -> Operation {
        match self {
            Operation::Completions => Operation::Chat,
            other => other,
        }
    }

    pub const ALL: [Operation; 6] = [
        Operation::Chat,
        Operation::CountTokens,
        Operation::Embeddings,
        Operation::Rerank,
        Operation::Moderations,
        Operation::Completions,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::CountTokens => "count_tokens",
            Operation::Embeddings => "embeddings",
            Operation::Rerank => "rerank",
            Operation::Moderations => "moderations",
            Operation::Completions => "completions",
        }
    }

    pub fn parse(name: &str) -> Option<Operation> {
        Operation::ALL.into_iter().find(|operation| operation.as_str() == name)
    }
}

/// Why a request body cannot be read. `param` is the field at fault, in the client's spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    pub param: Option<String>,
    /// A lowercase sentence that says what was expected.
    pub message: String,
}

impl ReadError {
    pub fn new(param: impl Into<String>, message: impl Into<String>) -> ReadError {
        ReadError { param: Some(param.into()), message: message.into() }
    }
}

#[cfg(test)]
mod tests;
