use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::catalog::{Environment, SourceFile, compile};
use crate::ledger::{CallId, Durability, Options, Policy, UsageRecord};
use crate::wire::{Operation, Protocol};

const ADMIN: &str = "an-admin-key-for-tests";

/// One model that nobody can call (its provider has no key), one with an alias, one that is gone.
const CATALOG: &[(&str, &str)] = &[
    ("catalog.yaml", "schema: 1\nversion: test\ncurrency: USD\n"),
    (
        "providers.yaml",
        "- {id: up, name: Up, base_url: \"https://up.example/v1\", auth: bearer, key: \"env:UP_KEY\"}\n\
         - {id: open, name: Open, base_url: \"https://open.example/v1\", auth: none}\n",
    ),
    ("models/maker.yaml", MODELS),
    ("retired.yaml", "- {id: old-model, retired: \"2026-01-01\", replacement: ready-model}\n"),
];
const MODELS: &str = r#"
- id: ready-model
  vendor: maker
  name: Ready Model
  modality: text
  aliases: [maker/ready-model]
  limits: {context: 1000, max_output: 100}
  price:
    - {meter: input_tokens, per: 1M, usd: "2.50"}
    - {meter: output_tokens, per: 1M, usd: "10.00"}
  channels:
    - {id: open, provider: open, upstream: ready, protocol: openai.chat}
  sources: [{ref: invented, seen: "2026-11-24"}]
- id: dormant-model
  vendor: maker
  name: Dormant Model
  modality: text
  limits: {context: 1000, max_output: 100}
  price:
    - {meter: input_tokens, per: 1M, usd: "1"}
    - {meter: output_tokens, per: 1M, usd: "1"}
  channels:
    - {id: up, provider: up, upstream: dormant, protocol: openai.chat}
  sources: [{ref: invented, seen: "2026-11-24"}]
"#;

struct Api {
    state: Arc<State>,
    _data: tempfile::TempDir,
}

fn api() -> Api {
    let data = tempfile::tempdir().unwrap();
    let options = Options {
        data_dir: data.path().to_owned(),
        durability: Durability::Process,
        policy: Policy::Clamp,
        pepper: None,
        admin_url: None,
        journal_bytes_max: 64 << 20,
    };
    let sources: Vec<_> = CATALOG
        .iter()
        .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned(), overlay: false })
        .collect();
    let catalog = compile(&sources, &Environment { secret: &|_| None, demo: None }).unwrap();
    let state = State {
        ledger: Ledger::open(options).unwrap(),
        catalog: ArcSwap::from_pointee(catalog),
        metrics: Arc::new(Metrics::new()),
        demo: None,
        admin_key: SecretString::from(ADMIN),
        reload: Box::new(|_, force| {
            let done = Reloaded { rev: "r2".into(), models: 1, channels: 1, changes: vec![] };
            if force { Ok(done) } else { Err(ReloadRefused::NeedsForce(vec!["model x: gone".to_owned()])) }
        }),
        draining: AtomicBool::new(false),
    };
    Api { state: Arc::new(state), _data: data }
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

async fn ask(router: Router, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Reply { status: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

impl Api {
    async fn public(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        ask(public_router(self.state.clone()), method, target, headers, "").await
    }

    async fn admin(&self, method: &str, target: &str, body: &str) -> Reply {
        let key = format!("Bearer {ADMIN}");
        ask(admin_router(self.state.clone()), method, target, &[("authorization", &key)], body).await
    }

    /// A funded account and its key.
    async fn customer(&self, id: &str) -> (String, String) {
        let account = self.admin("POST", "/admin/accounts", &format!(r#"{{"id":"{id}","name":"{id}"}}"#)).await;
        assert_eq!(account.status, 201, "{}", account.text);
        let fund = format!("/admin/accounts/{id}/fund");
        let wallet = self.admin("POST", &fund, r#"{"amount":"5","idempotency_key":"first"}"#).await;
        assert_eq!(wallet.status, 200, "{}", wallet.text);
        let key = self.admin("POST", "/admin/keys", &format!(r#"{{"account":"{id}","name":"test"}}"#)).await;
        assert_eq!(key.status, 201, "{}", key.text);
        let key = key.json();
        (key["id"].as_str().unwrap().to_owned(), key["key"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn models_are_listed_without_a_key() {
    let api = api();
    let list = api.public("GET", "/v1/models?limit=1000", &[]).await;
    let body = list.json();
    assert_eq!((list.status, &body["object"], body["data"].as_array().unwrap().len()), (200, &"list".into(), 1));
    let model = &body["data"][0];
    assert_eq!(
        (&model["id"], &model["object"], &model["owned_by"]),
        (&"ready-model".into(), &"model".into(), &"maker".into())
    );
    assert!(model["created"].is_i64() && model["pricing"][0]["usd"] == "2.5", "{model}");
    let all = api.public("GET", "/v1/models?all=true", &[]).await.json();
    let available: Vec<_> = all["data"].as_array().unwrap().iter().map(|m| (&m["id"], &m["available"])).collect();
    assert_eq!(available.len(), 2);
    assert!(available.contains(&(&"dormant-model".into(), &false.into())), "{available:?}");
    assert!(!list.text.contains("upstream") && !list.text.contains("open.example"), "channels are for operators");
    let head = api.public("HEAD", "/v1/models", &[]).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(api.public("GET", "/v1/models?all=perhaps", &[]).await.json()["error"]["param"], "all");
}

#[tokio::test]
async fn a_model_is_found_by_every_name() {
    let api = api();
    for name in ["ready-model", "maker/ready-model", "maker%2Fready-model", "maker%2fready%2Dmodel"] {
        let reply = api.public("GET", &format!("/v1/models/{name}"), &[]).await;
        assert_eq!((reply.status, &reply.json()["id"]), (200, &"ready-model".into()), "{name}");
    }
    // It exists, though nobody can call it now.
    assert_eq!(api.public("GET", "/v1/models/dormant-model", &[]).await.json()["available"], false);
    for (name, code, part) in [
        ("redy-model", "model_not_found", "did you mean \"ready-model\""),
        ("old-model", "model_retired", "ready-model"),
        ("..%2f..%2fetc", "model_not_found", "GET /v1/models"),
        ("a/b/c", "model_not_found", ""),
    ] {
        let reply = api.public("GET", &format!("/v1/models/{name}"), &[]).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, code), "{name}");
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{message}");
    }
    for odd in ["%ff".to_owned(), "x".repeat(257)] {
        let reply = api.public("GET", &format!("/v1/models/{odd}"), &[]).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &"id".into()), "{odd}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let api = api();
    let odd = ["/", "/v1", "/v1/models/", "//v1/models", "/v1/Models", "/admin/keys", "/metrics", "/v1/usage/x"];
    for path in odd {
        let reply = api.public("GET", path, &[]).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "path_not_found"), "{path}");
    }
    for (method, path) in [
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/ready-model"),
        ("PUT", "/v1/usage"),
        ("POST", "/v1/wallet"),
        ("PATCH", "/v1/usage.csv"),
    ] {
        let reply = api.public(method, path, &[]).await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "operation_not_supported"), "{method} {path}");
        assert!(reply.headers["allow"].to_str().unwrap().contains("GET"), "{:?}", reply.headers);
    }
}

#[tokio::test]
async fn an_accounts_own_pages_need_a_key() {
    let api = api();
    for path in ["/v1/usage", "/v1/usage.csv", "/v1/wallet"] {
        let reply = api.public("GET", path, &[]).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_api_key"), "{path}");
        assert!(reply.headers.contains_key("www-authenticate"));
        let two = api.public("GET", path, &[("x-api-key", "sk-qw-a"), ("authorization", "Bearer sk-qw-b")]).await;
        assert!(two.status == 401 && two.text.contains("two different keys"), "{}", two.text);
        let unknown = api.public("GET", path, &[("x-api-key", "' OR 1=1 --")]).await;
        assert_eq!((unknown.status, unknown.code().as_str()), (401, "invalid_api_key"), "{path}");
        let admin = api.public("GET", path, &[("authorization", &format!("Bearer {ADMIN}"))]).await;
        assert_eq!(admin.status, 401, "the admin key is no customer's");
    }
}

#[tokio::test]
async fn a_customer_sees_its_wallet_and_usage_alone() {
    let api = api();
    let (key_id, key) = api.customer("acc-one").await;
    api.customer("acc-two").await;
    let bearer = format!("Bearer {key}");
    let query = format!("/v1/wallet?key={key}");
    let places: [(&str, &[(&str, &str)]); 4] = [
        ("/v1/wallet", &[("authorization", &bearer)]),
        ("/v1/wallet", &[("x-api-key", &key)]),
        ("/v1/wallet", &[("x-goog-api-key", &key)]),
        (&query, &[]),
    ];
    for (target, headers) in places {
        let reply = api.public("GET", target, headers).await;
        let wallet = reply.json();
        assert_eq!((reply.status, &wallet["account"]), (200, &"acc-one".into()), "{target}");
        assert_eq!((&wallet["available"], &wallet["pending"]), (&"5".into(), &"0".into()));
    }
    let headers = [("x-api-key", key.as_str())];
    let usage = api.public("GET", &format!("/v1/usage?key={key_id}&from=0&status=200"), &headers).await;
    assert_eq!((usage.status, usage.text.as_str()), (200, r#"{"data":[],"next_cursor":null}"#));
    let csv = api.public("GET", "/v1/usage.csv", &headers).await;
    assert_eq!(csv.status, 200);
    assert!(
        csv.text.starts_with("id,created_at,account,key_id,model,") && !csv.text.contains("channel"),
        "{}",
        csv.text
    );
    for (query, param) in [
        ("from=soon", "from"),
        ("to=-1", "to"),
        ("status=abc", "status"),
        ("limit=0", "limit"),
        ("account=acc-two", "account"),
        ("cursor=%00nonsense", "cursor"),
    ] {
        let reply = api.public("GET", &format!("/v1/usage?{query}"), &headers).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &param.into()), "{query}");
    }
}

#[tokio::test]
async fn every_call_is_listed_once_by_pages_and_in_the_export() {
    const CALLS: usize = 1203;
    let api = api();
    let (key_id, key) = api.customer("acc-one").await;
    let (_, other) = api.customer("acc-two").await;
    let note = |key: &str, status: u16| {
        let principal = api.state.ledger.authenticate(key, respond::now_ms()).unwrap();
        let id = CallId(uuid::Uuid::now_v7());
        let mut record = UsageRecord::new(&principal, id, "ready-model".into(), Protocol::OpenAiChat, Operation::Chat);
        record.status = status;
        record.channel = Some("ready-model/open".into());
        record.error_code = Some("=cmd()".into());
        api.state.ledger.note(record);
        id.to_string()
    };
    let mut expected: Vec<String> = (0..CALLS).map(|n| note(&key, if n % 3 == 0 { 402 } else { 200 })).collect();
    let others = note(&other, 200);
    expected.sort();
    expected.reverse();
    let headers = [("x-api-key", key.as_str())];

    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.public("GET", &format!("/v1/usage?limit=500&cursor={cursor}"), &headers).await;
        assert!(!page.text.contains("ready-model/open"), "a channel is for operators");
        let page = page.json();
        listed.extend(page["data"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(listed, expected);

    let csv = api.public("GET", "/v1/usage.csv", &headers).await.text;
    let ids: Vec<_> =
        csv.split("\r\n").skip(1).filter_map(|row| row.split(',').next()).filter(|id| !id.is_empty()).collect();
    assert_eq!(ids, expected);
    assert!(csv.contains(",'=cmd(),") && !csv.contains(",=cmd()"), "a formula must be text");

    for (query, count) in [
        ("status=402", CALLS.div_ceil(3)),
        ("model=ready-model", CALLS),
        ("model=other", 0),
        ("from=2100-01-01T00:00:00Z", 0),
        ("to=0", 0),
        (&*format!("key={key_id}"), CALLS),
        ("key=key-other", 0),
    ] {
        let csv = api.public("GET", &format!("/v1/usage.csv?{query}"), &headers).await.text;
        assert_eq!(csv.lines().count(), count + 1, "{query}");
    }
    let all = api.admin("GET", "/admin/usage?limit=1", "").await.json();
    assert_eq!(
        (&all["data"][0]["id"], &all["data"][0]["channel"]),
        (&others.clone().into(), &"ready-model/open".into())
    );
    let call = api.admin("GET", &format!("/admin/calls/{others}"), "").await;
    assert_eq!((call.status, &call.json()["account"]), (200, &"acc-two".into()));
    let operators = api.admin("GET", "/admin/usage.csv?account=acc-two", "").await.text;
    assert!(operators.lines().count() == 2 && operators.contains("upstream_request_id"), "{operators}");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let api = api();
    let (id, key) = api.customer("acc-one").await;
    let revoked = api.admin("DELETE", &format!("/admin/keys/{id}"), "").await;
    assert!(revoked.status == 200 && revoked.json()["revoked_at"].is_i64(), "{}", revoked.text);
    let reply = api.public("GET", "/v1/wallet", &[("x-api-key", &key)]).await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "key_revoked"));
    assert!(!api.admin("GET", "/admin/keys", "").await.text.contains(&key), "a key is shown once");
}

/// Every route of the admin listener with what the admin gets for a plain request.
const ADMIN_ROUTES: &[(&str, &str, u16)] = &[
    ("GET", "/admin/keys", 200),
    ("POST", "/admin/keys", 400),
    ("DELETE", "/admin/keys/key-none", 404),
    ("POST", "/admin/keys/key-none/revoke", 404),
    ("GET", "/admin/accounts", 200),
    ("POST", "/admin/accounts", 400),
    ("POST", "/admin/accounts/acc-none/fund", 400),
    ("GET", "/admin/accounts/acc-none/wallet", 404),
    ("GET", "/admin/catalog", 200),
    ("POST", "/admin/catalog/reload", 409),
    ("POST", "/admin/catalog/reload?force=true", 200),
    ("GET", "/admin/channels", 200),
    ("GET", "/admin/calls/call-01900000000070008000000000000001", 404),
    ("GET", "/admin/calls/nonsense", 400),
    ("GET", "/admin/usage", 200),
    ("GET", "/admin/usage.csv", 200),
    ("GET", "/admin/ledger/verify", 200),
    ("GET", "/admin/ledger/export", 200),
    ("DELETE", "/admin/keys/%ff", 400),
    ("GET", "/admin/demo", 404),
    ("POST", "/admin/demo/reset", 404),
    ("GET", "/admin/no-such-path", 404),
    ("PATCH", "/admin/keys", 405),
    ("GET", "/", 404),
    ("GET", "/metrics/", 404),
    ("GET", "//metrics", 404),
    ("GET", "/healthz/../admin/keys", 404),
    ("GET", "/v1/models", 404),
];

#[tokio::test]
async fn the_admin_listener_denies_by_default() {
    let api = api();
    let (_, customers) = api.customer("acc-one").await;
    let customers = format!("Bearer {customers}");
    let wrong: [&[(&str, &str)]; 6] = [
        &[],
        &[("authorization", &customers)],
        &[("authorization", "Bearer an-admin-key-for-test")],
        &[("authorization", "Basic YWRtaW46YWRtaW4=")],
        &[("x-api-key", ADMIN)],
        &[("authorization", ADMIN)],
    ];
    for (_, path, _) in ADMIN_ROUTES {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for headers in wrong {
                let reply = ask(admin_router(api.state.clone()), method, path, headers, "{}").await;
                assert_eq!(reply.status, 401, "{method} {path} {headers:?}");
            }
        }
        let joint = if path.contains('?') { '&' } else { '?' };
        let in_query = format!("{path}{joint}key={ADMIN}");
        assert_eq!(ask(admin_router(api.state.clone()), "GET", &in_query, &[], "").await.status, 401, "{in_query}");
    }
}

#[tokio::test]
async fn the_admin_reaches_every_route() {
    let api = api();
    for (method, path, status) in ADMIN_ROUTES {
        let reply = api.admin(method, path, "{}").await;
        assert_eq!(reply.status, *status, "{method} {path}: {}", reply.text);
        if *status >= 400 {
            assert!(!reply.code().is_empty(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn three_paths_are_open() {
    let api = api();
    let open = |path: &'static str| ask(admin_router(api.state.clone()), "GET", path, &[], "");
    let health = open("/healthz").await;
    assert_eq!((health.status, health.text.as_str()), (200, "ok"));
    let metrics = open("/metrics").await;
    assert!(metrics.status == 200 && metrics.headers["content-type"].to_str().unwrap().contains("version=0.0.4"));
    assert!(metrics.text.contains("qingwave_build_info") && metrics.text.contains("qingwave_open_holds 0"));
    let ready = open("/readyz").await;
    assert_eq!((ready.status, ready.text.as_str()), (200, r#"{"ready":true}"#));
    api.state.draining.store(true, Ordering::Release);
    let draining = open("/readyz").await;
    assert_eq!((draining.status, draining.text.as_str()), (503, r#"{"ready":false,"reason":"draining"}"#));
    let closed = self::api();
    closed.state.ledger.close();
    let reply = ask(admin_router(closed.state.clone()), "GET", "/readyz", &[], "").await;
    assert!(reply.status == 503 && reply.json()["ready"] == false, "{}", reply.text);
}

#[tokio::test]
async fn admin_bodies_are_typed_and_bounded() {
    let api = api();
    api.customer("acc-one").await;
    let fund = "/admin/accounts/acc-one/fund";
    for (path, body, param) in [
        ("/admin/keys", r#"{"account":"acc-one","colour":"red"}"#, "colour"),
        ("/admin/keys", r#"{"account":5}"#, "account"),
        ("/admin/keys", r#"{"account":"acc-one","models":["no-such"]}"#, "models"),
        ("/admin/accounts", r#"{"name":""}"#, "name"),
        (fund, r#"{"amount":5,"idempotency_key":"k"}"#, "amount"),
        (fund, r#"{"amount":"-5","idempotency_key":"k"}"#, "amount"),
        (fund, r#"{"amount":"5"}"#, "idempotency_key"),
        (fund, r#"{"amount":"5","amount":"6","idempotency_key":"k"}"#, "amount"),
    ] {
        let reply = api.admin("POST", path, body).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (400, &param.into()),
            "{path} {body}: {}",
            reply.text
        );
    }
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(api.admin("POST", "/admin/accounts", &large).await.status, 413);
    let unknown = api.admin("POST", "/admin/accounts/acc-none/fund", r#"{"amount":"1","idempotency_key":"k"}"#).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    // The same key funds once.
    for _ in 0..2 {
        let again = api.admin("POST", fund, r#"{"amount":"5","idempotency_key":"first"}"#).await;
        assert_eq!((again.status, &again.json()["available"]), (200, &"5".into()));
    }
}

#[tokio::test]
async fn operators_see_channels_and_never_their_keys() {
    let api = api();
    let catalog = api.admin("GET", "/admin/catalog", "").await.json();
    assert_eq!(catalog["rev"], &*api.state.catalog.load().rev);
    let channels = api.admin("GET", "/admin/channels", "").await.json();
    let states: Vec<_> = channels["data"].as_array().unwrap().iter().map(|c| (&c["id"], &c["state"])).collect();
    assert!(states.contains(&(&"ready-model/open".into(), &"ready".into())), "{states:?}");
    assert!(states.contains(&(&"dormant-model/up".into(), &"dormant".into())), "{states:?}");
}

#[test]
fn the_document_names_every_route() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let document = std::fs::read_to_string(path).unwrap();
    let public =
        ["/v1/models", "/v1/models/{id}", "/v1/usage", "/v1/usage.csv", "/v1/wallet"].map(|p| ("GET", p.to_owned()));
    let open = ["/metrics", "/healthz", "/readyz"].map(|p| ("GET", p.to_owned()));
    let admin = ADMIN_ROUTES
        .iter()
        .filter(|(_, path, _)| path.starts_with("/admin") && !path.contains("no-such"))
        .filter(|(method, _, _)| *method != "PATCH")
        .map(|(method, path, _)| {
            let path = path.split('?').next().unwrap_or_default();
            let named = |part: &str| {
                if part.contains("-none") || part.contains("call-") || matches!(part, "nonsense" | "%ff") {
                    "{id}"
                } else {
                    part
                }
                .to_owned()
            };
            (*method, path.split('/').map(named).collect::<Vec<_>>().join("/"))
        });
    for (method, path) in public.into_iter().chain(open).chain(admin) {
        assert!(document.contains(&format!("`{method} {path}`")), "docs/api.md lacks {method} {path}");
    }
}

#[test]
fn the_document_of_metrics_is_the_registry() {
    let metrics = Metrics::new();
    let model: Arc<str> = Arc::from("m");
    metrics.call(&crate::telemetry::CallFacts {
        model: &model,
        protocol: "p",
        operation: "o",
        status: 200,
        seconds: 1.0,
        first_content_seconds: Some(1.0),
        overhead_seconds: 1.0,
    });
    metrics.units(&model, "input_tokens", 1);
    metrics.money(&model, 1, 1);
    metrics.attempt(&model, "ok");
    metrics.channel_states([("c", 1)].into_iter());
    metrics.catalog_reloads.with_label_values(&["ok"]).inc();
    let text = String::from_utf8(metrics.render(Default::default())).unwrap();
    let registered: std::collections::BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let document = std::fs::read_to_string(path).unwrap();
    let documented: std::collections::BTreeMap<_, _> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `qingwave_"))
        .filter_map(|row| row.split_once("` | "))
        .map(|(name, rest)| (format!("qingwave_{name}"), rest.split(' ').next().unwrap_or_default().to_owned()))
        .collect();
    assert_eq!(documented, registered);
}
