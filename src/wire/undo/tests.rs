//! What a client sees of an answer whose request had to be changed, however its deltas were cut.

use proptest::prelude::*;

use super::*;
use crate::wire::Usage;
use crate::wire::ir::Fold;

fn undo() -> Undo {
    Undo::default()
}

fn call(name: &str) -> BlockKind<'static> {
    BlockKind::Call { id: Some("id".into()), name: Str::plain(name.to_owned()), custom: false }
}

fn finish(reason: StopReason) -> Event<'static> {
    Event::Finish(Finish { choice: 0, reason, native: Some("word".into()), stop_sequence: None, message: None })
}

/// An answer of blocks whose text comes in the pieces given, folded as a client sees it: `kind:text` per block, the reason.
fn run(
    undo: &Undo,
    blocks: &[(BlockKind<'static>, Vec<Str<'static>>)],
    reason: StopReason,
) -> (Vec<String>, StopReason) {
    let mut stage = Undoing::new(undo.clone(), Vec::new());
    for (block, (kind, pieces)) in (0..).zip(blocks) {
        let arguments = matches!(kind, BlockKind::Call { .. });
        stage.event(Event::BlockStart { choice: 0, block, kind: kind.clone() });
        for piece in pieces {
            let text = piece.clone();
            let delta = if arguments { Delta::Arguments(text) } else { Delta::Text(text) };
            stage.event(Event::Delta { choice: 0, block, delta });
        }
        stage.event(Event::BlockStop { choice: 0, block });
    }
    stage.event(Event::Usage { usage: Usage { output_total: 7, ..Usage::default() }, iterations: Vec::new() });
    stage.event(finish(reason));
    stage.event(Event::End);
    seen(&stage.sink)
}

fn seen(events: &[Event<'static>]) -> (Vec<String>, StopReason) {
    let mut fold = Fold::default();
    let mut open = 0i32;
    for event in events {
        open +=
            i32::from(matches!(event, Event::BlockStart { .. })) - i32::from(matches!(event, Event::BlockStop { .. }));
        assert!((0..=1).contains(&open));
        assert!(!matches!(event, Event::Delta { .. }) || open == 1, "a delta outside its block");
        fold.event(event.clone());
    }
    assert_eq!((open, fold.answer.usage.map(|usage| usage.output_total)), (0, Some(7)));
    let choice = fold.answer.choice(0);
    let blocks = choice.blocks.iter().map(|block| match &block.kind {
        BlockKind::Call { name, custom, .. } => {
            format!("{}{}:{}", name.decode(), if *custom { "!" } else { "" }, block.text().decode())
        }
        BlockKind::Text => format!("text:{}", block.text().decode()),
        _ => format!("other:{}", block.text().decode()),
    });
    let finish = choice.finish.clone().unwrap();
    let mut blocks: Vec<String> = blocks.collect();
    blocks.extend(finish.stop_sequence.map(|text| format!("stop:{}", text.decode())));
    (blocks, finish.reason)
}

fn pieces(text: &str) -> Vec<Str<'static>> {
    text.split('|').map(|piece| Str::token(piece.to_owned())).collect()
}

#[track_caller]
fn check(undo: &Undo, blocks: &[(BlockKind<'static>, &str)], reason: StopReason, expected: (&[&str], StopReason)) {
    let blocks: Vec<_> = blocks.iter().map(|(kind, text)| (kind.clone(), pieces(text))).collect();
    let (seen, is) = run(undo, &blocks, reason);
    assert_eq!((seen.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), is), expected);
}

#[test]
fn nothing_to_undo_changes_nothing() {
    let mut stage = Undoing::new(undo(), Vec::new());
    stage.event(Event::BlockStart { choice: 0, block: 0, kind: call("f") });
    stage.event(finish(StopReason::ToolCalls));
    assert_eq!(stage.sink, [Event::BlockStart { choice: 0, block: 0, kind: call("f") }, finish(StopReason::ToolCalls)]);
}

#[test]
fn a_renamed_tool_has_its_own_name_again() {
    let undo = Undo { tool_names: vec![("sent_1".into(), "the client's".into())], ..undo() };
    let blocks = [(call("sent_1"), "{}"), (call("other"), "{}")];
    check(&undo, &blocks, StopReason::ToolCalls, (&["the client's:{}", "other:{}"], StopReason::ToolCalls));
}

#[test]
fn a_wrapped_tool_takes_plain_text_again() {
    let undo = Undo { wrapped_tools: vec!["patch".into()], tool_names: vec![("patch".into(), "p".into())], ..undo() };
    for (arguments, text) in [
        (r#"{\"input\":\"a\\nb\"}"#, "a\nb"),
        (r#"{\"in|put\":\"a\|\n\"}"#, "a\n"),
        (r#" { |\"input\" : \"x \\\"|y\\\" \\u00|e9\\ud83d|\\ude00\" , \"more\":1}"#, "x \"y\" é😀"),
        (r#"{\"input\":\"\\ud83d\"}"#, "\u{fffd}"),
        (r#"{\"input\":\"\\ud83d\\n\\ude00\"}"#, "\u{fffd}\n\u{fffd}"),
        (r#"{\"input\":\"a\nb\"}"#, "a\nb"),
        (r#"{\"input\":\"cut sho"#, "cut sho"),
        (r#"{\"why\":\"x\",\"input\":\"later\"}"#, "later"),
        (r#"{\"inp|ut_text\":1}"#, r#"{"input_text":1}"#),
        (r#"{\"input\":7}"#, r#"{"input":7}"#),
        (r#"\"bare\""#, "bare"),
        ("no json", "no json"),
        ("{}", ""),
        ("", ""),
    ] {
        check(
            &undo,
            &[(call("patch"), arguments)],
            StopReason::ToolCalls,
            (&[&format!("p!:{text}")], StopReason::ToolCalls),
        );
    }
}

#[test]
fn a_forced_answer_is_a_text() {
    let undo = Undo { answer_tool: Some("json".into()), ..undo() };
    check(&undo, &[(call("json"), r#"{\"a\"|:1}"#)], StopReason::ToolCalls, (&[r#"text:{"a":1}"#], StopReason::Done));
    check(&undo, &[(call("json"), "")], StopReason::ToolCalls, (&["text:{}"], StopReason::Done));
    check(&undo, &[(call("json"), "{|")], StopReason::Length, (&["text:{"], StopReason::Length));
    let both = [(call("json"), "{}"), (call("f"), "{}")];
    check(&undo, &both, StopReason::ToolCalls, (&["text:{}", "f:{}"], StopReason::ToolCalls));
}

#[test]
fn a_text_ends_at_the_earliest_stop_text() {
    let undo = Undo { stop: vec!["END".into(), "\n\n".into(), "é😀".into()], ..undo() };
    let cut = StopReason::StopSequence;
    check(&undo, &[(BlockKind::Text, "ab|E|ND|rest")], StopReason::Done, (&["text:ab", "stop:END"], cut));
    check(&undo, &[(BlockKind::Text, r"a\n|b\n|\nEND")], StopReason::Done, (&["text:a\nb", "stop:\n\n"], cut));
    check(&undo, &[(BlockKind::Text, r"a\u00e9|\ud83d\ude00b")], StopReason::Length, (&["text:a", "stop:é😀"], cut));
    check(&undo, &[(BlockKind::Text, "ab|E|N")], StopReason::Done, (&["text:abEN"], StopReason::Done));
    check(&undo, &[(BlockKind::Text, "ENEN|D")], StopReason::Done, (&["text:EN", "stop:END"], cut));
    check(&undo, &[(BlockKind::Text, "END")], StopReason::Done, (&["text:", "stop:END"], cut));
    // What comes behind is swallowed, and is no call.
    let blocks = [(BlockKind::Text, "aEND"), (call("f"), "{}"), (BlockKind::Text, "x")];
    check(&undo, &blocks, StopReason::ToolCalls, (&["text:a", "stop:END"], cut));
    // Only in what the model says.
    let blocks = [(BlockKind::Reasoning { redacted: false }, "END"), (call("f"), "END"), (BlockKind::Text, "x")];
    check(&undo, &blocks, StopReason::ToolCalls, (&["other:END", "f:END", "text:x"], StopReason::ToolCalls));
    let answer = Undo { answer_tool: Some("json".into()), stop: vec!["}".into()], ..Undo::default() };
    check(&answer, &[(call("json"), "{1|}")], StopReason::ToolCalls, (&["text:{1", "stop:}"], cut));
}

#[test]
fn an_empty_stop_text_is_none() {
    let undo = Undo { stop: vec![String::new()], ..undo() };
    check(&undo, &[(BlockKind::Text, "a")], StopReason::Done, (&["text:a"], StopReason::Done));
}

#[test]
fn no_more_is_held_back_than_may_be_a_stop_text() {
    let undo = Undo { stop: vec!["stop".into()], ..undo() };
    let mut stage = Undoing::new(undo, Vec::new());
    stage.event(Event::BlockStart { choice: 0, block: 0, kind: BlockKind::Text });
    for (piece, given) in [("a", "a"), ("st", "a"), ("o", "a"), ("x", "astox"), ("sto", "astox"), ("st", "astoxsto")] {
        stage.event(Event::Delta { choice: 0, block: 0, delta: Delta::Text(piece.into()) });
        let texts = stage.sink.iter().filter_map(|event| match event {
            Event::Delta { delta: Delta::Text(text), .. } => Some(text.decode().into_owned()),
            _ => None,
        });
        assert_eq!(texts.collect::<String>(), given, "{piece}");
    }
}

#[test]
fn choices_are_cut_apart() {
    let mut stage = Undoing::new(Undo { stop: vec!["x".into()], ..undo() }, Vec::new());
    for choice in [0, 1] {
        stage.event(Event::BlockStart { choice, block: 0, kind: BlockKind::Text });
    }
    for (choice, text) in [(0, "ax"), (1, "b"), (0, "c"), (1, "d")] {
        stage.event(Event::Delta { choice, block: 0, delta: Delta::Text(text.into()) });
    }
    let mut fold = Fold::default();
    stage.sink.iter().for_each(|event| fold.event(event.clone()));
    let texts = [0, 1].map(|choice| fold.answer.choice(choice).blocks[0].text().decode().into_owned());
    assert_eq!(texts, ["a", "bd"]);
}

/// The text before the earliest stop text, and which; of those at one place the shortest.
fn reference(text: &str, stops: &[String]) -> (String, Option<String>) {
    let found = stops
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| Some((text.find(stop.as_str())?, stop.len(), stop)));
    match found.min() {
        Some((at, _, stop)) => (text[..at].to_owned(), Some(stop.clone())),
        None => (text.to_owned(), None),
    }
}

/// Cuts a text at the characters given.
fn cut(text: &str, cuts: &[prop::sample::Index], token: bool) -> Vec<Str<'static>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
    at.extend([0, text.len()]);
    at.sort_unstable();
    let piece = |pair: &[usize]| {
        let piece = text[pair[0]..pair[1]].to_owned();
        if token { Str::token(Str::plain(piece).as_token().into_owned()) } else { Str::plain(piece) }
    };
    at.windows(2).map(piece).collect()
}

proptest! {
    #[test]
    fn every_cut_gives_the_same_text(
        text in r#"[ab\n"é😀]{0,24}"#,
        stops in prop::collection::vec(r#"[ab\n"é😀]{0,4}"#, 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        token in any::<bool>(),
    ) {
        let undo = Undo { stop: stops.clone(), ..Undo::default() };
        let (seen, reason) = run(&undo, &[(BlockKind::Text, cut(&text, &cuts, token))], StopReason::Done);
        let (text, stop) = reference(&text, &stops);
        let expected: Vec<String> = [format!("text:{text}")].into_iter().chain(stop.iter().map(|stop| format!("stop:{stop}"))).collect();
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(reason == StopReason::StopSequence, stop.is_some());
    }

    #[test]
    fn a_wrapped_text_comes_out_under_every_cut(
        text in r#"[a"\\\n/é😀{}]{0,16}"#,
        ascii in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let mut arguments = serde_json::json!({"input": text}).to_string();
        if ascii {
            let escaped = |c: char| match c.is_ascii() {
                true => c.to_string(),
                false => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            };
            arguments = arguments.chars().map(escaped).collect();
        }
        let undo = Undo { wrapped_tools: vec!["f".to_owned()], ..Undo::default() };
        let (seen, _) = run(&undo, &[(call("f"), cut(&arguments, &cuts, true))], StopReason::ToolCalls);
        prop_assert_eq!(&seen[0], &format!("f!:{text}"));
    }
}
