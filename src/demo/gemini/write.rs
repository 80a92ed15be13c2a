//! Writes an answer as a GenerateContentResponse, whole or as stream chunks. Must never know sockets or the clock.

use super::super::errors::{self, Form};
use super::super::put::{Pieces, TOKEN_BYTES, pieces, put, put_string};
use super::super::reply::{Call, Finish, Identity, Reply, Text};
use super::super::script::{JSON, Writer};
use super::super::seal::Seal;
use super::super::stream::{Building, Events};
use super::read::is_old;
use super::{CALL_SIGNATURE, TEXT_SIGNATURE};

/// The status that an error inside a stream stands for.
const UNAVAILABLE: u16 = 503;

/// How chunks follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Framing {
    /// Server-sent events, with CRLF between them.
    Events,
    /// One list in pieces.
    List,
}

/// What is written, and for whom.
pub(in super::super) struct Gemini<'a> {
    pub identity: &'a Identity,
    pub model: &'a str,
    pub choices: u32,
    pub reply: &'a Reply<'a>,
    pub seal: &'a Seal,
    pub framing: Framing,
    /// The request asks for thinking; then the last text is signed.
    pub thinks: bool,
}

/// The usage in one chunk: none, or with the output so far.
type Told = Option<u64>;

impl Writer for Gemini<'_> {
    fn whole(&self, usage: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        if self.is_blocked() {
            self.write_blocked(usage, &mut out);
            return out;
        }
        out.extend_from_slice(br#"{"candidates":["#);
        for choice in 0..self.choices {
            out.extend_from_slice(if choice > 0 { b"," } else { b"" });
            out.extend_from_slice(br#"{"content":{"parts":["#);
            let start = out.len();
            let next = |out: &mut Vec<u8>| out.extend_from_slice(if out.len() > start { b"," } else { b"" });
            if let Some(thought) = self.reply.reasoning.as_deref().filter(|thought| !thought.is_empty()) {
                self.write_text(thought, true, None, &mut out);
            }
            if let Some(Text { text, .. }) = &self.reply.text {
                next(&mut out);
                self.write_text(text, false, self.text_signature().as_deref(), &mut out);
            }
            for (place, call) in self.reply.calls.iter().enumerate() {
                next(&mut out);
                self.write_call(place, call, &mut out);
            }
            let finish = self.finish();
            put(&mut out, format_args!(r#"],"role":"model"}},"finishReason":"{finish}","index":{choice}}}"#));
        }
        out.push(b']');
        self.write_tail(usage.then_some(self.reply.counts.completion), &mut out);
        out
    }

    fn events(&self, usage: bool) -> Events {
        // This vendor sends no pings, and its clients bear none.
        let mut chunks = Chunks { building: Building::new(None), framing: self.framing, told: usage.then_some(0) };
        if self.is_blocked() {
            chunks.chunk(false, |out, told| self.write_blocked(told.is_some(), out));
            chunks.building.opened();
            return chunks.done();
        }
        let thought = self.reply.reasoning.as_deref().unwrap_or_default();
        for piece in pieces(thought, Pieces::Words) {
            self.each_choice(&mut chunks, false, piece.len(), None, |out| self.write_text(piece, true, None, out));
        }
        chunks.building.opened();
        if let Some(Text { text, cut }) = &self.reply.text {
            for piece in pieces(text, *cut) {
                self.each_choice(&mut chunks, true, piece.len(), None, |out| self.write_text(piece, false, None, out));
            }
        }
        for (place, call) in self.reply.calls.iter().enumerate() {
            let bytes = call.name.len() + call.arguments.len();
            self.each_choice(&mut chunks, true, bytes, None, |out| self.write_call(place, call, out));
        }
        let signature = self.text_signature();
        chunks.told = usage.then_some(self.reply.counts.completion * TOKEN_BYTES as u64);
        self.each_choice(&mut chunks, false, 0, Some(self.finish()), |out| {
            self.write_text("", false, signature.as_deref(), out);
        });
        chunks.done()
    }

    fn failure(&self, place: usize) -> Vec<u8> {
        let error = errors::by_status(Form::Google, UNAVAILABLE, None, "");
        let mut out = Vec::new();
        self.framing.open(place, &mut out);
        out.extend_from_slice(&error);
        self.framing.close(&mut out);
        if self.framing == Framing::List {
            out.push(b']');
        }
        out
    }

    fn stream_type(&self) -> &'static str {
        match self.framing {
            Framing::Events => "text/event-stream",
            Framing::List => JSON,
        }
    }

    fn malformed(&self) -> &'static [u8] {
        match self.framing {
            Framing::Events => b"data: {\"broken\":\r\n\r\n",
            Framing::List => b",\r\n{\"broken\":\r\n",
        }
    }
}

impl Framing {
    fn open(self, place: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self, place) {
            (Framing::Events, _) => b"data: ".as_slice(),
            (Framing::List, 0) => b"[",
            (Framing::List, _) => b",\r\n",
        });
    }

    fn close(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Framing::Events => b"\r\n\r\n",
            Framing::List => b"\r\n",
        });
    }
}

/// Chunks in the making.
struct Chunks {
    building: Building,
    framing: Framing,
    /// Bytes of output so far, when usage is told.
    told: Told,
}

impl Chunks {
    fn chunk(&mut self, is_content: bool, write: impl FnOnce(&mut Vec<u8>, Told)) {
        let (framing, told) = (self.framing, self.told.map(|bytes| bytes.div_ceil(TOKEN_BYTES as u64)));
        self.building.event(is_content, |out, place| {
            framing.open(place, out);
            write(out, told);
            framing.close(out);
        });
    }

    fn done(mut self) -> Events {
        if self.framing == Framing::List {
            self.building.event(false, |out, _| out.push(b']'));
        }
        self.building.done()
    }
}

impl Gemini<'_> {
    fn finish(&self) -> &'static str {
        match self.reply.finish {
            Finish::Done | Finish::Stop(_) | Finish::Calls => "STOP",
            Finish::Length => "MAX_TOKENS",
            Finish::Filtered | Finish::Refused => "SAFETY",
        }
    }

    /// The prompt was refused, so that there is no candidate at all.
    fn is_blocked(&self) -> bool {
        self.reply.finish == Finish::Refused
    }

    /// One part as a chunk of every choice.
    fn each_choice(
        &self,
        chunks: &mut Chunks,
        is_content: bool,
        bytes: usize,
        finish: Option<&str>,
        part: impl Fn(&mut Vec<u8>),
    ) {
        for choice in 0..self.choices {
            if let Some(told) = &mut chunks.told {
                *told += bytes as u64;
            }
            chunks.chunk(is_content, |out, told| {
                out.extend_from_slice(br#"{"candidates":[{"content":{"parts":["#);
                part(out);
                out.extend_from_slice(br#"],"role":"model"}"#);
                if let Some(finish) = finish {
                    put(out, format_args!(r#","finishReason":"{finish}""#));
                }
                put(out, format_args!(r#","index":{choice}}}]"#));
                self.write_tail(told, out);
            });
        }
    }

    /// The members after the candidates, and the end of the object.
    fn write_tail(&self, told: Told, out: &mut Vec<u8>) {
        if let Some(output) = told {
            self.write_usage(output, out);
        }
        out.extend_from_slice(br#","modelVersion":"#);
        put_string(out, self.model);
        put(out, format_args!(r#","responseId":"{}"}}"#, self.identity.id));
    }

    fn write_blocked(&self, usage: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}"#);
        self.write_tail(usage.then_some(0), out);
    }

    fn write_text(&self, text: &str, thought: bool, signature: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"text":"#);
        put_string(out, text);
        if thought {
            out.extend_from_slice(br#","thought":true"#);
        }
        if let Some(signature) = signature {
            put(out, format_args!(r#","thoughtSignature":"{signature}""#));
        }
        out.push(b'}');
    }

    /// The signature of an answer in words, which only a thinking model gives.
    fn text_signature(&self) -> Option<String> {
        (self.thinks && self.reply.calls.is_empty()).then(|| self.seal.close(TEXT_SIGNATURE, &self.identity.id, ""))
    }

    /// A call; the first of a step is signed.
    fn write_call(&self, place: usize, call: &Call<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"functionCall":{"#);
        if !is_old(self.model) {
            put(out, format_args!(r#""id":"{}{place}","#, &self.identity.id[..8]));
        }
        out.extend_from_slice(br#""name":"#);
        put_string(out, &call.name);
        put(out, format_args!(r#","args":{}}}"#, call.arguments));
        if place == 0 && (self.thinks || !is_old(self.model)) {
            let signature = self.seal.close(CALL_SIGNATURE, &self.identity.id, &call.name);
            put(out, format_args!(r#","thoughtSignature":"{signature}""#));
        }
        out.push(b'}');
    }

    /// `output` counts what was said so far, thoughts included.
    fn write_usage(&self, output: u64, out: &mut Vec<u8>) {
        let counts = &self.reply.counts;
        let (prompt, cached) = (counts.prompt, counts.cached.read);
        let thoughts = counts.reasoning.min(output);
        put(out, format_args!(r#","usageMetadata":{{"promptTokenCount":{prompt}"#));
        if output > thoughts {
            put(out, format_args!(r#","candidatesTokenCount":{}"#, output - thoughts));
        }
        put(out, format_args!(r#","totalTokenCount":{}"#, prompt + output));
        if cached > 0 {
            put(
                out,
                format_args!(
                    r#","cachedContentTokenCount":{cached},"cacheTokensDetails":[{{"modality":"TEXT","tokenCount":{cached}}}]"#
                ),
            );
        }
        put(out, format_args!(r#","promptTokensDetails":[{{"modality":"TEXT","tokenCount":{prompt}}}]"#));
        if thoughts > 0 {
            put(out, format_args!(r#","thoughtsTokenCount":{thoughts}"#));
        }
        out.push(b'}');
    }
}
