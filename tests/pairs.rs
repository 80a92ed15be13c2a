//! Every client protocol against every upstream protocol, through the running gateway, whole and streamed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use serde_json::{Value, json};
use support::{Answer, House, PATIENCE};

/// The demo model behind each upstream protocol.
const MODELS: [&str; 4] = ["demo", "demo-responses", "demo-messages", "demo-gemini"];

/// How a client of a protocol asks, and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Chat,
    Responses,
    Messages,
    Gemini,
}

const CLIENTS: [Client; 4] = [Client::Chat, Client::Responses, Client::Messages, Client::Gemini];

impl Client {
    fn path(self, model: &str, stream: bool) -> String {
        match self {
            Client::Chat => "/v1/chat/completions".to_owned(),
            Client::Responses => "/v1/responses".to_owned(),
            Client::Messages => "/v1/messages".to_owned(),
            Client::Gemini if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Client::Gemini => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    fn body(self, model: &str, stream: bool) -> Value {
        const TEXT: &str = "Say something kind about rivers.";
        match self {
            Client::Chat => json!({"model": model, "stream": stream, "max_completion_tokens": 300,
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}]}),
            Client::Responses => json!({"model": model, "stream": stream, "max_output_tokens": 300,
                "instructions": "Be brief.", "input": TEXT}),
            Client::Messages => json!({"model": model, "stream": stream, "max_tokens": 300, "system": "Be brief.",
                "messages": [{"role": "user", "content": TEXT}]}),
            Client::Gemini => json!({"systemInstruction": {"parts": [{"text": "Be brief."}]},
                "generationConfig": {"maxOutputTokens": 300}, "contents": [{"role": "user", "parts": [{"text": TEXT}]}]}),
        }
    }

    async fn ask(self, house: &House, model: &str, stream: bool) -> Answer {
        self.send(house, model, stream, self.body(model, stream)).await
    }

    async fn send(self, house: &House, model: &str, stream: bool, body: Value) -> Answer {
        let request = house.client.post(house.url(&self.path(model, stream))).bearer_auth(&house.key);
        let request = request.header("content-type", "application/json").timeout(PATIENCE);
        Answer::of(request.body(body.to_string()).send().await.unwrap()).await
    }

    /// The text of a whole answer, or of all events of a stream.
    fn text(self, answer: &Answer, stream: bool) -> String {
        let pieces = |pointer: &str| -> String {
            let events = if stream { answer.events() } else { vec![answer.json()] };
            events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
        };
        match (self, stream) {
            (Client::Chat, true) => pieces("/choices/0/delta/content"),
            (Client::Chat, false) => pieces("/choices/0/message/content"),
            (Client::Responses, true) => {
                let deltas = answer.events();
                let is_text = |event: &&Value| event["type"] == "response.output_text.delta";
                deltas.iter().filter(is_text).filter_map(|event| event["delta"].as_str()).collect()
            }
            (Client::Responses, false) => pieces("/output/0/content/0/text"),
            (Client::Messages, true) => pieces("/delta/text"),
            (Client::Messages, false) => pieces("/content/0/text"),
            (Client::Gemini, _) => pieces("/candidates/0/content/parts/0/text"),
        }
    }

    /// The answer says that it is complete, in its protocol's own way.
    fn ends_well(self, answer: &Answer, stream: bool) -> bool {
        let last = || answer.events().pop().unwrap_or_default();
        match (self, stream) {
            (Client::Chat, true) => answer.done(),
            (Client::Chat, false) => answer.json()["choices"][0]["finish_reason"] == "stop",
            (Client::Responses, true) => last()["type"] == "response.completed",
            (Client::Responses, false) => answer.json()["status"] == "completed",
            (Client::Messages, true) => last()["type"] == "message_stop",
            (Client::Messages, false) => answer.json()["stop_reason"] == "end_turn",
            (Client::Gemini, true) => last()["candidates"][0]["finishReason"] == "STOP",
            (Client::Gemini, false) => answer.json()["candidates"][0]["finishReason"] == "STOP",
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_reads_every_upstream() {
    let house = House::open().await;
    for model in MODELS {
        for client in CLIENTS {
            let whole = client.ask(&house, model, false).await;
            assert_eq!(whole.status, 200, "{client:?} {model}: {whole:?}");
            let said = client.text(&whole, false);
            assert!(said.len() > 10, "{client:?} {model}: {whole:?}");
            assert!(client.ends_well(&whole, false), "{client:?} {model}: {whole:?}");
            assert!(whole.header("x-qingwave-charge").is_some(), "{client:?} {model}: {whole:?}");
            let streamed = client.ask(&house, model, true).await;
            assert_eq!(streamed.status, 200, "{client:?} {model}: {streamed:?}");
            assert_eq!(client.text(&streamed, true), said, "{client:?} {model}: {streamed:?}");
            assert!(client.ends_well(&streamed, true), "{client:?} {model}: {streamed:?}");
        }
    }
    house.settled().await;
    let records = house.records().await;
    assert_eq!(records.len(), 32);
    for record in &records {
        assert_eq!((record.status, record.usage_source.map(|s| s.as_str())), (200, Some("reported")), "{record:?}");
        assert!(!record.charge.is_zero(), "{record:?}");
    }
    house.close().await;
}

/// A question that the demo answers with calls of the only tool, after some thought.
impl Client {
    fn tool_question(self, model: &str) -> Value {
        const TEXT: &str = "What is the weather, in parallel places?";
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        match self {
            Client::Chat => json!({"model": model, "max_completion_tokens": 4000, "reasoning_effort": "medium",
                "messages": [{"role": "user", "content": TEXT}],
                "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": schema}}]}),
            Client::Responses => json!({"model": model, "max_output_tokens": 4000, "store": false,
                "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
                "input": [{"type": "message", "role": "user", "content": TEXT}],
                "tools": [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": schema}]}),
            Client::Messages => {
                json!({"model": model, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024},
                "messages": [{"role": "user", "content": TEXT}],
                "tools": [{"name": "get_weather", "description": "Weather", "input_schema": schema}]})
            }
            Client::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": TEXT}]}],
                "generationConfig": {"maxOutputTokens": 4000, "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1024}},
                "tools": [{"functionDeclarations": [{"name": "get_weather", "description": "Weather", "parametersJsonSchema": schema}]}]}),
        }
    }

    /// The next turn, as an agent sends it: the answer as its SDK keeps it, and a result for every call.
    fn with_results(self, mut question: Value, answer: &Value) -> Value {
        let push = |list: &mut Value, item: Value| list.as_array_mut().unwrap().push(item);
        match self {
            Client::Chat => {
                let message = &answer["choices"][0]["message"];
                let calls: Vec<Value> = message["tool_calls"].as_array().unwrap().clone();
                // Most agents keep nothing but what OpenAI's own types have.
                let kept: Vec<Value> = calls
                    .iter()
                    .map(|call| json!({"id": call["id"], "type": "function", "function": call["function"]}))
                    .collect();
                let said = json!({"role": "assistant", "content": message["content"], "tool_calls": kept});
                push(&mut question["messages"], said);
                for call in &calls {
                    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"});
                    push(&mut question["messages"], result);
                }
            }
            Client::Responses => {
                let output = answer["output"].as_array().unwrap().clone();
                output.iter().for_each(|item| push(&mut question["input"], item.clone()));
                for call in output.iter().filter(|item| item["type"] == "function_call") {
                    let result =
                        json!({"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees"});
                    push(&mut question["input"], result);
                }
            }
            Client::Messages => {
                let content = answer["content"].as_array().unwrap().clone();
                let calls = content.iter().filter(|block| block["type"] == "tool_use");
                let results: Vec<Value> = calls
                    .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "21 degrees"}))
                    .collect();
                push(&mut question["messages"], json!({"role": "assistant", "content": content}));
                push(&mut question["messages"], json!({"role": "user", "content": results}));
            }
            Client::Gemini => {
                let content = answer["candidates"][0]["content"].clone();
                let calls = content["parts"].as_array().unwrap().iter().filter_map(|part| part.get("functionCall"));
                let results: Vec<Value> = calls
                    .map(|call| {
                        let response = json!({"result": "21 degrees"});
                        json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": response}})
                    })
                    .collect();
                push(&mut question["contents"], content);
                push(&mut question["contents"], json!({"role": "user", "parts": results}));
            }
        }
        question
    }

    /// How many calls an answer has, and whether it shows thinking.
    fn calls_and_thoughts(self, answer: &Value) -> (usize, bool) {
        let count = |list: &Value, is: &dyn Fn(&Value) -> bool| {
            list.as_array().map_or(0, |list| list.iter().filter(|item| is(item)).count())
        };
        match self {
            Client::Chat => {
                let message = &answer["choices"][0]["message"];
                (count(&message["tool_calls"], &|_| true), message["reasoning_content"].is_string())
            }
            Client::Responses => (
                count(&answer["output"], &|item| item["type"] == "function_call"),
                count(&answer["output"], &|item| item["type"] == "reasoning") > 0,
            ),
            Client::Messages => (
                count(&answer["content"], &|block| block["type"] == "tool_use"),
                count(&answer["content"], &|block| block["type"] == "thinking") > 0,
            ),
            Client::Gemini => {
                let parts = &answer["candidates"][0]["content"]["parts"];
                (
                    count(parts, &|part| part["functionCall"].is_object()),
                    count(parts, &|part| part["thought"] == true) > 0,
                )
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_and_thinking_survive_turns_in_every_pair() {
    let house = House::open().await;
    let mut problems = Vec::new();
    for model in MODELS {
        for client in CLIENTS {
            if let Err(problem) = two_turns(&house, client, model).await {
                problems.push(format!("{client:?} {model}: {problem}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    house.close().await;
}

/// A question, two calls after some thought, their results, and the answer that knows them.
async fn two_turns(house: &House, client: Client, model: &str) -> Result<(), String> {
    let question = client.tool_question(model);
    let first = client.send(house, model, false, question.clone()).await;
    if first.status != 200 {
        return Err(first.text);
    }
    if client.calls_and_thoughts(&first.json()) != (2, true) {
        return Err(format!("not two calls after a thought: {}", first.text));
    }
    let question = client.with_results(question, &first.json());
    let second = client.send(house, model, false, question.clone()).await;
    if second.status != 200 || second.text.matches("21 degrees").count() < 2 {
        let upstream = house.demo.seen().last.pop().map(|seen| seen.body);
        return Err(format!("{}\n  asked: {question}\n  upstream got: {upstream:?}", second.text));
    }
    Ok(())
}
