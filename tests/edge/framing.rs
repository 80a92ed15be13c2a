//! What a client can do with HTTP/1 bytes: framing tricks, old versions, pipelining, odd targets and headers.

use qingwave::pricing::Amount;

use crate::support::{Answer, House, Plan, ask};
use crate::wire::{Wire, call, head};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

/// Sends what may hold a second request, and gives everything that came back until the gateway closed.
async fn attack(house: &House, bytes: impl AsRef<[u8]>) -> String {
    let mut wire = Wire::open(house).await;
    wire.send(bytes).await;
    wire.all().await
}

fn answers(text: &str) -> Vec<&str> {
    text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect()
}

/// The framing is refused: one 400 (or nothing at all), the connection ends, and what stands behind is not a request.
async fn check_refused(house: &House, version: &str, framing: &[u8], body: &str) {
    let mut bytes = head(house, version, "").into_bytes();
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(framing);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    bytes.extend_from_slice(SMUGGLED.as_bytes());
    let text = attack(house, bytes).await;
    let shown = String::from_utf8_lossy(framing);
    assert!(matches!(answers(&text)[..], ["400"] | ["413"] | []), "{shown:?}: {text}");
    assert!(!text.contains("smuggled"), "{shown:?}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_framing_is_never_two_requests() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("content-length: {}\r\n", body.len());
    for framing in [
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: identity, chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding:\x0bchunked\r\n",
        "transfer-encoding: chunked\r\n , identity\r\n",
        "x: a\r\n b\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding\r\n",
    ] {
        check_refused(&house, "1.1", framing.as_bytes(), &chunked).await;
    }
    check_refused(&house, "1.0", b"transfer-encoding: chunked\r\n", &chunked).await;
    for wrong in ["-1", "+5", "0x10", "5 5", "5, 6", "5,", "1e3", "", "99999999999999999999", "18446744073709551616"] {
        check_refused(&house, "1.1", format!("content-length: {wrong}\r\n").as_bytes(), &body).await;
    }
    check_refused(&house, "1.1", format!("{length}content-length: 0\r\n").as_bytes(), &body).await;
    check_refused(&house, "1.1", format!("content-length: 0\r\n{length}").as_bytes(), &body).await;
    assert_eq!(house.demo.seen().calls, 0, "nothing reached an upstream");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_beside_chunks_is_ignored_and_ends_the_connection() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    for framing in [
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
        "transfer-encoding: CHUNKED\r\ncontent-length: 100000\r\n",
    ] {
        let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let text = attack(&house, head(&house, "1.1", framing) + &chunked + SMUGGLED).await;
        assert_eq!(answers(&text), ["200"], "{framing}: {text}");
        let seen = house.demo.seen().last.pop().unwrap();
        assert!(seen.headers.iter().all(|(name, _)| name != "transfer-encoding"), "{seen:?}");
        assert!(!text.contains("smuggled"), "{text}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_read_strictly() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    let (one, two) = body.split_at(10);
    let size = body.len();
    let chunked = head(&house, "1.1", "transfer-encoding: chunked\r\nconnection: close\r\n");
    for good in [
        format!("{size:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("{size:X};name=value;x=\"y\"\r\n{body}\r\n0\r\n\r\n"),
        format!("a\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\nx-trailer: 1\r\n\r\n", two.len()),
        format!("0000{size:x}\r\n{body}\r\n000\r\n\r\n"),
    ] {
        let text = attack(&house, chunked.clone() + &good).await;
        assert_eq!(answers(&text), ["200"], "{good}: {text}");
    }
    let calls = house.demo.seen().calls;
    for bad in [
        format!("zz\r\n{body}\r\n0\r\n\r\n"),
        format!("-{size:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("+{size:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("0x{size:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        format!("ffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        format!("{size:x}\r\n{body}xx0\r\n\r\n"),
        format!("\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let text = attack(&house, chunked.clone() + &bad + SMUGGLED).await;
        assert!(matches!(answers(&text)[..], ["400"] | ["413"] | []), "{bad}: {text}");
    }
    assert_eq!(house.demo.seen().calls, calls, "a body that is not whole goes nowhere");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_1_0_client_gets_an_answer_that_it_can_read() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let mut wire = Wire::open(&house).await;
    wire.send(head(&house, "1.0", &length) + &body).await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None), "{}", answer.head);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(wire.ends().await);

    let mut wire = Wire::open(&house).await;
    for _ in 0..2 {
        wire.send(head(&house, "1.0", &format!("{length}connection: keep-alive\r\n")) + &body).await;
        let answer = wire.answer().await.expect("the connection is kept");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("keep-alive")), "{}", answer.head);
    }

    let mut body = ask("demo");
    body["stream"] = true.into();
    let body = body.to_string();
    for kept in ["", "connection: keep-alive\r\n"] {
        let mut wire = Wire::open(&house).await;
        wire.send(head(&house, "1.0", &format!("content-length: {}\r\n{kept}", body.len())) + &body).await;
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None), "{}", answer.head);
        assert_eq!(answer.header("connection"), Some("close"), "an end that is the connection's is said to be");
        assert!(answer.body.starts_with("data: ") && answer.body.ends_with("data: [DONE]\n\n"), "{}", answer.body);
        assert!(wire.ends().await);
    }

    let mut wire = Wire::open(&house).await;
    let from = "GET /v1/usage.csv HTTP/1.0\r\n";
    wire.send(format!("{from}authorization: Bearer {}\r\nconnection: keep-alive\r\n\r\n", house.key)).await;
    let csv = wire.answer().await.unwrap();
    assert_eq!((csv.status, csv.header("transfer-encoding")), (200, None), "{}", csv.head);
    assert!(csv.body.lines().count() > 4 && !csv.body.starts_with(|c: char| c.is_ascii_hexdigit()), "{}", csv.body);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_their_order() {
    let house = House::open().await;
    let one = call(&house, &ask("demo").to_string(), "");
    let get = "GET /v1/models/demo HTTP/1.1\r\nhost: x\r\n\r\n";
    let lost = "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut wire = Wire::open(&house).await;
    wire.send(format!("{one}{one}{get}{one}{get}{lost}")).await;
    for expected in [200, 200, 200, 200, 200, 404] {
        let answer = wire.answer().await.expect("every request is answered");
        assert_eq!(answer.status, expected, "{answer:?}");
    }
    assert!(wire.ends().await);
    assert_eq!(house.records().await.len(), 3);

    let mut slow = ask("demo-fault-slow-first");
    slow["stream"] = true.into();
    let mut wire = Wire::open(&house).await;
    let calls = house.demo.seen().calls;
    wire.send(call(&house, &slow.to_string(), "")).await;
    crate::upstream::until("the call is upstream", || house.demo.seen().calls > calls).await;
    wire.send(get).await;
    let stream = wire.answer().await.expect("a request that comes while one is served does not end it");
    assert!(stream.body.contains("[DONE]"), "{stream:?}");
    assert_eq!(wire.answer().await.expect("it waits for its turn").status, 200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_and_dripped_requests_are_served_or_ended() {
    let adjust = |config: &mut qingwave::config::Config| config.limits.header_ms = 400;
    let house = House::with(Plan { adjust: Box::new(adjust), ..Plan::default() }).await;
    let mut wire = Wire::open(&house).await;
    wire.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(wire.answer().await.expect("shorter than HTTP/2's preface, and whole").status, 404);
    for beginning in ["G", "P", "PRI", "PRI * HTTP/2.0\r\n\r\nSM", "POST /v1/chat/c"] {
        let text = attack(&house, beginning).await;
        assert!(matches!(answers(&text)[..], ["408"] | []), "{beginning}: {text}");
    }
    crate::upstream::until("nothing stays open", || house.running.load.connections() <= 1).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_and_target_has_a_clear_answer() {
    let house = House::open().await;
    let auth = format!("host: x\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\nconnection: close", house.key);
    let chat = "/v1/chat/completions";
    for (line, status) in [
        (format!("HEAD {chat}"), "405"),
        (format!("OPTIONS {chat}"), "405"),
        (format!("TRACE {chat}"), "405"),
        (format!("PATCH {chat}"), "405"),
        (format!("BREW {chat}"), "405"),
        ("OPTIONS *".to_owned(), "404"),
        ("HEAD /v1/models".to_owned(), "200"),
        ("CONNECT x:443".to_owned(), "405"),
        ("POST //v1/chat/completions".to_owned(), "404"),
        (format!("POST {chat}/"), "404"),
        ("POST /v1/chat/%63ompletions".to_owned(), "404"),
        ("POST /v1/%2e%2e/v1/chat/completions".to_owned(), "404"),
        ("POST /v1/../v1/chat/completions".to_owned(), "404"),
        (format!("POST {chat}%3fkey=1"), "404"),
        (format!("POST {chat};x=1"), "404"),
        ("POST /V1/chat/completions".to_owned(), "404"),
        (format!("POST {chat}?"), "400"),
        (format!("POST {chat}?a=/../../admin/keys"), "400"),
        (format!("POST {chat}?key=%00"), "401"),
        (format!("POST http://x{chat}"), "400"),
        (format!("POST http://evil{chat}"), "400"),
        (format!("POST http://x@evil{chat}"), "400"),
        (format!("POST http://x\\@evil{chat}"), "400"),
        (format!("POST {chat}#fragment"), "400"),
        ("GET /admin/keys".to_owned(), "404"),
        ("GET /metrics".to_owned(), "404"),
    ] {
        let text = attack(&house, format!("{line} HTTP/1.1\r\n{auth}\r\n\r\n")).await;
        assert_eq!(answers(&text), [status], "{line}: {text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let bodiless = line.starts_with("HEAD") || !head.to_lowercase().contains("content-type: application/json");
        assert_eq!(body.is_empty(), bodiless, "{line}: {text}");
    }
    for lines in ["", "host: x\r\nhost: y\r\n", "host: a@x\r\n", "host: x\r\nhost: x\r\n"] {
        let text = attack(&house, format!("GET /v1/models HTTP/1.1\r\n{lines}connection: close\r\n\r\n")).await;
        assert!(matches!(answers(&text)[..], ["400"] | ["200"]), "{lines}: {text}");
        assert!(lines.is_empty() || answers(&text) == ["400"], "{lines}: {text}");
    }
    assert_eq!(house.demo.seen().calls, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_never_granted_and_what_follows_it_is_not_tunnelled() {
    let house = House::open().await;
    let last = "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for upgrade in ["websocket", "h2c"] {
        let body = ask("demo").to_string();
        let more = format!("connection: upgrade\r\nupgrade: {upgrade}\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n");
        let text = attack(&house, call(&house, &body, &more) + last).await;
        assert_eq!(answers(&text), ["200", "404"], "what follows is a request of its own: {text}");
        let seen = house.demo.seen().last.pop().unwrap();
        assert!(seen.headers.iter().all(|(name, _)| name != "upgrade" && name != "connection"), "{seen:?}");
        assert!(!seen.body.contains("nowhere"), "{seen:?}");
        let get = format!("GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{more}\r\n{last}");
        let refusal = if upgrade == "websocket" { "426" } else { "405" };
        assert_eq!(answers(&attack(&house, get).await), [refusal, "404"]);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_the_client_neither_inject_nor_leave() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    let long = "i".repeat(1000);
    let more = format!(
        "connection: x-api-key, authorization\r\nx-api-key: {}\r\nx-request-id: {long}\r\ntraceparent: {long}\r\ntracestate: a=\u{e9}\r\nx-forwarded-host: evil\r\nx-api-base: http://evil\r\ncookie: a=b\r\nproxy-authorization: Basic x\r\nte: trailers\r\nrange: bytes=0-1\r\nif-none-match: *\r\n",
        house.key
    );
    let mut wire = Wire::open(&house).await;
    wire.send(call(&house, &body, &more)).await;
    let answer = wire.answer().await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = house.demo.seen().last.pop().unwrap();
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    for name in &names {
        let known = ["host", "content-type", "content-length", "accept", "accept-encoding", "user-agent", "tracestate"];
        assert!(known.contains(name), "{names:?}");
    }
    assert!(!format!("{seen:?}").contains(&house.key) && !format!("{seen:?}").contains("evil"));
    let host = seen.headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.as_str());
    assert_eq!(host, Some(&*house.demo.address().to_string()), "the upstream's own, never the client's");
    assert_eq!(house.records().await[0].client_request_id.as_deref().map(str::len), Some(128));

    for value in [&b"caf\xe9"[..], b"", b"a\tb"] {
        let mut more = b"x-request-id: ".to_vec();
        more.extend_from_slice(value);
        let bytes =
            [head(&house, "1.1", "x: ").trim_end().as_bytes(), b"\r\n", &more, b"\r\ncontent-length: 2\r\n\r\n{}"]
                .concat();
        let mut wire = Wire::open(&house).await;
        wire.send(bytes).await;
        assert_eq!(wire.answer().await.unwrap().status, 400);
    }
    for raw in [&b"x-request-id: a\rset-cookie: b\r\n"[..], b"x-request-id: a\0b\r\n", b"x y: 1\r\n", b": 1\r\n"] {
        let bytes = [head(&house, "1.1", "x: ").trim_end().as_bytes(), b"\r\n", raw, b"\r\n"].concat();
        let text = attack(&house, bytes).await;
        assert_eq!(answers(&text), ["400"], "{text}");
        assert!(!text.contains("set-cookie"));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_name_cannot_inject_into_anything() {
    let house = House::open().await;
    for name in [
        r"demo\r\nset-cookie: a=b",
        r"demo\u0000",
        r"\u00e9\u4e2d\ud83d\ude00",
        "=HYPERLINK(1)",
        "../../admin",
        "demo%00",
        "' OR 1=1 --",
        "<script>alert(1)</script>",
    ] {
        let body = format!(r#"{{"model":"{name}","messages":[]}}"#);
        let answer = Answer::of(house.post(body).send().await.unwrap()).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (404, "model_not_found"), "{name}: {}", answer.text);
        assert!(answer.header("set-cookie").is_none());
    }
    let answer = Answer::of(house.post(r#"{"model":"\ud800","messages":[]}"#).send().await.unwrap()).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    let long = format!(r#"{{"model":"{}","messages":[]}}"#, "m".repeat(100_000));
    let answer = Answer::of(house.post(long).send().await.unwrap()).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    assert!(answer.text.len() < 2000, "a message repeats a bounded part of what was sent: {}", answer.text.len());
    let csv = house.client.get(house.url("/v1/usage.csv")).bearer_auth(&house.key).send().await.unwrap();
    let csv = Answer::of(csv).await;
    assert!(!csv.text.contains(",=HYPERLINK"), "a spreadsheet must not run it: {}", csv.text);
    assert!(house.records().await.iter().all(|record| record.charge == Amount::ZERO));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_never_passed_on_whatever_way_they_came() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    let target = format!("/v1/chat/completions?key={}&alt=sse", house.key);
    let mut wire = Wire::open(&house).await;
    let lines = format!("host: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    wire.send(format!("POST {target} HTTP/1.1\r\n{lines}")).await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    let seen = house.demo.seen().last.pop().unwrap();
    assert!(!format!("{seen:?}").contains(&house.key), "{seen:?}");
    for conflict in [format!("authorization: Bearer {}x\r\n", house.key), "x-api-key: sk-other\r\n".to_owned()] {
        wire.send(format!("POST {target} HTTP/1.1\r\n{conflict}{lines}")).await;
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_api_key"));
        assert!(!answer.body.contains(&house.key));
    }
    wire.send(format!("GET /nowhere?key={} HTTP/1.1\r\nhost: x\r\n\r\n", house.key)).await;
    let lost = wire.answer().await.unwrap();
    assert!(lost.status == 404 && !lost.body.contains(&house.key), "{}", lost.body);
    assert!(!format!("{:?}", house.records().await).contains(&house.key));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_does_not_wait_for_a_body_that_waits_for_it() {
    let house = House::open().await;
    let mut wire = Wire::open(&house).await;
    let started = std::time::Instant::now();
    wire.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer nope\r\nexpect: 100-continue\r\ncontent-length: 50\r\n\r\n").await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")), "{}", answer.head);
    assert!(wire.ends().await);
    // The drain of an unread body takes two seconds: far from what an answer on loopback does.
    assert!(started.elapsed() < std::time::Duration::from_millis(1500), "{:?}", started.elapsed());
    house.close().await;
}
