//! What Prometheus scrapes. One struct of handles; the hot path touches atomics it has looked up before.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use rustc_hash::FxHashMap;

/// Seconds, from a millisecond to ten minutes.
const LONG_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds, from ten microseconds to a second: what the gateway itself adds.
const SHORT_BUCKETS: &[f64] =
    &[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// The labels of a series of calls. All from the catalog and the code, none from the client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CallLabels {
    model: Arc<str>,
    protocol: &'static str,
    operation: &'static str,
    status: u16,
}

/// Handles of one label set, looked up once.
struct CallSeries {
    requests: IntCounter,
    seconds: Histogram,
    first_content: Histogram,
    overhead: Histogram,
}

/// What is observed of a finished call.
pub struct CallFacts<'a> {
    pub model: &'a Arc<str>,
    pub protocol: &'static str,
    pub operation: &'static str,
    pub status: u16,
    pub seconds: f64,
    pub first_content_seconds: Option<f64>,
    pub overhead_seconds: f64,
}

/// The gauges that are read off other parts when Prometheus asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerGauges {
    pub journal_lag_seconds: f64,
    pub journal_bytes: u64,
    pub journal_queue: u64,
    pub open_holds: u64,
    pub dropped_holds: u64,
}

/// Every metric of the gateway. Names and labels are the contract in `docs/metrics.md`.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    first_content_seconds: HistogramVec,
    overhead_seconds: HistogramVec,
    tokens: IntCounterVec,
    charge: IntCounterVec,
    cost: IntCounterVec,
    attempts: IntCounterVec,
    channel_state: IntGaugeVec,
    pub catalog_reloads: IntCounterVec,
    journal_lag: Gauge,
    journal_bytes: IntGauge,
    journal_queue: IntGauge,
    open_holds: IntGauge,
    dropped_holds: IntGauge,
    pub in_flight: IntGauge,
    pub catalog_models: IntGauge,
    calls: ArcSwap<FxHashMap<CallLabels, Arc<CallSeries>>>,
    tokens_of: ArcSwap<FxHashMap<(Arc<str>, &'static str), IntCounter>>,
    money_of: ArcSwap<FxHashMap<Arc<str>, (IntCounter, IntCounter)>>,
    attempts_of: ArcSwap<FxHashMap<(Arc<str>, &'static str), IntCounter>>,
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let family = IntCounterVec::new(Opts::new(name, help), labels).expect("metric names are valid");
    registry.register(Box::new(family.clone())).expect("metric names are unique");
    family
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let family = HistogramVec::new(opts, labels).expect("metric names are valid");
    registry.register(Box::new(family.clone())).expect("metric names are unique");
    family
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::new(name, help).expect("metric names are valid");
    registry.register(Box::new(gauge.clone())).expect("metric names are unique");
    gauge
}

/// Looks a handle up without a lock; a first use copies the map. Label sets are bounded by the catalog.
fn cached<K: Eq + std::hash::Hash + Clone, V: Clone>(
    cache: &ArcSwap<FxHashMap<K, V>>,
    key: &K,
    make: impl Fn() -> V,
) -> V {
    if let Some(value) = cache.load().get(key) {
        return value.clone();
    }
    let value = make();
    cache.rcu(|map| {
        let mut map = FxHashMap::clone(map);
        map.insert(key.clone(), value.clone());
        map
    });
    value
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let r = Registry::new();
        let call = &["protocol", "operation", "model", "status"];
        let journal_lag =
            Gauge::new("qingwave_journal_lag_seconds", "Age of the oldest journal record not in the store")
                .expect("metric names are valid");
        r.register(Box::new(journal_lag.clone())).expect("metric names are unique");
        let build =
            IntGaugeVec::new(Opts::new("qingwave_build_info", "Always 1; labels describe the build"), &["version"])
                .expect("metric names are valid");
        r.register(Box::new(build.clone())).expect("metric names are unique");
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let channel_state = IntGaugeVec::new(
            Opts::new("qingwave_channel_state", "1 ready, 0 dormant (no key), -1 unsupported, -2 disabled"),
            &["channel"],
        )
        .expect("metric names are valid");
        r.register(Box::new(channel_state.clone())).expect("metric names are unique");
        Metrics {
            requests: counters(&r, "qingwave_requests_total", "Calls answered", call),
            request_seconds: histograms(
                &r,
                "qingwave_request_seconds",
                "From the first byte of a call to the last of its answer",
                call,
                LONG_BUCKETS,
            ),
            first_content_seconds: histograms(
                &r,
                "qingwave_first_content_seconds",
                "From the first byte of a call to the first content of its answer",
                call,
                LONG_BUCKETS,
            ),
            overhead_seconds: histograms(
                &r,
                "qingwave_overhead_seconds",
                "Time of a call before its first attempt began: reading, routing, holding",
                call,
                SHORT_BUCKETS,
            ),
            tokens: counters(&r, "qingwave_tokens_total", "Units of finished calls, by meter", &["model", "meter"]),
            charge: counters(&r, "qingwave_charge_nano_usd_total", "Charged to customers, in nano-USD", &["model"]),
            cost: counters(&r, "qingwave_cost_nano_usd_total", "Owed to providers, in nano-USD", &["model"]),
            attempts: counters(
                &r,
                "qingwave_attempts_total",
                "Tries on a channel, by outcome",
                &["channel", "outcome"],
            ),
            channel_state,
            catalog_reloads: counters(&r, "qingwave_catalog_reloads_total", "Catalog reloads, by result", &["result"]),
            journal_lag,
            journal_bytes: gauge(&r, "qingwave_journal_bytes", "Bytes of the journal not in the store"),
            journal_queue: gauge(&r, "qingwave_journal_queue", "Journal records not in the store"),
            open_holds: gauge(&r, "qingwave_open_holds", "Holds neither settled nor voided"),
            dropped_holds: gauge(&r, "qingwave_dropped_holds", "Holds released without a settlement since the start"),
            in_flight: gauge(&r, "qingwave_in_flight", "Calls being served"),
            catalog_models: gauge(&r, "qingwave_catalog_models", "Models in the catalog"),
            calls: Default::default(),
            tokens_of: Default::default(),
            money_of: Default::default(),
            attempts_of: Default::default(),
            registry: r,
        }
    }

    /// Counts a finished call and its times.
    pub fn call(&self, facts: &CallFacts<'_>) {
        let labels = CallLabels {
            model: facts.model.clone(),
            protocol: facts.protocol,
            operation: facts.operation,
            status: facts.status,
        };
        let series = cached(&self.calls, &labels, || {
            let status = facts.status.to_string();
            let values = [facts.protocol, facts.operation, facts.model, &status];
            Arc::new(CallSeries {
                requests: self.requests.with_label_values(&values),
                seconds: self.request_seconds.with_label_values(&values),
                first_content: self.first_content_seconds.with_label_values(&values),
                overhead: self.overhead_seconds.with_label_values(&values),
            })
        });
        series.requests.inc();
        series.seconds.observe(facts.seconds);
        series.overhead.observe(facts.overhead_seconds);
        if let Some(seconds) = facts.first_content_seconds {
            series.first_content.observe(seconds);
        }
    }

    /// Counts units of a finished call.
    pub fn units(&self, model: &Arc<str>, meter: &'static str, count: u64) {
        cached(&self.tokens_of, &(model.clone(), meter), || self.tokens.with_label_values(&[&**model, meter]))
            .inc_by(count);
    }

    /// Counts charge and cost of a finished call, in nano-USD.
    pub fn money(&self, model: &Arc<str>, charge_nano: u64, cost_nano: u64) {
        let (charge, cost) = cached(&self.money_of, model, || {
            (self.charge.with_label_values(&[&**model]), self.cost.with_label_values(&[&**model]))
        });
        charge.inc_by(charge_nano);
        cost.inc_by(cost_nano);
    }

    /// Counts an attempt on a channel. `outcome` is one of a closed set.
    pub fn attempt(&self, channel: &Arc<str>, outcome: &'static str) {
        cached(&self.attempts_of, &(channel.clone(), outcome), || {
            self.attempts.with_label_values(&[&**channel, outcome])
        })
        .inc();
    }

    /// Replaces the states of all channels.
    pub fn channel_states<'a>(&self, states: impl Iterator<Item = (&'a str, i64)>) {
        self.channel_state.reset();
        for (channel, state) in states {
            self.channel_state.with_label_values(&[channel]).set(state);
        }
    }

    /// The exposition text, with the ledger's gauges as of now.
    pub fn render(&self, ledger: LedgerGauges) -> Vec<u8> {
        let level = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.journal_lag.set(ledger.journal_lag_seconds);
        self.journal_bytes.set(level(ledger.journal_bytes));
        self.journal_queue.set(level(ledger.journal_queue));
        self.open_holds.set(level(ledger.open_holds));
        self.dropped_holds.set(level(ledger.dropped_holds));
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be encoded");
        }
        text
    }
}
