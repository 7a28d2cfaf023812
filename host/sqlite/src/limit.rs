//! When a read must end.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// When a read must end: at its deadline, or when all reads are told to. A
/// clone shares it.
#[derive(Clone)]
pub(crate) struct Limit {
    deadline: Arc<Mutex<Instant>>,
    stop: Arc<AtomicBool>,
}

impl Limit {
    /// A limit that is over until a deadline is set.
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        let deadline = Arc::new(Mutex::new(Instant::now()));
        Self { deadline, stop }
    }

    /// Whether the time of the read is over, or all reads are to end.
    pub(crate) fn is_over(&self) -> bool {
        let deadline = self.deadline.lock();
        self.stop.load(Relaxed)
            || Instant::now() >= *deadline.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, deadline: Instant) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}
