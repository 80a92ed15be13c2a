//! The gated downstream: a session that holds an upstream's answer back until it has proved itself.
//!
//! Pingora 0.9.1 loses request bodies over 64 KiB that were read before `upstream_peer`, loses the body of an answer
//! whose status is retried, and has no deadline but the idle one. Each is mended by standing between Pingora's proxy
//! loop and the client's real session: `Gate` owns the real session, answers the loop's questions about the request
//! body itself, and asks a [`Keeper`] what may pass. It must never know protocols, prices or channels.
//!
//! `custom::server::Session` is a hidden trait of Pingora, so the version is pinned and everything that depends on it
//! stands in this file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::custom::{CustomMessageWrite, server::Session as CustomSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::{Digest, http::custom};
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::time::Instant;

/// What a keeper says of a batch of an upstream's answer.
pub enum Pass {
    /// Nothing goes out: the batch is kept by the keeper.
    Hold,
    /// These go to the client.
    Forward(Vec<HttpTask>),
    /// These go to the client once they are ready: the settlement has to be counted or made durable first.
    Later(BoxFuture<'static, Vec<HttpTask>>),
    /// The attempt is over. Whether another follows is decided in `error_while_proxy`.
    Fail(Box<Error>),
}

/// Decides what passes the gate. Called from one task at a time, never across an await.
pub trait Keeper: Send + Sync + 'static {
    /// The request body as this attempt sends it.
    fn request_body(&self) -> Bytes;
    fn pass(&self, tasks: Vec<HttpTask>) -> Pass;
    /// When this attempt must have produced content; `None` once it has.
    fn deadline(&self) -> Option<Instant>;
    /// The client closed its connection or reset its stream.
    fn client_left(&self);
}

/// Error types of the gate, told apart from Pingora's own in `error_while_proxy`.
pub const FIRST_CONTENT_DEADLINE: ErrorType = ErrorType::Custom("FirstContentDeadline");
pub const UPSTREAM_REFUSED: ErrorType = ErrorType::Custom("UpstreamRefused");

/// Where the real session waits while the gate is not there.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Box<ServerSession>>>>);

/// Puts the gate in front of the client's session. Undone by [`open_for_good`].
pub fn close(session: &mut Session, slot: &Slot, keeper: Arc<dyn Keeper>) {
    let placeholder = Box::new(ServerSession::new_custom(Box::new(())));
    let real = std::mem::replace(&mut session.downstream_session, placeholder);
    let gate = Gate { real: Some(real), slot: slot.clone(), keeper, timer: None };
    *session.downstream_session = ServerSession::new_custom(Box::new(gate));
}

/// Gives the client's real session back, so that Pingora can finish and reuse its connection. Harmless when it is there.
pub fn open_for_good(session: &mut Session, slot: &Slot) {
    if !session.downstream_session.is_custom() {
        return;
    }
    // The gate's drop fills the slot; the placeholder is replaced before anything can ask it.
    *session.downstream_session = ServerSession::new_custom(Box::new(()));
    if let Some(real) = slot.0.lock().take() {
        session.downstream_session = real;
    }
}

struct Gate {
    real: Option<Box<ServerSession>>,
    slot: Slot,
    keeper: Arc<dyn Keeper>,
    timer: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        *self.slot.0.lock() = self.real.take();
    }
}

impl Gate {
    fn real(&self) -> &ServerSession {
        self.real.as_ref().expect("the real session leaves only in drop")
    }

    fn real_mut(&mut self) -> &mut ServerSession {
        self.real.as_mut().expect("the real session leaves only in drop")
    }

    /// Waits for the client to leave, or for the attempt's deadline while it has one.
    async fn idle(&mut self) -> Result<Option<Bytes>> {
        let Some(deadline) = self.keeper.deadline() else {
            self.timer = None;
            return self.real_mut().read_body_or_idle(true).await;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let real = self.real.as_mut().expect("the real session leaves only in drop");
        tokio::select! {
            biased;
            body = real.read_body_or_idle(true) => body,
            () = timer.as_mut() => Error::e_explain(FIRST_CONTENT_DEADLINE, "no content before the deadline"),
        }
    }
}

#[async_trait]
impl CustomSession for Gate {
    fn get_retry_buffer(&self) -> Option<Bytes> {
        Some(self.keeper.request_body())
    }

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn is_body_done(&mut self) -> bool {
        true
    }

    fn is_body_empty(&mut self) -> bool {
        false
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let tasks = match self.keeper.pass(tasks) {
            Pass::Hold => return Ok(false),
            Pass::Fail(error) => return Err(error),
            Pass::Forward(tasks) => tasks,
            Pass::Later(tasks) => tasks.await,
        };
        let sent = self.real_mut().response_duplex_vec(tasks).await;
        if sent.is_err() {
            self.keeper.client_left();
        }
        sent
    }

    async fn read_body_or_idle(&mut self, _no_body_expected: bool) -> Result<Option<Bytes>> {
        let event = self.idle().await;
        if event.as_ref().is_err_and(|e| e.etype() != &FIRST_CONTENT_DEADLINE) {
            self.keeper.client_left();
        }
        event
    }

    fn req_header(&self) -> &RequestHeader {
        self.real().req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.real_mut().req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.real_mut().read_request_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.real_mut().drain_request_body().await
    }

    async fn write_response_header(&mut self, header: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.real_mut().write_response_header(header).await
    }

    async fn write_response_header_ref(&mut self, header: &ResponseHeader, _end: bool) -> Result<()> {
        self.real_mut().write_response_header_ref(header).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.real_mut().write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.real_mut().write_response_trailers(trailers).await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_read_timeout(timeout)
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.real().get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_write_timeout(timeout)
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.real().get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_total_drain_timeout(timeout)
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.real().get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.real().request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.real().response_written()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.real_mut().shutdown().await
    }

    async fn finish(&mut self) -> Result<()> {
        self.real_mut().finish_body().await
    }

    fn body_bytes_sent(&self) -> usize {
        self.real().body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.real().body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.real().digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.real_mut().digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.real().client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.real().server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.real().to_h1_raw()
    }

    fn enable_retry_buffering(&mut self) {}

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn custom::CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
