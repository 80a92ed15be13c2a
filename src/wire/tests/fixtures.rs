//! Our own small exchanges in `tests/fixtures/wire`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::decode::Shape;
use super::recordings::Case;
use crate::wire::Protocol;

pub fn root() -> PathBuf {
    // `file!` leads there from the package's root, where tests run.
    Path::new(file!()).parent().expect("a file has a folder").join("../../../tests/fixtures/wire")
}

fn folder(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenAiChat => "openai_chat",
        Protocol::OpenAiResponses => "openai_responses",
        Protocol::AnthropicMessages => "anthropic_messages",
        Protocol::GeminiGenerate => "gemini",
    }
}

/// The answer `NAME.json` or `NAME.sse`.
pub fn answer(protocol: Protocol, name: &str) -> Case {
    let expected = expected();
    let id = format!("{}/{name}", folder(protocol));
    let about = expected.get(&id).unwrap_or_else(|| panic!("expected.json does not know {id}")).clone();
    case(protocol, id, about)
}

/// All of them.
pub fn answers() -> Vec<Case> {
    let expected = expected();
    let of = |id: &String| Protocol::ALL.into_iter().find(|p| id.starts_with(&format!("{}/", folder(*p)))).unwrap();
    expected.iter().map(|(id, about)| case(of(id), id.clone(), about.clone())).collect()
}

fn expected() -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(root().join("answers/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn case(protocol: Protocol, id: String, expected: Value) -> Case {
    let response = std::fs::read(root().join("answers").join(&id)).unwrap();
    let shape = match (id.ends_with(".sse"), response.starts_with(b"[")) {
        (true, _) => Shape::Stream,
        (false, true) => Shape::Array,
        (false, false) => Shape::Whole,
    };
    let stream = shape != Shape::Whole;
    Case { id, protocol, status: 200, shape, response, request: None, stream, expected }
}

/// The bodies of requests with their names.
pub fn requests(protocol: Protocol) -> Vec<(String, String)> {
    let folder = root().join("requests").join(folder(protocol));
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    names.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

pub fn request(protocol: Protocol, name: &str) -> String {
    let known = requests(protocol).into_iter().find(|(known, _)| known == name);
    known.unwrap_or_else(|| panic!("no request {name} of {protocol:?}")).1
}
