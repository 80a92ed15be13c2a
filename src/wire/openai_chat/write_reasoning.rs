//! Tells a chat upstream how hard to think, in the words of its vendor. Must never know which model it is.

use super::request_write::Form;
use crate::wire::ir::{Effort, Efforts, Feature, Losses, Quirk, ReasoningMode, ReasoningStyle, ReasoningWish, Target};
use crate::wire::json::Json;

/// The ways in which a client of this protocol may have said it.
const FORMS: [&str; 6] =
    ["reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget", "include_reasoning"];

pub fn write_reasoning(
    json: &mut Json<'_>,
    form: &Form<'_, '_>,
    wish: Option<&ReasoningWish<'_>>,
    target: &Target<'_>,
    losses: &mut Losses,
) {
    // A client of this protocol is understood in its own words.
    if form.own && FORMS.iter().any(|name| form.given(name).is_some()) {
        return;
    }
    let Some(wish) = wish else { return };
    let off = is_off(wish);
    if target.reasoning == ReasoningStyle::Never {
        if !off && (wish.effort.is_some() || wish.budget.is_some() || wish.mode.is_some()) {
            losses.dropped(Feature::Reasoning);
        }
        return;
    }
    if target.quirks.has(Quirk::ReasoningObject) {
        write_object(json, wish, off, target, losses);
    } else if target.quirks.has(Quirk::EnableThinking) {
        write_enabled(json, wish, off, target, losses);
    } else if target.quirks.has(Quirk::ThinkingSwitch) {
        write_switch(json, wish, off, target, losses);
    } else if let Some(effort) = effort_for(wish, target, losses) {
        json.key("reasoning_effort").text(word(effort));
    }
}

fn is_off(wish: &ReasoningWish<'_>) -> bool {
    wish.mode == Some(ReasoningMode::Disabled) || wish.effort == Some(Effort::None) || wish.budget == Some(0)
}

/// Something asks for thinking, however hard.
fn is_on(wish: &ReasoningWish<'_>) -> bool {
    !is_off(wish) && (wish.mode.is_some() || wish.effort.is_some() || wish.budget.is_some())
}

/// OpenRouter's `{effort, max_tokens, enabled, exclude}`.
fn write_object(json: &mut Json<'_>, wish: &ReasoningWish<'_>, off: bool, target: &Target<'_>, losses: &mut Losses) {
    let hidden = wish.show == Some(false);
    if !off && !is_on(wish) && !hidden {
        return;
    }
    json.key("reasoning").object(|json| {
        let tokens = wish.budget.and_then(|budget| u64::try_from(budget).ok());
        match tokens {
            _ if off => json.key("enabled").bool(false),
            Some(tokens) if wish.effort.is_none() => json.key("max_tokens").uint(tokens),
            _ => match wish.effort.and_then(|effort| taken(effort, target, losses)) {
                Some(effort) => json.key("effort").text(word(effort)),
                None if is_on(wish) => json.key("enabled").bool(true),
                None => {}
            },
        }
        if hidden {
            json.key("exclude").bool(true);
        }
    });
}

/// Alibaba's `enable_thinking` and `thinking_budget`.
fn write_enabled(json: &mut Json<'_>, wish: &ReasoningWish<'_>, off: bool, target: &Target<'_>, losses: &mut Losses) {
    if !off && !is_on(wish) {
        return;
    }
    json.key("enable_thinking").bool(!off);
    if off {
        return;
    }
    let asked = wish.budget.and_then(|budget| u64::try_from(budget).ok());
    let Some(budget) = asked.or_else(|| wish.effort.map(|effort| budget_of(effort, target))) else { return };
    let budget = match target.reasoning {
        ReasoningStyle::Budget { min, max, .. } => budget.clamp(min.into(), u64::from(max).max(min.into())),
        ReasoningStyle::Never | ReasoningStyle::Effort { .. } | ReasoningStyle::Unknown => budget,
    };
    if asked.is_some_and(|asked| asked != budget) {
        losses.clamped(Feature::Reasoning);
    }
    json.key("thinking_budget").uint(budget);
}

/// `thinking: {type}`, and an effort where the model knows some.
fn write_switch(json: &mut Json<'_>, wish: &ReasoningWish<'_>, off: bool, target: &Target<'_>, losses: &mut Losses) {
    if !off && !is_on(wish) {
        return;
    }
    json.key("thinking").object(|json| json.key("type").text(if off { "disabled" } else { "enabled" }));
    let graded = !off && (wish.effort.is_some() || wish.budget.is_some_and(|budget| budget > 0));
    if !graded {
        return;
    }
    match target.reasoning {
        ReasoningStyle::Effort { efforts, .. } if efforts != Efforts::default() => {
            if let Some(effort) = effort_for(wish, target, losses) {
                json.key("reasoning_effort").text(word(effort));
            }
        }
        _ => losses.approximated(Feature::Reasoning),
    }
}

/// The effort word to send, if one says the wish.
fn effort_for(wish: &ReasoningWish<'_>, target: &Target<'_>, losses: &mut Losses) -> Option<Effort> {
    if is_off(wish) {
        return taken(Effort::None, target, losses);
    }
    let by_budget = || {
        let effort = effort_of_budget(wish.budget?)?;
        losses.approximated(Feature::Reasoning);
        Some(effort)
    };
    let effort = wish.effort.or_else(by_budget)?;
    taken(effort, target, losses)
}

/// The effort, or the nearest one that the model takes.
fn taken(effort: Effort, target: &Target<'_>, losses: &mut Losses) -> Option<Effort> {
    let ReasoningStyle::Effort { efforts, off } = target.reasoning else { return Some(effort) };
    if efforts == Efforts::default() || (effort == Effort::None && off) {
        return Some(effort);
    }
    let nearest = if effort == Effort::None { efforts.nearest(Effort::Minimal) } else { efforts.nearest(effort) };
    if nearest != Some(effort) {
        losses.approximated(Feature::Reasoning);
    }
    nearest
}

fn effort_of_budget(budget: i64) -> Option<Effort> {
    Some(match budget {
        ..0 => return None,
        0 => Effort::None,
        1..=512 => Effort::Minimal,
        513..=1024 => Effort::Low,
        1025..=8192 => Effort::Medium,
        8193..=24576 => Effort::High,
        _ => Effort::Xhigh,
    })
}

fn budget_of(effort: Effort, target: &Target<'_>) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High => 24576,
        Effort::Xhigh => 32768,
        Effort::Max => match target.reasoning {
            ReasoningStyle::Budget { max, .. } => max.into(),
            ReasoningStyle::Never | ReasoningStyle::Effort { .. } | ReasoningStyle::Unknown => 32768,
        },
    }
}

fn word(effort: Effort) -> &'static str {
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
