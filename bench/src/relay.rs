//! Measures a webhook sink: how fast it delivers, and what it costs the pushes beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::time::{interval, sleep};

use crate::contender::{SERVE, batchtask};
use crate::growth::filled;
use crate::load::{Answers, Load};
use crate::measure::{median, quantile_ms, results};
use crate::server::Server;
use crate::{BURST, report};

/// The connections of the load, and the deliveries in parallel.
const CONNECTIONS: usize = 64;

/// How many of the events are delivered before the rate is measured.
const WARM_UP: f64 = 0.1;

/// How long events may take to be delivered.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where a collector of traces takes spans.
const TRACES: &str = "/v1/traces";

/// Serves a webhook, and a collector of traces, that accepts everything, until the process is killed. Prints the
/// address on standard error. `GET /` returns the number of messages.
pub(crate) async fn webhook() -> anyhow::Result<()> {
    let received = Arc::<AtomicU64>::default();
    let count = received.clone();
    let receive = move |_: Bytes| async move {
        received.fetch_add(1, Relaxed);
        StatusCode::NO_CONTENT
    };
    let count = move || async move { count.load(Relaxed).to_string() };
    let app = Router::new()
        .route("/", get(count).post(receive.clone()))
        .route(TRACES, post(receive));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// The results of a round.
struct Round {
    rate: f64,
    p99_alone_ms: f64,
    p99_beside_ms: f64,
    delivered_beside: f64,
    failed: usize,
}

/// Measures in this many rounds: the events of a journal, delivered as fast as possible;
/// then pushes without a sink, and beside a sink that delivers these events again.
pub(crate) async fn run(events: u64, seconds: u64, rounds: usize) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for round in 1..=rounds {
        eprintln!("round {round}");
        all.push(measure(events, seconds).await?);
    }
    let of = |figure: fn(&Round) -> f64| median(all.iter().map(figure));
    let failed: usize = all.iter().map(|round| round.failed).sum();
    let mut text = format!(
        "# A webhook sink\n\n{}Medians of {rounds} rounds. The webhook is on the same machine, and \
         accepts everything at once.\n\n",
        report::machine()
    );
    writeln!(
        text,
        "{events} events of a journal, {CONNECTIONS} in parallel: {:.0} events a second.\n",
        of(|round| round.rate)
    )?;
    writeln!(
        text,
        "{BURST:.0} pushes a second over {CONNECTIONS} connections for {seconds} s; {failed} failed in all rounds:\n\n\
         | sink | p99 ms of pushes | events delivered a second |\n|---|---|---|\n\
         | none | {:.1} | |\n| the same events again, as fast as possible | {:.1} | {:.0} |",
        of(|round| round.p99_alone_ms),
        of(|round| round.p99_beside_ms),
        of(|round| round.delivered_beside),
    )?;
    crate::emit(&text);
    Ok(fs::write(results("relay.md"), text)?)
}

async fn measure(events: u64, seconds: u64) -> anyhow::Result<Round> {
    let folder = tempfile::tempdir_in("target/bench")?;
    let journal = folder.path().join("journal.db");
    fs::copy(filled(events).await?, &journal)?;
    let webhook = Server::start(Command::new(std::env::current_exe()?).arg("webhook"))?;
    let receiver = start(
        &journal,
        &configuration(folder.path(), &[("first", &webhook)])?,
    )?;
    let rate = rate(&webhook, events).await?;
    drop(receiver);
    let load = Load {
        rate: Some(BURST),
        ..Load::full(CONNECTIONS, Duration::from_secs(seconds))
    };
    let receiver = start(&journal, &configuration(folder.path(), &[])?)?;
    let alone = load.put(receiver.address).await?;
    drop(receiver);
    // A sink with another name begins at the first event.
    let receiver = start(
        &journal,
        &configuration(folder.path(), &[("second", &webhook)])?,
    )?;
    let before = received(&webhook)?;
    let beside = load.put(receiver.address).await?;
    let delivered = received(&webhook)? - before;
    ensure!(
        delivered < events,
        "all events were delivered before the load ended: use more events"
    );
    let p99 = |answers: &Answers| quantile_ms(&answers.times, 0.99);
    Ok(Round {
        rate,
        p99_alone_ms: p99(&alone),
        p99_beside_ms: p99(&beside),
        delivered_beside: delivered as f64 / seconds as f64,
        failed: alone.failed + beside.failed,
    })
}

/// Writes a configuration with these sinks, and returns its path.
fn configuration(folder: &Path, sinks: &[(&str, &Server)]) -> anyhow::Result<PathBuf> {
    let sinks = sinks.iter().map(|(name, webhook)| {
        format!(
            "[[sink]]\nname = '{name}'\nurl = 'http://{}/'\nstart = 'beginning'\n\
             parallel = {CONNECTIONS}\nsecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\n",
            webhook.address
        )
    });
    let path = folder.join("batchtask.toml");
    fs::write(&path, sinks.collect::<String>())?;
    Ok(path)
}

fn start(journal: &Path, configuration: &Path) -> anyhow::Result<Server> {
    let mut command = Command::new(batchtask()?);
    command.args(SERVE).args(["--admin", "off", "--journal"]);
    command.arg(format!("sqlite:{}", journal.display()));
    Server::start(command.arg("--config").arg(configuration))
}

/// Returns the events a second, after the first of them.
async fn rate(webhook: &Server, events: u64) -> anyhow::Result<f64> {
    let from = (events as f64 * WARM_UP) as u64;
    let (first, since) = reach(webhook, from).await?;
    let (last, until) = reach(webhook, events).await?;
    Ok((last - first) as f64 / (until - since).as_secs_f64())
}

/// Waits until the webhook has this many messages. Returns their number and the time.
async fn reach(webhook: &Server, count: u64) -> anyhow::Result<(u64, Instant)> {
    let mut clock = interval(Duration::from_millis(50));
    let reached = async {
        loop {
            clock.tick().await;
            let received = received(webhook)?;
            if received >= count {
                return Ok((received, Instant::now()));
            }
        }
    };
    tokio::select! {
        reached = reached => reached,
        () = sleep(PATIENCE) => anyhow::bail!("the sink did not deliver {count} events"),
    }
}

fn received(webhook: &Server) -> anyhow::Result<u64> {
    let count = webhook.get("/", "")?;
    count.trim().parse().context("the number of messages")
}
