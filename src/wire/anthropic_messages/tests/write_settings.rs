//! Sampling, formats, marks and all that Anthropic cannot say.

use super::write::*;
use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{
    CacheMark, Class, Effort, Extra, Format, LossKind, Part, Quirk, Request, Role, SchemaDialect, Tool, Turn,
};
use crate::wire::json::Str;
#[track_caller]
fn check_limit(asked: Option<u64>, output_max: u64, output_limit: Option<u64>, expected: u64, clamped: bool) {
    let request = Request { output_tokens_max: asked, ..chat(user()) };
    let written = write(&request, &Target { output_max, output_limit, ..target() });
    assert_eq!(written.body["max_tokens"], expected);
    assert_eq!(!written.losses.is_empty(), clamped);
}

#[test]
fn the_limit_is_always_said() {
    check_limit(Some(100), 0, None, 100, false);
    check_limit(None, 0, None, 4096, false);
    check_limit(None, 32_000, None, 32_000, false);
    check_limit(Some(128_000), 32_000, None, 32_000, true);
    check_limit(Some(100), 32_000, Some(50), 50, true);
    check_limit(None, 32_000, Some(50), 50, false);
}

#[test]
fn sampling_is_fitted() {
    let mut request = chat(user());
    request.temperature = Some("1.70".into());
    request.top_k = Some("40.0".into());
    let written = write(&request, &target());
    assert_eq!((&written.body["temperature"], &written.body["top_k"]), (&dom("1"), &dom("40")));
    assert_eq!(written.losses, [("temperature".to_owned(), LossKind::Clamped)]);
    request.temperature = Some("0.20".into());
    request.top_p = Some("0.9".into());
    let written = write(&request, &target());
    assert_eq!((written.body["temperature"].as_f64(), written.body.get("top_p")), (Some(0.2), None));
    assert_eq!(written.lost(), ["top_p"]);
    let written = write(&request, &Target { sampling: false, ..target() });
    assert_eq!(written.lost(), ["temperature", "top_p", "top_k"]);
    request.reasoning = super::write_thinking::wish(Some(Effort::High), None);
    assert_eq!(write(&request, &target()).lost(), ["temperature", "top_p", "top_k"]);
    request.temperature = Some("1.0".into());
    (request.top_p, request.top_k) = (None, None);
    assert!(write(&request, &target()).losses.is_empty());
}

#[test]
fn what_cannot_be_said_is_dropped_or_refused() {
    let mut request = chat(user());
    request.seed = Some("7".into());
    request.presence_penalty = Some("1".into());
    request.frequency_penalty = Some("1".into());
    request.verbosity = Some("low".into());
    request.metadata = Some(parse("{}"));
    request.prompt_cache_key = Some("k".into());
    request.turns[0].name = Some("ann".into());
    request.service_tier = Some("flex".into());
    request.choices = Some(1);
    request.logprobs = Some(false);
    let lost = [
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "verbosity",
        "metadata",
        "prompt_cache_key",
        "name",
        "service_tier",
    ];
    assert_eq!(write(&request, &target()).lost(), lost);
    check_refusal(&Request { choices: Some(2), ..chat(user()) }, "n");
    check_refusal(&Request { logprobs: Some(true), ..chat(user()) }, "logprobs");
    check_refusal(&Request { audio_out: Some(parse("{}")), ..chat(user()) }, "modalities");
    check_refusal(&Request { image_out: true, ..chat(user()) }, "modalities");
    let extra = |class| {
        let extra =
            Extra { protocol: Protocol::OpenAiChat, path: "odd".into(), name: "odd".into(), value: parse("1"), class };
        Request { extra: vec![extra], ..chat(user()) }
    };
    check_refusal(&extra(Class::Refused), "odd");
    assert_eq!(write(&extra(Class::Unknown), &target()).lost(), ["odd"]);
}

#[test]
fn stop_texts_tier_and_user() {
    let mut request = chat(user());
    request.stop = vec!["END".into(), "\n".into(), Str::token("\\n\\n"), "".into()];
    request.service_tier = Some("default".into());
    request.user = Some("user-1".into());
    let written = write(&request, &target());
    assert_eq!(written.body["stop_sequences"], dom(r#"["END"]"#));
    assert_eq!(written.undo.stop, ["\n", "\n\n"]);
    assert_eq!(written.body["service_tier"], "standard_only");
    assert_eq!(written.body["metadata"], dom(r#"{"user_id":"user-1"}"#));
    request.user = Some("ann@a.example".into());
    let id = write(&request, &target()).body["metadata"]["user_id"].as_str().unwrap().to_owned();
    assert!(id.len() == 64 && !id.contains('@'));
    (request.user, request.safety_identifier) = (None, Some("s-1".into()));
    assert_eq!(write(&request, &target()).body["metadata"]["user_id"], "s-1");
}

#[test]
fn formats_of_answers() {
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#;
    let mut request = chat(user());
    let format = Format::Schema {
        name: Some("x".into()),
        description: None,
        schema: parse(schema),
        dialect: SchemaDialect::JsonSchema,
        strict: Some(true),
    };
    request.format = Some(format);
    let written = write(&request, &target());
    let expected = r#"{"type":"json_schema","schema":{"type":"object","additionalProperties":false,
        "properties":{"n":{"type":"integer","description":"minimum: 1"}}}}"#;
    assert_eq!(written.body["output_config"]["format"], dom(expected));
    assert_eq!(written.losses, [("schema".to_owned(), LossKind::Approximated)]);
    let old = Target { quirks: Quirks::of(&[Quirk::NoOutputFormat]), ..target() };
    let written = write(&request, &old);
    assert_eq!(written.undo.answer_tool.as_deref(), Some("json"));
    assert_eq!(written.body["tools"][0]["input_schema"], dom(schema));
    assert_eq!(written.body["tool_choice"], dom(r#"{"type":"tool","name":"json","disable_parallel_tool_use":true}"#));
    request.tools = vec![function("json")];
    let written = write(&request, &old);
    assert_eq!(written.undo.answer_tool.as_deref(), Some("json_answer"));
    assert_eq!(written.body["tool_choice"], dom(r#"{"type":"any"}"#));
    let mut json = chat(vec![says(Role::System, "s"), says(Role::User, "hi")]);
    json.format = Some(Format::Json);
    let written = write(&json, &target());
    assert_eq!(written.body["system"].as_array().unwrap().len(), 2);
    assert_eq!(written.losses, [("response_format".to_owned(), LossKind::Approximated)]);
}

#[test]
fn the_last_four_marks_stay() {
    let mark = || Some(CacheMark { ttl: Some("30m".into()) });
    let marked = |text| Part { cache: mark(), ..Part::text(text) };
    let mut request = chat(vec![
        Turn::new(Role::System, vec![marked("s1"), marked("s2")]),
        Turn::new(Role::User, vec![marked("u1"), marked("u2"), marked("u3")]),
    ]);
    request.tools = vec![Tool { cache: mark(), ..function("f") }];
    let written = write(&request, &target());
    let has = |value: &serde_json::Value| value.get("cache_control").is_some();
    let marks = [
        has(&written.body["tools"][0]),
        has(&written.body["system"][0]),
        has(&written.body["system"][1]),
        has(&written.body["messages"][0]["content"][0]),
    ];
    assert_eq!(marks, [false, false, true, true]);
    assert_eq!(written.body["system"][1]["cache_control"], dom(r#"{"type":"ephemeral"}"#));
    let kinds: Vec<LossKind> = written.losses.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [LossKind::Approximated, LossKind::Dropped]);
    assert!(matches!(written.losses[0].0.as_str(), "prompt_cache_breakpoint"));
}
