//! Arguments of calls as the objects that Anthropic has in their place. Must never change a number or the order of members.

use crate::wire::json::{Json, LoneSurrogates, Str, Value};

/// Deepest nesting of arguments that are given on as JSON.
const ARGUMENTS_DEPTH_MAX: usize = 128;

/// Writes arguments that are JSON in a text as an object: none are `{}`, and what is no object stands under `_raw`.
pub(super) fn write_text(json: &mut Json<'_>, text: &Str<'_>) {
    match object_json(&text.decode()) {
        Some(object) => json.raw(object),
        None => json.object(|json| json.key("_raw").str(text)),
    }
}

/// The object that a text of arguments is. `None`: it is none.
pub(super) fn object_json(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed == "null" {
        return Some("{}");
    }
    let value = Value::parse(trimmed, ARGUMENTS_DEPTH_MAX, LoneSurrogates::Refused).ok()?;
    value.as_object().map(|_| trimmed)
}

/// The arguments of a free-form tool, whose text is the one member `input`.
pub(super) fn write_wrapped(json: &mut Json<'_>, text: &Str<'_>) {
    json.object(|json| json.key("input").str(text));
}
