//! What a Gemini answer may look like beside what was recorded.

use serde_json::json;

use super::recordings::fold;
use super::{read_stream, read_whole};
use crate::wire::gemini_generate::GeminiReader;
use crate::wire::ir::{BlockKind, Event, EventReader, Outcome, StopReason};
use crate::wire::json::Str;

fn chunk(parts: serde_json::Value) -> String {
    json!({ "candidates": [{ "content": { "role": "model", "parts": parts } }] }).to_string()
}

fn stop() -> String {
    json!({ "candidates": [{ "finishReason": "STOP" }] }).to_string()
}

/// Each block as a word and what it holds.
fn blocks(chunks: &[String]) -> Vec<(String, String)> {
    let answer = fold(read_stream(chunks.iter().map(String::as_str))).answer;
    let block = |block: &crate::wire::ir::AnswerBlock| {
        let kind = match &block.kind {
            BlockKind::Call { name, .. } => format!("call {}", name.decode()),
            BlockKind::Foreign { what, .. } => format!("foreign {what}"),
            BlockKind::Reasoning { .. } => "thought".to_owned(),
            BlockKind::Media { mime, .. } => mime.to_string(),
            BlockKind::Text => "text".to_owned(),
            BlockKind::Refusal => "refusal".to_owned(),
        };
        let state = block.state.as_ref().map(|state| format!(" #{}", state.payload.decode())).unwrap_or_default();
        (format!("{kind}{state}"), block.text().decode().into_owned())
    };
    answer.choices[0].blocks.iter().map(block).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(kind, text)| ((*kind).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn state_stays_with_its_part() {
    let chunks = [
        chunk(json!([{ "text": "hm", "thought": true }, { "text": "", "thought": true, "thoughtSignature": "s1" }])),
        chunk(json!([{ "text": "Hel" }])),
        chunk(json!([{ "text": "lo" }, { "text": "", "thoughtSignature": "s2" }])),
        chunk(json!([{ "text": "more" }, { "functionCall": { "name": "f" }, "thoughtSignature": "s3" }])),
        chunk(json!([{ "thoughtSignature": "s4" }])),
        stop(),
    ];
    let expected =
        [("thought #s1", "hm"), ("text #s2", "Hello"), ("text", "more"), ("call f #s3", "{}"), ("text #s4", "")];
    assert_eq!(blocks(&chunks), pairs(&expected));
}

#[test]
fn pieces_of_arguments_become_a_document() {
    let piece = |args: serde_json::Value, more: bool| {
        chunk(json!([{ "functionCall": { "partialArgs": args, "willContinue": more } }]))
    };
    let chunks = [
        chunk(json!([{ "functionCall": { "name": "f", "willContinue": true }, "thoughtSignature": "s" }])),
        piece(json!([{ "jsonPath": "$.a.b[0].c", "stringValue": "x\n", "willContinue": true }]), true),
        piece(json!([{ "jsonPath": "$.a.b[0].c", "stringValue": "y" }]), true),
        piece(
            json!([{ "jsonPath": "$.a.b[1]", "numberValue": 1.50 }, { "jsonPath": "$['d e']", "boolValue": false }]),
            true,
        ),
        piece(
            json!([{ "jsonPath": "$.n", "nullValue": "NULL_VALUE" }, { "jsonPath": "$", "stringValue": "no" }]),
            true,
        ),
        chunk(json!([{ "functionCall": {} }])),
        chunk(json!([{ "functionCall": { "name": "g", "willContinue": true } }])),
        stop(),
    ];
    let expected = [("call f #s", r#"{"a":{"b":[{"c":"x\ny"},1.5]},"d e":false,"n":null}"#), ("call g", "{}")];
    assert_eq!(blocks(&chunks), pairs(&expected));
}

#[test]
fn a_hostile_path_grows_nothing() {
    let args = json!([
        { "jsonPath": "$.a[99999999999]", "stringValue": "x" },
        { "jsonPath": "$.a[4000000]", "stringValue": "x" },
        { "jsonPath": format!("${}", ".a".repeat(5000)), "stringValue": "x" },
        { "jsonPath": "$.[", "stringValue": "x" },
        { "jsonPath": "$..a", "stringValue": "x" },
    ]);
    let found = blocks(&[chunk(json!([{ "functionCall": { "name": "f", "partialArgs": args } }])), stop()]);
    assert!(found[0].1.len() < 100, "{found:?}");
}

#[test]
fn calls_are_told_by_their_presence() {
    let finish = |word: &str, call: bool| {
        let parts =
            if call { json!([{ "functionCall": { "name": "f", "args": {} } }]) } else { json!([{ "text": "t" }]) };
        let body = json!({ "candidates": [{ "content": { "parts": parts }, "finishReason": word }] }).to_string();
        fold(read_whole(&body)).answer.choices[0].finish.clone().unwrap().reason
    };
    assert_eq!(finish("STOP", true), StopReason::ToolCalls);
    assert_eq!(finish("STOP", false), StopReason::Done);
    assert_eq!(finish("MAX_TOKENS", true), StopReason::Length);
    assert_eq!(finish("SAFETY", true), StopReason::Filtered);
    assert_eq!(finish("IMAGE_RECITATION", false), StopReason::Filtered);
    assert_eq!(finish("TOO_MANY_TOOL_CALLS", true), StopReason::BadCall);
    assert_eq!(finish("SOMETHING_NEW", false), StopReason::Unknown);
}

#[test]
fn a_refused_prompt_is_an_answer() {
    let body = json!({
        "promptFeedback": { "blockReason": "JAILBREAK", "blockReasonMessage": "no" },
        "usageMetadata": { "promptTokenCount": 7, "totalTokenCount": 7 }
    });
    for events in [read_stream([body.to_string().as_str()]), read_whole(&body.to_string())] {
        let answer = fold(events).answer;
        let finish = answer.choices[0].finish.clone().unwrap();
        assert_eq!((finish.reason, finish.native), (StopReason::Filtered, Some(Str::plain("JAILBREAK"))));
        assert_eq!(answer.usage.unwrap().input_total, 7);
        assert!(answer.ended);
    }
}

#[test]
fn the_last_counts_hold_and_empty_ones_are_none() {
    let counts = |prompt: u64, answer: u64| {
        json!({ "candidates": [{ "content": { "parts": [{ "text": "a" }] }, "finishReason": "STOP" }],
            "usageMetadata": { "promptTokenCount": prompt, "candidatesTokenCount": answer, "trafficType": "ON_DEMAND",
                "promptTokensDetails": [{ "modality": "AUDIO", "tokenCount": 5 }],
                "cacheTokensDetails": [{ "modality": "AUDIO", "tokenCount": 2 }] } })
        .to_string()
    };
    let usage = fold(read_stream([counts(15, 1).as_str(), &counts(13, 4), &stop()])).answer.usage.unwrap();
    assert_eq!((usage.input_total, usage.output_total, usage.audio_in), (13, 4, 3));
    let none = json!({ "candidates": [{ "finishReason": "STOP" }], "usageMetadata": { "promptTokenCount": 0 } });
    assert_eq!(fold(read_whole(&none.to_string())).answer.usage, None);
}

#[test]
fn a_stream_without_a_reason_is_truncated() {
    let mut reader = GeminiReader::new("acme");
    let mut events: Vec<Event<'static>> = Vec::new();
    reader.read_event(None, &chunk(json!([{ "text": "half" }])), &mut events);
    assert_eq!(reader.end(&mut events), Outcome::Truncated);
    assert!(!events.iter().any(|event| matches!(event, Event::Finish(_) | Event::End)));
    assert_eq!(GeminiReader::new("acme").end(&mut events), Outcome::Truncated);
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let error = json!({ "error": { "code": 503, "message": "overloaded", "status": "UNAVAILABLE",
        "details": [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.25s" }] } });
    for data in [error.to_string(), json!([error]).to_string()] {
        let mut reader = GeminiReader::new("acme");
        let mut events: Vec<Event<'static>> = Vec::new();
        reader.read_event(None, &chunk(json!([{ "text": "half" }])), &mut events);
        reader.read_event(None, &data, &mut events);
        reader.read_event(None, &stop(), &mut events);
        assert_eq!(reader.end(&mut events), Outcome::Errored);
        let Some(Event::Failed(failed)) = events.last() else { panic!("{events:?}") };
        assert_eq!(
            (failed.message.as_str(), failed.status, failed.retry_after_ms),
            ("overloaded", Some(503), Some(17250))
        );
    }
    let mut reader = GeminiReader::new("acme");
    reader.read_event(None, "<html>", &mut Vec::<Event<'static>>::new());
    assert!(reader.done());
}

#[test]
fn what_is_no_answer_is_said_in_words() {
    for body in ["{}", "[]", "nonsense", "{\"candidates\":[]}", "{\"object\":\"list\"}", "[[]]"] {
        let mut reader = GeminiReader::new("acme");
        assert!(reader.read_whole(body, &mut Vec::<Event<'static>>::new()).is_err(), "{body}");
    }
}

#[test]
fn citations_count_characters() {
    let body = json!({ "candidates": [{
        "content": { "parts": [{ "text": "hm", "thought": true }, { "text": "né à Zoé." }] },
        "finishReason": "STOP",
        "groundingMetadata": {
            "webSearchQueries": ["q"],
            "groundingChunks": [{ "web": { "uri": "http://a", "title": "A" } }, { "web": { "uri": "http://b" } }],
            "groundingSupports": [
                { "segment": { "partIndex": 1, "startIndex": 4, "endIndex": 11, "text": "à Zoé" }, "groundingChunkIndices": [0, 1] },
                { "segment": { "startIndex": 900, "endIndex": 904, "text": "né" }, "groundingChunkIndices": [0] }
            ]
        }
    }] });
    let events = read_whole(&body.to_string());
    let answer = fold(events.clone()).answer;
    let spans: Vec<_> = answer.choices[0].blocks[1]
        .citations
        .iter()
        .map(|c| (c.url.clone().unwrap().decode().into_owned(), c.span))
        .collect();
    let expected = [("http://a", Some((3, 8))), ("http://b", Some((3, 8))), ("http://a", Some((0, 2)))];
    assert_eq!(spans, expected.map(|(url, span)| (url.to_owned(), span)));
}

#[test]
fn several_candidates_are_kept_apart() {
    let body = json!({ "candidates": [
        { "index": 1, "content": { "parts": [{ "text": "b" }] } },
        { "index": 0, "content": { "parts": [{ "text": "a" }] }, "finishReason": "STOP" }
    ] });
    let last = json!({ "candidates": [{ "index": 1, "content": { "parts": [{ "text": "c" }] }, "finishReason": "MAX_TOKENS" }] });
    let mut answer = fold(read_stream([body.to_string().as_str(), &last.to_string()])).answer;
    assert_eq!(answer.choice(0).blocks[0].text().decode(), "a");
    assert_eq!(answer.choice(1).blocks[0].text().decode(), "bc");
    assert_eq!(answer.choice(1).finish.clone().unwrap().reason, StopReason::Length);
}

#[test]
fn relays_may_wrap_and_add() {
    let inner: serde_json::Value =
        serde_json::from_str(&chunk(json!([{ "text": "a" }, { "newThing": { "x": 1 } }]))).unwrap();
    let chunks = [json!({ "response": inner }).to_string(), "{\"unknown\":1}".to_owned(), "[DONE]".to_owned(), stop()];
    assert_eq!(blocks(&chunks), pairs(&[("text", "a"), ("foreign newThing", "")]));
}

#[test]
fn no_input_panics() {
    let odd = [
        "null",
        "[]",
        "3",
        "\"x\"",
        "{\"candidates\":{}}",
        "{\"candidates\":[1,null,{}]}",
        "{\"candidates\":[{\"index\":-1}]}",
        "{\"candidates\":[{\"content\":[]}]}",
        "{\"candidates\":[{\"content\":{\"parts\":{}}}]}",
        "{\"candidates\":[{\"content\":{\"parts\":[1,null,{},{\"text\":1},{\"functionCall\":3},{\"functionCall\":{}},{\"inlineData\":1}]}}]}",
        "{\"candidates\":[{\"groundingMetadata\":{\"groundingSupports\":[{\"segment\":{\"startIndex\":9,\"endIndex\":1},\"groundingChunkIndices\":[7]}]}}]}",
        "{\"usageMetadata\":[]}",
        "{\"promptFeedback\":1}",
        "{\"error\":null}",
        "{\"error\":\"text\"}",
        "{\"logprobsResult\":1}",
        "{\"createTime\":\"99\",\"candidates\":[{\"logprobsResult\":{\"chosenCandidates\":[1]},\"finishReason\":\"STOP\"}]}",
    ];
    for one in odd {
        for other in odd {
            read_stream([one, other]);
        }
        let _ = GeminiReader::new("a").read_whole(one, &mut Vec::<Event<'static>>::new());
    }
}

#[test]
fn times_become_seconds() {
    let created = |time: &str| {
        let body = json!({ "createTime": time, "candidates": [{ "finishReason": "STOP" }] }).to_string();
        fold(read_whole(&body)).answer.start.created
    };
    assert_eq!(created("2026-08-21T09:30:00.123456Z"), Some(1_787_304_600));
    assert_eq!(created("2024-02-29T23:59:59Z"), Some(1_709_251_199));
    assert_eq!(created("soon"), None);
}
