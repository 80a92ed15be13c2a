//! Gemini without sockets: answers, streams and refusals.

use serde_json::{Value, json};

use super::super::seen::State;
use super::super::testing::{self, head, ok, refused, script, sent, with};

fn path(model: &str, method: &str) -> String {
    format!("/v1beta/models/{model}:{method}")
}

fn ask(fields: Value) -> Value {
    with(json!({"contents": [{"role": "user", "parts": [{"text": "Hi there, world"}]}]}), fields)
}

fn tools() -> Value {
    let city = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]});
    json!([{"functionDeclarations": [{"name": "weather", "parameters": city}, {"name": "clock", "parametersJsonSchema": {"type": "object"}}]}])
}

fn chunks(model: &str, body: &Value, sse: bool) -> Vec<Value> {
    let target = path(model, if sse { "streamGenerateContent?alt=sse" } else { "streamGenerateContent" });
    let script = script(&State::new(1), &target, body);
    let text = sent(&script);
    if sse {
        assert_eq!(head(&script).content_type, "text/event-stream");
        return testing::events(&text, "\r\n\r\n").into_iter().map(|(_, data)| data).collect();
    }
    assert_eq!(head(&script).content_type, "application/json");
    serde_json::from_str(&text).unwrap()
}

/// Puts a stream together as a client does.
fn folded(chunks: &[Value]) -> Value {
    let mut folded = chunks.last().unwrap().clone();
    let mut parts: Vec<Value> = Vec::new();
    for part in chunks.iter().flat_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array().unwrap()) {
        match (part["text"].as_str(), parts.last_mut()) {
            (Some(text), Some(last)) if last["text"].is_string() && last["thought"] == part["thought"] => {
                let joined = last["text"].as_str().unwrap().to_owned() + text;
                *last = with(last.clone(), with(part.clone(), json!({ "text": joined })));
            }
            (Some(""), _) if part.get("thoughtSignature").is_none() => {}
            _ => parts.push(part.clone()),
        }
    }
    folded["candidates"][0]["content"]["parts"] = parts.into();
    folded
}

/// Whole and streamed in both framings say the same; gives it.
fn both_of(model: &str, fields: Value) -> Value {
    let body = ask(fields);
    let whole = ok(&State::new(1), &path(model, "generateContent"), &body);
    let streamed = chunks(model, &body, true);
    assert_eq!(streamed, chunks(model, &body, false));
    assert_eq!(whole, folded(&streamed));
    whole
}

fn both(fields: Value) -> Value {
    both_of("m", fields)
}

fn parts(answer: &Value) -> &Vec<Value> {
    answer["candidates"][0]["content"]["parts"].as_array().unwrap()
}

fn check(body: &Value, message: &str) {
    let (status, answer) = refused(&State::new(1), &path("m", "generateContent"), body);
    let error = &answer["error"];
    assert!(error["message"].as_str().unwrap().contains(message), "{error} is not {message:?}");
    assert_eq!((status, &error["code"], &error["status"]), (400, &json!(400), &json!("INVALID_ARGUMENT")));
}

#[test]
fn an_answer_echoes_the_user_and_counts_its_tokens() {
    let answer = both(json!({}));
    assert_eq!(parts(&answer)[0]["text"], "Hello from the demo upstream. You said: Hi there, world");
    assert_eq!((&answer["candidates"][0]["finishReason"], &answer["modelVersion"]), (&json!("STOP"), &json!("m")));
    let usage = &answer["usageMetadata"];
    assert_eq!(
        (&usage["promptTokenCount"], &usage["candidatesTokenCount"], &usage["totalTokenCount"]),
        (&json!(3), &json!(14), &json!(17))
    );
    let cut = both(json!({"generation_config": {"max_output_tokens": "2"}}));
    assert_eq!(
        (&parts(&cut)[0]["text"], &cut["candidates"][0]["finishReason"]),
        (&json!("Hello fr"), &json!("MAX_TOKENS"))
    );
    assert_eq!(
        parts(&both(json!({"generationConfig": {"stopSequences": [" You"]}})))[0]["text"],
        "Hello from the demo upstream."
    );
    let two =
        ok(&State::new(1), "/models/a%2Fb:generateContent", &ask(json!({"generationConfig": {"candidateCount": 2}})));
    assert_eq!((&two["candidates"][1]["index"], &two["modelVersion"]), (&json!(1), &json!("a/b")));
}

/// The next step of a conversation: the calls of `answer` and a response for each.
fn next(answer: &Value, responses: Value) -> Value {
    let asked = json!({"role": "user", "parts": [{"text": "q"}]});
    let answered = json!({"role": "user", "parts": responses});
    ask(json!({"tools": tools(), "contents": [asked, answer["candidates"][0]["content"], answered]}))
}

#[test]
fn functions_are_called_and_their_responses_answered() {
    let answer = both(json!({"tools": tools()}));
    let call = &parts(&answer)[0]["functionCall"];
    assert_eq!((&call["name"], &call["args"]), (&json!("weather"), &json!({"city": "example"})));
    assert!(call["id"].is_string() && parts(&answer)[0]["thoughtSignature"].is_string());
    let old = both_of("gemini-2.5-flash", json!({"tools": tools()}));
    assert!(parts(&old)[0]["functionCall"].get("id").is_none() && parts(&old)[0].get("thoughtSignature").is_none());

    let several = both(json!({"tools": tools(), "contents": [{"parts": [{"text": "in parallel"}]}]}));
    assert!(parts(&several).len() == 2 && parts(&several)[1].get("thoughtSignature").is_none());
    let id = |place: usize| parts(&several)[place]["functionCall"]["id"].clone();
    let response = |name: &str, id: Value, response: Value| json!({"functionResponse": {"name": name, "id": id, "response": response}});
    let good = json!([
        response("clock", id(1), json!({"output": "noon"})),
        response("weather", id(0), json!({"result": "12"}))
    ]);
    let after = ok(&State::new(1), &path("m", "generateContent"), &next(&several, good));
    assert!(parts(&after)[0]["text"].as_str().unwrap().ends_with("The tools answered: noon; 12"));
    let failed = json!([
        response("weather", json!(null), json!({"error": "no"})),
        response("clock", json!(null), json!({"a": 1, "b": 2}))
    ]);
    let after = ok(&State::new(1), &path("m", "generateContent"), &next(&several, failed));
    assert!(parts(&after)[0]["text"].as_str().unwrap().ends_with(r#"The tools failed: no; {"a":1,"b":2}"#));
    check(&next(&several, json!([response("clock", id(1), json!({}))])), "number of function response parts");
    let swapped = json!([response("clock", json!(null), json!({})), response("weather", json!(null), json!({}))]);
    check(&next(&several, swapped), "'clock' does not match function call 'weather'");
    let strange = json!([response("weather", json!("x"), json!({})), response("clock", id(1), json!({}))]);
    check(&next(&several, strange), "id 'x' answers no function call");
    check(&next(&several, json!([{"text": "and?"}])), "number of function response parts");
    let first = json!({"contents": [{"role": "user", "parts": [response("clock", json!(null), json!({}))]}]});
    check(&ask(first), "right after a function call turn");
}

#[test]
fn the_first_call_of_each_step_must_be_signed_by_us() {
    let answer = both(json!({"tools": tools()}));
    let result = json!([{"functionResponse": {"name": "weather", "response": {"result": 1}}}]);
    let signed = |signature: Option<Value>| {
        let mut answer = answer.clone();
        let part = answer["candidates"][0]["content"]["parts"][0].as_object_mut().unwrap();
        part.remove("thoughtSignature");
        part.extend(signature.map(|signature| ("thoughtSignature".to_owned(), signature)));
        next(&answer, result.clone())
    };
    let own = parts(&answer)[0]["thoughtSignature"].clone();
    for good in
        [own.clone(), json!("skip_thought_signature_validator"), json!("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=")]
    {
        ok(&State::new(1), &path("m", "generateContent"), &signed(Some(good)));
    }
    check(&signed(None), "Function call is missing a thought_signature");
    check(&signed(Some(json!("AAAA"))), "Thought signature is not valid");
    check(&signed(Some(json!("not base64"))), "Base64 decoding failed");
    let (status, _) = refused(&State::new(2), &path("m", "generateContent"), &signed(Some(own)));
    assert_eq!(status, 400);
    // An earlier turn, and an older model, need none.
    ok(&State::new(1), &path("gemini-2.5-pro", "generateContent"), &signed(None));
    let mut later = signed(None);
    let contents = later["contents"].as_array_mut().unwrap();
    contents.extend([
        json!({"role": "model", "parts": [{"text": "so"}]}),
        json!({"role": "user", "parts": [{"text": "and?"}]}),
    ]);
    ok(&State::new(1), &path("m", "generateContent"), &later);
}

/// Every part as a content of its own, as chats keep the chunks of a stream.
fn apart(content: &Value) -> Vec<Value> {
    let alone = |part: &Value| json!({"role": content["role"], "parts": [part]});
    content["parts"].as_array().unwrap().iter().map(alone).collect()
}

#[test]
fn neighbours_of_one_role_are_one_turn() {
    let asked = json!({"role": "user", "parts": [{"text": "in parallel"}]});
    let body = ask(json!({"tools": tools(), "contents": [asked]}));
    let chunk_parts = chunks("m", &body, true).iter().flat_map(|chunk| parts(chunk).clone()).collect::<Vec<_>>();
    assert_eq!((chunk_parts.len(), chunk_parts.last()), (3, Some(&json!({"text": ""}))));
    let called = apart(&json!({"role": "model", "parts": chunk_parts}));
    let response = |place: usize, role: &str| {
        let call = &chunk_parts[place]["functionCall"];
        let response = json!({"id": call["id"], "name": call["name"], "response": {"output": place}});
        json!({"role": role, "parts": [{"functionResponse": response}]})
    };
    let conversation = |rest: Vec<Value>| {
        let contents = [vec![asked.clone()], called.clone(), rest].concat();
        ask(json!({"tools": tools(), "contents": contents}))
    };
    let reminder = json!({"role": "user", "parts": [{"text": "a reminder"}, {"text": ""}]});
    let answered = vec![response(1, "user"), response(0, "function"), reminder];
    let after = ok(&State::new(1), &path("m", "generateContent"), &conversation(answered));
    assert!(parts(&after)[0]["text"].as_str().unwrap().contains("The tools answered: "), "{after}");
    check(&conversation(vec![response(0, "user")]), "number of function response parts");
    let mut unsigned = conversation(vec![response(0, "user"), response(1, "user")]);
    ok(&State::new(1), &path("m", "generateContent"), &unsigned);
    unsigned["contents"][1]["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
    check(&unsigned, "contents[1].parts[0]");

    let words = json!([{"role": "user", "parts": [{"text": "one"}]}, {"role": "user", "parts": [{"text": "two"}, {"text": ""}]}]);
    assert!(parts(&both(json!({ "contents": words })))[0]["text"].as_str().unwrap().ends_with("You said: two"));
}

#[test]
fn a_thought_in_pieces_is_signed_at_its_end() {
    let thinking = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let chunk_parts: Vec<Value> =
        chunks("m", &ask(thinking.clone()), true).iter().flat_map(|chunk| parts(chunk).clone()).collect();
    let (last, earlier) = chunk_parts.split_last().unwrap();
    assert!(last["text"] == "" && last["thoughtSignature"].is_string());
    assert!(earlier.iter().filter(|part| part["thought"] == true).count() > 1);
    let said = |text: &str| json!({"role": "user", "parts": [{ "text": text }]});
    let conversation = |parts: Vec<Value>| {
        let told = json!({"role": "model", "parts": parts});
        let alone = [vec![said("a")], apart(&told), vec![said("b")]].concat();
        [
            with(thinking.clone(), json!({"contents": [said("a"), told, said("b")]})),
            with(thinking.clone(), json!({ "contents": alone })),
        ]
    };
    conversation(chunk_parts.clone()).into_iter().for_each(|fields| drop(both(fields)));
    let mut thought: Vec<Value> = earlier.iter().filter(|part| part["thought"] == true).cloned().collect();
    thought.push(json!({"text": "", "thought": true, "thoughtSignature": last["thoughtSignature"]}));
    conversation(thought.clone()).into_iter().for_each(|fields| drop(both(fields)));
    thought.last_mut().unwrap()["thoughtSignature"] = json!("AAAA");
    conversation(thought).into_iter().for_each(|fields| check(&ask(fields), "Thought signature is not valid"));
}

#[test]
fn the_user_orders_calls() {
    let order = "demo: call clock {\"at\": 1.50,\n\"b\":{}} demo: call weather {\"city\":\"é\"} demo: call nothing {}";
    let contents = json!([{"role": "user", "parts": [{"text": "<session_context>"}, {"text": order}]}, {"role": "user", "parts": [{"text": "so"}]}]);
    let answer = both(json!({"tools": tools(), "contents": contents}));
    let called: Vec<Value> = parts(&answer).iter().map(|part| part["functionCall"].clone()).collect();
    assert_eq!(
        (called.len(), &called[0]["name"], &called[0]["args"]),
        (2, &json!("clock"), &json!({"at": 1.5, "b": {}}))
    );
    assert_eq!((&called[1]["name"], &called[1]["args"]), (&json!("weather"), &json!({"city": "é"})));
    let none = json!({"functionCallingConfig": {"mode": "NONE"}});
    let refused = both(json!({"tools": tools(), "toolConfig": none, "contents": contents}));
    assert!(parts(&refused)[0]["text"].is_string());
}

#[test]
fn thoughts_come_when_they_are_asked_for() {
    let shown =
        both(json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingLevel": "low"}}}));
    assert_eq!((&parts(&shown)[0]["thought"], parts(&shown).len()), (&json!(true), 2));
    assert!(parts(&shown)[1]["thoughtSignature"].is_string());
    assert!(shown["usageMetadata"]["thoughtsTokenCount"].as_u64().unwrap() > 0);
    let usage = &shown["usageMetadata"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(
        count("totalTokenCount"),
        count("promptTokenCount") + count("candidatesTokenCount") + count("thoughtsTokenCount")
    );
    let hidden = both(json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}}));
    assert!(parts(&hidden).len() == 1 && hidden["usageMetadata"]["thoughtsTokenCount"].is_u64());
    let off = both(json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}));
    assert!(off["usageMetadata"].get("thoughtsTokenCount").is_none());
    let back = json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}, shown["candidates"][0]["content"], {"role": "user", "parts": [{"text": "b"}]}]});
    both(back.clone());
    let mut moved = back;
    moved["contents"][1]["parts"][1]["thoughtSignature"] = json!("AAAA");
    check(&ask(moved), "Thought signature is not valid");
}

#[test]
fn what_was_seen_and_a_schema_are_answered() {
    let media = json!([{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"inline_data": {"mime_type": "audio/wav", "data": "AA=="}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a"}}, {"text": "what?"}]);
    let answer = both(json!({"contents": [{"role": "user", "parts": media}]}));
    let text = parts(&answer)[0]["text"].as_str().unwrap();
    assert!(
        text.ends_with("what? I saw 1 image: image/png. I saw 1 recording: audio/wav. I saw 1 file: application/pdf."),
        "{text}"
    );
    let schema = json!({"type": "OBJECT", "required": ["n"], "properties": {"n": {"type": "INTEGER", "minimum": 3}}});
    let config =
        |fields: Value| json!({"generationConfig": with(json!({"responseMimeType": "application/json"}), fields)});
    assert_eq!(parts(&both(config(json!({"responseSchema": schema}))))[0]["text"], r#"{"n":3}"#);
    let real = json!({"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}, "additionalProperties": false});
    assert_eq!(parts(&both(config(json!({"responseJsonSchema": real}))))[0]["text"], r#"{"ok":true}"#);
    check(&ask(json!({"generationConfig": {"responseSchema": schema}})), "needs response_mime_type");
}

#[test]
fn names_are_checked_everywhere() {
    check(&ask(json!({"stream": true})), "Unknown name \"stream\": Cannot find field.");
    check(
        &ask(json!({"generationConfig": {"seeds": 1}})),
        "Unknown name \"seeds\" at 'generationConfig': Cannot find field.",
    );
    check(
        &ask(json!({"contents": [{"role": "user", "parts": [{"text": "a", "x": 1}]}]})),
        "Unknown name \"x\" at 'contents[0].parts[0]'",
    );
    let tool = |schema: Value| json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]});
    let way = "at 'tools[0].functionDeclarations[0].parameters";
    check(
        &ask(tool(json!({"type": "OBJECT", "additionalProperties": false}))),
        &format!("\"additionalProperties\" {way}'"),
    );
    check(
        &ask(tool(json!({"type": "OBJECT", "properties": {"a": {"const": 1}}}))),
        &format!("\"const\" {way}.properties.a'"),
    );
    check(&ask(tool(json!({"type": ["string", "null"]}))), "expected a string");
    check(&ask(tool(json!({"type": "ARRAY"}))), "items: missing field");
    check(&ask(tool(json!({"type": "object", "required": ["a"]}))), "required[0]: property is not defined");
    check(&ask(tool(json!({"type": "STRING", "format": "email"}))), "format: only");
    ok(&State::new(1), &path("m--v0", "generateContent"), &ask(json!({"stream": true})));
}

#[test]
fn values_have_their_rules() {
    let config = |fields: Value| ask(json!({ "generationConfig": fields }));
    check(&config(json!({"temperature": 2.5})), "temperature");
    check(&config(json!({"stopSequences": ["a", "b", "c", "d", "e", "f"]})), "stop_sequences");
    check(
        &config(json!({"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}})),
        "Only one of thinking budget",
    );
    let parts = |parts: Value| ask(json!({"contents": [{"role": "user", "parts": parts}]}));
    check(&ask(json!({"contents": []})), "contents is not specified");
    check(&parts(json!([])), "must not be empty");
    check(&parts(json!([{}])), "must have one initialized field");
    both(json!({"contents": [{"role": "user", "parts": [{"text": ""}]}]}));
    check(
        &parts(json!([{"text": "a", "inlineData": {"mimeType": "image/png", "data": "AAAA"}}])),
        "more than one field",
    );
    check(&parts(json!([{"inlineData": {"mimeType": "image/png", "data": "?"}}])), "Base64 decoding failed");
    check(&ask(json!({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]})), "Please use a valid role");
    let names = json!({"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["clock"]}});
    check(&ask(json!({"tools": tools(), "toolConfig": names})), "may only be set when the mode is ANY");
    let forced = json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["clock"]}});
    let answer = both(json!({"tools": tools(), "toolConfig": forced}));
    assert_eq!(self::parts(&answer)[0]["functionCall"]["name"], "clock");
    let (status, body) =
        refused(&State::new(1), &path("m", "generateContent"), &ask(json!({"cachedContent": "cachedContents/x"})));
    assert_eq!((status, &body["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
}

#[test]
fn tokens_are_counted_and_texts_embedded() {
    let state = State::new(1);
    let contents = json!([{"parts": [{"text": "12345678"}]}]);
    for body in
        [json!({"contents": contents}), json!({"generateContentRequest": {"model": "models/m", "contents": contents}})]
    {
        assert_eq!(ok(&state, &path("m", "countTokens"), &body)["totalTokens"], 2);
    }
    let one = json!({"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3});
    let single = ok(&state, &path("m", "embedContent"), &one);
    assert_eq!(single["embedding"]["values"].as_array().unwrap().len(), 3);
    let batch =
        ok(&state, &path("m", "batchEmbedContents"), &json!({"requests": [with(one, json!({"model": "models/m"}))]}));
    assert_eq!(batch["embeddings"][0], single["embedding"]);
}

#[test]
fn faults_come_in_this_protocols_words() {
    let state = State::new(1);
    let stream = |model: &str, query: &str| {
        sent(&script(&state, &path(model, &format!("streamGenerateContent{query}")), &ask(json!({}))))
    };
    let (_, last) = testing::events(&stream("m--c4-f3", "?alt=sse"), "\r\n\r\n").pop().unwrap();
    assert_eq!((&last["error"]["code"], &last["error"]["status"]), (&json!(503), &json!("UNAVAILABLE")));
    let list: Value = serde_json::from_str(&stream("m--c4-f3", "")).unwrap();
    assert!(list.as_array().unwrap().len() == 3 && list[2]["error"]["code"] == 503);
    assert!(serde_json::from_str::<Value>(&stream("m--c4-k3", "")).is_err());
    assert!(stream("m--c4-m2", "?alt=sse").contains("data: {\"broken\":\r\n\r\n"));
    assert!(!stream("m--u0", "").contains("usageMetadata"));
    let (_, body) = refused(&state, &path("m--e429-a7", "generateContent"), &ask(json!({})));
    assert_eq!(
        (&body["error"]["status"], &body["error"]["details"][0]["retryDelay"]),
        (&json!("RESOURCE_EXHAUSTED"), &json!("7s"))
    );
    let (_, body) = refused(&state, &path("m--e500", "streamGenerateContent"), &ask(json!({})));
    assert_eq!(body[0]["error"]["status"], "INTERNAL");
    let blocked = ok(&state, &path("m--j2", "generateContent"), &ask(json!({})));
    assert!(blocked.get("candidates").is_none() && blocked["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT");
    assert_eq!(both_of("m--j1", json!({}))["candidates"][0]["finishReason"], "SAFETY");
}
