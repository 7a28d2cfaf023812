//! The bounds of a journal in a file.

use std::time::Duration;

use batchtask_journal::Bounds;

/// The bounds of a journal in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// The bounds of the quarantine and of the signatures.
    pub bounds: Bounds,
    /// How many reads happen at the same time, each with a connection of its
    /// own.
    pub readers: usize,
    /// How long a read may take, including its wait.
    pub read_timeout: Duration,
    /// Nothing more is written if the disk has fewer free bytes than this. 0
    /// means: until the disk itself is full.
    pub min_free_bytes: u64,
    /// How long to wait at the opening for another process that has the
    /// journal. Zero means: fail at once.
    pub lock_wait: Duration,
    /// How long a task with a final status is kept after its last new event.
    /// `None` means: for ever.
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
