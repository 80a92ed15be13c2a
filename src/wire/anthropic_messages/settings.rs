//! Sampling, stop texts, tier and user as Anthropic takes them. Must never know of the prompt.

use std::borrow::Cow;

use super::said::is_id;
use crate::wire::Protocol;
use crate::wire::ir::{Feature, Losses, Request, Target};
use crate::wire::json::{Json, Str};
use sha2::{Digest, Sha256};

/// Longest id of a user.
const USER_BYTES_MAX: usize = 256;

/// Temperature and its kin: few models take all of them, and none while it thinks.
pub(super) fn write_sampling(
    json: &mut Json<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    thinks: bool,
    losses: &mut Losses,
) {
    let value = |number: &Cow<'_, str>| number.parse::<f64>().unwrap_or(f64::NAN);
    if let Some(temperature) = &request.temperature {
        let is_default = value(temperature) == 1.0;
        match value(temperature) {
            _ if !target.sampling || (thinks && !is_default) => losses.dropped(Feature::Temperature),
            too_high if too_high > 1.0 => {
                losses.clamped(Feature::Temperature);
                json.key("temperature").raw("1");
            }
            too_low if too_low < 0.0 => {
                losses.clamped(Feature::Temperature);
                json.key("temperature").raw("0");
            }
            _ => json.key("temperature").raw(temperature),
        }
    }
    if let Some(top_p) = &request.top_p {
        // Newer models refuse both at a time; the other is the one that clients set on purpose.
        let second = request.temperature.is_some() && request.protocol != Protocol::AnthropicMessages;
        // What is at least 0.95 may stand beside thinking.
        let allowed = target.sampling && !second && !(thinks && value(top_p) < 0.95);
        match allowed {
            true => json.key("top_p").raw(top_p),
            false => losses.dropped(Feature::TopP),
        }
    }
    if let Some(top_k) = &request.top_k {
        match target.sampling && !thinks {
            true if top_k.parse::<u64>().is_ok() => json.key("top_k").raw(top_k),
            // Gemini has it as a number with a point.
            true if value(top_k) >= 0.0 => json.key("top_k").uint(value(top_k) as u64),
            true | false => losses.dropped(Feature::TopK),
        }
    }
}

/// Stop texts; blank ones, which the API refuses, are left for the gateway to cut at.
pub(super) fn write_stop(json: &mut Json<'_>, stop: &[Str<'_>], cut: &mut Vec<String>) {
    let blank = |text: &Str<'_>| text.decode().trim().is_empty();
    cut.extend(stop.iter().filter(|text| !text.is_empty() && blank(text)).map(|text| text.decode().into_owned()));
    if stop.iter().any(|text| !blank(text)) {
        json.key("stop_sequences")
            .array(|json| stop.iter().filter(|text| !blank(text)).for_each(|text| json.str(text)));
    }
}

/// The tier in Anthropic's two words.
pub(super) fn tier<'r>(request: &'r Request<'r>, losses: &mut Losses) -> Option<Str<'r>> {
    let asked = request.service_tier.as_ref()?;
    if request.protocol == Protocol::AnthropicMessages {
        return Some(asked.borrowed());
    }
    match asked.decode().to_ascii_lowercase().as_str() {
        "auto" => Some("auto".into()),
        "default" | "standard" | "standard_only" => Some("standard_only".into()),
        "priority" | "fast" => {
            losses.approximated(Feature::ServiceTier);
            Some("auto".into())
        }
        _ => {
            losses.dropped(Feature::ServiceTier);
            None
        }
    }
}

/// The end user, without personal data: what is no plain id goes as its hash.
pub(super) fn user<'r>(request: &'r Request<'r>, losses: &mut Losses) -> Option<Cow<'r, str>> {
    let Request { user, safety_identifier, .. } = request;
    if user.is_some() && safety_identifier.is_some() {
        losses.dropped(Feature::SafetyIdentifier);
    }
    let id = user.as_ref().or(safety_identifier.as_ref()).filter(|id| !id.is_empty())?.decode();
    if request.protocol == Protocol::AnthropicMessages || (is_id(&id) && id.len() <= USER_BYTES_MAX) {
        return Some(id);
    }
    Some(Cow::Owned(data_encoding::HEXLOWER.encode(&Sha256::digest(id.as_bytes()))))
}
