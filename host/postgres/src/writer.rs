//! [`Writer`]: the connection that writes.
//!
//! - `failure`: why a statement failed, and what that means for the connection.

mod failure;

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use batchtask_journal::stored::unsigned;
use batchtask_journal::{Appended, Entry, Error};
use tokio::time::timeout_at;
use tokio_postgres::types::Type;

use self::failure::Failure;
use crate::backoff::Backoff;
use crate::batch::{APPEND, Batch, Committed};
use crate::error::{OpenError, describe};
use crate::link::{Connector, Link, Parameter};
use crate::parts::Parts;
use crate::schema::{self, Found};
use crate::server;

/// Ends connections of this program that hold the lock while their process does not
/// respond. This program never holds it between two messages, so only a process
/// that was stopped in the middle of a message can. A migration, which takes longer,
/// has an advisory lock.
const END_STUCK: &str = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE datname = current_database() AND usename = current_user \
     AND pid <> pg_backend_pid() AND application_name = current_setting('application_name') \
     AND backend_xid IS NOT NULL AND wait_event_type = 'Client' \
     AND NOT EXISTS (SELECT FROM pg_locks AS l \
         WHERE l.pid = pg_stat_activity.pid AND l.locktype = 'advisory') \
     AND xact_start < clock_timestamp() - $1::text::interval";

/// How long [`END_STUCK`] may take.
const END_STUCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest pause before the next commit.
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// The only connection of this host that writes events.
pub(crate) struct Writer {
    parts: Parts,
    /// The id of the journal that was opened.
    id: String,
    /// The name of its notifications.
    channel: String,
    /// `None` while there is no connection.
    link: Option<Link>,
    outage: Option<Outage>,
    /// How long to wait before the next commit. Hosts that wait for one another commit
    /// more slowly, because each commit takes the same time: so they make larger ones.
    pause: Duration,
}

/// The time without a connection.
struct Outage {
    since: Instant,
    backoff: Backoff,
    /// Why the last attempt failed, or why the connection was lost.
    cause: String,
}

impl Writer {
    /// Returns the writer of the journal with this id, after it wrote once to show
    /// that it can.
    pub(crate) async fn open(parts: Parts, id: String, link: Link) -> Result<Self, OpenError> {
        let writer = Self {
            channel: format!("batchtask_{id}"),
            parts,
            id,
            link: None,
            outage: None,
            pause: Duration::ZERO,
        };
        let options = writer.parts.options;
        let batch = Batch::new(&[], options.bounds, options.lock_timeout, &writer.channel);
        let rows = link.query(APPEND, &batch.parameters()).await;
        let row = rows.and_then(|rows| rows.first().map(Committed::from_row).transpose());
        let committed = row.map_err(|error| schema::not_usable(&writer.parts.connector, &error))?;
        if let Some(committed) = committed {
            writer.committed(committed);
        }
        Ok(Self {
            link: Some(link),
            ..writer
        })
    }

    /// Returns the name of the notifications of the journal.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// Makes all entries of `batch` durable and returns their outcomes.
    ///
    /// If the answer is lost, the outcome is unknown and the error says so; a
    /// repetition then finds duplicates. If the server says that it did not commit,
    /// tries once more, because the platform sends a notification only once.
    pub(crate) async fn commit(&mut self, batch: &[Entry]) -> Result<Vec<Appended>, Error> {
        let deadline = Instant::now() + self.parts.options.commit_timeout;
        let mut is_retry = false;
        loop {
            self.ensure_link(deadline).await?;
            match self.append(batch, deadline).await {
                Ok(committed) => {
                    self.pause = pause_after(committed.waited);
                    return Ok(self.committed(committed));
                }
                Err(failure) => {
                    let can_retry = self.after(&failure).await;
                    if is_retry || !can_retry {
                        return Err(failure.into_error(&self.parts.connector.database()));
                    }
                    is_retry = true;
                }
            }
        }
    }

    /// Waits for a moment if the last commit waited for other hosts. Opens a connection,
    /// unless one is open or the next attempt must wait.
    pub(crate) async fn maintain(&mut self) {
        tokio::time::sleep(std::mem::take(&mut self.pause)).await;
        if self.link.as_ref().is_none_or(Link::is_closed) {
            let deadline = Instant::now();
            // The next commit returns the error.
            let _ = self.ensure_link(deadline).await;
        }
    }

    async fn append(&self, batch: &[Entry], deadline: Instant) -> Result<Committed, Failure> {
        let link = self.link.as_ref().ok_or(Failure::NoLink)?;
        let (bounds, lock_timeout) = (self.parts.options.bounds, self.parts.options.lock_timeout);
        let batch = Batch::new(batch, bounds, lock_timeout, &self.channel);
        let parameters = batch.parameters();
        link.take_warning();
        let started = Instant::now();
        let rows = timeout_at(deadline.into(), link.query(APPEND, &parameters))
            .await
            .map_err(|_| Failure::NoAnswer(self.parts.options.commit_timeout))??;
        if link.take_warning() {
            return Err(Failure::NotReplicated);
        }
        let row = rows.first().ok_or(Failure::NoLink)?;
        let committed = Committed::from_row(row)?;
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.parts.counters.commit_micros.fetch_add(micros, Relaxed);
        Ok(committed)
    }

    fn committed(&self, committed: Committed) -> Vec<Appended> {
        let counters = &self.parts.counters;
        for (counter, value) in [
            (&counters.quarantine_bytes, committed.quarantine_bytes),
            (&counters.quarantine_dropped, committed.quarantine_dropped),
            (&counters.pruned_events, committed.pruned_events),
        ] {
            counter.store(value, Relaxed);
        }
        self.parts.progress.advance(committed.last_seq);
        committed.outcomes
    }

    /// Counts a failure, and closes the connection unless it can still be used.
    /// Returns whether another attempt is safe and may succeed.
    async fn after(&mut self, failure: &Failure) -> bool {
        let mut can_retry = failure.was_undone();
        if failure.is_lock_timeout() {
            self.parts.counters.lock_timeouts.fetch_add(1, Relaxed);
            can_retry = self.end_stuck().await;
        }
        if failure.is_unknown() {
            self.parts.counters.lost_answers.fetch_add(1, Relaxed);
        }
        if !failure.keeps_link() {
            self.lose(failure.to_string());
        }
        can_retry
    }

    fn lose(&mut self, cause: String) {
        self.link = None;
        self.outage.get_or_insert_with(|| Outage {
            since: Instant::now(),
            backoff: Backoff::new(),
            cause,
        });
    }

    /// Returns whether connections were ended, see [`END_STUCK`].
    async fn end_stuck(&mut self) -> bool {
        let Some(link) = &self.link else { return false };
        let age = format!("{} ms", self.parts.options.lock_timeout.as_millis() / 2);
        let parameters: [Parameter<'_>; 1] = [(&age, Type::TEXT)];
        let ending = link.query(END_STUCK, &parameters);
        match tokio::time::timeout(END_STUCK_TIMEOUT, ending).await {
            Ok(Ok(rows)) if rows.is_empty() => false,
            Ok(Ok(rows)) => {
                tracing::warn!(
                    "ended {} connections of receivers that stopped in the middle of a commit",
                    rows.len()
                );
                true
            }
            Ok(Err(error)) => {
                tracing::warn!("connections cannot be ended: {}", describe(&error));
                false
            }
            Err(_) => {
                self.lose("the database does not answer".into());
                false
            }
        }
    }

    /// Makes sure that there is a connection. Shortly after a loss it waits for one
    /// until `deadline`, because a notification that is refused is lost; later it
    /// fails at once unless the next attempt is due.
    async fn ensure_link(&mut self, deadline: Instant) -> Result<(), Error> {
        if self.link.as_ref().is_some_and(|link| !link.is_closed()) {
            return Ok(());
        }
        self.lose("the connection was closed".into());
        while let Some(outage) = &mut self.outage {
            let due = outage.backoff.next();
            let waits_until = deadline.min(outage.since + self.parts.options.reconnect_grace);
            if due > Instant::now().max(waits_until) {
                return Err(Error::Unavailable(outage.cause.clone()));
            }
            tokio::time::sleep_until(due.into()).await;
            match self.reconnect().await {
                Ok(link) => {
                    self.parts.counters.reconnects.fetch_add(1, Relaxed);
                    self.link = Some(link);
                    self.outage = None;
                }
                Err(error) => {
                    if let Some(outage) = &mut self.outage {
                        outage.backoff.failed();
                        outage.cause = error.to_string();
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens a connection, and checks that it leads to the same journal.
    async fn reconnect(&self) -> Result<Link, OpenError> {
        let connect = async {
            let link = self.parts.connector.connect(|_| ()).await?;
            self.check(&link).await?;
            Ok(link)
        };
        let limit = self.parts.connector.timeout();
        self.parts.connector.within(limit, connect).await
    }

    async fn check(&self, link: &Link) -> Result<(), OpenError> {
        server::check(&self.parts.connector, link).await?;
        match schema::find(&self.parts.connector, link).await? {
            Found::Journal { id, .. } if id == self.id => {}
            _ => {
                let database = self.parts.connector.database();
                return Err(OpenError::Replaced { database });
            }
        }
        let last_seq = last_seq(&self.parts.connector, link).await?;
        let known = self.parts.progress.last_seq();
        if last_seq < known {
            tracing::error!(
                "the database lost events: its last number is {last_seq}, but {known} was \
                 committed. Was a standby promoted that was not synchronous?"
            );
            self.parts.progress.reset(last_seq);
        }
        Ok(())
    }
}

/// Returns how long to wait before the next commit, if the last one waited this long for
/// other hosts.
fn pause_after(waited: Duration) -> Duration {
    if waited < Duration::from_millis(1) {
        // The time that any commit takes until it has the lock.
        return Duration::ZERO;
    }
    (waited / 2).min(PAUSE_MAX)
}

/// Returns the greatest `seq` in the database.
pub(crate) async fn last_seq(connector: &Connector, link: &Link) -> Result<u64, OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(&connector.database(), &error);
    let rows = link.query("SELECT last_seq FROM batchtask.totals", &[]);
    let rows = rows.await.map_err(failed)?;
    let last_seq = rows.first().map(|row| row.try_get(0)).transpose();
    Ok(unsigned(last_seq.map_err(failed)?.unwrap_or(0)))
}
