//! Sections 7.5 and 10: how hard to think, and what comes back of earlier thoughts.

use super::*;
use crate::wire::ir::State;
use crate::wire::json::Str;
use crate::wire::tests::targets::ACCOUNT;

#[test]
fn efforts() {
    // effort, adaptive, budget of budget models, level, budget of Gemini
    for (effort, adaptive, budget, level, tokens) in [
        ("minimal", "low", 1024, "MINIMAL", 512),
        ("low", "low", 2048, "LOW", 1024),
        ("medium", "medium", 8192, "MEDIUM", 8192),
        ("high", "high", 24576, "HIGH", 24576),
        ("xhigh", "xhigh", 32768, "HIGH", 32768),
        ("max", "max", 32768, "HIGH", 32768),
    ] {
        for (from, body) in [
            (OpenAiChat, cc(json!({"reasoning_effort": effort}))),
            (OpenAiResponses, rs(json!({"reasoning": {"effort": effort}}))),
        ] {
            let about = format!("effort {effort}");
            cell(
                &about,
                from,
                &["adaptive"],
                body.clone(),
                &[Is("/thinking/type", json!("adaptive")), Is("/output_config/effort", json!(adaptive))],
            );
            cell(&about, from, &["budget"], body.clone(), &[Is("/thinking/budget_tokens", json!(budget))]);
            cell(
                &about,
                from,
                &["gemini-3"],
                body.clone(),
                &[Is("/generationConfig/thinkingConfig/thinkingLevel", json!(level))],
            );
            cell(
                &about,
                from,
                &["gemini-2.5", "vertex"],
                body.clone(),
                &[Is("/generationConfig/thinkingConfig/thinkingBudget", json!(tokens))],
            );
        }
        cell(
            "effort",
            OpenAiChat,
            RS,
            cc(json!({"reasoning_effort": effort})),
            &[Is("/reasoning/effort", json!(effort)), Whole],
        );
        cell(
            "effort",
            OpenAiResponses,
            OPENAI,
            rs(json!({"reasoning": {"effort": effort}})),
            &[Is("/reasoning_effort", json!(effort)), Whole],
        );
    }
}

#[test]
fn no_thinking() {
    for (from, body) in [
        (OpenAiChat, cc(json!({"reasoning_effort": "none"}))),
        (OpenAiResponses, rs(json!({"reasoning": {"effort": "none"}}))),
    ] {
        cell("off", from, &["adaptive", "budget"], body.clone(), &[Is("/thinking/type", json!("disabled")), Whole]);
        cell(
            "off",
            from,
            &["gemini-3"],
            body.clone(),
            &[Is("/generationConfig/thinkingConfig/thinkingLevel", json!("MINIMAL"))],
        );
        cell(
            "off",
            from,
            &["vertex"],
            body.clone(),
            &[Is("/generationConfig/thinkingConfig/thinkingBudget", json!(0)), Whole],
        );
        // It cannot be told not to: as little as it can.
        cell(
            "off",
            from,
            &["gemini-2.5"],
            body.clone(),
            &[Is("/generationConfig/thinkingConfig/thinkingBudget", json!(128))],
        );
    }
    for (from, body) in [
        (AnthropicMessages, am(json!({"thinking": {"type": "disabled"}}))),
        (GeminiGenerate, gm(json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}))),
    ] {
        cell("off", from, OPENAI, body.clone(), &[Is("/reasoning_effort", json!("none")), Whole]);
        cell("off", from, RS, body, &[Is("/reasoning/effort", json!("none")), Whole]);
    }
}

#[test]
fn nothing_said_is_nothing_sent() {
    for (from, to) in [
        (OpenAiChat, [RS, AM, GM]),
        (OpenAiResponses, [CC, AM, GM]),
        (AnthropicMessages, [CC, RS, GM]),
        (GeminiGenerate, [CC, RS, AM]),
    ] {
        for to in to {
            cell(
                "absent",
                from,
                to,
                small(from, json!({})),
                &[
                    Not("/thinking"),
                    Not("/reasoning"),
                    Not("/reasoning_effort"),
                    Not("/generationConfig/thinkingConfig"),
                    Not("/output_config"),
                    Whole,
                ],
            );
        }
    }
}

#[test]
fn budgets() {
    for (budget, effort) in [(512, "minimal"), (1024, "low"), (8192, "medium"), (24576, "high"), (30000, "xhigh")] {
        let own = gm(json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": budget}}}));
        cell(
            "budget",
            GeminiGenerate,
            OPENAI,
            own.clone(),
            &[Is("/reasoning_effort", json!(effort)), Lost("generationConfig.thinkingConfig;approximated")],
        );
        cell("budget", GeminiGenerate, RS, own, &[Is("/reasoning/effort", json!(effort))]);
    }
    let blocks = am(json!({"max_tokens": 20000, "thinking": {"type": "enabled", "budget_tokens": 5000}}));
    cell(
        "budget",
        AnthropicMessages,
        OPENAI,
        blocks.clone(),
        &[Is("/reasoning_effort", json!("medium")), Lost("thinking;approximated")],
    );
    cell(
        "budget",
        AnthropicMessages,
        &["vertex"],
        blocks.clone(),
        &[Is("/generationConfig/thinkingConfig/thinkingBudget", json!(5000)), Whole],
    );
    cell(
        "budget",
        AnthropicMessages,
        &["gemini-3"],
        blocks,
        &[Is("/generationConfig/thinkingConfig/thinkingLevel", json!("MEDIUM"))],
    );
    // The model decides.
    let own = gm(json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}}));
    cell("dynamic", GeminiGenerate, &["adaptive"], own, &[Is("/thinking/type", json!("adaptive")), Whole]);
    let blocks = am(json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}));
    cell("adaptive", AnthropicMessages, OPENAI, blocks.clone(), &[Is("/reasoning_effort", json!("low")), Whole]);
    cell("adaptive", AnthropicMessages, RS, blocks.clone(), &[Is("/reasoning/effort", json!("low")), Whole]);
    cell(
        "adaptive",
        AnthropicMessages,
        &["gemini-3"],
        blocks,
        &[Is("/generationConfig/thinkingConfig/thinkingLevel", json!("LOW")), Whole],
    );
}

/// Thoughts count against the limit of output: something is left to say.
#[test]
fn budgets_below_the_limit() {
    let chat = cc(json!({"reasoning_effort": "high", "max_completion_tokens": 2000}));
    cell(
        "limit",
        OpenAiChat,
        &["budget"],
        chat.clone(),
        &[Is("/max_tokens", json!(2000)), Is("/thinking/budget_tokens", json!(1500)), Lost("reasoning_effort;clamped")],
    );
    cell(
        "limit",
        OpenAiChat,
        &["gemini-2.5", "vertex"],
        chat,
        &[
            Is("/generationConfig/maxOutputTokens", json!(2000)),
            Is("/generationConfig/thinkingConfig/thinkingBudget", json!(1500)),
        ],
    );
    // A budget that fits is left alone.
    let blocks = am(json!({"max_tokens": 6000, "thinking": {"type": "enabled", "budget_tokens": 5000}}));
    cell(
        "limit",
        AnthropicMessages,
        &["vertex"],
        blocks,
        &[Is("/generationConfig/thinkingConfig/thinkingBudget", json!(5000)), Whole],
    );
    let tiny = cc(json!({"reasoning_effort": "high", "max_completion_tokens": 100}));
    cell(
        "limit",
        OpenAiChat,
        &["budget"],
        tiny,
        &[Is("/max_tokens", json!(100)), Not("/thinking"), Lost("reasoning_effort;dropped")],
    );
}

#[test]
fn thinking_that_is_to_be_seen() {
    let items = rs(json!({"reasoning": {"effort": "low", "summary": "auto"}}));
    cell("visible", OpenAiResponses, &["adaptive"], items.clone(), &[Is("/thinking/display", json!("summarized"))]);
    cell("visible", OpenAiResponses, GM, items, &[Is("/generationConfig/thinkingConfig/includeThoughts", json!(true))]);
    let own = gm(json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}}}));
    cell("visible", GeminiGenerate, RS, own.clone(), &[Is("/reasoning/summary", json!("auto")), Whole]);
    cell("visible", GeminiGenerate, &["adaptive"], own, &[Is("/thinking/display", json!("summarized")), Whole]);
}

/// Vendors whose chat endpoints have other words.
#[test]
fn chat_vendors() {
    let blocks = am(json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}));
    cell(
        "switch",
        AnthropicMessages,
        &["deepseek"],
        blocks.clone(),
        &[Is("/thinking/type", json!("enabled")), Is("/reasoning_effort", json!("high"))],
    );
    cell("object", AnthropicMessages, &["openrouter"], blocks.clone(), &[Is("/reasoning/effort", json!("high"))]);
    cell("never", AnthropicMessages, &["mistral"], blocks, &[Not("/reasoning_effort"), Lost("thinking;dropped")]);
    let off = am(json!({"thinking": {"type": "disabled"}}));
    cell("switch", AnthropicMessages, &["deepseek"], off.clone(), &[Is("/thinking/type", json!("disabled"))]);
    cell("object", AnthropicMessages, &["openrouter"], off, &[Is("/reasoning/enabled", json!(false))]);
}

fn envelope(origin: Protocol, account: &str) -> String {
    State { origin, account: Some(account.to_owned().into()), payload: Str::plain("c2ln") }.wrapped()
}

/// An answer of a thinking model in the history of each client, with this state.
fn thought(client: Protocol, state: &str) -> Value {
    match client {
        OpenAiChat => cc(json!({"messages": [{"role": "user", "content": "u"},
            {"role": "assistant", "content": "so", "reasoning_content": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": state, "index": 0}]},
            {"role": "user", "content": "v"}]})),
        OpenAiResponses => rs(json!({"input": [{"role": "user", "content": "u"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": state},
            {"role": "assistant", "content": "so"}, {"role": "user", "content": "v"}]})),
        AnthropicMessages => am(json!({"messages": [{"role": "user", "content": "u"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": state}, {"type": "text", "text": "so"}]},
            {"role": "user", "content": "v"}]})),
        GeminiGenerate => gm(json!({"contents": [{"role": "user", "parts": [{"text": "u"}]},
            {"role": "model", "parts": [{"text": "hm", "thought": true, "thoughtSignature": state}, {"text": "so"}]},
            {"role": "user", "parts": [{"text": "v"}]}]})),
    }
}

#[test]
fn state_in_an_envelope_goes_back_to_its_maker_alone() {
    let lost = |client| match client {
        OpenAiChat => "reasoning_details;dropped",
        OpenAiResponses => "encrypted_content;dropped",
        AnthropicMessages => "signature;dropped",
        GeminiGenerate => "thoughtSignature;dropped",
    };
    for client in Protocol::ALL {
        let carried = |origin, account| {
            let text = envelope(origin, account);
            if client == GeminiGenerate { data_encoding::BASE64.encode(text.as_bytes()) } else { text }
        };
        for (origin, upstreams) in [(OpenAiResponses, RS), (AnthropicMessages, AM)] {
            if client == origin {
                continue;
            }
            let mine = thought(client, &carried(origin, ACCOUNT));
            cell("own state", client, upstreams, mine.clone(), &[Has(r#""c2ln""#), Has("hm"), Has("so"), Whole]);
            // Of another account, or another vendor: text and answer stay.
            let other = thought(client, &carried(origin, "other"));
            cell("other account", client, upstreams, other, &[Lacks("c2ln"), Has("so"), Lost(lost(client))]);
            for (protocol, others) in
                [(OpenAiChat, OPENAI), (OpenAiResponses, RS), (AnthropicMessages, AM), (GeminiGenerate, GM)]
            {
                if protocol != client && protocol != origin {
                    cell("other vendor", client, others, mine.clone(), &[Lacks("c2ln"), Has("so"), Lost(lost(client))]);
                }
            }
        }
    }
}

/// Without an envelope it is the state of the client's own protocol.
#[test]
fn state_without_an_envelope() {
    cell(
        "native",
        OpenAiResponses,
        AM,
        thought(OpenAiResponses, "gAAAA"),
        &[Lacks("gAAAA"), Lost("encrypted_content;dropped")],
    );
    cell(
        "native",
        AnthropicMessages,
        RS,
        thought(AnthropicMessages, "EqQB"),
        &[Lacks("EqQB"), Lost("signature;dropped")],
    );
    cell(
        "native",
        AnthropicMessages,
        CC,
        thought(AnthropicMessages, "EqQB"),
        &[Lacks("EqQB"), Lost("signature;dropped")],
    );
    cell(
        "native",
        GeminiGenerate,
        AM,
        thought(GeminiGenerate, "c2lnbmVk"),
        &[Lacks("c2lnbmVk"), Lost("thoughtSignature;dropped")],
    );
    // A mere echo is nothing that an answer needs: strict calls go on.
    let echo = cc(
        json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "so", "reasoning_content": "hm"}, {"role": "user", "content": "v"}]}),
    );
    for to in [RS, AM, GM] {
        cell("echo", OpenAiChat, to, echo.clone(), &[Lacks("hm"), Lost("reasoning_details;omitted")]);
    }
}

/// A chat client's fields hold the state of whoever OpenRouter or Gemini says.
#[test]
fn state_of_a_named_vendor() {
    let details = |entry: Value| {
        cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": "so", "reasoning": "hm", "reasoning_details": [entry]}, {"role": "user", "content": "v"}]}))
    };
    let claude = details(
        json!({"type": "reasoning.text", "text": "hm", "signature": "EqQB", "format": "anthropic-claude-v1", "index": 0}),
    );
    cell(
        "claude",
        OpenAiChat,
        AM,
        claude.clone(),
        &[Is("/messages/1/content/0", json!({"type": "thinking", "thinking": "hm", "signature": "EqQB"})), Whole],
    );
    cell("claude", OpenAiChat, RS, claude, &[Lacks("EqQB"), Lost("reasoning_details;dropped")]);
    let redacted =
        details(json!({"type": "reasoning.encrypted", "data": "EqQB", "format": "anthropic-claude-v1", "index": 0}));
    cell("claude", OpenAiChat, AM, redacted, &[Has(r#"{"type":"redacted_thinking","data":"EqQB"}"#)]);
    let openai = cc(
        json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "so", "reasoning_details": [
        {"type": "reasoning.summary", "summary": "hm", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "gAAAA", "id": "rs_1", "format": "openai-responses-v1", "index": 0}]}, {"role": "user", "content": "v"}]}),
    );
    cell(
        "openai",
        OpenAiChat,
        RS,
        openai.clone(),
        &[
            Is(
                "/input/1",
                json!({"type": "reasoning", "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAAA"}),
            ),
            Whole,
        ],
    );
    cell("openai", OpenAiChat, AM, openai, &[Lacks("gAAAA"), Lost("reasoning_details;dropped")]);
    let calls = |call: Value, details: Value| {
        cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [call], "reasoning_details": details},
        {"role": "tool", "tool_call_id": "c", "content": "r"}], "tools": [{"type": "function", "function": {"name": "f"}}]}))
    };
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let by_details = calls(
        call.clone(),
        json!([{"type": "reasoning.encrypted", "id": "c", "data": "c2lnbmVk", "format": "google-gemini-v1", "index": 0}]),
    );
    let mut signed = call;
    signed["extra_content"] = json!({"google": {"thought_signature": "c2lnbmVk"}});
    for body in [by_details, calls(signed, json!([]))] {
        cell(
            "gemini",
            OpenAiChat,
            GM,
            body.clone(),
            &[Is("/contents/1/parts/0/thoughtSignature", json!("c2lnbmVk")), Whole],
        );
        cell("gemini", OpenAiChat, AM, body, &[Lacks("c2lnbmVk"), Lost("reasoning_details;dropped")]);
    }
}

#[test]
fn calls_of_gemini_3_need_a_signature() {
    let chat = cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "d", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}, {"role": "tool", "tool_call_id": "d", "content": "r"}],
        "tools": [{"type": "function", "function": {"name": "f"}}]}));
    cell(
        "stand-in",
        OpenAiChat,
        &["gemini-3"],
        chat.clone(),
        &[
            Is("/contents/1/parts/0/thoughtSignature", json!("skip_thought_signature_validator")),
            Not("/contents/1/parts/1/thoughtSignature"),
        ],
    );
    cell("stand-in", OpenAiChat, &["gemini-2.5", "vertex"], chat.clone(), &[Lacks("skip_thought_signature_validator")]);
    cell("stand-in", OpenAiChat, AM, chat, &[Lacks("skip_thought_signature_validator")]);
}

/// Models whose chat endpoints want earlier thoughts back.
#[test]
fn thoughts_that_chat_vendors_want_back() {
    let plain = rs(
        json!({"input": [{"role": "user", "content": "u"}, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "r"}],
        "tools": [{"type": "function", "name": "f"}]}),
    );
    cell(
        "wanted",
        OpenAiResponses,
        &["deepseek"],
        plain.clone(),
        &[Is("/messages/1/reasoning_content", json!("hm")), Whole],
    );
    cell(
        "wanted",
        OpenAiResponses,
        &["mistral"],
        plain.clone(),
        &[Is("/messages/1/content/0/type", json!("thinking")), Whole],
    );
    cell(
        "wanted",
        OpenAiResponses,
        &["openrouter"],
        plain.clone(),
        &[Is("/messages/1/reasoning_details/0/text", json!("hm")), Whole],
    );
    cell("wanted", OpenAiResponses, OPENAI, plain, &[Lacks("hm"), Lost("encrypted_content;omitted")]);
}

/// Words that came after us are named, not refused.
#[test]
fn efforts_of_the_future() {
    cell("effort", OpenAiChat, AM, cc(json!({"reasoning_effort": "ultra"})), &[Lost("reasoning_effort;dropped")]);
    cell(
        "effort",
        OpenAiResponses,
        GM,
        rs(json!({"reasoning": {"effort": "ultra"}})),
        &[Lost("reasoning.effort;dropped")],
    );
    cell(
        "effort",
        AnthropicMessages,
        CC,
        am(json!({"output_config": {"effort": "ultra"}})),
        &[Lost("output_config.effort;dropped")],
    );
    let own = gm(json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "ULTRA"}}}));
    cell("effort", GeminiGenerate, RS, own, &[Lost("generationConfig.thinkingConfig.thinkingLevel;dropped")]);
}
