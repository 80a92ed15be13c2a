//! Cases 13 to 21: ends without a finish, and token counts.

use super::*;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::tests::decode::Tokens;
use crate::wire::tests::drive::read;

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input, output, ..Tokens::default() }
}

#[test]
fn case_13_an_end_without_a_finish_is_an_error() {
    for (upstream, name) in [
        (OpenAiChat, "cut.sse"),
        (OpenAiChat, "done_without_finish.sse"),
        (OpenAiResponses, "cut.sse"),
        (AnthropicMessages, "cut.sse"),
        (GeminiGenerate, "cut.sse"),
    ] {
        each_of(upstream, name, |way, seen| {
            assert!(seen.error.is_some(), "{way:?}: no error");
            assert!(!seen.finished(), "{way:?}");
            // Only the RS object of the failure has a status.
            let stop = seen.first().stop.filter(|stop| stop != "failed");
            assert_eq!(stop, None, "{way:?}: an invented stop");
        });
    }
}

#[test]
fn case_14_chunks_without_choices() {
    each_of(OpenAiChat, "filters_before_choices.sse", |_, seen| {
        assert_eq!(seen.first().text, "Ahoy.");
        assert_eq!(seen.usage, Some(tokens(8, 2)));
    });
}

#[test]
fn case_15_usage_that_nobody_asked_for() {
    for upstream in ALL.into_iter().filter(|upstream| *upstream != OpenAiChat) {
        let bytes = stream(upstream, "text");
        let mut way = Way::new(upstream, Shape::Stream, OpenAiChat, Shape::Stream);
        way.usage_asked = false;
        let seen = seen(&way, &bytes);
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        assert_eq!(seen.usage, None);
        assert!(read(&way, &bytes).facts().usage.is_some(), "the ledger needs it");
    }
}

#[test]
fn case_16_usage_in_every_chunk() {
    each_of(OpenAiChat, "usage_in_every_chunk.sse", |_, seen| assert_eq!(seen.usage, Some(tokens(8, 3))));
}

#[test]
fn case_17_usage_beside_finish_and_content() {
    let bytes = chat(&[
        r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Aye."},"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}"#,
    ]);
    each(OpenAiChat, Shape::Stream, &bytes, |_, seen| {
        assert_eq!(seen.usage, Some(tokens(4, 2)));
        assert_eq!(seen.first().text, "Aye.");
    });
}

#[test]
fn case_18_usage_that_is_none() {
    let with = |usage: &str| {
        let last = format!(r#""choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],"usage":{usage}"#);
        chat(&[r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Aye."}}]"#, &last])
    };
    for none in ["null", "{}", r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#] {
        let bytes = with(none);
        each(OpenAiChat, Shape::Stream, &bytes, |way, seen| {
            assert_eq!(seen.usage.filter(|usage| *usage != Tokens::default()), None, "{way:?} {none}");
            assert!(seen.finished());
        });
        for way in ways(OpenAiChat, Shape::Stream) {
            assert_eq!(read(&way, &bytes).facts().usage, None, "{way:?} {none}: to be estimated");
        }
    }
    each(OpenAiChat, Shape::Stream, &with(r#"{"prompt_tokens":4,"completion_tokens":2}"#), |_, seen| {
        assert_eq!(seen.usage, Some(tokens(4, 2)));
    });
    for odd in [
        r#"{"prompt_tokens":"4","completion_tokens":"2"}"#,
        r#"{"prompt_tokens":4.0,"completion_tokens":2.0}"#,
        r#"{"prompt_tokens":-4,"completion_tokens":null,"prompt_tokens_details":null,"completion_tokens_details":[]}"#,
        r#"[4,2]"#,
    ] {
        each(OpenAiChat, Shape::Stream, &with(odd), |way, seen| {
            assert!(seen.finished() && seen.first().text == "Aye.", "{way:?} {odd}");
        });
    }
}

#[test]
fn case_19_anthropic_usage_overwrites() {
    each_of(AnthropicMessages, "cached_usage.sse", |_, seen| {
        assert_eq!(seen.usage.map(|usage| usage.output), Some(9));
    });
}

#[test]
fn case_20_cached_tokens_are_in_the_total_once() {
    each_of(AnthropicMessages, "cached_usage.sse", |way, seen| {
        let usage = seen.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.reasoning), (2503, 2000, 4), "{way:?}");
        assert_eq!(usage.cache_write, if way.client == GeminiGenerate { 0 } else { 500 }, "{way:?}");
    });
    each_of(OpenAiResponses, "text.json", |way, seen| {
        let usage = seen.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read), (20, 6), "{way:?}");
    });
}

#[test]
fn case_21_iterations_are_kept_for_billing() {
    let case = fixtures::answer(AnthropicMessages, "iterations.json");
    let translator = read(&Way::new(AnthropicMessages, case.shape, OpenAiChat, Shape::Whole), &case.response);
    let inputs: Vec<u64> = translator.facts().iterations.iter().map(|iteration| iteration.usage.input_total).collect();
    assert_eq!(inputs, [6038, 612]);
}
