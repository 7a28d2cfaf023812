//! [`Feed`]: learns of new events.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use batchtask_guest::journal::PAGE_ITEMS_MAX;
use batchtask_journal::{Error, GroupCommit, Source};
use batchtask_platform::reconcile::TaskKey;
use tokio::sync::watch;

/// The least time between two reads: then tasks that change often are looked up once,
/// and at most 500 tasks a second.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The events that arrive from its creation on.
pub(super) struct Feed {
    last_seq: watch::Receiver<u64>,
    after: u64,
    read_at: Option<Instant>,
}

impl Feed {
    pub(super) fn new(journal: &GroupCommit) -> Self {
        let last_seq = journal.journal().last_seq();
        let after = *last_seq.borrow();
        Self {
            last_seq,
            after,
            read_at: None,
        }
    }

    /// Returns the tasks with new events, if it is time to look. Events that the
    /// search itself stored are left out. Never waits for an event.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(super) async fn changed(&mut self, journal: &GroupCommit) -> Result<Vec<TaskKey>, Error> {
        let is_early = self.read_at.is_some_and(|at| at.elapsed() < READ_EVERY);
        if is_early || *self.last_seq.borrow() <= self.after {
            return Ok(Vec::new());
        }
        self.read_at = Some(Instant::now());
        let journal = journal.journal();
        let events = journal.events_after(self.after, PAGE_ITEMS_MAX).await?;
        self.after = match events.last() {
            Some(last) => last.seq,
            // They were pruned.
            None => *self.last_seq.borrow(),
        };
        let others = events
            .into_iter()
            .map(|stored| stored.event)
            .filter(|event| event.source != Source::Reconcile);
        let keys = others.map(|event| TaskKey {
            app_id: event.app_id,
            task_id: event.task_id,
        });
        Ok(keys.collect::<BTreeSet<_>>().into_iter().collect())
    }
}
