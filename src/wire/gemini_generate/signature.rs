//! How state stands in `thoughtSignature`. Google's clients take that field for bytes, so our envelope is base64 there.

use data_encoding::BASE64;

use crate::wire::Protocol;
use crate::wire::ir::State;
use crate::wire::json::Str;

/// What Google documents for calls that no Gemini made.
pub const STAND_IN: &str = "skip_thought_signature_validator";

/// Whether a signature only stands in for one: then it is nobody's state.
pub fn is_stand_in(text: &Str<'_>) -> bool {
    const BASE64: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";
    [STAND_IN, BASE64, "context_engineering_is_the_way_to_go"].iter().any(|known| *text == *known)
}

/// How every envelope of ours begins in base64.
const ENVELOPE: &str = "cWcxL";
/// Behind an envelope: nothing of the thought may be shown.
const REDACTED: &str = ".r";

/// State as it stands in a request, and whether it belongs to a redacted thought.
pub fn read(text: Str<'_>) -> (State<'_>, bool) {
    if let Some(envelope) = envelope(&text) {
        let (envelope, redacted) = match envelope.strip_suffix(REDACTED) {
            Some(envelope) => (envelope.to_owned(), true),
            None => (envelope, false),
        };
        return (State::read(Protocol::GeminiGenerate, Str::plain(envelope)), redacted);
    }
    (State::read(Protocol::GeminiGenerate, text), false)
}

fn envelope(text: &Str<'_>) -> Option<String> {
    let text = text.decode();
    if !text.starts_with(ENVELOPE) {
        return None;
    }
    let standard = super::fields::standard_base64(Str::plain(text.as_ref()));
    String::from_utf8(BASE64.decode(standard.decode().as_bytes()).ok()?).ok()
}

/// The text for a Gemini client: Gemini's own signature, or our envelope as bytes.
pub fn carried<'s>(state: &'s State<'_>, redacted: bool) -> Str<'s> {
    if state.origin == Protocol::GeminiGenerate {
        return state.payload.borrowed();
    }
    let mut envelope = state.wrapped();
    if redacted {
        envelope.push_str(REDACTED);
    }
    Str::plain(BASE64.encode(envelope.as_bytes()))
}
