//! One answer through the translator, however its bytes are cut.

use super::decode::{Seen, Shape, decode};
use super::targets::ACCOUNT;
use crate::wire::Protocol;
use crate::wire::facts::Facts;
use crate::wire::feed::Form;
use crate::wire::ir::{Framing, Outcome, Undo, UpstreamError, WriterSetup};
use crate::wire::translate::{Setup, Translator};

/// From which upstream to which client, and in what shapes.
#[derive(Debug, Clone)]
pub struct Way {
    pub upstream: Protocol,
    pub from: Shape,
    pub client: Protocol,
    pub to: Shape,
    pub undo: Undo,
    /// CC clients: `stream_options.include_usage`.
    pub usage_asked: bool,
}

impl Way {
    pub fn new(upstream: Protocol, from: Shape, client: Protocol, to: Shape) -> Way {
        Way { upstream, from, client, to, undo: Undo::default(), usage_asked: true }
    }
}

fn translator(way: &Way) -> Translator {
    let framing = if way.to == Shape::Array { Framing::Array } else { Framing::Sse };
    let writer = WriterSetup {
        call_id: "call-of-a-test".to_owned(),
        created: 1_764_000_000,
        model: "public-model".to_owned(),
        include_usage: way.usage_asked,
        framing,
        ..WriterSetup::default()
    };
    Translator::new(Setup {
        upstream: way.upstream,
        client: way.client,
        stream: way.to != Shape::Whole,
        account: ACCOUNT.to_owned(),
        undo: way.undo.clone(),
        writer,
    })
}

fn form(way: &Way) -> Form {
    match way.from {
        Shape::Stream => Form::Sse,
        Shape::Array => Form::Array,
        Shape::Whole => Form::Whole,
    }
}

/// Translates an answer whose bytes arrive in these pieces, and ends it as the proxy does.
pub fn translate<'p>(way: &Way, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut translator = translator(way);
    translator.begin(form(way));
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
    }
    let outcome = translator.finish(&mut out);
    let error = match outcome {
        Outcome::Complete => None,
        Outcome::Truncated | Outcome::Errored => Some(failure(translator.facts())),
    };
    match (way.to, error) {
        (Shape::Whole, None) => match translator.whole() {
            Some(body) => out.extend(body),
            None => out.extend(error_body(way, &failure(translator.facts()))),
        },
        (Shape::Whole, Some(error)) => out.extend(error_body(way, &error)),
        (Shape::Stream | Shape::Array, None) => {}
        (Shape::Stream | Shape::Array, Some(error)) => translator.fail(&error, &mut out),
    }
    out
}

fn error_body(way: &Way, error: &UpstreamError) -> Vec<u8> {
    (way.client.dialect().write_error)(error, error.status_for(way.client), "req_1")
}

fn failure(facts: &Facts) -> UpstreamError {
    let cut = || UpstreamError { message: "the upstream's answer broke off".to_owned(), ..UpstreamError::default() };
    facts.error.clone().unwrap_or_else(cut)
}

pub fn whole(way: &Way, bytes: &[u8]) -> Vec<u8> {
    translate(way, [bytes])
}

/// A translator that has read it all: for its facts.
pub fn read(way: &Way, bytes: &[u8]) -> Translator {
    read_until(way, bytes, End::Finished)
}

#[derive(Clone, Copy, PartialEq)]
pub enum End {
    Finished,
    /// Nobody asks for the rest.
    HungUp,
}

pub fn read_until(way: &Way, bytes: &[u8], end: End) -> Translator {
    let mut translator = translator(way);
    translator.begin(form(way));
    let mut out = Vec::new();
    translator.push(bytes, &mut out);
    if end == End::Finished {
        translator.finish(&mut out);
    }
    translator
}

/// What the client understands.
pub fn seen(way: &Way, bytes: &[u8]) -> Seen {
    decode(way.client, way.to, &whole(way, bytes), way.usage_asked)
}

/// The shapes that a client of this protocol may ask for.
pub fn shapes(client: Protocol) -> &'static [Shape] {
    match client {
        Protocol::GeminiGenerate => &[Shape::Whole, Shape::Stream, Shape::Array],
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::AnthropicMessages => {
            &[Shape::Whole, Shape::Stream]
        }
    }
}
