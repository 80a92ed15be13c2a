//! What a Gemini client may ask, and how it is understood.

use serde_json::{Value as Json, json};

use super::target;
use crate::wire::gemini_generate::{read_request, write_request};
use crate::wire::ir::{
    Class, Effort, Format, Losses, MediaKind, PartKind, ReasoningMode, Request, Role, SchemaDialect, ServerTool,
    Source, ToolChoice, ToolKind,
};

fn read(body: &Json, check: impl FnOnce(&Request<'_>)) {
    let body = body.to_string();
    check(&read_request(&body, 64).unwrap());
}

fn asked(member: &str, value: Json) -> Json {
    let mut body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    body[member] = value;
    body
}

fn turns(contents: Json) -> Json {
    json!({ "contents": contents })
}

/// The same body comes back.
#[track_caller]
fn check_round(body: Json) {
    let text = body.to_string();
    let request = read_request(&text, 64).unwrap();
    let mut losses = Losses::default();
    let (out, undo) = write_request(&request, &target(), &mut losses).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&out).unwrap(), body);
    assert!(losses.is_empty() && undo.is_empty(), "{losses:?} {undo:?}");
}

#[test]
fn what_is_read_is_written_again() {
    for parts in [
        json!([{ "text": "" }]),
        json!([{ "text": "hm", "thought": true, "thoughtSignature": "c2ln" }, { "text": "so", "thought": false }]),
        json!([{ "thoughtSignature": "c2ln" }]),
        json!([{ "inlineData": { "mimeType": "image/png", "data": "iVBORw0K", "displayName": "a.png" }, "mediaResolution": { "level": "X" } }]),
        json!([{ "fileData": { "fileUri": "https://youtu.be/x" }, "videoMetadata": { "fps": 2.0, "startOffset": "1s" } }]),
        json!([{ "fileData": { "fileUri": "gs://b/a.pdf", "mimeType": "application/pdf" } }]),
        json!([{ "functionCall": { "name": "f" } }, { "functionCall": { "id": "i", "name": "g", "args": { "b": 1, "a": [1.50, null] } } }]),
        json!([{ "functionResponse": { "name": "f", "response": { "result": 3 } } }]),
        json!([{ "functionResponse": { "id": "x", "name": "f", "response": { "a": 1 }, "scheduling": "SILENT",
            "parts": [{ "inlineData": { "mimeType": "image/png", "data": "iVBORw0K" } }] } }]),
        json!([{ "executableCode": { "language": "PYTHON", "code": "1" }, "thoughtSignature": "c2ln" }]),
        json!([{ "newThing": { "a_b": 1 } }]),
        json!([{ "text": "t", "x_invented": { "a": null } }]),
        json!([]),
    ] {
        check_round(turns(json!([{ "role": "user", "parts": parts }])));
    }
    check_round(turns(
        json!([{ "parts": [{ "text": "a" }] }, { "role": "model" }, { "role": "function", "parts": [], "new": 1 }]),
    ));
    check_round(asked("systemInstruction", json!({ "role": "user", "parts": [{ "text": "a" }, { "text": "b" }] })));
    for tools in [
        json!([{ "functionDeclarations": [{ "name": "f", "parameters": { "type": "OBJECT", "properties": {} }, "behavior": "BLOCKING" },
            { "name": "1 odd name", "description": "d", "parametersJsonSchema": { "type": "object" }, "x": 1 }] }]),
        json!([{ "functionDeclarations": [{ "name": "f" }] }, { "functionDeclarations": [{ "name": "g" }], "googleSearch": {} }]),
        json!([{ "googleSearch": { "excludeDomains": ["a.b"] } }, { "urlContext": {} }, { "codeExecution": {} }, { "fileSearch": { "fileSearchStoreNames": ["s"] } }]),
        json!([{ "googleSearch": {}, "x_invented": true }]),
        json!([{ "newTool": { "a": 1 } }]),
    ] {
        check_round(asked("tools", tools));
    }
    for config in [
        json!({ "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["f"] } }),
        json!({ "functionCallingConfig": { "mode": "AUTO", "allowedFunctionNames": ["f", "g"] } }),
        json!({ "functionCallingConfig": { "mode": "VALIDATED", "streamFunctionCallArguments": true } }),
        json!({ "functionCallingConfig": { "allowedFunctionNames": ["f"] }, "retrievalConfig": { "languageCode": "en" } }),
        json!({ "includeServerSideToolInvocations": true, "new": 1 }),
    ] {
        check_round(asked("toolConfig", config));
    }
    for config in [
        json!({ "temperature": 0.70, "topP": 1, "topK": 40, "presencePenalty": -1.5, "frequencyPenalty": 0, "seed": 7,
            "candidateCount": 2, "maxOutputTokens": 10, "stopSequences": ["a", "b", "c", "d", "e", "f"], "logprobs": 3, "responseLogprobs": true }),
        json!({ "responseMimeType": "application/json", "responseSchema": { "type": "OBJECT", "properties": { "a": { "type": "STRING", "nullable": true } } } }),
        json!({ "responseMimeType": "application/json", "responseJsonSchema": { "type": "object" } }),
        json!({ "responseSchema": { "type": "ARRAY" } }),
        json!({ "responseMimeType": "text/x.enum", "responseSchema": { "enum": ["a"] } }),
        json!({ "responseMimeType": "text/plain" }),
        json!({ "thinkingConfig": { "thinkingBudget": -1, "includeThoughts": false } }),
        json!({ "thinkingConfig": { "thinkingLevel": "HIGH", "new": 1 } }),
        json!({ "responseModalities": ["AUDIO"], "speechConfig": { "voiceConfig": { "prebuiltVoiceConfig": { "voiceName": "Kore" } } } }),
        json!({ "responseModalities": ["TEXT", "IMAGE"], "imageConfig": { "aspectRatio": "1:1" }, "mediaResolution": "MEDIA_RESOLUTION_LOW" }),
        json!({ "newSetting": [1] }),
    ] {
        check_round(asked("generationConfig", config));
    }
    for (member, value) in [
        ("safetySettings", json!([{ "category": "C", "threshold": "T" }])),
        ("cachedContent", json!("cachedContents/x")),
        ("serviceTier", json!("FLEX")),
        ("labels", json!({ "team": "a" })),
        ("model", json!("models/gem-1")),
        ("x_invented", json!({ "a_b": null })),
    ] {
        check_round(asked(member, value));
    }
}

#[test]
fn both_spellings_mean_the_same() {
    let snake = json!({
        "system_instruction": { "parts": [{ "text": "s" }] },
        "contents": [{ "role": "model", "parts": [{ "function_call": { "name": "f", "args": { "snake_key": 1 } }, "thought_signature": "c2ln" }] },
            { "role": "user", "parts": [{ "function_response": { "name": "f", "response": { "snake_key": 2 } } },
                { "inline_data": { "mime_type": "image/png", "data": "-_8" } }, { "file_data": { "mime_type": "a/b", "file_uri": "gs://x" } }] }],
        "tools": [{ "function_declarations": [{ "name": "f", "parameters_json_schema": { "type": "object", "properties": { "snake_key": {} } } }] },
            { "google_search": {} }],
        "tool_config": { "function_calling_config": { "mode": "any", "allowed_function_names": ["f"] } },
        "generation_config": { "max_output_tokens": 5, "thinking_config": { "thinking_level": "low", "include_thoughts": true } },
        "safety_settings": []
    });
    let text = snake.to_string();
    let request = read_request(&text, 64).unwrap();
    let (out, _) = write_request(&request, &target(), &mut Losses::default()).unwrap();
    let expected = json!({
        "systemInstruction": { "parts": [{ "text": "s" }] },
        "contents": [{ "role": "model", "parts": [{ "functionCall": { "name": "f", "args": { "snake_key": 1 } }, "thoughtSignature": "c2ln" }] },
            { "role": "user", "parts": [{ "functionResponse": { "name": "f", "response": { "snake_key": 2 } } },
                { "inlineData": { "mimeType": "image/png", "data": "+/8=" } }, { "fileData": { "mimeType": "a/b", "fileUri": "gs://x" } }] }],
        "tools": [{ "functionDeclarations": [{ "name": "f", "parametersJsonSchema": { "type": "object", "properties": { "snake_key": {} } } }] },
            { "googleSearch": {} }],
        "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["f"] } },
        "generationConfig": { "maxOutputTokens": 5, "thinkingConfig": { "thinkingLevel": "LOW", "includeThoughts": true } },
        "safety_settings": []
    });
    assert_eq!(serde_json::from_slice::<Json>(&out).unwrap(), expected);
}

#[test]
fn calls_and_results_meet_by_id_else_by_name_and_order() {
    let call = |name: &str| json!({ "functionCall": { "name": name, "args": {} } });
    let result = |name: &str| json!({ "functionResponse": { "name": name, "response": { "result": name } } });
    let history = json!([
        { "role": "user", "parts": [{ "text": "go" }] },
        { "role": "model", "parts": [call("f"), call("g"), call("f")] },
        { "role": "user", "parts": [result("f"), result("f"), result("g")] },
        { "role": "model", "parts": [{ "functionCall": { "id": "own", "name": "h" } }, call("k")] },
        { "role": "user", "parts": [result("h"), { "functionResponse": { "id": "late", "name": "k", "response": {} } }] }
    ]);
    check_round(turns(history.clone()));
    read(&turns(history), |request| {
        let mut calls = Vec::new();
        let mut results = Vec::new();
        for part in request.turns.iter().flat_map(|turn| &turn.parts) {
            match &part.kind {
                PartKind::Call(call) => calls.push(call.id.clone().unwrap().decode().into_owned()),
                PartKind::Result(result) => results.push(result.call_id.clone().unwrap().decode().into_owned()),
                _ => {}
            }
        }
        let [f1, g, f2, own, k] = calls.as_slice() else { panic!("{calls:?}") };
        assert_eq!(results, [f1, f2, g, own, k].map(String::clone));
        assert_eq!((own.as_str(), k.as_str()), ("own", "late"));
        assert!(f1.starts_with("call_") && f1.len() == 29 && f1 != f2);
    });
}

#[test]
fn a_stand_in_is_no_state() {
    for text in ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="] {
        let body = turns(
            json!([{ "role": "model", "parts": [{ "functionCall": { "name": "f" }, "thoughtSignature": text }] }]),
        );
        check_round(body.clone());
        read(&body, |request| assert_eq!(request.turns[0].parts[0].state, None));
    }
}

#[test]
fn the_same_history_gets_the_same_ids() {
    let first = turns(json!([{ "role": "model", "parts": [{ "functionCall": { "name": "f" } }] }]));
    let mut longer = first.clone();
    longer["contents"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "role": "model", "parts": [{ "functionCall": { "name": "f" } }] }));
    let id = |body: &Json| {
        let body = body.to_string();
        let request = read_request(&body, 64).unwrap();
        let PartKind::Call(call) = &request.turns[0].parts[0].kind else { panic!() };
        call.id.clone().unwrap().decode().into_owned()
    };
    assert_eq!(id(&first), id(&longer));
}

#[test]
fn results_are_read_as_text() {
    let text = |response: Json| {
        let body = turns(
            json!([{ "role": "user", "parts": [{ "functionResponse": { "name": "f", "response": response } }] }]),
        )
        .to_string();
        let request = read_request(&body, 64).unwrap();
        let PartKind::Result(result) = &request.turns[0].parts[0].kind else { panic!() };
        let PartKind::Text(text) = &result.content[0].kind else { panic!() };
        (text.decode().into_owned(), result.is_error)
    };
    assert_eq!(text(json!({ "result": "a" })), ("a".into(), false));
    assert_eq!(text(json!({ "output": { "b": 1 } })), ("{\"b\":1}".into(), false));
    assert_eq!(text(json!({ "error": "bad" })), ("bad".into(), true));
    assert_eq!(text(json!({ "error": "bad", "x": 1 })), ("{\"error\":\"bad\",\"x\":1}".into(), false));
}

#[test]
fn settings_mean_what_others_can_say() {
    read(
        &asked(
            "generationConfig",
            json!({ "responseSchema": { "type": "OBJECT" }, "responseModalities": ["image", "TEXT"],
        "thinkingConfig": { "thinkingBudget": 0 } }),
        ),
        |request| {
            assert!(matches!(request.format, Some(Format::Schema { dialect: SchemaDialect::OpenApi, .. })));
            assert!(request.image_out);
            let wish = request.reasoning.as_ref().unwrap();
            assert_eq!((wish.mode, wish.budget, wish.effort), (Some(ReasoningMode::Disabled), Some(0), None));
        },
    );
    read(
        &asked(
            "generationConfig",
            json!({ "thinkingConfig": { "thinkingLevel": "MINIMAL" }, "responseModalities": ["AUDIO"] }),
        ),
        |request| {
            assert_eq!(request.reasoning.as_ref().unwrap().effort, Some(Effort::Minimal));
            assert!(request.audio_out.is_some());
        },
    );
    read(
        &asked(
            "tools",
            json!([{ "googleSearch": {} }, { "urlContext": {} }, { "codeExecution": {} }, { "googleMaps": {} }]),
        ),
        |request| {
            let kinds = request.tools.iter().map(|tool| match &tool.kind {
                ToolKind::Server { kind: ServerTool::WebSearch(_), .. } => "search",
                ToolKind::Server { kind: ServerTool::WebFetch, .. } => "fetch",
                ToolKind::Server { kind: ServerTool::CodeExecution, .. } => "code",
                ToolKind::Server { kind: ServerTool::Other(_), .. } => "other",
                _ => "function",
            });
            assert_eq!(kinds.collect::<Vec<_>>(), ["search", "fetch", "code", "other"]);
        },
    );
    read(
        &asked("toolConfig", json!({ "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["a", "b"] } })),
        |request| {
            assert!(
                matches!(&request.tool_choice, Some(ToolChoice::Allowed { required: true, names }) if names.len() == 2)
            );
        },
    );
}

#[test]
fn what_only_gemini_says_has_a_class() {
    let class_of = |member: &str| {
        let body = asked(member, json!([])).to_string();
        read_request(&body, 64).unwrap().extra[0].class
    };
    assert_eq!(class_of("safetySettings"), Class::Dropped);
    assert_eq!(class_of("cachedContent"), Class::Refused);
    assert_eq!(class_of("x_invented"), Class::Unknown);
    read(&turns(json!([{ "role": "user", "parts": [{ "text": "a", "videoMetadata": {}, "zz": 1 }] }])), |request| {
        let extra = &request.turns[0].parts[0].extra;
        assert_eq!(extra[1].path, "contents[0].parts[0].zz");
        assert_eq!((extra[0].class, extra[1].class), (Class::Dropped, Class::Unknown));
    });
}

#[test]
fn media_are_read_by_their_kind() {
    let parts = json!([
        { "inlineData": { "mimeType": "Audio/WAV", "data": "UklG" } },
        { "fileData": { "fileUri": "https://www.youtube.com/watch?v=x" } },
        { "fileData": { "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc", "mimeType": "video/mp4" } },
        { "fileData": { "fileUri": "https://a.b/c.pdf", "mimeType": "application/pdf" } }
    ]);
    read(&turns(json!([{ "parts": parts }])), |request| {
        assert_eq!(request.turns[0].role, Role::User);
        let media: Vec<_> = request.turns[0]
            .parts
            .iter()
            .filter_map(|part| match &part.kind {
                PartKind::Media(media) => Some(media),
                _ => None,
            })
            .collect();
        let kinds: Vec<_> = media.iter().map(|media| media.kind).collect();
        assert_eq!(kinds, [MediaKind::Audio, MediaKind::Video, MediaKind::Video, MediaKind::Document]);
        assert!(matches!(&media[0].source, Source::Base64 { mime, .. } if mime == "audio/wav"));
        assert!(matches!(&media[2].source, Source::File { .. }));
        assert!(matches!(&media[3].source, Source::Url { .. }));
    });
}

#[test]
fn a_wrong_field_is_named() {
    for (body, param) in [
        (json!([]), None),
        (json!({}), Some("contents")),
        (turns(json!("hi")), Some("contents")),
        (turns(json!([{ "role": "assistant", "parts": [] }])), Some("contents[0].role")),
        (turns(json!([{ "parts": [{ "text": 3 }] }])), Some("contents[0].parts[0].text")),
        (
            turns(json!([{ "parts": [{ "functionCall": { "args": {} } }] }])),
            Some("contents[0].parts[0].functionCall.name"),
        ),
        (asked("tools", json!([{ "functionDeclarations": [{}] }])), Some("tools[0].functionDeclarations[0].name")),
        (asked("generationConfig", json!({ "temperature": "hot" })), Some("generationConfig.temperature")),
        (asked("generationConfig", json!({ "maxOutputTokens": -1 })), Some("generationConfig.maxOutputTokens")),
        (
            asked("toolConfig", json!({ "functionCallingConfig": { "mode": "X" } })),
            Some("toolConfig.functionCallingConfig.mode"),
        ),
    ] {
        let text = body.to_string();
        assert_eq!(read_request(&text, 64).unwrap_err().param.as_deref(), param, "{text}");
    }
    assert!(read_request("{", 64).unwrap_err().message.starts_with("the body is not valid JSON"));
    assert!(read_request(&format!("{}1{}", "[".repeat(99), "]".repeat(99)), 64).is_err());
}
