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

/// Tasks that changed.
pub(super) struct Changes {
    pub(super) tasks: BTreeSet<TaskKey>,
    read_to: u64,
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
    pub(super) async fn changed(&mut self, journal: &GroupCommit) -> Result<Changes, Error> {
        let is_early = self.read_at.is_some_and(|at| at.elapsed() < READ_EVERY);
        let last_seq = *self.last_seq.borrow();
        if is_early || last_seq <= self.after {
            return Ok(Changes {
                tasks: BTreeSet::new(),
                read_to: self.after,
            });
        }
        self.read_at = Some(Instant::now());
        let journal = journal.journal();
        let events = journal.events_after(self.after, PAGE_ITEMS_MAX).await?;
        // Without events: they were pruned.
        let read_to = events.last().map_or(last_seq, |last| last.seq);
        let others = events
            .into_iter()
            .map(|stored| stored.event)
            .filter(|event| event.source != Source::Reconcile);
        let keys = others.map(|event| TaskKey {
            app_id: event.app_id,
            task_id: event.task_id,
        });
        Ok(Changes {
            tasks: keys.collect(),
            read_to,
        })
    }

    /// Notes that everything is known of the tasks that changed. Before that, they are
    /// returned again.
    pub(super) fn learned(&mut self, changes: Changes) {
        self.after = changes.read_to;
    }
}
