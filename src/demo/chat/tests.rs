//! Chat Completions and the scripts of all answers, without sockets.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::knobs::{CHUNKS_MAX, TEXT_BYTES_MAX};
use super::super::script::{Script, Step};
use super::super::seen::State;
use super::super::serve::{self, Asked};

fn script(body: &Value) -> Script {
    script_from(&State::new(1), body)
}

fn script_from(state: &State, body: &Value) -> Script {
    let body = body.to_string();
    let target = "/v1/chat/completions";
    serve::answer(state, Asked { method: "POST", target, versioned: false, body: body.as_bytes() })
}

fn ask(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi there, world"}]})
}

fn sent(script: &Script) -> Vec<String> {
    let text = |step: &Step| match step {
        Step::Send { bytes, .. } => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        _ => None,
    };
    script.steps.iter().filter_map(text).collect()
}

fn whole(body: &Value) -> Value {
    serde_json::from_str(&sent(&script(body)).concat()).unwrap()
}

/// The JSON of every event before `[DONE]`, which must be there.
fn events(body: &Value) -> Vec<Value> {
    let text = sent(&script(body)).concat();
    let events = text.strip_suffix("data: [DONE]\n\n").expect("the stream ends with [DONE]");
    events
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

fn with(mut body: Value, fields: Value) -> Value {
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn joined(events: &[Value], choice: u64) -> String {
    let deltas = events.iter().flat_map(|event| event["choices"].as_array().unwrap());
    deltas.filter(|c| c["index"] == choice).filter_map(|c| c["delta"]["content"].as_str()).collect()
}

#[test]
fn a_whole_answer_echoes_the_user_and_counts_its_tokens() {
    let answer = whole(&ask("gpt-4o", false));
    let text = "Hello from the demo upstream. You said: Hi there, world";
    assert_eq!(answer["choices"][0]["message"]["content"], text);
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("gpt-4o")));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let tokens = text.len().div_ceil(4);
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"], &answer["usage"]["total_tokens"]),
        (&json!(3), &json!(tokens), &json!(tokens + 3))
    );
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 0);
}

#[test]
fn a_stream_says_the_same_as_the_whole_answer() {
    let events = events(&ask("m", true));
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": "", "refusal": null}));
    assert_eq!(joined(&events, 0), whole(&ask("m", false))["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "stop");
    assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event.get("usage").is_none()));
}

#[test]
fn usage_comes_when_asked_for_and_as_the_knob_says() {
    let included = json!({"stream_options": {"include_usage": true}});
    let events_asked = events(&with(ask("m", true), included.clone()));
    let (last, earlier) = events_asked.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(3)));
    assert!(earlier.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    assert!(events(&ask("m--u1", true)).last().unwrap()["usage"]["total_tokens"].is_u64());
    assert!(events(&with(ask("m--u0", true), included)).iter().all(|event| event.get("usage").is_none()));
    assert!(whole(&ask("m--u0", false)).get("usage").is_none());
}

#[test]
fn limits_cut_the_text_and_choices_repeat_it() {
    let body = with(ask("m", false), json!({"max_tokens": 900, "max_completion_tokens": 2, "n": 3}));
    let answer = whole(&body);
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    assert_eq!(answer["choices"][2]["message"]["content"], "Hello fr");
    assert_eq!(
        (&answer["choices"][2]["finish_reason"], &answer["usage"]["completion_tokens"]),
        (&json!("length"), &json!(6))
    );
    let events = events(&with(body, json!({"stream": true})));
    assert_eq!((joined(&events, 0), joined(&events, 2)), ("Hello fr".into(), "Hello fr".into()));
    assert_eq!(events.iter().filter(|event| event["choices"][0]["finish_reason"] == "length").count(), 3);
}

#[test]
fn a_cut_keeps_characters_whole() {
    let body = json!({"model": "m", "max_tokens": 11, "messages": [{"role": "user", "content": "日本語日本語"}]});
    let text = whole(&body)["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(text.len() <= 44 && text.ends_with('日'), "{text}");
}

fn weather_tools() -> Value {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!([{"type": "function", "function": {"name": "weather", "parameters": city}},
        {"type": "function", "function": {"name": "clock"}}, {"type": "custom", "custom": {"name": "shell"}}])
}

/// `(name, arguments)` of the call, or the text.
fn check_call(fields: Value, expected: Result<(&str, &str), &str>) {
    let body = with(ask("m", false), fields);
    let answer = whole(&body)["choices"][0].clone();
    let events = events(&with(body, json!({"stream": true})));
    match expected {
        Err(text) => assert!(answer["message"]["content"].as_str().unwrap().contains(text)),
        Ok((name, arguments)) => {
            let call = &answer["message"]["tool_calls"][0];
            let kind = call["type"].as_str().unwrap();
            let field = if kind == "custom" { "input" } else { "arguments" };
            assert_eq!((&call[kind]["name"], &call[kind][field]), (&json!(name), &json!(arguments)));
            assert_eq!((&answer["message"]["content"], &answer["finish_reason"]), (&Value::Null, &json!("tool_calls")));
            let calls: Vec<&Value> =
                events.iter().map(|e| &e["choices"][0]["delta"]["tool_calls"][0]).filter(|c| c.is_object()).collect();
            assert_eq!(
                (&calls[0][kind]["name"], &calls[0]["id"], &calls[0]["index"]),
                (&json!(name), &call["id"], &json!(0))
            );
            let streamed: String = calls.iter().map(|c| c[kind][field].as_str().unwrap()).collect();
            assert_eq!(streamed, arguments);
            assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
        }
    }
}

#[test]
fn tools_are_called_with_arguments_of_their_schema() {
    check_call(json!({"tools": weather_tools()}), Ok(("weather", r#"{"city":"example"}"#)));
    let forced =
        |kind: &str, name: &str| json!({"tools": weather_tools(), "tool_choice": {"type": kind, kind: {"name": name}}});
    check_call(forced("function", "clock"), Ok(("clock", "{}")));
    check_call(forced("custom", "shell"), Ok(("shell", "example")));
    check_call(json!({"model": "m--o1"}), Ok(("get_weather", r#"{"city":"Paris"}"#)));
}

#[test]
fn the_user_orders_calls() {
    let user = |content: Value| json!({"role": "user", "content": content});
    let shell = user(
        json!([{"type": "text", "text": "demo: call shell ls -l \"a\"\nmore"}, {"type": "text", "text": "reminder"}]),
    );
    let messages =
        json!([shell, user(json!("demo: call clock {\"at\": 1.50} now")), {"role": "system", "content": "s"}]);
    let fields = json!({"tools": weather_tools(), "messages": messages});
    let single = json!({"parallel_tool_calls": false});
    check_call(with(fields.clone(), single), Ok(("shell", "ls -l \"a\"")));
    let answer = whole(&with(ask("m--o5", false), fields.clone()));
    let calls = &answer["choices"][0]["message"]["tool_calls"];
    assert_eq!((calls.as_array().unwrap().len(), &calls[1]["function"]["arguments"]), (2, &json!(r#"{"at": 1.50}"#)));
    check_call(with(fields.clone(), json!({"tool_choice": "none"})), Err("You said: demo: call clock"));
    check_call(
        json!({"tools": weather_tools(), "messages": [user(json!("demo: call x {}"))]}),
        Ok(("weather", r#"{"city":"example"}"#)),
    );

    let mut answered = fields;
    answered["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "tool_calls": [{"id": "a"}, {"id": "b"}]}),
        json!({"role": "tool", "tool_call_id": "a", "content": "x"}),
        json!({"role": "tool", "tool_call_id": "b", "content": "y"}),
        user(json!("demo: call clock {}")),
    ]);
    check_call(answered.clone(), Err("The tools answered: x; y"));
    answered["messages"]
        .as_array_mut()
        .unwrap()
        .extend([json!({"role": "assistant", "content": "so"}), user(json!("demo: call clock {}"))]);
    check_call(answered, Ok(("clock", "{}")));
}

#[test]
fn a_tool_result_or_a_refused_choice_is_answered_with_text() {
    check_call(json!({"tools": weather_tools(), "tool_choice": "none"}), Err("You said: Hi there"));
    let messages = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees"}]);
    check_call(json!({"tools": weather_tools(), "messages": messages}), Err("The tool answered: 12 degrees"));
}

#[test]
fn a_response_format_is_answered_with_json() {
    let schema = json!({"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    check_call(json!({"response_format": format}), Err(r#"{"ok":true}"#));
    check_call(json!({"response_format": {"type": "json_object"}}), Err(r#"{"answer":"#));
}

#[test]
fn size_knobs_fix_chunks_and_bytes() {
    let events = events(&ask("m--c5-s40", true));
    assert_eq!(events.len(), 1 + 5 + 1);
    assert!(events[1..6].iter().all(|e| e["choices"][0]["delta"]["content"].as_str().unwrap().len() == 40));
    assert_eq!(whole(&ask("m--b600", false))["choices"][0]["message"]["content"].as_str().unwrap().len(), 600);
    assert_eq!(whole(&ask("m--c5-s40", false))["usage"]["completion_tokens"], 50);
    assert_eq!(joined(&self::events(&ask("m--b600", true)), 0).len(), 600);
    assert_eq!(joined(&self::events(&ask("m--c1-s2000000", true)), 0).len(), 2_000_000);
}

#[test]
fn knobs_bound_what_an_answer_weighs() {
    let large = with(ask("m--c65536-s16777216", true), json!({"n": 128}));
    let many = with(ask("m--c65536-s1", true), json!({"n": 128}));
    for body in [large, many] {
        let sent = sent(&script(&body));
        assert!(sent.len() < CHUNKS_MAX + 1024 && sent.iter().map(String::len).sum::<usize>() < 2 * TEXT_BYTES_MAX);
    }
}

#[test]
fn delays_stand_between_writes_and_groups_share_one() {
    let waits = |model: &str| -> Vec<Duration> {
        let wait = |step: &Step| if let Step::Wait(time) = step { Some(*time) } else { None };
        script(&ask(model, true)).steps.iter().filter_map(wait).collect()
    };
    assert_eq!(waits("m--c4-d20"), [Duration::from_millis(20); 3]);
    assert_eq!(waits("m--c4-y700-g2"), [Duration::from_micros(700); 1]);
    assert_eq!(waits("m--t300"), [Duration::from_millis(300)]);
    assert_eq!(waits("m--e503-t300"), [Duration::from_millis(300)]);
    // Role, four chunks, finish and [DONE], in writes of three events; nothing is lost by grouping.
    assert_eq!(sent(&script(&ask("m--c4-g3", true))).len(), 3);
    let said = |model: &str| sent(&script(&ask(model, true))).concat().replace(model, "m");
    assert_eq!(said("m--c4-g3"), said("m--c4"));
    assert_eq!(sent(&script(&ask("m--c4-d1-g3", true))).concat().matches("\"content\":\"").count(), 5);
}

/// What was said before the fault, and the step that ends the script.
fn check_fault(model: &str, contents: usize, end: Step) {
    let script = script(&ask(model, true));
    assert_eq!(sent(&script).concat().matches("\"content\":\"the").count(), contents, "{model}");
    assert_eq!(script.steps.last(), Some(&end), "{model}");
    let ends = [Step::End, Step::Hang, Step::Reset, Step::Close];
    assert_eq!(script.steps.iter().filter(|step| ends.contains(step)).count(), 1, "{model}");
}

#[test]
fn a_stream_fails_before_the_chunk_that_the_knob_names() {
    for (letter, end) in [("r", Step::Reset), ("k", Step::End), ("x", Step::Close), ("q", Step::Hang), ("f", Step::End)]
    {
        check_fault(&format!("m--c4-s20-{letter}3"), 2, end.clone());
        check_fault(&format!("m--c4-s20-{letter}2-g4"), 1, end.clone());
        check_fault(&format!("m--c4-s20-{letter}99"), 4, end);
    }
    check_fault("m--c4-s20-q1", 0, Step::Hang);
    check_fault("m--c0-q2", 0, Step::Hang);
    check_fault("m--c4-s20-m3", 4, Step::End);
    assert_eq!(script(&ask("m--r1", true)).steps, [Step::Reset]);
    assert_eq!(script(&ask("m--h1", true)).steps, [Step::Hang]);
}

#[test]
fn faults_of_a_stream_leave_no_end_mark_but_a_malformed_event_does() {
    for letter in ["k", "f"] {
        let text = sent(&script(&ask(&format!("m--c4-{letter}2"), true))).concat();
        assert!(!text.contains("[DONE]") && !text.contains("\"finish_reason\":\"stop\""), "{letter}");
        assert_eq!(text.contains("data: {\"error\":{"), letter == "f");
    }
    let text = sent(&script(&ask("m--c4-m2", true))).concat();
    assert_eq!((text.matches("data: {\"broken\":\n\n").count(), text.matches("[DONE]").count()), (1, 1));
}

/// Bytes sent, bytes promised by the head, and the end.
fn check_whole_fault(model: &str, sent_share: (usize, usize), promised_share: (usize, usize), end: Step) {
    let full = sent(&script(&ask(model.split("--").next().unwrap(), false))).concat().len();
    let full = full - model.split("--").next().unwrap().len() + model.len();
    let script = script(&ask(model, false));
    let Some(Step::Head(head)) = script.steps.first() else { panic!("no head: {script:?}") };
    assert_eq!(sent(&script).concat().len(), full * sent_share.0 / sent_share.1, "{model}");
    assert_eq!(head.length, Some(full * promised_share.0 / promised_share.1), "{model}");
    assert_eq!(script.steps.last(), Some(&end), "{model}");
}

#[test]
fn a_whole_answer_fails_before_its_body_or_in_the_middle() {
    check_whole_fault("m--r2", (1, 2), (1, 1), Step::Reset);
    check_whole_fault("m--x1", (0, 1), (1, 1), Step::Close);
    check_whole_fault("m--x2", (1, 2), (1, 1), Step::Close);
    check_whole_fault("m--k1", (0, 1), (0, 1), Step::End);
    check_whole_fault("m--k2", (1, 2), (1, 2), Step::End);
    check_whole_fault("m--q1", (0, 1), (1, 1), Step::Hang);
    check_whole_fault("m--q2", (1, 2), (1, 1), Step::Hang);
    assert!(whole(&ask("m--f1", false))["error"]["message"].is_string());
    assert!(serde_json::from_str::<Value>(&sent(&script(&ask("m--m1", false))).concat()).is_err());
}

#[test]
fn error_statuses_have_openai_bodies() {
    for (status, kind, code) in [
        (400, "invalid_request_error", Value::Null),
        (401, "invalid_request_error", json!("invalid_api_key")),
        (429, "requests", json!("rate_limit_exceeded")),
        (500, "server_error", Value::Null),
        (503, "service_unavailable_error", Value::Null),
        (529, "overloaded_error", Value::Null),
    ] {
        let script = script(&ask(&format!("m--e{status}-a7"), true));
        let Step::Head(head) = &script.steps[0] else { panic!("no head") };
        assert_eq!((head.status, head.retry_after_s), (status, Some(7)));
        let body: Value = serde_json::from_str(&sent(&script).concat()).unwrap();
        assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&json!(kind), &code));
        assert!(body["error"]["message"].is_string() && body["error"]["param"].is_null());
    }
}

#[test]
fn thoughts_come_as_reasoning_content() {
    let answer = whole(&with(ask("m", false), json!({"reasoning_effort": "low"})));
    let thought = answer["choices"][0]["message"]["reasoning_content"].as_str().unwrap();
    assert!(thought.contains("Hi there"));
    assert!(answer["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    let events = events(&with(ask("m", true), json!({"reasoning_effort": "low"})));
    let streamed: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["reasoning_content"].as_str()).collect();
    assert_eq!(streamed, thought);
    let none = whole(&with(ask("m", false), json!({"reasoning_effort": "none"})));
    assert!(none["choices"][0]["message"].get("reasoning_content").is_none());
    let spent = whole(&with(ask("m", false), json!({"reasoning_effort": "high", "max_completion_tokens": 5})));
    assert_eq!(
        (&spent["choices"][0]["message"]["content"], &spent["choices"][0]["finish_reason"]),
        (&Value::Null, &json!("length"))
    );
    assert_eq!(spent["usage"]["completion_tokens"], 5);
}

#[test]
fn parallel_calls_have_their_own_index_and_id() {
    let fields = json!({"tools": weather_tools(), "messages": [{"role": "user", "content": "in parallel"}]});
    let calls = |fields: Value| whole(&with(ask("m", false), fields))["choices"][0]["message"]["tool_calls"].clone();
    let two = calls(fields.clone());
    assert_eq!((&two[0]["function"]["name"], &two[1]["function"]["name"]), (&json!("weather"), &json!("clock")));
    assert_ne!(two[0]["id"], two[1]["id"]);
    assert_eq!(calls(with(fields.clone(), json!({"parallel_tool_calls": false}))).as_array().unwrap().len(), 1);
    assert_eq!(calls(json!({"model": "m--o5"})).as_array().unwrap().len(), 5);
    let events = events(&with(ask("m", true), fields));
    let indices: Vec<&Value> = events
        .iter()
        .map(|event| &event["choices"][0]["delta"]["tool_calls"][0]["index"])
        .filter(|i| i.is_u64())
        .collect();
    assert_eq!((indices[0], *indices.last().unwrap()), (&json!(0), &json!(1)));
}

#[test]
fn stops_pictures_pings_and_filters() {
    let stopped = whole(&with(ask("m", false), json!({"stop": "You"})));
    assert_eq!(stopped["choices"][0]["message"]["content"], "Hello from the demo upstream. ");
    let content = json!([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}}]);
    let seen = whole(&with(ask("m", false), json!({"messages": [{"role": "user", "content": content}]})));
    let text = seen["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.ends_with("You said: what? I saw 1 image: image/png. I saw 1 recording: audio/wav."), "{text}");
    assert_eq!(sent(&script(&ask("m--c4-i1", true))).concat().matches(": keepalive\n\n").count(), 4);
    assert_eq!(whole(&ask("m--j1", false))["choices"][0]["finish_reason"], "content_filter");
    let refused = whole(&ask("m--j2", false));
    assert!(
        refused["choices"][0]["message"]["refusal"].is_string()
            && refused["choices"][0]["message"]["content"].is_null()
    );
}

#[test]
fn a_long_prompt_is_cached_the_second_time() {
    let state = State::new(1);
    let body = with(ask("m", false), json!({"messages": [{"role": "user", "content": "x".repeat(5000)}]}));
    let cached = || {
        let answer: Value = serde_json::from_str(&sent(&script_from(&state, &body)).concat()).unwrap();
        answer["usage"]["prompt_tokens_details"]["cached_tokens"].clone()
    };
    assert_eq!([cached(), cached()], [json!(0), json!(1024)]);
}
