//! The results as Markdown.

use std::fmt::Write as _;

use crate::contender::{Contender, Group};
use crate::measure::Rounds;

/// The results of all contenders of a group under the same load.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) rows: Vec<(&'static str, Rounds)>,
}

impl Table {
    /// Returns the results of a contender.
    pub(crate) fn row(&self, name: &str) -> Option<&Rounds> {
        let mut rows = self.rows.iter();
        rows.find_map(|(found, rounds)| (*found == name).then_some(rounds))
    }

    /// Returns the table with a row for each contender. Ratios are relative to the first.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "\n### {}\n\n| contender | requests/s | ratio | spread | p50 ms | p99 ms | CPU µs | peak MiB | failed |\n\
             |---|---|---|---|---|---|---|---|---|\n",
            self.title
        );
        let base = self
            .rows
            .first()
            .map_or(f64::NAN, |(_, rounds)| rate(rounds));
        for (name, rounds) in &self.rows {
            let (rate, (least, greatest)) = (rate(rounds), rounds.spread());
            let ratio = rate / base;
            let p50 = rounds.median(|measured| measured.p50_ms);
            let p99 = rounds.median(|measured| measured.p99_ms);
            let cpu = rounds.median(|measured| measured.cpu_us);
            let peak = rounds.median(|measured| measured.peak_mib);
            let failed = rounds.failed();
            let _ = writeln!(
                text,
                "| {name} | {rate:.0} | {ratio:.2} | {least:.0}–{greatest:.0} | {p50:.2} | {p99:.2} | {cpu:.1} | {peak:.0} | {failed} |"
            );
        }
        text
    }
}

/// Returns the title of a table.
pub(crate) fn title(group: Group, connections: usize, rate: Option<f64>) -> String {
    let what = match group {
        Group::Durable => "Durable",
        Group::Nothing => "A journal that stores nothing",
    };
    let s = if connections == 1 { "" } else { "s" };
    match rate {
        Some(rate) => format!("{what}, {rate:.0} a second over {connections} connection{s}"),
        None => format!("{what}, {connections} connection{s}"),
    }
}

pub(crate) fn rate(rounds: &Rounds) -> f64 {
    rounds.median(|measured| measured.rate)
}

/// A goal for the ratio of two contenders' rates.
struct Aim {
    group: Group,
    connections: usize,
    of: &'static str,
    to: &'static str,
    least: f64,
}

const AIMS: [Aim; 4] = [
    Aim {
        group: Group::Durable,
        connections: 64,
        of: "batchtask",
        to: "native axum",
        least: 0.8,
    },
    Aim {
        group: Group::Durable,
        connections: 64,
        of: "batchtask, fresh instances",
        to: "native axum",
        least: 0.4,
    },
    Aim {
        group: Group::Nothing,
        connections: 64,
        of: "batchtask over wasi:http",
        to: "wasmtime serve, 1000 requests an instance",
        least: 1.5,
    },
    Aim {
        group: Group::Nothing,
        connections: 64,
        of: "batchtask over wasi:http, fresh instances",
        to: "wasmtime serve, fresh instances",
        least: 1.5,
    },
];

/// Returns a table of the goals with the measured ratios. Goals whose contenders were
/// not measured are left out.
pub(crate) fn aims(tables: &[Table]) -> String {
    let mut text = String::from(
        "\n### Goals\n\n| contender | relative to | connections | goal for the ratio of requests/s | measured |\n|---|---|---|---|---|\n",
    );
    for aim in &AIMS {
        let title = title(aim.group, aim.connections, None);
        let rows = tables
            .iter()
            .find(|table| table.title == title)
            .and_then(|table| table.row(aim.of).zip(table.row(aim.to)));
        if let Some((of, to)) = rows {
            let ratio = rate(of) / rate(to);
            let Aim {
                of,
                to,
                connections,
                least,
                ..
            } = aim;
            let _ = writeln!(
                text,
                "| {of} | {to} | {connections} | {least} | {ratio:.2} |"
            );
        }
    }
    text
}

/// Returns a text about the circumstances of the measurements.
pub(crate) fn circumstances(missing: &[&str], contenders: &[&Contender]) -> String {
    let mut text = format!(
        "{}Ratios are those of medians over rounds in which {} contenders took turns. Figures of\n\
         different machines or days cannot be compared.\n",
        machine(),
        contenders.len(),
    );
    if !missing.is_empty() {
        let _ = writeln!(
            text,
            "\nNot measured, because not installed (`cargo xtask tools` installs them): {}.",
            missing.join("; ")
        );
    }
    text
}

/// Returns a text about the machine.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, load) = (read("/proc/cpuinfo"), read("/proc/loadavg"));
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Cores: {cores} of {}, shared with the load generator. Load average at the beginning: {}.\n",
        model.unwrap_or("an unknown processor"),
        load.split(' ').next().unwrap_or("unknown"),
    )
}
