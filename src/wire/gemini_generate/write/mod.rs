//! Writes a canonical request as Gemini generateContent. What cannot be said is a loss or a refusal, never silence.

mod config;
mod contents;
mod pieces;
mod results;
mod thinking;
mod tools;

use super::fields::said_in;
use crate::wire::Protocol;
use crate::wire::ir::{Feature, Losses, Quirk, Refusal, Request, Target, Undo, leave_out};
use crate::wire::json::{Json, Str, Value};

/// Most labels that Vertex takes.
const LABELS_MAX: usize = 64;

/// The body for an upstream, and what its answer must undo.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(Vec<u8>, Undo), Refusal> {
    let mut undo = Undo::default();
    let mut out = Vec::new();
    let members = plan(request, target, losses, &mut undo)?;
    Json::new(&mut out).object(|json| members.write(json));
    Ok((out, undo))
}

/// The members of a body, all decided.
pub(super) struct Members<'r> {
    contents: contents::Contents<'r>,
    tools: tools::Tools<'r>,
    config: Vec<u8>,
    tier: Option<Str<'r>>,
    labels: Option<Value<'r>>,
    extra: &'r [crate::wire::ir::Extra<'r>],
}

pub(super) fn plan<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    losses: &mut Losses,
    undo: &mut Undo,
) -> Result<Members<'r>, Refusal> {
    // Model and stream stand in the path; what decides on the rest is below.
    let Request {
        protocol,
        model: _,
        stream: _,
        turns: _,
        tools: _,
        tool_choice: _,
        parallel_calls: _,
        output_tokens_max: _,
        format: _,
        stop: _,
        choices: _,
        temperature: _,
        top_p: _,
        top_k: _,
        presence_penalty: _,
        frequency_penalty: _,
        seed: _,
        logprobs: _,
        top_logprobs: _,
        verbosity,
        reasoning: _,
        service_tier: _,
        user: _,
        safety_identifier: _,
        metadata: _,
        prompt_cache_key,
        audio_out: _,
        image_out: _,
        cache_all,
        extra,
    } = request;
    leave_out(extra, Protocol::GeminiGenerate, losses)?;
    let native = *protocol == Protocol::GeminiGenerate;
    if verbosity.is_some() {
        losses.dropped(Feature::Verbosity);
    }
    if prompt_cache_key.is_some() {
        losses.dropped(Feature::PromptCacheKey);
    }
    if cache_all.is_some() {
        losses.dropped(Feature::CacheControl);
    }
    let tools = tools::plan(request, target, losses, undo)?;
    let contents = contents::plan(request, target, losses)?;
    let config = config::write(request, target, losses, undo)?;
    let tier = tier(request, losses);
    let labels = if native { request.metadata.clone() } else { labels(request, target, losses) };
    Ok(Members { contents, tools, config, tier, labels, extra })
}

impl Members<'_> {
    /// What is told to the model, and so counts: all that Vertex takes where tokens are counted.
    pub(super) fn write_counted(&self, json: &mut Json<'_>) {
        self.contents.write(json);
        self.tools.write(json);
        if self.config.len() > 2 {
            json.key("generationConfig").raw(std::str::from_utf8(&self.config).unwrap_or("{}"));
        }
    }

    pub(super) fn write(&self, json: &mut Json<'_>) {
        self.write_counted(json);
        self.tools.write_config(json, self.extra);
        if let Some(tier) = &self.tier {
            json.key("serviceTier").str(tier);
        }
        if let Some(labels) = &self.labels {
            json.key("labels").value(labels);
        }
        for extra in said_in(self.extra, "") {
            json.key_of(&extra.name).value(&extra.value);
        }
    }
}

fn tier<'r>(request: &'r Request<'_>, losses: &mut Losses) -> Option<Str<'r>> {
    let tier = request.service_tier.as_ref()?;
    if request.protocol == Protocol::GeminiGenerate {
        return Some(tier.borrowed());
    }
    match tier.decode().as_ref() {
        "auto" => None,
        "default" | "standard_only" | "standard" => Some(Str::plain("STANDARD")),
        "flex" => Some(Str::plain("FLEX")),
        "priority" => Some(Str::plain("PRIORITY")),
        _ => {
            losses.dropped(Feature::ServiceTier);
            None
        }
    }
}

/// Vertex takes labels; their keys and values are short and in lower case, so others are dropped.
fn labels<'r>(request: &'r Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Option<Value<'r>> {
    let vertex = target.quirks.has(Quirk::Vertex);
    let mut labels = crate::wire::json::Object::default();
    let fits = |text: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        text.len() <= 63 && text.bytes().all(allowed)
    };
    for (key, value) in request.metadata.iter().filter_map(Value::as_object).flat_map(|object| &object.members) {
        let name = key.decode();
        match value.as_text() {
            Some(text)
                if vertex && fits(&text) && fits(&name) && name.starts_with(|c: char| c.is_ascii_lowercase()) =>
            {
                labels.set(key.borrowed(), Value::String(Str::plain(text.into_owned())));
            }
            _ => losses.dropped(Feature::Metadata),
        }
    }
    let people = [
        ("user", &request.user, Feature::User),
        ("safety_identifier", &request.safety_identifier, Feature::SafetyIdentifier),
    ];
    for (key, value, feature) in people {
        match value.as_ref().map(Str::decode) {
            Some(text) if vertex && labels.members.len() < LABELS_MAX && fits(&text) => {
                labels.set(key, Value::text(text.into_owned()))
            }
            Some(_) => losses.dropped(feature),
            None => {}
        }
    }
    (!labels.is_empty()).then_some(Value::Object(labels))
}
