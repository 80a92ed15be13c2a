//! Price rows and what a call costs by them: exact rationals, rounded once. Must never know floats or models' names.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::{Amount, Meter, Meters};

/// Largest common denominator of a card. Within it, sums that overflow `u128` are beyond the largest amount anyway, so
/// saturating arithmetic stays exact.
pub const COMMON_PER_MAX: u64 = 1_000_000_000_000_000_000;

/// `nano_usd` per `per` units, as the catalog writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub nano_usd: u64,
    pub per: u64,
}

/// Identity of a price row by its content (model or channel, meter, rate, conditions): a changed price is another row.
/// Its text form is 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PriceRowId(pub u64);

impl PriceRowId {
    /// Reads the text form.
    pub fn parse(text: &str) -> Option<PriceRowId> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(PriceRowId)
    }
}

impl fmt::Display for PriceRowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for PriceRowId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PriceRowId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PriceRowId, D::Error> {
        let text = String::deserialize(deserializer)?;
        PriceRowId::parse(&text).ok_or_else(|| serde::de::Error::custom("expected 16 hex digits"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRow {
    pub id: PriceRowId,
    #[serde(serialize_with = "write_meter", deserialize_with = "read_meter")]
    pub meter: Meter,
    pub rate: Rate,
    /// Sorted `key=value` conditions, e.g. `service_tier=priority`; empty for a base row.
    pub when: Arc<[(Arc<str>, Arc<str>)]>,
    /// `input_tokens_gt`, a threshold on all input tokens of the request.
    pub input_tokens_gt: Option<u64>,
}

fn write_meter<S: Serializer>(meter: &Meter, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(meter.as_str())
}

fn read_meter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Meter, D::Error> {
    let name = String::deserialize(deserializer)?;
    Meter::parse(&name).ok_or_else(|| serde::de::Error::custom(format_args!("{name:?} is not a meter")))
}

/// The one condition that a call can meet so far, apart from `input_tokens_gt`.
pub const SERVICE_TIER: &str = "service_tier";

impl PriceRow {
    /// A row of `owner` (a model id, or a channel id for cost rows), with its identity.
    pub fn new(
        owner: &str,
        meter: Meter,
        rate: Rate,
        mut when: Vec<(Arc<str>, Arc<str>)>,
        input_tokens_gt: Option<u64>,
    ) -> PriceRow {
        when.sort();
        let mut hash = Sha256::new();
        let mut field = |text: &[u8]| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        field(owner.as_bytes());
        field(meter.as_str().as_bytes());
        field(&rate.nano_usd.to_be_bytes());
        field(&rate.per.to_be_bytes());
        field(&input_tokens_gt.map_or(Vec::new(), |gt| gt.to_be_bytes().to_vec()));
        for (key, value) in &when {
            field(key.as_bytes());
            field(value.as_bytes());
        }
        let digest = hash.finalize();
        let first: [u8; 8] = digest[..8].try_into().expect("a digest has 32 bytes");
        PriceRow { id: PriceRowId(u64::from_be_bytes(first)), meter, rate, when: when.into(), input_tokens_gt }
    }

    /// The conditions as the catalog would say them, `service_tier=priority, input_tokens_gt=200000`; empty for a base row.
    pub fn conditions_text(&self) -> String {
        let mut parts: Vec<String> = self.when.iter().map(|(key, value)| format!("{key}={value}")).collect();
        parts.extend(self.input_tokens_gt.map(|gt| format!("input_tokens_gt={gt}")));
        parts.join(", ")
    }

    pub fn is_base(&self) -> bool {
        self.when.is_empty() && self.input_tokens_gt.is_none()
    }

    /// How specific: number of conditions, then the threshold.
    fn rank(&self) -> (usize, Option<u64>) {
        (self.when.len() + usize::from(self.input_tokens_gt.is_some()), self.input_tokens_gt)
    }

    fn applies(&self, tier: Option<&str>, input_tokens: u64) -> bool {
        self.input_tokens_gt.is_none_or(|gt| input_tokens > gt)
            && self.when.iter().all(|(key, value)| &**key == SERVICE_TIER && tier == Some(&**value))
    }

    fn condition(&self, key: &str) -> Option<&str> {
        self.when.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }

    /// Whether one call can meet the conditions of both.
    fn compatible(&self, other: &PriceRow) -> bool {
        self.when.iter().all(|(key, value)| other.condition(key).is_none_or(|v| v == &**value))
    }

    /// Whether whatever meets the conditions of both `a` and `b` meets these too.
    fn implied_by(&self, a: &PriceRow, b: &PriceRow) -> bool {
        let threshold = a.input_tokens_gt.max(b.input_tokens_gt);
        let holds = |(key, value): &(Arc<str>, Arc<str>)| {
            a.condition(key) == Some(&**value) || b.condition(key) == Some(&**value)
        };
        self.when.iter().all(holds) && self.input_tokens_gt.is_none_or(|gt| threshold.is_some_and(|t| gt <= t))
    }
}

/// What price rows may depend on, of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// As the client asked or the upstream served. Absent, `auto` and `default` are the same.
    pub service_tier: Option<Box<str>>,
}

impl Conditions {
    fn tier(&self) -> Option<&str> {
        self.service_tier.as_deref().filter(|tier| !is_default_tier(tier))
    }
}

/// Whether a service tier is the ordinary one, which base rows price.
pub fn is_default_tier(tier: &str) -> bool {
    matches!(tier, "auto" | "default")
}

/// The most that a call can use: all input tokens together, all output tokens together, requests. Units of other meters
/// (searches, seconds, images) are not bounded by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorstCase {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub requests: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    pub amount: Amount,
    /// The rows that priced it, each once.
    pub row_ids: Vec<PriceRowId>,
}

/// Why rows are not a rate card. The numbers are places in the given rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("`per` must be at least 1")]
    PerZero { row: usize },
    #[error("the units of the rows have no common multiple up to {COMMON_PER_MAX}")]
    PerUncommon { row: usize },
    /// Two rows would price the same units of the same call.
    #[error("is as specific as row {first}: a call can meet the conditions of both")]
    Ambiguous { first: usize, second: usize },
}

impl RateError {
    /// The row at fault.
    pub fn row(&self) -> usize {
        match *self {
            RateError::PerZero { row } | RateError::PerUncommon { row } => row,
            RateError::Ambiguous { second, .. } => second,
        }
    }
}

/// The compiled price rows of a model (charge) or of a channel (cost).
///
/// Per meter the most specific row that applies wins: the one with the most conditions, of those the one with the largest
/// threshold. A threshold counts all input tokens of the request, and its row then prices the whole request.
#[derive(Debug, Clone)]
pub struct RateCard {
    /// Sorted by meter, the most specific first.
    rows: Vec<PriceRow>,
    /// Rate of each row in nano-USD per `common_per` units.
    weights: Vec<u128>,
    /// Common multiple of every `per`.
    common_per: u64,
    /// Rising, each once.
    thresholds: Vec<u64>,
}

impl Default for RateCard {
    /// A card on which everything is free.
    fn default() -> RateCard {
        RateCard { rows: Vec::new(), weights: Vec::new(), common_per: 1, thresholds: Vec::new() }
    }
}

/// One way the worst case can turn out, in `1/common_per` nano-USD.
struct Corner {
    without_output: u128,
    per_output_token: u128,
}

impl RateCard {
    /// Compiles rows, or says which row contradicts the others.
    pub fn new(mut rows: Vec<PriceRow>) -> Result<RateCard, RateError> {
        check_specificity(&rows)?;
        let mut common_per = 1;
        for (at, row) in rows.iter().enumerate() {
            if row.rate.per == 0 {
                return Err(RateError::PerZero { row: at });
            }
            common_per = common_multiple(common_per, row.rate.per)
                .filter(|per| *per <= COMMON_PER_MAX)
                .ok_or(RateError::PerUncommon { row: at })?;
        }
        rows.sort_by(|a, b| a.meter.cmp(&b.meter).then_with(|| b.rank().cmp(&a.rank())));
        let weights = rows.iter().map(|r| u128::from(r.rate.nano_usd) * u128::from(common_per / r.rate.per)).collect();
        let mut thresholds: Vec<u64> = rows.iter().filter_map(|row| row.input_tokens_gt).collect();
        thresholds.sort_unstable();
        thresholds.dedup();
        Ok(RateCard { rows, weights, common_per, thresholds })
    }

    /// Sorted by meter, the most specific first.
    pub fn rows(&self) -> &[PriceRow] {
        &self.rows
    }

    /// Floor of the exact sum; saturates at the largest amount.
    pub fn charge(&self, meters: &Meters, conditions: &Conditions) -> Priced {
        let tier = conditions.tier();
        let input_tokens = side(meters, Meter::is_input_tokens);
        let mut sum: u128 = 0;
        let mut row_ids = Vec::new();
        for (meter, count) in meters.iter() {
            let Some(at) = self.find(meter, tier, input_tokens) else { continue };
            sum = sum.saturating_add(self.weights[at].saturating_mul(u128::from(count)));
            if !row_ids.contains(&self.rows[at].id) {
                row_ids.push(self.rows[at].id);
            }
        }
        Priced { amount: amount(sum / u128::from(self.common_per)), row_ids }
    }

    /// Ceiling of the dearest way the worst case can turn out. Never below `charge` of any meters within it, under these
    /// conditions or under the ordinary service tier (a request for another one may be served as an ordinary one).
    pub fn hold(&self, worst: &WorstCase, conditions: &Conditions) -> Amount {
        let output_tokens = u128::from(worst.output_tokens);
        let mut dearest = 0;
        self.corners(worst, conditions, |corner| {
            let output = corner.per_output_token.saturating_mul(output_tokens);
            dearest = corner.without_output.saturating_add(output).max(dearest);
        });
        amount(dearest.div_ceil(u128::from(self.common_per)))
    }

    /// The most output tokens whose hold fits into `available`, whatever `worst.output_tokens` says; `None` when not even
    /// one does.
    pub fn affordable_output(&self, worst: &WorstCase, conditions: &Conditions, available: Amount) -> Option<u64> {
        if available.nano() == i64::MAX {
            return Some(u64::MAX);
        }
        let budget = u128::try_from(available.nano()).ok()? * u128::from(self.common_per);
        let mut most = Some(u64::MAX);
        self.corners(worst, conditions, |corner| {
            let left = budget.checked_sub(corner.without_output);
            let tokens = left.map(|left| left.checked_div(corner.per_output_token).unwrap_or(u128::MAX));
            let tokens = tokens.map(|tokens| u64::try_from(tokens).unwrap_or(u64::MAX));
            most = most.min(tokens);
        });
        most.filter(|tokens| *tokens > 0)
    }

    /// Whether any row counts tokens.
    pub fn needs_tokens(&self) -> bool {
        self.rows.iter().any(|row| row.meter.is_input_tokens() || row.meter.is_output_tokens())
    }

    /// The place of the row that prices a meter, its own or that of the meter it falls back to.
    fn find(&self, meter: Meter, tier: Option<&str>, input_tokens: u64) -> Option<usize> {
        let mut next = Some(meter);
        while let Some(meter) = next {
            let start = self.rows.partition_point(|row| row.meter < meter);
            let own = self.rows[start..].iter().take_while(|row| row.meter == meter);
            if let Some(at) = own.into_iter().position(|row| row.applies(tier, input_tokens)) {
                return Some(start + at);
            }
            next = meter.fallback();
        }
        None
    }

    fn weight(&self, meter: Meter, tier: Option<&str>, input_tokens: u64) -> u128 {
        self.find(meter, tier, input_tokens).map_or(0, |at| self.weights[at])
    }

    /// Visits every way the worst case can turn out dearest.
    ///
    /// Between two thresholds the rates do not change, so the dearest point of each such range is its upper end with every
    /// token on the side's dearest meter. A range above may be cheaper than one below: all are visited.
    fn corners(&self, worst: &WorstCase, conditions: &Conditions, mut visit: impl FnMut(Corner)) {
        let asked = conditions.tier();
        let tiers = [None, asked];
        for tier in &tiers[..1 + usize::from(asked.is_some())] {
            let ends = self.thresholds.iter().copied().filter(|end| *end < worst.input_tokens);
            for input_tokens in ends.chain([worst.input_tokens]) {
                let dearest = |on_side: fn(Meter) -> bool| {
                    let meters = Meter::ALL.into_iter().filter(|meter| on_side(*meter));
                    meters.map(|meter| self.weight(meter, *tier, input_tokens)).max().unwrap_or(0)
                };
                let input = dearest(Meter::is_input_tokens).saturating_mul(u128::from(input_tokens));
                let requests = self.weight(Meter::Requests, *tier, input_tokens);
                visit(Corner {
                    without_output: input.saturating_add(requests.saturating_mul(u128::from(worst.requests))),
                    per_output_token: dearest(Meter::is_output_tokens),
                });
            }
        }
    }
}

/// The charge again, from the rows that made it (each meter at most once) and the recorded meters.
///
/// Rows that cannot be one call's give the largest amount, which agrees with no record.
pub fn recompute(rows: &[PriceRow], meters: &Meters) -> Amount {
    let unconditional = |row: &PriceRow| PriceRow { when: Arc::new([]), input_tokens_gt: None, ..row.clone() };
    match RateCard::new(rows.iter().map(unconditional).collect()) {
        Ok(card) => card.charge(meters, &Conditions::default()).amount,
        Err(_) => Amount::from_nano(i64::MAX),
    }
}

/// Two rows of one meter that are equally specific, can both apply, and are not overruled by a third that then applies too.
fn check_specificity(rows: &[PriceRow]) -> Result<(), RateError> {
    for (second, b) in rows.iter().enumerate() {
        for (first, a) in rows[..second].iter().enumerate() {
            let same_rank = a.rank().0 == b.rank().0 && a.meter == b.meter && a.compatible(b);
            // The same conditions but for the threshold: the larger one wins.
            let ordered = a.when == b.when && a.input_tokens_gt != b.input_tokens_gt;
            let overruled = |c: &PriceRow| c.meter == a.meter && c.rank().0 > a.rank().0 && c.implied_by(a, b);
            if same_rank && !ordered && !rows.iter().any(overruled) {
                return Err(RateError::Ambiguous { first, second });
            }
        }
    }
    Ok(())
}

fn side(meters: &Meters, on_side: fn(Meter) -> bool) -> u64 {
    meters.iter().filter(|(meter, _)| on_side(*meter)).fold(0, |sum: u64, (_, count)| sum.saturating_add(count))
}

fn amount(nano: u128) -> Amount {
    Amount::from_nano(i64::try_from(nano).unwrap_or(i64::MAX))
}

fn common_multiple(a: u64, b: u64) -> Option<u64> {
    (a / common_divisor(a, b)).checked_mul(b)
}

/// Greatest common divisor; `a` is not 0.
pub(crate) fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
