//! Answers of any size in constant memory: a blocking writer feeds the body through a short queue.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::error::{ClientError, Code};

/// Bytes gathered before they are sent.
const CHUNK_BYTES: usize = 32 << 10;
/// Chunks on their way to the client.
const CHUNKS_MAX: usize = 4;
/// Exports at once: each holds a thread.
const EXPORTS_MAX: usize = 8;
/// A client that takes nothing for so long is given up.
const STALL_MAX: Duration = Duration::from_secs(60);
const RETRY_S: u64 = 10;

enum Chunk {
    Data(Bytes),
    /// All of it was sent.
    End,
}

fn slots() -> &'static Arc<Semaphore> {
    static SLOTS: std::sync::OnceLock<Arc<Semaphore>> = std::sync::OnceLock::new();
    SLOTS.get_or_init(|| Arc::new(Semaphore::new(EXPORTS_MAX)))
}

/// Streams what `write` writes as a CSV download. An error, a panic too, cuts the answer off, so that a part never looks whole.
pub fn csv(
    file_name: &'static str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Response, ClientError> {
    csv_in(slots(), file_name, write)
}

fn csv_in(
    slots: &Arc<Semaphore>,
    file_name: &'static str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Response, ClientError> {
    let slot = slots.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{EXPORTS_MAX} exports are running: try again in {RETRY_S} seconds");
        ClientError::new(Code::ConcurrencyLimited, message).retry_after(RETRY_S)
    })?;
    let (sender, mut receiver) = mpsc::channel::<io::Result<Chunk>>(CHUNKS_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || run(write, Writer::new(sender, runtime), slot));
    let chunks = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|chunk| match chunk {
            Some(Ok(Chunk::Data(bytes))) => Some(Ok(bytes)),
            Some(Ok(Chunk::End)) => None,
            Some(Err(error)) => Some(Err(error)),
            // The writer is gone without a word.
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

fn run(write: impl FnOnce(&mut dyn Write) -> io::Result<()>, mut out: Writer, _slot: OwnedSemaphorePermit) {
    let written = write(&mut out).and_then(|()| out.flush()).and_then(|()| out.send(Ok(Chunk::End)));
    if let Err(error) = written {
        if out.left {
            tracing::debug!("an export's client left");
            return;
        }
        tracing::error!(%error, "an export was cut off");
        // The client may leave at this very moment; then there is nobody to tell.
        drop(out.send(Err(error)));
    }
}

/// Sends what is written in chunks; waits for a client that reads slowly, within a bound.
struct Writer {
    sender: mpsc::Sender<io::Result<Chunk>>,
    runtime: Handle,
    buffer: Vec<u8>,
    /// The client is gone or takes nothing.
    left: bool,
}

impl Writer {
    fn new(sender: mpsc::Sender<io::Result<Chunk>>, runtime: Handle) -> Writer {
        Writer { sender, runtime, buffer: Vec::with_capacity(CHUNK_BYTES), left: false }
    }

    fn send(&mut self, chunk: io::Result<Chunk>) -> io::Result<()> {
        let sent = self.runtime.block_on(async { tokio::time::timeout(STALL_MAX, self.sender.send(chunk)).await });
        if matches!(sent, Ok(Ok(()))) {
            return Ok(());
        }
        self.left = true;
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        self.send(Ok(Chunk::Data(Bytes::from(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    const LINE: &[u8] = b"0123456789abcde\n";

    fn start(
        slots: &Arc<Semaphore>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Result<Response, ClientError> {
        csv_in(slots, "x.csv", write)
    }

    #[tokio::test]
    async fn an_export_arrives_whole() {
        let slots = Arc::new(Semaphore::new(1));
        let response = start(&slots, |out| (0..100_000).try_for_each(|_| out.write_all(LINE))).unwrap();
        assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), 100_000 * LINE.len());
    }

    #[tokio::test]
    async fn a_part_never_looks_whole() {
        let slots = Arc::new(Semaphore::new(2));
        let failing = start(&slots, |out| {
            out.write_all(b"part")?;
            Err(io::Error::other("disk"))
        });
        assert!(failing.unwrap().into_body().collect().await.is_err());
        let panicking = start(&slots, |out| {
            out.write_all(b"part")?;
            panic!("on purpose")
        });
        assert!(panicking.unwrap().into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_writer() {
        let slots = Arc::new(Semaphore::new(1));
        let response = start(&slots, |out| std::iter::repeat(()).try_for_each(|()| out.write_all(LINE))).unwrap();
        drop(response);
        // The slot comes back when the writer has ended.
        drop(slots.acquire().await.unwrap());
    }

    #[tokio::test]
    async fn exports_at_once_are_bounded() {
        let slots = Arc::new(Semaphore::new(1));
        let (gate, wait) = std::sync::mpsc::channel::<()>();
        let running = start(&slots, move |_| wait.recv().map_err(io::Error::other)).unwrap();
        let refused = start(&slots, |_| Ok(())).err().unwrap();
        assert_eq!((refused.status, refused.retry_after_s), (429, Some(RETRY_S)));
        gate.send(()).unwrap();
        running.into_body().collect().await.unwrap();
        drop(slots.acquire().await.unwrap());
    }
}
