//! Pingora's hooks, each a few lines: they feed the call's exchange and do what it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::admit::{self, Admission, Arrival, GeminiWish, Refused};
use super::edge::CallGuard;
use super::endpoint::{CallPath, Endpoint};
use super::exchange::{Closing, Exchange};
use super::gate::{self, Slot};
use super::reply::Reply;
use super::{Shared, bridge, headers, pace};
use crate::api::error::{ClientError, Code};
use crate::telemetry::CallFacts;
use crate::wire::Protocol;

/// Longest wait for a client to take a piece of an answer.
const CLIENT_WRITE_MAX: Duration = Duration::from_secs(60);
/// How long a client's connection is kept between two requests.
const KEPT_S: u64 = 60;
/// Most of an unread body that is drained after a refusal, so that the connection can be used again.
const DRAINED_BYTES_MAX: u64 = 64 << 10;
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Pingora's application.
pub struct Gateway {
    pub shared: Arc<Shared>,
}

/// What one request carries through the hooks.
pub struct Context {
    request_id: HeaderValue,
    started: Instant,
    slot: Slot,
    exchange: Option<Arc<Exchange>>,
    /// Set for a call, not for our own pages.
    call: Option<CallLabels>,
    /// When the first attempt began.
    routed: Option<Instant>,
    _guard: CallGuard,
}

struct CallLabels {
    model: Arc<str>,
    protocol: &'static str,
    operation: &'static str,
    status: u16,
    code: Option<&'static str>,
}

impl Gateway {
    async fn refuse(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        refused: Refused,
        protocol: Protocol,
    ) -> Result<bool> {
        if let Some(call) = &mut ctx.call {
            call.status = refused.error.status_for(protocol);
            call.code = Some(refused.error.code.as_str());
            if let Some(model) = refused.model {
                call.model = model;
            }
        }
        let request_id = ctx.request_id.clone();
        if !drained(session).await {
            session.set_keepalive(None);
        }
        Reply::of(refused.error, protocol, &request_id).write(session, &request_id).await?;
        Ok(true)
    }

    async fn call(&self, session: &mut Session, ctx: &mut Context, arrival: Arrival) -> Result<bool> {
        ctx.call = Some(CallLabels {
            model: "".into(),
            protocol: arrival.protocol.as_str(),
            operation: arrival.operation.as_str(),
            status: 0,
            code: None,
        });
        match admit::admit(&self.shared, session, &arrival).await {
            Err(refused) => Box::pin(self.refuse(session, ctx, refused, arrival.protocol)).await,
            Ok(Admission::Counted { body, model }) => {
                Box::pin(self.counted(session, ctx, body, model, arrival.protocol)).await
            }
            Ok(Admission::Call(admitted)) => {
                let (call, hold) = *admitted;
                if let Some(labels) = &mut ctx.call {
                    labels.model = call.model.id.clone();
                }
                let exchange = Exchange::new(self.shared.clone(), call, hold);
                ctx.exchange = Some(exchange.clone());
                if exchange.call.stream && session.req_header().version == Version::HTTP_10 {
                    // Without chunks its end is the connection's.
                    session.set_keepalive(None);
                }
                gate::close(session, &ctx.slot, exchange);
                Ok(false)
            }
        }
    }

    /// A count of tokens that we made ourselves.
    async fn counted(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        body: Vec<u8>,
        model: Arc<str>,
        protocol: Protocol,
    ) -> Result<bool> {
        if let Some(call) = &mut ctx.call {
            (call.status, call.model) = (200, model);
        }
        Reply::counted(body, protocol).write(session, &ctx.request_id).await?;
        Ok(true)
    }

    fn check_size(&self, request: &RequestHeader) -> Option<ClientError> {
        let limits = &self.shared.limits;
        let uri = request.raw_path().len();
        if uri > limits.uri_bytes_max {
            let message = format!("the request target has {uri} bytes: at most {} are taken", limits.uri_bytes_max);
            return Some(ClientError::new(Code::InvalidRequest, message).status(414));
        }
        let headers: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        (headers > limits.header_bytes_max).then(|| {
            let message = format!("the headers have {headers} bytes: at most {} are taken", limits.header_bytes_max);
            ClientError::new(Code::InvalidRequest, message).status(431)
        })
    }

    fn observe(&self, ctx: &Context, call: &CallLabels, closing: &Closing) {
        let routed = ctx.routed.unwrap_or_else(Instant::now);
        let latency = ctx.started.elapsed();
        self.shared.api.metrics.call(&CallFacts {
            model: &call.model,
            protocol: call.protocol,
            operation: call.operation,
            status: closing.status,
            seconds: latency.as_secs_f64(),
            first_content_seconds: closing.first_content.map(|t| t.as_secs_f64()),
            overhead_seconds: routed.duration_since(ctx.started).as_secs_f64(),
        });
        log_call(ctx, call, closing, latency);
    }
}

/// One line a call. A good call has its usage record, so only a failed one is worth a write at the usual level.
fn log_call(ctx: &Context, call: &CallLabels, closing: &Closing, latency: Duration) {
    macro_rules! line {
        ($at:ident) => {
            tracing::$at!(
                call = ctx.request_id.to_str().unwrap_or_default(),
                model = %call.model,
                status = closing.status,
                code = closing.error_code.unwrap_or_default(),
                channel = closing.channel.as_ref().map(|c| &*c.id).unwrap_or_default(),
                attempts = closing.attempts,
                latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
                "call"
            )
        };
    }
    if closing.status < 400 { line!(debug) } else { line!(info) }
}

/// Reads what little is left of a body, so that an error answer does not cost the connection.
async fn drained(session: &mut Session) -> bool {
    if session.is_body_done() {
        return true;
    }
    let waits = session.req_header().headers.get(header::EXPECT).is_some() && session.response_written().is_none();
    if waits {
        return false;
    }
    let announced =
        session.req_header().headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_none_or(|bytes: u64| bytes > DRAINED_BYTES_MAX) {
        return false;
    }
    let rest = async { while let Ok(Some(_)) = session.downstream_session.read_request_body().await {} };
    tokio::time::timeout(DRAIN_MAX, rest).await.is_ok()
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        let id = self.shared.ids.call();
        Context {
            request_id: HeaderValue::from_str(&id.to_string()).expect("an id is visible ASCII"),
            started: Instant::now(),
            slot: Slot::default(),
            exchange: None,
            call: None,
            routed: None,
            _guard: self.shared.load.begin_call(),
        }
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        pace::header_done();
        ctx.started = Instant::now();
        session.set_write_timeout(Some(CLIENT_WRITE_MAX));
        // Pingora waits for the next request for ever where the client did not ask for an end.
        if session.downstream_session.get_keepalive() == Some(0) {
            session.set_keepalive(Some(KEPT_S));
        }
        // What comes while a call runs is the next request and waits; otherwise Pingora takes it for a broken client.
        session.downstream_session.set_pipelining_enabled(true);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        let request = session.req_header();
        if let Some(error) = self.check_size(request) {
            return Box::pin(self.refuse(session, ctx, error.into(), Protocol::OpenAiChat)).await;
        }
        match Endpoint::from_path(&request.method, request.uri.path(), request.uri.query()) {
            Endpoint::WrongMethod { protocol, allow } => {
                let error = wrong_method(request, allow);
                Box::pin(self.refuse(session, ctx, error.into(), protocol)).await
            }
            Endpoint::Api => {
                // Boxed, as refusals are, so that what a call carries along stays small.
                Box::pin(bridge::answer(session, self.shared.router.clone(), &ctx.request_id)).await?;
                Ok(true)
            }
            Endpoint::Call(CallPath { protocol, operation, gemini }) => {
                let id = ctx.request_id.to_str().ok().and_then(crate::ledger::CallId::parse);
                let id = id.expect("the context's id is one of ours");
                let gemini = gemini.map(|path| GeminiWish {
                    model: path.model.into_owned(),
                    stream: path.stream,
                    framing: path.framing,
                    batch: path.batch,
                });
                let (request_id, started) = (ctx.request_id.clone(), ctx.started);
                self.call(session, ctx, Arrival { id, request_id, started, protocol, operation, gemini }).await
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        ctx.routed.get_or_insert_with(Instant::now);
        let exchange = ctx.exchange.as_ref().expect("only a call goes upstream");
        while let Some(channel) = exchange.begin_attempt().await {
            let patience = self.shared.patience(&channel, exchange.call.stream);
            match self.shared.peers.peer(&channel, &self.shared.routing, patience).await {
                Ok(peer) => return Ok(peer),
                Err(reason) => {
                    // Names of hosts are for operators.
                    tracing::warn!(channel = %channel.id, %reason, "no address");
                    if !exchange.no_peer("its address cannot be found") {
                        break;
                    }
                }
            }
        }
        Error::e_explain(ErrorType::ConnectNoRoute, "no channel is left")
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let exchange = ctx.exchange.as_ref().expect("only a call goes upstream");
        let Some(header) = exchange.with_attempt(|attempt| headers::of_request(&exchange.call, attempt)) else {
            return Error::e_explain(ErrorType::InternalError, "no attempt is under way");
        };
        let mut header = header?;
        // Pingora has set what the connection speaks.
        header.set_version(request.version);
        *request = header;
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        // A switch of protocols, which was never asked for, is a final answer; other informational ones are none.
        let final_answer = !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS;
        let Some(exchange) = ctx.exchange.as_ref().filter(|_| final_answer) else { return Ok(()) };
        let answer = exchange.with_attempt(|attempt| {
            attempt.read_header(response.status, &response.headers);
            headers::of_answer(&exchange.call, attempt, response)
        });
        if let Some(answer) = answer {
            *response = answer?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut Context,
    ) -> Result<()> {
        if session.req_header().version == Version::HTTP_10 {
            response.remove_header(&header::TRANSFER_ENCODING);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        if let Some(exchange) = &ctx.exchange {
            let piece = body.take();
            *body = exchange.with_attempt(|attempt| attempt.read_body(piece, end_of_stream, Instant::now())).flatten();
        }
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        _trailers: &mut HeaderMap,
        ctx: &mut Context,
    ) -> Result<Option<Bytes>> {
        let Some(exchange) = &ctx.exchange else { return Ok(None) };
        Ok(exchange.with_attempt(|attempt| attempt.read_body(None, true, Instant::now())).flatten())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let retry = ctx.exchange.as_ref().is_some_and(|exchange| exchange.attempt_failed(&error, false));
        error.set_retry(retry);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        _session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let retry = ctx.exchange.as_ref().is_some_and(|exchange| exchange.attempt_failed(&error, client_reused));
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        gate::open_for_good(session, &ctx.slot);
        let failed = |error_code| FailToProxy { error_code, can_reuse_downstream: false };
        if session.response_written().is_some_and(|head| !head.status.is_informational()) {
            // The client must see that the answer is not whole.
            session.downstream_session.shutdown().await;
            return failed(0);
        }
        let reply = match &ctx.exchange {
            Some(exchange) => exchange.refuse(),
            None => {
                let error = ClientError::new(Code::Internal, "the gateway failed to handle this request; try again");
                Some(Reply::of(error, Protocol::OpenAiChat, &ctx.request_id))
            }
        };
        let Some(reply) = reply else { return failed(0) };
        // Pingora never keeps a connection after a failure: the answer must say so.
        session.set_keepalive(None);
        let status = reply.status;
        if let Some(call) = &mut ctx.call {
            call.status = status;
        }
        if let Err(write) = reply.write(session, &ctx.request_id).await {
            tracing::debug!(%error, %write, "the client is gone");
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Context) {
        gate::open_for_good(session, &ctx.slot);
        pace::call_done();
        let closing = match &ctx.exchange {
            Some(exchange) => exchange.close().await,
            None => Closing::refused(
                ctx.call.as_ref().map_or(0, |call| call.status),
                ctx.call.as_ref().and_then(|call| call.code),
            ),
        };
        if let Some(call) = &ctx.call {
            self.observe(ctx, call, &closing);
        }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Context,
        _error: &Error,
        _what: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// A WebSocket on a path of ours gets the answer that makes clients fall back to HTTP at once.
fn wrong_method(request: &RequestHeader, allow: &'static str) -> ClientError {
    let upgrade = request.headers.get(header::UPGRADE).map(|value| value.as_bytes());
    if upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        let message = "WebSockets are not spoken here: send the request by POST";
        return ClientError::new(Code::OperationNotSupported, message).status(426).allow(allow);
    }
    let message = format!("{} is not taken here: use {allow}", request.method);
    ClientError::new(Code::OperationNotSupported, message).allow(allow)
}
