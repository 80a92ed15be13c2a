//! The double entry: names and kinds of ledger accounts, and the transfers that a call becomes. Must never know SQL.

use sha2::{Digest, Sha256};

use crate::ledger::{CallId, UsageRecord, codec};

pub const CASH_MANUAL: &str = "cash:manual";
pub const REVENUE_USAGE: &str = "revenue:usage";
/// Provider of a cost that names none.
const UNKNOWN_PROVIDER: &str = "unknown";

pub const TOPUP: &str = "TOPUP";
pub const FUND: &str = "FUND";
pub const SETTLE: &str = "SETTLE";
pub const COST: &str = "COST";

/// A leg of a transfer, before it has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    pub kind: &'static str,
    pub leg: u32,
    pub debit: String,
    pub credit: String,
    pub amount: i64,
}

/// What a transfer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    Call(CallId),
    /// The idempotency key of a funding.
    Reference(String),
}

pub fn master(account: &str) -> String {
    format!("master:{account}")
}

pub fn api(account: &str, tier: &str, grant: &str) -> String {
    // The permanent tier is one grant.
    if tier == grant { format!("api:{account}:{tier}") } else { format!("api:{account}:{tier}:{grant}") }
}

/// The kind of a ledger account and whose it is, by its name.
pub fn kind_and_owner(name: &str) -> (&'static str, Option<&str>) {
    let (class, rest) = name.split_once(':').unwrap_or((name, ""));
    match class {
        "cash" | "receivable" => ("asset", None),
        "revenue" => ("income", None),
        "expense" => ("expense", None),
        "master" | "api" | "commission" => ("liability", rest.split(':').next()),
        _ => ("liability", None),
    }
}

/// The transfers of a call: what the customer pays, one leg per grant, and what we owe its provider.
pub fn postings(record: &UsageRecord) -> Vec<Posting> {
    let mut postings = Vec::with_capacity(2);
    for (leg, source) in record.sources.iter().enumerate() {
        postings.push(Posting {
            kind: SETTLE,
            leg: leg as u32,
            debit: api(&record.account, source.tier, &source.grant),
            credit: REVENUE_USAGE.to_owned(),
            amount: source.amount.nano(),
        });
    }
    if !record.cost.is_zero() {
        let provider = record.provider.as_deref().unwrap_or(UNKNOWN_PROVIDER);
        postings.push(Posting {
            kind: COST,
            leg: 0,
            debit: format!("expense:upstream:{provider}"),
            credit: format!("payable:upstream:{provider}"),
            amount: record.cost.nano(),
        });
    }
    postings
}

/// The hash of a block under construction: over the block before, then its calls and transfers in the order they are added.
pub struct BlockHasher {
    hasher: Sha256,
    buffer: Vec<u8>,
}

pub type Hash = [u8; 32];

impl BlockHasher {
    pub fn new(previous: &Hash, number: i64) -> BlockHasher {
        let mut hasher = Sha256::new();
        hasher.update(b"qingwave block 1\0");
        hasher.update(previous);
        hasher.update(number.to_le_bytes());
        BlockHasher { hasher, buffer: Vec::new() }
    }

    pub fn usage(&mut self, record: &UsageRecord) {
        self.buffer.clear();
        codec::write_usage(record, &mut self.buffer);
        self.hasher.update([b'U']);
        self.hasher.update((self.buffer.len() as u64).to_le_bytes());
        self.hasher.update(&self.buffer);
    }

    pub fn transfer(&mut self, about: &About, at: i64, posting: &Posting) {
        self.hasher.update([b'T']);
        match about {
            About::Call(id) => self.hasher.update(id.0.as_bytes()),
            About::Reference(reference) => self.text(reference),
        }
        self.hasher.update(at.to_le_bytes());
        self.text(posting.kind);
        self.hasher.update(posting.leg.to_le_bytes());
        self.text(&posting.debit);
        self.text(&posting.credit);
        self.hasher.update(posting.amount.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.hasher.update((text.len() as u64).to_le_bytes());
        self.hasher.update(text.as_bytes());
    }

    pub fn finish(self) -> Hash {
        self.hasher.finalize().into()
    }
}

pub const DAY_MS: i64 = 86_400_000;

/// Days since 1970-01-01 UTC.
pub fn day(unix_ms: i64) -> i64 {
    unix_ms.div_euclid(DAY_MS)
}

/// Sums of calls, as the rollup tables keep them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    pub calls: i64,
    pub errors: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub charge: i64,
    pub cost: i64,
}

impl Sums {
    pub fn add(&mut self, record: &UsageRecord) {
        // A call's summands are bounded far below the range; charges are bounded by what was ever funded.
        let (input, output) = tokens(record);
        self.calls += 1;
        self.errors += i64::from(record.status >= 400);
        self.input_tokens += input;
        self.output_tokens += output;
        self.charge += record.charge.nano();
        self.cost += record.cost.nano();
    }
}

/// Most tokens of a call that rollups count: an upstream that reports nonsense must not overflow a sum.
const TOKENS_MAX: u64 = 1 << 40;

/// Tokens in and out of a call, of all kinds.
fn tokens(record: &UsageRecord) -> (i64, i64) {
    let mut sums = (0i64, 0i64);
    for (meter, count) in record.usage.iter() {
        let count = count.min(TOKENS_MAX) as i64;
        if meter.is_input_tokens() {
            sums.0 += count;
        } else if meter.is_output_tokens() {
            sums.1 += count;
        }
    }
    sums
}
