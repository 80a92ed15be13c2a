//! What a finished call is charged, and its usage record: the table of `docs/billing.md`, as code.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::Admitted;
use super::attempt::{Attempt, Output, Units};
use super::exchange::Exchange;
use crate::ledger::{Hold, Position, UsageRecord};
use crate::pricing::{self, Amount, Conditions, Meters};
use crate::wire::{Usage, UsageSource};

/// What is known of a call's way, for its record.
pub struct Facts<'a> {
    pub attempt: Option<&'a Attempt>,
    pub attempts: u32,
}

/// The units of an answer and where they come from.
pub struct Bill {
    meters: Meters,
    source: UsageSource,
    finish: Option<Box<str>>,
    service_tier: Option<Box<str>>,
}

/// What a settlement did.
pub struct Charged {
    pub charge: Amount,
    pub position: Position,
}

pub enum Verdict {
    Charge(Box<Bill>),
    /// The upstream reported nothing and something was produced: count first.
    Count,
}

/// Decides whether an answer can be charged as it stands.
pub fn verdict(call: &Admitted, attempt: &Attempt) -> Verdict {
    let units = attempt.units();
    let (usage, source) = match units.usage {
        Some(usage) => (usage, UsageSource::Reported),
        None if !call.model.rates.needs_tokens() => (Usage::default(), UsageSource::Estimated),
        None => return Verdict::Count,
    };
    let meters = meters_of(&usage);
    Verdict::Charge(Box::new(Bill { meters, source, finish: units.finish, service_tier: units.service_tier }))
}

/// Every answered call is one request, beside its tokens.
fn meters_of(usage: &Usage) -> Meters {
    let mut meters = pricing::meters(usage);
    meters.set(pricing::Meter::Requests, 1);
    meters
}

/// Counts the units of an answer whose upstream did not, off the proxy's threads.
pub async fn count(exchange: Arc<Exchange>, units: Units, output: Output, left: bool) -> Bill {
    let source = match (left, units.usage) {
        (true, Some(_)) => UsageSource::Reported,
        (true, None) => UsageSource::Counted,
        (false, _) => UsageSource::Estimated,
    };
    let (finish, service_tier) = (units.finish.clone(), units.service_tier.clone());
    let body = exchange.call.body.clone();
    let counted = tokio::task::spawn_blocking(move || {
        let reported = units.usage;
        let input_total = reported.map_or_else(|| super::count::input_tokens(&body), |u| u.input_total);
        let output_total = super::count::output_tokens(&output.text, output.bytes);
        let usage = Usage { input_total, output_total, ..Usage::default() };
        // A stream that was left: what the upstream had reported so far stands, if it had.
        if left { reported.unwrap_or(usage) } else { usage }
    })
    .await;
    let usage = counted.unwrap_or_else(|error| {
        tracing::error!(%error, "units could not be counted");
        Usage::default()
    });
    Bill { meters: meters_of(&usage), source, finish, service_tier }
}

/// Settles the hold at the price of the admission's catalog.
pub fn charge(
    call: &Admitted,
    hold: Hold,
    facts: Facts<'_>,
    bill: Bill,
    status: u16,
    error_code: Option<&'static str>,
) -> Charged {
    let mut record = record(call, &facts, status, error_code);
    // A call may ask for one tier and be served at another: the one that was served is paid for, within the hold.
    let conditions = match bill.service_tier {
        Some(tier) => Conditions { service_tier: Some(tier) },
        None => call.conditions.clone(),
    };
    let priced = call.model.rates.charge(&bill.meters, &conditions);
    record.charge = priced.amount.min(hold.amount());
    record.price_row_ids = priced.row_ids;
    if let Some(attempt) = facts.attempt {
        record.cost = attempt.channel.cost.charge(&bill.meters, &conditions).amount;
    }
    let metrics = &call.shared.api.metrics;
    for (meter, count) in bill.meters.iter() {
        metrics.units(&call.model.id, meter.as_str(), count);
    }
    record.usage = bill.meters;
    record.usage_source = Some(bill.source);
    record.finish = bill.finish.map(|f| Cow::Owned(f.into_string()));
    let cost = record.cost;
    let settled = hold.settle(record);
    metrics.money(&call.model.id, nano(settled.charge), nano(cost));
    Charged { charge: settled.charge, position: settled.position }
}

/// Gives the hold back; the call is recorded with a charge of nothing. What its upstream reported before it broke is still
/// our cost.
pub fn void(call: &Admitted, hold: Hold, facts: Facts<'_>, status: u16, error_code: Option<&'static str>) {
    let mut record = record(call, &facts, status, error_code);
    if let Some(attempt) = facts.attempt
        && let Some(usage) = attempt.units().usage
    {
        record.cost = attempt.channel.cost.charge(&meters_of(&usage), &call.conditions).amount;
        call.shared.api.metrics.money(&call.model.id, 0, nano(record.cost));
    }
    hold.void(record);
}

fn record(call: &Admitted, facts: &Facts<'_>, status: u16, error_code: Option<&'static str>) -> UsageRecord {
    let since = |at: Instant| u32::try_from(at.duration_since(call.started).as_millis()).unwrap_or(u32::MAX);
    let mut record = UsageRecord::new(&call.principal, call.id, call.model.id.clone(), call.protocol, call.operation);
    record.requested_model = call.requested_model.clone();
    record.stream = call.stream;
    record.status = status;
    record.error_code = error_code.map(Cow::Borrowed);
    record.catalog_rev = call.catalog.rev.clone();
    record.latency_ms = since(Instant::now());
    record.attempts = facts.attempts;
    record.client_request_id = call.client_request_id.clone();
    if let Some(attempt) = facts.attempt {
        record.first_content_ms = attempt.first_content.map(since);
        record.channel = Some(attempt.channel.id.clone());
        record.provider = Some(attempt.channel.provider.id.clone());
        record.upstream_request_id = attempt.upstream_request_id.clone();
    }
    record
}

fn nano(amount: Amount) -> u64 {
    u64::try_from(amount.nano()).unwrap_or(0)
}
