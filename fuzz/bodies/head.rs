//! The head scanner says what a DOM says, and a splice changes what it names and nothing else.

use bytes::Bytes;
use qingwave::wire::Protocol::{self, AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use qingwave::wire::head::{Head, HeadError, OutputLimitField, Splice, read_head};
use serde_json::Value;

const DEPTH_MAX: usize = 127;

pub fn check_head(body: &[u8]) {
    let dom = serde_json::from_slice::<Value>(body);
    for protocol in Protocol::ALL {
        match (read_head(protocol, body, DEPTH_MAX), &dom) {
            (Ok(head), Ok(dom)) => check_facts(protocol, &head, dom),
            // A number beyond a double is JSON, but not for serde_json.
            (Ok(_), Err(error)) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
            (Err(error), Ok(dom)) => assert!(is_judged(&error, dom), "{protocol:?}: {error}: {dom}"),
            (Err(_), Err(_)) => {}
        }
    }
}

fn is_judged(error: &HeadError, dom: &Value) -> bool {
    error.param.is_some() || !dom.is_object()
}

fn check_facts(protocol: Protocol, head: &Head, dom: &Value) {
    let number = |name: &str| dom[name].as_u64();
    let (model, limit, choices, tier) = match protocol {
        OpenAiChat => {
            let limit = number("max_completion_tokens").max(number("max_tokens"));
            (dom["model"].as_str(), limit, number("n"), dom["service_tier"].as_str())
        }
        OpenAiResponses => (dom["model"].as_str(), number("max_output_tokens"), None, dom["service_tier"].as_str()),
        AnthropicMessages => (dom["model"].as_str(), number("max_tokens"), None, dom["service_tier"].as_str()),
        GeminiGenerate => {
            let either = |of: &Value, names: [&str; 2]| names.iter().find_map(|name| of.get(name).cloned());
            let config = either(dom, ["generationConfig", "generation_config"]).unwrap_or_default();
            let of_config = |names| either(&config, names).and_then(|value| value.as_u64());
            let limit = of_config(["maxOutputTokens", "max_output_tokens"]);
            let tier = dom["serviceTier"].as_str().or(dom["service_tier"].as_str());
            (Some(""), limit, of_config(["candidateCount", "candidate_count"]), tier)
        }
    };
    assert_eq!(Some(head.model.as_str()), model, "{protocol:?}");
    assert_eq!(head.output_tokens_max, limit, "{protocol:?}");
    assert_eq!(head.choices, choices.unwrap_or(1), "{protocol:?}");
    assert_eq!(head.service_tier.as_deref(), tier, "{protocol:?}");
    if protocol != GeminiGenerate {
        assert_eq!(head.stream, dom["stream"].as_bool().unwrap_or(false), "{protocol:?}");
    }
    let include_usage = dom["stream_options"]["include_usage"].as_bool().unwrap_or(false);
    assert_eq!(head.include_usage, include_usage && protocol == OpenAiChat, "{protocol:?}");
}

pub fn check_splice(body: &[u8]) {
    let Ok(dom) = serde_json::from_slice::<Value>(body) else { return };
    let body = Bytes::copy_from_slice(body);
    for protocol in Protocol::ALL {
        let Ok(head) = read_head(protocol, &body, DEPTH_MAX) else { continue };
        let same = Splice { model: &head.model, include_usage: false, output_tokens_max: None };
        assert_eq!(head.splice(&body, &same).as_ptr(), body.as_ptr(), "{protocol:?}: copied for nothing");
        let limit = Some((7, OutputLimitField::MaxTokens));
        let spliced =
            head.splice(&body, &Splice { model: "other \"model\"", include_usage: true, output_tokens_max: limit });
        let again = read_head(protocol, &spliced, DEPTH_MAX).expect("a splice leaves a request");
        assert_eq!(again.output_tokens_max, Some(head.output_tokens_max.map_or(7, |given| given.min(7))));
        assert_eq!((again.choices, &again.service_tier), (head.choices, &head.service_tier), "{protocol:?}");
        let spliced: Value = serde_json::from_slice(&spliced).expect("a splice leaves JSON");
        if protocol == OpenAiChat {
            check_chat(&head, dom.clone(), &spliced);
        } else if protocol != GeminiGenerate {
            assert_eq!(spliced["model"], "other \"model\"", "{protocol:?}");
        }
    }
}

fn check_chat(head: &Head, mut expected: Value, spliced: &Value) {
    expected["model"] = "other \"model\"".into();
    if head.stream {
        expected["stream_options"]["include_usage"] = true.into();
    }
    let mut limited = false;
    for name in ["max_tokens", "max_completion_tokens"] {
        if let Some(given) = expected.get(name).and_then(Value::as_u64) {
            limited = true;
            expected[name] = given.min(7).into();
        }
    }
    if !limited {
        expected["max_tokens"] = 7.into();
    }
    assert_eq!(*spliced, expected);
}
