//! Reads the `usage` object of a chat answer into the normal form.
//!
//! Source: section 6 of the protocol notes, checked against recordings of thirty vendors.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::Usage;
use crate::wire::usage::count_of;

/// The counts of a `usage` object; `None` where it holds none (`{}`, or no object at all).
///
/// Details stand inside the totals. `total_tokens` shows what a vendor left out of its parts: reasoning (xAI), hidden
/// thoughts (Gemini) or audio (Mistral's Voxtral); see `gap`. Numbers may come as text or with a fraction.
pub fn read_usage(json: &[u8]) -> Option<Usage> {
    let mut raw = Raw::default();
    let mut cache_read = None;
    let mut see_cached = |count: Option<u64>| cache_read = cache_read.max(count);
    Fields::read(json, |name, value| match name {
        "prompt_tokens" => raw.prompt = count(value),
        "completion_tokens" => raw.completion = count(value),
        "total_tokens" => raw.total = count(value),
        "prompt_audio_seconds" => raw.audio_seconds = count(value),
        // DeepSeek; Moonshot and Hugging Face; Mistral. Some report the same count under two names.
        "prompt_cache_hit_tokens" | "cached_tokens" | "num_cached_tokens" => see_cached(count(value)),
        "prompt_tokens_details" => raw.input = Details::read(value),
        "completion_tokens_details" => raw.output = Details::read(value),
        _ => {}
    })?;
    raw.prompt.or(raw.completion).or(raw.total)?;
    let mut usage = Usage {
        input_total: raw.prompt.unwrap_or(0),
        output_total: raw.completion.unwrap_or(0),
        cache_read: Some(raw.input.cached).filter(|count| *count > 0).or(cache_read).unwrap_or(0),
        // The only lifetime that this protocol can ask for.
        cache_write_30m: raw.input.cache_write,
        audio_in: raw.input.audio,
        image_in: raw.input.image,
        video_in: raw.input.video,
        reasoning: raw.output.reasoning,
        audio_out: raw.output.audio,
        image_out: raw.output.image,
        ..Usage::default()
    };
    let audio_sent = usage.audio_in > 0 || raw.audio_seconds.unwrap_or(0) > 0;
    let parts = usage.input_total.saturating_add(usage.output_total);
    let gap = raw.total.unwrap_or(0).saturating_sub(parts);
    close_gap(&mut usage, gap, audio_sent);
    Some(usage)
}

/// A `usage` object as it came.
#[derive(Default)]
struct Raw {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    audio_seconds: Option<u64>,
    input: Details,
    output: Details,
}

/// What `prompt_tokens_details` and `completion_tokens_details` can hold; absent counts are zero.
#[derive(Default)]
struct Details {
    cached: u64,
    cache_write: u64,
    audio: u64,
    image: u64,
    video: u64,
    reasoning: u64,
}

impl Details {
    /// Details that are no object hold nothing.
    fn read(value: &str) -> Details {
        let mut details = Details::default();
        let object = Fields::read(value.as_bytes(), |name, value| {
            let field = match name {
                "cached_tokens" => &mut details.cached,
                "cache_write_tokens" => &mut details.cache_write,
                "audio_tokens" => &mut details.audio,
                "image_tokens" => &mut details.image,
                "video_tokens" => &mut details.video,
                "reasoning_tokens" => &mut details.reasoning,
                _ => return,
            };
            *field = count(value).unwrap_or(0);
        });
        object.map_or_else(Details::default, |()| details)
    }
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

/// A count, which some write as a text.
fn count(value: &str) -> Option<u64> {
    count_of(value.trim_matches('"'))
}

/// Shows the fields of an object, names read and values as they stand; nothing is kept. Of equal names all are shown.
struct Fields<F>(F);

impl<F: FnMut(&str, &str)> Fields<F> {
    /// `None` where it is no object.
    fn read(json: &[u8], each: F) -> Option<()> {
        let mut json = serde_json::Deserializer::from_slice(json);
        json.deserialize_map(Fields(each)).and_then(|()| json.end()).ok()
    }
}

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = map.next_entry::<Name<'_>, &RawValue>()? {
            (self.0)(&name, value.get());
        }
        Ok(())
    }
}

/// A name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether an upstream counted nothing.
pub fn is_zero(usage: &Usage) -> bool {
    usage.input_total == 0 && usage.output_total == 0
}
