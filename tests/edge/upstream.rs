//! A scripted upstream on loopback: says raw bytes and tells what it saw; and the overlay that leads to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use qingwave::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{House, PATIENCE, Plan};

/// What the upstream of these tests reports: ten tokens in, five out.
pub const USAGE: &str = r#""usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;
/// What they cost at the overlay's prices.
pub const CHARGE: &str = "0.00002";

/// What happens to a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    KeepAlive,
    Close,
    Reset,
    /// Stays open and silent until the gateway closes it.
    Stay,
}

type Script = Arc<dyn Fn(Peer) -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    /// Connections that the gateway closed while the script stayed.
    pub closed: AtomicUsize,
    pub last: Mutex<Request>,
}

#[derive(Debug, Clone, Default)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

pub struct Upstream {
    pub port: u16,
    pub seen: Arc<Seen>,
    script: Arc<Mutex<Script>>,
    /// Counts the changes of the script.
    changes: watch::Sender<usize>,
    accepting: tokio::task::AbortHandle,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    pub async fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Arc::new(|_| Box::pin(async {}))));
        let (noted, scripts) = (seen.clone(), script.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let index = noted.connections.fetch_add(1, Ordering::AcqRel);
                let play = scripts.lock().clone();
                tokio::spawn(play(Peer { socket, read: Vec::new(), index, seen: noted.clone() }));
            }
        });
        Upstream { port, seen, script, changes: watch::Sender::new(0), accepting: accepting.abort_handle() }
    }

    /// New connections are served by `script`.
    pub fn plays<F: Future<Output = ()> + Send + 'static>(&self, script: impl Fn(Peer) -> F + Send + Sync + 'static) {
        *self.script.lock() = Arc::new(move |peer| Box::pin(script(peer)));
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Every request is read and answered with `bytes`. Connections that another script left in the gateway's pool end.
    pub fn says(&self, bytes: impl Into<Vec<u8>>, then: Then) {
        let bytes: Arc<[u8]> = bytes.into().into();
        let changes = self.changes.clone();
        self.plays(move |mut peer| {
            let (bytes, mut changed) = (bytes.clone(), changes.subscribe());
            async move {
                loop {
                    tokio::select! {
                        biased;
                        _ = changed.changed() => return,
                        request = peer.read() => if request.is_none() { return },
                    }
                    peer.say(&bytes).await;
                    match then {
                        Then::KeepAlive => {}
                        Then::Close => return,
                        Then::Reset => return peer.reset(),
                        Then::Stay => return peer.until_closed().await,
                    }
                }
            }
        });
    }

    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Acquire)
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Acquire)
    }

    /// Waits until the gateway has closed `count` connections that stayed open.
    pub async fn closed(&self, count: usize) {
        until("the upstream is left", || self.seen.closed.load(Ordering::Acquire) >= count).await;
    }

    /// Waits until `count` requests have come in whole.
    pub async fn asked(&self, count: usize) {
        until("the upstream is asked", || self.requests() >= count).await;
    }
}

/// Waits for a condition: bounded, without a pause of its own.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("in time: {what}"));
}

/// One connection from the gateway.
pub struct Peer {
    pub socket: TcpStream,
    read: Vec<u8>,
    pub index: usize,
    pub seen: Arc<Seen>,
}

impl Peer {
    /// The head of the next request, and nothing of its body but what came with it. `None` when the gateway closed.
    pub async fn read_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.read.split_off(at + 4);
                let head = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
                return Some(head);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next request, whole.
    pub async fn read(&mut self) -> Option<Request> {
        let head = self.read_head().await?;
        let length =
            head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        while self.read.len() < length {
            if !self.more().await {
                return None;
            }
        }
        let rest = self.read.split_off(length);
        let request = Request { head, body: std::mem::replace(&mut self.read, rest) };
        *self.seen.last.lock() = request.clone();
        self.seen.requests.fetch_add(1, Ordering::AcqRel);
        Some(request)
    }

    async fn more(&mut self) -> bool {
        matches!(self.socket.read_buf(&mut self.read).await, Ok(1..))
    }

    /// The gateway may be gone already; what it got is seen at its client.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    pub async fn until_closed(mut self) {
        while self.more().await {}
        self.seen.closed.fetch_add(1, Ordering::AcqRel);
    }

    /// Closes with a reset instead of an end.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }
}

/// `odd` has one channel to the upstream; `odd-then-good` has the demo upstream behind it; `odd-h2` speaks HTTP/2 to it.
pub fn overlay(port: u16) -> String {
    let model = |id: &str, channels: &str| {
        format!(
            "  - id: {id}
    vendor: demo
    name: Odd
    modality: text
    endpoints: {{chat: {{input: chat@1}}}}
    modalities: {{in: [text], out: [text]}}
    limits: {{context: 40000000, max_output: 1000}}
    lifecycle: {{released: \"2026-01-01\"}}
    price:
      - {{meter: input_tokens, per: 1M, usd: \"1.00\"}}
      - {{meter: output_tokens, per: 1M, usd: \"2.00\"}}
    channels:
{channels}    sources: [{{ref: \"test\", seen: \"2026-01-01\"}}]
"
        )
    };
    let one = |id: &str, provider: &str, upstream: &str, more: &str| {
        format!("      - {{id: {id}, provider: {provider}, upstream: {upstream}, protocol: openai.chat{more}}}\n")
    };
    let hasty = ", timeouts: {first_content_ms: 700}";
    format!(
        "providers:
  - {{id: odd, base_url: \"http://127.0.0.1:{port}/v1\", auth: none}}
  - {{id: odd-h2, base_url: \"http://127.0.0.1:{port}/v1\", http: h2, auth: none}}
models:
{}{}{}{}",
        model("odd", &one("odd", "odd", "m", ", cost: [{meter: output_tokens, per: 1M, usd: \"1.00\"}]")),
        model("odd-hasty", &one("odd", "odd", "m", hasty)),
        model("odd-h2", &one("odd-h2", "odd-h2", "m", "")),
        model(
            "odd-then-good",
            &(one("odd", "odd", "m", ", priority: 0") + &one("good", "demo", "ok", ", priority: 1"))
        ),
    )
}

/// A gateway in front of a scripted upstream.
pub async fn house(adjust: impl FnOnce(&mut Config) + 'static) -> (House, Upstream) {
    let upstream = Upstream::start().await;
    let plan = Plan {
        overlay: vec![("odd.yaml".to_owned(), overlay(upstream.port))],
        fund: "1000",
        adjust: Box::new(adjust),
        ..Plan::default()
    };
    (House::with(plan).await, upstream)
}

/// A good whole answer's document.
pub fn document() -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"hello"}},"finish_reason":"stop"}}],{USAGE}}}"#
    )
}

/// A whole answer over HTTP/1.1 with a right length.
pub fn answer(status: &str, media_type: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The events of a good stream, each with its blank line.
pub fn events() -> Vec<String> {
    vec![
        data(r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"hel"}}]}"#),
        data(r#"{"id":"c","choices":[{"index":0,"delta":{"content":"lo"}}]}"#),
        data(r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#),
        data(&format!(r#"{{"id":"c","choices":[],{USAGE}}}"#)),
        data("[DONE]"),
    ]
}

pub fn data(json: &str) -> String {
    format!("data: {json}\n\n")
}

/// The head of a stream of chunks.
pub const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

pub fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A stream with all its framing.
pub fn stream(events: &[String]) -> String {
    let chunks: String = events.iter().map(|event| chunk(event)).collect();
    format!("{STREAM_HEAD}{chunks}0\r\n\r\n")
}
