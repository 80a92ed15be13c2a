//! Requests of Anthropic clients in the canonical form.

use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{
    Arguments, Class, Effort, Feature, Format, Losses, Media, MediaKind, PartKind, Place, ReasoningMode, Role,
    ServerTool, Source, ToolChoice, ToolKind, leave_out,
};

/// In the shape of what Claude Code sends; the words are ours.
const AGENT: &str = r#"{
  "model":"m","max_tokens":64000,"stream":true,
  "system":[
    {"type":"text","text":"x-anthropic-billing-header: cc_version=1.2.3; cc_entrypoint=cli;"},
    {"type":"text","text":"You help with code.","cache_control":{"type":"ephemeral","ttl":"1h","scope":"global"}}
  ],
  "messages":[
    {"role":"user","content":[{"type":"text","text":"<system-reminder>Be brief.</system-reminder>"},
                              {"type":"text","text":"List the files.","cache_control":{"type":"ephemeral"}}]},
    {"role":"assistant","content":[
      {"type":"thinking","thinking":"I should look.","signature":"c2ln"},
      {"type":"text","text":"Looking."},
      {"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls","n":1.0},"caller":{"type":"direct"}}]},
    {"role":"user","content":[
      {"type":"tool_result","tool_use_id":"toolu_1","content":"a.rs","is_error":false},
      {"type":"text","text":"Go on."}]},
    {"role":"system","content":"The clock struck twelve."}
  ],
  "tools":[{"name":"Bash","description":"Runs a command.","input_schema":{"type":"object","properties":{"command":{"type":"string"}}},
            "eager_input_streaming":true}],
  "thinking":{"type":"adaptive"},
  "output_config":{"effort":"high"},
  "context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},
  "metadata":{"user_id":"user_1"}
}"#;

#[test]
fn an_agents_request_is_understood() {
    let request = read_request(AGENT, 64).unwrap();
    let roles: Vec<(Role, Place)> = request.turns.iter().map(|turn| (turn.role, turn.place)).collect();
    let inline = Place::Inline;
    let expected = [
        (Role::System, Place::Lead),
        (Role::User, inline),
        (Role::Assistant, inline),
        (Role::User, inline),
        (Role::System, inline),
    ];
    assert_eq!(roles, expected);
    let PartKind::Reasoning(_) = &request.turns[2].parts[0].kind else { panic!() };
    let state = request.turns[2].parts[0].state.as_ref().unwrap();
    assert_eq!((state.origin, &state.account), (Protocol::AnthropicMessages, &None));
    let PartKind::Call(call) = &request.turns[2].parts[2].kind else { panic!() };
    let Arguments::Object(input) = &call.arguments else { panic!() };
    assert_eq!(input.to_json(), r#"{"command":"ls","n":1.0}"#);
    let wish = request.reasoning.as_ref().unwrap();
    assert_eq!((wish.mode, wish.effort, wish.budget), (Some(ReasoningMode::Adaptive), Some(Effort::High), None));
    assert_eq!((request.output_tokens_max, request.stream), (Some(64_000), true));
    round_trip::check_body("agent", AGENT);
}

#[test]
fn another_vendor_loses_nothing_of_an_agents_request_but_what_it_must() {
    let request = read_request(AGENT, 64).unwrap();
    let mut losses = Losses::default();
    leave_out(&request.extra, Protocol::OpenAiChat, &mut losses).unwrap();
    for turn in &request.turns {
        leave_out(&turn.extra, Protocol::OpenAiChat, &mut losses).unwrap();
        turn.parts.iter().for_each(|part| leave_out(&part.extra, Protocol::OpenAiChat, &mut losses).unwrap());
    }
    request.tools.iter().for_each(|tool| leave_out(&tool.extra, Protocol::OpenAiChat, &mut losses).unwrap());
    let lost: Vec<&Feature> = losses.iter().map(|loss| &loss.feature).collect();
    assert_eq!(lost, [&Feature::Field("context_management".into())]);
    // What only Anthropic's accounting reads is no text for others.
    let PartKind::Foreign { class, .. } = &request.turns[0].parts[0].kind else { panic!() };
    assert_eq!(*class, Class::Idle);
}

/// A request of one user message with `blocks`.
fn of_blocks(blocks: &str) -> String {
    format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{blocks}]}}]}}"#)
}

#[track_caller]
fn check_media(block: &str, kind: MediaKind, source: Source<'_>) {
    let body = of_blocks(block);
    let request = read_request(&body, 64).unwrap();
    let PartKind::Media(Media { kind: is, source: of, .. }) = &request.turns[0].parts[0].kind else {
        panic!("{block}")
    };
    assert_eq!((*is, of), (kind, &source), "{block}");
    round_trip::check_body(block, &body);
}

#[test]
fn media_of_every_source() {
    use MediaKind::{Document, Image};
    let base64 = |mime: &'static str| Source::Base64 { mime: mime.into(), data: "QUJD".into() };
    check_media(
        r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}}"#,
        Image,
        base64("image/png"),
    );
    let url = |mime| Source::Url { mime, url: "https://a.example/x".into() };
    check_media(r#"{"type":"image","source":{"type":"url","url":"https://a.example/x"}}"#, Image, url(None));
    let file = Source::File { id: "file_1".into(), mime: None };
    check_media(r#"{"type":"image","source":{"type":"file","file_id":"file_1"}}"#, Image, file.clone());
    check_media(r#"{"type":"document","source":{"type":"file","file_id":"file_1"}}"#, Document, file);
    let pdf = r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"QUJD"},"title":"T",
        "context":"C","citations":{"enabled":true},"cache_control":{"type":"ephemeral"},"new_field":[1]}"#;
    check_media(pdf, Document, base64("application/pdf"));
    let pdf_url = r#"{"type":"document","source":{"type":"url","url":"https://a.example/x","new_field":1}}"#;
    check_media(pdf_url, Document, url(Some("application/pdf".into())));
    let text = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}}"#;
    check_media(text, Document, Source::Text("words".into()));
    let blocks = r#"{"type":"document","title":"T","source":{"type":"content","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}"#;
    check_media(blocks, Document, Source::Text("a\n\nb".into()));
    let found = r#"{"type":"search_result","source":"https://a.example","title":"T","content":[{"type":"text","text":"a"}],"citations":{"enabled":true}}"#;
    check_media(found, Document, Source::Text("https://a.example\n\na".into()));
}

#[test]
fn what_only_anthropic_has_is_said_again() {
    for block in [
        r#"{"type":"container_upload","file_id":"file_1"}"#,
        r#"{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"https://a.example"}}]}}"#,
        r#"{"type":"image","source":{"type":"hologram","x":1}}"#,
        r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"5m"},"new_field":{"b":[1.50,"\u00e9"]}}"#,
        r#"{"type":"invented","a":1,"cache_control":{"type":"ephemeral"}}"#,
    ] {
        round_trip::check_body(block, &of_blocks(block));
    }
    let history = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[
        {"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}},
        {"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","url":"u","title":"t","encrypted_content":"e"}]},
        {"type":"mcp_tool_use","id":"m1","name":"n","server_name":"s","input":{}},
        {"type":"mcp_tool_result","tool_use_id":"m1","is_error":false,"content":[]},
        {"type":"text","text":"found","citations":[{"type":"web_search_result_location","url":"u"}]},
        {"type":"redacted_thinking","data":"ZGF0YQ=="},
        {"type":"compaction","content":"what was before","encrypted_content":"e"}]},
        {"role":"user","content":"b","new_field":true}],
        "container":"c","mcp_servers":[],"inference_geo":"us","speed":"fast","betas":["b"],"invented":{"x":1},
        "cache_control":{"type":"ephemeral","ttl":"1h"},"metadata":{"user_id":"u","invented":1},
        "output_config":{"effort":"max","task_budget":{"type":"tokens","total":1},"format":{"type":"json_schema","schema":{"minimum":3}}},
        "thinking":{"type":"invented","x":1},"temperature":0.50,"top_p":1e-1,"top_k":40,"stop_sequences":["x"],"service_tier":"standard_only"}"#;
    round_trip::check_body("history", history);
}

#[track_caller]
fn check_class(member: &str, class: Class) {
    let body = format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"a"}}],{member}}}"#);
    let request = read_request(&body, 64).unwrap();
    assert_eq!(request.extra[0].class, class, "{member}");
}

#[test]
fn each_field_that_only_anthropic_has_is_of_a_class() {
    check_class(r#""context_management":{"edits":[]}"#, Class::Dropped);
    check_class(r#""container":{"id":"c"}"#, Class::Refused);
    check_class(r#""mcp_servers":[{"url":"u"}]"#, Class::Refused);
    check_class(r#""mcp_servers":[]"#, Class::Idle);
    check_class(r#""inference_geo":"us""#, Class::Refused);
    check_class(r#""inference_geo":"global""#, Class::Idle);
    check_class(r#""betas":["b"]"#, Class::Idle);
    check_class(r#""speed":"fast""#, Class::Dropped);
    check_class(r#""container":null"#, Class::Idle);
    check_class(r#""invented":1"#, Class::Unknown);
    check_class(r#""thinking":{"type":"invented","x":1}"#, Class::Unknown);
    check_class(r#""output_config":{"format":{"type":"invented"}}"#, Class::Unknown);
    check_class(r#""metadata":{"invented":1}"#, Class::Unknown);
    check_class(r#""thinking":{"type":"disabled","invented":1}"#, Class::Unknown);
}

#[test]
fn an_extras_path_is_the_clients_way_to_it() {
    let body = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s","a":1}],
        "messages":[{"role":"user","b":1,"content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral","c":1}},
        {"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"y","d":1}]}]}],
        "tools":[{"name":"n","input_schema":{},"e":1}],"output_config":{"f":1}}"#;
    let request = read_request(body, 64).unwrap();
    let mut paths: Vec<String> = Vec::new();
    let mut add = |extra: &[crate::wire::ir::Extra<'_>]| paths.extend(extra.iter().map(|extra| extra.path.to_string()));
    for turn in &request.turns {
        add(&turn.extra);
        for part in &turn.parts {
            add(&part.extra);
            if let PartKind::Result(result) = &part.kind {
                result.content.iter().for_each(|part| add(&part.extra));
            }
        }
    }
    request.tools.iter().for_each(|tool| add(&tool.extra));
    add(&request.extra);
    let expected = [
        "system[0].a",
        "messages[0].b",
        "messages[0].content[0].cache_control.c",
        "messages[0].content[1].content[0].d",
        "tools[0].e",
        "output_config.f",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn tools_of_every_kind() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],"tools":[
        {"name":"f","input_schema":{"type":"object","properties":{"z":{},"a":{}}},"strict":true,"cache_control":{"type":"ephemeral"}},
        {"type":"custom","name":"g","description":"d","input_schema":{"type":"object"},"defer_loading":true,"input_examples":[{}]},
        {"type":"web_search_20250305","name":"web_search","max_uses":3,"allowed_domains":["a.example"],"user_location":{"type":"approximate","city":"C"},"invented":1},
        {"type":"web_fetch_20250910","name":"web_fetch","citations":{"enabled":true}},
        {"type":"code_execution_20260120","name":"code_execution"},
        {"type":"computer_20250124","name":"computer","display_width_px":9}],
        "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}}"#;
    let request = read_request(body, 64).unwrap();
    let kinds: Vec<&ServerTool<'_>> = request
        .tools
        .iter()
        .filter_map(|tool| if let ToolKind::Server { kind, .. } = &tool.kind { Some(kind) } else { None })
        .collect();
    let ServerTool::WebSearch(search) = kinds[0] else { panic!() };
    assert_eq!((search.max_uses, search.allowed_domains.as_slice()), (Some(3), &["a.example".into()][..]));
    assert_eq!(
        kinds[1..],
        [&ServerTool::WebFetch, &ServerTool::CodeExecution, &ServerTool::Other("computer_20250124".into())]
    );
    let lost: Vec<_> = request.tools[2].extra.iter().map(|extra| (&*extra.path, extra.class)).collect();
    assert_eq!(lost, [("tools[2].invented", Class::Unknown)]);
    assert_eq!(request.tool_choice, Some(ToolChoice::One { name: "f".into(), custom: false }));
    assert_eq!(request.parallel_calls, Some(false));
    round_trip::check_body("tools", body);
    let hosted = body.replace(r#""name":"f","disable"#, r#""name":"web_search","disable"#);
    assert!(matches!(read_request(&hosted, 64).unwrap().tool_choice, Some(ToolChoice::Hosted { .. })));
    round_trip::check_body("hosted choice", &hosted);
}

#[test]
fn the_betas_spelling_of_a_format_is_read_too() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[],"output_format":{"type":"json_schema","schema":{"a":1}}}"#;
    let request = read_request(body, 64).unwrap();
    assert!(matches!(request.format, Some(Format::Schema { .. })));
}

#[track_caller]
fn check_error(body: &str, param: Option<&str>, message: &str) {
    let error = read_request(body, 8).unwrap_err();
    assert_eq!((error.param.as_deref(), error.message.as_str()), (param, message), "{body}");
}

#[test]
fn an_error_names_the_field() {
    check_error("[]", None, "the body must be a JSON object");
    check_error("{", None, "the body is not valid JSON: expected `,` or `}` at byte 1");
    check_error(r#"{"messages":[]}"#, Some("model"), "model is required");
    check_error(r#"{"model":"m"}"#, Some("messages"), "messages is required");
    check_error(r#"{"model":"m","messages":{}}"#, Some("messages"), "messages must be an array");
    let of = |message: &str| format!(r#"{{"model":"m","messages":[{message}]}}"#);
    check_error(
        &of(r#"{"role":"robot","content":"a"}"#),
        Some("messages[0].role"),
        "messages[0].role must be user, assistant or system",
    );
    check_error(&of(r#"{"role":"user"}"#), Some("messages[0].content"), "messages[0].content is required");
    let of = |block: &str| of(&format!(r#"{{"role":"user","content":[{block}]}}"#));
    check_error(&of(r#"{"text":"a"}"#), Some("messages[0].content[0].type"), "messages[0].content[0].type is required");
    check_error(
        &of(r#"{"type":"text"}"#),
        Some("messages[0].content[0].text"),
        "messages[0].content[0].text is required",
    );
    check_error(
        &of(r#"{"type":"text","text":1}"#),
        Some("messages[0].content[0].text"),
        "messages[0].content[0].text must be a string",
    );
    check_error(
        r#"{"model":"m","messages":[],"max_tokens":-1}"#,
        Some("max_tokens"),
        "max_tokens must be a whole number that is not negative",
    );
}
