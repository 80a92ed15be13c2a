//! Requests of this protocol: what is read of them, and that they are written again unchanged.

use serde_json::{Value, json};

use super::super::*;
use crate::wire::ir::{
    Class, Effort, Efforts, Feature, Losses, PartKind, Place, Quirks, ReasoningStyle, Request, Role, ServerTool,
    Source, Target, ToolChoice, ToolKind, Undo,
};
use crate::wire::json::Str;

pub(super) const ANY: Target<'static> = Target {
    model: "m",
    stream: false,
    output_max: 0,
    output_limit: None,
    reasoning: ReasoningStyle::Unknown,
    sampling: true,
    vision: true,
    quirks: Quirks::NONE,
    account: "acme",
};

/// Reads, writes and compares as JSON values.
pub(super) fn check_round_trip(body: &str) {
    let request = read_request(body, 64).unwrap_or_else(|error| panic!("{error:?}: {body}"));
    let target = Target {
        model: &request.model,
        stream: request.stream,
        reasoning: ReasoningStyle::Effort { efforts: Efforts::of(&[Effort::Low]), off: false },
        sampling: false,
        vision: false,
        ..ANY
    };
    let mut losses = Losses::default();
    let (out, undo) = write_request(&request, &target, &mut losses).unwrap();
    let (is, was): (Value, Value) = (serde_json::from_slice(&out).unwrap(), serde_json::from_str(body).unwrap());
    assert_eq!(is, was);
    assert_eq!(undo, Undo::default());
    assert!(losses.is_empty(), "{losses:?}");
}

fn check(body: Value) {
    check_round_trip(&body.to_string());
}

/// A request whose `input` is the list.
fn items(items: Value) -> Value {
    json!({"model": "m", "input": items})
}

fn read(body: &Value) -> Request<'static> {
    let body: &'static str = body.to_string().leak();
    read_request(body, 64).unwrap()
}

#[test]
fn plain_requests_come_back() {
    check(json!({"model": "m", "input": "hi"}));
    check(json!({"model": "m", "input": [{"role": "user", "content": "hi"}]}));
    check(json!({"model": "m", "instructions": "be brief", "input": "hi", "stream": true}));
    check(
        json!({"model": "m", "instructions": null, "input": "hi", "stream": false, "stream_options": {"include_obfuscation": false}}),
    );
    check(json!({"model": "m", "previous_response_id": "resp_1", "input": []}));
    check(json!({"model": "m", "prompt": {"id": "p"}}));
    check(json!({
        "model": "m", "input": "hi", "max_output_tokens": 4, "temperature": 0.5, "top_p": 1, "presence_penalty": 0.1,
        "frequency_penalty": 0, "top_logprobs": 2, "include": ["message.output_text.logprobs", "file_search_call.results"],
        "parallel_tool_calls": false, "store": false, "background": false, "truncation": "auto", "user": "u",
        "safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_retention": "24h", "metadata": {"a": "b"},
        "service_tier": "flex", "max_tool_calls": 3, "conversation": {"id": "c"}, "invented": {"a": [1]},
        "context_management": [{"type": "compaction", "compact_threshold": 1000}], "stop": ["x"]
    }));
    check(json!({"model": "m", "input": "hi", "reasoning": {}, "text": {}}));
    check(json!({"model": "m", "input": "hi", "reasoning": null, "text": null, "tools": null, "tool_choice": null}));
    check(json!({
        "model": "m", "input": "hi", "reasoning": {"effort": "xhigh", "summary": "detailed", "context": "all_turns", "new": 1},
        "text": {"verbosity": "low", "format": {"type": "text", "x": 1}, "y": 2}
    }));
    check(
        json!({"model": "m", "input": "hi", "reasoning": {"effort": "extreme", "summary": null, "generate_summary": "auto"}}),
    );
    check(json!({"model": "m", "input": "hi", "text": {"format": {"type": "json_object"}}}));
    check(json!({"model": "m", "input": "hi", "text": {"format": {
        "type": "json_schema", "name": "n", "description": "d", "strict": true, "schema": {"type": "object", "b": 1.0, "a": 1}
    }}}));
}

#[test]
fn items_come_back() {
    check(items(json!([
        {"type": "message", "role": "developer", "content": "d"},
        {"role": "system", "content": [{"type": "input_text", "text": "s", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
        {"role": "user", "content": [
            {"type": "input_text", "text": "look", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "other"}},
            {"type": "input_image", "image_url": "https://e.example/a.png", "detail": "low"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBO/+=="},
            {"type": "input_image", "file_id": "file_1", "image_url": null},
            {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"},
            {"type": "input_file", "file_data": "JVBE"},
            {"type": "input_file", "file_url": "https://e.example/a.pdf"},
            {"type": "input_file", "file_id": "file_2", "detail": "high"},
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            {"type": "input_video", "video_url": "https://e.example/a.mp4"},
            {"type": "output_text", "text": "t", "invented": 1}
        ]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "final_answer", "content": [
            {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
            {"type": "output_text", "text": "b", "annotations": [{"type": "url_citation", "url": "u"}]},
            {"type": "refusal", "refusal": "no"}
        ]},
        {"role": "assistant", "content": []},
        {"role": "assistant", "content": null},
        {"role": "assistant", "content": [{"type": "weird", "x": 1}]}
    ])));
    check(items(json!([
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
         "content": null, "encrypted_content": null, "status": null},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "c"}]},
        {"type": "reasoning", "summary": [], "content": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"b\": 1.0, \"a\": 12345678901234567890}"},
        {"type": "function_call", "id": "fc_1", "call_id": "c2", "name": "f", "arguments": "", "status": "completed", "namespace": "ns"},
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
        {"type": "function_call_output", "call_id": "c2", "id": "x", "output": [
            {"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
        ]},
        {"type": "custom_tool_call", "call_id": "c3", "name": "sql", "input": "select 1", "caller": {"type": "program", "caller_id": "p"}},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": ""},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBO", "output_format": "webp"},
        {"type": "image_generation_call", "id": "ig_1", "status": "failed", "result": null},
        {"type": "item_reference", "id": "msg_2"},
        {"id": "msg_3"},
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "shell_call_output", "call_id": "c9", "output": []},
        {"type": "from_the_future", "n": 1.50}
    ])));
}

#[test]
fn tools_come_back() {
    check(json!({"model": "m", "input": "hi", "tools": [], "tool_choice": "none"}));
    check(json!({"model": "m", "input": "hi", "tools": [
        {"type": "tool_search"},
        {"type": "function", "name": "f", "description": "d", "strict": true, "defer_loading": true,
         "parameters": {"type": "object", "properties": {"z": {}, "a": {"default": 1.0}}}},
        {"type": "function", "name": "g", "parameters": null, "strict": null, "new": []},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "namespace", "name": "ns", "description": "d", "tools": [
            {"type": "function", "name": "f", "parameters": {}}, {"type": "custom", "name": "c"}
        ]},
        {"type": "tool_search", "execution": "client"},
        {"type": "web_search", "filters": {"allowed_domains": ["e.example"]}, "search_context_size": "low"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "mcp", "server_label": "x"}
    ], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [
        {"type": "function", "name": "f"}, {"type": "custom", "name": "c"}
    ]}}));
    let choices = [
        json!("auto"),
        json!("required"),
        json!({"type": "function", "name": "f"}),
        json!({"type": "custom", "name": "c"}),
        json!({"type": "file_search"}),
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "mcp", "server_label": "x"}]}),
    ];
    for choice in choices {
        check(json!({"model": "m", "input": "hi", "tools": [{"type": "custom", "name": "c"}], "tool_choice": choice}));
    }
}

#[test]
fn every_item_is_a_turn_of_its_own() {
    let request = read(&json!({"model": "m", "instructions": "lead", "input": [
        {"role": "developer", "content": "d"},
        {"role": "user", "content": [{"type": "input_text", "text": "u"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
    ]}));
    let shape: Vec<_> = request.turns.iter().map(|turn| (turn.role, turn.place, turn.bare)).collect();
    let inline = |role, bare| (role, Place::Inline, bare);
    assert_eq!(
        shape,
        [
            (Role::System, Place::Lead, true),
            inline(Role::Developer, true),
            inline(Role::User, false),
            inline(Role::Assistant, false),
            inline(Role::Assistant, false),
            inline(Role::Assistant, false),
            inline(Role::Tool, false),
        ]
    );
    let PartKind::Reasoning(reasoning) = &request.turns[3].parts[0].kind else { panic!() };
    assert!(reasoning.redacted);
    assert_eq!(request.turns[3].parts[0].state.as_ref().unwrap().account, None);
}

#[test]
fn media_are_told_apart() {
    let part = |part: Value| {
        let request = read(&items(json!([{"role": "user", "content": [part]}])));
        let PartKind::Media(media) = request.turns[0].parts[0].kind.clone() else { panic!() };
        media.source
    };
    assert_eq!(
        part(json!({"type": "input_image", "image_url": "data:IMAGE/PNG;charset=x;base64,AA=="})),
        Source::Base64 { mime: "image/png".into(), data: Str::plain("AA==") }
    );
    assert_eq!(
        part(json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}})),
        Source::Base64 { mime: "audio/mp3".into(), data: Str::plain("AA") }
    );
    assert_eq!(
        part(json!({"type": "input_file", "file_url": "https://e.example/x"})),
        Source::Url { mime: None, url: Str::plain("https://e.example/x") }
    );
}

#[test]
fn what_others_cannot_say_has_a_class() {
    let body = json!({
        "model": "m", "input": "hi", "store": true, "background": true, "previous_response_id": "r", "truncation": "disabled",
        "include": ["reasoning.encrypted_content"], "invented": 1, "max_tool_calls": 1, "reasoning": {"context": "all_turns"},
        "conversation": "c", "tools": [{"type": "tool_search"}]
    });
    let request = read(&body);
    let class = |path: &str| request.extra.iter().find(|extra| extra.path == path).map(|extra| extra.class);
    for path in ["background", "previous_response_id", "conversation"] {
        assert_eq!(class(path), Some(Class::Refused), "{path}");
    }
    // Whoever asks for a stored answer means to come back to it.
    assert_eq!(class("store"), Some(Class::Dropped));
    for path in ["truncation", "include"] {
        assert_eq!(class(path), Some(Class::Idle), "{path}");
    }
    for path in ["max_tool_calls", "reasoning.context", "tools[0]"] {
        assert_eq!(class(path), Some(Class::Dropped), "{path}");
    }
    assert_eq!(class("invented"), Some(Class::Unknown));

    let request = read(&items(json!([
        {"id": "msg_1"}, {"type": "web_search_call"}, {"type": "mcp_approval_response"}, {"type": "local_shell_call_output"},
        {"type": "future"}, {"role": "user", "content": [{"type": "input_text", "text": "x", "new": 1}]}
    ])));
    let class = |at: usize| match &request.turns[at].parts[0].kind {
        PartKind::Foreign { class, .. } => *class,
        other => panic!("{other:?}"),
    };
    let expected = [Class::Refused, Class::Dropped, Class::Dropped, Class::Dropped, Class::Unknown];
    assert_eq!([0, 1, 2, 3, 4].map(class), expected);
    assert_eq!(request.turns[5].parts[0].extra[0].path, "input[5].content[0].new");
}

#[test]
fn namespaces_become_plain_tools() {
    let request = read(&json!({"model": "m", "input": [
        {"type": "function_call", "call_id": "c", "name": "f", "namespace": "ns", "arguments": "{}"}
    ], "tools": [
        {"type": "namespace", "name": "ns", "description": "d", "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object"}}, {"type": "function", "name": "g"}
        ]},
        {"type": "web_search_preview", "user_location": {"type": "approximate"}},
        {"type": "file_search", "vector_store_ids": []}
    ], "tool_choice": {"type": "function", "name": "g", "namespace": "ns"}}));
    let name = |at: usize| match &request.tools[at].kind {
        ToolKind::Function { name, .. } => name.decode().into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!([name(0), name(1)], ["ns__f", "ns__g"]);
    assert!(matches!(&request.tools[2].kind, ToolKind::Server { kind: ServerTool::WebSearch(_), .. }));
    assert!(
        matches!(&request.tools[3].kind, ToolKind::Server { kind: ServerTool::Other(name), .. } if name == "file_search")
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::One { name: "ns__g".into(), custom: false }));
    let PartKind::Call(call) = &request.turns[0].parts[0].kind else { panic!() };
    assert_eq!(call.name, "ns__f");
}

#[test]
fn what_a_hosted_tool_has_beside_is_a_loss_elsewhere() {
    let request = read(&json!({"model": "m", "input": "x", "tools": [
        {"type": "web_search", "search_context_size": "low", "external_web_access": false},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "code_interpreter", "container": "cntr_1"}
    ]}));
    let lost: Vec<&str> = request.tools.iter().flat_map(|tool| &tool.extra).map(|extra| &*extra.path).collect();
    assert_eq!(lost, ["tools[0].external_web_access", "tools[2].container"]);
}

#[test]
fn a_foreign_state_goes_back_to_its_call() {
    let state = crate::wire::ir::State {
        origin: crate::wire::Protocol::GeminiGenerate,
        account: Some("acme".into()),
        payload: Str::plain("c2ln"),
    };
    let alone = json!({"type": "reasoning", "summary": [], "encrypted_content": state.wrapped()});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let text = json!({"role": "assistant", "content": "t"});
    let request = read(&items(json!([text, alone, alone, call])));
    assert_eq!(request.turns.len(), 2);
    assert!(request.turns.iter().all(|turn| turn.parts[0].state.as_ref() == Some(&state)));
    let request = read(&items(json!([alone, {"role": "user", "content": "x"}])));
    assert_eq!(request.turns.len(), 2);
}

#[test]
fn what_cannot_be_read_names_its_field() {
    let cases = [
        (json!({"input": "hi"}), "model"),
        (json!({"model": "m"}), "input"),
        (json!({"model": "m", "input": 1}), "input"),
        (items(json!(["x"])), "input[0]"),
        (items(json!([{"role": "king", "content": "x"}])), "input[0].role"),
        (items(json!([{"content": "x"}])), "input[0].type"),
        (items(json!([{"role": "user", "content": [{"text": "x"}]}])), "input[0].content[0].type"),
        (items(json!([{"type": "function_call", "call_id": "c"}])), "input[0].name"),
        (items(json!([{"type": "function_call_output", "output": "c"}])), "input[0].call_id"),
        (json!({"model": "m", "input": "x", "tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"model": "m", "input": "x", "tool_choice": "maybe"}), "tool_choice"),
        (json!({"model": "m", "input": "x", "text": {"format": {"type": "xml"}}}), "text.format.type"),
        (json!({"model": "m", "input": "x", "max_output_tokens": -1}), "max_output_tokens"),
    ];
    for (body, param) in cases {
        let error = read_request(&body.to_string(), 64).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
    }
    assert_eq!(read_request("{", 64).unwrap_err().param, None);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(read_request(&deep, 64).unwrap_err().message.contains("deeper"));
}

#[test]
fn losses_of_another_protocol_are_not_ours() {
    let request = read(&json!({"model": "m", "input": "hi", "background": true}));
    let mut losses = Losses::default();
    assert!(crate::wire::ir::leave_out(&request.extra, crate::wire::Protocol::OpenAiChat, &mut losses).is_err());
    assert!(write_request(&request, &ANY, &mut losses).is_ok());
    assert!(!losses.iter().any(|loss| loss.feature == Feature::Reasoning));
}
