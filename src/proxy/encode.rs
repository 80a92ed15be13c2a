//! A call's request as one channel gets it: the client's own bytes, spliced, where both speak one protocol; else translated.
//! Must never know sockets or money.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use data_encoding::BASE64;

use super::Admitted;
use super::body::BodyLease;
use crate::api::error::{ClientError, Code};
use crate::catalog::Channel;
use crate::egress::MediaLimits;
use crate::wire::facts::Keepsake;
use crate::wire::gemini_generate::{self, count, embed};
use crate::wire::head::Splice;
use crate::wire::ir::{Losses, MediaKind, Quirk, Refusal, Request, Target, Undo};
use crate::wire::{Operation, Protocol, ReadError, openai_responses, reach, recall};

/// Most media that are fetched for one call.
const MEDIA_MAX: usize = 32;

/// What a channel gets, and what must be remembered of how it was made.
#[derive(Clone)]
pub struct Encoded {
    pub body: Bytes,
    /// `None`: the client's own bytes, and so will be the answer's.
    pub translation: Option<Arc<Translation>>,
}

/// Between the client's protocol and the channel's.
#[derive(Default)]
pub struct Translation {
    pub undo: Undo,
    /// What of the request could not be said.
    pub losses: Losses,
    /// What of the request a Responses answer repeats.
    pub echo: Arc<[(Cow<'static, str>, String)]>,
    /// Of embeddings alone: what form the client wants them in.
    pub vectors: Option<VectorForm>,
}

/// How a client wants its embeddings.
#[derive(Debug, Clone, Copy)]
pub struct VectorForm {
    /// OpenAI: as base64.
    pub base64: bool,
    /// Gemini: as a list.
    pub batch: bool,
}

/// Media that were fetched for a call.
#[derive(Default)]
pub struct Fetched {
    /// By URL: `(type, base64)`.
    media: HashMap<String, (String, String)>,
    /// They count like the bodies that clients send.
    leases: Vec<BodyLease>,
}

impl Admitted {
    /// The client's own bytes go to this channel.
    pub fn is_native(&self, channel: &Channel) -> bool {
        // Bodies of Gemini's embeddings repeat the model's name.
        let named_within = self.operation == Operation::Embeddings && self.protocol == Protocol::GeminiGenerate;
        self.protocol == channel.protocol && !self.as_chat() && !named_within
    }

    /// A legacy completion that is answered as a chat.
    fn as_chat(&self) -> bool {
        self.operation == Operation::Completions && !self.model.operations.has(Operation::Completions)
    }

    /// `strip`: without any thinking of earlier turns, whose signatures the upstream has refused.
    pub async fn encode(&self, channel: &Channel, strip: bool, fetched: &mut Fetched) -> Result<Encoded, ClientError> {
        let body = || std::str::from_utf8(&self.body).map_err(|_| invalid("the body is not UTF-8"));
        if self.is_native(channel)
            && !strip
            && !(self.operation == Operation::Chat && reach::carries_envelopes(&self.body))
        {
            if self.counts_a_whole_request() {
                return self.encode_count(channel, body()?);
            }
            return Ok(Encoded { body: self.spliced(channel), translation: None });
        }
        let body = body()?;
        if self.operation == Operation::Embeddings {
            return self.encode_embeddings(channel, body);
        }
        let mut request = self.read(body)?;
        if strip {
            without_thinking(&mut request);
        } else {
            let known = |id: &str| self.shared.thinking.find(&self.principal.account, id, Instant::now());
            recall::recall(&mut request, known);
        }
        self.inline_media(&mut request, channel, fetched).await?;
        let mut losses = Losses::default();
        if strip {
            losses.dropped(crate::wire::ir::Feature::ReasoningState);
        }
        let (written, undo) = (channel.protocol.dialect().write_request)(&request, &self.target(channel), &mut losses)
            .map_err(unsayable)?;
        self.allow(&losses)?;
        let echo = match self.protocol {
            Protocol::OpenAiResponses => openai_responses::echo(body).into(),
            Protocol::OpenAiChat | Protocol::AnthropicMessages | Protocol::GeminiGenerate => Arc::default(),
        };
        let translation = Translation { undo, losses, echo, vectors: None };
        Ok(Encoded { body: written.into(), translation: Some(Arc::new(translation)) })
    }

    /// A strict call loses nothing.
    fn allow(&self, losses: &Losses) -> Result<(), ClientError> {
        let Some(loss) = losses.first().filter(|_| self.strict) else { return Ok(()) };
        let param = loss.feature.param(self.protocol).into_owned();
        let message = format!(
            "{param} cannot be sent to this model's upstream as it stands ({}), and strict calls lose nothing: leave it out, or call without strict",
            loss.kind.as_str()
        );
        Err(ClientError::new(Code::UnsupportedParameter, message).param(param))
    }

    fn encode_embeddings(&self, channel: &Channel, body: &str) -> Result<Encoded, ClientError> {
        let depth_max = self.shared.limits.json_depth_max;
        let request = match self.protocol {
            Protocol::GeminiGenerate => embed::read_request(body, self.batch, depth_max),
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::AnthropicMessages => {
                embed::read_openai_request(body, depth_max)
            }
        };
        let request = request.map_err(bad_request)?;
        let mut losses = Losses::default();
        let written = match channel.protocol {
            Protocol::GeminiGenerate => {
                embed::write_request(&request, &channel.upstream_model, &mut losses).map_err(unsayable)?
            }
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::AnthropicMessages => {
                embed::write_openai_request(&request, &channel.upstream_model, &mut losses)
            }
        };
        self.allow(&losses)?;
        let vectors = Some(VectorForm { base64: request.base64, batch: self.batch });
        let translation = Translation { losses, vectors, ..Translation::default() };
        Ok(Encoded { body: written.into(), translation: Some(Arc::new(translation)) })
    }

    /// Gemini's `:countTokens` of a whole request, within which the model is named once more.
    fn counts_a_whole_request(&self) -> bool {
        self.operation == Operation::CountTokens
            && self.protocol == Protocol::GeminiGenerate
            && memchr::memmem::find(&self.body, b"generateContentRequest").is_some()
    }

    fn encode_count(&self, channel: &Channel, body: &str) -> Result<Encoded, ClientError> {
        let request = self.read(body)?;
        let written =
            count::write_request(&request, &self.target(channel), &mut Losses::default()).map_err(unsayable)?;
        Ok(Encoded { body: written.into(), translation: None })
    }

    fn spliced(&self, channel: &Channel) -> Bytes {
        let splice = Splice {
            model: &channel.upstream_model,
            include_usage: self.stream && !channel.quirks.has(Quirk::NoStreamOptions),
            output_tokens_max: self.clamped.map(|tokens| (tokens, channel.output_limit_field())),
        };
        self.head.splice(&self.body, &splice)
    }

    fn read<'b>(&self, body: &'b str) -> Result<Request<'b>, ClientError> {
        let depth_max = self.shared.limits.json_depth_max;
        let request = match (self.operation, self.protocol) {
            (Operation::CountTokens, Protocol::GeminiGenerate) => count::read_request(body, depth_max),
            _ => (self.protocol.dialect_for(self.operation).read_request)(body, depth_max),
        };
        let mut request = request.map_err(bad_request)?;
        request.model = Cow::Owned(self.head.model.clone());
        request.stream = self.stream;
        Ok(request)
    }

    fn target<'t>(&self, channel: &'t Channel) -> Target<'t> {
        Target {
            model: &channel.upstream_model,
            stream: self.stream,
            output_max: self.model.output_max,
            output_limit: self.clamped,
            reasoning: channel.reasoning,
            sampling: channel.sampling,
            vision: channel.vision,
            quirks: channel.quirks,
            account: &channel.account,
        }
    }

    /// Fetches what the upstream cannot fetch itself.
    async fn inline_media(
        &self,
        request: &mut Request<'_>,
        channel: &Channel,
        fetched: &mut Fetched,
    ) -> Result<(), ClientError> {
        let urls: Vec<String> = request
            .media_urls()
            .into_iter()
            .filter(|(kind, url)| must_inline(channel, *kind, url))
            .map(|(_, url)| url)
            .collect();
        if urls.len() > MEDIA_MAX {
            return Err(invalid(&format!("{} linked media: at most {MEDIA_MAX} are fetched for one call", urls.len())));
        }
        for url in urls {
            if !fetched.media.contains_key(&url) {
                let media = self.fetch(&url, fetched).await?;
                fetched.media.insert(url.clone(), media);
            }
            if let Some((mime, data)) = fetched.media.get(&url) {
                request.inline(&url, mime, data);
            }
        }
        Ok(())
    }

    async fn fetch(&self, url: &str, fetched: &mut Fetched) -> Result<(String, String), ClientError> {
        let media = self.shared.media.fetch_media(url, &MediaLimits::default()).await;
        let media = media.map_err(|error| invalid(&error.to_string()))?;
        let mut lease = BodyLease::new(self.shared.clone());
        // Once in base64, once in the body that it becomes part of.
        lease.grow_to(media.bytes.len() as u64 * 8 / 3)?;
        fetched.leases.push(lease);
        Ok((media.mime.to_owned(), BASE64.encode(&media.bytes)))
    }

    /// Keeps the thinking that an answer's calls need back.
    pub fn remember(&self, keepsake: Keepsake) {
        let bytes = keepsake.bytes();
        let keepsake = Arc::new(keepsake);
        for id in &keepsake.calls {
            self.shared.thinking.keep(&self.principal.account, id, keepsake.clone(), bytes, Instant::now());
        }
    }
}

/// Whether an upstream has to get the bytes behind a URL.
fn must_inline(channel: &Channel, kind: MediaKind, url: &str) -> bool {
    match channel.protocol {
        Protocol::GeminiGenerate => gemini_generate::must_inline(url, channel.quirks),
        Protocol::OpenAiChat => matches!(kind, MediaKind::Document | MediaKind::Audio),
        Protocol::OpenAiResponses => kind == MediaKind::Audio,
        Protocol::AnthropicMessages => false,
    }
}

fn without_thinking(request: &mut Request<'_>) {
    use crate::wire::ir::{PartKind, ReasoningMode, ReasoningWish};
    for turn in &mut request.turns {
        turn.parts.retain(|part| !matches!(part.kind, PartKind::Reasoning(_)));
        turn.parts.iter_mut().for_each(|part| part.state = None);
    }
    request.turns.retain(|turn| !turn.parts.is_empty());
    // A turn of calls without its thinking is refused while thinking is on.
    let calls = |turn: &crate::wire::ir::Turn<'_>| turn.parts.iter().any(|part| matches!(part.kind, PartKind::Call(_)));
    if request.turns.iter().any(calls) {
        request.reasoning = Some(ReasoningWish { mode: Some(ReasoningMode::Disabled), ..ReasoningWish::default() });
    }
}

fn invalid(message: &str) -> ClientError {
    ClientError::new(Code::InvalidRequest, message)
}

pub fn bad_request(error: ReadError) -> ClientError {
    let client_error = ClientError::new(Code::InvalidRequest, error.message);
    match error.param {
        Some(param) => client_error.param(param),
        None => client_error,
    }
}

fn unsayable(refusal: Refusal) -> ClientError {
    ClientError::new(Code::UnsupportedParameter, refusal.message).param(refusal.param)
}
