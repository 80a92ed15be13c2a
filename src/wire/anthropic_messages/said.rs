//! What streamed and whole answers say alike: ids, citations, stop reasons. Must never know which of the two it is.

use crate::wire::Protocol;
use crate::wire::ir::{Citation, Finish, Ids, StopReason, fitted_id};
use crate::wire::json::{Json, Str};

/// Most ids of calls that are compared for being given twice.
const CALL_IDS_MAX: usize = 1024;

/// What was said of an answer until now.
#[derive(Debug, Default)]
pub(super) struct Said {
    call_ids: Vec<String>,
    /// A refusal in words is among the blocks.
    pub refused: bool,
}

/// What an id may be made of.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// An Anthropic upstream's own id, or a new one.
pub(super) fn message_id(id: Option<&Str<'_>>, ids: &mut Ids) -> String {
    match id.map(Str::decode) {
        Some(id) if id.starts_with("msg_") && is_id(&id) => id.into_owned(),
        _ => ids.mint("msg_"),
    }
}

/// The upstream's id of a call where it may stand as it is and stands for no other call yet; a new one else.
pub(super) fn call_id(id: Option<&Str<'_>>, said: &mut Said, ids: &mut Ids) -> String {
    let given = id.map(Str::decode).filter(|id| !id.is_empty());
    let fitted = given.map(|id| fitted_id(&id, is_id).into_owned());
    let id = fitted.filter(|id| !said.call_ids.contains(id)).unwrap_or_else(|| ids.mint("toolu_"));
    if said.call_ids.len() < CALL_IDS_MAX {
        said.call_ids.push(id.clone());
    }
    id
}

/// Whether a citation has a form here: our own, or a page of the web.
pub(super) fn can_cite(citation: &Citation<'_>) -> bool {
    citation.origin == Protocol::AnthropicMessages || citation.url.is_some()
}

pub(super) fn write_citation(json: &mut Json<'_>, citation: &Citation<'_>) {
    if citation.origin == Protocol::AnthropicMessages {
        return json.value(&citation.raw);
    }
    let text = |text: &Option<Str<'_>>| text.as_ref().map_or(Str::plain(""), |text| text.clone().into_owned());
    json.object(|json| {
        json.key("type").text("web_search_result_location");
        json.key("url").str(&text(&citation.url));
        json.key("title").str(&text(&citation.title));
        json.key("cited_text").str(&text(&citation.cited));
        json.key("encrypted_index").text("");
    });
}

/// `stop_reason` and its companions.
pub(super) fn write_stop(json: &mut Json<'_>, finish: Option<&Finish<'_>>, said: &Said) {
    let reason = finish.map_or(StopReason::Unknown, |finish| finish.reason);
    let word = match reason {
        StopReason::Done | StopReason::BadCall | StopReason::Unknown if said.refused => "refusal",
        StopReason::Done | StopReason::BadCall | StopReason::Unknown => "end_turn",
        StopReason::StopSequence => "stop_sequence",
        StopReason::Length => "max_tokens",
        StopReason::ContextFull => "model_context_window_exceeded",
        StopReason::ToolCalls => "tool_use",
        StopReason::Filtered | StopReason::Refused => "refusal",
        StopReason::Paused => "pause_turn",
    };
    json.key("stop_reason").text(word);
    match finish.and_then(|finish| finish.stop_sequence.as_ref()) {
        Some(text) if reason == StopReason::StopSequence => json.key("stop_sequence").str(text),
        _ => json.key("stop_sequence").null(),
    }
    if word != "refusal" {
        return json.key("stop_details").null();
    }
    json.key("stop_details").object(|json| {
        json.key("type").text("refusal");
        json.key("category").null();
        match finish.and_then(|finish| finish.message.as_ref()) {
            Some(message) => json.key("explanation").str(message),
            None => json.key("explanation").null(),
        }
    });
}
