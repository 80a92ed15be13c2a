//! A deadline on request headers: a client that drips one is answered 408 and closed.
//!
//! Pingora's timeout starts again with every read. This wrapper of a connection sees the first byte of each HTTP/1
//! request; the filters tell it when a header is complete and when a call is over. It must never know requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::{Instant, Sleep, timeout_at};

/// What an HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest wait for the first byte of a connection.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(60);

/// A header and a small body together; what is larger goes straight through.
const WRITE_BUFFER_BYTES: usize = 1460;

const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n\
content-length: 147\r\n\r\n{\"error\":{\"message\":\"the request header took too long: send it in one piece\",\
\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_request\"}}";

tokio::task_local! {
    /// The connection that the current task serves. Not set in an HTTP/2 stream's task, whose headers come in frames.
    pub static CONNECTION: Arc<HeaderClock>;
}

/// Where a connection stands.
#[derive(Debug, Default)]
pub struct HeaderClock(AtomicU8);

const BETWEEN: u8 = 0;
const READING: u8 = 1;
const IN_CALL: u8 = 2;
const OFF: u8 = 3;

impl HeaderClock {
    fn set(&self, from: &[u8], to: u8) {
        if from.contains(&self.0.load(Ordering::Acquire)) {
            self.0.store(to, Ordering::Release);
        }
    }
}

/// The header of the current task's request is complete.
pub fn header_done() {
    // Outside a connection's task there is no clock to stop.
    CONNECTION.try_with(|clock| clock.set(&[BETWEEN, READING], IN_CALL)).unwrap_or_default();
}

/// The current task's call is over: the next byte begins another header.
pub fn call_done() {
    CONNECTION.try_with(|clock| clock.set(&[IN_CALL], BETWEEN)).unwrap_or_default();
}

/// A connection under the clock, with a buffer for what is written: Pingora writes the header and the body of an answer
/// one after the other and flushes when it means to.
#[derive(Debug)]
pub struct Paced<S> {
    inner: BufWriter<S>,
    /// Read ahead of the HTTP version's choice, to be read again.
    peeked: Bytes,
    clock: Arc<HeaderClock>,
    limit: Duration,
    first: bool,
    began: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite> Paced<S> {
    pub fn new(inner: S, clock: Arc<HeaderClock>, limit: Duration, http2: bool) -> Paced<S> {
        if http2 {
            clock.0.store(OFF, Ordering::Release);
        }
        let inner = BufWriter::with_capacity(WRITE_BUFFER_BYTES, inner);
        Paced { inner, peeked: Bytes::new(), clock, limit, first: true, began: None, timer: None }
    }

    /// Bytes came while no call was running: a header begins, or HTTP/2 does.
    fn began(&mut self, bytes: &[u8]) {
        let http2 = std::mem::take(&mut self.first) && bytes.starts_with(b"PRI");
        self.clock.set(&[BETWEEN], if http2 { OFF } else { READING });
        self.began = Some(Instant::now());
        self.timer = None;
    }

    fn expired(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(began) = self.began else { return false };
        let deadline = began + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx).is_ready()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let reading = this.clock.0.load(Ordering::Acquire);
        let before = buf.filled().len();
        let polled = if this.peeked.is_empty() {
            Pin::new(&mut this.inner).poll_read(cx, buf)
        } else {
            buf.put_slice(&this.peeked.split_to(this.peeked.len().min(buf.remaining())));
            Poll::Ready(Ok(()))
        };
        match (reading, &polled) {
            (BETWEEN, Poll::Ready(Ok(()))) if buf.filled().len() > before => this.began(&buf.filled()[before..]),
            (READING, _) if this.expired(cx) => {
                buf.set_filled(before);
                // The client may be gone; closing is what matters.
                let _told = Pin::new(this.inner.get_mut()).poll_write(cx, TOO_SLOW);
                return Poll::Ready(Ok(()));
            }
            _ => {}
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl<S: Shutdown + AsyncWrite + Unpin + Send> Shutdown for Paced<S> {
    async fn shutdown(&mut self) {
        // The peer may be gone; closing is what matters.
        let _flushed = self.inner.flush().await;
        self.inner.get_mut().shutdown().await
    }
}

impl<S: UniqueID + AsyncWrite> UniqueID for Paced<S> {
    fn id(&self) -> UniqueIDType {
        self.inner.get_ref().id()
    }
}

impl<S: Ssl + AsyncWrite> Ssl for Paced<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ref().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.get_ref().selected_alpn_proto()
    }
}

impl<S: GetTimingDigest + AsyncWrite> GetTimingDigest for Paced<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_ref().get_timing_digest()
    }
}

impl<S: GetProxyDigest + AsyncWrite> GetProxyDigest for Paced<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_ref().get_proxy_digest()
    }
}

impl<S: GetSocketDigest + AsyncWrite> GetSocketDigest for Paced<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_ref().get_socket_digest()
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Peek for Paced<S> {
    /// Reads no further than a connection may be HTTP/2, so that a short request is not waited on, and not longer than a
    /// header may take. What was not read stays zero.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        let mut deadline = Instant::now() + FIRST_BYTE_MAX;
        while filled < buf.len() && HTTP2_PREFACE.starts_with(&buf[..filled]) {
            match timeout_at(deadline, self.inner.read(&mut buf[filled..])).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    if filled == 0 {
                        deadline = Instant::now() + self.limit;
                    }
                    filled += read?;
                }
                Err(_) => {
                    if filled > 0 {
                        self.inner.get_mut().write_all(TOO_SLOW).await?;
                    }
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
        self.peeked = Bytes::copy_from_slice(&buf[..filled]);
        Ok(true)
    }
}
