//! What is asked in each workload: requests of a client, what an upstream gets of them, and its manners by model name.

use qingwave::wire::Protocol::{self, AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use qingwave::wire::ir::{Losses, Quirk, Quirks, ReasoningStyle, Target};
use qingwave::wire::translate::translate_request;
use serde_json::{Value, json};

/// Content events of a stream in the workloads that count them.
pub const EVENTS: f64 = 64.0;
/// The ceiling of the models, as the gateway's catalog has it.
pub const OUTPUT_TOKENS_MAX: u64 = 16_384;
const JSON_DEPTH_MAX: usize = 64;

/// How a workload is driven and what is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Closed loop of calls.
    Loop,
    /// Closed loop of stamped slow streams: the delay of each event.
    Paced,
    /// Many streams held open: memory of each.
    Idle,
    /// The loop before and after many streams at once.
    Burst,
}

pub struct Workload {
    pub name: &'static str,
    pub says: &'static str,
    pub kind: Kind,
    pub connections: usize,
    pub stream: bool,
    /// What the client speaks, and what its model's upstream does. Targets that cannot translate are asked in the latter.
    pub client: Protocol,
    pub upstream: Protocol,
    /// The gateway's model, and what it is called upstream.
    pub model: &'static str,
    pub upstream_model: &'static str,
    /// Bytes of the user's text.
    text_bytes: usize,
    /// Bytes of a picture beside it.
    image_bytes: usize,
}

const WHOLE: Workload = Workload {
    name: "whole",
    says: "1 KB calls, whole answers",
    kind: Kind::Loop,
    connections: 32,
    stream: false,
    client: OpenAiChat,
    upstream: OpenAiChat,
    model: "bench-whole",
    upstream_model: "ok--b600",
    text_bytes: 800,
    image_bytes: 0,
};

const STREAM: Workload = Workload {
    name: "stream",
    says: "1 KB calls, streams of 64 events",
    stream: true,
    model: "bench-stream",
    upstream_model: "ok--c64-s16",
    ..WHOLE
};

const IMAGE: Workload =
    Workload { name: "body1m", says: "1 MB bodies, whole answers", connections: 8, image_bytes: 1_000_000, ..WHOLE };

pub static WORKLOADS: [Workload; 19] = [
    WHOLE,
    Workload { name: "body80k", says: "80 KB bodies, whole answers", connections: 16, text_bytes: 80_000, ..WHOLE },
    IMAGE,
    STREAM,
    Workload {
        name: "paced",
        says: "streams of 32 events 5 ms apart: delay from the upstream's write to the client's read",
        kind: Kind::Paced,
        connections: 8,
        stream: true,
        model: "bench-paced",
        upstream_model: "ok--c32-s40-d5-z1",
        ..WHOLE
    },
    Workload {
        name: "idle",
        says: "streams held open after their first event",
        kind: Kind::Idle,
        stream: true,
        model: "bench-idle",
        upstream_model: "ok--c2-s20-d3600000",
        ..WHOLE
    },
    Workload {
        name: "burst",
        says: "1 KB calls before and after many streams at once",
        kind: Kind::Burst,
        model: "bench-burst",
        upstream_model: "ok--c10-s20-d100",
        ..WHOLE
    },
    translated("chat-messages-whole", (OpenAiChat, AnthropicMessages), "bench-messages-whole", WHOLE),
    translated("chat-messages-stream", (OpenAiChat, AnthropicMessages), "bench-messages-stream", STREAM),
    translated("chat-messages-image", (OpenAiChat, AnthropicMessages), "bench-messages-whole", IMAGE),
    translated("chat-responses-whole", (OpenAiChat, OpenAiResponses), "bench-responses-whole", WHOLE),
    translated("chat-responses-stream", (OpenAiChat, OpenAiResponses), "bench-responses-stream", STREAM),
    translated("chat-responses-image", (OpenAiChat, OpenAiResponses), "bench-responses-whole", IMAGE),
    translated("chat-gemini-whole", (OpenAiChat, GeminiGenerate), "bench-gemini-whole", WHOLE),
    translated("chat-gemini-stream", (OpenAiChat, GeminiGenerate), "bench-gemini-stream", STREAM),
    translated("chat-gemini-image", (OpenAiChat, GeminiGenerate), "bench-gemini-whole", IMAGE),
    translated("messages-chat-whole", (AnthropicMessages, OpenAiChat), "bench-whole", WHOLE),
    translated("messages-chat-stream", (AnthropicMessages, OpenAiChat), "bench-stream", STREAM),
    translated("messages-chat-image", (AnthropicMessages, OpenAiChat), "bench-whole", IMAGE),
];

/// The same calls from a client of one protocol to an upstream of another. An upstream's models are the gateway's by name.
const fn translated(
    name: &'static str,
    (client, upstream): (Protocol, Protocol),
    model: &'static str,
    alike: Workload,
) -> Workload {
    Workload { name, client, upstream, model, ..alike }
}

impl Workload {
    /// Whether the gateway translates it.
    pub fn is_translated(&self) -> bool {
        self.client != self.upstream
    }

    /// What the target is asked.
    pub fn ask(&self, is_gateway: bool) -> Ask {
        self.ask_of(is_gateway, self.stream)
    }

    /// The streams of a burst, whose loop is the one of `whole`.
    pub fn ask_burst(&self, is_gateway: bool) -> Ask {
        self.ask_of(is_gateway, true)
    }

    pub fn ask_whole(is_gateway: bool) -> Ask {
        WHOLE.ask(is_gateway)
    }

    fn ask_of(&self, is_gateway: bool, stream: bool) -> Ask {
        if is_gateway {
            let body = self.body(self.model, stream);
            return Ask { protocol: self.client, path: path(self.client, self.model, stream), body, stream };
        }
        let mut body = self.body(self.upstream_model, stream);
        if self.is_translated() {
            body = self.translated(&body, stream);
        }
        Ask { protocol: self.upstream, path: path(self.upstream, self.upstream_model, stream), body, stream }
    }

    /// What the upstream gets of a client's body.
    fn translated(&self, body: &[u8], stream: bool) -> Vec<u8> {
        let target = Target {
            model: self.upstream_model,
            stream,
            output_max: OUTPUT_TOKENS_MAX,
            output_limit: None,
            reasoning: ReasoningStyle::Unknown,
            sampling: true,
            vision: true,
            quirks: Quirks::of(&[Quirk::MaxTokens]),
            account: "bench",
        };
        let body = std::str::from_utf8(body).expect("a body is UTF-8");
        let pair = (self.client, self.upstream);
        let (body, _undo) = translate_request(pair, body, JSON_DEPTH_MAX, &target, &mut Losses::default(), |request| {
            request.stream = stream;
        })
        .expect("the workloads can be said in every protocol");
        body
    }

    fn body(&self, model: &str, stream: bool) -> Vec<u8> {
        const SYSTEM: &str = "You are a helpful assistant.";
        let words = "please tell the gateway what the quick brown fox said to the lazy dog ";
        let text: String = words.chars().cycle().take(self.text_bytes).collect();
        let image: String = "iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4".chars().cycle().take(self.image_bytes).collect();
        let mut body = match self.client {
            OpenAiChat => {
                let url = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{image}")}});
                json!({"model": model, "max_tokens": 1024, "messages": [
                    {"role": "system", "content": SYSTEM}, {"role": "user", "content": content(text, &image, url)}]})
            }
            AnthropicMessages => {
                let source = json!({"type": "base64", "media_type": "image/png", "data": image});
                let source = json!({"type": "image", "source": source});
                json!({"model": model, "max_tokens": 1024, "system": SYSTEM, "messages": [
                    {"role": "user", "content": content(text, &image, source)}]})
            }
            OpenAiResponses | GeminiGenerate => unreachable!("no workload has such a client"),
        };
        if stream {
            body["stream"] = json!(true);
        }
        if stream && self.client == OpenAiChat {
            body["stream_options"] = json!({"include_usage": true});
        }
        body.to_string().into_bytes()
    }
}

/// A text, with an image beside it where there is one.
fn content(text: String, image: &str, block: Value) -> Value {
    if image.is_empty() { json!(text) } else { json!([{"type": "text", "text": text}, block]) }
}

/// A request without what depends on the target: its address and its key.
pub struct Ask {
    pub protocol: Protocol,
    pub path: String,
    pub body: Vec<u8>,
    pub stream: bool,
}

fn path(protocol: Protocol, model: &str, stream: bool) -> String {
    match protocol {
        OpenAiChat => "/v1/chat/completions".to_owned(),
        OpenAiResponses => "/v1/responses".to_owned(),
        AnthropicMessages => "/v1/messages".to_owned(),
        GeminiGenerate if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        GeminiGenerate => format!("/v1beta/models/{model}:generateContent"),
    }
}
