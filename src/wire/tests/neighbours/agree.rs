//! Whatever an upstream leaves out, every client in every shape understands the same of its answer.

use serde_json::Value;

use super::{Told, bytes, told};
use crate::wire::Protocol;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::tests::decode::{Heard, Seen};
use crate::wire::tests::drive::{Way, seen, shapes};
use crate::wire::tests::fixtures;
use crate::wire::tests::recordings::{Case, cases};

/// A plain sequence of numbers that are all alike from run to run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

/// Takes something out of an answer, or makes it null, empty or another thing.
fn damaged(mut events: Vec<Told>, dice: &mut Dice) -> Vec<Told> {
    let count = events.len();
    match dice.roll(8) {
        0 if count > 1 => {
            events.remove(dice.roll(count));
        }
        1 if count > 1 => {
            let event = events[dice.roll(count)].clone();
            events.insert(dice.roll(count), event);
        }
        2 if count > 2 => {
            let at = dice.roll(count - 1);
            events.swap(at, at + 1);
        }
        _ => {}
    }
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(events.len());
        damage(&mut events[at].data, dice, 0);
    }
    events
}

fn damage(value: &mut Value, dice: &mut Dice, depth: usize) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            let at = dice.roll(object.len());
            let name = object.keys().nth(at).cloned().unwrap_or_default();
            if depth > 0 && dice.roll(3) == 0 {
                let other =
                    [Value::Null, Value::from(""), Value::from(0), serde_json::json!({}), serde_json::json!([])];
                match dice.roll(7) {
                    0 | 1 => drop(object.remove(&name)),
                    at => drop(object.insert(name, other[at - 2].clone())),
                }
            } else if let Some(inner) = object.get_mut(&name) {
                damage(inner, dice, depth + 1);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = dice.roll(list.len());
            if dice.roll(6) == 0 {
                list.remove(at);
            } else {
                damage(&mut list[at], dice, depth + 1);
            }
        }
        _ => {}
    }
}

/// What must be the same for all.
#[derive(Debug, PartialEq)]
struct Same {
    failed: bool,
    text: String,
    reasoning: String,
    calls: Vec<(String, Value)>,
    usage: Option<(u64, u64)>,
    stop: &'static str,
}

fn same(client: Protocol, seen: &Seen) -> Same {
    let heard = seen.choices.get(&0).cloned().unwrap_or_default();
    let failed = seen.error.is_some() || heard.stop.as_deref() == Some("failed");
    let arguments = |text: &str| match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => match (object.len(), object.get("_raw").or(object.get("input"))) {
            (1, Some(text)) => text.clone(),
            _ => Value::Object(object),
        },
        _ => Value::from(text),
    };
    Same {
        failed,
        text: format!("{}{}", heard.text, heard.refusal),
        reasoning: heard.reasoning.split_whitespace().collect(),
        calls: heard.calls.iter().map(|call| (call.name.clone(), arguments(&call.arguments))).collect(),
        usage: seen.usage.map(|usage| (usage.input, usage.output)).filter(|usage| *usage != (0, 0) && !failed),
        stop: if failed { "" } else { stop(client, &heard) },
    }
}

/// The row of the table of stop reasons, as far as each protocol tells it.
fn stop(client: Protocol, heard: &Heard) -> &'static str {
    let calls = !heard.calls.is_empty();
    match (client, heard.stop.as_deref().unwrap_or("none")) {
        (
            _,
            "length" | "incomplete/max_output_tokens" | "max_tokens" | "model_context_window_exceeded" | "MAX_TOKENS",
        ) => "length",
        (OpenAiChat, "content_filter") | (OpenAiResponses, "incomplete/content_filter") => "filter",
        (AnthropicMessages, "refusal") if heard.refusal.is_empty() => "filter",
        (GeminiGenerate, "SAFETY" | "MODEL_ARMOR" | "PROHIBITED_CONTENT" | "BLOCKLIST" | "SPII" | "RECITATION") => {
            "filter"
        }
        (OpenAiChat, "tool_calls") | (AnthropicMessages, "tool_use") => "calls",
        (OpenAiResponses, "completed") | (GeminiGenerate, "STOP") if calls => "calls",
        (_, "none") => "none",
        _ => "done",
    }
}

fn check(case: &Case, rolls: u64, failures: &mut Vec<String>) {
    for roll in 0..rolls {
        let seed = case.id.bytes().fold(roll, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let mut dice = Dice(seed);
        let events = damaged(told(case), &mut dice);
        let response = bytes(case, &events);
        let mut all: Vec<(Way, Same)> = Vec::new();
        for client in Protocol::ALL.into_iter().filter(|client| *client != case.protocol) {
            for to in shapes(client) {
                let way = Way::new(case.protocol, case.shape, client, *to);
                let seen = seen(&way, &response);
                let theirs = ["arguments", "call ids repeat", "name is missing"];
                let wrong = seen.wrong.iter().find(|wrong| !theirs.iter().any(|word| wrong.contains(word)));
                if let Some(wrong) = wrong {
                    failures.push(format!("{} roll {roll} {client:?} {to:?}: {wrong}", case.id));
                }
                all.push((way, same(client, &seen)));
            }
        }
        let failed = all.iter().any(|(_, same)| same.failed);
        // A whole answer that failed is an error and nothing else.
        let by = |same: &Same| if failed { format!("failed {}", same.failed) } else { format!("{same:?}") };
        if let Some((way, other)) = all.iter().find(|(_, same)| by(same) != by(&all[0].1)) {
            let (first, one) = &all[0];
            failures.push(format!(
                "{} roll {roll}:\n    {:?} {:?} {}\n    {:?} {:?} {}",
                case.id,
                first.client,
                first.to,
                by(one),
                way.client,
                way.to,
                by(other)
            ));
            if std::env::var_os("QINGWAVE_SHOW").is_some() {
                println!("{}\n{}", case.id, String::from_utf8_lossy(&response));
            }
        }
    }
}

#[test]
fn clients_agree_on_damaged_answers() {
    let own = fixtures::answers();
    let recorded = cases().iter().filter(|case| case.status == 200 && case.response.len() < 60_000);
    let mut failures = Vec::new();
    let rolls = std::env::var("QINGWAVE_ROLLS").ok().and_then(|rolls| rolls.parse().ok());
    // Several choices, refusals, calls that are none and calls of server tools are not the same in all protocols.
    let told = |case: &&Case| {
        let other = ["/two_", "server-side-mcp-tools"].iter().any(|name| case.id.contains(name));
        !other && case.finish() != Some("MALFORMED_FUNCTION_CALL") && !case.expected["refusal"].is_string()
    };
    own.iter().filter(told).for_each(|case| check(case, rolls.unwrap_or(20), &mut failures));
    recorded.filter(told).for_each(|case| check(case, rolls.unwrap_or(1), &mut failures));
    failures.iter().for_each(|failure| println!("  FAIL {failure}"));
    assert!(failures.is_empty(), "{} disagree", failures.len());
}
