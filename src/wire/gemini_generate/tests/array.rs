use proptest::prelude::*;

use crate::wire::gemini_generate::{ArraySplitter, ELEMENT_BYTES_MAX, Element};

/// All elements of a body that comes in the pieces given, and whether it was closed.
pub fn split<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<Option<Vec<u8>>>, bool) {
    let mut splitter = ArraySplitter::default();
    let mut elements = Vec::new();
    for piece in pieces {
        let mut at = 0;
        while let Some(element) = splitter.next(piece, &mut at) {
            elements.push(match element {
                Element::Whole(bytes) => Some(bytes.to_vec()),
                Element::Overlong => None,
            });
        }
        assert_eq!(at, piece.len());
    }
    (elements, splitter.closed())
}

fn texts(body: &str) -> Vec<String> {
    let (elements, _) = split([body.as_bytes()]);
    elements.into_iter().map(|element| String::from_utf8(element.unwrap()).unwrap()).collect()
}

#[test]
fn elements_come_whole_whatever_they_hold() {
    let body = "[{\"a\":\"]}\\\"\"}\r\n,\r\n{\"b\":[1,{\"c\":\"\\\\\"}]}\r\n]";
    assert_eq!(texts(body), ["{\"a\":\"]}\\\"\"}", "{\"b\":[1,{\"c\":\"\\\\\"}]}"]);
    assert_eq!(texts("[1,\"x,]\",[2],null]"), ["1", "\"x,]\"", "[2]", "null"]);
    assert_eq!(texts("[]"), Vec::<String>::new());
    assert_eq!(texts("\u{feff} [{}]trailing{}"), ["{}"]);
}

#[test]
fn an_object_alone_is_one_element() {
    let (elements, closed) = split([b"{\"error\":{\"code\":400}}\n".as_slice()]);
    assert_eq!(elements, [Some(b"{\"error\":{\"code\":400}}".to_vec())]);
    assert!(closed);
}

#[test]
fn a_cut_array_is_not_closed() {
    let (elements, closed) = split([b"[{\"a\":1}\r\n,\r\n{\"b\"".as_slice()]);
    assert_eq!(elements.len(), 1);
    assert!(!closed);
}

#[test]
fn an_overlong_element_is_passed_over() {
    let long = vec![b'x'; ELEMENT_BYTES_MAX / 4];
    let pieces = [&b"[{\"a\":\""[..], &long, &long, &long, &long, b"\"},{\"b\":1}]"];
    let (elements, closed) = split(pieces);
    assert_eq!(elements, [None, Some(b"{\"b\":1}".to_vec())]);
    assert!(closed);
}

fn json() -> impl Strategy<Value = String> {
    let text = "[a-z\\[\\]{},:\"\\\\é😀 ]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![Just("null".to_owned()), any::<i32>().prop_map(|n| n.to_string()), text.clone()];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(" , "))),
            prop::collection::vec((text.clone(), inner), 0..4).prop_map(|list| {
                let members: Vec<_> = list.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn every_cut_gives_the_same_elements(list in prop::collection::vec(json(), 0..5), step in 1usize..9) {
        let body = format!(" [{}\r\n]\r\n", list.join("\r\n,\r\n"));
        let bytes = body.as_bytes();
        let (whole, closed) = split([bytes]);
        let found: Vec<String> =
            whole.iter().map(|e| String::from_utf8(e.clone().unwrap()).unwrap().trim_end().to_owned()).collect();
        prop_assert_eq!(&found, &list);
        prop_assert!(closed);
        for cut in 0..=bytes.len() {
            prop_assert_eq!(&split([&bytes[..cut], &bytes[cut..]]).0, &whole);
        }
        prop_assert_eq!(&split(bytes.chunks(step)).0, &whole);
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(prop::sample::select(b"[]{}\",\\ax1 \r\n".to_vec()), 0..64), cut in 0usize..64) {
        let cut = cut.min(bytes.len());
        let whole = split([bytes.as_slice()]);
        prop_assert_eq!(split([&bytes[..cut], &bytes[cut..]]), whole);
    }
}
