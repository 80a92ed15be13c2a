//! Small requests of every client, and what is declared of them: nothing is lost in silence, and the same thing is declared
//! alike whoever is asked.

use crate::wire::Protocol::{
    self, AnthropicMessages as Am, GeminiGenerate as Gm, OpenAiChat as Cc, OpenAiResponses as Rs,
};
use crate::wire::ir::{ReasoningStyle, Target};

use super::targets::{read, targets, write};

/// What is written for an upstream, and the losses in the client's words.
#[track_caller]
fn said(client: Protocol, body: &str, to: Protocol, target: &Target<'_>) -> (String, String) {
    let request = read(client, body).unwrap();
    let written = write(to, &request, target).unwrap();
    (String::from_utf8(written.body).unwrap(), written.losses.texts(client).join(", "))
}

#[track_caller]
fn check(client: Protocol, body: &str, upstream: &str, losses: &str) -> String {
    let (_, to, target) = targets().into_iter().find(|(name, ..)| *name == upstream).unwrap();
    let (body, is) = said(client, body, to, &target);
    assert_eq!(is, losses, "{upstream}: {body}");
    body
}

#[test]
fn system_texts_amid_a_conversation() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"system","content":"s"}]}"#;
    check(Cc, body, "budget", "role;approximated");
    let out = check(Cc, body, "gemini-3", "role;approximated");
    assert!(out.contains(r#"<system-reminder>\ns\n</system-reminder>"#), "{out}");
}

#[test]
fn how_hard_to_think() {
    let budget = r#"{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"a"}],
        "thinking":{"type":"enabled","budget_tokens":2000}}"#;
    for upstream in ["openai", "responses", "gemini-3"] {
        check(Am, budget, upstream, "thinking;approximated");
    }
    let dynamic = r#"{"model":"m","contents":[{"parts":[{"text":"a"}]}],
        "generationConfig":{"thinkingConfig":{"thinkingBudget":-1}}}"#;
    for upstream in ["openai", "responses", "adaptive"] {
        check(Gm, dynamic, upstream, "");
    }
    let high = r#"{"model":"m","messages":[{"role":"user","content":"a"}],"reasoning_effort":"high"}"#;
    let (_, to, mut narrow) = targets().into_iter().find(|(name, ..)| *name == "gemini-2.5").unwrap();
    assert_eq!(said(Cc, high, to, &narrow).1, "");
    narrow.reasoning = ReasoningStyle::Budget { min: 128, max: 3000, off: false };
    assert_eq!(said(Cc, high, to, &narrow).1, "reasoning_effort;clamped");
}

#[test]
fn schemas_that_no_longer_bind() {
    let body = |required| {
        format!(
            r#"{{"model":"m","max_tokens":99,"messages":[{{"role":"user","content":"a"}}],"output_config":{{"format":
            {{"type":"json_schema","schema":{{"type":"object","additionalProperties":false,"required":{required},
            "properties":{{"a":{{"type":"string"}},"b":{{"type":"string"}}}}}}}}}}}}"#
        )
    };
    for upstream in ["openai", "responses"] {
        check(Am, &body(r#"["a"]"#), upstream, "strict;dropped");
        check(Am, &body(r#"["a","b"]"#), upstream, "");
    }
}

#[test]
fn what_anthropic_does_not_take() {
    let text = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b "}]}"#;
    check(Cc, text, "adaptive", "messages;omitted");
    let call = r#"{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[
        {"id":"c","type":"function","function":{"name":"f","arguments":"no json"}}]},
        {"role":"tool","tool_call_id":"c","content":"r"}]}"#;
    for upstream in ["adaptive", "gemini-2.5"] {
        let out = check(Cc, call, upstream, "arguments;approximated");
        assert!(out.contains("_raw"), "{out}");
    }
    let signed = r#"{"model":"m","contents":[{"role":"user","parts":[{"text":"a"}]},
        {"role":"model","parts":[{"text":"b","thoughtSignature":"YWJj"}]},{"role":"user","parts":[{"text":"c"}]}]}"#;
    for upstream in ["openai", "responses", "adaptive"] {
        check(Gm, signed, upstream, "thoughtSignature;dropped");
    }
}

#[test]
fn marks_of_caches() {
    let marked = r#"{"model":"m","input":[{"role":"user","content":[
        {"type":"input_text","text":"a","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}}]}]}"#;
    for upstream in ["openrouter", "openai"] {
        check(Rs, marked, upstream, "prompt_cache_breakpoint;approximated");
    }
    let all = |mark: &str| {
        format!(
            r#"{{"model":"m","max_tokens":99,"cache_control":{mark},"messages":[{{"role":"user","content":"a"}}]}}"#
        )
    };
    for upstream in ["openai", "mistral", "responses"] {
        check(Am, &all(r#"{"type":"ephemeral"}"#), upstream, "");
        check(Am, &all(r#"{"type":"ephemeral","ttl":"1h"}"#), upstream, "cache_control;approximated");
    }
}

#[test]
fn what_is_kept_between_calls() {
    let chat = r#"{"model":"m","store":true,"messages":[{"role":"user","content":"a"}]}"#;
    let responses = r#"{"model":"m","store":true,"input":"a"}"#;
    for upstream in ["adaptive", "gemini-3"] {
        check(Cc, chat, upstream, "store;dropped");
        check(Rs, responses, upstream, "store;dropped");
    }
    check(Cc, chat, "responses", "store;dropped");
    check(Rs, responses, "openai", "store;dropped");
}

#[test]
fn how_tools_are_called_where_there_are_none() {
    let none = r#"{"model":"m","parallel_tool_calls":false,"messages":[{"role":"user","content":"a"}]}"#;
    for upstream in ["responses", "adaptive", "gemini-3"] {
        check(Cc, none, upstream, "parallel_tool_calls;omitted");
    }
    let old = r#"{"model":"m","functions":[{"name":"f"}],"messages":[{"role":"user","content":"a"}]}"#;
    check(Cc, old, "gemini-3", "parallel_tool_calls;omitted");
    let one = r#"{"model":"m","parallel_tool_calls":false,"messages":[{"role":"user","content":"a"}],
        "tools":[{"type":"function","function":{"name":"f"}}]}"#;
    check(Cc, one, "gemini-3", "parallel_tool_calls;dropped");
    let search = r#"{"model":"m","input":"a","tools":[{"type":"web_search"}],"tool_choice":{"type":"web_search"}}"#;
    for upstream in ["openai", "gemini-3"] {
        check(Rs, search, upstream, "tool_choice;approximated");
    }
}

#[test]
fn what_both_of_openai_can_say() {
    let fields =
        r#""prompt_cache_retention":"24h","prompt_cache_options":{"mode":"explicit"},"moderation":{"model":"x"}"#;
    let chat = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],{fields}}}"#);
    let responses = format!(r#"{{"model":"m","input":"a",{fields}}}"#);
    for out in [check(Cc, &chat, "responses", ""), check(Rs, &responses, "openai", "")] {
        for field in fields.split(",\"") {
            assert!(out.contains(field), "{field} in {out}");
        }
    }
    let lost = "moderation;dropped, prompt_cache_options;dropped, prompt_cache_retention;dropped";
    check(Cc, &chat, "gemini-3", lost);
    let labels = r#"{"model":"m","contents":[{"parts":[{"text":"a"}]}],"labels":{"team":"x"}}"#;
    for upstream in ["openai", "responses"] {
        assert!(check(Gm, labels, upstream, "").contains(r#""metadata":{"team":"x"}"#));
    }
}
