//! The load: keep-alive HTTP/1.1 connections in a closed loop, on one thread. Must never know what it loads.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;
use qingwave::wire::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::process::Cpu;
use super::workload::Ask;

/// A call that takes longer has failed.
const CALL_MAX: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 64 << 10;
/// Digits of a stamp in an event.
const STAMP_DIGITS: usize = 20;

/// Requests that a load sends again and again.
#[derive(Clone)]
pub struct Calls {
    pub address: SocketAddr,
    pub request: Vec<u8>,
    /// What every answer holds that is complete.
    mark: &'static [u8],
    pub stream: bool,
    pub connections: usize,
}

#[derive(Default)]
pub struct Sample {
    pub calls: usize,
    pub errors: Vec<String>,
    pub seconds: f64,
    /// Microseconds from the first byte written to the last byte read.
    pub call_us: Vec<f64>,
    /// Microseconds from the upstream's write of an event to our read of it.
    pub event_us: Vec<f64>,
    /// CPU time that the target used meanwhile.
    pub cpu: Cpu,
}

impl Calls {
    pub fn new(address: SocketAddr, key: Option<&str>, ask: &Ask, connections: usize) -> Calls {
        let key = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
        let version = match ask.protocol {
            Protocol::AnthropicMessages => "anthropic-version: 2023-06-01\r\n",
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::GeminiGenerate => "",
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {address}\r\naccept: */*\r\ncontent-type: application/json\r\n{version}{key}content-length: {}\r\n\r\n",
            ask.path,
            ask.body.len()
        );
        let request = [head.as_bytes(), &ask.body].concat();
        Calls { address, request, mark: mark(ask.protocol, ask.stream), stream: ask.stream, connections }
    }
}

/// Only an answer that came to its end has it.
const fn mark(protocol: Protocol, stream: bool) -> &'static [u8] {
    match (protocol, stream) {
        (Protocol::OpenAiChat, true) => b"data: [DONE]",
        (Protocol::OpenAiResponses, true) => b"\"response.completed\"",
        (Protocol::AnthropicMessages, true) => b"\"message_stop\"",
        (Protocol::OpenAiChat | Protocol::OpenAiResponses, false) => b"\"total_tokens\"",
        (Protocol::AnthropicMessages, false) => b"\"output_tokens\"",
        (Protocol::GeminiGenerate, _) => b"\"totalTokenCount\"",
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    LocalSet::new().block_on(&runtime, work)
}

/// Runs the loop; `cpu` is read when the measuring begins and ends.
pub fn measure(calls: &Calls, warmup: f64, seconds: f64, cpu: impl Fn() -> Cpu) -> Sample {
    block_on(async {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let tasks: Vec<_> = (0..calls.connections)
            .map(|place| tokio::task::spawn_local(client(calls.clone(), place, shared.clone())))
            .collect();
        tokio::time::sleep(Duration::from_secs_f64(warmup)).await;
        let (start, before) = (Instant::now(), cpu());
        shared.borrow_mut().sample = Some(Sample::default());
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let mut sample = shared.borrow_mut().sample.take().expect("it was put there above");
        sample.cpu = cpu();
        sample.cpu.iter_mut().for_each(|(thread, us)| *us -= before.get(thread).copied().unwrap_or(0.0));
        sample.seconds = start.elapsed().as_secs_f64();
        sample.errors.append(&mut shared.borrow_mut().errors);
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        sample
    })
}

/// Exactly `count` calls over the connections; the errors among them.
pub fn exactly(calls: &Calls, count: usize) -> Vec<String> {
    block_on(async {
        let left = Rc::new(RefCell::new(count));
        let tasks: Vec<_> = (0..calls.connections)
            .map(|_| tokio::task::spawn_local(counted_client(calls.clone(), left.clone())))
            .collect();
        let mut errors = Vec::new();
        for task in tasks {
            errors.extend(task.await.unwrap_or_else(|error| Some(error.to_string())));
        }
        errors
    })
}

/// Opens streams, holds them until `work` has run, and lets go.
pub fn hold_streams(calls: &Calls, count: usize, work: impl FnOnce()) -> Vec<String> {
    block_on(async {
        let mut held = Vec::with_capacity(count);
        let mut errors = Vec::new();
        // In small waves: a listener's queue is not what is measured.
        while held.len() + errors.len() < count {
            let wave = 64.min(count - held.len() - errors.len());
            let opening: Vec<_> = (0..wave).map(|_| tokio::task::spawn_local(open_stream(calls.clone()))).collect();
            for task in opening {
                match task.await {
                    Ok(Ok(connection)) => held.push(connection),
                    Ok(Err(error)) => errors.push(error.to_string()),
                    Err(error) => errors.push(error.to_string()),
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        work();
        errors
    })
}

#[derive(Default)]
struct Shared {
    /// There while calls count.
    sample: Option<Sample>,
    /// Of all calls, also those that do not count.
    errors: Vec<String>,
}

async fn client(calls: Calls, place: usize, shared: Rc<RefCell<Shared>>) {
    let mut connection = None;
    if calls.stream {
        tokio::time::sleep(Duration::from_millis(7 * place as u64)).await;
    }
    loop {
        let start = Instant::now();
        match call(&calls, &mut connection).await {
            Ok(answer) => {
                if let Some(sample) = &mut shared.borrow_mut().sample {
                    sample.calls += 1;
                    sample.call_us.push(start.elapsed().as_secs_f64() * 1e6);
                    sample.event_us.extend(answer.event_us);
                }
            }
            Err(error) => {
                shared.borrow_mut().errors.push(error.to_string());
                connection = None;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn counted_client(calls: Calls, left: Rc<RefCell<usize>>) -> Option<String> {
    let mut connection = None;
    loop {
        match left.borrow_mut() {
            left if *left == 0 => return None,
            mut left => *left -= 1,
        }
        if let Err(error) = call(&calls, &mut connection).await {
            return Some(error.to_string());
        }
    }
}

async fn call(calls: &Calls, connection: &mut Option<Connection>) -> io::Result<Answer> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(calls.address).await?),
    };
    tokio::time::timeout(CALL_MAX, connection.call(calls)).await?
}

async fn open_stream(calls: Calls) -> io::Result<Connection> {
    let mut connection = Connection::open(calls.address).await?;
    connection.stream.write_all(&calls.request).await?;
    let opening = async {
        while memmem::find(&connection.read, b"\"content\":\"the").is_none() {
            connection.read_more().await?;
        }
        Ok::<_, io::Error>(())
    };
    tokio::time::timeout(CALL_MAX, opening).await??;
    connection.read = Vec::new();
    Ok(connection)
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Default)]
struct Answer {
    event_us: Vec<f64>,
}

#[derive(Clone, Copy)]
enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, read: Vec::with_capacity(READ_BYTES) })
    }

    async fn read_more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::Error::other(format!("closed within an answer: {}", String::from_utf8_lossy(&self.read)))),
            _ => Ok(()),
        }
    }

    async fn call(&mut self, calls: &Calls) -> io::Result<Answer> {
        self.read.clear();
        self.stream.write_all(&calls.request).await?;
        let (head_bytes, status, length) = loop {
            self.read_more().await?;
            if let Some(head) = parse_head(&self.read)? {
                break head;
            }
        };
        let mut answer = Answer::default();
        let mut seen = head_bytes;
        loop {
            seen = answer.see_stamps(&self.read, seen);
            let complete = match length {
                Length::Known(bytes) => self.read.len() >= head_bytes + bytes,
                Length::Chunked => self.read.ends_with(b"\r\n0\r\n\r\n"),
            };
            if complete {
                break;
            }
            self.read_more().await?;
        }
        if status != 200 || memmem::rfind(&self.read, calls.mark).is_none() {
            return Err(io::Error::other(format!("not the answer: {:.400}", String::from_utf8_lossy(&self.read))));
        }
        Ok(answer)
    }
}

impl Answer {
    /// Notes the stamps from `from` on; gives where the next look must begin.
    fn see_stamps(&mut self, read: &[u8], mut from: usize) -> usize {
        while let Some(at) = memchr::memchr(b'@', &read[from..]) {
            let start = from + at + 1;
            let Some(digits) = read.get(start..=start + STAMP_DIGITS) else { return from + at };
            if let Some(sent) =
                std::str::from_utf8(&digits[..STAMP_DIGITS]).ok().and_then(|text| text.parse::<u128>().ok())
            {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
                self.event_us.push(now.saturating_sub(sent) as f64 / 1000.0);
            }
            from = start + STAMP_DIGITS + 1;
        }
        read.len()
    }
}

fn parse_head(read: &[u8]) -> io::Result<Option<(usize, u16, Length)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(bytes) = response.parse(read).map_err(io::Error::other)? else { return Ok(None) };
    let header = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let length = match header("content-length") {
        Some(value) => {
            Length::Known(std::str::from_utf8(value.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0))
        }
        None => Length::Chunked,
    };
    Ok(Some((bytes, response.code.unwrap_or(0), length)))
}
