//! Recorded traffic, where it is at hand: `QINGWAVE_RECORDINGS` names the folder.

use std::path::PathBuf;

use serde_json::Value as Json;

use super::{payloads, read_stream, read_whole, target};
use crate::wire::gemini_generate::{read_error, read_request, write_request};
use crate::wire::ir::{AnswerChoice, BlockKind, Event, Fold, Losses, Sink, StopReason};

struct Case {
    id: String,
    folder: PathBuf,
}

fn cases() -> Vec<Case> {
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else {
        println!("QINGWAVE_RECORDINGS is not set: recordings are skipped");
        return Vec::new();
    };
    let mut cases: Vec<Case> = std::fs::read_dir(root.join("gemini"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| Case { id: entry.file_name().into_string().unwrap(), folder: entry.path() })
        .collect();
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    assert!(cases.len() > 50, "only {} recordings", cases.len());
    cases
}

impl Case {
    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(name)).ok()
    }

    fn expected(&self) -> Json {
        let meta: Json = serde_json::from_str(&self.read("meta.json").unwrap()).unwrap();
        meta["expected"].clone()
    }
}

pub fn fold(events: Vec<Event<'static>>) -> Fold {
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.event(event));
    fold
}

/// Every recorded answer as events.
pub fn cases_with() -> Vec<(String, Vec<Event<'static>>)> {
    let events = |case: Case| {
        let events = match case.read("response.sse") {
            Some(stream) => read_stream(payloads(&stream).iter().map(String::as_str)),
            None => read_whole(&case.read("response.json")?),
        };
        Some((case.id, events))
    };
    cases().into_iter().filter_map(events).collect()
}

fn joined(choice: Option<&AnswerChoice>, wanted: fn(&BlockKind<'_>) -> bool) -> String {
    let blocks = choice.into_iter().flat_map(|choice| &choice.blocks);
    blocks.filter(|block| wanted(&block.kind)).map(|block| block.text().decode().into_owned()).collect()
}

fn check_text(case: &Case, what: &str, is: &str, expected: &Json, text: &str, hash: &str, len: &str) {
    use sha2::{Digest, Sha256};
    if let Some(text) = expected[text].as_str() {
        assert_eq!(is, text, "{}: {what}", case.id);
    } else if let Some(hash) = expected[hash].as_str() {
        assert_eq!(is.chars().count() as u64, expected[len].as_u64().unwrap(), "{}: {what}", case.id);
        let found: String = Sha256::digest(is).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, hash, "{}: {what}", case.id);
    } else {
        assert_eq!(is, "", "{}: {what}", case.id);
    }
}

#[test]
fn answers_are_understood() {
    let (mut streams, mut wholes, mut errors) = (0, 0, 0);
    for case in cases() {
        let expected = case.expected();
        let events = match (case.read("response.sse"), case.read("response.json")) {
            (Some(stream), _) => {
                streams += 1;
                read_stream(payloads(&stream).iter().map(String::as_str))
            }
            (None, Some(body)) => {
                wholes += 1;
                if let Some(message) = expected["error"]["message"].as_str() {
                    errors += 1;
                    assert_eq!(read_error(&body).unwrap().message, message, "{}", case.id);
                }
                read_whole(&body)
            }
            (None, None) => continue,
        };
        if expected["error"].is_object() {
            assert!(matches!(events.as_slice(), [Event::Failed(_)]), "{}", case.id);
            continue;
        }
        check_order(&case, &events);
        let answer = fold(events).answer;
        let choice = answer.choices.first();
        let text = joined(choice, |kind| matches!(kind, BlockKind::Text));
        check_text(&case, "text", &text, &expected, "text", "text_sha256", "text_len_chars");
        let thought = joined(choice, |kind| matches!(kind, BlockKind::Reasoning { .. }));
        check_text(
            &case,
            "reasoning",
            &thought,
            &expected,
            "reasoning_text",
            "reasoning_sha256",
            "reasoning_len_chars",
        );
        check_calls(&case, choice, &expected);
        let finish = choice.and_then(|choice| choice.finish.as_ref()).unwrap();
        assert_eq!(
            finish.native.as_ref().map(|word| word.decode()).as_deref(),
            expected["finish"].as_str(),
            "{}",
            case.id
        );
        let calls = !expected["tool_calls"].as_array().unwrap().is_empty();
        let reason = match expected["finish"].as_str().unwrap() {
            "STOP" if calls => StopReason::ToolCalls,
            "STOP" => StopReason::Done,
            "MAX_TOKENS" => StopReason::Length,
            _ => StopReason::Filtered,
        };
        // Where Google ran the call itself, it is not the client's to answer.
        let run_there = choice.is_some_and(|choice| {
            choice
                .blocks
                .iter()
                .any(|block| matches!(&block.kind, BlockKind::Foreign { what, .. } if what == "functionResponse"))
        });
        assert!(finish.reason == reason || run_there, "{}: {:?}", case.id, finish.reason);
        check_usage(&case, &answer.usage, &expected["usage"]);
    }
    println!("{streams} streams, {wholes} whole answers, {errors} of them errors");
}

/// Blocks one after the other, each closed; counts, reasons and the end last.
fn check_order(case: &Case, events: &[Event<'_>]) {
    assert!(matches!(events[0], Event::Start(_)), "{}", case.id);
    assert!(matches!(events.last(), Some(Event::End)), "{}", case.id);
    let mut open = None;
    for event in events {
        match event {
            Event::BlockStart { block, .. } => {
                assert_eq!(open, None, "{}", case.id);
                open = Some(*block);
            }
            Event::Delta { block, .. } => assert_eq!(open, Some(*block), "{}", case.id),
            Event::BlockStop { block, .. } => {
                assert_eq!(open, Some(*block), "{}", case.id);
                open = None;
            }
            Event::Start(_) | Event::Usage { .. } | Event::Finish(_) | Event::Failed(_) | Event::End => {
                assert_eq!(open, None, "{}", case.id);
            }
        }
    }
}

fn check_calls(case: &Case, choice: Option<&AnswerChoice>, expected: &Json) {
    let blocks = choice.into_iter().flat_map(|choice| &choice.blocks);
    let calls: Vec<_> = blocks
        .filter_map(|block| match &block.kind {
            BlockKind::Call { id, name, .. } => Some((id.clone(), name.clone(), block.text().decode().into_owned())),
            _ => None,
        })
        .collect();
    let expected = expected["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), expected.len(), "{}", case.id);
    for ((id, name, args), expected) in calls.iter().zip(expected) {
        assert_eq!(id.as_ref().map(|id| id.decode()).as_deref(), expected["id"].as_str(), "{}", case.id);
        assert_eq!(name.decode(), expected["name"].as_str().unwrap(), "{}", case.id);
        let args: Json = serde_json::from_str(args).unwrap();
        match expected["arguments"].as_str() {
            Some(expected) => assert_eq!(args, serde_json::from_str::<Json>(expected).unwrap(), "{}", case.id),
            None => assert!(args.is_object(), "{}", case.id),
        }
    }
}

fn check_usage(case: &Case, usage: &Option<crate::wire::Usage>, expected: &Json) {
    assert_eq!(usage.is_some(), expected.is_object(), "{}", case.id);
    let Some(usage) = usage else { return };
    let count = |name: &str| expected[name].as_u64().unwrap_or(0);
    let pairs = [
        ("input_total", usage.input_total),
        ("output_total", usage.output_total),
        ("cache_read", usage.cache_read),
        ("reasoning", usage.reasoning),
    ];
    for (name, is) in pairs {
        assert_eq!(is, count(name), "{}: {name}", case.id);
    }
}

/// Snake case as camel case where Gemini's own fields stand; `null` and empty settings as absent.
fn normal(value: Json) -> Json {
    const DATA: [&str; 8] = [
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
        "mcpServers",
        "labels",
    ];
    match value {
        Json::Object(map) => Json::Object(
            map.into_iter()
                .map(|(name, value)| (camel(&name), value))
                .map(|(name, value)| {
                    // Bytes are said in the standard alphabet.
                    let value = match (name.as_str(), &value) {
                        ("data", Json::String(data)) => data.replace('-', "+").replace('_', "/").into(),
                        _ => value,
                    };
                    let value = if DATA.contains(&name.as_str()) { value } else { normal(value) };
                    // A level is said in capitals.
                    let value =
                        if name == "thinkingLevel" { value.as_str().unwrap().to_uppercase().into() } else { value };
                    (name, value)
                })
                .filter(|(name, value)| {
                    if value.is_null() {
                        return false;
                    }
                    let settings =
                        name == "generationConfig" || name == "toolConfig" || name == "functionCallingConfig";
                    !(settings && value.as_object().is_some_and(|map| map.is_empty()))
                })
                .collect(),
        ),
        Json::Array(list) => Json::Array(list.into_iter().map(normal).collect()),
        other => other,
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap().to_owned();
    for word in words {
        camel.extend(word.chars().take(1).map(|c| c.to_ascii_uppercase()));
        camel.extend(word.chars().skip(1));
    }
    camel
}

/// Where two documents differ first.
fn difference(is: &Json, expected: &Json, at: String) -> Option<String> {
    match (is, expected) {
        (Json::Object(is), Json::Object(expected)) => {
            let names = is.keys().chain(expected.keys());
            names.into_iter().find_map(|name| match (is.get(name), expected.get(name)) {
                (Some(is), Some(expected)) => difference(is, expected, format!("{at}.{name}")),
                (is, _) => Some(format!("{at}.{name} {}", if is.is_some() { "is new" } else { "is missing" })),
            })
        }
        (Json::Array(is), Json::Array(expected)) if is.len() == expected.len() => is
            .iter()
            .zip(expected)
            .enumerate()
            .find_map(|(i, (is, expected))| difference(is, expected, format!("{at}[{i}]"))),
        (is, expected) => (is != expected).then_some(at),
    }
}

#[test]
fn requests_come_back_as_they_were() {
    let mut requests = 0;
    for case in cases() {
        let Some(body) = case.read("request.json") else { continue };
        requests += 1;
        let request = read_request(&body, 64).unwrap_or_else(|error| panic!("{}: {error}", case.id));
        let mut losses = Losses::default();
        let (written, undo) = write_request(&request, &target(), &mut losses).unwrap();
        assert!(undo.is_empty() && losses.is_empty(), "{}: {undo:?} {losses:?}", case.id);
        let written: Json = serde_json::from_slice(&written).unwrap();
        // What only Gemini has and is carried as it came keeps its spelling.
        let expected = normal(serde_json::from_str(&body).unwrap());
        assert_eq!(difference(&normal(written), &expected, String::new()), None, "{}", case.id);
    }
    println!("{requests} requests");
}

#[test]
fn embeddings_and_counts_are_understood() {
    use crate::wire::gemini_generate::{count, embed};
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else { return };
    let (mut embeddings, mut counts) = (0, 0);
    for entry in std::fs::read_dir(root.join("aux")).unwrap() {
        let folder = entry.unwrap().path();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let meta: Json = serde_json::from_str(&read("meta.json")).unwrap();
        let (path, request, body) =
            (meta["path"].as_str().unwrap_or_default(), read("request.json"), read("response.json"));
        if path.ends_with(":batchEmbedContents") {
            embeddings += 1;
            let asked = embed::read_request(&request, true, 64).unwrap();
            match embed::read_answer(&body) {
                Some(found) => assert_eq!(found.vectors.len(), asked.inputs.len(), "{folder:?}"),
                None => assert!(read_error(&body).is_some(), "{folder:?}"),
            }
        } else if path.ends_with(":countTokens") {
            counts += 1;
            count::read_request(&request, 64).unwrap();
            assert!(count::read_answer(&body).is_some(), "{folder:?}");
        } else if path.ends_with("/embeddings") && !request.is_empty() && meta["status"] == 200 {
            let asked = embed::read_openai_request(&request, 64).unwrap();
            // Perplexity's vectors are bytes of their own kind.
            if let Some(found) = embed::read_openai_answer(&body) {
                assert_eq!(found.vectors.len(), asked.inputs.len(), "{folder:?}");
                embeddings += 1;
            }
        }
    }
    println!("{embeddings} embeddings, {counts} counts");
}
