//! A request that is read and written again is unchanged.
//!
//! Exceptions, all of them the same to the API: what is `null` or an empty list is left out, `stream` is always said, thinking
//! that is not signed goes, neighbours of one role become one message, `output_format` is `output_config.format`.

use super::*;
use crate::wire::ir::Losses;

#[track_caller]
pub(super) fn check_body(id: &str, body: &str) {
    let request = read_request(body, 128).unwrap_or_else(|error| panic!("{id}: {error:?}"));
    let mut losses = Losses::default();
    let target = Target { model: &request.model, stream: request.stream, ..target() };
    let (written, undo) = write_request(&request, &target, &mut losses).unwrap_or_else(|it| panic!("{id}: {it:?}"));
    assert!(undo.is_empty(), "{id}: {undo:?}");
    assert!(losses.is_empty(), "{id}: {losses:?}");
    let mut expected = dom(body);
    without_nulls(&mut expected);
    if expected.get("stream").is_none() {
        expected["stream"] = false.into();
    }
    let written = String::from_utf8(written).unwrap();
    let mut got = dom(&written);
    without_nulls(&mut got);
    assert_eq!(got, expected, "{id}");
    // The same bytes come of the second round.
    let again = read_request(&written, 128).unwrap();
    assert_eq!(write_request(&again, &target, &mut losses).unwrap().0, written.as_bytes(), "{id}");
}

fn without_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(list) => list.iter_mut().for_each(without_nulls),
        serde_json::Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(without_nulls);
        }
        _ => {}
    }
}
