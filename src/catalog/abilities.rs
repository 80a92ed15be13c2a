//! What a channel's model can be told and shown, and what its provider does differently from the protocol it speaks. Must never
//! know what is asked of them.

use super::fields::Fields;
use super::node::{Node, Value};
use super::problem::{Problems, Way, suggestion};
use crate::wire::ir::{Effort, Efforts, Quirk, Quirks, ReasoningStyle};

const BUDGET_TOKENS_MAX: u64 = 100_000_000;
const EFFORTS: [(&str, Effort); 6] = [
    ("minimal", Effort::Minimal),
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
    ("xhigh", Effort::Xhigh),
    ("max", Effort::Max),
];

/// A model's abilities, or a channel's where it has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    pub reasoning: ReasoningStyle,
    /// `temperature`, `top_p`, `top_k` and penalties are taken.
    pub sampling: bool,
    /// Images are taken.
    pub vision: bool,
}

impl Abilities {
    /// Of a model: `reasoning`, `sampling` and its input media. What is not said is not refused.
    pub fn of_model(fields: &Fields<'_>, images: Option<bool>, output_max: u64, problems: &mut Problems) -> Abilities {
        Abilities {
            reasoning: read_reasoning(fields, output_max, problems).unwrap_or(ReasoningStyle::Unknown),
            sampling: read_sampling(fields, problems).unwrap_or(true),
            vision: images.unwrap_or(true),
        }
    }

    /// With what a channel says of itself.
    pub fn of_channel(self, fields: &Fields<'_>, output_max: u64, problems: &mut Problems) -> Abilities {
        Abilities {
            reasoning: read_reasoning(fields, output_max, problems).unwrap_or(self.reasoning),
            sampling: read_sampling(fields, problems).unwrap_or(self.sampling),
            vision: fields.boolean("vision", self.vision, problems),
        }
    }
}

fn read_sampling(fields: &Fields<'_>, problems: &mut Problems) -> Option<bool> {
    fields.word("sampling", &["taken", "refused"], problems).map(|word| word == "taken")
}

/// `never`, `unknown`, `{effort: [low, high], off: true}` or `{budget: {min, max}, off: true}`.
fn read_reasoning(fields: &Fields<'_>, output_max: u64, problems: &mut Problems) -> Option<ReasoningStyle> {
    let node = fields.get("reasoning")?;
    if let Value::Text(_) = &node.value {
        return match fields.word("reasoning", &["never", "unknown"], problems)? {
            "never" => Some(ReasoningStyle::Never),
            _ => Some(ReasoningStyle::Unknown),
        };
    }
    let way = Way::Field(fields.way, "reasoning");
    let style = Fields::open(node, &way, &["effort", "budget", "off"], problems)?;
    let off = style.boolean("off", false, problems);
    match (style.get("effort"), style.get("budget")) {
        (Some(_), None) => Some(ReasoningStyle::Effort { efforts: read_efforts(&style, problems)?, off }),
        (None, Some(budget)) => read_budget(budget, &Way::Field(&way, "budget"), output_max, off, problems),
        (Some(_), Some(_)) | (None, None) => {
            problems.add(node.place, &way, "expected either `effort` or `budget`");
            None
        }
    }
}

fn read_efforts(style: &Fields<'_>, problems: &mut Problems) -> Option<Efforts> {
    let way = Way::Field(style.way, "effort");
    let mut efforts = Vec::new();
    let words = style.texts("effort", problems);
    for (at, (place, word)) in words.iter().enumerate() {
        if let Some((_, effort)) = EFFORTS.iter().find(|(known, _)| known == word) {
            efforts.push(*effort);
            continue;
        }
        let way = Way::Item(&way, at);
        if *word == "none" {
            problems.add(*place, &way, "\"none\" is said as `off: true` beside `effort`");
        } else {
            let list = EFFORTS.map(|(known, _)| known).join(", ");
            problems.add(*place, &way, format_args!("expected one of {list}, got {word:?}"));
        }
    }
    if words.is_empty() {
        style.problem("effort", problems, "expected a list of at least one effort");
    }
    (!efforts.is_empty()).then(|| Efforts::of(&efforts))
}

/// Bounds that are not given are 1 and the model's output limit.
fn read_budget(
    node: &Node,
    way: &Way<'_>,
    output_max: u64,
    off: bool,
    problems: &mut Problems,
) -> Option<ReasoningStyle> {
    let budget = Fields::open(node, way, &["min", "max"], problems)?;
    let bound = |name, default, problems: &mut Problems| {
        let tokens = budget.integer(name, 1..=BUDGET_TOKENS_MAX, problems).unwrap_or(default);
        u32::try_from(tokens.min(BUDGET_TOKENS_MAX)).expect("checked against BUDGET_TOKENS_MAX")
    };
    let (min, max) = (bound("min", 1, problems), bound("max", output_max.max(1), problems));
    if min > max {
        budget.problem("min", problems, format_args!("{min} is more than the most, {max}"));
        return None;
    }
    Some(ReasoningStyle::Budget { min, max, off })
}

/// The names under `quirks`.
pub fn read_quirks(fields: &Fields<'_>, problems: &mut Problems) -> Quirks {
    let way = Way::Field(fields.way, "quirks");
    let mut quirks = Quirks::NONE;
    for (at, (place, name)) in fields.texts("quirks", problems).into_iter().enumerate() {
        match Quirk::parse(name) {
            Some(quirk) => quirks = quirks.with(quirk),
            None => {
                let hint = suggestion(name, Quirk::ALL.iter().map(|(_, known)| *known));
                problems.add(place, &Way::Item(&way, at), format_args!("{name:?} is not a quirk{hint}"));
            }
        }
    }
    quirks
}

/// For people: `max_tokens, top_k`.
pub fn show_quirks(quirks: Quirks) -> String {
    let names: Vec<&str> = Quirk::ALL.iter().filter(|(quirk, _)| quirks.has(*quirk)).map(|(_, name)| *name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// For people: `effort`, `budget 1024 to 64000`.
pub fn show_reasoning(style: ReasoningStyle) -> String {
    let ending = |off| if off { " or off" } else { "" };
    match style {
        ReasoningStyle::Never => "never".to_owned(),
        ReasoningStyle::Unknown => "unknown".to_owned(),
        ReasoningStyle::Effort { efforts, off } => {
            let names: Vec<&str> = EFFORTS.iter().filter(|(_, e)| efforts.has(*e)).map(|(name, _)| *name).collect();
            format!("effort {}{}", names.join(", "), ending(off))
        }
        ReasoningStyle::Budget { min, max, off } => format!("budget {min} to {max}{}", ending(off)),
    }
}
