//! Responses without sockets: answers, streams and refusals.

use serde_json::{Value, json};

use super::super::seen::State;
use super::super::testing::{events, head, ok, refused, script, sent, with};

const PATH: &str = "/v1/responses";

fn ask(fields: Value) -> Value {
    with(json!({"model": "m", "input": "Hi there, world"}), fields)
}

fn tools() -> Value {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!([{"type": "function", "name": "weather", "parameters": city}, {"type": "custom", "name": "shell"}, {"type": "web_search"}])
}

/// Puts a stream together from its events, checks their order, and that the last response says the same.
fn folded(fields: Value) -> Value {
    let text = sent(&script(&State::new(1), PATH, &with(ask(fields), json!({"stream": true}))));
    let events = events(&text, "\n\n");
    let mut output: Vec<Value> = Vec::new();
    let (mut streamed, mut open) = (String::new(), false);
    for (number, (kind, data)) in events.iter().enumerate() {
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(kind), &json!(number)));
        if let Some(index) = data.get("output_index") {
            assert_eq!(*index, json!(output.len()));
        }
        match kind.as_str() {
            "response.output_item.added" => (streamed, open) = (String::new(), true),
            "response.output_item.done" => {
                assert!(open);
                open = false;
                let item = &data["item"];
                let told = [
                    &item["content"][0]["text"],
                    &item["content"][0]["refusal"],
                    &item["arguments"],
                    &item["input"],
                    &item["summary"][0]["text"],
                ];
                assert_eq!(told.iter().find_map(|text| text.as_str()).unwrap_or_default(), streamed);
                output.push(item.clone());
            }
            _ if kind.ends_with(".delta") => {
                assert!(open && data["item_id"].is_string());
                streamed.push_str(data["delta"].as_str().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!((events[0].0.as_str(), events[1].0.as_str()), ("response.created", "response.in_progress"));
    let response = events.last().unwrap().1["response"].clone();
    assert_eq!(response["output"], json!(output));
    response
}

/// Whole and streamed say the same; gives it.
fn both(fields: Value) -> Value {
    let whole = ok(&State::new(1), PATH, &ask(fields.clone()));
    let streamed = with(folded(fields), json!({"stream": null}));
    assert_eq!(with(whole.clone(), json!({"stream": null})), streamed);
    whole
}

fn check(body: &Value, code: Option<&str>, message: &str) {
    let (status, answer) = refused(&State::new(1), PATH, body);
    let error = &answer["error"];
    assert!(error["message"].as_str().unwrap().contains(message), "{error} is not {message:?}");
    assert_eq!((status, error["code"].as_str(), &error["type"]), (400, code, &json!("invalid_request_error")));
}

#[test]
fn an_answer_echoes_the_user_and_the_request() {
    let answer = both(json!({"instructions": "be kind", "metadata": {"a": "b"}, "temperature": 0.5}));
    assert_eq!(answer["output"][0]["content"][0]["text"], "Hello from the demo upstream. You said: Hi there, world");
    assert_eq!((&answer["status"], &answer["object"]), (&json!("completed"), &json!("response")));
    assert_eq!(
        (&answer["instructions"], &answer["metadata"]["a"], &answer["temperature"]),
        (&json!("be kind"), &json!("b"), &json!(0.5))
    );
    assert_eq!(
        (&answer["tools"], &answer["tool_choice"], &answer["store"]),
        (&json!([]), &json!("auto"), &json!(true))
    );
    let usage = &answer["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"], &usage["total_tokens"]),
        (&json!(5), &json!(14), &json!(19))
    );
    assert_eq!(usage["input_tokens_details"], json!({"cached_tokens": 0, "cache_write_tokens": 0}));
    let cut = both(json!({"model": "m--b600", "max_output_tokens": 16}));
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
}

#[test]
fn tools_are_called_and_their_outputs_answered() {
    let call = both(json!({"tools": tools()}))["output"][0].clone();
    assert_eq!(
        (&call["type"], &call["name"], &call["arguments"]),
        (&json!("function_call"), &json!("weather"), &json!(r#"{"city":"example"}"#))
    );
    let custom = both(json!({"tools": tools(), "tool_choice": {"type": "custom", "name": "shell"}}));
    assert_eq!(
        (&custom["output"][0]["type"], &custom["output"][0]["input"]),
        (&json!("custom_tool_call"), &json!("example"))
    );
    let several = both(
        json!({"tools": tools(), "input": [{"role": "user", "content": [{"type": "input_text", "text": "in parallel"}]}]}),
    );
    let (one, two) = (&several["output"][0], &several["output"][1]);
    assert_eq!((&one["type"], &two["type"]), (&json!("function_call"), &json!("custom_tool_call")));
    let output =
        |kind: &str, call: &Value, output: &str| json!({"type": kind, "call_id": call["call_id"], "output": output});
    let input = json!([{"role": "user", "content": "q"}, one, two, output("custom_tool_call_output", two, "noon"), output("function_call_output", one, "12")]);
    let after = both(json!({"tools": tools(), "input": input}));
    assert!(after["output"][0]["content"][0]["text"].as_str().unwrap().ends_with("The tools answered: noon; 12"));
    let lost = json!([{"role": "user", "content": "q"}, one]);
    check(&ask(json!({"input": lost})), None, "No tool output found for function call call_0");
    let alone = json!([{"role": "user", "content": "q"}, output("function_call_output", one, "12")]);
    check(&ask(json!({"input": alone})), None, "No tool call found for function call output with call_id call_0");
}

#[test]
fn reasoning_is_told_and_sealed_as_asked() {
    let hidden = both(json!({"reasoning": {"effort": "low"}}));
    assert_eq!((&hidden["output"][0]["summary"], hidden["output"][0].get("encrypted_content")), (&json!([]), None));
    let asked = json!({"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": false, "tools": tools()});
    let answer = both(asked.clone());
    let (thought, call) = (&answer["output"][0], &answer["output"][1]);
    assert!(thought["summary"][0]["text"].as_str().unwrap().contains("Hi there"));
    assert!(answer["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    let next = |thought: &Value| {
        let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "r"});
        ask(with(asked.clone(), json!({"input": [{"role": "user", "content": "q"}, thought, call, output]})))
    };
    ok(&State::new(1), PATH, &next(thought));
    let mut foreign = thought.clone();
    foreign["encrypted_content"] = json!("gAAAA");
    check(&next(&foreign), Some("invalid_encrypted_content"), "could not be verified");
    let mut moved = thought.clone();
    moved["id"] = json!("rs_other");
    check(&next(&moved), Some("invalid_encrypted_content"), "made for another item id");
    moved.as_object_mut().unwrap().remove("id");
    ok(&State::new(1), PATH, &next(&moved));
    let mut bare = thought.clone();
    bare.as_object_mut().unwrap().remove("encrypted_content");
    let (status, _) = refused(&State::new(1), PATH, &next(&bare));
    assert_eq!(status, 404);
    let ends = json!([{"role": "user", "content": "q"}, thought]);
    check(&ask(json!({"input": ends})), None, "without its required following item");
}

#[test]
fn a_stored_answer_can_be_gone_on_from() {
    let state = State::new(1);
    let first = ok(&state, PATH, &ask(json!({"tools": tools()})));
    let output = json!([{"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "12"}]);
    let body = ask(json!({"previous_response_id": first["id"], "input": output}));
    assert!(ok(&state, PATH, &body)["output"][0]["content"][0]["text"].as_str().unwrap().ends_with("answered: 12"));
    check(&body, Some("previous_response_not_found"), "not found");
}

#[test]
fn what_was_seen_and_a_schema_are_answered() {
    let content = json!([{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}, {"type": "input_image", "image_url": "https://example.com/a"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}, {"type": "input_text", "text": "what?"}]);
    let answer = both(json!({"input": [{"role": "user", "content": content}]}));
    let text = answer["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.ends_with("You said: what? I saw 2 images: image/png, image/url. I saw 1 file: application/pdf."),
        "{text}"
    );
    let schema = json!({"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}, "additionalProperties": false});
    let format = |schema: &Value| json!({"text": {"format": {"type": "json_schema", "name": "x", "strict": true, "schema": schema}}});
    assert_eq!(both(format(&schema))["output"][0]["content"][0]["text"], r#"{"ok":true}"#);
    check(
        &ask(format(&json!({"type": "object", "properties": {}}))),
        Some("invalid_json_schema"),
        "'additionalProperties'",
    );
    check(&ask(json!({"text": {"format": {"type": "json_object"}}})), None, "must contain the word 'json'");
}

#[test]
fn fields_are_checked_by_name_and_type() {
    check(&ask(json!({"stop": ["a"]})), Some("unknown_parameter"), "Unknown parameter: 'stop'.");
    check(
        &ask(json!({"input": [{"role": "user", "content": "a", "name": "b"}]})),
        Some("unknown_parameter"),
        "'input[0].name'",
    );
    check(&ask(json!({"max_output_tokens": 15})), Some("integer_below_min_value"), ">= 16");
    check(&ask(json!({"temperature": 3})), Some("decimal_out_of_range"), "temperature");
    check(&ask(json!({"stream": "yes"})), Some("invalid_type"), "expected a boolean");
    check(&json!({"input": "a"}), Some("missing_required_parameter"), "'model'");
    check(&json!({"model": "m"}), Some("missing_required_parameter"), "must be provided");
    let message = |role: &str, part: &str| json!({"input": [{"role": role, "content": [{"type": part, "text": "a"}]}]});
    check(&ask(message("assistant", "input_text")), Some("invalid_value"), "'output_text' and 'refusal'");
    check(&ask(message("user", "output_text")), Some("invalid_value"), "'output_text'");
    let call = |id: &str, call_id: &str| json!({"input": [{"type": "function_call", "id": id, "call_id": call_id, "name": "f", "arguments": ""}]});
    check(&ask(call("call_1", "a")), Some("invalid_value"), "begins with 'fc'");
    check(&ask(call("fc_1", &"x".repeat(65))), Some("string_above_max_length"), "'input[0].call_id'");
    let tool = |name: &str| json!({"tools": [{"type": "function", "name": name}]});
    check(&ask(tool("a b")), Some("invalid_value"), "'tools[0].name'");
    check(&ask(json!({"tool_choice": {"type": "function", "name": "x"}})), None, "Tool choice 'x' not found");
    ok(&State::new(1), PATH, &ask(json!({"model": "m--v0", "stop": ["a"]})));
}

#[test]
fn tokens_are_counted_without_an_answer() {
    let body = json!({"model": "m", "input": "12345678"});
    let answer = ok(&State::new(1), "/v1/responses/input_tokens", &body);
    assert_eq!(answer, json!({"object": "response.input_tokens", "input_tokens": 2}));
}

#[test]
fn a_long_prompt_is_cached_the_second_time() {
    let (state, body) = (State::new(1), ask(json!({"instructions": "x".repeat(5000)})));
    let cached = || ok(&state, PATH, &body)["usage"]["input_tokens_details"]["cached_tokens"].clone();
    assert_eq!([cached(), cached()], [json!(0), json!(1024)]);
}

#[test]
fn faults_come_in_this_protocols_words() {
    let state = State::new(1);
    let stream = |model: &str| sent(&script(&state, PATH, &ask(json!({"model": model, "stream": true}))));
    let text = stream("m--c4-f3");
    let events = events(&text, "\n\n");
    assert_eq!(text.matches("event: response.output_text.delta").count(), 2);
    let [.., (error, error_data), (failed, failed_data)] = &events[..] else { panic!("{text}") };
    assert_eq!((error.as_str(), failed.as_str()), ("error", "response.failed"));
    assert_eq!((&error_data["code"], &failed_data["response"]["status"]), (&json!("server_error"), &json!("failed")));
    assert!(events.iter().enumerate().all(|(number, (_, data))| data["sequence_number"] == number));
    let pinged = super::super::testing::events(&stream("m--c4-i1"), "\n\n");
    assert_eq!(pinged.iter().filter(|(kind, _)| kind == "keepalive").count(), 4);
    assert!(pinged.iter().enumerate().all(|(number, (_, data))| data["sequence_number"] == number));
    assert!(!stream("m--c4-k9").contains("response.output_text.done"));
    assert!(stream("m--u0").contains(r#""usage":null}"#) && !stream("m--u0").contains("input_tokens\""));
    let (status, body) = refused(&state, PATH, &ask(json!({"model": "m--e429-a7"})));
    assert_eq!((status, &body["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(head(&script(&state, PATH, &ask(json!({"model": "m--e429-a7"})))).retry_after_s, Some(7));
    assert_eq!(both(json!({"model": "m--j1"}))["incomplete_details"]["reason"], "content_filter");
    assert_eq!(both(json!({"model": "m--j2"}))["output"][0]["content"][0]["type"], "refusal");
}

#[test]
fn the_user_orders_calls() {
    let files = json!({"type": "namespace", "name": "mcp__files", "description": "d", "tools": [{"type": "function", "name": "read", "parameters": {"type": "object"}}]});
    let mut tools = tools();
    tools.as_array_mut().unwrap().insert(0, files);
    let message = |role: &str, text: &str| json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]});
    let order = "demo: call mcp__files__read {\"n\": 1.50}\ndemo: call shell *** Begin {\ndemo: call read {}";
    let mut input =
        vec![message("developer", "d"), message("user", order), message("user", "so"), message("developer", "d")];
    let asked = |input: &[Value]| json!({"tools": tools, "input": input, "store": false});
    let answer = both(asked(&input));
    let calls = answer["output"].as_array().unwrap();
    assert_eq!(
        (calls.len(), &calls[0]["type"], &calls[0]["namespace"]),
        (2, &json!("function_call"), &json!("mcp__files"))
    );
    assert_eq!((&calls[0]["name"], &calls[0]["arguments"]), (&json!("read"), &json!(r#"{"n": 1.50}"#)));
    assert_eq!((&calls[1]["type"], &calls[1]["input"]), (&json!("custom_tool_call"), &json!("*** Begin {")));
    let none = both(with(asked(&input), json!({"tool_choice": "none"})));
    assert_eq!(none["output"][0]["type"], "message");
    assert_eq!(both(json!({"tools": tools, "input": "demo: call read {}"}))["output"][0]["name"], "weather");

    input.extend(calls.clone());
    input.extend([
        json!({"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "r"}),
        json!({"type": "custom_tool_call_output", "call_id": calls[1]["call_id"], "output": "s"}),
        message("user", order),
    ]);
    let after = both(asked(&input));
    assert!(after["output"][0]["content"][0]["text"].as_str().unwrap().contains("The tools answered: r; s"));
}
