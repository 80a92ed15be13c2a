//! Recorded requests, from their protocol to each other: refused by a parameter that they have, or said completely, or what is
//! left out is declared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::complete::{missing, names_a_param};
use super::recordings::{Score, cases, short_name};
use super::targets::{plain, read, targets, write};
use crate::wire::Protocol;
use crate::wire::ir::{Quirk, Quirks, ReasoningStyle};

/// The body with a model, which Azure and GM name in the path.
pub fn with_model(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap();
    match value.get("model") {
        Some(_) => body.to_owned(),
        None => body.replacen('{', r#"{"model":"named-in-the-path","#, 1),
    }
}

/// A panic is a failure like another, with a line of its own.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|_| "it panics".to_owned())
}

#[test]
fn recorded_requests_are_said_completely_or_declared() {
    let mut score = Score::default();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases() {
        let Some(body) = &case.request else { continue };
        let gemini = case.protocol == Protocol::GeminiGenerate;
        let body = if gemini { body.clone() } else { with_model(body) };
        let value: Value = serde_json::from_str(&body).unwrap();
        let mut request = match caught(|| read(case.protocol, &body)) {
            Ok(Ok(request)) => request,
            Err(panic) => {
                score.add("read", "readable", false);
                score.failures.push(format!("{}: {panic}", case.id));
                continue;
            }
            Ok(Err(error)) => {
                score.add("read", "readable", false);
                score.failures.push(format!("{} is not read: {:?} {error}", case.id, error.param));
                continue;
            }
        };
        score.add("read", "readable", true);
        if gemini {
            request.model = "named-in-the-path".into();
            request.stream = case.stream;
        }
        for (name, to, target) in targets() {
            if to == case.protocol {
                continue;
            }
            let pair = format!("{} {name}", short_name(case.protocol));
            let problems = match caught(|| write(to, &request, &target)) {
                Err(panic) => vec![panic],
                Ok(Ok(written)) => {
                    score.add(&pair, "written", true);
                    match serde_json::from_slice(&written.body) {
                        Ok(out) => missing(case.protocol, to, &value, &out, &written, &target),
                        Err(error) => vec![format!("no JSON is written: {error}")],
                    }
                }
                Ok(Err(refusal)) => {
                    score.add(&pair, "written", false);
                    *refused.entry(format!("{pair}: {}: {}", refusal.param, refusal.message)).or_default() += 1;
                    let named = names_a_param(&value, &refusal.param);
                    if named { Vec::new() } else { vec![format!("refused for {:?}, which it has not", refusal.param)] }
                }
            };
            score.add(&pair, "complete or declared", problems.is_empty());
            if !problems.is_empty() {
                score.failures.push(format!("{pair} {}: {}", case.id, problems.join(" | ")));
            }
        }
    }
    score.print("requests");
    refused.iter().for_each(|(refusal, times)| println!("  refused {times}: {refusal}"));
    assert_eq!(score.percent("complete or declared"), 100.0);
    assert_eq!(score.percent("readable"), 100.0);
}

/// Documented exceptions from `write(read(x)) == x`, by the shape of the member that differs.
const SAID_OTHERWISE: [(&str, &str); 3] = [
    (".stream", "absent and false are one"),
    (".stream_options", "usage is always asked for"),
    (".tools[0].type", "a tool without a type is a function, and is said to be one"),
];

#[test]
fn recorded_requests_come_back_unchanged() {
    let mut score = Score::default();
    for case in cases() {
        let Some(body) = &case.request else { continue };
        let gemini = case.protocol == Protocol::GeminiGenerate;
        let body = if gemini { body.clone() } else { with_model(body) };
        let Ok(Ok(request)) = caught(|| read(case.protocol, &body)) else { continue };
        let mut target = plain(case.protocol);
        target.model = &request.model;
        target.stream = request.stream;
        target.quirks = back_quirks(case.protocol, &body);
        target.reasoning = ReasoningStyle::Unknown;
        target.sampling = true;
        let problem = match caught(|| write(case.protocol, &request, &target)) {
            Err(panic) => vec![panic],
            Ok(Ok(written)) => {
                let expected: Value = serde_json::from_str(&body).unwrap();
                let is: Value = serde_json::from_slice(&written.body).unwrap_or(Value::Null);
                differences(&canonical(case.protocol, &expected), &canonical(case.protocol, &is), "")
            }
            Ok(Err(refusal)) => vec![format!("refused: {} {}", refusal.param, refusal.message)],
        };
        let pair = short_name(case.protocol);
        score.add(pair, "unchanged", problem.is_empty());
        if !problem.is_empty() {
            score.failures.push(format!("{pair} {}: {}", case.id, problem.join(" | ")));
        }
    }
    score.print("round trips");
    assert!(score.percent("unchanged") >= 98.0, "{:.2}", score.percent("unchanged"));
}

/// What the upstream must bear, so that everything that this request's vendor says can be said again.
pub fn back_quirks(protocol: Protocol, body: &str) -> Quirks {
    use Quirk::*;
    match protocol {
        Protocol::OpenAiChat => {
            let thinking = if body.contains("\"reasoning_details\"") {
                ReasoningDetails
            } else if body.contains("\"reasoning_content\"") {
                ReasoningContent
            } else {
                ReasoningDetails
            };
            Quirks::of(&[thinking, GoogleSignatures, CacheControlParts, CacheBreakpoints, VideoUrl, TopK])
        }
        Protocol::OpenAiResponses => Quirks::of(&[CacheBreakpoints]),
        Protocol::AnthropicMessages => Quirks::of(&[SystemTurns]),
        Protocol::GeminiGenerate => Quirks::of(&[HttpsFiles, Vertex]),
    }
}

/// GM takes two spellings of names and of base64, words in any case, one part without its list, and means the same.
pub fn canonical(protocol: Protocol, value: &Value) -> Value {
    if protocol == Protocol::GeminiGenerate { one_spelling(value, "") } else { value.clone() }
}

fn one_spelling(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .iter()
                .filter(|(name, value)| !(value.is_null() || *name == "generationConfig" && **value == json!({})))
                .map(|(name, value)| {
                    let name = camel(name);
                    // What is data keeps its names.
                    const DATA: [&str; 7] = [
                        "args",
                        "response",
                        "parameters",
                        "parametersJsonSchema",
                        "responseSchema",
                        "responseJsonSchema",
                        "labels",
                    ];
                    let alone = name == "parts" && value.is_object();
                    let value = if alone { &json!([value]) } else { value };
                    let value = if DATA.contains(&name.as_str()) { value.clone() } else { one_spelling(value, &name) };
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(list) => list.iter().map(|value| one_spelling(value, name)).collect(),

        Value::String(text) if name == "data" || name == "thoughtSignature" => {
            text.replace('-', "+").replace('_', "/").trim_end_matches('=').into()
        }
        Value::String(text) if name == "thinkingLevel" => text.to_uppercase().into(),
        other => other.clone(),
    }
}

fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut up = false;
    for c in name.chars() {
        match c {
            '_' => up = true,
            c if up => {
                out.push(c.to_ascii_uppercase());
                up = false;
            }
            c => out.push(c),
        }
    }
    out
}

fn excused(path: &str) -> bool {
    SAID_OTHERWISE.iter().any(|(end, _)| path.ends_with(end))
}

/// Where two documents differ, at most five lines.
pub fn differences(expected: &Value, is: &Value, path: &str) -> Vec<String> {
    if excused(path) {
        return Vec::new();
    }
    let mut found = Vec::new();
    match (expected, is) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let (a, b) = (a.get(name), b.get(name));
                match (a, b) {
                    (Some(a), Some(b)) => found.extend(differences(a, b, &format!("{path}.{name}"))),
                    _ if excused(&format!("{path}.{name}")) => {}
                    _ => found.push(format!("{path}.{name}: {a:?} became {b:?}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                found.extend(differences(a, b, &format!("{path}[{at}]")));
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{path}: {a} became {b}")),
    }
    found.truncate(5);
    found.iter().map(|line| line.chars().take(220).collect()).collect()
}
