//! Copying the write-ahead log into the database, away from acknowledgements.
//!
//! A thread of its own does it with a connection of its own, in the mode that
//! neither waits for anyone nor makes anyone wait. While writes never pause
//! it cannot reach the end of the log, so beyond a bound the writer does it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::Connection;

use super::schema;
use super::stats::Counters;

/// What one page takes in the log: the page and its header.
pub(super) const FRAME_BYTES: u64 = 4096 + 24;
/// From about 4 MiB on, the log is copied. Later means fewer syncs of the
/// database, for a page that changed often is copied once.
pub(super) const START_FRAMES: u64 = 1024;
/// At about 64 MiB the writer stops for it: a bound on the disk that the log
/// takes, and on how long a start after a crash reads it.
pub(super) const MAX_FRAMES: u64 = 16 * 1024;
/// When a reader was in the way, the writer tries again after so many more.
pub(super) const RETRY_FRAMES: u64 = 4 * 1024;
/// How long the writer, and all that wait for it, wait for readers.
const TRUNCATE_WAIT: Duration = Duration::from_millis(100);

/// Keeps count of the pages in the log as `connection` commits.
pub(super) fn watch(connection: &mut Connection, counters: &Arc<Counters>) -> rusqlite::Result<()> {
    let counters = counters.clone();
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames: i32| {
        counters
            .wal_frames
            .store(u64::try_from(frames).unwrap_or(0), Relaxed);
        Ok(())
    }))
}

/// Copies what it can whenever it is told to, until the sender is gone.
pub(super) fn run(path: PathBuf, wake: Receiver<()>) {
    let mut connection = None;
    while wake.recv().is_ok() {
        if let Err(error) = passive(&path, &mut connection) {
            // Nothing is lost: the log holds it, and the next wake retries.
            tracing::warn!(
                "journal `{}` cannot be checkpointed: {error}",
                path.display()
            );
            connection = None;
        }
    }
}

fn passive(
    path: &std::path::Path,
    connection: &mut Option<Connection>,
) -> Result<(), Box<dyn std::error::Error>> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(schema::reopen(path)?),
    };
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

/// Copies all and empties the log, if no reader stands in the way for long;
/// says whether it did.
pub(super) fn truncate(connection: &Connection, counters: &Counters) -> bool {
    let result = connection.busy_timeout(TRUNCATE_WAIT).and_then(|()| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, bool>(0)
        })
    });
    match result.and_then(|busy| schema::wait_for_locks(connection).map(|()| busy)) {
        Ok(false) => {
            counters.wal_frames.store(0, Relaxed);
            true
        }
        Ok(true) => {
            tracing::warn!("a reader keeps the journal's log from being emptied");
            false
        }
        Err(error) => {
            tracing::warn!("the journal's log cannot be emptied: {error}");
            false
        }
    }
}
