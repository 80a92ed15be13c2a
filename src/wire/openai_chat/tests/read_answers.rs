//! Answers of every vendor's making, read into events. Shapes as met in recordings, contents invented.

use super::super::*;
use crate::wire::ir::{BlockKind, Delta, Event, EventReader, Outcome, Sink};

/// One block of a choice behind the other, as the stage behind every reader puts them.
pub fn sequenced(events: &[Event<'static>]) -> Vec<Event<'static>> {
    let mut sorted: Vec<(u32, u32, Event<'static>)> = Vec::new();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Start(_) => head.push(event.clone()),
            Event::BlockStart { choice, block, .. }
            | Event::Delta { choice, block, .. }
            | Event::BlockStop { choice, block } => sorted.push((*choice, *block, event.clone())),
            Event::Usage { .. } | Event::Finish(_) | Event::Failed(_) | Event::End => tail.push(event.clone()),
        }
    }
    sorted.sort_by_key(|(choice, block, _)| (*choice, *block));
    head.extend(sorted.into_iter().map(|(_, _, event)| event));
    head.extend(tail);
    head
}

/// Events for people: blocks one after the other, pieces put together.
pub fn told(events: &[Event<'static>]) -> String {
    let mut out = String::new();
    for event in sequenced(events) {
        let said = match event {
            Event::Start(start) => start.model.map(|model| format!("{} ", model.decode())).unwrap_or_default(),
            Event::BlockStart { choice, kind, .. } => {
                let choice = if choice > 0 { format!("{choice}:") } else { String::new() };
                let kind = match kind {
                    BlockKind::Text => "text".to_owned(),
                    BlockKind::Refusal => "refusal".to_owned(),
                    BlockKind::Reasoning { redacted: false } => "thinking".to_owned(),
                    BlockKind::Reasoning { redacted: true } => "redacted".to_owned(),
                    BlockKind::Call { id, name, custom } => format!(
                        "{} {} {}",
                        if custom { "custom" } else { "call" },
                        id.map_or("-".into(), |id| id.decode().into_owned()),
                        name.decode()
                    ),
                    BlockKind::Media { image, mime } => format!("{} {mime}", if image { "image" } else { "sound" }),
                    BlockKind::Foreign { what, .. } => what.into_owned(),
                };
                format!("[{choice}{kind}|")
            }
            Event::Delta { delta, .. } => match delta {
                Delta::Text(text) | Delta::Arguments(text) | Delta::Data(text) | Delta::Url(text) => {
                    text.decode().into_owned()
                }
                Delta::State(state) => {
                    format!("<{} {}>", state.account.as_deref().unwrap_or("-"), state.payload.decode())
                }
                Delta::Citation(citation) => format!(
                    "({} {} {:?})",
                    citation.url.map(|url| url.decode().into_owned()).unwrap_or_default(),
                    citation.title.map(|title| title.decode().into_owned()).unwrap_or_default(),
                    citation.span
                ),
                Delta::NextPart => "¶".to_owned(),
                Delta::Logprobs(list) => format!("~{}", list.as_array().unwrap().len()),
            },
            Event::BlockStop { .. } => "]".to_owned(),
            Event::Usage { usage, .. } => format!(" {}+{}", usage.input_total, usage.output_total),
            Event::Finish(finish) => format!(" {:?}", finish.reason),
            Event::Failed(error) => format!(" failed: {}", error.message),
            Event::End => " end".to_owned(),
        };
        out.push_str(&said);
    }
    out
}

/// Reads chunks, each the JSON behind `data:`.
#[track_caller]
fn check_stream(chunks: &[&str], expected: &str, outcome: Outcome) {
    let mut reader = ChatReader::new("acme");
    let mut events: Vec<Event<'static>> = Vec::new();
    for chunk in chunks {
        let (name, data) = chunk.strip_prefix("error ").map_or((None, *chunk), |data| (Some("error"), data));
        reader.read_event(name, data, &mut events);
    }
    let is = reader.end(&mut events);
    assert_eq!((told(&events).trim(), is), (expected, outcome));
    assert_eq!(reader.done(), outcome != Outcome::Truncated);
    let count = events.len();
    reader.read_event(None, r#"{"choices":[{"delta":{"content":"late"}}]}"#, &mut events);
    if reader.done() {
        assert_eq!(events.len(), count, "nothing comes behind the end");
    }
}

/// Deltas of choice 0, then a finish reason.
#[track_caller]
fn check_deltas(deltas: &[&str], expected: &str) {
    let mut chunks: Vec<String> =
        deltas.iter().map(|delta| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)).collect();
    chunks.push(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned());
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    check_stream(&chunks, &format!("{expected} end"), Outcome::Complete);
}

#[track_caller]
fn check_whole(body: &str, expected: &str) {
    let mut events: Vec<Event<'static>> = Vec::new();
    let read = ChatReader::new("acme").read_whole(body, &mut events);
    assert_eq!(read.map(|()| told(&events).trim().to_owned()).unwrap_or_else(|problem| problem), expected);
}

#[test]
fn text_usage_and_done() {
    let chunks = [
        r#"{"id":"c1","model":"m","created":5,"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}"#,
        r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
        r#"{"id":"c2","model":"n","choices":[{"index":0,"delta":{"content":"lo \ud83d"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
        "[DONE]",
    ];
    check_stream(&chunks, "m [text|Hello \u{fffd}] 3+2 Done end", Outcome::Complete);
    // Without the mark, and with usage beside the finish reason.
    check_stream(&chunks[..5], "m [text|Hello \u{fffd}] 3+2 Done end", Outcome::Complete);
    check_stream(&chunks[..3], "m [text|Hello \u{fffd}", Outcome::Truncated);
    check_stream(
        &[
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
        ],
        "[text|a] 1+1 Length end",
        Outcome::Complete,
    );
}

#[test]
fn an_end_must_be_believed() {
    let said = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]}"#;
    check_stream(&[said, "[DONE]"], "[text|a", Outcome::Truncated);
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    check_stream(&[said, usage, "[DONE]"], "[text|a] 3+2 Done end", Outcome::Complete);
    check_stream(&[said, usage], "[text|a 3+2", Outcome::Truncated);
    check_stream(&[], "", Outcome::Truncated);
    check_stream(&["", "\"\"", ": ping"], "", Outcome::Truncated);
}

#[test]
fn zeros_beside_a_text_are_no_usage() {
    let chunks = [
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
        r#"{"choices":[],"usage":{}}"#,
    ];
    check_stream(&chunks, "[text|a] Done end", Outcome::Complete);
}

#[test]
fn usage_stands_in_many_places_and_the_last_counts() {
    let first = r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}"#;
    for last in [
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":9,"completion_tokens":4}}}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":4}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":"9","completion_tokens":4.0}}"#,
    ] {
        check_stream(&[first, last], "[text|a] 9+4 Done end", Outcome::Complete);
    }
}

#[test]
fn thinking_has_many_names() {
    for delta in [
        r#"{"reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"reasoning":"hm","reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"hm","index":0}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"hm"}],"content":""}"#,
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#,
        r#"{"content":[{"type":"thinking","thinking":"hm"}]}"#,
    ] {
        check_deltas(&[delta, r#"{"content":"a"}"#], "[thinking|hm][text|a] Done");
    }
}

#[test]
fn state_of_thinking_is_kept_as_it_came() {
    check_deltas(
        &[
            r#"{"reasoning":"h","reasoning_details":[{"type":"reasoning.text","text":"h","format":"f","index":0}]}"#,
            r#"{"reasoning":"m","reasoning_details":[{"type":"reasoning.text","text":"m","format":"f","index":0}]}"#,
            r#"{"reasoning_details":[{"type":"reasoning.text","signature":"S","index":0}]}"#,
            r#"{"content":"a"}"#,
        ],
        concat!(
            r#"[thinking|hm<acme [{"type":"reasoning.text","format":"f","index":0,"signature":"S","text":"hm"}]>]"#,
            "[text|a] Done"
        ),
    );
    // Encrypted alone: nothing to show.
    check_deltas(
        &[r#"{"content":"a"}"#, r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"E","id":"r"}]}"#],
        r#"[text|a][redacted|<acme [{"type":"reasoning.encrypted","data":"E","id":"r"}]>] Done"#,
    );
    // A signature ends a block.
    check_deltas(
        &[
            r#"{"reasoning_content":"x"}"#,
            r#"{"reasoning_details":[{"type":"reasoning.text","signature":"1","index":0}]}"#,
            r#"{"reasoning_content":"y"}"#,
        ],
        r#"[thinking|x<acme [{"type":"reasoning.text","signature":"1","index":0}]>][thinking|y] Done"#,
    );
}

/// `tool_calls` of one delta each.
#[track_caller]
fn check_calls(pieces: &[&str], expected: &str) {
    let deltas: Vec<String> = pieces.iter().map(|pieces| format!(r#"{{"tool_calls":[{pieces}]}}"#)).collect();
    let deltas: Vec<&str> = deltas.iter().map(String::as_str).collect();
    check_deltas(&deltas, &format!("{expected} ToolCalls"));
}

#[test]
fn calls_as_openai_sends_them() {
    check_calls(
        &[
            r#"{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}"#,
            r#"{"index":0,"function":{"arguments":"{\"a"}}"#,
            r#"{"index":0,"function":{"arguments":"\":1}"}}"#,
            r#"{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":""}}"#,
            r#"{"index":1,"function":{"arguments":"{}"}}"#,
        ],
        r#"[call c1 f|{"a":1}][call c2 g|{}]"#,
    );
}

#[test]
fn interleaved_calls_go_by_their_index() {
    check_calls(
        &[
            r#"{"index":0,"id":"c1","function":{"name":"f"}},{"index":1,"id":"c2","function":{"name":"g"}}"#,
            r#"{"index":1,"function":{"arguments":"{\"b\":"}}"#,
            r#"{"index":0,"function":{"arguments":"{\"a\":"}}"#,
            r#"{"index":1,"function":{"arguments":"2}"}}"#,
            r#"{"index":0,"function":{"arguments":"1}"}}"#,
        ],
        r#"[call c1 f|{"a":1}][call c2 g|{"b":2}]"#,
    );
}

#[test]
fn parallel_calls_without_an_index_of_their_own() {
    // All of index 0, each whole; with an id, and without.
    check_calls(
        &[
            r#"{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}"#,
            r#"{"index":0,"id":"c2","function":{"name":"f","arguments":"{\"a\":2}"}}"#,
        ],
        r#"[call c1 f|{"a":1}][call c2 f|{"a":2}]"#,
    );
    check_calls(
        &[
            r#"{"index":0,"function":{"name":"f","arguments":"{\"a\":1}"}},{"index":0,"function":{"name":"f","arguments":"{\"a\":2}"}}"#,
            r#"{"index":0,"function":{"arguments":"{\"a\":3}"}}"#,
            r#"{"index":0,"function":{"name":"g","arguments":"{}"}}"#,
        ],
        r#"[call - f|{"a":1}][call - f|{"a":2}][call - f|{"a":3}][call - g|{}]"#,
    );
    // No index at all.
    check_calls(
        &[
            r#"{"id":"c1","function":{"name":"f","arguments":"{\"a\":"}}"#,
            r#"{"function":{"arguments":"1}"}}"#,
            r#"{"function":{"name":"g","arguments":"{}"}}"#,
            r#"{"id":"c3","function":{"name":"g","arguments":"{}"}}"#,
        ],
        r#"[call c1 f|{"a":1}][call - g|{}][call c3 g|{}]"#,
    );
    // Indices that start at 1.
    check_calls(&[r#"{"index":1,"id":"c1","function":{"name":"f","arguments":"{}"}}"#], "[call c1 f|{}]");
}

#[test]
fn a_call_in_odd_pieces() {
    // The id late; the name in pieces, in every piece, and all of it so far.
    check_calls(
        &[
            r#"{"index":0,"function":{"name":"get_"}}"#,
            r#"{"index":0,"function":{"name":"time","arguments":"{\"a\""}}"#,
            r#"{"index":0,"id":"late","function":{"arguments":":1}"}}"#,
        ],
        r#"[call late get_time|{"a":1}]"#,
    );
    check_calls(
        &[
            r#"{"index":0,"id":"c1","function":{"name":"get","arguments":"{"}}"#,
            r#"{"index":0,"id":"c1","function":{"name":"get","arguments":"}"}}"#,
            r#"{"index":0,"id":"c1","function":{"name":"get","arguments":""}}"#,
        ],
        "[call c1 get|{}]",
    );
    check_calls(
        &[
            r#"{"index":0,"id":"c1","function":{"name":"get"}}"#,
            r#"{"index":0,"id":"c1","function":{"name":"get_time"}}"#,
        ],
        "[call c1 get_time|]",
    );
    // Arguments as an object, as null, and twice.
    check_calls(
        &[r#"{"index":0,"id":"c1","function":{"name":"f","arguments":{"n":12345678901234567890,"b":1.0}}}"#],
        r#"[call c1 f|{"n":12345678901234567890,"b":1.0}]"#,
    );
    check_calls(&[r#"{"index":0,"id":"c1","function":{"name":"f","arguments":null}}"#], "[call c1 f|]");
    check_calls(
        &[
            r#"{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":\"}{\"}"}}"#,
            r#"{"index":0,"function":{"arguments":"{\"a\":\"}{\"}"}}"#,
        ],
        r#"[call c1 f|{"a":"}{"}]"#,
    );
    // A new id for every piece.
    check_calls(
        &[
            r#"{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":"}}"#,
            r#"{"index":0,"id":"x9","function":{"arguments":"1}"}}"#,
        ],
        r#"[call c1 f|{"a":1}]"#,
    );
    // A list filled up with nothing.
    check_calls(
        &[
            r#"{"id":"c1","custom":{"name":"","input":""},"function":{"name":"f","arguments":"{}"}},{"id":"","function":{"name":"","arguments":""}}"#,
        ],
        "[call c1 f|{}]",
    );
}

#[test]
fn other_calls() {
    check_deltas(
        &[r#"{"function_call":{"name":"f","arguments":""}}"#, r#"{"function_call":{"arguments":"{}"}}"#],
        "[call - f|{}] ToolCalls",
    );
    check_deltas(&[r#"{"content":"a","function_call":{"name":"","arguments":""}}"#], "[text|a] Done");
    check_calls(
        &[
            r#"{"index":0,"id":"c1","type":"custom","custom":{"name":"sh","input":"ls {"}}"#,
            r#"{"index":0,"custom":{"input":" x"}}"#,
        ],
        "[custom c1 sh|ls { x]",
    );
    check_calls(
        &[
            r#"{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"S"}}}"#,
        ],
        "[call c1 f|<acme S>{}]",
    );
}

#[test]
fn text_before_and_behind_a_call() {
    check_deltas(
        &[
            r#"{"content":"a"}"#,
            r#"{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}],"content":""}"#,
            r#"{"content":"b"}"#,
        ],
        "[text|a][call c1 f|{}][text|b] ToolCalls",
    );
}

#[test]
fn choices_side_by_side() {
    check_stream(
        &[
            r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        ],
        "[text|a][1:text|b] Length Done end",
        Outcome::Complete,
    );
}

#[test]
fn what_vendors_put_beside() {
    let filters = r#"{"id":"","model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#;
    let said = r#"{"model":"m","choices":[{"index":0,"delta":{"content":"a"},"content_filter_results":{},"finish_reason":"content_filter"}]}"#;
    check_stream(&[filters, said], "m [text|a] Filtered end", Outcome::Complete);
    check_deltas(&[r#"{"refusal":"no"}"#], "[refusal|no] Refused");
    check_deltas(
        &[
            r#"{"images":[{"type":"image_url","image_url":{"url":"data:image/PNG;base64,iVBO"}}]}"#,
            r#"{"content":"a"}"#,
        ],
        "[image image/png|iVBO][text|a] Done",
    );
    check_deltas(&[r#"{"images":[{"image_url":{"url":"https://x/y.png"}}]}"#], "[image |https://x/y.png] Done");
    check_deltas(&[r#"{"audio":{"id":"a","data":"AA"}}"#, r#"{"audio":{"data":"BB"}}"#], "[sound |AABB] Done");
    check_deltas(
        &[
            r#"{"content":"abc"}"#,
            r#"{"content":"","annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":0,"end_index":3}},{"type":"file"}]}"#,
        ],
        "[text|abc(u t Some((0, 3)))] Done",
    );
    check_stream(
        &[
            r#"{"choices":[{"delta":{"content":"a"},"message":{"content":"ab"},"logprobs":{"content":[{"token":"a"}]},"finish_reason":"stop"}],"citations":["u"],"search_results":[{"url":"u","title":"t"}]}"#,
        ],
        "[text|a~1(u t None)] Done end",
        Outcome::Complete,
    );
}

#[test]
fn errors_within_a_stream() {
    let said = r#"{"choices":[{"delta":{"content":"a"}}],"error":null}"#;
    let error = r#"{"error":{"code":502,"message":"gone"},"choices":[{"delta":{"content":""},"finish_reason":"error"}],"usage":{"prompt_tokens":4,"completion_tokens":1}}"#;
    check_stream(&[said, error, "[DONE]"], "[text|a 4+1 failed: gone", Outcome::Errored);
    for error in [
        r#"{"error":{"message":"gone"}}"#,
        r#"{"error":"gone"}"#,
        r#"[{"error":{"message":"gone"}}]"#,
        r#"{"object":"error","message":"gone"}"#,
        r#"error {"message":"gone"}"#,
        "error gone",
    ] {
        check_stream(&[said, error], "[text|a failed: gone", Outcome::Errored);
    }
    check_stream(
        &[said, r#"{"choices"#],
        "[text|a failed: the upstream sent an event that is no JSON from byte 9 on",
        Outcome::Errored,
    );
    let finish = r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#;
    check_stream(
        &[said, finish],
        "[text|a failed: the upstream ended its answer with the finish reason error",
        Outcome::Errored,
    );
}

#[test]
fn whole_answers() {
    check_whole(
        r#"{"model":"m","choices":[{"message":{"content":null,"reasoning_content":"hm","tool_calls":[{"id":"","function":{"name":"f","arguments":"{}"}},{"id":"","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        "m [thinking|hm][call - f|{}][call - f|{}] 1+2 ToolCalls end",
    );
    check_whole(
        r#"{"choices":[{"message":{"content":"a","extra_content":{"google":{"thought_signature":"S"}}},"finish_reason":""}]}"#,
        "[text|a<acme S>] Done end",
    );
    check_whole(r#"[{"error":{"message":"gone"}}]"#, "failed: gone");
    check_whole(r#"{"error":{"message":"gone"}}"#, "failed: gone");
    // Every answer ends, also one in which nothing was said.
    check_whole(r#"{"choices":[]}"#, "Unknown end");
    check_whole(r#"{"choices":[{"message":{"content":""},"finish_reason":null}]}"#, "Unknown end");
    check_whole(r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}"#, "Done end");
    check_whole(r#"{"data":[]}"#, "JSON without choices");
    check_whole("<html>", "HTML or XML");
    check_whole("  ", "an empty body");
    check_whole(r#"{"choices":[}"#, "broken JSON, a value expected at byte 12");
}

struct Nowhere;

impl Sink for Nowhere {
    fn event(&mut self, _: Event<'_>) {}
}

/// Nothing that an upstream sends may stop the process.
#[test]
fn nothing_panics() {
    let seeds = [
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"text":"a"}]},{"text":"\ud83d"}],"reasoning_details":[{"type":"reasoning.text","text":"x","signature":"s","index":1}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[{"index":4294967295,"delta":{"tool_calls":[{"index":18446744073709551615,"id":"\u00e9","function":{"name":"é","arguments":"{\"a\":\"\\u00\""}}],"images":[{"image_url":"data:,"}],"audio":{"data":"a"},"annotations":[{"url_citation":{"start_index":9,"end_index":1}}]}}]}"#,
    ];
    for seed in seeds {
        for at in 0..seed.len() {
            for byte in [b'"', b'{', b'\\', b'0', b'[', b'n'] {
                let mut bytes = seed.as_bytes().to_vec();
                bytes[at] = byte;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let mut reader = ChatReader::new("");
                reader.read_event(None, &text, &mut Nowhere);
                reader.read_event(None, seed, &mut Nowhere);
                reader.end(&mut Nowhere);
                let _ = ChatReader::new("").read_whole(&text, &mut Nowhere);
            }
        }
    }
}
