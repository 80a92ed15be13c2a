//! Requests of other protocols, as they are said in this one.

use serde_json::{Value as Json, json};

use super::super::*;
use super::request_read::ANY;
use crate::wire::Protocol;
use crate::wire::ir::{
    Arguments, CacheMark, Call, CallResult, Class, Effort, Efforts, Extra, Feature, Format, LossKind, Losses, Media,
    MediaKind, Part, PartKind, Place, Quirk, Quirks, Reasoning, ReasoningMode, ReasoningStyle, ReasoningWish, Request,
    Role, SchemaDialect, ServerTool, Source, State, Target, Tool, ToolChoice, ToolKind, Turn, Undo, WebSearch,
};
use crate::wire::json::{LoneSurrogates, Str, Value};

use Protocol::{AnthropicMessages as Am, GeminiGenerate as Gm, OpenAiChat as Cc};

fn value(json: &'static str) -> Value<'static> {
    Value::parse(json, 32, LoneSurrogates::Allowed).unwrap()
}

fn request(protocol: Protocol, turns: Vec<Turn<'static>>) -> Request<'static> {
    Request { turns, ..Request::new(protocol, "public") }
}

fn turn(role: Role, parts: Vec<PartKind<'static>>) -> Turn<'static> {
    Turn::new(role, parts.into_iter().map(Part::new).collect())
}

fn said(role: Role, text: &'static str) -> Turn<'static> {
    Turn { bare: true, ..turn(role, vec![PartKind::Text(text.into())]) }
}

fn call(id: Option<&'static str>, name: &'static str) -> PartKind<'static> {
    let arguments = Arguments::Object(value(r#"{"b": 1.0, "a": 2}"#));
    PartKind::Call(Call { id: id.map(Str::from), name: name.into(), arguments, custom: false })
}

fn result(id: Option<&'static str>, name: Option<&'static str>, content: Vec<Part<'static>>) -> CallResult<'static> {
    CallResult {
        call_id: id.map(Str::from),
        name: name.map(Str::from),
        content,
        bare: false,
        is_error: false,
        custom: false,
        response: None,
    }
}

fn function(name: &'static str, parameters: Option<&'static str>, strict: Option<bool>) -> Tool<'static> {
    let parameters = parameters.map(value);
    let kind = ToolKind::Function {
        name: name.into(),
        description: None,
        parameters,
        dialect: SchemaDialect::JsonSchema,
        strict,
    };
    Tool { kind, cache: None, extra: Vec::new() }
}

fn written(request: &Request<'_>, target: &Target<'_>) -> (Json, Undo, Vec<(Feature, LossKind)>) {
    let mut losses = Losses::default();
    let (body, undo) = write_request(request, target, &mut losses).unwrap();
    let losses = losses.iter().map(|loss| (loss.feature.clone(), loss.kind)).collect();
    (serde_json::from_slice(&body).unwrap(), undo, losses)
}

#[track_caller]
fn refused(request: &Request<'_>, param: &str) {
    let refusal = write_request(request, &ANY, &mut Losses::default()).unwrap_err();
    assert_eq!(refusal.param, param, "{refusal}");
}

fn dropped(features: &[Feature]) -> Vec<(Feature, LossKind)> {
    features.iter().map(|feature| (feature.clone(), LossKind::Dropped)).collect()
}

#[test]
fn a_chat_becomes_items() {
    let mut assistant = turn(
        Role::Assistant,
        vec![
            PartKind::Text("ok".into()),
            call(Some("c1"), "f"),
            PartKind::Call(Call {
                id: Some("c2".into()),
                name: "sql".into(),
                arguments: Arguments::Text("x".into()),
                custom: true,
            }),
            PartKind::Call(Call {
                id: Some("c3".into()),
                name: "f".into(),
                arguments: Arguments::Text("".into()),
                custom: false,
            }),
        ],
    );
    assistant.name = Some("bob".into());
    let request = Request {
        stream: true,
        ..request(
            Cc,
            vec![
                said(Role::System, "one"),
                said(Role::Developer, "two"),
                said(Role::User, "hi"),
                assistant,
                turn(Role::Tool, vec![PartKind::Result(result(Some("c1"), None, vec![Part::text("r")]))]),
                turn(
                    Role::Tool,
                    vec![PartKind::Result(result(Some("c2"), None, vec![Part::text("s"), Part::text("t")]))],
                ),
                said(Role::System, "midway"),
            ],
        )
    };
    let (body, undo, losses) = written(&request, &Target { stream: true, ..ANY });
    assert_eq!(
        body,
        json!({
            "model": "m", "instructions": "one", "stream": true, "store": false, "include": ["reasoning.encrypted_content"],
            "input": [
                {"type": "message", "role": "developer", "content": "two"},
                {"type": "message", "role": "user", "content": "hi"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"b\":1.0,\"a\":2}"},
                {"type": "custom_tool_call", "call_id": "c2", "name": "sql", "input": "x"},
                {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "r"},
                {"type": "custom_tool_call_output", "call_id": "c2", "output": [
                    {"type": "input_text", "text": "s"}, {"type": "input_text", "text": "t"}
                ]},
                {"type": "message", "role": "system", "content": "midway"}
            ]
        })
    );
    assert_eq!(undo, Undo::default());
    assert_eq!(losses, dropped(&[Feature::MessageName]));
}

#[test]
fn results_keep_their_images_and_errors() {
    let image = |source| Media { kind: MediaKind::Image, source, name: None, detail: None, document: None };
    let png = image(Source::Base64 { mime: "image/png".into(), data: "AA==".into() });
    let mut lead = turn(Role::System, vec![PartKind::Text("a".into()), PartKind::Text("b".into())]);
    lead.place = Place::Lead;
    let wrong = CallResult { is_error: true, ..result(Some("t2"), None, vec![Part::text("boom")]) };
    let request = request(
        Am,
        vec![
            lead,
            turn(Role::Assistant, vec![call(Some("t1"), "f"), call(Some("t2"), "f")]),
            turn(
                Role::User,
                vec![
                    PartKind::Result(result(
                        Some("t1"),
                        None,
                        vec![Part::text("see"), Part::new(PartKind::Media(png))],
                    )),
                    PartKind::Result(wrong),
                    PartKind::Text("go on".into()),
                    PartKind::Media(image(Source::Url { mime: None, url: "https://e.example/a".into() })),
                    PartKind::Media(Media {
                        kind: MediaKind::Document,
                        name: Some("notes".into()),
                        ..image(Source::Text("n".into()))
                    }),
                    PartKind::Media(Media {
                        kind: MediaKind::Document,
                        ..image(Source::Base64 { mime: "application/pdf".into(), data: "JVBE".into() })
                    }),
                ],
            ),
        ],
    );
    let (body, _, losses) = written(&request, &ANY);
    assert_eq!(body["instructions"], "a\n\nb");
    assert_eq!(
        body["input"].as_array().unwrap()[2..],
        [
            json!({"type": "function_call_output", "call_id": "t1", "output": [
                {"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
            ]}),
            json!({"type": "function_call_output", "call_id": "t2", "output": "Error: boom"}),
            json!({"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "go on"},
                {"type": "input_image", "image_url": "https://e.example/a"},
                {"type": "input_text", "text": "notes\n\nn"},
                {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}
            ]}),
        ]
    );
    assert_eq!(losses, [(Feature::IsError, LossKind::Approximated)]);
}

#[test]
fn calls_without_ids_meet_their_results() {
    let request = request(
        Gm,
        vec![
            turn(Role::Assistant, vec![call(None, "f"), call(None, "g"), call(None, "f")]),
            turn(
                Role::User,
                vec![
                    PartKind::Result(result(None, Some("g"), vec![Part::text("1")])),
                    PartKind::Result(result(None, Some("f"), vec![Part::text("2")])),
                    PartKind::Result(result(None, Some("f"), vec![Part::text("3")])),
                ],
            ),
        ],
    );
    let (body, ..) = written(&request, &ANY);
    let ids: Vec<&str> = body["input"].as_array().unwrap().iter().map(|i| i["call_id"].as_str().unwrap()).collect();
    assert_eq!(ids[3..], [ids[1], ids[0], ids[2]]);
    let long = "x".repeat(80);
    let long: &'static str = long.leak();
    let request = self::request(
        Am,
        vec![
            turn(Role::Assistant, vec![call(Some(long), "f")]),
            turn(Role::User, vec![PartKind::Result(result(Some(long), None, vec![]))]),
        ],
    );
    let (body, ..) = written(&request, &ANY);
    assert_eq!(body["input"][0]["call_id"], body["input"][1]["call_id"]);
    assert_eq!(body["input"][0]["call_id"].as_str().unwrap().len(), 64);
    assert_eq!(body["input"][1]["output"], "");
}

#[test]
fn reasoning_goes_back_where_it_can_be_read() {
    let thought = |origin, account: &'static str| {
        let reasoning = Reasoning { text: vec!["t".into()], ..Reasoning::default() };
        let state = State { origin, account: Some(account.into()), payload: "gAAA".into() };
        Part { state: Some(state), ..Part::new(PartKind::Reasoning(reasoning)) }
    };
    let ours = Protocol::OpenAiResponses;
    let history = |parts: Vec<Part<'static>>| {
        let mut turn = Turn::new(Role::Assistant, parts);
        turn.parts.push(Part::text("a"));
        request(Am, vec![turn, said(Role::User, "x")])
    };
    let (body, _, losses) = written(&history(vec![thought(ours, "acme")]), &ANY);
    assert_eq!(
        body["input"][0],
        json!({
            "type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "gAAA"
        })
    );
    assert!(losses.is_empty());
    for part in [thought(ours, "other"), thought(Am, "acme")] {
        let (body, _, losses) = written(&history(vec![part]), &ANY);
        assert_eq!(body["input"][0]["role"], "assistant");
        assert_eq!(losses, dropped(&[Feature::ReasoningState]));
    }
    // Without what it led to, it is refused there.
    let alone = request(Am, vec![Turn::new(Role::Assistant, vec![thought(ours, "acme")]), said(Role::User, "x")]);
    let (body, _, losses) = written(&alone, &ANY);
    assert_eq!(body["input"].as_array().unwrap().len(), 1);
    assert_eq!(losses, dropped(&[Feature::ReasoningState]));
    // Some vendors want the text of it.
    let open = Target { quirks: Quirks::of(&[Quirk::ReasoningContent]), ..ANY };
    let (body, ..) = written(&history(vec![thought(Am, "acme")]), &open);
    assert_eq!(
        body["input"][0],
        json!({
            "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]
        })
    );
}

#[test]
fn tools_are_flat_and_not_strict_unless_they_can_be() {
    const CLOSED: &str =
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
    const OPEN: &str = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#;
    let custom = ToolKind::Custom {
        name: "c".into(),
        description: Some("d".into()),
        format: Some(value(r#"{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}"#)),
    };
    let search = ToolKind::Server {
        protocol: Am,
        kind: ServerTool::WebSearch(WebSearch {
            max_uses: Some(2),
            allowed_domains: vec!["e.example".into()],
            ..WebSearch::default()
        }),
        raw: Value::Null,
    };
    let request = Request {
        tools: vec![
            function("a.b", Some(CLOSED), Some(true)),
            function("g", Some(OPEN), Some(true)),
            function("h", None, None),
            Tool { kind: custom, cache: None, extra: vec![] },
            Tool { kind: search, cache: Some(CacheMark::default()), extra: vec![] },
        ],
        tool_choice: Some(ToolChoice::Allowed { required: true, names: vec!["a.b".into(), "c".into()] }),
        parallel_calls: Some(false),
        ..request(Am, vec![turn(Role::Assistant, vec![call(Some("t"), "a.b")])])
    };
    let (body, undo, losses) = written(&request, &ANY);
    let [(sent, known)] = undo.tool_names.as_slice() else { panic!("{undo:?}") };
    assert_eq!(known, "a.b");
    let closed: Json = serde_json::from_str(CLOSED).unwrap();
    let open: Json = serde_json::from_str(OPEN).unwrap();
    assert_eq!(
        body["tools"],
        json!([
            {"type": "function", "name": sent, "parameters": closed, "strict": true},
            {"type": "function", "name": "g", "parameters": open, "strict": false},
            {"type": "function", "name": "h", "parameters": {"type": "object", "properties": {}}, "strict": false},
            {"type": "custom", "name": "c", "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "web_search", "filters": {"allowed_domains": ["e.example"]}}
        ])
    );
    assert_eq!(body["input"][0]["name"], *sent);
    assert_eq!(
        body["tool_choice"],
        json!({"type": "allowed_tools", "mode": "required", "tools": [
            {"type": "function", "name": sent}, {"type": "custom", "name": "c"}
        ]})
    );
    assert_eq!(body["parallel_tool_calls"], false);
    let max_uses = Feature::Field("tools.max_uses".into());
    assert_eq!(losses, dropped(&[Feature::Strict, Feature::CacheControl, max_uses]));
}

#[test]
fn gemini_schemas_become_json_schemas() {
    let parameters = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true,"enum":["A"]},"n":{"type":"ARRAY","minItems":"1","items":{"type":"INTEGER"}}},"propertyOrdering":["n"]}"#;
    let mut tool = function("f", Some(parameters), None);
    if let ToolKind::Function { dialect, .. } = &mut tool.kind {
        *dialect = SchemaDialect::OpenApi;
    }
    let request = Request {
        tools: vec![tool],
        tool_choice: Some(ToolChoice::Validated { names: vec![] }),
        ..request(Gm, vec![said(Role::User, "x")])
    };
    let (body, _, losses) = written(&request, &ANY);
    assert_eq!(
        body["tools"][0]["parameters"],
        json!({"type": "object", "properties": {
            "type": {"type": ["string", "null"], "enum": ["A", null]},
            "n": {"type": "array", "minItems": 1, "items": {"type": "integer"}}
        }})
    );
    assert_eq!(body["tool_choice"], "auto");
    assert_eq!(losses, [(Feature::ToolChoice, LossKind::Approximated)]);
}

#[test]
fn formats_are_flat() {
    let format = |protocol, strict, schema| {
        let format = Format::Schema {
            name: None,
            description: Some("d".into()),
            schema: value(schema),
            dialect: SchemaDialect::JsonSchema,
            strict,
        };
        let request = Request {
            format: Some(format),
            verbosity: Some("low".into()),
            ..request(protocol, vec![said(Role::User, "x")])
        };
        written(&request, &ANY).0["text"].clone()
    };
    const EMPTY: &str = r#"{"type":"object","properties":{},"additionalProperties":false}"#;
    assert_eq!(
        format(Cc, None, EMPTY),
        json!({"verbosity": "low", "format": {
            "type": "json_schema", "name": "response", "description": "d", "strict": false,
            "schema": {"type": "object", "properties": {}, "additionalProperties": false}
        }})
    );
    assert_eq!(format(Am, None, EMPTY)["format"]["strict"], true);
    assert_eq!(format(Cc, Some(true), EMPTY)["format"]["strict"], true);
    assert_eq!(format(Cc, Some(true), r#"{"type":"object"}"#)["format"]["strict"], false);
    let any = Request { format: Some(Format::Json), ..request(Gm, vec![said(Role::User, "x")]) };
    let (body, _, losses) = written(&any, &ANY);
    assert_eq!(body["text"]["format"]["type"], "json_object");
    assert!(body["instructions"].as_str().unwrap().contains("JSON"));
    assert_eq!(losses, [(Feature::ResponseFormat, LossKind::Approximated)]);
}

#[test]
fn options_are_mapped_clamped_or_dropped() {
    let request = Request {
        output_tokens_max: Some(4),
        temperature: Some("0.50".into()),
        top_p: Some("1".into()),
        top_k: Some("5".into()),
        presence_penalty: Some("1".into()),
        seed: Some("7".into()),
        stop: vec!["a\n".into(), "".into()],
        choices: Some(1),
        logprobs: Some(true),
        top_logprobs: Some(30),
        service_tier: Some("standard_only".into()),
        user: Some(Str::plain("u".repeat(100))),
        prompt_cache_key: Some("k".into()),
        metadata: Some(value(r#"{"a":"b"}"#)),
        ..request(Am, vec![said(Role::User, "x")])
    };
    let (body, undo, losses) = written(&request, &ANY);
    assert_eq!(undo.stop, ["a\n"]);
    assert_eq!(body["max_output_tokens"], 16);
    assert_eq!(body["temperature"].to_string(), "0.5");
    assert_eq!(body["top_logprobs"], 20);
    assert_eq!(body["include"], json!(["reasoning.encrypted_content", "message.output_text.logprobs"]));
    assert_eq!((&body["service_tier"], &body["prompt_cache_key"]), (&json!("default"), &json!("k")));
    assert_eq!(body["user"].as_str().unwrap().len(), 64);
    assert_eq!(body["metadata"], json!({"a": "b"}));
    assert!(body.get("stop").is_none() && body.get("top_k").is_none());
    let clamped = |feature| (feature, LossKind::Clamped);
    let mut expected = vec![clamped(Feature::OutputLimit)];
    expected.extend(dropped(&[Feature::PresencePenalty, Feature::TopK, Feature::Seed]));
    expected.push(clamped(Feature::Logprobs));
    assert_eq!(losses, expected);

    let fixed = Target { sampling: false, reasoning: ReasoningStyle::Never, output_max: 1000, ..ANY };
    let request = Request { output_tokens_max: Some(128_000), logprobs: None, top_logprobs: None, ..request };
    let (body, _, losses) = written(&request, &fixed);
    assert_eq!(body["max_output_tokens"], 1000);
    assert!(body.get("temperature").is_none() && body.get("include").is_none());
    assert!(losses.contains(&(Feature::TopP, LossKind::Dropped)));
    let held = Target { output_limit: Some(500), ..fixed };
    assert_eq!(written(&request, &held).0["max_output_tokens"], 500);
    let request = Request { output_tokens_max: None, ..request };
    assert_eq!(written(&request, &held).0["max_output_tokens"], 500);
    assert!(written(&request, &fixed).0.get("max_output_tokens").is_none());
}

#[test]
fn reasoning_wishes_become_an_effort() {
    let style = ReasoningStyle::Effort { efforts: Efforts::of(&[Effort::Low, Effort::High]), off: false };
    let check = |wish: ReasoningWish<'static>, style, expected: Json| {
        let request = Request { reasoning: Some(wish), ..request(Am, vec![said(Role::User, "x")]) };
        let (body, _, losses) = written(&request, &Target { reasoning: style, ..ANY });
        assert_eq!(body["reasoning"], expected);
        losses
    };
    let wish = ReasoningWish::default;
    let about = [(Feature::Reasoning, LossKind::Approximated)];
    let effort = |effort| ReasoningWish { effort: Some(effort), ..wish() };
    assert!(check(effort(Effort::Max), ReasoningStyle::Unknown, json!({"effort": "max"})).is_empty());
    assert_eq!(check(effort(Effort::Medium), style, json!({"effort": "high"})), about);
    assert_eq!(check(effort(Effort::None), style, json!({"effort": "low"})), about);
    let off = ReasoningStyle::Effort { efforts: Efforts::of(&[Effort::Low]), off: true };
    let disabled = ReasoningWish { mode: Some(ReasoningMode::Disabled), ..wish() };
    assert!(check(disabled.clone(), off, json!({"effort": "none"})).is_empty());
    assert!(check(disabled, ReasoningStyle::Never, Json::Null).is_empty());
    let budget = ReasoningWish { mode: Some(ReasoningMode::Enabled), budget: Some(1024), ..wish() };
    assert_eq!(check(budget, ReasoningStyle::Unknown, json!({"effort": "low", "summary": "auto"})), about);
    let adaptive = ReasoningWish { mode: Some(ReasoningMode::Adaptive), show: Some(false), ..wish() };
    assert!(check(adaptive, style, Json::Null).is_empty());
    assert_eq!(check(effort(Effort::High), ReasoningStyle::Never, Json::Null), dropped(&[Feature::Reasoning]));
}

#[test]
fn cache_marks_are_kept_where_they_are_taken() {
    let mark = |ttl: Option<&'static str>| Some(CacheMark { ttl: ttl.map(Str::from) });
    let parts: Vec<Part<'static>> = (0..6).map(|_| Part { cache: mark(Some("5m")), ..Part::text("x") }).collect();
    let lead = Turn::new(Role::System, vec![Part { cache: mark(None), ..Part::text("s") }]);
    let request = Request { cache_all: mark(None), ..request(Am, vec![lead, Turn::new(Role::User, parts)]) };
    let (body, _, losses) = written(&request, &Target { quirks: Quirks::of(&[Quirk::CacheBreakpoints]), ..ANY });
    let is_marked = |part: &Json| part["prompt_cache_breakpoint"] == json!({"mode": "explicit"});
    let marked: Vec<bool> = body["input"][1]["content"].as_array().unwrap().iter().map(is_marked).collect();
    assert_eq!(marked, [false, false, true, true, true, true]);
    assert_eq!(body["input"][0]["role"], "system");
    assert!(body.get("instructions").is_none());
    assert_eq!(losses.len(), 2);
    let (body, _, losses) = written(&request, &ANY);
    assert_eq!(body["instructions"], "s");
    assert!(!body.to_string().contains("breakpoint"));
    assert_eq!(losses, dropped(&[Feature::CacheControl]));
}

#[test]
fn what_changes_the_meaning_is_refused() {
    let plain = || request(Cc, vec![said(Role::User, "x")]);
    refused(&Request { choices: Some(2), ..plain() }, "n");
    refused(&Request { audio_out: Some(Value::object()), ..plain() }, "modalities");
    refused(&Request { choices: Some(2), protocol: Gm, ..plain() }, "generationConfig.candidateCount");
    let extra = |class| Extra {
        protocol: Gm,
        path: "cachedContent".into(),
        name: "cachedContent".into(),
        value: Value::Null,
        class,
    };
    refused(&Request { extra: vec![extra(Class::Refused)], protocol: Gm, ..plain() }, "cachedContent");
    let (_, _, losses) = written(&Request { extra: vec![extra(Class::Unknown)], ..plain() }, &ANY);
    assert_eq!(losses, dropped(&[Feature::Field("cachedContent".into())]));
    let media = |kind, source| {
        let media = Media { kind, source, name: None, detail: None, document: None };
        request(Gm, vec![turn(Role::User, vec![PartKind::Media(media)])])
    };
    let data = |mime: &'static str| Source::Base64 { mime: mime.into(), data: "AA".into() };
    refused(&media(MediaKind::Video, data("video/mp4")), "contents");
    refused(&media(MediaKind::Audio, data("audio/ogg")), "contents");
    refused(&media(MediaKind::Image, Source::File { id: "files/1".into(), mime: None }), "contents");
    let blind = Target { vision: false, ..ANY };
    let image = media(MediaKind::Image, data("image/png"));
    assert!(write_request(&image, &blind, &mut Losses::default()).is_err());
    let hosted = ToolKind::Server { protocol: Am, kind: ServerTool::Other("memory".into()), raw: Value::Null };
    let tool = Tool { kind: hosted, cache: None, extra: vec![] };
    refused(&Request { tools: vec![tool], ..plain() }, "tools");
    let choice = ToolChoice::Hosted { protocol: Am, raw: Value::Null };
    refused(&Request { tool_choice: Some(choice), ..plain() }, "tool_choice");
}

#[test]
fn foreign_items_and_drawings_of_the_model() {
    let foreign =
        |class| PartKind::Foreign { protocol: Am, what: "web_search_tool_result".into(), raw: Value::Null, class };
    let drawn = Media {
        kind: MediaKind::Image,
        source: Source::Base64 { mime: "image/png".into(), data: "AA".into() },
        name: None,
        detail: None,
        document: None,
    };
    let request = request(
        Gm,
        vec![turn(Role::Assistant, vec![foreign(Class::Dropped), PartKind::Text("a".into()), PartKind::Media(drawn)])],
    );
    let request = Request { image_out: true, ..request };
    let (body, _, losses) = written(&request, &ANY);
    assert_eq!(body["input"][0]["content"][0]["type"], "output_text");
    assert_eq!(
        (&body["input"][1]["role"], &body["input"][1]["content"][0]["type"]),
        (&json!("user"), &json!("input_image"))
    );
    assert_eq!(body["tools"], json!([{"type": "image_generation"}]));
    let lost = Feature::Field("web_search_tool_result".into());
    assert_eq!(losses, [(lost, LossKind::Dropped), (Feature::Role, LossKind::Approximated)]);
    refused(&self::request(Am, vec![turn(Role::User, vec![foreign(Class::Refused)])]), "messages");
}
