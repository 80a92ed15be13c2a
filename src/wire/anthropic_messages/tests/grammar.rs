//! What every stream for an Anthropic client obeys, whatever was said: the order of its events and their required members.

use serde_json::Value;

/// Panics where a stream breaks the grammar of events. A stream may stop anywhere; only what is there is judged.
#[track_caller]
pub(super) fn check(stream: &str) {
    assert!(stream.is_empty() || stream.ends_with("\n\n"), "the last event is not closed: {stream}");
    let mut checker = Checker::default();
    for (name, data) in super::events_of(stream) {
        let event: Value = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
        assert_eq!(event["type"].as_str(), name.as_deref(), "the event's name is its type: {data}");
        checker.next(&event);
    }
}

#[derive(Default)]
struct Checker {
    started: bool,
    blocks: u64,
    open: Option<Open>,
    delta_seen: bool,
    stopped: bool,
}

struct Open {
    kind: String,
    arguments: String,
    signatures: usize,
    deltas: usize,
}

impl Checker {
    #[track_caller]
    fn next(&mut self, event: &Value) {
        assert!(!self.stopped, "nothing follows the end: {event}");
        let kind = event["type"].as_str().unwrap();
        assert!(self.started || matches!(kind, "message_start" | "error"), "message_start comes first: {event}");
        match kind {
            "message_start" => self.start(event),
            "ping" => {}
            "content_block_start" => self.block_start(event),
            "content_block_delta" => self.block_delta(event),
            "content_block_stop" => self.block_stop(event),
            "message_delta" => self.message_delta(event),
            "message_stop" => {
                assert!(self.delta_seen, "message_delta comes before message_stop");
                self.stopped = true;
            }
            "error" => {
                assert!(event["error"]["type"].is_string() && event["error"]["message"].is_string(), "{event}");
                self.stopped = true;
            }
            other => panic!("no such event: {other}"),
        }
    }

    #[track_caller]
    fn start(&mut self, event: &Value) {
        assert!(!std::mem::replace(&mut self.started, true), "message_start comes once");
        let message = &event["message"];
        assert!(message["id"].as_str().unwrap().starts_with("msg_"), "{message}");
        assert_eq!((&message["type"], &message["role"]), (&"message".into(), &"assistant".into()));
        assert!(message["model"].is_string() && message["content"].as_array().unwrap().is_empty());
        assert!(message["stop_reason"].is_null() && message["stop_sequence"].is_null());
        check_usage(&message["usage"]);
    }

    #[track_caller]
    fn block_start(&mut self, event: &Value) {
        assert!(self.open.is_none() && !self.delta_seen, "blocks come one after the other: {event}");
        assert_eq!(event["index"].as_u64(), Some(self.blocks), "blocks are numbered from 0");
        let block = &event["content_block"];
        let kind = block["type"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "text" => assert_eq!(block["text"], ""),
            "thinking" => assert!(block["thinking"] == "" && block["signature"] == ""),
            "redacted_thinking" => assert!(!block["data"].as_str().unwrap().is_empty()),
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                let id = block["id"].as_str().unwrap();
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                assert!(!id.is_empty() && id.bytes().all(allowed), "{id}");
                assert!(block["name"].is_string() && block["input"].as_object().unwrap().is_empty(), "{block}");
            }
            _ => {}
        }
        self.open = Some(Open { kind, arguments: String::new(), signatures: 0, deltas: 0 });
    }

    #[track_caller]
    fn block_delta(&mut self, event: &Value) {
        let open = self.open.as_mut().expect("a delta belongs to an open block");
        assert_eq!(event["index"].as_u64(), Some(self.blocks));
        let delta = &event["delta"];
        let (kind, first) = (delta["type"].as_str().unwrap(), open.deltas == 0);
        open.deltas += 1;
        assert_eq!(open.signatures, 0, "the signature comes last: {event}");
        match (open.kind.as_str(), kind) {
            ("text", "text_delta") => assert!(!delta["text"].as_str().unwrap().is_empty()),
            ("text", "citations_delta") => assert!(delta["citation"]["type"].is_string()),
            ("thinking", "thinking_delta") => assert!(!delta["thinking"].as_str().unwrap().is_empty()),
            ("thinking", "signature_delta") => {
                assert!(delta["signature"].is_string());
                open.signatures += 1;
            }
            ("tool_use", "input_json_delta") => {
                let piece = delta["partial_json"].as_str().unwrap();
                assert_eq!(piece.is_empty(), first, "the first piece alone is empty");
                open.arguments.push_str(piece);
            }
            ("server_tool_use" | "mcp_tool_use", "input_json_delta") => {
                open.arguments.push_str(delta["partial_json"].as_str().unwrap());
            }
            (block, delta) => panic!("{delta} does not belong to {block}"),
        }
    }

    #[track_caller]
    fn block_stop(&mut self, event: &Value) {
        let open = self.open.take().expect("an open block is closed");
        assert_eq!(event["index"].as_u64(), Some(self.blocks));
        self.blocks += 1;
        match open.kind.as_str() {
            "thinking" => assert_eq!(open.signatures, 1, "thinking has a signature, if an empty one"),
            "text" => assert!(open.deltas > 0, "a text is not empty"),
            "tool_use" => assert!(open.deltas > 0, "a call begins with an empty piece"),
            _ => {}
        }
    }

    #[track_caller]
    fn message_delta(&mut self, event: &Value) {
        assert!(self.open.is_none() && !std::mem::replace(&mut self.delta_seen, true));
        let reasons = [
            "end_turn",
            "max_tokens",
            "stop_sequence",
            "tool_use",
            "pause_turn",
            "refusal",
            "model_context_window_exceeded",
        ];
        assert!(reasons.contains(&event["delta"]["stop_reason"].as_str().unwrap()), "{event}");
        assert!(event["delta"].as_object().unwrap().contains_key("stop_sequence"));
        check_usage(&event["usage"]);
    }
}

#[track_caller]
pub(super) fn check_usage(usage: &Value) {
    for name in ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"] {
        assert!(usage[name].is_u64(), "{name} in {usage}");
    }
}
