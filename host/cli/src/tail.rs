//! `batchtask tail`: follows events as they arrive.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use batchtask_guest::journal::PAGE_ITEMS_MAX;
use clap::Args;

use super::answer::ClientError;
use super::filter::{Class, instant};
use super::output::note;
use super::reader::{Event, Feed, Item, Reader, Remote};
use super::table::{escape_unprintable, write_row};

/// How long the receiver waits for the next event before it answers, in seconds.
const WAIT_S: u32 = 5;

/// The shortest time between two requests, because a receiver with too many readers
/// answers without waiting.
const PAUSE: Duration = Duration::from_secs(1);

/// The first pause before a retry. It doubles with each retry.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest pause before a retry.
const LAST_RETRY: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(after_help = "\
Shows every event once, in order of arrival. If the receiver becomes
unreachable, retries until it is back, and misses no event. To continue later,
note the `seq` of the last event that was shown, and pass it to `--after`.

Examples:
  batchtask tail
  batchtask tail --since 2h --class retryable
  batchtask tail --after 1200 --json >> events.jsonl
  batchtask tail --json | jq -r 'select(.status == \"Fail\") | .task_id'

Exit codes: 1 refused, 2 usage error, 3 the receiver was not reached at the start.")]
pub(super) struct Tail {
    /// Begin after the event with this `seq` [default: with the next event]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Begin with the first event
    #[arg(long, conflicts_with = "after")]
    from_start: bool,
    /// Begin with the first event that arrived at or after this time, such as `2h` (ago)
    /// or `2026-01-31T20:00+08:00`
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with_all = ["after", "from_start"])]
    since: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Print each event as the API's JSON object, on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Which events are shown. An event must match all options; an option that is repeated
/// matches if one of its values does.
#[derive(Args)]
#[command(next_help_heading = "Filters (each may be repeated)")]
struct Filter {
    /// Changes to this status, such as `Fail`
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
    /// Changes to a status of this class
    #[arg(long, value_enum)]
    class: Vec<Class>,
    /// Changes of tasks of this type
    #[arg(long, value_name = "TYPE")]
    task_type: Vec<String>,
    /// Changes of tasks of this resource space
    #[arg(long, value_name = "ID")]
    app_id: Vec<String>,
    /// Changes of this task
    #[arg(long, value_name = "ID")]
    task_id: Vec<String>,
    /// Events with this flag, such as `late`
    #[arg(long, value_name = "FLAG")]
    flag: Vec<String>,
}

impl Filter {
    fn matches(&self, event: &Event) -> bool {
        let lists = |wanted: &[String], found| wanted.is_empty() || wanted.contains(found);
        let is_class = |class: &Class| class.includes(&event.status);
        let has_flag = |flag| event.flags.contains(flag);
        lists(&self.status, &event.status)
            && lists(&self.task_type, &event.task_type)
            && lists(&self.app_id, &event.app_id)
            && lists(&self.task_id, &event.task_id)
            && (self.class.is_empty() || self.class.iter().any(is_class))
            && (self.flag.is_empty() || self.flag.iter().any(has_flag))
    }
}

impl Tail {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(&self.remote)?;
        let mut after = match (self.after, &self.since) {
            (Some(after), _) => after,
            (None, Some(since)) => reader.seq_before(since).await?,
            (None, None) if self.from_start => 0,
            (None, None) => reader.last_seq().await?,
        };
        // Fail at once if the first request fails, because the URL is probably wrong.
        let mut feed = reader.feed(after, PAGE_ITEMS_MAX, 0).await?;
        note(&format!("following the events after seq {after}"));
        let mut out = BufWriter::new(io::stdout());
        loop {
            for event in &feed.events {
                if self.filter.matches(&event.value) {
                    write(&mut out, event, self.json)?;
                }
                after = event.value.seq;
            }
            // Show a page as soon as it has arrived.
            out.flush()?;
            feed = next(&reader, after).await?;
        }
    }
}

fn write(out: &mut impl Write, event: &Item<Event>, json: bool) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", event.json);
    }
    let event = &event.value;
    let texts = [
        &event.received_at,
        &event.source,
        &event.status,
        &event.app_id,
        &event.task_id,
        &event.status_desc,
    ];
    let mut cells = vec![event.seq.to_string()];
    cells.extend(texts.map(|text| escape_unprintable(text)));
    // Fixed widths, because a row is shown before the next one is known.
    write_row(out, &cells, &[6, 24, 9, 14, 36, 24, 0])
}

/// Waits for the next events. Retries after temporary errors.
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
            Err(error) if error.is_temporary() => {
                if retry == FIRST_RETRY {
                    note(&format!("{:#}; retrying", anyhow::Error::from(error)));
                }
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(LAST_RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}
