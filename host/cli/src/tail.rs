//! `batchtask tail`

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use batchtask_guest::journal::PAGE_ITEMS_MAX;
use clap::Args;

use super::answer::ClientError;
use super::reader::{Event, Feed, Item, Reader, Remote};
use super::table::{plain, write_row};

/// How long the receiver is asked to wait for the next event, in seconds.
const WAIT_S: u32 = 5;

/// A receiver with too many readers does not wait, and must not be asked
/// without pause.
const PAUSE: Duration = Duration::from_secs(1);

/// The first pause after no answer; each is twice the one before.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(after_help = "\
Every event is shown once, in order of arrival. When the receiver cannot be
reached any more it is tried again until it can, and nothing is left out. To go
on later, keep the `seq` of the last event that was shown, for `--after`.

Examples:
  batchtask tail
  batchtask tail --after 1200 --json >> events.jsonl
  batchtask tail --json | jq -r 'select(.status == \"Fail\") | .task_id'

Exit codes: 1 refused, 2 usage, 3 the receiver was never reached.")]
pub(super) struct Tail {
    /// Begin after the event with this `seq` [default: with the next event]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Begin with the first event there is
    #[arg(long, conflicts_with = "after")]
    from_start: bool,
    /// One JSON object an event and line, as the API has it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Tail {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(self.remote)?;
        let mut after = match self.after {
            Some(after) => after,
            None if self.from_start => 0,
            None => reader.last_seq().await?,
        };
        // Whoever cannot be reached at all is misspelt rather than away.
        let mut feed = reader.feed(after, PAGE_ITEMS_MAX, 0).await?;
        eprintln!("following from after event {after}");
        let mut out = BufWriter::new(io::stdout());
        loop {
            for event in &feed.events {
                write(&mut out, event, self.json)?;
                after = event.known.seq;
            }
            // Whoever reads has a page as soon as it is here.
            out.flush()?;
            feed = next(&reader, after).await?;
        }
    }
}

fn write(out: &mut impl Write, event: &Item<Event>, json: bool) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", event.json);
    }
    let event = &event.known;
    let texts = [
        &event.received_at,
        &event.status,
        &event.app_id,
        &event.task_id,
        &event.status_desc,
    ];
    let mut cells = vec![event.seq.to_string()];
    cells.extend(texts.map(|text| plain(text)));
    // The widths of usual values: rows are shown before the next is known.
    write_row(out, &cells, &[6, 24, 14, 36, 24, 0])
}

/// The next events, however often it takes to get them.
async fn next(reader: &Reader, after: u64) -> Result<Feed, ClientError> {
    let mut retry = FIRST_RETRY;
    loop {
        let asked = Instant::now();
        match reader.feed(after, PAGE_ITEMS_MAX, WAIT_S).await {
            Ok(feed) if !feed.events.is_empty() => return Ok(feed),
            Ok(_) => {
                retry = FIRST_RETRY;
                tokio::time::sleep(PAUSE.saturating_sub(asked.elapsed())).await;
            }
            Err(error) if error.is_passing() => {
                if retry == FIRST_RETRY {
                    eprintln!("{:#}; trying again", anyhow::Error::from(error));
                }
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(LAST_RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}
