//! [`Feed`]: when a session reads the feed of the journal.

use batchtask_journal::{Error, StoredEvent};
use tokio::sync::watch;

/// How many events are read at once.
pub(super) const READ_EVENTS: u32 = 256;
/// How often the feed is read although no new event is known: another host may have
/// stored some.
const LOOK_MS: u64 = 1000;

/// When a session reads the feed.
pub(super) struct Feed {
    last_seq: watch::Receiver<u64>,
    /// When the feed may be read again, if the last read found nothing.
    look_at_ms: u64,
    is_reading: bool,
}

impl Feed {
    pub(super) fn new(last_seq: watch::Receiver<u64>) -> Self {
        Self {
            last_seq,
            look_at_ms: 0,
            is_reading: false,
        }
    }

    /// Returns the greatest `seq` of the journal.
    pub(super) fn last_seq(&self) -> u64 {
        *self.last_seq.borrow()
    }

    /// Returns the `seq` after which the feed is to be read now, and marks it as being
    /// read. `wants_after`: what the session wants.
    pub(super) fn begin(&mut self, wants_after: Option<u64>, now_ms: u64) -> Option<u64> {
        let after = wants_after.filter(|_| !self.is_reading && now_ms >= self.look_at_ms)?;
        self.is_reading = true;
        Some(after)
    }

    /// Takes the result of a read.
    pub(super) fn take(
        &mut self,
        read: Result<Vec<StoredEvent>, Error>,
        now_ms: u64,
    ) -> Vec<StoredEvent> {
        self.is_reading = false;
        // Errors pass, or the save fails, too.
        let events = read.unwrap_or_default();
        self.look_at_ms = if events.is_empty() {
            now_ms + LOOK_MS
        } else {
            0
        };
        events
    }

    /// Whether a new event of the journal matters now.
    pub(super) fn waits_for_news(&self, wants_more: bool) -> bool {
        self.look_at_ms > 0 && wants_more && !self.is_reading
    }

    /// Waits for a new event.
    ///
    /// # Errors
    /// The journal is closed.
    pub(super) async fn news(&mut self) -> Result<(), watch::error::RecvError> {
        self.last_seq.changed().await?;
        self.look_at_ms = 0;
        Ok(())
    }

    /// Returns when the feed is to be read although there are no news.
    pub(super) fn wake_at(&self, wants_more: bool) -> u64 {
        if wants_more && !self.is_reading {
            self.look_at_ms
        } else {
            u64::MAX
        }
    }
}
