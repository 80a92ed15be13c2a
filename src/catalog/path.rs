//! Where at a provider an operation is asked for. Must never know what is asked.

use std::borrow::Cow;

use secrecy::ExposeSecret;

use super::{Auth, Provider};
use crate::wire::{Operation, Protocol};

/// How a provider's paths are made from its base path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths {
    /// As the protocol has them.
    Plain,
    /// Azure's older form: the deployment stands in the path, the version of the API in the query.
    Azure { api_version: std::sync::Arc<str> },
}

impl Provider {
    /// The path and query of an operation, which hold no secret; `None` where the protocol has no such operation.
    ///
    /// `model` is the upstream's name. Names with a `/` stand as they are in Gemini's paths (`tunedModels/x`,
    /// `publishers/google/models/x`), others under `models/`. Embeddings of Gemini are asked for in batches, also one.
    pub fn path(&self, protocol: Protocol, operation: Operation, model: &str, stream: bool) -> Option<String> {
        let base = &self.base_path;
        match &self.paths {
            Paths::Plain => Some(format!("{base}{}", plain(protocol, operation, model, stream)?)),
            Paths::Azure { api_version } => {
                let path = azure(protocol, operation, model)?;
                Some(format!("{base}/openai{path}?api-version={}", escaped(api_version, "")))
            }
        }
    }

    /// A path with the key in its query, where that is how the provider is shown it. Never log what comes back.
    pub fn keyed<'p>(&self, path: &'p str) -> Cow<'p, str> {
        match &self.auth {
            Auth::None | Auth::Bearer(_) | Auth::Header { .. } => Cow::Borrowed(path),
            Auth::Query { name, secret } => {
                let mark = if path.contains('?') { '&' } else { '?' };
                Cow::Owned(format!("{path}{mark}{name}={}", escaped(secret.expose_secret(), "")))
            }
        }
    }
}

fn plain(protocol: Protocol, operation: Operation, model: &str, stream: bool) -> Option<Cow<'static, str>> {
    let path = match (protocol, operation) {
        (Protocol::OpenAiChat, Operation::Chat) => "/chat/completions",
        (Protocol::OpenAiChat | Protocol::OpenAiResponses, Operation::Embeddings) => "/embeddings",
        (Protocol::OpenAiChat | Protocol::OpenAiResponses, Operation::Moderations) => "/moderations",
        (Protocol::OpenAiChat, Operation::Rerank) => "/rerank",
        (Protocol::OpenAiChat, Operation::Completions) => "/completions",
        (Protocol::OpenAiResponses, Operation::Chat) => "/responses",
        (Protocol::OpenAiResponses, Operation::CountTokens) => "/responses/input_tokens",
        (Protocol::AnthropicMessages, Operation::Chat) => "/messages",
        (Protocol::AnthropicMessages, Operation::CountTokens) => "/messages/count_tokens",
        (Protocol::GeminiGenerate, Operation::Chat) if stream => {
            return Some(gemini(model, "streamGenerateContent?alt=sse"));
        }
        (Protocol::GeminiGenerate, Operation::Chat) => return Some(gemini(model, "generateContent")),
        (Protocol::GeminiGenerate, Operation::CountTokens) => return Some(gemini(model, "countTokens")),
        (Protocol::GeminiGenerate, Operation::Embeddings) => return Some(gemini(model, "batchEmbedContents")),
        (Protocol::OpenAiChat, Operation::CountTokens)
        | (Protocol::OpenAiResponses, Operation::Rerank | Operation::Completions)
        | (
            Protocol::AnthropicMessages | Protocol::GeminiGenerate,
            Operation::Rerank | Operation::Moderations | Operation::Completions,
        )
        | (Protocol::AnthropicMessages, Operation::Embeddings) => return None,
    };
    Some(Cow::Borrowed(path))
}

fn gemini(model: &str, method: &str) -> Cow<'static, str> {
    let folder = if model.contains('/') { "" } else { "models/" };
    Cow::Owned(format!("/{folder}{}:{method}", escaped(model, "/")))
}

/// Below `/openai`. The Responses API has the model in the body there too.
fn azure(protocol: Protocol, operation: Operation, deployment: &str) -> Option<String> {
    let name = match (protocol, operation) {
        (Protocol::OpenAiResponses, Operation::Chat) => return Some("/responses".to_owned()),
        (Protocol::OpenAiChat, Operation::Chat) => "chat/completions",
        (Protocol::OpenAiChat | Protocol::OpenAiResponses, Operation::Embeddings) => "embeddings",
        (Protocol::OpenAiChat, Operation::Completions) => "completions",
        (Protocol::OpenAiChat, Operation::CountTokens | Operation::Rerank | Operation::Moderations)
        | (
            Protocol::OpenAiResponses,
            Operation::CountTokens | Operation::Rerank | Operation::Moderations | Operation::Completions,
        )
        | (Protocol::AnthropicMessages | Protocol::GeminiGenerate, _) => return None,
    };
    Some(format!("/deployments/{}/{name}", escaped(deployment, "")))
}

/// Percent-encoded but for the unreserved characters of RFC 3986 and those in `kept`.
fn escaped<'t>(text: &'t str, kept: &str) -> Cow<'t, str> {
    let stands = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b) || kept.as_bytes().contains(&b);
    if text.bytes().all(stands) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for b in text.bytes() {
        if stands(b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    Cow::Owned(out)
}
