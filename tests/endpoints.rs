//! The endpoints beside plain chats, through the running gateway: counts, embeddings, rerankings, moderations, completions,
//! listings; strict calls, losses, errors in the caller's protocol, stored responses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Answer, House, Plan};

struct Door {
    house: House,
}

impl Door {
    async fn open() -> Door {
        Door { house: House::open().await }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.house.client.post(self.house.url(path)).bearer_auth(&self.house.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap())
            .await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.house.client.get(self.house.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// What the upstream got last.
    fn upstream(&self) -> (String, Value) {
        let seen = self.house.demo.seen().last.pop().unwrap();
        (seen.path.clone(), serde_json::from_str(&seen.body).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_counted_by_the_upstream_or_by_us() {
    let door = Door::open().await;
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]});
    let whole = json!({"generateContentRequest": {"model": "models/demo-gemini", "contents": gemini["contents"]}});
    let messages = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "one two three"}]});
    let responses = |model: &str| json!({"model": model, "input": "one two three"});
    for (path, body, pointer, estimated) in [
        ("/v1/messages/count_tokens", messages("demo-messages"), "/input_tokens", false),
        ("/v1/messages/count_tokens", messages("demo-gemini"), "/input_tokens", true),
        ("/v1/responses/input_tokens", responses("demo-responses"), "/input_tokens", false),
        ("/v1/responses/input_tokens", responses("demo"), "/input_tokens", true),
        ("/v1beta/models/demo-gemini:countTokens", gemini.clone(), "/totalTokens", false),
        ("/v1beta/models/demo-gemini:countTokens", whole.clone(), "/totalTokens", false),
        ("/v1beta/models/demo-messages:countTokens", whole, "/totalTokens", true),
    ] {
        let answer = door.post(path, &body).await;
        assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
        let tokens = answer.json().pointer(pointer).unwrap().as_u64().unwrap();
        assert!((2..40).contains(&tokens), "{path} {body}: {answer:?}");
        assert_eq!(answer.header("x-qingwave-estimated").is_some(), estimated, "{path} {body}: {answer:?}");
    }
    door.house.settled().await;
    let records = door.house.records().await;
    assert_eq!(records.len(), 7);
    assert!(records.iter().all(|record| record.charge.is_zero() && record.operation.as_str() == "count_tokens"));
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embeddings_cross_between_openai_and_gemini() {
    let door = Door::open().await;
    let openai = |model: &str, format: &str| json!({"model": model, "input": ["a", "b"], "encoding_format": format});
    for model in ["demo-embed", "gemini-embedding-2"] {
        let floats = door.post("/v1/embeddings", &openai(model, "float")).await;
        assert_eq!(floats.status, 200, "{model}: {floats:?}");
        let floats = floats.json();
        assert_eq!(floats["data"].as_array().unwrap().len(), 2, "{model}");
        let vector: Vec<f32> = serde_json::from_value(floats["data"][1]["embedding"].clone()).unwrap();
        let base64 = door.post("/v1/embeddings", &openai(model, "base64")).await.json();
        let bytes = data_encoding::BASE64.decode(base64["data"][1]["embedding"].as_str().unwrap().as_bytes()).unwrap();
        let decoded: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(decoded, vector, "{model}");
        let one = json!({"content": {"parts": [{"text": "b"}]}});
        let one = door.post(&format!("/v1beta/models/{model}:embedContent"), &one).await;
        assert_eq!(one.status, 200, "{model}: {one:?}");
        let values: Vec<f32> = serde_json::from_value(one.json()["embedding"]["values"].clone()).unwrap();
        assert_eq!(values.len(), vector.len(), "{model}");
        let request = |text: &str| json!({"model": format!("models/{model}"), "content": {"parts": [{"text": text}]}});
        let batch = json!({"requests": [request("a"), request("b")]});
        let batch = door.post(&format!("/v1beta/models/{model}:batchEmbedContents"), &batch).await;
        assert_eq!(batch.json()["embeddings"].as_array().unwrap().len(), 2, "{model}: {batch:?}");
    }
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rerankings_moderations_and_old_completions_answer() {
    let door = Door::open().await;
    let rerank = json!({"model": "demo-rerank", "query": "rivers", "documents": ["a river", "a stone"]});
    let answer = door.post("/v1/rerank", &rerank).await;
    assert_eq!((answer.status, answer.json()["results"].as_array().unwrap().len()), (200, 2), "{answer:?}");
    let answer = door.post("/v1/moderations", &json!({"model": "demo-moderation", "input": "kind words"})).await;
    assert_eq!((answer.status, &answer.json()["results"][0]["flagged"]), (200, &json!(false)), "{answer:?}");
    for model in ["demo", "demo-messages", "demo-gemini", "demo-responses"] {
        let body = json!({"model": model, "prompt": "Say something kind.", "max_tokens": 100});
        let answer = door.post("/v1/completions", &body).await;
        assert_eq!((answer.status, &answer.json()["object"]), (200, &json!("text_completion")), "{model}: {answer:?}");
        let said = answer.json()["choices"][0]["text"].as_str().unwrap().to_owned();
        let body = json!({"model": model, "prompt": "Say something kind.", "max_tokens": 100, "stream": true});
        let answer = door.post("/v1/completions", &body).await;
        let streamed: String =
            answer.events().iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
        assert_eq!((streamed, answer.done()), (said, true), "{model}: {answer:?}");
    }
    let wrong = door.post("/v1/embeddings", &json!({"model": "demo", "input": "a"})).await;
    assert_eq!((wrong.status, wrong.error_code().as_str()), (400, "operation_not_supported"), "{wrong:?}");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_listed_in_the_callers_shape() {
    let door = Door::open().await;
    let openai = door.get("/v1/models", &[]).await.json();
    assert_eq!(openai["object"], "list");
    let anthropic = [("anthropic-version", "2026-10-21"), ("x-api-key", "k")];
    let page = door.get("/v1/models?limit=2", &anthropic).await.json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (2, &json!(true)), "{page}");
    let last = page["last_id"].as_str().unwrap();
    let next = door.get(&format!("/v1/models?limit=1000&after_id={last}"), &anthropic).await.json();
    let total = next["data"].as_array().unwrap().len() + 2;
    assert_eq!((total, &next["has_more"]), (openai["data"].as_array().unwrap().len(), &json!(false)));
    let card = door.get("/v1/models/demo-messages", &anthropic).await.json();
    assert_eq!((&card["type"], &card["id"]), (&json!("model"), &json!("demo-messages")));
    for path in ["/v1beta/models?pageSize=3", "/v1/beta/models?pageSize=3", "/models?pageSize=3"] {
        let page = door.get(path, &[]).await.json();
        assert_eq!(page["models"].as_array().unwrap().len(), 3, "{path} {page}");
        assert!(page["models"][0]["name"].as_str().unwrap().starts_with("models/"), "{page}");
    }
    let page = door.get("/v1/models?pageSize=3", &[("x-goog-api-key", "k")]).await.json();
    let token = page["nextPageToken"].as_str().unwrap();
    let next = door.get(&format!("/v1beta/models?pageSize=3&pageToken={token}"), &[]).await.json();
    assert_ne!(page["models"][0], next["models"][0]);
    let card = door.get("/v1beta/models/demo-gemini", &[]).await.json();
    assert_eq!(card["name"], "models/demo-gemini");
    let none = door.get("/v1beta/models/nope", &[]).await;
    assert_eq!((none.status, &none.json()["error"]["status"]), (404, &json!("NOT_FOUND")), "{none:?}");
    let none = door.get("/v1/models/nope", &anthropic).await;
    assert_eq!((none.status, &none.json()["error"]["type"]), (404, &json!("not_found_error")), "{none:?}");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_knock_first_are_answered() {
    let door = Door::open().await;
    let hello = door.house.client.request(Method::HEAD, door.house.url("/api/hello")).send().await.unwrap();
    assert_eq!(hello.status(), 200);
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let answer = door.get("/v1/responses", &upgrade).await;
    assert_eq!((answer.status, answer.header("allow")), (426, Some("POST")), "{answer:?}");
    assert_eq!(door.get("/v1/responses", &[]).await.status, 405);
    let stored = door.get("/v1/responses/resp_1", &[]).await;
    assert_eq!((stored.status, stored.error_code().as_str()), (400, "invalid_request"), "{stored:?}");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_come_in_the_callers_protocol() {
    let door = Door::open().await;
    let messages = json!({"model": "nope", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    let answer = door.post("/v1/messages", &messages).await;
    let error = answer.json();
    assert_eq!(
        (answer.status, &error["type"], &error["error"]["type"]),
        (404, &json!("error"), &json!("not_found_error"))
    );
    assert_eq!(error["request_id"].as_str(), answer.header("request-id"), "{answer:?}");
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]});
    let answer = door.post("/v1beta/models/nope:generateContent", &gemini).await;
    assert_eq!((answer.status, &answer.json()["error"]["status"]), (404, &json!("NOT_FOUND")), "{answer:?}");
    // The upstream's words, whatever it speaks; overloaded is 529 for Anthropic's clients alone.
    for model in ["demo-fault-503", "demo-responses-fault-503", "demo-messages-fault-503", "demo-gemini-fault-503"] {
        let body = json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
        let answer = door.post("/v1/messages", &body).await;
        let error = answer.json();
        let native = model == "demo-messages-fault-503";
        assert!(answer.status == 529 || (native && answer.status == 503), "{model}: {answer:?}");
        assert!(error["error"]["message"].as_str().unwrap().contains("demo upstream"), "{model}: {answer:?}");
        assert_eq!(error["type"], "error", "{model}: {answer:?}");
        let answer = door.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 503, "{model}: {answer:?}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("demo upstream"), "{answer:?}");
    }
    for model in ["demo-fault-429", "demo-responses-fault-429", "demo-messages-fault-429", "demo-gemini-fault-429"] {
        let answer = door.post(&format!("/v1beta/models/{model}:generateContent"), &gemini).await;
        let error = answer.json();
        assert_eq!(
            (answer.status, &error["error"]["status"]),
            (429, &json!("RESOURCE_EXHAUSTED")),
            "{model}: {answer:?}"
        );
        let details = error["error"]["details"].to_string();
        assert!(details.contains("RetryInfo"), "{model}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{model}: {answer:?}");
    }
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_streams_end_in_the_callers_error() {
    let door = Door::open().await;
    let cut = ["demo-fault-cut", "demo-responses-fault-cut", "demo-messages-fault-cut", "demo-gemini-fault-cut"];
    let told = [
        "demo-responses-fault-error-in-stream",
        "demo-messages-fault-error-in-stream",
        "demo-gemini-fault-error-in-stream",
    ];
    for model in cut.iter().chain(&told) {
        let messages =
            json!({"model": model, "stream": true, "max_tokens": 300, "messages": [{"role": "user", "content": "x"}]});
        let answer = door.post("/v1/chat/completions", &messages).await;
        assert!(
            answer.status == 200 && answer.events().iter().any(|event| event["error"].is_object()),
            "{model}: {answer:?}"
        );
        assert!(!answer.done(), "{model}: {answer:?}");
        let answer = door.post("/v1/messages", &messages).await;
        assert_eq!(answer.events().pop().unwrap()["type"], "error", "{model}: {answer:?}");
        let responses = json!({"model": model, "stream": true, "input": "x"});
        let answer = door.post("/v1/responses", &responses).await;
        assert_eq!(answer.events().pop().unwrap()["type"], "response.failed", "{model}: {answer:?}");
        let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]});
        let answer = door.post(&format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), &gemini).await;
        assert!(answer.events().pop().unwrap()["error"].is_object(), "{model}: {answer:?}");
        let answer = door.post(&format!("/v1beta/models/{model}:streamGenerateContent"), &gemini).await;
        let list: Vec<Value> = serde_json::from_str(&answer.text).unwrap_or_else(|e| panic!("{model} {e}: {answer:?}"));
        assert!(list.last().unwrap()["error"].is_object(), "{model}: {answer:?}");
    }
    door.house.settled().await;
    assert!(door.house.records().await.iter().all(|record| record.charge.is_zero()), "a broken answer is free");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invented_fields_pass_natively_and_are_listed_as_lost_elsewhere() {
    let door = Door::open().await;
    let mut body =
        json!({"model": "demo", "max_completion_tokens": 50, "messages": [{"role": "user", "content": "x"}]});
    for at in 0..20 {
        body[format!("invented_{at}")] = json!({"deep": [at, "é", 1.50]});
    }
    let answer = door.post("/v1/chat/completions", &body).await;
    assert_eq!((answer.status, answer.header("x-qingwave-lossy")), (200, None), "{answer:?}");
    let (_, upstream) = door.upstream();
    assert!((0..20).all(|at| upstream[format!("invented_{at}")] == body[format!("invented_{at}")]), "{upstream}");
    for model in ["demo-responses", "demo-messages", "demo-gemini"] {
        body["model"] = json!(model);
        let answer = door.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 200, "{model}: {answer:?}");
        let lossy = answer.header("x-qingwave-lossy").unwrap();
        assert!((0..20).all(|at| lossy.contains(&format!("invented_{at};dropped"))), "{model}: {lossy}");
        let strict = door.post_with("/v1/chat/completions", &body, &[("x-qingwave-strict", "1")]).await;
        assert_eq!((strict.status, strict.error_code().as_str()), (400, "unsupported_parameter"), "{strict:?}");
        assert!(strict.json()["error"]["param"].as_str().unwrap().starts_with("invented_"), "{strict:?}");
    }
    door.house.settled().await;
    let records = door.house.records().await;
    let lossy = records.iter().filter(|record| record.losses.len() >= 20).count();
    assert_eq!(lossy, 3, "the record lists what was lost");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_key_loses_nothing() {
    let door = Door::open().await;
    let account = door.house.account.clone();
    let key = door
        .house
        .ledger(move |ledger| {
            let new = qingwave::ledger::NewKey { account, strict_parameters: true, ..Default::default() };
            secrecy::ExposeSecret::expose_secret(&ledger.create_key(new).unwrap().secret).to_owned()
        })
        .await;
    let body =
        json!({"model": "demo-messages", "seed": 7, "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]});
    let ask = |key: String| {
        let request = door.house.client.post(door.house.url("/v1/chat/completions")).bearer_auth(key);
        request.header("content-type", "application/json").body(body.to_string()).send()
    };
    let loose = Answer::of(ask(door.house.key.clone()).await.unwrap()).await;
    assert_eq!((loose.status, loose.header("x-qingwave-lossy")), (200, Some("seed;dropped")), "{loose:?}");
    let strict = Answer::of(ask(key).await.unwrap()).await;
    assert_eq!((strict.status, &strict.json()["error"]["param"]), (400, &json!("seed")), "{strict:?}");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_response_goes_back_to_its_upstream_or_is_refused() {
    let door = Door::open().await;
    let first = door.post("/v1/responses", &json!({"model": "demo-responses", "input": "x"})).await.json();
    let next = json!({"model": "demo-responses", "input": "y", "previous_response_id": first["id"]});
    let answer = door.post("/v1/responses", &next).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let elsewhere = json!({"model": "demo", "input": "y", "previous_response_id": first["id"]});
    let answer = door.post("/v1/responses", &elsewhere).await;
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("previous_response_id")), "{answer:?}");
    let background = json!({"model": "demo-responses", "input": "y", "background": true});
    let answer = door.post("/v1/responses", &background).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "unsupported_parameter"), "{answer:?}");
    let answer = door.post("/v1/responses", &json!({"model": "demo", "input": "y", "conversation": "conv_1"})).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thinking_that_an_upstream_refuses_is_left_out_once() {
    let door = Door::open().await;
    // Never made by this upstream, as after a change of accounts.
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "Zm9yZ2Vk"});
    let body = json!({"model": "demo-messages", "max_tokens": 4000, "messages": [
        {"role": "user", "content": "x"}, {"role": "assistant", "content": [thinking, {"type": "text", "text": "y"}]},
        {"role": "user", "content": "z"}]});
    let answer = door.post("/v1/messages", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_, upstream) = door.upstream();
    assert!(!upstream.to_string().contains("Zm9yZ2Vk"), "{upstream}");
    door.house.settled().await;
    let record = door.house.records().await.remove(0);
    assert_eq!((record.attempts, record.losses.len()), (2, 1), "{record:?}");
    door.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_by_url_is_fetched_where_the_upstream_cannot() {
    let plan = Plan { adjust: Box::new(|config| config.egress.allow_private = true), ..Plan::default() };
    let door = Door { house: House::with(plan).await };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/cat.png", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _read = stream.read(&mut head).await.unwrap();
            let png = b"\x89PNG\r\n\x1a\nrest";
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", png.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(png).await.unwrap();
        }
    });
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    let body = json!({"model": "demo-gemini", "messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, image]}]});
    let answer = door.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_, upstream) = door.upstream();
    assert_eq!(upstream["contents"][0]["parts"][1]["inlineData"]["mimeType"], "image/png", "{upstream}");
    door.house.close().await;
    let door = Door::open().await;
    let answer = door.post("/v1/chat/completions", &body).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (400, "invalid_request"),
        "private addresses are not reached: {answer:?}"
    );
    door.house.close().await;
}
