//! Decides how hard an Anthropic model is told to think, and how much it may say in all. Must never know how it is written.

use super::arrange::{Message, Prompt, Speaker, What};
use crate::wire::Protocol;
use crate::wire::ir::{Effort, Efforts, Feature, Losses, ReasoningMode, ReasoningStyle, Request, Target};
use crate::wire::json::Str;

/// The least budget that the API takes.
const BUDGET_MIN: u64 = 1024;
/// The greatest that any model takes.
const BUDGET_MAX: u64 = 128_000;
/// For models whose ceiling is not known, where the client names no limit.
const OUTPUT_TOKENS: u64 = 4096;

/// What is sent of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan<'r> {
    pub max_tokens: u64,
    pub thinking: Option<Thinking>,
    pub display: Option<Str<'r>>,
    pub effort: Option<&'static str>,
    pub choice: Forcing,
}

/// What may be made of a choice that forces a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forcing {
    AsAsked,
    /// Some tool may be forced, but none by its name.
    ByAny,
    /// None may be forced.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    Enabled { budget: u64 },
    Adaptive,
    Disabled,
}

impl Plan<'_> {
    pub fn thinks(&self) -> bool {
        matches!(self.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive))
    }
}

/// What the client wishes, apart from whose words it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    Off,
    /// To be thorough, whether it thinks or not.
    EffortAlone(Effort),
    On {
        effort: Option<Effort>,
        budget: Option<u64>,
    },
}

/// `asked`: how the tool choice forces a call.
pub(super) fn plan<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    prompt: &Prompt<'_>,
    asked: Forced,
    losses: &mut Losses,
) -> Plan<'r> {
    let wish = wish_of(request);
    let mut limit = Limit::of(request, target, losses);
    let (mut thinking, effort) = told(wish, target.reasoning, losses);
    let choice = if request.protocol == Protocol::AnthropicMessages {
        Forcing::AsAsked
    } else {
        forcing(asked, &mut thinking, target.reasoning, losses)
    };
    if let Some(Thinking::Enabled { budget }) = thinking {
        let fitted = if lacks_thinking(prompt) { None } else { limit.fit(budget, request, losses) };
        if fitted.is_none() {
            losses.dropped(Feature::Reasoning);
        }
        thinking = fitted.map(|budget| Thinking::Enabled { budget });
    }
    let mut plan = Plan { max_tokens: limit.max_tokens, thinking, display: None, effort: effort.map(word), choice };
    plan.display = display(request, &plan);
    plan
}

/// The conversation stops amid calls and results, and the assistant's turn that they belong to does not begin with thinking:
/// with a budget of thinking such a turn is refused.
fn lacks_thinking(prompt: &Prompt<'_>) -> bool {
    let results_only = |message: &Message<'_>| message.blocks.iter().all(|it| matches!(it.what, What::Result { .. }));
    let calls = |message: &Message<'_>| message.blocks.iter().any(|it| matches!(it.what, What::Call { .. }));
    let mut first = None;
    for message in prompt.messages.iter().rev() {
        match message.speaker {
            Speaker::User if results_only(message) => {}
            Speaker::Assistant if calls(message) => first = message.blocks.first(),
            Speaker::User | Speaker::Assistant | Speaker::System => break,
        }
    }
    first.is_some_and(|block| !matches!(block.what, What::Thinking { .. } | What::Redacted { .. }))
}

fn wish_of(request: &Request<'_>) -> Wish {
    let Some(wish) = &request.reasoning else { return Wish::Nothing };
    let effort = wish.effort;
    let budget = wish.budget.and_then(|budget| u64::try_from(budget).ok());
    match (wish.mode, effort, wish.budget) {
        (Some(ReasoningMode::Disabled), ..) | (None, Some(Effort::None), _) | (None, None, Some(0)) => Wish::Off,
        (Some(ReasoningMode::Enabled | ReasoningMode::Adaptive), ..) => Wish::On { effort, budget },
        (None, Some(effort), None) if request.protocol == Protocol::AnthropicMessages => Wish::EffortAlone(effort),
        (None, Some(_), _) | (None, None, Some(_)) => Wish::On { effort, budget },
        (None, None, None) => Wish::Nothing,
    }
}

/// How a tool choice forces a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forced {
    Not,
    Any,
    Named,
}

/// A budget of thinking excludes every forced call, and so does a model that always thinks, asked or not. One that decides for
/// itself takes `any` (recorded with two models), but no name.
fn forcing(asked: Forced, thinking: &mut Option<Thinking>, style: ReasoningStyle, losses: &mut Losses) -> Forcing {
    let always = matches!(style, ReasoningStyle::Effort { off: false, .. });
    match (asked, *thinking) {
        (Forced::Any | Forced::Named, _) if always => {
            losses.approximated(Feature::ToolChoice);
            Forcing::Never
        }
        (Forced::Not, _) | (_, None | Some(Thinking::Disabled)) | (Forced::Any, Some(Thinking::Adaptive)) => {
            Forcing::AsAsked
        }
        (Forced::Named, Some(Thinking::Adaptive)) => {
            losses.approximated(Feature::ToolChoice);
            Forcing::ByAny
        }
        // The form of the answer matters more to a program than the thought before it.
        (Forced::Any | Forced::Named, Some(Thinking::Enabled { .. })) if can_be_off(style) => {
            losses.dropped(Feature::Reasoning);
            *thinking = None;
            Forcing::AsAsked
        }
        (Forced::Any | Forced::Named, Some(Thinking::Enabled { .. })) => {
            losses.approximated(Feature::ToolChoice);
            Forcing::Never
        }
    }
}

fn can_be_off(style: ReasoningStyle) -> bool {
    match style {
        ReasoningStyle::Effort { off, .. } | ReasoningStyle::Budget { off, .. } => off,
        ReasoningStyle::Never | ReasoningStyle::Unknown => true,
    }
}

/// The wish in the words that the model knows.
fn told(wish: Wish, style: ReasoningStyle, losses: &mut Losses) -> (Option<Thinking>, Option<Effort>) {
    match style {
        ReasoningStyle::Never => {
            if matches!(wish, Wish::On { .. } | Wish::EffortAlone(_)) {
                losses.dropped(Feature::Reasoning);
            }
            (None, None)
        }
        ReasoningStyle::Effort { efforts, off } => by_effort(wish, efforts, off, losses),
        ReasoningStyle::Budget { min, max, off } => {
            let range = (u64::from(min).max(BUDGET_MIN), u64::from(max).clamp(BUDGET_MIN, BUDGET_MAX));
            (by_budget(wish, range, off, losses), None)
        }
        ReasoningStyle::Unknown => match wish {
            Wish::Nothing => (None, None),
            Wish::Off => (Some(Thinking::Disabled), None),
            Wish::EffortAlone(effort) => (None, Some(effort)),
            Wish::On { effort, budget: Some(budget) } => (Some(Thinking::Enabled { budget }), effort),
            Wish::On { effort, budget: None } => (Some(Thinking::Adaptive), effort),
        },
    }
}

fn by_effort(wish: Wish, efforts: Efforts, off: bool, losses: &mut Losses) -> (Option<Thinking>, Option<Effort>) {
    let mut nearest = |effort: Effort| {
        let taken = efforts.nearest(effort);
        if taken != Some(effort) {
            losses.clamped(Feature::Reasoning);
        }
        taken
    };
    match wish {
        Wish::Nothing => (None, None),
        Wish::Off if off => (Some(Thinking::Disabled), None),
        // The least that it can.
        Wish::Off => (Some(Thinking::Adaptive), nearest(Effort::None)),
        Wish::EffortAlone(effort) => (None, nearest(effort)),
        Wish::On { effort: Some(effort), .. } => (Some(Thinking::Adaptive), nearest(effort)),
        Wish::On { effort: None, budget: Some(budget) } => {
            let effort = effort_of(budget);
            let taken = nearest(effort);
            losses.approximated(Feature::Reasoning);
            (Some(Thinking::Adaptive), taken)
        }
        Wish::On { effort: None, budget: None } => (Some(Thinking::Adaptive), None),
    }
}

fn by_budget(wish: Wish, (min, max): (u64, u64), off: bool, losses: &mut Losses) -> Option<Thinking> {
    let budget = match wish {
        Wish::Nothing => return None,
        Wish::EffortAlone(_) => {
            losses.dropped(Feature::Reasoning);
            return None;
        }
        Wish::Off if off => return Some(Thinking::Disabled),
        Wish::Off => 0,
        Wish::On { budget: Some(budget), .. } => budget,
        Wish::On { effort: Some(effort), budget: None } => budget_of(effort),
        // The model would decide, if it could.
        Wish::On { effort: None, budget: None } => budget_of(Effort::Medium),
    };
    let taken = budget.max(min).min(max);
    if taken != budget && budget != u64::MAX {
        losses.clamped(Feature::Reasoning);
    }
    Some(Thinking::Enabled { budget: taken })
}

fn budget_of(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 1024,
        Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High => 24_576,
        Effort::Xhigh => 32_768,
        // As much as there is.
        Effort::Max => u64::MAX,
    }
}

fn effort_of(budget: u64) -> Effort {
    match budget {
        0 => Effort::None,
        1..=512 => Effort::Minimal,
        513..=1024 => Effort::Low,
        1025..=8192 => Effort::Medium,
        8193..=24_576 => Effort::High,
        24_577.. => Effort::Xhigh,
    }
}

fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Xhigh => "xhigh",
        Effort::Max => "max",
    }
}

/// Whether thinking is shown. A chat client has no way to ask, and finds it beside the text with every vendor that shows it.
fn display<'r>(request: &'r Request<'r>, plan: &Plan<'_>) -> Option<Str<'r>> {
    let wish = request.reasoning.as_ref().filter(|_| plan.thinks())?;
    if request.protocol == Protocol::AnthropicMessages {
        return wish.display.as_ref().map(Str::borrowed);
    }
    let show = wish.show.or((request.protocol == Protocol::OpenAiChat).then_some(true));
    match (plan.thinking, show) {
        // With a budget it is shown anyway.
        (Some(Thinking::Adaptive), Some(true)) => Some("summarized".into()),
        (Some(_), Some(false)) => Some("omitted".into()),
        (_, Some(true) | None) | (None, Some(false)) => None,
    }
}

/// The limit of output, which the API wants in every request.
struct Limit {
    max_tokens: u64,
    /// Over which nothing raises it.
    ceiling: u64,
}

impl Limit {
    fn of(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Limit {
        let model = Some(target.output_max).filter(|max| *max > 0);
        let ceiling = model.unwrap_or(u64::MAX).min(target.output_limit.unwrap_or(u64::MAX));
        // Nothing at all means to warm a cache here, and nowhere else.
        let least = u64::from(request.protocol != Protocol::AnthropicMessages);
        let asked = request.output_tokens_max.map(|asked| asked.max(least));
        if asked != request.output_tokens_max || asked.is_some_and(|asked| asked > ceiling) {
            losses.clamped(Feature::OutputLimit);
        }
        let max_tokens = asked.or(model).unwrap_or(OUTPUT_TOKENS).min(ceiling);
        Limit { max_tokens, ceiling }
    }

    /// A budget below the limit. The limit is raised where it was meant for what is seen; else the budget gives way, and a
    /// quarter is left to say something. `None`: there is no room to think.
    fn fit(&mut self, budget: u64, request: &Request<'_>, losses: &mut Losses) -> Option<u64> {
        if budget < self.max_tokens {
            return Some(budget);
        }
        let for_text = request.protocol == Protocol::AnthropicMessages || request.output_tokens_max.is_none();
        if for_text {
            self.max_tokens = self.max_tokens.saturating_add(budget).min(self.ceiling).max(self.max_tokens);
        }
        if budget < self.max_tokens {
            return Some(budget);
        }
        losses.clamped(Feature::Reasoning);
        let room = self.max_tokens - self.max_tokens / 4;
        (self.max_tokens > BUDGET_MIN).then(|| room.max(BUDGET_MIN))
    }
}
