//! Sections 7.3 and 7.4: tools, calls, results, schemas.

use super::*;

#[test]
fn definitions() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    for from in [OpenAiResponses, AnthropicMessages, GeminiGenerate] {
        cell(
            "definition",
            from,
            CC,
            tooled(from, json!({})),
            &[Is("/tools/0/function/parameters", schema.clone()), Whole],
        );
    }
    for from in [OpenAiChat, AnthropicMessages, GeminiGenerate] {
        cell(
            "definition",
            from,
            RS,
            tooled(from, json!({})),
            &[Is("/tools/0/parameters", schema.clone()), Is("/tools/0/strict", json!(false)), Whole],
        );
    }
    for from in [OpenAiChat, OpenAiResponses, GeminiGenerate] {
        cell("definition", from, AM, tooled(from, json!({})), &[Is("/tools/0/input_schema", schema.clone()), Whole]);
    }
    for from in [OpenAiChat, OpenAiResponses, AnthropicMessages] {
        cell(
            "definition",
            from,
            &["gemini-3"],
            tooled(from, json!({})),
            &[Is("/tools/0/functionDeclarations/0/parametersJsonSchema", schema.clone()), Whole],
        );
        cell(
            "definition",
            from,
            &["vertex"],
            tooled(from, json!({})),
            &[Is("/tools/0/functionDeclarations/0/parameters/type", json!("OBJECT")), Whole],
        );
    }
}

#[test]
fn no_parameters() {
    let bare = cc(json!({"tools": [{"type": "function", "function": {"name": "f"}}]}));
    cell(
        "no parameters",
        OpenAiChat,
        AM,
        bare.clone(),
        &[Is("/tools/0/input_schema", json!({"type": "object", "properties": {}})), Whole],
    );
    cell("no parameters", OpenAiChat, GM, bare.clone(), &[Not("/tools/0/functionDeclarations/0/parameters"), Whole]);
    cell("no parameters", OpenAiChat, RS, bare, &[Is("/tools/0/parameters/type", json!("object")), Whole]);
}

#[test]
fn strict_tools() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let chat =
        cc(json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": schema, "strict": true}}]}));
    cell("strict", OpenAiChat, RS, chat.clone(), &[Is("/tools/0/strict", json!(true)), Whole]);
    cell("strict", OpenAiChat, &["adaptive", "budget"], chat.clone(), &[Is("/tools/0/strict", json!(true)), Whole]);
    cell("strict", OpenAiChat, &["old-claude"], chat.clone(), &[Not("/tools/0/strict"), Lost("strict;dropped")]);
    cell(
        "strict",
        OpenAiChat,
        &["gemini-3", "vertex"],
        chat.clone(),
        &[Is("/toolConfig/functionCallingConfig/mode", json!("VALIDATED"))],
    );
    cell("strict", OpenAiChat, &["gemini-2.5"], chat, &[Lost("strict;dropped")]);
    let blocks = am(json!({"tools": [{"name": "f", "strict": true, "input_schema": schema}]}));
    cell("strict", AnthropicMessages, OPENAI, blocks.clone(), &[Is("/tools/0/function/strict", json!(true)), Whole]);
    cell("strict", AnthropicMessages, &["deepseek"], blocks, &[Lost("strict;dropped")]);
    // A schema that OpenAI would refuse as strict.
    let loose = am(
        json!({"tools": [{"name": "f", "strict": true, "input_schema": {"type": "object", "properties": {"a": {}}}}]}),
    );
    cell(
        "strict",
        AnthropicMessages,
        RS,
        loose.clone(),
        &[Is("/tools/0/strict", json!(false)), Lost("strict;dropped")],
    );
    cell("strict", AnthropicMessages, OPENAI, loose, &[Lost("strict;dropped")]);
}

#[test]
fn names() {
    let named = |name: &str| {
        am(
            json!({"tools": [{"name": name, "input_schema": {"type": "object"}}], "tool_choice": {"type": "tool", "name": name}}),
        )
    };
    let long = "n".repeat(100);
    for to in [CC, RS, GM] {
        cell(
            "name rules",
            AnthropicMessages,
            to,
            named(&long),
            &[
                Undone(&*Box::leak(long.clone().into_boxed_str())),
                Lacks("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"),
            ],
        );
    }
    let digit = cc(json!({"tools": [{"type": "function", "function": {"name": "1st"}}]}));
    cell("name rules", OpenAiChat, GM, digit, &[Undone("1st"), Lacks(r#""1st""#)]);
    let dotted = gm(json!({"tools": [{"functionDeclarations": [{"name": "a.b:c"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a.b:c"]}}}));
    for to in [CC, RS, AM] {
        cell("name rules", GeminiGenerate, to, dotted.clone(), &[Undone("a.b:c"), Lacks("a.b:c")]);
    }
}

#[test]
fn free_form_tools() {
    let chat = cc(json!({"tools": [{"type": "custom", "custom": {"name": "g", "description": "d",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}}}]}));
    cell(
        "free form",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/tools/0/format", json!({"type": "grammar", "syntax": "lark", "definition": "start: A"})), Whole],
    );
    cell(
        "free form",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/tools/0/input_schema/required/0", json!("input")), Undone("wrapped_tools: [\"g\"]"), Has("start: A")],
    );
    cell("free form", OpenAiChat, GM, chat, &[Undone("wrapped_tools: [\"g\"]"), Lost("tools.format;approximated")]);
    let items = rs(
        json!({"tools": [{"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}}]}),
    );
    cell(
        "free form",
        OpenAiResponses,
        CC,
        items,
        &[
            Is(
                "/tools/0/custom/format",
                json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}),
            ),
            Whole,
        ],
    );
    let history = rs(json!({"input": [{"role": "user", "content": "u"},
        {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": "raw {text}"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}],
        "tools": [{"type": "custom", "name": "g"}]}));
    cell(
        "free form",
        OpenAiResponses,
        CC,
        history.clone(),
        &[Has(r#""custom":{"name":"g","input":"raw {text}"}"#), Whole],
    );
    cell(
        "free form",
        OpenAiResponses,
        AM,
        history.clone(),
        &[Is("/messages/1/content/0/input", json!({"input": "raw {text}"}))],
    );
    cell(
        "free form",
        OpenAiResponses,
        GM,
        history,
        &[Is("/contents/1/parts/0/functionCall/args", json!({"input": "raw {text}"}))],
    );
}

#[test]
fn choices() {
    for (chat, items, blocks, mode) in [
        (json!("auto"), json!("auto"), json!({"type": "auto"}), "AUTO"),
        (json!("none"), json!("none"), json!({"type": "none"}), "NONE"),
        (json!("required"), json!("required"), json!({"type": "any"}), "ANY"),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            json!({"type": "function", "name": "f"}),
            json!({"type": "tool", "name": "f"}),
            "ANY",
        ),
    ] {
        let names = if chat.is_object() { json!(["f"]) } else { json!([]) };
        let calling = json!({"toolConfig": {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": names}}});
        let bodies = [
            (OpenAiChat, tooled(OpenAiChat, json!({"tool_choice": chat}))),
            (OpenAiResponses, tooled(OpenAiResponses, json!({"tool_choice": items}))),
            (AnthropicMessages, tooled(AnthropicMessages, json!({"tool_choice": blocks}))),
            (GeminiGenerate, tooled(GeminiGenerate, calling)),
        ];
        for (from, body) in bodies {
            let about = format!("choice {chat}");
            if from != OpenAiChat {
                cell(&about, from, CC, body.clone(), &[Is("/tool_choice", chat.clone()), Whole]);
            }
            if from != OpenAiResponses {
                cell(&about, from, RS, body.clone(), &[Is("/tool_choice", items.clone()), Whole]);
            }
            if from != AnthropicMessages {
                cell(&about, from, AM, body.clone(), &[Is("/tool_choice", blocks.clone()), Whole]);
            }
            if from != GeminiGenerate {
                cell(&about, from, GM, body, &[Is("/toolConfig/functionCallingConfig/mode", json!(mode)), Whole]);
            }
        }
    }
}

#[test]
fn subsets() {
    let two = |from| match from {
        OpenAiChat => {
            json!([{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}])
        }
        _ => {
            json!([{"type": "function", "name": "f"}, {"type": "function", "name": "g"}, {"type": "function", "name": "h"}])
        }
    };
    for required in [true, false] {
        let mode = if required { "required" } else { "auto" };
        let chat = cc(json!({"tools": two(OpenAiChat), "tool_choice": {"type": "allowed_tools", "allowed_tools":
            {"mode": mode, "tools": [{"type": "function", "function": {"name": "g"}}]}}}));
        cell(
            "subset",
            OpenAiChat,
            AM,
            chat,
            &[
                Is("/tools/0/name", json!("g")),
                Not("/tools/1"),
                Is("/tool_choice/type", json!(if required { "any" } else { "auto" })),
            ],
        );
        let items = rs(json!({"tools": two(OpenAiResponses), "tool_choice": {"type": "allowed_tools", "mode": mode,
            "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]}}));
        cell(
            "subset",
            OpenAiResponses,
            CC,
            items.clone(),
            &[
                Is("/tool_choice/allowed_tools/mode", json!(mode)),
                Is("/tool_choice/allowed_tools/tools/1/function/name", json!("g")),
                Whole,
            ],
        );
        let wants = if required {
            vec![Is("/toolConfig/functionCallingConfig/allowedFunctionNames", json!(["f", "g"])), Has(r#""ANY""#)]
        } else {
            vec![Not("/tools/0/functionDeclarations/2"), Has(r#""AUTO""#)]
        };
        cell("subset", OpenAiResponses, GM, items, &wants);
    }
    let config = json!({"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}, {"name": "h"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}});
    cell(
        "subset",
        GeminiGenerate,
        CC,
        gm(config.clone()),
        &[Is("/tool_choice/allowed_tools/mode", json!("required")), Whole],
    );
    cell("subset", GeminiGenerate, RS, gm(config.clone()), &[Is("/tool_choice/mode", json!("required")), Whole]);
    cell("subset", GeminiGenerate, AM, gm(config), &[Not("/tools/2"), Is("/tool_choice/type", json!("any")), Whole]);
    let validated = json!({"tools": [{"functionDeclarations": [{"name": "f"}]}], "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}});
    for to in [CC, RS, AM] {
        cell(
            "validated",
            GeminiGenerate,
            to,
            gm(validated.clone()),
            &[Lost("toolConfig.functionCallingConfig;approximated")],
        );
    }
}

#[test]
fn one_call_at_a_time() {
    let chat = tooled(OpenAiChat, json!({"parallel_tool_calls": false}));
    cell("parallel off", OpenAiChat, RS, chat.clone(), &[Is("/parallel_tool_calls", json!(false)), Whole]);
    cell(
        "parallel off",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/tool_choice", json!({"type": "auto", "disable_parallel_tool_use": true})), Whole],
    );
    cell("parallel off", OpenAiChat, GM, chat, &[Lost("parallel_tool_calls;dropped")]);
    let blocks = tooled(AnthropicMessages, json!({"tool_choice": {"type": "any", "disable_parallel_tool_use": true}}));
    cell(
        "parallel off",
        AnthropicMessages,
        OPENAI,
        blocks.clone(),
        &[Is("/parallel_tool_calls", json!(false)), Is("/tool_choice", json!("required")), Whole],
    );
    cell(
        "parallel off",
        AnthropicMessages,
        &["google-chat"],
        blocks.clone(),
        &[Lost("tool_choice.disable_parallel_tool_use;dropped")],
    );
    cell("parallel off", AnthropicMessages, RS, blocks.clone(), &[Is("/parallel_tool_calls", json!(false)), Whole]);
    cell("parallel off", AnthropicMessages, GM, blocks, &[Lost("tool_choice.disable_parallel_tool_use;dropped")]);
    // Where there is nothing to call, nothing is lost that an answer needs.
    let idle = cc(json!({"parallel_tool_calls": false, "tool_choice": "none"}));
    for to in [RS, AM] {
        cell(
            "no tools",
            OpenAiChat,
            to,
            idle.clone(),
            &[Lost("parallel_tool_calls;omitted"), Lost("tool_choice;omitted")],
        );
    }
}

#[test]
fn thinking_and_a_forced_tool() {
    let chat = |choice: Value| tooled(OpenAiChat, json!({"reasoning_effort": "high", "tool_choice": choice}));
    let one = json!({"type": "function", "function": {"name": "f"}});
    cell(
        "forced",
        OpenAiChat,
        &["budget"],
        chat(json!("required")),
        &[Not("/thinking"), Is("/tool_choice/type", json!("any")), Lost("reasoning_effort;dropped")],
    );
    cell(
        "forced",
        OpenAiChat,
        &["adaptive"],
        chat(one),
        &[Is("/tool_choice/type", json!("any")), Is("/tools/0/name", json!("f")), Lost("tool_choice;approximated")],
    );
}

#[test]
fn arguments() {
    let chat = |arguments: &str| {
        cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}], "tools": [{"type": "function", "function": {"name": "f"}}]}))
    };
    cell(
        "arguments",
        OpenAiChat,
        AM,
        chat(r#"{"b":1.0,"a":12345678901234567890}"#),
        &[Has(r#"{"b":1.0,"a":12345678901234567890}"#)],
    );
    cell(
        "arguments",
        OpenAiChat,
        GM,
        chat(r#"{"b":1.0,"a":12345678901234567890}"#),
        &[Has(r#"{"b":1.0,"a":12345678901234567890}"#)],
    );
    cell("arguments", OpenAiChat, AM, chat(""), &[Is("/messages/1/content/0/input", json!({}))]);
    cell("arguments", OpenAiChat, GM, chat(""), &[Is("/contents/1/parts/0/functionCall/args", json!({}))]);
    cell(
        "arguments",
        OpenAiChat,
        AM,
        chat("{broken"),
        &[Is("/messages/1/content/0/input", json!({"_raw": "{broken"}))],
    );
    cell(
        "arguments",
        OpenAiChat,
        GM,
        chat("{broken"),
        &[Is("/contents/1/parts/0/functionCall/args", json!({"_raw": "{broken"}))],
    );
    cell("arguments", OpenAiChat, RS, chat(""), &[Is("/input/1/arguments", json!("{}"))]);
    let blocks = am(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": [1, {"b": null}]}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]}));
    cell(
        "arguments",
        AnthropicMessages,
        CC,
        blocks.clone(),
        &[Is("/messages/1/tool_calls/0/function/arguments", json!(r#"{"a":[1,{"b":null}]}"#))],
    );
    cell("arguments", AnthropicMessages, RS, blocks, &[Is("/input/1/arguments", json!(r#"{"a":[1,{"b":null}]}"#))]);
}

#[test]
fn ids() {
    let chat = |id: &str| {
        cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": id, "content": "r"}], "tools": [{"type": "function", "function": {"name": "f"}}]}))
    };
    cell("call id", OpenAiChat, AM, chat("call.1|x"), &[Lacks("call.1|x"), Has("call1x_")]);
    cell(
        "call id",
        OpenAiChat,
        RS,
        chat(&"i".repeat(80)),
        &[Lacks("iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii")],
    );
    let blocks = am(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_01", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01", "content": "r"}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]}));
    cell(
        "call id",
        AnthropicMessages,
        OPENAI,
        blocks.clone(),
        &[Is("/messages/1/tool_calls/0/id", json!("toolu_01")), Is("/messages/2/tool_call_id", json!("toolu_01"))],
    );
    cell("call id", AnthropicMessages, &["mistral"], blocks, &[Lacks("toolu_01")]);
}

/// Two calls of one turn, answered out of order, and what the user says beside.
#[test]
fn placing_of_results() {
    let chat = cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": "so", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "b", "content": "B"}, {"role": "tool", "tool_call_id": "a", "content": "A"},
        {"role": "user", "content": "and"}],
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]}));
    cell(
        "results",
        OpenAiChat,
        AM,
        chat.clone(),
        &[
            Is("/messages/2/content/0/type", json!("tool_result")),
            Is("/messages/2/content/1/type", json!("tool_result")),
            Is("/messages/2/content/2/text", json!("and")),
            Not("/messages/3"),
            Whole,
        ],
    );
    cell(
        "results",
        OpenAiChat,
        GM,
        chat.clone(),
        &[
            Is("/contents/2/parts/0/functionResponse/name", json!("f")),
            Is("/contents/2/parts/0/functionResponse/response", json!({"result": "A"})),
            Is("/contents/2/parts/1/functionResponse/name", json!("g")),
            Is("/contents/2/parts/2/text", json!("and")),
            Not("/contents/3"),
            Whole,
        ],
    );
    cell(
        "results",
        OpenAiChat,
        RS,
        chat,
        &[Is("/input/4/call_id", json!("b")), Is("/input/5/output", json!("A")), Whole],
    );
    let blocks = am(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}, {"type": "tool_use", "id": "b", "name": "g", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "A"}, {"type": "tool_result", "tool_use_id": "b", "content": "B"}, {"type": "text", "text": "and"}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]}));
    cell(
        "results",
        AnthropicMessages,
        OPENAI,
        blocks.clone(),
        &[
            Is("/messages/2/role", json!("tool")),
            Is("/messages/3/role", json!("tool")),
            Is("/messages/4/content", json!("and")),
            Whole,
        ],
    );
    cell(
        "results",
        AnthropicMessages,
        RS,
        blocks,
        &[Is("/input/3/type", json!("function_call_output")), Has("and"), Whole],
    );
    // Gemini's own have no ids: pairs go by name and order.
    let contents = gm(json!({"contents": [{"role": "user", "parts": [{"text": "u"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"n": 1}}}, {"functionCall": {"name": "f", "args": {"n": 2}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "one"}}}, {"functionResponse": {"name": "f", "response": {"result": "two"}}}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}]}));
    cell(
        "results",
        GeminiGenerate,
        OPENAI,
        contents.clone(),
        &[Is("/messages/2/content", json!("one")), Is("/messages/3/content", json!("two")), Whole],
    );
    cell("results", GeminiGenerate, AM, contents, &[Is("/messages/2/content/1/content/0/text", json!("two")), Whole]);
}

#[test]
fn errors_of_calls() {
    let blocks = am(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": "boom"}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]}));
    cell(
        "is_error",
        AnthropicMessages,
        CC,
        blocks.clone(),
        &[Is("/messages/2/content", json!("Error: boom")), Lost("is_error;approximated")],
    );
    cell(
        "is_error",
        AnthropicMessages,
        RS,
        blocks.clone(),
        &[Is("/input/2/output", json!("Error: boom")), Lost("is_error;approximated")],
    );
    cell(
        "is_error",
        AnthropicMessages,
        GM,
        blocks,
        &[Is("/contents/2/parts/0/functionResponse/response", json!({"error": "boom"})), Whole],
    );
    let contents = gm(json!({"contents": [{"role": "user", "parts": [{"text": "u"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"error": "boom"}}}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}]}));
    cell(
        "is_error",
        GeminiGenerate,
        AM,
        contents,
        &[Is("/messages/2/content/0/is_error", json!(true)), Has("boom"), Whole],
    );
}

#[test]
fn media_in_results() {
    let of = |content: Value| {
        am(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": content}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]}))
    };
    let image = of(
        json!([{"type": "text", "text": "see"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]),
    );
    cell(
        "image in a result",
        AnthropicMessages,
        CC,
        image.clone(),
        &[
            Is("/messages/2/role", json!("tool")),
            Is("/messages/3/role", json!("user")),
            Has("AAAA"),
            Has("the result of the call"),
            Whole,
        ],
    );
    cell(
        "image in a result",
        AnthropicMessages,
        RS,
        image.clone(),
        &[Is("/input/2/output/1/type", json!("input_image")), Whole],
    );
    cell(
        "image in a result",
        AnthropicMessages,
        &["gemini-3"],
        image.clone(),
        &[Is("/contents/2/parts/0/functionResponse/parts/0/inlineData/data", json!("AAAA")), Whole],
    );
    cell(
        "image in a result",
        AnthropicMessages,
        &["gemini-2.5"],
        image,
        &[Is("/contents/2/parts/1/inlineData/data", json!("AAAA")), Whole],
    );
    let pdf = of(
        json!([{"type": "document", "title": "p", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}]),
    );
    cell(
        "PDF in a result",
        AnthropicMessages,
        CC,
        pdf.clone(),
        &[Is("/messages/3/content/1/file/file_data", json!("data:application/pdf;base64,JVBE")), Whole],
    );
    cell(
        "PDF in a result",
        AnthropicMessages,
        RS,
        pdf,
        &[Is("/input/2/output/0/file_data", json!("data:application/pdf;base64,JVBE")), Whole],
    );
    let file = of(json!([{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]));
    let url = of(json!([{"type": "document", "source": {"type": "url", "url": "https://a.example/x.pdf"}}]));
    for to in [CC, RS, GM] {
        cell("file id in a result", AnthropicMessages, to, file.clone(), &[Refused("messages")]);
    }
    cell("URL in a result", AnthropicMessages, CC, url.clone(), &[Refused("messages")]);
    cell("URL in a result", AnthropicMessages, &["gemini-2.5"], url.clone(), &[Refused("messages")]);
    cell(
        "URL in a result",
        AnthropicMessages,
        RS,
        url,
        &[Is("/input/2/output/0/file_url", json!("https://a.example/x.pdf")), Whole],
    );
    let found = of(
        json!([{"type": "search_result", "source": "https://a.example", "title": "T", "content": [{"type": "text", "text": "found"}]}]),
    );
    for to in [CC, RS, GM] {
        cell(
            "search result in a result",
            AnthropicMessages,
            to,
            found.clone(),
            &[Has("https://a.example"), Has("found"), Has("T"), Whole],
        );
    }
    let items = rs(
        json!({"input": [{"role": "user", "content": "u"}, {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}]}],
        "tools": [{"type": "function", "name": "f"}]}),
    );
    cell(
        "image in a result",
        OpenAiResponses,
        AM,
        items.clone(),
        &[Is("/messages/2/content/0/content/0/source/data", json!("AAAA")), Lost("detail;dropped")],
    );
    cell(
        "image in a result",
        OpenAiResponses,
        GM,
        items,
        &[Is("/generationConfig/mediaResolution", json!("MEDIA_RESOLUTION_LOW"))],
    );
    let beside = gm(
        json!({"contents": [{"role": "user", "parts": [{"text": "u"}]}, {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "see"}}}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}]}),
    );
    for to in [CC, RS, AM] {
        cell("image beside a result", GeminiGenerate, to, beside.clone(), &[Has("AAAA"), Whole]);
    }
}

#[test]
fn calls_without_results_and_results_without_calls() {
    let open = cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "user", "content": "never mind"}], "tools": [{"type": "function", "function": {"name": "f"}}]}));
    cell("no result", OpenAiChat, AM, open.clone(), &[Has("(no result)"), Lost("tool_call_id;approximated")]);
    cell("no result", OpenAiChat, GM, open, &[Has("(no result)"), Lost("tool_call_id;approximated")]);
    let lone = cc(
        json!({"messages": [{"role": "user", "content": "u"}, {"role": "tool", "tool_call_id": "z", "content": "r"}]}),
    );
    cell("no call", OpenAiChat, AM, lone.clone(), &[Has("r"), Lost("tool_call_id;approximated")]);
    cell("no call", OpenAiChat, GM, lone, &[Refused("messages")]);
}

#[test]
fn a_history_of_calls_without_tools() {
    let chat = cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "r"}]}));
    cell(
        "no tools",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Is("/tools/0/name", json!("f")), Is("/tool_choice/type", json!("none")), Lost("tools;approximated")],
    );
    cell("no tools", OpenAiChat, RS, chat.clone(), &[Not("/tools"), Whole]);
    cell("no tools", OpenAiChat, GM, chat, &[Not("/tools"), Whole]);
}

#[test]
fn schemas_of_answers() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"], "additionalProperties": false});
    let chat = cc(
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": true}}}),
    );
    cell(
        "schema",
        OpenAiChat,
        RS,
        chat.clone(),
        &[
            Is("/text/format/type", json!("json_schema")),
            Is("/text/format/schema", schema.clone()),
            Is("/text/format/strict", json!(true)),
            Whole,
        ],
    );
    cell(
        "schema",
        OpenAiChat,
        &["adaptive", "budget"],
        chat.clone(),
        &[
            Is("/output_config/format/schema/additionalProperties", json!(false)),
            Has("minimum: 1"),
            Lost("schema;approximated"),
        ],
    );
    cell(
        "schema",
        OpenAiChat,
        &["old-claude"],
        chat.clone(),
        &[Is("/tool_choice/type", json!("tool")), Undone("answer_tool: Some")],
    );
    cell(
        "schema",
        OpenAiChat,
        &["gemini-3"],
        chat.clone(),
        &[
            Is("/generationConfig/responseJsonSchema", schema.clone()),
            Is("/generationConfig/responseMimeType", json!("application/json")),
            Whole,
        ],
    );
    cell(
        "schema",
        OpenAiChat,
        &["vertex"],
        chat,
        &[Is("/generationConfig/responseSchema/properties/n/type", json!("INTEGER"))],
    );
    let own = gm(json!({"generationConfig": {"responseMimeType": "application/json", "responseSchema":
        {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": true}}, "propertyOrdering": ["n"]}}}));
    cell(
        "schema",
        GeminiGenerate,
        OPENAI,
        own.clone(),
        &[Is("/response_format/json_schema/schema/properties/n/type", json!(["integer", "null"]))],
    );
    cell("schema", GeminiGenerate, RS, own.clone(), &[Is("/text/format/schema/type", json!("object"))]);
    cell(
        "schema",
        GeminiGenerate,
        &["adaptive"],
        own,
        &[Is("/output_config/format/schema/properties/n/type", json!(["integer", "null"])), Lacks("propertyOrdering")],
    );
    let blocks = am(json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}));
    cell(
        "schema",
        AnthropicMessages,
        OPENAI,
        blocks.clone(),
        &[Is("/response_format/json_schema/strict", json!(true)), Whole],
    );
    cell(
        "schema",
        AnthropicMessages,
        &["deepseek"],
        blocks,
        &[Is("/response_format/type", json!("json_object")), Lost("output_config.format;approximated")],
    );
}

#[test]
fn any_json() {
    let chat = cc(
        json!({"messages": [{"role": "user", "content": "as JSON please"}], "response_format": {"type": "json_object"}}),
    );
    cell("any JSON", OpenAiChat, RS, chat.clone(), &[Is("/text/format/type", json!("json_object")), Whole]);
    cell(
        "any JSON",
        OpenAiChat,
        AM,
        chat.clone(),
        &[Has("one JSON object only"), Lost("response_format;approximated")],
    );
    cell(
        "any JSON",
        OpenAiChat,
        GM,
        chat,
        &[Is("/generationConfig/responseMimeType", json!("application/json")), Whole],
    );
    let own = gm(json!({"generationConfig": {"responseMimeType": "application/json"}}));
    cell(
        "any JSON",
        GeminiGenerate,
        CC,
        own.clone(),
        &[
            Is("/response_format/type", json!("json_object")),
            Has("one JSON object"),
            Lost("generationConfig.responseMimeType;approximated"),
        ],
    );
    cell("any JSON", GeminiGenerate, RS, own, &[Is("/text/format/type", json!("json_object")), Has("one JSON object")]);
    let tools = tooled(OpenAiChat, json!({"response_format": {"type": "json_object"}}));
    cell("JSON and tools", OpenAiChat, &["gemini-2.5"], tools.clone(), &[Refused("response_format")]);
    cell(
        "JSON and tools",
        OpenAiChat,
        &["gemini-3"],
        tools,
        &[Is("/generationConfig/responseMimeType", json!("application/json"))],
    );
}

/// Data in a schema is not a schema, and arguments are neither.
#[test]
fn data_that_looks_like_a_schema() {
    let schema = json!({"type": "object", "properties": {"$ref": {"type": "string", "enum": ["oneOf"], "default": {"$schema": "x"}}}});
    let chat = cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f",
            "arguments": r##"{"$ref":"#/x","additionalProperties":false,"type":["string","null"]}"##}}]},
        {"role": "tool", "tool_call_id": "a", "content": "r"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}));
    cell(
        "data",
        OpenAiChat,
        &["vertex"],
        chat,
        &[
            Has(r##"{"$ref":"#/x","additionalProperties":false,"type":["string","null"]}"##),
            Has(r#""$schema":"x""#),
            Has("oneOf"),
            Is("/tools/0/functionDeclarations/0/parameters/properties/$ref/type", json!("STRING")),
        ],
    );
}

/// A model that always thinks takes no forced call, whether thinking was asked for or not.
#[test]
fn models_that_always_think() {
    for choice in [json!("required"), json!({"type": "function", "function": {"name": "f"}})] {
        for more in [json!({}), json!({"reasoning_effort": "low"}), json!({"reasoning_effort": "none"})] {
            let mut body = tooled(OpenAiChat, more);
            body["tool_choice"] = choice.clone();
            cell(
                "always",
                OpenAiChat,
                &["always"],
                body,
                &[Is("/tool_choice/type", json!("auto")), Lost("tool_choice;approximated")],
            );
        }
    }
    let own = tooled(GeminiGenerate, json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}));
    cell("always", GeminiGenerate, &["always"], own, &[Is("/tool_choice/type", json!("auto"))]);
}

#[test]
fn results_that_a_model_cannot_see() {
    let blocks = am(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [
            {"type": "text", "text": "see"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]}));
    cell(
        "blind",
        AnthropicMessages,
        &["blind"],
        blocks,
        &[Lacks("AAAA"), Has("see"), Has("left out"), Lost("source;dropped")],
    );
    let shown = said(
        AnthropicMessages,
        json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]),
    );
    cell("blind", AnthropicMessages, &["blind"], shown, &[Refused("messages")]);
}

/// Calls of a chat client from before there were tools.
#[test]
fn functions_of_old() {
    let chat = cc(json!({"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\":1}"}},
        {"role": "function", "name": "f", "content": "r"}],
        "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}], "function_call": {"name": "f"}}));
    cell(
        "functions",
        OpenAiChat,
        AM,
        chat.clone(),
        &[
            Is("/tools/0/name", json!("f")),
            Is("/tool_choice/name", json!("f")),
            Is("/messages/1/content/0/input", json!({"a": 1})),
            Is("/messages/2/content/0/content", json!("r")),
        ],
    );
    cell(
        "functions",
        OpenAiChat,
        RS,
        chat.clone(),
        &[Is("/input/1/name", json!("f")), Is("/input/2/output", json!("r")), Is("/tool_choice/name", json!("f"))],
    );
    cell(
        "functions",
        OpenAiChat,
        GM,
        chat,
        &[
            Is("/contents/1/parts/0/functionCall/args", json!({"a": 1})),
            Is("/contents/2/parts/0/functionResponse/response/result", json!("r")),
        ],
    );
}
