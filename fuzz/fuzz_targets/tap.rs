//! A tap forwards and learns the same however the stream was cut. The first byte says how it is cut.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use qingwave::wire::openai_chat::ChatTap;

fn run(stream: &[u8], piece_bytes: usize, drop_usage: bool) -> (Vec<u8>, String) {
    let mut tap = ChatTap::new(drop_usage);
    let mut forwarded = Vec::new();
    for piece in stream.chunks(piece_bytes) {
        tap.push(Bytes::copy_from_slice(piece), &mut |bytes| forwarded.extend_from_slice(&bytes));
    }
    tap.finish(&mut |bytes| forwarded.extend_from_slice(&bytes));
    let learnt = (
        (tap.content_seen(), tap.done(), tap.error(), tap.outcome(), tap.usage()),
        (tap.finish_reason(), tap.service_tier(), tap.output_text(), tap.output_bytes()),
    );
    (forwarded, format!("{learnt:?}"))
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else { return };
    // Longer ones may pass in part, which is not the same for every cut.
    if stream.len() > 32 << 10 {
        return;
    }
    let piece_bytes = usize::from(*cut).max(1);
    let (kept, learnt) = run(stream, usize::MAX, false);
    assert_eq!(kept, stream);
    assert_eq!(run(stream, piece_bytes, false), (kept, learnt.clone()));
    let (sifted, sifted_learnt) = run(stream, usize::MAX, true);
    assert_eq!(sifted_learnt, learnt);
    assert_eq!(run(stream, piece_bytes, true), (sifted, sifted_learnt));
});
