//! `batchtask platform reconcile`: searches for lost changes once.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use batchtask_host::Intake;
use batchtask_host::component::{self, EMBEDDED};
use batchtask_journal::{GroupCommit, group_commit};
use batchtask_platform::reconcile::Next;
use batchtask_sqlite::OpenError;
use clap::Args;
use serde_json::json;

use super::connection::connect;
use crate::config::default_cache_dir;
use crate::config::{Flags, JOURNAL, SearchGroup, search};
use crate::journal::{self, Location};
use crate::reconcile::{Answered, Failure, Found, Search};
use crate::table::Table;

/// A task is not asked for twice in one search, in milliseconds.
const NEVER_MS: u64 = 365 * 24 * 60 * 60 * 1000;

#[derive(Args)]
#[command(after_help = "\
Asks the platform for all open tasks, lists its tasks, and stores the changes that
no notification reported. Stop the receiver first, unless the journal is in
PostgreSQL. A running receiver does the same by itself if the table `[platform]`
is set.

Examples:
  batchtask platform reconcile --config batchtask.toml
  batchtask platform reconcile --config batchtask.toml --json | jq '.found[].task_id'

Exit codes: 0 success, 1 refused or failed, 2 usage or configuration, 3 the
platform was not reached. What was found before a failure is stored and printed.")]
pub(super) struct Reconcile {
    /// Print the report as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<SearchGroup>,
}

impl Reconcile {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let location = values.value(&JOURNAL);
        let mut options = search(&mut values);
        options.schedule.recheck_ms = NEVER_MS;
        options.schedule.scan_ms = NEVER_MS;
        let client = connect(&mut values)?;
        let commits = Arc::new(open(&location).await?);
        let intake = Intake::build(commits.clone(), &component()).await?;
        let mut search = Search::new(Arc::new(client), Arc::new(intake), options);
        let mut answered = Answered::default();
        let searched = once(&mut search, &mut answered).await;
        drop(search);
        commits.close();
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", report(&answered, searched.is_ok()))?;
        } else {
            write(&mut out, &answered)?;
        }
        Ok(searched?)
    }
}

/// Opens the journal, which must exist if it is a file.
async fn open(location: &Location) -> anyhow::Result<GroupCommit> {
    if let Location::Sqlite(path) = location {
        anyhow::ensure!(path.exists(), "there is no journal `{}`", path.display());
    }
    let opened = location.open(journal::Options::default()).await;
    let journal = opened.map_err(|error| match error.downcast_ref() {
        Some(OpenError::InUse { .. }) => error
            .context("stop the receiver, or let it search itself: it does if `[platform]` is set"),
        _ => error,
    })?;
    let commits = GroupCommit::new(journal, group_commit::Options::default(), None);
    commits.context("the journal's thread cannot be started")
}

fn component() -> component::Options {
    component::Options {
        wasm: EMBEDDED.into(),
        cache_dir: default_cache_dir(),
        ..component::Options::default()
    }
}

/// Asks until nothing is due any more. Adds everything that was found, also before a
/// failure.
async fn once(search: &mut Search, answered: &mut Answered) -> Result<(), Failure> {
    search.load().await?;
    search.read_spaces().await?;
    loop {
        let now_ms = search.now_ms();
        if search.schedule.is_idle(now_ms) {
            return Ok(());
        }
        match search.schedule.next(now_ms) {
            Next::Call(query) => answered.add(search.call(query).await?),
            Next::Wait(until_ms) => {
                let pause = Duration::from_millis(until_ms.saturating_sub(now_ms));
                tokio::time::sleep(pause).await;
            }
        }
    }
}

fn report(answered: &Answered, is_complete: bool) -> serde_json::Value {
    let found = answered.found.iter().map(|found| {
        let Found {
            key,
            before,
            status,
        } = found;
        json!({"app_id": key.app_id, "task_id": key.task_id, "before": before, "status": status})
    });
    json!({
        "complete": is_complete,
        "found": found.collect::<Vec<_>>(),
        "same": answered.same,
        "overtaken": answered.overtaken,
        "gone": answered.gone,
    })
}

fn write(out: &mut impl Write, answered: &Answered) -> io::Result<()> {
    if !answered.found.is_empty() {
        let mut table = Table::new(["APP", "TASK", "BEFORE", "NOW"]);
        for Found {
            key,
            before,
            status,
        } in &answered.found
        {
            let before = before.as_deref().unwrap_or("(not known)");
            table.push([&key.app_id, &key.task_id, before, status]);
        }
        table.write(out)?;
        writeln!(out)?;
    }
    let adopted = answered.found.iter().filter(|found| found.before.is_none());
    let adopted = adopted.count();
    writeln!(
        out,
        "{} changes found, {adopted} tasks adopted, {} answers as known here",
        answered.found.len() - adopted,
        answered.same,
    )?;
    for (count, text) in [
        (
            answered.overtaken,
            "may be older than what is stored: search again later",
        ),
        (
            answered.gone,
            "are about tasks that the platform does not have",
        ),
    ] {
        if count > 0 {
            writeln!(out, "{count} answers {text}")?;
        }
    }
    Ok(())
}
