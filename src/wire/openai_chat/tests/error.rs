//! Upstream errors in all their shapes, and what is taken out of them.

use super::super::*;

#[test]
fn messages_are_found_in_every_shape() {
    let message = |body: &str| error_message(body.as_bytes());
    for body in [
        r#"{"error":{"message":"no"}}"#,
        r#"{"error":"no","code":"x"}"#,
        r#"{"detail":"no"}"#,
        r#"{"message":"no"}"#,
        r#"{"detail":[{"loc":["body"],"msg":"no","type":"t"}]}"#,
        r#"[{"error":{"code":400,"message":"no"}}]"#,
        r#"{"errors":[{"message":"no"}]}"#,
        r#"{"error":{"message":null,"detail":"no"}}"#,
        "no",
        " no\n",
        r#""no""#,
    ] {
        assert_eq!(message(body).as_deref(), Some("no"), "{body}");
    }
    assert_eq!(message(r#"{"detail":[{"msg":"a"},{"msg":"b"}]}"#).as_deref(), Some("a; b"));
    for body in
        ["", " ", "<html>no</html>", "\n<!DOCTYPE html>", "{}", "[]", "{\"error\":", r#"{"error":{"code":1}}"#, "null"]
    {
        assert_eq!(message(body), None, "{body}");
    }
    assert_eq!(error_message(b"\xff\xfe"), None);
    assert_eq!(message(&"é".repeat(20_000)).unwrap().len(), 16 << 10);
}

#[test]
fn only_the_protocols_own_form_is_an_error_object() {
    assert!(is_error_object(br#" {"error":{"message":"","type":null}} "#));
    for body in
        [r#"{"error":"no"}"#, r#"[{"error":{"message":"no"}}]"#, r#"{"error":{}}"#, r#"{"message":"no"}"#, "", "<p>"]
    {
        assert!(!is_error_object(body.as_bytes()), "{body}");
    }
}

#[test]
fn an_error_event_is_one_event() {
    let event = error_event("a \"b\"\n\nc", "server_error", "stream_interrupted");
    let expected =
        r#"data: {"error":{"code":"stream_interrupted","message":"a \"b\"\n\nc","param":null,"type":"server_error"}}"#;
    assert_eq!(event, format!("{expected}\n\n"));
}

#[test]
fn a_status_is_read_where_it_is_named() {
    let status = |error: &str| {
        let body = format!(r#"{{"error":{error}}}"#);
        read_whole(body.as_bytes()).unwrap().error.unwrap().status
    };
    assert_eq!(status(r#"{"message":"m","code":429}"#), Some(429));
    assert_eq!(status(r#"{"message":"m","code":"503"}"#), Some(503));
    assert_eq!(status(r#"{"message":"m","code":"tool_use_failed","status_code":400}"#), Some(400));
    assert_eq!(status(r#"{"message":"m","code":429,"status":"RESOURCE_EXHAUSTED"}"#), Some(429));
    assert_eq!(status(r#"{"message":"m","code":"rate_limit_exceeded"}"#), None);
    assert_eq!(status(r#"{"message":"m","code":1234}"#), None);
    assert_eq!(status(r#""m""#), None);
}

#[track_caller]
fn check_redacted(text: &str, expected: &str) {
    assert_eq!(redact(text), expected);
    assert_eq!(redact(expected), expected, "a second time");
}

#[test]
fn keys_accounts_and_addresses_are_taken_out() {
    check_redacted(
        "Incorrect API key provided: sk-proj-abc1*****xyz9. You can find your API key at https://platform.example.com/account/api-keys.",
        "Incorrect API key provided: [key]. You can find your API key at [url].",
    );
    check_redacted("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [key]");
    check_redacted("bad key AIzaSyA1234567890abcdefghijklmnopqrstuv!", "bad key [key]!");
    check_redacted("id AKIAIOSFODNN7EXAMPLE, done", "id [key], done");
    check_redacted(r#"{"api_key":"0123456789abcdef0123456789abcdef"}"#, r#"{"api_key":"[key]"}"#);
    check_redacted("api_key=Zm9vYmFyYmF6cXV4MTIzNA== x", "api_key=[key] x");
    check_redacted("token: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig-_x", "token: [key]");
    check_redacted("in organization org-AbC123456789 on tokens", "in organization [account] on tokens");
    check_redacted(
        "see (http://10.0.0.1:8000/v1?x=1&y), **https://a.example/b** or HTTPS://C.example!",
        "see ([url]), **[url] or [url]!",
    );
    check_redacted(
        r#"{"m":"see https:\/\/a.example\/b\nsk-abc1234567\u0020gsk_abcdef12345"}"#,
        r#"{"m":"see [url]\n[key]\u0020[key]"}"#,
    );
}

#[test]
fn everything_else_stays_word_for_word() {
    for text in [
        "",
        " \t\r\n  two  spaces ",
        "Rate limit reached for gpt-4o-mini-2024-07-18: Limit 200000, Used 199999.",
        "risk-1234567890 task-abc123456",
        "sk-learn and the key is missing",
        "Bearer token is required",
        "tool_use_failed: {\"name\":\"f\"} 你好 — é",
        "max_tokens=100 a==b ../x/y",
        "https:// alone",
        "the key word requires authentication parameters",
        "request req_0123456789abcdef0123456789",
        r"C:\users\new \u12",
    ] {
        check_redacted(text, text);
    }
}

proptest::proptest! {
    #[test]
    fn redacted_json_stays_json(text in r#"[ \n"\\/:.=*a-e0-3é]{0,30}(sk-|https://|Bearer |key: |org-)[a-z0-9."\\\n]{0,30}"#) {
        let body = serde_json::json!({"error": {"message": text}}).to_string();
        let redacted = redact(&body);
        proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&redacted).is_ok(), "{} -> {}", body, redacted);
    }
}
