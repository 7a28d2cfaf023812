//! [`Options`]: the bounds of a journal in a file.

use std::time::Duration;

use batchtask_journal::Bounds;

/// The bounds of a journal in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// The bounds of the quarantine and of the signatures.
    pub bounds: Bounds,
    /// How many reads may run at the same time. Each has its own connection.
    pub readers: usize,
    /// How long a read may take, including its wait for a connection.
    pub read_timeout: Duration,
    /// Writes fail while the disk has fewer free bytes than this. With 0, they
    /// fail only when the disk is full.
    pub min_free_bytes: u64,
    /// How long opening waits while another process uses the journal. With zero,
    /// it fails at once.
    pub lock_wait: Duration,
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
            min_free_bytes: 0,
            lock_wait: Duration::ZERO,
            keep: None,
        }
    }
}
