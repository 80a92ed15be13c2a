use std::cell::RefCell;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::*;

const SECRET: &str = "a-secret-of-enough-bytes";

fn resolve(reference: &str) -> Result<SecretString, String> {
    match reference {
        "env:SHORT" => Ok(SecretString::from("hunter2")),
        "env:UNSET" => Err("UNSET is not set".to_owned()),
        _ => Ok(SecretString::from(SECRET)),
    }
}

fn read(text: &str) -> Result<Config, Refused> {
    Config::read(Path::new("etc/q.yaml"), text, &resolve)
}

/// The messages with their places, as the first line of each block says them.
fn problems(text: &str) -> Vec<String> {
    let refused = read(text).unwrap_err();
    let first_lines: Vec<_> =
        refused.rendered.lines().filter_map(|line| line.strip_prefix("etc/q.yaml:")).map(str::to_owned).collect();
    let list: Vec<_> = refused.list.iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.message)).collect();
    assert_eq!(first_lines, list);
    assert_eq!(refused.problems, list.len());
    list
}

fn check(text: &str, expected: &[&str]) {
    let found = problems(text);
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.contains(e));
    assert!(fits, "{text}\nexpected {expected:#?}\nfound {found:#?}");
}

#[test]
fn the_example_is_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/qingwave.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut config =
        Config::read(Path::new("conf/qingwave.yaml"), &text, &resolve).unwrap_or_else(|r| panic!("{}", r.rendered));
    assert_eq!(config.data_dir, Path::new("conf/../data"));
    assert_eq!(config.catalog_dir, Path::new("conf/../catalog"));
    let defaults = Config::defaults();
    (config.data_dir, config.catalog_dir) = (defaults.data_dir.clone(), defaults.catalog_dir.clone());
    assert_eq!(format!("{config:#?}"), format!("{defaults:#?}"));
}

#[test]
fn the_example_and_the_documents_name_every_key() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("conf/qingwave.yaml")).unwrap();
    let document = std::fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    for key in super::read::SCHEMA {
        let name = key.rsplit('.').next().unwrap();
        assert!(example.contains(&format!("{name}:")), "conf/qingwave.yaml lacks {key}");
        let section = super::read::SCHEMA.iter().any(|other| other.starts_with(&format!("{key}.")));
        assert!(section || document.contains(&format!("| `{key}` |")), "docs/configuration.md lacks {key}");
    }
}

#[test]
fn an_empty_file_is_the_defaults_in_its_own_folder() {
    let config = read("# nothing\nlimits:\nlisten:\n").unwrap();
    assert_eq!(config.data_dir, Path::new("etc/data"));
    assert_eq!(config.limits, Config::defaults().limits);
    assert_eq!(config.listen, Config::defaults().listen);
}

#[test]
fn every_field_is_taken() {
    let text = "\
listen: '[::1]:1'\nadmin_listen: 0.0.0.0:0\ndata_dir: /d\ncatalog_dir: c\noverlay_dir: o
tls: {cert_file: c.pem, key_file: /k.pem}\nsecrets: {pepper: env:P, admin_key: file:key}
limits: {body_bytes_max: 1024, media_body_bytes_max: 1025, bodies_bytes_total: 1048576, header_bytes_max: 1024,
  uri_bytes_max: 256, json_depth_max: 4, header_ms: 100, body_idle_ms: 101, connections_max: 2, connections_per_address_max: 1}
ledger: {durability: power, policy: strict, day_zone: UTC, journal_bytes_max: 16777216}
routing: {attempts_max: 1, connect_ms: 10, first_content_ms: 11, idle_ms: 12, keepalive_after_ms: 1000}
egress: {allow_private: true}
log: {level: 'warn,qingwave=debug', format: json}\nshutdown: {grace_ms: 0}\n";
    let asked = RefCell::new(Vec::new());
    let resolve = |reference: &str| {
        asked.borrow_mut().push(reference.to_owned());
        resolve(reference)
    };
    let config = Config::read(Path::new("etc/q.yaml"), text, &resolve).unwrap_or_else(|r| panic!("{}", r.rendered));
    assert_eq!(asked.into_inner(), ["env:P", "file:etc/key"]);
    assert_eq!(config.secrets.admin_key.as_ref().unwrap().expose_secret(), SECRET);
    assert_eq!((config.listen.to_string(), config.admin_listen.to_string()), ("[::1]:1".into(), "0.0.0.0:0".into()));
    assert_eq!((config.data_dir.as_path(), config.catalog_dir.as_path()), (Path::new("/d"), Path::new("etc/c")));
    assert_eq!(config.overlay_dir.as_deref(), Some(Path::new("etc/o")));
    assert_eq!(config.tls, Some(Tls { cert_file: "etc/c.pem".into(), key_file: "/k.pem".into() }));
    let limits = Limits {
        body_bytes_max: 1024,
        media_body_bytes_max: 1025,
        bodies_bytes_total: 1 << 20,
        header_bytes_max: 1024,
        uri_bytes_max: 256,
        json_depth_max: 4,
        header_ms: 100,
        body_idle_ms: 101,
        connections_max: 2,
        connections_per_address_max: 1,
    };
    assert_eq!(config.limits, limits);
    let ledger = Ledger {
        durability: Durability::Power,
        policy: Policy::Strict,
        day_zone: "UTC".into(),
        journal_bytes_max: 16 << 20,
    };
    assert_eq!(config.ledger, ledger);
    let routing =
        Routing { attempts_max: 1, connect_ms: 10, first_content_ms: 11, idle_ms: 12, keepalive_after_ms: 1000 };
    assert_eq!(config.routing, routing);
    assert!(config.egress.allow_private && !Config::defaults().egress.allow_private);
    assert_eq!(config.log, Log { level: "warn,qingwave=debug".into(), format: LogFormat::Json });
    assert_eq!(config.shutdown, Shutdown { grace_ms: 0 });
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    check(
        "listn: 127.0.0.1:1\nlimits:\n  body_bytes_max: big\n  json_depth: 3\nledger:\n  policy: lenient\nlog: [info]\n",
        &[
            "1:1: unknown key \"listn\": did you mean \"listen\"?",
            "3:19: limits.body_bytes_max: expected a whole number from 1024 to 1073741824, got \"big\"",
            "4:3: unknown key \"limits.json_depth\": did you mean \"json_depth_max\"?",
            "6:11: ledger.policy: expected clamp or strict, got \"lenient\"",
            "7:6: log: expected a map, got a list",
        ],
    );
}

#[test]
fn each_line_is_shown_with_a_caret() {
    let refused = read("listen: 127.0.0.1:8080\nrouting:\n  attempts_max: 99\n").unwrap_err();
    let expected = "etc/q.yaml:3:17: routing.attempts_max: expected a whole number from 1 to 16, got the number 99
   |
 3 |   attempts_max: 99
   |                 ^^
";
    assert_eq!(refused.rendered, expected);
}

#[test]
fn wrong_values_say_what_was_expected() {
    for (text, message) in [
        ("listen: 8080", "1:9: listen: expected text such as 127.0.0.1:8080, got the number 8080"),
        ("listen: :8080", "0.0.0.0:8080 is every address"),
        ("listen: localhost:80", "got \"localhost:80\": 127.0.0.1:80"),
        ("listen: 127.0.0.1", "the port is missing"),
        ("listen: 127.0.0.1:99999", "expected an IP address and a port"),
        ("listen: ''", "got \"\""),
        ("data_dir: [a]", "data_dir: expected text such as ./folder, got a list"),
        ("catalog_dir: {a: b}", "catalog_dir: expected text such as ./folder, got a map"),
        ("catalog_dir: https://example.com/catalog", "catalog_dir: expected a path, got a https address"),
        ("catalog_dir: true", "got the truth value true"),
        ("routing: {attempts_max: 0}", "from 1 to 16, got the number 0"),
        ("routing: {attempts_max: 1.5}", "got the number 1.5"),
        ("routing: {attempts_max: -1}", "got the number -1"),
        ("routing: {attempts_max: '2'}", "got \"2\""),
        ("routing: {attempts_max: 99999999999999999999999999}", "attempts_max: expected a whole number"),
        ("limits: {body_bytes_max: 1_024}", "got \"1_024\""),
        ("ledger: {durability: yes}", "expected process or power, got \"yes\""),
        ("ledger: {day_zone: Mars/Olympus}", "expected a time zone that this machine knows"),
        ("egress: {allow_private: yes}", "egress.allow_private: expected true or false, got \"yes\""),
        ("log: {level: inof}", "expected one of off, error, warn, info, debug, trace, got \"inof\""),
        ("log: {level: 'a=nonsense'}", "log.level: "),
        ("tls: {cert_file: a}", "tls.key_file: missing: TLS needs both"),
        ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", "2:1: duplicate key \"listen\": it stands on line 1 already"),
        ("durability: power", "unknown key \"durability\": did you mean \"ledger.durability\"?"),
        ("routing: {zzz: 1}", "known here: attempts_max, connect_ms, first_content_ms, idle_ms, keepalive_after_ms"),
        ("limits: 3", "limits: expected a map, got the number 3"),
        ("- a", "the file: expected a map, got a list"),
        ("just text", "the file: expected a map, got \"just text\""),
        ("listen: [", "not valid YAML: "),
    ] {
        check(text, &[message]);
    }
}

#[test]
fn values_are_checked_against_each_other() {
    for (text, message) in [
        ("listen: 127.0.0.1:9090", "1:1: admin_listen: 127.0.0.1:9090 is taken by listen"),
        ("listen: 0.0.0.0:9090", "is taken by listen 0.0.0.0:9090"),
        ("limits: {bodies_bytes_total: 1048576}", "1048576 is less than one body may have (104857600)"),
        ("limits: {uri_bytes_max: 2048, header_bytes_max: 1024}", "uri_bytes_max: 2048 is more than header_bytes_max"),
        ("limits: {connections_max: 10}", "connections_per_address_max: 4096 is more than connections_max (10)"),
    ] {
        check(text, &[message]);
    }
    read("listen: 127.0.0.1:0\nadmin_listen: 127.0.0.1:0\n").unwrap();
}

#[test]
fn a_public_admin_address_needs_a_key() {
    for address in ["0.0.0.0:9090", "'[::]:9090'", "192.0.2.1:9090", "'[::ffff:10.0.0.1]:9090'"] {
        let text = format!("admin_listen: {address}\n");
        check(&text, &["admin_listen: "]);
        assert!(problems(&text)[0].contains("set secrets.admin_key"));
        read(&format!("{text}secrets: {{admin_key: env:KEY}}\n")).unwrap();
    }
    for address in ["127.0.0.1:1", "127.9.9.9:1", "'[::1]:1'", "'[::ffff:127.0.0.1]:1'"] {
        read(&format!("admin_listen: {address}\n")).unwrap();
    }
}

#[test]
fn a_secret_is_a_reference_and_is_never_shown() {
    for (text, message) in [
        ("secrets: {admin_key: canary-hunter2-canary}", "secrets.admin_key: a secret is never written here"),
        (
            "secrets: {admin_kee: canary-hunter2-canary}",
            "unknown key \"secrets.admin_kee\": did you mean \"admin_key\"?",
        ),
        ("secrets: {admin_key: [hunter2]}", "secrets.admin_key: expected text such as env:NAME or file:path"),
        ("secrets: {pepper: 2718281828}", "secrets.pepper: expected text"),
        ("secrets: hunter2", "secrets: expected a map, got a value"),
        ("secrets: {admin_key: env:SHORT}", "env:SHORT holds 7 bytes, at least 16 are needed"),
        ("secrets: {admin_key: env:UNSET}", "secrets.admin_key: UNSET is not set"),
        ("secrets:\n  admin_key: hunter2\n : broken", "not valid YAML"),
        ("secrets:\n  admin_key: hunter2: broken", "not valid YAML"),
        ("{zzz: 1, secrets: {admin_key: env:KEY}, admin_key: hunter2}", "unknown key \"zzz\""),
        ("admin_key: hunter2", "unknown key \"admin_key\": did you mean \"secrets.admin_key\"?"),
        ("api_token: hunter2", "unknown key \"api_token\": known here"),
        ("secrets: {pepper: env:P}\nsecrets: {pepper: hunter2}", "duplicate key \"secrets\""),
    ] {
        let refused = read(text).unwrap_err();
        assert!(problems(text)[0].contains(message), "{text}: {}", refused.rendered);
        assert!(
            !refused.rendered.contains("hunter2") && !refused.rendered.contains("2718281828"),
            "{}",
            refused.rendered
        );
    }
    let config = read("secrets: {pepper: env:P}").unwrap();
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn problems_are_counted_beyond_what_is_shown() {
    let text: String = (0..80).map(|n| format!("zz{n}: 1\n")).collect();
    let refused = read(&text).unwrap_err();
    assert_eq!((refused.problems, refused.list.len()), (80, 50));
    let large = "#".repeat(TEXT_BYTES_MAX as usize + 1);
    check(&large, &["1:1: the file is larger than"]);
}
