//! Writes an answer as a Chat Completion, whole or as stream events. Must never know sockets or the clock.

use super::super::errors::{self, Form};
use super::super::put::{pieces, put, put_string, thirds};
use super::super::reply::{Call, Finish, Identity, Reply, Text};
use super::super::script::Writer;
use super::super::stream::{Building, Events};

/// What is written, and for whom.
pub(in super::super) struct Chat<'a> {
    pub identity: &'a Identity,
    pub model: &'a str,
    pub choices: u32,
    pub reply: &'a Reply<'a>,
    pub pings: bool,
}

impl Writer for Chat<'_> {
    fn whole(&self, usage: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write_opening("chat.completion", &mut out);
        for index in 0..self.choices {
            let comma = if index > 0 { "," } else { "" };
            put(&mut out, format_args!(r#"{comma}{{"index":{index},"message":{{"role":"assistant","content":"#));
            self.write_message(index, &mut out);
            let finish = self.finish();
            put(&mut out, format_args!(r#","annotations":[]}},"logprobs":null,"finish_reason":"{finish}"}}"#));
        }
        out.push(b']');
        if usage {
            self.write_usage(&mut out);
        }
        out.push(b'}');
        out
    }

    /// The events of a stream up to `[DONE]`; a usage event only with `usage`.
    fn events(&self, usage: bool) -> Events {
        let mut head = b"data: ".to_vec();
        self.write_opening("chat.completion.chunk", &mut head);
        let tail: &[u8] = if usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        let ping: fn(&mut Vec<u8>, usize) = |out, _| out.extend_from_slice(b": keepalive\n\n");
        let mut stream = Chunks { head, tail, building: Building::new(self.pings.then_some(ping)) };
        let role = match self.reply.text {
            Some(_) => r#"{"role":"assistant","content":"","refusal":null}"#,
            None => r#"{"role":"assistant","content":null,"refusal":null}"#,
        };
        self.each_choice(&mut stream, false, None, |out, _| out.extend_from_slice(role.as_bytes()));
        for piece in self.reply.reasoning.iter().flat_map(|text| pieces(text, super::super::put::Pieces::Words)) {
            self.write_piece(&mut stream, false, "reasoning_content", piece);
        }
        stream.building.opened();
        if let Some(Text { text, cut }) = &self.reply.text {
            let field = if self.reply.finish == Finish::Refused { "refusal" } else { "content" };
            for piece in pieces(text, *cut) {
                self.write_piece(&mut stream, true, field, piece);
            }
        }
        for (place, call) in self.reply.calls.iter().enumerate() {
            self.call_events(&mut stream, place, call);
        }
        self.each_choice(&mut stream, false, Some(self.finish()), |out, _| out.extend_from_slice(b"{}"));
        let Chunks { head, mut building, .. } = stream;
        if usage {
            building.event(false, |out, _| {
                out.extend_from_slice(&head);
                out.push(b']');
                self.write_usage(out);
                out.extend_from_slice(b"}\n\n");
            });
        }
        building.event(false, |out, _| out.extend_from_slice(b"data: [DONE]\n\n"));
        building.done()
    }

    fn failure(&self, _place: usize) -> Vec<u8> {
        [b"data: ".as_slice(), &errors::by_status(Form::OpenAi, 500, None, ""), b"\n\n"].concat()
    }
}

impl Chat<'_> {
    fn finish(&self) -> &'static str {
        match self.reply.finish {
            Finish::Done | Finish::Stop(_) | Finish::Refused => "stop",
            Finish::Length => "length",
            Finish::Calls => "tool_calls",
            Finish::Filtered => "content_filter",
        }
    }

    /// The members of a whole message after `"content":`, up to the refusal.
    fn write_message(&self, choice: u32, out: &mut Vec<u8>) {
        let Reply { text, calls, reasoning, finish, .. } = self.reply;
        let text = text.as_ref().map(|text| text.text.as_str());
        let (content, refusal) = if *finish == Finish::Refused { (None, text) } else { (text, None) };
        write_text_or_null(content, out);
        if let Some(reasoning) = reasoning {
            out.extend_from_slice(br#","reasoning_content":"#);
            put_string(out, reasoning);
        }
        for (place, call) in calls.iter().enumerate() {
            out.extend_from_slice(if place == 0 { br#","tool_calls":["# } else { b"," });
            self.write_call(choice, place, call, None, out);
        }
        out.extend_from_slice(if calls.is_empty() { br#","refusal":"# } else { br#"],"refusal":"# });
        write_text_or_null(refusal, out);
    }

    fn write_piece(&self, stream: &mut Chunks, is_content: bool, field: &str, piece: &str) {
        self.each_choice(stream, is_content, None, |out, _| {
            out.extend_from_slice(b"{\"");
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"\":");
            put_string(out, piece);
            out.push(b'}');
        });
    }

    fn call_events(&self, stream: &mut Chunks, place: usize, call: &Call<'_>) {
        self.each_choice(stream, true, None, |out, choice| {
            out.extend_from_slice(br#"{"tool_calls":["#);
            self.write_call(choice, place, call, Some(""), out);
            out.extend_from_slice(b"]}");
        });
        let (kind, field) = kind_of(call);
        for piece in thirds(&call.arguments) {
            self.each_choice(stream, true, None, |out, _| {
                put(out, format_args!(r#"{{"tool_calls":[{{"index":{place},"{kind}":{{"{field}":"#));
                put_string(out, piece);
                out.extend_from_slice(b"}}]}");
            });
        }
    }

    /// The same event for every choice, the deltas interleaved.
    fn each_choice(
        &self,
        stream: &mut Chunks,
        is_content: bool,
        finish: Option<&str>,
        delta: impl Fn(&mut Vec<u8>, u32),
    ) {
        let Chunks { head, tail, building } = stream;
        for index in 0..self.choices {
            building.event(is_content, |out, _| {
                out.extend_from_slice(head);
                put(out, format_args!(r#"{{"index":{index},"delta":"#));
                delta(out, index);
                match finish {
                    None => out.extend_from_slice(br#","logprobs":null,"finish_reason":null}"#),
                    Some(finish) => put(out, format_args!(r#","logprobs":null,"finish_reason":"{finish}"}}"#)),
                }
                out.extend_from_slice(tail);
            });
        }
    }

    fn write_opening(&self, object: &str, out: &mut Vec<u8>) {
        let Identity { id, created, .. } = self.identity;
        put(out, format_args!(r#"{{"id":"chatcmpl-{id}","object":"{object}","created":{created},"model":"#));
        put_string(out, self.model);
        out.extend_from_slice(br#","service_tier":"default","system_fingerprint":"fp_demo","choices":["#);
    }

    /// A tool call; `arguments` replaces its own, as the first event of a streamed call does.
    fn write_call(&self, choice: u32, place: usize, call: &Call<'_>, arguments: Option<&str>, out: &mut Vec<u8>) {
        let (kind, field) = kind_of(call);
        let id = &self.identity.id;
        out.push(b'{');
        if arguments.is_some() {
            put(out, format_args!(r#""index":{place},"#));
        }
        put(out, format_args!(r#""id":"call_{choice}{id}"#));
        if place > 0 {
            put(out, format_args!("{place}"));
        }
        put(out, format_args!(r#"","type":"{kind}","{kind}":{{"name":"#));
        put_string(out, &call.name);
        put(out, format_args!(r#","{field}":"#));
        put_string(out, arguments.unwrap_or(&call.arguments));
        out.extend_from_slice(b"}}");
    }

    fn write_usage(&self, out: &mut Vec<u8>) {
        let counts = &self.reply.counts;
        put(
            out,
            format_args!(
                r#","usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
                counts.prompt,
                counts.completion,
                counts.total(),
                counts.cached.read,
                counts.reasoning
            ),
        );
    }
}

/// Chunks in the making: all share a head and a tail.
struct Chunks {
    head: Vec<u8>,
    tail: &'static [u8],
    building: Building,
}

fn write_text_or_null(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// A call's `type`, and the field with its arguments.
fn kind_of(call: &Call<'_>) -> (&'static str, &'static str) {
    if call.custom { ("custom", "input") } else { ("function", "arguments") }
}
