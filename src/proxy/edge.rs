//! The data listener: accepts, shakes hands, and hands connections to Pingora's HTTP proxy.
//!
//! An accept loop of our own around Pingora's proxy, for what its server object cannot do: say which port it got, stop
//! accepting at once, and return as soon as the last call is finished.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora::apps::HttpServerApp;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::protocols::{ALPN, GetSocketDigest, SocketDigest, Ssl, Stream, l4};
use pingora::proxy::{HttpProxy, ProxyHttp};
use pingora::services::listening::Service;
use rustc_hash::FxHashMap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::pace::{CONNECTION, HeaderClock, Paced};

/// Longest wait for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Pause after a failed accept, so that a full file table does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often draining looks whether the last call is finished.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    pub total_max: usize,
    pub per_address_max: usize,
    /// From the first byte of a request to the end of its header.
    pub header_time_max: Duration,
}

/// The certificate that new handshakes get; replaced without a restart.
#[derive(Debug)]
pub struct Certificate {
    cert_file: PathBuf,
    key_file: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the pair, or says which file is wrong.
    pub fn load(cert_file: PathBuf, key_file: PathBuf) -> Result<Arc<Certificate>, String> {
        let current = ArcSwap::from(Certificate::read(&cert_file, &key_file)?);
        Ok(Arc::new(Certificate { cert_file, key_file, current }))
    }

    /// Reads the pair again. On an error the one in use stays.
    pub fn reload(&self) -> Result<(), String> {
        self.current.store(Certificate::read(&self.cert_file, &self.key_file)?);
        Ok(())
    }

    /// The folders to watch for changes.
    pub fn folders(&self) -> Vec<PathBuf> {
        let folder = |file: &PathBuf| file.parent().map(PathBuf::from).unwrap_or_else(|| PathBuf::from("."));
        let mut folders = vec![folder(&self.cert_file), folder(&self.key_file)];
        folders.dedup();
        folders
    }

    fn read(cert_file: &PathBuf, key_file: &PathBuf) -> Result<Arc<CertifiedKey>, String> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(cert_file)
            .and_then(|pems| pems.collect())
            .map_err(|e| format!("tls.cert_file {}: {e}", cert_file.display()))?;
        if chain.is_empty() {
            return Err(format!("tls.cert_file {}: holds no certificate", cert_file.display()));
        }
        let key =
            PrivateKeyDer::from_pem_file(key_file).map_err(|e| format!("tls.key_file {}: {e}", key_file.display()))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider)
            .map(Arc::new)
            .map_err(|e| format!("tls.cert_file {} does not fit tls.key_file: {e}", cert_file.display()))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Says which connections are open, and counts calls, so that a stop can wait for them.
#[derive(Debug, Default)]
pub struct Load {
    connections: AtomicUsize,
    calls: AtomicUsize,
    by_address: Mutex<FxHashMap<IpAddr, usize>>,
}

/// One call being served; counted while it lives.
pub struct CallGuard(Arc<Load>);

impl Load {
    pub fn begin_call(self: &Arc<Load>) -> CallGuard {
        self.calls.fetch_add(1, Ordering::AcqRel);
        CallGuard(self.clone())
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    fn admit(self: &Arc<Load>, address: IpAddr, limits: ConnectionLimits) -> Option<ConnectionGuard> {
        let mut by_address = self.by_address.lock();
        let here = by_address.entry(address).or_default();
        if self.connections() >= limits.total_max || *here >= limits.per_address_max {
            if *here == 0 {
                by_address.remove(&address);
            }
            return None;
        }
        *here += 1;
        self.connections.fetch_add(1, Ordering::AcqRel);
        Some(ConnectionGuard { load: self.clone(), address })
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

struct ConnectionGuard {
    load: Arc<Load>,
    address: IpAddr,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Ordering::AcqRel);
        let mut by_address = self.load.by_address.lock();
        if let Some(here) = by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Everything that the accept loop needs.
pub struct Edge<SV> {
    pub proxy: Arc<HttpProxy<SV>>,
    pub load: Arc<Load>,
    pub limits: ConnectionLimits,
    pub certificate: Option<Arc<Certificate>>,
}

impl<SV> Edge<SV>
where
    SV: ProxyHttp + Send + Sync + 'static,
    SV::CTX: Send + Sync,
{
    /// Serves until `stop` turns true, then closes the listener and idle connections, lets running calls finish, and
    /// returns when the last has, at the latest after `grace`.
    pub async fn serve(
        self,
        listener: TcpListener,
        mut stop: watch::Receiver<bool>,
        grace: Duration,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let acceptor = self.certificate.clone().map(acceptor);
        loop {
            tokio::select! {
                changed = stop.changed() => if changed.is_err() || *stop.borrow() { break },
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => self.welcome(socket, peer, acceptor.clone(), stop.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        self.proxy.http_cleanup().await;
        self.drain(grace).await;
        Ok(())
    }

    fn welcome(
        &self,
        socket: tokio::net::TcpStream,
        peer: SocketAddr,
        acceptor: Option<Arc<Acceptor>>,
        stop: watch::Receiver<bool>,
    ) {
        let Some(guard) = self.load.admit(peer.ip(), self.limits) else {
            tracing::warn!(address = %peer.ip(), "connection limit reached, connection closed");
            return;
        };
        let proxy = self.proxy.clone();
        let limit = self.limits.header_time_max;
        tokio::spawn(async move {
            let _guard = guard;
            let clock = Arc::new(HeaderClock::default());
            match shake_hands(socket, acceptor, clock.clone(), limit).await {
                Ok(stream) => {
                    let served = Service::<HttpProxy<SV>>::handle_event(stream, proxy, stop);
                    CONNECTION.scope(clock, served).await
                }
                Err(error) => tracing::debug!(address = %peer, %error, "no connection"),
            }
        });
    }

    async fn drain(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while self.load.calls() > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        if self.load.calls() > 0 {
            tracing::warn!(calls = self.load.calls(), "grace is over, running calls are cut");
        }
    }
}

fn acceptor(certificate: Arc<Certificate>) -> Arc<Acceptor> {
    let mut settings = TlsSettings::intermediate("", "").expect("paths are not read when a resolver is set");
    settings.set_cert_resolver(certificate);
    settings.enable_h2();
    Arc::new(settings.build())
}

async fn shake_hands(
    socket: tokio::net::TcpStream,
    acceptor: Option<Arc<Acceptor>>,
    clock: Arc<HeaderClock>,
    header_time_max: Duration,
) -> Result<Stream, String> {
    socket.set_nodelay(true).map_err(|e| e.to_string())?;
    let digest = SocketDigest::from_raw_fd(std::os::fd::AsRawFd::as_raw_fd(&socket));
    let mut stream = l4::stream::Stream::from(socket);
    stream.set_socket_digest(digest);
    let Some(acceptor) = acceptor else {
        return Ok(Box::new(Paced::new(stream, clock, header_time_max, false)));
    };
    // Boxed: its state is large, and would be part of every connection's task for as long as that lives.
    let handshake = Box::pin(acceptor.tls_handshake(stream));
    match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
        Ok(Ok(stream)) => {
            let http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
            Ok(Box::new(Paced::new(stream, clock, header_time_max, http2)))
        }
        Ok(Err(error)) => Err(format!("TLS handshake: {error}")),
        Err(_) => Err("TLS handshake timed out".to_owned()),
    }
}
