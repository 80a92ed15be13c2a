//! What a process uses, from `/proc` and from `perf` or `strace`: CPU time, memory, system calls.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Long enough for a tracer to attach on a busy machine.
const ATTACH: Duration = Duration::from_millis(700);
/// A clock tick of `/proc/PID/stat` in microseconds.
const TICK_US: f64 = 10_000.0;

/// CPU time by thread name, in microseconds.
pub type Cpu = BTreeMap<String, f64>;

/// CPU time of all threads, user and system. Threads of one name are one line.
///
/// `schedstat` counts in nanoseconds, but only threads that live: right for a process that keeps its threads.
/// Where the kernel has none, `stat` counts the process in ticks.
pub fn cpu(pid: u32) -> Cpu {
    let by_thread = schedstat(pid).unwrap_or_default();
    if by_thread.values().sum::<f64>() > 0.0 {
        return by_thread;
    }
    stat_us(pid).map(|us| ("all".to_owned(), us)).into_iter().collect()
}

fn schedstat(pid: u32) -> Option<Cpu> {
    let mut by_thread = Cpu::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let folder = thread.ok()?.path();
        // A thread that ended in between is not there any more.
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let Some((name, text)) = read("comm").zip(read("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next()?.parse::<f64>().ok()?;
        *by_thread.entry(name.trim().to_owned()).or_default() += nanoseconds / 1000.0;
    }
    Some(by_thread)
}

fn stat_us(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) * TICK_US)
}

/// Resident memory in kB.
pub fn rss_kb(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// How system calls are counted here, best first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tracer {
    Perf,
    Strace,
    /// `/proc/PID/io`: reads and writes alone, a lower bound.
    Io,
}

impl Tracer {
    pub fn find() -> Tracer {
        let works = |command: &mut Command| {
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if works(Command::new("perf").args(["stat", "-e", "raw_syscalls:sys_enter", "true"])) {
            Tracer::Perf
        } else if works(Command::new("strace").args(["-c", "-f", "true"])) {
            Tracer::Strace
        } else {
            Tracer::Io
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Tracer::Perf => "perf",
            Tracer::Strace => "strace",
            Tracer::Io => "/proc/PID/io: reads and writes only, a lower bound",
        }
    }

    /// System calls of `pid` while `work` runs.
    pub fn count(self, pid: u32, work: impl FnOnce()) -> Option<f64> {
        let pid_text = pid.to_string();
        let mut command = match self {
            Tracer::Io => {
                let before = io_calls(pid)?;
                work();
                return Some(io_calls(pid)? - before);
            }
            Tracer::Perf => {
                let mut perf = Command::new("perf");
                perf.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid_text]);
                perf
            }
            Tracer::Strace => {
                let mut strace = Command::new("strace");
                strace.args(["-c", "-f", "-p", &pid_text]);
                strace
            }
        };
        let mut tracer = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
        std::thread::sleep(ATTACH);
        work();
        let text = interrupted(&mut tracer)?;
        match self {
            Tracer::Perf => text.lines().find_map(|line| line.split(',').next()?.trim().parse().ok()),
            // The line of the sum: percent, seconds, microseconds per call, calls, errors, `total`.
            _ => text.lines().find(|line| line.trim_end().ends_with("total"))?.split_whitespace().nth(3)?.parse().ok(),
        }
    }
}

/// Ends a tracer as a terminal would, and gives what it says then.
fn interrupted(tracer: &mut Child) -> Option<String> {
    Command::new("kill").args(["-INT", &tracer.id().to_string()]).status().ok()?;
    let mut text = String::new();
    tracer.stderr.take()?.read_to_string(&mut text).ok()?;
    tracer.wait().ok()?;
    Some(text)
}

fn io_calls(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    Some(value("syscr:")? + value("syscw:")?)
}
