//! [`Progress`]: the greatest `seq` that is durable, for followers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The greatest durable `seq`, on any host. Several parts learn it: the writer from
/// its commits, the feed from notifications and polls.
#[derive(Debug)]
pub(crate) struct Progress {
    /// `None` once the journal is closed.
    sender: Mutex<Option<watch::Sender<u64>>>,
    receiver: watch::Receiver<u64>,
}

impl Progress {
    pub(crate) fn new(last_seq: u64) -> Self {
        let (sender, receiver) = watch::channel(last_seq);
        Self {
            sender: Mutex::new(Some(sender)),
            receiver,
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.receiver.clone()
    }

    /// Notes that events up to `last_seq` are durable. Returns how many of them
    /// were unknown.
    pub(crate) fn advance(&self, last_seq: u64) -> u64 {
        let mut unknown = 0;
        if let Some(sender) = self.sender().as_ref() {
            sender.send_if_modified(|known| {
                unknown = last_seq.saturating_sub(*known);
                *known = last_seq.max(*known);
                unknown > 0
            });
        }
        unknown
    }

    /// Sets the `seq` of a database that a new connection found. It is smaller if
    /// the database lost events.
    pub(crate) fn reset(&self, last_seq: u64) {
        if let Some(sender) = self.sender().as_ref() {
            sender.send_replace(last_seq);
        }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        *self.receiver.borrow()
    }

    /// Ends the wait of all followers.
    pub(crate) fn close(&self) {
        self.sender().take();
    }

    /// Locks the sender. Nothing panics while the lock is held, so a poisoned lock
    /// can be used.
    fn sender(&self) -> MutexGuard<'_, Option<watch::Sender<u64>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_advances_until_it_is_reset() {
        let progress = Progress::new(5);
        let receiver = progress.subscribe();
        assert_eq!(progress.advance(7), 2);
        assert_eq!(progress.advance(6), 0);
        assert_eq!(*receiver.borrow(), 7);
        progress.reset(3);
        assert_eq!(progress.last_seq(), 3);
        progress.close();
        assert_eq!(progress.advance(9), 0);
        assert!(receiver.has_changed().is_err());
    }
}
