//! The stages together: order, undoing, ids, ends, forms; under every cut.

use proptest::prelude::*;

use super::super::*;
use crate::wire::feed::tests::{ScriptReader, ScriptWriter, sse};
use crate::wire::ir::Finish;

fn setup(client: Protocol, stream: bool, undo: Undo) -> Setup {
    let writer = WriterSetup { call_id: "c1".to_owned(), model: "m".to_owned(), ..WriterSetup::default() };
    Setup { upstream: Protocol::OpenAiChat, client, stream, account: "a".to_owned(), undo, writer }
}

fn streaming(undo: Undo) -> Translator {
    let written = Written::Stream(Box::new(ScriptWriter::default()));
    Translator::of(Box::new(ScriptReader::default()), written, setup(Protocol::OpenAiChat, true, undo))
}

fn folding() -> Translator {
    let written = Written::Whole(Box::default());
    Translator::of(Box::new(ScriptReader::default()), written, setup(Protocol::OpenAiChat, false, Undo::default()))
}

fn run(mut translator: Translator, form: Form, pieces: &[&[u8]]) -> (String, Outcome) {
    let mut out = b"before ".to_vec();
    translator.begin(form);
    pieces.iter().for_each(|piece| translator.push(piece, &mut out));
    let outcome = translator.finish(&mut out);
    (String::from_utf8(out).unwrap().replace('\n', " ").trim_end().to_owned(), outcome)
}

#[track_caller]
fn check(undo: &Undo, body: &str, form: Form, expected: &str, outcome: Outcome) {
    let body = body.as_bytes();
    let one = run(streaming(undo.clone()), form, &[body]);
    assert_eq!((one.0.as_str(), one.1), (format!("before {expected}").trim_end(), outcome));
    assert_eq!(run(streaming(undo.clone()), form, &body.chunks(1).collect::<Vec<_>>()), one, "byte by byte");
    for cut in 0..=body.len() {
        let (head, tail) = body.split_at(cut);
        assert_eq!(run(streaming(undo.clone()), form, &[head, tail]), one, "cut at {cut}");
    }
}

#[test]
fn a_stream_goes_through_all_stages() {
    let undo = Undo { tool_names: vec![("f".into(), "F".into())], stop: vec!["é!".into()], ..Undo::default() };
    let script = [
        "start", "5+f", "7+g", "7,{", "5,{}", "5-", "9+text", "9.aé", "9.!b", "7-", "usage", "finish", "[DONE]", "0.x",
    ];
    let expected = "start 0+F 0,{} 0- 1+g 1,{ 1- 2+text 2.a 2- usage finish end";
    check(&undo, &sse(&script, "\r\n"), Form::Sse, expected, Outcome::Complete);
}

#[test]
fn an_answer_in_another_form_than_asked_for_is_the_same_answer() {
    let script = ["start", "0+text", "0.a", "0-", "finish"];
    let body = serde_json::json!(script).to_string();
    check(&Undo::default(), &body, Form::Whole, "start 0+text 0.a 0- finish end", Outcome::Complete);
    for (form, body) in [(Form::Whole, body.as_str()), (Form::Sse, &sse(&script, "\n"))] {
        let mut translator = folding();
        let mut out = Vec::new();
        translator.begin(form);
        translator.push(body.as_bytes(), &mut out);
        assert_eq!(translator.finish(&mut out), Outcome::Complete);
        assert!(out.is_empty());
        let Written::Whole(folded) = &translator.stages.sink.sink.written else { panic!() };
        assert_eq!(folded.fold.answer.choices[0].blocks[0].text(), "a");
        assert!(folded.fold.answer.ended);
    }
}

#[test]
fn nothing_follows_an_end_or_an_error() {
    let error = UpstreamError { message: "ours".to_owned(), ..UpstreamError::default() };
    for (script, expected) in [
        (&["0+text", "[DONE]", "0.a"][..], "0+text\n0-\nend\n"),
        (&["0+text", "failed", "0.a", "[DONE]"][..], "0+text\n! ours\n"),
        (&["0+text"][..], "0+text\n! ours\n"),
    ] {
        let mut translator = streaming(Undo::default());
        let mut out = Vec::new();
        translator.push(sse(script, "\n").as_bytes(), &mut out);
        let done = translator.done();
        assert_eq!(done, script.len() > 1);
        translator.fail(&error, &mut out);
        translator.fail(&error, &mut out);
        translator.push(sse(&["0.b"], "\n").as_bytes(), &mut out);
        translator.finish(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert!(translator.done());
    }
}

#[test]
fn a_cut_answer_is_truncated_and_not_ended() {
    check(&Undo::default(), &sse(&["0+text", "0.a"], "\n"), Form::Sse, "0+text 0.a", Outcome::Truncated);
    check(&Undo::default(), "", Form::Sse, "", Outcome::Truncated);
    check(&Undo::default(), "<html>", Form::Whole, "", Outcome::Errored);
    let mut translator = folding();
    translator.push(sse(&["0+text"], "\n").as_bytes(), &mut Vec::new());
    translator.finish(&mut Vec::new());
    assert_eq!(translator.whole(), None);
}

#[test]
fn what_is_too_long_fails() {
    let mut translator = streaming(Undo::default());
    let mut out = Vec::new();
    let piece = vec![b'x'; 1 << 20];
    (0..17).for_each(|_| translator.push(&piece, &mut out));
    translator.push(b"\n\ndata: \"finish\"\n\ndata: [DONE]\n\n", &mut out);
    assert!(translator.done() && translator.facts().error.is_some() && out.is_empty());

    let mut translator = folding();
    translator.push(sse(&["0+text"], "\n").as_bytes(), &mut out);
    let delta = sse(&[&format!("0.{}", "x".repeat(8 << 20))], "\n");
    for pushed in 1..=9 {
        translator.push(delta.as_bytes(), &mut out);
        assert_eq!(translator.done(), pushed > 7, "{pushed}");
    }
    assert_eq!((translator.finish(&mut out), translator.whole()), (Outcome::Errored, None));
}

#[test]
fn calls_have_ids_that_their_client_takes() {
    let ids = |client, ids: &[Option<&str>]| {
        let mut made = CallIds::new(client, "c1");
        let settle = |id: &Option<&str>| {
            let kind = crate::wire::ir::BlockKind::Call {
                id: id.map(|id| id.to_owned().into()),
                name: "f".into(),
                custom: false,
            };
            let mut event = Event::BlockStart { choice: 0, block: 0, kind };
            made.settle(&mut event);
            match event {
                Event::BlockStart { kind: crate::wire::ir::BlockKind::Call { id, .. }, .. } => {
                    id.map(|id| id.decode().into_owned())
                }
                _ => panic!(),
            }
        };
        ids.iter().map(settle).collect::<Vec<_>>()
    };
    let chat = ids(Protocol::OpenAiChat, &[Some("x:1"), None, Some("x:1"), Some("")]);
    assert_eq!(chat[0].as_deref(), Some("x:1"));
    assert!(chat[1..].iter().all(|id| id.as_ref().is_some_and(|id| id.starts_with("call_") && id.len() == 29)));
    assert_eq!(chat.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    let messages = ids(Protocol::AnthropicMessages, &[Some("x:1"), None, Some("toolu_1")]);
    assert!(messages[0].as_ref().is_some_and(|id| id.starts_with("x1_")));
    assert!(messages[1].as_ref().is_some_and(|id| id.starts_with("toolu_")));
    assert_eq!(messages[2].as_deref(), Some("toolu_1"));
    assert_eq!(ids(Protocol::GeminiGenerate, &[None, Some("")]), [None, None]);
}

#[test]
fn an_upstreams_finish_after_a_cut_text_names_the_stop_text() {
    let undo = Undo { stop: vec!["b".to_owned()], ..Undo::default() };
    let mut stages = Sequence::new(Undoing::new(undo, Vec::new()));
    for line in ["0+text", "0.ab", "1+f", "finish", "end"] {
        stages.event(crate::wire::sequence::tests::event(line));
    }
    let finish = stages.sink.sink.iter().find_map(|event| match event {
        Event::Finish(Finish { stop_sequence, .. }) => stop_sequence.clone(),
        _ => None,
    });
    assert_eq!(finish.unwrap(), "b");
}

fn any_line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "start",
            "0+text",
            "0.a",
            "0.ab",
            r"0.\ud83d",
            r"0.\ude00é",
            "1+f",
            "1,{",
            "0-",
            "1-",
            "usage",
            "finish",
            "[DONE]",
            "failed",
        ][..],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_stream_under_every_cut(script in prop::collection::vec(any_line(), 0..12), end in prop::sample::select(&["\n", "\r\n", "\r"][..]), lost in 0..9usize) {
        let undo = Undo { stop: vec!["b😀".to_owned(), "aa".to_owned()], ..Undo::default() };
        let mut stream = sse(&script, end);
        stream.truncate(stream.floor_char_boundary(stream.len().saturating_sub(lost)));
        let (expected, outcome) = run(streaming(undo.clone()), Form::Sse, &[stream.as_bytes()]);
        check(&undo, &stream, Form::Sse, expected.strip_prefix("before").unwrap().trim_start(), outcome);
    }
}
