//! Why an answer ended, in Gemini's words and in ours.

use crate::wire::ir::{Finish, StopReason};

const WORDS: [(&str, StopReason); 21] = [
    ("STOP", StopReason::Done),
    ("MAX_TOKENS", StopReason::Length),
    ("SAFETY", StopReason::Filtered),
    ("RECITATION", StopReason::Filtered),
    ("BLOCKLIST", StopReason::Filtered),
    ("PROHIBITED_CONTENT", StopReason::Filtered),
    ("SPII", StopReason::Filtered),
    ("MODEL_ARMOR", StopReason::Filtered),
    ("JAILBREAK", StopReason::Filtered),
    ("IMAGE_SAFETY", StopReason::Filtered),
    ("IMAGE_PROHIBITED_CONTENT", StopReason::Filtered),
    ("IMAGE_RECITATION", StopReason::Filtered),
    ("IMAGE_OTHER", StopReason::Filtered),
    ("MALFORMED_FUNCTION_CALL", StopReason::BadCall),
    ("UNEXPECTED_TOOL_CALL", StopReason::BadCall),
    ("TOO_MANY_TOOL_CALLS", StopReason::BadCall),
    ("MISSING_THOUGHT_SIGNATURE", StopReason::BadCall),
    ("LANGUAGE", StopReason::Unknown),
    ("NO_IMAGE", StopReason::Unknown),
    ("OTHER", StopReason::Unknown),
    ("FINISH_REASON_UNSPECIFIED", StopReason::Unknown),
];

/// Gemini says `STOP` for calls too: they are told by their presence, unless length or a filter ended the answer, or one of
/// the calls was none.
pub fn reason(word: &str, calls: bool) -> StopReason {
    let reason = WORDS.iter().find(|(known, _)| *known == word).map_or(StopReason::Unknown, |(_, reason)| *reason);
    match reason {
        StopReason::Done | StopReason::Unknown if calls => StopReason::ToolCalls,
        reason => reason,
    }
}

pub fn word(finish: &Finish<'_>) -> &'static str {
    let native = finish.native.as_ref().map(|word| word.decode());
    let own = WORDS.iter().find(|(word, reason)| native.as_deref() == Some(word) && *reason == finish.reason);
    if let Some((word, _)) = own {
        return word;
    }
    match finish.reason {
        StopReason::Done
        | StopReason::StopSequence
        | StopReason::ToolCalls
        | StopReason::Refused
        | StopReason::Paused => "STOP",
        StopReason::Length | StopReason::ContextFull => "MAX_TOKENS",
        StopReason::Filtered => "SAFETY",
        StopReason::BadCall => "MALFORMED_FUNCTION_CALL",
        StopReason::Unknown => "OTHER",
    }
}
