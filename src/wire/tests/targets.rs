//! Upstreams to write requests for, and the door to the request translators.

use crate::wire::Protocol::{self, AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::ir::{Effort, Efforts, Losses, Quirk, Quirks, ReasoningStyle, Refusal, Request, Target, Undo};
use crate::wire::{ReadError, anthropic_messages, gemini_generate, openai_chat, openai_responses};

pub const DEPTH_MAX: usize = 64;
pub const ACCOUNT: &str = "acme";

/// Upstreams as catalogs have them: the plain one of each protocol first.
pub fn targets() -> Vec<(&'static str, Protocol, Target<'static>)> {
    use Quirk::*;
    const EFFORTS: Efforts =
        Efforts::of(&[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max]);
    let effort = ReasoningStyle::Effort { efforts: EFFORTS, off: true };
    let three = ReasoningStyle::Effort {
        efforts: Efforts::of(&[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High]),
        off: false,
    };
    let budget = |min, off| ReasoningStyle::Budget { min, max: 32768, off };
    let target = |reasoning, sampling, quirks: &[Quirk]| Target {
        model: "upstream-model",
        stream: false,
        output_max: 64000,
        output_limit: None,
        reasoning,
        sampling,
        vision: true,
        quirks: Quirks::of(quirks),
        account: ACCOUNT,
    };
    vec![
        ("openai", OpenAiChat, target(effort, true, &[CacheBreakpoints])),
        (
            "mistral",
            OpenAiChat,
            target(ReasoningStyle::Never, true, &[MaxTokens, NoDeveloperRole, ShortCallIds, ThinkingParts]),
        ),
        (
            "deepseek",
            OpenAiChat,
            target(effort, true, &[MaxTokens, NoDeveloperRole, ReasoningContent, ThinkingSwitch, NoJsonSchema]),
        ),
        (
            "openrouter",
            OpenAiChat,
            target(effort, true, &[ReasoningDetails, ReasoningObject, CacheControlParts, TopK, VideoUrl]),
        ),
        ("google-chat", OpenAiChat, target(effort, true, &[GoogleSignatures, NoParallelCalls])),
        ("responses", OpenAiResponses, target(effort, true, &[CacheBreakpoints])),
        ("adaptive", AnthropicMessages, target(effort, false, &[SystemTurns])),
        ("budget", AnthropicMessages, target(budget(1024, true), true, &[])),
        ("old-claude", AnthropicMessages, target(ReasoningStyle::Never, true, &[NoOutputFormat])),
        ("gemini-3", GeminiGenerate, target(three, true, &[SignedCalls, HttpsFiles])),
        ("gemini-2.5", GeminiGenerate, target(budget(128, false), true, &[NoSchemaWithTools, NoMediaInResults])),
        ("vertex", GeminiGenerate, target(budget(0, true), true, &[Vertex, HttpsFiles])),
    ]
}

/// The first target of a protocol.
pub fn plain(protocol: Protocol) -> Target<'static> {
    targets().into_iter().find(|(_, of, _)| *of == protocol).expect("every protocol has one").2
}

pub fn read(protocol: Protocol, body: &str) -> Result<Request<'_>, ReadError> {
    match protocol {
        OpenAiChat => openai_chat::read_request(body, DEPTH_MAX),
        OpenAiResponses => openai_responses::read_request(body, DEPTH_MAX),
        AnthropicMessages => anthropic_messages::read_request(body, DEPTH_MAX),
        GeminiGenerate => gemini_generate::read_request(body, DEPTH_MAX),
    }
}

#[derive(Clone)]
pub struct Written {
    pub body: Vec<u8>,
    pub undo: Undo,
    pub losses: Losses,
}

pub fn write(protocol: Protocol, request: &Request<'_>, target: &Target<'_>) -> Result<Written, Refusal> {
    let mut losses = Losses::default();
    let (body, undo) = match protocol {
        OpenAiChat => openai_chat::write_request(request, target, &mut losses),
        OpenAiResponses => openai_responses::write_request(request, target, &mut losses),
        AnthropicMessages => anthropic_messages::write_request(request, target, &mut losses),
        GeminiGenerate => gemini_generate::write_request(request, target, &mut losses),
    }?;
    Ok(Written { body, undo, losses })
}
