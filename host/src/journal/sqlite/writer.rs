//! The one thread that writes, and its group commit.
//!
//! The first write that waits starts a batch, all others that wait join it:
//! nobody waits for a batch to fill, and a slow disk makes batches larger.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use super::checkpoint;
use super::presence::Presence;
use super::queue::Queue;
use super::record::{self, Totals};
use super::schema::{self, OpenError};
use super::stats::{Counters, Observer};
use super::values::{CheckedEvent, CheckedNonce, CheckedReject, ROW_OVERHEAD_BYTES, failure};
use crate::journal::{Appended, Error};

/// How many writes share a commit at most: a bound on how long the first of
/// them waits for the last.
const BATCH_MAX_WRITES: usize = 512;
/// How many bytes share a commit, about.
const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Something to make durable.
pub(super) enum Write {
    Event(CheckedEvent, Option<CheckedNonce>),
    Reject(CheckedReject, Option<CheckedNonce>),
    /// Only the commit itself.
    Probe,
    /// Runs a test's code on the writer's connection.
    #[cfg(test)]
    Hook(Box<dyn FnOnce(&Connection) + Send>),
}

impl Write {
    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Event(event, _) => event.bytes(),
            Self::Reject(reject, _) => reject.bytes(),
            _ => ROW_OVERHEAD_BYTES,
        }
    }
}

/// A write, and who waits for it. An answer that nobody waits for any more is
/// no reason not to write: a notification is sent only once.
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Result<Appended, Error>>,
}

/// Bounds that a transaction keeps.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) quarantine_max_bytes: u64,
    pub(super) nonces_max: u64,
    pub(super) min_free_bytes: u64,
}

/// What the writer's thread owns.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) presence: Presence,
    pub(super) queue: Arc<Queue<Job>>,
    /// None after a failure that leaves its state in doubt, until the next
    /// batch opens another.
    pub(super) connection: Option<Connection>,
    pub(super) totals: Totals,
    pub(super) bounds: Bounds,
    pub(super) counters: Arc<Counters>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// The greatest `seq` that is durable; those who follow wait on it.
    pub(super) last_seq: watch::Sender<u64>,
    pub(super) checkpointer: SyncSender<()>,
    pub(super) checkpoints: Checkpoints,
}

/// How long the log was, or may become, when something is done about it.
pub(super) struct Checkpoints {
    /// When the checkpointer was last told.
    woken_at_frames: u64,
    /// When the writer does it itself.
    restart_at_frames: u64,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            woken_at_frames: 0,
            restart_at_frames: checkpoint::MAX_FRAMES,
        }
    }
}

/// Answers those who wait even if the writer panics: a reply that is dropped
/// says that the journal is unavailable.
struct AbandonOnDrop(Arc<Queue<Job>>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _abandon = AbandonOnDrop(self.queue.clone());
        while let Some(jobs) = self.queue.take(BATCH_MAX_WRITES, BATCH_MAX_BYTES) {
            let (writes, replies): (Vec<_>, Vec<_>) =
                jobs.into_iter().map(|job| (job.write, job.reply)).unzip();
            match self.commit(writes) {
                // A caller may have gone; there is nobody else to tell.
                Ok(outcomes) => {
                    for (reply, outcome) in replies.into_iter().zip(outcomes) {
                        let _ = reply.send(Ok(outcome));
                    }
                }
                Err(error) => {
                    tracing::warn!("{error}");
                    for reply in replies {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
            self.checkpoint();
        }
        self.finish();
    }

    /// Makes all of `writes` durable, or none.
    fn commit(&mut self, writes: Vec<Write>) -> Result<Vec<Appended>, Error> {
        let started = Instant::now();
        let count = writes.len();
        let result = self.try_commit(writes);
        let Ok(batch) = result else {
            self.counters.failed_commits.fetch_add(1, Relaxed);
            return result.map(|batch| batch.outcomes);
        };
        self.totals = batch.totals;
        self.counters
            .committed(&batch.outcomes, batch.probes, &self.totals);
        self.last_seq
            .send_if_modified(|seq| std::mem::replace(seq, batch.last_seq) != batch.last_seq);
        if let Some(observer) = &self.observer {
            observer.committed(count, started.elapsed());
        }
        Ok(batch.outcomes)
    }

    fn try_commit(&mut self, writes: Vec<Write>) -> Result<Batch, Error> {
        self.ensure_presence()?;
        self.ensure_room()?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnect()?,
        };
        let mut batch = Batch::new(self.totals.clone());
        let result = batch.commit(&mut connection, writes, self.bounds);
        if result
            .as_ref()
            .err()
            .is_none_or(|error| still_sound(&connection, error))
        {
            self.connection = Some(connection);
        }
        result.map_err(|error| self.unwritable(&error))?;
        self.presence.note_log();
        Ok(batch)
    }

    /// Stops writing into files that were removed or replaced.
    fn ensure_presence(&mut self) -> Result<(), Error> {
        // Without a connection the log is gone too, as it should be.
        let Some(path) = self.connection.as_ref().and(self.presence.missing()) else {
            return Ok(());
        };
        let path = path.display();
        let error = format!("`{path}` was removed or replaced while it was in use");
        // The next batch opens it again, if it is back by then.
        self.connection = None;
        Err(Error::Unavailable(error))
    }

    /// Stops before the disk is full: what is in the log by then must still fit
    /// into the database, and others use the disk too.
    fn ensure_room(&self) -> Result<(), Error> {
        let least = self.bounds.min_free_bytes;
        if least == 0 {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let disk = rustix::fs::statvfs(folder).map_err(|error| {
            Error::Unavailable(format!("the disk of `{}`: {error}", folder.display()))
        })?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < least {
            return Err(Error::Full(format!(
                "`{}` has {free} bytes left, less than {least}",
                folder.display()
            )));
        }
        Ok(())
    }

    /// Opens the journal again, with the totals that are durable in it.
    fn reconnect(&mut self) -> Result<Connection, Error> {
        let mut connection =
            schema::reopen(&self.path).map_err(|error| Error::Unavailable(error.to_string()))?;
        if !self.presence.has_database() {
            // Another journal knows other duplicates, and those who read would
            // still read the one before.
            let path = self.path.clone();
            return Err(Error::Unavailable(OpenError::Replaced { path }.to_string()));
        }
        let totals = Totals::load(&connection).map_err(|error| self.unwritable(&error))?;
        checkpoint::watch(&mut connection, &self.counters)
            .map_err(|error| self.unwritable(&error))?;
        self.totals = totals;
        self.presence.renew_log();
        Ok(connection)
    }

    fn unwritable(&self, error: &rusqlite::Error) -> Error {
        failure(
            &format!("journal `{}` cannot be written", self.path.display()),
            error,
        )
    }

    /// Has the log copied into the database before it grows too long: by the
    /// checkpointer, or here when that cannot keep up.
    fn checkpoint(&mut self) {
        let frames = self.counters.wal_frames.load(Relaxed);
        if frames < self.checkpoints.woken_at_frames {
            // The log has started over.
            self.checkpoints = Checkpoints::default();
        }
        if frames >= self.checkpoints.woken_at_frames + checkpoint::STEP_FRAMES {
            self.checkpoints.woken_at_frames = frames;
            // If it is full, the checkpointer has been told already.
            let _ = self.checkpointer.try_send(());
        }
        if frames >= self.checkpoints.restart_at_frames
            && let Some(connection) = &self.connection
            && !checkpoint::restart(connection, &self.counters)
        {
            self.checkpoints.restart_at_frames = frames + checkpoint::RETRY_FRAMES;
        }
    }

    /// Leaves a database without a log behind.
    fn finish(self) {
        if let Some(connection) = self.connection {
            checkpoint::truncate(&connection, &self.counters);
        }
    }
}

/// Whether a connection can go on after `error`. A full disk or another
/// process's lock leaves it as it was, once the transaction is rolled back.
/// After anything else, such as a failed sync, it is not trusted again.
fn still_sound(connection: &Connection, error: &rusqlite::Error) -> bool {
    let known = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    );
    known && connection.is_autocommit()
}

/// A transaction under way.
struct Batch {
    totals: Totals,
    outcomes: Vec<Appended>,
    /// How many of the outcomes are of probes.
    probes: u64,
    last_seq: u64,
    nonces_stored: u64,
    /// The earliest arrival: what expired by then has expired for all.
    now_ms: i64,
}

impl Batch {
    fn new(totals: Totals) -> Self {
        Self {
            totals,
            outcomes: Vec::new(),
            probes: 0,
            last_seq: 0,
            nonces_stored: 0,
            now_ms: i64::MAX,
        }
    }

    fn commit(
        &mut self,
        connection: &mut Connection,
        writes: Vec<Write>,
        bounds: Bounds,
    ) -> rusqlite::Result<()> {
        // The lock is taken first, so that nothing fails for it halfway.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for write in writes {
            let outcome = self.apply(&transaction, write, bounds)?;
            self.outcomes.push(outcome);
        }
        self.finish(&transaction, bounds)?;
        transaction.commit()
    }

    fn apply(
        &mut self,
        connection: &Connection,
        write: Write,
        bounds: Bounds,
    ) -> rusqlite::Result<Appended> {
        match write {
            Write::Event(event, nonce) => {
                if self.is_replay(connection, nonce, event.received_at_ms)? {
                    return Ok(Appended::Replayed);
                }
                record::event(connection, &mut self.totals, &event)
            }
            Write::Reject(reject, nonce) => {
                if self.is_replay(connection, nonce, reject.received_at_ms)? {
                    return Ok(Appended::Replayed);
                }
                let max_bytes = bounds.quarantine_max_bytes;
                record::reject(connection, &mut self.totals, &reject, max_bytes)?;
                Ok(Appended::Recorded)
            }
            Write::Probe => {
                self.probes += 1;
                Ok(Appended::Recorded)
            }
            #[cfg(test)]
            Write::Hook(hook) => {
                hook(connection);
                Ok(Appended::Recorded)
            }
        }
    }

    fn is_replay(
        &mut self,
        connection: &Connection,
        nonce: Option<CheckedNonce>,
        now_ms: i64,
    ) -> rusqlite::Result<bool> {
        let Some(nonce) = nonce else { return Ok(false) };
        let fresh = record::nonce(connection, &mut self.totals, &nonce, now_ms)?;
        self.nonces_stored += u64::from(fresh);
        self.now_ms = self.now_ms.min(now_ms);
        Ok(!fresh)
    }

    fn finish(&mut self, connection: &Connection, bounds: Bounds) -> rusqlite::Result<()> {
        if self.nonces_stored > 0 {
            let (now_ms, stored) = (self.now_ms, self.nonces_stored);
            record::prune_nonces(
                connection,
                &mut self.totals,
                now_ms,
                stored,
                bounds.nonces_max,
            )?;
        }
        self.last_seq = record::last_seq(connection)?;
        self.totals.save(connection)
    }
}
