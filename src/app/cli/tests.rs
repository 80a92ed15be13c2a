use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::{get, post};
use clap::{CommandFactory, Parser};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::admin_client::AdminClient;
use super::books::{Absent, Books, encoded};
use super::*;
use crate::api::{State, admin_router};
use crate::catalog::SourceFile;
use crate::ledger::{Ledger, NewKey, Options};
use crate::telemetry::Metrics;

/// Clients build a TLS connector even for plain HTTP.
fn provider() {
    // Another test may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn right_lines_are_taken() {
    for line in [
        "qingwave demo",
        "qingwave demo --listen 127.0.0.1:0 --admin-listen [::1]:0 --data d --seed 7 --json --policy strict --fund 0.5 --log-level info",
        "qingwave serve -c q.yaml",
        "qingwave serve --config q.yaml --upgrade",
        "qingwave check -c q.yaml --json",
        "qingwave keys create --account a --name n --model m --model o/p --policy clamp --expires 2030-01-01T00:00:00Z -c q.yaml --json",
        "qingwave keys list --account a --data d",
        "qingwave keys revoke key-1",
        "qingwave accounts create --id a --name n",
        "qingwave accounts list --json",
        "qingwave wallet show a",
        "qingwave wallet fund a 25.50 --idempotency-key k",
        "qingwave ledger verify --data d",
        "qingwave ledger export -o out.csv",
        "qingwave catalog list",
        "qingwave catalog show openai/gpt-4o --json",
        "qingwave catalog lint -c q.yaml",
        "qingwave catalog reload --force",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_lines_are_usage_errors() {
    for line in [
        "qingwave",
        "qingwave nonsense",
        "qingwave serve",
        "qingwave check",
        "qingwave demo --listen localhost",
        "qingwave demo --fund -1",
        "qingwave demo --fund 1e3",
        "qingwave demo --policy lenient",
        "qingwave keys create",
        "qingwave keys create --account a --expires soon",
        "qingwave wallet fund a",
        "qingwave wallet fund a 0",
        "qingwave wallet fund a 0.0000000001",
        "qingwave keys revoke",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(USAGE), "{line}");
    }
}

#[test]
fn the_demos_defaults_are_the_contracts() {
    let Command::Demo(demo) = parse("qingwave demo").unwrap().command else { panic!("not the demo") };
    assert_eq!(
        (demo.listen.to_string(), demo.admin_listen.to_string()),
        ("127.0.0.1:8080".into(), "127.0.0.1:9090".into())
    );
    assert_eq!(
        (demo.policy, demo.fund.to_string(), demo.data, demo.json),
        (PolicyArg::Clamp, "10".into(), None, false)
    );
}

#[test]
fn an_upgrade_is_refused_before_anything_is_read() {
    let args = ServeArgs { config: "no-such-file".into(), upgrade: true };
    let Err(Failure::Failed(message)) = serve(&args) else { panic!("an upgrade was begun") };
    assert!(message.contains("hand-over"), "{message}");
}

#[test]
fn a_bad_configuration_is_told_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("q.yaml");
    let place = Place { config: Some(path.clone()), data: None, json: false };
    let Err(Failure::BadConfiguration(missing)) = place.config() else { panic!("a missing file was read") };
    assert!(missing.contains("cannot be read"), "{missing}");
    std::fs::write(&path, "listn: 1\nrouting: {attempts_max: 0}\n").unwrap();
    let Err(Failure::BadConfiguration(told)) = place.config() else { panic!("a broken file was taken") };
    assert!(
        told.contains("q.yaml:1:1: ") && told.contains("q.yaml:2:25: ") && told.ends_with("2 problems\n"),
        "{told}"
    );
    std::fs::write(&path, "data_dir: here\n").unwrap();
    assert_eq!(place.config().unwrap().data_dir, folder.path().join("here"));
    let other = Place { data: Some("there".into()), ..place };
    assert_eq!(other.config().unwrap().data_dir, Path::new("there"));
}

#[test]
fn the_document_names_every_command_and_option() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut left = vec![(String::new(), Cli::command())];
    while let Some((above, command)) = left.pop() {
        let name = format!("{above}{}", command.get_name());
        if command.get_subcommands().next().is_none() {
            assert!(document.contains(&format!("`{name}")), "docs/cli.md lacks {name}");
            for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
                assert!(document.contains(&format!("--{option}")), "docs/cli.md lacks --{option} of {name}");
            }
        }
        left.extend(command.get_subcommands().map(|sub| (format!("{name} "), sub.clone())));
    }
}

#[test]
fn segments_of_paths_cannot_leave_their_place() {
    assert_eq!(encoded("acc-1_x~"), "acc-1_x~");
    assert_eq!(encoded("../keys?a=b#c/é"), "%2E%2E%2Fkeys%3Fa%3Db%23c%2F%C3%A9");
}

/// Serves a router on loopback for as long as the runtime lives.
fn served(runtime: &tokio::runtime::Runtime, router: Router) -> String {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn server_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn the_admin_client_tells_what_the_gateway_says() {
    provider();
    let runtime = server_runtime();
    let refused = json!({"error": {"message": "the catalog has 1 problems", "problems": ["a.yaml:1:1: odd"]}});
    let router = Router::new()
        .route(
            "/echo",
            post(|headers: http::HeaderMap, body: String| async move {
                let bearer = headers["authorization"].to_str().unwrap().to_owned();
                axum::Json(json!({"bearer": bearer, "body": serde_json::from_str::<Value>(&body).unwrap()}))
            }),
        )
        .route("/refused", get(move || async move { (http::StatusCode::UNPROCESSABLE_ENTITY, axum::Json(refused)) }))
        .route("/away", get(|| async { (http::StatusCode::FOUND, [("location", "/echo")]) }))
        .route("/text", get(|| async { "a,b\r\n" }));
    let client = AdminClient::new(&served(&runtime, router), SecretString::from("the-key")).unwrap();
    let echo = client.ask(Method::POST, "/echo", Some(&json!({"a": 1}))).unwrap();
    assert_eq!(echo, json!({"bearer": "Bearer the-key", "body": {"a": 1}}));
    let told = Failure::failed("the catalog has 1 problems\n  a.yaml:1:1: odd");
    assert_eq!(client.ask(Method::GET, "/refused", None), Err(told));
    assert!(matches!(client.ask(Method::GET, "/away", None), Err(Failure::Failed(text)) if text.contains("302")));
    let mut copy = Vec::new();
    client.copy("/text", &mut copy).unwrap();
    assert_eq!(copy, b"a,b\r\n");
    assert!(client.copy("/none", &mut copy).is_err());
}

#[test]
fn the_admin_key_goes_to_addresses_alone() {
    provider();
    for url in ["http://127.0.0.1:9090", "http://127.0.0.1:9090/", "http://[::1]:9090", "http://0.0.0.0:9090"] {
        assert!(AdminClient::new(url, SecretString::from("k")).is_ok(), "{url}");
    }
    for url in ["https://127.0.0.1:9090", "http://example.com:9090", "127.0.0.1:9090", "http://127.0.0.1:9090/x", ""] {
        assert!(AdminClient::new(url, SecretString::from("k")).is_err(), "{url}");
    }
}

/// The smallest that is one.
fn catalog() -> Vec<SourceFile> {
    let model = "- id: m1\n  vendor: maker\n  modality: text\n  limits: {context: 1000, max_output: 100}\n  price:\n    \
                 - {meter: input_tokens, per: 1M, usd: \"1\"}\n    - {meter: output_tokens, per: 1M, usd: \"1\"}\n  \
                 channels: [{id: up, provider: up, upstream: m, protocol: openai.chat}]\n  \
                 sources: [{ref: invented, seen: \"2026-11-24\"}]\n";
    let files = [
        ("catalog.yaml", "schema: 1\nversion: test\ncurrency: USD\n"),
        ("providers.yaml", "- {id: up, name: Up, base_url: \"https://up.example/v1\", auth: none}\n"),
        ("models/maker.yaml", model),
    ];
    files.map(|(path, text)| SourceFile { path: path.to_owned(), text: text.to_owned(), overlay: false }).to_vec()
}

/// Creates, lists, funds and revokes; the answers without what differs by chance.
fn book_keeping(books: &Books, account: &str) -> Vec<Value> {
    let made = books.create_account(Some(account), "Acme").unwrap();
    let funded = books.fund(account, Amount::from_nano(2_500_000_000), "once").unwrap();
    let again = books.fund(account, Amount::from_nano(2_500_000_000), "once").unwrap();
    assert_eq!(funded, again);
    let key = NewKey {
        account: account.to_owned(),
        name: "ci".to_owned(),
        policy: Some(Policy::Strict),
        expires_at_ms: Some(4_102_444_800_000),
        ..NewKey::default()
    };
    let key = books.create_key(key).unwrap();
    assert!(key["key"].as_str().unwrap().starts_with("sk-qw-"), "{key}");
    let id = key["id"].as_str().unwrap();
    let listed = books.keys(Some(account)).unwrap();
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["data"][0]["id"]), (1, &json!(id)));
    let revoked = books.revoke_key(id).unwrap();
    assert!(revoked["revoked_at"].is_i64());
    assert!(books.accounts().unwrap()["data"].as_array().unwrap().iter().any(|a| a["id"] == account));
    assert_eq!(books.verify().unwrap()["ok"], true);
    assert!(books.revoke_key("key-none").is_err() && books.wallet("acc-none").is_err());
    let mut csv = Vec::new();
    books.export(&mut csv).unwrap();
    assert!(csv.contains(&b','), "{}", String::from_utf8_lossy(&csv));
    vec![
        made["name"].clone(),
        funded["available"].clone(),
        key["policy"].clone(),
        key["expires_at"].clone(),
        revoked["name"].clone(),
    ]
}

#[test]
fn books_answer_alike_from_the_store_and_from_the_gateway() {
    provider();
    let data = tempfile::tempdir().unwrap();
    let config = Config { data_dir: data.path().to_owned(), ..Config::defaults() };
    let expected = [json!("Acme"), json!("2.5"), json!("strict"), json!(4_102_444_800_000_i64), json!("ci")];
    let alone = Books::with(&config, Absent::Refuse, |books| {
        assert!(matches!(books, Books::Store(_)));
        Ok(book_keeping(books, "acc-store"))
    });
    assert_eq!(alone.unwrap(), expected);

    let runtime = server_runtime();
    let slot = Arc::new(std::sync::OnceLock::<Router>::new());
    let later = slot.clone();
    let proxy = Router::new().fallback(move |request: axum::extract::Request| {
        let router = later.get().unwrap().clone();
        async move { tower::ServiceExt::oneshot(router, request).await }
    });
    let url = served(&runtime, proxy);
    let options = Options {
        data_dir: data.path().to_owned(),
        durability: crate::ledger::Durability::Process,
        policy: Policy::Clamp,
        pepper: None,
        admin_url: Some(url),
        journal_bytes_max: 64 << 20,
    };
    let ledger = Ledger::open(options).unwrap();
    let catalog = crate::catalog::compile(&catalog(), &crate::catalog::Environment { secret: &|_| None, demo: None });
    let state = State {
        ledger: ledger.clone(),
        catalog: ArcSwap::from_pointee(catalog.unwrap()),
        metrics: Arc::new(Metrics::new()),
        demo: None,
        admin_key: SecretString::from("an-admin-key-for-tests"),
        reload: Box::new(|_, _| Err(crate::api::ReloadRefused::Unreadable("none".to_owned()))),
        draining: AtomicBool::new(false),
    };
    slot.set(admin_router(Arc::new(state))).unwrap();
    let without_key = Books::open(&config, Absent::Refuse).err().unwrap();
    assert!(matches!(without_key, Failure::Failed(text) if text.contains("admin key is needed")));
    std::fs::write(data.path().join(super::admin_client::ADMIN_KEY_FILE), "an-admin-key-for-tests\n").unwrap();
    let beside = Books::with(&config, Absent::Refuse, |books| {
        assert!(matches!(books, Books::Gateway(_)));
        Ok(book_keeping(books, "acc-gateway"))
    });
    assert_eq!(beside.unwrap(), expected);
    ledger.close();
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_looking() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data_dir: folder.path().join("typo"), ..Config::defaults() };
    let refused = Books::open(&config, Absent::Refuse).err().unwrap();
    assert!(matches!(refused, Failure::Failed(text) if text.contains("does not exist")));
    assert!(!config.data_dir.exists());
}
