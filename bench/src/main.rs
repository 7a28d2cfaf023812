//! Compares the host with other servers, in one run on one machine: figures of
//! different machines or days cannot be compared. `cargo xtask bench` builds the
//! programs and runs this one.
//!
//! - [`contender`]: the servers that are measured.
//! - [`server`]: a running server.
//! - [`baseline`]: a native axum handler with the same parser and journal.
//! - [`nothing`]: the host's library over a journal that stores nothing.
//! - [`load`]: keeps connections busy with different notifications, and checks every
//!   answer.
//! - [`measure`]: measures all contenders in turn.
//! - [`report`], [`chart`]: the results as a text and as a chart.
//! - [`mod@growth`]: more events, connections, bytes and cores.
//! - [`soak`]: more time.
//! - [`shared`]: several hosts on one PostgreSQL; `postgres`: its server.
//! - [`relay`]: a webhook sink, and pushes beside it.
//! - [`traces`]: pushes with and without traces.
//! - [`reads`]: reads from a journal with very many events.
//! - [`count`]: instructions, which do not depend on what else runs.

mod baseline;
mod chart;
mod contender;
mod count;
mod growth;
mod load;
mod measure;
mod nothing;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../host/postgres/tests/postgres/support/server.rs"]
mod postgres;
mod reads;
mod relay;
mod report;
mod server;
mod shared;
mod soak;
mod traces;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::contender::{Contender, Group};
use crate::count::Work;
use crate::load::Load;
use crate::report::Table;

/// The number of notifications a second in the platform's worst burst.
const BURST: f64 = 800.0;

#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
enum Command {
    /// Measure all contenders in turn, several times, and write
    /// `bench/results.md` and `bench/results.svg`
    Run(Run),
    /// Measure with more events, connections, bytes and cores, and write
    /// `bench/growth.md` and `bench/growth.svg`
    Growth {
        /// Number of events in the large journal; it takes 1 kB for each event, and
        /// stays in `target/bench` for the next run
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
        /// Duration of each measurement in seconds
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// Number of rounds
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Measure a steady load for a long time, and write `bench/soak.md`
    Soak {
        /// Duration in minutes
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// Number of notifications a second
        #[arg(long, default_value_t = BURST)]
        rate: f64,
    },
    /// Measure reads of tasks, pages and the feed from a journal with many events,
    /// and write `bench/reads.md`
    Reads {
        /// Number of events in the journal, eight for each task
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// Measure 1, 4 and 8 hosts on one PostgreSQL, beside SQLite, and write
    /// `bench/shared.md`
    Shared {
        /// Duration of each measurement in seconds
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Number of rounds
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Measure how fast a webhook sink delivers, and the pushes beside it, and write
    /// `bench/relay.md`
    Relay {
        /// Number of events in the journal
        #[arg(long, default_value_t = 400_000)]
        events: u64,
        /// Duration of each load in seconds
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Number of rounds
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Measure pushes with and without traces, and write `bench/traces.md`
    Traces {
        /// Duration of each load in seconds
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Number of rounds
        #[arg(long, default_value_t = 9)]
        rounds: usize,
    },
    /// Count instructions; fail if a count exceeds the one in `bench/counts.toml` by
    /// more than 5 %
    Count {
        /// Write the counts to `bench/counts.toml` instead
        #[arg(long)]
        update: bool,
    },
    /// Put load on a running server
    Load {
        /// Address of the server
        address: SocketAddr,
        /// Number of connections
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Duration in seconds
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Serve the native baseline
    #[command(hide = true)]
    Baseline {
        #[arg(long)]
        journal: Option<PathBuf>,
    },
    /// Serve the host's library over a journal that stores nothing
    #[command(hide = true)]
    Nothing {
        #[arg(long, default_value_t = batchtask_host::component::DEFAULT_REUSE)]
        instance_reuse: u32,
    },
    /// Serve a webhook that accepts everything
    #[command(hide = true)]
    Webhook,
    /// Do the work whose instructions are counted
    #[command(hide = true)]
    Work { work: Work, times: u64 },
}

#[derive(clap::Args)]
struct Run {
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_value = "1,64,512")]
    connections: Vec<usize>,
    /// Duration of each measurement in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Number of rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure only contenders whose name contains this text; write no files
    #[arg(long)]
    only: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run(run) => run.run().await,
        Command::Growth {
            events,
            seconds,
            rounds,
        } => growth(events, seconds, rounds).await,
        Command::Soak { minutes, rate } => soak::run(minutes, rate).await,
        Command::Reads { events } => reads::run(events).await,
        Command::Shared { seconds, rounds } => shared::run(seconds, rounds).await,
        Command::Relay {
            events,
            seconds,
            rounds,
        } => relay::run(events, seconds, rounds).await,
        Command::Traces { seconds, rounds } => traces::run(seconds, rounds).await,
        Command::Count { update } => count::check(update).map(|report| emit(&report)),
        Command::Load {
            address,
            connections,
            seconds,
        } => {
            let load = Load::full(connections, Duration::from_secs(seconds));
            let answers = load.put(address).await?.times.len() as u64;
            emit(&format!("{} a second", answers / seconds.max(1)));
            Ok(())
        }
        Command::Baseline { journal } => baseline::serve(journal).await,
        Command::Nothing { instance_reuse } => nothing::serve(instance_reuse).await,
        Command::Webhook => relay::webhook().await,
        Command::Work { work, times } => work.run(times),
    }
}

impl Run {
    async fn run(self) -> anyhow::Result<()> {
        contender::prepare()?;
        let (all, missing) = Contender::all()?;
        let only = self.only.as_deref().unwrap_or_default();
        let contenders: Vec<_> = all
            .iter()
            .filter(|contender| contender.name.contains(only))
            .collect();
        let circumstances = report::circumstances(&missing, &contenders);
        let time = Duration::from_secs(self.seconds);
        let mut tables = Vec::new();
        for group in [Group::Durable, Group::Nothing] {
            let contenders: Vec<_> = contenders
                .iter()
                .copied()
                .filter(|contender| contender.group == group)
                .collect();
            for connections in self.connections.iter().copied() {
                let load = Load::full(connections, time);
                tables.push(self.table(group, &contenders, load).await?);
            }
            if group == Group::Durable {
                let steady = Load {
                    rate: Some(BURST),
                    ..Load::full(64, time)
                };
                tables.push(self.table(group, &contenders, steady).await?);
            }
        }
        let (seconds, rounds) = (self.seconds, self.rounds);
        let mut text =
            format!("# Comparison\n\n{rounds} rounds of {seconds} s each. {circumstances}");
        text += &report::aims(&tables);
        tables.iter().for_each(|table| text += &table.markdown());
        emit(&text);
        if self.only.is_none() {
            fs::write(
                measure::results("results.md"),
                text + "\n![chart](results.svg)\n",
            )?;
            fs::write(measure::results("results.svg"), chart::svg(&tables))?;
        }
        Ok(())
    }

    async fn table(
        &self,
        group: Group,
        contenders: &[&Contender],
        load: Load,
    ) -> anyhow::Result<Table> {
        let rounds = measure::rounds(contenders, load, self.rounds, None).await?;
        let names = contenders.iter().map(|contender| contender.name);
        Ok(Table {
            title: report::title(group, load.connections, load.rate),
            rows: names.zip(rounds).collect(),
        })
    }
}

async fn growth(events: u64, seconds: u64, rounds: usize) -> anyhow::Result<()> {
    let (all, _) = Contender::all()?;
    let durable: Vec<_> = all
        .iter()
        .filter(|contender| contender.group == Group::Durable)
        .collect();
    let mut text = format!(
        "# Growth\n\nMedians of {rounds} rounds of {seconds} s each. {}",
        report::circumstances(&[], &durable)
    );
    text += &growth::events(events, seconds, rounds).await?;
    let tables = growth::sizes(&durable, seconds, rounds).await?;
    text += &growth::compact(&tables);
    emit(&text);
    fs::write(measure::results("growth.svg"), chart::svg(&tables))?;
    text += "\n![chart](growth.svg)\n";
    Ok(fs::write(measure::results("growth.md"), text)?)
}

#[allow(clippy::print_stdout, reason = "the result of the command")]
fn emit(text: &str) {
    println!("{text}");
}
