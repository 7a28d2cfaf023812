//! Measures what traces cost: the greatest rate of pushes without them, and with one of a
//! hundred requests recorded.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use crate::contender::{SERVE, batchtask};
use crate::load::Load;
use crate::measure::{WARM_UP, median, results};
use crate::report;
use crate::server::Server;

/// The connections of the load.
const CONNECTIONS: usize = 64;

/// Measures in this many rounds, both in turn, and writes the medians.
pub(crate) async fn run(seconds: u64, rounds: usize) -> anyhow::Result<()> {
    let collector = Server::start(Command::new(std::env::current_exe()?).arg("webhook"))?;
    let url = format!("http://{}", collector.address);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        eprintln!("round {round}");
        // The first one of a round is each in turn, too.
        for traced in [round % 2 == 0, round % 2 != 0] {
            let rate = rate(traced.then_some(url.as_str()), seconds).await?;
            if traced { &mut with } else { &mut without }.push(rate);
        }
    }
    let exports: u64 = collector.get("/", "")?.trim().parse()?;
    ensure!(exports > 0, "nothing was exported");
    let [without, with] = [without, with].map(|rates| median(rates.into_iter()));
    let mut text = format!(
        "# Traces\n\n{}Medians of {rounds} rounds of {seconds} s each, over {CONNECTIONS} \
         connections. The collector is on the same machine, and accepts everything at once.\n\n",
        report::machine()
    );
    writeln!(
        text,
        "| traces | pushes a second | of the rate without |\n|---|---|---|\n\
         | off | {without:.0} | |\n| 1 % recorded | {with:.0} | {:.3} |",
        with / without
    )?;
    crate::emit(&text);
    Ok(fs::write(results("traces.md"), text)?)
}

/// Returns the acknowledged pushes a second on a new journal.
async fn rate(collector: Option<&str>, seconds: u64) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in("target/bench")?;
    let mut command = Command::new(batchtask()?);
    command.args(SERVE).args(["--admin", "off", "--journal"]);
    command.arg(format!(
        "sqlite:{}",
        folder.path().join("journal.db").display()
    ));
    if let Some(url) = collector {
        command.args(["--traces", url, "--traces-sample", "0.01"]);
    }
    let receiver = Server::start(&mut command)?;
    Load::full(CONNECTIONS, WARM_UP)
        .put(receiver.address)
        .await?;
    let load = Load::full(CONNECTIONS, Duration::from_secs(seconds));
    let answers = load.put(receiver.address).await?;
    ensure!(answers.failed == 0, "{} failed", answers.failed);
    Ok(answers.times.len() as f64 / seconds as f64)
}
