//! Anthropic's token counts, to and from the inclusive normal form.
//!
//! Input is told in three disjoint counts, which the normal form adds up. Reports of a stream are cumulative: each field of a
//! later one replaces the same field of an earlier one, and fields that it leaves out stand.

use crate::wire::ir::Iteration;
use crate::wire::json::{Json, Value};
use crate::wire::{Usage, usage};

/// What was reported until now, field by field.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    written_5m: Option<u64>,
    written_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    web_searches: Option<u64>,
    web_fetches: Option<u64>,
    iterations: Option<Vec<Iteration>>,
}

impl Counts {
    /// Takes over what a report says; `null` and what is no number say nothing.
    pub fn merge(&mut self, report: &Value<'_>) {
        let inside = |object: &str, name: &str| report.get(object).and_then(|object| count(object.get(name)));
        let fields = [
            (&mut self.input, count(report.get("input_tokens"))),
            (&mut self.cache_read, count(report.get("cache_read_input_tokens"))),
            (&mut self.cache_creation, count(report.get("cache_creation_input_tokens"))),
            (&mut self.written_5m, inside("cache_creation", "ephemeral_5m_input_tokens")),
            (&mut self.written_1h, inside("cache_creation", "ephemeral_1h_input_tokens")),
            (&mut self.output, count(report.get("output_tokens"))),
            (&mut self.thinking, inside("output_tokens_details", "thinking_tokens")),
            (&mut self.web_searches, inside("server_tool_use", "web_search_requests")),
            (&mut self.web_fetches, inside("server_tool_use", "web_fetch_requests")),
        ];
        for (field, reported) in fields {
            *field = reported.or(*field);
        }
        if let Some(list) = report.get("iterations").and_then(Value::as_array) {
            self.iterations = Some(list.iter().map(iteration).collect());
        }
    }

    /// `None` where nothing was counted.
    pub fn usage(&self) -> Option<Usage> {
        let usage = self.normal();
        (usage != Usage::default()).then_some(usage)
    }

    fn normal(&self) -> Usage {
        let known = |field: Option<u64>| field.unwrap_or(0);
        let split = known(self.written_5m).saturating_add(known(self.written_1h));
        let written = self.cache_creation.unwrap_or(split);
        // The split comes at the start alone: what the sum says beyond it went into the usual five minutes.
        let written_1h = known(self.written_1h).min(written);
        let output_total = known(self.output);
        Usage {
            input_total: known(self.input).saturating_add(known(self.cache_read)).saturating_add(written),
            cache_read: known(self.cache_read),
            cache_write_5m: written - written_1h,
            cache_write_1h: written_1h,
            output_total,
            reasoning: known(self.thinking).min(output_total),
            web_searches: known(self.web_searches),
            web_fetches: known(self.web_fetches),
            ..Usage::default()
        }
    }

    /// Every pass of every model, in order; empty where the totals say it all. The totals hold only the passes of the
    /// answering model: not the compaction before it, an advisor beside it, a model that refused before it.
    pub fn iterations(&self) -> Vec<Iteration> {
        self.iterations.clone().unwrap_or_default()
    }
}

fn iteration(report: &Value<'_>) -> Iteration {
    let mut counts = Counts::default();
    counts.merge(report);
    let model = report.get("model").and_then(Value::as_text).map(|model| model.into_owned());
    Iteration { model, usage: counts.normal() }
}

fn count(value: Option<&Value<'_>>) -> Option<u64> {
    usage::count(value?)
}

/// Writes a usage object with every key that SDKs look for. `tier` is what the upstream said it served.
pub(super) fn write_usage(json: &mut Json<'_>, usage: &Usage, tier: Option<&str>) {
    json.object(|json| {
        // Some vendors count more cached tokens than input: the parts must not come to more than the whole.
        let read = usage.cache_read.min(usage.input_total);
        let long = usage.cache_write_1h.min(usage.input_total - read);
        let short = usage.cache_write_5m.saturating_add(usage.cache_write_30m).min(usage.input_total - read - long);
        let written = short + long;
        json.key("input_tokens").uint(usage.input_total - read - written);
        json.key("cache_creation_input_tokens").uint(written);
        json.key("cache_read_input_tokens").uint(read);
        json.key("cache_creation").object(|json| {
            json.key("ephemeral_5m_input_tokens").uint(short);
            json.key("ephemeral_1h_input_tokens").uint(long);
        });
        json.key("output_tokens").uint(usage.output_total);
        if usage.reasoning > 0 {
            json.key("output_tokens_details").object(|json| json.key("thinking_tokens").uint(usage.reasoning));
        }
        match (usage.web_searches, usage.web_fetches) {
            (0, 0) => json.key("server_tool_use").null(),
            (searches, fetches) => json.key("server_tool_use").object(|json| {
                json.key("web_search_requests").uint(searches);
                json.key("web_fetch_requests").uint(fetches);
            }),
        }
        json.key("service_tier").text(match tier {
            Some("priority") => "priority",
            Some("batch") => "batch",
            _ => "standard",
        });
    });
}
