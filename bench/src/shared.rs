//! Measures several hosts that share a journal in PostgreSQL, beside one host with a
//! journal in SQLite.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::BURST;
use crate::contender::{SERVE, batchtask};
use crate::load::{Answers, Load};
use crate::measure::{median, quantile_ms, results};
use crate::postgres;
use crate::report;
use crate::server::Server;

/// The connections of all hosts together.
const CONNECTIONS: usize = 64;

/// The duration of the load before each measurement.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Clone, Copy)]
struct Setup {
    name: &'static str,
    hosts: usize,
    is_shared: bool,
}

const SETUPS: [Setup; 4] = [
    Setup {
        name: "SQLite, 1 host",
        hosts: 1,
        is_shared: false,
    },
    Setup {
        name: "PostgreSQL, 1 host",
        hosts: 1,
        is_shared: true,
    },
    Setup {
        name: "PostgreSQL, 4 hosts",
        hosts: 4,
        is_shared: true,
    },
    Setup {
        name: "PostgreSQL, 8 hosts",
        hosts: 8,
        is_shared: true,
    },
];

/// The results of a round.
struct Figures {
    rate: f64,
    commits: f64,
    p50_ms: f64,
    p99_ms: f64,
    failed: usize,
}

/// Measures all setups in turn, in each of the rounds.
pub(crate) async fn run(seconds: u64, rounds: usize) -> anyhow::Result<()> {
    let database = postgres::Server::start(&[("shared_buffers", "128MB")]);
    let database = database.context("install PostgreSQL, or set BATCHTASK_TEST_POSTGRES")?;
    let version = database.sql("SHOW server_version");
    let mut text = format!(
        "# A shared journal\n\n{}Medians of {rounds} rounds of {seconds} s each, with PostgreSQL \
         {version} on the same machine, over {CONNECTIONS} connections in all. A commit is that of \
         one host. Figures of different machines or days cannot be compared.\n",
        report::machine()
    );
    for (title, rate) in [("As fast as possible", None), ("800 a second", Some(BURST))] {
        let _ = writeln!(
            text,
            "\n### {title}\n\n| journal | events/s | commits/s | events a commit | p50 ms | p99 ms | failed |\n\
             |---|---|---|---|---|---|---|"
        );
        let mut all: [Vec<Figures>; SETUPS.len()] = Default::default();
        for round in 1..=rounds {
            for (setup, figures) in SETUPS.iter().zip(&mut all) {
                eprintln!("round {round}, {title}: {}", setup.name);
                let load = Load {
                    rate,
                    ..Load::full(CONNECTIONS, Duration::from_secs(seconds))
                };
                figures.push(setup.measure(&database, load).await?);
            }
        }
        for (setup, figures) in SETUPS.iter().zip(&all) {
            text += &row(setup.name, figures);
        }
    }
    crate::emit(&text);
    Ok(std::fs::write(results("shared.md"), text)?)
}

fn row(name: &str, rounds: &[Figures]) -> String {
    let median = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure));
    let (rate, commits) = (median(|it| it.rate), median(|it| it.commits));
    let (p50, p99) = (median(|it| it.p50_ms), median(|it| it.p99_ms));
    let batch = median(|it| it.rate / it.commits);
    let failed: usize = rounds.iter().map(|it| it.failed).sum();
    format!("| {name} | {rate:.0} | {commits:.0} | {batch:.1} | {p50:.1} | {p99:.1} | {failed} |\n")
}

impl Setup {
    async fn measure(&self, database: &postgres::Server, load: Load) -> anyhow::Result<Figures> {
        let folder = tempfile::tempdir_in("target/bench")?;
        let journal = if self.is_shared {
            // Every measurement has an empty journal.
            database.sql("DROP SCHEMA IF EXISTS batchtask CASCADE");
            database.sql("CHECKPOINT");
            database.url()
        } else {
            format!("sqlite:{}", folder.path().join("journal.db").display())
        };
        let hosts = (0..self.hosts).map(|_| start(&journal, folder.path()));
        let hosts = hosts.collect::<anyhow::Result<Vec<_>>>()?;
        let warm_up = Load {
            time: WARM_UP,
            ..load
        };
        put(&hosts, warm_up).await?;
        let before = commits(&hosts)?;
        let answers = put(&hosts, load).await?;
        let seconds = load.time.as_secs_f64();
        Ok(Figures {
            rate: answers.times.len() as f64 / seconds,
            commits: (commits(&hosts)? - before) / seconds,
            p50_ms: quantile_ms(&answers.times, 0.5),
            p99_ms: quantile_ms(&answers.times, 0.99),
            failed: answers.failed,
        })
    }
}

fn start(journal: &str, folder: &Path) -> anyhow::Result<Server> {
    let mut command = std::process::Command::new(batchtask()?);
    command.args(SERVE).args(["--admin", "127.0.0.1:0"]);
    command.env("BATCHTASK_JOURNAL", journal);
    command.env("XDG_RUNTIME_DIR", folder);
    Server::start(&mut command)
}

/// Divides a load between hosts.
async fn put(hosts: &[Server], load: Load) -> anyhow::Result<Answers> {
    let share = Load {
        connections: load.connections / hosts.len(),
        rate: load.rate.map(|rate| rate / hosts.len() as f64),
        ..load
    };
    let loads: Vec<_> = hosts
        .iter()
        .map(|host| tokio::spawn(share.put(host.address)))
        .collect();
    let mut all = Answers::default();
    for load in loads {
        let Answers { times, failed } = load.await??;
        all.times.extend(times);
        all.failed += failed;
    }
    all.times.sort_unstable();
    Ok(all)
}

/// The commits of all hosts so far.
fn commits(hosts: &[Server]) -> anyhow::Result<f64> {
    let of = |host: &Server| {
        let metrics = host.metrics()?;
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix("batchtask_journal_commits_total "));
        Ok(value.context("no commits")?.parse::<f64>()?)
    };
    hosts.iter().map(of).sum()
}
