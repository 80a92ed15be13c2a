//! Tools of other protocols, and the choice among them.

use super::write::*;
use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{PartKind, Role, ServerTool, Tool, ToolChoice, ToolKind, Turn, WebSearch};
#[test]
fn tools_and_their_names() {
    let mut request = chat(user());
    let custom = ToolKind::Custom {
        name: "patch.it".into(),
        description: Some("d".into()),
        format: Some(parse(r#"{"type":"grammar","grammar":{"syntax":"lark"}}"#)),
    };
    request.tools = vec![function("ns.f:1"), function("plain"), Tool { kind: custom, cache: None, extra: Vec::new() }];
    request.tool_choice = Some(ToolChoice::One { name: "ns.f:1".into(), custom: false });
    request.turns.push(Turn::new(Role::Assistant, vec![call("a", "ns.f:1", "{}")]));
    let mut free = call("b", "patch.it", "free \"text\"");
    if let PartKind::Call(call) = &mut free.kind {
        call.custom = true;
    }
    request.turns.push(Turn::new(Role::Assistant, vec![free]));
    let written = write(&request, &target());
    let names: Vec<&str> =
        written.body["tools"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names[0].starts_with("nsf1_") && names[1] == "plain" && names[2].starts_with("patchit_"), "{names:?}");
    assert_eq!(written.body["tool_choice"]["name"], names[0]);
    let calls = &written.body["messages"][1]["content"];
    assert_eq!((&calls[0]["name"], &calls[1]["name"]), (&names[0].into(), &names[2].into()));
    assert_eq!(calls[1]["input"], dom(r#"{"input":"free \"text\""}"#));
    assert_eq!(written.body["tools"][2]["input_schema"]["required"], dom(r#"["input"]"#));
    let undo = [(names[0].to_owned(), "ns.f:1".to_owned()), (names[2].to_owned(), "patch.it".to_owned())];
    assert_eq!(written.undo.tool_names, undo);
    assert_eq!(written.undo.wrapped_tools, [names[2]]);
}

#[track_caller]
fn check_choice(choice: Option<ToolChoice<'static>>, parallel: Option<bool>, expected: &str, tools: &[&str]) {
    let mut request = chat(user());
    request.tools = vec![function("f"), function("g")];
    (request.tool_choice, request.parallel_calls) = (choice, parallel);
    let written = write(&request, &target());
    assert_eq!(written.body.get("tool_choice").cloned().unwrap_or_default(), dom(expected));
    let sent: Vec<&str> =
        written.body["tools"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(sent, tools);
}

#[test]
fn the_choice_among_tools() {
    let all = ["f", "g"];
    check_choice(None, None, "null", &all);
    check_choice(None, Some(true), "null", &all);
    check_choice(None, Some(false), r#"{"type":"auto","disable_parallel_tool_use":true}"#, &all);
    check_choice(Some(ToolChoice::None), Some(false), r#"{"type":"none"}"#, &all);
    check_choice(Some(ToolChoice::Required), None, r#"{"type":"any"}"#, &all);
    let one = Some(ToolChoice::One { name: "g".into(), custom: false });
    check_choice(one, Some(false), r#"{"type":"tool","name":"g","disable_parallel_tool_use":true}"#, &all);
    let allowed = |required| Some(ToolChoice::Allowed { required, names: vec!["g".into()] });
    check_choice(allowed(true), None, r#"{"type":"any"}"#, &["g"]);
    check_choice(allowed(false), None, r#"{"type":"auto"}"#, &["g"]);
    let mut none = chat(user());
    none.tool_choice = Some(ToolChoice::Required);
    let written = write(&none, &target());
    assert_eq!((written.body.get("tool_choice"), written.lost()), (None, vec!["tool_choice"]));
}

#[test]
fn server_tools_of_others() {
    let server = |kind, raw: &'static str| {
        let kind = ToolKind::Server { protocol: Protocol::OpenAiResponses, kind, raw: parse(raw) };
        let mut request = chat(user());
        request.protocol = Protocol::OpenAiResponses;
        request.tools = vec![Tool { kind, cache: None, extra: Vec::new() }];
        request
    };
    let search = WebSearch {
        max_uses: Some(2),
        allowed_domains: vec!["a.example".into()],
        user_location: Some(parse(r#"{"type":"approximate","city":"C"}"#)),
        context_size: Some("low".into()),
        ..WebSearch::default()
    };
    let mut request = server(ServerTool::WebSearch(search), r#"{"type":"web_search"}"#);
    request.tool_choice =
        Some(ToolChoice::Hosted { protocol: Protocol::OpenAiResponses, raw: parse(r#"{"type":"web_search"}"#) });
    let written = write(&request, &target());
    let expected = r#"[{"type":"web_search_20250305","name":"web_search","max_uses":2,"allowed_domains":["a.example"],
        "user_location":{"type":"approximate","city":"C"}}]"#;
    assert_eq!(written.body["tools"], dom(expected));
    assert_eq!(written.body["tool_choice"], dom(r#"{"type":"tool","name":"web_search"}"#));
    assert_eq!(written.lost(), ["search_context_size"]);
    check_refusal(&server(ServerTool::Other("file_search".into()), "{}"), "tools");
}
