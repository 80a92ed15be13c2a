//! Price rows of a model or channel → its rate card. Must never know who is asked for the price.

use std::sync::Arc;

use super::fields::Fields;
use super::node::{Node, Value};
use super::problem::{Problems, Way, suggestion};
use crate::pricing::rates::{SERVICE_TIER, common_divisor, is_default_tier};
use crate::pricing::{Amount, Meter, PriceRow, Rate, RateCard};

const ROW_FIELDS: &[&str] = &["meter", "per", "usd", "when"];
/// What a price may depend on. Others are refused: a row that can never match would bill too little in silence.
const CONDITIONS: &[&str] = &[SERVICE_TIER, "input_tokens_gt"];
const THRESHOLD_MAX: u64 = 1_000_000_000;
/// Most rows of one card.
const ROWS_MAX: usize = 100;
/// Largest `per`: a billion units.
const PER_MAX: u64 = 1_000_000_000;

/// A factor on prices, exact: thousandths of a thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Markup {
    millionths: u64,
}

impl Markup {
    pub const NONE: Markup = Markup { millionths: 1_000_000 };

    /// Reads `"1.25"`: above 0, at most 100, at most six digits after the point.
    pub fn read(node: &Node, way: &Way<'_>, problems: &mut Problems) -> Option<Markup> {
        let parsed = match &node.value {
            Value::Text(text) => Amount::parse(text).ok().filter(|factor| factor.nano() % 1000 == 0),
            _ => None,
        };
        let millionths = parsed.and_then(|factor| u64::try_from(factor.nano() / 1000).ok());
        match millionths.filter(|millionths| (1..=100_000_000).contains(millionths)) {
            Some(millionths) => Some(Markup { millionths }),
            None => {
                let got = node.value.describe();
                let message =
                    "expected a quoted decimal above 0 and up to 100, with at most six digits after the point";
                problems.add(node.place, way, format_args!("{message}, got {got}"));
                None
            }
        }
    }

    /// The rate times the factor, as an exact fraction. `None` when it does not fit.
    fn apply(self, rate: Rate) -> Option<Rate> {
        if self == Markup::NONE {
            return Some(rate);
        }
        let divisor = common_divisor(self.millionths, 1_000_000);
        let (factor, per) = (self.millionths / divisor, 1_000_000 / divisor);
        Some(Rate { nano_usd: rate.nano_usd.checked_mul(factor)?, per: rate.per.checked_mul(per)? })
    }
}

/// Reads the rows under `way`. `None` when something is wrong with them.
///
/// Every meter that has a conditional row must have a base row.
pub fn read_card(
    rows: &[Node],
    owner: &str,
    markup: Markup,
    way: &Way<'_>,
    problems: &mut Problems,
) -> Option<RateCard> {
    if let Some(excess) = rows.get(ROWS_MAX) {
        problems.add(excess.place, way, format_args!("has more than {ROWS_MAX} rows"));
        return None;
    }
    let read: Vec<Option<PriceRow>> =
        rows.iter().enumerate().map(|(at, row)| read_row(row, owner, markup, &Way::Item(way, at), problems)).collect();
    let compiled: Vec<PriceRow> = read.iter().flatten().cloned().collect();
    if compiled.len() < rows.len() {
        return None;
    }
    let mut sound = true;
    for (at, row) in compiled.iter().enumerate() {
        if !compiled.iter().any(|base| base.meter == row.meter && base.is_base()) {
            let meter = row.meter.as_str();
            problems.add(rows[at].place, &Way::Item(way, at), format_args!("{meter} has no row without conditions"));
            sound = false;
        }
    }
    match RateCard::new(compiled) {
        Ok(card) => sound.then_some(card),
        Err(error) => {
            problems.add(rows[error.row()].place, &Way::Item(way, error.row()), error);
            None
        }
    }
}

fn read_row(node: &Node, owner: &str, markup: Markup, way: &Way<'_>, problems: &mut Problems) -> Option<PriceRow> {
    let fields = Fields::open(node, way, ROW_FIELDS, problems)?;
    let meter = read_meter(&fields, problems);
    let nano_usd = read_usd(&fields, problems);
    let per = read_per(&fields, problems);
    let (when, input_tokens_gt) = read_when(&fields, problems)?;
    let rate = markup.apply(Rate { nano_usd: nano_usd?, per: per? });
    if rate.is_none() {
        fields.problem("usd", problems, "is too large for its markup");
    }
    Some(PriceRow::new(owner, meter?, rate?, when, input_tokens_gt))
}

fn read_meter(fields: &Fields<'_>, problems: &mut Problems) -> Option<Meter> {
    let name = fields.text_needed("meter", problems)?;
    let meter = Meter::parse(name);
    if meter.is_none() {
        let hint = suggestion(name, Meter::ALL.into_iter().map(Meter::as_str));
        fields.problem("meter", problems, format_args!("{name:?} is not a meter{hint}"));
    }
    meter
}

fn read_usd(fields: &Fields<'_>, problems: &mut Problems) -> Option<u64> {
    let Some(node) = fields.get("usd") else {
        fields.problem("usd", problems, "is missing");
        return None;
    };
    let Value::Text(text) = &node.value else {
        fields.problem("usd", problems, format_args!("expected a quoted decimal, got {}", node.value.describe()));
        return None;
    };
    match Amount::parse(text) {
        Ok(amount) => u64::try_from(amount.nano()).ok(),
        Err(error) => {
            fields.problem("usd", problems, format_args!("{text:?} {}", relative(&error.to_string())));
            None
        }
    }
}

/// "expected …" reads after a value as "is not …".
fn relative(error: &str) -> String {
    error.strip_prefix("expected ").map_or_else(|| error.to_owned(), |rest| format!("is not {rest}"))
}

/// `1`, `1K`, `1M`, or a whole number.
fn read_per(fields: &Fields<'_>, problems: &mut Problems) -> Option<u64> {
    let Some(node) = fields.get("per") else {
        fields.problem("per", problems, "is missing");
        return None;
    };
    let per = match &node.value {
        Value::Integer(value) => u64::try_from(*value).ok(),
        Value::Text(text) => parse_per(text),
        _ => None,
    };
    let per = per.filter(|per| (1..=PER_MAX).contains(per));
    if per.is_none() {
        let got = node.value.describe();
        fields.problem("per", problems, format_args!("expected a number of units such as 1M, 1K or 1, got {got}"));
    }
    per
}

fn parse_per(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let sound = digits.len() <= 10 && digits.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| digits.parse::<u64>().ok()).flatten()?.checked_mul(unit)
}

type When = (Vec<(Arc<str>, Arc<str>)>, Option<u64>);

fn read_when(fields: &Fields<'_>, problems: &mut Problems) -> Option<When> {
    let Some(node) = fields.get("when") else { return Some((Vec::new(), None)) };
    let way = Way::Field(fields.way, "when");
    let when = Fields::open(node, &way, CONDITIONS, problems)?;
    let threshold = when.integer("input_tokens_gt", 0..=THRESHOLD_MAX, problems);
    let sound = when.get("input_tokens_gt").is_some() == threshold.is_some();
    let tier = match when.get(SERVICE_TIER) {
        None => Vec::new(),
        Some(_) => {
            let tier = when.text_needed(SERVICE_TIER, problems)?;
            if is_default_tier(tier) {
                when.problem(SERVICE_TIER, problems, format_args!("{tier:?} is the price without conditions"));
                return None;
            }
            vec![(Arc::from(SERVICE_TIER), Arc::from(tier))]
        }
    };
    if matches!(&node.value, Value::Map(fields) if fields.is_empty()) {
        problems.add(node.place, &way, format_args!("names no condition; those known are {}", CONDITIONS.join(", ")));
    }
    // A row whose conditions were not all understood must not become a row without them.
    (sound && !(tier.is_empty() && threshold.is_none())).then_some((tier, threshold))
}

/// A rate as people read it: `10 per 1M`.
pub fn show(rate: Rate) -> String {
    let per = match rate.per {
        per if per % 1_000_000 == 0 => format!("{}M", per / 1_000_000),
        per if per % 1_000 == 0 => format!("{}K", per / 1_000),
        per => per.to_string(),
    };
    let nano_usd = i64::try_from(rate.nano_usd).unwrap_or(i64::MAX);
    format!("{} per {per}", Amount::from_nano(nano_usd))
}
