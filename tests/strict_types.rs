//! Typed clients read translated answers: the strict types of `async-openai` take every chat answer and every Responses answer
//! that the translator writes, whole and event by event. Recordings are read too, where `QINGWAVE_RECORDINGS` names them.
#![allow(clippy::result_large_err, reason = "an error is kept whole, to be shown")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::{Path, PathBuf};

use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use async_openai::types::responses::{Response, ResponseStreamEvent};
use qingwave::wire::Protocol;
use qingwave::wire::feed::Form;
use qingwave::wire::ir::{Outcome, Undo, UpstreamError, WriterSetup};
use qingwave::wire::translate::{Setup, Translator};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An upstream's answer.
struct Answer {
    id: String,
    protocol: Protocol,
    bytes: Vec<u8>,
}

fn fixtures() -> Vec<Answer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire/answers");
    let folders = [
        (Protocol::OpenAiChat, "openai_chat"),
        (Protocol::OpenAiResponses, "openai_responses"),
        (Protocol::AnthropicMessages, "anthropic_messages"),
        (Protocol::GeminiGenerate, "gemini"),
    ];
    let mut answers = Vec::new();
    for (protocol, folder) in folders {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        answers.extend(paths.iter().map(|path| Answer {
            id: format!("{folder}/{}", path.file_name().unwrap().to_string_lossy()),
            protocol,
            bytes: std::fs::read(path).unwrap(),
        }));
    }
    assert!(answers.len() > 60, "only {} fixtures", answers.len());
    answers
}

fn recordings() -> Vec<Answer> {
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else {
        println!("QINGWAVE_RECORDINGS is not set: recordings are skipped");
        return Vec::new();
    };
    let index: Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
    let read = |about: &Value| {
        let protocol = match about["protocol"].as_str()? {
            "openai-chat" => Protocol::OpenAiChat,
            "openai-responses" => Protocol::OpenAiResponses,
            "anthropic-messages" => Protocol::AnthropicMessages,
            "gemini" => Protocol::GeminiGenerate,
            _ => return None,
        };
        let folder = root.join(about["dir"].as_str()?);
        let bytes = ["response.sse", "response.json"].iter().find_map(|name| std::fs::read(folder.join(name)).ok())?;
        Some(Answer { id: about["id"].as_str()?.to_owned(), protocol, bytes })
    };
    index["cases"].as_array().unwrap().iter().filter_map(read).collect()
}

/// What a client of another protocol gets; an error stands for an answer that is none.
fn translate(answer: &Answer, client: Protocol, stream: bool) -> Result<String, UpstreamError> {
    let writer = WriterSetup {
        call_id: "call-of-a-test".to_owned(),
        created: 1_764_000_000,
        model: "public-model".to_owned(),
        include_usage: true,
        ..WriterSetup::default()
    };
    let setup =
        Setup { upstream: answer.protocol, client, stream, account: "acme".to_owned(), undo: Undo::default(), writer };
    let mut translator = Translator::new(setup);
    translator.begin(Form::of(answer.protocol, None, &answer.bytes));
    let mut out = Vec::new();
    translator.push(&answer.bytes, &mut out);
    let outcome = translator.finish(&mut out);
    if outcome != Outcome::Complete {
        let error = translator.facts().error.clone().unwrap_or_default();
        if !stream {
            return Err(error);
        }
        translator.fail(&error, &mut out);
    }
    out.extend(translator.whole().unwrap_or_default());
    Ok(String::from_utf8(out).unwrap())
}

/// Why the type does not take a document.
fn refused<T: DeserializeOwned>(json: &str) -> Option<String> {
    let error = serde_json::from_str::<T>(json).err()?;
    let about = if json.len() > 600 { format!("… ({} bytes)", json.len()) } else { json.to_owned() };
    Some(format!("{error}: {about}"))
}

/// The data of each event, but the end mark.
fn events(stream: &str) -> impl Iterator<Item = &str> {
    stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]")
}

/// A chat answer without its free-form calls: the crate looks for `custom_tool` where OpenAI says `custom`, and knows none in
/// a stream.
fn without_free_form_calls(json: &str) -> String {
    let mut answer: Value = serde_json::from_str(json).unwrap();
    for choice in answer["choices"].as_array_mut().into_iter().flatten() {
        for message in ["message", "delta"] {
            let calls = choice.get_mut(message).and_then(|message| message.get_mut("tool_calls"));
            if let Some(calls) = calls.and_then(Value::as_array_mut) {
                calls.retain(|call| call["type"] != "custom");
            }
        }
    }
    answer.to_string()
}

/// Reads every answer as the types of `client`, and says all that they refuse.
fn check(client: Protocol, whole: fn(&str) -> Option<String>, event: fn(&str) -> Option<String>) {
    let mut problems = Vec::new();
    let (mut wholes, mut streamed) = (0, 0);
    for answer in fixtures().iter().chain(&recordings()).filter(|answer| answer.protocol != client) {
        if let Ok(body) = translate(answer, client, false) {
            wholes += 1;
            problems.extend(whole(&body).map(|why| format!("{} whole: {why}", answer.id)));
        }
        let stream = translate(answer, client, true).unwrap();
        for data in events(&stream) {
            streamed += 1;
            problems.extend(event(data).map(|why| format!("{} streamed: {why}", answer.id)));
        }
    }
    println!("{}: {wholes} whole answers, {streamed} events", client.as_str());
    assert!(wholes > 30 && streamed > 200, "only {wholes} whole answers and {streamed} events");
    assert!(problems.is_empty(), "{} are refused:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn chat_answers_are_taken() {
    let whole = |body: &str| refused::<CreateChatCompletionResponse>(&without_free_form_calls(body));
    check(Protocol::OpenAiChat, whole, |data| {
        // The error of a broken stream is no chunk, and clients look for it first.
        let error = serde_json::from_str::<Value>(data).is_ok_and(|event| event["error"]["message"].is_string());
        if error { None } else { refused::<CreateChatCompletionStreamResponse>(&without_free_form_calls(data)) }
    });
}

#[test]
fn responses_answers_are_taken() {
    check(Protocol::OpenAiResponses, refused::<Response>, refused::<ResponseStreamEvent>);
}
