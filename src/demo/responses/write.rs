//! Writes an answer as a Response, whole or as stream events. Must never know sockets or the clock.

use super::super::errors;
use super::super::put::{Pieces, pieces, put, put_string, thirds};
use super::super::reply::{Call, Finish, Identity, Reply, Text};
use super::super::script::Writer;
use super::super::seal::Seal;
use super::super::stream::{Building, Events};
use super::super::tree::Node;
use super::ENCRYPTED;

/// The fields of a request that come back in its answer, and what stands for one that was not given.
const ECHOED: &[(&str, &str)] = &[
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
    ("metadata", "{}"),
];

/// What is written, and for whom.
pub(in super::super) struct Responses<'a> {
    identity: &'a Identity,
    model: &'a str,
    reply: &'a Reply<'a>,
    seal: &'a Seal,
    pings: bool,
    /// The members of every response that the request decides.
    echo: Vec<u8>,
    /// Reasoning comes with its encrypted content.
    encrypts: bool,
    obfuscates: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    InProgress,
    Ended,
    Failed,
}

impl Writer for Responses<'_> {
    fn whole(&self, usage: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        self.write_response(Status::Ended, usage, &mut out);
        out
    }

    fn events(&self, usage: bool) -> Events {
        let ping: fn(&mut Vec<u8>, usize) = |out, place| open("keepalive", out, place, |_| {});
        let mut stream = Building::new(self.pings.then_some(ping));
        for kind in ["response.created", "response.in_progress"] {
            event(&mut stream, kind, |out| {
                out.extend_from_slice(br#","response":"#);
                self.write_response(Status::InProgress, false, out);
            });
        }
        let mut index = 0;
        if let Some(thought) = &self.reply.reasoning {
            self.thought_events(&mut stream, thought);
            index += 1;
        }
        stream.opened();
        if let Some(text) = &self.reply.text {
            self.text_events(&mut stream, index, text);
            index += 1;
        }
        for (place, call) in self.reply.calls.iter().enumerate() {
            self.call_events(&mut stream, index, place, call);
            index += 1;
        }
        let kind = match self.incomplete() {
            Some(_) => "response.incomplete",
            None => "response.completed",
        };
        event(&mut stream, kind, |out| {
            out.extend_from_slice(br#","response":"#);
            self.write_response(Status::Ended, usage, out);
        });
        stream.done()
    }

    fn failure(&self, place: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let message = errors::message(500);
        open("error", &mut out, place, |out| {
            put(out, format_args!(r#","code":"server_error","message":"{message}","param":null"#));
        });
        open("response.failed", &mut out, place + 1, |out| {
            out.extend_from_slice(br#","response":"#);
            self.write_response(Status::Failed, false, out);
        });
        out
    }

    fn malformed(&self) -> &'static [u8] {
        b"event: response.output_text.delta\ndata: {\"broken\":\n\n"
    }
}

/// Writes one event with its number.
fn open(kind: &str, out: &mut Vec<u8>, place: usize, write: impl FnOnce(&mut Vec<u8>)) {
    put(out, format_args!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{place}"));
    write(out);
    out.extend_from_slice(b"}\n\n");
}

fn event(stream: &mut Building, kind: &str, write: impl FnOnce(&mut Vec<u8>)) {
    stream.event(false, |out, place| open(kind, out, place, write));
}

impl<'a> Responses<'a> {
    pub fn new(
        identity: &'a Identity,
        model: &'a str,
        reply: &'a Reply<'a>,
        seal: &'a Seal,
        tree: &Node<'_>,
        pings: bool,
    ) -> Responses<'a> {
        let mut echo = Vec::with_capacity(512);
        for (name, default) in ECHOED {
            put(&mut echo, format_args!(r#","{name}":"#));
            match tree.get(name) {
                Some(given) => given.write(&mut echo),
                None => echo.extend_from_slice(default.as_bytes()),
            }
        }
        let encrypts = tree.list_of("include").iter().any(|word| word.text() == Some("reasoning.encrypted_content"));
        let options = tree.get("stream_options").and_then(|options| options.flag_of("include_obfuscation"));
        Responses { identity, model, reply, seal, pings, echo, encrypts, obfuscates: options.unwrap_or(true) }
    }

    /// The ids by which the calls of this answer are answered.
    pub fn call_ids(&self) -> Vec<String> {
        (0..self.reply.calls.len()).map(|place| format!("call_{place}{}", self.identity.id)).collect()
    }

    /// Why the answer ended before its end.
    fn incomplete(&self) -> Option<&'static str> {
        match self.reply.finish {
            Finish::Length => Some("max_output_tokens"),
            Finish::Filtered => Some("content_filter"),
            Finish::Done | Finish::Stop(_) | Finish::Calls | Finish::Refused => None,
        }
    }

    fn write_response(&self, status: Status, usage: bool, out: &mut Vec<u8>) {
        let Identity { id, created, .. } = self.identity;
        let reason = self.incomplete().filter(|_| status == Status::Ended);
        let word = match status {
            Status::InProgress => "in_progress",
            Status::Failed => "failed",
            Status::Ended if reason.is_some() => "incomplete",
            Status::Ended => "completed",
        };
        put(
            out,
            format_args!(
                r#"{{"id":"resp_{id}","object":"response","created_at":{created},"status":"{word}","background":false"#
            ),
        );
        match status {
            Status::Ended if reason.is_none() => put(out, format_args!(r#","completed_at":{created}"#)),
            _ => out.extend_from_slice(br#","completed_at":null"#),
        }
        match status {
            Status::Failed => {
                let message = errors::message(500);
                put(out, format_args!(r#","error":{{"code":"server_error","message":"{message}"}}"#));
            }
            Status::InProgress | Status::Ended => out.extend_from_slice(br#","error":null"#),
        }
        match reason {
            Some(reason) => put(out, format_args!(r#","incomplete_details":{{"reason":"{reason}"}}"#)),
            None => out.extend_from_slice(br#","incomplete_details":null"#),
        }
        out.extend_from_slice(br#","model":"#);
        put_string(out, self.model);
        out.extend_from_slice(br#","service_tier":"default""#);
        out.extend_from_slice(&self.echo);
        out.extend_from_slice(br#","output":["#);
        if status == Status::Ended {
            self.write_output(out);
        }
        out.push(b']');
        if usage {
            self.write_usage(out);
        } else {
            out.extend_from_slice(br#","usage":null"#);
        }
        out.push(b'}');
    }

    fn write_output(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let next = |out: &mut Vec<u8>| out.extend_from_slice(if out.len() > start { b"," } else { b"" });
        if let Some(thought) = &self.reply.reasoning {
            self.write_reasoning(Some(thought), out);
        }
        if let Some(Text { text, .. }) = &self.reply.text {
            next(out);
            self.write_message(Some(text), out);
        }
        for (place, call) in self.reply.calls.iter().enumerate() {
            next(out);
            self.write_call(place, call, Some(&call.arguments), out);
        }
    }

    /// A reasoning item; before its end without a word.
    fn write_reasoning(&self, thought: Option<&str>, out: &mut Vec<u8>) {
        let id = &self.identity.id;
        put(out, format_args!(r#"{{"id":"rs_{id}","type":"reasoning","summary":["#));
        if let Some(thought) = thought.filter(|thought| !thought.is_empty()) {
            self.write_summary(thought, out);
        }
        out.push(b']');
        if self.encrypts {
            let sealed = self.seal.close(ENCRYPTED, &format!("rs_{id}"), "");
            put(out, format_args!(r#","encrypted_content":"{sealed}""#));
        }
        out.push(b'}');
    }

    fn write_summary(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"type":"summary_text","text":"#);
        put_string(out, text);
        out.push(b'}');
    }

    /// A message item; before its end without its part.
    fn write_message(&self, text: Option<&str>, out: &mut Vec<u8>) {
        let id = &self.identity.id;
        let status = match (text, self.incomplete()) {
            (None, _) => "in_progress",
            (Some(_), Some(_)) => "incomplete",
            (Some(_), None) => "completed",
        };
        put(
            out,
            format_args!(r#"{{"id":"msg_{id}","type":"message","status":"{status}","role":"assistant","content":["#),
        );
        if let Some(text) = text {
            self.write_part(text, out);
        }
        out.extend_from_slice(b"]}");
    }

    fn write_part(&self, text: &str, out: &mut Vec<u8>) {
        if self.reply.finish == Finish::Refused {
            out.extend_from_slice(br#"{"type":"refusal","refusal":"#);
        } else {
            out.extend_from_slice(br#"{"type":"output_text","annotations":[],"logprobs":[],"text":"#);
        }
        put_string(out, text);
        out.push(b'}');
    }

    /// A call item; before its end without its arguments.
    fn write_call(&self, place: usize, call: &Call<'_>, arguments: Option<&str>, out: &mut Vec<u8>) {
        let (start, kind, field) = kind_of(call);
        let status = if arguments.is_some() { "completed" } else { "in_progress" };
        let id = &self.identity.id;
        put(
            out,
            format_args!(
                r#"{{"id":"{start}_{place}{id}","type":"{kind}","status":"{status}","call_id":"call_{place}{id}","name":"#
            ),
        );
        put_string(out, &call.name);
        if let Some(namespace) = &call.namespace {
            out.extend_from_slice(br#","namespace":"#);
            put_string(out, namespace);
        }
        put(out, format_args!(r#","{field}":"#));
        put_string(out, arguments.unwrap_or_default());
        out.push(b'}');
    }

    fn thought_events(&self, stream: &mut Building, thought: &str) {
        let id = &self.identity.id;
        event(stream, "response.output_item.added", |out| {
            out.extend_from_slice(br#","output_index":0,"item":"#);
            self.write_reasoning(None, out);
        });
        if !thought.is_empty() {
            let at = format!(r#","item_id":"rs_{id}","output_index":0,"summary_index":0"#);
            event(stream, "response.reasoning_summary_part.added", |out| {
                put(out, format_args!(r#"{at},"part":{{"type":"summary_text","text":""}}"#));
            });
            for piece in pieces(thought, Pieces::Words) {
                event(stream, "response.reasoning_summary_text.delta", |out| {
                    put(out, format_args!(r#"{at},"delta":"#));
                    put_string(out, piece);
                    self.write_padding(out);
                });
            }
            event(stream, "response.reasoning_summary_text.done", |out| {
                put(out, format_args!(r#"{at},"text":"#));
                put_string(out, thought);
            });
            event(stream, "response.reasoning_summary_part.done", |out| {
                put(out, format_args!(r#"{at},"part":"#));
                self.write_summary(thought, out);
            });
        }
        event(stream, "response.output_item.done", |out| {
            out.extend_from_slice(br#","output_index":0,"item":"#);
            self.write_reasoning(Some(thought), out);
        });
    }

    fn text_events(&self, stream: &mut Building, index: usize, text: &Text) {
        let id = &self.identity.id;
        let refused = self.reply.finish == Finish::Refused;
        let (delta, done, field) = match refused {
            true => ("response.refusal.delta", "response.refusal.done", "refusal"),
            false => ("response.output_text.delta", "response.output_text.done", "text"),
        };
        let at = format!(r#","item_id":"msg_{id}","output_index":{index},"content_index":0"#);
        let logprobs = if refused { "" } else { r#","logprobs":[]"# };
        event(stream, "response.output_item.added", |out| {
            put(out, format_args!(r#","output_index":{index},"item":"#));
            self.write_message(None, out);
        });
        event(stream, "response.content_part.added", |out| {
            put(out, format_args!(r#"{at},"part":"#));
            self.write_part("", out);
        });
        stream.opened();
        for piece in pieces(&text.text, text.cut) {
            stream.event(true, |out, place| {
                open(delta, out, place, |out| {
                    out.extend_from_slice(at.as_bytes());
                    out.extend_from_slice(br#","delta":"#);
                    put_string(out, piece);
                    out.extend_from_slice(logprobs.as_bytes());
                    self.write_padding(out);
                });
            });
        }
        event(stream, done, |out| {
            put(out, format_args!(r#"{at},"{field}":"#));
            put_string(out, &text.text);
            out.extend_from_slice(logprobs.as_bytes());
        });
        event(stream, "response.content_part.done", |out| {
            put(out, format_args!(r#"{at},"part":"#));
            self.write_part(&text.text, out);
        });
        event(stream, "response.output_item.done", |out| {
            put(out, format_args!(r#","output_index":{index},"item":"#));
            self.write_message(Some(&text.text), out);
        });
    }

    fn call_events(&self, stream: &mut Building, index: usize, place: usize, call: &Call<'_>) {
        let (start, _, field) = kind_of(call);
        let family = if call.custom { "custom_tool_call_input" } else { "function_call_arguments" };
        let at = format!(r#","item_id":"{start}_{place}{}","output_index":{index}"#, self.identity.id);
        event(stream, "response.output_item.added", |out| {
            put(out, format_args!(r#","output_index":{index},"item":"#));
            self.write_call(place, call, None, out);
        });
        let delta = format!("response.{family}.delta");
        for piece in thirds(&call.arguments) {
            stream.event(true, |out, place| {
                open(&delta, out, place, |out| {
                    put(out, format_args!(r#"{at},"delta":"#));
                    put_string(out, piece);
                    self.write_padding(out);
                });
            });
        }
        event(stream, &format!("response.{family}.done"), |out| {
            put(out, format_args!(r#"{at},"{field}":"#));
            put_string(out, &call.arguments);
        });
        event(stream, "response.output_item.done", |out| {
            put(out, format_args!(r#","output_index":{index},"item":"#));
            self.write_call(place, call, Some(&call.arguments), out);
        });
    }

    /// Padding against those who count bytes; it means nothing.
    fn write_padding(&self, out: &mut Vec<u8>) {
        if self.obfuscates {
            out.extend_from_slice(br#","obfuscation":"demo0padding""#);
        }
    }

    fn write_usage(&self, out: &mut Vec<u8>) {
        let counts = &self.reply.counts;
        put(
            out,
            format_args!(
                r#","usage":{{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0}},"output_tokens":{},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}}"#,
                counts.prompt,
                counts.cached.read,
                counts.completion,
                counts.reasoning,
                counts.total()
            ),
        );
    }
}

/// The start of an item's id, its type and the field with the arguments.
fn kind_of(call: &Call<'_>) -> (&'static str, &'static str, &'static str) {
    if call.custom { ("ctc", "custom_tool_call", "input") } else { ("fc", "function_call", "arguments") }
}
