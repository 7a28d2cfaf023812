//! [`Options`]: the bounds of a journal in PostgreSQL.

use std::time::Duration;

use batchtask_journal::Bounds;

/// The bounds of a journal in PostgreSQL. All hosts of a journal should use the
/// same [`bounds`](Self::bounds) and [`keep`](Self::keep).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// The bounds of the quarantine and of the signatures.
    pub bounds: Bounds,
    /// How many reads may run at the same time. Each has its own connection,
    /// which is opened on first use.
    pub readers: usize,
    /// How long a read may take, including its wait for a connection.
    pub read_timeout: Duration,
    /// How long an attempt to connect may take, over all hosts of the URL, unless
    /// the URL has a `connect_timeout`.
    pub connect_timeout: Duration,
    /// How long a commit may take, including its wait for a lost connection.
    pub commit_timeout: Duration,
    /// How long a commit waits for the commit of another host.
    pub lock_timeout: Duration,
    /// For how long after the loss of the connection commits wait for another one.
    /// Later they fail at once until there is a connection again.
    pub reconnect_grace: Duration,
    /// How often the feed is polled while notifications arrive, in case that one is
    /// lost.
    pub poll_interval: Duration,
    /// How often the feed is polled if notifications do not arrive, for example
    /// behind a connection pooler.
    pub fast_poll_interval: Duration,
    /// How long a task with a final status is kept after its last new event.
    /// With `None`, it is kept forever.
    pub keep: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            readers: 4,
            read_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            commit_timeout: Duration::from_secs(6),
            lock_timeout: Duration::from_secs(4),
            reconnect_grace: Duration::from_secs(3),
            poll_interval: Duration::from_secs(1),
            fast_poll_interval: Duration::from_millis(100),
            keep: None,
        }
    }
}
