//! What an upstream can do over HTTP/1.1: every odd answer has one outcome, one record and an exact charge.

use std::time::Duration;

use qingwave::pricing::Amount;
use qingwave::proxy::attempt::ERROR_BYTES_MAX;
use serde_json::json;

use crate::support::{Answer, House, ask, ask_long};
use crate::upstream::{
    CHARGE, STREAM_HEAD, Then, USAGE, Upstream, answer, chunk, data, document, events, house, stream, until,
};
use crate::wire::{Raw, Wire, call};

struct Odd {
    house: House,
    upstream: Upstream,
}

impl Odd {
    async fn open() -> Odd {
        let (house, upstream) = house(|config| config.routing.idle_ms = 3_000).await;
        Odd { house, upstream }
    }

    /// One call whose upstream says `bytes`. Whatever comes of it: one record, an exact charge, nothing of the upstream's
    /// that is not for clients, and a connection that does what its header says.
    async fn ask(&self, bytes: impl Into<Vec<u8>>, then: Then, streamed: bool) -> Raw {
        let bytes = bytes.into();
        // Shown when a test fails: which of its answers it was.
        println!("{streamed} {then:?} {:.300}", String::from_utf8_lossy(&bytes));
        self.upstream.says(bytes, then);
        self.call("odd", streamed).await
    }

    async fn call(&self, model: &str, streamed: bool) -> Raw {
        let mut body = ask(model);
        if streamed {
            body["stream"] = true.into();
        }
        let before = (self.house.records().await.len(), self.house.wallet().posted);
        let mut wire = Wire::open(&self.house).await;
        wire.send(call(&self.house, &body.to_string(), "")).await;
        let raw = wire.answer().await.expect("an answer");
        for name in ["set-cookie", "server", "openai-organization", "location", "x-ratelimit-limit-requests"] {
            assert!(raw.header(name).is_none(), "{}", raw.head);
        }
        self.house.settled().await;
        let records = self.house.records().await;
        assert_eq!(records.len(), before.0 + 1, "one call, one record");
        assert_eq!(before.1.checked_sub(records[0].charge).unwrap(), self.house.wallet().posted);
        if raw.header("connection") == Some("keep-alive") {
            wire.send("GET /v1/models/demo HTTP/1.1\r\nhost: x\r\n\r\n").await;
            assert_eq!(wire.answer().await.expect("a kept connection takes another request").status, 200);
        } else {
            assert!(wire.ends().await, "{}", raw.head);
        }
        raw
    }

    /// It is charged as reported.
    async fn check_good(&self, bytes: impl Into<Vec<u8>>, then: Then, streamed: bool) -> Raw {
        let raw = self.ask(bytes, then, streamed).await;
        assert_eq!(raw.status, 200, "{raw:?}");
        let record = &self.house.records().await[0];
        assert_eq!((record.charge, record.status), (Amount::parse(CHARGE).unwrap(), 200), "{raw:?}");
        assert_eq!(record.usage_source.map(|s| s.as_str()), Some("reported"));
        raw
    }

    /// It fails with this status and code, for nothing.
    async fn check_bad(&self, bytes: impl Into<Vec<u8>>, then: Then, streamed: bool, status: u16, code: &str) -> Raw {
        let raw = self.ask(bytes, then, streamed).await;
        assert_eq!((raw.status, raw.code().as_str()), (status, code), "{raw:?}");
        assert!(self.house.records().await[0].charge.is_zero());
        raw
    }

    async fn close(self) {
        self.house.close().await;
    }
}

const MORE: &str = "set-cookie: a=b\r\nserver: odd\r\nopenai-organization: ours\r\nx-ratelimit-limit-requests: 1\r\n";

fn framed(first: &str, body: &str) -> String {
    format!("HTTP/1.1 {first}\r\n{MORE}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_nothing_in_it_is_none_for_clients_of_other_protocols_too() {
    let odd = Odd::open().await;
    let usage = r#""usage":{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5}"#;
    let whole = format!(r#"{{"id":"c","object":"chat.completion","choices":[],{usage}}}"#);
    let none = stream(&[data(&format!(r#"{{"choices":[],{usage}}}"#)), data("[DONE]")]);
    let messages = |stream: bool| json!({"model": "odd", "stream": stream, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]});
    for (bytes, streamed, gemini) in [
        (answer("200 OK", "application/json", &whole), false, "generateContent"),
        (none, true, "streamGenerateContent?alt=sse"),
    ] {
        for (path, body) in [
            ("/v1/messages".to_owned(), messages(streamed)),
            (format!("/v1beta/models/odd:{gemini}"), contents.clone()),
        ] {
            odd.upstream.says(bytes.clone(), Then::KeepAlive);
            let request = odd.house.client.post(odd.house.url(&path)).bearer_auth(&odd.house.key);
            let request = request.header("content-type", "application/json").body(body.to_string());
            let got = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(got.status, 502, "{path}: {got:?}");
            odd.house.settled().await;
            assert!(odd.house.records().await[0].charge.is_zero(), "{path}");
        }
    }
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_none_is_a_502() {
    let odd = Odd::open().await;
    let keep = Then::KeepAlive;
    for streamed in [false, true] {
        for bytes in [
            answer("200 OK", "text/html", "<html>Sign in</html>"),
            framed("200 OK\r\ncontent-type: application/json", ""),
            framed("200 OK\r\ncontent-type: text/event-stream", ""),
            framed("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip", "\x1f\x08"),
            answer("200 OK", "application/json", "[]"),
            answer("200 OK", "application/json", &document()[..40]),
            format!("HTTP/1.1 204 No Content\r\n{MORE}\r\n"),
            format!("HTTP/1.1 304 Not Modified\r\n{MORE}\r\n"),
            framed("302 Found\r\nlocation: http://127.0.0.1:1/", "moved"),
            stream(&[": ping\n\n".to_owned()]),
            stream(&[data("[DONE]")]),
        ] {
            odd.check_bad(bytes, keep, streamed, 502, "upstream_error").await;
        }
    }
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_http_is_a_502() {
    let odd = Odd::open().await;
    let body = document();
    let good = answer("200 OK", "application/json", &body);
    for (bytes, then) in [
        (String::new(), Then::Close),
        (String::new(), Then::Reset),
        ("HTTP/1.1 200 OK\r\ncontent-ty".to_owned(), Then::Close),
        ("HTTP/1.1 200 OK\r\ncontent-ty".to_owned(), Then::Reset),
        ("ICY 200 OK\r\n\r\n".to_owned(), Then::Stay),
        ("HTTP/1.1 abc\r\n\r\n".to_owned(), Then::Stay),
        ("HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n".to_owned(), Then::Stay),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_owned(), Then::Stay),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello".to_owned(), Then::Stay),
        ("HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n".to_owned(), Then::Stay),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(), Then::Stay),
        (format!("{STREAM_HEAD}-5\r\n"), Then::Stay),
        (good.replace("content-length: ", "content-length: 1"), Then::Close),
        (format!("HTTP/1.1 200 OK\r\n{}content-length: 2\r\n\r\n{{}}", "x: 1\r\n".repeat(300)), Then::Stay),
    ] {
        odd.check_bad(bytes, then, false, 502, "upstream_error").await;
    }
    let short = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{body}");
    odd.check_bad(short, Then::KeepAlive, false, 502, "upstream_error").await;
    odd.check_good(good, Then::KeepAlive, false).await;
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_framing_of_a_good_answer_does_not_matter() {
    let odd = Odd::open().await;
    let body = document();
    let good = answer("200 OK", "application/json", &body);
    let (one, two) = body.split_at(30);
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for (bytes, then) in [
        (good.clone(), Then::KeepAlive),
        (good.replace("200 OK\r\n", &format!("200 OK\r\n{MORE}")), Then::KeepAlive),
        (good.replace("200 OK\r\n", &format!("200 OK\r\n{}", "x: 1\r\n".repeat(200))), Then::KeepAlive),
        (
            format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nset-cookie: a=b\r\n\r\n{good}"),
            Then::KeepAlive,
        ),
        (format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{body}"), Then::Close),
        (format!("HTTP/1.1 200 OK\r\n\r\n{body}"), Then::Close),
        (format!("{chunked}{}{}0\r\nx-trailer: 1\r\nset-cookie: a=b\r\n\r\n", chunk(one), chunk(two)), Then::KeepAlive),
        (format!("{chunked}{:x};ext=\"1\"\r\n{body}\r\n0\r\n\r\n", body.len()), Then::KeepAlive),
        (good.replace("content-length", "connection: close, set-cookie\r\ncontent-length"), Then::Close),
        (good.replace("200 OK", "200"), Then::KeepAlive),
    ] {
        let raw = odd.check_good(bytes, then, false).await;
        assert_eq!(raw.body, body);
        assert_eq!(raw.header("content-length"), Some(&*body.len().to_string()), "{}", raw.head);
        assert_eq!(raw.header("x-qingwave-charge"), Some(CHARGE));
    }
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_streams_arrive_whole_and_are_charged_once() {
    let odd = Odd::open().await;
    let good = events();
    let crlf: Vec<String> = good.iter().map(|e| e.replace('\n', "\r\n")).collect();
    let finish_with_usage =
        data(&format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],{USAGE}}}"#));
    let compact: Vec<String> = vec![good[0].clone(), good[1].clone(), finish_with_usage, good[4].clone()];
    let unfinished: Vec<String> = vec![good[0].clone(), good[1].clone(), good[3].clone(), good[4].clone()];
    let endless: Vec<String> = good[..4].to_vec();
    let twice: Vec<String> = good.iter().chain(&good[3..]).cloned().collect();
    let commented: Vec<String> = std::iter::once(": ping\n\n".to_owned()).chain(good.clone()).collect();
    for events in [good.clone(), crlf, compact, unfinished, endless, twice, commented] {
        let raw = odd.check_good(stream(&events), Then::KeepAlive, true).await;
        let text: String = raw.body.lines().filter(|l| l.contains("\"content\"")).collect();
        assert!(text.contains("\"hel\"") && text.contains("\"lo\""), "{raw:?}");
        assert!(!raw.body.contains("stream_interrupted"));
    }
    let body: String = good.concat();
    let until_close = format!("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}");
    assert!(odd.check_good(until_close, Then::Close, true).await.body.ends_with("data: [DONE]\n\n"));
    let with_length = answer("200 OK", "text/event-stream; charset=utf-8", &body);
    assert!(odd.check_good(with_length, Then::KeepAlive, true).await.body.ends_with("data: [DONE]\n\n"));
    let unended = stream(&good).replace("0\r\n\r\n", "");
    for then in [Then::Close, Then::Reset, Then::Stay] {
        let raw = odd.check_good(unended.clone(), then, true).await;
        assert!(raw.body.ends_with("data: [DONE]\n\n"), "broken behind its end mark, an answer is whole: {raw:?}");
    }
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_within_its_content_never_looks_whole() {
    let odd = Odd::open().await;
    let good = events();
    let begun = stream(&good[..2]).replace("0\r\n\r\n", "");
    let in_event = format!("{begun}{}", chunk("data: {\"choices\":[{\"index\""));
    let ended = stream(&good[..2]);
    for (bytes, then) in [
        (begun.clone(), Then::Close),
        (begun.clone(), Then::Reset),
        (begun.clone(), Then::Stay),
        (in_event, Then::Close),
        (ended, Then::KeepAlive),
        (format!("{begun}zz\r\n"), Then::Stay),
    ] {
        let raw = odd.ask(bytes, then, true).await;
        if raw.status == 502 {
            // It broke before its first content had passed.
            assert!(odd.house.records().await[0].charge.is_zero());
            continue;
        }
        assert_eq!(raw.status, 200);
        assert!(!raw.body.contains("[DONE]") && raw.body.contains("stream_interrupted"), "{raw:?}");
        let record = &odd.house.records().await[0];
        assert!(record.charge.is_zero() && record.error_code.as_deref() == Some("stream_interrupted"), "{record:?}");
    }
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_a_stream_does_not_wait_for_an_upstream_that_stays() {
    let odd = Odd::open().await;
    let error = data(r#"{"error":{"message":"overloaded","type":"server_error","code":"busy"}}"#);
    let first = stream(std::slice::from_ref(&error)).replace("0\r\n\r\n", "");
    let started = std::time::Instant::now();
    for then in [Then::KeepAlive, Then::Stay] {
        let bytes = if then == Then::Stay { first.clone() } else { stream(std::slice::from_ref(&error)) };
        let raw = odd.ask(bytes, then, true).await;
        assert!(raw.status >= 400 && raw.body.contains("overloaded"), "{raw:?}");
    }
    // The upstream is left, not waited for until it has been idle for too long.
    assert!(started.elapsed() < Duration::from_millis(2_500), "{:?}", started.elapsed());
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_fails_is_free_and_its_reported_cost_is_kept() {
    let odd = Odd::open().await;
    let good = events();
    let error = data(r#"{"error":{"message":"overloaded","type":"server_error","code":"busy"}}"#);
    odd.ask(stream(&[good[0].clone(), good[1].clone(), good[3].clone(), error]), Then::KeepAlive, true).await;
    odd.house.settled().await;
    let record = odd.house.records().await.remove(0);
    assert!(record.charge.is_zero() && !record.cost.is_zero(), "{record:?}");
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upstreams_own_errors_pass_with_what_is_for_clients() {
    let odd = Odd::open().await;
    let words = |text: &str| format!(r#"{{"error":{{"message":"{text}","type":"t","param":null,"code":"c"}}}}"#);
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let limited = framed(&format!("429 Too Many\r\nretry-after: {date}"), &words("slow down"));
    let raw = odd.ask(limited, Then::KeepAlive, false).await;
    assert_eq!((raw.status, raw.header("retry-after"), raw.code().as_str()), (429, Some(date), "c"));
    let raw = odd.ask(framed("400 Bad", &words("no such voice")), Then::KeepAlive, true).await;
    assert_eq!((raw.status, raw.body.as_str()), (400, &*words("no such voice")));

    let long = "x".repeat(1 << 20);
    let raw = odd.ask(framed("503 Gone", &long), Then::KeepAlive, false).await;
    assert_eq!((raw.status, raw.code().as_str()), (503, "upstream_error"));
    assert!(raw.body.len() <= 2 * ERROR_BYTES_MAX, "{}", raw.body.len());
    let raw = odd.ask("HTTP/1.1 500 X\r\ncontent-length: 1000\r\n\r\nhalf of", Then::Close, false).await;
    assert_eq!(raw.status, 500, "what came of an error is still the upstream's word: {raw:?}");
    for status in ["600 Odd", "999 Odd"] {
        let raw = odd.ask(framed(status, "?"), Then::KeepAlive, false).await;
        assert_eq!(raw.status, 502, "{raw:?}");
    }
    let canary = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyz";
    let raw = odd.ask(framed("401 No", &words(&format!("bad key {canary}"))), Then::KeepAlive, false).await;
    assert_eq!((raw.status, raw.code().as_str()), (502, "upstream_auth"));
    assert!(!raw.body.contains(canary), "{}", raw.body);
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_an_end_are_bounded() {
    let odd = Odd::open().await;
    for head in [
        "HTTP/1.1 500 X\r\ncontent-type: text/plain\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        odd.upstream.plays(move |mut peer| async move {
            peer.read().await;
            peer.say(head.as_bytes()).await;
            let piece = vec![b'x'; 64 << 10];
            while peer.say(&piece).await {}
        });
        let started = std::time::Instant::now();
        let raw = odd.call("odd", false).await;
        assert!(matches!(raw.status, 500 | 502), "{raw:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(odd.house.records().await[0].charge.is_zero());
    }
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_one_call_never_reaches_another() {
    let odd = Odd::open().await;
    let good = answer("200 OK", "application/json", &document());
    let other = good.replace("hello", "HELLO");
    for bytes in [format!("{good}{other}"), format!("{good}HTTP/1.1 200 OK\r\n"), format!("{good}\r\n\r\nx")] {
        odd.upstream.says(bytes, Then::KeepAlive);
        for _ in 0..3 {
            let raw = odd.call("odd", false).await;
            assert!(raw.body.contains("hello"), "{raw:?}");
        }
    }
    // Unasked bytes on an idle connection.
    odd.upstream.plays({
        let (good, other) = (good.clone(), other.clone());
        move |mut peer| {
            let (good, other) = (good.clone(), other.clone());
            async move {
                peer.read().await;
                peer.say(good.as_bytes()).await;
                tokio::task::yield_now().await;
                peer.say(other.as_bytes()).await;
                peer.until_closed().await;
            }
        }
    });
    for _ in 0..3 {
        assert!(odd.call("odd", false).await.body.contains("hello"));
    }
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_that_died_costs_no_attempt() {
    let odd = Odd::open().await;
    let good = answer("200 OK", "application/json", &document());
    // Every connection serves one answer and ends when the second request has come: just as a server's idle limit does.
    odd.upstream.plays(move |mut peer| {
        let good = good.clone();
        async move {
            peer.read().await;
            peer.say(good.as_bytes()).await;
            peer.read().await;
            if peer.index % 2 == 0 {
                peer.reset();
            }
        }
    });
    for _ in 0..6 {
        let raw = odd.call("odd", false).await;
        assert_eq!(raw.status, 200, "{raw:?}");
        let record = &odd.house.records().await[0];
        assert_eq!((record.attempts, record.charge), (1, Amount::parse(CHARGE).unwrap()));
    }
    assert!(odd.upstream.requests() > 6, "connections did die under a request: {}", odd.upstream.requests());
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_come_before_the_request_is_read() {
    let (house, upstream) = house(|config| config.routing.idle_ms = 2_000).await;
    let refusal = framed(
        "413 Too Large\r\nconnection: close",
        r#"{"error":{"message":"too large","type":"t","code":"too_large"}}"#,
    );
    for reads_on in [true, false] {
        let refusal = refusal.clone();
        upstream.plays(move |mut peer| {
            let refusal = refusal.clone();
            async move {
                peer.read_head().await;
                peer.say(refusal.as_bytes()).await;
                if reads_on {
                    peer.until_closed().await;
                }
            }
        });
        let answer = Answer::of(house.post(ask_long("odd", 20 << 20)).send().await.unwrap()).await;
        assert_eq!(answer.status, 413, "{}", answer.text);
    }
    assert!(house.records().await.iter().all(|record| record.charge.is_zero()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_upstream_ends_at_its_deadline_and_is_left() {
    let odd = Odd::open().await;
    for (bytes, count) in [("", 1), ("HTTP/1.1 200 OK\r\n", 2), (STREAM_HEAD, 3)] {
        odd.upstream.says(bytes, Then::Stay);
        let raw = odd.call("odd-hasty", true).await;
        assert_eq!((raw.status, raw.code().as_str()), (504, "upstream_timeout"), "{raw:?}");
        odd.upstream.closed(count).await;
    }
    // Comments are not content: they do not stop the clock.
    odd.upstream.says(format!("{STREAM_HEAD}{}", chunk(": ping\n\n").repeat(10)), Then::Stay);
    let raw = odd.call("odd-hasty", true).await;
    assert_eq!((raw.status, raw.code().as_str()), (504, "upstream_timeout"), "{raw:?}");
    until("the call is over", || odd.house.running.load.calls() == 0).await;
    odd.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_channel_answers_for_one_that_is_odd() {
    let odd = Odd::open().await;
    let begun = stream(&events()[..1]).replace("0\r\n\r\n", "");
    for (bytes, then, attempts) in [
        (answer("200 OK", "text/html", "<html>"), Then::KeepAlive, 2),
        (framed("503 X", &"x".repeat(1 << 20)), Then::KeepAlive, 2),
        (String::new(), Then::Reset, 2),
        (format!("{STREAM_HEAD}{}", chunk(": ping\n\n")), Then::Close, 2),
        (begun, Then::Close, 2),
    ] {
        let streamed = bytes.contains("event-stream");
        odd.upstream.says(bytes.clone(), then);
        let raw = odd.call("odd-then-good", streamed).await;
        let record = &odd.house.records().await[0];
        assert_eq!(raw.status, 200, "{raw:?}");
        if raw.body.contains("stream_interrupted") {
            // Its first content had passed before it broke: no other channel may continue it.
            assert!(record.charge.is_zero() && record.attempts == 1 && bytes.contains("hel"), "{record:?}");
        } else {
            assert_eq!(record.attempts, attempts, "{bytes:.80}");
            assert!(record.charge > Amount::ZERO);
        }
    }
    odd.close().await;
}
