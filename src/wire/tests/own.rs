//! Our own requests to every other protocol, and what comes out for every fixture as golden files.

use std::fmt::Write as _;

use serde_json::Value;

use super::complete::{missing, names_a_param};
use super::decode::Shape;
use super::drive::{Way, shapes, whole};
use super::recordings::{Score, short_name};
use super::requests::{canonical, differences, with_model};
use super::targets::{plain, read, targets, write};
use super::{fixtures, requests};
use crate::wire::Protocol;
use crate::wire::ir::{ReasoningStyle, Refusal};

#[test]
fn own_requests_are_said_completely_or_declared() {
    let mut score = Score::default();
    for protocol in Protocol::ALL {
        for (name, body) in fixtures::requests(protocol) {
            let body = with_model(&body);
            let value: Value = serde_json::from_str(&body).unwrap();
            let request = read(protocol, &body).unwrap_or_else(|error| panic!("{protocol:?} {name}: {error}"));
            for (target_name, to, target) in targets().into_iter().filter(|(_, to, _)| *to != protocol) {
                let pair = format!("{} {target_name}", short_name(protocol));
                let problems = match write(to, &request, &target) {
                    Ok(written) => {
                        let out = serde_json::from_slice(&written.body).unwrap();
                        missing(protocol, to, &value, &out, &written, &target)
                    }
                    Err(refusal) if names_a_param(&value, &refusal.param) => Vec::new(),
                    Err(refusal) => vec![format!("refused for {:?}: {}", refusal.param, refusal.message)],
                };
                score.add(&pair, "complete or declared", problems.is_empty());
                if !problems.is_empty() {
                    score.failures.push(format!("{pair} {name}: {}", problems.join(" | ")));
                }
            }
        }
    }
    score.print("own requests");
    assert!(score.failures.is_empty(), "{} of own requests fail", score.failures.len());
}

/// Said again in other words of the same protocol.
const OTHERWISE: [(&str, &str); 1] =
    [("neighbours", "AM joins neighbours of one role itself, and refuses empty texts")];

#[test]
fn own_requests_come_back_unchanged() {
    let mut failures = Vec::new();
    for protocol in Protocol::ALL {
        for (name, body) in fixtures::requests(protocol) {
            if OTHERWISE.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let body = with_model(&body);
            let request = read(protocol, &body).unwrap();
            let mut target = plain(protocol);
            target.model = &request.model;
            target.stream = request.stream;
            target.quirks = requests::back_quirks(protocol, &body);
            target.reasoning = ReasoningStyle::Unknown;
            target.sampling = true;
            let differs = match write(protocol, &request, &target) {
                Ok(written) => {
                    let is: Value = serde_json::from_slice(&written.body).unwrap();
                    differences(
                        &canonical(protocol, &serde_json::from_str(&body).unwrap()),
                        &canonical(protocol, &is),
                        "",
                    )
                }
                Err(Refusal { param, message }) => vec![format!("refused: {param} {message}")],
            };
            if !differs.is_empty() {
                failures.push(format!("{} {name}: {}", short_name(protocol), differs.join(" | ")));
            }
        }
    }
    failures.iter().for_each(|failure| println!("  FAIL {failure}"));
    assert!(failures.is_empty(), "{} do not come back unchanged", failures.len());
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(std::path::absolute(fixtures::root().join("golden")).unwrap());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Every answer, whole, to every other client; and as streams those that show how a stream is built.
#[test]
fn answers_as_they_come_out() {
    const STREAMED: [&str; 8] = [
        "openai_chat/calls_interleaved.sse",
        "openai_chat/reasoning_details.sse",
        "openai_responses/reasoning_and_calls.sse",
        "anthropic_messages/thinking.sse",
        "anthropic_messages/error.sse",
        "gemini/thought_and_calls.sse",
        "gemini/grounding.json",
        "gemini/image.json",
    ];
    for case in fixtures::answers() {
        let mut text = String::new();
        for client in Protocol::ALL.into_iter().filter(|client| *client != case.protocol) {
            for shape in shapes(client) {
                if *shape == Shape::Array || *shape == Shape::Stream && !STREAMED.contains(&case.id.as_str()) {
                    continue;
                }
                let way = Way::new(case.protocol, case.shape, client, *shape);
                let out = String::from_utf8(whole(&way, &case.response)).unwrap();
                writeln!(text, "## {} {shape:?}\n{}\n", short_name(client), out.trim_end()).unwrap();
            }
        }
        golden(&format!("answer_{}", case.id.replace(['/', '.'], "_")), &text);
    }
}

/// Every request, to every kind of upstream, with what is lost.
#[test]
fn requests_as_they_come_out() {
    for protocol in Protocol::ALL {
        for (name, body) in fixtures::requests(protocol) {
            let body = with_model(&body);
            let request = read(protocol, &body).unwrap();
            let mut text = String::new();
            for (target_name, to, target) in targets().into_iter().filter(|(_, to, _)| *to != protocol) {
                writeln!(text, "## {target_name}").unwrap();
                match write(to, &request, &target) {
                    Ok(written) => {
                        writeln!(text, "{}", String::from_utf8(written.body).unwrap()).unwrap();
                        for loss in written.losses.iter() {
                            writeln!(text, "{}: {}", loss.kind.as_str(), loss.feature.param(protocol)).unwrap();
                        }
                        if !written.undo.is_empty() {
                            writeln!(text, "to undo: {:?}", written.undo).unwrap();
                        }
                    }
                    Err(refusal) => writeln!(text, "refused: {}: {}", refusal.param, refusal.message).unwrap(),
                }
                text.push('\n');
            }
            golden(&format!("request_{}_{name}", short_name(protocol).to_lowercase()), &text);
        }
    }
}
