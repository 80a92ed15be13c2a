//! Cases 1 to 12: how bytes are cut and framed.

use super::*;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat};

fn in_pieces(way: &Way, bytes: &[u8], at: &[usize]) -> Vec<u8> {
    let mut cuts = vec![0];
    cuts.extend(at);
    cuts.push(bytes.len());
    translate(way, cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]))
}

/// Byte by byte, and in two at every byte.
fn any_cut(upstream: Protocol, bytes: &[u8]) {
    for way in ways(upstream, Shape::Stream) {
        let expected = whole(&way, bytes);
        assert_eq!(translate(&way, bytes.chunks(1)), expected, "{way:?}: byte by byte");
        for at in 0..bytes.len() {
            assert_eq!(in_pieces(&way, bytes, &[at]), expected, "{way:?}: cut at {at}");
        }
    }
}

#[test]
fn case_01_a_character_split_between_reads() {
    for (upstream, bytes) in texts() {
        assert!(bytes.iter().any(|byte| *byte > 0xEF), "{upstream:?} has no character of four bytes");
        any_cut(upstream, &bytes);
    }
}

#[test]
fn case_02_an_event_split_between_reads() {
    any_cut(OpenAiChat, &stream(OpenAiChat, "calls_interleaved"));
    any_cut(AnthropicMessages, &stream(AnthropicMessages, "thinking"));
    any_cut(GeminiGenerate, &stream(GeminiGenerate, "thought_and_calls"));
}

#[test]
fn case_03_every_line_end() {
    for (upstream, bytes) in texts() {
        let text = String::from_utf8(bytes.clone()).unwrap().replace("\r\n", "\n");
        let (crlf, cr) = (text.replace('\n', "\r\n"), text.replace('\n', "\r"));
        same_as(upstream, &bytes, text.as_bytes());
        same_as(upstream, &bytes, crlf.as_bytes());
        same_as(upstream, &bytes, cr.as_bytes());
        // A CR at the end of one read and its LF at the start of the next.
        for way in ways(upstream, Shape::Stream) {
            let cuts: Vec<usize> = crlf.match_indices("\r\n").map(|(at, _)| at + 1).collect();
            assert_eq!(in_pieces(&way, crlf.as_bytes(), &cuts), whole(&way, &bytes), "{way:?}");
        }
    }
}

#[test]
fn case_04_data_without_a_space() {
    for (upstream, bytes) in texts() {
        same_as(upstream, &bytes, &edit(&bytes, "data: ", "data:"));
    }
}

#[test]
fn case_05_comments_are_skipped_and_never_data() {
    for (upstream, bytes) in texts() {
        let end = if upstream == GeminiGenerate { "\r\n\r\n" } else { "\n\n" };
        let between = edit(&bytes, end, &format!("{end}: KEEP ALIVE{end}:{end}"));
        let before = [b": WAIT\n\n: WAIT\n\n".as_slice(), &bytes].concat();
        same_as(upstream, &bytes, &between);
        same_as(upstream, &bytes, &before);
    }
}

#[test]
fn case_06_what_is_not_quite_a_comment() {
    for (upstream, bytes) in texts() {
        for odd in ["data: : keepalive\n\n", "data:\n\n", "data: \n\n", "event: keepalive\n\n", "data: \"\"\n\n"] {
            same_as(upstream, &bytes, &[odd.as_bytes(), &bytes].concat());
        }
    }
}

/// What keeps a connection alive does so at both ends: as the client's protocol has it, and not before its stream has begun.
#[test]
fn case_05_keepalives_are_given_on() {
    let event = "data: {\"type\":\"keepalive\",\"sequence_number\":3}";
    for (upstream, bytes) in texts() {
        let text = String::from_utf8(without_keepalives(&bytes).into_bytes()).unwrap();
        let end = if upstream == GeminiGenerate { "\r\n\r\n" } else { "\n\n" };
        let events: Vec<&str> = text.split_inclusive(end).collect();
        let (head, tail) = events.split_at(events.len() - 2);
        for odd in [": wait", ":", "data:", "data: \"\"", "event: ping\ndata: {\"type\": \"ping\"}", event] {
            let stream = format!("{odd}{end}{}{odd}{end}{odd}{end}{}{odd}{end}", head.concat(), tail.concat());
            for way in ways(upstream, Shape::Stream) {
                let out = translate(&way, stream.as_bytes().chunks(3));
                let seen = decode(way.client, way.to, &out, way.usage_asked);
                assert!(seen.wrong.is_empty(), "{way:?} {odd:?}: {:?}", seen.wrong);
                let out = String::from_utf8(out).unwrap();
                let ping = if way.client == AnthropicMessages { "event: ping" } else { ": ping" };
                let ours = out.lines().filter(|line| *line == ping).count();
                let expected = if way.to == Shape::Stream && way.client != GeminiGenerate { 2 } else { 0 };
                // A stream of Responses ends with its last event, the others with their bytes.
                assert!((expected..=expected + 1).contains(&ours), "{way:?} {odd:?}: {ours} in {out}");
                assert!(!out.starts_with(':') && !out.starts_with("event: ping"), "{way:?}: {out}");
            }
        }
    }
}

/// The decoders refuse an `id:` line, a comment with a blank line behind it, and any comment for AM and GM; every other test
/// of this module relies on them.
#[test]
fn case_07_nothing_that_breaks_sdks_is_written() {
    for case in fixtures::answers() {
        for way in ways(case.protocol, case.shape) {
            let out = String::from_utf8(whole(&way, &case.response)).unwrap();
            assert!(!out.starts_with("id:") && !out.contains("\nid:"), "{} {way:?}", case.id);
            let comment = out.replace("\n: ping\n", "\n").contains("\n:");
            assert!(!comment, "{} {way:?}: a comment", case.id);
        }
    }
}

#[test]
fn case_08_a_ping_without_an_object() {
    let bytes = stream(AnthropicMessages, "text");
    let odd = edit(&bytes, "event: ping\ndata: {\"type\":\"ping\"}\n\n", "event: ping\ndata: \"\"\n\n");
    let none = edit(&bytes, "event: ping\ndata: {\"type\":\"ping\"}\n\n", "");
    same_as(AnthropicMessages, &none, &odd);
    same_as(AnthropicMessages, &none, &bytes);
}

#[test]
fn case_09_lines_of_data_a_byte_order_mark_and_unknown_fields() {
    for (upstream, bytes) in texts() {
        let marked = [b"\xEF\xBB\xBF".as_slice(), &bytes].concat();
        same_as(upstream, &bytes, &marked);
        let retry = [b"retry: 3000\nnonsense\n".as_slice(), &bytes].concat();
        same_as(upstream, &bytes, &retry);
        // A comma stands at the end of a line, the rest on the next.
        let text = String::from_utf8(bytes.clone()).unwrap();
        let (at, _) = text.match_indices("\",\"").next().unwrap();
        let lines = format!("{}\ndata: {}", &text[..at + 2], &text[at + 2..]);
        same_as(upstream, &bytes, lines.as_bytes());
    }
}

#[test]
fn case_10_a_last_event_without_its_blank_line() {
    for (upstream, bytes) in texts() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        same_as(upstream, &bytes, text.trim_end().as_bytes());
    }
    let last =
        chat(&[r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Aye."},"finish_reason":"stop"}]"#]);
    let unended = edit(&last, "\n\ndata: [DONE]\n\n", "");
    each(OpenAiChat, Shape::Stream, &unended, |_, seen| {
        assert!(seen.finished());
        assert_eq!(seen.first().text, "Aye.");
    });
}

#[test]
fn case_11_bytes_behind_the_end() {
    let bytes = stream(OpenAiChat, "text");
    let more = br#"data: {"choices":[{"index":0,"delta":{"content":"more"}}]}"#;
    for tail in [b"data: [DONE]\n\n".as_slice(), more, b"\n\n\n\n", b"{{{{", b"\xff\xfe"] {
        same_as(OpenAiChat, &bytes, &[&bytes, tail].concat());
        same_as(OpenAiChat, &bytes, &[bytes.as_slice(), more, b"\n\n", tail].concat());
    }
    let message = stream(AnthropicMessages, "text");
    same_as(AnthropicMessages, &message, &[&message, message.as_slice()].concat());
}

#[test]
fn case_12_no_done_but_a_finish() {
    each_of(OpenAiChat, "no_done.sse", |_, seen| {
        assert!(seen.finished());
        assert_eq!(seen.first().text, "Calm.");
    });
    each_of(AnthropicMessages, "no_message_stop.sse", |_, seen| {
        assert!(seen.finished());
        assert_eq!(seen.first().text, "Aye.");
    });
}
