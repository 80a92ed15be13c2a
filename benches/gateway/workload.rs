//! What is asked in each workload: request bodies, and the upstream's manners by model name.

use serde_json::json;

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
    model: "bench-whole",
    upstream_model: "ok--b600",
    text_bytes: 800,
    image_bytes: 0,
};

pub const WORKLOADS: [Workload; 7] = [
    WHOLE,
    Workload { name: "body80k", says: "80 KB bodies, whole answers", connections: 16, text_bytes: 80_000, ..WHOLE },
    Workload { name: "body1m", says: "1 MB bodies, whole answers", connections: 8, image_bytes: 1_000_000, ..WHOLE },
    Workload {
        name: "stream",
        says: "1 KB calls, streams of 64 events",
        stream: true,
        model: "bench-stream",
        upstream_model: "ok--c64-s16",
        ..WHOLE
    },
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
];

impl Workload {
    pub fn body(&self, is_gateway: bool) -> Vec<u8> {
        body(if is_gateway { self.model } else { self.upstream_model }, self.text_bytes, self.image_bytes, self.stream)
    }

    /// The body of the streams of a burst, whose loop is the one of `whole`.
    pub fn burst_body(&self, is_gateway: bool) -> Vec<u8> {
        body(if is_gateway { self.model } else { self.upstream_model }, self.text_bytes, 0, true)
    }

    pub fn loop_body(is_gateway: bool) -> Vec<u8> {
        WHOLE.body(is_gateway)
    }
}

fn body(model: &str, text_bytes: usize, image_bytes: usize, stream: bool) -> Vec<u8> {
    let words = "please tell the gateway what the quick brown fox said to the lazy dog ";
    let text: String = words.chars().cycle().take(text_bytes).collect();
    let content = if image_bytes == 0 {
        json!(text)
    } else {
        let data: String = "iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4".chars().cycle().take(image_bytes).collect();
        let url = format!("data:image/png;base64,{data}");
        json!([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}])
    };
    let messages =
        json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": content}]);
    let mut body = json!({"model": model, "messages": messages, "max_tokens": 1024});
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string().into_bytes()
}
