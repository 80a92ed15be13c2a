//! Where a channel's upstream is: name resolution and Pingora's peer options.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustc_hash::{FxHashMap, FxHasher};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::catalog::{Channel, UpstreamHttp};
use crate::config::Routing;

/// How long an unused connection to an upstream is kept: short, so that a burst leaves no crowd of them behind.
const POOLED_MAX: Duration = Duration::from_secs(15);
/// Calls that share one HTTP/2 connection to an upstream.
const H2_STREAMS_MAX: usize = 100;

/// How long a resolved address is used before it is resolved again, in the background of the first call that finds it old.
const ADDRESS_AGE_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a resolver.
const RESOLVE_MAX: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Resolved {
    addresses: Arc<[SocketAddr]>,
    at: Instant,
}

/// Host names to addresses, cached. Pingora's own constructor would block and panic on a name.
#[derive(Default)]
pub struct Resolver {
    names: ArcSwap<FxHashMap<(Arc<str>, u16), Resolved>>,
}

impl Resolver {
    /// An address of the host; `turn` picks among several.
    pub async fn resolve(self: &Arc<Resolver>, host: &Arc<str>, port: u16, turn: usize) -> Result<SocketAddr, String> {
        if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, port));
        }
        let key = (host.clone(), port);
        let known = self.names.load().get(&key).cloned();
        let resolved = match known {
            Some(known) if known.at.elapsed() < ADDRESS_AGE_MAX => known,
            Some(known) => {
                self.remember(key.clone(), known.addresses.clone());
                let resolver = self.clone();
                tokio::spawn(async move { resolver.look_up(key).await });
                known
            }
            None => self.look_up(key).await?,
        };
        Ok(resolved.addresses[turn % resolved.addresses.len()])
    }

    async fn look_up(&self, key: (Arc<str>, u16)) -> Result<Resolved, String> {
        let lookup = tokio::net::lookup_host((&*key.0, key.1));
        let addresses: Arc<[SocketAddr]> = match tokio::time::timeout(RESOLVE_MAX, lookup).await {
            Ok(Ok(addresses)) => one_family(addresses.collect()),
            Ok(Err(error)) => return Err(format!("{} cannot be resolved: {error}", key.0)),
            Err(_) => return Err(format!("{} was not resolved within {} s", key.0, RESOLVE_MAX.as_secs())),
        };
        if addresses.is_empty() {
            return Err(format!("{} has no address", key.0));
        }
        Ok(self.remember(key, addresses))
    }

    fn remember(&self, key: (Arc<str>, u16), addresses: Arc<[SocketAddr]>) -> Resolved {
        let resolved = Resolved { addresses, at: Instant::now() };
        self.names.rcu(|names| {
            let mut names = FxHashMap::clone(names);
            names.insert(key.clone(), resolved.clone());
            names
        });
        resolved
    }
}

/// The IPv4 addresses where there are any: a host without IPv6 would fail every other call on a name that has both.
fn one_family(addresses: Vec<SocketAddr>) -> Arc<[SocketAddr]> {
    let v4: Vec<SocketAddr> = addresses.iter().copied().filter(SocketAddr::is_ipv4).collect();
    if v4.is_empty() { addresses.into() } else { v4.into() }
}

/// Everything that connections to upstreams share.
#[derive(Default)]
pub struct Peers {
    resolver: Arc<Resolver>,
    authorities: ArcSwap<FxHashMap<Arc<str>, Arc<CaType>>>,
    turn: AtomicUsize,
}

impl Peers {
    /// Where to connect for a channel, and how. `patience` is the longest silence before content.
    pub async fn peer(
        &self,
        channel: &Channel,
        routing: &Routing,
        patience: Duration,
    ) -> Result<Box<HttpPeer>, String> {
        let provider = &channel.provider;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let address = self.resolver.resolve(&provider.host, provider.port, turn).await?;
        let name = if provider.tls { provider.host.to_string() } else { String::new() };
        let mut peer = HttpPeer::new(address, provider.tls, name);
        peer.group_key = group_of(channel);
        let connect = Duration::from_millis(channel.timeouts.connect_ms.unwrap_or(routing.connect_ms));
        let idle = Duration::from_millis(channel.timeouts.idle_ms.unwrap_or(routing.idle_ms));
        let options = &mut peer.options;
        options.connection_timeout = Some(connect);
        options.total_connection_timeout = Some(connect * 2);
        options.read_timeout = Some(idle.max(patience));
        // Without it an upload to an upstream that stops reading would never end.
        options.write_timeout = Some(idle);
        options.idle_timeout = Some(POOLED_MAX);
        options.max_h2_streams = H2_STREAMS_MAX;
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        options.alpn = match (provider.http, provider.tls) {
            (UpstreamHttp::H1, _) => ALPN::H1,
            (UpstreamHttp::H2, true) => ALPN::H2H1,
            (UpstreamHttp::H2, false) => ALPN::H2,
        };
        if let Some(pem) = &provider.ca_pem {
            options.ca = Some(self.authority(pem)?);
        }
        Ok(Box::new(peer))
    }

    fn authority(&self, pem: &Arc<str>) -> Result<Arc<CaType>, String> {
        if let Some(known) = self.authorities.load().get(pem) {
            return Ok(known.clone());
        }
        let certificates: Vec<WrappedX509> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .map(|der| der.map(|der| WrappedX509::new(der.to_vec(), parse_x509)))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the provider's ca is not PEM: {error}"))?;
        let authority: Arc<CaType> = certificates.into();
        self.authorities.rcu(|known| {
            let mut known = FxHashMap::clone(known);
            known.insert(pem.clone(), authority.clone());
            known
        });
        Ok(authority)
    }
}

/// Pooled connections are never shared over channels: their keys, certificates and protocols differ.
fn group_of(channel: &Channel) -> u64 {
    let mut hasher = FxHasher::default();
    channel.id.hash(&mut hasher);
    channel.provider.ca_pem.hash(&mut hasher);
    (channel.provider.http == UpstreamHttp::H2).hash(&mut hasher);
    hasher.finish()
}
