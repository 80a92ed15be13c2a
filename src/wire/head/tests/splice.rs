//! A splice changes what it names and no other byte.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::*;
use crate::wire::openai_chat::read_head;

fn spliced(body: &str, splice: &Splice<'_>) -> String {
    let head = read_head(body.as_bytes(), 64).unwrap_or_else(|error| panic!("{body}: {error}"));
    String::from_utf8(head.splice(&Bytes::copy_from_slice(body.as_bytes()), splice).to_vec()).unwrap()
}

const NOTHING: Splice<'_> = Splice { model: "m", include_usage: false, output_tokens_max: None };

#[track_caller]
fn check_usage(before: &str, after: &str) {
    assert_eq!(spliced(before, &Splice { include_usage: true, ..NOTHING }), after);
}

#[track_caller]
fn check_limit(limit: (u64, OutputLimitField), before: &str, after: &str) {
    assert_eq!(spliced(before, &Splice { output_tokens_max: Some(limit), ..NOTHING }), after);
}

#[test]
fn nothing_to_change_is_the_same_buffer() {
    for body in
        [r#"{"model":"m"}"#, r#"{"stream":true,"stream_options":{"include_usage":true},"model":"m","max_tokens":5}"#]
    {
        let body = Bytes::from(body);
        let head = read_head(&body, 64).unwrap();
        let limit = (5, OutputLimitField::MaxTokens);
        let splice =
            Splice { include_usage: true, output_tokens_max: head.output_tokens_max.map(|_| limit), ..NOTHING };
        assert_eq!(head.splice(&body, &splice).as_ptr(), body.as_ptr());
    }
}

#[test]
fn a_model_is_written_as_json() {
    let after = spliced(r#"{ "x":"model", "model" : "\u006d2" , "y":1}"#, &Splice { model: "a\"b\\c/é\n", ..NOTHING });
    assert_eq!(after, r#"{ "x":"model", "model" : "a\"b\\c/é\n" , "y":1}"#);
}

#[test]
fn usage_is_asked_for_in_streams_only() {
    check_usage(r#"{"model":"m"}"#, r#"{"model":"m"}"#);
    check_usage(r#"{"model":"m","stream":false}"#, r#"{"model":"m","stream":false}"#);
    check_usage(
        r#"{ "model":"m","stream":true}"#,
        r#"{"stream_options":{"include_usage":true}, "model":"m","stream":true}"#,
    );
    check_usage(
        r#"{"stream":true,"stream_options": null ,"model":"m"}"#,
        r#"{"stream":true,"stream_options": {"include_usage":true} ,"model":"m"}"#,
    );
    check_usage(
        r#"{"stream":true,"stream_options":{ },"model":"m"}"#,
        r#"{"stream":true,"stream_options":{"include_usage":true },"model":"m"}"#,
    );
    check_usage(
        r#"{"stream":true,"stream_options":{"include_obfuscation":false},"model":"m"}"#,
        r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},"model":"m"}"#,
    );
    for given in ["false", "null"] {
        check_usage(
            &format!(r#"{{"stream":true,"stream_options":{{"include_usage": {given} }},"model":"m"}}"#),
            r#"{"stream":true,"stream_options":{"include_usage": true },"model":"m"}"#,
        );
    }
}

#[test]
fn a_limit_is_lowered_wherever_it_stands() {
    use OutputLimitField::{MaxCompletionTokens, MaxTokens};
    check_limit((7, MaxTokens), r#"{"model":"m"}"#, r#"{"max_tokens":7,"model":"m"}"#);
    check_limit((7, MaxCompletionTokens), r#"{"model":"m"}"#, r#"{"max_completion_tokens":7,"model":"m"}"#);
    check_limit((7, MaxTokens), r#"{"model":"m","max_tokens":null}"#, r#"{"model":"m","max_tokens":7}"#);
    check_limit(
        (7, MaxCompletionTokens),
        r#"{"model":"m","max_tokens":null}"#,
        r#"{"max_completion_tokens":7,"model":"m","max_tokens":null}"#,
    );
    check_limit(
        (7, MaxTokens),
        r#"{"max_completion_tokens":100,"model":"m"}"#,
        r#"{"max_completion_tokens":7,"model":"m"}"#,
    );
    check_limit(
        (70, MaxTokens),
        r#"{"max_completion_tokens":100,"model":"m","max_tokens":1000}"#,
        r#"{"max_completion_tokens":70,"model":"m","max_tokens":70}"#,
    );
    check_limit(
        (70, MaxTokens),
        r#"{"max_completion_tokens":9,"model":"m","max_tokens":1000}"#,
        r#"{"max_completion_tokens":9,"model":"m","max_tokens":70}"#,
    );
}

/// A member as it stands before and after the splice.
type Pair = (String, String);

fn unchanged(text: impl Into<String>) -> Pair {
    let text = text.into();
    (text.clone(), text)
}

fn limit_member(name: &'static str, tokens: u64) -> impl Strategy<Value = Option<Pair>> {
    prop::option::of(
        (1..2000u64)
            .prop_map(move |given| (format!(r#""{name}" : {given}"#), format!(r#""{name}" : {}"#, given.min(tokens)))),
    )
}

proptest! {
    /// The expected bytes are put together from the members, each known before and after.
    #[test]
    fn only_what_is_named_changes(
        others in prop::collection::vec(("[a-c\u{e9}]{3,5}", crate::wire::json::tests::arbitrary_json()), 0..5),
        model in "[a-z/.:-]{0,9}",
        to in r#"[a-z/"\\€]{0,9}"#,
        options in prop::sample::select(&[
            None,
            Some(("null", r#"{"include_usage":true}"#)),
            Some(("{}", r#"{"include_usage":true}"#)),
            Some((r#"{ "a":[{"include_usage":false}]}"#, r#"{"include_usage":true, "a":[{"include_usage":false}]}"#)),
            Some((r#"{"a":1, "include_usage":false}"#, r#"{"a":1, "include_usage":true}"#)),
            Some((r#"{"include_usage":true}"#, r#"{"include_usage":true}"#)),
        ][..]),
        (stream, tokens, limits) in (any::<bool>(), 1..2000u64).prop_flat_map(|(stream, tokens)| {
            let limits = (limit_member("max_tokens", tokens), limit_member("max_completion_tokens", tokens));
            (Just(stream), Just(tokens), limits)
        }),
        order in any::<prop::sample::Index>(),
    ) {
        let mut inserted = String::new();
        let mut members: Vec<Pair> = others.iter().map(|(key, value)| unchanged(format!("{} :{value}", serde_json::json!(key)))).collect();
        members.push((format!(r#""model":{}"#, serde_json::json!(model)), format!(r#""model":{}"#, serde_json::json!(to))));
        members.push(unchanged(format!(r#""stream":{stream}"#)));
        match options {
            Some((before, after)) => {
                let after = if stream { after } else { before };
                members.push((format!(r#""stream_options": {before} "#), format!(r#""stream_options": {after} "#)));
            }
            None if stream => inserted.push_str(r#""stream_options":{"include_usage":true},"#),
            None => {}
        }
        if limits == (None, None) {
            inserted.push_str(&format!(r#""max_tokens":{tokens},"#));
        }
        members.extend([limits.0, limits.1].into_iter().flatten());
        let middle = order.index(members.len());
        members.rotate_left(middle);
        let join = |side: fn(&Pair) -> &str| members.iter().map(side).collect::<Vec<_>>().join(" ,");
        let before = format!("{{\n{}}}", join(|pair| &pair.0));
        let after = format!("{{{inserted}\n{}}}", join(|pair| &pair.1));

        let body = Bytes::from(before);
        let head = read_head(&body, 64).unwrap();
        let limit = Some((tokens, OutputLimitField::MaxTokens));
        let spliced = head.splice(&body, &Splice { model: &to, include_usage: true, output_tokens_max: limit });
        prop_assert_eq!(std::str::from_utf8(&spliced).unwrap(), &after);
        let again = read_head(&spliced, 64).unwrap();
        prop_assert_eq!((again.model.as_str(), again.stream && !again.include_usage), (to.as_str(), false));
        prop_assert!(again.output_tokens_max.unwrap() <= tokens);
    }
}
