//! A real gateway in this process, on ephemeral ports, with the built-in upstream behind it; and a client.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qingwave::app::gateway::{self, Running, Setup};
use qingwave::config::{Config, Policy};
use qingwave::demo::Demo;
use qingwave::ledger::{NewKey, UsageQuery, UsageRecord, WalletView};
use qingwave::pricing::Amount;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Longest wait for anything in a test: a bound, never a pause.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct House {
    pub running: Running,
    pub demo: Demo,
    pub key: String,
    pub account: String,
    pub client: reqwest::Client,
    pub folder: tempfile::TempDir,
}

/// What differs from a plain demo house.
pub struct Plan {
    /// YAML files of the overlay, by name.
    pub overlay: Vec<(String, String)>,
    pub fund: &'static str,
    pub policy: Policy,
    pub adjust: Box<dyn FnOnce(&mut Config)>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { overlay: Vec::new(), fund: "10", policy: Policy::Clamp, adjust: Box::new(|_| {}) }
    }
}

pub fn crypto() {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

pub fn client() -> reqwest::Client {
    crypto();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// A client that speaks HTTP/2 without TLS.
pub fn h2c_client() -> reqwest::Client {
    crypto();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).http2_prior_knowledge().build().unwrap()
}

impl House {
    pub async fn open() -> House {
        House::with(Plan::default()).await
    }

    pub async fn with(plan: Plan) -> House {
        crypto();
        let folder = tempfile::tempdir().unwrap();
        let overlay = folder.path().join("overlay");
        std::fs::create_dir_all(&overlay).unwrap();
        for (name, text) in &plan.overlay {
            std::fs::write(overlay.join(name), text).unwrap();
        }
        let demo = Demo::start(7).await.unwrap();
        let mut config = Config::defaults();
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.admin_listen = "127.0.0.1:0".parse().unwrap();
        config.data_dir = folder.path().join("data");
        config.catalog_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("catalog");
        config.overlay_dir = Some(overlay);
        config.ledger.policy = plan.policy;
        config.routing.first_content_ms = 5_000;
        config.shutdown.grace_ms = 5_000;
        (plan.adjust)(&mut config);
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let running = gateway::start(Setup { config, demo: Some(demo.clone()), seed: None }).await.unwrap();
        let account = "acc-test".to_owned();
        let ledger = running.state.ledger.clone();
        let (fund, name) = (Amount::parse(plan.fund).unwrap(), account.clone());
        let key = tokio::task::spawn_blocking(move || {
            ledger.create_account(Some(&name), "test").unwrap();
            ledger.fund(&name, fund, "test").unwrap();
            let new = NewKey { account: name, name: "test".to_owned(), ..NewKey::default() };
            ledger.create_key(new).unwrap().secret.expose_secret().to_owned()
        })
        .await
        .unwrap();
        House { running, demo, key, account, client: client(), folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address)
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.admin_address)
    }

    pub fn admin_key(&self) -> String {
        self.running.state.admin_key.expose_secret().to_owned()
    }

    pub fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.post_by(&self.client, body)
    }

    pub fn post_by(&self, client: &reqwest::Client, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        client
            .post(self.url("/v1/chat/completions"))
            .bearer_auth(&self.key)
            .header("content-type", "application/json")
            .body(body)
    }

    pub async fn chat(&self, model: &str) -> Answer {
        Answer::of(self.post(ask(model).to_string()).send().await.unwrap()).await
    }

    pub async fn chat_stream(&self, model: &str) -> Answer {
        let mut body = ask(model);
        body["stream"] = true.into();
        Answer::of(self.post(body.to_string()).send().await.unwrap()).await
    }

    /// Runs a blocking part of the ledger off the runtime's threads.
    pub async fn ledger<T: Send + 'static>(
        &self,
        f: impl FnOnce(&qingwave::ledger::Ledger) -> T + Send + 'static,
    ) -> T {
        let ledger = self.running.state.ledger.clone();
        tokio::task::spawn_blocking(move || f(&ledger)).await.unwrap()
    }

    /// All usage records, newest first.
    pub async fn records(&self) -> Vec<UsageRecord> {
        self.ledger(|ledger| ledger.usage(&UsageQuery { limit: 1000, ..UsageQuery::default() }).unwrap().data).await
    }

    pub fn wallet(&self) -> WalletView {
        self.running.state.ledger.wallet(&self.account).unwrap()
    }

    /// Waits until no hold is left: a call is settled a moment after its client has left.
    pub async fn settled(&self) {
        let settled = async {
            while self.running.load.calls() > 0 || self.running.state.ledger.gauges().open_holds > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("every hold is resolved");
    }

    /// The books agree, and nothing is held.
    pub async fn check_books(&self) {
        self.settled().await;
        let report = self.ledger(|ledger| ledger.verify().unwrap()).await;
        assert!(report.ok, "{:?}", report.problems);
        let wallet = self.wallet();
        assert_eq!(wallet.pending, Amount::ZERO);
    }

    pub async fn close(self) {
        self.check_books().await;
        self.running.stop().await;
    }
}

/// A request of one message.
pub fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Say something kind about rivers."}], "max_tokens": 64})
}

/// A request of about `bytes` bytes.
pub fn ask_long(model: &str, bytes: usize) -> String {
    let text = "all work and no play ".repeat(bytes / 21 + 1);
    json!({"model": model, "messages": [{"role": "user", "content": &text[..bytes]}], "max_tokens": 16}).to_string()
}

/// An answer, read to its end or its break.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    /// The body broke off.
    pub broken: bool,
}

impl Answer {
    pub async fn of(mut response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (mut bytes, mut broken) = (Vec::new(), false);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        Answer { status, headers, text: String::from_utf8(bytes).unwrap(), broken }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    pub fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The data of every event but `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        self.data().filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    fn data(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|line| line.strip_prefix("data: "))
    }

    pub fn done(&self) -> bool {
        self.data().any(|data| data == "[DONE]")
    }

    /// The text of a whole answer, or of a stream's deltas.
    pub fn content(&self) -> String {
        if !self.text.starts_with("data:") {
            return self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        }
        self.events().iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
    }
}

/// Shares a house over the tasks of a test.
pub fn shared(house: House) -> Arc<House> {
    Arc::new(house)
}
