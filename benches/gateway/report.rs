//! Figures of a run → tables, ratios and limits. Must never know how they were measured.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::workload::{EVENTS, WORKLOADS};

/// What ratios are taken to, and who has to hold the limits.
const BASE: &str = "bare";
const JUDGED: &str = "gateway";

/// Metrics in the order of their columns. Those with a ratio say how it is called.
const METRICS: [(&str, &str); 15] = [
    ("calls_per_s", "calls/s"),
    ("p50_us", "p50 us"),
    ("p99_us", "p99 us"),
    ("event_p50_us", "event p50 us"),
    ("event_p99_us", "event p99 us"),
    ("cpu_us", "CPU us/call"),
    ("syscalls", "syscalls/call"),
    ("rss_mb", "RSS MB"),
    ("stream_kb", "kB/stream"),
    ("cpu_before_us", "CPU us before"),
    ("cpu_after_us", "CPU us after"),
    ("cpu_grows", "CPU x"),
    ("rss_before_mb", "MB before"),
    ("rss_after_mb", "MB after"),
    ("rss_grows", "MB x"),
];

/// How a figure of the gateway is judged.
#[derive(Clone, Copy)]
enum Rule {
    /// Median over the rounds of the ratio to bare Pingora.
    Ratio,
    /// More than bare Pingora by this much.
    More,
    /// The same for each event of the stream.
    MorePerEvent,
    /// The figure itself.
    Value,
}

/// A translated call, to bare Pingora that does the same upstream traffic.
const TRANSLATED: f64 = 1.6;
const TRANSLATED_IMAGE: f64 = 1.9;
/// CPU microseconds that the gateway adds for each event of a translated stream.
const EVENT_US: f64 = 4.0;

/// The project's limits: workload, metric, rule, limit.
const LIMITS: [(&str, &str, Rule, f64); 24] = [
    ("whole", "cpu_us", Rule::Ratio, 1.25),
    ("stream", "cpu_us", Rule::Ratio, 1.25),
    ("body1m", "cpu_us", Rule::Ratio, 1.25),
    ("whole", "syscalls", Rule::More, 1.2),
    ("paced", "event_p50_us", Rule::Ratio, 1.3),
    ("idle", "stream_kb", Rule::Ratio, 1.2),
    ("burst", "cpu_grows", Rule::Value, 1.1),
    ("burst", "rss_grows", Rule::Value, 1.3),
    ("chat-messages-whole", "cpu_us", Rule::Ratio, TRANSLATED),
    ("chat-messages-stream", "cpu_us", Rule::Ratio, TRANSLATED),
    ("chat-messages-stream", "cpu_us", Rule::MorePerEvent, EVENT_US),
    ("chat-messages-image", "cpu_us", Rule::Ratio, TRANSLATED_IMAGE),
    ("chat-responses-whole", "cpu_us", Rule::Ratio, TRANSLATED),
    ("chat-responses-stream", "cpu_us", Rule::Ratio, TRANSLATED),
    ("chat-responses-stream", "cpu_us", Rule::MorePerEvent, EVENT_US),
    ("chat-responses-image", "cpu_us", Rule::Ratio, TRANSLATED_IMAGE),
    ("chat-gemini-whole", "cpu_us", Rule::Ratio, TRANSLATED),
    ("chat-gemini-stream", "cpu_us", Rule::Ratio, TRANSLATED),
    ("chat-gemini-stream", "cpu_us", Rule::MorePerEvent, EVENT_US),
    ("chat-gemini-image", "cpu_us", Rule::Ratio, TRANSLATED_IMAGE),
    ("messages-chat-whole", "cpu_us", Rule::Ratio, TRANSLATED),
    ("messages-chat-stream", "cpu_us", Rule::Ratio, TRANSLATED),
    ("messages-chat-stream", "cpu_us", Rule::MorePerEvent, EVENT_US),
    ("messages-chat-image", "cpu_us", Rule::Ratio, TRANSLATED_IMAGE),
];

/// What one target did in one workload and round.
#[derive(Default)]
pub struct Figures {
    values: BTreeMap<&'static str, f64>,
    /// CPU microseconds per call by thread name.
    pub threads: BTreeMap<String, f64>,
    pub errors: Vec<String>,
}

impl Figures {
    pub fn put(&mut self, metric: &'static str, value: Option<f64>) {
        self.values.extend(value.map(|value| (metric, value)));
    }
}

pub struct Report {
    rounds: usize,
    is_pinned: bool,
    tracer: &'static str,
    left_out: Vec<String>,
    /// By workload and target: one per round.
    figures: BTreeMap<(&'static str, &'static str), Vec<Figures>>,
}

struct Judged {
    workload: &'static str,
    metric: &'static str,
    rule: Rule,
    value: f64,
    limit: f64,
}

impl Report {
    pub fn new(rounds: usize, is_pinned: bool, tracer: &'static str) -> Report {
        Report { rounds, is_pinned, tracer, left_out: Vec::new(), figures: BTreeMap::new() }
    }

    pub fn leave_out(&mut self, target: &str, why: &str) {
        self.left_out.push(format!("{target}: {why}"));
    }

    pub fn add(&mut self, workload: &'static str, target: &'static str, figures: Figures) {
        self.figures.entry((workload, target)).or_default().push(figures);
    }

    /// Whether no call failed and every limit that could be judged is held.
    pub fn holds(&self) -> bool {
        self.errors() == 0 && !cfg!(debug_assertions) && self.judged().iter().all(Judged::holds)
    }

    fn errors(&self) -> usize {
        self.figures.values().flatten().map(|figures| figures.errors.len()).sum()
    }

    fn values(&self, workload: &'static str, target: &'static str, metric: &str) -> Vec<f64> {
        let rounds = self.figures.get(&(workload, target)).map(Vec::as_slice).unwrap_or_default();
        rounds.iter().filter_map(|figures| figures.values.get(metric).copied()).collect()
    }

    fn median(&self, workload: &'static str, target: &'static str, metric: &str) -> Option<f64> {
        median(self.values(workload, target, metric))
    }

    /// Ratios to bare Pingora, round by round, sorted.
    fn ratios(&self, workload: &'static str, target: &'static str, metric: &str) -> Vec<f64> {
        let base = self.values(workload, BASE, metric);
        let own = self.values(workload, target, metric);
        let mut ratios: Vec<f64> =
            own.iter().zip(&base).filter(|(_, base)| **base > 0.0).map(|(own, base)| own / base).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// Median CPU microseconds per call of each thread name.
    fn by_thread(&self, workload: &'static str, target: &'static str) -> BTreeMap<&str, f64> {
        let rounds = self.figures.get(&(workload, target)).map(Vec::as_slice).unwrap_or_default();
        let mut by_thread: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (thread, us) in rounds.iter().flat_map(|figures| &figures.threads) {
            by_thread.entry(thread).or_default().push(*us);
        }
        by_thread.into_iter().filter_map(|(thread, us)| Some((thread, median(us)?))).collect()
    }

    /// How much more the gateway has than bare Pingora.
    fn more(&self, workload: &'static str, metric: &str) -> Option<f64> {
        Some(self.median(workload, JUDGED, metric)? - self.median(workload, BASE, metric)?)
    }

    fn judged(&self) -> Vec<Judged> {
        let judge = |&(workload, metric, rule, limit)| {
            let value = match rule {
                Rule::Ratio => median(self.ratios(workload, JUDGED, metric)),
                Rule::More => self.more(workload, metric),
                Rule::MorePerEvent => self.more(workload, metric).map(|more| more / EVENTS),
                Rule::Value => self.median(workload, JUDGED, metric),
            }?;
            Some(Judged { workload, metric, rule, value, limit })
        };
        LIMITS.iter().filter_map(judge).collect()
    }

    /// The targets of a workload in the order of their names, with at least one figure.
    fn targets(&self, workload: &'static str) -> Vec<&'static str> {
        let has_figures = |rounds: &Vec<Figures>| rounds.iter().any(|figures| !figures.values.is_empty());
        self.figures
            .iter()
            .filter(|((name, _), rounds)| *name == workload && has_figures(rounds))
            .map(|((_, target), _)| *target)
            .collect()
    }

    pub fn json(&self) -> Value {
        let mut rows = Vec::new();
        for workload in &WORKLOADS {
            for target in self.targets(workload.name) {
                let mut medians = serde_json::Map::new();
                let mut ratios = serde_json::Map::new();
                for (metric, _) in METRICS {
                    medians.extend(
                        self.median(workload.name, target, metric).map(|value| (metric.to_owned(), json!(value))),
                    );
                    let by_round = self.ratios(workload.name, target, metric);
                    if target != BASE && !by_round.is_empty() {
                        ratios.insert(metric.to_owned(), json!(by_round));
                    }
                }
                rows.push(
                    json!({"workload": workload.name, "target": target, "median": medians, "ratios_to_bare": ratios}),
                );
            }
        }
        let limits: Vec<Value> = self.judged().iter().map(Judged::json).collect();
        json!({"rounds": self.rounds, "pinned": self.is_pinned, "syscalls_by": self.tracer, "left_out": self.left_out,
            "errors": self.errors(), "rows": rows, "limits": limits})
    }
}

impl Judged {
    fn holds(&self) -> bool {
        self.value <= self.limit
    }

    fn json(&self) -> Value {
        json!({"workload": self.workload, "metric": self.metric, "rule": self.rule.name(), "value": self.value, "limit": self.limit, "holds": self.holds()})
    }
}

impl Rule {
    const fn name(self) -> &'static str {
        match self {
            Rule::Ratio => "ratio to bare Pingora",
            Rule::More => "more than bare Pingora",
            Rule::MorePerEvent => "more than bare Pingora for each event",
            Rule::Value => "value",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rounds; medians; ratios to bare Pingora round by round; system calls by {}",
            self.rounds, self.tracer
        )?;
        if !self.is_pinned {
            writeln!(f, "NOT PINNED to cores (taskset is missing): the figures are worth little")?;
        }
        if cfg!(debug_assertions) {
            writeln!(
                f,
                "NOT OPTIMISED: bare Pingora is built without the profile dist, so no ratio to it means anything"
            )?;
        }
        for line in &self.left_out {
            writeln!(f, "left out: {line}")?;
        }
        for workload in &WORKLOADS {
            let targets = self.targets(workload.name);
            if !targets.is_empty() {
                writeln!(f, "\n{}: {}", workload.name, workload.says)?;
                self.table(f, workload.name, &targets)?;
                self.threads(f, workload.name)?;
            }
        }
        let judged = self.judged();
        if !judged.is_empty() {
            writeln!(f, "\nlimits of the gateway")?;
        }
        for one in judged {
            let verdict = if one.holds() { "holds" } else { "EXCEEDED" };
            writeln!(
                f,
                "  {:22} {:13} {:7.2} of {:5.2}  {verdict} ({})",
                one.workload,
                one.metric,
                one.value,
                one.limit,
                one.rule.name()
            )?;
        }
        self.failures(f)
    }
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>, workload: &'static str, targets: &[&'static str]) -> fmt::Result {
        let has = |metric: &str| targets.iter().any(|target| self.median(workload, target, metric).is_some());
        let columns: Vec<_> = METRICS.into_iter().filter(|(metric, _)| has(metric)).collect();
        let judged = ["event_p50_us", "stream_kb", "cpu_grows", "cpu_us"].into_iter().find(|metric| has(metric));
        write!(f, "  {:8}", "")?;
        for (_, title) in &columns {
            write!(f, " {title:>13}")?;
        }
        writeln!(f, "   {} to {BASE}, min median max", judged.unwrap_or("ratio"))?;
        for target in targets {
            write!(f, "  {target:8}")?;
            for (metric, _) in &columns {
                match self.median(workload, target, metric) {
                    Some(value) if value >= 1000.0 => write!(f, " {value:13.0}")?,
                    Some(value) => write!(f, " {value:13.2}")?,
                    None => write!(f, " {:>13}", "-")?,
                }
            }
            let ratios = judged.map(|metric| self.ratios(workload, target, metric)).unwrap_or_default();
            if let (Some(min), Some(max), true) = (ratios.first(), ratios.last(), *target != BASE) {
                write!(f, "   {min:.2} {:.2} {max:.2}", median(ratios.clone()).unwrap_or_default())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    /// Where the gateway's CPU time goes; the least threads are left out.
    fn threads(&self, f: &mut fmt::Formatter<'_>, workload: &'static str) -> fmt::Result {
        let threads = self.by_thread(workload, JUDGED).into_iter().filter(|(_, us)| *us >= 0.5);
        let lines: Vec<String> = threads.map(|(thread, us)| format!("{thread} {us:.1}")).collect();
        if lines.is_empty() { Ok(()) } else { writeln!(f, "  {JUDGED} CPU us/call by thread: {}", lines.join(", ")) }
    }

    fn failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((workload, target), rounds) in &self.figures {
            let errors: Vec<&String> = rounds.iter().flat_map(|figures| &figures.errors).collect();
            if let Some(first) = errors.first() {
                writeln!(f, "\n{} calls FAILED: {workload} on {target}; the first: {first:.300}", errors.len())?;
            }
        }
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}
