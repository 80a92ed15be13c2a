//! What holds for every cut, every truncation and every damage of an answer or a request.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::decode::{Shape, decode};
use super::drive::{Way, shapes, translate, whole};
use super::fixtures;
use super::recordings::{Case, cases};
use super::targets::{read, targets, write};
use crate::wire::Protocol;

/// Longest stream that is fed byte by byte.
const SMALL: usize = 24 << 10;

fn streams() -> Vec<Case> {
    fixtures::answers().into_iter().filter(|case| case.shape != Shape::Whole).collect()
}

/// Another protocol and shape for each case, so that all pairs come up in turn.
fn way(case: &Case, turn: usize) -> Way {
    let clients: Vec<Protocol> = Protocol::ALL.into_iter().filter(|client| *client != case.protocol).collect();
    let client = clients[turn % 3];
    let shapes = shapes(client);
    Way::new(case.protocol, case.shape, client, shapes[turn / 3 % shapes.len()])
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[test]
fn every_cut_gives_the_same_bytes() {
    let recorded = cases().iter().filter(|case| case.shape != Shape::Whole && case.response.len() < 4 * SMALL);
    for (turn, case) in streams().iter().chain(recorded).enumerate() {
        let way = way(case, turn);
        let expected = whole(&way, &case.response);
        if case.response.len() < SMALL {
            assert!(translate(&way, case.response.chunks(1)) == expected, "{} {way:?}: byte by byte", case.id);
        }
        for size in [7, 1021] {
            assert!(translate(&way, case.response.chunks(size)) == expected, "{} {way:?}: by {size}", case.id);
        }
        // In the middle of every character that has one.
        let inside: Vec<usize> =
            (1..case.response.len()).filter(|at| case.response[*at] & 0xC0 == 0x80).take(400).collect();
        assert!(translate(&way, pieces(&case.response, &inside)) == expected, "{} {way:?}: within characters", case.id);
    }
}

#[test]
fn any_random_cut_gives_the_same_bytes() {
    let cases = streams();
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let input = (0..cases.len(), 0..9_usize, prop::collection::vec(any::<usize>(), 0..12));
    let outcome = runner.run(&input, |(at, turn, cuts)| {
        let way = way(&cases[at], turn);
        let bytes = &cases[at].response;
        prop_assert_eq!(translate(&way, pieces(bytes, &cuts)), whole(&way, bytes), "{} {:?}", cases[at].id, way);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// The end of a stream was in it, by the words that each protocol has for it.
fn ended(protocol: Protocol, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match protocol {
        Protocol::OpenAiChat => any(&["\"finish_reason\":\"", "\"finish_reason\": \"", "[DONE]"]),
        Protocol::OpenAiResponses => any(&["response.completed", "response.incomplete"]),
        Protocol::AnthropicMessages => any(&["\"stop_reason\":\"", "\"stop_reason\": \""]),
        Protocol::GeminiGenerate => any(&["finishReason", "blockReason"]),
    }
}

#[test]
fn no_truncated_stream_is_finished() {
    let recorded = cases().iter().filter(|case| case.status == 200 && !case.errs());
    let mut checked = 0;
    for (turn, case) in streams().iter().chain(recorded).filter(|case| case.shape == Shape::Stream).enumerate() {
        for part in [9, 5, 2] {
            let bytes = &case.response[..case.response.len() * part / 10];
            if ended(case.protocol, bytes) {
                continue;
            }
            checked += 1;
            let way = way(case, turn);
            let seen = decode(way.client, way.to, &whole(&way, bytes), true);
            assert!(!seen.finished(), "{} {way:?}: {part}/10 of it came out as finished", case.id);
            assert!(seen.error.is_some(), "{} {way:?}: {part}/10 of it is no error: {:?}", case.id, seen.wrong);
        }
    }
    println!("{checked} truncated streams");
}

/// A way to damage bytes: where, how many, and with what.
#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Remove(usize, usize),
    Repeat(usize, usize),
    Insert(usize, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    const ODD: [&str; 20] = [
        "null",
        "[]",
        "{}",
        "\"\"",
        "-1",
        "1e999",
        "true",
        "\\ud83d",
        "\\",
        "\"",
        "\u{0}",
        "\n\n",
        "data: ",
        "[[[[[[[[",
        "}",
        ",",
        "[DONE]",
        "\u{feff}",
        "é",
        "99999999999999999999",
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        (any::<usize>(), 1..40_usize).prop_map(|(at, len)| Damage::Remove(at, len)),
        (any::<usize>(), 1..200_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
        (any::<usize>(), prop::sample::select(ODD.to_vec())).prop_map(|(at, text)| Damage::Insert(at, text)),
    ]
}

fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        let len = bytes.len().max(1);
        match damage {
            Damage::Flip(at, byte) => {
                if let Some(is) = bytes.get_mut(at % len) {
                    *is = *byte;
                }
            }
            Damage::Remove(at, count) => {
                let at = at % len;
                bytes.drain(at.min(bytes.len())..(at + count).min(bytes.len()));
            }
            Damage::Repeat(at, count) => {
                let at = (at % len).min(bytes.len());
                let again = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Damage::Insert(at, text) => {
                let at = (at % len).min(bytes.len());
                bytes.splice(at..at, text.bytes());
            }
        }
    }
    bytes
}

/// Whatever comes, nothing panics, and what goes out keeps to the client's grammar.
#[test]
fn damaged_answers_come_out_well_formed() {
    let cases = fixtures::answers();
    let mut runner = TestRunner::new(Config { cases: 3000, failure_persistence: None, ..Config::default() });
    let input = (0..cases.len(), 0..9_usize, prop::collection::vec(damage(), 1..5), any::<usize>());
    let outcome = runner.run(&input, |(at, turn, damages, cut)| {
        let way = way(&cases[at], turn);
        let bytes = damaged(&cases[at].response, &damages);
        let cuts: &[usize] = if way.from == Shape::Whole { &[] } else { &[cut] };
        let out = translate(&way, pieces(&bytes, cuts));
        let mut seen = decode(way.client, way.to, &out, true);
        // What the damaged upstream may really have said: odd arguments, an id twice, a model without a name.
        let said = ["arguments", "call ids repeat", "name is missing"];
        seen.wrong.retain(|wrong| !said.iter().any(|word| wrong.contains(word)));
        prop_assert!(
            seen.wrong.is_empty(),
            "{} {way:?}: {:#?}\n{}",
            cases[at].id,
            seen.wrong,
            String::from_utf8_lossy(&out)
        );
        prop_assert!(
            seen.finished() || seen.error.is_some(),
            "{} {way:?}: neither finished nor an error",
            cases[at].id
        );
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Bytes of one protocol read as another's.
#[test]
fn answers_of_the_wrong_protocol_do_not_panic() {
    for case in fixtures::answers() {
        for upstream in Protocol::ALL.into_iter().filter(|upstream| *upstream != case.protocol) {
            for client in Protocol::ALL.into_iter().filter(|client| *client != upstream) {
                for from in [Shape::Whole, Shape::Stream, Shape::Array] {
                    if from == Shape::Array && upstream != Protocol::GeminiGenerate {
                        continue;
                    }
                    whole(&Way::new(upstream, from, client, Shape::Stream), &case.response);
                }
            }
        }
    }
}

#[test]
fn damaged_requests_do_not_panic() {
    let bodies: Vec<(Protocol, String)> = Protocol::ALL
        .into_iter()
        .flat_map(|protocol| fixtures::requests(protocol).into_iter().map(move |(_, body)| (protocol, body)))
        .collect();
    let targets = targets();
    let mut runner = TestRunner::new(Config { cases: 4000, failure_persistence: None, ..Config::default() });
    let input = (0..bodies.len(), 0..targets.len(), prop::collection::vec(damage(), 1..4));
    let outcome = runner.run(&input, |(at, target, damages)| {
        let (protocol, body) = &bodies[at];
        let body = String::from_utf8_lossy(&damaged(body.as_bytes(), &damages)).into_owned();
        let Ok(request) = read(*protocol, &body) else { return Ok(()) };
        let (name, to, target) = &targets[target];
        if let Ok(written) = write(*to, &request, target) {
            let text = String::from_utf8(written.body);
            prop_assert!(text.is_ok(), "{name}: not UTF-8");
            let text = text.unwrap();
            let json = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert!(json.is_ok(), "{name}: no JSON: {text}");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Deep nesting is refused, not followed.
#[test]
fn deep_requests_are_refused() {
    for protocol in Protocol::ALL {
        let deep = format!("{{\"model\":\"m\",\"messages\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
        assert!(read(protocol, &deep).is_err(), "{protocol:?}");
    }
}
