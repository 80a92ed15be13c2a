//! What a Gemini upstream is sent for clients of other protocols.

mod settings;
mod tools;

use std::borrow::Cow;

use serde_json::{Value as Json, json};

use super::{by_level, target};
use crate::wire::Protocol;
use crate::wire::gemini_generate::{must_inline, write_request};
use crate::wire::ir::{
    Arguments, Call, CallResult, Class, Document, Effort, Efforts, Extra, Feature, Format, LossKind, Losses, Media,
    MediaKind, Part, PartKind, Place, Quirk, Quirks, Reasoning, ReasoningMode, ReasoningStyle, ReasoningWish, Refusal,
    Request, Role, SchemaDialect, ServerTool, Source, State, Target, Tool, ToolChoice, ToolKind, Turn, Undo, WebSearch,
};
use crate::wire::json::{LoneSurrogates, Str, Value};

fn value(json: &Json) -> Value<'static> {
    Value::parse(&json.to_string(), 64, LoneSurrogates::Refused).unwrap().into_owned()
}

fn chat(turns: Vec<Turn<'static>>) -> Request<'static> {
    Request { turns, ..Request::new(Protocol::OpenAiChat, "m") }
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn::new(role, parts)
}

fn user(text: &'static str) -> Turn<'static> {
    turn(Role::User, vec![Part::text(text)])
}

fn call(id: &'static str, name: &'static str, args: &'static str) -> Part<'static> {
    let arguments = Arguments::Text(Str::plain(args));
    Part::new(PartKind::Call(Call { id: Some(Str::plain(id)), name: Str::plain(name), arguments, custom: false }))
}

fn result(id: &'static str, content: Vec<Part<'static>>, is_error: bool) -> Part<'static> {
    Part::new(PartKind::Result(CallResult {
        call_id: Some(Str::plain(id)),
        name: None,
        content,
        bare: true,
        is_error,
        custom: false,
        response: None,
    }))
}

fn image(source: Source<'static>) -> Part<'static> {
    Part::new(PartKind::Media(Media { kind: MediaKind::Image, source, name: None, detail: None, document: None }))
}

fn png() -> Part<'static> {
    image(Source::Base64 { mime: "image/png".into(), data: Str::plain("iVBO") })
}

fn function(name: &'static str, parameters: Option<Json>) -> Tool<'static> {
    let parameters = parameters.as_ref().map(value);
    let dialect = SchemaDialect::JsonSchema;
    tool(ToolKind::Function { name: Str::plain(name), description: None, parameters, dialect, strict: None })
}

fn tool(kind: ToolKind<'static>) -> Tool<'static> {
    Tool { kind, cache: None, extra: Vec::new() }
}

fn try_written(request: &Request<'_>, target: &Target<'_>) -> Result<(Json, Vec<String>, Undo), Refusal> {
    let mut losses = Losses::default();
    let (out, undo) = write_request(request, target, &mut losses)?;
    let losses = losses.iter().map(|loss| format!("{} {}", loss.feature.param(request.protocol), loss.kind.as_str()));
    Ok((serde_json::from_slice(&out).unwrap(), losses.collect(), undo))
}

fn with(quirks: &[Quirk]) -> Target<'static> {
    Target { quirks: Quirks::of(quirks), ..target() }
}

#[track_caller]
fn check(request: &Request<'_>, target: &Target<'_>, pointer: &str, expected: Json, losses: &[&str]) {
    let (out, found, _) = try_written(request, target).unwrap();
    assert_eq!(out.pointer(pointer), Some(&expected), "{out}");
    assert_eq!(found, losses);
}

#[track_caller]
fn check_absent(request: &Request<'_>, target: &Target<'_>, pointer: &str, losses: &[&str]) {
    let (out, found, _) = try_written(request, target).unwrap();
    assert_eq!(out.pointer(pointer), None);
    assert_eq!(found, losses);
}

#[test]
fn roles_are_lifted_merged_and_wrapped() {
    let mut request = chat(vec![
        turn(Role::System, vec![Part::text("be"), Part::text("")]),
        turn(Role::Developer, vec![Part::text("kind")]),
        user("a"),
        user("b"),
        turn(Role::Assistant, vec![Part::text("c"), Part::text("")]),
        turn(Role::Assistant, vec![Part::new(PartKind::Refusal(Str::plain("no")))]),
        turn(Role::System, vec![Part::text("now \"x\"")]),
        user("d"),
    ]);
    request.turns[2].name = Some(Str::plain("ann"));
    let expected = json!({
        "systemInstruction": { "parts": [{ "text": "be" }, { "text": "kind" }] },
        "contents": [
            { "role": "user", "parts": [{ "text": "a" }, { "text": "b" }] },
            { "role": "model", "parts": [{ "text": "c" }, { "text": "no" }] },
            { "role": "user", "parts": [{ "text": "<system-reminder>\nnow \"x\"\n</system-reminder>" }, { "text": "d" }] }
        ]
    });
    check(&request, &target(), "", expected, &["name dropped", "role approximated"]);
}

#[test]
fn a_conversation_begins_with_the_user() {
    let opened = chat(vec![turn(Role::Assistant, vec![Part::text("hello")])]);
    check(
        &opened,
        &target(),
        "/contents/0",
        json!({ "role": "user", "parts": [{ "text": "." }] }),
        &["role approximated"],
    );
    let only_system = chat(vec![turn(Role::System, vec![Part::text("say hi")])]);
    let expected = json!({ "contents": [{ "role": "user", "parts": [{ "text": "say hi" }] }] });
    check(&only_system, &target(), "", expected, &["role approximated"]);
}

#[test]
fn results_stand_together_in_the_order_of_their_calls() {
    let request = chat(vec![
        user("go"),
        turn(Role::Assistant, vec![call("c1", "f", "{\"a\":1.0}"), call("c2", "g.h", ""), call("c3", "f", "[1]")]),
        turn(Role::Tool, vec![result("c2", vec![Part::text("two"), Part::text("lines")], true)]),
        turn(Role::System, vec![Part::text("note")]),
        turn(Role::Tool, vec![result("c1", vec![Part::text("one"), png()], false)]),
        user("and?"),
    ]);
    let response = |id: &str, name: &str, response: Json| json!({ "functionResponse": { "id": id, "name": name, "response": response } });
    let mut first = response("c1", "f", json!({ "result": "one" }));
    let media = json!({ "inlineData": { "mimeType": "image/png", "data": "iVBO" } });
    first["functionResponse"]["parts"] = json!([media]);
    let second = response("c2", "g.h", json!({ "error": "two\nlines" }));
    let third = response("c3", "f", json!({ "result": "(no result)" }));
    let rest = [json!({ "text": "<system-reminder>\nnote\n</system-reminder>" }), json!({ "text": "and?" })];
    let losses = ["arguments approximated", "role approximated", "tool_call_id approximated"];
    let expected = json!({ "role": "user", "parts": [first, second, third, rest[0], rest[1]] });
    check(&request, &target(), "/contents/2", expected, &losses);
    let calls = json!([
        { "functionCall": { "id": "c1", "name": "f", "args": { "a": 1.0 } } },
        { "functionCall": { "id": "c2", "name": "g.h", "args": {} } },
        { "functionCall": { "id": "c3", "name": "f", "args": { "_raw": "[1]" } } }
    ]);
    check(&request, &target(), "/contents/1/parts", calls, &losses);
    // Where a result takes no media, they follow behind all results.
    first["functionResponse"].as_object_mut().unwrap().remove("parts");
    let expected = json!([first, second, third, media, rest[0], rest[1]]);
    check(&request, &with(&[Quirk::NoMediaInResults]), "/contents/2/parts", expected, &losses);
}

#[test]
fn results_find_their_calls_wherever_they_stand() {
    let request = chat(vec![
        user("go"),
        turn(Role::Assistant, vec![call("c", "f", "{}")]),
        user("wait"),
        turn(Role::Assistant, vec![Part::text("ok")]),
        turn(Role::Tool, vec![result("c", vec![Part::text("late")], false)]),
        turn(Role::Assistant, vec![call("c", "g", "{}")]),
    ]);
    let (out, ..) = try_written(&request, &target()).unwrap();
    assert_eq!(out["contents"][2]["parts"][0]["functionResponse"]["response"]["result"], "late");
    let last = out["contents"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (last["parts"][0]["text"].as_str(), &last["parts"][1]["functionCall"]["name"]),
        (Some("ok"), &json!("g"))
    );
    let orphan = chat(vec![user("go"), turn(Role::Tool, vec![result("x", vec![Part::text("?")], false)])]);
    let refusal = try_written(&orphan, &target()).unwrap_err();
    assert_eq!(refusal.param, "messages");
    assert!(refusal.message.contains("\"x\""));
}

fn signed(part: Part<'static>, origin: Protocol, account: &'static str) -> Part<'static> {
    Part { state: Some(State { origin, account: Some(Cow::Borrowed(account)), payload: Str::plain("c2ln") }), ..part }
}

fn thought(text: &'static str) -> Part<'static> {
    Part::new(PartKind::Reasoning(Reasoning { text: vec![Str::plain(text)], ..Reasoning::default() }))
}

#[test]
fn calls_of_the_current_turn_are_signed() {
    let gemini = Protocol::GeminiGenerate;
    let steps = |state: Part<'static>| {
        chat(vec![
            user("before"),
            turn(Role::Assistant, vec![call("c0", "f", "{}")]),
            turn(Role::Tool, vec![result("c0", vec![Part::text("0")], false)]),
            turn(Role::Assistant, vec![Part::text("done")]),
            user("now"),
            turn(Role::Assistant, vec![state, call("c1", "f", "{}"), call("c2", "f", "{}")]),
            turn(
                Role::Tool,
                vec![
                    result("c1", vec![Part::text("1")], false),
                    result("c2", vec![Part::text("2")], false),
                    Part::text("hm"),
                ],
            ),
            turn(Role::Assistant, vec![call("c3", "f", "{}")]),
            turn(Role::Tool, vec![result("c3", vec![Part::text("3")], false)]),
        ])
    };
    let signatures = |request: &Request<'_>, quirks: &[Quirk]| {
        let (out, losses, _) = try_written(request, &with(quirks)).unwrap();
        let parts =
            out["contents"].as_array().unwrap().iter().flat_map(|content| content["parts"].as_array().unwrap().clone());
        let calls = parts.filter(|part| part["functionCall"].is_object());
        let found: Vec<Option<String>> =
            calls.map(|part| part["thoughtSignature"].as_str().map(str::to_owned)).collect();
        (found, losses)
    };
    let stand_in = || Some("skip_thought_signature_validator".to_owned());
    let own = steps(signed(thought(""), gemini, "acme"));
    let (found, losses) = signatures(&own, &[Quirk::SignedCalls]);
    assert_eq!(found, [None, Some("c2ln".into()), None, stand_in()]);
    assert!(losses.is_empty());
    assert_eq!(signatures(&own, &[]).0, [None, Some("c2ln".into()), None, None]);
    // Without any state it is a mere echo.
    for (state, lost) in [
        (signed(thought("hm"), gemini, "other"), "reasoning_details dropped"),
        (signed(thought("hm"), Protocol::AnthropicMessages, "acme"), "reasoning_details dropped"),
        (thought("hm"), "reasoning_details omitted"),
    ] {
        let (found, losses) = signatures(&steps(state), &[Quirk::SignedCalls]);
        assert_eq!(found, [None, stand_in(), None, stand_in()]);
        assert_eq!(losses, [lost]);
    }
}

#[test]
fn own_thoughts_come_back() {
    let own = |part| signed(part, Protocol::GeminiGenerate, "acme");
    let request = chat(vec![
        user("a"),
        turn(Role::Assistant, vec![own(thought("hm"))]),
        turn(Role::Assistant, vec![Part::text("b")]),
        user("c"),
        turn(Role::Assistant, vec![Part::text("d"), own(thought(""))]),
    ]);
    let (out, losses, _) = try_written(&request, &target()).unwrap();
    let parts = json!([{ "text": "hm", "thought": true }, { "text": "b", "thoughtSignature": "c2ln" }]);
    assert_eq!(out["contents"][1]["parts"], parts);
    assert_eq!(out["contents"][3]["parts"], json!([{ "text": "d" }, { "text": "", "thoughtSignature": "c2ln" }]));
    assert!(losses.is_empty());
}

#[test]
fn media_go_inline_or_as_files_that_gemini_opens() {
    let url = |url: &'static str| Source::Url { mime: None, url: Str::plain(url) };
    let of = |kind, source| {
        let part = Part::new(PartKind::Media(Media {
            kind,
            source,
            name: Some(Str::plain("a.b")),
            detail: None,
            document: None,
        }));
        chat(vec![turn(Role::User, vec![part])])
    };
    let part = |request: &Request<'_>, quirks: &[Quirk]| {
        try_written(request, &with(quirks)).map(|(out, losses, _)| (out["contents"][0]["parts"][0].clone(), losses))
    };
    let mp3 = of(MediaKind::Audio, Source::Base64 { mime: "audio/mpeg".into(), data: Str::plain("SUQz") });
    let (out, losses) = part(&mp3, &[]).unwrap();
    assert_eq!(out, json!({ "inlineData": { "mimeType": "audio/mp3", "data": "SUQz" } }));
    assert_eq!(losses, ["filename approximated"]);
    assert_eq!(part(&mp3, &[Quirk::Vertex]).unwrap().0["inlineData"]["displayName"], "a.b");
    let text = of(MediaKind::Document, Source::Text(Str::plain("hi")));
    assert_eq!(part(&text, &[]).unwrap().0, json!({ "inlineData": { "mimeType": "text/plain", "data": "aGk=" } }));
    let tube = of(MediaKind::Video, url("https://www.youtube.com/watch?v=x"));
    assert_eq!(part(&tube, &[]).unwrap().0, json!({ "fileData": { "fileUri": "https://www.youtube.com/watch?v=x" } }));
    let web = of(MediaKind::Image, url("https://a.b/c.PNG?x=1"));
    let refusal = part(&web, &[]).unwrap_err();
    assert!(refusal.param == "messages" && refusal.message.contains("must be inlined"), "{refusal:?}");
    let expected = json!({ "fileData": { "mimeType": "image/png", "fileUri": "https://a.b/c.PNG?x=1" } });
    assert_eq!(part(&web, &[Quirk::HttpsFiles]).unwrap().0, expected);
    let upload = of(MediaKind::Image, Source::File { id: Str::plain("file-1"), mime: None });
    assert!(part(&upload, &[Quirk::HttpsFiles]).is_err());
    let blind = Target { vision: false, ..target() };
    assert!(try_written(&chat(vec![turn(Role::User, vec![png()])]), &blind).is_err());
}

#[test]
fn addresses_that_must_be_fetched() {
    let https = Quirks::of(&[Quirk::HttpsFiles]);
    for (url, plain, opens_https) in [
        ("https://a.b/c.png", true, false),
        ("HTTPS://a.b/c.png", true, false),
        ("http://a.b/c.png", true, true),
        ("gs://bucket/c.png", false, false),
        ("https://youtu.be/x", false, false),
        ("https://youtube.com.evil.example/x", true, false),
        ("https://x@www.youtube.com:443/x", false, false),
        ("https://generativelanguage.googleapis.com/v1beta/files/x", false, false),
        ("https://evil.example/generativelanguage.googleapis.com/files/x", true, false),
        ("data:image/png;base64,x", true, true),
        ("", true, true),
    ] {
        assert_eq!(must_inline(url, Quirks::NONE), plain, "{url}");
        assert_eq!(must_inline(url, https), opens_https, "{url}");
    }
}
