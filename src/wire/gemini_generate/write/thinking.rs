//! How a Gemini model is told to think. Must never say a level and a budget both, which is an error.

use super::config::output_limit;
use crate::wire::Protocol;
use crate::wire::ir::{
    Effort, Efforts, Feature, Losses, ReasoningMode, ReasoningStyle, ReasoningWish, Request, Target,
};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Thinking {
    pub level: Option<&'static str>,
    pub budget: Option<i64>,
    pub show: Option<bool>,
}

/// -1: as much as the model likes.
const DYNAMIC: i64 = -1;

pub fn plan(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Thinking {
    let Some(wish) = &request.reasoning else { return Thinking::default() };
    if request.protocol == Protocol::GeminiGenerate && target.reasoning == ReasoningStyle::Unknown {
        return Thinking { level: wish.effort.map(level), budget: wish.budget, show: wish.show };
    }
    let effort = wanted_effort(wish);
    let mut thinking = match target.reasoning {
        ReasoningStyle::Never => {
            if effort.is_some_and(|effort| effort != Effort::None) || wish.mode == Some(ReasoningMode::Enabled) {
                losses.dropped(Feature::Reasoning);
            }
            return Thinking::default();
        }
        ReasoningStyle::Effort { efforts, off: _ } => by_level(wish, effort, efforts, losses),
        ReasoningStyle::Budget { min, max, off } => {
            let limit = output_limit(request, target).and_then(|limit| i64::try_from(limit).ok());
            by_budget(wish, effort, Range { min, max, off, limit }, losses)
        }
        ReasoningStyle::Unknown => match wish.budget {
            Some(budget) => Thinking { budget: Some(budget), ..Thinking::default() },
            None => by_level(wish, effort, Efforts::of(&LEVELS), losses),
        },
    };
    if thinking.budget != Some(0) {
        thinking.show = shown(request.protocol, wish, effort);
    }
    thinking
}

const LEVELS: [Effort; 4] = [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High];

fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::Xhigh | Effort::Max => "HIGH",
    }
}

/// The effort asked for, out of whatever words. `None`: the model decides.
fn wanted_effort(wish: &ReasoningWish<'_>) -> Option<Effort> {
    if wish.mode == Some(ReasoningMode::Disabled) {
        return Some(Effort::None);
    }
    wish.effort.or(wish.budget.and_then(|budget| match budget {
        ..0 => None,
        0 => Some(Effort::None),
        1..=512 => Some(Effort::Minimal),
        513..=1024 => Some(Effort::Low),
        1025..=8192 => Some(Effort::Medium),
        8193..=24576 => Some(Effort::High),
        24577.. => Some(Effort::Xhigh),
    }))
}

fn by_level(wish: &ReasoningWish<'_>, effort: Option<Effort>, efforts: Efforts, losses: &mut Losses) -> Thinking {
    let Some(effort) = effort else { return Thinking::default() };
    // The catalog may name efforts that GM has no level for.
    let taken = |effort: &Effort| efforts.has(*effort);
    let known: Vec<Effort> = LEVELS.into_iter().filter(taken).collect();
    let known = if known.is_empty() { Efforts::of(&LEVELS) } else { Efforts::of(&known) };
    let said = match effort {
        // It cannot be told not to think: as little as it can.
        Effort::None => known.nearest(Effort::Minimal),
        Effort::Xhigh | Effort::Max => known.nearest(Effort::High),
        other => known.nearest(other),
    };
    if said != Some(effort) {
        losses.clamped(Feature::Reasoning);
    }
    // A level is no number.
    if wish.effort.is_none() && effort != Effort::None {
        losses.approximated(Feature::Reasoning);
    }
    Thinking { level: said.map(level), ..Thinking::default() }
}

struct Range {
    min: u32,
    max: u32,
    off: bool,
    /// The limit of output, against which thoughts count.
    limit: Option<i64>,
}

fn by_budget(wish: &ReasoningWish<'_>, effort: Option<Effort>, range: Range, losses: &mut Losses) -> Thinking {
    let min = i64::from(range.min);
    let max = i64::from(range.max).max(min);
    let wanted = match (wish.budget.filter(|_| effort != Some(Effort::None)), effort) {
        (Some(..0), _) => DYNAMIC,
        (Some(budget), _) => budget,
        (None, Some(Effort::None)) => 0,
        (None, Some(Effort::Minimal)) => 512,
        (None, Some(Effort::Low)) => 1024,
        (None, Some(Effort::Medium)) => 8192,
        (None, Some(Effort::High)) => 24576,
        (None, Some(Effort::Xhigh | Effort::Max)) => max,
        (None, None) if wish.mode.is_some() => DYNAMIC,
        (None, None) => return Thinking::default(),
    };
    let said = match wanted {
        DYNAMIC => DYNAMIC,
        0 if range.off => 0,
        other => within(range.limit, other.clamp(min, max)).max(min),
    };
    // An effort means no least number of its own; one that is cut, or a number that is moved, is a loss.
    if said != wanted && (wish.budget.is_some() || wanted == 0 || said < wanted) {
        losses.clamped(Feature::Reasoning);
    }
    Thinking { budget: Some(said), ..Thinking::default() }
}

/// A budget below the limit; where it is not, a quarter of that is kept to say something.
fn within(limit: Option<i64>, budget: i64) -> i64 {
    match limit {
        Some(limit) if budget >= limit => limit - limit / 4,
        _ => budget,
    }
}

/// Chat clients and Anthropic's see thinking wherever it was asked for, unless they say otherwise.
fn shown(protocol: Protocol, wish: &ReasoningWish<'_>, effort: Option<Effort>) -> Option<bool> {
    match (wish.show, protocol) {
        (Some(true), _) => Some(true),
        (Some(false), Protocol::GeminiGenerate) => Some(false),
        (Some(false), _) | (None, Protocol::GeminiGenerate | Protocol::OpenAiResponses) => None,
        (None, Protocol::OpenAiChat | Protocol::AnthropicMessages) => {
            let wished = effort.is_some() || wish.mode.is_some() || wish.budget.is_some();
            (wished && effort != Some(Effort::None)).then_some(true)
        }
    }
}
