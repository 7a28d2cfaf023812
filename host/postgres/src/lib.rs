//! The shared journal: PostgreSQL 13 or later, written by any number of hosts.
//!
//! | module | content |
//! |---|---|
//! | `config` | [`Config`]: parses the URL and the variables of libpq |
//! | `tls` | verifies the server's certificate and name |
//! | `link` | one connection to the database |
//! | `server` | checks that what the server commits is durable |
//! | `schema` | the tables and functions, and their versions |
//! | `rights` | the rights that a host needs |
//! | `content` | [`PostgresContent`]: a journal that is opened for a copy to another one |
//! | `parts` | what the writer and the feed share |
//! | `writer` | the connection that writes |
//! | `batch` | the entries of a batch as the parameters of one statement |
//! | `backoff` | how long to wait before the next attempt to connect |
//! | `feed` | learns of the events of other hosts |
//! | `progress` | the greatest durable `seq`, for followers |
//! | `prune` | removes old tasks |
//! | `details` | what the platform tells about a task besides its events |
//! | `claims` | the duties that only one host should have |
//! | `readers` | the connections that read |
//! | `tasks`, `events`, `quarantine` | the reads |
//! | `sinks` | the progress of sinks, and who owns them |
//! | `values` | texts as the tables store them |
//! | `options` | [`Options`]: the bounds of a journal |
//! | `error` | [`OpenError`]: why a journal cannot be opened |
//! | `counters` | the journal's own metrics |
//!
//! # Invariants
//!
//! 1. [`commit`](Journal::commit) returns `Ok` only after the server ended the
//!    transaction of the batch with `synchronous_commit` at least `on`. The function
//!    that stores a batch sets this itself, so neither a role, a database nor a
//!    connection pooler can weaken it.
//! 2. A batch is one statement in one round trip. It locks the row of `totals`,
//!    so commits of all hosts follow one another, and the lock is never held while
//!    a host thinks. `seq` is therefore dense and in commit order.
//! 3. Every commit writes that row, also one of duplicates or replays only. With a
//!    synchronous standby, it therefore waits until the standby has everything that
//!    the answer relies on.
//! 4. A statement that writes is never cancelled: a commit that waits for a standby
//!    and is cancelled reports success. The connection is dropped instead. A warning
//!    of the server during a commit makes its outcome unknown.
//! 5. An unknown outcome is [`Error::Unavailable`]. The repetition finds duplicates.
//! 6. Nothing that a reader keeps (cursor, `seq`, row number) depends on the host.
//! 7. Every wait has a bound: see [`Options`].
//!
//! # Rights
//!
//! The first start creates the schema `batchtask` (or that of the parameter
//! `schema`), its tables and functions; a later version may migrate them. This
//! needs a role that may create them. All other starts need only these rights, here
//! of the role `receiver`:
//!
//! ```sql
//! GRANT USAGE ON SCHEMA batchtask TO receiver;
//! GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA batchtask TO receiver;
//! ```
//!
//! # Connections
//!
//! A host has one connection that writes, one that follows the feed, up to
//! [`Options::readers`] that read, and one that removes old tasks if
//! [`Options::keep`] is set. Statements are not prepared, and need nothing of a
//! session except `LISTEN`. So the journal also works behind PgBouncer in transaction
//! mode with `ignore_startup_parameters = options`; then it polls the feed.
//!
//! A transaction that stays open, such as a `pg_dump`, keeps the former versions of
//! the row of `totals`. After hundreds of thousands of commits, this makes commits
//! slower until the transaction ends.
//!
//! # Example
//!
//! ```no_run
//! use batchtask_postgres::{Config, Options, PostgresJournal};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from_url("postgres://receiver@db1,db2/batchtask")?;
//! let journal = PostgresJournal::open(&config, Options::default()).await?;
//! # Ok(()) }
//! ```

mod activity;
mod backoff;
mod batch;
mod claims;
mod config;
mod content;
mod counters;
mod details;
mod error;
mod events;
mod feed;
mod link;
mod listing;
mod options;
mod parts;
mod progress;
mod prune;
mod quarantine;
mod readers;
mod rights;
mod schema;
mod server;
mod sinks;
mod tasks;
mod tls;
mod values;
mod writer;

use std::fmt;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use batchtask_journal::activity::ActivityRange;
use batchtask_journal::cursor::{self, EventKey};
use batchtask_journal::outbox::{Acquired, Hold, Outbox, SinkChange, SinkState};
use batchtask_journal::{
    Activity, ActivityQuery, Appended, Details, Entry, Error, HistoryPage, Journal, Measure,
    Pruned, QuarantinePage, Quarantined, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

pub use self::config::{Config, ConfigError};
pub use self::content::PostgresContent;
pub use self::error::OpenError;
pub use self::options::Options;

use self::counters::Counters;
use self::link::{ANSWER_TIME, Connector};
use self::listing::Listing;
use self::parts::Parts;
use self::progress::Progress;
use self::prune::When;
use self::readers::Readers;
use self::writer::Writer;

/// A journal in PostgreSQL. Dropping it closes its connections.
pub struct PostgresJournal {
    config: Config,
    options: Options,
    /// `None` once the journal is closed.
    writer: Mutex<Option<Writer>>,
    readers: Arc<Readers>,
    progress: Arc<Progress>,
    counters: Arc<Counters>,
    /// What runs in the background until the journal is closed.
    tasks: SyncMutex<Vec<JoinHandle<()>>>,
    warnings: Vec<String>,
}

impl PostgresJournal {
    /// Opens the journal in the database, and creates its tables if they are
    /// missing. Other hosts may open it at the same time. Must be called within a
    /// tokio runtime, which has to outlive the journal.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: &Config, options: Options) -> Result<Self, OpenError> {
        let counters = Arc::new(Counters::new());
        let connector = Arc::new(Connector::new(config, &options, counters.clone())?);
        let (link, warnings) = server::connect(&connector).await?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        connector
            .within(ANSWER_TIME, rights::check(&connector, &link))
            .await?;
        let id = schema::prepare(&connector, &link).await?;
        connector
            .within(ANSWER_TIME, schema::ensure_complete(&connector, &link))
            .await?;
        let parts = Parts {
            connector: connector.clone(),
            options,
            counters,
            progress: Arc::new(Progress::new(0)),
        };
        let opening = Writer::open(parts.clone(), id, link);
        let writer = connector.within(ANSWER_TIME, opening).await?;
        Ok(Self::start(config.clone(), parts, writer, warnings))
    }

    /// Checks whether the journal can be opened. Creates and migrates nothing.
    /// Returns warnings about the server.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn check(config: &Config, options: Options) -> Result<Vec<String>, OpenError> {
        let connector = Connector::new(config, &options, Arc::new(Counters::new()))?;
        let (link, warnings) = server::connect(&connector).await?;
        let checking = async {
            rights::check(&connector, &link).await?;
            let found = schema::find(&connector, &link).await?;
            match schema::current(&connector, found)? {
                Some(_) => schema::ensure_complete(&connector, &link).await,
                None => Ok(()),
            }
        };
        connector.within(ANSWER_TIME, checking).await?;
        Ok(warnings)
    }

    /// Returns what makes the database less reliable than it could be.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Starts what runs in the background.
    fn start(config: Config, parts: Parts, writer: Writer, warnings: Vec<String>) -> Self {
        let options = parts.options;
        let readers = Readers::new(
            parts.connector.clone(),
            options.readers,
            options.read_timeout,
        );
        let readers = Arc::new(readers);
        let feed = feed::follow(parts.clone(), writer.channel().to_owned());
        let mut tasks = vec![tokio::spawn(feed)];
        if let Some(keep) = options.keep {
            let pruner = Readers::new(parts.connector.clone(), 1, options.commit_timeout);
            tasks.push(tokio::spawn(prune::prune_regularly(pruner, options, keep)));
        }
        Self {
            config,
            options,
            writer: Mutex::new(Some(writer)),
            readers,
            progress: parts.progress,
            counters: parts.counters,
            tasks: SyncMutex::new(tasks),
            warnings,
        }
    }

    /// Ends what runs in the background, and refuses reads.
    fn stop(&self) {
        // First, so that a follower whose read is refused sees that it is the end.
        self.progress.close();
        self.readers.close();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for task in tasks.drain(..) {
            task.abort();
        }
    }
}

impl Drop for PostgresJournal {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for PostgresJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresJournal")
            .field("config", &self.config)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Journal for PostgresJournal {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        match self.writer.lock().await.as_mut() {
            Some(writer) => writer.commit(&batch).await,
            None => Err(error::closed()),
        }
    }

    async fn maintain(&self) -> bool {
        if let Some(writer) = self.writer.lock().await.as_mut() {
            writer.maintain().await;
        }
        false
    }

    async fn prune(&self, before_ms: u64) -> Result<Pruned, Error> {
        prune::step(&self.readers, &self.options, When::Before(before_ms)).await
    }

    async fn describe(&self, details: Vec<Details>) -> Result<(), Error> {
        details::store(&self.readers, &details).await
    }

    async fn claim(&self, duty: &str, holder: &str, time: Duration) -> Result<bool, Error> {
        claims::claim(&self.readers, duty, holder, time).await
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        tasks::find(&self.readers, app_id, task_id).await
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        Listing::new(query)?.read(&self.readers).await
    }

    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        let after = cursor.map(EventKey::decode).transpose()?;
        events::history(&self.readers, app_id, task_id, after, limit).await
    }

    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        events::after(&self.readers, after, limit).await
    }

    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        let before = cursor.map(cursor::decode_seq).transpose()?;
        quarantine::list(&self.readers, before, limit).await
    }

    async fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        quarantine::find(&self.readers, seq).await
    }

    async fn drop_reject(&self, seq: u64) -> Result<bool, Error> {
        quarantine::remove(&self.readers, &self.options, seq).await
    }

    async fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        activity::list(&self.readers, ActivityRange::of(query)).await
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        tasks::summarize(&self.readers, stale_before_ms).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }

    fn measures(&self) -> Vec<Measure> {
        self.counters.measures()
    }

    async fn close(&self) {
        self.stop();
        self.writer.lock().await.take();
    }
}

#[async_trait]
impl Outbox for PostgresJournal {
    async fn acquire(
        &self,
        sink: &str,
        owner: &str,
        lease: Duration,
        position: u64,
    ) -> Result<Acquired, Error> {
        sinks::acquire(&self.readers, sink, owner, lease, position).await
    }

    async fn renew(&self, sink: &str, fence: u64, lease: Duration) -> Result<Hold, Error> {
        sinks::renew(&self.readers, sink, fence, lease).await
    }

    async fn release(&self, sink: &str, fence: u64) -> Result<Hold, Error> {
        sinks::release(&self.readers, sink, fence).await
    }

    async fn load(&self, sink: &str) -> Result<Option<SinkState>, Error> {
        sinks::load(&self.readers, sink).await
    }

    async fn save(&self, sink: &str, fence: u64, change: &SinkChange) -> Result<Hold, Error> {
        sinks::save(&self.readers, sink, fence, change).await
    }
}
