//! Pingora filters, each a few lines that delegate: admission, attempts, the gate, settlement. Must never know protocol
//! fields or prices.

pub mod admit;
pub mod answer_body;
pub mod attempt;
pub mod body;
pub mod bridge;
pub mod count;
pub mod edge;
pub mod encode;
pub mod endpoint;
pub mod exchange;
pub mod filters;
pub mod gate;
pub mod headers;
pub mod ids;
pub mod memory;
pub mod pace;
pub mod peer;
pub mod reply;
pub mod settle;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;

use self::memory::Memory;
use crate::api;
use crate::catalog::{Catalog, Channel, Model};
use crate::config::{Limits, Routing};
use crate::egress::MediaFetcher;
use crate::ledger::{CallId, Position, Principal};
use crate::pricing::Conditions;
use crate::wire::facts::Keepsake;
use crate::wire::head::Head;
use crate::wire::ir::Framing;
use crate::wire::{Operation, Protocol};

/// Longest wait for a whole answer.
pub const WHOLE_MAX: Duration = Duration::from_secs(600);

/// Remembered thinking, and how long a conversation may rest between two turns.
const THINKING_BYTES_MAX: usize = 64 << 20;
const THINKING_AGE_MAX: Duration = Duration::from_secs(3600);
/// Where stored responses live; OpenAI keeps them for thirty days, we remember the last ones for one.
const RESPONSES_BYTES_MAX: usize = 16 << 20;
const RESPONSES_AGE_MAX: Duration = Duration::from_secs(86_400);

/// What all calls share.
pub struct Shared {
    pub api: Arc<api::State>,
    pub router: axum::Router,
    pub limits: Limits,
    pub routing: Routing,
    pub ids: ids::Ids,
    pub load: Arc<edge::Load>,
    pub peers: peer::Peers,
    /// Bytes of request bodies in memory, of all running calls.
    pub body_bytes: AtomicU64,
    /// Thinking that calls need back, for clients that cannot carry it: by the ids of the calls.
    pub thinking: Memory<Arc<Keepsake>>,
    /// Which channel keeps a stored response: by its id.
    pub responses: Memory<Arc<str>>,
    pub media: MediaFetcher,
}

impl Shared {
    pub fn new(
        api: Arc<api::State>,
        router: axum::Router,
        limits: Limits,
        routing: Routing,
        ids: ids::Ids,
        media: MediaFetcher,
    ) -> Shared {
        Shared {
            api,
            router,
            limits,
            routing,
            ids,
            load: Arc::default(),
            peers: peer::Peers::default(),
            body_bytes: AtomicU64::new(0),
            thinking: Memory::new(THINKING_BYTES_MAX, THINKING_AGE_MAX),
            responses: Memory::new(RESPONSES_BYTES_MAX, RESPONSES_AGE_MAX),
            media,
        }
    }

    fn durable(&self, position: Position) -> Option<BoxFuture<'static, ()>> {
        self.api.ledger.durable(position)
    }

    /// How long a channel may take to its first content. A whole answer comes when all of it is made, so only a channel's
    /// own limit shortens its wait.
    fn patience(&self, channel: &Channel, stream: bool) -> Duration {
        let default = if stream { Duration::from_millis(self.routing.first_content_ms) } else { WHOLE_MAX };
        channel.timeouts.first_content_ms.map_or(default, Duration::from_millis)
    }
}

/// A call that was let in: everything that later steps need, pinned at admission.
pub struct Admitted {
    pub shared: Arc<Shared>,
    pub id: CallId,
    pub request_id: HeaderValue,
    pub client_request_id: Option<Box<str>>,
    /// `traceparent` and `tracestate`, passed on as they came.
    pub trace: Vec<(&'static str, HeaderValue)>,
    /// `anthropic-version` and `anthropic-beta`, for upstreams of their protocol.
    pub betas: Vec<(&'static str, HeaderValue)>,
    pub started: Instant,
    pub principal: Arc<Principal>,
    pub catalog: Arc<Catalog>,
    pub model: Arc<Model>,
    pub requested_model: Arc<str>,
    pub protocol: Protocol,
    pub operation: Operation,
    pub stream: bool,
    pub head: Head,
    pub framing: Framing,
    /// `:batchEmbedContents`.
    pub batch: bool,
    /// Nothing may be lost in translation.
    pub strict: bool,
    pub body: Bytes,
    pub body_lease: body::BodyLease,
    pub conditions: Conditions,
    pub plan: Vec<Arc<Channel>>,
    /// The output limit for one choice, when the hold was clamped.
    pub clamped: Option<u64>,
}

impl Admitted {
    /// What an attempt must know of the answer that the client wants.
    fn answering(&self) -> answer_body::Answering {
        answer_body::Answering {
            protocol: self.protocol,
            operation: self.operation,
            stream: self.stream,
            framing: self.framing,
            drop_usage: self.stream && !self.head.include_usage,
            include_usage: self.head.include_usage,
            request_id: self.request_id.clone(),
            created: self.id.created_at_ms() / 1000,
            model: self.model.id.clone(),
        }
    }
}
