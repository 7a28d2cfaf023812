//! Copies the write-ahead log into the database, without delaying
//! acknowledgements.
//!
//! A thread of its own does it with a connection of its own, in the mode that
//! never waits and never makes others wait. While writes never pause, it cannot
//! reach the end of the log. So beyond a bound the writer does it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::Connection;

use crate::counters::Counters;
use crate::schema;

/// The checkpointer is told about every 16 MiB. More often would compete with
/// the writer for the disk, and copy pages that change often again and again.
pub(crate) const STEP_FRAMES: u64 = 4 * 1024;
/// At about 64 MiB the writer does it itself: a bound on the disk space of the
/// log, and on how long a start after a crash takes.
pub(crate) const MAX_FRAMES: u64 = 16 * 1024;
/// If a reader was in the way, the writer tries again after this many more.
pub(crate) const RETRY_FRAMES: u64 = 4 * 1024;
/// How long the writer waits for readers. All entries wait with it.
const READERS_WAIT: Duration = Duration::from_millis(100);

/// Keeps count of the pages in the log as `connection` commits.
pub(crate) fn watch(connection: &mut Connection, counters: &Arc<Counters>) -> rusqlite::Result<()> {
    let counters = counters.clone();
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames: i32| {
        counters
            .wal_frames
            .store(u64::try_from(frames).unwrap_or(0), Relaxed);
        Ok(())
    }))
}

/// Copies as much as it can for each message, until the sender is dropped.
pub(crate) fn run(path: PathBuf, wake: Receiver<()>) {
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

/// Copies the whole log, so that it starts over, and returns whether it did. A
/// reader may prevent it. The file keeps its size, because to overwrite is
/// faster than to append.
pub(crate) fn restart(connection: &Connection, counters: &Counters) -> bool {
    complete(connection, "PRAGMA wal_checkpoint(RESTART)", counters)
}

/// Copies the whole log and empties its file, unless a reader prevents it.
pub(crate) fn truncate(connection: &Connection, counters: &Counters) {
    complete(connection, "PRAGMA wal_checkpoint(TRUNCATE)", counters);
}

fn complete(connection: &Connection, pragma: &str, counters: &Counters) -> bool {
    let result = connection
        .busy_timeout(READERS_WAIT)
        .and_then(|()| connection.query_row(pragma, [], |row| row.get::<_, bool>(0)));
    let restored = schema::wait_for_locks(connection);
    match restored.and(result) {
        Ok(false) => {
            counters.wal_frames.store(0, Relaxed);
            true
        }
        Ok(true) => {
            tracing::warn!("a reader or a checkpoint keeps the journal's log from starting over");
            false
        }
        Err(error) => {
            tracing::warn!("the journal's log cannot start over: {error}");
            false
        }
    }
}
