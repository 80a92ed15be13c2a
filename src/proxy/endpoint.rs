//! The door: which protocol and operation a method and path ask for.

use std::borrow::Cow;

use http::Method;

use crate::wire::ir::Framing;
use crate::wire::{Operation, Protocol};

/// What the request target names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint<'p> {
    /// A model call, proxied.
    Call(CallPath<'p>),
    /// A known call path with another method; the value of `Allow`.
    WrongMethod { protocol: Protocol, allow: &'static str },
    /// Everything that we answer ourselves.
    Api,
}

/// What a path says of a call. Gemini's says more than the others'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPath<'p> {
    pub protocol: Protocol,
    pub operation: Operation,
    pub gemini: Option<GeminiPath<'p>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeminiPath<'p> {
    /// Percent-decoded: `vendor/id` may come as `vendor%2Fid`.
    pub model: Cow<'p, str>,
    pub stream: bool,
    pub framing: Framing,
    /// `:batchEmbedContents`.
    pub batch: bool,
}

/// Where Gemini's SDKs look for models: its own versions, none (LiteLLM), and a beta below ours.
const GEMINI_PREFIXES: [&str; 4] = ["/v1beta/models/", "/v1/models/", "/v1/beta/models/", "/models/"];

impl<'p> Endpoint<'p> {
    /// Decides on the path as it was sent: no decoding but of a model's name, no normalising, so that nothing can be one
    /// path here and another upstream (the upstream's path is never the client's).
    pub fn from_path(method: &Method, path: &'p str, query: Option<&str>) -> Endpoint<'p> {
        let named = match path {
            "/v1/chat/completions" => Some((Protocol::OpenAiChat, Operation::Chat)),
            "/v1/responses" => Some((Protocol::OpenAiResponses, Operation::Chat)),
            "/v1/responses/input_tokens" => Some((Protocol::OpenAiResponses, Operation::CountTokens)),
            "/v1/messages" => Some((Protocol::AnthropicMessages, Operation::Chat)),
            "/v1/messages/count_tokens" => Some((Protocol::AnthropicMessages, Operation::CountTokens)),
            "/v1/completions" => Some((Protocol::OpenAiChat, Operation::Completions)),
            "/v1/embeddings" => Some((Protocol::OpenAiChat, Operation::Embeddings)),
            "/v1/rerank" => Some((Protocol::OpenAiChat, Operation::Rerank)),
            "/v1/moderations" => Some((Protocol::OpenAiChat, Operation::Moderations)),
            _ => None,
        };
        if let Some((protocol, operation)) = named {
            return if method == Method::POST {
                Endpoint::Call(CallPath { protocol, operation, gemini: None })
            } else {
                Endpoint::WrongMethod { protocol, allow: "POST" }
            };
        }
        match gemini(path, query) {
            Some(call) if method == Method::POST => Endpoint::Call(call),
            Some(_) => Endpoint::WrongMethod { protocol: Protocol::GeminiGenerate, allow: "POST" },
            None => Endpoint::Api,
        }
    }
}

/// `…/models/{model}:{verb}`. A path without a verb that we know is none of ours to proxy.
fn gemini<'p>(path: &'p str, query: Option<&str>) -> Option<CallPath<'p>> {
    let rest = GEMINI_PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))?;
    let (model, verb) = rest.rsplit_once(':')?;
    if model.is_empty() {
        return None;
    }
    let (operation, stream, batch) = match verb {
        "generateContent" => (Operation::Chat, false, false),
        "streamGenerateContent" => (Operation::Chat, true, false),
        "countTokens" => (Operation::CountTokens, false, false),
        "embedContent" => (Operation::Embeddings, false, false),
        "batchEmbedContents" => (Operation::Embeddings, false, true),
        _ => return None,
    };
    let sse = query.is_some_and(|query| crate::api::params::pairs(query).any(|pair| pair == ("alt", "sse")));
    let framing = if stream && !sse { Framing::Array } else { Framing::Sse };
    let model = crate::api::params::percent_decoded(model)?;
    let gemini = Some(GeminiPath { model, stream, framing, batch });
    Some(CallPath { protocol: Protocol::GeminiGenerate, operation, gemini })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str) -> Endpoint<'_> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        Endpoint::from_path(&Method::POST, path, query)
    }

    #[test]
    fn only_the_exact_path_is_a_call() {
        let call = CallPath { protocol: Protocol::OpenAiChat, operation: Operation::Chat, gemini: None };
        assert_eq!(post("/v1/chat/completions"), Endpoint::Call(call));
        let wrong = Endpoint::WrongMethod { protocol: Protocol::OpenAiChat, allow: "POST" };
        assert_eq!(Endpoint::from_path(&Method::GET, "/v1/chat/completions", None), wrong);
        for odd in [
            "//v1/chat/completions",
            "/v1/chat/completions/",
            "/v1/%63hat/completions",
            "/v1/./chat/completions",
            "/v1/responses/resp_1",
            "/v1beta/models/m",
            "/v1beta/models/m:tune",
            "/v1beta/models/:generateContent",
            "/v2/models/m:generateContent",
            "/",
        ] {
            assert_eq!(post(odd), Endpoint::Api, "{odd}");
        }
    }

    #[test]
    fn every_protocol_has_its_path() {
        for (path, protocol, operation) in [
            ("/v1/responses", Protocol::OpenAiResponses, Operation::Chat),
            ("/v1/responses/input_tokens", Protocol::OpenAiResponses, Operation::CountTokens),
            ("/v1/messages?beta=true", Protocol::AnthropicMessages, Operation::Chat),
            ("/v1/messages/count_tokens", Protocol::AnthropicMessages, Operation::CountTokens),
            ("/v1/embeddings", Protocol::OpenAiChat, Operation::Embeddings),
            ("/models/m:countTokens", Protocol::GeminiGenerate, Operation::CountTokens),
        ] {
            let Endpoint::Call(call) = post(path) else { panic!("{path}") };
            assert_eq!((call.protocol, call.operation), (protocol, operation), "{path}");
        }
    }

    #[test]
    fn geminis_path_names_the_model_and_the_framing() {
        for (path, model, stream, framing) in [
            ("/v1beta/models/gemini-x:generateContent", "gemini-x", false, Framing::Sse),
            ("/v1/models/gemini-x:streamGenerateContent?alt=sse", "gemini-x", true, Framing::Sse),
            (
                "/v1/beta/models/vendor%2Fgpt-4o:streamGenerateContent?key=k&alt=json",
                "vendor/gpt-4o",
                true,
                Framing::Array,
            ),
            ("/models/vendor/gpt:4o:generateContent", "vendor/gpt:4o", false, Framing::Sse),
        ] {
            let Endpoint::Call(CallPath { gemini: Some(gemini), .. }) = post(path) else { panic!("{path}") };
            assert_eq!((&*gemini.model, gemini.stream, gemini.framing), (model, stream, framing), "{path}");
        }
    }
}
