//! The run: every workload on every target, round by round, so that a busy moment of the machine hits all alike.

use std::io;
use std::time::Duration;

use super::Options;
use super::load::{self, Calls, Sample};
use super::process::{self, Tracer};
use super::report::{Figures, Report};
use super::target::{Kind, Target, Upstream, pin_load};
use super::workload::{self, Ask, WORKLOADS, Workload};

/// Calls over which system calls are counted.
const TRACED_CALLS: usize = 4000;
/// After a burst the target gets this long to put itself in order.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(options: &Options) -> io::Result<Report> {
    let workloads = chosen(options)?;
    let is_pinned = pin_load(options);
    let tracer = Tracer::find();
    let mut report = Report::new(options.rounds, is_pinned, tracer.name());
    let upstream = Upstream::start()?;
    let mut targets = Vec::new();
    for name in &options.targets {
        match Target::start(Kind::parse(name)?, options, &upstream) {
            Ok(target) => targets.push(target),
            Err(error) => report.leave_out(name, &error.to_string()),
        }
    }
    for round in 0..options.rounds {
        for workload in &workloads {
            // Each target begins a round once: none always follows the same neighbour.
            for place in 0..targets.len() {
                let target = &targets[(place + round) % targets.len()];
                eprintln!("round {}/{}: {} on {}", round + 1, options.rounds, workload.name, target.kind.name());
                let run = Run { options, workload, upstream: &upstream, tracer, is_first: round == 0 };
                report.add(workload.name, target.kind.name(), run.on(target)?);
            }
        }
    }
    Ok(report)
}

fn chosen(options: &Options) -> io::Result<Vec<&'static Workload>> {
    let named = |name: &str, workload: &Workload| match name {
        "native" => !workload.is_translated(),
        "translated" => workload.is_translated(),
        name => name == workload.name,
    };
    let known = |name: &String| WORKLOADS.iter().any(|workload| named(name, workload));
    if let Some(unknown) = options.workloads.iter().find(|name| !known(name)) {
        return Err(io::Error::other(format!("there is no workload {unknown:?}")));
    }
    let wanted = |workload: &&Workload| {
        options.workloads.is_empty() || options.workloads.iter().any(|name| named(name, workload))
    };
    Ok(WORKLOADS.iter().filter(wanted).collect())
}

struct Run<'a> {
    options: &'a Options,
    workload: &'static Workload,
    upstream: &'a Upstream,
    tracer: Tracer,
    is_first: bool,
}

impl Run<'_> {
    fn on(&self, target: &Target) -> io::Result<Figures> {
        match self.workload.kind {
            workload::Kind::Loop | workload::Kind::Paced => Ok(self.closed_loop(target)),
            // The upstream alone has no streams to proxy, and it is not started afresh.
            workload::Kind::Idle | workload::Kind::Burst if target.kind == Kind::Direct => Ok(Figures::default()),
            workload::Kind::Idle => self.idle(&Target::start(target.kind, self.options, self.upstream)?),
            workload::Kind::Burst => self.burst(&Target::start(target.kind, self.options, self.upstream)?),
        }
    }

    fn calls(&self, target: &Target, ask: &Ask) -> Calls {
        Calls::new(target.address, target.key.as_deref(), ask, self.workload.connections)
    }

    fn closed_loop(&self, target: &Target) -> Figures {
        let calls = self.calls(target, &self.workload.ask(target.kind == Kind::Gateway));
        let sample = load::measure(&calls, self.options.warmup, self.options.seconds, || process::cpu(target.pid));
        let mut figures = Figures::default();
        if self.workload.kind == workload::Kind::Paced {
            figures.put("event_p50_us", percentile(&sample.event_us, 50));
            figures.put("event_p99_us", percentile(&sample.event_us, 99));
        } else {
            figures.put("calls_per_s", Some(sample.calls as f64 / sample.seconds));
            figures.put("p50_us", percentile(&sample.call_us, 50));
            figures.put("p99_us", percentile(&sample.call_us, 99));
        }
        figures.put("cpu_us", cpu_per_call(&sample));
        figures.put("rss_mb", Some(process::rss_kb(target.pid) / 1024.0));
        figures.threads =
            sample.cpu.iter().map(|(thread, us)| (thread.clone(), us / sample.calls.max(1) as f64)).collect();
        figures.errors = sample.errors;
        // Counting slows the target down: once, and never while it is measured.
        if self.is_first && self.workload.kind == workload::Kind::Loop {
            let counted = self.tracer.count(target.pid, || figures.errors.extend(load::exactly(&calls, TRACED_CALLS)));
            figures.put("syscalls", counted.map(|count| count / TRACED_CALLS as f64));
        }
        figures
    }

    fn idle(&self, target: &Target) -> io::Result<Figures> {
        let calls = self.calls(target, &self.workload.ask(target.kind == Kind::Gateway));
        // One stream first: what is set up once is not counted to each.
        let mut errors = load::hold_streams(&calls, 1, || {});
        let before = process::rss_kb(target.pid);
        let mut held = before;
        errors.extend(load::hold_streams(&calls, self.options.idle_streams, || held = process::rss_kb(target.pid)));
        let mut figures = Figures::default();
        figures.errors = errors;
        figures.put("stream_kb", Some((held - before) / self.options.idle_streams as f64));
        Ok(figures)
    }

    fn burst(&self, target: &Target) -> io::Result<Figures> {
        let is_gateway = target.kind == Kind::Gateway;
        let calls = self.calls(target, &Workload::ask_whole(is_gateway));
        let measure = || load::measure(&calls, self.options.warmup, self.options.seconds, || process::cpu(target.pid));
        let before = measure();
        let rss_before = process::rss_kb(target.pid);
        let mut streams = self.calls(target, &self.workload.ask_burst(is_gateway));
        streams.connections = self.options.burst_streams;
        let burst_errors = load::exactly(&streams, self.options.burst_streams);
        std::thread::sleep(SETTLE);
        let after = measure();
        let rss_after = process::rss_kb(target.pid);
        let mut figures = Figures::default();
        figures.put("cpu_before_us", cpu_per_call(&before));
        figures.put("cpu_after_us", cpu_per_call(&after));
        figures.put("cpu_grows", cpu_per_call(&before).zip(cpu_per_call(&after)).map(|(before, after)| after / before));
        figures.put("rss_before_mb", Some(rss_before / 1024.0));
        figures.put("rss_after_mb", Some(rss_after / 1024.0));
        figures.put("rss_grows", Some(rss_after / rss_before));
        figures.errors = [before.errors, burst_errors, after.errors].concat();
        Ok(figures)
    }
}

fn cpu_per_call(sample: &Sample) -> Option<f64> {
    (sample.calls > 0).then(|| sample.cpu.values().sum::<f64>() / sample.calls as f64)
}

fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}
