//! Protocols, sans-IO: bytes in, typed facts and bytes out. Must never know where bytes come from.

pub mod json;
pub mod openai_chat;
pub mod sse;
pub mod usage;

pub use usage::{Usage, UsageSource};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Chat,
}

impl Operation {
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
        }
    }
}
