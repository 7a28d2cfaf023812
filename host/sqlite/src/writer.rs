//! The connection that writes, and its transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;

use batchtask_journal::{Appended, Bounds, Entry, Error, SignatureStatus, SignatureUse};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::watch;

use crate::checkpoint;
use crate::counters::Counters;
use crate::options::Options;
use crate::presence::Presence;
use crate::record::{self, Totals};
use crate::schema::{self, OpenError};
use crate::values::{failure, saturated};

/// The only connection that writes.
pub(crate) struct Writer {
    path: PathBuf,
    presence: Presence,
    /// `None` after a failure that leaves its state in doubt, until the next
    /// batch opens another.
    pub(crate) connection: Option<Connection>,
    totals: Totals,
    bounds: Bounds,
    min_free_bytes: u64,
    counters: Arc<Counters>,
    /// The greatest `seq` that is durable. Followers wait on it.
    last_seq: watch::Sender<u64>,
    checkpointer: SyncSender<()>,
    checkpoints: Checkpoints,
}

/// The lengths of the log at which checkpoints happen.
pub(crate) struct Checkpoints {
    /// The length when the checkpointer was last told.
    woken_at_frames: u64,
    /// The length at which the writer does it itself.
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
    /// Opens the file at `path`, whose lock this process holds, and returns the
    /// greatest `seq` in it too. `checkpointer` is told when a checkpoint is
    /// due.
    pub(crate) fn open(
        path: &Path,
        options: Options,
        counters: Arc<Counters>,
        checkpointer: SyncSender<()>,
    ) -> Result<(Self, watch::Receiver<u64>), OpenError> {
        let failed = |source| OpenError::Sqlite {
            path: path.to_owned(),
            source,
        };
        let mut connection = schema::open(path)?;
        checkpoint::watch(&mut connection, &counters).map_err(failed)?;
        let totals = Totals::load(&connection).map_err(failed)?;
        let last_seq = record::last_seq(&connection).map_err(failed)?;
        let (last_seq_sender, last_seq) = watch::channel(last_seq);
        let writer = Self {
            presence: Presence::of(path).map_err(|source| OpenError::Folder {
                folder: path.parent().unwrap_or(Path::new("/")).to_owned(),
                source,
            })?,
            path: path.to_owned(),
            connection: Some(connection),
            totals,
            bounds: options.bounds,
            min_free_bytes: options.min_free_bytes,
            counters,
            last_seq: last_seq_sender,
            checkpointer,
            checkpoints: Checkpoints::default(),
        };
        writer.publish_totals();
        Ok((writer, last_seq))
    }

    /// Makes all entries of `batch` durable, or none.
    pub(crate) fn commit(&mut self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        let batch = self.try_commit(batch)?;
        self.totals = batch.totals;
        self.publish_totals();
        self.last_seq
            .send_if_modified(|seq| std::mem::replace(seq, batch.last_seq) != batch.last_seq);
        Ok(batch.outcomes)
    }

    fn publish_totals(&self) {
        let Totals {
            quarantine_bytes,
            quarantine_dropped,
            ..
        } = self.totals;
        self.counters
            .quarantine_bytes
            .store(quarantine_bytes, Relaxed);
        self.counters
            .quarantine_dropped
            .store(quarantine_dropped, Relaxed);
    }

    fn try_commit(&mut self, entries: Vec<Entry>) -> Result<Batch, Error> {
        self.ensure_presence()?;
        self.ensure_room()?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnect()?,
        };
        let mut batch = Batch::new(self.totals.clone(), self.bounds, entries.len());
        let result = batch.commit(&mut connection, entries);
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

    /// Fails if a file was removed or replaced.
    fn ensure_presence(&mut self) -> Result<(), Error> {
        // Without a connection there is no log.
        let Some(path) = self.connection.as_ref().and(self.presence.missing()) else {
            return Ok(());
        };
        let path = path.display();
        let error = format!("`{path}` was removed or replaced while it was in use");
        // The next batch opens the file again, if it is back by then.
        self.connection = None;
        Err(Error::Unavailable(error))
    }

    /// Fails before the disk is full: the content of the log must still fit into
    /// the database, and other programs use the disk too.
    fn ensure_room(&self) -> Result<(), Error> {
        let least = self.min_free_bytes;
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
            // Another journal knows other duplicates, and the readers would
            // still read the previous one.
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

    /// Lets the checkpointer copy the log into the database before it grows too
    /// long, or does it here if the checkpointer cannot keep up.
    pub(crate) fn checkpoint(&mut self) {
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

    /// Empties the log, so that only the database is left.
    pub(crate) fn finish(self) {
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

/// A transaction in progress.
struct Batch {
    totals: Totals,
    bounds: Bounds,
    outcomes: Vec<Appended>,
    last_seq: u64,
    signatures_stored: u64,
    /// The earliest arrival: a signature that expired by then has expired for
    /// all entries.
    now_ms: u64,
}

impl Batch {
    fn new(totals: Totals, bounds: Bounds, entries: usize) -> Self {
        Self {
            totals,
            bounds,
            outcomes: Vec::with_capacity(entries),
            last_seq: 0,
            signatures_stored: 0,
            now_ms: u64::MAX,
        }
    }

    fn commit(&mut self, connection: &mut Connection, entries: Vec<Entry>) -> rusqlite::Result<()> {
        // The lock is taken first, so that no statement fails for it halfway.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for entry in entries {
            let outcome = self.apply(&transaction, &entry)?;
            self.outcomes.push(outcome);
        }
        self.finish(&transaction)?;
        transaction.commit()
    }

    fn apply(&mut self, connection: &Connection, entry: &Entry) -> rusqlite::Result<Appended> {
        match entry {
            Entry::Event(event, signature) => {
                match self.signature(connection, signature, event.received_at_ms)? {
                    SignatureStatus::Replayed => Ok(Appended::Replayed),
                    _ => record::event(connection, &mut self.totals, event),
                }
            }
            Entry::Reject(reject, signature) => {
                match self.signature(connection, signature, reject.received_at_ms)? {
                    SignatureStatus::Replayed => Ok(Appended::Replayed),
                    SignatureStatus::Repeated => Ok(Appended::Duplicate),
                    SignatureStatus::Fresh => {
                        let max_bytes = self.bounds.quarantine_max_bytes;
                        record::reject(connection, &mut self.totals, reject, max_bytes)?;
                        Ok(Appended::Recorded)
                    }
                }
            }
            Entry::Probe => Ok(Appended::Recorded),
        }
    }

    fn signature(
        &mut self,
        connection: &Connection,
        signature: &Option<SignatureUse>,
        now_ms: u64,
    ) -> rusqlite::Result<SignatureStatus> {
        let Some(signature) = signature else {
            return Ok(SignatureStatus::Fresh);
        };
        let status = record::signature(connection, &mut self.totals, signature, now_ms)?;
        self.signatures_stored += u64::from(status == SignatureStatus::Fresh);
        self.now_ms = self.now_ms.min(now_ms);
        Ok(status)
    }

    fn finish(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.signatures_stored > 0 {
            record::prune_signatures(
                connection,
                &mut self.totals,
                saturated(self.now_ms),
                self.signatures_stored,
                self.bounds.signatures_max,
            )?;
        }
        self.last_seq = record::last_seq(connection)?;
        self.totals.save(connection)
    }
}
