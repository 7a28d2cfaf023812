//! [`Limit`]: when a read must end.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// When a read must end: at its deadline, or when all reads are stopped. Clones
/// share the same limit.
#[derive(Clone)]
pub(crate) struct Limit {
    deadline: Arc<Mutex<Instant>>,
    stop: Arc<AtomicBool>,
}

impl Limit {
    /// Returns a limit that has passed already. `stop` ends all reads that share
    /// it.
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        let deadline = Arc::new(Mutex::new(Instant::now()));
        Self { deadline, stop }
    }

    /// Returns whether the deadline has passed or all reads were stopped.
    pub(crate) fn has_passed(&self) -> bool {
        let deadline = self.deadline.lock();
        self.stop.load(Relaxed)
            || Instant::now() >= *deadline.unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the deadline of the next read.
    pub(crate) fn set(&self, deadline: Instant) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}
