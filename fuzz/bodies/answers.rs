//! Readers of answers: what they make of any bytes keeps to the grammar of events, however the bytes were cut.

use qingwave::wire::Protocol;
use qingwave::wire::feed::{Broken, Feed, Form};
use qingwave::wire::ir::{Event, Outcome};
use qingwave::wire::sequence::Sequence;

use super::events;

pub fn check(protocol: Protocol, input: &[u8]) {
    let (seen, outcome) = read(protocol, input, usize::MAX);
    events::check(&seen, outcome);
    let by_pieces = read(protocol, input, 1 + input.len() % 13);
    assert_eq!(by_pieces, (seen, outcome), "the cut changes what is read");
}

fn read(protocol: Protocol, input: &[u8], piece_bytes: usize) -> (Vec<Event<'static>>, Outcome) {
    let reader = (protocol.dialect().reader)("acme");
    let mut feed = Feed::new(reader, Form::of(protocol, None, input), Broken::Read);
    let mut sequence = Sequence::new(Vec::new());
    for piece in input.chunks(piece_bytes) {
        feed.push(piece, &mut sequence);
    }
    let outcome = feed.finish(&mut sequence);
    (sequence.sink, outcome)
}
