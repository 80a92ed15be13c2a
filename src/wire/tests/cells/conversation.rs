//! Section 7.1: roles and order.

use super::*;

#[test]
fn leading_system() {
    let out = [Is("/instructions", json!("s")), Is("/input/0/role", json!("user")), Whole];
    cell(
        "leading system",
        OpenAiChat,
        RS,
        cc(json!({"messages": [
        {"role": "system", "content": "s"}, {"role": "user", "content": "u"}]})),
        &out,
    );
    cell("leading system", AnthropicMessages, RS, am(json!({"system": "s"})), &out);
    cell("leading system", GeminiGenerate, RS, gm(json!({"systemInstruction": {"parts": [{"text": "s"}]}})), &out);
    let out = [Has(r#""system""#), Is("/messages/0/role", json!("user")), Whole];
    cell(
        "leading system",
        OpenAiChat,
        AM,
        cc(json!({"messages": [
        {"role": "developer", "content": "s"}, {"role": "user", "content": "u"}]})),
        &out,
    );
    cell("leading system", OpenAiResponses, AM, rs(json!({"instructions": "s"})), &out);
    let out = [Is("/systemInstruction/parts/0/text", json!("s")), Is("/contents/0/role", json!("user")), Whole];
    cell("leading system", AnthropicMessages, GM, am(json!({"system": [{"type": "text", "text": "s"}]})), &out);
    cell("leading system", OpenAiResponses, GM, rs(json!({"instructions": "s"})), &out);
    let out = [Is("/messages/0/role", json!("system")), Is("/messages/0/content", json!("s")), Whole];
    cell("leading system", AnthropicMessages, CC, am(json!({"system": "s"})), &out);
    cell("leading system", OpenAiResponses, CC, rs(json!({"instructions": "s"})), &out);
    cell("leading system", GeminiGenerate, CC, gm(json!({"systemInstruction": {"parts": [{"text": "s"}]}})), &out);
}

#[test]
fn several_leading_texts_are_one_each() {
    let chat = cc(json!({"messages": [
        {"role": "system", "content": "one"}, {"role": "system", "content": "two"}, {"role": "user", "content": "u"}]}));
    cell(
        "several leading",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/system/0/text", json!("one")), Is("/system/1/text", json!("two")), Whole],
    );
    cell(
        "several leading",
        OpenAiChat,
        GM,
        chat.clone(),
        &[
            Is("/systemInstruction/parts/0/text", json!("one")),
            Is("/systemInstruction/parts/1/text", json!("two")),
            Whole,
        ],
    );
    cell(
        "several leading",
        OpenAiChat,
        RS,
        chat,
        &[Is("/instructions", json!("one")), Is("/input/0/role", json!("system")), Has("two"), Whole],
    );
    // Joined by a blank line.
    let blocks = am(json!({"system": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}));
    cell(
        "several leading",
        AnthropicMessages,
        CC,
        blocks.clone(),
        &[Is("/messages/0/content", json!("one\n\ntwo")), Whole],
    );
    cell("several leading", AnthropicMessages, RS, blocks, &[Is("/instructions", json!("one\n\ntwo")), Whole]);
}

#[test]
fn system_in_mid_conversation() {
    let chat = |role: &str| {
        cc(json!({"messages": [
        {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}, {"role": role, "content": "late"},
        {"role": "user", "content": "v"}]}))
    };
    cell(
        "system amid",
        OpenAiChat,
        &["adaptive"],
        chat("system"),
        &[Is("/messages/2/role", json!("system")), Has("late"), Whole],
    );
    for old in ["budget", "old-claude"] {
        cell(
            "system amid",
            OpenAiChat,
            &[old],
            chat("developer"),
            &[Is("/messages/2/role", json!("user")), Has("<system-reminder>"), Has("late"), Lost("role;approximated")],
        );
    }
    cell(
        "system amid",
        OpenAiChat,
        GM,
        chat("system"),
        &[Is("/contents/2/role", json!("user")), Has("<system-reminder>\\nlate\\n</system-reminder>")],
    );
    cell("system amid", OpenAiChat, RS, chat("system"), &[Is("/input/2/role", json!("system")), Whole]);
}

#[test]
fn developers_are_systems_to_those_that_know_no_developers() {
    let body = rs(json!({"input": [{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}]}));
    cell("developer", OpenAiResponses, OPENAI, body.clone(), &[Is("/messages/0/role", json!("developer")), Whole]);
    cell("developer", OpenAiResponses, &["mistral"], body.clone(), &[Is("/messages/0/role", json!("system")), Whole]);
    cell(
        "developer",
        OpenAiResponses,
        AM,
        body.clone(),
        &[Has(r#""system""#), Is("/messages/0/role", json!("user")), Whole],
    );
    cell("developer", OpenAiResponses, GM, body, &[Is("/systemInstruction/parts/0/text", json!("d")), Whole]);
}

#[test]
fn neighbours_of_one_role() {
    let chat = cc(json!({"messages": [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]}));
    cell(
        "same role twice",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/messages/0/content/1/text", json!("two")), Not("/messages/1"), Whole],
    );
    cell(
        "same role twice",
        OpenAiChat,
        GM,
        chat.clone(),
        &[Is("/contents/0/parts/1/text", json!("two")), Not("/contents/1"), Whole],
    );
    cell("same role twice", OpenAiChat, RS, chat, &[Has("one"), Is("/input/1/role", json!("user")), Whole]);
}

#[test]
fn assistants_first_and_last() {
    let chat = cc(json!({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "u"}]}));
    cell(
        "first is assistant",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/messages/0/role", json!("user")), Lost("role;approximated")],
    );
    cell(
        "first is assistant",
        OpenAiChat,
        GM,
        chat.clone(),
        &[Is("/contents/0/role", json!("user")), Lost("role;approximated")],
    );
    cell("first is assistant", OpenAiChat, RS, chat, &[Is("/input/0/role", json!("assistant")), Whole]);
    let prefill = am(json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "so"}]}));
    cell(
        "last is assistant",
        AnthropicMessages,
        CC,
        prefill.clone(),
        &[Is("/messages/1/role", json!("assistant")), Has("so")],
    );
    cell(
        "last is assistant",
        AnthropicMessages,
        RS,
        prefill.clone(),
        &[Is("/input/1/role", json!("assistant")), Has("so")],
    );
    cell("last is assistant", AnthropicMessages, GM, prefill, &[Is("/contents/1/role", json!("model")), Has("so")]);
}

#[test]
fn empty_texts() {
    let chat = cc(json!({"messages": [{"role": "user", "content": ""}, {"role": "user", "content": "hi"}]}));
    cell("empty text", OpenAiChat, AM, chat.clone(), &[Lacks(r#""text":"""#), Lacks(r#""content":"""#)]);
    cell("empty text", OpenAiChat, GM, chat, &[Lacks(r#""text":"""#), Is("/contents/0/parts/0/text", json!("hi"))]);
    let only = cc(json!({"messages": [{"role": "user", "content": "   "}]}));
    cell(
        "nothing but blanks",
        OpenAiChat,
        AM,
        only,
        &[Not("/messages/1"), Is("/messages/0/role", json!("user")), Lacks(r#""content":"   ""#)],
    );
    let nothing = cc(json!({"messages": [{"role": "user", "content": ""}]}));
    cell("nothing", OpenAiChat, GM, nothing, &[Is("/contents/0/role", json!("user")), Lacks(r#""parts":[]"#)]);
}

#[test]
fn names_of_messages() {
    let chat = cc(json!({"messages": [{"role": "user", "name": "ann", "content": "hi"}]}));
    for to in [RS, AM, GM] {
        cell("name", OpenAiChat, to, chat.clone(), &[Lost("name;dropped"), Lacks("ann")]);
    }
}

#[test]
fn media_of_the_system() {
    let items = rs(
        json!({"input": [{"role": "developer", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
        {"role": "user", "content": "u"}]}),
    );
    for to in [AM, GM] {
        cell("system media", OpenAiResponses, to, items.clone(), &[Refused("input")]);
    }
}
