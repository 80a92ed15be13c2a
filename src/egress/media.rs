//! Fetches media from URLs that clients give, to send them inline to an upstream. Must never reach where a client could not
//! reach by itself, and never trust what the other end says of its bytes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url, header, redirect};

use super::error::FetchError;
use super::{address, magic};

const URL_BYTES_MAX: usize = 8192;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// What is set aside before a sender has shown that it has as much as it says.
const FIRST_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaLimits {
    pub bytes_max: usize,
    /// From the first step to the last byte, redirects included.
    pub time_max: Duration,
    pub redirects_max: usize,
}

impl Default for MediaLimits {
    fn default() -> MediaLimits {
        MediaLimits { bytes_max: 20 << 20, time_max: Duration::from_secs(10), redirects_max: 3 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// By the bytes themselves, not by what their sender says.
    pub mime: &'static str,
    pub bytes: Bytes,
}

/// Says whether an address may be dialled.
type Rule = fn(IpAddr) -> bool;
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// One client for all such URLs: no proxy of the environment, no cookies, no credentials, no reused connections.
#[derive(Clone)]
pub struct MediaFetcher {
    client: Client,
    rule: Rule,
}

impl MediaFetcher {
    /// With `allow_private` every address may be reached, for tests and for gateways whose clients are all of the house.
    pub fn new(allow_private: bool) -> reqwest::Result<MediaFetcher> {
        let rule: Rule = if allow_private { |_| true } else { address::is_public };
        let lookup = |name: String| -> BoxFuture<'static, _> {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        };
        MediaFetcher::with(rule, Arc::new(lookup))
    }

    pub(super) fn with(rule: Rule, lookup: Lookup) -> reqwest::Result<MediaFetcher> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_MAX)
            .dns_resolver(Arc::new(Filtered { rule, lookup }))
            .user_agent(concat!("qingwave/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(MediaFetcher { client, rule })
    }

    /// Fetches a URL of a client. Every address on the way is checked after it was resolved, and what was checked is what is
    /// dialled: a name that changes its mind in between wins nothing.
    pub async fn fetch_media(&self, url: &str, limits: &MediaLimits) -> Result<Fetched, FetchError> {
        match tokio::time::timeout(limits.time_max, self.fetch(url, limits)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::TooSlow { seconds: limits.time_max.as_secs() }),
        }
    }

    async fn fetch(&self, url: &str, limits: &MediaLimits) -> Result<Fetched, FetchError> {
        let mut url = read_url(url)?;
        for _ in 0..=limits.redirects_max {
            let answer = self.ask(&url).await?;
            let status = answer.status();
            if status.is_redirection() {
                url = next_url(&url, &answer)?;
                continue;
            }
            if !status.is_success() {
                return Err(FetchError::Status { status: status.as_u16() });
            }
            let bytes = read_body(answer, limits.bytes_max).await?;
            let mime = magic::media_type(&bytes).ok_or(FetchError::NotMedia)?;
            return Ok(Fetched { mime, bytes });
        }
        Err(FetchError::Redirects { max: limits.redirects_max })
    }

    /// One request. A host that is an address itself does not come by the resolver, so it is checked here.
    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let host = url.host_str().unwrap_or_default();
        if let Some(address) = literal(host)
            && !(self.rule)(address)
        {
            return Err(FetchError::Forbidden { host: host.to_owned() });
        }
        let request = self.client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        request.send().await.map_err(|error| broken(error, host))
    }
}

fn read_url(text: &str) -> Result<Url, FetchError> {
    if text.len() > URL_BYTES_MAX {
        return Err(FetchError::BadUrl("it is longer than 8 KiB"));
    }
    let url = Url::parse(text).map_err(|_| FetchError::BadUrl("it is not a URL"))?;
    checked(url)
}

fn next_url(url: &Url, answer: &Response) -> Result<Url, FetchError> {
    let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let next = location.filter(|location| location.len() <= URL_BYTES_MAX).and_then(|location| url.join(location).ok());
    checked(next.ok_or(FetchError::BadUrl("it redirects without saying where to"))?)
}

fn checked(url: Url) -> Result<Url, FetchError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FetchError::BadUrl("its scheme is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::BadUrl("it holds a user name or password"));
    }
    match url.host_str() {
        Some(host) if !host.is_empty() => Ok(url),
        _ => Err(FetchError::BadUrl("it has no host")),
    }
}

/// An address in place of a name, as a parsed URL has it: whatever form it came in, it is plain by then.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// The whole body, refused as soon as it is known to be too large.
async fn read_body(mut answer: Response, bytes_max: usize) -> Result<Bytes, FetchError> {
    let said = answer.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if said > bytes_max {
        return Err(FetchError::TooLarge { bytes_max });
    }
    let mut body = BytesMut::with_capacity(said.min(FIRST_BYTES_MAX));
    while let Some(chunk) = answer.chunk().await.map_err(|error| FetchError::Broken(error.without_url()))? {
        if chunk.len() > bytes_max - body.len() {
            return Err(FetchError::TooLarge { bytes_max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What the resolver said, if it was the resolver; the URL may hold a token, so it is not kept.
fn broken(error: reqwest::Error, host: &str) -> FetchError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        match current.downcast_ref::<NoAddress>() {
            Some(NoAddress::Forbidden) => return FetchError::Forbidden { host: host.to_owned() },
            Some(NoAddress::Unresolved) => return FetchError::Unresolved { host: host.to_owned() },
            None => cause = current.source(),
        }
    }
    FetchError::Broken(error.without_url())
}

/// Resolves a name and passes on only the addresses that may be dialled.
struct Filtered {
    rule: Rule,
    lookup: Lookup,
}

#[derive(Debug, thiserror::Error)]
enum NoAddress {
    #[error("the name leads to no address that may be reached")]
    Forbidden,
    #[error("the name cannot be resolved")]
    Unresolved,
}

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let (rule, looked_up) = (self.rule, (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = looked_up.await.unwrap_or_default();
            let unresolved = found.is_empty();
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| rule(address.ip())).collect();
            match (unresolved, allowed.is_empty()) {
                (true, _) => Err(NoAddress::Unresolved.into()),
                (false, true) => Err(NoAddress::Forbidden.into()),
                (false, false) => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
