//! Gemini's counts to and from the normal form.

use super::fields::{get, known};
use crate::wire::Usage;
use crate::wire::json::{Json, Value};
use crate::wire::usage::count;

/// `None` where nothing is counted: early chunks of Vertex say only how they are billed.
///
/// `candidatesTokenCount` excludes thoughts, `promptTokenCount` what Google's own tools read; both are added. Counts are
/// cumulative, so that of several chunks the last holds.
pub fn read(usage: &Value<'_>) -> Option<Usage> {
    let mut found = Usage::default();
    let (mut answer, mut tool_use) = (0u64, 0u64);
    let mut cached = Modalities::default();
    let mut read = Modalities::default();
    for (key, value) in &usage.as_object()?.members {
        match known(key, &NAMES) {
            "promptTokenCount" => found.input_total = number(value),
            "toolUsePromptTokenCount" => tool_use = number(value),
            "candidatesTokenCount" => answer = number(value),
            "thoughtsTokenCount" => found.reasoning = number(value),
            "cachedContentTokenCount" => found.cache_read = number(value),
            "promptTokensDetails" | "toolUsePromptTokensDetails" => read.add(value),
            "cacheTokensDetails" => cached.add(value),
            "candidatesTokensDetails" => {
                let mut said = Modalities::default();
                said.add(value);
                (found.audio_out, found.image_out) = (said.audio, said.image);
            }
            _ => {}
        }
    }
    found.input_total = found.input_total.saturating_add(tool_use);
    found.output_total = answer.saturating_add(found.reasoning);
    // What was cached is counted there.
    found.audio_in = read.audio.saturating_sub(cached.audio);
    found.image_in = read.image.saturating_sub(cached.image);
    found.video_in = read.video.saturating_sub(cached.video);
    (found != Usage::default()).then_some(found)
}

const NAMES: [&str; 10] = [
    "promptTokenCount",
    "candidatesTokenCount",
    "totalTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
    "toolUsePromptTokenCount",
    "promptTokensDetails",
    "candidatesTokensDetails",
    "cacheTokensDetails",
    "toolUsePromptTokensDetails",
];

fn number(value: &Value<'_>) -> u64 {
    count(value).unwrap_or(0)
}

/// Tokens by what they stand for, text left out.
#[derive(Default)]
struct Modalities {
    audio: u64,
    image: u64,
    video: u64,
}

impl Modalities {
    fn add(&mut self, details: &Value<'_>) {
        for entry in details.as_array().unwrap_or_default() {
            let kind = get(entry, "modality").and_then(Value::as_text);
            let total = match kind.as_deref() {
                Some("AUDIO") => &mut self.audio,
                Some("IMAGE") => &mut self.image,
                Some("VIDEO") => &mut self.video,
                Some(_) | None => continue,
            };
            *total = total.saturating_add(get(entry, "tokenCount").map_or(0, number));
        }
    }
}

/// The parts come to the total, also where a vendor counts more reasoning than output.
pub fn write(json: &mut Json<'_>, usage: &Usage) {
    let thoughts = usage.reasoning.min(usage.output_total);
    let spoken = usage.output_total - thoughts;
    json.object(|json| {
        json.key("promptTokenCount").uint(usage.input_total);
        json.key("candidatesTokenCount").uint(spoken);
        json.key("totalTokenCount").uint(usage.input_total.saturating_add(usage.output_total));
        if usage.cache_read > 0 {
            json.key("cachedContentTokenCount").uint(usage.cache_read);
        }
        if thoughts > 0 {
            json.key("thoughtsTokenCount").uint(thoughts);
        }
        let input = [("AUDIO", usage.audio_in), ("IMAGE", usage.image_in), ("VIDEO", usage.video_in)];
        details(json, "promptTokensDetails", usage.input_total, &input);
        details(json, "candidatesTokensDetails", spoken, &[("AUDIO", usage.audio_out), ("IMAGE", usage.image_out)]);
    });
}

fn details(json: &mut Json<'_>, name: &str, total: u64, kinds: &[(&str, u64)]) {
    let other = kinds.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
    if other == 0 {
        return;
    }
    json.key(name).array(|json| {
        for (kind, count) in [("TEXT", total.saturating_sub(other))].iter().chain(kinds).filter(|(_, count)| *count > 0)
        {
            json.object(|json| {
                json.key("modality").text(kind);
                json.key("tokenCount").uint(*count);
            });
        }
    });
}
