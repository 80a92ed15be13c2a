//! The tap under every cut: the bytes that go on, and what was learnt.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::*;
use crate::wire::ir::Outcome;
use crate::wire::{Usage, sse};

/// What a tap knows at the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Learnt {
    pub content_seen: bool,
    pub done: bool,
    pub error: Option<InBandError>,
    pub outcome: Outcome,
    pub usage: Option<Usage>,
    pub finish: Option<String>,
    pub tier: Option<String>,
    pub text: String,
    pub bytes: u64,
}

pub(crate) fn run(pieces: &[&[u8]], drop_usage: bool) -> (Vec<u8>, Learnt) {
    let mut tap = ChatTap::new(drop_usage);
    let mut forwarded = Vec::new();
    for piece in pieces {
        tap.push(Bytes::copy_from_slice(piece), &mut |bytes| forwarded.extend_from_slice(&bytes));
    }
    tap.finish(&mut |bytes| forwarded.extend_from_slice(&bytes));
    let learnt = Learnt {
        content_seen: tap.content_seen(),
        done: tap.done(),
        error: tap.error().cloned(),
        outcome: tap.outcome(),
        usage: tap.usage(),
        finish: tap.finish_reason().map(str::to_owned),
        tier: tap.service_tier().map(str::to_owned),
        text: tap.output_text(),
        bytes: tap.output_bytes(),
    };
    (forwarded, learnt)
}

/// Feeds a stream in one, byte by byte, and cut at each of `cuts`; both ways of forwarding learn the same.
pub(crate) fn check_cuts(stream: &[u8], cuts: impl Iterator<Item = usize>) -> (Vec<u8>, Learnt) {
    let (kept, learnt) = run(&[stream], false);
    assert_eq!(kept, stream, "nothing is dropped that was asked for");
    let (sifted, sifted_learnt) = run(&[stream], true);
    assert_eq!(sifted_learnt, learnt);
    let check = |pieces: &[&[u8]], how: &str| {
        assert_eq!(run(pieces, false), (kept.clone(), learnt.clone()), "{how}");
        let (forwarded, learnt_again) = run(pieces, true);
        assert_eq!(String::from_utf8_lossy(&forwarded), String::from_utf8_lossy(&sifted), "{how}");
        assert_eq!(learnt_again, learnt, "{how}");
    };
    check(&stream.chunks(1).collect::<Vec<_>>(), "byte by byte");
    for cut in cuts {
        let (head, tail) = stream.split_at(cut);
        check(&[head, tail], &format!("cut at {cut}"));
    }
    if learnt.bytes <= OUTPUT_KEPT_BYTES_MAX as u64 {
        assert_eq!(learnt.text.len() as u64, learnt.bytes);
    }
    (sifted, learnt)
}

pub(crate) fn check(stream: &str) -> (String, Learnt) {
    let (sifted, learnt) = check_cuts(stream.as_bytes(), 0..=stream.len());
    (String::from_utf8(sifted).unwrap(), learnt)
}

const TEXT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const COUNTED: Usage = Usage {
    input_total: 3,
    output_total: 2,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    cache_write_30m: 0,
    audio_in: 0,
    image_in: 0,
    video_in: 0,
    reasoning: 0,
    audio_out: 0,
    image_out: 0,
    web_searches: 0,
    web_fetches: 0,
};

fn chunk(choice: &str) -> String {
    format!("data: {{\"choices\":[{choice}]}}\n\n")
}

fn delta(delta: &str) -> String {
    chunk(&format!("{{\"index\":0,\"delta\":{delta}}}"))
}

#[test]
fn an_ordinary_stream() {
    let (sifted, learnt) = check(&[TEXT, STOP, USAGE, DONE].concat());
    assert_eq!(sifted, [TEXT, STOP, DONE].concat());
    let expected = Learnt {
        content_seen: true,
        done: true,
        error: None,
        outcome: Outcome::Complete,
        usage: Some(COUNTED),
        finish: Some("stop".to_owned()),
        tier: None,
        text: "Hi".to_owned(),
        bytes: 2,
    };
    assert_eq!(learnt, expected);
}

#[test]
fn the_usage_chunk_goes_whole_with_any_line_ends_and_fields() {
    let bare = USAGE.trim_end();
    for end in ["\n", "\r\n", "\r"] {
        let event = |text: &str| format!("{}{end}{end}", text.trim_end());
        let usage = format!("event: message{end}id: 7{end}{bare}{end}: inside{end}{end}");
        let (sifted, learnt) = check(&[&event(TEXT), &usage, &event(DONE)].map(|event| event.as_str()).concat());
        assert_eq!(sifted, event(TEXT) + &event(DONE));
        assert_eq!(learnt.usage, Some(COUNTED));
    }
    let two_lines = USAGE.replace(",\"usage\"", ",\ndata:\"usage\"");
    assert_eq!(check(&[TEXT, &two_lines].concat()).0, TEXT);
    assert_eq!(check(&[TEXT, bare].concat()), check(&[TEXT, USAGE].concat()));
}

#[test]
fn other_chunks_with_usage_or_without_choices_go_on() {
    let both = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";
    let azure = "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n";
    let null = "data: {\"choices\":[],\"usage\":null}\n\n";
    let failed = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3},\"error\":{\"message\":\"m\"}}\n\n";
    for event in
        [both, azure, null, failed, "data: {\"choices\":[\n\n", ": c\n", "event: keepalive\n\n", "\n\n", "retry: 5\n\n"]
    {
        assert_eq!(check(event).0, event);
    }
    assert_eq!(check(both).1.usage, Some(COUNTED));
}

#[test]
fn a_usage_chunk_behind_the_end_mark_is_nobodys() {
    let (sifted, learnt) =
        check(&[TEXT, DONE, USAGE, "data: {\"error\":{\"message\":\"m\"}}\n\n", DONE, "data: half"].concat());
    assert!(sifted.ends_with("data: half"));
    assert!(sifted.contains(USAGE));
    assert_eq!((learnt.usage, learnt.error), (None, None));
}

#[test]
fn content_is_the_first_character_of_anything_produced() {
    for empty in [
        r#"{"role":"assistant","content":""}"#,
        r#"{"content":null,"refusal":null,"tool_calls":null}"#,
        "{}",
        r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"","arguments":""}}]}"#,
        r#"{"reasoning":"","reasoning_details":[]}"#,
        r#"{"content":[]}"#,
        r#"{"audio":{"id":"a"}}"#,
        r#"{"images":[]}"#,
        "null",
    ] {
        assert!(!check(&delta(empty)).1.content_seen, "{empty}");
    }
    for (full, text) in [
        (r#"{"content":" "}"#, " "),
        (r#"{"reasoning":"r"}"#, "r"),
        (r#"{"reasoning_content":"r"}"#, "r"),
        (r#"{"refusal":"f"}"#, "f"),
        (r#"{"reasoning":"r","reasoning_content":"r"}"#, "r"),
        (r#"{"reasoning":"r","reasoning_content":""}"#, "r"),
        (
            r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}},{"function":{"arguments":"{\"a"}}]}"#,
            "f{\"a",
        ),
        (r#"{"function_call":{"name":"g"}}"#, "g"),
        (r#"{"tool_calls":[{"custom":{"input":"i"}}]}"#, "i"),
        (r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]}]}"#, "t"),
        (r#"{"audio":{"data":"AA=="}}"#, ""),
        (r#"{"images":[{"image_url":{"url":"data:"}}]}"#, ""),
    ] {
        let learnt = check(&delta(full)).1;
        assert!(learnt.content_seen, "{full}");
        assert_eq!(learnt.text, text, "{full}");
    }
}

#[test]
fn the_cumulative_message_beside_a_delta_is_not_counted_twice() {
    let text = chunk(r#"{"delta":{"content":"b"},"message":{"content":"ab"}}"#);
    assert_eq!(check(&text).1.text, "b");
    assert_eq!(check(&chunk(r#"{"message":{"content":"ab"}}"#)).1.text, "ab");
}

#[test]
fn text_is_joined_across_deltas_with_its_escapes() {
    let stream = [
        r#"{"content":"a\n\u00e9"}"#,
        r#"{"content":"\ud83d"}"#,
        r#"{"content":"\ude00€"}"#,
        r#"{"content":"\\ud83d"}"#,
    ]
    .map(delta)
    .concat();
    assert_eq!(check(&stream).1.text, "a\né😀€\\ud83d");
}

#[test]
fn usage_is_the_last_that_says_something() {
    let usage =
        |counts: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}}}}],\"usage\":{counts}}}\n\n");
    let first = usage(r#"{"prompt_tokens":3,"completion_tokens":1}"#);
    let last = usage(r#"{"prompt_tokens":3,"completion_tokens":2}"#);
    for nothing in ["null", "{}", r#"{"prompt_tokens":0,"completion_tokens":0}"#] {
        assert_eq!(check(&[first.as_str(), &last, &usage(nothing)].concat()).1.usage, Some(COUNTED));
        assert_eq!(check(&usage(nothing)).1.usage, None);
    }
    let zero = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\n";
    assert_eq!(check(zero).1.usage, Some(Usage::default()));
    let counts = r#"{"prompt_tokens":3,"completion_tokens":2}"#;
    assert_eq!(
        check(&format!("data: {{\"choices\":[{{\"delta\":{{}}}}],\"x_groq\":{{\"usage\":{counts}}}}}\n\n")).1.usage,
        Some(COUNTED)
    );
    assert_eq!(check(&chunk(&format!("{{\"delta\":{{}},\"usage\":{counts}}}"))).1.usage, Some(COUNTED));
}

#[test]
fn an_outcome_needs_a_finish_for_every_choice_or_usage_and_the_end_mark() {
    let choice = |index: u8, finish: &str| {
        chunk(&format!("{{\"index\":{index},\"delta\":{{\"content\":\"x\"}},\"finish_reason\":{finish}}}"))
    };
    let (open, stopped) = (choice(0, "null"), choice(0, "\"stop\""));
    let (other_open, other_stopped) = (choice(1, "\"\""), choice(1, "\"length\""));
    let outcome = |events: &[&str]| check(&events.concat()).1.outcome;
    assert_eq!(outcome(&[]), Outcome::Truncated);
    assert_eq!(outcome(&[DONE]), Outcome::Truncated);
    assert_eq!(outcome(&[&open]), Outcome::Truncated);
    assert_eq!(outcome(&[&open, DONE]), Outcome::Truncated);
    assert_eq!(outcome(&[&open, USAGE]), Outcome::Truncated);
    assert_eq!(outcome(&[&open, USAGE, DONE]), Outcome::Complete);
    assert_eq!(outcome(&[&open, &stopped]), Outcome::Complete);
    assert_eq!(outcome(&[&stopped, DONE]), Outcome::Complete);
    assert_eq!(outcome(&[&stopped, &other_open]), Outcome::Truncated);
    assert_eq!(outcome(&[&stopped, &other_open, &other_stopped]), Outcome::Complete);
}

#[test]
fn errors_are_heard_in_every_form() {
    let plain = "data: {\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}}\n\n";
    for event in [
        plain,
        "event: error\ndata: {\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}}\n\n",
        "event: error\ndata: {\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}\n\n",
        "data: {\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"},\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n",
        "data: [{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}}]\n\n",
        "data: {\"object\":\"error\",\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}\n\n",
    ] {
        let learnt = check(&[TEXT, event, DONE].concat()).1;
        let error = learnt.error.expect(event);
        assert_eq!(
            (error.message.as_str(), error.kind.as_deref(), error.code.as_deref()),
            ("m", Some("t"), Some("c")),
            "{event}"
        );
        assert_eq!(learnt.outcome, Outcome::Errored);
    }
    assert_eq!(check("event: error\ndata: out of memory\n\n").1.error.unwrap().message, "out of memory");
    for event in [
        "data: {\"error\":null,\"choices\":[]}\n\n",
        "event: error\n\n",
        "data: {\"x\":{\"error\":{\"message\":\"m\"}}}\n\n",
    ] {
        assert_eq!(check(event).1.error, None, "{event}");
    }
}

#[test]
fn keepalives_and_broken_payloads_say_nothing() {
    for event in [
        ": OPENROUTER PROCESSING\n\n",
        "data: : keepalive\n\n",
        "data:\n\n",
        "data: \"\"\n\n",
        "event: keepalive\n\n",
        "data: oops\n\n",
        "id: 1\n\n",
    ] {
        let learnt = check(&[event, TEXT, event, STOP, event, DONE].concat()).1;
        assert_eq!((learnt.text.as_str(), learnt.outcome, learnt.error), ("Hi", Outcome::Complete, None), "{event}");
    }
}

#[test]
fn a_last_event_without_its_blank_line_counts_if_it_is_whole() {
    for cut in [0, 1, 2] {
        let last = &DONE[..DONE.len() - cut];
        assert!(check(&[TEXT, STOP, last].concat()).1.done);
        let last = &STOP[..STOP.len() - cut];
        assert_eq!(check(&[TEXT, last].concat()).1.outcome, Outcome::Complete);
    }
    let (sifted, learnt) = check(&[TEXT, &STOP[..STOP.len() - 3]].concat());
    assert_eq!((sifted.as_str(), learnt.outcome), (TEXT, Outcome::Truncated));
}

/// Reads what a client reads and gives the data of its events.
fn client_reads(bytes: &[u8]) -> Vec<String> {
    let mut splitter = sse::Splitter::default();
    let (mut at, mut events) = (0, Vec::new());
    while let Some(unit) = splitter.next(bytes, &mut at) {
        if let sse::Unit::Event(Some(raw)) = unit {
            events.extend(sse::fields(raw, false).data.map(|data| String::from_utf8_lossy(&data).into_owned()));
        }
    }
    events
}

#[test]
fn our_error_event_stands_alone_wherever_a_stream_breaks() {
    let error = error_event("m", "t", "c");
    for stream in [
        [TEXT, STOP, USAGE].concat(),
        [TEXT, ": c\n", STOP].concat().replace('\n', "\r\n"),
        [TEXT, STOP].concat().replace('\n', "\r"),
    ] {
        for drop_usage in [true, false] {
            for cut in 0..=stream.len() {
                let mut tap = ChatTap::new(drop_usage);
                let mut sent = Vec::new();
                tap.push(Bytes::copy_from_slice(&stream.as_bytes()[..cut]), &mut |bytes| {
                    sent.extend_from_slice(&bytes)
                });
                // As after a broken connection: what was withheld is lost.
                tap.finish(&mut |_| {});
                let whole = client_reads(&sent).len();
                sent.extend_from_slice(tap.error_prefix());
                sent.extend_from_slice(&error);
                let events = client_reads(&sent);
                assert_eq!(events.last().unwrap().as_bytes(), error["data: ".len()..].trim_ascii_end(), "cut at {cut}");
                assert!(events.len() - whole <= if drop_usage { 1 } else { 2 });
            }
        }
    }
}

#[test]
fn nothing_is_copied_that_came_whole() {
    let stream = Bytes::from([TEXT, USAGE, STOP].concat());
    for (drop_usage, pieces) in [(false, 1), (true, 2)] {
        let mut out = Vec::new();
        ChatTap::new(drop_usage).push(stream.clone(), &mut |bytes| out.push(bytes));
        assert_eq!(out.len(), pieces);
        let within = stream.as_ptr_range();
        assert!(out.iter().all(|bytes| within.contains(&bytes.as_ptr())));
    }
}

#[test]
fn a_keepalive_does_not_wait_for_an_event() {
    let mut out = Vec::new();
    ChatTap::new(true).push(Bytes::from(": ping\n"), &mut |bytes| out.extend_from_slice(&bytes));
    assert_eq!(out, b": ping\n");
}

#[test]
fn a_giant_event_flows_and_is_understood() {
    let text = "x".repeat(3 << 20);
    let stream = [&delta(&format!(r#"{{"content":"{text}"}}"#)), USAGE, STOP, DONE].concat();
    for piece_bytes in [1000, 16 << 10, 100_000] {
        let mut tap = ChatTap::new(true);
        let mut forwarded = Vec::new();
        let mut taken = 0;
        for piece in stream.as_bytes().chunks(piece_bytes) {
            taken += piece.len();
            tap.push(Bytes::copy_from_slice(piece), &mut |bytes| forwarded.extend_from_slice(&bytes));
            assert!(taken - forwarded.len() <= HELD_BYTES_MAX + USAGE.len(), "withheld without bound");
        }
        tap.finish(&mut |bytes| forwarded.extend_from_slice(&bytes));
        assert!(forwarded == stream.replace(USAGE, "").into_bytes());
        assert_eq!((tap.output_bytes(), tap.output_text().len()), (text.len() as u64, OUTPUT_KEPT_BYTES_MAX));
        assert_eq!((tap.usage(), tap.outcome()), (Some(COUNTED), Outcome::Complete));
    }
}

#[test]
fn an_overlong_event_flows_whole_and_counts_as_content() {
    let long = delta(&format!(r#"{{"content":"{}"}}"#, "x".repeat(sse::FRAME_BYTES_MAX)));
    let stream = [&long, USAGE, STOP, DONE].concat();
    for cuts in [vec![], vec![10], vec![1 << 20, 9 << 20, stream.len() - 20]] {
        let mut pieces = Vec::new();
        let mut at = 0;
        for cut in cuts.into_iter().chain([stream.len()]) {
            pieces.push(&stream.as_bytes()[at..cut]);
            at = cut;
        }
        let (forwarded, learnt) = run(&pieces, true);
        assert!(forwarded == stream.replace(USAGE, "").into_bytes());
        assert_eq!(
            (learnt.content_seen, learnt.bytes, learnt.usage, learnt.outcome),
            (true, 0, Some(COUNTED), Outcome::Complete)
        );
    }
}

#[test]
fn kept_text_ends_on_a_character() {
    let half = delta(&format!(r#"{{"content":"{}"}}"#, "x".repeat(OUTPUT_KEPT_BYTES_MAX / 2 + 1)));
    let wide = delta(&format!(r#"{{"content":"{}"}}"#, "é".repeat(OUTPUT_KEPT_BYTES_MAX / 4 + 1)));
    let (_, learnt) = run(&[half.as_bytes(), wide.as_bytes(), TEXT.as_bytes()], false);
    assert_eq!(learnt.text.len(), OUTPUT_KEPT_BYTES_MAX - 1);
    assert!(learnt.text.ends_with('é'));
    assert_eq!(learnt.bytes, OUTPUT_KEPT_BYTES_MAX as u64 + 5);
}

fn any_event() -> impl Strategy<Value = String> {
    let named = prop::sample::select(
        &[TEXT, STOP, USAGE, DONE, ": c\n", ": c\n\n", "event: error\n\n", "\n", "data: oops\n\n"][..],
    )
    .prop_map(str::to_owned);
    let text = r#"[a"\\/\n€😀]{0,8}"#.prop_map(|text| delta(&serde_json::json!({"content": text}).to_string()));
    let counts =
        (0..9u64, 0..9u64).prop_map(|(a, b)| USAGE.replace(":3", &format!(":{a}")).replace(":2", &format!(":{b}")));
    prop_oneof![3 => named, 3 => text, 1 => counts]
}

proptest! {
    #[test]
    fn any_stream_under_every_cut(events in prop::collection::vec(any_event(), 0..7), end in prop::sample::select(&["\n", "\r\n", "\r"][..]), lost in 0..40usize) {
        let mut stream = events.concat().replace('\n', end);
        let whole = lost > 5;
        if !whole {
            stream.truncate(stream.floor_char_boundary(stream.len().saturating_sub(lost)));
        }
        let (sifted, _) = check_cuts(stream.as_bytes(), 0..=stream.len());
        if whole {
            let done = events.iter().position(|event| event == DONE).unwrap_or(events.len());
            let is_dropped = |(at, event): &(usize, &String)| *at < done && event.contains("\"choices\":[],");
            let expected: String = events.iter().enumerate().filter(|pair| !is_dropped(pair)).map(|(_, event)| event.as_str()).collect();
            prop_assert_eq!(String::from_utf8_lossy(&sifted), expected.replace('\n', end));
        }
    }

    #[test]
    fn arbitrary_bytes_go_through(bytes in prop::collection::vec(prop::sample::select(&b"data: {}[]\"choices\",usage\n\n\r:\\ud8\xff"[..]), 0..80)) {
        check_cuts(&bytes, 0..=bytes.len());
    }
}
