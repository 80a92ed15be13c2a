//! Requests into the canonical form, and said again.

use serde_json::Value as Json;

use super::super::*;
use super::recorded_translation::{normal, target};
use crate::wire::Protocol;
use crate::wire::ir::{
    Class, Effort, Losses, MediaKind, PartKind, ReasoningMode, Request, Role, ServerTool, Source, State, ToolChoice,
    ToolKind,
};
use crate::wire::json::Str;

/// Every way of this protocol to say something.
const BODIES: [&str; 16] = [
    r#"{"model":"m","messages":[]}"#,
    r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"developer","content":[{"type":"text","text":"d"}],"name":"n"},{"role":"user","content":"u"},{"role":"assistant","content":null},{"role":"user","content":[]}],"stream":false,"temperature":1.0,"top_p":1e-1,"n":1,"seed":12345678901234567890,"stop":["a"]}"#,
    r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"\ud83d\ude00","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"},"prompt_cache_breakpoint":{"mode":"explicit"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}},{"type":"image_url","image_url":"https://x/y.png"},{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},{"type":"input_audio","input_audio":"https://x/y.mp3"},{"type":"input_audio","input_audio":{"data":"https://x/y","format":"mp3"}},{"type":"video_url","video_url":{"url":"https://x/y.mp4"}}]}]}"#,
    r#"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}},{"type":"file","file":{"file_id":"file_1"}},{"type":"file","file":{"filename":"a.pdf","file_data":"JVBE"}},{"type":"file","file":{"file_data":"https://x/y.pdf"}},{"type":"file","file":{"file_data":"data:image/png;base64,iVBO"}},{"type":"hologram","hologram":{"a":1}}]}]}"#,
    r#"{"model":"m","messages":[{"role":"assistant","content":"a","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}},{"id":"c2","type":"custom","custom":{"name":"g","input":"x"}}]},{"role":"tool","tool_call_id":"c1","content":"r"},{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"r"}],"name":"g"}]}"#,
    r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"","type":"function","index":0,"function":{"name":"f","arguments":""},"extra_content":{"google":{"thought_signature":"S"}}}],"extra_content":{"google":{"thought_signature":"T"}}},{"role":"tool","content":""}]}"#,
    r#"{"model":"m","messages":[{"role":"assistant","content":"a","reasoning_content":"hm","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"S","index":0}],"refusal":null,"annotations":[],"audio":{"id":"x"},"function_call":null,"tool_calls":[]},{"role":"assistant","content":null,"refusal":"no"},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]}"#,
    r#"{"model":"m","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"type":"text","text":"c"}]}]}"#,
    r#"{"model":"m","messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}],"functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}}"#,
    r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","description":"","parameters":{"z":1,"a":[1e400]},"strict":true},"cache_control":{"type":"ephemeral"}},{"type":"custom","custom":{"name":"g","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}}},{"type":"vendor:search","parameters":{"n":1}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}},"parallel_tool_calls":true,"web_search_options":{"search_context_size":"low","user_location":{"type":"approximate","approximate":{"city":"Ulm"}}}}"#,
    r#"{"model":"m","messages":[],"tools":[],"tool_choice":"any","parallel_tool_calls":false,"functions":null}"#,
    r#"{"model":"m","messages":[],"tool_choice":{"type":"custom","custom":{"name":"g"}},"response_format":{"type":"json_schema","json_schema":{"name":"a","description":"d","schema":{"type":"object"},"strict":false}},"logprobs":true,"top_logprobs":3,"verbosity":"low","reasoning_effort":"xhigh"}"#,
    r#"{"model":"m","messages":[],"response_format":{"type":"text"},"max_tokens":5,"max_completion_tokens":6,"stop":"x","reasoning":{"effort":"low","exclude":true},"thinking":{"type":"enabled","clear_thinking":false},"enable_thinking":true,"thinking_budget":100,"include_reasoning":true,"top_k":3}"#,
    r#"{"model":"m","messages":[],"response_format":{"type":"grammar","x":1},"max_tokens":null,"stop":[],"reasoning_effort":"default","temperature":null,"stream_options":null,"tools":null}"#,
    r#"{"model":"m","messages":[],"service_tier":"flex","user":"u","safety_identifier":"s","metadata":{"a":"b"},"store":true,"prompt_cache_key":"k","prompt_cache_options":{"mode":"implicit"},"logit_bias":{"1":2},"prediction":{"type":"content","content":"x"},"modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"},"presence_penalty":-1,"frequency_penalty":2,"cache_control":{"type":"ephemeral"}}"#,
    r#"{"model":"m","stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false},"top_novelty":1,"messages":[{"role":"user","novel":1,"content":[{"type":"text","text":"a","novel":1},{"type":"image_url","novel":1,"image_url":{"url":"https://x","novel":2}}]},{"role":"assistant","content":"","tool_calls":[{"id":"c","type":"function","novel":1,"function":{"name":"f","arguments":"{}","novel":2}}]}],"tools":[{"type":"function","novel":1,"function":{"name":"f","novel":2}}],"response_format":{"type":"json_schema","novel":1,"json_schema":{"name":"a","schema":{},"novel":2}}}"#,
];

fn said_again(request: &Request<'_>) -> (Json, Losses) {
    let mut losses = Losses::default();
    let (out, undo) = write_request(request, &target(&request.model, request.stream), &mut losses).unwrap();
    assert!(undo.is_empty());
    (serde_json::from_slice(&out).unwrap(), losses)
}

#[test]
fn a_request_is_said_again_unchanged() {
    for body in BODIES {
        // Numbers and the order of members within data stay as they are: compared as text too, where nothing moves.
        let body = &body.replace("1e400", "1e40");
        let request = read_request(body, 64).unwrap_or_else(|error| panic!("{error}: {body}"));
        let (is, losses) = said_again(&request);
        assert_eq!(is, normal(serde_json::from_str(body).unwrap()));
        assert!(losses.is_empty(), "{losses:?}");
    }
}

#[test]
fn numbers_and_order_within_a_schema_stay() {
    let request = read_request(BODIES[9], 64).unwrap();
    let (out, _) = write_request(&request, &target("m", false), &mut Losses::default()).unwrap();
    assert!(String::from_utf8(out).unwrap().contains(r#"{"z":1,"a":[1e400]}"#));
}

/// Every field that nobody knows is named by its whole path, at any depth.
#[test]
fn unknown_fields_are_named() {
    let request = read_request(BODIES[15], 64).unwrap();
    let mut paths = Vec::new();
    let mut add = |extras: &[crate::wire::ir::Extra<'_>]| {
        let unknown = extras.iter().filter(|extra| extra.class == Class::Unknown);
        paths.extend(unknown.map(|extra| extra.path.to_string()));
    };
    add(&request.extra);
    for turn in &request.turns {
        add(&turn.extra);
        turn.parts.iter().for_each(|part| add(&part.extra));
    }
    request.tools.iter().for_each(|tool| add(&tool.extra));
    paths.sort();
    assert_eq!(
        paths,
        [
            "messages[0].content[0].novel",
            "messages[0].content[1].image_url.novel",
            "messages[0].content[1].novel",
            "messages[0].novel",
            "messages[1].tool_calls[0].function.novel",
            "messages[1].tool_calls[0].novel",
            "response_format.json_schema.novel",
            "response_format.novel",
            "tools[0].function.novel",
            "tools[0].novel",
            "top_novelty",
        ]
    );
}

#[test]
fn fields_are_classed() {
    let class = |body: &str, name: &str| {
        let request = read_request(body, 64).unwrap();
        request.extra.iter().find(|extra| extra.name == name).map(|extra| extra.class)
    };
    let with = |field: &str| format!(r#"{{"model":"m","messages":[],{field}}}"#);
    for (field, name, expected) in [
        (r#""store":true"#, "store", Class::Dropped),
        (r#""store":false"#, "store", Class::Idle),
        (r#""logit_bias":{}"#, "logit_bias", Class::Dropped),
        (r#""prediction":{}"#, "prediction", Class::Dropped),
        (r#""stream_options":{}"#, "stream_options", Class::Idle),
        (r#""foo":1"#, "foo", Class::Unknown),
        (r#""response_format":{"type":"grammar"}"#, "response_format", Class::Refused),
    ] {
        assert_eq!(class(&with(field), name), Some(expected), "{field}");
    }
}

#[test]
fn what_is_meant() {
    let request = read_request(BODIES[2], 64).unwrap();
    let media: Vec<_> = request.turns[0]
        .parts
        .iter()
        .filter_map(|part| match &part.kind {
            PartKind::Media(media) => Some((media.kind, matches!(media.source, Source::Url { .. }))),
            _ => None,
        })
        .collect();
    assert_eq!(
        media,
        [
            (MediaKind::Image, true),
            (MediaKind::Image, false),
            (MediaKind::Image, true),
            (MediaKind::Audio, false),
            (MediaKind::Audio, true),
            (MediaKind::Audio, false),
            (MediaKind::Video, true),
        ]
    );
    assert_eq!(request.turns[0].parts[0].cache.as_ref().unwrap().ttl, Some(Str::plain("1h")));

    let request = read_request(BODIES[12], 64).unwrap();
    let wish = request.reasoning.unwrap();
    assert_eq!((wish.effort, wish.budget, wish.show), (Some(Effort::Low), Some(100), Some(true)));
    assert_eq!(wish.mode, Some(ReasoningMode::Adaptive));
    assert_eq!((request.output_tokens_max, request.stop.len()), (Some(6), 1));

    let request = read_request(BODIES[8], 64).unwrap();
    assert!(matches!(&request.tools[0].kind, ToolKind::Function { name, .. } if *name == "f"));
    assert_eq!(request.tool_choice, Some(ToolChoice::One { name: Str::plain("f"), custom: false }));
    assert_eq!((request.parallel_calls, request.turns[1].role), (Some(false), Role::Tool));

    let request = read_request(BODIES[9], 64).unwrap();
    assert!(
        matches!(&request.tools[2].kind, ToolKind::Server { kind: ServerTool::Other(name), .. } if name == "vendor:search")
    );
    assert!(matches!(&request.tools[3].kind, ToolKind::Server { kind: ServerTool::WebSearch(_), .. }));
}

#[test]
fn thinking_comes_back_with_its_state() {
    let made = State { origin: Protocol::AnthropicMessages, account: Some("acme".into()), payload: Str::plain("sig") };
    let envelope = made.wrapped();
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"assistant","content":"a","reasoning_content":"hm","reasoning_details":[{{"type":"reasoning.text","signature":"{envelope}","index":0}},{{"type":"reasoning.encrypted","data":"{envelope}","index":1}}],"tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":"{{}}"}},"extra_content":{{"google":{{"thought_signature":"{envelope}"}}}}}}]}}]}}"#
    );
    let request = read_request(&body, 64).unwrap();
    let parts = &request.turns[0].parts;
    assert!(matches!(&parts[0].kind, PartKind::Reasoning(r) if r.text == [Str::plain("hm")] && !r.redacted));
    assert!(matches!(&parts[1].kind, PartKind::Reasoning(r) if r.text.is_empty() && r.redacted));
    assert_eq!(
        [&parts[0].state, &parts[1].state, &parts[3].state],
        [&Some(made.clone()), &Some(made.clone()), &Some(made)]
    );
    // Not ours: whoever made it can have it back whole.
    let request = read_request(BODIES[6], 64).unwrap();
    let state = request.turns[0].parts[0].state.clone().unwrap();
    assert_eq!((state.origin, state.account), (Protocol::OpenAiChat, None));
    assert_eq!(state.payload, r#"[{"type":"reasoning.text","text":"hm","signature":"S","index":0}]"#);
}

#[test]
fn what_is_wrong_is_named() {
    for (body, param) in [
        (r#"{"messages":[]}"#, "model"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":{}}"#, "messages"),
        (r#"{"model":"m","messages":["a"]}"#, "messages[0]"),
        (r#"{"model":"m","messages":[{"content":"a"}]}"#, "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"robot","content":"a"}]}"#, "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"user","content":1}]}"#, "messages[0].content"),
        (r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "messages[0].content[0].text"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#,
            "messages[0].content[0].image_url",
        ),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a"}]}]}"#,
            "messages[0].tool_calls[0].function",
        ),
        (r#"{"model":"m","messages":[],"temperature":"hot"}"#, "temperature"),
        (r#"{"model":"m","messages":[],"max_tokens":-1}"#, "max_tokens"),
        (r#"{"model":"m","messages":[],"tools":[{"type":"function"}]}"#, "tools[0].function"),
        (r#"{"model":"m","messages":[],"tool_choice":"maybe"}"#, "tool_choice"),
        (r#"{"model":"m","messages":[],"stop":1}"#, "stop"),
    ] {
        assert_eq!(read_request(body, 64).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    assert_eq!(read_request("[1]", 64).unwrap_err().param, None);
    assert_eq!(read_request(r#"{"model":"#, 64).unwrap_err().param, None);
    assert!(read_request(BODIES[2], 3).unwrap_err().message.contains("nested"));
}

/// Nothing that a client sends may stop the process, however it is written out again.
#[test]
fn nothing_panics() {
    for body in BODIES {
        for at in 0..body.len() {
            for byte in [b'"', b'{', b'1', b']', b'n'] {
                let mut bytes = body.as_bytes().to_vec();
                bytes[at] = byte;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let Ok(mut request) = read_request(&text, 64) else { continue };
                let _ = write_request(&request, &target("m", true), &mut Losses::default());
                request.protocol = Protocol::OpenAiResponses;
                let _ = write_request(&request, &target("m", true), &mut Losses::default());
            }
        }
    }
}
