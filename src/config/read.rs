//! The configuration's keys: which there are, what they may be, and what they may be together.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

use super::fields::{Fields, Found, PROBLEMS_MAX, Problems};
use super::secret::Reference;
use super::tree::{self, Place};
use super::{
    Config, Durability, Egress, Ledger, Limits, Log, LogFormat, Policy, Refused, Routing, Secrets, Shutdown,
    TEXT_BYTES_MAX, Tls, report,
};
use crate::catalog::Problem;

type Resolve<'a> = &'a dyn Fn(&str) -> Result<SecretString, String>;

/// Every key, with its section. `docs/configuration.md` explains each; a test compares.
pub const SCHEMA: &[&str] = &[
    "listen",
    "admin_listen",
    "data_dir",
    "catalog_dir",
    "overlay_dir",
    "tls",
    "tls.cert_file",
    "tls.key_file",
    "secrets",
    "secrets.pepper",
    "secrets.admin_key",
    "limits",
    "limits.body_bytes_max",
    "limits.media_body_bytes_max",
    "limits.bodies_bytes_total",
    "limits.header_bytes_max",
    "limits.uri_bytes_max",
    "limits.json_depth_max",
    "limits.header_ms",
    "limits.body_idle_ms",
    "limits.connections_max",
    "limits.connections_per_address_max",
    "ledger",
    "ledger.durability",
    "ledger.policy",
    "ledger.day_zone",
    "ledger.journal_bytes_max",
    "routing",
    "routing.attempts_max",
    "routing.connect_ms",
    "routing.first_content_ms",
    "routing.idle_ms",
    "routing.keepalive_after_ms",
    "egress",
    "egress.allow_private",
    "log",
    "log.level",
    "log.format",
    "shutdown",
    "shutdown.grace_ms",
];

const KIB: i128 = 1 << 10;
const MIB: i128 = 1 << 20;
const GIB: i128 = 1 << 30;
const HOUR_MS: i128 = 3_600_000;
const TEN_MINUTES_MS: i128 = 600_000;
/// A shorter secret can be guessed.
const SECRET_BYTES_MIN: usize = 16;
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

pub fn read(path: &Path, text: &str, resolve: Resolve<'_>) -> Result<Config, Refused> {
    let problems = Problems::default();
    if text.len() as u64 > TEXT_BYTES_MAX {
        problems.add(Place::START, format!("the file is larger than {TEXT_BYTES_MAX} bytes"));
        return Err(refused(path, text, problems.into_sorted()));
    }
    let node = match tree::parse(text) {
        Ok(node) => node,
        Err((place, message)) => return Err(not_yaml(path, text, place, &message)),
    };
    let top = Fields::top(node.as_ref(), SCHEMA, &problems);
    let config = take(&top, path.parent().unwrap_or(Path::new("")), resolve);
    check_together(&top, &config);
    match problems.into_sorted() {
        found if found.is_empty() => Ok(config),
        found => Err(refused(path, text, found)),
    }
}

fn take(top: &Fields<'_>, folder: &Path, resolve: Resolve<'_>) -> Config {
    let default = Config::defaults();
    Config {
        listen: address(top, "listen", default.listen),
        admin_listen: address(top, "admin_listen", default.admin_listen),
        data_dir: path(top, "data_dir", folder).unwrap_or_else(|| folder.join(default.data_dir)),
        catalog_dir: path(top, "catalog_dir", folder).unwrap_or_else(|| folder.join(default.catalog_dir)),
        overlay_dir: path(top, "overlay_dir", folder),
        tls: tls(top, folder),
        secrets: secrets(top, folder, resolve),
        limits: limits(&top.section("limits."), default.limits),
        ledger: ledger(&top.section("ledger."), default.ledger),
        routing: routing(&top.section("routing."), default.routing),
        egress: Egress { allow_private: top.section("egress.").boolean("allow_private", default.egress.allow_private) },
        log: log(&top.section("log."), default.log),
        shutdown: Shutdown {
            grace_ms: top.section("shutdown.").integer("grace_ms", default.shutdown.grace_ms, 0..=HOUR_MS),
        },
    }
}

fn tls(top: &Fields<'_>, folder: &Path) -> Option<Tls> {
    let place = top.place("tls")?;
    let section = top.section("tls.");
    let (cert_file, key_file) = (path(&section, "cert_file", folder), path(&section, "key_file", folder));
    for (name, value) in [("cert_file", &cert_file), ("key_file", &key_file)] {
        if value.is_none() && section.place(name).is_none() {
            section.refuse(name, place, "missing: TLS needs both cert_file and key_file");
        }
    }
    Some(Tls { cert_file: cert_file?, key_file: key_file? })
}

fn secrets(top: &Fields<'_>, folder: &Path, resolve: Resolve<'_>) -> Secrets {
    let section = top.section("secrets.");
    Secrets {
        pepper: secret(&section, "pepper", folder, resolve),
        admin_key: secret(&section, "admin_key", folder, resolve),
    }
}

fn limits(s: &Fields<'_>, d: Limits) -> Limits {
    Limits {
        body_bytes_max: s.integer("body_bytes_max", d.body_bytes_max, KIB..=GIB),
        media_body_bytes_max: s.integer("media_body_bytes_max", d.media_body_bytes_max, KIB..=4 * GIB),
        bodies_bytes_total: s.integer("bodies_bytes_total", d.bodies_bytes_total, MIB..=1024 * GIB),
        header_bytes_max: s.integer("header_bytes_max", d.header_bytes_max, KIB..=MIB),
        uri_bytes_max: s.integer("uri_bytes_max", d.uri_bytes_max, 256..=64 * KIB),
        json_depth_max: s.integer("json_depth_max", d.json_depth_max, 4..=512),
        header_ms: s.integer("header_ms", d.header_ms, 100..=TEN_MINUTES_MS),
        body_idle_ms: s.integer("body_idle_ms", d.body_idle_ms, 100..=HOUR_MS),
        connections_max: s.integer("connections_max", d.connections_max, 1..=1_000_000),
        connections_per_address_max: s.integer(
            "connections_per_address_max",
            d.connections_per_address_max,
            1..=1_000_000,
        ),
    }
}

fn ledger(s: &Fields<'_>, d: Ledger) -> Ledger {
    let durabilities = [("process", Durability::Process), ("power", Durability::Power)];
    let policies = [("clamp", Policy::Clamp), ("strict", Policy::Strict)];
    Ledger {
        durability: s.choice("durability", d.durability, &durabilities),
        policy: s.choice("policy", d.policy, &policies),
        day_zone: day_zone(s).unwrap_or(d.day_zone),
        journal_bytes_max: s.integer("journal_bytes_max", d.journal_bytes_max, 16 * MIB..=1024 * GIB),
    }
}

fn routing(s: &Fields<'_>, d: Routing) -> Routing {
    Routing {
        attempts_max: s.integer("attempts_max", d.attempts_max, 1..=16),
        connect_ms: s.integer("connect_ms", d.connect_ms, 10..=60_000),
        first_content_ms: s.integer("first_content_ms", d.first_content_ms, 10..=TEN_MINUTES_MS),
        idle_ms: s.integer("idle_ms", d.idle_ms, 10..=HOUR_MS),
        keepalive_after_ms: s.integer("keepalive_after_ms", d.keepalive_after_ms, 1_000..=TEN_MINUTES_MS),
    }
}

fn log(s: &Fields<'_>, d: Log) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Log { level: level(s).unwrap_or(d.level), format: s.choice("format", d.format, &formats) }
}

fn address(fields: &Fields<'_>, name: &str, default: SocketAddr) -> SocketAddr {
    let Some((text, place)) = fields.text(name, "127.0.0.1:8080") else { return default };
    text.parse().unwrap_or_else(|_| {
        let hint = match text.rsplit_once(':') {
            Some(("", port)) => format!(": 0.0.0.0:{port} is every address"),
            Some(("localhost", port)) => format!(": 127.0.0.1:{port}"),
            None => ": the port is missing".to_owned(),
            _ => String::new(),
        };
        fields.refuse(
            name,
            place,
            format!("expected an IP address and a port such as 127.0.0.1:8080, got {text:?}{hint}"),
        );
        default
    })
}

fn path(fields: &Fields<'_>, name: &str, folder: &Path) -> Option<PathBuf> {
    let (text, place) = fields.text(name, "./folder")?;
    if text.contains('\0') {
        fields.refuse(name, place, "expected a path, got a text with a NUL");
        return None;
    }
    if let Some((scheme, _)) = text.split_once("://") {
        fields.refuse(name, place, format!("expected a path, got a {scheme} address"));
        return None;
    }
    Some(folder.join(text))
}

fn secret(section: &Fields<'_>, name: &str, folder: &Path, resolve: Resolve<'_>) -> Option<SecretString> {
    let (text, place) = section.text(name, "env:NAME or file:path")?;
    let resolved = match Reference::parse(text) {
        None => Err("a secret is never written here: expected env:NAME or file:path".to_owned()),
        Some(Reference::Env(_)) => resolve(text),
        Some(Reference::File(file)) => resolve(&format!("file:{}", folder.join(file).display())),
    };
    let checked = resolved.and_then(|secret| match secret.expose_secret().len() {
        length if length < SECRET_BYTES_MIN => {
            Err(format!("{text} holds {length} bytes, at least {SECRET_BYTES_MIN} are needed"))
        }
        _ => Ok(secret),
    });
    checked.map_err(|problem| section.refuse(name, place, problem)).ok()
}

fn day_zone(section: &Fields<'_>) -> Option<String> {
    let (text, place) = section.text("day_zone", "UTC or Asia/Shanghai")?;
    if let Err(error) = jiff::tz::TimeZone::get(text) {
        section.refuse(
            "day_zone",
            place,
            format!("expected a time zone that this machine knows, such as UTC: {error}"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn level(section: &Fields<'_>) -> Option<String> {
    let (text, place) = section.text("level", "info")?;
    let problem: Option<Box<dyn Display>> = if text.contains(['=', ',']) {
        EnvFilter::try_new(text).err().map(|e| Box::new(e) as Box<dyn Display>)
    } else if LEVELS.contains(&text) {
        None
    } else {
        Some(Box::new(format!("expected one of {}, got {text:?}", LEVELS.join(", "))))
    };
    if let Some(problem) = problem {
        section.refuse("level", place, problem);
        return None;
    }
    Some(text.to_owned())
}

/// What no field can see alone. A problem stands at the field that was written, else at the start.
fn check_together(top: &Fields<'_>, config: &Config) {
    let at = |fields: &Fields<'_>, name: &str| fields.place(name).unwrap_or(Place::START);
    let (data, admin) = (config.listen, config.admin_listen);
    if data.port() == admin.port() && data.port() != 0 && overlap(data.ip(), admin.ip()) {
        top.refuse(
            "admin_listen",
            at(top, "admin_listen"),
            format!("{admin} is taken by listen {data}: choose another port"),
        );
    }
    // A reference that cannot be resolved is a problem of its own.
    let admin_key_given = top.section_has("secrets.", "admin_key");
    if !admin.ip().to_canonical().is_loopback() && !admin_key_given {
        let problem =
            format!("{admin} can be reached from other machines: set secrets.admin_key, or listen on 127.0.0.1");
        top.refuse("admin_listen", at(top, "admin_listen"), problem);
    }
    check_limits(&top.quiet_section("limits."), &config.limits);
}

fn check_limits(section: &Fields<'_>, limits: &Limits) {
    let at = |name: &str, other: &str| section.place(name).or(section.place(other)).unwrap_or(Place::START);
    let largest = limits.body_bytes_max.max(limits.media_body_bytes_max);
    if limits.bodies_bytes_total < largest {
        let problem = format!("{} is less than one body may have ({largest})", limits.bodies_bytes_total);
        section.refuse("bodies_bytes_total", at("bodies_bytes_total", "media_body_bytes_max"), problem);
    }
    if limits.uri_bytes_max > limits.header_bytes_max {
        let problem = format!("{} is more than header_bytes_max ({})", limits.uri_bytes_max, limits.header_bytes_max);
        section.refuse("uri_bytes_max", at("uri_bytes_max", "header_bytes_max"), problem);
    }
    if limits.connections_per_address_max > limits.connections_max {
        let (one, all) = (limits.connections_per_address_max, limits.connections_max);
        let place = at("connections_per_address_max", "connections_max");
        section.refuse("connections_per_address_max", place, format!("{one} is more than connections_max ({all})"));
    }
}

fn overlap(a: IpAddr, b: IpAddr) -> bool {
    a.to_canonical() == b.to_canonical() || a.is_unspecified() || b.is_unspecified()
}

fn refused(path: &Path, text: &str, found: Vec<Found>) -> Refused {
    let path = path.display().to_string();
    let mut rendered = String::new();
    for Found { place, message, .. } in found.iter().take(PROBLEMS_MAX) {
        // A problem beside a secret must not show it either.
        let hidden = found.iter().filter(|f| f.hidden && f.place.line == place.line);
        let hide_from = hidden.map(|f| f.place.column - 1 + f.key_width).min();
        report::show(&mut rendered, &path, text, *place, message, hide_from);
    }
    let list = found.iter().map(|f| Problem {
        path: path.clone(),
        line: f.place.line,
        column: f.place.column,
        message: f.message.clone(),
    });
    Refused { rendered, problems: found.len(), list: list.take(PROBLEMS_MAX).collect() }
}

/// Without a tree nobody knows where the secrets are: of a file that may have some, only the line's first key is shown.
fn not_yaml(path: &Path, text: &str, place: Place, message: &str) -> Refused {
    let path = path.display().to_string();
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let first_value = line.chars().position(|c| c == ':').map_or(0, |colon| colon + 1);
    let hide_from = text.contains("secrets").then_some(first_value);
    let mut rendered = String::new();
    report::show(&mut rendered, &path, text, place, message, hide_from);
    let problem = Problem { path, line: place.line, column: place.column, message: message.to_owned() };
    Refused { rendered, problems: 1, list: vec![problem] }
}
