//! What the tests of all protocols share: a call in, its script's bytes out. Must never know sockets.

use serde_json::Value;

use super::script::{Head, Script, Step};
use super::seen::State;
use super::serve::{self, Asked};

/// The script of a POST, with Anthropic's version header.
pub(super) fn script(state: &State, target: &str, body: &Value) -> Script {
    let body = body.to_string();
    serve::answer(state, Asked { method: "POST", target, versioned: true, body: body.as_bytes() })
}

pub(super) fn sent(script: &Script) -> String {
    let text = |step: &Step| match step {
        Step::Send { bytes, .. } => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        _ => None,
    };
    script.steps.iter().filter_map(text).collect()
}

pub(super) fn head(script: &Script) -> &Head {
    let head = script.steps.iter().find_map(|step| if let Step::Head(head) = step { Some(head) } else { None });
    head.unwrap()
}

/// The body of a whole answer.
pub(super) fn ok(state: &State, target: &str, body: &Value) -> Value {
    let script = script(state, target, body);
    let text = sent(&script);
    assert_eq!(head(&script).status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The status and body of a refusal.
pub(super) fn refused(state: &State, target: &str, body: &Value) -> (u16, Value) {
    let script = script(state, target, body);
    let text = sent(&script);
    assert_ne!(head(&script).status, 200, "{text}");
    (head(&script).status, serde_json::from_str(&text).unwrap())
}

/// The events of a stream: what `event:` says, else nothing, and the data.
pub(super) fn events(text: &str, blank: &str) -> Vec<(String, Value)> {
    assert!(text.ends_with(blank), "{text}");
    let event = |event: &str| {
        let (kind, data) = match event.strip_prefix("event: ") {
            Some(event) => event.split_once('\n').unwrap(),
            None => ("", event),
        };
        (kind.to_owned(), serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
    };
    text.split_terminator(blank).map(event).collect()
}

/// A body with other or more fields.
pub(super) fn with(mut body: Value, fields: Value) -> Value {
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}
