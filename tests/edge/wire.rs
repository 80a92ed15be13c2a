//! A client that sends bytes as they are, and reads answers by their own framing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{House, PATIENCE};

pub struct Wire {
    pub socket: TcpStream,
    read: Vec<u8>,
}

/// An answer as its bytes say it.
#[derive(Debug)]
pub struct Raw {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Raw {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        json["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Wire {
    pub async fn open(house: &House) -> Wire {
        let socket = TcpStream::connect(house.running.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Wire { socket, read: Vec::new() }
    }

    /// The gateway may have refused and closed already: what it answered is what counts.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).await.is_ok()
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.read));
        matches!(read.await.expect("an answer or an end in time"), Ok(1..))
    }

    /// Reads the next answer; `None` when the connection ended without one.
    pub async fn answer(&mut self) -> Option<Raw> {
        let at = loop {
            if let Some(at) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                assert!(self.read.is_empty(), "half a head: {:?}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let rest = self.read.split_off(at);
        let head = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut raw = Raw { status, head, body: String::new() };
        if status == 100 {
            return Some(raw);
        }
        raw.body = String::from_utf8(self.body(&raw).await).unwrap();
        Some(raw)
    }

    async fn body(&mut self, raw: &Raw) -> Vec<u8> {
        if raw.header("transfer-encoding").is_some() {
            assert!(raw.header("content-length").is_none(), "two framings: {}", raw.head);
            return self.chunks().await;
        }
        match raw.header("content-length") {
            Some(length) => self.exactly(length.parse().unwrap()).await,
            None => {
                while self.more().await {}
                std::mem::take(&mut self.read)
            }
        }
    }

    async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().await, "the body broke off: {:?}", String::from_utf8_lossy(&self.read));
        }
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.read.windows(2).position(|w| w == b"\r\n") {
                    break end;
                }
                assert!(self.more().await, "the chunks broke off after {:?}", String::from_utf8_lossy(&body));
            };
            let size = self.exactly(end + 2).await;
            let size = usize::from_str_radix(std::str::from_utf8(&size[..end]).unwrap(), 16).unwrap();
            let data = self.exactly(size + 2).await;
            body.extend_from_slice(&data[..size]);
            if size == 0 {
                return body;
            }
        }
    }

    /// Whether the gateway ends the connection without another byte.
    pub async fn ends(&mut self) -> bool {
        let more = self.more().await;
        !more && self.read.is_empty()
    }

    /// Everything until the connection ends.
    pub async fn all(mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// A call's bytes, with more header lines (each with its CRLF).
pub fn call(house: &House, body: &str, more: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}content-length: {}\r\n\r\n{body}",
        house.key,
        body.len()
    )
}

/// A call's head without framing: `more` gives it.
pub fn head(house: &House, version: &str, more: &str) -> String {
    format!("POST /v1/chat/completions HTTP/{version}\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n", house.key)
}
