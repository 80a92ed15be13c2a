//! Judges what a client understood of a recorded answer by what the recording says is in it.

use serde_json::Value;

use super::decode::{Called, Heard, Seen, Tokens};
use super::recordings::Case;
use crate::wire::Protocol;
use crate::wire::Protocol::{AnthropicMessages as Am, GeminiGenerate as Gm, OpenAiChat as Cc, OpenAiResponses as Rs};

/// What is not right, by figure.
#[derive(Debug, Default)]
pub struct Verdict {
    pub content: Vec<String>,
    pub usage: Vec<String>,
    pub rest: Vec<String>,
}

impl Verdict {
    pub fn right(&self) -> bool {
        self.content.is_empty() && self.usage.is_empty() && self.rest.is_empty()
    }
}

pub fn judge(case: &Case, client: Protocol, seen: &Seen) -> Verdict {
    let mut verdict = Verdict::default();
    let heard = seen.first();
    if case.errs() {
        let message = case.expected["error"]["message"].as_str();
        if seen.error.is_none() || message.is_some_and(|message| seen.error.as_deref() != Some(message)) {
            verdict.content.push(format!("error {:?}, not {message:?}", seen.error));
        }
        verdict.rest.extend(seen.wrong.iter().map(|wrong| format!("grammar: {wrong}")));
        if seen.finished() {
            verdict.rest.push("an error came out as a finished answer".to_owned());
        }
        return verdict;
    }
    if case.expected["cut"] == true {
        if seen.error.is_none() || seen.finished() {
            verdict.content.push(format!("a cut answer came out as finished: {:?}", seen.first()));
        }
        verdict.rest.extend(seen.wrong.iter().map(|wrong| format!("grammar: {wrong}")));
        return verdict;
    }
    if bad_call(case) && client == Rs {
        // The table says so: a failure with the vendor's words.
        if seen.first().stop.as_deref() != Some("failed") {
            verdict.rest.push(format!("a bad call came out as {:?}", seen.first().stop));
        }
        verdict.rest.extend(seen.wrong.iter().map(|wrong| format!("grammar: {wrong}")));
        return verdict;
    }
    if let Some(error) = &seen.error {
        verdict.content.push(format!("came out as the error {error:?}"));
    }
    content(case, client, &heard, &mut verdict.content);
    usage(case, client, seen.usage, &mut verdict.usage);
    reasoning(case, &heard, &mut verdict.rest);
    beside(case, client, &heard, &mut verdict.rest);
    let allowed = stops(case, client, &heard);
    if !allowed.contains(&heard.stop.as_deref().unwrap_or("")) {
        verdict.rest.push(format!("stop {:?}, not one of {allowed:?} for {:?}", heard.stop, case.finish()));
    }
    if !seen.ended {
        verdict.rest.push("not finished".to_owned());
    }
    verdict.rest.extend(seen.wrong.iter().map(|wrong| format!("grammar: {wrong}")));
    verdict
}

fn bad_call(case: &Case) -> bool {
    matches!(case.finish(), Some("MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS"))
}

fn content(case: &Case, client: Protocol, heard: &Heard, wrong: &mut Vec<String>) {
    let refusal = case.expected["refusal"].as_str().unwrap_or("");
    let text = format!("{}{}", heard.text, heard.refusal);
    let plain = text.strip_suffix(refusal).unwrap_or(&text);
    if let (Err(problem), Err(_)) = (case.says("text", plain), case.says("text", &text)) {
        wrong.push(problem);
    }
    if !text.ends_with(refusal) {
        wrong.push(format!("the refusal {refusal:?} is gone"));
    }
    let calls = case.expected["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Empty `function_call` objects beside the calls are none.
    let named = |call: &&Value| call["name"] != "" || !call["id"].is_null();
    let calls: Vec<&Value> = calls.iter().filter(named).collect();
    if calls.len() != heard.calls.len() {
        let names: Vec<&str> = heard.calls.iter().map(|call| call.name.as_str()).collect();
        wrong.push(format!("{} calls {names:?}, not {}", heard.calls.len(), calls.len()));
        return;
    }
    for (expected, call) in calls.iter().zip(&heard.calls) {
        same_call(expected, call, client, wrong);
    }
}

/// Media and citations, which own fixtures name, in protocols that have a place for them.
fn beside(case: &Case, client: Protocol, heard: &Heard, wrong: &mut Vec<String>) {
    let list = |name: &str| case.expected[name].as_array().cloned().unwrap_or_default();
    for media in list("media").iter().filter_map(Value::as_str) {
        if client != Am && !heard.media.iter().any(|is| is.contains(media)) {
            wrong.push(format!("the medium {media} is gone: {:?}", heard.media));
        }
    }
    for citation in list("citations").iter().filter_map(Value::as_str) {
        if matches!(client, Cc | Rs) && !heard.citations.iter().any(|is| is == citation) {
            wrong.push(format!("the citation {citation} is gone: {:?}", heard.citations));
        }
    }
}

fn same_call(expected: &Value, call: &Called, client: Protocol, wrong: &mut Vec<String>) {
    if expected["name"] != call.name.as_str() {
        wrong.push(format!("a call of {}, not {}", call.name, expected["name"]));
    }
    if let Some(id) = expected["id"].as_str().filter(|id| plain_id(id))
        && client != Gm
        && call.id != id
    {
        wrong.push(format!("call id {}, not {id}", call.id));
    }
    // Null: they came as partial arguments, which recordings do not put together.
    let Some(text) = expected["arguments"].as_str() else { return };
    let text = if text.is_empty() { "{}" } else { text };
    let same = match (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(&call.arguments)) {
        (Ok(expected), Ok(is)) => expected == is || !expected.is_object() && holds(&is, text),
        // No JSON at all (free text, or broken off): kept as it is, or as a text within an object.
        (Err(_), Ok(is)) => holds(&is, text),
        (_, Err(_)) => text == call.arguments,
    };
    if !same {
        wrong.push(format!("arguments {}, not {text}", call.arguments));
    }
}

fn holds(value: &Value, text: &str) -> bool {
    value.as_object().is_some_and(|object| object.len() == 1 && object.values().all(|value| value == text))
}

/// An id that every protocol takes.
fn plain_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn usage(case: &Case, client: Protocol, seen: Option<Tokens>, wrong: &mut Vec<String>) {
    let mut expected = case.tokens().filter(|tokens| *tokens != Tokens::default());
    let mut seen = seen.filter(|tokens| *tokens != Tokens::default());
    if let (Some(expected), Some(seen)) = (&mut expected, &mut seen) {
        if client == Gm {
            // It has no words for cache writes.
            (expected.cache_write, seen.cache_write) = (0, 0);
            // Its two numbers of output are disjoint: more reasoning than output cannot be said. The total counts.
            expected.reasoning = expected.reasoning.min(expected.output);
        }
        if client == Am {
            // Its three numbers are disjoint: more cached than there was (some vendors say so) cannot be said. The total counts.
            expected.cache_read = expected.cache_read.min(expected.input);
            expected.cache_write = expected.cache_write.min(expected.input - expected.cache_read);
        }
    }
    if expected != seen {
        wrong.push(format!("usage {seen:?}, not {expected:?}"));
    }
}

fn reasoning(case: &Case, heard: &Heard, wrong: &mut Vec<String>) {
    let Err(problem) = case.says("reasoning_text", &heard.reasoning) else { return };
    // Several summaries may be set apart by blank lines.
    let packed = |text: &str| text.split_whitespace().collect::<String>();
    let expected = case.expected["reasoning_text"].as_str();
    if expected.is_none_or(|expected| packed(expected) != packed(&heard.reasoning)) {
        wrong.push(problem);
    }
}

/// The words that PROTOCOLS 7.6 allows.
fn stops(case: &Case, client: Protocol, heard: &Heard) -> Vec<&'static str> {
    let calls = !heard.calls.is_empty();
    let refusal = case.expected["refusal"].is_string();
    let word = case.finish().unwrap_or("");
    let row = |cc, rs, am, gm| match client {
        Cc => vec![cc],
        Rs => vec![rs],
        Am => vec![am],
        Gm => vec![gm],
    };
    match (case.protocol, word) {
        (Am, "model_context_window_exceeded") => {
            row("length", "incomplete/max_output_tokens", "model_context_window_exceeded", "MAX_TOKENS")
        }
        (_, "length" | "max_tokens" | "MAX_TOKENS" | "incomplete:max_output_tokens") => {
            row("length", "incomplete/max_output_tokens", "max_tokens", "MAX_TOKENS")
        }
        (Cc, "content_filter") | (Rs, "incomplete:content_filter") => {
            row("content_filter", "incomplete/content_filter", "refusal", "SAFETY")
        }
        (Gm, "SAFETY" | "MODEL_ARMOR" | "PROHIBITED_CONTENT" | "BLOCKLIST" | "SPII" | "RECITATION") => match client {
            Gm => vec!["SAFETY", "MODEL_ARMOR", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION"],
            _ => row("content_filter", "incomplete/content_filter", "refusal", ""),
        },
        // The service stopped it, or the model did: both are rows of the table.
        (Am, "refusal") => match client {
            Cc => vec!["content_filter", "stop"],
            Rs => vec!["incomplete/content_filter", "completed"],
            Am => vec!["refusal"],
            Gm => vec!["SAFETY", "STOP", "PROHIBITED_CONTENT"],
        },
        (Am, "pause_turn") => row("stop", "incomplete", "pause_turn", "STOP"),
        _ if bad_call(case) => row("stop", "failed", "end_turn", "MALFORMED_FUNCTION_CALL"),
        _ if calls => row("tool_calls", "completed", "tool_use", "STOP"),
        _ if refusal => row("stop", "completed", "refusal", "STOP"),
        (Am, "stop_sequence") => row("stop", "completed", "stop_sequence", "STOP"),
        _ => row("stop", "completed", "end_turn", "STOP"),
    }
}
