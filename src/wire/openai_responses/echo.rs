//! Picks out of a client's request what an answer repeats of it.

use std::borrow::Cow;

use super::response_write::ECHOED;
use crate::wire::json::{LoneSurrogates, Value};

/// Largest field that is repeated: every answer says it three times. A larger one is told as if it were absent.
const ECHO_FIELD_BYTES_MAX: usize = 256 << 10;
const DEPTH_MAX: usize = 256;

/// The fields of a request of this protocol that its answer repeats, as JSON without white space, which would break the lines of
/// a stream. Nothing for a body that is no JSON.
pub fn echo(body: &str) -> Vec<(Cow<'static, str>, String)> {
    let Ok(Value::Object(mut body)) = Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed) else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    for (name, _) in ECHOED {
        let Some(mut value) = body.take(name).filter(|value| !value.is_null()) else { continue };
        if name == "text"
            && let Value::Object(text) = &mut value
            && text.get("format").is_none_or(Value::is_null)
        {
            let mut format = Value::object();
            if let Value::Object(format) = &mut format {
                format.set("type", Value::text("text"));
            }
            text.set("format", format);
        }
        let raw = value.to_json();
        if raw.len() <= ECHO_FIELD_BYTES_MAX {
            fields.push((Cow::Borrowed(name), raw));
        }
    }
    fields
}
