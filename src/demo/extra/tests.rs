//! Embeddings and their kin without sockets.

use serde_json::{Value, json};

use super::super::seen::State;
use super::super::serve::{self, Asked};
use super::super::testing::{events, ok, refused, script, sent, with};

#[test]
fn embeddings_are_the_same_in_both_encodings() {
    let state = State::new(1);
    let body = json!({"model": "m", "input": ["a", "b"], "dimensions": 4});
    let floats = ok(&state, "/v1/embeddings", &body);
    let base64 = ok(&state, "/embeddings", &with(body, json!({"encoding_format": "base64"})));
    let bytes = data_encoding::BASE64.decode(base64["data"][1]["embedding"].as_str().unwrap().as_bytes()).unwrap();
    let values: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    let told: Vec<f32> =
        floats["data"][1]["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    assert_eq!((&values, values.len()), (&told, 4));
    assert!((values.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_ne!(floats["data"][0]["embedding"], floats["data"][1]["embedding"]);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
    let numbers = ok(&state, "/v1/embeddings", &json!({"model": "m", "input": [[1, 2, 3], [4]]}));
    assert_eq!(numbers["usage"]["total_tokens"], 4);
    assert_eq!(refused(&state, "/v1/embeddings", &json!({"model": "m", "input": ""})).0, 400);
    assert_eq!(refused(&state, "/v1/embeddings", &json!({"model": "m--e503", "input": "a"})).0, 503);
}

#[test]
fn documents_that_share_words_come_first() {
    let body = json!({"model": "m", "query": "red fox", "documents": ["a blue whale", {"text": "The Red fox"}, "red"], "top_n": 2, "return_documents": true});
    let answer = ok(&State::new(1), "/v1/rerank", &body);
    let results = answer["results"].as_array().unwrap();
    assert_eq!((&results[0]["index"], &results[0]["relevance_score"]), (&json!(1), &json!(1.0)));
    assert_eq!((&results[1]["index"], &results[1]["document"]["text"], results.len()), (&json!(2), &json!("red"), 2));
}

#[test]
fn violence_is_flagged() {
    let answer = ok(&State::new(1), "/v1/moderations", &json!({"input": ["a flower", "Violence!"]}));
    let flagged: Vec<&Value> = answer["results"].as_array().unwrap().iter().map(|result| &result["flagged"]).collect();
    assert_eq!(flagged, [false, true]);
    assert_eq!(answer["results"][1]["categories"]["violence"], true);
}

#[test]
fn legacy_completions_are_whole_and_streamed() {
    let state = State::new(1);
    let body = json!({"model": "m", "prompt": "Say it", "stop": "You", "n": 2});
    let answer = ok(&state, "/v1/completions", &body);
    assert_eq!(
        (&answer["object"], &answer["choices"][1]["text"]),
        (&json!("text_completion"), &json!("Hello from the demo upstream. "))
    );
    let text = sent(&script(
        &state,
        "/completions",
        &with(body, json!({"stream": true, "stream_options": {"include_usage": true}})),
    ));
    let text = text.strip_suffix("data: [DONE]\n\n").unwrap();
    let events = events(text, "\n\n");
    let said: String = events
        .iter()
        .flat_map(|(_, data)| data["choices"].as_array().unwrap())
        .filter(|choice| choice["index"] == 1)
        .filter_map(|choice| choice["text"].as_str())
        .collect();
    assert_eq!(
        (said.as_str(), &events.last().unwrap().1["usage"]),
        ("Hello from the demo upstream. ", &answer["usage"])
    );
}

#[test]
fn models_are_listed_in_the_asking_vendors_form() {
    let get = |target: &str, versioned| {
        let script = serve::answer(&State::new(1), Asked { method: "GET", target, versioned, body: b"" });
        serde_json::from_str::<Value>(&sent(&script)).unwrap()
    };
    assert_eq!(get("/v1/models", false)["data"][0]["object"], "model");
    assert_eq!(get("/v1/models", true)["data"][0]["type"], "model");
    assert_eq!(get("/v1/models/x", true)["display_name"], "x");
    assert_eq!(get("/v1beta/models?key=k", false)["models"][0]["name"], "models/demo");
    assert_eq!(get("/v1beta/models/x", false)["name"], "models/x");
}

#[test]
fn every_path_has_its_protocol() {
    for (path, protocol) in [
        ("/v1/chat/completions", Some("openai.chat")),
        ("/responses", Some("openai.responses")),
        ("/v1/responses/input_tokens", Some("openai.responses")),
        ("/x/v1/messages?beta=true", Some("anthropic.messages")),
        ("/v1/models/m:streamGenerateContent?alt=sse", Some("gemini.generate")),
        ("/v1/projects/p/locations/l/publishers/google/models/m:countTokens", Some("gemini.generate")),
        ("/v1/embeddings", None),
        ("/v1/models/m:unknown", None),
    ] {
        assert_eq!(serve::protocol_of(path), protocol, "{path}");
    }
}
