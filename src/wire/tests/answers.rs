//! Every answer, recorded or our own, to every client: content, usage, stop reason, reasoning and grammar.

use super::decode::{Seen, Shape};
use super::drive::{Way, seen, shapes};
use super::recordings::{Case, Score, cases, short_name};
use super::requests::caught;
use super::verdict::judge;
use super::{fixtures, known};
use crate::wire::Protocol;

/// The pair and shape, for people: `CC>AM stream`.
fn name(case: &Case, client: Protocol, shape: Shape) -> String {
    format!("{}>{} {shape:?}", short_name(case.protocol), short_name(client))
}

fn score_all(cases: &[&Case], clients: impl Fn(&Case) -> Vec<Protocol>, title: &str) -> Score {
    let mut score = Score::default();
    for case in cases {
        for client in clients(case) {
            for shape in shapes(client) {
                let way = Way::new(case.protocol, case.shape, client, *shape);
                add(&mut score, case, client, *shape, caught(|| seen(&way, &case.response)).ok());
            }
        }
    }
    score.print(title);
    score
}

fn add(score: &mut Score, case: &Case, client: Protocol, shape: Shape, seen: Option<Seen>) {
    let pair = name(case, client, shape);
    let Some(mut seen) = seen else {
        for figure in ["content", "usage", "strictly"] {
            score.add(&pair[..5], figure, false);
        }
        return score.failures.push(format!("{pair} {}: it panics", case.id));
    };
    if client == case.protocol {
        // Server tools, which no other protocol's clients are given.
        const FOREIGN: [&str; 4] = ["of type", "json_delta in", " has \"", "of 0 kinds"];
        seen.wrong.retain(|wrong| !FOREIGN.iter().any(|word| wrong.contains(word)));
    }
    let mut verdict = judge(case, client, &seen);
    let excused = known::excuse(case, &mut verdict);
    score.add(&pair[..5], "content", verdict.content.is_empty());
    score.add(&pair[..5], "usage", verdict.usage.is_empty());
    score.add(&pair[..5], "strictly", verdict.right());
    if !verdict.right() {
        let lines = verdict.content.iter().chain(&verdict.usage).chain(&verdict.rest);
        let lines: Vec<String> = lines.map(|line| line.chars().take(300).collect()).collect();
        score.failures.push(format!("{pair} {}: {}", case.id, lines.join(" | ")));
    } else if let Some(reason) = excused {
        score.excused.push(format!("{pair} {}: {reason}", case.id));
    }
}

fn others(case: &Case) -> Vec<Protocol> {
    Protocol::ALL.into_iter().filter(|client| *client != case.protocol).collect()
}

#[test]
fn recorded_answers_reach_every_client() {
    let cases: Vec<&Case> = cases().iter().filter(|case| case.status == 200).collect();
    let score = score_all(&cases, others, "recorded answers");
    assert_eq!(score.percent("content"), 100.0);
    assert_eq!(score.percent("usage"), 100.0);
    assert!(score.percent("strictly") >= 98.0, "{:.2}", score.percent("strictly"));
}

/// Bytes of one protocol on both sides pass as they are; its reader and writer must still agree with each other.
#[test]
fn recorded_answers_survive_their_own_protocol() {
    let cases: Vec<&Case> = cases().iter().filter(|case| case.status == 200).collect();
    let score = score_all(&cases, |case| vec![case.protocol], "recorded answers in their own protocol");
    assert!(score.percent("content") >= 99.0, "{:.2}", score.percent("content"));
}

#[test]
fn own_answers_reach_every_client() {
    let cases = fixtures::answers();
    let cases: Vec<&Case> = cases.iter().collect();
    let score = score_all(&cases, others, "own answers");
    assert!(score.failures.is_empty(), "{} of own answers fail", score.failures.len());
}
