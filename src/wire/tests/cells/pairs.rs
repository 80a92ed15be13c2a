//! Section 8: what is particular to one ordered pair.

use super::*;

#[test]
fn chat_to_responses() {
    let chat = cc(
        json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "so", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "r"}], "tools": [{"type": "function", "function": {"name": "f"}}]}),
    );
    cell(
        "items",
        OpenAiChat,
        RS,
        chat,
        &[
            Is("/input/1/role", json!("assistant")),
            Is("/input/2/type", json!("function_call")),
            Is("/input/2/call_id", json!("call_1")),
            Is("/input/3/type", json!("function_call_output")),
            Is("/store", json!(false)),
            Is("/include/0", json!("reasoning.encrypted_content")),
            Whole,
        ],
    );
}

#[test]
fn responses_to_chat() {
    let items = rs(json!({"input": [{"role": "user", "content": "u"},
        {"role": "assistant", "phase": "commentary", "content": [{"type": "output_text", "text": "so"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}, {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": "B"}, {"type": "function_call_output", "call_id": "a", "output": "A"}],
        "tools": [{"type": "function", "name": "f"}]}));
    // One message of text and calls, and then the results.
    cell(
        "one message",
        OpenAiResponses,
        CC,
        items.clone(),
        &[
            Is("/messages/1/content", json!("so")),
            Is("/messages/1/tool_calls/1/function/name", json!("f")),
            Is("/messages/3/role", json!("tool")),
            Not("/messages/4"),
            Lost("input[1].phase;dropped"),
        ],
    );
    cell(
        "one message",
        OpenAiResponses,
        AM,
        items.clone(),
        &[
            Is("/messages/1/content/0/text", json!("so")),
            Is("/messages/1/content/2/id", json!("b")),
            Is("/messages/2/content/1/type", json!("tool_result")),
            Not("/messages/3"),
        ],
    );
    cell(
        "one message",
        OpenAiResponses,
        GM,
        items,
        &[
            Is("/contents/1/parts/0/text", json!("so")),
            Is("/contents/1/parts/2/functionCall/name", json!("f")),
            Is("/contents/2/parts/0/functionResponse/response/result", json!("A")),
            Not("/contents/3"),
        ],
    );
}

#[test]
fn messages_to_the_others() {
    let blocks = am(
        json!({"system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=1"}, {"type": "text", "text": "s"}]}),
    );
    for to in [CC, RS, GM] {
        cell("billing header", AnthropicMessages, to, blocks.clone(), &[Lacks("billing-header"), Whole]);
    }
    for to in [CC, RS, GM] {
        cell(
            "switches",
            AnthropicMessages,
            to,
            am(json!({"anthropic_version": "2023-06-01", "tools": [
            {"name": "f", "input_schema": {"type": "object"}, "eager_input_streaming": true}]})),
            &[Whole],
        );
        cell(
            "management",
            AnthropicMessages,
            to,
            am(json!({"context_management": {"edits": []}})),
            &[Lost("context_management;dropped")],
        );
        cell("geo", AnthropicMessages, to, am(json!({"inference_geo": "us"})), &[Refused("inference_geo")]);
    }
}

#[test]
fn gemini_to_the_others() {
    // Pieces of arguments, in one part or in several.
    let pieces = |parts: Value| {
        gm(json!({"contents": [{"role": "user", "parts": [{"text": "u"}]}, {"role": "model", "parts": parts},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "r"}}}]}], "tools": [{"functionDeclarations": [{"name": "f"}]}]}))
    };
    let one = pieces(
        json!([{"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.b", "numberValue": 2}]}}]),
    );
    let several = pieces(json!([{"functionCall": {"name": "f", "willContinue": true}},
        {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": true}},
        {"functionCall": {"partialArgs": [{"jsonPath": "$.b", "numberValue": 2}], "willContinue": true}}, {"functionCall": {}}]));
    for body in [one, several] {
        cell(
            "pieces",
            GeminiGenerate,
            OPENAI,
            body.clone(),
            &[
                Is("/messages/1/tool_calls/0/function/arguments", json!(r#"{"a":"x","b":2}"#)),
                Not("/messages/1/tool_calls/1"),
                Whole,
            ],
        );
        cell(
            "pieces",
            GeminiGenerate,
            RS,
            body.clone(),
            &[Is("/input/1/arguments", json!(r#"{"a":"x","b":2}"#)), Whole],
        );
        cell(
            "pieces",
            GeminiGenerate,
            AM,
            body,
            &[Is("/messages/1/content/0/input", json!({"a": "x", "b": 2})), Whole],
        );
    }
    // Both spellings, and types in lower case.
    let snake = gm(
        json!({"system_instruction": {"parts": [{"text": "s"}]}, "generation_config": {"max_output_tokens": 50, "top_k": 3},
        "tools": [{"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}}}]}]}),
    );
    cell(
        "snake case",
        GeminiGenerate,
        OPENAI,
        snake.clone(),
        &[
            Is("/max_completion_tokens", json!(50)),
            Is("/messages/0/role", json!("system")),
            Is("/tools/0/function/parameters/properties/a/type", json!(["string", "null"])),
            Lost("generationConfig.topK;dropped"),
        ],
    );
    cell(
        "snake case",
        GeminiGenerate,
        AM,
        snake,
        &[Is("/max_tokens", json!(50)), Is("/tools/0/input_schema/properties/a/type", json!(["string", "null"]))],
    );
}
