//! Reads the `usage` object of a chat answer into the normal form.
//!
//! Source: section 6 of the protocol notes, checked against recordings of thirty vendors.

use serde_json::Value;

use crate::wire::Usage;

/// The counts of a `usage` object; `None` where it holds none (`{}`, or no object at all).
///
/// Details stand inside the totals. `total_tokens` shows what a vendor left out of its parts: reasoning (xAI), hidden
/// thoughts (Gemini) or audio (Mistral's Voxtral); see `gap`. Numbers may come as text or with a fraction.
pub fn read_usage(json: &[u8]) -> Option<Usage> {
    let value: Value = serde_json::from_slice(json).ok()?;
    if !["prompt_tokens", "completion_tokens", "total_tokens"].iter().any(|name| number(&value[name]).is_some()) {
        return None;
    }
    let count = |value: &Value| number(value).unwrap_or(0);
    let (prompt, completion) = (&value["prompt_tokens_details"], &value["completion_tokens_details"]);
    // OpenAI; DeepSeek; Moonshot and Hugging Face; Mistral. Some report the same count under two names.
    let cache_read = [
        &prompt["cached_tokens"],
        &value["prompt_cache_hit_tokens"],
        &value["cached_tokens"],
        &value["num_cached_tokens"],
    ];
    let mut usage = Usage {
        input_total: count(&value["prompt_tokens"]),
        output_total: count(&value["completion_tokens"]),
        cache_read: cache_read.into_iter().map(count).find(|count| *count > 0).unwrap_or(0),
        // The only lifetime that this protocol can ask for.
        cache_write_30m: count(&prompt["cache_write_tokens"]),
        audio_in: count(&prompt["audio_tokens"]),
        image_in: count(&prompt["image_tokens"]),
        video_in: count(&prompt["video_tokens"]),
        reasoning: count(&completion["reasoning_tokens"]),
        audio_out: count(&completion["audio_tokens"]),
        image_out: count(&completion["image_tokens"]),
        ..Usage::default()
    };
    let audio_sent = usage.audio_in > 0 || count(&value["prompt_audio_seconds"]) > 0;
    let gap = count(&value["total_tokens"]).saturating_sub(usage.input_total).saturating_sub(usage.output_total);
    close_gap(&mut usage, gap, audio_sent);
    Some(usage)
}

/// Adds what only the total shows. A total below its parts is not believed.
fn close_gap(usage: &mut Usage, gap: u64, audio_sent: bool) {
    if gap > 0 && gap != usage.reasoning && audio_sent {
        usage.input_total = usage.input_total.saturating_add(gap);
        usage.audio_in = usage.audio_in.max(gap);
    } else {
        usage.output_total = usage.output_total.saturating_add(gap);
    }
}

/// A count however it is written. Below zero is zero; a fraction is rounded.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().map(rounded)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|n| n.is_finite()).map(rounded))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn rounded(number: f64) -> u64 {
    number.round() as u64
}

/// Whether an upstream counted nothing.
pub fn is_zero(usage: &Usage) -> bool {
    usage.input_total == 0 && usage.output_total == 0
}
