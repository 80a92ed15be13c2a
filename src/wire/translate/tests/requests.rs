//! One small request in every protocol, said in every other and read again there: it asks for the same.

use serde_json::json;

use super::super::*;
use crate::wire::ir::{Arguments, Efforts, Part, PartKind, Quirks, ReasoningStyle, Role, ToolKind};

/// What matters of a request to any upstream.
#[derive(Debug, PartialEq, Default)]
struct Asked {
    model: String,
    system: String,
    /// Who said what, in order, one entry a part.
    said: Vec<String>,
    tools: Vec<String>,
    limit: Option<u64>,
    temperature: Option<String>,
}

impl Asked {
    fn of(request: &Request<'_>) -> Asked {
        let mut asked =
            Asked { model: request.model.to_string(), limit: request.output_tokens_max, ..Asked::default() };
        asked.temperature = request.temperature.as_ref().map(|number| number.to_string());
        for turn in &request.turns {
            for part in &turn.parts {
                match turn.role {
                    Role::System | Role::Developer => asked.system.push_str(&said(part)),
                    Role::User | Role::Assistant | Role::Tool => asked.said.push(said(part)),
                }
            }
        }
        for tool in &request.tools {
            if let ToolKind::Function { name, .. } = &tool.kind {
                asked.tools.push(name.decode().into_owned());
            }
        }
        asked
    }
}

fn said(part: &Part<'_>) -> String {
    match &part.kind {
        PartKind::Text(text) => text.decode().into_owned(),
        PartKind::Call(call) => {
            let arguments = match &call.arguments {
                Arguments::Text(text) => text.decode().into_owned(),
                Arguments::Object(value) => value.to_json(),
            };
            format!("{}({arguments})", call.name.decode())
        }
        PartKind::Result(result) => format!("-> {}", result.content.iter().map(said).collect::<String>()),
        other => format!("{other:?}"),
    }
}

fn asked() -> Asked {
    Asked {
        model: "m".to_owned(),
        system: "Be brief.".to_owned(),
        said: ["Weather in \"Rome\"?", "I'll look.", r#"weather({"city":"Rome"})"#, "-> 21 °C", "And tomorrow?"]
            .map(str::to_owned)
            .to_vec(),
        tools: vec!["weather".to_owned()],
        limit: Some(300),
        temperature: Some("0.5".to_owned()),
    }
}

fn body(client: Protocol) -> String {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let question = "Weather in \"Rome\"?";
    let body = match client {
        Protocol::OpenAiChat => json!({"model": "m", "max_completion_tokens": 300, "temperature": 0.5, "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": question},
            {"role": "assistant", "content": "I'll look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"}, {"role": "user", "content": "And tomorrow?"}],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}]}),
        Protocol::OpenAiResponses => json!({"model": "m", "max_output_tokens": 300, "temperature": 0.5,
            "instructions": "Be brief.", "store": false, "input": [
                {"role": "user", "content": question},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I'll look."}]},
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{\"city\":\"Rome\"}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "21 °C"},
                {"role": "user", "content": "And tomorrow?"}],
            "tools": [{"type": "function", "name": "weather", "parameters": schema}]}),
        Protocol::AnthropicMessages => {
            json!({"model": "m", "max_tokens": 300, "temperature": 0.5, "system": "Be brief.",
            "messages": [{"role": "user", "content": question},
                {"role": "assistant", "content": [{"type": "text", "text": "I'll look."},
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "21 °C"},
                    {"type": "text", "text": "And tomorrow?"}]}],
            "tools": [{"name": "weather", "input_schema": schema}]})
        }
        Protocol::GeminiGenerate => json!({"generationConfig": {"maxOutputTokens": 300, "temperature": 0.5},
            "systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": [
                {"role": "user", "parts": [{"text": question}]},
                {"role": "model", "parts": [{"text": "I'll look."},
                    {"functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Rome"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"id": "call_1", "name": "weather", "response": {"result": "21 °C"}}}]},
                {"role": "user", "parts": [{"text": "And tomorrow?"}]}],
            "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": schema}]}]}),
    };
    body.to_string()
}

fn target(model: &str) -> Target<'_> {
    Target {
        model,
        stream: true,
        output_max: 8192,
        output_limit: None,
        reasoning: ReasoningStyle::Effort { efforts: Efforts::default(), off: true },
        sampling: true,
        vision: true,
        quirks: Quirks::NONE,
        account: "acme",
    }
}

fn translated(
    client: Protocol,
    upstream: Protocol,
    body: &str,
    target: &Target<'_>,
) -> (Result<(Vec<u8>, Undo), Untranslatable>, Losses) {
    let mut losses = Losses::default();
    let sent = translate_request((client, upstream), body, 64, target, &mut losses, |request| {
        if client == Protocol::GeminiGenerate {
            request.model = "m".into();
        }
    });
    (sent, losses)
}

#[test]
fn every_upstream_is_asked_the_same() {
    for client in Protocol::ALL {
        for upstream in Protocol::ALL {
            let pair = format!("{} to {}", client.as_str(), upstream.as_str());
            let (sent, losses) = translated(client, upstream, &body(client), &target("m"));
            let (sent, undo) = sent.unwrap_or_else(|why| panic!("{pair}: {why}"));
            let sent = String::from_utf8(sent).unwrap();
            assert!(undo.is_empty() && losses.is_empty(), "{pair}: {undo:?} {losses:?}");
            let mut request =
                (upstream.dialect().read_request)(&sent, 64).unwrap_or_else(|why| panic!("{pair}: {why}"));
            if upstream == Protocol::GeminiGenerate {
                request.model = "m".into();
            }
            assert_eq!(Asked::of(&request), asked(), "{pair}\n{sent}");
        }
    }
}

#[test]
fn what_an_upstream_cannot_be_told_is_a_loss_in_the_clients_words() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"seed":7,"logit_bias":{"1":1},"temperature":1.5,"foo":1}"#;
    let (_, losses) = translated(Protocol::OpenAiChat, Protocol::AnthropicMessages, chat, &target("m"));
    let header = losses.header(Protocol::OpenAiChat).unwrap();
    for entry in ["seed;dropped", "logit_bias;dropped", "temperature;clamped", "foo;dropped"] {
        assert!(header.split(", ").any(|listed| listed == entry), "{entry} in {header}");
    }
}

#[test]
fn what_may_not_be_left_out_is_refused_with_its_name() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"n":2}"#;
    let (sent, _) = translated(Protocol::OpenAiChat, Protocol::AnthropicMessages, chat, &target("m"));
    let Err(Untranslatable::Refused(refusal)) = sent else { panic!("{sent:?}") };
    assert_eq!(refusal.param, "n");
    let (sent, _) = translated(Protocol::AnthropicMessages, Protocol::OpenAiChat, r#"{"model":"m"}"#, &target("m"));
    assert!(matches!(sent, Err(Untranslatable::Unreadable(_))));
}
