//! Canonical requests of other protocols, written for chat upstreams with all their ways.

use serde_json::{Value as Json, json};

use super::super::*;
use super::recorded_translation::target;
use crate::wire::Protocol;
use crate::wire::ir::{
    Arguments, CacheMark, Call, CallResult, Class, Effort, Efforts, Extra, Feature, Format, LossKind, Losses, Media,
    MediaKind, Part, PartKind, Place, Quirk, Quirks, Reasoning, ReasoningMode, ReasoningStyle, ReasoningWish, Refusal,
    Request, Role, SchemaDialect, ServerTool, Source, State, Target, Tool, ToolChoice, ToolKind, Turn, Undo, WebSearch,
};
use crate::wire::json::{LoneSurrogates, Str, Value};

fn request(protocol: Protocol) -> Request<'static> {
    Request::new(protocol, "asked")
}

fn anthropic() -> Request<'static> {
    request(Protocol::AnthropicMessages)
}

fn value(text: &'static str) -> Value<'static> {
    Value::parse(text, 64, LoneSurrogates::Refused).unwrap()
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn::new(role, parts)
}

fn call(id: Option<&'static str>, name: &'static str, arguments: &'static str) -> Part<'static> {
    let arguments = Arguments::Object(value(arguments));
    Part::new(PartKind::Call(Call { id: id.map(Str::plain), name: Str::plain(name), arguments, custom: false }))
}

fn result(id: Option<&'static str>, name: Option<&'static str>, content: Vec<Part<'static>>) -> Part<'static> {
    Part::new(PartKind::Result(CallResult {
        call_id: id.map(Str::plain),
        name: name.map(Str::plain),
        content,
        bare: false,
        is_error: false,
        custom: false,
        response: None,
    }))
}

fn image() -> Part<'static> {
    media(MediaKind::Image, Source::Base64 { mime: "image/png".into(), data: Str::plain("iVBO") })
}

fn media(kind: MediaKind, source: Source<'static>) -> Part<'static> {
    Part::new(PartKind::Media(Media { kind, source, name: None, detail: None, document: None }))
}

fn thought(text: &'static str, state: Option<State<'static>>) -> Part<'static> {
    let reasoning = Reasoning { text: vec![Str::plain(text)], ..Reasoning::default() };
    Part { state, ..Part::new(PartKind::Reasoning(reasoning)) }
}

fn function(name: &'static str) -> Tool<'static> {
    let kind = ToolKind::Function {
        name: Str::plain(name),
        description: None,
        parameters: Some(value(r#"{"type":"object"}"#)),
        dialect: SchemaDialect::JsonSchema,
        strict: None,
    };
    Tool { kind, cache: None, extra: Vec::new() }
}

fn with(quirks: &[Quirk]) -> Target<'static> {
    Target { quirks: Quirks::of(quirks), ..target("sent", false) }
}

fn try_write(request: &Request<'_>, target: &Target<'_>) -> Result<(Json, Losses, Undo), Refusal> {
    let mut losses = Losses::default();
    let (out, undo) = write_request(request, target, &mut losses)?;
    Ok((serde_json::from_slice(&out).unwrap(), losses, undo))
}

/// The fields named, and the losses.
#[track_caller]
fn check(request: &Request<'_>, target: &Target<'_>, expected: Json, lost: &[(Feature, LossKind)]) {
    let (body, losses, _) = try_write(request, target).unwrap();
    for (name, wanted) in expected.as_object().unwrap() {
        assert_eq!(body.get(name).unwrap_or(&Json::Null), wanted, "{name}");
    }
    let losses: Vec<_> = losses.iter().map(|loss| (loss.feature.clone(), loss.kind)).collect();
    assert_eq!(losses, lost);
}

#[test]
fn results_stand_behind_their_calls_and_their_images_in_a_user_message() {
    let mut request = anthropic();
    request.turns = vec![
        turn(Role::User, vec![Part::text("hi")]),
        turn(
            Role::Assistant,
            vec![Part::text("a"), call(Some("t1"), "f", r#"{"n":1.0}"#), call(Some("t2"), "g", "{}")],
        ),
        turn(
            Role::User,
            vec![
                result(Some("t1"), None, vec![Part::text("one"), image()]),
                result(Some("t2"), None, vec![Part::text("two"), Part::text("more")]),
                Part::text("go on"),
            ],
        ),
    ];
    check(
        &request,
        &with(&[]),
        json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "a", "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{\"n\":1.0}"}},
                {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "t1", "content": "one\n\n(images or files of this result stand in the next user message)"},
            {"role": "tool", "tool_call_id": "t2", "content": "two\n\nmore"},
            {"role": "user", "content": [
                {"type": "text", "text": "This belongs to the result of the call t1:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                {"type": "text", "text": "go on"},
            ]},
        ]}),
        &[],
    );
}

#[test]
fn items_become_messages() {
    let mut request = request(Protocol::OpenAiResponses);
    let lead = Turn { place: Place::Lead, bare: true, ..turn(Role::System, vec![Part::text("be brief")]) };
    request.turns = vec![
        lead,
        turn(Role::Developer, vec![Part::text("and kind")]),
        turn(Role::User, vec![Part::text("hi")]),
        turn(Role::Assistant, vec![thought("hm", None)]),
        turn(Role::Assistant, vec![Part::text("a")]),
        turn(Role::Assistant, vec![call(Some("c1"), "f", "{}")]),
        turn(Role::Assistant, vec![call(Some("c2"), "f", "{}")]),
        turn(Role::User, vec![Part::text("wait")]),
        turn(Role::Tool, vec![result(Some("c2"), None, vec![Part::text("2")])]),
        turn(Role::Tool, vec![result(Some("c1"), None, vec![Part::text("1")])]),
    ];
    let called = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let assistant = json!({"role": "assistant", "content": "a", "reasoning_content": "hm", "tool_calls": [called("c1"), called("c2")]});
    check(
        &request,
        &with(&[Quirk::ReasoningContent, Quirk::NoDeveloperRole]),
        json!({"messages": [
            {"role": "system", "content": "be brief"},
            {"role": "system", "content": "and kind"},
            {"role": "user", "content": "hi"},
            assistant,
            {"role": "tool", "tool_call_id": "c2", "content": "2"},
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
            {"role": "user", "content": "wait"},
        ]}),
        &[],
    );
    let (body, losses, _) = try_write(&request, &with(&[])).unwrap();
    assert_eq!(body["messages"][1]["role"], "developer");
    assert_eq!(body["messages"][3].get("reasoning_content"), None);
    assert!(losses.iter().any(|loss| loss.feature == Feature::ReasoningState && loss.kind == LossKind::Omitted));
}

#[test]
fn calls_without_ids_are_paired_by_order_and_name() {
    let mut request = request(Protocol::GeminiGenerate);
    request.turns = vec![
        turn(Role::Assistant, vec![call(None, "f", "{}"), call(None, "g", "{}"), call(None, "f", "{}")]),
        turn(
            Role::User,
            vec![
                result(None, Some("f"), vec![Part::text("1")]),
                result(None, Some("g"), vec![Part::text("2")]),
                result(None, Some("f"), vec![Part::text("3")]),
            ],
        ),
    ];
    let (body, _, _) = try_write(&request, &with(&[])).unwrap();
    let calls = body["messages"][0]["tool_calls"].as_array().unwrap();
    let results: Vec<&Json> = (1..4).map(|at| &body["messages"][at]["tool_call_id"]).collect();
    assert_eq!(calls.iter().map(|call| &call["id"]).collect::<Vec<_>>(), results);
    assert_ne!(results[0], results[2]);
    assert_eq!(try_write(&request, &with(&[])).unwrap().0, body, "the same history, the same ids");
}

#[test]
fn ids_that_do_not_fit_change_on_both_ends() {
    let long = "toolu_with.dots|and:colons_that_is_much_longer_than_anybody_takes";
    let mut request = anthropic();
    request.turns = vec![
        turn(Role::Assistant, vec![call(Some(long), "f", "{}"), call(Some("abc123XYZ"), "f", "{}")]),
        turn(Role::User, vec![result(Some("abc123XYZ"), None, vec![]), result(Some(long), None, vec![])]),
    ];
    let ids = |quirks: &[Quirk]| {
        let (body, _, _) = try_write(&request, &with(quirks)).unwrap();
        let call = |at: usize| body["messages"][0]["tool_calls"][at]["id"].as_str().unwrap().to_owned();
        let result = |at: usize| body["messages"][at]["tool_call_id"].as_str().unwrap().to_owned();
        assert_eq!((result(1), result(2)), (call(1), call(0)));
        (call(0), call(1))
    };
    let (fitted, kept) = ids(&[]);
    assert!(fitted.len() == 40 && fitted.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{fitted}");
    assert_eq!(kept, "abc123XYZ");
    let (short, kept) = ids(&[Quirk::ShortCallIds]);
    assert!(short.len() == 9 && short.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{short}");
    assert_eq!(kept, "abc123XYZ");
}

#[test]
fn a_result_that_is_an_error_says_so() {
    let mut request = anthropic();
    let mut failed = result(Some("t1"), None, vec![Part::text("gone")]);
    if let PartKind::Result(result) = &mut failed.kind {
        result.is_error = true;
    }
    request.turns = vec![turn(Role::Assistant, vec![call(Some("t1"), "f", "{}")]), turn(Role::User, vec![failed])];
    let (body, losses, _) = try_write(&request, &with(&[])).unwrap();
    assert_eq!(body["messages"][1]["content"], "Error: gone");
    assert_eq!(losses.iter().next().unwrap().feature, Feature::IsError);
    assert_eq!(body["messages"][0]["content"], Json::Null);
}

#[test]
fn state_goes_back_only_to_who_made_it() {
    let payload = r#"[{"type":"reasoning.text","text":"hm","signature":"S","index":0}]"#;
    let state =
        |origin, account: &'static str| State { origin, account: Some(account.into()), payload: Str::plain(payload) };
    let quirks = [Quirk::ReasoningDetails];
    for (state, echoed) in [
        (
            Some(state(Protocol::OpenAiChat, "acme")),
            json!([{"type": "reasoning.text", "text": "hm", "signature": "S", "index": 0}]),
        ),
        (Some(state(Protocol::OpenAiChat, "other")), Json::Null),
        (Some(state(Protocol::AnthropicMessages, "acme")), Json::Null),
        (None, json!([{"type": "reasoning.text", "text": "hm", "index": 0}])),
    ] {
        let mut request = anthropic();
        request.turns = vec![turn(Role::Assistant, vec![thought("hm", state), Part::text("a")])];
        let (body, losses, _) = try_write(&request, &with(&quirks)).unwrap();
        assert_eq!(body["messages"][0]["reasoning_details"], echoed);
        assert_eq!(losses.is_empty(), echoed != Json::Null);
    }
    let mut request = anthropic();
    request.turns = vec![turn(Role::Assistant, vec![thought("hm", None), Part::text("a")])];
    check(
        &request,
        &with(&[Quirk::ThinkingParts]),
        json!({"messages": [{"role": "assistant", "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "a"},
        ]}]}),
        &[],
    );
}

#[test]
fn signatures_for_geminis_chat_endpoint() {
    let signed = |origin| {
        let mut part = call(Some("c1"), "f", "{}");
        part.state = Some(State { origin, account: None, payload: Str::plain("S") });
        let mut request = anthropic();
        request.turns = vec![turn(Role::Assistant, vec![part, call(Some("c2"), "f", "{}")])];
        request
    };
    let signature = |request: &Request<'_>, quirks: &[Quirk], at: usize| {
        let (body, _, _) = try_write(request, &with(quirks)).unwrap();
        body["messages"][0]["tool_calls"][at]["extra_content"]["google"]["thought_signature"].clone()
    };
    let own = signed(Protocol::OpenAiChat);
    assert_eq!(signature(&own, &[Quirk::GoogleSignatures], 0), "S");
    assert_eq!(signature(&own, &[Quirk::GoogleSignatures], 1), Json::Null);
    assert_eq!(signature(&own, &[], 0), Json::Null);
    let foreign = signed(Protocol::AnthropicMessages);
    assert_eq!(signature(&foreign, &[Quirk::GoogleSignatures], 0), Json::Null);
    let signs = [Quirk::GoogleSignatures, Quirk::SignedCalls];
    assert_eq!(signature(&foreign, &signs, 0), "skip_thought_signature_validator");
    assert_eq!(signature(&foreign, &signs, 1), Json::Null);
}

#[test]
fn cache_marks() {
    let mut request = anthropic();
    let marked = |text: &'static str, ttl: Option<&'static str>| Part {
        cache: Some(CacheMark { ttl: ttl.map(Str::plain) }),
        ..Part::text(text)
    };
    request.turns = vec![
        Turn { place: Place::Lead, ..turn(Role::System, vec![Part::text("s"), marked("t", Some("1h"))]) },
        turn(Role::User, ["1", "2", "3", "4"].map(|text| marked(text, None)).to_vec()),
    ];
    let part = |text: &str| json!({"type": "text", "text": text});
    let said = |name: &str, mark: Json| {
        let marked = |text: &str| json!({"type": "text", "text": text, name: mark});
        json!({"messages": [
            {"role": "system", "content": [part("s"), part("t")]},
            {"role": "user", "content": [marked("1"), marked("2"), marked("3"), marked("4")]},
        ]})
    };
    let approximated = [(Feature::CacheControl, LossKind::Approximated)];
    check(
        &request,
        &with(&[Quirk::CacheControlParts]),
        said("cache_control", json!({"type": "ephemeral"})),
        &approximated,
    );
    check(
        &request,
        &with(&[Quirk::CacheBreakpoints]),
        said("prompt_cache_breakpoint", json!({"mode": "explicit"})),
        &approximated,
    );
    check(
        &request,
        &with(&[]),
        json!({"messages": [{"role": "system", "content": "s\n\nt"}, {"role": "user", "content": [part("1"), part("2"), part("3"), part("4")]}]}),
        &[(Feature::CacheControl, LossKind::Dropped)],
    );
    request.turns.pop();
    let (body, losses, _) = try_write(&request, &with(&[Quirk::CacheControlParts])).unwrap();
    assert_eq!(body["messages"][0]["content"][1]["cache_control"], json!({"type": "ephemeral", "ttl": "1h"}));
    assert!(losses.is_empty());
}

#[test]
fn media_by_kind() {
    let base64 = |mime: &'static str| Source::Base64 { mime: mime.into(), data: Str::plain("QUI=") };
    let url = || Source::Url { mime: None, url: Str::plain("https://x/y") };
    let said = |part: Part<'static>, quirks: &[Quirk]| {
        let mut request = anthropic();
        request.turns = vec![turn(Role::User, vec![part])];
        try_write(&request, &with(quirks)).map(|(body, _, _)| body["messages"][0]["content"][0].clone())
    };
    let ok = |part, quirks: &[Quirk], expected: Json| assert_eq!(said(part, quirks).unwrap(), expected);
    ok(media(MediaKind::Image, url()), &[], json!({"type": "image_url", "image_url": {"url": "https://x/y"}}));
    ok(
        media(MediaKind::Document, base64("application/pdf")),
        &[],
        json!({"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,QUI="}}),
    );
    ok(media(MediaKind::Document, base64("text/plain")), &[], json!({"type": "text", "text": "AB"}));
    ok(media(MediaKind::Document, Source::Text(Str::plain("AB"))), &[], json!({"type": "text", "text": "AB"}));
    ok(
        media(MediaKind::Audio, base64("audio/mpeg")),
        &[],
        json!({"type": "input_audio", "input_audio": {"data": "QUI=", "format": "mp3"}}),
    );
    ok(
        media(MediaKind::Video, base64("video/mp4")),
        &[Quirk::VideoUrl],
        json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,QUI="}}),
    );
    for part in [
        media(MediaKind::Video, base64("video/mp4")),
        media(MediaKind::Document, url()),
        media(MediaKind::Audio, url()),
        media(MediaKind::Image, Source::File { id: Str::plain("file_1"), mime: None }),
    ] {
        assert_eq!(said(part, &[]).unwrap_err().param, "messages");
    }
    let mut request = anthropic();
    request.turns = vec![turn(Role::User, vec![image()])];
    let blind = Target { vision: false, ..with(&[]) };
    assert_eq!(try_write(&request, &blind).unwrap_err().param, "messages");
    // In a history of results it is left out, and told.
    request.turns = vec![
        turn(Role::Assistant, vec![call(Some("t1"), "f", "{}")]),
        turn(Role::User, vec![result(Some("t1"), None, vec![image()])]),
    ];
    let (body, losses, _) = try_write(&request, &blind).unwrap();
    assert!(body["messages"][1]["content"].as_str().unwrap().contains("left out"));
    assert_eq!((body["messages"].as_array().unwrap().len(), losses.is_empty()), (2, false));
}

#[test]
fn tools_and_their_names() {
    let mut request = request(Protocol::GeminiGenerate);
    request.tools = vec![function("a.b:c"), function("plain")];
    request.tool_choice = Some(ToolChoice::One { name: Str::plain("a.b:c"), custom: false });
    request.parallel_calls = Some(false);
    request.turns = vec![turn(Role::Assistant, vec![call(Some("c"), "a.b:c", "{}")])];
    let (body, _, undo) = try_write(&request, &with(&[])).unwrap();
    let sent = body["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(sent.starts_with("abc_") && sent.len() <= 64);
    assert_eq!(undo.tool_names, [(sent.to_owned(), "a.b:c".to_owned())]);
    assert_eq!(body["tools"][1]["function"]["name"], "plain");
    assert_eq!(body["tool_choice"]["function"]["name"], sent);
    assert_eq!(body["messages"][0]["tool_calls"][0]["function"]["name"], sent);
    assert_eq!(body["parallel_tool_calls"], false);
    check(
        &request,
        &with(&[Quirk::NoParallelCalls]),
        json!({"parallel_tool_calls": null}),
        &[(Feature::ParallelCalls, LossKind::Dropped)],
    );
    // Without tools there is nothing to choose.
    request.tools.clear();
    let lost = [(Feature::ToolChoice, LossKind::Dropped), (Feature::ParallelCalls, LossKind::Omitted)];
    check(&request, &with(&[]), json!({"tools": null, "tool_choice": null, "parallel_tool_calls": null}), &lost);
}

#[test]
fn choices_of_tools() {
    let names = || vec![Str::plain("f"), Str::plain("g")];
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    for (choice, expected) in [
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::Required, json!("required")),
        (ToolChoice::Allowed { required: true, names: vec![Str::plain("f")] }, named("f")),
        (
            ToolChoice::Allowed { required: true, names: names() },
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("f"), named("g")]}}),
        ),
    ] {
        let mut request = request(Protocol::GeminiGenerate);
        request.tools = vec![function("f"), function("g")];
        request.tool_choice = Some(choice);
        check(&request, &with(&[]), json!({"tool_choice": expected}), &[]);
    }
    let mut request = request(Protocol::GeminiGenerate);
    request.tools = vec![function("f")];
    request.tool_choice = Some(ToolChoice::Validated { names: Vec::new() });
    check(&request, &with(&[]), json!({"tool_choice": "auto"}), &[(Feature::ToolChoice, LossKind::Approximated)]);
}

#[test]
fn server_tools() {
    let server = |kind| {
        let kind = ToolKind::Server { protocol: Protocol::AnthropicMessages, kind, raw: Value::object() };
        let mut request = anthropic();
        request.tools = vec![Tool { kind, cache: None, extra: Vec::new() }];
        request
    };
    let search = WebSearch {
        max_uses: Some(3),
        user_location: Some(value(r#"{"type":"approximate","city":"Ulm"}"#)),
        ..WebSearch::default()
    };
    check(
        &server(ServerTool::WebSearch(search)),
        &with(&[]),
        json!({"web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "Ulm"}}}, "tools": null}),
        &[(Feature::ServerTool, LossKind::Approximated)],
    );
    for kind in [ServerTool::WebFetch, ServerTool::CodeExecution, ServerTool::Other("computer".into())] {
        assert_eq!(try_write(&server(kind), &with(&[])).unwrap_err().param, "tools");
    }
}

#[test]
fn schemas_of_other_dialects() {
    let mut request = request(Protocol::GeminiGenerate);
    let schema = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true,"enum":["A"]},"n":{"type":"ARRAY","items":{"type":"INTEGER"},"maxItems":"3"}},"propertyOrdering":["type"],"required":["type"]}"#;
    let plain = json!({
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["A", null]},
            "n": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
        },
        "required": ["type"],
    });
    let format = |schema| Format::Schema {
        name: None,
        description: None,
        schema,
        dialect: SchemaDialect::OpenApi,
        strict: None,
    };
    request.format = Some(format(value(schema)));
    check(
        &request,
        &with(&[]),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": plain, "strict": false}}}),
        &[(Feature::Strict, LossKind::Dropped)],
    );
    let (body, losses, _) = try_write(&request, &with(&[Quirk::NoJsonSchema])).unwrap();
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert!(body["messages"][0]["content"].as_str().unwrap().contains(r#""maxItems":3"#));
    assert_eq!(losses.iter().next().unwrap().kind, LossKind::Approximated);
    // A schema that strict mode takes is held to.
    let strict =
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
    request.format = Some(format(value(strict)));
    assert_eq!(try_write(&request, &with(&[])).unwrap().0["response_format"]["json_schema"]["strict"], true);
    // OpenAI wants the word.
    request.format = Some(Format::Json);
    request.turns = vec![turn(Role::User, vec![Part::text("list colours")])];
    let (body, _, _) = try_write(&request, &with(&[])).unwrap();
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "Answer with one JSON object only."}));
    request.turns = vec![turn(Role::User, vec![Part::text("list colours as json")])];
    assert_eq!(try_write(&request, &with(&[])).unwrap().0["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn limits_and_stops() {
    let mut request = anthropic();
    request.output_tokens_max = Some(128_000);
    request.stop = ["a", "b", "c", "d", "e"].map(Str::plain).to_vec();
    let clamped = [(Feature::OutputLimit, LossKind::Clamped)];
    let small = Target { output_max: 16_384, ..with(&[]) };
    check(
        &request,
        &small,
        json!({"max_completion_tokens": 16_384, "max_tokens": null, "stop": ["a", "b", "c", "d"]}),
        &clamped,
    );
    let held = Target { output_limit: Some(100), ..with(&[Quirk::MaxTokens]) };
    check(&request, &held, json!({"max_tokens": 100, "max_completion_tokens": null}), &clamped);
    check(&request, &with(&[]), json!({"max_completion_tokens": 128_000}), &[]);
    assert_eq!(try_write(&request, &with(&[])).unwrap().2.stop, ["e"]);
}

#[test]
fn sampling_that_is_not_taken() {
    let mut request = request(Protocol::GeminiGenerate);
    request.temperature = Some("0.50".into());
    request.top_k = Some("40".into());
    request.seed = Some("1".into());
    request.metadata = Some(value(r#"{"team":"a"}"#));
    let lost = |feature| (feature, LossKind::Dropped);
    check(&request, &with(&[Quirk::TopK]), json!({"temperature": 0.5, "top_k": 40, "seed": 1}), &[]);
    check(&request, &with(&[]), json!({"top_k": null}), &[lost(Feature::TopK)]);
    let picky = Target { sampling: false, ..with(&[Quirk::TopK]) };
    check(
        &request,
        &picky,
        json!({"temperature": null, "top_k": null}),
        &[lost(Feature::Temperature), lost(Feature::TopK)],
    );
}

#[test]
fn streams_ask_for_usage() {
    let mut request = anthropic();
    request.stream = true;
    let streamed = Target { stream: true, ..with(&[]) };
    check(
        &request,
        &streamed,
        json!({"model": "sent", "stream": true, "stream_options": {"include_usage": true}}),
        &[],
    );
    let plain = Target { stream: true, ..with(&[Quirk::NoStreamOptions]) };
    check(&request, &plain, json!({"stream": true, "stream_options": null}), &[]);
    check(&request, &with(&[]), json!({"stream": null, "stream_options": null}), &[]);
}

#[test]
fn users_and_tiers() {
    let mut request = anthropic();
    request.user = Some(Str::plain("u".repeat(100)));
    request.service_tier = Some(Str::plain("standard_only"));
    let (body, _, _) = try_write(&request, &with(&[])).unwrap();
    assert_eq!((body["user"].as_str().unwrap().len(), &body["service_tier"]), (64, &json!("default")));
}

fn wish(mode: Option<ReasoningMode>, effort: Option<Effort>, budget: Option<i64>) -> Request<'static> {
    let mut request = anthropic();
    request.reasoning = Some(ReasoningWish { mode, effort, budget, ..ReasoningWish::default() });
    request
}

#[test]
fn thinking_is_asked_for_in_the_vendors_words() {
    use ReasoningMode::{Adaptive, Disabled, Enabled};
    let off = || wish(Some(Disabled), None, None);
    let high = || wish(Some(Adaptive), Some(Effort::High), None);
    let budget = || wish(Some(Enabled), None, Some(5000));
    let adaptive = || wish(Some(Adaptive), None, None);
    let near = [(Feature::Reasoning, LossKind::Approximated)];

    check(&high(), &with(&[]), json!({"reasoning_effort": "high"}), &[]);
    check(&budget(), &with(&[]), json!({"reasoning_effort": "medium"}), &near);
    check(&off(), &with(&[]), json!({"reasoning_effort": "none"}), &[]);
    check(&adaptive(), &with(&[]), json!({"reasoning_effort": null}), &[]);

    let efforts = |off| ReasoningStyle::Effort { efforts: Efforts::of(&[Effort::Low, Effort::Medium]), off };
    let graded = |off| Target { reasoning: efforts(off), ..with(&[]) };
    check(&high(), &graded(false), json!({"reasoning_effort": "medium"}), &near);
    check(&off(), &graded(false), json!({"reasoning_effort": "low"}), &near);
    check(&off(), &graded(true), json!({"reasoning_effort": "none"}), &[]);

    let never = Target { reasoning: ReasoningStyle::Never, ..with(&[Quirk::ThinkingSwitch]) };
    check(
        &high(),
        &never,
        json!({"reasoning_effort": null, "thinking": null}),
        &[(Feature::Reasoning, LossKind::Dropped)],
    );
    check(&off(), &never, json!({"thinking": null}), &[]);

    let switch = with(&[Quirk::ThinkingSwitch]);
    check(&off(), &switch, json!({"thinking": {"type": "disabled"}}), &[]);
    check(&adaptive(), &switch, json!({"thinking": {"type": "enabled"}}), &[]);
    check(&high(), &switch, json!({"thinking": {"type": "enabled"}, "reasoning_effort": null}), &near);

    let alibaba = with(&[Quirk::EnableThinking]);
    check(&off(), &alibaba, json!({"enable_thinking": false, "thinking_budget": null}), &[]);
    check(&budget(), &alibaba, json!({"enable_thinking": true, "thinking_budget": 5000}), &[]);
    check(&high(), &alibaba, json!({"enable_thinking": true, "thinking_budget": 24576}), &[]);
    let narrow =
        Target { reasoning: ReasoningStyle::Budget { min: 1, max: 4000, off: true }, ..with(&[Quirk::EnableThinking]) };
    check(&budget(), &narrow, json!({"thinking_budget": 4000}), &[(Feature::Reasoning, LossKind::Clamped)]);

    let object = with(&[Quirk::ReasoningObject]);
    check(&off(), &object, json!({"reasoning": {"enabled": false}}), &[]);
    check(&high(), &object, json!({"reasoning": {"effort": "high"}}), &[]);
    check(&budget(), &object, json!({"reasoning": {"max_tokens": 5000}}), &[]);
    check(&adaptive(), &object, json!({"reasoning": {"enabled": true}}), &[]);
}

#[test]
fn what_only_another_protocol_can_say() {
    let extra = |class, path: &'static str| Extra {
        protocol: Protocol::AnthropicMessages,
        path: path.into(),
        name: Str::plain(path),
        value: Value::Null,
        class,
    };
    let mut request = anthropic();
    request.extra = vec![extra(Class::Unknown, "foo"), extra(Class::Idle, "bar")];
    let mut odd = Part::text("a");
    odd.extra = vec![extra(Class::Dropped, "messages[0].content[0].baz")];
    let foreign = |class| {
        Part::new(PartKind::Foreign {
            protocol: Protocol::AnthropicMessages,
            what: "server_tool_use".into(),
            raw: Value::Null,
            class,
        })
    };
    request.turns =
        vec![turn(Role::User, vec![odd]), turn(Role::Assistant, vec![foreign(Class::Dropped), Part::text("b")])];
    let field = |path: &'static str| (Feature::Field(path.into()), LossKind::Dropped);
    check(
        &request,
        &with(&[]),
        json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
        &[field("foo"), field("messages[0].content[0].baz"), field("server_tool_use")],
    );
    request.turns[1].parts[0] = foreign(Class::Refused);
    assert_eq!(try_write(&request, &with(&[])).unwrap_err().param, "messages");
    request.extra.push(extra(Class::Refused, "container"));
    assert_eq!(try_write(&request, &with(&[])).unwrap_err().param, "container");
}
