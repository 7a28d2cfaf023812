//! [`PostgresContent`]: a journal that is opened for a copy.
//!
//! - `read`, `write`: the records as rows.

mod read;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batchtask_journal::Error;
use batchtask_journal::copy::record::{Part, Records, Totals};
use batchtask_journal::copy::{BATCHES_WAITING, Batches, Content, Copying, Head, Place};
use batchtask_journal::stored::{saturated, unsigned};
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::config::Config;
use crate::counters::Counters;
use crate::error::{OpenError, failed};
use crate::link::{ANSWER_TIME, Connector, Link};
use crate::options::Options;
use crate::schema::{self, Found};
use crate::server;

/// How long a statement may take: a part of the journal is read by one.
const STATEMENT_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A journal that is opened for a copy. Other hosts can open a complete one meanwhile,
/// and the copy fails if they write to it.
pub struct PostgresContent {
    connector: Arc<Connector>,
    link: Link,
}

impl PostgresContent {
    /// Opens the journal in the database, which must exist. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let content = Self::connect(config).await?;
        let finding = schema::find(&content.connector, &content.link);
        let found = content.connector.within(ANSWER_TIME, finding).await?;
        if found == Found::Nothing {
            let database = content.connector.database();
            let schema = content.connector.schema().to_owned();
            return Err(OpenError::Missing { database, schema });
        }
        content.prepare().await
    }

    /// Like [`open`](Self::open), but creates the tables if they are missing.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_or_create(config: &Config) -> Result<Self, OpenError> {
        Self::connect(config).await?.prepare().await
    }

    async fn connect(config: &Config) -> Result<Self, OpenError> {
        let options = Options {
            read_timeout: STATEMENT_TIME,
            ..Options::default()
        };
        let connector = Connector::new(config, &options, Arc::new(Counters::new()))?;
        let (link, _) = server::connect(&connector).await?;
        let connector = Arc::new(connector);
        Ok(Self { connector, link })
    }

    /// Creates or migrates the tables if necessary.
    async fn prepare(self) -> Result<Self, OpenError> {
        schema::prepare(&self.connector, &self.link).await?;
        Ok(self)
    }

    async fn try_head(&self) -> Result<Option<Head>, tokio_postgres::Error> {
        let rows = self.link.query(HEAD, &[]).await?;
        let head = rows.first().map(head).transpose()?;
        Ok(head.flatten())
    }

    /// Runs the statements of `work` in a transaction. After an error, the connection
    /// must not be used again.
    async fn transact(
        &self,
        work: impl Future<Output = Result<bool, tokio_postgres::Error>>,
    ) -> Result<(), Error> {
        let transaction = async {
            self.link.execute("BEGIN").await?;
            self.link.query(DURABLE, &[]).await?;
            let is_done = work.await?;
            self.link
                .execute(if is_done { "COMMIT" } else { "ROLLBACK" })
                .await?;
            Ok(is_done)
        };
        match transaction.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Unavailable(format!(
                "another program writes to `{}`",
                self.connector.database()
            ))),
            Err(error) => {
                let database = self.connector.database();
                Err(failed(&format!("`{database}` cannot be written"), &error))
            }
        }
    }

    async fn begin(&self, source: &str) -> Result<bool, tokio_postgres::Error> {
        let part = Place::START.part.number();
        let parameters = [(&source as _, Type::TEXT), (&part as _, Type::INT2)];
        let rows = self.link.query(BEGIN, &parameters).await?;
        Ok(!rows.is_empty())
    }

    async fn add(&self, records: &Records, place: Place) -> Result<bool, tokio_postgres::Error> {
        let (part, done) = (place.part.number(), saturated(place.records));
        let former = done - records.len() as i64;
        let parameters = [
            (&part as _, Type::INT2),
            (&done as _, Type::INT8),
            (&former as _, Type::INT8),
        ];
        let rows = self.link.query(ADVANCE, &parameters).await?;
        write::write(&self.link, records).await?;
        Ok(!rows.is_empty())
    }

    async fn finish(&self, totals: &Totals) -> Result<bool, tokio_postgres::Error> {
        let parameters = [
            (&totals.last_seq as _, Type::INT8),
            (&totals.last_reject as _, Type::INT8),
            (&totals.last_received_at_ms as _, Type::INT8),
            (&totals.quarantine_dropped as _, Type::INT8),
            (&totals.pruned_events as _, Type::INT8),
            (&totals.clock_ms as _, Type::INT8),
        ];
        self.link.query(FINISH, &parameters).await?;
        self.link.execute(FILL).await?;
        let rows = self
            .link
            .query("DELETE FROM batchtask.copying RETURNING id", &[]);
        Ok(!rows.await?.is_empty())
    }
}

impl fmt::Debug for PostgresContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresContent")
            .field("database", &self.connector.database())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Content for PostgresContent {
    async fn head(&self) -> Result<Head, Error> {
        let head = self.try_head().await;
        let head = head.map_err(|error| unreadable(&self.connector, &error))?;
        head.ok_or_else(|| {
            let database = self.connector.database();
            Error::Unavailable(format!("`{database}` has an unknown content"))
        })
    }

    fn read(&self, part: Part, skip: u64) -> Batches {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let connector = self.connector.clone();
        tokio::spawn(async move {
            let read = async {
                let link = connector.connect(|_| ()).await;
                let link = link.map_err(|error| Error::Unavailable(error.to_string()))?;
                let read = read::read(&link, part, skip, &sender).await;
                read.map_err(|error| unreadable(&connector, &error))
            };
            if let Err(error) = read.await {
                // The receiver may be gone.
                let _ = sender.send(Err(error)).await;
            }
        });
        batches
    }

    async fn begin(&self, source: &str) -> Result<(), Error> {
        self.transact(self.begin(source)).await
    }

    async fn add(&self, records: Records, place: Place) -> Result<(), Error> {
        self.transact(self.add(&records, place)).await
    }

    async fn finish(&self, totals: &Totals) -> Result<(), Error> {
        self.transact(self.finish(totals)).await?;
        // The plans of reads depend on it, and the server's own analysis comes later.
        let analyzed = self
            .link
            .execute("ANALYZE batchtask.tasks, batchtask.events");
        analyzed
            .await
            .map_err(|error| unreadable(&self.connector, &error))
    }
}

/// Makes the commit of this transaction durable, whatever the role has set.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')";

const HEAD: &str = "SELECT replace(j.journal_id::text, '-', '') || '-' || t.commits, t.last_seq, \
     t.last_reject, t.last_received_at_ms, t.quarantine_dropped, t.pruned_events, t.clock_ms, \
     (SELECT count(*) FROM batchtask.tasks), (SELECT count(*) FROM batchtask.events), \
     (SELECT count(*) FROM batchtask.quarantine), (SELECT count(*) FROM batchtask.signatures), \
     (SELECT count(*) FROM batchtask.pruned), (SELECT count(*) FROM batchtask.details), \
     (SELECT count(*) FROM batchtask.sinks), (SELECT count(*) FROM batchtask.sink_parked), \
     (SELECT count(*) FROM batchtask.sink_dead), c.source, c.part, c.records \
     FROM batchtask.journal AS j CROSS JOIN batchtask.totals AS t \
     LEFT JOIN batchtask.copying AS c ON true";

/// Locks the totals, so that no commit of a host that is running comes between.
const BEGIN: &str = "INSERT INTO batchtask.copying (source, part, records) \
     SELECT $1, $2, 0 FROM batchtask.totals \
     WHERE last_seq = 0 AND last_reject = 0 AND signatures = 0 FOR UPDATE RETURNING id";

/// Changes nothing if another copy has reached another place.
const ADVANCE: &str = "UPDATE batchtask.copying SET part = $1, records = $2 \
     WHERE part < $1 OR (part = $1 AND records = $3) RETURNING id";

/// Writes the totals, those of the copy and those that follow from its records.
const FINISH: &str = "UPDATE batchtask.totals SET last_seq = $1, last_reject = $2, \
     last_received_at_ms = $3, quarantine_dropped = $4, pruned_events = $5, clock_ms = $6, \
     clock_set_ms = floor(extract(epoch FROM clock_timestamp()) * 1000), ahead_since_ms = NULL, \
     last_task = (SELECT coalesce(max(id), 0) FROM batchtask.tasks), \
     signatures = (SELECT count(*) FROM batchtask.signatures), \
     quarantine_small = \
         (SELECT coalesce(sum(bytes), 0) FROM batchtask.quarantine WHERE bytes <= 16384), \
     quarantine_large = \
         (SELECT coalesce(sum(bytes), 0) FROM batchtask.quarantine WHERE bytes > 16384), \
     pruned_digests = (SELECT count(*) FROM batchtask.pruned), commits = commits + 1";

/// Fills what follows from the events.
const FILL: &str = "UPDATE batchtask.tasks SET steps = batchtask.steps_of(id); \
     SELECT batchtask.count_activity(0)";

/// Reads a row of [`HEAD`]. Returns `None` if it names an unknown part.
fn head(row: &Row) -> Result<Option<Head>, tokio_postgres::Error> {
    let mut counts = [0; Part::ALL.len()];
    for (column, count) in counts.iter_mut().enumerate() {
        *count = unsigned(row.try_get(7 + column)?);
    }
    let source: Option<String> = row.try_get(16)?;
    let copying = match source {
        Some(source) => {
            let Some(part) = Part::of_number(row.try_get(17)?) else {
                return Ok(None);
            };
            let records = unsigned(row.try_get(18)?);
            let place = Place { part, records };
            Some(Copying { source, place })
        }
        None => None,
    };
    Ok(Some(Head {
        version: row.try_get(0)?,
        totals: Totals {
            last_seq: row.try_get(1)?,
            last_reject: row.try_get(2)?,
            last_received_at_ms: row.try_get(3)?,
            quarantine_dropped: row.try_get(4)?,
            pruned_events: row.try_get(5)?,
            clock_ms: row.try_get(6)?,
        },
        counts,
        copying,
    }))
}

fn unreadable(connector: &Connector, error: &tokio_postgres::Error) -> Error {
    failed(&format!("`{}` cannot be read", connector.database()), error)
}
