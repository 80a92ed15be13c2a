//! One request → one script: paths, counting, errors of our own. Shared by both HTTP versions; must never know sockets.

use serde_json::json;

use super::answer::Answer;
use super::ask::Ask;
use super::errors;
use super::knobs::Knobs;
use super::script::Script;
use super::seen::State;

/// Bytes of a request body, at most.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes of a request head, at most.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
/// Names that `GET …/models` lists; every other name is served too.
const MODELS: [&str; 2] = ["demo", "ok"];

/// Answers a request that has been read completely.
pub(super) fn answer(state: &State, method: &str, target: &str, body: &[u8]) -> Script {
    let path = target.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let is_chat = path.ends_with("/chat/completions");
    match method {
        "POST" if is_chat => chat(state, body),
        "GET" | "HEAD" if path.ends_with("/models") => models(),
        "GET" | "HEAD" if path.rsplit_once('/').is_some_and(|(list, _)| list.ends_with("/models")) => {
            Script::json(200, model(path.rsplit('/').next().unwrap_or_default()).to_string().into(), plain_request_id())
        }
        _ if is_chat || path.ends_with("/models") => {
            refuse(405, &format!("the method {method} is not allowed for {path}"), "method_not_supported")
        }
        _ => refuse(404, &format!("invalid URL ({method} {path})"), "unknown_url"),
    }
}

/// Answers a request that cannot be read; the connection ends with it.
pub(super) fn refuse(status: u16, message: &str, code: &str) -> Script {
    Script::json(status, errors::invalid_request(message, None, Some(code)), plain_request_id())
}

/// What is not a call has no identity of its own.
fn plain_request_id() -> String {
    "req_demo".to_owned()
}

fn chat(state: &State, body: &[u8]) -> Script {
    let identity = state.count_call();
    let ask = match Ask::parse(body) {
        Ok(ask) => ask,
        Err(error) => {
            let message = format!("the request body could not be read: {error}");
            return Script::json(400, errors::invalid_request(&message, None, None), identity.request_id);
        }
    };
    let (ordinal, roll) = state.count_model(&ask.model);
    let mut knobs = Knobs::of_model(&ask.model);
    knobs.aim(ordinal, roll);
    let answer = Answer::compose(&ask, &knobs, &identity);
    Script::chat(&answer, ask.stream, ask.include_usage, &knobs, identity.request_id.clone())
}

fn models() -> Script {
    let data: Vec<_> = MODELS.iter().map(|name| model(name)).collect();
    Script::json(200, json!({ "object": "list", "data": data }).to_string().into(), plain_request_id())
}

fn model(name: &str) -> serde_json::Value {
    json!({ "id": name, "object": "model", "created": 1_767_225_600, "owned_by": "demo" })
}
