//! What a request's head says, and what is refused because two readers could differ over it.

use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use crate::wire::json;
use crate::wire::openai_chat::{ChatHead, read_head};

fn head(body: &str) -> ChatHead {
    read_head(body.as_bytes(), 64).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[track_caller]
fn check_refused(body: &str, param: Option<&str>, message: &str) {
    let error = read_head(body.as_bytes(), 64).expect_err(body);
    assert_eq!((error.param.as_deref(), error.message.as_str()), (param, message), "{body}");
    assert!(error.offset <= body.len());
}

#[test]
fn facts_are_found_wherever_they_stand() {
    let body = r#" { "messages":[{"role":"user","content":"\"model\":\"no\" {"}], "stream" : true , "n":2,
        "max_tokens":10,"model":"a\/b\u0031","stream_options":{"x":[1],"include_usage":true},"service_tier":"flex",
        "max_completion_tokens":20 } "#;
    let head = head(body);
    assert_eq!(head.model, "a/b1");
    assert!(head.stream && head.include_usage);
    assert_eq!((head.output_tokens_max, head.choices, head.service_tier.as_deref()), (Some(20), 2, Some("flex")));
}

#[test]
fn null_is_absent() {
    let full = r#"{"model":"m","stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"n":null,"service_tier":null}"#;
    for body in [full, r#"{"model":"m"}"#, r#"{"model":"m","stream_options":{"include_usage":null}}"#] {
        let head = head(body);
        assert!(!head.stream && !head.include_usage);
        assert_eq!((head.output_tokens_max, head.choices, head.service_tier), (None, 1, None));
    }
}

#[test]
fn the_larger_limit_counts_since_an_upstream_may_know_only_one() {
    assert_eq!(head(r#"{"model":"m","max_tokens":9,"max_completion_tokens":1}"#).output_tokens_max, Some(9));
    assert_eq!(head(r#"{"model":"m","max_completion_tokens":3}"#).output_tokens_max, Some(3));
    assert_eq!(head(r#"{"model":"m","max_completion_tokens":null,"max_tokens":4}"#).output_tokens_max, Some(4));
}

#[test]
fn fields_that_readers_could_take_differently_are_refused() {
    check_refused(r#"{"model":"a","model":"b"}"#, Some("model"), "model is given twice; give it once");
    check_refused(r#"{"model":"a","mod\u0065l":"b"}"#, Some("model"), "model is given twice; give it once");
    check_refused(
        r#"{"\u006d\u006f\u0064\u0065\u006c":"a","model":"a"}"#,
        Some("model"),
        "model is given twice; give it once",
    );
    for name in ["stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "service_tier"] {
        let body = format!(r#"{{"model":"m","{name}":null,"{name}":null}}"#);
        check_refused(&body, Some(name), &format!("{name} is given twice; give it once"));
    }
    check_refused(
        r#"{"model":"m","stream_options":{"include_usage":true,"include_us\u0061ge":false}}"#,
        Some("stream_options.include_usage"),
        "stream_options.include_usage is given twice; give it once",
    );
    check_refused(
        r#"{"model":"a","Model":"b"}"#,
        Some("model"),
        r#""Model" would be read as model by some upstreams and not by others; write model"#,
    );
    check_refused(
        r#"{"model":"a","max_to\u212aenſ":9}"#,
        Some("max_tokens"),
        "\"max_to\u{212a}enſ\" would be read as max_tokens by some upstreams and not by others; write max_tokens",
    );
    // Inside other objects nothing of this matters.
    assert_eq!(head(r#"{"metadata":{"model":"x","model":"y","MODEL":"z"},"model":"m"}"#).model, "m");
    assert_eq!(head(r#"{"seed":1,"seed":2,"model":"m"}"#).model, "m");
}

#[test]
fn a_field_of_the_wrong_kind_is_named() {
    check_refused(r#"{"messages":[]}"#, Some("model"), "model is missing; name the model to call");
    check_refused(r#"{"model":null}"#, Some("model"), "model must be a string, but is null");
    check_refused(r#"{"model":["m"]}"#, Some("model"), "model must be a string, but is an array");
    check_refused(r#"{"model":"m","stream":"true"}"#, Some("stream"), "stream must be true or false, but is a string");
    check_refused(
        r#"{"model":"m","stream_options":true}"#,
        Some("stream_options"),
        "stream_options must be an object, but is true",
    );
    check_refused(
        r#"{"model":"m","stream_options":{"include_usage":1}}"#,
        Some("stream_options.include_usage"),
        "stream_options.include_usage must be true or false, but is a number",
    );
    check_refused(r#"{"model":"m","n":0}"#, Some("n"), "n must be from 1 to 128, but is 0");
    check_refused(r#"{"model":"m","n":129}"#, Some("n"), "n must be from 1 to 128, but is 129");
    check_refused(r#"{"model":"m","n":1.5}"#, Some("n"), "n must be a whole number of at least 1, but is 1.5");
    check_refused(
        r#"{"model":"m","max_tokens":-1}"#,
        Some("max_tokens"),
        "max_tokens must be a whole number of at least 1, but is -1",
    );
    check_refused(r#"{"model":"m","max_tokens":0}"#, Some("max_tokens"), "max_tokens must be at least 1, but is 0");
    check_refused(
        r#"{"model":"m","max_tokens":"5"}"#,
        Some("max_tokens"),
        "max_tokens must be a whole number, but is a string",
    );
    check_refused(
        r#"{"model":"m","service_tier":{}}"#,
        Some("service_tier"),
        "service_tier must be a string, but is an object",
    );
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(MODEL_BYTES_MAX + 1));
    check_refused(&long, Some("model"), "model must be at most 256 bytes long");
    assert_eq!(
        head(&format!(r#"{{"model":"{}"}}"#, r"\u0041".repeat(MODEL_BYTES_MAX))).model,
        "A".repeat(MODEL_BYTES_MAX)
    );
}

#[test]
fn a_body_that_is_no_document_is_refused() {
    let bom = "the body begins with a byte order mark; expected JSON in UTF-8 without one";
    check_refused("\u{feff}{\"model\":\"m\"}", None, bom);
    check_refused("", None, "the body is not valid JSON: expected a value at byte 0");
    check_refused("[]", None, "the body is not a JSON object");
    check_refused(r#""model""#, None, "the body is not a JSON object");
    check_refused(
        r#"{"model":"m"} x"#,
        None,
        "the body is not valid JSON: expected the end of the document at byte 14",
    );
    check_refused(
        r#"{"model":"m"}{"model":"n"}"#,
        None,
        "the body is not valid JSON: expected the end of the document at byte 13",
    );
    check_refused(
        r#"{"model":"\ud83d"}"#,
        None,
        "the body is not valid JSON: expected both halves of a surrogate pair at byte 10",
    );
    check_refused(r#"{"model":"m","x":01}"#, None, "the body is not valid JSON: expected `,` or `}` at byte 18");
    let error = read_head(b"{\"model\":\"\xff\"}", 64).unwrap_err();
    assert_eq!((error.offset, error.message.as_str()), (10, "the body is not valid UTF-8 at byte 10"));
}

#[test]
fn depth_is_limited_by_the_argument() {
    let body = |depth: usize| format!(r#"{{"x":{}{},"model":"m"}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    for depth_max in [2, 64, 128] {
        assert!(read_head(body(depth_max).as_bytes(), depth_max).is_ok());
        let error = read_head(body(depth_max + 1).as_bytes(), depth_max).unwrap_err();
        assert!(error.message.starts_with("the body is nested too deeply at byte "), "{}", error.message);
    }
}

/// Where the head is read, it says what a DOM says; where it is refused, there is a reason for it.
pub(crate) fn check_against_a_dom(body: &[u8]) {
    let dom = serde_json::from_slice::<Value>(body);
    match (read_head(body, 127), dom) {
        (Ok(head), Ok(dom)) => {
            assert_eq!(Some(head.model.as_str()), dom["model"].as_str());
            assert_eq!(head.stream, dom["stream"].as_bool().unwrap_or(false));
            assert_eq!(head.include_usage, dom["stream_options"]["include_usage"].as_bool().unwrap_or(false));
            assert_eq!(head.output_tokens_max, dom["max_completion_tokens"].as_u64().max(dom["max_tokens"].as_u64()));
            assert_eq!(head.choices, dom["n"].as_u64().unwrap_or(1));
            assert_eq!(head.service_tier.as_deref(), dom["service_tier"].as_str());
        }
        (Ok(_), Err(error)) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
        (Err(error), Ok(dom)) => {
            let judged = error.param.is_some() || error.message == "the body is not a JSON object" && !dom.is_object();
            assert!(judged, "{error}: {dom}");
        }
        (Err(_), Err(_)) => {}
    }
}

fn member() -> impl Strategy<Value = String> {
    let key = prop::sample::select(
        &[
            r#""model""#,
            r#""mod\u0065l""#,
            r#""MODEL""#,
            r#""stream""#,
            r#""stream_options""#,
            r#""max_tokens""#,
            r#""max_completion_tokens""#,
            r#""n""#,
            r#""service_tier""#,
            r#""x""#,
            r#""""#,
        ][..],
    );
    let value = prop_oneof![
        4 => prop::sample::select(&[
            r#""m""#, r#""\u006d""#, r#""\ud83d\ude00""#, r#""\ud83d""#, "true", "false", "null", "1", "128", "1e2", "7.0", "-3", "{}",
            r#"{"include_usage":true}"#, r#"{"include_usage": false ,"y":[{}]}"#, r#"{"include_usage":true,"include_usage":false}"#,
        ][..]).prop_map(str::to_owned),
        1 => json::tests::arbitrary_json().prop_map(|value| value.to_string()),
    ];
    (key, value, prop::sample::select(&["", " ", "\n\t"][..]))
        .prop_map(|(key, value, space)| format!("{space}{key}{space}:{space}{value}{space}"))
}

proptest! {
    #[test]
    fn the_head_says_what_a_dom_says(members in prop::collection::vec(member(), 0..5), model in prop::sample::select(&["", r#""model":"m","#][..])) {
        let body = format!("{{{model}{}}}", members.join(","));
        check_against_a_dom(body.as_bytes());
    }
}
