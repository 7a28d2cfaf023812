//! Checkpoints: copy the write-ahead log into the database without delaying
//! acknowledgements.
//!
//! A dedicated thread does it with its own connection, in the mode that never
//! waits and never makes others wait. While writes never pause, it cannot reach
//! the end of the log. So beyond a bound the writer does it.

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

/// How many frames (about 16 MiB) are written between two wake-ups of the
/// checkpointer. More checkpoints would compete with the writer for the disk, and
/// copy pages that change often again and again.
pub(crate) const STEP_FRAMES: u64 = 4 * 1024;
/// The length of the log (about 64 MiB) at which the writer does the checkpoint. It
/// bounds the disk space of the log, and the time of a start after a crash.
pub(crate) const MAX_FRAMES: u64 = 16 * 1024;
/// After how many more frames the writer tries again if a reader prevented it.
pub(crate) const RETRY_FRAMES: u64 = 4 * 1024;
/// The length of the log from which on the writer stops reads that prevent it.
pub(crate) const END_READS_FRAMES: u64 = MAX_FRAMES + 2 * RETRY_FRAMES;
/// How long the writer waits for readers. All new entries wait for it.
pub(crate) const READERS_WAIT: Duration = Duration::from_millis(100);

/// Updates the number of pages in the log with each commit of `connection`.
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
        // One token is enough: a second wake-up before the checkpoint adds nothing.
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

    /// Wakes the thread to copy the log.
    pub(crate) fn wake(&self) {
        // If the channel is full, the thread was woken already.
        let _ = self.wake.try_send(());
    }

    /// Takes the connection of the thread, after waiting for a running checkpoint.
    /// The thread opens another connection when it is woken.
    pub(crate) fn take_connection(&self) -> Option<Connection> {
        lock(&self.connection).take()
    }

    /// Ends the thread.
    pub(crate) fn finish(self) {
        drop(self.wake);
        // If the thread panicked, there is nothing left to do.
        let _ = self.thread.join();
    }
}

/// Locks the connection. After a panic it can be used like after an error.
fn lock(shared: &Shared) -> MutexGuard<'_, Option<Connection>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies as much of the log as possible for each message, until the sender is
/// dropped.
fn run(path: &Path, shared: &Shared, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let mut connection = lock(shared);
        if let Err(error) = passive(path, &mut connection) {
            // Nothing is lost: the content stays in the log, and the next wake-up
            // tries again.
            tracing::warn!(
                "journal `{}` cannot be checkpointed: {error}",
                path.display()
            );
            *connection = None;
        }
    }
    *lock(shared) = None;
}

/// Copies as much of the log as possible without waiting.
fn passive(
    path: &Path,
    connection: &mut Option<Connection>,
) -> Result<(), Box<dyn std::error::Error>> {
    let connection = match connection {
        Some(connection) => connection,
        missing => missing.insert(schema::reopen(path)?),
    };
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

/// Copies the whole log, so that it starts over. The file keeps its size, because
/// overwriting is faster than appending. Returns the number of pages in the log
/// now: 0, unless a reader prevented it.
pub(crate) fn restart(connection: &Connection) -> rusqlite::Result<u64> {
    complete(connection, "PRAGMA wal_checkpoint(RESTART)")
}

/// Like [`restart`], but also empties the file.
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
