//! Copies the write-ahead log into the database, without delaying
//! acknowledgements.
//!
//! A thread of its own does it with a connection of its own, in the mode that
//! never waits and never makes others wait. While writes never pause, it cannot
//! reach the end of the log. So beyond a bound the writer does it.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
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
/// Beyond this, the reads that are in the way are ended.
pub(crate) const END_READS_FRAMES: u64 = MAX_FRAMES + 2 * RETRY_FRAMES;
/// How long the writer waits for readers. All entries wait with it.
pub(crate) const READERS_WAIT: Duration = Duration::from_millis(100);

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

/// The thread that copies the log, and its connection.
pub(crate) struct Checkpointer {
    wake: SyncSender<()>,
    connection: Shared,
    thread: JoinHandle<()>,
}

type Shared = Arc<Mutex<Option<Connection>>>;

impl Checkpointer {
    /// Starts the thread for the journal at `path`.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        // One token: a checkpoint that is due is due once.
        let (wake, woken) = mpsc::sync_channel(1);
        let connection = Shared::default();
        let (path, shared) = (path.to_owned(), connection.clone());
        let thread = thread::Builder::new()
            .name("journal-checkpoint".into())
            .spawn(move || run(&path, &shared, &woken))?;
        Ok(Self {
            wake,
            connection,
            thread,
        })
    }

    /// Has the log copied soon.
    pub(crate) fn wake(&self) {
        // If it is full, the thread has been told already.
        let _ = self.wake.try_send(());
    }

    /// Returns the connection of the thread, once it does nothing with it. The
    /// thread opens another one when it is woken.
    pub(crate) fn take_connection(&self) -> Option<Connection> {
        lock(&self.connection).take()
    }

    /// Ends the thread.
    pub(crate) fn finish(self) {
        drop(self.wake);
        // A thread that panicked has nothing left to finish.
        let _ = self.thread.join();
    }
}

/// A connection that was left by a panic is as good as one after an error.
fn lock(shared: &Shared) -> MutexGuard<'_, Option<Connection>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies as much as it can for each message, until the sender is dropped.
fn run(path: &Path, shared: &Shared, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let mut connection = lock(shared);
        if let Err(error) = passive(path, &mut connection) {
            // Nothing is lost: the log holds it, and the next wake retries.
            tracing::warn!(
                "journal `{}` cannot be checkpointed: {error}",
                path.display()
            );
            *connection = None;
        }
    }
    *lock(shared) = None;
}

fn passive(
    path: &Path,
    connection: &mut Option<Connection>,
) -> Result<(), Box<dyn std::error::Error>> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(schema::reopen(path)?),
    };
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

/// Copies the whole log, so that it starts over. The file keeps its size,
/// because to overwrite is faster than to append. Returns how many pages are in
/// the log now: none, unless a reader is in the way.
pub(crate) fn restart(connection: &Connection) -> rusqlite::Result<u64> {
    complete(connection, "PRAGMA wal_checkpoint(RESTART)")
}

/// Copies the whole log and empties its file. Returns the same.
pub(crate) fn truncate(connection: &Connection) -> rusqlite::Result<u64> {
    complete(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
}

fn complete(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    connection.busy_timeout(READERS_WAIT)?;
    let result = connection.query_row(pragma, [], |row| {
        let (is_busy, frames) = (row.get(0)?, row.get::<_, i64>(1)?);
        Ok(if is_busy { frames.max(1) } else { 0 })
    });
    schema::wait_for_locks(connection)?;
    result.map(i64::unsigned_abs)
}
