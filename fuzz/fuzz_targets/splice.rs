//! A splice changes the values that it names and no others.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use qingwave::wire::openai_chat::{OutputLimitField, Splice, read_head};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Ok(head) = read_head(body, 127) else { return };
    let Ok(mut expected) = serde_json::from_slice::<Value>(body) else { return };
    let body = Bytes::copy_from_slice(body);
    let same = Splice { model: &head.model, include_usage: false, output_tokens_max: None };
    assert_eq!(head.splice(&body, &same).as_ptr(), body.as_ptr());

    let limit = Some((7, OutputLimitField::MaxTokens));
    let spliced = head.splice(&body, &Splice { model: "other \"model\"", include_usage: true, output_tokens_max: limit });
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
    assert_eq!(serde_json::from_slice::<Value>(&spliced).expect("a splice leaves JSON"), expected);
    assert!(read_head(&spliced, 127).is_ok());
});
