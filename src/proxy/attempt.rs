//! One try of a call on one channel: request bytes out, response bytes in, an outcome.
//!
//! Pingora's filters only feed it, so that another driver can use the same translation and the same judgement. It must
//! never know sockets, sessions or money.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};

use crate::catalog::Channel;
use crate::wire::openai_chat::{self, ChatTap, Outcome, WholeAnswer};
use crate::wire::{Usage, openai_chat::InBandError};

/// Most of an upstream's error body that is kept.
pub const ERROR_BYTES_MAX: usize = 64 << 10;
/// Most of a whole answer that is held back until it is complete; a longer one passes as it comes.
pub const WHOLE_HOLD_BYTES_MAX: usize = 16 << 20;

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
    InBand { error: InBandError },
    /// A 200 without an answer in it.
    Empty { message: String },
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
            Failure::Transport { .. } | Failure::Timeout { .. } | Failure::InBand { .. } | Failure::Empty { .. } => {
                true
            }
        }
    }

    /// What happened on the wire, for operators. An upstream's own words may repeat a prompt, so they are not among it.
    pub fn reason(&self) -> &str {
        match self {
            Failure::Transport { message } | Failure::Timeout { message } | Failure::Empty { message } => message,
            Failure::Status { .. } | Failure::InBand { .. } => "",
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
    Stream(Box<ChatTap>),
    /// `answer` beside its body, once all of it has come.
    Whole {
        pieces: Vec<Bytes>,
        bytes: usize,
        answer: Option<(WholeAnswer, Bytes)>,
    },
    Error {
        status: u16,
        headers: ErrorHeaders,
        body: BytesMut,
    },
}

/// What is known of an answer's units when it ends.
#[derive(Default)]
pub struct Units {
    pub usage: Option<Usage>,
    pub finish: Option<Box<str>>,
    /// The tier that the answer was really served at.
    pub service_tier: Option<Box<str>>,
}

/// The produced text, as far as it was kept.
pub struct Output {
    pub text: String,
    pub bytes: u64,
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
    drop_usage: bool,
    ended: bool,
    phase: Phase,
    failure: Option<Failure>,
}

impl Attempt {
    /// `drop_usage`: the client did not ask for the usage chunk that we asked for.
    pub fn new(channel: Arc<Channel>, request: Bytes, drop_usage: bool, now: Instant) -> Attempt {
        Attempt {
            channel,
            request,
            started: now,
            first_content: None,
            upstream_request_id: None,
            header_seen: false,
            drop_usage,
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
        let is_stream = text("content-type").is_some_and(|t| t.trim_start().starts_with("text/event-stream"));
        self.phase = if is_stream {
            Phase::Stream(Box::new(ChatTap::new(self.drop_usage)))
        } else {
            Phase::Whole { pieces: Vec::new(), bytes: 0, answer: None }
        };
    }

    /// Reads a piece of the body and gives what goes on to the client.
    pub fn read_body(&mut self, piece: Option<Bytes>, end: bool, now: Instant) -> Option<Bytes> {
        let out = match &mut self.phase {
            Phase::Waiting => piece,
            Phase::Stream(tap) => {
                let mut out = Pieces::default();
                if let Some(piece) = piece.filter(|p| !p.is_empty()) {
                    tap.push(piece, &mut |bytes| out.add(bytes));
                }
                if end && !self.ended {
                    tap.finish(&mut |bytes| out.add(bytes));
                }
                if tap.content_seen() && self.first_content.is_none() {
                    self.first_content = Some(now);
                }
                out.joined()
            }
            Phase::Whole { pieces, bytes, .. } => {
                if let Some(piece) = piece.as_ref().filter(|p| !p.is_empty()) {
                    *bytes += piece.len();
                    if *bytes <= WHOLE_HOLD_BYTES_MAX {
                        pieces.push(piece.clone());
                    }
                }
                piece
            }
            Phase::Error { status, headers, body } => {
                if let Some(piece) = piece {
                    let room = ERROR_BYTES_MAX.saturating_sub(body.len());
                    body.extend_from_slice(&piece[..piece.len().min(room)]);
                }
                if body.len() >= ERROR_BYTES_MAX {
                    // The rest would be thrown away: there is no reason to wait for it.
                    let (status, headers, body) = (*status, headers.clone(), body.clone().freeze());
                    self.failure.get_or_insert(Failure::Status { status, headers, body });
                }
                None
            }
        };
        if end && !self.ended {
            self.ended = true;
            self.conclude(now);
        }
        out
    }

    /// The transport ended the answer before its end.
    pub fn read_break(&mut self, failure: Failure) {
        self.ended = true;
        if matches!(&self.phase, Phase::Stream(tap) if tap.done()) {
            // Behind the end mark there was nothing to lose.
            return;
        }
        let failure = match &mut self.phase {
            // What came of an error is still the upstream's own word.
            Phase::Error { status, headers, body } if !matches!(failure, Failure::Timeout { .. }) => {
                Failure::Status { status: *status, headers: headers.clone(), body: body.split().freeze() }
            }
            Phase::Stream(tap) => {
                tap.finish(&mut |_| {});
                failure
            }
            Phase::Waiting | Phase::Whole { .. } | Phase::Error { .. } => failure,
        };
        self.failure.get_or_insert(failure);
    }

    fn conclude(&mut self, now: Instant) {
        let failure = match &mut self.phase {
            Phase::Waiting => Some(Failure::Empty { message: "ended without an answer".to_owned() }),
            Phase::Stream(_) => None,
            Phase::Error { status, headers, body } => {
                Some(Failure::Status { status: *status, headers: headers.clone(), body: body.split().freeze() })
            }
            Phase::Whole { pieces, bytes, answer } if *bytes <= WHOLE_HOLD_BYTES_MAX => {
                let body = join(std::mem::take(pieces));
                match openai_chat::read_whole(&body) {
                    Ok(whole) => match whole.error.clone() {
                        Some(error) => Some(Failure::InBand { error }),
                        None if whole.is_blank() => {
                            Some(Failure::Empty { message: "answered 200 with nothing in it".to_owned() })
                        }
                        None => {
                            self.first_content = Some(now);
                            *answer = Some((whole, body));
                            None
                        }
                    },
                    Err(error) => Some(Failure::Empty { message: format!("answered 200 without an answer: {error}") }),
                }
            }
            Phase::Whole { .. } => None,
        };
        if let Some(failure) = failure {
            self.failure.get_or_insert(failure);
        }
    }

    /// Whether the upstream's bytes have ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether this answer is an event stream.
    pub fn is_stream(&self) -> bool {
        matches!(self.phase, Phase::Stream(_))
    }

    /// A whole answer too long to hold.
    pub fn is_overlong(&self) -> bool {
        matches!(self.phase, Phase::Whole { bytes, .. } if bytes > WHOLE_HOLD_BYTES_MAX)
    }

    pub fn progress(&self) -> Progress {
        if let Some(failure) = &self.failure {
            return Progress::Failed(failure.clone());
        }
        match &self.phase {
            Phase::Stream(tap) => {
                if let Some(error) = tap.error() {
                    return Progress::Failed(Failure::InBand { error: error.clone() });
                }
                match (self.ended || tap.done(), tap.content_seen()) {
                    (false, false) => Progress::Waiting,
                    (false, true) => Progress::Answering,
                    (true, content) => match tap.outcome() {
                        Outcome::Complete => Progress::Complete,
                        Outcome::Truncated if content => Progress::Failed(Failure::Transport {
                            message: "the stream ended before its end mark".into(),
                        }),
                        Outcome::Truncated | Outcome::Errored => {
                            Progress::Failed(Failure::Empty { message: "the stream ended without content".into() })
                        }
                    },
                }
            }
            Phase::Whole { answer: Some(_), .. } => Progress::Complete,
            Phase::Whole { .. } if self.is_overlong() && self.ended => Progress::Complete,
            Phase::Whole { .. } if self.is_overlong() => Progress::Answering,
            Phase::Waiting | Phase::Whole { .. } | Phase::Error { .. } => Progress::Waiting,
        }
    }

    /// Bytes that must precede an error event so that it stands on an event boundary.
    pub fn error_prefix(&self) -> &'static [u8] {
        match &self.phase {
            Phase::Stream(tap) => tap.error_prefix(),
            Phase::Waiting | Phase::Whole { .. } | Phase::Error { .. } => b"",
        }
    }

    pub fn units(&self) -> Units {
        match &self.phase {
            Phase::Stream(tap) => Units {
                usage: tap.usage(),
                finish: tap.finish_reason().map(|f| clip(f, 64).into()),
                service_tier: tap.service_tier().map(|t| clip(t, 64).into()),
            },
            Phase::Whole { answer: Some((answer, _)), .. } => Units {
                usage: answer.usage,
                finish: answer.finish.as_deref().map(|f| clip(f, 64).into()),
                service_tier: answer.service_tier.as_deref().map(|t| clip(t, 64).into()),
            },
            Phase::Whole { .. } | Phase::Waiting | Phase::Error { .. } => Units::default(),
        }
    }

    /// The text produced, for counting where no usage was reported.
    pub fn output(&self) -> Output {
        match &self.phase {
            Phase::Stream(tap) => Output { text: tap.output_text(), bytes: tap.output_bytes() },
            Phase::Whole { answer: Some((_, body)), .. } => {
                let text = openai_chat::output_text(body);
                Output { bytes: text.len() as u64, text }
            }
            Phase::Whole { bytes, .. } => Output { text: String::new(), bytes: *bytes as u64 },
            Phase::Waiting | Phase::Error { .. } => Output { text: String::new(), bytes: 0 },
        }
    }
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

/// At most `bytes_max` bytes of a text, cut at a character.
pub fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
