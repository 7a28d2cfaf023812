//! `batchtask prune`, and how long `serve` keeps tasks.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use batchtask_sqlite::OpenError;
use clap::Args;

use super::config::{Flags, JOURNAL, JournalGroup};
use super::journal::{self, Location};

/// The least number of days: the platform keeps what it cannot push for one,
/// and the other is a margin.
const DAYS_MIN: u32 = 2;

#[derive(Args)]
#[command(after_help = "\
Removes the tasks with the status Success or Stopped that had no new event for
this many days, and all their events. Stop the receiver first. A running receiver
does the same by itself with `--keep-days`. The file does not get shorter: new
events use the free space.

Examples:
  batchtask prune --older-than 90
  batchtask prune --older-than 90 --journal sqlite:/srv/batchtask/batchtask.db

Exit codes: 0 all old tasks were removed, 1 some were not, 2 usage or configuration.")]
pub(super) struct Prune {
    /// Days without a new event, at least 2
    #[arg(long, value_name = "DAYS", value_parser = days)]
    older_than: u32,
    #[command(flatten)]
    flags: Flags<JournalGroup>,
}

impl Prune {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let location = values.value(&JOURNAL);
        values.check()?;
        if let Location::Sqlite(path) = &location {
            anyhow::ensure!(path.exists(), "there is no journal `{}`", path.display());
        }
        let opened = location.open(journal::Options::default()).await;
        let journal = opened.map_err(|error| match error.downcast_ref() {
            Some(OpenError::InUse { .. }) => {
                let hint =
                    "stop the receiver, or let it remove old tasks itself with `--keep-days`";
                error.context(hint)
            }
            _ => error,
        })?;
        let before_ms = ms_since_1970(SystemTime::now() - time_of_days(self.older_than));
        let mut events = 0;
        loop {
            let pruned = journal.prune(before_ms).await?;
            events += pruned.events;
            // Moves the changes from the log into the file.
            journal.maintain().await;
            if !pruned.more {
                break;
            }
        }
        journal.close().await;
        Ok(writeln!(io::stdout(), "{events} events removed")?)
    }
}

/// Parses a number of days that is not too small.
fn days(text: &str) -> Result<u32, String> {
    let days = text
        .parse()
        .map_err(|_| "it must be a whole number of days".to_owned())?;
    if days < DAYS_MIN {
        return Err(format!(
            "it must be at least {DAYS_MIN}: the platform may push notifications that are a day old"
        ));
    }
    Ok(days)
}

/// Parses a number of days, or 0 for forever.
pub(super) fn days_or_forever(text: &str) -> Result<u32, String> {
    match text {
        "0" => Ok(0),
        // The form of the option says why.
        text => days(text).map_err(|_| String::new()),
    }
}

/// The duration of a number of days.
pub(super) fn time_of_days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 60 * 60)
}

fn ms_since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_too_short() {
        for text in ["1", "-1", "x", ""] {
            assert!(days(text).is_err(), "{text}");
            assert!(days_or_forever(text).is_err(), "{text}");
        }
        assert!(days("0").is_err());
        assert_eq!(days_or_forever("0"), Ok(0));
        assert_eq!(days_or_forever("2"), Ok(2));
    }
}
