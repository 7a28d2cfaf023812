//! Measures the host against others, in one run on one machine: the figures of
//! two machines, or of two days, say nothing of each other. `cargo xtask bench`
//! builds what it needs and runs it.
//!
//! - [`contender`]: what is measured; [`server`]: one of them, running.
//! - [`baseline`]: a native axum handler with the same parser and journal;
//!   [`nothing`]: the host's library over a journal that keeps nothing.
//! - [`load`]: keeps connections busy with notifications no two of which are
//!   the same, and checks every answer.
//! - [`measure`]: rounds in which contenders take turns; [`report`], [`chart`]:
//!   what they came to.
//! - [`mod@growth`]: more events, connections, bytes, cores; [`soak`]: more time.
//! - [`reads`]: what people and programs ask of a journal that holds very much.
//! - [`count`]: instructions, which do not depend on what else runs.

mod baseline;
mod chart;
mod contender;
mod count;
mod growth;
mod load;
mod measure;
mod nothing;
mod reads;
mod report;
mod server;
mod soak;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::contender::{Contender, Group};
use crate::count::Work;
use crate::load::Load;
use crate::report::Table;

/// Notifications a second in the platform's worst burst.
const BURST: f64 = 800.0;

#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
enum Command {
    /// Run every contender in turn, several times; the table and the chart go
    /// to `bench/results.md` and `bench/results.svg`
    Run(Run),
    /// The same load with more events, connections, bytes and cores; goes to
    /// `bench/growth.md` and `bench/growth.svg`
    Growth {
        /// How many events the fuller journal has; it takes 1 kB each, and
        /// stays in `target/bench` for the next time
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
        /// How long each is measured in a round
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// How often all of them are run
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// A steady load for a long time; goes to `bench/soak.md`
    Soak {
        /// For how long
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// Notifications a second
        #[arg(long, default_value_t = BURST)]
        rate: f64,
    },
    /// Read tasks, pages and the feed from a journal with many events; goes to
    /// `bench/reads.md`
    Reads {
        /// How many events it has, eight a task
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// Count instructions; fail when there are 5 % more than
    /// `bench/counts.toml` says
    Count {
        /// Write them there instead
        #[arg(long)]
        update: bool,
    },
    /// Keep a server that runs already busy
    Load {
        /// Where it listens
        address: SocketAddr,
        /// How many connections post
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// For how long
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Serve the native baseline
    #[command(hide = true)]
    Baseline {
        #[arg(long)]
        journal: Option<PathBuf>,
    },
    /// Serve the host's library over a journal that keeps nothing
    #[command(hide = true)]
    Nothing {
        #[arg(long, default_value_t = batchtask_host::component::DEFAULT_REUSE)]
        instance_reuse: u32,
    },
    /// Do what is counted
    #[command(hide = true)]
    Work { work: Work, times: u64 },
}

#[derive(clap::Args)]
struct Run {
    /// How many connections are kept busy
    #[arg(long, value_delimiter = ',', default_value = "1,64,512")]
    connections: Vec<usize>,
    /// How long each contender is measured in a round
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often all of them are run
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only contenders whose name contains this; prints the table instead
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
            format!("# Against others\n\n{rounds} rounds of {seconds} s each. {circumstances}");
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
        "# Growth\n\n{rounds} rounds of {seconds} s each, in turns; medians. {}",
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
