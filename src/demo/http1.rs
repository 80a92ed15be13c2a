//! HTTP/1.1 by hand, so that every byte and every end of a connection can be wrong on purpose. Must never know what an answer says.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::STAMP;
use super::script::{Head, Script, Step};
use super::seen::{self, OnItsWay, SeenRequest, State};
use super::serve::{self, Asked, BODY_BYTES_MAX, HEAD_BYTES_MAX, VERSION_HEADER};

const HEADERS_MAX: usize = 128;
/// How far a read buffer grows ahead of the bytes that have come.
const BODY_STEP_BYTES: usize = 1 << 20;
/// Buffers larger than this are given back between requests.
const BUFFER_KEPT_BYTES_MAX: usize = 256 << 10;
/// A line of chunked framing (size and extensions, or a trailer), at most.
const CHUNK_LINE_BYTES_MAX: usize = 4096;

/// The connection is over: the client left or broke it, or the script ended it.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Over {
        Over
    }
}

/// Why a request cannot be read.
enum Unread {
    Over,
    Refused { status: u16, message: &'static str, code: &'static str },
}

impl From<Over> for Unread {
    fn from(_: Over) -> Unread {
        Unread::Over
    }
}

const fn refused(status: u16, message: &'static str, code: &'static str) -> Unread {
    Unread::Refused { status, message, code }
}

struct Request {
    method: String,
    target: String,
    version: Version,
    /// The connection ends with the answer.
    close: bool,
    /// It names a version of Anthropic's API.
    versioned: bool,
    /// The head as it came.
    head: Bytes,
    body: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// What the head says about the rest.
struct Framing {
    length: usize,
    chunked: bool,
    expects_continue: bool,
}

struct Connection {
    stream: TcpStream,
    /// Read and not yet used.
    buffer: BytesMut,
    /// Made and not yet written.
    out: Vec<u8>,
}

/// Serves a connection until it ends. `read` holds the bytes that have come already.
pub(super) async fn serve(stream: TcpStream, read: BytesMut, state: &State) {
    let mut connection = Connection { stream, buffer: read, out: Vec::with_capacity(2048) };
    while let Ok(true) = connection.serve_one(state).await {
        connection.shrink();
    }
}

impl Connection {
    /// Serves one request; true when another may follow.
    async fn serve_one(&mut self, state: &State) -> Result<bool, Over> {
        let request = match self.read_request().await {
            Ok(request) => request,
            Err(Unread::Over) => return Err(Over),
            Err(Unread::Refused { status, message, code }) => {
                self.perform(serve::refuse(status, message, code), Version::Http11, true, false).await?;
                // The client may still be sending: a close with unread bytes would reset the answer away.
                self.stream.shutdown().await?;
                self.drain().await;
                return Ok(false);
            }
        };
        let Request { method, target, version, close, versioned, head, body } = request;
        let is_head = method == "HEAD";
        state.keep(Box::new(RawHead(head)), &body);
        let script = serve::answer(state, Asked { method: &method, target: &target, versioned, body: &body });
        drop(body);
        let way = OnItsWay::new(state);
        match self.perform(script, version, close, is_head).await? {
            Ended::Whole => {
                way.complete();
                Ok(!close)
            }
            Ended::Broken => {
                way.complete();
                Ok(false)
            }
        }
    }

    async fn read_request(&mut self) -> Result<Request, Unread> {
        loop {
            if !self.buffer.is_empty()
                && let Some((mut request, framing)) = parse_head(&mut self.buffer)?
            {
                if framing.expects_continue && self.buffer.len() < framing.length.max(1) {
                    self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(Over::from)?;
                }
                request.body = match framing.chunked {
                    true => self.read_chunked().await?,
                    false => self.read_exactly(framing.length).await?,
                };
                return Ok(request);
            }
            if self.buffer.len() >= HEAD_BYTES_MAX {
                return Err(refused(431, "the request head is too large", "headers_too_large"));
            }
            self.buffer.reserve(4096);
            self.read_more().await?;
        }
    }

    /// Takes `length` bytes, reading as needed.
    async fn read_exactly(&mut self, length: usize) -> Result<Bytes, Over> {
        while self.buffer.len() < length {
            self.buffer.reserve((length - self.buffer.len()).min(BODY_STEP_BYTES));
            self.read_more().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn read_chunked(&mut self) -> Result<Bytes, Unread> {
        let mut body = BytesMut::new();
        loop {
            let line = self.read_line().await?;
            let size = match httparse::parse_chunk_size(&line) {
                Ok(httparse::Status::Complete((_, size))) => size,
                _ => return Err(refused(400, "a chunk size cannot be read", "invalid_chunk")),
            };
            if size > (BODY_BYTES_MAX - body.len()) as u64 {
                return Err(refused(413, "the request body is too large", "body_too_large"));
            }
            if size == 0 {
                self.skip_trailers().await?;
                return Ok(body.freeze());
            }
            body.extend_from_slice(&self.read_exactly(size as usize).await?);
            if self.read_line().await?.len() != 2 {
                return Err(refused(400, "a chunk is longer than its size", "invalid_chunk"));
            }
        }
    }

    async fn skip_trailers(&mut self) -> Result<(), Unread> {
        let mut left = HEAD_BYTES_MAX;
        loop {
            let line = self.read_line().await?;
            if line.len() <= 2 {
                return Ok(());
            }
            left =
                left.checked_sub(line.len()).ok_or(refused(431, "the trailers are too large", "headers_too_large"))?;
        }
    }

    /// Takes a line with its CRLF.
    async fn read_line(&mut self) -> Result<Bytes, Unread> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                return Ok(self.buffer.split_to(end + 1).freeze());
            }
            if self.buffer.len() >= CHUNK_LINE_BYTES_MAX {
                return Err(refused(400, "a line of chunked framing is too long", "invalid_chunk"));
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), Over> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Over),
            _ => Ok(()),
        }
    }

    async fn perform(&mut self, script: Script, version: Version, close: bool, is_head: bool) -> Result<Ended, Over> {
        let small = script.write_bytes;
        let mut framing = Body::Counted;
        let mut steps = script.steps.into_iter().peekable();
        while let Some(step) = steps.next() {
            match step {
                Step::Wait(time) => {
                    self.flush(small).await?;
                    self.watch(Some(time)).await?;
                }
                Step::Head(head) => framing = self.put_head(&head, version, close),
                Step::Send { .. } if is_head => {}
                Step::Send { bytes, stamped } => {
                    self.put_body(&bytes, stamped, framing);
                    if !matches!(steps.peek(), Some(Step::End)) {
                        self.flush(small).await?;
                    }
                }
                Step::End => {
                    if framing == Body::Chunked && !is_head {
                        self.out.extend_from_slice(b"0\r\n\r\n");
                    }
                    self.flush(small).await?;
                    return Ok(if framing == Body::UntilClose { Ended::Broken } else { Ended::Whole });
                }
                Step::Hang => {
                    self.flush(small).await?;
                    self.watch(None).await?;
                }
                Step::Reset => {
                    self.flush(small).await?;
                    self.stream.set_zero_linger()?;
                    return Ok(Ended::Broken);
                }
                Step::Close => {
                    self.flush(small).await?;
                    self.stream.shutdown().await?;
                    return Ok(Ended::Broken);
                }
            }
        }
        Ok(Ended::Broken)
    }

    fn put_head(&mut self, head: &Head, version: Version, close: bool) -> Body {
        let Head { status, content_type, length, retry_after_s, id_header, request_id } = head;
        let known = http::StatusCode::from_u16(*status).ok();
        let reason = known.and_then(|status| status.canonical_reason()).unwrap_or("Unnamed");
        let out = &mut self.out;
        put(
            out,
            format_args!("HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n{id_header}: {request_id}\r\n"),
        );
        if let Some(seconds) = retry_after_s {
            put(out, format_args!("retry-after: {seconds}\r\n"));
        }
        let body = match (length, version) {
            (Some(length), _) => {
                put(out, format_args!("content-length: {length}\r\n"));
                Body::Counted
            }
            (None, Version::Http11) => {
                put(out, format_args!("cache-control: no-cache\r\ntransfer-encoding: chunked\r\n"));
                Body::Chunked
            }
            (None, Version::Http10) => Body::UntilClose,
        };
        out.extend_from_slice(match (close || body == Body::UntilClose, version) {
            (true, _) => b"connection: close\r\n\r\n",
            (false, Version::Http10) => b"connection: keep-alive\r\n\r\n",
            (false, Version::Http11) => b"\r\n",
        });
        body
    }

    fn put_body(&mut self, bytes: &[u8], stamped: bool, framing: Body) {
        if framing == Body::Chunked {
            put(&mut self.out, format_args!("{:x}\r\n", bytes.len()));
        }
        let at = self.out.len();
        self.out.extend_from_slice(bytes);
        if stamped {
            stamp(&mut self.out[at..]);
        }
        if framing == Body::Chunked {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what was made: at once, or `small` bytes at a time with a chance for the client to read between.
    async fn flush(&mut self, small: Option<usize>) -> Result<(), Over> {
        match small {
            None => self.stream.write_all(&self.out).await?,
            Some(bytes) => {
                for part in self.out.chunks(bytes) {
                    self.stream.write_all(part).await?;
                    tokio::task::yield_now().await;
                }
            }
        }
        self.out.clear();
        Ok(())
    }

    /// Waits, for ever without a time, and notices a client that leaves meanwhile.
    async fn watch(&mut self, time: Option<Duration>) -> Result<(), Over> {
        let wait = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return Ok(()),
                ready = self.stream.readable(), if self.buffer.len() < HEAD_BYTES_MAX => {
                    ready?;
                    self.buffer.reserve(1024);
                    match self.stream.try_read_buf(&mut self.buffer) {
                        Ok(0) => return Err(Over),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return Err(Over),
                    }
                }
            }
        }
    }

    /// Reads on for a moment after a refusal, up to the limit of a body.
    async fn drain(&mut self) {
        let mut left = BODY_BYTES_MAX;
        let mut sink = vec![0; 16 << 10];
        let reading = async {
            while let Ok(count @ 1..) = self.stream.read(&mut sink).await {
                left = left.saturating_sub(count);
                if left == 0 {
                    return;
                }
            }
        };
        let _ended_or_not = tokio::time::timeout(Duration::from_secs(5), reading).await;
    }

    fn shrink(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > BUFFER_KEPT_BYTES_MAX {
            self.buffer = BytesMut::new();
        }
        self.out.shrink_to(BUFFER_KEPT_BYTES_MAX);
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    Whole,
    /// By a fault, or by a body that ends with the connection.
    Broken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Counted,
    Chunked,
    UntilClose,
}

/// Takes a complete head from the buffer; `None` when more must be read.
fn parse_head(buffer: &mut BytesMut) -> Result<Option<(Request, Framing)>, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let head_bytes = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) if bytes <= HEAD_BYTES_MAX => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(refused(431, "the request head is too large", "headers_too_large"));
        }
        Err(_) => return Err(refused(400, "this is not HTTP/1.1", "invalid_http")),
    };
    let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let (framing, close) = read_headers(parsed.headers, version)?;
    let versioned = parsed.headers.iter().any(|header| header.name.eq_ignore_ascii_case(VERSION_HEADER));
    let method = parsed.method.unwrap_or_default().to_owned();
    let target = parsed.path.unwrap_or_default().to_owned();
    // A copy: what is kept must not pin the whole read buffer.
    let head = Bytes::copy_from_slice(&buffer[..head_bytes]);
    buffer.advance(head_bytes);
    Ok(Some((Request { method, target, version, close, versioned, head, body: Bytes::new() }, framing)))
}

fn read_headers(headers: &[httparse::Header<'_>], version: Version) -> Result<(Framing, bool), Unread> {
    let mut length = None;
    let mut framing = Framing { length: 0, chunked: false, expects_continue: false };
    let mut close = version == Version::Http10;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let says = |word: &str| {
            header.value.split(|b| *b == b',').any(|v| v.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        if is("content-length") {
            let value =
                std::str::from_utf8(header.value).ok().filter(|value| value.bytes().all(|b| b.is_ascii_digit()));
            let value = value.and_then(|value| value.parse::<u64>().ok());
            let value = value.ok_or(refused(400, "content-length is not a number", "invalid_content_length"))?;
            if length.replace(value).is_some_and(|other| other != value) {
                return Err(refused(400, "two values of content-length", "invalid_content_length"));
            }
        } else if is("transfer-encoding") {
            if !says("chunked") {
                return Err(refused(501, "this transfer-encoding is not supported", "invalid_transfer_encoding"));
            }
            framing.chunked = true;
        } else if is("expect") {
            framing.expects_continue = says("100-continue");
        } else if is("connection") {
            close = says("close") || (close && !says("keep-alive"));
        }
    }
    if framing.chunked && length.is_some() {
        return Err(refused(400, "both content-length and transfer-encoding", "invalid_content_length"));
    }
    framing.length = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
    if framing.length > BODY_BYTES_MAX {
        return Err(refused(413, "the request body is too large", "body_too_large"));
    }
    Ok((framing, close))
}

/// A head that parsed once.
struct RawHead(Bytes);

impl seen::Head for RawHead {
    fn show(&self) -> SeenRequest {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        // It was read whole before, so it parses again.
        let _known_complete = parsed.parse(&self.0);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        SeenRequest {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: parsed.path.unwrap_or_default().to_owned(),
            http_version: if parsed.version == Some(0) { "HTTP/1.0" } else { "HTTP/1.1" }.to_owned(),
            headers: parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect(),
            protocol: None,
            body_bytes: 0,
            body: String::new(),
        }
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

/// Writes the time, nanoseconds since 1970, into every stamp.
pub(super) fn stamp(bytes: &mut [u8]) {
    let places: Vec<usize> = memmem::find_iter(bytes, STAMP.as_bytes()).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    for place in places {
        bytes[place + 1..place + 21].copy_from_slice(format!("{now:020}").as_bytes());
    }
}
