//! Recorded traffic of thirty vendors, where it is at hand: `QINGWAVE_RECORDINGS` names the folder.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use super::super::*;
use super::tap;
use crate::wire::Usage;
use crate::wire::ir::Outcome;

pub struct Case {
    pub id: String,
    folder: PathBuf,
    about: Value,
}

/// The cases of this protocol; none, with a printed line, where there are no recordings.
pub fn cases() -> Vec<Case> {
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else {
        println!("QINGWAVE_RECORDINGS is not set: recordings are skipped");
        return Vec::new();
    };
    let index: Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
    let of = |about: &Value| {
        let folder = root.join(about["dir"].as_str().unwrap());
        Case { id: about["id"].as_str().unwrap().to_owned(), folder, about: about.clone() }
    };
    let cases: Vec<Case> =
        index["cases"].as_array().unwrap().iter().filter(|c| c["protocol"] == "openai-chat").map(of).collect();
    assert!(cases.len() > 50, "only {} recordings", cases.len());
    cases
}

impl Case {
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join(name)).ok()
    }

    pub fn meta(&self) -> Value {
        serde_json::from_slice(&self.read("meta.json").unwrap()).unwrap()
    }

    #[track_caller]
    /// `cached`: Mistral's `num_cached_tokens`, which the index of the recordings does not know.
    fn check_usage(&self, usage: Option<Usage>, cached: Option<u64>) {
        let expected = &self.about["usage"];
        assert_eq!(usage.is_some(), expected.is_object(), "{}: {usage:?} {expected}", self.id);
        let Some(usage) = usage else { return };
        let count = |name: &str| expected[name].as_u64().unwrap_or(0);
        let pairs = [
            ("input_total", usage.input_total),
            ("output_total", usage.output_total),
            ("cache_read", usage.cache_read - cached.unwrap_or(0)),
            ("cache_write", usage.cache_write_30m),
            ("reasoning", usage.reasoning),
        ];
        for (name, is) in pairs {
            assert_eq!(is, count(name), "{}: {name}", self.id);
        }
    }
}

/// The text that a message holds, found by looking at everything.
fn produced(message: &Value, text: &mut Vec<String>) {
    let mut add = |value: &Value| text.extend(value.as_str().map(str::to_owned));
    match &message["content"] {
        Value::Array(parts) => {
            for part in parts {
                add(&part["text"]);
                part["thinking"].as_array().into_iter().flatten().for_each(|part| add(&part["text"]));
            }
        }
        content => add(content),
    }
    let thought = message["reasoning_content"].as_str().filter(|text| !text.is_empty());
    add(thought.map_or(&message["reasoning"], |_| &message["reasoning_content"]));
    add(&message["refusal"]);
    add(&message["audio"]["transcript"]);
    for call in message["tool_calls"].as_array().into_iter().flatten().chain([message]) {
        for part in ["function", "custom", "function_call"] {
            ["name", "arguments", "input"].iter().for_each(|name| add(&call[part][name]));
        }
    }
}

fn sorted(text: &str) -> Vec<char> {
    let mut chars: Vec<char> = text.chars().collect();
    chars.sort_unstable();
    chars
}

#[test]
fn streams_are_understood_and_forwarded() {
    let mut streams = 0;
    for case in cases() {
        let Some(stream) = case.read("response.sse") else { continue };
        streams += 1;
        let step = (stream.len() / 60).max(1);
        let (sifted, learnt) = tap::check_cuts(&stream, (0..=stream.len()).step_by(step));
        case.check_usage(learnt.usage, None);

        let text = String::from_utf8_lossy(&stream).replace("\r\n", "\n");
        let payloads = text.lines().filter_map(|line| line.strip_prefix("data:").map(str::trim));
        let chunks: Vec<Value> = payloads.clone().filter_map(|payload| serde_json::from_str(payload).ok()).collect();
        let choices = || chunks.iter().flat_map(|chunk| chunk["choices"].as_array().into_iter().flatten());
        let finish = choices().filter_map(|c| c["finish_reason"].as_str()).rfind(|finish| !finish.is_empty());
        assert_eq!(learnt.finish.as_deref(), finish, "{}", case.id);
        assert_eq!(learnt.done, payloads.clone().any(|payload| payload == "[DONE]"), "{}", case.id);
        assert_eq!(learnt.error.is_some(), chunks.iter().any(|chunk| chunk["error"].is_object()), "{}", case.id);
        let outcome = if learnt.error.is_some() { Outcome::Errored } else { Outcome::Complete };
        assert_eq!(learnt.outcome, outcome, "{}", case.id);
        let mut pieces = Vec::new();
        choices().for_each(|choice| produced(&choice["delta"], &mut pieces));
        assert_eq!(sorted(&learnt.text), sorted(&pieces.concat()), "{}", case.id);

        let dropped =
            |chunk: &&Value| chunk["choices"].as_array().is_some_and(Vec::is_empty) && chunk["usage"].is_object();
        let left = String::from_utf8_lossy(&sifted).lines().filter(|line| line.starts_with("data:")).count();
        assert_eq!(left + chunks.iter().filter(dropped).count(), payloads.count(), "{}", case.id);
    }
    println!("{streams} streams");
}

#[test]
fn whole_answers_and_errors_are_understood() {
    for case in cases() {
        let Some(body) = case.read("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if !value["choices"].is_array() {
            let message = value["error"]["message"].as_str();
            assert_eq!(error_message(&body).as_deref(), message, "{}", case.id);
            assert_eq!(
                read_whole(&body).ok().and_then(|answer| answer.error).map(|error| error.message).as_deref(),
                message
            );
            continue;
        }
        let answer = read_whole(&body).unwrap();
        case.check_usage(answer.usage, value["usage"]["num_cached_tokens"].as_u64());
        let finish = value["choices"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|c| c["finish_reason"].as_str())
            .rfind(|f| !f.is_empty());
        assert_eq!(answer.finish.as_deref(), finish, "{}", case.id);
        let mut pieces = Vec::new();
        value["choices"].as_array().unwrap().iter().for_each(|choice| produced(&choice["message"], &mut pieces));
        assert_eq!(sorted(&output_text(&body)), sorted(&pieces.concat()), "{}", case.id);
    }
}

#[test]
fn requests_have_a_head_and_change_only_where_named() {
    let mut requests = 0;
    for case in cases() {
        let Some(body) = case.read("request.json") else { continue };
        requests += 1;
        let mut expected: Value = serde_json::from_slice(&body).unwrap();
        if !expected["model"].is_string() {
            // Azure names the deployment in the path.
            assert_eq!(read_head(&body, 64).unwrap_err().param.as_deref(), Some("model"), "{}", case.id);
            continue;
        }
        let body = Bytes::from(body);
        let head = read_head(&body, 64).unwrap_or_else(|error| panic!("{}: {error}", case.id));
        crate::wire::head::tests::chat::check_against_a_dom(&body);
        assert_eq!(
            head.splice(&body, &Splice { model: &head.model, include_usage: false, output_tokens_max: None }).as_ptr(),
            body.as_ptr()
        );
        let limit = Some((1, OutputLimitField::MaxTokens));
        let spliced =
            head.splice(&body, &Splice { model: "other/model", include_usage: true, output_tokens_max: limit });
        expected["model"] = "other/model".into();
        if head.stream {
            expected["stream_options"]["include_usage"] = true.into();
        }
        let limits: Vec<&str> = ["max_tokens", "max_completion_tokens"]
            .into_iter()
            .filter(|name| expected.get(*name).is_some_and(Value::is_u64))
            .collect();
        for name in if limits.is_empty() { vec!["max_tokens"] } else { limits } {
            expected[name] = 1.into();
        }
        assert_eq!(serde_json::from_slice::<Value>(&spliced).unwrap(), expected, "{}", case.id);
    }
    println!("{requests} requests");
}
