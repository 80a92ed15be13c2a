//! Answers as a neighbour of their vendor would give them: said otherwise, and meaning the same. Every one must come out as
//! the answer that it was made of.

mod agree;
mod changes;
mod pieces;

use serde_json::Value;

use super::decode::Shape;
use super::drive::{Way, seen, shapes};
use super::recordings::{Case, Score, cases, short_name};
use super::requests::caught;
use super::verdict::judge;
use super::{fixtures, known};
use crate::wire::Protocol;
use changes::CHANGES;

/// An event of a stream, or a whole answer. `data` is null for what is no JSON.
#[derive(Clone)]
struct Told {
    name: Option<String>,
    data: Value,
    raw: String,
}

fn told(case: &Case) -> Vec<Told> {
    let text = String::from_utf8_lossy(&case.response).replace("\r\n", "\n").replace('\r', "\n");
    if case.shape != Shape::Stream {
        let data = serde_json::from_str(&text).unwrap_or(Value::Null);
        return vec![Told { name: None, data, raw: text }];
    }
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let Some(raw) = field("data:") else { continue };
        let data = serde_json::from_str(raw).unwrap_or(Value::Null);
        events.push(Told { name: field("event:").map(str::to_owned), data, raw: raw.to_owned() });
    }
    events
}

fn bytes(case: &Case, events: &[Told]) -> Vec<u8> {
    let data = |event: &Told| if event.data.is_null() { event.raw.clone() } else { event.data.to_string() };
    if case.shape != Shape::Stream {
        return data(&events[0]).into_bytes();
    }
    let mut out = String::new();
    for event in events {
        event.name.iter().for_each(|name| out.push_str(&format!("event: {name}\n")));
        out.push_str(&format!("data: {}\n\n", data(event)));
    }
    out.into_bytes()
}

fn check(cases: &[&Case], all: bool, title: &str) {
    let mut score = Score::default();
    for (turn, case) in cases.iter().enumerate() {
        for (at, (name, change)) in CHANGES.iter().enumerate() {
            if !all && (turn + at) % 5 > 0 {
                continue;
            }
            let events = told(case);
            let Some(changed) =
                events.iter().any(|event| event.data.is_object()).then(|| change(case, events)).flatten()
            else {
                continue;
            };
            let mut ways: Vec<Way> = Vec::new();
            for client in Protocol::ALL.into_iter().filter(|client| *client != case.protocol) {
                ways.extend(shapes(client).iter().map(|to| Way::new(case.protocol, case.shape, client, *to)));
            }
            let response = bytes(case, &changed);
            let count = if all { ways.len() } else { 1 };
            for way in ways.iter().cycle().skip(turn + at).take(count) {
                let mut verdict = match caught(|| seen(way, &response)) {
                    Ok(seen) => judge(case, way.client, &seen),
                    Err(_) => panic!("{} {way:?}: {name}", case.id),
                };
                known::excuse(case, &mut verdict);
                score.add(name, "right", verdict.right());
                if !verdict.right() {
                    let lines = verdict.content.iter().chain(&verdict.usage).chain(&verdict.rest);
                    let lines: Vec<String> = lines.map(|line| line.chars().take(200).collect()).collect();
                    let pair = format!("{}>{} {:?}", short_name(case.protocol), short_name(way.client), way.to);
                    score.failures.push(format!("{pair} {}: {name}: {}", case.id, lines.join(" | ")));
                }
            }
        }
    }
    score.print(title);
    assert!(score.failures.is_empty(), "{} fail", score.failures.len());
}

#[test]
fn own_answers_said_otherwise_mean_the_same() {
    let cases = fixtures::answers();
    check(&cases.iter().collect::<Vec<_>>(), true, "own answers said otherwise");
}

#[test]
fn recorded_answers_said_otherwise_mean_the_same() {
    let cases: Vec<&Case> = cases().iter().filter(|case| case.status == 200 && case.response.len() < 200_000).collect();
    let all = std::env::var_os("QINGWAVE_NEIGHBOURS").is_some();
    check(&cases, all, "recorded answers said otherwise");
}
