use serde_json::{Value as Json, json};

use crate::wire::gemini_generate::embed::{self, Embeddings, Input};
use crate::wire::ir::Losses;

fn losses_of(losses: &Losses) -> Vec<String> {
    use crate::wire::Protocol;
    losses.iter().map(|loss| loss.feature.param(Protocol::GeminiGenerate).into_owned()).collect()
}

#[test]
fn geminis_texts_are_openais() {
    let body = json!({ "requests": [
        { "model": "models/e", "content": { "parts": [{ "text": "a" }] }, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 3 },
        { "content": { "parts": [{ "text": "b" }, { "text": "c" }] }, "output_dimensionality": 3, "title": "t" }
    ] })
    .to_string();
    let request = embed::read_request(&body, true, 64).unwrap();
    let mut losses = Losses::default();
    let out: Json = serde_json::from_slice(&embed::write_openai_request(&request, "e2", &mut losses)).unwrap();
    assert_eq!(out, json!({ "model": "e2", "input": ["a", "b\nc"], "dimensions": 3, "encoding_format": "float" }));
    assert_eq!(losses_of(&losses), ["requests[0].taskType", "requests[1].title"]);
    let one = json!({ "content": { "parts": [{ "text": "a" }] } }).to_string();
    let request = embed::read_request(&one, false, 64).unwrap();
    assert!(!request.batch);
    let out: Json = serde_json::from_slice(&embed::write_openai_request(&request, "e2", &mut losses)).unwrap();
    assert_eq!(out["input"], "a");
}

#[test]
fn openais_texts_are_geminis() {
    let body = json!({ "model": "e", "input": ["a", "b"], "dimensions": 2, "encoding_format": "base64", "user": "u", "odd": 1 }).to_string();
    let request = embed::read_openai_request(&body, 64).unwrap();
    assert!(request.base64);
    let mut losses = Losses::default();
    let out: Json = serde_json::from_slice(&embed::write_request(&request, "g", &mut losses).unwrap()).unwrap();
    let one = |text: &str| json!({ "model": "models/g", "content": { "parts": [{ "text": text }] }, "outputDimensionality": 2 });
    assert_eq!(out, json!({ "requests": [one("a"), one("b")] }));
    assert_eq!(losses_of(&losses), ["odd", "user"]);
    let tokens = embed::read_openai_request("{\"model\":\"e\",\"input\":[1,2]}", 64).unwrap();
    assert!(matches!(tokens.inputs.as_slice(), [Input::Tokens(_)]));
    assert!(embed::write_request(&tokens, "g", &mut losses).is_err());
    assert!(embed::read_openai_request("{\"model\":\"e\"}", 64).is_err());
}

#[test]
fn vectors_survive_every_form() {
    let made = Embeddings { vectors: vec![vec![0.013168523, -1.0, 1e-10], vec![3.0]], input_tokens: Some(4) };
    for base64 in [false, true] {
        let body = String::from_utf8(embed::write_openai_answer(&made, base64, "e")).unwrap();
        assert_eq!(embed::read_openai_answer(&body), Some(made.clone()));
    }
    let body = String::from_utf8(embed::write_answer(&made, true)).unwrap();
    assert_eq!(embed::read_answer(&body), Some(made.clone()));
    assert!(body.starts_with("{\"embeddings\":[{\"values\":[0.013168523,-1,0.0000000001]}"), "{body}");
    let one = Embeddings { vectors: vec![vec![0.5]], input_tokens: None };
    let body = String::from_utf8(embed::write_answer(&one, false)).unwrap();
    assert_eq!(body, "{\"embedding\":{\"values\":[0.5]}}");
    assert_eq!(embed::read_answer(&body), Some(one));
    // One, in the four bytes of a little-endian float.
    let body = "{\"data\":[{\"index\":0,\"embedding\":\"AACAPw==\"}]}";
    assert_eq!(embed::read_openai_answer(body).unwrap().vectors, [[1.0]]);
    for odd in ["{}", "{\"data\":[{\"embedding\":\"AAA=\"}]}", "{\"data\":[{\"embedding\":[\"x\"]}]}", "x"] {
        assert_eq!(embed::read_openai_answer(odd), None);
        assert_eq!(embed::read_answer(odd), None);
    }
}
