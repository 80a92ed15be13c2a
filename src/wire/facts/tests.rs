//! What is known of an answer, event by event.

use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{PartKind, Start, State};

fn facts(events: &[Event<'static>]) -> Facts {
    let mut facts = Facts::with_keepsake();
    events.iter().for_each(|event| facts.event(event.clone()));
    facts
}

fn start(block: u32, kind: BlockKind<'static>) -> Event<'static> {
    Event::BlockStart { choice: 0, block, kind }
}

fn call(block: u32, id: &'static str, name: &'static str) -> Event<'static> {
    start(block, BlockKind::Call { id: Some(id.into()), name: name.into(), custom: false })
}

fn delta(block: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta { choice: 0, block, delta }
}

fn state(payload: &'static str) -> Delta<'static> {
    Delta::State(State { origin: Protocol::AnthropicMessages, account: Some("a".into()), payload: payload.into() })
}

fn finish(choice: u32, reason: StopReason, native: Option<&'static str>) -> Event<'static> {
    Event::Finish(Finish { choice, reason, native: native.map(Str::plain), stop_sequence: None, message: None })
}

#[test]
fn content_is_the_first_character_of_anything_produced() {
    let image = BlockKind::Media { image: true, mime: "image/png".into() };
    for (event, seen) in [
        (start(0, BlockKind::Text), false),
        (start(0, BlockKind::Reasoning { redacted: true }), false),
        (call(0, "id", ""), false),
        (delta(0, Delta::Text("".into())), false),
        (delta(0, state("s")), false),
        (call(0, "id", "f"), true),
        (start(0, image), true),
        (delta(0, Delta::Text(" ".into())), true),
        (delta(0, Delta::Arguments("{".into())), true),
        (delta(0, Delta::Data("A".into())), true),
    ] {
        assert_eq!(facts(std::slice::from_ref(&event)).content_seen, seen, "{event:?}");
    }
}

#[test]
fn produced_text_is_kept_and_counted() {
    let facts = facts(&[
        start(0, BlockKind::Text),
        delta(0, Delta::Text(Str::token(r"a\n\ud83d"))),
        delta(0, Delta::Text(Str::plain(""))),
        delta(0, Delta::Text(Str::token(r"\ude00"))),
        call(1, "id", "f"),
        delta(1, Delta::Arguments(Str::token(r#"{\"x\":1}"#))),
        delta(1, Delta::Data("AAAA".into())),
    ]);
    assert_eq!((facts.output_text().as_str(), facts.output_bytes()), ("a\n😀f{\"x\":1}", 14));
    let mut facts = Facts::default();
    facts.event(delta(0, Delta::Text(Str::plain("é".repeat(OUTPUT_KEPT_BYTES_MAX / 2)))));
    facts.event(delta(0, Delta::Text(Str::plain("é"))));
    assert_eq!(
        (facts.output_text().len(), facts.output_bytes()),
        (OUTPUT_KEPT_BYTES_MAX, OUTPUT_KEPT_BYTES_MAX as u64 + 2)
    );
}

#[test]
fn zeros_beside_content_are_no_report() {
    let usage = |usage| Event::Usage { usage, iterations: Vec::new() };
    let text = delta(0, Delta::Text("x".into()));
    assert_eq!(facts(&[text.clone(), usage(Usage::default())]).usage, None);
    assert_eq!(facts(&[usage(Usage::default())]).usage, Some(Usage::default()));
    let counted = Usage { input_total: 3, ..Usage::default() };
    assert_eq!(facts(&[text, usage(counted)]).usage, Some(counted));
}

#[test]
fn the_finish_is_the_first_choices_word() {
    let done = finish(0, StopReason::ToolCalls, Some("tool_use"));
    assert_eq!(facts(&[finish(1, StopReason::Length, None), done]).finish.as_deref(), Some("tool_use"));
    assert_eq!(facts(&[finish(0, StopReason::ContextFull, Some(""))]).finish.as_deref(), Some("context_full"));
    let long = finish(0, StopReason::Done, Some("€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€"));
    assert_eq!(facts(&[long]).finish.map(|word| word.len()), Some(126));
}

#[test]
fn an_outcome_is_known_at_the_end() {
    let failed = || Event::Failed(UpstreamError { message: "m".into(), ..UpstreamError::default() });
    assert_eq!(facts(&[]).outcome, None);
    assert_eq!(facts(&[Event::End]).outcome, Some(Outcome::Complete));
    let errored = facts(&[failed(), Event::Failed(UpstreamError::default())]);
    assert_eq!((errored.outcome, errored.error.unwrap().message.as_str()), (Some(Outcome::Errored), "m"));
}

#[test]
fn the_start_tells_tier_and_input() {
    let usage = Usage { input_total: 5, ..Usage::default() };
    let start = Start { service_tier: Some("auto".into()), usage: Some(usage), ..Start::default() };
    let mut facts = facts(&[Event::Start(start)]);
    assert_eq!((facts.service_tier.as_deref(), facts.usage_at_start, facts.usage), (Some("auto"), Some(usage), None));
    facts.note_service_tier(Some(&"default".into()));
    facts.note_service_tier(Some(&"".into()));
    assert_eq!(facts.service_tier.as_deref(), Some("default"));
}

#[test]
fn blank_is_what_nothing_speaks_for() {
    let usage = |output_total| Event::Usage {
        usage: Usage { input_total: 7, output_total, ..Usage::default() },
        iterations: Vec::new(),
    };
    let unknown = || finish(0, StopReason::Unknown, None);
    assert!(facts(&[usage(0), unknown(), Event::End]).is_blank());
    assert!(!facts(&[usage(1), unknown()]).is_blank());
    assert!(!facts(&[finish(0, StopReason::Done, None)]).is_blank());
    assert!(!facts(&[delta(0, Delta::Text("x".into()))]).is_blank());
}

#[test]
fn a_keepsake_is_the_signed_thinking_of_an_answer_with_calls() {
    let events = [
        start(0, BlockKind::Reasoning { redacted: false }),
        delta(0, Delta::Text("a".into())),
        delta(0, Delta::NextPart),
        delta(0, Delta::Text(Str::token(r"b\n"))),
        delta(0, state("s1")),
        start(1, BlockKind::Reasoning { redacted: false }),
        delta(1, Delta::Text("unsigned".into())),
        start(2, BlockKind::Text),
        delta(2, Delta::Text("said".into())),
        call(3, "id_1", "f"),
        call(4, "id_2", "g"),
        delta(4, Delta::Arguments("{}".into())),
        delta(4, state("s2")),
        delta(3, Delta::Arguments("{}".into())),
        // Another choice is not this one's.
        Event::BlockStart { choice: 1, block: 0, kind: BlockKind::Reasoning { redacted: false } },
        Event::Delta { choice: 1, block: 0, delta: state("s3") },
    ];
    let keepsake = facts(&events).keepsake().unwrap();
    assert_eq!(keepsake.calls, ["id_1", "id_2"]);
    let [thinking, call] = keepsake.parts.as_slice() else { panic!("{:?}", keepsake.parts) };
    let PartKind::Reasoning(reasoning) = &thinking.kind else { panic!() };
    assert_eq!(reasoning.text, ["a", "b\n"]);
    assert_eq!(thinking.state.as_ref().unwrap().payload, "s1");
    let PartKind::Call(kept) = &call.kind else { panic!() };
    assert_eq!((&kept.name, &call.state.as_ref().unwrap().payload), (&"g".into(), &"s2".into()));

    assert_eq!(facts(&events[..9]).keepsake(), None, "no calls");
    assert_eq!(facts(&events[5..10]).keepsake(), None, "no state");
    let mut without = Facts::default();
    events.iter().for_each(|event| without.event(event.clone()));
    assert_eq!(without.keepsake(), None, "not asked for");
}

#[test]
fn thinking_that_is_too_long_is_not_kept_at_all() {
    let mut facts = Facts::with_keepsake();
    facts.event(start(0, BlockKind::Reasoning { redacted: false }));
    for _ in 0..2 {
        facts.event(delta(0, Delta::Text(Str::plain("x".repeat(KEEPSAKE_BYTES_MAX / 2)))));
    }
    facts.event(delta(0, state("s")));
    facts.event(call(1, "id", "f"));
    assert_eq!(facts.keepsake(), None);
}
