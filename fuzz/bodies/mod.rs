//! What must hold for any input, one function for each fuzz target. `tests/corpora.rs` runs the same on stable.

mod answers;
mod events;
mod head;
mod pieces;
mod requests;
mod translate;

use qingwave::wire::Protocol::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};

pub use translate::CONTROL_BYTES;

/// Longest input that is looked at: what is slow beyond it says nothing new.
pub const INPUT_BYTES_MAX: usize = 64 << 10;

pub type Body = fn(&[u8]);

/// Every target by its name; `fuzz_targets` and `fuzz/run.sh` know the same names.
pub const TARGETS: [(&str, Body); 14] = [
    ("answer_chat", |input| answers::check(OpenAiChat, input)),
    ("answer_responses", |input| answers::check(OpenAiResponses, input)),
    ("answer_messages", |input| answers::check(AnthropicMessages, input)),
    ("answer_gemini", |input| answers::check(GeminiGenerate, input)),
    ("request_chat", |input| requests::check(OpenAiChat, input)),
    ("request_responses", |input| requests::check(OpenAiResponses, input)),
    ("request_messages", |input| requests::check(AnthropicMessages, input)),
    ("request_gemini", |input| requests::check(GeminiGenerate, input)),
    ("translate", translate::check),
    ("head", head::check_head),
    ("splice", head::check_splice),
    ("tap", pieces::check_tap),
    ("array", pieces::check_array),
    ("media", pieces::check_media),
];

/// Runs the target of that name.
pub fn run(name: &str, input: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no target {name}"));
    if input.len() <= INPUT_BYTES_MAX {
        body(input);
    }
}

/// Whether it is JSON to its last byte, numbers beyond a double too.
fn is_json(bytes: &[u8]) -> bool {
    use qingwave::wire::json::{Cursor, DEPTH_MAX, LoneSurrogates};
    let mut cursor = Cursor::new(bytes, DEPTH_MAX, LoneSurrogates::Allowed);
    std::str::from_utf8(bytes).is_ok() && cursor.ignore().and_then(|()| cursor.end()).is_ok()
}
