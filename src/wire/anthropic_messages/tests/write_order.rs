//! Conversations of other protocols in the order that Anthropic wants.

use super::write::*;
use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{Arguments, Call, LossKind, Part, PartKind, Reasoning, Role, State, Turn};
use crate::wire::json::Str;
#[test]
fn system_texts_go_in_front_and_later_ones_are_reminders() {
    let turns = || {
        vec![
            says(Role::System, "one"),
            says(Role::Developer, "two"),
            says(Role::User, "hi"),
            says(Role::Assistant, "ho"),
            says(Role::System, "late"),
            says(Role::User, "go"),
        ]
    };
    let plain = Target { quirks: Quirks::NONE, ..target() };
    let written = write(&chat(turns()), &plain);
    assert_eq!(written.body["system"], dom(r#"[{"type":"text","text":"one"},{"type":"text","text":"two"}]"#));
    let expected = r#"[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},{"role":"user","content":[
        {"type":"text","text":"<system-reminder>\nlate\n</system-reminder>"},{"type":"text","text":"go"}]}]"#;
    assert_eq!(written.body["messages"], dom(expected));
    assert_eq!(written.losses, [("role".to_owned(), LossKind::Approximated)]);
    let written = write(&chat(turns()), &target());
    assert_eq!(written.body["messages"][2], dom(r#"{"role":"system","content":"late"}"#));
    assert!(written.losses.is_empty());
    let one = write(&chat(vec![says(Role::System, "one"), says(Role::User, "hi")]), &target());
    assert_eq!(one.body["system"], "one");
}

#[test]
fn results_stand_right_behind_their_calls_in_one_message() {
    let assistant =
        Turn::new(Role::Assistant, vec![Part::text("so"), call("a", "f", "{\"x\": 1.0}"), call("b", "g", "")]);
    let tool = |id, text| Turn::new(Role::Tool, vec![result(Some(id), None, text)]);
    check_messages(
        vec![says(Role::User, "hi"), assistant.clone(), tool("a", "A"), tool("b", "B"), says(Role::User, "and?")],
        r#"[{"role":"user","content":"hi"},
            {"role":"assistant","content":[{"type":"text","text":"so"},
                {"type":"tool_use","id":"a","name":"f","input":{"x":1.0}},{"type":"tool_use","id":"b","name":"g","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"A"},
                {"type":"tool_result","tool_use_id":"b","content":"B"},{"type":"text","text":"and?"}]}]"#,
        &["tools"],
    );
    // One is missing, one is about nothing, and one comes late.
    check_messages(
        vec![says(Role::User, "hi"), assistant, says(Role::User, "wait"), tool("z", "Z"), tool("b", "B")],
        r#"[{"role":"user","content":"hi"},
            {"role":"assistant","content":[{"type":"text","text":"so"},
                {"type":"tool_use","id":"a","name":"f","input":{"x":1.0}},{"type":"tool_use","id":"b","name":"g","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":"B"},
                {"type":"tool_result","tool_use_id":"a","content":"(no result)"},{"type":"text","text":"wait"},
                {"type":"text","text":"(result of a call that is not part of this conversation)"},{"type":"text","text":"Z"}]}]"#,
        &["tool_call_id", "tools"],
    );
}

#[test]
fn ids_are_fitted_on_both_ends_and_stand_for_one_call() {
    let turns = vec![
        says(Role::User, "hi"),
        Turn::new(Role::Assistant, vec![call("call|1", "f", "{}"), call("same", "f", "{}"), call("same", "f", "{}")]),
        Turn::new(Role::Tool, vec![result(Some("same"), None, "1"), result(Some("same"), None, "2")]),
        Turn::new(Role::Tool, vec![result(Some("call|1"), None, "3")]),
    ];
    let written = write(&chat(turns), &target());
    let ids = |at: usize, name: &str| -> Vec<String> {
        let blocks = written.body["messages"][at]["content"].as_array().unwrap();
        blocks.iter().map(|block| block[name].as_str().unwrap().to_owned()).collect()
    };
    let (calls, results) = (ids(1, "id"), ids(2, "tool_use_id"));
    assert_eq!([&calls[1], &calls[2], &calls[0]], [&results[0], &results[1], &results[2]]);
    assert!(
        calls.iter().all(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')),
        "{calls:?}"
    );
    assert!(calls[0].starts_with("call1_") && calls[1] == "same" && calls[2] != "same", "{calls:?}");
}

#[test]
fn gemini_calls_without_ids_meet_their_results_by_name() {
    let bare_call = |name: &'static str| {
        Part::new(PartKind::Call(Call {
            id: None,
            name: name.into(),
            arguments: Arguments::Object(parse("{}")),
            custom: false,
        }))
    };
    let mut request = chat(vec![
        says(Role::User, "hi"),
        Turn::new(Role::Assistant, vec![bare_call("f"), bare_call("g"), bare_call("f")]),
        Turn::new(
            Role::User,
            vec![result(None, Some("f"), "1"), result(None, Some("g"), "2"), result(None, Some("f"), "3")],
        ),
    ]);
    request.protocol = Protocol::GeminiGenerate;
    let written = write(&request, &target());
    let [_, calls, results] =
        [0, 1, 2].map(|at| written.body["messages"][at]["content"].as_array().cloned().unwrap_or_default());
    for (call, result) in calls.iter().zip(&results) {
        assert!(call["id"].as_str().unwrap().starts_with("toolu_"));
        assert_eq!(call["id"], result["tool_use_id"]);
    }
    let texts: Vec<&serde_json::Value> = results.iter().map(|result| &result["content"]).collect();
    assert_eq!(texts, ["1", "2", "3"]);
    assert!(written.losses.iter().all(|loss| loss.0 == "tools"));
}

#[test]
fn neighbours_are_merged_and_nothing_is_empty() {
    check_messages(
        vec![says(Role::Assistant, "first"), says(Role::User, "a"), says(Role::User, " "), says(Role::User, "b")],
        r#"[{"role":"user","content":"."},{"role":"assistant","content":"first"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#,
        &["role"],
    );
    check_messages(
        vec![says(Role::User, "")],
        r#"[{"role":"user","content":[{"type":"text","text":"."}]}]"#,
        &["role"],
    );
    check_messages(vec![says(Role::System, "only")], r#"[{"role":"user","content":"."}]"#, &["role"]);
    check_messages(
        vec![says(Role::User, "a"), says(Role::Assistant, ""), says(Role::User, "b"), says(Role::Assistant, "so \n")],
        r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":"so"}]"#,
        &["messages"],
    );
}

#[test]
fn arguments_that_are_no_object_are_kept_raw() {
    let of = |arguments| {
        let turns = vec![says(Role::User, "hi"), Turn::new(Role::Assistant, vec![call("a", "f", arguments)])];
        write(&chat(turns), &target()).body["messages"][1]["content"][0]["input"].clone()
    };
    assert_eq!(of("{\"a\""), dom(r#"{"_raw":"{\"a\""}"#));
    assert_eq!(of("[1]"), dom(r#"{"_raw":"[1]"}"#));
    assert_eq!(of(" \n"), dom("{}"));
    assert_eq!(of("null"), dom("{}"));
}

#[test]
fn thinking_goes_back_to_who_can_read_it() {
    let thought = |state: Option<State<'static>>, redacted| {
        let reasoning = Reasoning { text: vec!["hm".into()], redacted, ..Reasoning::default() };
        let mut part = Part::new(PartKind::Reasoning(reasoning));
        part.state = state;
        vec![says(Role::User, "hi"), Turn::new(Role::Assistant, vec![part, Part::text("ho")]), says(Role::User, "go")]
    };
    let state = |origin, account: &'static str, payload: &'static str| {
        Some(State { origin, account: Some(account.into()), payload: payload.into() })
    };
    let am = Protocol::AnthropicMessages;
    let written = write(&chat(thought(state(am, "acme", "c2ln"), false)), &target());
    let block = &written.body["messages"][1]["content"][0];
    assert_eq!(*block, dom(r#"{"type":"thinking","thinking":"hm","signature":"c2ln"}"#));
    let written = write(&chat(thought(state(am, "acme", "redacted:ZGF0YQ=="), true)), &target());
    assert_eq!(written.body["messages"][1]["content"][0], dom(r#"{"type":"redacted_thinking","data":"ZGF0YQ=="}"#));
    for foreign in [None, state(am, "other", "c2ln"), state(Protocol::OpenAiResponses, "acme", "enc")] {
        let written = write(&chat(thought(foreign, false)), &target());
        assert_eq!(written.body["messages"][1]["content"], dom(r#"[{"type":"text","text":"ho"}]"#));
        assert_eq!(written.lost(), ["reasoning_details"]);
    }
}

/// A thinking block's state, by way of a client of another protocol whose one field holds both kinds.
#[test]
fn redacted_thinking_comes_back_as_what_it_was() {
    let body = r#"{"type":"message","id":"msg_1","content":[{"type":"redacted_thinking","data":"ZGF0YQ=="},
        {"type":"thinking","thinking":"","signature":"c2ln"}],"stop_reason":"end_turn"}"#;
    let carried = read_body(body).into_iter().filter_map(|event| match event {
        Event::Delta { delta: crate::wire::ir::Delta::State(state), .. } => Some(state.wrapped()),
        _ => None,
    });
    let parts = carried.map(|text| {
        let mut part = Part::new(PartKind::Reasoning(Reasoning { redacted: true, ..Reasoning::default() }));
        part.state = Some(State::read(Protocol::OpenAiResponses, Str::plain(text)));
        part
    });
    let request = chat(vec![says(Role::User, "hi"), Turn::new(Role::Assistant, parts.collect())]);
    let written = write(&request, &target());
    let expected =
        r#"[{"type":"redacted_thinking","data":"ZGF0YQ=="},{"type":"thinking","thinking":"","signature":"c2ln"}]"#;
    assert_eq!(written.body["messages"][1]["content"], dom(expected));
}
