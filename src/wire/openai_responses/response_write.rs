//! Writes the response object: what a whole answer is, and what the events at both ends of a stream carry.

use super::usage::write_usage;
use crate::wire::Usage;
use crate::wire::ir::WriterSetup;
use crate::wire::json::Json;

/// What of the object does not change while it is answered.
pub(super) struct Identity {
    pub id: String,
    pub model: String,
    /// Unix seconds.
    pub created: i64,
    /// In this protocol's words; `None` where the upstream names none.
    pub service_tier: Option<&'static str>,
}

/// How far the answer is.
pub(super) struct State<'s> {
    pub status: &'static str,
    /// Finished items, as JSON with commas between.
    pub output: &'s [u8],
    pub usage: Option<&'s Usage>,
    /// Code and message.
    pub error: Option<(&'s str, &'s str)>,
    /// Why an answer is incomplete.
    pub reason: Option<&'static str>,
}

/// The request's fields that an answer repeats, and what they are where the request has none.
pub(super) const ECHOED: [(&str, &str); 20] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    // Nothing is stored here.
    ("store", "false"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
    ("service_tier", r#""default""#),
];

pub(super) fn write_response(json: &mut Json<'_>, identity: &Identity, setup: &WriterSetup, state: &State<'_>) {
    json.object(|json| {
        json.key("id").text(&identity.id);
        json.key("object").text("response");
        json.key("created_at").int(identity.created);
        json.key("status").text(state.status);
        json.key("completed_at").null();
        match state.error {
            Some((code, message)) => json.key("error").object(|json| {
                json.key("code").text(code);
                json.key("message").text(message);
            }),
            None => json.key("error").null(),
        }
        match state.reason {
            Some(reason) => json.key("incomplete_details").object(|json| json.key("reason").text(reason)),
            None => json.key("incomplete_details").null(),
        }
        json.key("model").text(&identity.model);
        json.key("output").array(|json| {
            if let Ok(items) = std::str::from_utf8(state.output)
                && !items.is_empty()
            {
                json.raw(items);
            }
        });
        for (name, usual) in ECHOED {
            match (name, identity.service_tier) {
                ("service_tier", Some(tier)) => json.key(name).text(tier),
                _ => json.key(name).raw(echoed(setup, name).unwrap_or(usual)),
            }
        }
        match state.usage {
            Some(usage) => write_usage(json.key("usage"), usage),
            None => json.key("usage").null(),
        }
    });
}

pub(super) fn echoed<'s>(setup: &'s WriterSetup, name: &str) -> Option<&'s str> {
    setup.echo.iter().find(|(known, _)| known == name).map(|(_, raw)| raw.as_str())
}
