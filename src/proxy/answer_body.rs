//! The body of one answer on its way to the client: what becomes of its bytes, and what is known of them. Must never know
//! attempts, sockets or money.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

use super::attempt::clip;
use super::encode::{Translation, VectorForm};
use crate::catalog::Channel;
use crate::wire::facts::Facts;
use crate::wire::feed::Form;
use crate::wire::gemini_generate::embed;
use crate::wire::ir::{Framing, Iteration, Losses, Outcome, UpstreamError, WriterSetup};
use crate::wire::openai_chat::ChatTap;
use crate::wire::plain;
use crate::wire::tap::{self, Tap};
use crate::wire::translate::{Setup, Translator};
use crate::wire::{Operation, Protocol, Usage};

/// Most of a whole answer that is held back until it is complete; a longer one passes as it comes.
pub const WHOLE_HOLD_BYTES_MAX: usize = 16 << 20;

/// How the bytes of an answer become the client's.
#[derive(Clone)]
pub struct Answering {
    /// The client's.
    pub protocol: Protocol,
    pub operation: Operation,
    /// The client asked for a stream.
    pub stream: bool,
    pub framing: Framing,
    /// The client did not ask for the usage chunk that we asked for.
    pub drop_usage: bool,
    pub include_usage: bool,
    /// Ours, which is the call's id too.
    pub request_id: HeaderValue,
    /// Unix seconds.
    pub created: i64,
    pub model: Arc<str>,
}

impl Answering {
    /// What becomes of an answer from a channel. `translation`: nothing where the client's own bytes were sent.
    pub fn body(&self, channel: &Channel, translation: Option<&Translation>, content_type: Option<&str>) -> AnswerBody {
        if let Some(form) = translation.and_then(|translation| translation.vectors) {
            let (account, body, facts) = (channel.protocol, Vec::new(), None);
            return AnswerBody::Vectors { upstream: account, body, form, facts };
        }
        if let Some(translation) = translation.filter(|translation| !self.is_native(channel, translation)) {
            let translator = Translator::new(Setup {
                upstream: channel.protocol,
                client: self.protocol,
                stream: self.stream,
                account: channel.account.to_string(),
                undo: translation.undo.clone(),
                writer: WriterSetup { echo: translation.echo.clone(), ..self.writer() },
            });
            let unread = Some((channel.protocol, content_type.unwrap_or_default().into()));
            return AnswerBody::Translated { translator: Box::new(translator), unread, given: false };
        }
        let tapped = |form| AnswerBody::Tapped(Box::new(Tap::new(self.protocol, &channel.account, form)));
        let array = self.protocol == Protocol::GeminiGenerate && self.stream && self.framing == Framing::Array;
        match (self.protocol, self.is_stream(content_type)) {
            (Protocol::OpenAiChat, true) => AnswerBody::Chat(Box::new(ChatTap::new(self.drop_usage))),
            (_, true) => tapped(Form::Sse),
            (_, false) if array => tapped(Form::Array),
            (_, false) => AnswerBody::Whole { pieces: Vec::new(), bytes: 0, facts: None },
        }
    }

    /// What a writer of the client's protocol needs. Most answers pass as they came and need none.
    fn writer(&self) -> WriterSetup {
        WriterSetup {
            call_id: self.call_id().to_owned(),
            created: self.created,
            model: self.model.to_string(),
            include_usage: self.include_usage,
            framing: self.framing,
            operation: self.operation,
            ..WriterSetup::default()
        }
    }

    fn call_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Whether an answer's own bytes are a stream: as it says, or where it says nothing that counts, as it was asked.
    fn is_stream(&self, content_type: Option<&str>) -> bool {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        is("text/event-stream") || (self.stream && !is("application/json") && !is("text/html"))
    }

    /// Both speak one protocol, and nothing of the request has to be undone: the answer's bytes are the upstream's own.
    pub fn is_native(&self, channel: &Channel, translation: &Translation) -> bool {
        channel.protocol == self.protocol && self.operation == Operation::Chat && translation.undo.is_empty()
    }
}

pub enum AnswerBody {
    /// A chat stream on its way to a chat client.
    Chat(Box<ChatTap>),
    /// Any other stream on its way to a client of its own protocol.
    Tapped(Box<Tap>),
    /// An answer for a client of another protocol. `unread`: the upstream's protocol and content type, until the first bytes
    /// tell its form; `given`: a whole one has gone out.
    Translated { translator: Box<Translator>, unread: Option<(Protocol, Box<str>)>, given: bool },
    /// Embeddings for a client of another protocol; `facts` once all have come.
    Vectors { upstream: Protocol, body: Vec<u8>, form: VectorForm, facts: Option<Box<Facts>> },
    /// A whole answer that passes as it came; `facts` once all of it has come.
    Whole { pieces: Vec<Bytes>, bytes: usize, facts: Option<Box<Facts>> },
}

/// What is known of an answer's units when it ends.
#[derive(Default)]
pub struct Units {
    pub usage: Option<Usage>,
    /// Models that took part beside the answering one.
    pub iterations: Vec<Iteration>,
    pub finish: Option<Box<str>>,
    /// The tier that the answer was really served at.
    pub service_tier: Option<Box<str>>,
}

/// The produced text, as far as it was kept.
#[derive(Default)]
pub struct Output {
    pub text: String,
    pub bytes: u64,
}

/// Why a body that has ended is no answer.
pub enum NoAnswer {
    /// In words.
    Empty(String),
    /// An error object inside a 200.
    InBand(Box<UpstreamError>),
}

/// How far a body has come, as it says itself.
pub enum Said {
    Waiting,
    Answering,
    /// Its protocol's end has come, or its bytes have ended.
    Over(Outcome),
    Error(UpstreamError),
}

impl AnswerBody {
    /// Reads a piece and gives what goes on to the client. `ends`: nothing follows.
    pub fn read(&mut self, piece: Option<Bytes>, ends: bool, answering: &Answering) -> Option<Bytes> {
        let some = |piece: Option<Bytes>| piece.filter(|piece| !piece.is_empty());
        match self {
            AnswerBody::Chat(tap) => {
                let mut out = Pieces::default();
                some(piece).into_iter().for_each(|piece| tap.push(piece, &mut |bytes| out.add(bytes)));
                if ends {
                    tap.finish(&mut |bytes| out.add(bytes));
                }
                out.joined()
            }
            AnswerBody::Tapped(tap) => {
                let mut out = Pieces::default();
                some(piece).into_iter().for_each(|piece| tap.push(piece, &mut |bytes| out.add(bytes)));
                if ends {
                    tap.finish();
                }
                out.joined()
            }
            AnswerBody::Translated { translator, unread, given } => {
                let mut out = Vec::new();
                if let Some(piece) = some(piece) {
                    if let Some((upstream, content_type)) = unread.take() {
                        translator.begin(Form::of(upstream, Some(&content_type), &piece));
                    }
                    translator.push(&piece, &mut out);
                }
                if ends {
                    translator.finish(&mut out);
                }
                if !answering.stream && !*given && translator.done() {
                    let whole = translator.whole();
                    *given = whole.is_some();
                    out.extend(whole.unwrap_or_default());
                }
                (!out.is_empty()).then(|| out.into())
            }
            AnswerBody::Vectors { body, .. } => {
                let room = WHOLE_HOLD_BYTES_MAX.saturating_sub(body.len());
                body.extend(piece.into_iter().flat_map(|piece| piece.slice(..piece.len().min(room))));
                None
            }
            AnswerBody::Whole { pieces, bytes, .. } => {
                if let Some(piece) = piece.as_ref().filter(|piece| !piece.is_empty()) {
                    *bytes += piece.len();
                    if *bytes <= WHOLE_HOLD_BYTES_MAX {
                        pieces.push(piece.clone());
                    }
                }
                piece
            }
        }
    }

    /// The bytes have ended: what else goes out, or why there is no answer.
    pub fn conclude(&mut self, answering: &Answering) -> Result<Option<Bytes>, NoAnswer> {
        match self {
            AnswerBody::Chat(_) | AnswerBody::Tapped(_) | AnswerBody::Translated { .. } => Ok(None),
            AnswerBody::Vectors { upstream, body, form, facts } => {
                let (written, known) = vectors(*upstream, answering, *form, body).map_err(NoAnswer::Empty)?;
                if let Some(error) = known.error {
                    return Err(NoAnswer::InBand(Box::new(error)));
                }
                *facts = Some(Box::new(known));
                Ok(Some(written.into()))
            }
            AnswerBody::Whole { bytes, .. } if *bytes > WHOLE_HOLD_BYTES_MAX => Ok(None),
            AnswerBody::Whole { pieces, facts, .. } => {
                let none = |error| NoAnswer::Empty(format!("answered 200 without an answer: {error}"));
                let known = read_whole(answering, &join(std::mem::take(pieces))).map_err(none)?;
                match known.error.clone() {
                    Some(error) => Err(NoAnswer::InBand(Box::new(error))),
                    None if known.is_blank() => Err(NoAnswer::Empty("answered 200 with nothing in it".to_owned())),
                    None => {
                        *facts = Some(Box::new(known));
                        Ok(None)
                    }
                }
            }
        }
    }

    /// The transport broke: what had come of an event counts, if it was whole.
    pub fn settle_break(&mut self) {
        match self {
            AnswerBody::Chat(tap) => tap.finish(&mut |_| {}),
            AnswerBody::Tapped(tap) => tap.finish(),
            AnswerBody::Translated { .. } | AnswerBody::Vectors { .. } | AnswerBody::Whole { .. } => {}
        }
    }

    pub fn content_seen(&self) -> bool {
        match self {
            AnswerBody::Chat(tap) => tap.content_seen(),
            AnswerBody::Tapped(_) | AnswerBody::Translated { .. } | AnswerBody::Vectors { .. } => {
                self.facts().is_some_and(|facts| facts.content_seen)
            }
            AnswerBody::Whole { facts, .. } => facts.is_some(),
        }
    }

    /// The protocol's end mark has come.
    pub fn done(&self) -> bool {
        match self {
            AnswerBody::Chat(tap) => tap.done(),
            AnswerBody::Tapped(tap) => tap.done(),
            AnswerBody::Translated { translator, .. } => translator.done(),
            AnswerBody::Vectors { .. } | AnswerBody::Whole { .. } => false,
        }
    }

    /// Whether the client gets this answer as a stream.
    pub fn is_stream(&self, answering: &Answering) -> bool {
        match self {
            AnswerBody::Chat(_) | AnswerBody::Tapped(_) => true,
            AnswerBody::Translated { .. } => answering.stream,
            AnswerBody::Vectors { .. } | AnswerBody::Whole { .. } => false,
        }
    }

    /// The `content-type` that the client gets, where it is not the upstream's own.
    pub fn content_type(&self, answering: &Answering) -> Option<&'static str> {
        match self {
            AnswerBody::Translated { .. } if answering.stream && answering.framing == Framing::Sse => {
                Some("text/event-stream; charset=utf-8")
            }
            AnswerBody::Translated { .. } | AnswerBody::Vectors { .. } => Some("application/json"),
            AnswerBody::Chat(_) | AnswerBody::Tapped(_) | AnswerBody::Whole { .. } => None,
        }
    }

    /// A whole answer too long to hold.
    pub fn is_overlong(&self) -> bool {
        matches!(self, AnswerBody::Whole { bytes, .. } if *bytes > WHOLE_HOLD_BYTES_MAX)
    }

    /// `ended`: the upstream's bytes have.
    pub fn said(&self, ended: bool, answering: &Answering) -> Said {
        let over = ended || self.done();
        match self {
            AnswerBody::Chat(tap) => match tap.error() {
                Some(error) => Said::Error(error.clone()),
                None if over => Said::Over(tap.outcome()),
                None if tap.content_seen() => Said::Answering,
                None => Said::Waiting,
            },
            AnswerBody::Tapped(_) | AnswerBody::Translated { .. } => {
                let Some(facts) = self.facts() else { return Said::Waiting };
                // A translated whole answer is held until it is complete: its content is no reason to begin.
                match &facts.error {
                    Some(error) => Said::Error(error.clone()),
                    // An end without an answer before it.
                    None if over && facts.is_blank() => Said::Over(Outcome::Errored),
                    None if over => Said::Over(facts.outcome.unwrap_or(Outcome::Truncated)),
                    None if facts.content_seen && self.is_stream(answering) => Said::Answering,
                    None => Said::Waiting,
                }
            }
            AnswerBody::Vectors { facts, .. } => {
                facts.as_ref().map_or(Said::Waiting, |_| Said::Over(Outcome::Complete))
            }
            AnswerBody::Whole { facts: Some(_), .. } => Said::Over(Outcome::Complete),
            AnswerBody::Whole { .. } if self.is_overlong() && ended => Said::Over(Outcome::Complete),
            AnswerBody::Whole { .. } if self.is_overlong() => Said::Answering,
            AnswerBody::Whole { .. } => Said::Waiting,
        }
    }

    /// The bytes that end a broken stream with the protocol's own error event.
    pub fn fail(&mut self, error: &UpstreamError, answering: &Answering) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            AnswerBody::Chat(tap) => {
                out.extend_from_slice(tap.error_prefix());
                fail_stream(answering.protocol, answering.writer(), error, &mut out);
            }
            AnswerBody::Tapped(tap) => {
                out.extend_from_slice(tap.error_prefix());
                match answering.framing {
                    Framing::Sse => {
                        let response_id = tap.facts().id.clone();
                        let writer = WriterSetup { response_id, ..answering.writer() };
                        fail_stream(answering.protocol, writer, error, &mut out);
                    }
                    // The list that the upstream began gets one element more.
                    Framing::Array => out.extend(error_body(answering, error)),
                }
                out.extend_from_slice(tap.error_suffix());
            }
            AnswerBody::Translated { translator, .. } => translator.fail(error, &mut out),
            AnswerBody::Vectors { .. } | AnswerBody::Whole { .. } => {}
        }
        out
    }

    pub fn units(&self) -> Units {
        match self {
            AnswerBody::Chat(tap) => Units {
                usage: tap.usage(),
                iterations: Vec::new(),
                finish: tap.finish_reason().map(|f| clip(f, 64).into()),
                service_tier: tap.service_tier().map(|t| clip(t, 64).into()),
            },
            AnswerBody::Tapped(_)
            | AnswerBody::Translated { .. }
            | AnswerBody::Vectors { .. }
            | AnswerBody::Whole { .. } => self.facts().map_or_else(Units::default, |facts| Units {
                usage: facts.usage,
                iterations: facts.iterations.clone(),
                finish: facts.finish.as_deref().map(|f| clip(f, 64).into()),
                service_tier: facts.service_tier.as_deref().map(|t| clip(t, 64).into()),
            }),
        }
    }

    /// The text produced, for counting where no usage was reported.
    pub fn output(&self) -> Output {
        match (self, self.facts()) {
            (AnswerBody::Chat(tap), _) => Output { text: tap.output_text(), bytes: tap.output_bytes() },
            (_, Some(facts)) => Output { text: facts.output_text(), bytes: facts.output_bytes() },
            (AnswerBody::Whole { bytes, .. }, None) => Output { text: String::new(), bytes: *bytes as u64 },
            (_, None) => Output { text: String::new(), bytes: 0 },
        }
    }

    /// What could not be said of the answer.
    pub fn losses(&self) -> Option<&Losses> {
        match self {
            AnswerBody::Translated { translator, .. } => Some(translator.losses()),
            AnswerBody::Chat(_) | AnswerBody::Tapped(_) | AnswerBody::Vectors { .. } | AnswerBody::Whole { .. } => None,
        }
    }

    /// What is known of it; a chat stream of a chat client keeps its own account.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            AnswerBody::Tapped(tap) => Some(tap.facts()),
            AnswerBody::Translated { translator, .. } => Some(translator.facts()),
            AnswerBody::Whole { facts, .. } | AnswerBody::Vectors { facts, .. } => facts.as_deref(),
            AnswerBody::Chat(_) => None,
        }
    }
}

/// Reads a whole answer of the client's own protocol.
fn read_whole(answering: &Answering, body: &Bytes) -> Result<Facts, String> {
    match answering.operation {
        Operation::Chat => tap::read_whole(answering.protocol, "", body),
        Operation::CountTokens
        | Operation::Completions
        | Operation::Embeddings
        | Operation::Rerank
        | Operation::Moderations => plain::read_whole(answering.operation, body),
    }
}

/// Embeddings in the client's form, and what is known of them.
fn vectors(
    upstream: Protocol,
    answering: &Answering,
    form: VectorForm,
    body: &[u8],
) -> Result<(Vec<u8>, Facts), String> {
    let facts = plain::read_whole(Operation::Embeddings, body)?;
    let text = std::str::from_utf8(body).map_err(|_| "no UTF-8".to_owned())?;
    let embeddings = match upstream {
        Protocol::GeminiGenerate => embed::read_answer(text),
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::AnthropicMessages => {
            embed::read_openai_answer(text)
        }
    };
    let embeddings = embeddings.ok_or_else(|| "answered 200 without embeddings".to_owned())?;
    let written = match answering.protocol {
        Protocol::GeminiGenerate => embed::write_answer(&embeddings, form.batch),
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::AnthropicMessages => {
            embed::write_openai_answer(&embeddings, form.base64, &answering.model)
        }
    };
    Ok((written, facts))
}

fn error_body(answering: &Answering, error: &UpstreamError) -> Vec<u8> {
    let status = error.status_for(answering.protocol);
    (answering.protocol.dialect().write_error)(error, status, answering.call_id())
}

/// The protocol's error event behind a stream whose bytes were not ours.
fn fail_stream(protocol: Protocol, writer: WriterSetup, error: &UpstreamError, out: &mut Vec<u8>) {
    (protocol.dialect().writer)(writer).fail(error, out);
}

/// Collects pieces and copies only when there are several.
#[derive(Default)]
struct Pieces {
    first: Option<Bytes>,
    more: Vec<Bytes>,
}

impl Pieces {
    fn add(&mut self, piece: Bytes) {
        match self.first {
            None => self.first = Some(piece),
            Some(_) => self.more.push(piece),
        }
    }

    fn joined(mut self) -> Option<Bytes> {
        if self.more.is_empty() {
            return self.first;
        }
        self.more.insert(0, self.first.take()?);
        Some(join(self.more))
    }
}

fn join(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    joined.freeze()
}
