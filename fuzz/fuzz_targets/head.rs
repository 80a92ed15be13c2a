//! Where a head is read it says what serde_json says; where it is refused there is a reason for it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qingwave::wire::openai_chat::read_head;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    match (read_head(body, 127), serde_json::from_slice::<Value>(body)) {
        (Ok(head), Ok(dom)) => {
            assert_eq!(Some(head.model.as_str()), dom["model"].as_str());
            assert_eq!(head.stream, dom["stream"].as_bool().unwrap_or(false));
            assert_eq!(head.include_usage, dom["stream_options"]["include_usage"].as_bool().unwrap_or(false));
            assert_eq!(head.output_tokens_max, dom["max_completion_tokens"].as_u64().max(dom["max_tokens"].as_u64()));
            assert_eq!(head.choices, dom["n"].as_u64().unwrap_or(1));
            assert_eq!(head.service_tier.as_deref(), dom["service_tier"].as_str());
        }
        // A number beyond a double is JSON, but not for serde_json.
        (Ok(_), Err(error)) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
        (Err(error), Ok(dom)) => assert!(error.param.is_some() || !dom.is_object(), "{error}: {dom}"),
        (Err(_), Err(_)) => {}
    }
});
