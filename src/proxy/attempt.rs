//! One try of a call on one channel: request bytes out, response bytes in, an outcome.
//!
//! Pingora's filters only feed it, so that another driver can use the same translation and the same judgement. It must
//! never know sockets, sessions or money.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};

use super::answer_body::{AnswerBody, Answering, NoAnswer, Output, Said, Units};
use super::encode::{Encoded, Translation};
use crate::api::error::ClientError;
use crate::catalog::Channel;
use crate::wire::facts::Facts;
use crate::wire::ir::{Losses, Outcome, UpstreamError};

/// Most of an upstream's error body that is kept.
pub const ERROR_BYTES_MAX: usize = 64 << 10;

/// Why an attempt gave no answer.
#[derive(Debug, Clone)]
pub enum Failure {
    /// No connection, or it broke before content.
    Transport { message: String },
    /// A deadline passed: connecting, first content, or idle before content.
    Timeout { message: String },
    /// The upstream said no, in its own words.
    Status { status: u16, headers: ErrorHeaders, body: Bytes },
    /// An error object inside a 200.
    InBand { error: UpstreamError },
    /// A 200 without an answer in it.
    Empty { message: String },
    /// Never sent: the request cannot be said to this channel.
    Unsayable { error: Box<ClientError> },
}

/// The headers of an upstream error that mean something to the client.
#[derive(Debug, Clone, Default)]
pub struct ErrorHeaders {
    pub retry_after: Option<header::HeaderValue>,
    pub content_type: Option<header::HeaderValue>,
}

impl Failure {
    /// Whether another channel may do better. A refusal of the request itself would be repeated by every channel.
    pub fn retryable(&self) -> bool {
        match self {
            Failure::Status { status, .. } => status_is_retryable(*status),
            Failure::Transport { .. }
            | Failure::Timeout { .. }
            | Failure::InBand { .. }
            | Failure::Empty { .. }
            | Failure::Unsayable { .. } => true,
        }
    }

    /// What happened on the wire, for operators. An upstream's own words may repeat a prompt, so they are not among it.
    pub fn reason(&self) -> &str {
        match self {
            Failure::Transport { message } | Failure::Timeout { message } | Failure::Empty { message } => message,
            Failure::Status { .. } | Failure::InBand { .. } | Failure::Unsayable { .. } => "",
        }
    }

    /// The `outcome` label of the attempt's metric.
    pub fn label(&self) -> &'static str {
        match self {
            Failure::Transport { .. } => "transport",
            Failure::Timeout { .. } => "timeout",
            Failure::Status { status: 429, .. } => "rate_limited",
            Failure::Status { status: 401..=403, .. } => "auth",
            Failure::Status { status: 500.., .. } => "server_error",
            Failure::Status { .. } => "refused",
            Failure::InBand { .. } => "in_band_error",
            Failure::Empty { .. } => "empty",
            Failure::Unsayable { .. } => "unsayable",
        }
    }
}

/// 408, 409, 425, 429, 5xx and 529 pass with time or elsewhere; 401, 402 and 403 are about our key, not the client's; a
/// redirect is never followed, and a switch of protocols was never asked for.
fn status_is_retryable(status: u16) -> bool {
    matches!(status, 101 | 300..=399 | 401..=403 | 408 | 409 | 425 | 429 | 500..)
}

/// How far an attempt has come.
#[derive(Debug)]
pub enum Progress {
    /// Nothing that a client could use has come yet.
    Waiting,
    /// Content has come, the end has not.
    Answering,
    /// The protocol's end has come.
    Complete,
    /// Over without an answer, or broken within it.
    Failed(Failure),
}

enum Phase {
    Waiting,
    Answer(AnswerBody),
    Error { status: u16, headers: ErrorHeaders, body: BytesMut },
}

pub struct Attempt {
    pub channel: Arc<Channel>,
    /// The request body as this channel gets it.
    pub request: Bytes,
    pub started: Instant,
    pub first_content: Option<Instant>,
    pub upstream_request_id: Option<Box<str>>,
    /// The status line and headers have come.
    pub header_seen: bool,
    pub translation: Option<Arc<Translation>>,
    answering: Arc<Answering>,
    ended: bool,
    phase: Phase,
    failure: Option<Failure>,
}

impl Attempt {
    pub fn new(channel: Arc<Channel>, encoded: Encoded, answering: Arc<Answering>, now: Instant) -> Attempt {
        Attempt {
            channel,
            request: encoded.body,
            started: now,
            first_content: None,
            upstream_request_id: None,
            header_seen: false,
            translation: encoded.translation,
            answering,
            ended: false,
            phase: Phase::Waiting,
            failure: None,
        }
    }

    /// Reads the head of the upstream's answer and decides what its body is.
    pub fn read_header(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.header_seen = true;
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        self.upstream_request_id = text("x-request-id").or_else(|| text("request-id")).map(|id| clip(id, 128).into());
        if !status.is_success() {
            let headers = ErrorHeaders {
                retry_after: headers.get(header::RETRY_AFTER).cloned(),
                content_type: headers.get(header::CONTENT_TYPE).cloned(),
            };
            self.phase = Phase::Error { status: status.as_u16(), headers, body: BytesMut::new() };
            return;
        }
        if let Some(coding) = text("content-encoding").filter(|c| !c.eq_ignore_ascii_case("identity")) {
            let message = format!("answered with content-encoding {coding}, though identity was asked for");
            self.failure = Some(Failure::Empty { message });
        }
        let translation = self.translation.as_deref();
        self.phase = Phase::Answer(self.answering.body(&self.channel, translation, text("content-type")));
    }

    /// The answer's bytes are the upstream's own.
    pub fn answers_natively(&self) -> bool {
        self.translation.as_ref().is_none_or(|translation| self.answering.is_native(&self.channel, translation))
    }

    /// Reads a piece of the body and gives what goes on to the client.
    pub fn read_body(&mut self, piece: Option<Bytes>, end: bool, now: Instant) -> Option<Bytes> {
        let ends = end && !self.ended;
        let out = match &mut self.phase {
            Phase::Waiting => piece,
            Phase::Answer(body) => body.read(piece, ends, &self.answering),
            Phase::Error { status, headers, body } => {
                if let Some(piece) = piece {
                    let room = ERROR_BYTES_MAX.saturating_sub(body.len());
                    body.extend_from_slice(&piece[..piece.len().min(room)]);
                }
                if body.len() >= ERROR_BYTES_MAX {
                    // The rest would be thrown away: there is no reason to wait for it.
                    let failure = refused(*status, headers, body.clone().freeze());
                    self.failure.get_or_insert(failure);
                }
                None
            }
        };
        let rest = if ends { self.conclude() } else { None };
        if self.first_content.is_none() && self.body().is_some_and(AnswerBody::content_seen) {
            self.first_content = Some(now);
        }
        out.or(rest)
    }

    /// The upstream's bytes have ended. Gives what else goes out.
    fn conclude(&mut self) -> Option<Bytes> {
        self.ended = true;
        let failure = match &mut self.phase {
            Phase::Waiting => Failure::Empty { message: "ended without an answer".to_owned() },
            Phase::Error { status, headers, body } => refused(*status, headers, body.split().freeze()),
            Phase::Answer(body) => match body.conclude(&self.answering) {
                Ok(rest) => return rest,
                Err(NoAnswer::Empty(message)) => Failure::Empty { message },
                Err(NoAnswer::InBand(error)) => Failure::InBand { error: *error },
            },
        };
        self.failure.get_or_insert(failure);
        None
    }

    /// The transport ended the answer before its end.
    pub fn read_break(&mut self, failure: Failure) {
        self.ended = true;
        let failure = match &mut self.phase {
            // Behind the end mark there was nothing to lose.
            Phase::Answer(body) if body.done() => return,
            Phase::Answer(body) => {
                body.settle_break();
                failure
            }
            // What came of an error is still the upstream's own word.
            Phase::Error { status, headers, body } if !matches!(failure, Failure::Timeout { .. }) => {
                refused(*status, headers, body.split().freeze())
            }
            Phase::Waiting | Phase::Error { .. } => failure,
        };
        self.failure.get_or_insert(failure);
    }

    fn body(&self) -> Option<&AnswerBody> {
        match &self.phase {
            Phase::Answer(body) => Some(body),
            Phase::Waiting | Phase::Error { .. } => None,
        }
    }

    /// Whether the upstream's bytes have ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the client gets this answer as a stream.
    pub fn is_stream(&self) -> bool {
        self.body().is_some_and(|body| body.is_stream(&self.answering))
    }

    /// The `content-type` that the client gets, where it is not the upstream's own.
    pub fn content_type(&self) -> Option<&'static str> {
        self.body()?.content_type(&self.answering)
    }

    pub fn progress(&self) -> Progress {
        if let Some(failure) = &self.failure {
            return Progress::Failed(failure.clone());
        }
        let Some(body) = self.body() else { return Progress::Waiting };
        match body.said(self.ended, &self.answering) {
            Said::Waiting => Progress::Waiting,
            Said::Answering => Progress::Answering,
            Said::Error(error) => Progress::Failed(Failure::InBand { error }),
            Said::Over(Outcome::Complete) => Progress::Complete,
            Said::Over(Outcome::Truncated) if body.content_seen() => {
                Progress::Failed(Failure::Transport { message: "the stream ended before its end mark".into() })
            }
            Said::Over(Outcome::Truncated | Outcome::Errored) => {
                Progress::Failed(Failure::Empty { message: "the stream ended without content".into() })
            }
        }
    }

    /// The bytes that end a broken stream with the protocol's own error event.
    pub fn fail(&mut self, error: &UpstreamError) -> Vec<u8> {
        match &mut self.phase {
            Phase::Answer(body) => body.fail(error, &self.answering),
            Phase::Waiting | Phase::Error { .. } => Vec::new(),
        }
    }

    pub fn units(&self) -> Units {
        self.body().map_or_else(Units::default, AnswerBody::units)
    }

    /// The text produced, for counting where no usage was reported.
    pub fn output(&self) -> Output {
        self.body().map_or_else(Output::default, AnswerBody::output)
    }

    /// What was lost in translation, both ways, as far as the answer has come.
    pub fn losses(&self) -> Losses {
        let mut losses = self.translation.as_ref().map(|translation| translation.losses.clone()).unwrap_or_default();
        if let Some(more) = self.body().and_then(AnswerBody::losses) {
            losses.extend(more);
        }
        losses
    }

    /// What is known of a translated, tapped or whole answer.
    pub fn facts(&self) -> Option<&Facts> {
        self.body()?.facts()
    }
}

/// An upstream's refusal. Gemini says of a bad key that the request is bad.
fn refused(status: u16, headers: &ErrorHeaders, body: Bytes) -> Failure {
    let bad_key = status == 400 && memchr::memmem::find(&body, b"API_KEY_INVALID").is_some();
    Failure::Status { status: if bad_key { 401 } else { status }, headers: headers.clone(), body }
}

/// At most `bytes_max` bytes of a text, cut at a character.
pub fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
