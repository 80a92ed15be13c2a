//! Cases 36, 37, 39 and 40: sizes, schemas, and answers of odd shape.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::calls::sent;
use super::*;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};

/// Far above what linear work takes in a debug build, far below what quadratic work takes.
const LINEAR: Duration = Duration::from_secs(10);

#[test]
fn case_36_one_event_of_several_megabytes_in_small_reads() {
    let data = "iVBORw0KGgo".repeat(400_000);
    let chunk = json!({"candidates": [{"content": {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": data}}]}, "finishReason": "STOP"}], "modelVersion": "g", "responseId": "r"});
    let bytes = format!("data: {chunk}\r\n\r\n").into_bytes();
    let way = Way::new(GeminiGenerate, Shape::Stream, OpenAiChat, Shape::Stream);
    let started = Instant::now();
    let out = translate(&way, bytes.chunks(512));
    let seen = decode(OpenAiChat, Shape::Stream, &out, true);
    assert!(seen.first().media.iter().any(|media| media.ends_with(&data)), "{:?}", seen.wrong);
    assert!(started.elapsed() < LINEAR, "{:?}", started.elapsed());
}

#[test]
fn case_36_many_tiny_events() {
    let mut bytes = Vec::new();
    for at in 0..30_000 {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": format!("{at} ")}}]});
        bytes.extend(format!("data: {chunk}\n\n").into_bytes());
    }
    bytes.extend(br#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    bytes.extend(b"\n\ndata: [DONE]\n\n");
    let way = Way::new(OpenAiChat, Shape::Stream, OpenAiResponses, Shape::Stream);
    let started = Instant::now();
    let out = translate(&way, bytes.chunks(64));
    assert!(started.elapsed() < LINEAR, "{:?}", started.elapsed());
    assert!(String::from_utf8(out).unwrap().contains("29999 "));
}

#[test]
fn case_37_schemas_are_cleaned_and_arguments_are_not() {
    // Arguments and values that look like schemas.
    let data = json!({"$schema": "x", "type": ["a", "null"], "additionalProperties": false, "oneOf": [1], "const": 7, "$ref": "#/nowhere"});
    let schema = json!({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#", "additionalProperties": false,
        "properties": {
            "$schema": {"type": "string"},
            "additionalProperties": {"type": ["string", "null"], "const": "oneOf"},
            "not": {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 5},
            "pick": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/loop"}]},
            "word": {"enum": ["const", "$ref"], "default": "const"},
        },
        "required": ["not", "gone"],
        "$defs": {"loop": {"type": "object", "properties": {"again": {"$ref": "#/$defs/loop"}}}}});
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "save", "arguments": data.to_string()}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": data.to_string()},
    ], "tools": [{"type": "function", "function": {"name": "save", "description": "Saves.", "parameters": schema}}]})
    .to_string();
    for target in ["gemini-3", "gemini-2.5", "vertex"] {
        let out = sent(OpenAiChat, &body, target);
        let call = find(&out, "functionCall");
        assert_eq!(call["args"], data, "{target}: arguments are data");
        let declaration = &out["tools"][0]["functionDeclarations"][0];
        let parameters = declaration.get("parameters");
        if let Some(parameters) = parameters {
            clean(parameters, target);
            let names: Vec<&str> = parameters["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, ["$schema", "additionalProperties", "not", "pick", "word"], "{target}");
            assert_eq!(parameters["required"], json!(["not"]), "{target}");
            assert_eq!(parameters["properties"]["word"]["enum"], json!(["const", "$ref"]), "{target}");
        } else {
            assert!(declaration["parametersJsonSchema"].is_object(), "{target}: {declaration}");
        }
    }
}

/// Only what Gemini's `Schema` knows, at schema positions.
fn clean(schema: &Value, target: &str) {
    const KNOWN: [&str; 23] = [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "items",
        "minItems",
        "maxItems",
        "properties",
        "required",
        "propertyOrdering",
        "minProperties",
        "maxProperties",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
        "default",
        "prefixItems",
    ];
    for (name, value) in schema.as_object().unwrap_or_else(|| panic!("{target}: {schema}")) {
        assert!(KNOWN.contains(&name.as_str()), "{target}: {name} in {schema}");
        match name.as_str() {
            "properties" => value.as_object().unwrap().values().for_each(|schema| clean(schema, target)),
            "items" => clean(value, target),
            "anyOf" => value.as_array().unwrap().iter().for_each(|schema| clean(schema, target)),
            "type" => assert!(value.is_string(), "{target}: {schema}"),
            "enum" => assert!(value.as_array().unwrap().iter().all(Value::is_string), "{target}: {schema}"),
            _ => {}
        }
    }
}

fn find<'v>(value: &'v Value, name: &str) -> &'v Value {
    fn search<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
        match value {
            Value::Array(list) => list.iter().find_map(|value| search(value, name)),
            Value::Object(object) => object.get(name).or_else(|| object.values().find_map(|value| search(value, name))),
            _ => None,
        }
    }
    search(value, name).unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn case_39_gemini_answers_with_little_in_them() {
    for (name, cc) in
        [("blocked.json", "content_filter"), ("safety.json", "content_filter"), ("length_in_thought.json", "length")]
    {
        each_of(GeminiGenerate, name, |way, seen| {
            assert!(seen.finished(), "{way:?}");
            assert_eq!(seen.first().text, "");
            if way.client == OpenAiChat {
                assert_eq!(seen.first().stop.as_deref(), Some(cc), "{name}");
            }
        });
    }
    each_of(GeminiGenerate, "signature_on_empty_text.sse", |way, seen| {
        assert_eq!(seen.first().text, "Calm.");
        // A signature on a text says nothing that another protocol's client must return, yet it may be carried.
        assert!(seen.finished(), "{way:?}");
    });
    each_of(GeminiGenerate, "text.sse", |way, seen| {
        assert_eq!(seen.usage.map(|usage| usage.input), Some(8), "{way:?}: the last count, though it shrank");
    });
}

/// What cannot be given on of a sound is said to be lost: the sound, or what is heard in it.
#[test]
fn case_39_a_sound_and_its_transcript() {
    let case = fixtures::answer(OpenAiChat, "sound.json");
    for way in ways(OpenAiChat, case.shape) {
        let mut translator = crate::wire::tests::drive::read(&way, &case.response);
        translator.whole();
        let lost = translator.losses().texts(OpenAiChat);
        let expected = if way.client == GeminiGenerate { "audio.transcript;dropped" } else { "modalities;dropped" };
        assert_eq!(lost, [expected], "{way:?}");
        assert!(translator.facts().output_text().contains("Aye aye."), "{way:?}");
    }
    let same = Way::new(OpenAiChat, case.shape, OpenAiChat, Shape::Whole);
    assert!(String::from_utf8(whole(&same, &case.response)).unwrap().contains(r#""transcript":"Aye aye.""#));
    let streamed = String::from_utf8(whole(&Way { to: Shape::Stream, ..same }, &case.response)).unwrap();
    assert!(streamed.contains(r#""audio":{"transcript":"Aye aye."}"#), "{streamed}");
}

#[test]
fn case_40_half_a_surrogate_pair() {
    each_of(OpenAiChat, "half_pairs.sse", |way, seen| assert_eq!(seen.first().text, "Awave 🌊!", "{way:?}"));
    // A half that never finds its other half does not break the JSON.
    let bytes = chat(&[
        r#""choices":[{"index":0,"delta":{"role":"assistant","content":"a\ud83c"}}]"#,
        r#""choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]"#,
    ]);
    each(OpenAiChat, Shape::Stream, &bytes, |way, seen| {
        let text = seen.first().text;
        assert!(text.starts_with('a') && text.ends_with('b'), "{way:?}: {text:?}");
    });
}

#[test]
fn case_40_numbers_and_key_order_in_arguments() {
    for (name, upstream) in [("long_numbers.json", OpenAiChat)] {
        let case = fixtures::answer(upstream, name);
        for way in ways(upstream, case.shape) {
            let out = String::from_utf8(whole(&way, &case.response)).unwrap().replace('\\', "");
            assert!(out.contains(r#""z":12345678901234567890,"a":1.0,"m":{"y":1e2,"b":0.10}"#), "{way:?}: {out}");
        }
    }
    // And on the way up, in the history and in the result.
    let arguments = r#"{"z":12345678901234567890,"a":1.0,"m":{"y":1e400,"b":0.10}}"#;
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"Pay."}},{{"role":"assistant","content":null,"tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"pay","arguments":{}}}}}]}},{{"role":"tool","tool_call_id":"call_1","content":"paid"}}]}}"#,
        Value::from(arguments)
    );
    for target in ["budget", "gemini-2.5", "responses"] {
        let (_, to, target) =
            crate::wire::tests::targets::targets().into_iter().find(|(name, ..)| *name == target).unwrap();
        let request = crate::wire::tests::targets::read(OpenAiChat, &body).unwrap();
        let written = crate::wire::tests::targets::write(to, &request, &target).unwrap();
        let out = String::from_utf8(written.body).unwrap().replace('\\', "");
        assert!(out.contains(arguments), "{to:?}: {out}");
    }
}

#[test]
fn case_40_words_and_ids_that_do_not_hold() {
    each_of(OpenAiChat, "empty_finish_word.sse", |way, seen| {
        assert!(seen.finished(), "{way:?}: usage and [DONE] came");
        assert_eq!(seen.first().text, "Calm.");
    });
    each_of(AnthropicMessages, "two_starts.sse", |way, seen| assert_eq!(seen.first().text, "Aye.", "{way:?}"));
    // Rotating ids: the decoders insist on one.
    let bytes = String::from_utf8(stream(OpenAiChat, "text")).unwrap();
    let mut at = 0;
    let rotating: String = bytes
        .split_inclusive("\n\n")
        .map(|event| {
            at += 1;
            event.replace("chatcmpl-7a", &format!("chatcmpl-{at}"))
        })
        .collect();
    each(OpenAiChat, Shape::Stream, rotating.as_bytes(), |_, seen| assert!(seen.finished()));
    let items = String::from_utf8(stream(OpenAiResponses, "text")).unwrap();
    let mut at = 0;
    let rotating: String = items
        .split_inclusive("\n\n")
        .map(|event| {
            at += 1;
            event.replace("msg_1", &format!("msg_{at}"))
        })
        .collect();
    each(OpenAiResponses, Shape::Stream, rotating.as_bytes(), |way, seen| {
        assert_eq!(seen.first().text, "Fair wind 🌬️.", "{way:?}");
    });
}
