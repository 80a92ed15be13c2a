//! What holds for whatever comes in.

use proptest::prelude::*;

use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{
    Arguments, BlockKind, Call, CallResult, Delta, Finish, Losses, Part, PartKind, Request, Role, Start, State,
    StopReason, Turn,
};
use crate::wire::json::Str;

fn text() -> impl Strategy<Value = Str<'static>> {
    prop_oneof!["[a-z \n]{0,4}".prop_map(Str::plain), "[a-zé🦀\"\\\\]{0,6}".prop_map(Str::plain)]
}

fn id() -> impl Strategy<Value = Option<Str<'static>>> {
    prop_oneof![Just(None), "[ab|]{0,2}".prop_map(|id| Some(Str::plain(id)))]
}

fn part() -> impl Strategy<Value = Part<'static>> {
    let call = (id(), "[a-c.]{0,3}", text()).prop_map(|(id, name, json)| {
        PartKind::Call(Call { id, name: Str::plain(name), arguments: Arguments::Text(json), custom: false })
    });
    let result = (id(), "[a-c.]{0,3}", text()).prop_map(|(call_id, name, text)| {
        let content = vec![Part::text(text)];
        let name = Some(Str::plain(name));
        PartKind::Result(CallResult {
            call_id,
            name,
            content,
            bare: true,
            is_error: false,
            custom: false,
            response: None,
        })
    });
    let thought = text()
        .prop_map(|text| PartKind::Reasoning(crate::wire::ir::Reasoning { text: vec![text], ..Default::default() }));
    let signature =
        prop::option::of(Just(State { origin: Protocol::AnthropicMessages, account: None, payload: "s".into() }));
    let kind = prop_oneof![text().prop_map(PartKind::Text), call, result, thought];
    (kind, signature).prop_map(|(kind, state)| Part { state, ..Part::new(kind) })
}

fn turn() -> impl Strategy<Value = Turn<'static>> {
    let role = prop_oneof![
        Just(Role::System),
        Just(Role::User),
        Just(Role::User),
        Just(Role::Assistant),
        Just(Role::Assistant),
        Just(Role::Tool)
    ];
    (role, prop::collection::vec(part(), 0..4)).prop_map(|(role, parts)| Turn::new(role, parts))
}

fn request() -> impl Strategy<Value = Request<'static>> {
    let protocol = prop::sample::select(Protocol::ALL.to_vec());
    (protocol, prop::collection::vec(turn(), 0..8)).prop_map(|(protocol, turns)| {
        let mut request = Request::new(protocol, "m");
        request.turns = turns;
        request
    })
}

/// What the API checks of every request.
fn check_conversation(body: &serde_json::Value, system_turns: bool) -> Result<(), TestCaseError> {
    let messages = body["messages"].as_array().unwrap();
    let role = |message: &serde_json::Value| message["role"].as_str().unwrap().to_owned();
    let first = messages.iter().map(role).find(|role| role != "system");
    prop_assert_eq!(first.as_deref(), Some("user"));
    let mut waiting: Vec<String> = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for (at, message) in messages.iter().enumerate() {
        prop_assert!(at == 0 || role(message) != role(&messages[at - 1]));
        prop_assert!(system_turns || role(message) != "system");
        let empty = Vec::new();
        let blocks = message["content"].as_array().unwrap_or(&empty);
        prop_assert!(!blocks.is_empty() || !message["content"].as_str().unwrap().trim().is_empty());
        let kind = |block: &serde_json::Value| block["type"].as_str().unwrap().to_owned();
        let results = blocks.iter().take_while(|block| kind(block) == "tool_result");
        let mut answered: Vec<String> = results.map(|it| it["tool_use_id"].as_str().unwrap().to_owned()).collect();
        prop_assert_eq!(answered.len(), blocks.iter().filter(|block| kind(block) == "tool_result").count());
        answered.sort();
        waiting.sort();
        prop_assert_eq!(&answered, &waiting);
        waiting.clear();
        for block in blocks {
            match kind(block).as_str() {
                "text" => prop_assert!(!block["text"].as_str().unwrap().trim().is_empty()),
                "tool_use" => {
                    let id = block["id"].as_str().unwrap();
                    prop_assert!(super::super::said::is_id(id) && ids.insert(id.to_owned()));
                    prop_assert!(
                        super::super::said::is_id(block["name"].as_str().unwrap()) && block["input"].is_object()
                    );
                    waiting.push(id.to_owned());
                }
                _ => {}
            }
        }
    }
    prop_assert!(waiting.is_empty());
    Ok(())
}

fn event() -> impl Strategy<Value = Vec<Event<'static>>> {
    let kind = prop_oneof![
        Just(BlockKind::Text),
        Just(BlockKind::Refusal),
        any::<bool>().prop_map(|redacted| BlockKind::Reasoning { redacted }),
        (id(), any::<bool>()).prop_map(|(id, custom)| BlockKind::Call { id, name: "f".into(), custom }),
        Just(BlockKind::Media { image: true, mime: "".into() }),
    ];
    let delta = prop_oneof![
        text().prop_map(Delta::Text),
        text().prop_map(Delta::Arguments),
        Just(Delta::NextPart),
        Just(Delta::State(State { origin: Protocol::OpenAiResponses, account: None, payload: "s".into() })),
        text().prop_map(Delta::Data),
    ];
    (kind, prop::collection::vec(delta, 0..4)).prop_map(|(kind, deltas)| {
        let mut events = vec![Event::BlockStart { choice: 0, block: 0, kind }];
        let mut state_seen = false;
        for delta in deltas {
            // At most one state a block.
            if matches!(delta, Delta::State(_)) && std::mem::replace(&mut state_seen, true) {
                continue;
            }
            events.push(Event::Delta { choice: 0, block: 0, delta });
        }
        events.push(Event::BlockStop { choice: 0, block: 0 });
        events
    })
}

proptest! {
    #[test]
    fn every_conversation_comes_into_the_order_that_the_api_wants(request in request(), system_turns: bool) {
        let quirks = if system_turns { target().quirks } else { Quirks::NONE };
        let target = Target { quirks, ..target() };
        let (body, _) = write_request(&request, &target, &mut Losses::default()).unwrap();
        let body = dom(std::str::from_utf8(&body).unwrap());
        check_conversation(&body, system_turns)?;
    }

    #[test]
    fn every_answer_obeys_the_grammar(blocks in prop::collection::vec(event(), 0..5), whole: bool) {
        let mut events = vec![Event::Start(Start::default())];
        events.extend(blocks.into_iter().flatten());
        if whole {
            let finish = Finish { choice: 0, reason: StopReason::Done, native: None, stop_sequence: None, message: None };
            events.extend([Event::Finish(finish), Event::End]);
        }
        write_stream(&events);
    }

    #[test]
    fn nothing_panics(body in "\\PC{0,60}", name in prop::option::of("(message_start|content_block_delta|x)")) {
        let _ = read_request(&body, 32);
        let mut reader = MessagesReader::new("a");
        let mut events: Vec<Event<'static>> = Vec::new();
        reader.read_event(name.as_deref(), &body, &mut events);
        reader.end(&mut events);
        let _ = MessagesReader::new("a").read_whole(&body, &mut events);
    }

    /// A valid request with one value in it replaced by another.
    #[test]
    fn a_wrong_value_anywhere_is_an_error_or_passes(at in any::<prop::sample::Index>(), with in prop::sample::select(vec!["null", "1", "\"x\"", "[]", "{}", "[[]]", "true"])) {
        let body = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a"}},{"type":"document","source":{"type":"content","content":[]}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"b"},{"type":"tool_use","id":"i","name":"n","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":[{"type":"text","text":"t"}],"is_error":true}]}],"tools":[{"name":"n","input_schema":{"type":"object"},"strict":true},{"type":"web_search_20250305","name":"web_search","allowed_domains":["a"]}],"tool_choice":{"type":"tool","name":"n"},"thinking":{"type":"enabled","budget_tokens":1},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{}}},"metadata":{"user_id":"u"},"stop_sequences":["s"]}"#;
        let colons: Vec<usize> = body.match_indices(':').map(|(at, _)| at + 1).filter(|at| !body[*at..].starts_with("//")).collect();
        let start = colons[at.index(colons.len())];
        let mut cursor = crate::wire::json::Cursor::new(&body.as_bytes()[start..], 64, LoneSurrogates::Refused);
        if let Ok(span) = cursor.skip() {
            let changed = format!("{}{with}{}", &body[..start], &body[start + span.end..]);
            if let Ok(request) = read_request(&changed, 64) {
                let _ = write_request(&request, &target(), &mut Losses::default());
            }
        }
    }
}
