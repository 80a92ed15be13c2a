//! Recorded answers translated for every client and read again there: text, calls and counts are the same.

use super::super::*;
use super::pairs::{Said, read, streamed, whole};
use crate::wire::recordings::recordings;

/// What must not differ: thinking and the finer reasons to end are not sayable in every protocol.
fn essence(said: &Said) -> (String, Vec<(String, String)>, u64, u64) {
    // A call that its limit broke off cannot be said where arguments are an object.
    let whole = |call: &&(String, String)| serde_json::from_str::<serde_json::Value>(&call.1).is_ok();
    (said.text.clone(), said.calls.iter().filter(whole).cloned().collect(), said.input, said.output)
}

#[test]
fn every_client_reads_what_was_recorded() {
    let mut pairs = 0;
    let mut different = Vec::new();
    for case in recordings() {
        for (is_stream, body) in [(true, case.stream()), (false, case.whole())] {
            let Some(body) = body.filter(|body| !body.is_empty()) else { continue };
            let form = Form::of(case.protocol, is_stream.then_some("text/event-stream"), &body);
            let (fold, outcome) = read(case.protocol, form, &body);
            if outcome != Outcome::Complete || !fold.answer.ended {
                continue;
            }
            let said = Said::of(&fold);
            for client in Protocol::ALL {
                pairs += 1;
                let (out, outcome) = streamed(case.protocol, client, form, &[&body]);
                assert_eq!(outcome, Outcome::Complete, "{}", case.id);
                let (again, outcome) = read(client, Form::Sse, &out);
                let what =
                    format!("{} {} for {}", case.id, if is_stream { "streamed" } else { "whole" }, client.as_str());
                assert_eq!(outcome, Outcome::Complete, "{what}\n{}", String::from_utf8_lossy(&out));
                let again = Said::of(&again);
                if essence(&again) != essence(&said) {
                    different.push(format!("{what}, streamed:\n  {said:?}\n  {again:?}"));
                }
                let collected = whole(case.protocol, client, form, &body).expect(&what);
                let (again, outcome) = read(client, Form::Whole, &collected);
                assert_eq!(outcome, Outcome::Complete, "{what}\n{}", String::from_utf8_lossy(&collected));
                let again = Said::of(&again);
                if essence(&again) != essence(&said) {
                    different.push(format!("{what}, whole:\n  {said:?}\n  {again:?}"));
                }
            }
        }
    }
    println!("{pairs} pairs");
    assert!(
        different.is_empty(),
        "{} differ, the first:\n{}",
        different.len(),
        different[..different.len().min(5)].join("\n")
    );
}
