//! `batchtask wait`: waits until a task has ended.

use std::time::{Duration, Instant};

use batchtask_guest::journal::PAGE_ITEMS_MAX;
use clap::Args;

use super::answer::ClientError;
use super::exit::Ended;
use super::output;
use super::reader::{Item, Reader, Remote, Task};

/// How long the receiver waits for the next event before it answers, in seconds.
const WAIT_S: u32 = 5;
/// The shortest time between two looks at the task.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = "\
Prints the state of the task when it has ended, or when the time is over. A task
that the receiver does not know yet is waited for. If the receiver becomes
unreachable, retries until the time is over.

Examples:
  batchtask wait 1a7ffc5c-d89c-44dd-8265-b1653d951ce0 1a7ffc5c-d89c-44dd-8265
  batchtask wait APP TASK --timeout 2h && deploy-next-stage

Exit codes: 0 the task succeeded, 1 refused, 2 usage error, 3 the receiver was not
reached at the start, 4 the task failed, at least in part, and may be retried,
5 it was stopped, 6 it had not ended when the time was over.")]
pub(super) struct Wait {
    /// The `app_id` of the task: its resource space
    app: String,
    /// The `task_id`
    task: String,
    /// Wait at most this long, such as `90s`, `30m` or `2h` [default: forever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Print the task as the API's JSON object, on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Wait {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(&self.remote)?;
        let until = self.timeout.map(|timeout| Instant::now() + timeout);
        // Fail at once if the first request fails, because the URL is probably wrong.
        let mut last = self.look(&reader).await?;
        let mut seq = reader.last_seq().await?;
        output::note(match &last {
            Some(_) => "waiting until the task has ended",
            None => "the receiver knows no such task yet: waiting for its first notification",
        });
        loop {
            let ended = last.as_ref().and_then(|task| Ended::of(&task.value));
            let is_over = until.is_some_and(|until| Instant::now() >= until);
            if ended.is_some() || is_over {
                return self.finish(last.as_ref(), ended);
            }
            let asked = Instant::now();
            seq = next(&reader, seq, until).await?;
            if let Some(found) = temporary(self.look(&reader).await)?.flatten() {
                last = Some(found);
            }
            tokio::time::sleep(within(PAUSE.saturating_sub(asked.elapsed()), until)).await;
        }
    }

    /// Returns the task, or `None` if the receiver does not know it.
    async fn look(&self, reader: &Reader) -> Result<Option<Item<Task>>, ClientError> {
        match reader.task(&self.app, &self.task).await {
            Err(ClientError::Refused { refusal, .. }) if refusal.label == "not-found" => Ok(None),
            task => task.map(Some),
        }
    }

    /// Prints the state of the task. Returns an error that has the exit code, unless the
    /// task succeeded.
    fn finish(&self, task: Option<&Item<Task>>, ended: Option<Ended>) -> anyhow::Result<()> {
        match task {
            Some(task) if self.json => output::line(&task.json)?,
            Some(Item { value: task, .. }) => {
                let (status, text) = (&task.status, &task.status_desc);
                output::line(&format!("{status} {} {text}", task.occurred_at))?;
            }
            None => {}
        }
        match ended.unwrap_or(Ended::NotYet) {
            Ended::Succeeded => Ok(()),
            ended => Err(ended.into()),
        }
    }
}

/// Waits for the next event of any task. Returns the last `seq`.
async fn next(reader: &Reader, after: u64, until: Option<Instant>) -> Result<u64, ClientError> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let left = left.map_or(u64::MAX, |left| left.as_secs());
    let wait_s = u64::from(WAIT_S).min(left) as u32;
    let feed = reader.feed(after, PAGE_ITEMS_MAX, wait_s).await;
    Ok(temporary(feed)?.map_or(after, |feed| feed.last_seq))
}

/// Returns `None` instead of a temporary error.
fn temporary<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Err(error) if error.is_temporary() => Ok(None),
        result => result.map(Some),
    }
}

fn within(pause: Duration, until: Option<Instant>) -> Duration {
    until.map_or(pause, |until| {
        pause.min(until.saturating_duration_since(Instant::now()))
    })
}

/// Parses a duration such as `90s`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    batchtask_guest::instants::parse_age(text)
        .map(Duration::from_millis)
        .ok_or("it must be a number and `s`, `m`, `h`, `d` or `w`, such as `30m`")
}
