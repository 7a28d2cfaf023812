//! A steady load for a long time, to see whether memory, times or the log grow.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::Context;

use crate::contender::{SERVE, batchtask, on_cores};
use crate::load::{Answers, Load};
use crate::measure::{quantile_ms, results};
use crate::server::Server;

/// How many connections share the load.
const CONNECTIONS: usize = 64;

/// Posts `rate` notifications a second for this many minutes, and writes a line for each
/// minute.
pub(crate) async fn run(minutes: u64, rate: f64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in("target/bench")?;
    let journal = folder.path().join("journal.db");
    let mut command = on_cores(&batchtask()?, None);
    command
        .args(SERVE)
        .args(["--admin", "127.0.0.1:0", "--journal"]);
    let server = Server::start(command.arg(format!("sqlite:{}", journal.display())))?;
    let mut text = format!(
        "# {rate:.0} notifications a second for {minutes} minutes\n\n\
         Over {CONNECTIONS} connections. Times are measured from when a request was due. The time of commits is the mean.\n\n\
         | minute | recorded | failed | p50 ms | p99 ms | greatest ms | commit ms | CPU % of a core | memory MiB | log MiB | journal MiB | load average |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for minute in 1..=minutes {
        let before = (server.cpu_seconds()?, commits(&server)?);
        let load = Load {
            rate: Some(rate),
            ..Load::full(CONNECTIONS, Duration::from_secs(60))
        };
        let Answers { times, failed } = load.put(server.address).await?;
        let cpu = (server.cpu_seconds()? - before.0) / 60.0 * 100.0;
        let commits = commits(&server)?;
        let commit_ms = (commits.0 - before.1.0) / (commits.1 - before.1.1) * 1e3;
        let line = format!(
            "| {minute} | {} | {failed} | {:.2} | {:.2} | {:.1} | {commit_ms:.2} | {cpu:.1} | {:.1} | {:.1} | {:.0} | {} |",
            times.len(),
            quantile_ms(&times, 0.5),
            quantile_ms(&times, 0.99),
            quantile_ms(&times, 1.0),
            server.mib("VmRSS")?,
            mib(&folder.path().join("journal.db-wal"))?,
            mib(&journal)?,
            load_average(),
        );
        eprintln!("{line}");
        let _ = writeln!(text, "{line}");
    }
    let path = results("soak.md");
    fs::write(&path, text).with_context(|| path.display().to_string())
}

/// Returns the seconds that all commits took, and the number of commits.
fn commits(server: &Server) -> anyhow::Result<(f64, f64)> {
    let text = server.metrics()?;
    let figure = |name: &str| -> anyhow::Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(line
            .with_context(|| format!("no `{name}`"))?
            .trim()
            .parse()?)
    };
    let name = "batchtask_journal_commit_duration_seconds";
    Ok((
        figure(&format!("{name}_sum"))?,
        figure(&format!("{name}_count"))?,
    ))
}

fn mib(path: &std::path::Path) -> anyhow::Result<f64> {
    Ok(fs::metadata(path)?.len() as f64 / f64::from(1 << 20))
}

/// Returns the load average of the last minute, which shows what else the machine did.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
