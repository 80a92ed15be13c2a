//! Sections 7.7 and 7.8: sampling, limits, caching, identity, tier, server tools.

use super::*;

#[test]
fn temperature() {
    let hot = cc(json!({"temperature": 1.5}));
    cell("temperature", OpenAiChat, RS, hot.clone(), &[Is("/temperature", json!(1.5)), Whole]);
    cell(
        "temperature",
        OpenAiChat,
        &["budget", "old-claude"],
        hot.clone(),
        &[Is("/temperature", json!(1)), Lost("temperature;clamped")],
    );
    cell("temperature", OpenAiChat, &["adaptive"], hot.clone(), &[Not("/temperature"), Lost("temperature;dropped")]);
    cell("temperature", OpenAiChat, GM, hot, &[Is("/generationConfig/temperature", json!(1.5)), Whole]);
    let own = gm(json!({"generationConfig": {"temperature": 0.5}}));
    for to in [CC, RS] {
        cell("temperature", GeminiGenerate, to, own.clone(), &[Is("/temperature", json!(0.5)), Whole]);
    }
    // Neither beside thinking nor beside the other.
    let both = cc(json!({"temperature": 0.5, "top_p": 0.9}));
    cell("top_p beside", OpenAiChat, &["budget"], both, &[Not("/top_p"), Lost("top_p;dropped")]);
    let thinks = cc(json!({"temperature": 0.5, "reasoning_effort": "low"}));
    cell(
        "temperature beside thinking",
        OpenAiChat,
        &["budget"],
        thinks,
        &[Not("/temperature"), Lost("temperature;dropped")],
    );
}

#[test]
fn top_p_and_top_k() {
    let own = am(json!({"top_p": 0.9, "top_k": 40}));
    cell(
        "top_k",
        AnthropicMessages,
        OPENAI,
        own.clone(),
        &[Is("/top_p", json!(0.9)), Not("/top_k"), Lost("top_k;dropped")],
    );
    cell("top_k", AnthropicMessages, &["openrouter"], own.clone(), &[Is("/top_k", json!(40)), Whole]);
    cell(
        "top_k",
        AnthropicMessages,
        RS,
        own.clone(),
        &[Is("/top_p", json!(0.9)), Not("/top_k"), Lost("top_k;dropped")],
    );
    cell(
        "top_k",
        AnthropicMessages,
        GM,
        own,
        &[Is("/generationConfig/topK", json!(40)), Is("/generationConfig/topP", json!(0.9)), Whole],
    );
    let own = gm(json!({"generationConfig": {"topK": 40.0}}));
    cell("top_k", GeminiGenerate, &["budget"], own.clone(), &[Is("/top_k", json!(40)), Whole]);
    cell("top_k", GeminiGenerate, RS, own, &[Lost("generationConfig.topK;dropped")]);
}

#[test]
fn penalties_seed_and_bias() {
    let chat = cc(json!({"presence_penalty": 0.1, "frequency_penalty": 0.2, "seed": 7, "logit_bias": {"1": 2}}));
    let lost = [
        Lost("presence_penalty;dropped"),
        Lost("frequency_penalty;dropped"),
        Lost("seed;dropped"),
        Lost("logit_bias;dropped"),
    ];
    for to in [RS, AM] {
        cell("penalties", OpenAiChat, to, chat.clone(), &lost);
    }
    cell(
        "penalties",
        OpenAiChat,
        GM,
        chat,
        &[
            Is("/generationConfig/presencePenalty", json!(0.1)),
            Is("/generationConfig/frequencyPenalty", json!(0.2)),
            Is("/generationConfig/seed", json!(7)),
            Lost("logit_bias;dropped"),
        ],
    );
    let own = gm(json!({"generationConfig": {"presencePenalty": 0.1, "frequencyPenalty": 0.2, "seed": 7}}));
    cell(
        "penalties",
        GeminiGenerate,
        CC,
        own.clone(),
        &[Is("/presence_penalty", json!(0.1)), Is("/seed", json!(7)), Whole],
    );
    for to in [RS, AM] {
        cell(
            "penalties",
            GeminiGenerate,
            to,
            own.clone(),
            &[
                Lost("generationConfig.presencePenalty;dropped"),
                Lost("generationConfig.frequencyPenalty;dropped"),
                Lost("generationConfig.seed;dropped"),
            ],
        );
    }
}

#[test]
fn log_probabilities() {
    let chat = cc(json!({"logprobs": true, "top_logprobs": 3}));
    cell(
        "logprobs",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/include/1", json!("message.output_text.logprobs")), Is("/top_logprobs", json!(3)), Whole],
    );
    cell("logprobs", OpenAiChat, AM, chat.clone(), &[Refused("logprobs")]);
    cell(
        "logprobs",
        OpenAiChat,
        GM,
        chat,
        &[Is("/generationConfig/responseLogprobs", json!(true)), Is("/generationConfig/logprobs", json!(3)), Whole],
    );
    let items = rs(json!({"top_logprobs": 3, "include": ["message.output_text.logprobs"]}));
    cell(
        "logprobs",
        OpenAiResponses,
        CC,
        items.clone(),
        &[Is("/logprobs", json!(true)), Is("/top_logprobs", json!(3)), Whole],
    );
    cell("logprobs", OpenAiResponses, AM, items, &[Refused("top_logprobs")]);
    let asked = rs(json!({"include": ["message.output_text.logprobs"]}));
    cell("logprobs", OpenAiResponses, AM, asked, &[Refused("include")]);
    let own = gm(json!({"generationConfig": {"responseLogprobs": true, "logprobs": 3}}));
    cell(
        "logprobs",
        GeminiGenerate,
        CC,
        own.clone(),
        &[Is("/logprobs", json!(true)), Is("/top_logprobs", json!(3)), Whole],
    );
    cell("logprobs", GeminiGenerate, RS, own.clone(), &[Is("/top_logprobs", json!(3)), Whole]);
    cell("logprobs", GeminiGenerate, AM, own, &[Refused("generationConfig.responseLogprobs")]);
}

#[test]
fn several_answers() {
    let chat = cc(json!({"n": 2}));
    cell("n", OpenAiChat, RS, chat.clone(), &[Refused("n")]);
    cell("n", OpenAiChat, AM, chat.clone(), &[Refused("n")]);
    cell("n", OpenAiChat, GM, chat, &[Is("/generationConfig/candidateCount", json!(2)), Whole]);
    for to in [RS, AM] {
        cell("n", OpenAiChat, to, cc(json!({"n": 1})), &[Not("/n"), Whole]);
    }
    let own = gm(json!({"generationConfig": {"candidateCount": 2}}));
    cell("n", GeminiGenerate, CC, own.clone(), &[Is("/n", json!(2)), Whole]);
    cell("n", GeminiGenerate, RS, own.clone(), &[Refused("generationConfig.candidateCount")]);
    cell("n", GeminiGenerate, AM, own, &[Refused("generationConfig.candidateCount")]);
}

#[test]
fn stop_texts() {
    let chat = cc(json!({"stop": ["a", "b"]}));
    cell("stop", OpenAiChat, RS, chat.clone(), &[Not("/stop"), Undone(r#"stop: ["a", "b"]"#), Whole]);
    cell("stop", OpenAiChat, AM, chat.clone(), &[Is("/stop_sequences", json!(["a", "b"])), Whole]);
    cell("stop", OpenAiChat, GM, chat, &[Is("/generationConfig/stopSequences", json!(["a", "b"])), Whole]);
    cell(
        "stop",
        OpenAiChat,
        AM,
        cc(json!({"stop": "\n"})),
        &[Not("/stop_sequences"), Undone(r#"stop: ["\n"]"#), Whole],
    );
    let many = am(json!({"stop_sequences": ["a", "b", "c", "d", "e", "f"]}));
    cell(
        "stop",
        AnthropicMessages,
        CC,
        many.clone(),
        &[Is("/stop", json!(["a", "b", "c", "d"])), Undone(r#"stop: ["e", "f"]"#), Whole],
    );
    cell(
        "stop",
        AnthropicMessages,
        GM,
        many,
        &[Is("/generationConfig/stopSequences/4", json!("e")), Undone(r#"stop: ["f"]"#), Whole],
    );
}

#[test]
fn limits() {
    let chat = cc(json!({"max_completion_tokens": 500}));
    cell("limit", OpenAiChat, RS, chat.clone(), &[Is("/max_output_tokens", json!(500)), Whole]);
    cell("limit", OpenAiChat, AM, chat.clone(), &[Is("/max_tokens", json!(500)), Whole]);
    cell("limit", OpenAiChat, GM, chat, &[Is("/generationConfig/maxOutputTokens", json!(500)), Whole]);
    cell("limit", OpenAiChat, AM, cc(json!({})), &[Is("/max_tokens", json!(64000)), Whole]);
    cell(
        "limit",
        OpenAiChat,
        RS,
        cc(json!({"max_tokens": 5})),
        &[Is("/max_output_tokens", json!(16)), Lost("max_completion_tokens;clamped")],
    );
    cell(
        "limit",
        AnthropicMessages,
        OPENAI,
        am(json!({})),
        &[Is("/max_completion_tokens", json!(100)), Not("/max_tokens"), Whole],
    );
    cell(
        "limit",
        AnthropicMessages,
        &["mistral", "deepseek"],
        am(json!({})),
        &[Is("/max_tokens", json!(100)), Not("/max_completion_tokens"), Whole],
    );
    // Over the model's ceiling.
    for (from, body, lost) in [
        (OpenAiChat, cc(json!({"max_completion_tokens": 99999})), "max_completion_tokens;clamped"),
        (OpenAiResponses, rs(json!({"max_output_tokens": 99999})), "max_output_tokens;clamped"),
        (AnthropicMessages, am(json!({"max_tokens": 99999})), "max_tokens;clamped"),
        (
            GeminiGenerate,
            gm(json!({"generationConfig": {"maxOutputTokens": 99999}})),
            "generationConfig.maxOutputTokens;clamped",
        ),
    ] {
        for (protocol, to) in
            [(OpenAiChat, OPENAI), (OpenAiResponses, RS), (AnthropicMessages, AM), (GeminiGenerate, GM)]
        {
            if protocol != from {
                cell("ceiling", from, to, body.clone(), &[Has("64000"), Lost(lost)]);
            }
        }
    }
    // Nothing at all only warms a cache at Anthropic.
    cell(
        "zero",
        AnthropicMessages,
        OPENAI,
        am(json!({"max_tokens": 0})),
        &[Is("/max_completion_tokens", json!(1)), Lost("max_tokens;clamped")],
    );
    cell(
        "zero",
        AnthropicMessages,
        GM,
        am(json!({"max_tokens": 0})),
        &[Is("/generationConfig/maxOutputTokens", json!(1)), Lost("max_tokens;clamped")],
    );
    cell(
        "zero",
        OpenAiChat,
        AM,
        cc(json!({"max_completion_tokens": 0})),
        &[Is("/max_tokens", json!(1)), Lost("max_completion_tokens;clamped")],
    );
}

#[test]
fn verbosity_and_prediction() {
    let chat = cc(json!({"verbosity": "low", "prediction": {"type": "content", "content": "x"}}));
    cell("verbosity", OpenAiChat, RS, chat.clone(), &[Is("/text/verbosity", json!("low")), Lost("prediction;dropped")]);
    for to in [AM, GM] {
        cell("verbosity", OpenAiChat, to, chat.clone(), &[Lost("verbosity;dropped"), Lost("prediction;dropped")]);
    }
    let items = rs(json!({"text": {"verbosity": "low"}}));
    cell("verbosity", OpenAiResponses, CC, items.clone(), &[Is("/verbosity", json!("low")), Whole]);
    cell("verbosity", OpenAiResponses, AM, items, &[Lost("text.verbosity;dropped")]);
}

#[test]
fn safety_settings() {
    let own = gm(json!({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}));
    for to in [CC, RS, AM] {
        cell("safety", GeminiGenerate, to, own.clone(), &[Lost("safetySettings;dropped")]);
    }
}

#[test]
fn cache_marks() {
    let marked = am(json!({"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]}));
    cell(
        "mark",
        AnthropicMessages,
        OPENAI,
        marked.clone(),
        &[Is("/messages/0/content/0/prompt_cache_breakpoint/mode", json!("explicit")), Whole],
    );
    cell(
        "mark",
        AnthropicMessages,
        &["openrouter"],
        marked.clone(),
        &[Is("/messages/0/content/0/cache_control/type", json!("ephemeral")), Whole],
    );
    cell(
        "mark",
        AnthropicMessages,
        &["mistral", "deepseek", "google-chat"],
        marked.clone(),
        &[Lost("cache_control;dropped")],
    );
    cell("mark", AnthropicMessages, RS, marked.clone(), &[Has("prompt_cache_breakpoint"), Whole]);
    cell("mark", AnthropicMessages, GM, marked, &[Lost("cache_control;dropped")]);
    let timed =
        am(json!({"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}));
    cell("ttl", AnthropicMessages, OPENAI, timed.clone(), &[Lost("cache_control;approximated")]);
    cell("ttl", AnthropicMessages, RS, timed, &[Lost("cache_control;approximated")]);
    let chat =
        said(OpenAiChat, json!([{"type": "text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}}]));
    cell(
        "mark",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/messages/0/content/0/cache_control/type", json!("ephemeral")), Whole],
    );
    cell(
        "mark",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/input/0/content/0/prompt_cache_breakpoint/mode", json!("explicit")), Whole],
    );
    cell("mark", OpenAiChat, GM, chat, &[Lost("prompt_cache_breakpoint;dropped")]);
    // Only the last four.
    let part = |text: &str| json!({"type": "text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit"}});
    let five = said(OpenAiChat, json!([part("1"), part("2"), part("3"), part("4"), part("5")]));
    cell(
        "five marks",
        OpenAiChat,
        AM,
        five,
        &[
            Not("/messages/0/content/0/cache_control"),
            Is("/messages/0/content/4/cache_control/type", json!("ephemeral")),
            Lost("prompt_cache_breakpoint;dropped"),
        ],
    );
    cell(
        "top mark",
        AnthropicMessages,
        GM,
        am(json!({"cache_control": {"type": "ephemeral"}})),
        &[Lost("cache_control;dropped")],
    );
}

#[test]
fn cached_contents_and_state_at_the_vendor() {
    let cached = gm(json!({"cachedContent": "cachedContents/x"}));
    for to in [CC, RS, AM] {
        cell("cachedContent", GeminiGenerate, to, cached.clone(), &[Refused("cachedContent")]);
    }
    for (name, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
    ] {
        for to in [CC, AM, GM] {
            let mut body = rs(json!({}));
            body[name] = value.clone();
            cell("state", OpenAiResponses, to, body, &[Refused(Box::leak(name.to_owned().into_boxed_str()))]);
        }
    }
    for to in [CC, AM, GM] {
        cell(
            "store",
            OpenAiResponses,
            to,
            rs(json!({"store": false, "background": false, "truncation": "disabled"})),
            &[Whole],
        );
        cell(
            "truncation",
            OpenAiResponses,
            to,
            rs(json!({"truncation": "auto", "max_tool_calls": 3})),
            &[Lost("truncation;dropped"), Lost("max_tool_calls;dropped")],
        );
    }
    for to in [CC, RS, GM] {
        cell("container", AnthropicMessages, to, am(json!({"container": "c"})), &[Refused("container")]);
        cell(
            "mcp_servers",
            AnthropicMessages,
            to,
            am(json!({"mcp_servers": [{"type": "url", "url": "https://a.example", "name": "x"}]})),
            &[Refused("mcp_servers")],
        );
    }
}

#[test]
fn who_asks() {
    let chat = cc(json!({"user": "u-1", "prompt_cache_key": "k", "safety_identifier": "s", "metadata": {"a": "b"}}));
    cell(
        "user",
        OpenAiChat,
        RS,
        chat.clone(),
        &[
            Is("/user", json!("u-1")),
            Is("/prompt_cache_key", json!("k")),
            Is("/safety_identifier", json!("s")),
            Is("/metadata/a", json!("b")),
            Whole,
        ],
    );
    cell(
        "user",
        OpenAiChat,
        AM,
        chat.clone(),
        &[
            Is("/metadata/user_id", json!("u-1")),
            Lost("safety_identifier;dropped"),
            Lost("prompt_cache_key;dropped"),
            Lost("metadata;dropped"),
        ],
    );
    cell(
        "user",
        OpenAiChat,
        &["vertex"],
        chat.clone(),
        &[Is("/labels/a", json!("b")), Is("/labels/user", json!("u-1")), Lost("prompt_cache_key;dropped")],
    );
    cell(
        "user",
        OpenAiChat,
        &["gemini-3"],
        chat,
        &[Not("/labels"), Lost("user;dropped"), Lost("safety_identifier;dropped"), Lost("metadata;dropped")],
    );
    // No personal data.
    cell("user", OpenAiChat, AM, cc(json!({"user": "ann@a.example"})), &[Lacks("ann@a.example"), Has("user_id")]);
    let blocks = am(json!({"metadata": {"user_id": "u-1"}}));
    cell("user", AnthropicMessages, CC, blocks.clone(), &[Is("/user", json!("u-1")), Whole]);
    cell("user", AnthropicMessages, RS, blocks.clone(), &[Is("/user", json!("u-1")), Whole]);
    cell("user", AnthropicMessages, &["gemini-3"], blocks, &[Lost("metadata.user_id;dropped")]);
    let own = gm(json!({"labels": {"team": "x"}}));
    cell("labels", GeminiGenerate, AM, own.clone(), &[Lost("labels;dropped")]);
    cell("labels", GeminiGenerate, CC, own, &[Is("/metadata/team", json!("x"))]);
}

#[test]
fn tiers() {
    for (word, blocks, own) in [
        ("auto", Some("auto"), None),
        ("default", Some("standard_only"), Some("STANDARD")),
        ("flex", None, Some("FLEX")),
        ("priority", Some("auto"), Some("PRIORITY")),
    ] {
        let chat = cc(json!({"service_tier": word}));
        cell("tier", OpenAiChat, RS, chat.clone(), &[Is("/service_tier", json!(word)), Whole]);
        let wants = match blocks {
            Some(said) => vec![Is("/service_tier", json!(said))],
            None => vec![Not("/service_tier"), Lost("service_tier;dropped")],
        };
        cell("tier", OpenAiChat, AM, chat.clone(), &wants);
        let wants = match own {
            Some(said) => vec![Is("/serviceTier", json!(said)), Whole],
            None => vec![Not("/serviceTier"), Whole],
        };
        cell("tier", OpenAiChat, GM, chat, &wants);
    }
    cell("tier", OpenAiChat, GM, cc(json!({"service_tier": "scale"})), &[Lost("service_tier;dropped")]);
    let blocks = am(json!({"service_tier": "standard_only"}));
    cell("tier", AnthropicMessages, CC, blocks.clone(), &[Is("/service_tier", json!("default")), Whole]);
    cell("tier", AnthropicMessages, RS, blocks.clone(), &[Is("/service_tier", json!("default")), Whole]);
    cell("tier", AnthropicMessages, GM, blocks, &[Is("/serviceTier", json!("STANDARD")), Whole]);
    for (word, said) in [("FLEX", "flex"), ("PRIORITY", "priority"), ("STANDARD", "default")] {
        for to in [CC, RS] {
            cell(
                "tier",
                GeminiGenerate,
                to,
                gm(json!({"serviceTier": word})),
                &[Is("/service_tier", json!(said)), Whole],
            );
        }
    }
    cell("tier", GeminiGenerate, AM, gm(json!({"serviceTier": "FLEX"})), &[Lost("serviceTier;dropped")]);
}

#[test]
fn searches() {
    let place = json!({"type": "approximate", "city": "Oslo"});
    let chat = cc(
        json!({"web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}}}),
    );
    cell(
        "search",
        OpenAiChat,
        RS,
        chat.clone(),
        &[
            Is("/tools/0/type", json!("web_search")),
            Is("/tools/0/user_location", place.clone()),
            Is("/tools/0/search_context_size", json!("low")),
            Whole,
        ],
    );
    cell(
        "search",
        OpenAiChat,
        AM,
        chat.clone(),
        &[
            Is("/tools/0/name", json!("web_search")),
            Is("/tools/0/user_location", place),
            Lost("search_context_size;dropped"),
        ],
    );
    cell(
        "search",
        OpenAiChat,
        GM,
        chat,
        &[Is("/tools/0/googleSearch", json!({})), Lost("user_location;dropped"), Lost("search_context_size;dropped")],
    );
    let blocks = am(
        json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "allowed_domains": ["a.example"]}]}),
    );
    cell("search", AnthropicMessages, CC, blocks.clone(), &[Has("web_search_options"), Lost("tools;approximated")]);
    cell(
        "search",
        AnthropicMessages,
        RS,
        blocks.clone(),
        &[Is("/tools/0/filters/allowed_domains/0", json!("a.example")), Lost("tools.max_uses;dropped")],
    );
    cell(
        "search",
        AnthropicMessages,
        GM,
        blocks,
        &[Has("googleSearch"), Lost("max_uses;dropped"), Lost("allowed_domains;dropped")],
    );
    let own = gm(json!({"tools": [{"googleSearch": {}}]}));
    cell("search", GeminiGenerate, CC, own.clone(), &[Is("/web_search_options", json!({})), Whole]);
    cell("search", GeminiGenerate, RS, own.clone(), &[Is("/tools/0/type", json!("web_search")), Whole]);
    cell("search", GeminiGenerate, AM, own, &[Is("/tools/0/name", json!("web_search")), Whole]);
    let items = rs(json!({"tools": [{"type": "web_search", "external_web_access": false}]}));
    for to in [CC, AM, GM] {
        cell("search", OpenAiResponses, to, items.clone(), &[Lost("tools[0].external_web_access;dropped")]);
    }
}

#[test]
fn code_and_pages() {
    let items = rs(json!({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}));
    cell("code", OpenAiResponses, CC, items.clone(), &[Refused("tools")]);
    cell("code", OpenAiResponses, AM, items.clone(), &[Has("code_execution"), Whole]);
    cell("code", OpenAiResponses, GM, items, &[Is("/tools/0/codeExecution", json!({})), Whole]);
    let blocks = am(json!({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}));
    cell("pages", AnthropicMessages, CC, blocks.clone(), &[Refused("tools")]);
    cell("pages", AnthropicMessages, RS, blocks.clone(), &[Refused("tools")]);
    cell("pages", AnthropicMessages, GM, blocks, &[Is("/tools/0/urlContext", json!({})), Whole]);
    let own = gm(json!({"tools": [{"codeExecution": {}}, {"urlContext": {}}]}));
    cell("code", GeminiGenerate, AM, own, &[Has("code_execution"), Has("web_fetch"), Whole]);
}

#[test]
fn other_hosted_tools() {
    for kind in ["file_search", "mcp", "computer_use_preview", "local_shell", "image_generation"] {
        for to in [CC, AM, GM] {
            cell("hosted", OpenAiResponses, to, rs(json!({"tools": [{"type": kind}]})), &[Refused("tools")]);
        }
    }
    for kind in ["bash_20250124", "text_editor_20250728", "memory_20250818", "computer_20250124"] {
        for to in [CC, RS, GM] {
            cell(
                "hosted",
                AnthropicMessages,
                to,
                am(json!({"tools": [{"type": kind, "name": "x"}]})),
                &[Refused("tools")],
            );
        }
    }
    for name in ["googleMaps", "fileSearch", "computerUse"] {
        for to in [CC, RS, AM] {
            let mut tool = json!({});
            tool[name] = json!({});
            cell("hosted", GeminiGenerate, to, gm(json!({"tools": [tool]})), &[Refused("tools")]);
        }
    }
    // A search among tools is nothing to a model that sees them all.
    let blocks = am(json!({"tools": [{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
        {"name": "f", "input_schema": {"type": "object"}, "defer_loading": true}]}));
    for to in [CC, RS, GM] {
        cell(
            "tool search",
            AnthropicMessages,
            to,
            blocks.clone(),
            &[Has(r#""f""#), Lacks("tool_search"), Lost("tools[0];dropped")],
        );
    }
    for to in [CC, AM, GM] {
        cell(
            "tool search",
            OpenAiResponses,
            to,
            rs(json!({"tools": [{"type": "tool_search"}, {"type": "function", "name": "f"}]})),
            &[Has(r#""f""#), Lost("tools[0];dropped")],
        );
    }
}

/// Both halves of a server tool's work go together, and the text stays.
#[test]
fn server_tools_in_the_history() {
    let blocks = am(json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "so"}]}, {"role": "user", "content": "v"}]}));
    for to in [CC, RS, GM] {
        cell(
            "history",
            AnthropicMessages,
            to,
            blocks.clone(),
            &[Lacks("srvtoolu_1"), Has("so"), Lost("server_tool_use;dropped"), Lost("web_search_tool_result;dropped")],
        );
    }
    let items = rs(
        json!({"input": [{"role": "user", "content": "u"}, {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "assistant", "content": "so"}, {"role": "user", "content": "v"}]}),
    );
    for to in [CC, AM, GM] {
        cell(
            "history",
            OpenAiResponses,
            to,
            items.clone(),
            &[Lacks("ws_1"), Has("so"), Lost("web_search_call;dropped")],
        );
    }
    let contents = gm(json!({"contents": [{"role": "user", "parts": [{"text": "u"}]}, {"role": "model", "parts": [
        {"executableCode": {"language": "PYTHON", "code": "x"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "y"}}, {"text": "so"}]},
        {"role": "user", "parts": [{"text": "v"}]}]}));
    for to in [CC, RS, AM] {
        cell(
            "history",
            GeminiGenerate,
            to,
            contents.clone(),
            &[Has("so"), Lost("executableCode;dropped"), Lost("codeExecutionResult;dropped")],
        );
    }
    for kind in ["item_reference", "compaction"] {
        for to in [CC, AM, GM] {
            cell(
                "history",
                OpenAiResponses,
                to,
                rs(json!({"input": [{"type": kind, "id": "x_1"}, {"role": "user", "content": "v"}]})),
                &[Refused("input")],
            );
        }
    }
    for to in [CC, RS, GM] {
        cell(
            "history",
            AnthropicMessages,
            to,
            said(AnthropicMessages, json!([{"type": "container_upload", "file_id": "f"}])),
            &[Refused("messages")],
        );
    }
}
