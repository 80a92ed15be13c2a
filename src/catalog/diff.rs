//! What a reload changes, in words, and whether it changes too much. Must never know how it is applied.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::abilities::{show_quirks, show_reasoning};
use super::price::show;
use super::{Catalog, Channel, Model};
use crate::pricing::{Meter, PriceRow, RateCard};

/// A price may grow or shrink by this factor without force.
const PRICE_FACTOR_MAX: u128 = 10;
/// Models that may be lost without force, in percent of those there were.
const MODELS_LOST_PERCENT_MAX: usize = 20;

/// The differences that people care about, a line each, models first in the order of the catalogs.
pub fn diff(old: &Catalog, new: &Catalog) -> Vec<String> {
    let (before, after) = (by_id(old), by_id(new));
    let mut lines = Vec::new();
    for model in old.models() {
        match after.get(&*model.id) {
            None => lines.push(format!("model {}: removed", model.id)),
            Some(new) => model_changes(model, new, &mut lines),
        }
    }
    let added = new.models().iter().filter(|model| !before.contains_key(&*model.id));
    lines.extend(added.map(|model| format!("model {}: added", model.id)));
    lines
}

/// What makes a reload need force: prices off by more than ten times, more than a fifth of the models lost.
pub fn needs_force(old: &Catalog, new: &Catalog) -> Vec<String> {
    let after = by_id(new);
    let mut reasons = Vec::new();
    let lost = old.models().iter().filter(|model| !after.contains_key(&*model.id)).count();
    let were = old.models().len();
    if lost * 100 > were * MODELS_LOST_PERCENT_MAX {
        reasons.push(format!("{lost} of {were} models would be lost, more than {MODELS_LOST_PERCENT_MAX} %"));
    }
    for model in old.models() {
        let Some(new) = after.get(&*model.id) else { continue };
        let prices = rows(&new.rates);
        for (key, row) in rows(&model.rates) {
            if let Some(new_row) = prices.get(&key)
                && is_leap(row, new_row)
            {
                let change = price_change(row, new_row);
                reasons.push(format!("model {}: {change}, more than {PRICE_FACTOR_MAX} times", model.id));
            }
        }
    }
    reasons
}

fn by_id(catalog: &Catalog) -> HashMap<&str, &Arc<Model>> {
    catalog.models().iter().map(|model| (&*model.id, model)).collect()
}

type RowKey = (Meter, String);

fn rows(card: &RateCard) -> BTreeMap<RowKey, &PriceRow> {
    card.rows().iter().map(|row| ((row.meter, row.conditions_text()), row)).collect()
}

/// More than ten times, in either direction; from or to nothing too.
fn is_leap(old: &PriceRow, new: &PriceRow) -> bool {
    let a = u128::from(old.rate.nano_usd) * u128::from(new.rate.per);
    let b = u128::from(new.rate.nano_usd) * u128::from(old.rate.per);
    let beyond = |low: u128, high: u128| low.saturating_mul(PRICE_FACTOR_MAX) < high;
    beyond(a, b) || beyond(b, a)
}

fn price_change(old: &PriceRow, new: &PriceRow) -> String {
    format!("{} {} → {}", label(old), show(old.rate), show(new.rate))
}

/// `output_tokens`, or `output_tokens (service_tier=priority)`.
fn label(row: &PriceRow) -> String {
    match row.conditions_text() {
        conditions if conditions.is_empty() => row.meter.as_str().to_owned(),
        conditions => format!("{} ({conditions})", row.meter.as_str()),
    }
}

fn model_changes(old: &Model, new: &Model, lines: &mut Vec<String>) {
    let id = &old.id;
    card_changes(&format!("model {id}"), &old.rates, &new.rates, lines);
    for (what, before, after) in [("context", old.context, new.context), ("max_output", old.output_max, new.output_max)]
    {
        if before != after {
            lines.push(format!("model {id}: {what} {before} → {after}"));
        }
    }
    if old.replacement != new.replacement {
        let shown = |replacement: &Option<Arc<str>>| replacement.as_deref().unwrap_or("none").to_owned();
        lines.push(format!("model {id}: replacement {} → {}", shown(&old.replacement), shown(&new.replacement)));
    }
    name_changes(id, &old.aliases, &new.aliases, "alias", lines);
    name_changes(id, &old.features, &new.features, "feature", lines);
    let operations = |model: &Model| model.operations.iter().map(|o| Arc::from(o.as_str())).collect::<Vec<_>>();
    name_changes(id, &operations(old), &operations(new), "operation", lines);
    let before: HashMap<&str, &Arc<Channel>> = old.channels.iter().map(|channel| (&*channel.id, channel)).collect();
    let after: HashMap<&str, &Arc<Channel>> = new.channels.iter().map(|channel| (&*channel.id, channel)).collect();
    for channel in &old.channels {
        match after.get(&*channel.id) {
            None => lines.push(format!("channel {}: removed", channel.id)),
            Some(new) => channel_changes(channel, new, lines),
        }
    }
    let added = new.channels.iter().filter(|channel| !before.contains_key(&*channel.id));
    lines.extend(added.map(|channel| format!("channel {}: added, {}", channel.id, channel.state.as_str())));
}

fn name_changes(id: &str, old: &[Arc<str>], new: &[Arc<str>], what: &str, lines: &mut Vec<String>) {
    let gone = old.iter().filter(|name| !new.contains(name));
    lines.extend(gone.map(|name| format!("model {id}: {what} {name} removed")));
    let come = new.iter().filter(|name| !old.contains(name));
    lines.extend(come.map(|name| format!("model {id}: {what} {name} added")));
}

fn card_changes(owner: &str, old: &RateCard, new: &RateCard, lines: &mut Vec<String>) {
    let (before, after) = (rows(old), rows(new));
    for (key, row) in &before {
        match after.get(key) {
            None => lines.push(format!("{owner}: {} removed", label(row))),
            Some(new_row) if new_row.rate != row.rate => lines.push(format!("{owner}: {}", price_change(row, new_row))),
            Some(_) => {}
        }
    }
    let added = after.iter().filter(|(key, _)| !before.contains_key(*key));
    lines.extend(added.map(|(_, row)| format!("{owner}: {} added, {}", label(row), show(row.rate))));
}

fn channel_changes(old: &Channel, new: &Channel, lines: &mut Vec<String>) {
    let id = &old.id;
    let mut note = |what: &str, before: &dyn std::fmt::Display, after: &dyn std::fmt::Display| {
        lines.push(format!("channel {id}: {what} {before} → {after}"));
    };
    if old.state != new.state {
        note("state", &old.state.as_str(), &new.state.as_str());
    }
    if old.provider.id != new.provider.id {
        note("provider", &old.provider.id, &new.provider.id);
    }
    let target = |channel: &Channel| {
        let provider = &channel.provider;
        let scheme = if provider.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", provider.host, provider.port, provider.base_path)
    };
    if target(old) != target(new) {
        note("base_url", &target(old), &target(new));
    }
    if old.upstream_model != new.upstream_model {
        note("upstream", &old.upstream_model, &new.upstream_model);
    }
    if old.protocol != new.protocol {
        note("protocol", &old.protocol.as_str(), &new.protocol.as_str());
    }
    if old.priority != new.priority {
        note("priority", &old.priority, &new.priority);
    }
    if old.weight != new.weight {
        note("weight", &old.weight, &new.weight);
    }
    if old.quirks != new.quirks {
        note("quirks", &show_quirks(old.quirks), &show_quirks(new.quirks));
    }
    if old.account != new.account {
        note("account", &old.account, &new.account);
    }
    if old.reasoning != new.reasoning {
        note("reasoning", &show_reasoning(old.reasoning), &show_reasoning(new.reasoning));
    }
    for (what, before, after) in [("sampling", old.sampling, new.sampling), ("vision", old.vision, new.vision)] {
        if before != after {
            note(what, &before, &after);
        }
    }
    if old.timeouts != new.timeouts {
        lines.push(format!("channel {id}: timeouts changed"));
    }
    card_changes(&format!("channel {id}: cost"), &old.cost, &new.cost, lines);
}
