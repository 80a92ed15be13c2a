//! What a finished call is charged, and its usage record: the table of `docs/billing.md`, as code.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::Admitted;
use super::answer_body::{Output, Units};
use super::attempt::Attempt;
use super::exchange::Exchange;
use crate::catalog::Lookup;
use crate::ledger::{Hold, Position, UsageRecord};
use crate::pricing::{self, Amount, Conditions, Meters};
use crate::wire::ir::Iteration;
use crate::wire::{Operation, Usage, UsageSource};

/// What is known of a call's way, for its record.
pub struct Facts<'a> {
    pub attempt: Option<&'a Attempt>,
    pub attempts: u32,
}

/// The units of an answer and where they come from.
pub struct Bill {
    meters: Meters,
    /// What other models did within the answer, each by its name.
    others: Vec<(String, Meters)>,
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
    let (meters, others) = metered(call, usage, &units.iterations);
    Verdict::Charge(Box::new(Bill { meters, others, source, finish: units.finish, service_tier: units.service_tier }))
}

/// Every answered call is one request, beside its tokens; a count of tokens is none.
fn meters_of(call: &Admitted, usage: &Usage) -> Meters {
    let mut meters = pricing::meters(usage);
    if call.operation != Operation::CountTokens {
        meters.set(pricing::Meter::Requests, 1);
    }
    meters
}

/// The meters of the answering model, and those of every other model that took part. Where an upstream lists iterations, its
/// total covers those of the answering model alone.
fn metered(call: &Admitted, usage: Usage, iterations: &[Iteration]) -> (Meters, Vec<(String, Meters)>) {
    let known = |name: &str| match call.catalog.lookup(name) {
        Lookup::Found(model) => Some(model.id.to_string()),
        Lookup::Retired { .. } | Lookup::Unknown { .. } => None,
    };
    let mut own: Option<Usage> = None;
    let mut others: Vec<(String, Meters)> = Vec::new();
    for iteration in iterations {
        match iteration.model.as_deref().and_then(known).filter(|id| **id != *call.model.id) {
            Some(id) => others.push((id, pricing::meters(&iteration.usage))),
            // A model that the catalog does not have is paid for at the rate of the one that was called.
            None => own = Some(own.unwrap_or_default().plus(&iteration.usage)),
        }
    }
    (meters_of(call, &own.unwrap_or(usage)), others)
}

/// Counts the units of an answer whose upstream did not, off the proxy's threads.
pub async fn count(exchange: Arc<Exchange>, units: Units, output: Output, left: bool) -> Bill {
    let source = match (left, units.usage) {
        (true, Some(_)) => UsageSource::Reported,
        (true, None) => UsageSource::Counted,
        (false, _) => UsageSource::Estimated,
    };
    let (finish, service_tier) = (units.finish.clone(), units.service_tier.clone());
    let (body, protocol) = (exchange.call.body.clone(), exchange.call.protocol);
    let depth_max = exchange.shared.limits.json_depth_max;
    let counted = tokio::task::spawn_blocking(move || {
        let reported = units.usage;
        let count = || super::count::input_tokens(protocol, &body, depth_max);
        let input_total = reported.map_or_else(count, |u| u.input_total);
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
    Bill { meters: meters_of(&exchange.call, &usage), others: Vec::new(), source, finish, service_tier }
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
    let others: Vec<Charged> = bill
        .others
        .into_iter()
        .filter_map(|(model, meters)| charge_other(call, &record, &model, meters, &conditions))
        .collect();
    let settled = hold.settle(record);
    metrics.money(&call.model.id, nano(settled.charge), nano(cost));
    let charge = others.iter().fold(settled.charge, |sum, other| sum.checked_add(other.charge).unwrap_or(sum));
    Charged { charge, position: settled.position }
}

/// Gives the hold back; the call is recorded with a charge of nothing. What its upstream reported before it broke is still
/// our cost.
pub fn void(call: &Admitted, hold: Hold, facts: Facts<'_>, status: u16, error_code: Option<&'static str>) {
    let mut record = record(call, &facts, status, error_code);
    if let Some(attempt) = facts.attempt
        && let Some(usage) = attempt.units().usage
    {
        record.cost = attempt.channel.cost.charge(&meters_of(call, &usage), &call.conditions).amount;
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
        record.losses = attempt.losses().texts(call.protocol);
    }
    record
}

/// Charges what another model did within the answer: a record of its own, at that model's rates, so that it can be recomputed
/// like any other. Where the wallet has less, that much.
fn charge_other(
    call: &Admitted,
    answer: &UsageRecord,
    model: &str,
    meters: Meters,
    conditions: &Conditions,
) -> Option<Charged> {
    let Lookup::Found(model) = call.catalog.lookup(model) else { return None };
    let priced = model.rates.charge(&meters, conditions);
    let id = call.shared.ids.call();
    let mut rest = |available: Amount| (!available.is_zero()).then_some(available.min(priced.amount));
    let hold = match call.shared.api.ledger.hold(&call.principal, id, priced.amount, &mut rest) {
        Ok(hold) => hold,
        Err(_) => {
            tracing::warn!(call = %call.id, model = %model.id, "a model within an answer could not be charged");
            return None;
        }
    };
    let mut record = UsageRecord::new(&call.principal, id, model.id.clone(), call.protocol, call.operation);
    record.requested_model = call.requested_model.clone();
    record.stream = call.stream;
    record.status = 200;
    record.catalog_rev = call.catalog.rev.clone();
    record.attempts = answer.attempts;
    // The call that it belongs to.
    record.client_request_id = Some(call.id.to_string().into());
    record.provider = answer.provider.clone();
    record.upstream_request_id = answer.upstream_request_id.clone();
    let same_provider =
        |channel: &&std::sync::Arc<crate::catalog::Channel>| Some(&channel.provider.id) == answer.provider.as_ref();
    if let Some(channel) = model.channels.iter().find(same_provider) {
        record.cost = channel.cost.charge(&meters, conditions).amount;
        record.channel = Some(channel.id.clone());
    }
    record.charge = priced.amount.min(hold.amount());
    record.price_row_ids = priced.row_ids;
    record.usage = meters;
    record.usage_source = Some(UsageSource::Reported);
    let cost = record.cost;
    let settled = hold.settle(record);
    call.shared.api.metrics.money(&model.id, nano(settled.charge), nano(cost));
    Some(Charged { charge: settled.charge, position: settled.position })
}

fn nano(amount: Amount) -> u64 {
    u64::try_from(amount.nano()).unwrap_or(0)
}
