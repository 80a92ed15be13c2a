//! The splitter under every cut.

use proptest::prelude::*;

use super::*;

/// The data and the name of an event.
type Event = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What a stream amounts to: its events, how many comments stand alone, and what is left of the last unit.
fn read(pieces: &[&[u8]]) -> (Vec<Event>, usize, Vec<u8>) {
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    let mut comments = 0;
    for piece in pieces {
        let mut at = 0;
        while let Some(unit) = splitter.next(piece, &mut at) {
            match unit {
                Unit::Event(Some(raw)) => {
                    let fields = fields(raw, events.is_empty() && comments == 0);
                    events.push((fields.data.map(|data| data.into_owned()), fields.event.map(<[u8]>::to_vec)));
                }
                Unit::Event(None) => panic!("nothing here is that long"),
                Unit::Comment(_) => comments += 1,
                Unit::Tail => {}
            }
        }
    }
    (events, comments, splitter.pending().to_vec())
}

pub(crate) fn check_every_cut(stream: &[u8]) {
    let whole = read(&[stream]);
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(&bytes), whole, "byte by byte");
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(read(&[head, tail]), whole, "cut at {cut}");
    }
}

fn data(stream: &str) -> Vec<String> {
    check_every_cut(stream.as_bytes());
    let (events, _, _) = read(&[stream.as_bytes()]);
    events.into_iter().filter_map(|(data, _)| data).map(|data| String::from_utf8(data).unwrap()).collect()
}

#[test]
fn all_line_ends() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = format!("data: a{end}{end}data:b{end}data:  c{end}{end}event: x{end}{end}data{end}{end}");
        assert_eq!(data(&stream), ["a", "b\n c", ""], "{end:?}");
    }
    assert_eq!(data("data: a\r\n\rdata: b\n\r\ndata: c\r\r"), ["a", "b", "c"]);
}

#[test]
fn comments_stand_alone_between_events_and_not_inside() {
    let stream = b": one\n: two\r\ndata: a\n: inside\ndata: b\n\n: three\n";
    check_every_cut(stream);
    let (events, comments, pending) = read(&[stream]);
    assert_eq!(events, [(Some(b"a\nb".to_vec()), None)]);
    assert_eq!((comments, pending.len()), (3, 0));
}

#[test]
fn a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n"), ["a", "c"]);
}

#[test]
fn an_incomplete_event_waits() {
    let (events, _, pending) = read(&[b"data: a\n\ndata: b\n"]);
    assert_eq!((events.len(), pending.as_slice()), (1, &b"data: b\n"[..]));
}

#[test]
fn an_overlong_event_is_followed_but_not_kept() {
    let mut long = b"data: ".to_vec();
    long.resize(FRAME_BYTES_MAX + 1, b'x');
    long.extend_from_slice(b"\n\n");
    let short = b"data: y\n\n";
    for piece_bytes in [long.len(), 1 << 20, 65_537] {
        let mut splitter = Splitter::default();
        let mut lost = 0;
        for piece in long.chunks(piece_bytes) {
            let mut at = 0;
            while let Some(unit) = splitter.next(piece, &mut at) {
                assert_eq!(unit, Unit::Event(None));
                lost += 1;
            }
            assert!(splitter.pending().len() <= FRAME_BYTES_MAX);
        }
        assert_eq!(lost, 1);
        let mut at = 0;
        assert_eq!(splitter.next(short, &mut at), Some(Unit::Event(Some(&short[..]))));
    }
}

#[test]
fn a_place_is_told() {
    let place = |stream: &[u8]| {
        let mut splitter = Splitter::default();
        let mut at = 0;
        while splitter.next(stream, &mut at).is_some() {}
        splitter.place()
    };
    assert_eq!(place(b""), Place::Boundary);
    assert_eq!(place(b"data: a\n\n"), Place::Boundary);
    assert_eq!(place(b"data: a\r\n\r"), Place::Boundary);
    assert_eq!(place(b": ping\n"), Place::Boundary);
    assert_eq!(place(b"data: a\n"), Place::LineStart);
    assert_eq!(place(b"data: a\r"), Place::InLine);
    assert_eq!(place(b"data: a"), Place::InLine);
}

proptest! {
    #[test]
    fn any_stream_under_every_cut(stream in prop::collection::vec(prop::sample::select(&["data: a", "data:", ":", "\n", "\r", "\r\n", "event: error", "\n\n", "x", "\u{feff}"][..]), 0..14)) {
        check_every_cut(stream.concat().as_bytes());
    }
}
