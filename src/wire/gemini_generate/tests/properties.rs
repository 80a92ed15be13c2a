//! What holds for all requests and answers, made of Gemini's own words in every wrong and right place.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{read_stream, target};
use crate::wire::Protocol;
use crate::wire::gemini_generate::{GeminiReader, count, embed, read_request, write_request};
use crate::wire::ir::{Event, EventReader, Losses, Quirk, Quirks, Target};
use crate::wire::json::{LoneSurrogates, Value};
use crate::wire::schema;

const WORDS: [&str; 60] = [
    "contents",
    "role",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "thought_signature",
    "inlineData",
    "mimeType",
    "data",
    "fileData",
    "fileUri",
    "functionCall",
    "function_call",
    "id",
    "name",
    "args",
    "partialArgs",
    "jsonPath",
    "stringValue",
    "willContinue",
    "functionResponse",
    "response",
    "result",
    "error",
    "executableCode",
    "systemInstruction",
    "tools",
    "functionDeclarations",
    "parameters",
    "parametersJsonSchema",
    "googleSearch",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "allowedFunctionNames",
    "generationConfig",
    "temperature",
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "thinkingConfig",
    "thinkingBudget",
    "thinkingLevel",
    "includeThoughts",
    "safetySettings",
    "labels",
    "candidates",
    "content",
    "finishReason",
    "usageMetadata",
    "promptTokenCount",
    "groundingMetadata",
    "groundingChunks",
    "groundingSupports",
    "segment",
    "index",
    "type",
    "properties",
    "x_invented",
];
const TEXTS: [&str; 16] = [
    "",
    "user",
    "model",
    "function",
    "STOP",
    "MAX_TOKENS",
    "AUTO",
    "ANY",
    "HIGH",
    "image/png",
    "c2ln",
    "cWcxLmFtLi4=",
    "application/json",
    "https://a.b/c.png",
    "$.a[0].b",
    "call_1",
];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-2i64..300).prop_map(Json::from),
        prop::sample::select(TEXTS.to_vec()).prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((word(), inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn part() -> impl Strategy<Value = Json> {
    let name = || prop::sample::select(vec!["f", "g", "1 odd"]);
    let kind = prop_oneof![
        prop::sample::select(TEXTS.to_vec()).prop_map(|text| json!({ "text": text })),
        name().prop_map(|name| json!({ "functionCall": { "name": name, "args": { "a": 1.5 } } })),
        (name(), prop::sample::select(vec!["i", "j"]))
            .prop_map(|(name, id)| json!({ "functionCall": { "name": name, "id": id } })),
        name().prop_map(|name| json!({ "functionResponse": { "name": name, "response": { "result": "r" } } })),
        prop::sample::select(vec!["i", "j"])
            .prop_map(|id| json!({ "functionResponse": { "name": "f", "id": id, "response": { "error": 1 } } })),
        Just(json!({ "inlineData": { "mimeType": "image/png", "data": "iVBO" } })),
        Just(json!({ "executableCode": { "code": "1" } })),
        Just(json!({})),
    ];
    let modifier = prop_oneof![
        Just(None),
        Just(Some(("thought", json!(true)))),
        Just(Some(("thoughtSignature", json!("c2ln")))),
        Just(Some(("x_invented", json!({ "a": [1] })))),
    ];
    (kind, modifier).prop_map(|(mut part, modifier)| {
        if let Some((name, value)) = modifier {
            part[name] = value;
        }
        part
    })
}

fn request() -> impl Strategy<Value = Json> {
    let content = (prop::sample::select(vec!["user", "model"]), prop::collection::vec(part(), 0..4))
        .prop_map(|(role, parts)| json!({ "role": role, "parts": parts }));
    let extras = prop::collection::vec((word(), document()), 0..2);
    (prop::collection::vec(content, 0..6), extras).prop_map(|(contents, extras)| {
        let mut body: serde_json::Map<String, Json> = extras.into_iter().collect();
        body.insert("contents".into(), contents.into());
        Json::Object(body)
    })
}

/// As every other protocol's writer of Gemini requests would be asked, with every quirk on and off.
fn write_as_foreign(body: &str) {
    let Ok(mut request) = read_request(body, 64) else { return };
    let bits = [
        &[][..],
        &[Quirk::Vertex, Quirk::SignedCalls],
        &[Quirk::NoSchemaWithTools, Quirk::NoMediaInResults, Quirk::HttpsFiles],
    ];
    for protocol in Protocol::ALL {
        request.protocol = protocol;
        for quirks in bits {
            let target = Target { quirks: Quirks::of(quirks), ..target() };
            if let Ok((out, _)) = write_request(&request, &target, &mut Losses::default()) {
                serde_json::from_slice::<Json>(&out).expect("what is written is JSON");
            }
        }
    }
}

/// Every content of a model is followed by as many results as it has calls, in their order.
fn check_answered(out: &Json) {
    let contents = out["contents"].as_array().unwrap();
    let names = |content: &Json, kind: &str| -> Vec<String> {
        let parts = content["parts"].as_array().unwrap();
        parts.iter().filter_map(|part| part[kind]["name"].as_str().map(str::to_owned)).collect()
    };
    for pair in contents.windows(2) {
        let calls = names(&pair[0], "functionCall");
        assert_eq!(calls, names(&pair[1], "functionResponse"));
        assert!(pair[0]["role"] != pair[1]["role"]);
    }
    assert!(contents.iter().all(|content| !content["parts"].as_array().unwrap().is_empty()));
    assert_eq!(contents[0]["role"], "user");
}

proptest! {
    #[test]
    fn reading_and_writing_never_panics(body in document()) {
        let text = body.to_string();
        write_as_foreign(&text);
        let _ = count::read_request(&text, 64);
        let _ = embed::read_request(&text, true, 64);
        let _ = embed::read_openai_request(&text, 64);
        let _ = embed::read_answer(&text);
        read_stream([text.as_str(), text.as_str()]);
        let _ = GeminiReader::new("a").read_whole(&text, &mut Vec::<Event<'static>>::new());
        let value = Value::parse(&text, 64, LoneSurrogates::Refused).unwrap();
        let (clean, _) = schema::for_gemini(&value);
        prop_assert!(clean.as_object().is_some());
        schema::from_openapi(&value);
        schema::is_openai_strict(&value);
    }

    #[test]
    fn a_request_comes_back_as_it_was(body in request()) {
        let text = body.to_string();
        write_as_foreign(&text);
        let Ok(request) = read_request(&text, 64) else { return Ok(()) };
        let (once, undo) = write_request(&request, &target(), &mut Losses::default()).unwrap();
        prop_assert!(undo.is_empty());
        let once = String::from_utf8(once).unwrap();
        let written: Json = serde_json::from_str(&once).unwrap();
        prop_assert_eq!(&written["contents"], &body["contents"]);
        let again = read_request(&once, 64).unwrap();
        let (twice, _) = write_request(&again, &target(), &mut Losses::default()).unwrap();
        prop_assert_eq!(String::from_utf8(twice).unwrap(), once);
    }

    #[test]
    fn calls_and_results_are_laid_out_as_gemini_insists(body in request()) {
        let mut contents = body["contents"].clone();
        for content in contents.as_array_mut().unwrap() {
            let user = content["role"] == "user";
            // No call of the user's, and nothing that only Gemini can say.
            content["parts"].as_array_mut().unwrap().retain(|part| {
                !(user && part["functionCall"].is_object()) && (part["text"].is_string() || part["thought"].is_null())
            });
        }
        let text = json!({ "contents": contents }).to_string();
        let mut request = read_request(&text, 64).unwrap();
        request.protocol = Protocol::OpenAiChat;
        for turn in &mut request.turns {
            turn.parts.iter_mut().for_each(|part| part.extra.clear());
            turn.extra.clear();
        }
        // Results without a call are refused.
        let Ok((out, _)) = write_request(&request, &target(), &mut Losses::default()) else { return Ok(()) };
        check_answered(&serde_json::from_slice(&out).unwrap());
    }
}
