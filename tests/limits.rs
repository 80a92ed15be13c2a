//! Bad and oversized input through the running gateway: a clear error, and nothing lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Answer, House, PATIENCE, Plan, ask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes as they are and reads until the connection closes.
async fn raw(house: &House, pieces: &[&[u8]]) -> String {
    let mut socket = TcpStream::connect(house.running.address).await.unwrap();
    for piece in pieces {
        socket.write_all(piece).await.unwrap();
    }
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("closed in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn check(house: &House, body: &str, status: u16, code: &str, says: &str) {
    let answer = Answer::of(house.post(body.to_owned()).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{body:.80}: {}", answer.text);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains(says), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_name_no_single_model_are_refused() {
    let house = House::open().await;
    check(&house, "", 400, "invalid_request", "").await;
    check(&house, "[]", 400, "invalid_request", "object").await;
    check(&house, "{\"messages\":[]}", 400, "invalid_request", "model").await;
    check(&house, r#"{"model":7}"#, 400, "invalid_request", "model").await;
    check(&house, r#"{"model":"demo","model":"gpt-4o"}"#, 400, "invalid_request", "model").await;
    check(&house, r#"{"mod\u0065l":"demo","model":"gpt-4o"}"#, 400, "invalid_request", "model").await;
    check(&house, "\u{feff}{\"model\":\"demo\"}", 400, "invalid_request", "").await;
    check(&house, r#"{"model":"demo"} x"#, 400, "invalid_request", "").await;
    let deep = format!(r#"{{"model":"demo","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    check(&house, &deep, 400, "invalid_request", "").await;
    check(&house, &ask("gpt-4oo").to_string(), 404, "model_not_found", "gpt-4o").await;
    assert_eq!(house.demo.seen().calls, 0, "nothing reached an upstream");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_escaped_model_key_is_the_model() {
    let house = House::open().await;
    let body = r#"{"mod\u0065l":"d\u0065mo","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = Answer::of(house.post(body).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sent: serde_json::Value = serde_json::from_str(&house.demo.seen().last.pop().unwrap().body).unwrap();
    assert_eq!(sent["model"], "ok");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_requests_are_refused_without_being_read() {
    let plan = Plan { adjust: Box::new(|config| config.limits.body_bytes_max = 100_000), ..Plan::default() };
    let house = House::with(plan).await;
    check(&house, &support::ask_long("demo", 200_000), 413, "body_too_large", "100000").await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 999999999\r\n\r\n",
        house.key
    );
    assert!(raw(&house, &[head.as_bytes()]).await.starts_with("HTTP/1.1 413"));
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        house.key
    );
    let chunk = format!("20000\r\n{}\r\n", "x".repeat(0x20000));
    assert!(raw(&house, &[chunked.as_bytes(), chunk.as_bytes()]).await.starts_with("HTTP/1.1 413"));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "a".repeat(9000));
    assert!(raw(&house, &[long.as_bytes()]).await.starts_with("HTTP/1.1 414"));
    let fat = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-fat: {}\r\n\r\n", "a".repeat(40_000));
    assert!(raw(&house, &[fat.as_bytes()]).await.starts_with("HTTP/1.1 431"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_paths_encodings_and_media_types() {
    let house = House::open().await;
    let get = house.client.get(house.url("/v1/chat/completions")).send().await.unwrap();
    assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().unwrap()), (405, "POST"));
    let lost = Answer::of(house.client.get(house.url("/v2/nothing")).send().await.unwrap()).await;
    assert_eq!((lost.status, lost.error_code().as_str()), (404, "path_not_found"));
    let packed = house.post(ask("demo").to_string()).header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(Answer::of(packed).await.error_code(), "unsupported_encoding");
    let request = house.client.post(house.url("/v1/chat/completions")).bearer_auth(&house.key);
    let form = request.header("content-type", "text/plain").body("model=demo").send().await.unwrap();
    assert_eq!(form.status(), 415);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_get_a_408() {
    let adjust = |config: &mut qingwave::config::Config| {
        config.limits.header_ms = 300;
        config.limits.body_idle_ms = 300;
    };
    let house = House::with(Plan { adjust: Box::new(adjust), ..Plan::default() }).await;
    let answer = raw(&house, &[b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{",
        house.key
    );
    assert!(raw(&house, &[head.as_bytes()]).await.starts_with("HTTP/1.1 408"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expect_continue_is_answered() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
        house.key,
        body.len()
    );
    let mut socket = TcpStream::connect(house.running.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 25];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut first)).await.unwrap().unwrap();
    assert!(first.starts_with(b"HTTP/1.1 100 Continue"));
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, socket.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
    let seen = house.demo.seen().last.pop().unwrap();
    assert!(seen.headers.iter().all(|(name, _)| name != "expect"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_call_keeps_its_connection() {
    let house = House::open().await;
    let mut socket = TcpStream::connect(house.running.address).await.unwrap();
    let body = ask("no-such-model").to_string();
    let one = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        house.key,
        body.len()
    );
    let bad_key = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer nope\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for (request, status) in [(&one, "404"), (&bad_key, "401"), (&one, "404")] {
        socket.write_all(request.as_bytes()).await.unwrap();
        let head = read_answer(&mut socket).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
    house.close().await;
}

/// Reads one answer with a content-length from a connection that stays open.
async fn read_answer(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = tokio::time::timeout(PATIENCE, socket.read(&mut piece)).await.unwrap().unwrap();
        assert!(count > 0, "the connection closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return text.into_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bodies_at_once_are_bounded() {
    let plan = Plan { adjust: Box::new(|config| config.limits.bodies_bytes_total = 50_000), ..Plan::default() };
    let house = House::with(plan).await;
    let answer = Answer::of(house.post(support::ask_long("demo", 60_000)).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (429, "concurrency_limited"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(house.chat("demo").await.status, 200, "what was taken is given back");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_a_stream_finish_and_then_returns_at_once() {
    let house = House::open().await;
    let mut body = ask("demo-fault-slow-events");
    body["stream"] = json!(true);
    let mut response = house.post(body.to_string()).send().await.unwrap();
    response.chunk().await.unwrap().unwrap();
    let House { running, demo: _demo, folder: _folder, .. } = house;
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        text
    });
    tokio::time::timeout(Duration::from_secs(20), running.stop()).await.expect("returns when the last call has");
    let text = reader.await.unwrap();
    assert!(text.contains("[DONE]"), "{text}");
}
