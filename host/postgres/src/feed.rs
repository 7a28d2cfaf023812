//! [`follow`]: learns of the events that other hosts commit.
//!
//! Notifications wake this host at once. They vanish with a connection, and do not
//! arrive behind a connection pooler, so the feed is also polled: seldom while
//! notifications arrive, often if polls find events that were not announced.

use batchtask_journal::stored::unsigned;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::backoff::Backoff;
use crate::error::describe;
use crate::link::{Link, Parameter};
use crate::parts::Parts;

/// How many polls in a row must find unannounced events before polls are fast. A
/// single one may just have been a moment earlier than the notification.
const UNANNOUNCED_MAX: u32 = 2;
/// How long an answer to a poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the size of the journal is measured, which takes longer than a poll.
const MEASURE_EVERY: Duration = Duration::from_secs(60);

const MEASURE: &str = "SELECT \
     (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c \
         WHERE c.relkind = 'r' AND c.relnamespace = $1::text::regnamespace), \
     (SELECT received_at_ms FROM batchtask.events ORDER BY seq LIMIT 1)";

const POLL: &str = "SELECT last_seq, quarantine_small + quarantine_large, quarantine_dropped, \
     pruned_events FROM batchtask.totals";

/// Follows the feed until the task is aborted.
pub(crate) async fn follow(parts: Parts, channel: String) {
    let feed = Feed { parts, channel };
    let mut backoff = Backoff::new();
    loop {
        tokio::time::sleep_until(backoff.next().into()).await;
        let heard = Arc::new(AtomicU64::new(0));
        let result = match feed.listen(heard.clone()).await {
            Ok(link) => {
                backoff = Backoff::new();
                feed.poll_until_lost(&link, &heard).await
            }
            Err(cause) => Err(cause),
        };
        // Also after a connection that did not last.
        backoff.failed();
        let Err(cause) = result;
        tracing::debug!("the feed is interrupted: {cause}");
    }
}

struct Feed {
    parts: Parts,
    /// The name of the notifications.
    channel: String,
}

impl Feed {
    /// Opens a connection that listens. `heard` counts the notifications.
    async fn listen(&self, heard: Arc<AtomicU64>) -> Result<Link, String> {
        let (progress, counters) = (self.parts.progress.clone(), self.parts.counters.clone());
        let notified = move |payload: &str| {
            heard.fetch_add(1, Relaxed);
            if let Ok(last_seq) = payload.parse() {
                progress.advance(last_seq);
                counters.feed_checked();
            }
        };
        let link = self.parts.connector.connect(notified).await;
        let link = link.map_err(|error| error.to_string())?;
        let sql = format!("LISTEN {}", self.channel);
        let listening = tokio::time::timeout(POLL_TIMEOUT, link.execute(&sql));
        match listening.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // Such as a database that only resembles PostgreSQL. Polls are enough.
                tracing::info!("notifications are not possible: {}", describe(&error));
            }
            Err(_) => return Err("no answer".into()),
        }
        Ok(link)
    }

    /// Polls until the connection is lost, and returns why it was.
    async fn poll_until_lost(&self, link: &Link, heard: &AtomicU64) -> Result<Infallible, String> {
        // What was committed before the connection existed was not announced to it.
        self.poll(link).await?;
        let (mut unannounced, mut last_heard) = (0, heard.load(Relaxed));
        let mut measure_at = Instant::now();
        loop {
            if measure_at <= Instant::now() {
                self.measure(link).await;
                measure_at = Instant::now() + MEASURE_EVERY;
            }
            let interval = if unannounced > UNANNOUNCED_MAX {
                self.parts.options.fast_poll_interval
            } else {
                self.parts.options.poll_interval
            };
            self.wait(link, interval).await;
            let found = self.poll(link).await?;
            let now_heard = heard.load(Relaxed);
            if now_heard != last_heard {
                unannounced = 0;
            } else if found > 0 {
                unannounced += 1;
                self.parts.counters.polled_events.fetch_add(found, Relaxed);
            }
            last_heard = now_heard;
        }
    }

    /// Returns how many events were unknown.
    async fn poll(&self, link: &Link) -> Result<u64, String> {
        match tokio::time::timeout(POLL_TIMEOUT, link.query(POLL, &[])).await {
            Ok(Ok(rows)) => Ok(rows.first().map_or(0, |row| self.polled(row))),
            Ok(Err(error)) => Err(describe(&error)),
            Err(_) => Err("no answer".into()),
        }
    }

    /// Waits until the next poll, or until the connection is lost.
    async fn wait(&self, link: &Link, interval: Duration) {
        let until = Instant::now() + interval;
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = link.lost() => {}
        }
    }

    /// Measures the size and the age of the journal. Does nothing if that fails.
    async fn measure(&self, link: &Link) {
        let schema = self.parts.connector.schema();
        let parameters: [Parameter<'_>; 1] = [(&schema, Type::TEXT)];
        let measuring = link.query(MEASURE, &parameters);
        let Ok(Ok(rows)) = tokio::time::timeout(POLL_TIMEOUT, measuring).await else {
            return;
        };
        let counters = &self.parts.counters;
        for (counter, column) in [
            (&counters.size_bytes, 0),
            (&counters.oldest_received_at_ms, 1),
        ] {
            let value = rows.first().and_then(|row| row.try_get(column).ok());
            counter.store(value.map_or(0, unsigned), Relaxed);
        }
    }

    /// Takes over the result of a poll. Returns how many events were unknown.
    fn polled(&self, row: &Row) -> u64 {
        let number = |column| row.try_get(column).map_or(0, unsigned);
        let counters = &self.parts.counters;
        for (counter, column) in [
            (&counters.quarantine_bytes, 1),
            (&counters.quarantine_dropped, 2),
            (&counters.pruned_events, 3),
        ] {
            counter.store(number(column), Relaxed);
        }
        counters.feed_checked();
        self.parts.progress.advance(number(0))
    }
}
