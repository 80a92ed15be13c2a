//! Reads and writes the `usage` object of a Responses answer. Must never know what it costs.

use crate::wire::json::{Json, Value};
use crate::wire::{Usage, usage};

/// The counts of a response; `None` where it has none, or only zeros. `searches`: web searches that were seen among its items.
///
/// Details stand inside the totals. Counts may come as texts or with a fraction of zero.
pub(super) fn read_usage(response: &Value<'_>, searches: u64) -> Option<Usage> {
    let told = response.get("usage")?;
    let input = told.get("input_tokens_details");
    let output = told.get("output_tokens_details");
    let detail = |details: Option<&Value<'_>>, name: &str| count(details.and_then(|details| details.get(name)));
    let reported = response.get("tool_usage").and_then(|tools| tools.get("web_search")?.get("num_requests"));
    let xai = told.get("server_side_tool_usage_details").and_then(|tools| tools.get("web_search_calls"));
    let read = Usage {
        input_total: count(told.get("input_tokens")),
        cache_read: detail(input, "cached_tokens"),
        // The shortest lifetime; the longer one has no price of its own.
        cache_write_30m: detail(input, "cache_write_tokens"),
        audio_in: detail(input, "audio_tokens"),
        image_in: detail(input, "image_tokens"),
        output_total: count(told.get("output_tokens")),
        reasoning: detail(output, "reasoning_tokens"),
        audio_out: detail(output, "audio_tokens"),
        image_out: detail(output, "image_tokens"),
        web_searches: [reported, xai].into_iter().flatten().map(|value| count(Some(value))).fold(searches, u64::max),
        ..Usage::default()
    };
    (read.input_total > 0 || read.output_total > 0).then_some(read)
}

fn count(value: Option<&Value<'_>>) -> u64 {
    value.and_then(usage::count).unwrap_or(0)
}

/// All details, always: clients fail where one is missing, even of zero.
pub(super) fn write_usage(json: &mut Json<'_>, usage: &Usage) {
    let cache_write = [usage.cache_write_5m, usage.cache_write_1h, usage.cache_write_30m]
        .iter()
        .fold(0, |sum: u64, n| sum.saturating_add(*n));
    json.object(|json| {
        json.key("input_tokens").uint(usage.input_total);
        json.key("input_tokens_details").object(|json| {
            json.key("cached_tokens").uint(usage.cache_read);
            json.key("cache_write_tokens").uint(cache_write);
        });
        json.key("output_tokens").uint(usage.output_total);
        json.key("output_tokens_details").object(|json| json.key("reasoning_tokens").uint(usage.reasoning));
        json.key("total_tokens").uint(usage.input_total.saturating_add(usage.output_total));
    });
}
