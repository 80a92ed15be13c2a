//! Errors as an Anthropic client gets them.

use super::*;
use crate::wire::ir::UpstreamError;

#[track_caller]
fn check(status: u16, kind: &str) {
    let error = UpstreamError { message: "no \"way\"".into(), ..UpstreamError::default() };
    let body = String::from_utf8(write_error(&error, status, "req_1")).unwrap();
    let expected =
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"no \"way\""}},"request_id":"req_1"}}"#);
    assert_eq!(body, expected);
}

#[test]
fn each_status_has_a_type() {
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (408, "timeout_error"),
        (409, "invalid_request_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ] {
        check(status, kind);
    }
}

#[test]
fn an_error_ends_a_stream_at_any_point() {
    let start = Event::Start(Default::default());
    for begun in [&[][..], &[start][..]] {
        let mut writer = MessagesWriter::new(setup());
        let mut out = Vec::new();
        begun.iter().for_each(|event| writer.event(event, &mut out));
        let error = UpstreamError { message: "busy".into(), status: Some(503), ..UpstreamError::default() };
        writer.fail(&error, &mut out);
        let stream = String::from_utf8(out).unwrap();
        grammar::check(&stream);
        let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        assert!(stream.ends_with(event), "{stream}");
    }
}
