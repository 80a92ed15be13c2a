use serde_json::{Value as Json, json};

use crate::wire::gemini_generate::{count, read_error, write_error};
use crate::wire::ir::UpstreamError;

fn written(error: &UpstreamError, status: u16) -> Json {
    serde_json::from_slice(&write_error(error, status, "req-1")).unwrap()
}

#[test]
fn an_error_has_googles_shape() {
    let error = UpstreamError {
        message: "slow down".into(),
        code: Some("rate_limit_exceeded".into()),
        retry_after_ms: Some(17_000),
        ..UpstreamError::default()
    };
    let expected = json!({ "error": { "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "domain": "qingwave",
            "metadata": { "code": "rate_limit_exceeded" } },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s" },
        { "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req-1" }
    ] } });
    assert_eq!(written(&error, 429), expected);
    assert!(write_error(&error, 429, "r").starts_with(b"{\"error\":"));
}

#[test]
fn statuses_have_words() {
    let word = |status: u16| written(&UpstreamError::default(), status)["error"]["status"].as_str().unwrap().to_owned();
    let expected = [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (402, "RESOURCE_EXHAUSTED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (413, "INVALID_ARGUMENT"),
        (418, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (529, "UNAVAILABLE"),
    ];
    for (status, expected) in expected {
        assert_eq!(word(status), expected);
    }
    let own = UpstreamError { kind: Some("FAILED_PRECONDITION".into()), ..UpstreamError::default() };
    assert_eq!(written(&own, 400)["error"]["status"], "FAILED_PRECONDITION");
}

#[test]
fn errors_are_read_back() {
    let error = UpstreamError {
        message: "no such key".into(),
        kind: Some("INVALID_ARGUMENT".into()),
        reason: Some("API_KEY_INVALID".into()),
        status: Some(400),
        retry_after_ms: Some(250),
        ..UpstreamError::default()
    };
    let body = String::from_utf8(write_error(&error, 400, "r")).unwrap();
    assert_eq!(read_error(&body), Some(error.clone()));
    assert_eq!(read_error(&format!("[{body}]")), Some(error));
    assert_eq!(read_error("{\"candidates\":[]}"), None);
    assert_eq!(read_error("{\"error\":\"text\"}").unwrap().message, "text");
}

#[test]
fn counting_takes_a_request_or_its_contents() {
    let contents = json!([{ "role": "user", "parts": [{ "text": "hi" }] }]);
    let plain = json!({ "contents": contents }).to_string();
    let whole = json!({ "generateContentRequest": { "model": "models/gem-1", "contents": contents,
        "systemInstruction": { "parts": [{ "text": "s" }] } } })
    .to_string();
    assert_eq!(count::read_request(&plain, 64).unwrap().turns.len(), 1);
    let request = count::read_request(&whole, 64).unwrap();
    assert_eq!((request.model.as_ref(), request.turns.len()), ("gem-1", 2));
    let written = count::write_request(&request, &super::target(), &mut Default::default()).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&written).unwrap()["generateContentRequest"]["contents"], contents);
    let answer = String::from_utf8(count::write_answer(12)).unwrap();
    assert_eq!(count::read_answer(&answer), Some(12));
}
