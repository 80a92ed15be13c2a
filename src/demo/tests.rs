//! The demo upstream as clients see it: raw TCP for HTTP/1.1, the h2 crate for HTTP/2.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use h2::client::SendRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const GUARD: Duration = Duration::from_secs(20);

fn ask(model: &str, stream: bool) -> String {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi there, world"}]}).to_string()
}

fn post(body: &str, headers: &str) -> Vec<u8> {
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: demo\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body.as_bytes()].concat()
}

/// All that a connection gave until it ended, and how it ended.
struct Heard {
    text: String,
    end: Option<ErrorKind>,
}

/// Writes, then closes the write half when `leave` says so, and reads to the end.
async fn talk(demo: &Demo, bytes: &[u8], leave: bool) -> Heard {
    let exchange = async {
        let mut stream = TcpStream::connect(demo.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if leave {
            stream.shutdown().await.unwrap();
        }
        let mut heard = Vec::new();
        let end = stream.read_to_end(&mut heard).await.err().map(|error| error.kind());
        Heard { text: String::from_utf8(heard).unwrap(), end }
    };
    tokio::time::timeout(GUARD, exchange).await.expect("the upstream ends the connection")
}

/// One call on a connection of its own.
async fn call(demo: &Demo, model: &str, stream: bool) -> Heard {
    talk(demo, &post(&ask(model, stream), "connection: close\r\n"), false).await
}

impl Heard {
    fn head(&self) -> &str {
        self.text.split("\r\n\r\n").next().unwrap()
    }
    fn raw_body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }
    fn status(&self) -> u16 {
        self.text[9..12].parse().unwrap()
    }
    fn json(&self) -> Value {
        serde_json::from_str(self.raw_body()).unwrap()
    }
    /// The chunks of the body, and whether the last chunk closed it.
    fn chunks(&self) -> (Vec<&str>, bool) {
        let (mut rest, mut chunks) = (self.raw_body(), Vec::new());
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                return (chunks, true);
            }
            chunks.push(&after[..size]);
            rest = &after[size + 2..];
        }
        (chunks, false)
    }
}

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let demo = Demo::start(1).await.unwrap();
    let two = [post(&ask("m", false), ""), post(&ask("m", false), "connection: close\r\n")].concat();
    let heard = talk(&demo, &two, false).await;
    assert_eq!(
        heard.text.matches("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_").count(),
        2
    );
    assert_eq!(heard.text.matches("You said: Hi there, world").count(), 2);
    assert_eq!((demo.seen().calls, demo.seen().by_model["m"], demo.seen().cancelled), (2, 2, 0));
}

#[tokio::test]
async fn a_seed_gives_the_same_bytes_again() {
    let mut texts = Vec::new();
    for seed in [5, 5, 6] {
        let demo = Demo::start(seed).await.unwrap();
        texts.push(call(&demo, "m", false).await.text);
        let first = texts.last().unwrap().clone();
        assert_ne!(first, call(&demo, "m", false).await.text);
        demo.reset();
        assert_eq!(first, call(&demo, "m", false).await.text);
    }
    assert!(texts[0] == texts[1] && texts[1] != texts[2]);
}

#[tokio::test]
async fn a_stream_is_chunked_event_by_event() {
    let demo = Demo::start(1).await.unwrap();
    let heard = call(&demo, "m--c3-s20", true).await;
    assert!(heard.head().contains("content-type: text/event-stream; charset=utf-8"));
    let (chunks, closed) = heard.chunks();
    assert_eq!((chunks.len(), closed, *chunks.last().unwrap()), (1 + 3 + 2, true, "data: [DONE]\n\n"));
    assert!(chunks.iter().all(|chunk| chunk.starts_with("data: ") && chunk.ends_with("\n\n")));
}

/// Chunks with content before the end, whether HTTP ended well, and how the connection did.
async fn check_end(model: &str, contents: usize, closed: bool, end: Option<ErrorKind>) {
    let demo = Demo::start(1).await.unwrap();
    let heard = call(&demo, model, true).await;
    let (chunks, ended_well) = heard.chunks();
    assert_eq!(chunks.iter().filter(|chunk| chunk.contains("\"content\":\"the")).count(), contents, "{model}");
    assert_eq!((ended_well, heard.end), (closed, end), "{model}");
    assert_eq!(demo.seen().cancelled, 0, "a fault is a complete answer");
}

#[tokio::test]
async fn streams_end_as_their_fault_says() {
    check_end("m--c4-s20-r3", 2, false, Some(ErrorKind::ConnectionReset)).await;
    check_end("m--c4-s20-x3", 2, false, None).await;
    check_end("m--c4-s20-k3", 2, true, None).await;
    check_end("m--c4-s20-f3", 2, true, None).await;
    check_end("m--c4-s20-m3", 4, true, None).await;
    check_end("m--c4-s20-w1", 4, true, None).await;
}

#[tokio::test]
async fn a_reset_before_the_first_byte_leaves_nothing() {
    let demo = Demo::start(1).await.unwrap();
    for stream in [true, false] {
        let heard = call(&demo, "m--r1", stream).await;
        assert_eq!((heard.text.as_str(), heard.end), ("", Some(ErrorKind::ConnectionReset)));
    }
}

#[tokio::test]
async fn whole_answers_end_as_their_fault_says() {
    let demo = Demo::start(1).await.unwrap();
    for (model, end) in [("m--r2", Some(ErrorKind::ConnectionReset)), ("m--x2", None), ("m--k2", None)] {
        let heard = call(&demo, model, false).await;
        let promised = heard.head().rsplit("content-length: ").next().unwrap().split("\r\n").next().unwrap();
        let is_short = heard.raw_body().len() < promised.parse().unwrap();
        assert_eq!((heard.end, is_short), (end, model != "m--k2"), "{model}");
        assert!(serde_json::from_str::<Value>(heard.raw_body()).is_err());
    }
}

#[tokio::test]
async fn who_leaves_before_the_end_is_counted() {
    for (model, chunks) in [("m--h1", 0), ("m--c4-q3", 3), ("m--t3600000", 0), ("m--c4-d3600000", 2)] {
        let demo = Demo::start(1).await.unwrap();
        // The write half is closed at once: the upstream takes it for the client's leave and ends the connection.
        let heard = talk(&demo, &post(&ask(model, true), ""), true).await;
        assert_eq!(heard.text.matches("data: ").count(), chunks, "{model}");
        assert_eq!((demo.seen().calls, demo.seen().cancelled), (1, 1), "{model}");
    }
}

#[tokio::test]
async fn one_byte_writes_say_the_same() {
    let demo = Demo::start(1).await.unwrap();
    let small = call(&demo, "m--w1", false).await.text;
    demo.reset();
    assert_eq!(small, call(&demo, "m--w3", false).await.text.replace("m--w3", "m--w1"));
}

#[tokio::test]
async fn a_fault_hits_the_first_or_some_requests() {
    let demo = Demo::start(1).await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(call(&demo, "m--e503-n2", false).await.status());
    }
    assert_eq!(statuses, [503, 503, 200, 200]);
    let mut failed = 0;
    for _ in 0..40 {
        failed += u32::from(call(&demo, "m--e500-p50", false).await.status() == 500);
    }
    assert!((8..=32).contains(&failed), "{failed}");
}

#[tokio::test]
async fn stamps_are_times_of_sending() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let demo = Demo::start(1).await.unwrap();
    let before = now();
    let heard = call(&demo, "m--c3-s40-z1", true).await;
    let stamps: Vec<u128> = heard.text.split('@').filter_map(|part| part.parse().ok()).collect();
    assert_eq!(stamps.len(), 3);
    assert!(stamps.is_sorted() && before <= stamps[0] && stamps[2] <= now());
}

#[tokio::test]
async fn a_retry_after_comes_with_its_status() {
    let demo = Demo::start(1).await.unwrap();
    let heard = call(&demo, "m--e429-a7", false).await;
    assert_eq!((heard.status(), heard.json()["error"]["code"].as_str()), (429, Some("rate_limit_exceeded")));
    assert!(heard.head().contains("\r\nretry-after: 7\r\n"));
    assert!(!call(&demo, "m--e529", false).await.head().contains("retry-after"));
}

async fn check_refused(request: &str, status: u16, code: &str) {
    let demo = Demo::start(1).await.unwrap();
    let heard = talk(&demo, request.as_bytes(), false).await;
    assert_eq!((heard.status(), heard.json()["error"]["code"].as_str()), (status, Some(code)), "{request:.80}");
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_in_openais_shape() {
    let close = "connection: close\r\n";
    check_refused(&format!("GET /v1/nothing HTTP/1.1\r\n{close}\r\n"), 404, "unknown_url").await;
    check_refused(&format!("GET /v1/chat/completions HTTP/1.1\r\n{close}\r\n"), 405, "method_not_supported").await;
    check_refused("nonsense\r\n\r\n", 400, "invalid_http").await;
    check_refused(&format!("POST /a HTTP/1.1\r\ncontent-length: {}\r\n\r\n", BODY_OVER), 413, "body_too_large").await;
    check_refused("POST /a HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "invalid_content_length")
        .await;
    check_refused("POST /a HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400, "invalid_content_length").await;
    let both = "POST /a HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    check_refused(both, 400, "invalid_content_length").await;
    check_refused("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n", 413, "body_too_large").await;
    check_refused("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, "invalid_chunk").await;
    check_refused("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", 400, "invalid_chunk").await;
    check_refused(&format!("GET /a HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(70_000)), 431, "headers_too_large").await;
    check_refused(&format!("GET /a HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)), 431, "headers_too_large").await;
}

const BODY_OVER: usize = (64 << 20) + 1;

#[tokio::test]
async fn a_body_that_is_no_chat_request_is_a_bad_request() {
    let demo = Demo::start(1).await.unwrap();
    for body in ["", "{", "[]", r#"{"model":"m"}"#] {
        let heard = talk(&demo, &post(body, "connection: close\r\n"), false).await;
        assert_eq!(
            (heard.status(), heard.json()["error"]["type"].as_str()),
            (400, Some("invalid_request_error")),
            "{body}"
        );
    }
    assert_eq!((demo.seen().calls, demo.seen().by_model.len()), (4, 0));
}

#[tokio::test]
async fn models_are_listed_and_shown() {
    let demo = Demo::start(1).await.unwrap();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n").into_bytes();
    assert_eq!(talk(&demo, &get("/v1/models"), false).await.json()["data"][0]["id"], "demo");
    assert_eq!(talk(&demo, &get("/openai/v1/models/any?x=1"), false).await.json()["id"], "any");
}

#[tokio::test]
async fn chunked_and_awaited_bodies_are_read() {
    let demo = Demo::start(1).await.unwrap();
    let body = ask("m", false);
    let (one, two) = body.split_at(20);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n";
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x};ext=1\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\ntrailer: x\r\n\r\n",
        one.len(),
        two.len()
    );
    assert_eq!(talk(&demo, chunked.as_bytes(), false).await.status(), 200);
    assert_eq!(demo.seen().last[0].body, body);

    let mut stream = TcpStream::connect(demo.address()).await.unwrap();
    let awaited = format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(awaited.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn requests_are_read_under_every_cut() {
    let demo = Demo::start(1).await.unwrap();
    let mut stream = TcpStream::connect(demo.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in post(&ask("m", false), "connection: close\r\n") {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert!(heard.contains("You said: Hi there, world"));
}

#[tokio::test]
async fn http_1_0_gets_a_body_that_ends_with_the_connection() {
    let demo = Demo::start(1).await.unwrap();
    let request = String::from_utf8(post(&ask("m", true), "")).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    let heard = talk(&demo, request.as_bytes(), false).await;
    assert!(!heard.head().contains("transfer-encoding") && heard.raw_body().ends_with("data: [DONE]\n\n"));
    assert_eq!(demo.seen().last[0].http_version, "HTTP/1.0");
}

#[tokio::test]
async fn the_last_requests_are_kept_without_their_credentials() {
    let demo = Demo::start(1).await.unwrap();
    for number in 0..20 {
        talk(
            &demo,
            &post(&ask(&format!("m{number}"), false), "Authorization: Bearer sk-secret-1234\r\nconnection: close\r\n"),
            false,
        )
        .await;
    }
    let big = ask("m", false) + &" ".repeat(100_000);
    talk(&demo, &post(&big, "connection: close\r\n"), false).await;
    let seen = demo.seen();
    assert_eq!((seen.calls, seen.last.len()), (21, 16));
    assert_eq!((seen.last[15].body_bytes, seen.last[15].body.len()), (big.len(), 64 << 10));
    let request = &seen.last[14];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(request.headers[1], ("authorization".into(), "Bearer …1234".into()));
    assert!(request.body.contains("m19") && request.http_version == "HTTP/1.1");
    demo.reset();
    assert_eq!((demo.seen().calls, demo.seen().by_model.len(), demo.seen().last.len()), (0, 0, 0));
}

#[tokio::test]
async fn the_refusing_address_refuses_and_a_dropped_demo_is_gone() {
    let demo = Demo::start(1).await.unwrap();
    let other = demo.clone();
    let (address, refusing) = (demo.address(), demo.refusing_address());
    assert_eq!(TcpStream::connect(refusing).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(demo);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&post(&ask("m--h1", false), "")).await.unwrap();
    drop(other);
    let ended = tokio::time::timeout(GUARD, stream.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

async fn http2(demo: &Demo) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(demo.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

/// The status, the DATA frames, and the reason of a reset.
async fn http2_call(client: &mut SendRequest<Bytes>, body: String) -> (Option<u16>, Vec<Bytes>, Option<h2::Reason>) {
    let request =
        http::Request::post("http://demo/v1/chat/completions").header("authorization", "Bearer sk-secret-1234");
    let (answer, mut sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let mut body = Bytes::from(body);
    while body.has_remaining() {
        sending.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap();
        let part = body.split_to(room.min(body.len()));
        sending.send_data(part, body.is_empty()).unwrap();
    }
    let mut answer = match answer.await {
        Ok(answer) => answer,
        Err(error) => return (None, Vec::new(), error.reason()),
    };
    let (status, mut frames) = (Some(answer.status().as_u16()), Vec::new());
    while let Some(frame) = answer.body_mut().data().await {
        match frame {
            Ok(frame) => {
                answer.body_mut().flow_control().release_capacity(frame.len()).unwrap();
                frames.push(frame);
            }
            Err(error) => return (status, frames, error.reason()),
        }
    }
    (status, frames, None)
}

#[tokio::test]
async fn http_2_serves_whole_answers_streams_and_large_bodies() {
    let demo = Demo::start(1).await.unwrap();
    let mut client = http2(&demo).await;
    let (status, frames, _) = http2_call(&mut client, ask("m", false)).await;
    let answer: Value = serde_json::from_slice(&frames.concat()).unwrap();
    assert_eq!((status, answer["model"].as_str()), (Some(200), Some("m")));
    let (_, frames, _) = http2_call(&mut client, ask("m--c3", true)).await;
    assert_eq!((frames.len(), frames.last().unwrap().as_ref()), (6, b"data: [DONE]\n\n".as_slice()));
    let large = ask("m--b3000000", false) + &" ".repeat(30 << 20);
    let (status, frames, _) = http2_call(&mut client, large.clone()).await;
    assert!(status == Some(200) && frames.concat().len() > 3_000_000);
    let (status, ..) = http2_call(&mut client, ask("m--e503-a2", false)).await;
    assert_eq!(status, Some(503));
    let seen = demo.seen();
    assert_eq!((seen.calls, seen.cancelled, seen.last[2].body_bytes), (4, 0, large.len()));
    assert_eq!(seen.last[0].http_version, "HTTP/2");
    assert!(seen.last[0].headers.contains(&("authorization".into(), "Bearer …1234".into())));
    assert_eq!(seen.last[0].headers[0], (":authority".into(), "demo".into()));
}

#[tokio::test]
async fn http_2_faults_end_one_stream_and_not_the_connection() {
    let demo = Demo::start(1).await.unwrap();
    let mut client = http2(&demo).await;
    for (model, frames, reason) in [
        ("m--c4-r3", 3, Some(h2::Reason::INTERNAL_ERROR)),
        ("m--c4-x3", 3, Some(h2::Reason::CANCEL)),
        ("m--c4-k3", 3, None),
        ("m--c4-f3", 4, None),
    ] {
        let (status, heard, ended) = http2_call(&mut client, ask(model, true)).await;
        // An empty DATA frame may carry the end of the stream.
        let heard = heard.iter().filter(|frame| !frame.is_empty()).count();
        assert_eq!((status, heard, ended), (Some(200), frames, reason), "{model}");
    }
    let (status, _, reason) = http2_call(&mut client, ask("m--r1", false)).await;
    assert_eq!((status, reason), (None, Some(h2::Reason::INTERNAL_ERROR)));
    let (_, frames, _) = http2_call(&mut client, ask("m--w1", false)).await;
    assert!(frames.iter().all(|frame| frame.len() <= 1));
    assert_eq!((demo.seen().calls, demo.seen().cancelled), (6, 0));
}

#[tokio::test]
async fn http_2_counts_streams_that_the_client_resets() {
    let demo = Demo::start(1).await.unwrap();
    let mut client = http2(&demo).await;
    for model in ["m--h1", "m--c2-d3600000"] {
        let request = http::Request::post("http://demo/v1/chat/completions").body(()).unwrap();
        let (answer, mut sending) = client.send_request(request, false).unwrap();
        sending.send_data(ask(model, true).into(), true).unwrap();
        // Another answer on the same connection shows that the first request has arrived.
        http2_call(&mut client, ask("m", false)).await;
        sending.send_reset(h2::Reason::CANCEL);
        drop(answer);
    }
    tokio::time::timeout(GUARD, async {
        while demo.seen().cancelled < 2 {
            http2_call(&mut client, ask("m", false)).await;
        }
    })
    .await
    .expect("both resets are noticed");
    assert_eq!((demo.seen().by_model["m--h1"], demo.seen().by_model["m--c2-d3600000"]), (1, 1));
}

#[tokio::test]
async fn the_last_requests_name_their_protocol() {
    let demo = Demo::start(1).await.unwrap();
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let messages = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    for (path, headers, body) in [
        ("/v1/models/m:streamGenerateContent?alt=sse&key=secret-1234", "", contents),
        ("/v1/messages", "Anthropic-Version: 2023-06-01\r\nx-api-key: secret-5678\r\n", messages),
        ("/v1/responses", "", r#"{"model":"m","input":"hi"}"#),
        ("/v1/embeddings", "", r#"{"model":"m","input":"hi"}"#),
    ] {
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        let heard = talk(&demo, request.as_bytes(), false).await;
        assert_eq!(heard.status(), 200, "{}", heard.text);
        assert_eq!(heard.head().contains("\r\nrequest-id: req_"), path == "/v1/messages");
    }
    let seen = demo.seen();
    let protocols: Vec<Option<&str>> = seen.last.iter().map(|request| request.protocol).collect();
    assert_eq!(protocols, [Some("gemini.generate"), Some("anthropic.messages"), Some("openai.responses"), None]);
    assert_eq!(seen.last[0].path, "/v1/models/m:streamGenerateContent?alt=sse&key=…1234");
    assert!(seen.last[1].headers.contains(&("x-api-key".into(), " …5678".into())));
    assert_eq!((seen.calls, seen.by_model["m"]), (4, 4));
}

/// Every value of a request in turn becomes something else: whatever the answer is, it comes.
#[test]
fn no_request_is_too_odd_to_be_answered() {
    let tools = json!([{"type": "function", "name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
        "parameters": {"type": "object", "required": ["a"], "properties": {"a": {"anyOf": [{"type": "string"}]}}}, "function": {"name": "f", "parameters": {}}}]);
    let blocks = json!([{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "", "signature": "AAAA"}, {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "b"}]}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A"}}]);
    let items = json!([{"role": "user", "content": [{"type": "input_text", "text": "a"}]}, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAAA"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{"}, {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": "data:"}]}]);
    let parts = json!([{"text": "a", "thoughtSignature": "AAAA"}, {"functionCall": {"name": "f", "args": {}}}, {"functionResponse": {"name": "f", "response": {}}},
        {"inlineData": {"mimeType": "é", "data": "AA"}}]);
    let body = json!({"model": "m--v0-c2", "max_tokens": 5, "max_output_tokens": 20, "stream": false, "tools": tools, "tool_choice": {"type": "auto", "name": "f"},
        "messages": [{"role": "user", "content": blocks, "tool_calls": [{"id": "a"}]}], "input": items, "thinking": {"type": "enabled", "budget_tokens": 1},
        "contents": [{"role": "user", "parts": parts}], "generationConfig": {"responseSchema": {"type": "OBJECT"}, "thinkingConfig": {"thinkingBudget": 0}},
        "prompt": ["a"], "query": "é", "documents": ["é"], "stop": ["é"], "n": 1, "dimensions": 1, "text": {"format": {"type": "json_object"}}, "content": {"parts": parts}});
    let state = State::new(1);
    let odd = [json!(null), json!(-1), json!(1e300), json!("é"), json!([]), json!({}), json!([[{}]]), json!(true)];
    let paths = [
        "chat/completions",
        "completions",
        "responses",
        "messages",
        "messages/count_tokens",
        "embeddings",
        "rerank",
        "moderations",
        "models/m--v0:generateContent",
        "models/m--v0-c2:streamGenerateContent",
        "models/m:countTokens",
        "models/m--v0:embedContent",
    ];
    let mut pointers = Vec::new();
    collect(&body, String::new(), &mut pointers);
    for pointer in &pointers {
        for value in &odd {
            let mut body = body.clone();
            *body.pointer_mut(pointer).unwrap() = value.clone();
            let body = body.to_string();
            for path in paths {
                let target = format!("/v1/{path}");
                let asked = serve::Asked { method: "POST", target: &target, versioned: true, body: body.as_bytes() };
                assert!(!serve::answer(&state, asked).steps.is_empty());
            }
        }
    }
}

fn collect(value: &Value, way: String, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| collect(value, format!("{way}/{name}"), into))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(place, value)| collect(value, format!("{way}/{place}"), into));
        }
        _ => {}
    }
    into.push(way);
}
