//! Pingora filters, each a few lines that delegate: admission, attempts, the gate, settlement. Must never know protocol
//! fields or prices.

pub mod admit;
pub mod attempt;
pub mod bridge;
pub mod count;
pub mod edge;
pub mod endpoint;
pub mod exchange;
pub mod filters;
pub mod gate;
pub mod ids;
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

use crate::api;
use crate::catalog::{Catalog, Channel, Model};
use crate::config::{Limits, Routing};
use crate::ledger::{CallId, Position, Principal};
use crate::pricing::Conditions;
use crate::wire::openai_chat::{ChatHead, Splice};
use crate::wire::{Operation, Protocol};

/// Longest wait for a whole answer.
pub const WHOLE_MAX: Duration = Duration::from_secs(600);

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
}

impl Shared {
    pub fn new(api: Arc<api::State>, router: axum::Router, limits: Limits, routing: Routing, ids: ids::Ids) -> Shared {
        Shared {
            api,
            router,
            limits,
            routing,
            ids,
            load: Arc::default(),
            peers: peer::Peers::default(),
            body_bytes: AtomicU64::new(0),
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
    pub started: Instant,
    pub principal: Arc<Principal>,
    pub catalog: Arc<Catalog>,
    pub model: Arc<Model>,
    pub requested_model: Arc<str>,
    pub protocol: Protocol,
    pub operation: Operation,
    pub stream: bool,
    pub head: ChatHead,
    pub body: Bytes,
    pub body_lease: admit::BodyLease,
    pub conditions: Conditions,
    pub plan: Vec<Arc<Channel>>,
    /// The output limit for one choice, when the hold was clamped.
    pub clamped: Option<u64>,
}

impl Admitted {
    /// The client's bytes with what this channel needs changed.
    fn request_for(&self, channel: &Channel) -> Bytes {
        let splice = Splice {
            model: &channel.upstream_model,
            include_usage: self.stream,
            output_tokens_max: self.clamped.map(|tokens| (tokens, channel.provider.output_limit_field)),
        };
        self.head.splice(&self.body, &splice)
    }

    /// The client did not ask for the usage chunk that we ask for.
    fn drop_usage(&self) -> bool {
        self.stream && !self.head.include_usage
    }
}
