//! [`Writer`]: the connection that writes. [`rescue`] handles files that were
//! removed, replaced or truncated while they are in use.

mod rescue;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use batchtask_journal::stored::unsigned;
use batchtask_journal::{Appended, Entry, Error, Pruned, error_text};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::watch;

use crate::batch::{Batch, arrival_ms};
use crate::checkpoint::{self, Checkpointer};
use crate::counters::Counters;
use crate::disk;
use crate::error::OpenError;
use crate::options::Options;
use crate::owner::Owner;
use crate::presence::Presence;
use crate::prune;
use crate::reader::Readers;
use crate::record;
use crate::schema;
use crate::steady_clock::SteadyClock;
use crate::totals::Totals;
use crate::values::sqlite_error;

/// How often the files are checked while nothing is written.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The minimum time between two steps of pruning, so that most of the time
/// remains for notifications.
const PRUNE_EVERY: Duration = Duration::from_millis(50);

/// The only connection that writes. The fields are dropped in this order: the
/// owner must be last, when this process no longer uses the file.
pub(crate) struct Writer {
    /// `None` after a failure that leaves its state unknown. The next batch opens
    /// another.
    pub(crate) connection: Option<Connection>,
    checkpointer: Checkpointer,
    readers: Arc<Readers>,
    presence: Presence,
    totals: Totals,
    /// The host's clock without its jumps ahead.
    pub(crate) clock: SteadyClock,
    options: Options,
    counters: Arc<Counters>,
    /// The greatest `seq` that is durable. Followers wait on it.
    last_seq: watch::Sender<u64>,
    checkpoints: Checkpoints,
    /// Set after a loss of data: why nothing can be written until the next start.
    data_loss: Option<String>,
    checked_at: Instant,
    pruned_at: Instant,
    owner: Owner,
}

/// The lengths of the log, in frames, that decide about checkpoints.
pub(crate) struct Checkpoints {
    /// The length when the checkpointer was last woken.
    woken_at_frames: u64,
    /// The length at which the writer makes the log start over.
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

impl Writer {
    /// Opens the journal of `owner`, and writes to it once to show that it can be
    /// written. Returns the writer, and the channel of the greatest durable `seq`.
    pub(crate) fn open(
        owner: Owner,
        options: Options,
        counters: Arc<Counters>,
        readers: Arc<Readers>,
    ) -> Result<(Self, watch::Receiver<u64>), OpenError> {
        let path = owner.path().to_owned();
        let failed = |cause| OpenError::sqlite(&path, cause);
        let mut connection = schema::open(&path)?;
        schema::ensure_complete(&connection, &path)?;
        // From here on, the database contains everything that was in the log.
        let mut frames = checkpoint::truncate(&connection).map_err(failed)?;
        if frames == 0 {
            schema::renumber(&connection).map_err(failed)?;
            frames = checkpoint::truncate(&connection).map_err(failed)?;
        }
        counters.wal_frames.store(frames, Relaxed);
        checkpoint::watch(&mut connection, &counters).map_err(failed)?;
        let totals = Totals::load(&connection).map_err(failed)?;
        let (last_seq_sender, last_seq) = watch::channel(totals.last_seq);
        let now = Instant::now();
        let mut writer = Self {
            connection: Some(connection),
            checkpointer: Checkpointer::start(&path).map_err(OpenError::Thread)?,
            readers,
            presence: Presence::of(&owner),
            clock: SteadyClock::new(totals.clock_ms, now),
            totals,
            options,
            counters,
            last_seq: last_seq_sender,
            checkpoints: Checkpoints::default(),
            data_loss: None,
            checked_at: now,
            pruned_at: now,
            owner,
        };
        if frames > 0 {
            // A reader of another process prevented the renumbering, which would
            // have shown that the journal can be written. So write it here.
            writer.commit_to_sqlite(&[]).map_err(failed)?;
            writer.presence.renew_log();
        }
        writer.publish_totals();
        writer.find_oldest();
        Ok((writer, last_seq))
    }

    /// Makes all entries of `batch` durable and returns their outcomes. After an
    /// error, no entry is stored.
    pub(crate) fn commit(&mut self, batch: &[Entry]) -> Result<Vec<Appended>, Error> {
        self.prepare()?;
        disk::ensure_room(self.owner.path(), self.options.min_free_bytes)?;
        self.commit_to_sqlite(batch)
            .map_err(|error| self.unwritable(&error))
    }

    /// Checks the files, and opens a connection if there is none.
    fn prepare(&mut self) -> Result<(), Error> {
        self.ensure_presence()?;
        if self.connection.is_none() {
            self.connection = Some(self.reconnect()?);
        }
        Ok(())
    }

    fn commit_to_sqlite(&mut self, entries: &[Entry]) -> rusqlite::Result<Vec<Appended>> {
        let mut totals = self.totals.clone();
        let now_ms = match arrival_ms(entries) {
            Some(arrival_ms) => self.clock.advance(arrival_ms, Instant::now()),
            None => self.clock.last_ms().unwrap_or(0),
        };
        totals.clock_ms = self.clock.last_ms();
        let frames = self.begin_log(&mut totals);
        let mut batch = Batch::new(totals, self.options.bounds, now_ms);
        self.with_connection(|connection| batch.commit(connection, entries))?;
        self.committed(batch.totals, frames);
        Ok(batch.outcomes)
    }

    /// Runs `work` with the connection. After an error that leaves its state
    /// unknown, the connection is closed.
    fn with_connection<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut connection = self
            .connection
            .take()
            .ok_or(rusqlite::Error::InvalidQuery)?;
        let result = work(&mut connection);
        let error = result.as_ref().err();
        if error.is_none_or(|error| is_usable_after(&connection, error)) {
            self.connection = Some(connection);
        }
        result
    }

    /// Sets the fields of `totals` that tie the log to its database: the schema
    /// number and, if the next commit begins the log, the number of commits in the
    /// database. Returns the length of the log.
    fn begin_log(&self, totals: &mut Totals) -> u64 {
        totals.schema_number = self.presence.schema_number();
        let frames = self.counters.wal_frames.load(Relaxed);
        if frames == 0 {
            totals.log_base = totals.commits;
        }
        frames
    }

    /// Publishes the effects of a commit. `frames` is the length of the log before
    /// it.
    fn committed(&mut self, totals: Totals, frames: u64) {
        let before = self.totals.commits;
        self.totals = totals;
        if self.counters.wal_frames.load(Relaxed) <= frames {
            // SQLite made the log start over with this commit.
            self.totals.log_base = before;
        }
        self.publish_totals();
        let last_seq = self.totals.last_seq;
        self.last_seq
            .send_if_modified(|seq| std::mem::replace(seq, last_seq) != last_seq);
        if self.counters.oldest_received_at_ms.load(Relaxed) == 0 && last_seq > 0 {
            self.find_oldest();
        }
    }

    fn publish_totals(&self) {
        let (counters, totals) = (&self.counters, &self.totals);
        for (counter, value) in [
            (&counters.quarantine_bytes, totals.quarantine.total()),
            (&counters.quarantine_dropped, totals.quarantine_dropped),
            (&counters.pruned_events, totals.pruned_events),
        ] {
            counter.store(value, Relaxed);
        }
    }

    /// Updates the metric of the oldest event.
    fn find_oldest(&self) {
        let sql = "SELECT received_at_ms FROM events ORDER BY seq LIMIT 1";
        let oldest = self.connection.as_ref().and_then(|connection| {
            let mut statement = connection.prepare_cached(sql).ok()?;
            statement.query_row([], |row| row.get(0)).ok()
        });
        self.counters
            .oldest_received_at_ms
            .store(oldest.map_or(0, unsigned), Relaxed);
    }

    fn unwritable(&self, error: &rusqlite::Error) -> Error {
        sqlite_error(
            &format!(
                "journal `{}` cannot be written",
                self.owner.path().display()
            ),
            error,
        )
    }

    /// Does work that can wait until a batch was answered. Returns whether there
    /// is more work to do soon.
    pub(crate) fn maintain(&mut self) -> bool {
        self.checkpoint();
        if self.checked_at.elapsed() >= CHECK_EVERY && self.data_loss.is_none() {
            // The next commit returns the error, and it is logged then.
            let _ = self.ensure_presence();
        }
        self.prune_when_due()
    }

    fn prune_when_due(&mut self) -> bool {
        let Some(keep) = self.options.keep else {
            return false;
        };
        if self.pruned_at.elapsed() < PRUNE_EVERY {
            return true;
        }
        self.pruned_at = Instant::now();
        let now_ms = self.clock.advance(host_now_ms(), Instant::now());
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        match self.prune(now_ms.saturating_sub(keep_ms)) {
            Ok(pruned) => pruned.more,
            Err(error) => {
                tracing::warn!("old tasks cannot be removed: {}", error_text(error));
                false
            }
        }
    }

    /// Removes a few old events, see [`prune::step`].
    pub(crate) fn prune(&mut self, before_ms: u64) -> Result<Pruned, Error> {
        self.prepare()?;
        let connection = self.connection.as_ref();
        let is_due = connection.map(|connection| prune::is_due(connection, before_ms));
        match is_due {
            Some(Ok(true)) => {}
            Some(Err(error)) => return Err(self.unwritable(&error)),
            _ => return Ok(Pruned::default()),
        }
        let now_ms = self.clock.last_ms().unwrap_or_else(host_now_ms);
        let mut totals = self.totals.clone();
        let frames = self.begin_log(&mut totals);
        let pruned = self
            .with_connection(|connection| prune::step(connection, &mut totals, before_ms, now_ms))
            .map_err(|error| self.unwritable(&error))?;
        self.committed(totals, frames);
        self.find_oldest();
        Ok(pruned)
    }

    /// Runs `work` in a transaction of its own, for details of tasks and the progress of
    /// sinks. It need not be with a batch, because there are few such changes.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.transact_with_totals(|connection, _| work(connection))
    }

    /// Removes a reject. Returns false if no reject has this number.
    pub(crate) fn drop_reject(&mut self, seq: u64) -> Result<bool, Error> {
        self.transact_with_totals(|connection, totals| {
            let removed = record::remove_reject(connection, seq)?;
            totals.quarantine.remove(removed.unwrap_or(0));
            Ok(removed.is_some())
        })
    }

    fn transact_with_totals<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Totals) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.prepare()?;
        disk::ensure_room(self.owner.path(), self.options.min_free_bytes)?;
        let mut totals = self.totals.clone();
        let frames = self.begin_log(&mut totals);
        let result = self
            .with_connection(|connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let result = work(&transaction, &mut totals)?;
                totals.save(&transaction)?;
                transaction.commit()?;
                Ok(result)
            })
            .map_err(|error| self.unwritable(&error))?;
        self.committed(totals, frames);
        Ok(result)
    }

    /// Wakes the checkpointer as the log grows, or makes the log start over here
    /// if the checkpointer cannot keep up.
    fn checkpoint(&mut self) {
        let frames = self.counters.wal_frames.load(Relaxed);
        if frames < self.checkpoints.woken_at_frames {
            // The log has started over.
            self.checkpoints = Checkpoints::default();
        }
        if frames >= self.checkpoints.woken_at_frames + checkpoint::STEP_FRAMES {
            self.checkpoints.woken_at_frames = frames;
            self.checkpointer.wake();
        }
        if frames >= self.checkpoints.restart_at_frames && !self.restart_log(frames) {
            self.checkpoints.restart_at_frames = frames + checkpoint::RETRY_FRAMES;
        }
    }

    /// Copies the whole log, so that it starts over, and returns whether it did.
    /// Reads are paused meanwhile, because consecutive reads would block it
    /// forever.
    fn restart_log(&self, frames: u64) -> bool {
        let Some(connection) = &self.connection else {
            return true;
        };
        let ends_reads = frames >= checkpoint::END_READS_FRAMES;
        let _paused = self.readers.pause(checkpoint::READERS_WAIT, ends_reads);
        match checkpoint::restart(connection) {
            Ok(0) => {
                self.counters.wal_frames.store(0, Relaxed);
                true
            }
            Ok(_) => {
                tracing::warn!(
                    "the journal's log cannot start over: a reader or a checkpoint still uses it"
                );
                false
            }
            Err(error) => {
                tracing::warn!("the journal's log cannot start over: {error}");
                false
            }
        }
    }

    /// Empties the log, so that only the database remains, and releases the file.
    pub(crate) fn finish(self) {
        if let Some(connection) = self.connection
            && let Err(error) = checkpoint::truncate(&connection)
        {
            tracing::warn!("the journal's log cannot be emptied: {error}");
        }
        self.checkpointer.finish();
        drop(self.owner);
    }
}

/// Returns whether a connection can be used after `error`. A full disk or another
/// process's lock does not change its state, once the transaction is rolled back.
/// After any other error, such as a failed sync, it must be closed.
fn is_usable_after(connection: &Connection, error: &rusqlite::Error) -> bool {
    let known = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    );
    known && connection.is_autocommit()
}

/// Returns the time of the host's clock in milliseconds since 1970.
fn host_now_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
