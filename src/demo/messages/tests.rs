//! Messages without sockets: answers, streams and refusals.

use serde_json::{Value, json};

use super::super::script::Step;
use super::super::seen::State;
use super::super::testing::{self, events, head, ok, refused, script, sent, with};

const PATH: &str = "/v1/messages";

fn ask(fields: Value) -> Value {
    let body = json!({"model": "m", "max_tokens": 2000, "messages": [{"role": "user", "content": "Hi there, world"}]});
    with(body, fields)
}

fn tools() -> Value {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!([{"name": "weather", "input_schema": city}, {"name": "clock", "input_schema": {"type": "object"}}])
}

fn whole(fields: Value) -> Value {
    ok(&State::new(1), PATH, &ask(fields))
}

/// Puts a stream together as a client does, and checks its order.
fn folded(fields: Value) -> Value {
    let text = sent(&script(&State::new(1), PATH, &with(ask(fields), json!({"stream": true}))));
    let events = events(&text, "\n\n");
    let mut message = events[0].1["message"].clone();
    let mut open: Option<(usize, String)> = None;
    let mut blocks: Vec<Value> = Vec::new();
    for (kind, data) in &events {
        assert_eq!(data["type"], **kind);
        match kind.as_str() {
            "content_block_start" => {
                assert!(open.is_none() && data["index"] == blocks.len());
                blocks.push(data["content_block"].clone());
                open = Some((blocks.len() - 1, String::new()));
            }
            "content_block_delta" => {
                let (index, input) = open.as_mut().unwrap();
                assert_eq!(data["index"], *index);
                let delta = &data["delta"];
                let (field, more) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "signature_delta" => ("signature", &delta["signature"]),
                    "input_json_delta" => {
                        input.push_str(delta["partial_json"].as_str().unwrap());
                        continue;
                    }
                    other => panic!("{other}"),
                };
                let joined = blocks[*index][field].as_str().unwrap().to_owned() + more.as_str().unwrap();
                blocks[*index][field] = joined.into();
            }
            "content_block_stop" => {
                let (index, input) = open.take().unwrap();
                if !input.is_empty() {
                    blocks[index]["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            "message_delta" => {
                message = with(message, data["delta"].clone());
                let usage = with(message["usage"].clone(), data["usage"].clone());
                message["usage"] = usage;
            }
            "message_start" | "message_stop" | "ping" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(events.last().unwrap().0, "message_stop");
    message["content"] = blocks.into();
    message
}

/// Whole and streamed say the same; gives it.
fn both(fields: Value) -> Value {
    let whole = whole(fields.clone());
    assert_eq!(whole, folded(fields));
    whole
}

#[test]
fn an_answer_echoes_the_user_and_counts_its_tokens() {
    let answer = both(json!({}));
    assert_eq!(answer["content"][0]["text"], "Hello from the demo upstream. You said: Hi there, world");
    assert_eq!(
        (&answer["type"], &answer["role"], &answer["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("end_turn"))
    );
    assert!(answer["id"].as_str().unwrap().starts_with("msg_") && answer["stop_sequence"].is_null());
    assert_eq!((&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]), (&json!(3), &json!(14)));
    assert_eq!(answer["usage"]["cache_read_input_tokens"], 0);
    assert_eq!(both(json!({"max_tokens": 2}))["stop_reason"], "max_tokens");
    let stopped = both(json!({"stop_sequences": ["!", "You "]}));
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!("You ")));
    assert_eq!(stopped["content"][0]["text"], "Hello from the demo upstream. ");
}

#[test]
fn the_head_is_anthropics() {
    let state = State::new(1);
    let body = with(ask(json!({})), json!({"stream": true}));
    let body = body.to_string();
    let script = |versioned| {
        let asked =
            super::super::serve::Asked { method: "POST", target: "/messages", versioned, body: body.as_bytes() };
        super::super::serve::answer(&state, asked)
    };
    assert_eq!(head(&script(true)).id_header, "request-id");
    assert!(sent(&script(false)).contains("anthropic-version: header is required"));
}

#[test]
fn tools_are_called_and_their_results_answered() {
    let answer = both(json!({"tools": tools()}));
    let call = &answer["content"][0];
    assert_eq!(
        (&call["type"], &call["name"], &call["input"]),
        (&json!("tool_use"), &json!("weather"), &json!({"city": "example"}))
    );
    assert_eq!(answer["stop_reason"], "tool_use");
    let forced = both(json!({"tools": tools(), "tool_choice": {"type": "tool", "name": "clock"}}));
    assert_eq!((&forced["content"][0]["name"], &forced["content"][0]["input"]), (&json!("clock"), &json!({})));
    let words = json!([{"role": "user", "content": "two in parallel, aloud"}]);
    let several = both(json!({"tools": tools(), "messages": words}));
    let kinds: Vec<&Value> = several["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["text", "tool_use", "tool_use"]);
    assert_ne!(several["content"][1]["id"], several["content"][2]["id"]);

    let result = |place: usize, fields: Value| {
        with(json!({"type": "tool_result", "tool_use_id": several["content"][place]["id"]}), fields)
    };
    let results = json!([
        result(2, json!({"content": [{"type": "text", "text": "noon"}]})),
        result(1, json!({"content": "12 degrees", "is_error": true}))
    ]);
    let messages =
        json!([words[0], {"role": "assistant", "content": several["content"]}, {"role": "user", "content": results}]);
    let after = both(json!({"tools": tools(), "messages": messages}));
    assert_eq!(after["content"][0]["text"], "Hello from the demo upstream. The tools failed: noon; 12 degrees");
}

#[test]
fn one_call_alone_when_parallel_calls_are_off() {
    let choice = json!({"type": "auto", "disable_parallel_tool_use": true});
    let words = json!([{"role": "user", "content": "in parallel"}]);
    let answer = both(json!({"tools": tools(), "tool_choice": choice, "messages": words}));
    assert_eq!(answer["content"].as_array().unwrap().len(), 1);
}

#[test]
fn thoughts_are_signed_and_come_back_unchanged_or_not_at_all() {
    let state = State::new(1);
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": tools(), "messages": [{"role": "user", "content": "think redacted"}]});
    let answer = both(thinking.clone());
    let content = answer["content"].clone();
    let kinds: Vec<&Value> = content.as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "redacted_thinking", "tool_use"]);
    assert!(answer["usage"]["output_tokens_details"]["thinking_tokens"].as_u64().unwrap() > 0);

    let next = |content: &Value| {
        let result = json!([{"type": "tool_result", "tool_use_id": content.as_array().unwrap().last().unwrap()["id"], "content": "r"}]);
        let messages = json!([{"role": "user", "content": "think"}, {"role": "assistant", "content": content}, {"role": "user", "content": result}]);
        ask(with(thinking.clone(), json!({"messages": messages})))
    };
    ok(&state, PATH, &next(&content));
    let mut edited = content.clone();
    edited[0]["thinking"] = json!("something else");
    check(&next(&edited), "messages.1.content.0: Invalid `signature` in `thinking` block");
    let mut edited = content.clone();
    edited[1]["data"] = json!("AAAA");
    check(&next(&edited), "messages.1.content.1: Invalid `data` in `redacted_thinking` block");
    let without = json!([content[2]]);
    check(&next(&without), "Expected `thinking` or `redacted_thinking`, but found `tool_use`");
    let (_, body) = refused(&State::new(2), PATH, &next(&content));
    assert!(body["error"]["message"].as_str().unwrap().contains("Invalid `signature`"));

    let omitted = both(json!({"thinking": {"type": "adaptive", "display": "omitted"}}));
    assert_eq!(omitted["content"][0]["thinking"], "");
    let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": omitted["content"]}, {"role": "user", "content": "b"}]);
    ok(&state, PATH, &ask(json!({"messages": messages})));
}

#[test]
fn what_was_seen_and_a_schema_are_answered() {
    let image = |kind: &str| json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": "AAAA"}});
    let content = json!([image("image/png"), {"type": "image", "source": {"type": "url", "url": "https://example.com/a"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}, {"type": "text", "text": "what?"}]);
    let answer = both(json!({"messages": [{"role": "user", "content": content}]}));
    let text = "Hello from the demo upstream. You said: what? I saw 2 images: image/png, image/url. I saw 1 file: application/pdf.";
    assert_eq!(answer["content"][0]["text"], text);
    let schema = json!({"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}, "additionalProperties": false});
    let answer = both(json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}));
    assert_eq!(answer["content"][0]["text"], r#"{"ok":true}"#);
}

#[test]
fn marked_prompts_are_written_and_then_read() {
    let state = State::new(1);
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let system = json!([{"type": "text", "text": "a system text that is kept", "cache_control": mark}]);
    let body = ask(json!({"system": system}));
    let usage = |body: &Value| ok(&state, PATH, body)["usage"].clone();
    let first = usage(&body);
    assert_eq!((&first["input_tokens"], &first["cache_creation_input_tokens"]), (&json!(4), &json!(6)));
    assert_eq!(first["cache_creation"], json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 6}));
    let second = usage(&body);
    assert_eq!((&second["cache_creation_input_tokens"], &second["cache_read_input_tokens"]), (&json!(0), &json!(6)));
    assert_eq!(
        usage(&ask(json!({"cache_control": {"type": "ephemeral"}})))["cache_creation"]["ephemeral_5m_input_tokens"],
        3
    );
}

/// What a request is refused with.
fn check(body: &Value, message: &str) {
    let (status, answer) = refused(&State::new(1), PATH, body);
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains(message), "{said:?} is not {message:?}");
    assert_eq!(
        (status, &answer["type"], &answer["error"]["type"]),
        (400, &json!("error"), &json!("invalid_request_error"))
    );
    assert!(answer["request_id"].as_str().unwrap().starts_with("req_"));
}

#[test]
fn fields_are_checked_by_name_and_type() {
    let mut body = ask(json!({}));
    body.as_object_mut().unwrap().remove("max_tokens");
    check(&body, "max_tokens: Field required");
    check(&ask(json!({"frequency_penalty": 1})), "frequency_penalty: Extra inputs are not permitted");
    check(&ask(json!({"max_tokens": "9"})), "max_tokens: Input should be an integer");
    let block = json!([{"role": "user", "content": [{"type": "text", "text": "a", "new": 1}]}]);
    check(&ask(json!({"messages": block})), "messages.0.content.0.text.new: Extra inputs are not permitted");
    let webp = json!([{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "AAAA"}}]}]);
    check(
        &ask(json!({"messages": webp})),
        "messages.0.content.0.image.source.base64.media_type: Input should be one of",
    );
    check(&ask(json!({"temperature": 1.5})), "temperature: range: 0..1");
    check(&ask(json!({"stop_sequences": [" "]})), "stop_sequences");
    let lenient = json!({"model": "m--v0", "new": 1, "messages": block});
    ok(&State::new(1), PATH, &ask(lenient));
}

#[test]
fn thinking_and_tools_have_their_rules() {
    let thinking = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    check(&ask(json!({"thinking": thinking(1000)})), "budget_tokens");
    check(&ask(json!({"thinking": thinking(2000)})), "`max_tokens` must be greater than");
    check(&ask(json!({"thinking": thinking(1024), "temperature": 0.5})), "`temperature` may only be set to 1");
    check(&ask(json!({"thinking": thinking(1024), "top_k": 5})), "`top_k`");
    let any = json!({"type": "any"});
    check(
        &ask(json!({"thinking": thinking(1024), "tools": tools(), "tool_choice": any})),
        "Thinking may not be enabled",
    );
    let adaptive = json!({"thinking": {"type": "adaptive"}, "tools": tools(), "tool_choice": any});
    assert_eq!(both(adaptive)["content"][1]["type"], "tool_use");
    check(&ask(json!({"tool_choice": any})), "tool_choice may only be specified");
    check(&ask(json!({"tools": tools(), "tool_choice": {"type": "tool", "name": "x"}})), "Tool 'x' not found");
    let tool = |name: &str, schema: Value| json!([{"name": name, "input_schema": schema}]);
    check(
        &ask(json!({"tools": tool("a b", json!({"type": "object"}))})),
        "tools.0.custom.name: String should match pattern",
    );
    check(&ask(json!({"tools": tool("a", json!({}))})), "tools.0.custom.input_schema.type");
    let open = json!({"type": "json_schema", "schema": {"type": "object", "properties": {}}});
    check(&ask(json!({"output_config": {"format": open}})), "'additionalProperties'");
}

#[test]
fn turns_have_their_order() {
    let messages = |messages: Value| ask(json!({ "messages": messages }));
    let (user, assistant) = (
        |content: Value| json!({"role": "user", "content": content}),
        |content: Value| json!({"role": "assistant", "content": content}),
    );
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let text = |text: &str| json!({"type": "text", "text": text});
    check(&messages(json!([])), "at least one message");
    check(&messages(json!([assistant(json!("a"))])), "first message must use the \"user\" role");
    check(&messages(json!([user(json!([text("")]))])), "text content blocks must be non-empty");
    check(&messages(json!([user(json!([text(" ")]))])), "non-whitespace");
    check(&messages(json!([user(json!(" "))])), "non-whitespace");
    check(
        &messages(json!([user(json!("a")), assistant(json!([])), user(json!("b"))])),
        "messages.1: all messages must have non-empty",
    );
    check(&messages(json!([user(json!("a")), assistant(json!("b "))])), "trailing whitespace");
    let called = |more: Value| json!([user(json!("a")), assistant(json!([call("t1"), call("t2")])), more]);
    check(&messages(called(user(json!("b")))), "without `tool_result` blocks right after them: t1, t2");
    check(&messages(called(user(json!([result("t1")])))), "right after them: t2");
    check(&messages(called(user(json!([result("t1"), result("t3")])))), "unexpected `tool_use_id`");
    check(&messages(called(user(json!([text("x"), result("t1"), result("t2")])))), "must come before all others");
    check(&messages(json!([user(json!("a")), assistant(json!([call("t1"), call("t1")]))])), "must be unique");
    check(
        &messages(json!([user(json!("a")), assistant(json!([call("t:1")]))])),
        "tool_use.id: String should match pattern",
    );
    check(&messages(json!([user(json!([call("t1")]))])), "only `assistant` messages");
    check(&messages(json!([user(json!("a")), assistant(json!([result("t1")]))])), "only `user` messages");
    let mut split = called(user(json!([result("t2")])));
    split.as_array_mut().unwrap().push(user(json!([result("t1"), text("and?")])));
    let answer = ok(&State::new(1), PATH, &messages(split));
    assert!(answer["content"][0]["text"].as_str().unwrap().contains("The tools answered: r; r"));
    let marked = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}});
    check(&messages(json!([user(json!([marked, marked, marked, marked, marked]))])), "Found 5");
}

#[test]
fn tokens_are_counted_without_an_answer() {
    let state = State::new(1);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "12345678"}]});
    assert_eq!(ok(&state, "/v1/messages/count_tokens", &body), json!({"input_tokens": 2}));
    let (_, answer) = refused(&state, "/v1/messages/count_tokens", &ask(json!({})));
    assert_eq!(answer["error"]["message"], "max_tokens: Extra inputs are not permitted");
}

#[test]
fn faults_come_in_this_protocols_words() {
    let state = State::new(1);
    let stream = |model: &str| script(&state, PATH, &ask(json!({"model": model, "stream": true})));
    let text = sent(&stream("m--c4-f3"));
    assert_eq!(text.matches("text_delta").count(), 2);
    let (kind, data) = events(&text, "\n\n").pop().unwrap();
    assert_eq!((kind.as_str(), &data["error"]["type"]), ("error", &json!("overloaded_error")));
    let cut = stream("m--c4-k9");
    assert!(sent(&cut).matches("text_delta").count() == 4 && !sent(&cut).contains("content_block_stop"));
    assert_eq!(cut.steps.last(), Some(&Step::End));
    assert!(sent(&stream("m--c4-m2")).contains("event: content_block_delta\ndata: {\"broken\":\n\n"));
    assert_eq!(sent(&stream("m--c4-i1")).matches("event: ping").count(), 5);
    assert!(!sent(&stream("m--u0")).contains("usage"));
    assert_eq!(sent(&stream("m--c1-s2000000")).matches("text_delta").count(), 1);
    let (status, body) = refused(&state, PATH, &ask(json!({"model": "m--e529-a7"})));
    assert_eq!((status, &body["error"]["type"]), (529, &json!("overloaded_error")));
    assert_eq!(head(&script(&state, PATH, &ask(json!({"model": "m--e429-a7"})))).retry_after_s, Some(7));
    assert_eq!(testing::ok(&state, PATH, &ask(json!({"model": "m--f1"})))["type"], "error");
    assert_eq!(both(json!({"model": "m--j2"}))["stop_reason"], "refusal");
    assert_eq!(both(json!({"model": "m--l80"}))["content"][0]["thinking"].as_str().unwrap().len(), 80);
}

#[test]
fn the_user_orders_calls() {
    let order = "<x> demo: call clock {\"at\": 1.50} demo: call weather {\"city\":\"é\"} </x>";
    let words = json!([{"type": "text", "text": order}, {"type": "text", "text": "reminder"}]);
    let asked = json!([{"role": "user", "content": words}, {"role": "system", "content": "s"}, {"role": "user", "content": "reminder"}]);
    let answer = both(json!({"tools": tools(), "messages": asked}));
    let calls = answer["content"].as_array().unwrap();
    assert_eq!((calls.len(), &calls[0]["name"], &calls[0]["input"]), (2, &json!("clock"), &json!({"at": 1.5})));
    assert_eq!((&calls[1]["name"], &calls[1]["input"]), (&json!("weather"), &json!({"city": "é"})));
    let single = json!({"type": "auto", "disable_parallel_tool_use": true});
    let one = both(json!({"tools": tools(), "messages": asked, "tool_choice": single}));
    assert_eq!(one["content"].as_array().unwrap().len(), 1);
    let none = both(json!({"tools": tools(), "messages": asked, "tool_choice": {"type": "none"}}));
    assert_eq!(none["content"][0]["type"], "text");

    let result = |call: &Value| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "r"});
    for reminds in [
        json!([{"role": "user", "content": [result(&calls[0]), result(&calls[1]), {"type": "text", "text": order}]}]),
        json!([{"role": "user", "content": [result(&calls[0]), result(&calls[1])]}, {"role": "user", "content": order}]),
    ] {
        let mut messages = asked.as_array().unwrap().clone();
        messages.push(json!({"role": "assistant", "content": calls}));
        messages.extend(reminds.as_array().unwrap().clone());
        let after = both(json!({"tools": tools(), "messages": messages}));
        assert!(after["content"][0]["text"].as_str().unwrap().contains("The tools answered: r; r"));
    }
}
