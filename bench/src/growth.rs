//! Measures with more events, connections, bytes and cores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use batchtask_journal::{Entry, GroupCommit};

use crate::baseline;
use crate::contender::{Contender, SERVE, batchtask, on_cores};
use crate::load::{self, Load};
use crate::measure::{Rounds, measure, rounds};
use crate::report::{Table, rate};
use crate::server::Server;

/// How many tasks append events at the same time when a journal is filled.
const FILLERS: u64 = 512;
/// The number of the first notification with which a journal is filled. It is less than
/// the numbers of posted ones.
pub(crate) const FIRST: u64 = 1 << 32;

/// Returns the path of a journal with at least this many events, after making it if it
/// does not exist. It stays in `target/bench`, because making it takes minutes.
pub(crate) async fn filled(events: u64) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(format!("target/bench/events-{events}.db"));
    let marker = path.with_extension("filled");
    if marker.exists() {
        return Ok(path);
    }
    let started = Instant::now();
    let journal = baseline::open(&path)?;
    let fillers: Vec<_> = (0..FILLERS)
        .map(|filler| tokio::spawn(fill(journal.clone(), filler, events)))
        .collect();
    for filler in fillers {
        filler.await??;
    }
    journal.close();
    let seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&path)?.len();
    let text = format!(
        "{events} events in {seconds:.0} s, {:.0} a second, {} bytes each",
        events as f64 / seconds,
        bytes / events.max(1)
    );
    eprintln!("{text}");
    std::fs::write(&marker, text)?;
    Ok(path)
}

/// Appends every [`FILLERS`]th event.
async fn fill(journal: Arc<GroupCommit>, filler: u64, events: u64) -> anyhow::Result<()> {
    let mut number = filler;
    while number < events {
        let event = baseline::event(load::body(FIRST + number, 0).into_bytes());
        let event = event.context("the generator makes notifications")?;
        let written = journal.write(Entry::Event(event, None)).await;
        written.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        number += FILLERS;
    }
    Ok(())
}

/// Compares an empty journal with a journal of this many events.
pub(crate) async fn events(events: u64, seconds: u64, times: usize) -> anyhow::Result<String> {
    let full = filled(events).await?;
    let load = Load::full(64, Duration::from_secs(seconds));
    let (mut with, mut without) = (Rounds::default(), Rounds::default());
    for _ in 0..times {
        let folder = tempfile::tempdir_in("target/bench")?;
        without.push(measure(&serve(&folder.path().join("journal.db"))?, load).await?);
        with.push(measure(&serve(&full)?, load).await?);
    }
    let fill = std::fs::read_to_string(full.with_extension("filled"))?;
    let line = |name: &str, rounds: &Rounds| {
        let p99 = rounds.median(|measured| measured.p99_ms);
        let peak = rounds.median(|measured| measured.peak_mib);
        let ratio = rate(rounds) / rate(&without);
        format!(
            "| {name} | {:.0} | {ratio:.2} | {p99:.2} | {peak:.0} |\n",
            rate(rounds)
        )
    };
    Ok(format!(
        "\n### Events in the journal, 64 connections\n\nFilled with {fill}.\n\n\
         | events | durable/s | ratio | p99 ms | peak MiB |\n|---|---|---|---|---|\n{}{}",
        line("0", &without),
        line(&events.to_string(), &with)
    ))
}

fn serve(journal: &Path) -> anyhow::Result<Server> {
    let mut command = on_cores(&batchtask()?, None);
    command.args(SERVE).args(["--admin", "off", "--journal"]);
    Server::start(command.arg(format!("sqlite:{}", journal.display())))
}

/// Measures with 1 to 2000 connections, bodies of 0.5 kB to 1 MB, and one and two cores.
/// Returns a table for each step.
pub(crate) async fn sizes(
    contenders: &[&Contender],
    seconds: u64,
    times: usize,
) -> anyhow::Result<Vec<Table>> {
    let load = Load::full(64, Duration::from_secs(seconds));
    let mut steps = Vec::new();
    for connections in [1, 8, 64, 512, 2000] {
        let name = format!("{connections} connections");
        let load = Load {
            connections,
            ..load
        };
        steps.push((name, load, None));
    }
    for body_bytes in [0, 4 << 10, 64 << 10, 1 << 20] {
        let name = format!("bodies of {} bytes", load::body(0, body_bytes).len());
        steps.push((name, Load { body_bytes, ..load }, None));
    }
    for cores in [1, 2] {
        let name = format!("{cores} of the cores for the server");
        steps.push((name, load, Some(cores)));
    }
    let mut tables = Vec::new();
    for (title, load, cores) in steps {
        let all = rounds(contenders, load, times, cores).await?;
        let names = contenders.iter().map(|contender| contender.name);
        let rows = names.zip(all).collect();
        tables.push(Table { title, rows });
    }
    Ok(tables)
}

/// Returns a table with a row for each step and a column for each contender.
pub(crate) fn compact(tables: &[Table]) -> String {
    let first = tables.first().map_or(&[][..], |table| &table.rows);
    let names: Vec<_> = first.iter().map(|(name, _)| *name).collect();
    let mut text = format!(
        "\n### Connections, bodies, cores\n\nUnless noted: 64 connections, bodies of 0.5 kB, all cores. A cell is durable/s, and in parentheses the\np99 in ms and how many were not acknowledged: at most 64 MiB may wait for the journal, beyond that\nthe answer is 503.\n\n| | {} |\n|---{}|\n",
        names.join(" | "),
        "|---".repeat(names.len())
    );
    for Table { title, rows } in tables {
        let cells = rows.iter().map(|(_, rounds)| {
            let p99 = rounds.median(|measured| measured.p99_ms);
            format!("{:.0} ({p99:.1}; {})", rate(rounds), rounds.failed())
        });
        text += &format!("| {title} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}
