//! The built-in upstream: speaks the protocols, misbehaves on demand, counts calls. Must never know the gateway.
//!
//! `docs/demo.md` lists the knobs. A request becomes a script of steps (`serve`, pure), and one of two drivers performs it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

mod ask;
mod cache;
mod chat;
mod errors;
mod extra;
mod gemini;
mod http1;
mod http2;
mod knobs;
mod messages;
mod orders;
mod put;
mod reply;
mod responses;
mod sample;
mod script;
mod seal;
mod seen;
mod serve;
mod shape;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod translated;
mod tree;

pub use seen::{Seen, SeenRequest};

use seen::State;

/// Open connections; the next ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
const BACKLOG_MAX: u32 = 4096;
const READ_BUFFER_BYTES: usize = 8 << 10;
/// Pause after an accept that failed for want of resources.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(5);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The demo upstream, running. Dropping the last handle stops it.
#[derive(Clone)]
pub struct Demo {
    running: Arc<Running>,
}

struct Running {
    address: SocketAddr,
    /// Bound and never listened on.
    refusing: TcpSocket,
    refusing_address: SocketAddr,
    state: Arc<State>,
    accepting: AbortHandle,
}

impl Demo {
    /// Binds a loopback port and serves HTTP/1.1 and h2c on it. `seed` fixes ids and random faults.
    pub async fn start(seed: u64) -> io::Result<Demo> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(LOOPBACK)?;
        let listener = socket.listen(BACKLOG_MAX)?;
        let refusing = TcpSocket::new_v4()?;
        refusing.bind(LOOPBACK)?;
        let state = Arc::new(State::new(seed));
        Ok(Demo {
            running: Arc::new(Running {
                address: listener.local_addr()?,
                refusing_address: refusing.local_addr()?,
                refusing,
                accepting: tokio::spawn(accept(listener, state.clone())).abort_handle(),
                state,
            }),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// A loopback port that is bound but never listened on: connections to it are refused as long as the demo lives.
    pub fn refusing_address(&self) -> SocketAddr {
        self.running.refusing_address
    }

    pub fn seen(&self) -> Seen {
        self.running.state.seen()
    }

    /// Forgets what was seen; the first call after it gets the first identity of the seed again.
    pub fn reset(&self) {
        self.running.state.reset();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demo")
            .field("address", &self.running.address)
            .field("refusing", &self.running.refusing)
            .finish()
    }
}

/// Accepts until it is aborted; its connections end with it.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    let state = state.clone();
                    connections.spawn(async move { serve_connection(stream, &state).await });
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY_DELAY).await,
            }
        }
    }
}

/// Looks at the first bytes to tell the HTTP versions apart.
async fn serve_connection(mut stream: TcpStream, state: &Arc<State>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut read = BytesMut::with_capacity(READ_BUFFER_BYTES);
    loop {
        let known = read.len().min(http2::PREFACE.len());
        if read[..known] != http2::PREFACE[..known] {
            return http1::serve(stream, read, state).await;
        }
        if known == http2::PREFACE.len() {
            return http2::serve(stream, read, state).await;
        }
        if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    }
}
