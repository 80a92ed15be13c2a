//! Decides the plain options of a Responses request: limits, sampling, reasoning, identity. Writes nothing.

use std::borrow::Cow;

use crate::wire::Protocol;
use crate::wire::ir::{
    Effort, Feature, Losses, ReasoningMode, ReasoningStyle, ReasoningWish, Refusal, Request, Target, fitted_id,
};
use crate::wire::json::Str;

const OURS: Protocol = Protocol::OpenAiResponses;
const OUTPUT_TOKENS_MIN: u64 = 16;
const TOP_LOGPROBS_MAX: u64 = 20;
/// Longest `user`, `safety_identifier` and `prompt_cache_key`.
const NAME_CHARS_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Options<'r> {
    pub output_tokens_max: Option<u64>,
    pub numbers: Vec<(&'static str, Cow<'r, str>)>,
    pub texts: Vec<(&'static str, Cow<'r, str>)>,
    pub reasoning: Option<ReasoningOut>,
    pub include_state: bool,
    pub include_logprobs: bool,
}

#[derive(Default)]
pub(super) struct ReasoningOut {
    pub effort: Option<&'static str>,
    pub summary: Option<String>,
}

/// Looks at every field of the request that is neither a turn nor a tool.
pub(super) fn options<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Options<'r>, Refusal> {
    let Request {
        protocol,
        model: _,
        stream: _,
        turns: _,
        tools: _,
        tool_choice: _,
        parallel_calls: _,
        output_tokens_max,
        format: _,
        stop: _,
        choices,
        temperature,
        top_p,
        top_k,
        presence_penalty,
        frequency_penalty,
        seed,
        logprobs,
        top_logprobs,
        verbosity: _,
        reasoning,
        service_tier,
        user,
        safety_identifier,
        metadata: _,
        prompt_cache_key,
        audio_out,
        image_out: _,
        cache_all,
        extra: _,
    } = request;
    let own = *protocol == OURS;
    if choices.is_some_and(|choices| choices > 1) {
        let message = "this model's upstream gives one answer a call: leave it out or ask several times";
        return Err(Refusal::new(Feature::Choices.param(*protocol), message));
    }
    if audio_out.is_some() {
        let message = "this model's upstream cannot answer with sound: leave it out";
        return Err(Refusal::new(Feature::AudioOut.param(*protocol), message));
    }
    let mut options = Options {
        output_tokens_max: output_limit(*output_tokens_max, target, own, losses),
        reasoning: if own { said_again(reasoning.as_ref()) } else { reasoned(request, target, losses) },
        include_state: target.reasoning != ReasoningStyle::Never,
        include_logprobs: *logprobs == Some(true),
        ..Options::default()
    };
    for (name, number, feature) in [("temperature", temperature, Feature::Temperature), ("top_p", top_p, Feature::TopP)]
    {
        match number {
            Some(number) if target.sampling || own => options.numbers.push((name, Cow::Borrowed(number))),
            Some(_) => losses.dropped(feature),
            None => {}
        }
    }
    for (name, number, feature) in [
        ("presence_penalty", presence_penalty, Feature::PresencePenalty),
        ("frequency_penalty", frequency_penalty, Feature::FrequencyPenalty),
    ] {
        match number {
            Some(number) if own => options.numbers.push((name, Cow::Borrowed(number))),
            Some(_) => losses.dropped(feature),
            None => {}
        }
    }
    for (number, feature) in [(top_k, Feature::TopK), (seed, Feature::Seed)] {
        if number.is_some() {
            losses.dropped(feature);
        }
    }
    if let Some(count) = top_logprobs {
        if *count > TOP_LOGPROBS_MAX && !own {
            losses.clamped(Feature::Logprobs);
        }
        let count = if own { *count } else { (*count).min(TOP_LOGPROBS_MAX) };
        options.numbers.push(("top_logprobs", Cow::Owned(count.to_string())));
    }
    if cache_all.as_ref().is_some_and(|mark| mark.ttl.is_some()) {
        // Without a lifetime it asks for what these upstreams do by themselves.
        losses.approximated(Feature::CacheControl);
    }
    identity(&mut options, [service_tier, user, safety_identifier, prompt_cache_key], own, losses);
    Ok(options)
}

fn output_limit(asked: Option<u64>, target: &Target<'_>, own: bool, losses: &mut Losses) -> Option<u64> {
    let ceiling = Some(target.output_max).filter(|max| *max > 0 && !own);
    let held = target.output_limit;
    let most = [ceiling.filter(|_| asked.is_some()), held].into_iter().flatten().min();
    let wanted = match (asked, most) {
        (Some(asked), Some(most)) => asked.min(most),
        (Some(limit), None) | (None, Some(limit)) => limit,
        (None, None) => return None,
    };
    let limit = if own { wanted } else { wanted.max(OUTPUT_TOKENS_MIN) };
    if asked.is_some_and(|asked| asked != limit) {
        losses.clamped(Feature::OutputLimit);
    }
    Some(limit)
}

fn identity<'r>(
    options: &mut Options<'r>,
    [tier, user, safety, cache_key]: [&'r Option<Str<'r>>; 4],
    own: bool,
    losses: &mut Losses,
) {
    if let Some(word) = tier {
        match if own { Some(word.decode()) } else { service_tier(&word.decode()).map(Cow::Borrowed) } {
            Some(tier) => options.texts.push(("service_tier", tier)),
            None => losses.dropped(Feature::ServiceTier),
        }
    }
    for (name, text) in [("user", user), ("safety_identifier", safety), ("prompt_cache_key", cache_key)] {
        let Some(text) = text else { continue };
        let text = text.decode();
        let fits = own || text.chars().count() <= NAME_CHARS_MAX;
        let text = if fits { text } else { Cow::Owned(fitted_id(&text, |_| false).into_owned()) };
        options.texts.push((name, text));
    }
}

/// The tier of any protocol in this one's words.
pub(super) fn service_tier(word: &str) -> Option<&'static str> {
    Some(match word {
        "auto" => "auto",
        "default" | "standard_only" | "STANDARD" | "standard" | "on_demand" => "default",
        "flex" | "FLEX" => "flex",
        "priority" | "PRIORITY" => "priority",
        "scale" => "scale",
        "fast" => "fast",
        _ => return None,
    })
}

fn said_again(wish: Option<&ReasoningWish<'_>>) -> Option<ReasoningOut> {
    let wish = wish?;
    let summary = wish.display.as_ref().map(|display| display.decode().into_owned());
    Some(ReasoningOut { effort: wish.effort.map(effort_word), summary })
}

/// How a wish of another protocol is said, as far as the model can think.
fn reasoned(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Option<ReasoningOut> {
    let ReasoningWish { mode, effort, budget, show, display } = request.reasoning.as_ref()?;
    let wanted = match (effort, mode, budget) {
        (_, Some(ReasoningMode::Disabled), _) => Some(Effort::None),
        (Some(effort), _, _) => Some(*effort),
        (None, _, Some(budget)) => {
            let effort = of_budget(*budget);
            if effort.is_some_and(|effort| effort != Effort::None) {
                losses.approximated(Feature::Reasoning);
            }
            effort
        }
        (None, Some(ReasoningMode::Enabled | ReasoningMode::Adaptive) | None, None) => None,
    };
    let effort = match target.reasoning {
        ReasoningStyle::Never => {
            // Not to think is what it does.
            if wanted != Some(Effort::None) {
                losses.dropped(Feature::Reasoning);
            }
            return None;
        }
        ReasoningStyle::Unknown | ReasoningStyle::Budget { .. } => wanted,
        ReasoningStyle::Effort { off: true, .. } if wanted == Some(Effort::None) => wanted,
        ReasoningStyle::Effort { efforts, .. } => {
            let nearest = wanted.and_then(|wanted| efforts.nearest(wanted));
            if nearest != wanted {
                losses.approximated(Feature::Reasoning);
            }
            nearest
        }
    };
    // Chat has no word for it: who asks for thinking there gets to see it.
    let asked = matches!(mode, Some(ReasoningMode::Enabled | ReasoningMode::Adaptive));
    let shown = show.unwrap_or(asked || request.protocol == Protocol::OpenAiChat);
    let summary = shown.then(|| match display.as_ref().map(Str::decode).as_deref() {
        Some(word @ ("concise" | "detailed")) => word.to_owned(),
        _ => "auto".to_owned(),
    });
    let summary = summary.filter(|_| effort != Some(Effort::None));
    (effort.is_some() || summary.is_some()).then(|| ReasoningOut { effort: effort.map(effort_word), summary })
}

/// Tokens as effort; `None` where the model is to decide.
fn of_budget(budget: i64) -> Option<Effort> {
    match budget {
        ..0 => None,
        0 => Some(Effort::None),
        1..=512 => Some(Effort::Minimal),
        513..=1024 => Some(Effort::Low),
        1025..=8192 => Some(Effort::Medium),
        8193..=24576 => Some(Effort::High),
        _ => Some(Effort::Xhigh),
    }
}

const fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Xhigh => "xhigh",
        Effort::Max => "max",
    }
}
