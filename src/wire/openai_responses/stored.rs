//! What of a request refers to state that an upstream keeps. Must never know which upstream that is.

use crate::wire::json::{LoneSurrogates, Value};

/// The fields that can.
pub const STORED_FIELDS: [&str; 4] = ["previous_response_id", "conversation", "prompt", "background"];

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The answer is to be made while nobody waits, and fetched later.
    pub background: bool,
    /// A conversation or a prompt that one account keeps.
    pub in_account: bool,
    pub previous_response_id: Option<String>,
}

/// A body that is no JSON refers to nothing.
pub fn stored(body: &[u8], depth_max: usize) -> Stored {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let Ok(body) = Value::parse(text, depth_max, LoneSurrogates::Allowed) else { return Stored::default() };
    let named = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    Stored {
        background: body.get("background").and_then(Value::as_bool) == Some(true),
        in_account: named("conversation") || named("prompt"),
        previous_response_id: body.get("previous_response_id").and_then(Value::as_text).map(|id| id.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_refer_to_nothing() {
        let body = br#"{"background":false,"conversation":null,"previous_response_id":null,"input":"prompt"}"#;
        assert_eq!(stored(body, 8), Stored::default());
        assert_eq!(stored(b"{", 8), Stored::default());
        let body = br#"{"background":true,"prompt":{"id":"p"},"previous_response_id":"resp_1"}"#;
        let expected = Stored { background: true, in_account: true, previous_response_id: Some("resp_1".into()) };
        assert_eq!(stored(body, 8), expected);
    }
}
