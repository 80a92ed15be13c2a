//! All sixteen pairs on small answers: what a client reads is what the upstream said, streamed and whole, under every cut.

use proptest::prelude::*;

use super::super::*;
use super::samples::{self, Sample};
use crate::wire::feed::Feed;
use crate::wire::ir::{AnswerChoice, BlockKind, Framing, StopReason};

/// What matters of an answer to any client.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Said {
    pub text: String,
    pub thinking: String,
    /// Names and arguments.
    pub calls: Vec<(String, String)>,
    pub finish: Option<StopReason>,
    pub input: u64,
    pub output: u64,
}

impl Said {
    pub fn of(fold: &Fold) -> Said {
        let mut said = Said::default();
        let usage = fold.answer.usage.unwrap_or_default();
        (said.input, said.output) = (usage.input_total, usage.output_total);
        let Some(AnswerChoice { blocks, finish, .. }) = fold.answer.choices.first() else { return said };
        for block in blocks {
            let text = block.text().decode().into_owned();
            match &block.kind {
                BlockKind::Text | BlockKind::Refusal => said.text.push_str(&text),
                BlockKind::Reasoning { .. } => said.thinking.push_str(&text),
                // Other protocols wrap the plain text.
                BlockKind::Call { name, custom: true, .. } => {
                    let wrapped = serde_json::json!({ "input": text }).to_string();
                    said.calls.push((name.decode().into_owned(), wrapped));
                }
                BlockKind::Call { name, .. } => {
                    let arguments = if text.is_empty() { "{}".to_owned() } else { text };
                    said.calls.push((name.decode().into_owned(), normal(arguments)));
                }
                BlockKind::Media { .. } | BlockKind::Foreign { .. } => {}
            }
        }
        said.finish = finish.as_ref().map(|finish| finish.reason);
        said
    }
}

/// Arguments without white space; those that broke off as they are, also out of the object that AM and GM need for them.
fn normal(arguments: String) -> String {
    match serde_json::from_str::<serde_json::Value>(&arguments) {
        Ok(value) => value["_raw"].as_str().map_or_else(|| value.to_string(), str::to_owned),
        Err(_) => arguments,
    }
}

pub(super) fn translator(upstream: Protocol, client: Protocol, stream: bool, framing: Framing) -> Translator {
    let writer = WriterSetup {
        call_id: "c1".to_owned(),
        created: 1_700_000_000,
        model: "m".to_owned(),
        include_usage: true,
        framing,
        ..WriterSetup::default()
    };
    Translator::new(Setup { upstream, client, stream, account: "acme".to_owned(), undo: Undo::default(), writer })
}

/// Reads what a client got, with the reader of its protocol.
pub(super) fn read(client: Protocol, form: Form, body: &[u8]) -> (Fold, Outcome) {
    let mut fold = Sequence::new(Fold::default());
    let mut feed = Feed::new((client.dialect().reader)("acme"), form, Broken::Read);
    feed.push(body, &mut fold);
    let outcome = feed.finish(&mut fold);
    (fold.sink, outcome)
}

/// The client's bytes of a streamed answer.
pub(super) fn streamed(upstream: Protocol, client: Protocol, form: Form, pieces: &[&[u8]]) -> (Vec<u8>, Outcome) {
    let mut translator = translator(upstream, client, true, Framing::Sse);
    let mut out = Vec::new();
    translator.begin(form);
    pieces.iter().for_each(|piece| translator.push(piece, &mut out));
    let outcome = translator.finish(&mut out);
    (out, outcome)
}

pub(super) fn whole(upstream: Protocol, client: Protocol, form: Form, body: &[u8]) -> Option<Vec<u8>> {
    let mut translator = translator(upstream, client, false, Framing::Sse);
    let mut out = Vec::new();
    translator.begin(form);
    translator.push(body, &mut out);
    translator.finish(&mut out);
    assert!(out.is_empty());
    translator.whole()
}

#[track_caller]
fn check(client: Protocol, sample: &Sample, form: Form, body: &str) {
    let upstream = sample.protocol;
    let pair = format!("{} to {}: {}", upstream.as_str(), client.as_str(), sample.name);
    let (out, outcome) = streamed(upstream, client, form, &[body.as_bytes()]);
    assert_eq!(outcome, Outcome::Complete, "{pair}");
    let text = String::from_utf8(out.clone()).unwrap();
    let (fold, outcome) = read(client, Form::Sse, &out);
    assert_eq!((Said::of(&fold), outcome), (sample.said.clone(), Outcome::Complete), "{pair}\n{text}");

    let bytes = body.as_bytes();
    let again = streamed(upstream, client, form, &bytes.chunks(1).collect::<Vec<_>>()).0;
    assert_eq!(String::from_utf8_lossy(&again), text, "{pair}, byte by byte");
    for cut in (0..=bytes.len()).step_by(7) {
        let (head, tail) = bytes.split_at(cut);
        let again = streamed(upstream, client, form, &[head, tail]).0;
        assert_eq!(String::from_utf8_lossy(&again), text, "{pair}, cut at {cut}");
    }

    let body = whole(upstream, client, form, body.as_bytes()).expect(&pair);
    let (fold, outcome) = read(client, Form::Whole, &body);
    let text = String::from_utf8_lossy(&body);
    assert_eq!((Said::of(&fold), outcome), (sample.said.clone(), Outcome::Complete), "{pair}\n{text}");
}

#[test]
fn every_client_reads_what_the_upstream_said() {
    for sample in samples::all() {
        for client in Protocol::ALL {
            check(client, &sample, Form::Sse, &sample.stream);
            check(client, &sample, Form::Whole, &sample.whole);
        }
    }
}

#[test]
fn gemini_clients_may_get_an_array() {
    for sample in samples::all() {
        let mut translator = translator(sample.protocol, Protocol::GeminiGenerate, true, Framing::Array);
        let mut out = Vec::new();
        translator.push(sample.stream.as_bytes(), &mut out);
        translator.finish(&mut out);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.is_array()), "{text}");
        let (fold, outcome) = read(Protocol::GeminiGenerate, Form::Array, &out);
        assert_eq!((Said::of(&fold), outcome), (sample.said, Outcome::Complete), "{text}");
    }
}

#[test]
fn a_cut_stream_ends_in_an_error_that_every_client_reads() {
    let error = UpstreamError { message: "the upstream broke".to_owned(), ..UpstreamError::default() };
    for sample in samples::all() {
        for client in Protocol::ALL {
            let half = &sample.stream.as_bytes()[..sample.stream.len() * 2 / 3];
            let mut translator = translator(sample.protocol, client, true, Framing::Sse);
            let mut out = Vec::new();
            translator.push(half, &mut out);
            assert_eq!(translator.finish(&mut out), Outcome::Truncated, "{}", sample.name);
            translator.fail(&error, &mut out);
            let mut facts = Facts::default();
            let mut feed = Feed::new((client.dialect().reader)("acme"), Form::Sse, Broken::Read);
            feed.push(&out, &mut facts);
            feed.finish(&mut facts);
            let text = String::from_utf8_lossy(&out);
            let message = facts.error.map(|error| error.message);
            assert_eq!(message.as_deref(), Some("the upstream broke"), "{client:?} {text}");
        }
    }
}

/// A stream that somebody broke: bytes replaced, left out, or said twice.
fn broken(stream: &str, breaks: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = stream.as_bytes().to_vec();
    for (at, how, byte) in breaks {
        let at = at.index(bytes.len().max(1));
        if bytes.is_empty() {
            break;
        }
        match how {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at.max(1)),
            _ => {
                let end = bytes.len().min(at + usize::from(*byte));
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_broken_stream_comes_to_the_same_under_every_cut(
        sample in any::<prop::sample::Index>(),
        client in prop::sample::select(&Protocol::ALL[..]),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let samples = samples::all();
        let sample = sample.get(&samples);
        let bytes = broken(&sample.stream, &breaks);
        let one = streamed(sample.protocol, client, Form::Sse, &[&bytes]);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&streamed(sample.protocol, client, Form::Sse, &pieces), &one);
        prop_assert_eq!(&streamed(sample.protocol, client, Form::Sse, &bytes.chunks(1).collect::<Vec<_>>()), &one);
        // Whatever a client gets, it can read; and no end is invented.
        let (fold, _) = read(client, Form::Sse, &one.0);
        prop_assert!(fold.answer.ended == (one.1 == Outcome::Complete), "{:?}", String::from_utf8_lossy(&one.0));
        whole(sample.protocol, client, Form::Sse, &bytes);
    }
}
