//! The judges judged: a checker that sees nothing missing proves nothing.

use serde_json::Value;

use super::complete::missing;
use super::decode::{Shape, decode};
use super::drive::{Way, whole};
use super::fixtures;
use super::requests::with_model;
use super::targets::{Written, plain, read, write};
use crate::wire::Protocol;

/// Every text and datum of a request that is taken out of its translation is missed.
#[test]
fn what_is_taken_out_of_a_request_is_missed() {
    let (mut taken, mut unseen) = (0, Vec::new());
    for protocol in Protocol::ALL {
        for (name, body) in fixtures::requests(protocol) {
            // Tools that may not be called may be left out.
            if name == "allowed_tools" || body.contains("allowedFunctionNames") {
                continue;
            }
            let body = with_model(&body);
            let value: Value = serde_json::from_str(&body).unwrap();
            let request = read(protocol, &body).unwrap();
            for to in Protocol::ALL.into_iter().filter(|to| *to != protocol) {
                let Ok(written) = write(to, &request, &plain(to)) else { continue };
                let out = String::from_utf8(written.body.clone()).unwrap();
                for text in texts(&value) {
                    if !out.contains(&text) {
                        continue;
                    }
                    let less = Written { body: out.replace(&text, "GONE").into_bytes(), ..written.clone() };
                    let less_out = serde_json::from_slice(&less.body).unwrap();
                    let missed = missing(protocol, to, &value, &less_out, &less, &plain(to));
                    if missed.is_empty() {
                        unseen.push(format!("{protocol:?} {name} to {to:?}: {text:?}"));
                    }
                    taken += 1;
                }
            }
        }
    }
    assert!(unseen.is_empty(), "not missed: {unseen:#?}");
    assert!(taken > 200, "only {taken}");
}

/// Sentences and data of a request: what cannot stand there by chance.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.len() > 6 && text.contains([' ', '=']) && !text.contains(['"', ':', '\n']) => {
            vec![text.clone()]
        }
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(object) => object.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Every event that is taken out of a stream is missed: by its grammar, or by what it said.
#[test]
fn what_is_taken_out_of_a_stream_is_missed() {
    for case in fixtures::answers() {
        for client in Protocol::ALL.into_iter().filter(|client| *client != case.protocol) {
            let way = Way::new(case.protocol, case.shape, client, Shape::Stream);
            let out = String::from_utf8(whole(&way, &case.response)).unwrap();
            let all = decode(client, Shape::Stream, out.as_bytes(), true);
            let frames: Vec<&str> = out.split_inclusive("\n\n").collect();
            for at in 0..frames.len() {
                // As the vendor itself says a call without arguments.
                if frames[at].contains("\"partial_json\":\"\"") || frames[at].contains("\"partial_json\":\"{}\"") {
                    continue;
                }
                // An error may end a stream within a block or behind it.
                if all.error.is_some() && frames[at].starts_with("event: content_block_stop") {
                    continue;
                }
                let less: String =
                    frames.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, frame)| *frame).collect();
                let seen = decode(client, Shape::Stream, less.as_bytes(), true);
                assert!(seen != all, "{} {way:?}: nobody misses {}", case.id, frames[at]);
            }
        }
    }
}
