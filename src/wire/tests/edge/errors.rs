//! Cases 33 to 35 and 38: errors within answers, bodies that are none, clients that hang up.

use super::*;
use crate::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use crate::wire::tests::drive::{End, read, read_until};

#[test]
fn case_33_an_error_after_200() {
    for (upstream, name, message) in [
        (OpenAiChat, "error_in_stream.sse", "the vendor has gone away"),
        (OpenAiResponses, "failed.sse", "the engine stalled"),
        (OpenAiResponses, "error_alone.sse", "too many at once"),
        (AnthropicMessages, "error.sse", "Overloaded"),
        (GeminiGenerate, "error.sse", "The model is overloaded."),
        (GeminiGenerate, "error_in_array.json", "Quota exceeded."),
    ] {
        each_of(upstream, name, |way, seen| {
            assert_eq!(seen.error.as_deref(), Some(message), "{way:?}");
            assert!(!seen.finished(), "{way:?}");
        });
        // Nothing that follows it is said.
        let mut bytes = fixtures::answer(upstream, name).response;
        let text = if name.ends_with(".sse") { stream(upstream, "text") } else { Vec::new() };
        bytes.extend(text);
        let case = fixtures::answer(upstream, name);
        for way in ways(upstream, case.shape) {
            assert_eq!(whole(&way, &bytes), whole(&way, &case.response), "{way:?}");
        }
        let translator = read(&Way::new(upstream, case.shape, OpenAiChat, Shape::Stream), &case.response);
        assert_eq!(translator.facts().error.as_ref().map(|error| error.message.as_str()), Some(message));
    }
}

/// The words of PROTOCOLS 11, in streams and in whole bodies.
#[test]
fn case_33_the_class_of_an_error_survives() {
    let overloaded = ["server_is_overloaded", "server_is_overloaded", "overloaded_error", "UNAVAILABLE"];
    let rate = ["rate_limit_exceeded", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"];
    for (upstream, name, words) in [
        (AnthropicMessages, "error.sse", overloaded),
        (GeminiGenerate, "error.sse", overloaded),
        (OpenAiResponses, "error_alone.sse", rate),
        (GeminiGenerate, "error_in_array.json", rate),
    ] {
        let case = fixtures::answer(upstream, name);
        for way in ways(upstream, case.shape) {
            let out = String::from_utf8(whole(&way, &case.response)).unwrap();
            let word = words[ALL.iter().position(|protocol| *protocol == way.client).unwrap()];
            assert!(out.contains(word), "{name} {way:?}: no {word} in {out}");
        }
    }
}

/// Which of these it is, the proxy sees from the content type and the first byte; here: no such body becomes an answer.
#[test]
fn case_34_a_body_that_is_no_answer() {
    let bodies: [&[u8]; 7] = [
        br#"{"error":{"message":"no such model","type":"invalid_request_error","code":404,"status":"NOT_FOUND"}}"#,
        b"<!doctype html><html><body>502 Bad Gateway</body></html>",
        b"",
        b"{}",
        b"[]",
        b"null",
        br#"{"choices":"#,
    ];
    for upstream in ALL {
        for body in bodies {
            for way in ways(upstream, Shape::Whole) {
                let text = String::from_utf8_lossy(body);
                let seen = seen(&way, body);
                assert!(!seen.finished(), "{way:?}: {text} became a finished answer");
                assert!(seen.error.is_some(), "{way:?}: {text} is no error");
                if body == bodies[0] {
                    assert_eq!(seen.error.as_deref(), Some("no such model"), "{way:?}");
                }
            }
            for way in ways(upstream, Shape::Stream) {
                let seen = seen(&way, body);
                let text = String::from_utf8_lossy(body);
                assert!(!seen.finished(), "{way:?}: {text} became a finished answer");
                assert!(seen.error.is_some(), "{way:?}: {text} is no error");
            }
        }
    }
}

/// Inflating is the proxy's; compressed bytes that reach the translator are an error, not an answer.
#[test]
fn case_35_compressed_bytes() {
    let gzip =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabVJ\xce\xc8\xccIQ\xb2\x8a\xae\xae\x05\x00\xea\x8e\xd3\xc1\x0e";
    for upstream in ALL {
        for way in ways(upstream, Shape::Stream) {
            assert!(!seen(&way, gzip).finished(), "{way:?}");
        }
    }
}

/// Charging is the proxy's; here: what was produced up to then is known.
#[test]
fn case_38_the_client_hangs_up_before_the_usage() {
    for (upstream, bytes) in texts() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let end = match upstream {
            OpenAiChat => text.find("\"finish_reason\":\"stop\""),
            OpenAiResponses => text.find("response.completed"),
            AnthropicMessages => text.find("message_delta"),
            GeminiGenerate => text.find("finishReason"),
        };
        let way = Way::new(upstream, Shape::Stream, other(upstream), Shape::Stream);
        let translator = read_until(&way, &bytes[..end.unwrap()], End::HungUp);
        let facts = translator.facts();
        assert!(facts.content_seen, "{upstream:?}");
        assert!(facts.output_bytes() > 8, "{upstream:?}: {}", facts.output_bytes());
    }
}

fn other(upstream: Protocol) -> Protocol {
    if upstream == OpenAiChat { AnthropicMessages } else { OpenAiChat }
}
