//! The path of a call, through the running gateway: routed, replayed, retried, faithful, settled.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use qingwave::pricing::Amount;
use serde_json::{Value, json};
use support::{Answer, House, Plan, ask, ask_long, h2c_client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_answer_is_charged_and_recorded() {
    let house = House::open().await;
    let answer = house.chat("demo").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(!answer.content().is_empty());
    let charge = Amount::parse(answer.header("x-qingwave-charge").unwrap()).unwrap();
    assert!(charge > Amount::ZERO);
    let records = house.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].charge, charge);
    assert_eq!(records[0].id.to_string(), answer.header("x-request-id").unwrap());
    assert_eq!((records[0].status, records[0].attempts, records[0].stream), (200, 1, false));
    assert_eq!(house.wallet().posted, Amount::parse("10").unwrap().checked_sub(charge).unwrap());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_says_the_same_and_its_usage_chunk_is_ours_alone() {
    let house = House::open().await;
    let whole = house.chat("demo").await;
    let stream = house.chat_stream("demo").await;
    assert_eq!(stream.status, 200, "{}", stream.text);
    assert!(stream.done() && !stream.broken);
    assert_eq!(stream.content(), whole.content());
    assert!(stream.events().iter().all(|e| !e["choices"].as_array().unwrap().is_empty()), "{}", stream.text);

    let mut body = ask("demo");
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let asked = Answer::of(house.post(body.to_string()).send().await.unwrap()).await;
    let usage: Vec<Value> = asked.events().into_iter().filter(|e| e["choices"] == json!([])).collect();
    assert_eq!(usage.len(), 1, "{}", asked.text);
    let records = house.records().await;
    assert_eq!(records.len(), 3);
    assert!(records.windows(2).all(|pair| pair[0].charge == pair[1].charge), "the same units cost the same");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_named_parts_of_a_request_change() {
    let house = House::open().await;
    let body = r#"{ "odd" : [1.50, 1e3], "model":"demo" ,"stream":true, "messages":[{"content":"h\u0069","role":"user"}], "z":null }"#;
    let answer = Answer::of(house.post(body).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let seen = house.demo.seen().last.pop().unwrap();
    let (ours, rest) = seen.body.split_once("{\"include_usage\":true}").unwrap();
    assert_eq!(ours, r#"{"stream_options":"#);
    let expected = body.replacen('{', "", 1).replace(r#""model":"demo""#, r#""model":"ok""#);
    assert_eq!(rest, format!(",{expected}"));
    let sent: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_client_leaves_but_what_is_allowed() {
    let house = House::open().await;
    let answer = house
        .post(ask("demo").to_string())
        .header("cookie", "secret=1")
        .header("x-forwarded-for", "10.0.0.1")
        .header("openai-organization", "org")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("x-request-id", "mine-7")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let seen = house.demo.seen().last.pop().unwrap();
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["cookie", "x-forwarded-for", "openai-organization", "x-request-id"] {
        assert!(!names.contains(&name), "{names:?}");
    }
    assert!(names.contains(&"traceparent"), "{names:?}");
    assert!(!format!("{seen:?}").contains(&house.key));
    assert_eq!(house.records().await[0].client_request_id.as_deref(), Some("mine-7"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_mebibytes_survive_a_chain_of_failures_over_every_pair_of_versions() {
    let house = House::with(Plan { fund: "1000", ..Plan::default() }).await;
    let h2c = h2c_client();
    for (client, model) in [
        (&house.client, "demo-failover"),
        (&house.client, "demo-failover-h2"),
        (&h2c, "demo-failover"),
        (&h2c, "demo-failover-h2"),
    ] {
        let before = house.records().await.len();
        let body = ask_long(model, 30 << 20);
        let sent = body.len();
        let answer = Answer::of(house.post_by(client, body).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text);
        let seen = house.demo.seen().last.pop().unwrap();
        assert_eq!(seen.body_bytes, sent - model.len() + "ok".len(), "{model}");
        assert_eq!(seen.http_version, if model.ends_with("h2") { "HTTP/2" } else { "HTTP/1.1" });
        let records = house.records().await;
        assert_eq!(records.len(), before + 1, "one call, one record");
        assert_eq!(records[0].attempts, 4, "{model}");
        assert!(records[0].charge > Amount::ZERO);
    }
    house.close().await;
}

/// A single-channel model that fails: what the client gets, and that it costs nothing.
async fn check_fault(house: &House, model: &str, status: u16, code: &str) -> Answer {
    let before = house.wallet().posted;
    for stream in [false, true] {
        let answer = if stream { house.chat_stream(model).await } else { house.chat(model).await };
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{model}: {}", answer.text);
        house.settled().await;
        assert_eq!(house.wallet().posted, before, "{model}: a failed call is free");
        if stream {
            return answer;
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_before_content_reach_the_client_as_errors() {
    let house = House::open().await;
    check_fault(&house, "demo-fault-refuse", 502, "upstream_error").await;
    check_fault(&house, "demo-fault-reset-before", 502, "upstream_error").await;
    check_fault(&house, "demo-fault-hang", 504, "upstream_timeout").await;
    check_fault(&house, "demo-fault-401", 502, "upstream_auth").await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_upstream_error_reaches_the_client_intact() {
    let house = House::open().await;
    for (model, status) in [
        ("demo-fault-400", 400),
        ("demo-fault-429", 429),
        ("demo-fault-500", 500),
        ("demo-fault-503", 503),
        ("demo-fault-529", 529),
    ] {
        let answer = house.chat(model).await;
        assert_eq!(answer.status, status, "{model}: {}", answer.text);
        assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty());
        assert!(answer.header("set-cookie").is_none());
        if status == 429 {
            assert_eq!(answer.header("retry-after"), Some("2"));
        }
    }
    assert!(house.records().await.iter().all(|record| record.charge.is_zero()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_object_inside_a_200_is_an_error() {
    let house = House::open().await;
    for answer in [house.chat("demo-fault-error-in-200").await, house.chat_stream("demo-fault-error-in-200").await] {
        assert!(answer.status >= 400, "{}", answer.text);
        assert!(answer.json()["error"]["message"].is_string());
    }
    assert!(house.records().await.iter().all(|record| record.charge.is_zero()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_ends_with_an_error_event_and_is_free() {
    let house = House::open().await;
    for model in ["demo-fault-cut", "demo-fault-reset-after"] {
        let answer = house.chat_stream(model).await;
        assert_eq!(answer.status, 200, "{model}");
        assert!(!answer.done(), "{model}: a broken stream never looks finished");
        let last = answer.events().pop().unwrap();
        assert_eq!(last["error"]["code"], "stream_interrupted", "{model}: {}", answer.text);
        assert!(answer.text.ends_with("\n\n"));
    }
    house.settled().await;
    let records = house.records().await;
    assert_eq!(records.len(), 2);
    for record in records {
        assert!(record.charge.is_zero());
        assert_eq!(record.error_code.as_deref(), Some("stream_interrupted"));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_but_good_answers_arrive_whole() {
    let house = House::open().await;
    for model in ["demo-fault-giant", "demo-fault-one-byte", "demo-fault-slow-first", "demo-fault-slow-events"] {
        let answer = house.chat_stream(model).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text);
        assert!(answer.done() && !answer.content().is_empty(), "{model}");
    }
    assert!(house.records().await.iter().all(|record| record.charge > Amount::ZERO));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_that_nobody_reported_is_counted_and_flagged() {
    let house = House::open().await;
    let whole = house.chat("demo-fault-no-usage").await;
    let stream = house.chat_stream("demo-fault-no-usage").await;
    assert_eq!((whole.status, stream.status), (200, 200));
    assert!(whole.header("x-qingwave-charge").is_some());
    for record in house.records().await {
        assert_eq!(record.usage_source.map(|s| s.as_str()), Some("estimated"));
        assert!(record.charge > Amount::ZERO);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_cancels_the_upstream_and_pays_for_what_it_got() {
    let house = House::open().await;
    let mut body = ask("demo-fault-slow-events");
    body["stream"] = true.into();
    let mut response = house.post(body.to_string()).send().await.unwrap();
    // The gate opens with the first content, so something has been read when this returns.
    response.chunk().await.unwrap().unwrap();
    drop(response);
    house.settled().await;
    let records = house.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].status, 499);
    assert_eq!(records[0].usage_source.map(|s| s.as_str()), Some("counted"));
    assert!(records[0].charge > Amount::ZERO);
    let cancelled = async {
        while house.demo.seen().cancelled == 0 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(support::PATIENCE, cancelled).await.expect("the upstream is cancelled");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_before_content_pays_nothing() {
    let house = House::open().await;
    let mut body = ask("demo-fault-slow-first");
    body["stream"] = true.into();
    let call = house.post(body.to_string()).send();
    let arrived = async {
        while house.demo.seen().calls == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = call => panic!("answered before its first byte"),
        () = arrived => {}
    }
    house.settled().await;
    let records = house.records().await;
    assert_eq!((records.len(), records[0].status, records[0].charge), (1, 499, Amount::ZERO));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_taken_in_every_form() {
    let house = House::open().await;
    let send = |request: reqwest::RequestBuilder| {
        request.header("content-type", "application/json").body(ask("demo").to_string()).send()
    };
    let post = |path: &str| house.client.post(house.url(path));
    let path = "/v1/chat/completions";
    for request in [
        post(path).header("x-api-key", &house.key),
        post(path).header("x-goog-api-key", &house.key),
        post(&format!("{path}?key={}", house.key)),
    ] {
        assert_eq!(send(request).await.unwrap().status(), 200);
    }
    for request in
        [post(path), post(path).bearer_auth("sk-qw-wrong"), post(path).bearer_auth(format!("{}x", house.key))]
    {
        let answer = Answer::of(send(request).await.unwrap()).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (401, "invalid_api_key"));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_stops_at_once() {
    let house = House::open().await;
    assert_eq!(house.chat("demo").await.status, 200);
    house
        .ledger(|ledger| {
            let id = ledger.keys(None).unwrap()[0].id.clone();
            ledger.revoke_key(&id).unwrap();
        })
        .await;
    let answer = house.chat("demo").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "key_revoked"));
    house.close().await;
}
