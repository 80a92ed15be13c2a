//! A provider's entry → where and how to reach it. Must never know what is sent there.

use std::sync::Arc;

use core::net::SocketAddr;
use secrecy::{ExposeSecret, SecretString};

use super::fields::Fields;
use super::node::{Node, Value};
use super::overlay::Entry;
use super::problem::{Problems, Way};
use super::{Auth, DemoAddresses, Environment, Paths, Provider, UpstreamHttp, abilities};
use crate::wire::Protocol;
use crate::wire::ir::{Quirk, Quirks};

const FIELDS: &[&str] = &[
    "id",
    "name",
    "base_url",
    "http",
    "paths",
    "api_version",
    "auth",
    "key",
    "account",
    "quirks",
    "output_limit_field",
    "anthropic_version",
    "ca",
    "allow_plain",
    "sources",
];
const ANTHROPIC_VERSION: &str = "2023-06-01";
const VERSION_BYTES_MAX: usize = 64;
const HOST_BYTES_MAX: usize = 253;
const BASE_PATH_BYTES_MAX: usize = 256;
/// Where the built-in upstream speaks all protocols but Gemini's.
const DEMO_PATH: &str = "/v1";

/// A provider and whether it can be called.
#[derive(Debug, Clone)]
pub struct ReadProvider {
    pub provider: Arc<Provider>,
    /// Its key (and CA) is configured.
    pub ready: bool,
}

/// The built-in upstream as a provider, for models without a channel that is ready.
pub fn built_in(addresses: DemoAddresses, protocol: Protocol) -> Arc<Provider> {
    let base_path = match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::AnthropicMessages => DEMO_PATH,
        Protocol::GeminiGenerate => "/v1beta",
    };
    Arc::new(Provider {
        id: "demo".into(),
        host: addresses.answering.ip().to_string().into(),
        port: addresses.answering.port(),
        tls: false,
        base_path: base_path.into(),
        http: UpstreamHttp::H1,
        auth: Auth::None,
        paths: Paths::Plain,
        quirks: Quirks::of(&[Quirk::MaxTokens]),
        account: "demo".into(),
        anthropic_version: ANTHROPIC_VERSION.into(),
        ca_pem: None,
    })
}

pub fn read(entry: &Entry, environment: &Environment<'_>, problems: &mut Problems) -> Option<ReadProvider> {
    let root = Way::Root("providers");
    let way = Way::Id(&root, &entry.id);
    let fields = Fields::open(&entry.node, &way, FIELDS, problems)?;
    if !super::is_short_id(&entry.id) {
        problems.add(entry.place, &way, "is not an id: lower-case letters, digits, `.` and `-`, at most 63");
    }
    fields.text("name", problems);
    let http = fields.word("http", &["h1", "h2"], problems);
    let quirks = read_quirks(&fields, problems);
    let account = read_account(&fields, problems).unwrap_or(&entry.id);
    let anthropic_version = read_version(&fields, "anthropic_version", problems).unwrap_or(ANTHROPIC_VERSION);
    let paths = read_paths(&fields, problems);
    let allow_plain = fields.boolean("allow_plain", false, problems);
    let target = read_target(&fields, allow_plain, environment, problems);
    let auth = read_auth(&fields, environment, problems);
    let (ca_pem, ca_ready) = read_ca(&fields, environment, problems);
    let (target, auth) = (target?, auth?);
    let ready = target.ready && auth.is_some() && ca_ready;
    let provider = Provider {
        id: entry.id.as_str().into(),
        host: target.host.into(),
        port: target.port,
        tls: target.tls,
        base_path: target.base_path.into(),
        http: target.http.unwrap_or(if http == Some("h2") { UpstreamHttp::H2 } else { UpstreamHttp::H1 }),
        auth: auth.unwrap_or(Auth::None),
        quirks: match paths {
            Paths::Plain => quirks,
            Paths::Azure { .. } => quirks.with(Quirk::Azure),
        },
        paths,
        account: account.into(),
        anthropic_version: anthropic_version.into(),
        ca_pem,
    };
    Some(ReadProvider { provider: Arc::new(provider), ready })
}

/// The named quirks, and `max_tokens` unless the provider is known to take `max_completion_tokens`: few do.
fn read_quirks(fields: &Fields<'_>, problems: &mut Problems) -> Quirks {
    let quirks = abilities::read_quirks(fields, problems);
    match fields.word("output_limit_field", &["max_tokens", "max_completion_tokens"], problems) {
        Some("max_completion_tokens") => quirks,
        _ => quirks.with(Quirk::MaxTokens),
    }
}

fn read_account<'n>(fields: &Fields<'n>, problems: &mut Problems) -> Option<&'n str> {
    let account = fields.text("account", problems)?;
    if !super::is_short_id(account) {
        let rule = "expected lower-case letters, digits, `.` and `-`, at most 63";
        fields.problem("account", problems, format_args!("{rule}, got {account:?}"));
    }
    Some(account)
}

/// A version that stands in a header or a query.
fn read_version<'n>(fields: &Fields<'n>, name: &str, problems: &mut Problems) -> Option<&'n str> {
    let version = fields.text(name, problems)?;
    let sound = !version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !sound || version.len() > VERSION_BYTES_MAX {
        fields.problem(name, problems, format_args!("expected a version such as \"2024-10-21\", got {version:?}"));
    }
    Some(version)
}

fn read_paths(fields: &Fields<'_>, problems: &mut Problems) -> Paths {
    match fields.word("paths", &["plain", "azure"], problems) {
        Some("azure") => {
            if fields.get("api_version").is_none() {
                fields.problem("api_version", problems, "is missing: `paths: azure` puts it into every path");
            }
            let api_version = read_version(fields, "api_version", problems).unwrap_or_default();
            Paths::Azure { api_version: api_version.into() }
        }
        _ => {
            if fields.get("api_version").is_some() {
                fields.problem("api_version", problems, "means something only beside `paths: azure`");
            }
            Paths::Plain
        }
    }
}

struct Target {
    host: String,
    port: u16,
    tls: bool,
    base_path: String,
    /// Given by the address itself.
    http: Option<UpstreamHttp>,
    ready: bool,
}

fn read_target(
    fields: &Fields<'_>,
    allow_plain: bool,
    environment: &Environment<'_>,
    problems: &mut Problems,
) -> Option<Target> {
    let url = fields.text_needed("base_url", problems)?;
    let target = match url.strip_prefix("demo:") {
        Some(name) => demo_target(name, environment.demo),
        None => parse_url(url, allow_plain),
    };
    match target {
        Ok(target) => Some(target),
        Err(message) => {
            fields.problem("base_url", problems, format_args!("{message}, got {url:?}"));
            None
        }
    }
}

/// `demo:h1`, with another path than `/v1` as `demo:h1/v1beta`.
fn demo_target(name: &str, demo: Option<DemoAddresses>) -> Result<Target, &'static str> {
    let (name, base_path) = name.find('/').map_or((name, DEMO_PATH), |at| name.split_at(at));
    let address = |pick: fn(DemoAddresses) -> SocketAddr| demo.map(pick);
    let (address, http) = match name {
        "h1" => (address(|demo| demo.answering), UpstreamHttp::H1),
        "h2" => (address(|demo| demo.answering), UpstreamHttp::H2),
        "refused" => (address(|demo| demo.refusing), UpstreamHttp::H1),
        _ => return Err("the built-in upstream is demo:h1, demo:h2 or demo:refused"),
    };
    Ok(Target {
        host: address.map_or_else(|| "127.0.0.1".to_owned(), |address| address.ip().to_string()),
        port: address.map_or(0, |address| address.port()),
        tls: false,
        base_path: base_path_of(base_path)?.to_owned(),
        http: Some(http),
        ready: address.is_some(),
    })
}

/// `https://host[:port][/path]`; plain `http://` for this machine, or where it is allowed.
fn parse_url(url: &str, allow_plain: bool) -> Result<Target, &'static str> {
    let (rest, tls) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return Err("expected a URL that begins with https://"),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = split_authority(authority)?;
    let loopback = host == "localhost" || host == "::1" || host.starts_with("127.");
    if !tls && !loopback && !allow_plain {
        return Err("plain http:// sends keys in the clear: use https://, or set allow_plain: true");
    }
    let port = match port {
        None => 80 + 363 * u16::from(tls),
        Some(port) => {
            port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("the port is not a number from 1 to 65535")?
        }
    };
    let base_path = base_path_of(path)?;
    Ok(Target { host: host.to_owned(), port, tls, base_path: base_path.to_owned(), http: None, ready: true })
}

fn base_path_of(path: &str) -> Result<&str, &'static str> {
    let base_path = path.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    if base_path.len() > BASE_PATH_BYTES_MAX || !base_path.bytes().all(plain) || base_path.contains("//") {
        return Err("the path may hold letters, digits and `/-._~` only, without placeholders, query or fragment");
    }
    Ok(base_path)
}

/// Host and port. An IPv6 address loses its brackets.
fn split_authority(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    const WRONG: &str = "the host is not a name or an address";
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(WRONG)?;
        host.parse::<core::net::Ipv6Addr>().map_err(|_| WRONG)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(WRONG),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    if host.is_empty() {
        return Err("the host is empty: without it a certificate cannot be checked");
    }
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        !label.is_empty() && label.len() <= 63 && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(label) {
        return Err(WRONG);
    }
    Ok((host, port))
}

/// Where a key is shown to a provider.
enum Carrier {
    Bearer,
    Header(Arc<str>),
    Query(Arc<str>),
}

/// `Some(None)` where the key is not configured.
fn read_auth(fields: &Fields<'_>, environment: &Environment<'_>, problems: &mut Problems) -> Option<Option<Auth>> {
    let carrier = match fields.get("auth").map(|node| (&node.value, node)) {
        None => Carrier::Bearer,
        Some((Value::Text(text), _)) if text == "none" => {
            if fields.get("key").is_some() {
                fields.problem("key", problems, "is given, but `auth` is none");
            }
            return Some(Some(Auth::None));
        }
        Some((Value::Text(text), _)) if text == "bearer" => Carrier::Bearer,
        Some((Value::Map(_), node)) => read_carrier(node, &Way::Field(fields.way, "auth"), problems)?,
        Some((other, _)) => {
            let expected = "expected none, bearer, {header: name} or {query: name}";
            fields.problem("auth", problems, format_args!("{expected}, got {}", other.describe()));
            return None;
        }
    };
    let Some(secret) = read_reference(fields, "key", environment, problems)? else { return Some(None) };
    Some(Some(match carrier {
        Carrier::Bearer => Auth::Bearer(secret),
        Carrier::Header(name) => Auth::Header { name, secret },
        Carrier::Query(name) => Auth::Query { name, secret },
    }))
}

fn read_carrier(node: &Node, way: &Way<'_>, problems: &mut Problems) -> Option<Carrier> {
    let auth = Fields::open(node, way, &["header", "query"], problems)?;
    match (auth.get("header"), auth.get("query")) {
        (Some(_), None) => {
            let name = auth.text_needed("header", problems)?;
            if !is_header_name(name) {
                auth.problem("header", problems, format_args!("{name:?} is not a header name in lower case"));
                return None;
            }
            Some(Carrier::Header(name.into()))
        }
        (None, Some(_)) => {
            let name = auth.text_needed("query", problems)?;
            let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) && name.len() <= 64;
            if !sound {
                auth.problem("query", problems, format_args!("{name:?} is not a name of letters, digits, `-` and `_`"));
                return None;
            }
            Some(Carrier::Query(name.into()))
        }
        (Some(_), Some(_)) | (None, None) => {
            problems.add(node.place, way, "expected either `header` or `query`");
            None
        }
    }
}

/// A header that may carry a key: none of those that the gateway itself writes.
fn is_header_name(name: &str) -> bool {
    const OURS: &[&str] =
        &["host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade"];
    let sound = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    !name.is_empty() && name.len() <= 64 && sound && !OURS.contains(&name)
}

/// Resolves a key's reference. `None` = something is wrong, `Some(None)` = not configured. Its text is never shown: it may be
/// the secret itself, put in the wrong place.
fn read_reference(
    fields: &Fields<'_>,
    name: &str,
    environment: &Environment<'_>,
    problems: &mut Problems,
) -> Option<Option<SecretString>> {
    let Some(node) = fields.get(name) else {
        fields.problem(name, problems, "is missing: expected env:NAME or file:path");
        return None;
    };
    let reference = match &node.value {
        Value::Text(text) if is_reference(text) => text,
        _ => {
            fields.problem(
                name,
                problems,
                "expected a reference, env:NAME or file:path; a key itself is never written here",
            );
            return None;
        }
    };
    let Some(secret) = (environment.secret)(reference).filter(|secret| !secret.expose_secret().is_empty()) else {
        return Some(None);
    };
    if !secret.expose_secret().bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        fields.problem(name, problems, format_args!("the value of {reference} cannot stand in a header"));
        return None;
    }
    Some(Some(secret))
}

fn is_reference(text: &str) -> bool {
    let name = |name: &str| {
        let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        sound && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
    };
    let path = |path: &str| !path.is_empty() && !path.contains('\0');
    text.strip_prefix("env:").is_some_and(name) || text.strip_prefix("file:").is_some_and(path)
}

fn read_ca(fields: &Fields<'_>, environment: &Environment<'_>, problems: &mut Problems) -> (Option<Arc<str>>, bool) {
    let Some(reference) = fields.text("ca", problems) else { return (None, true) };
    if !reference.starts_with("file:") || !is_reference(reference) {
        fields.problem("ca", problems, "expected file:path");
        return (None, true);
    }
    let Some(pem) = (environment.secret)(reference) else { return (None, false) };
    if !pem.expose_secret().contains("-----BEGIN CERTIFICATE-----") {
        fields.problem("ca", problems, format_args!("{reference} holds no certificate in PEM form"));
    }
    (Some(pem.expose_secret().into()), true)
}
