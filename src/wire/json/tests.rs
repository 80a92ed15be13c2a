//! The cursor against serde_json: they accept the same documents.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// serde_json follows 127 levels.
const SERDE_DEPTH: usize = 127;

fn accepts(json: &[u8], depth_max: usize, lone_surrogates: LoneSurrogates) -> Result<(), Fault> {
    let mut cursor = Cursor::new(json, depth_max, lone_surrogates);
    cursor.skip()?;
    cursor.end()
}

/// Walks every container by hand instead of skipping it.
fn walks(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    match cursor.kind()? {
        Kind::Object => {
            let mut members = cursor.enter()?;
            while cursor.key(&mut members)?.is_some() {
                walks(cursor)?;
            }
        }
        Kind::Array => {
            let mut elements = cursor.enter()?;
            while cursor.element(&mut elements)? {
                walks(cursor)?;
            }
        }
        Kind::String => cursor.string().map(|_| ())?,
        Kind::Number => cursor.number().map(|_| ())?,
        Kind::True | Kind::False | Kind::Null => cursor.ignore()?,
    }
    Ok(())
}

/// The cursor and serde_json agree, but for numbers beyond a double, which are JSON all the same.
pub(crate) fn check_agreement(json: &[u8]) {
    let ours = std::str::from_utf8(json).is_ok() && accepts(json, SERDE_DEPTH, LoneSurrogates::Refused).is_ok();
    let theirs = match serde_json::from_slice::<Value>(json) {
        Ok(_) => true,
        Err(error) => {
            if error.to_string().starts_with("number out of range") {
                return;
            }
            false
        }
    };
    assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(json));
    let mut cursor = Cursor::new(json, SERDE_DEPTH, LoneSurrogates::Refused);
    let walked = walks(&mut cursor).and_then(|()| cursor.end()).is_ok();
    assert_eq!(
        walked,
        accepts(json, SERDE_DEPTH, LoneSurrogates::Refused).is_ok(),
        "{}",
        String::from_utf8_lossy(json)
    );
}

pub(crate) fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        r#"[\\"/\u{0}-\u{1f}a-c€𝄞]{0,90}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,12}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn edges_of_the_grammar() {
    let cases = [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{}",
        "[]",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1,,2]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":1,"b"}"#,
        r#"{a:1}"#,
        r#"{"a":1}}"#,
        r#"{"a":1]"#,
        "[1}",
        "nul",
        "nulll",
        "null",
        "true",
        "truefalse",
        "fals",
        "01",
        "-",
        "-0",
        "-01",
        "1.",
        ".5",
        "1.5",
        "1e",
        "1e+",
        "1E-7",
        "1.e3",
        "+1",
        "0x1",
        "1e999",
        "--1",
        "NaN",
        "Infinity",
        r#"""#,
        r#""a"#,
        r#""\""#,
        r#""\\""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u0041""#,
        r#""\ud83d""#,
        r#""\ud83d\ude00""#,
        r#""\ud83dx""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\x""#,
        "\"\t\"",
        "\"\u{7f}\"",
        "\"\u{0}\"",
        "'a'",
        "\u{feff}{}",
        "{} {}",
        "{}\n\t\r ",
        "{}\u{c}",
        "// a\n{}",
        "[\"a\"\"b\"]",
        r#"{"a":{"b":[{"c":[]}]}}"#,
        r#"[[],{},[{}],{"a":[]}]"#,
        "\"é\"",
        "[1e5,2E+5]",
    ];
    cases.iter().for_each(|case| check_agreement(case.as_bytes()));
    check_agreement(b"\"\xff\"");
    check_agreement(b"\"\xc3\"");
    check_agreement(b"\xef\xbb\xbf{}");
}

#[test]
fn depth_is_limited_without_recursion() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for depth in [1, 63, 64, 65, 126, 127, 128, 129] {
            check_agreement(nested(depth).as_bytes());
        }
        assert!(accepts(nested(DEPTH_MAX).as_bytes(), usize::MAX, LoneSurrogates::Refused).is_ok());
        let fault = accepts(nested(1 << 20).as_bytes(), usize::MAX, LoneSurrogates::Refused).unwrap_err();
        assert_eq!(fault, Fault { at: open.len() * DEPTH_MAX, expected: LESS_NESTING });
    }
}

#[test]
fn a_lone_surrogate_passes_only_where_it_may() {
    for half in [r#""\ud83d""#, r#""x\ude00""#, r#""\ud83d\ud83d\ude00""#] {
        assert!(accepts(half.as_bytes(), 8, LoneSurrogates::Refused).is_err());
        assert!(accepts(half.as_bytes(), 8, LoneSurrogates::Allowed).is_ok());
    }
}

#[test]
fn every_special_byte_is_found_at_every_place() {
    for len in 0..200 {
        for special in [b'"', b'\\', 0x1f, 0x00, b'\n'] {
            let mut text = vec![b'a'; len];
            text.extend_from_slice("é\u{7f}~ ".as_bytes());
            let at = text.len();
            text.push(special);
            text.extend_from_slice(&[b'"'; 70]);
            assert_eq!(text::plain_len(&text), at);
            assert_eq!(text::plain_len(&text[..at]), at);
        }
    }
}

#[test]
fn halves_are_seen_through_backslashes() {
    assert!(open_high_surrogate(br"a\ud83d"));
    assert!(open_high_surrogate(br"\\\ud83d"));
    assert!(!open_high_surrogate(br"\\ud83d"));
    assert!(!open_high_surrogate(br"\ude00"));
    assert!(opens_with_low_surrogate(br"\ude00x"));
    assert!(!opens_with_low_surrogate(br"\\ude00x"));
}

proptest! {
    #[test]
    fn what_serde_writes_is_read(value in arbitrary_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert!(accepts(text.as_bytes(), SERDE_DEPTH, LoneSurrogates::Refused).is_ok());
        check_agreement(text.as_bytes());
    }

    #[test]
    fn what_was_damaged_is_judged_alike(value in arbitrary_json(), damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"{}[]\",:\\u0d1e+-. tfn\x00\xc3\xa9\xff"[..]), 0..3u8), 1..4)) {
        let mut text = serde_json::to_vec(&value).unwrap();
        for (index, byte, act) in damage {
            if text.is_empty() { break }
            let at = index.index(text.len());
            match act {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
        }
        check_agreement(&text);
    }

    #[test]
    fn arbitrary_bytes_are_judged_alike(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\ud8f0123456789eE+-. truefalsn\n\t\x1f\xc3\xa9"[..]), 0..60)) {
        check_agreement(&bytes);
    }

    #[test]
    fn strings_decode_as_serde_decodes_them(text in r#"[\\"/\u{0}-\u{1f}a-c€𝄞]{0,90}"#) {
        let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        for raw in [serde_json::to_string(&text).unwrap(), format!("\"{ascii}\"")] {
            let inside = &raw.as_bytes()[1..raw.len() - 1];
            prop_assert_eq!(&decode_lossy(inside), &text);
            prop_assert_eq!(decoded_len(inside), text.len());
        }
    }
}

#[test]
fn line_separators_are_escaped_from_where_it_is_asked() {
    let check = |text: &str, start: usize, expected: &str| {
        let mut out = text.as_bytes().to_vec();
        escape_line_separators(&mut out, start);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    };
    check(
        "\u{2028}\"a\u{2028}b\u{2029}\u{85}c\u{201c}\u{a9}\"",
        3,
        "\u{2028}\"a\\u2028b\\u2029\\u0085c\u{201c}\u{a9}\"",
    );
    check("\"plain \u{201c}é\"", 0, "\"plain \u{201c}é\"");
    check("", 0, "");
    check("\"\u{85}\"", 0, "\"\\u0085\"");
}
