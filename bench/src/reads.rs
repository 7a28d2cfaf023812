//! Measures reads from a journal with very many events.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::spawn_blocking;

use crate::contender::{SERVE, batchtask, on_cores};
use crate::growth::{FIRST, filled};
use crate::load::{Answers, Load, app_and_task};
use crate::measure::{median, quantile_ms, results};
use crate::report;
use crate::server::Server;

const READ_TOKEN: &str = "benchReadToken0123456789abcdefgh";

/// How often each resource is read.
const TIMES: u32 = 200;

/// The maximum number of events in a read of the feed.
const FEED_LIMIT: usize = 500;

/// The number of notifications a second during the reads: the platform's worst burst.
const BESIDE: f64 = 800.0;

/// How many pages are open, and how often each is updated.
const PAGES: u32 = 20;
const PAGE_EVERY: Duration = Duration::from_secs(3);

/// How often pushes are measured with and without pages.
const TURNS: usize = 5;

/// Measures the reads of people and programs, with a journal of this many events.
pub(crate) async fn run(events: u64) -> anyhow::Result<()> {
    let journal = filled(events).await?;
    let mut command = on_cores(&batchtask()?, None);
    command
        .env("BATCHTASK_READ_TOKEN", READ_TOKEN)
        .args(SERVE)
        .args(["--admin", "off", "--journal"])
        .arg(format!("sqlite:{}", journal.display()));
    let server = Server::start(&mut command)?;
    let idle_mib = server.mib("VmRSS")?;
    let fill = std::fs::read_to_string(journal.with_extension("filled"))?;
    let mut text = format!(
        "# Reads\n\nFrom a journal filled with {fill}. {}\n\
         Milliseconds of {TIMES} reads each, one after the other, each over its own connection.\n\n\
         | read | p50 | p99 | greatest | bytes |\n|---|---|---|---|---|\n",
        report::machine()
    );
    let (server, lines) = spawn_blocking(move || lines(server, events)).await??;
    text += &lines;
    let load = Load {
        rate: Some(BESIDE),
        ..Load::full(64, Duration::from_secs(10))
    };
    let posts = tokio::spawn(load.put(server.address));
    let (server, feed) = spawn_blocking(move || feed(server)).await??;
    writeln!(text, "\n{feed}")?;
    let Answers { times, failed } = posts.await??;
    writeln!(
        text,
        "During this, {BESIDE:.0} notifications a second over 64 connections: {} recorded, {failed} failed, p99 {:.1} ms.\n",
        times.len(),
        quantile_ms(&times, 0.99),
    )?;
    let server = Arc::new(server);
    text += &open_pages(&server).await?;
    writeln!(
        text,
        "\nMemory: {idle_mib:.0} MiB before the first read, {:.0} MiB at most.",
        server.mib("VmHWM")?,
    )?;
    let path = results("reads.md");
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

/// Measures each read, and returns a line of the table for each.
fn lines(server: Server, events: u64) -> anyhow::Result<(Server, String)> {
    let (app, task) = app_and_task(FIRST + events / 2);
    let mut text = String::new();
    for (name, target) in [
        ("first page of tasks", "/tasks".to_owned()),
        ("the same as a page", "/".to_owned()),
        ("filtered: a status", "/tasks?status=Waitting".to_owned()),
        (
            "filtered: a class, the oldest first",
            "/tasks?class=open&order=oldest".to_owned(),
        ),
        (
            "filtered: a text that 1 task has",
            format!("/tasks?q={task}"),
        ),
        (
            "filtered: a text that no task has",
            "/tasks?q=nowhere".to_owned(),
        ),
        (
            "filtered: two statuses, counted",
            "/tasks?status=Fail&status=Success&count=true".to_owned(),
        ),
        (
            "filtered: a flag that no task has, counted",
            "/tasks?flag=clock_skew&count=true".to_owned(),
        ),
        (
            "filtered: stale, counted",
            "/tasks?stale=true&count=true".to_owned(),
        ),
        (
            "sorted by the first change, counted",
            "/tasks?sort=first_seen&count=true".to_owned(),
        ),
        (
            "sorted by status, counted",
            "/tasks?sort=status&count=true".to_owned(),
        ),
        (
            "sorted by task id, the last first",
            "/tasks?sort=task_id&order=desc".to_owned(),
        ),
        ("a day of activity", "/activity".to_owned()),
        (
            "a year of activity",
            "/activity?since=365d&spans=500".to_owned(),
        ),
        ("one task", format!("/tasks/{app}/{task}")),
        ("its events", format!("/tasks/{app}/{task}/events")),
        ("its page", format!("/page/tasks/{app}/{task}")),
        ("counts by status", "/summary".to_owned()),
    ] {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..TIMES {
            let start = Instant::now();
            bytes = server.get(&target, READ_TOKEN)?.len();
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| quantile_ms(&times, part));
        let line = format!("| {name} | {p50:.2} | {p99:.2} | {most:.2} | {bytes} |");
        eprintln!("{line}");
        writeln!(text, "{line}")?;
    }
    Ok((server, text))
}

/// Measures notifications with and without open pages, in turns.
async fn open_pages(server: &Arc<Server>) -> anyhow::Result<String> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        for (pages, p99s) in [(0, &mut without), (PAGES, &mut with)] {
            let is_over = Arc::new(AtomicBool::new(false));
            let pages: Vec<_> = (0..pages)
                .map(|page| {
                    let (server, is_over) = (server.clone(), is_over.clone());
                    spawn_blocking(move || keep_open(&server, page, &is_over))
                })
                .collect();
            let load = Load {
                rate: Some(BESIDE),
                ..Load::full(64, 2 * PAGE_EVERY)
            };
            let answers = load.put(server.address).await?;
            p99s.push(quantile_ms(&answers.times, 0.99));
            is_over.store(true, Relaxed);
            for page in pages {
                page.await??;
            }
        }
    }
    Ok(format!(
        "Pages that are open update every {} s. {BESIDE:.0} notifications a second, medians of {TURNS} turns: \
         p99 {:.1} ms without pages, {:.1} ms with {PAGES} pages.\n",
        PAGE_EVERY.as_secs(),
        median(without.into_iter()),
        median(with.into_iter()),
    ))
}

/// Reads the page of tasks again and again, as a browser does.
fn keep_open(server: &Server, page: u32, is_over: &AtomicBool) -> anyhow::Result<()> {
    // They were not opened at the same time.
    let mut next = Instant::now() + PAGE_EVERY * page / PAGES;
    loop {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if is_over.load(Relaxed) {
            return Ok(());
        }
        server.get("/", READ_TOKEN)?;
        next += PAGE_EVERY;
    }
}

/// Follows the feed from its beginning to its end.
fn feed(server: Server) -> anyhow::Result<(Server, String)> {
    let (mut after, mut events, mut bytes) = (0, 0, 0);
    let start = Instant::now();
    loop {
        let target = format!("/events?after={after}&limit={FEED_LIMIT}");
        let answer = server.get(&target, READ_TOKEN)?;
        let page: serde_json::Value = serde_json::from_str(&answer)?;
        let got = page["events"].as_array().context("no events")?.len();
        if got == 0 {
            break;
        }
        (events, bytes) = (events + got, bytes + answer.len());
        after = page["last_seq"].as_u64().context("no last_seq")?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let line = format!(
        "The whole feed, {FEED_LIMIT} events per read: {events} events in {seconds:.1} s, {:.0} events \
         and {:.0} MB a second.",
        events as f64 / seconds,
        bytes as f64 / seconds / 1e6
    );
    eprintln!("{line}");
    Ok((server, line))
}
