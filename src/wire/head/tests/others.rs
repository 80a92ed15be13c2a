//! The heads of RS, AM and GM: which fields are theirs, and where a clamped limit goes.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use Protocol::{AnthropicMessages as Am, GeminiGenerate as Gm, OpenAiChat as Cc, OpenAiResponses as Rs};

fn head(protocol: Protocol, body: &str) -> Head {
    read_head(protocol, body.as_bytes(), 64).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[track_caller]
fn check(protocol: Protocol, body: &str, facts: (&str, bool, Option<u64>, u64, Option<&str>)) {
    let head = head(protocol, body);
    let found = (&*head.model, head.stream, head.output_tokens_max, head.choices, head.service_tier.as_deref());
    assert_eq!(found, facts, "{protocol:?} {body}");
    assert!(!head.include_usage);
}

#[track_caller]
fn check_refused(protocol: Protocol, body: &str, param: &str, message: &str) {
    let error = read_head(protocol, body.as_bytes(), 64).expect_err(body);
    assert_eq!((error.param.as_deref(), error.message.as_str()), (Some(param), message), "{body}");
}

#[test]
fn each_protocol_has_its_own_fields() {
    let all = r#"{"model":"m","stream":true,"max_tokens":1,"max_completion_tokens":2,"max_output_tokens":3,"n":4,
        "service_tier":"flex","serviceTier":7,"generation_config":8}"#;
    check(Cc, all, ("m", true, Some(2), 4, Some("flex")));
    check(Rs, all, ("m", true, Some(3), 1, Some("flex")));
    check(Am, all, ("m", true, Some(1), 1, Some("flex")));
    let gemini = r#"{"model":{},"stream":1,"max_tokens":"x","generationConfig":{"maxOutputTokens":5,"candidateCount":2,
        "stopSequences":["maxOutputTokens"]},"serviceTier":"FLEX","contents":[]}"#;
    check(Gm, gemini, ("", false, Some(5), 2, Some("FLEX")));
    let snake = r#"{"generation_config":{"max_output_tokens":5,"candidate_count":2},"service_tier":"PRIORITY"}"#;
    check(Gm, snake, ("", false, Some(5), 2, Some("PRIORITY")));
    check(Gm, "{}", ("", false, None, 1, None));
    check(Gm, r#"{"generationConfig":null}"#, ("", false, None, 1, None));
    check(Gm, r#"{"generationConfig":{"maxOutputTokens":null}}"#, ("", false, None, 1, None));
}

#[test]
fn model_and_stream_of_a_path_are_the_callers() {
    let head = head(Gm, r#"{"contents":[]}"#).named("gemini-x", true);
    assert_eq!((head.model.as_str(), head.stream), ("gemini-x", true));
}

#[test]
fn a_field_twice_under_any_of_its_names_is_refused() {
    check_refused(Rs, r#"{"model":"a","stream":true,"model":"b"}"#, "model", "model is given twice; give it once");
    check_refused(
        Am,
        r#"{"model":"a","max_tokens":1,"max_tok\u0065ns":2}"#,
        "max_tokens",
        "max_tokens is given twice; give it once",
    );
    check_refused(
        Gm,
        r#"{"generationConfig":{},"generation_config":{}}"#,
        "generation_config",
        "generation_config is given twice; give it once",
    );
    check_refused(
        Gm,
        r#"{"generationConfig":{"max_output_tokens":1,"maxOutputTokens":1}}"#,
        "generationConfig.maxOutputTokens",
        "generationConfig.maxOutputTokens is given twice; give it once",
    );
    check_refused(
        Gm,
        r#"{"generationConfig":{"maxoutputtokens":1}}"#,
        "maxOutputTokens",
        "\"maxoutputtokens\" would be read as maxOutputTokens by some upstreams and not by others; write maxOutputTokens",
    );
    check_refused(
        Am,
        r#"{"model":"m","Max_tokens":1}"#,
        "max_tokens",
        "\"Max_tokens\" would be read as max_tokens by some upstreams and not by others; write max_tokens",
    );
}

#[test]
fn a_field_of_the_wrong_kind_is_named_with_its_path() {
    check_refused(Rs, r#"{"input":"x"}"#, "model", "model is missing; name the model to call");
    check_refused(
        Gm,
        r#"{"generation_config":{"candidate_count":0}}"#,
        "generation_config.candidate_count",
        "generation_config.candidate_count must be from 1 to 128, but is 0",
    );
    check_refused(
        Gm,
        r#"{"generationConfig":[]}"#,
        "generationConfig",
        "generationConfig must be an object, but is an array",
    );
    check_refused(
        Rs,
        r#"{"model":"m","max_output_tokens":0}"#,
        "max_output_tokens",
        "max_output_tokens must be at least 1, but is 0",
    );
    // It warms the cache.
    check(Am, r#"{"model":"m","max_tokens":0}"#, ("m", false, Some(0), 1, None));
}

#[track_caller]
fn check_splice(protocol: Protocol, limit: Option<u64>, before: &str, after: &str) {
    let body = Bytes::copy_from_slice(before.as_bytes());
    let splice = Splice {
        model: "to",
        include_usage: true,
        output_tokens_max: limit.map(|tokens| (tokens, OutputLimitField::MaxCompletionTokens)),
    };
    let spliced = head(protocol, before).splice(&body, &splice);
    assert_eq!(std::str::from_utf8(&spliced).unwrap(), after);
    if before == after {
        assert_eq!(spliced.as_ptr(), body.as_ptr());
    }
}

#[test]
fn a_splice_changes_the_model_and_a_clamped_limit_alone() {
    check_splice(Rs, None, r#"{"stream":true, "model": "m"}"#, r#"{"stream":true, "model": "to"}"#);
    check_splice(Rs, Some(5), r#"{"model":"m"}"#, r#"{"max_output_tokens":5,"model":"to"}"#);
    check_splice(Rs, Some(5), r#"{"model":"to","max_output_tokens":9 }"#, r#"{"model":"to","max_output_tokens":5 }"#);
    check_splice(Am, Some(5), r#"{"max_tokens":null,"model":"to"}"#, r#"{"max_tokens":5,"model":"to"}"#);
    check_splice(Am, Some(5), r#"{"max_tokens":3,"model":"to"}"#, r#"{"max_tokens":3,"model":"to"}"#);
    check_splice(Am, Some(5), r#"{"model":"to"}"#, r#"{"max_tokens":5,"model":"to"}"#);
    check_splice(Gm, None, r#"{"model":"m"}"#, r#"{"model":"m"}"#);
    check_splice(Gm, Some(5), "{}", r#"{"generationConfig":{"maxOutputTokens":5}}"#);
    check_splice(Gm, Some(5), r#"{ "a":1}"#, r#"{"generationConfig":{"maxOutputTokens":5}, "a":1}"#);
    check_splice(
        Gm,
        Some(5),
        r#"{"generation_config":{"temperature":1}}"#,
        r#"{"generation_config":{"maxOutputTokens":5,"temperature":1}}"#,
    );
    check_splice(Gm, Some(5), r#"{"generationConfig":{}}"#, r#"{"generationConfig":{"maxOutputTokens":5}}"#);
    check_splice(Gm, Some(5), r#"{"generationConfig":null}"#, r#"{"generationConfig":{"maxOutputTokens":5}}"#);
    check_splice(
        Gm,
        Some(5),
        r#"{"generationConfig":{"max_output_tokens":9}}"#,
        r#"{"generationConfig":{"max_output_tokens":5}}"#,
    );
}

fn member() -> impl Strategy<Value = String> {
    let key = prop::sample::select(
        &[
            "model",
            "stream",
            "max_tokens",
            "max_output_tokens",
            "service_tier",
            "serviceTier",
            "generationConfig",
            "generation_config",
            "x",
        ][..],
    );
    let value = prop::sample::select(
        &[
            r#""m""#,
            "true",
            "null",
            "7",
            "0",
            "{}",
            r#"{"maxOutputTokens":3}"#,
            r#"{"candidate_count":2,"y":[{}]}"#,
            "[]",
        ][..],
    );
    (key, value).prop_map(|(key, value)| format!(r#""{key}":{value}"#))
}

proptest! {
    #[test]
    fn a_spliced_body_is_its_document_with_the_limit(
        members in prop::collection::vec(member(), 0..5),
        protocol in prop::sample::select(&[Rs, Am, Gm][..]),
        tokens in 1..9u64,
    ) {
        let body = Bytes::from(format!("{{{}}}", members.join(",")));
        let Ok(head) = read_head(protocol, &body, 64) else { return Ok(()) };
        let splice = Splice { model: "to", include_usage: true, output_tokens_max: Some((tokens, OutputLimitField::MaxTokens)) };
        let spliced = head.splice(&body, &splice);
        let again = read_head(protocol, &spliced, 64).unwrap();
        prop_assert_eq!(again.output_tokens_max, Some(head.output_tokens_max.map_or(tokens, |limit| limit.min(tokens))));
        prop_assert_eq!((again.choices, &again.service_tier, again.stream), (head.choices, &head.service_tier, head.stream));
        let mut document: Value = serde_json::from_slice(&spliced).unwrap();
        if protocol != Gm {
            prop_assert_eq!(document["model"].as_str(), Some("to"));
        } else if document["generationConfig"].is_null() {
            document = document["generation_config"].take();
            prop_assert!(document.is_object());
        }
    }
}
