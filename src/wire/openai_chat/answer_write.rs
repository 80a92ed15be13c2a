//! What a streamed and a whole chat answer say in the same words: finish reasons, usage, citations, state. Must never know which
//! of the two it is.

use std::borrow::Cow;

use super::thinking::payload_entries;
use crate::wire::ir::{BlockKind, Citation, Feature, Finish, Ids, Losses, Start, State, StopReason, WriterSetup};
use crate::wire::json::{DEPTH_MAX, Json, LoneSurrogates, Str, Value};
use crate::wire::{Protocol, Usage};

/// A comment, without the blank line behind which some clients look for an event.
pub const KEEPALIVE: &[u8] = b": ping\n";

pub const OWN: Protocol = Protocol::OpenAiChat;

/// What of a client's request its answer depends on: whether it asked with `functions`.
pub fn echo(body: &str) -> Vec<(Cow<'static, str>, String)> {
    if memchr::memmem::find(body.as_bytes(), b"\"functions\"").is_none() {
        return Vec::new();
    }
    let asked = Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed);
    let given = |name| asked.as_ref().is_ok_and(|body| body.get(name).is_some_and(|value| !value.is_null()));
    if given("functions") && !given("tools") { vec![("functions".into(), String::new())] } else { Vec::new() }
}

/// Whether the client knows only the old `function_call`: it asked with `functions`, which the setup then repeats.
pub fn is_legacy(setup: &WriterSetup) -> bool {
    setup.echo.iter().any(|(name, _)| name == "functions")
}

pub fn finish_word(finish: &Finish<'_>, refused: bool, legacy: bool) -> &'static str {
    match finish.reason {
        StopReason::Done | StopReason::StopSequence | StopReason::Paused => "stop",
        StopReason::Length | StopReason::ContextFull => "length",
        StopReason::ToolCalls if legacy => "function_call",
        StopReason::ToolCalls => "tool_calls",
        StopReason::Filtered => "content_filter",
        // A refusal that is said ends like any text.
        StopReason::Refused if refused => "stop",
        StopReason::Refused => "content_filter",
        StopReason::BadCall | StopReason::Unknown => "stop",
    }
}

/// The vendor's own word, where ours cannot say it.
pub fn write_native(json: &mut Json<'_>, finish: &Finish<'_>) {
    if matches!(finish.reason, StopReason::BadCall | StopReason::Unknown)
        && let Some(word) = &finish.native
    {
        json.key("native_finish_reason").str(word);
    }
}

/// The tier in OpenAI's words: strict clients take no others.
pub fn write_tier(json: &mut Json<'_>, start: &Start<'_>) {
    let Some(tier) = &start.service_tier else { return };
    let word = match &*tier.decode().to_ascii_lowercase() {
        "auto" => "auto",
        "default" | "standard" | "on_demand" => "default",
        "flex" => "flex",
        "scale" => "scale",
        "priority" => "priority",
        _ => return,
    };
    json.key("service_tier").text(word);
}

/// All details always: SDKs and agents ask for them without looking.
pub fn write_usage(json: &mut Json<'_>, usage: &Usage) {
    json.object(|json| {
        json.key("prompt_tokens").uint(usage.input_total);
        json.key("completion_tokens").uint(usage.output_total);
        json.key("total_tokens").uint(usage.input_total.saturating_add(usage.output_total));
        json.key("prompt_tokens_details").object(|json| {
            json.key("cached_tokens").uint(usage.cache_read);
            let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
            json.key("cache_write_tokens").uint(written.saturating_add(usage.cache_write_30m));
            json.key("audio_tokens").uint(usage.audio_in);
            some(json, "image_tokens", usage.image_in);
            some(json, "video_tokens", usage.video_in);
        });
        json.key("completion_tokens_details").object(|json| {
            json.key("reasoning_tokens").uint(usage.reasoning);
            json.key("audio_tokens").uint(usage.audio_out);
            json.key("accepted_prediction_tokens").uint(0);
            json.key("rejected_prediction_tokens").uint(0);
            some(json, "image_tokens", usage.image_out);
        });
    });
}

fn some(json: &mut Json<'_>, name: &str, count: u64) {
    if count > 0 {
        json.key(name).uint(count);
    }
}

/// A citation as an annotation; `start` is where its block begins in the content, `end` how far the content has come, both in
/// characters. Only what has a URL can be said.
pub fn write_annotation(json: &mut Json<'_>, citation: &Citation<'_>, start: u64, end: u64) {
    let Some(url) = &citation.url else { return };
    let (from, to) =
        citation.span.map_or((start, end), |(from, to)| (start.saturating_add(from), start.saturating_add(to)));
    json.object(|json| {
        json.key("type").text("url_citation");
        json.key("url_citation").object(|json| {
            json.key("start_index").uint(from);
            json.key("end_index").uint(to);
            json.key("url").str(url);
            json.key("title").str(citation.title.as_ref().unwrap_or(&Str::plain("")));
        });
    });
}

/// Entries of `reasoning_details` with the state of a block of thinking.
pub fn write_state(json: &mut Json<'_>, state: &State<'_>, redacted: bool, index: u64, text: Option<&Str<'_>>) {
    let payload = state.payload.decode();
    let own = payload_entries(&payload).filter(|_| state.origin == OWN);
    if let Some(entries) = own {
        return entries.iter().for_each(|entry| json.value(entry));
    }
    json.object(|json| {
        let (kind, name) = if redacted { ("reasoning.encrypted", "data") } else { ("reasoning.text", "signature") };
        json.key("type").text(kind);
        if let Some(text) = text.filter(|text| !text.is_empty() && !redacted) {
            json.key("text").str(text);
        }
        json.key(name).str(&state.carried(OWN));
        json.key("index").uint(index);
    });
}

/// The signature of a call or a text, in Gemini's form.
pub fn write_signature(json: &mut Json<'_>, state: &State<'_>) {
    json.key("extra_content").object(|json| {
        json.key("google").object(|json| json.key("thought_signature").str(&state.carried(OWN)));
    });
}

pub fn write_image(json: &mut Json<'_>, mime: &str, data: &Str<'_>, url: Option<&Str<'_>>) {
    json.object(|json| {
        json.key("type").text("image_url");
        json.key("image_url").object(|json| match url {
            Some(url) => json.key("url").str(url),
            None => {
                let mime = if mime.is_empty() { "image/png" } else { mime };
                json.key("url").texts([Str::plain(format!("data:{mime};base64,")), data.borrowed()]);
            }
        });
    });
}

/// The characters of a text. Cheap where nothing is escaped.
pub fn chars(text: &Str<'_>) -> u64 {
    text.decode().bytes().filter(|byte| byte & 0xC0 != 0x80).count() as u64
}

/// A server tool's block cannot be said; what its result held is lost.
pub fn note_foreign(what: &str, losses: &mut Losses) {
    if what.contains("result") || what.contains("output") {
        losses.dropped(Feature::ServerTool);
    }
}

/// The id of a call: the upstream's own, or one of ours.
pub fn call_id<'k>(kind: &'k BlockKind<'_>, ids: &mut Ids) -> Cow<'k, str> {
    match kind {
        BlockKind::Call { id: Some(id), .. } if !id.is_empty() => id.decode(),
        _ => Cow::Owned(ids.mint("call_")),
    }
}

/// A logprobs object with one of its two lists.
pub fn write_logprobs(json: &mut Json<'_>, list: &Value<'_>, refused: bool) {
    json.key("logprobs").object(|json| {
        let (content, refusal) = if refused { (&Value::Null, list) } else { (list, &Value::Null) };
        json.key("content").value(content);
        json.key("refusal").value(refusal);
    });
}
