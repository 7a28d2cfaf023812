//! The standard process metrics of Prometheus, read from `/proc`.
//!
//! The crate `prometheus` can report them too, but it counts processor time in
//! whole seconds, and its dependency `procfs` adds a second version of `rustix`.

use std::fs;

use prometheus::{Counter, Gauge};

use super::Registry;

/// Ticks per second in `/proc`: the same on every architecture that Rust supports.
const TICKS: f64 = 100.0;

/// This process's figures in `/proc`.
#[derive(Debug, PartialEq)]
struct Process {
    cpu_seconds: f64,
    threads: f64,
    /// `None` if the rest of `/proc` is hidden, as by systemd's `ProcSubset=pid`.
    start_seconds: Option<f64>,
    virtual_bytes: f64,
    resident_bytes: f64,
    open_fds: f64,
    max_fds: f64,
}

/// Returns the current metrics of this process, or an empty registry if there is
/// no `/proc`.
pub(super) fn metrics() -> Result<Registry, prometheus::Error> {
    let registry = Registry::default();
    let Some(process) = Process::read() else {
        return Ok(registry);
    };
    let name = "process_cpu_seconds_total";
    let cpu = Counter::new(name, "Processor time, in seconds.")?;
    registry.register(cpu)?.inc_by(process.cpu_seconds);
    let gauge = |name, help, value| -> Result<(), prometheus::Error> {
        registry.register(Gauge::new(name, help)?)?.set(value);
        Ok(())
    };
    if let Some(seconds) = process.start_seconds {
        let help = "When the process started, in seconds since 1970.";
        gauge("process_start_time_seconds", help, seconds)?;
    }
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Resident memory, in bytes.",
            process.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory, in bytes.",
            process.virtual_bytes,
        ),
        (
            "process_open_fds",
            "Open file descriptors.",
            process.open_fds,
        ),
        (
            "process_max_fds",
            "Limit of open file descriptors.",
            process.max_fds,
        ),
        ("process_threads", "Threads.", process.threads),
    ] {
        gauge(name, help, value)?;
    }
    Ok(registry)
}

impl Process {
    fn read() -> Option<Self> {
        let text = |path| fs::read_to_string(path).ok();
        let stat = text("/proc/self/stat")?;
        let status = text("/proc/self/status")?;
        let boot_seconds = text("/proc/stat").and_then(|text| value(&text, "btime "));
        // The program's name stands in parentheses, and may contain anything.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Field numbers as in proc_pid_stat(5), where this list starts with field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS,
            threads: field(20)?,
            start_seconds: boot_seconds
                .zip(field(22))
                .map(|(boot, ticks)| boot + ticks / TICKS),
            virtual_bytes: value(&status, "VmSize:")? * 1024.0,
            resident_bytes: value(&status, "VmRSS:")? * 1024.0,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
            // The limit may be `unlimited`.
            max_fds: value(&text("/proc/self/limits")?, "Max open files").unwrap_or(f64::INFINITY),
        })
    }
}

/// Returns the first number after `prefix` in the line that begins with it.
fn value(text: &str, prefix: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(prefix))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_process_knows_itself() {
        let started = SystemTime::now();
        while started.elapsed().unwrap() < Duration::from_millis(50) {}
        let process = Process::read().unwrap();
        assert!(process.cpu_seconds > 0.0, "{process:?}");
        assert!(process.resident_bytes > 1e6 && process.virtual_bytes > process.resident_bytes);
        assert!(process.open_fds >= 3.0 && process.max_fds >= process.open_fds);
        assert!(process.threads >= 2.0, "{process:?}");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let age = now.unwrap().as_secs_f64() - process.start_seconds.unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
