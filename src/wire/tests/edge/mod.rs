//! The forty cases that break gateways, each by its number in the list of wire protocols' edge cases.

mod bytes;
mod calls;
mod errors;
mod odd;
mod state;
mod usage;

use super::decode::{Seen, Shape, decode};
use super::drive::{Way, seen, shapes, translate, whole};
use super::fixtures;
use crate::wire::Protocol;

const ALL: [Protocol; 4] = Protocol::ALL;

/// Every way from an upstream's stream to the other protocols' clients.
fn ways(upstream: Protocol, from: Shape) -> Vec<Way> {
    let clients = ALL.into_iter().filter(|client| *client != upstream);
    clients.flat_map(|client| shapes(client).iter().map(move |to| Way::new(upstream, from, client, *to))).collect()
}

/// What every other protocol's client understands of an answer.
fn each(upstream: Protocol, from: Shape, bytes: &[u8], check: impl Fn(&Way, &Seen)) {
    for way in ways(upstream, from) {
        let seen = seen(&way, bytes);
        assert!(seen.wrong.is_empty(), "{way:?}: {:#?}", seen.wrong);
        check(&way, &seen);
    }
}

/// The same of one of our own answers.
fn each_of(upstream: Protocol, name: &str, check: impl Fn(&Way, &Seen)) {
    let case = fixtures::answer(upstream, name);
    each(upstream, case.shape, &case.response, check);
}

/// An own stream.
fn stream(upstream: Protocol, name: &str) -> Vec<u8> {
    fixtures::answer(upstream, &format!("{name}.sse")).response
}

/// The changed bytes come out as the unchanged ones do, to every client.
fn same_as(upstream: Protocol, plain: &[u8], changed: &[u8]) {
    for way in ways(upstream, Shape::Stream) {
        let (plain, changed) = (whole(&way, plain), whole(&way, changed));
        assert_eq!(without_keepalives(&changed), without_keepalives(&plain), "{way:?}");
    }
}

fn without_keepalives(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.replace("event: ping\ndata: {\"type\":\"ping\"}\n\n", "").replace(": ping\n", "")
}

/// Text streams of all four.
fn texts() -> Vec<(Protocol, Vec<u8>)> {
    ALL.into_iter().map(|upstream| (upstream, stream(upstream, "text"))).collect()
}

fn edit(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{from:?} is not there");
    text.replace(from, to).into_bytes()
}

/// A chat stream out of deltas and what stands beside them.
fn chat(chunks: &[&str]) -> Vec<u8> {
    let head = r#""id":"c1","object":"chat.completion.chunk","created":1764000000,"model":"m""#;
    let mut out = String::new();
    for chunk in chunks {
        out.push_str(&format!("data: {{{head},{chunk}}}\n\n"));
    }
    out.push_str("data: [DONE]\n\n");
    out.into_bytes()
}
