//! `batchtask platform trial`: waits for a genuine push.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use batchtask_guest::journal::{PAGE_ITEMS_MAX, Source, source_name};
use batchtask_guest::signature::Finding;
use clap::Args;

use crate::answer::ClientError;
use crate::reader::{Event, Reader, Remote};
use crate::table::{escape_unprintable, write_row};

/// How long a trial waits by default, in seconds.
pub(super) const WAIT_SECONDS: u32 = 600;

/// How long the receiver waits for the next event before it answers, in seconds.
const POLL_SECONDS: u64 = 5;

/// The shortest time between two requests.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = "\
Reads the events of the receiver, as `tail` does, and needs its read token. Change
the status of a batch task meanwhile: create one, or stop one. To check
signatures, the receiver needs `BATCHTASK_TOKEN` and
`BATCHTASK_SIGNATURE=report` or `enforce`.

Examples:
  batchtask platform trial --config batchtask.toml
  batchtask platform trial --config batchtask.toml --wait 60

Exit codes: 0 a push arrived, 1 no push arrived or its signature is invalid, 2
usage or configuration, 3 the receiver was not reached.")]
pub(super) struct Trial {
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = WAIT_SECONDS)]
    wait: u32,
    #[command(flatten)]
    remote: Remote,
}

impl Trial {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let pushes = Pushes::begin(Reader::new(&self.remote)?).await?;
        pushes.wait(Duration::from_secs(self.wait.into())).await
    }
}

/// Why a trial failed.
#[derive(Debug, thiserror::Error)]
enum TrialError {
    #[error(
        "no push arrived within {} s. Check `batchtask platform status`, that the platform can \
         reach the URL, and the receiver's log: it names refused pushes and failed connections",
        .0.as_secs()
    )]
    NoPush(Duration),
    #[error(
        "a push arrived, but its signature does not prove the sender: {0}. Compare the token of \
         the receiver with that of the rule action (`batchtask platform setup --rewrite`)"
    )]
    NotProven(String),
}

/// The pushes that arrive from a certain moment on.
pub(super) struct Pushes {
    reader: Reader,
    /// The last event before.
    after: u64,
}

impl Pushes {
    /// Notes the last event of the receiver.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn begin(reader: Reader) -> Result<Self, ClientError> {
        let after = reader.last_seq().await?;
        Ok(Self { reader, after })
    }

    /// Waits for the first push, and reports what its signature proved.
    ///
    /// # Errors
    /// No push arrived in time, its signature is invalid, or the receiver cannot be
    /// read.
    pub(super) async fn wait(&self, limit: Duration) -> anyhow::Result<()> {
        eprintln!(
            "waiting up to {} s for a push: change the status of a batch task",
            limit.as_secs()
        );
        let event = self.first(limit).await?;
        let event = event.ok_or(TrialError::NoPush(limit))?;
        let mut out = io::stdout().lock();
        writeln!(out, "a push arrived:")?;
        write(&mut out, &event)?;
        match event.signature {
            None => writeln!(
                out,
                "its signature was not checked: set BATCHTASK_TOKEN and BATCHTASK_SIGNATURE=report \
                 for the receiver, run `batchtask platform setup` and try again"
            )?,
            Some(finding) if is_valid(&finding) => writeln!(
                out,
                "the sender knows the token, so BATCHTASK_SIGNATURE=enforce is safe"
            )?,
            Some(finding) => return Err(TrialError::NotProven(escape_unprintable(&finding)).into()),
        }
        Ok(())
    }

    /// Returns the first event that arrives within this time.
    async fn first(&self, limit: Duration) -> Result<Option<Event>, ClientError> {
        let end = Instant::now() + limit;
        let mut after = self.after;
        loop {
            let asked = Instant::now();
            let left = end.saturating_duration_since(asked).as_secs();
            let poll = u32::try_from(left.min(POLL_SECONDS)).unwrap_or_default();
            match self.reader.feed(after, PAGE_ITEMS_MAX, poll).await {
                Ok(feed) => {
                    after = feed.last_seq;
                    // A change that the receiver found itself is not a push.
                    let mut events = feed.events.into_iter().map(|event| event.value);
                    let pushed = events.find(|event| event.source == source_name(Source::Push));
                    if pushed.is_some() {
                        return Ok(pushed);
                    }
                }
                // It may be restarted meanwhile.
                Err(error) if error.is_temporary() && asked < end => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE.saturating_sub(asked.elapsed())).await;
        }
    }
}

fn is_valid(finding: &str) -> bool {
    let mut all = Finding::ALL.iter();
    all.any(|it| it.is_valid() && it.text() == finding)
}

fn write(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let signature = event.signature.as_deref().unwrap_or("not checked");
    for (name, value) in [
        ("arrived", &*event.received_at),
        ("app", &event.app_id),
        ("task", &event.task_id),
        ("status", &event.status),
        ("signature", signature),
    ] {
        write_row(out, &[name.to_owned(), escape_unprintable(value)], &[9, 0])?;
    }
    Ok(())
}
