//! The header of a request as an upstream gets it, and of an answer as the client does. Both are made anew, so that nothing
//! crosses but what is named here.

use http::{HeaderName, HeaderValue, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};

use super::Admitted;
use super::attempt::Attempt;
use crate::catalog::{Auth, Channel, Provider};
use crate::wire::ir::{Framing, Losses};
use crate::wire::{Operation, Protocol};

/// What of an upstream's header reaches the client. All else (cookies, server, organisation, limits of our key) does not.
const ANSWER_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CACHE_CONTROL];

pub fn of_request(call: &Admitted, attempt: &Attempt) -> Result<RequestHeader> {
    let channel = &attempt.channel;
    let provider = &channel.provider;
    let path = call.path_for(channel)?;
    // Without a second map that remembers the case of names: they go out in lower case, as HTTP/2 has them.
    let mut request = RequestHeader::build_no_case("POST", path.as_bytes(), Some(12))?;
    let host = match (provider.tls, provider.port) {
        (true, 443) | (false, 80) => provider.host.to_string(),
        (_, port) => format!("{}:{port}", provider.host),
    };
    request.insert_header(header::HOST, host)?;
    request.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    request.insert_header(header::CONTENT_LENGTH, attempt.request.len())?;
    let accept = if call.stream { "text/event-stream" } else { "application/json" };
    request.insert_header(header::ACCEPT, HeaderValue::from_static(accept))?;
    request.insert_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
    let agent = HeaderValue::from_static(concat!("qingwave/", env!("CARGO_PKG_VERSION")));
    request.insert_header(header::USER_AGENT, agent)?;
    add_credential(&mut request, provider)?;
    add_version(&mut request, call, attempt)?;
    for (name, value) in &call.trace {
        request.insert_header(*name, value.clone())?;
    }
    Ok(request)
}

fn add_credential(request: &mut RequestHeader, provider: &Provider) -> Result<()> {
    match &provider.auth {
        // The query is part of the path.
        Auth::None | Auth::Query { .. } => Ok(()),
        Auth::Bearer(secret) => {
            request.insert_header(header::AUTHORIZATION, secret_value(&format!("Bearer {}", expose(secret)))?)
        }
        Auth::Header { name, secret } => request.insert_header(name.to_string(), secret_value(expose(secret))?),
    }
}

/// The client's own version and betas where both speak Anthropic's protocol, else the provider's version.
fn add_version(request: &mut RequestHeader, call: &Admitted, attempt: &Attempt) -> Result<()> {
    if attempt.channel.protocol != Protocol::AnthropicMessages {
        return Ok(());
    }
    for (name, value) in &call.betas {
        request.append_header(*name, value.clone())?;
    }
    if !request.headers.contains_key("anthropic-version") {
        let version = HeaderValue::from_str(&attempt.channel.provider.anthropic_version)
            .map_err(|_| Error::explain(ErrorType::InternalError, "the provider's version is not a header value"))?;
        request.insert_header("anthropic-version", version)?;
    }
    Ok(())
}

pub fn expose(secret: &secrecy::SecretString) -> &str {
    secrecy::ExposeSecret::expose_secret(secret)
}

fn secret_value(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::explain(ErrorType::InternalError, "the provider's key is not a header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header of an answer, made of what is known when the upstream's has come.
pub fn of_answer(call: &Admitted, attempt: &Attempt, upstream: &ResponseHeader) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build_no_case(upstream.status, Some(8))?;
    match attempt.content_type() {
        Some(content_type) => {
            answer.insert_header(header::CONTENT_TYPE, HeaderValue::from_static(content_type))?;
            if attempt.is_stream() {
                answer.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))?;
            }
        }
        None => {
            let kept = |name: &&HeaderName| !attempt.is_stream() || **name != header::CONTENT_LENGTH;
            for name in ANSWER_HEADERS.iter().filter(kept) {
                if let Some(value) = upstream.headers.get(name) {
                    answer.insert_header(name.clone(), value.clone())?;
                }
            }
        }
    }
    if attempt.is_stream() {
        answer.insert_header("x-accel-buffering", HeaderValue::from_static("no"))?;
    }
    if !answer.headers.contains_key(header::CONTENT_LENGTH) {
        answer.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    answer.insert_header("x-request-id", call.request_id.clone())?;
    if call.protocol == Protocol::AnthropicMessages {
        answer.insert_header("request-id", call.request_id.clone())?;
    }
    if let Some(tokens) = call.clamped {
        answer.insert_header("x-qingwave-clamped", tokens)?;
    }
    if attempt.is_stream() {
        add_losses(&mut answer, &attempt.losses(), call.protocol);
    }
    Ok(answer)
}

/// Lists what was lost in translation.
pub fn add_losses(answer: &mut ResponseHeader, losses: &Losses, client: Protocol) {
    let Some(list) = losses.header(client) else { return };
    let added = HeaderValue::from_str(&list)
        .map_err(|error| error.to_string())
        .and_then(|value| answer.insert_header("x-qingwave-lossy", value).map_err(|error| error.to_string()));
    if let Err(error) = added {
        tracing::error!(%error, "the losses could not be listed");
    }
}

impl Admitted {
    /// Where at its provider a channel is asked. It may hold the provider's key: never to be logged.
    fn path_for(&self, channel: &Channel) -> Result<String> {
        let native = self.is_native(channel);
        let operation = if native { self.operation } else { self.operation.translated() };
        let path = channel.provider.path(channel.protocol, operation, &channel.upstream_model, self.stream);
        let Some(mut path) = path else {
            return Error::e_explain(ErrorType::InternalError, "the channel's protocol has no such operation");
        };
        // Gemini's own clients get what they asked for, byte for byte.
        if native && self.stream && self.framing == Framing::Array {
            path = path.replace("?alt=sse", "");
        }
        if native && operation == Operation::Embeddings && channel.protocol == Protocol::GeminiGenerate && !self.batch {
            path = path.replace(":batchEmbedContents", ":embedContent");
        }
        Ok(channel.provider.keyed(&path).into_owned())
    }
}
