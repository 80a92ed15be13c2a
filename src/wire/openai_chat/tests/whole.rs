//! Whole answers: usage in every vendor's words, and what is no answer.

use super::super::*;
use crate::wire::Usage;

fn whole(body: &str) -> WholeAnswer {
    read_whole(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[track_caller]
fn check_usage(usage: &str, expected: Option<Usage>) {
    let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"stop"}}],"usage":{usage}}}"#);
    assert_eq!(whole(&body).usage, expected, "{usage}");
}

#[test]
fn usage_in_every_vendors_words() {
    let plain = Usage { input_total: 10, output_total: 5, ..Usage::default() };
    check_usage(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, Some(plain));
    check_usage(
        r#"{"prompt_tokens":"10","completion_tokens":5.0,"total_tokens":null,"prompt_tokens_details":null}"#,
        Some(plain),
    );
    check_usage(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":3}"#, Some(plain));
    for cached in [
        r#""prompt_tokens_details":{"cached_tokens":4}"#,
        r#""prompt_cache_hit_tokens":4"#,
        r#""cached_tokens":4"#,
        r#""num_cached_tokens":4"#,
        r#""prompt_tokens_details":{"cached_tokens":0},"prompt_cache_hit_tokens":4"#,
    ] {
        check_usage(
            &format!(r#"{{"prompt_tokens":10,"completion_tokens":5,{cached}}}"#),
            Some(Usage { cache_read: 4, ..plain }),
        );
    }
    check_usage(
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
            "prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":2,"audio_tokens":3,"image_tokens":1,"video_tokens":2},
            "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":1,"image_tokens":1}}"#,
        Some(Usage {
            cache_read: 1,
            cache_write_30m: 2,
            audio_in: 3,
            image_in: 1,
            video_in: 2,
            reasoning: 3,
            audio_out: 1,
            image_out: 1,
            ..plain
        }),
    );
}

#[test]
fn a_gap_in_the_total_is_what_the_parts_left_out() {
    // xAI: reasoning outside; Gemini: hidden thoughts; Voxtral: audio.
    check_usage(
        r#"{"prompt_tokens":12,"completion_tokens":2,"total_tokens":354,"completion_tokens_details":{"reasoning_tokens":340}}"#,
        Some(Usage { input_total: 12, output_total: 342, reasoning: 340, ..Usage::default() }),
    );
    check_usage(
        r#"{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}"#,
        Some(Usage { input_total: 35, output_total: 74, ..Usage::default() }),
    );
    for audio in [r#""prompt_audio_seconds":3"#, r#""prompt_tokens_details":{"audio_tokens":375}"#] {
        check_usage(
            &format!(r#"{{"prompt_tokens":9,"completion_tokens":248,"total_tokens":632,{audio}}}"#),
            Some(Usage { input_total: 384, audio_in: 375, output_total: 248, ..Usage::default() }),
        );
    }
}

#[test]
fn no_counts_are_no_report() {
    for usage in ["null", "{}", r#"{"cost":1}"#, "[]", r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#]
    {
        check_usage(usage, None);
    }
    let silent = r#"{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
    assert_eq!(whole(silent).usage, Some(Usage::default()));
    check_usage(r#"{"prompt_tokens":1e999}"#, None);
    // Nobody is charged for a count that cannot be.
    check_usage(r#"{"prompt_tokens":-5,"completion_tokens":1e30}"#, None);
}

#[test]
fn all_produced_text_is_found() {
    let body = r#"{"service_tier":"default","choices":[
        {"index":0,"finish_reason":"tool_calls","message":{"content":"a\n","reasoning":"r","reasoning_content":"r","refusal":"f",
         "tool_calls":[{"function":{"name":"n","arguments":"{\"k\":1}"}},{"custom":{"name":"c","input":"i"}},{"function":{"name":"o","arguments":{"q":2}}}]}},
        {"index":1,"finish_reason":"","message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]},{"type":"text","text":"u"}],
         "audio":{"transcript":"v","data":"AAAA"},"function_call":{"name":"g","arguments":"h"}}}]}"#;
    let answer = whole(body);
    assert_eq!(output_text(body.as_bytes()), "a\nfn{\"k\":1}cio{\"q\":2}rtuvgh");
    assert_eq!((answer.finish.as_deref(), answer.service_tier.as_deref()), (Some("tool_calls"), Some("default")));
}

#[test]
fn an_empty_delta_beside_the_message_is_not_the_answer() {
    let body = br#"{"choices":[{"message":{"content":"ab"},"delta":{"content":""}}]}"#;
    assert_eq!(output_text(body), "ab");
}

#[test]
fn an_error_object_is_an_error_also_beside_choices() {
    for body in [
        r#"{"error":{"message":"no","code":429}}"#,
        r#"[{"error":{"message":"no","code":429}}]"#,
        r#"{"object":"error","message":"no","code":429}"#,
        r#"{"choices":[],"error":{"message":"no","code":"429"}}"#,
    ] {
        let error = whole(body).error.unwrap();
        assert_eq!((error.message.as_str(), error.status), ("no", Some(429)), "{body}");
    }
    assert_eq!(whole(r#"{"error":"no"}"#).error.unwrap().message, "no");
    for none in ["null", r#""""#, "{}", "{ }", "false", "[]", "0"] {
        let body = format!(r#"{{"error":{none},"choices":[{{"message":{{"content":"x"}}}}]}}"#);
        assert_eq!(whole(&body).error, None, "{none}");
    }
}

#[test]
fn anything_else_is_no_answer() {
    let what = |body: &str| read_whole(body.as_bytes()).unwrap_err();
    assert_eq!(what(""), "an empty body");
    assert_eq!(what(" \r\n"), "an empty body");
    assert_eq!(what("<!doctype html><html>"), "HTML or XML");
    assert_eq!(what("[]"), "no JSON object");
    assert_eq!(what("oops"), "no JSON object");
    assert_eq!(what("{}"), "JSON without choices");
    assert_eq!(what(r#"{"error":null}"#), "JSON without choices");
    assert_eq!(what(r#"{"choices":"x"}"#), "JSON without choices");
    assert_eq!(what(r#"{"choices":[{"message":{"content":"x"#), "broken JSON, the end of a string expected at byte 36");
    assert!(whole("\u{feff}{\"choices\":[]}").error.is_none());
}

#[test]
fn an_answer_is_blank_only_when_nothing_speaks_for_it() {
    let blank = |body: &str| whole(body).is_blank();
    assert!(blank(r#"{"choices":[]}"#));
    assert!(blank(
        r#"{"choices":[{"message":{"content":""},"finish_reason":null}],"usage":{"prompt_tokens":7,"completion_tokens":0}}"#
    ));
    assert!(blank(r#"{"choices":[{"message":{"content":null},"finish_reason":"error"}]}"#));
    assert!(!blank(r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}"#));
    assert!(!blank(r#"{"choices":[{"message":{"content":"x"},"finish_reason":null}]}"#));
    assert!(!blank(r#"{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#));
}
