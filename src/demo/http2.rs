//! HTTP/2 with prior knowledge over clear TCP. Must never know what an answer says.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderValue, Method, Request, Response, header, request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::http1::stamp;
use super::script::{Head, Script, Step};
use super::seen::{self, OnItsWay, SeenRequest, State};
use super::serve::{self, Asked, BODY_BYTES_MAX, HEAD_BYTES_MAX, VERSION_HEADER};

/// What an HTTP/2 client sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const STREAMS_MAX: u32 = 4096;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// A reset discards what is queued: what was sent before it gets this long to leave.
const RESET_DELAY: Duration = Duration::from_millis(5);

/// The stream is over: the client reset it or left.
struct Over;

impl From<h2::Error> for Over {
    fn from(_: h2::Error) -> Over {
        Over
    }
}

/// Serves a connection until it ends. `read` holds the bytes that have come already.
pub(super) async fn serve(stream: TcpStream, read: BytesMut, state: &Arc<State>) {
    let mut builder = h2::server::Builder::new();
    builder
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let Ok(mut connection) = builder.handshake(Rewound { read: read.freeze(), stream }).await else { return };
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let state = state.clone();
                    calls.spawn(async move { serve_one(request, respond, &state).await });
                }
                // Dropping the calls counts their clients as gone.
                Some(Err(_)) | None => return,
            },
            Some(_done) = calls.join_next(), if !calls.is_empty() => {}
        }
    }
}

async fn serve_one(request: Request<RecvStream>, respond: SendResponse<Bytes>, state: &State) {
    let (parts, body) = request.into_parts();
    let mut answering = Answering { respond, stream: None };
    let is_head = parts.method == Method::HEAD;
    let script = match read_body(body).await {
        Ok(body) => {
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
            let method = parts.method.clone();
            let versioned = parts.headers.contains_key(VERSION_HEADER);
            state.keep(Box::new(ParsedHead(parts)), &body);
            serve::answer(state, Asked { method: method.as_str(), target: &target, versioned, body: &body })
        }
        Err(Unread::TooLarge) => serve::refuse(413, "the request body is too large", "body_too_large"),
        Err(Unread::Over) => return,
    };
    let way = OnItsWay::new(state);
    if answering.perform(script, is_head).await.is_ok() {
        way.complete();
    }
}

enum Unread {
    Over,
    TooLarge,
}

async fn read_body(mut body: RecvStream) -> Result<Bytes, Unread> {
    let mut read = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|_| Unread::Over)?;
        if read.len() + data.len() > BODY_BYTES_MAX {
            return Err(Unread::TooLarge);
        }
        read.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).map_err(|_| Unread::Over)?;
    }
    Ok(read.freeze())
}

/// One answer: before its head it is a promise, after it a stream.
struct Answering {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
}

impl Answering {
    async fn perform(&mut self, script: Script, is_head: bool) -> Result<(), Over> {
        let part_bytes = script.write_bytes.unwrap_or(usize::MAX);
        let mut steps = script.steps.into_iter().peekable();
        while let Some(step) = steps.next() {
            match step {
                Step::Wait(time) => self.watch(Some(time)).await?,
                Step::Head(head) => self.stream = Some(self.respond.send_response(response(&head), is_head)?),
                Step::Send { .. } if is_head => {}
                Step::Send { bytes, stamped } => {
                    let bytes = if stamped { stamped_now(&bytes) } else { bytes };
                    let last = matches!(steps.peek(), Some(Step::End));
                    self.send(bytes, part_bytes, last).await?;
                    if last {
                        return Ok(());
                    }
                }
                Step::End if is_head => return Ok(()),
                Step::End => {
                    self.open_stream()?.send_data(Bytes::new(), true)?;
                    return Ok(());
                }
                Step::Hang => self.watch(None).await?,
                Step::Reset => return self.reset(Reason::INTERNAL_ERROR).await,
                Step::Close => return self.reset(Reason::CANCEL).await,
            }
        }
        Ok(())
    }

    fn open_stream(&mut self) -> Result<&mut SendStream<Bytes>, Over> {
        self.stream.as_mut().ok_or(Over)
    }

    async fn send(&mut self, mut bytes: Bytes, part_bytes: usize, last: bool) -> Result<(), Over> {
        let stream = self.open_stream()?;
        while !bytes.is_empty() {
            stream.reserve_capacity(bytes.len().min(part_bytes));
            let mut room = stream.capacity();
            while room == 0 {
                room = poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or(Over)??;
            }
            let part = bytes.split_to(room.min(part_bytes).min(bytes.len()));
            stream.send_data(part, last && bytes.is_empty())?;
        }
        Ok(())
    }

    /// Waits, for ever without a time, and notices a client that leaves meanwhile.
    async fn watch(&mut self, time: Option<Duration>) -> Result<(), Over> {
        let gone = poll_fn(|cx| match &mut self.stream {
            Some(stream) => stream.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        });
        let Some(time) = time else {
            let _reason = gone.await;
            return Err(Over);
        };
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            _reason = gone => Err(Over),
        }
    }

    async fn reset(&mut self, reason: Reason) -> Result<(), Over> {
        match &mut self.stream {
            None => self.respond.send_reset(reason),
            Some(stream) => {
                tokio::time::sleep(RESET_DELAY).await;
                stream.send_reset(reason);
            }
        }
        Ok(())
    }
}

fn response(head: &Head) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status).expect("knobs and errors have valid statuses");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(head.content_type));
    headers.insert(head.id_header, HeaderValue::from_str(&head.request_id).expect("an id is ASCII"));
    if let Some(seconds) = head.retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    match head.length {
        Some(length) => headers.insert(header::CONTENT_LENGTH, length.into()),
        None => headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    };
    response
}

fn stamped_now(bytes: &[u8]) -> Bytes {
    let mut bytes = bytes.to_vec();
    stamp(&mut bytes);
    bytes.into()
}

struct ParsedHead(request::Parts);

impl seen::Head for ParsedHead {
    fn show(&self) -> SeenRequest {
        let request::Parts { method, uri, headers, .. } = &self.0;
        let authority = uri.authority().map(|authority| (":authority".to_owned(), authority.to_string()));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        SeenRequest {
            method: method.to_string(),
            path: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            http_version: "HTTP/2".to_owned(),
            headers: authority.into_iter().chain(headers.iter().map(|(n, v)| (n.to_string(), text(v)))).collect(),
            protocol: None,
            body_bytes: 0,
            body: String::new(),
        }
    }
}

/// A connection whose first bytes were read already.
struct Rewound {
    read: Bytes,
    stream: TcpStream,
}

impl AsyncRead for Rewound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.read.len().min(into.remaining());
        into.put_slice(&self.read.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
