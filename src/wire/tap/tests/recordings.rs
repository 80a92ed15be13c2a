//! Taps over recorded answers of their own protocol: what they learn is what was recorded, under every cut.

use super::super::*;
use crate::wire::Usage;
use crate::wire::recordings::{Recording, recordings};

fn check_usage(case: &Recording, usage: Option<Usage>) {
    let expected = &case.about["usage"];
    if usage.is_none() && expected["input_total"] == 0 && expected["output_total"] == 0 {
        // Zeros beside content are no report.
        return;
    }
    assert_eq!(usage.is_some(), expected.is_object(), "{}: {usage:?} {expected}", case.id);
    let Some(usage) = usage else { return };
    for (name, is) in [("input_total", usage.input_total), ("output_total", usage.output_total)] {
        assert_eq!(is, expected[name].as_u64().unwrap_or(0), "{}: {name}", case.id);
    }
}

fn check_text(case: &Recording, facts: &Facts) {
    let expected = case.expected();
    if let Some(text) = expected["text"].as_str().filter(|text| !text.is_empty()) {
        let produced = facts.output_text();
        // Blocks of other kinds, and other choices, may stand between the pieces of the text.
        let within = text
            .chars()
            .collect::<std::collections::HashSet<_>>()
            .into_iter()
            .all(|char| text.matches(char).count() <= produced.matches(char).count());
        assert!(within, "{}: {text:?} in {produced:?}", case.id);
    }
    if expected["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
        assert!(facts.content_seen, "{}", case.id);
    }
    assert_eq!(facts.error.is_some(), !expected["error"].is_null(), "{}: {:?}", case.id, facts.error);
}

fn learn(protocol: Protocol, pieces: &[&[u8]]) -> (String, Facts) {
    let mut tap = Tap::new(protocol, "acme", Form::of(protocol, Some("text/event-stream"), pieces[0]));
    for piece in pieces {
        tap.push(Bytes::copy_from_slice(piece), &mut |_| {});
    }
    tap.finish();
    (format!("{:?}", tap.facts()), tap.facts)
}

#[test]
fn streams_are_understood() {
    let mut streams = 0;
    for case in recordings() {
        let Some(stream) = case.stream().filter(|stream| !stream.is_empty()) else { continue };
        let ends = |mark: &str| String::from_utf8_lossy(&stream).matches(mark).count();
        if ends("event: message_stop") > 1 || ends("event: response.completed") > 1 {
            // Several answers in one recording.
            continue;
        }
        streams += 1;
        let (learnt, facts) = learn(case.protocol, &[&stream]);
        for size in [1, 7, 1024, stream.len() / 2 + 1] {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            if size == 1 && stream.len() > 100_000 {
                continue;
            }
            let mut first = pieces[0].to_vec();
            // The form is told by the first bytes, of which there are enough.
            let at = pieces.iter().skip(1).take_while(|_| size < 8).take(8).fold(1, |at, piece| {
                first.extend_from_slice(piece);
                at + 1
            });
            let pieces: Vec<&[u8]> = [first.as_slice()].into_iter().chain(pieces[at..].iter().copied()).collect();
            assert_eq!(learn(case.protocol, &pieces).0, learnt, "{}: pieces of {size}", case.id);
        }
        check_usage(&case, facts.usage);
        check_text(&case, &facts);
        if case.protocol == Protocol::OpenAiResponses && facts.ended {
            let text = String::from_utf8_lossy(&stream).into_owned();
            let told = text.rsplit("\"service_tier\":\"").next().and_then(|rest| rest.split('"').next());
            let told = told.filter(|_| text.contains("\"service_tier\":\""));
            assert_eq!(facts.service_tier.as_deref(), told, "{}", case.id);
        }
        let outcome = match case.about["finish"].as_str() {
            _ if facts.error.is_some() => Outcome::Errored,
            Some(_) => Outcome::Complete,
            None => facts.outcome.unwrap(),
        };
        assert_eq!(facts.outcome, Some(outcome), "{}", case.id);
    }
    println!("{streams} streams");
}

#[test]
fn whole_answers_are_understood() {
    let mut wholes = 0;
    for case in recordings() {
        let Some(body) = case.whole().filter(|body| !body.is_empty()) else { continue };
        wholes += 1;
        let facts = match read_whole(case.protocol, "acme", &body) {
            Ok(facts) => facts,
            Err(why) => {
                let expected = case.expected();
                assert!(expected["text"].as_str().unwrap_or_default().is_empty(), "{}: {why}", case.id);
                continue;
            }
        };
        check_usage(&case, facts.usage);
        check_text(&case, &facts);
    }
    println!("{wholes} whole answers");
}
