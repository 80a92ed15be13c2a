//! Writes an answer as a Message, whole or as stream events. Must never know sockets or the clock.

use super::super::errors::{self, Form};
use super::super::put::{Pieces, pieces, put, put_string, thirds};
use super::super::reply::{Call, Finish, Identity, Reply, Text};
use super::super::script::Writer;
use super::super::seal::Seal;
use super::super::stream::{Building, Events};
use super::{REDACTED, SIGNATURE};

/// The status that an error inside a stream stands for.
const OVERLOADED: u16 = 529;

/// What is written, and for whom.
pub(in super::super) struct Messages<'a> {
    pub identity: &'a Identity,
    pub model: &'a str,
    pub reply: &'a Reply<'a>,
    pub seal: &'a Seal,
    pub pings: bool,
}

impl Writer for Messages<'_> {
    fn whole(&self, usage: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write_opening(&mut out);
        let start = out.len();
        let next = |out: &mut Vec<u8>| out.extend_from_slice(if out.len() > start { b"," } else { b"" });
        if let Some(thought) = &self.reply.reasoning {
            next(&mut out);
            out.extend_from_slice(br#"{"type":"thinking","thinking":"#);
            put_string(&mut out, thought);
            put(&mut out, format_args!(r#","signature":"{}"}}"#, self.signature(thought)));
        }
        if self.reply.redacted {
            next(&mut out);
            self.write_redacted(&mut out);
        }
        if let Some(Text { text, .. }) = self.told() {
            next(&mut out);
            out.extend_from_slice(br#"{"type":"text","text":"#);
            put_string(&mut out, text);
            out.push(b'}');
        }
        for (place, call) in self.reply.calls.iter().enumerate() {
            next(&mut out);
            self.write_call(place, call, &call.arguments, &mut out);
        }
        out.push(b']');
        self.write_stop(&mut out);
        if usage {
            out.extend_from_slice(br#","usage":{"#);
            self.write_input_usage(&mut out);
            self.write_place_usage(&mut out);
            self.write_output_usage(&mut out);
            out.push(b'}');
        }
        out.push(b'}');
        out
    }

    fn events(&self, usage: bool) -> Events {
        let ping: fn(&mut Vec<u8>, usize) = |out, _| out.extend_from_slice(PING);
        let mut stream = Building::new(self.pings.then_some(ping));
        event(&mut stream, "message_start", |out| {
            out.extend_from_slice(br#","message":"#);
            self.write_opening(out);
            out.extend_from_slice(br#"],"stop_reason":null,"stop_sequence":null,"stop_details":null"#);
            if usage {
                out.extend_from_slice(br#","usage":{"#);
                self.write_input_usage(out);
                self.write_place_usage(out);
                out.extend_from_slice(br#","output_tokens":1}"#);
            }
            out.push(b'}');
        });
        let mut index = 0;
        self.thought_events(&mut stream, &mut index);
        if let Some(Text { text, cut }) = self.told() {
            start(&mut stream, index, |out| out.extend_from_slice(br#"{"type":"text","text":""}"#));
            if index == 0 {
                stream.event(false, |out, _| out.extend_from_slice(PING));
            }
            stream.opened();
            for piece in pieces(text, *cut) {
                delta(&mut stream, true, index, r#"{"type":"text_delta","text":"#, piece);
            }
            stop(&mut stream, index);
            index += 1;
        }
        for (place, call) in self.reply.calls.iter().enumerate() {
            start(&mut stream, index, |out| self.write_call(place, call, "{}", out));
            let empty = std::iter::once("");
            for piece in empty.chain(thirds(&call.arguments).into_iter().filter(|_| call.arguments != "{}")) {
                delta(&mut stream, true, index, r#"{"type":"input_json_delta","partial_json":"#, piece);
            }
            stop(&mut stream, index);
            index += 1;
        }
        event(&mut stream, "message_delta", |out| {
            out.extend_from_slice(br#","delta":{"#);
            let from = out.len();
            self.write_stop(out);
            // The members begin with a comma that a whole answer needs.
            out.remove(from);
            out.push(b'}');
            if usage {
                out.extend_from_slice(br#","usage":{"#);
                self.write_input_usage(out);
                self.write_output_usage(out);
                out.push(b'}');
            }
        });
        event(&mut stream, "message_stop", |_| {});
        stream.done()
    }

    fn failure(&self, _place: usize) -> Vec<u8> {
        let body = errors::by_status(Form::Anthropic, OVERLOADED, None, &self.identity.request_id);
        [b"event: error\ndata: ".as_slice(), &body, b"\n\n"].concat()
    }

    fn malformed(&self) -> &'static [u8] {
        b"event: content_block_delta\ndata: {\"broken\":\n\n"
    }
}

const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

fn event(stream: &mut Building, kind: &str, write: impl FnOnce(&mut Vec<u8>)) {
    stream.event(false, |out, _| {
        put(out, format_args!("event: {kind}\ndata: {{\"type\":\"{kind}\""));
        write(out);
        out.extend_from_slice(b"}\n\n");
    });
}

fn start(stream: &mut Building, index: usize, block: impl FnOnce(&mut Vec<u8>)) {
    event(stream, "content_block_start", |out| {
        put(out, format_args!(r#","index":{index},"content_block":"#));
        block(out);
    });
}

fn stop(stream: &mut Building, index: usize) {
    event(stream, "content_block_stop", |out| put(out, format_args!(r#","index":{index}"#)));
}

fn delta(stream: &mut Building, is_content: bool, index: usize, opening: &str, text: &str) {
    stream.event(is_content, |out, _| {
        out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
        put(out, format_args!("{index}"));
        out.extend_from_slice(b",\"delta\":");
        out.extend_from_slice(opening.as_bytes());
        put_string(out, text);
        out.extend_from_slice(b"}}\n\n");
    });
}

impl Messages<'_> {
    fn signature(&self, thought: &str) -> String {
        self.seal.close(SIGNATURE, &self.identity.id, thought)
    }

    /// The text, unless the model refuses: then nothing is said.
    fn told(&self) -> Option<&Text> {
        self.reply.text.as_ref().filter(|_| self.reply.finish != Finish::Refused)
    }

    fn thought_events(&self, stream: &mut Building, index: &mut usize) {
        if let Some(thought) = &self.reply.reasoning {
            start(stream, *index, |out| out.extend_from_slice(br#"{"type":"thinking","thinking":"","signature":""}"#));
            for piece in pieces(thought, Pieces::Words) {
                delta(stream, false, *index, r#"{"type":"thinking_delta","thinking":"#, piece);
            }
            let signature = self.signature(thought);
            delta(stream, false, *index, r#"{"type":"signature_delta","signature":"#, &signature);
            stop(stream, *index);
            *index += 1;
        }
        if self.reply.redacted {
            start(stream, *index, |out| self.write_redacted(out));
            stop(stream, *index);
            *index += 1;
        }
        stream.opened();
    }

    /// The members of a message up to its content.
    fn write_opening(&self, out: &mut Vec<u8>) {
        let id = &self.identity.id;
        put(out, format_args!(r#"{{"id":"msg_{id}","type":"message","role":"assistant","model":"#));
        put_string(out, self.model);
        out.extend_from_slice(br#","content":["#);
    }

    fn write_redacted(&self, out: &mut Vec<u8>) {
        let data = self.seal.close(REDACTED, &self.identity.id, "");
        put(out, format_args!(r#"{{"type":"redacted_thinking","data":"{data}"}}"#));
    }

    fn write_call(&self, place: usize, call: &Call<'_>, input: &str, out: &mut Vec<u8>) {
        let id = &self.identity.id;
        put(out, format_args!(r#"{{"type":"tool_use","id":"toolu_{place}{id}","name":"#));
        put_string(out, &call.name);
        put(out, format_args!(r#","input":{input}}}"#));
    }

    fn write_stop(&self, out: &mut Vec<u8>) {
        let mut stopped_by = None;
        let reason = match &self.reply.finish {
            Finish::Done => "end_turn",
            Finish::Stop(text) => {
                stopped_by = Some(text);
                "stop_sequence"
            }
            Finish::Length => "max_tokens",
            Finish::Calls => "tool_use",
            Finish::Filtered | Finish::Refused => "refusal",
        };
        put(out, format_args!(r#","stop_reason":"{reason}","stop_sequence":"#));
        match stopped_by {
            Some(text) => put_string(out, text),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(match reason {
            "refusal" => br#","stop_details":{"type":"refusal","category":"demo","explanation":"The demo upstream does not talk about this."}"#.as_slice(),
            _ => br#","stop_details":null"#,
        });
    }

    /// The three disjoint numbers of the prompt.
    fn write_input_usage(&self, out: &mut Vec<u8>) {
        let counts = &self.reply.counts;
        let written = counts.cached.written_5m + counts.cached.written_1h;
        let read = counts.cached.read;
        let rest = counts.prompt.saturating_sub(written + read);
        put(
            out,
            format_args!(
                r#""input_tokens":{rest},"cache_creation_input_tokens":{written},"cache_read_input_tokens":{read}"#
            ),
        );
    }

    /// What only the first usage says.
    fn write_place_usage(&self, out: &mut Vec<u8>) {
        let cached = &self.reply.counts.cached;
        put(
            out,
            format_args!(
                r#","cache_creation":{{"ephemeral_5m_input_tokens":{},"ephemeral_1h_input_tokens":{}}},"service_tier":"standard","inference_geo":"global""#,
                cached.written_5m, cached.written_1h
            ),
        );
    }

    fn write_output_usage(&self, out: &mut Vec<u8>) {
        let counts = &self.reply.counts;
        put(out, format_args!(r#","output_tokens":{}"#, counts.completion));
        if counts.reasoning > 0 {
            put(out, format_args!(r#","output_tokens_details":{{"thinking_tokens":{}}}"#, counts.reasoning));
        }
    }
}
