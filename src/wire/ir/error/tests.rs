//! Errors in every shape met, and what they mean. Shapes: sections 4.4, 5.3 and 11 of the protocol notes.

use super::*;

fn read(status: u16, body: &str) -> UpstreamError {
    UpstreamError::read(Some(status), body.as_bytes())
}

#[test]
fn every_shape_gives_its_message() {
    for body in [
        r#"{"error":{"message":"no"}}"#,
        r#"{"type":"error","error":{"type":"x","message":"no"},"request_id":"req_1"}"#,
        r#"{"error":"no","code":"x"}"#,
        r#"{"detail":"no"}"#,
        r#"{"detail":{"message":"no"}}"#,
        r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#,
        r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
        r#"{"message":"no"}"#,
        r#"{"object":"error","message":"no","code":400}"#,
        r#"{"errors":[{"message":"no"}]}"#,
        r#"{"response":{"status":"failed","error":{"code":"x","message":"no"}}}"#,
        "\u{feff} no \n",
        r#""no""#,
    ] {
        assert_eq!(read(400, body).message, "no", "{body}");
    }
    assert_eq!(read(422, r#"{"detail":[{"msg":"a"},{"msg":"b"}]}"#).message, "a; b");
    assert_eq!(UpstreamError::read(None, b"\xffbad").message, "\u{fffd}bad");
    assert_eq!(read(400, r#"{"error":{"message":"half \ud83d"}}"#).message, "half \u{fffd}");
    assert_eq!(read(500, &"é".repeat(20_000)).message.len(), 16 << 10);
}

#[test]
fn what_says_nothing_gets_words_of_ours() {
    let html = "<!doctype html><html><body>secret host</body></html>";
    assert_eq!(read(502, html).message, "the upstream answered with status 502 and a page of HTML");
    for body in ["", " \r\n", "{}", "[]", "null"] {
        assert_eq!(read(503, body).message, "the upstream answered with status 503 and no message", "{body}");
    }
    assert_eq!(UpstreamError::read(Some(200), b"").message, "the upstream answered with an error and no message");
    // Its own words, though no message is among them.
    assert_eq!(read(500, r#"{"error":{"code":7}}"#).message, r#"{"error":{"code":7}}"#);
}

#[test]
fn words_are_found_on_every_level() {
    let error = read(400, r#"{"error":{"message":"m","type":"t","param":"a.b","code":"c"}}"#);
    assert_eq!(
        (error.kind.as_deref(), error.param.as_deref(), error.code.as_deref(), error.status),
        (Some("t"), Some("a.b"), Some("c"), Some(400))
    );
    let xai = read(400, r#"{"code":"Client specified an invalid argument","error":"m"}"#);
    assert_eq!((xai.message.as_str(), xai.code.as_deref()), ("m", Some("Client specified an invalid argument")));
    let anthropic = read(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#);
    assert_eq!(anthropic.kind.as_deref(), Some("overloaded_error"));
    let bare = read(400, r#"{"type":"error","error":"m"}"#);
    assert_eq!(bare.kind, None);
    let azure =
        read(400, r#"{"error":{"code":"x","message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#);
    assert_eq!((azure.class(), azure.code.as_deref()), (ErrorClass::Policy, Some("x")));
}

#[test]
fn gemini_says_when_to_come_again_and_why() {
    let body = |details: &str| {
        format!(r#"[{{"error":{{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{details}]}}}}]"#)
    };
    let error = read(429, &body(r#"{"@type":"t/RetryInfo","retryDelay":"17.25s"},{"reason":"RATE_LIMIT_EXCEEDED"}"#));
    assert_eq!((error.retry_after_ms, error.reason.as_deref()), (Some(17_250), Some("RATE_LIMIT_EXCEEDED")));
    assert_eq!((error.kind.as_deref(), error.status), (Some("RESOURCE_EXHAUSTED"), Some(429)));
    for (delay, ms) in [
        ("3s", Some(3000)),
        ("0.5s", Some(500)),
        ("1.23456789s", Some(1234)),
        ("s", None),
        ("1m", None),
        ("99999999999999999999s", None),
    ] {
        let error = read(429, &body(&format!(r#"{{"retryDelay":"{delay}"}}"#)));
        assert_eq!(error.retry_after_ms, ms, "{delay}");
    }
}

#[test]
fn a_status_is_the_one_it_came_with_or_names() {
    let named = |body: &str| UpstreamError::read(Some(200), body.as_bytes()).status;
    assert_eq!(named(r#"{"error":{"message":"m","code":429}}"#), Some(429));
    assert_eq!(named(r#"{"error":{"message":"m","code":"503"}}"#), Some(503));
    assert_eq!(named(r#"{"error":{"message":"m","code":"x","status_code":400}}"#), Some(400));
    assert_eq!(named(r#"{"error":{"message":"m","code":1234}}"#), None);
    assert_eq!(read(503, r#"{"error":{"message":"m","code":429}}"#).status, Some(503));
}

#[track_caller]
fn check_class(status: Option<u16>, error: &str, class: ErrorClass) {
    let body = format!(r#"{{"error":{error}}}"#);
    assert_eq!(UpstreamError::read(status, body.as_bytes()).class(), class, "{status:?} {error}");
}

#[test]
fn an_error_means_what_its_most_exact_word_says() {
    use ErrorClass::*;
    check_class(
        Some(400),
        r#"{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}"#,
        BadKey,
    );
    check_class(Some(401), r#"{"message":"m","type":"invalid_request_error","code":"invalid_api_key"}"#, BadKey);
    check_class(Some(404), r#"{"message":"m","type":"invalid_request_error","code":"model_not_found"}"#, NotFound);
    check_class(Some(404), r#"{"message":"m","type":"invalid_request_error"}"#, NotFound);
    check_class(Some(429), r#"{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}"#, NoMoney);
    check_class(Some(429), r#"{"message":"m","type":"tokens","code":"rate_limit_exceeded"}"#, RateLimited);
    check_class(
        Some(400),
        r#"{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}"#,
        ContextTooLong,
    );
    check_class(
        Some(400),
        r#"{"message":"prompt is too long: 300000 tokens","type":"invalid_request_error"}"#,
        ContextTooLong,
    );
    check_class(Some(429), r#"{"message":"maximum context length","type":"rate_limit_error"}"#, RateLimited);
    check_class(Some(400), r#"{"message":"m","code":"content_filter"}"#, Policy);
    check_class(Some(500), r#"{"message":"m","type":"overloaded_error"}"#, Overloaded);
    check_class(Some(500), r#"{"message":"m","type":"server_error"}"#, Upstream);
    check_class(Some(413), r#"{"message":"m"}"#, TooLarge);
    check_class(Some(403), r#"{"message":"m"}"#, Forbidden);
    check_class(Some(504), r#"{"message":"m"}"#, Timeout);
    check_class(Some(422), r#"{"message":"m"}"#, BadRequest);
    check_class(None, r#"{"message":"m","type":"invalid_request_error"}"#, BadRequest);
    check_class(None, r#"{"message":"m","type":"overloaded_error"}"#, Overloaded);
    check_class(None, r#"{"message":"m","code":503}"#, Overloaded);
    check_class(None, r#"{"message":"m"}"#, Upstream);
}

#[test]
fn each_protocol_has_its_own_status_and_words() {
    use Protocol::*;
    let overloaded = read(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#);
    assert_eq!(Protocol::ALL.map(|protocol| overloaded.status_for(protocol)), [503, 503, 529, 503]);
    let unavailable = read(503, r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#);
    assert_eq!(unavailable.status_for(AnthropicMessages), 529);
    assert_eq!(read(422, "no").status_for(OpenAiChat), 422);
    assert_eq!(read(500, "no").status_for(GeminiGenerate), 500);
    assert_eq!(read(599, "no").status_for(GeminiGenerate), 502);
    let class = overloaded.class();
    assert_eq!(
        Protocol::ALL.map(|protocol| class.kind(protocol)),
        ["server_error", "server_error", "overloaded_error", "UNAVAILABLE"]
    );
    assert_eq!(class.code(), Some("server_is_overloaded"));
}

#[test]
fn no_body_is_too_odd() {
    let deep = format!("{}1{}", r#"{"error":"#.repeat(80), "}".repeat(80));
    assert_eq!(read(500, &deep).message, deep);
    let nested = format!("{}\"m\"{}", r#"{"error":"#.repeat(60), "}".repeat(60));
    assert_eq!(read(500, &nested).message, "m");
}

#[test]
fn an_error_is_told_from_other_documents() {
    for body in [
        r#"{"error":{"message":"m"}}"#,
        r#"{"error":"m"}"#,
        r#"[{"error":{"code":1}}]"#,
        r#"{"type":"error","error":{"type":"t"}}"#,
        r#"{"object":"error","message":"m"}"#,
    ] {
        assert!(UpstreamError::is_in(body.as_bytes()), "{body}");
    }
    for body in [
        "",
        "{}",
        "[]",
        r#"{"error":null}"#,
        r#"{"error":{}}"#,
        r#"{"error":""}"#,
        r#"{"message":"m"}"#,
        "<p>",
        "error",
    ] {
        assert!(!UpstreamError::is_in(body.as_bytes()), "{body}");
    }
}
