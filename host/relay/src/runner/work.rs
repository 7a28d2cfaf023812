//! What a session does in the background: each piece of work ends with a [`Message`].

use std::sync::Arc;
use std::time::Duration;

use batchtask_journal::outbox::{Hold, SinkChange};
use batchtask_journal::{Error, GroupCommit, StoredEvent, error_text};
use batchtask_span::Tracer;

use super::outbox;
use crate::report::{Devices, Report};
use crate::scheduler::Outcome;
use crate::sink::Sink;
use crate::trace::DeliveryTrace;

/// The result of a piece of work.
pub(super) enum Message {
    /// Events of the feed.
    Read(Result<Vec<StoredEvent>, Error>),
    /// The result of an attempt. With the `seq` of the event, or 0 for a report.
    Tried(u64, Outcome),
    /// A change was stored, or not. With the last event that had been read when it was
    /// made.
    Saved(SinkChange, u64, Result<Hold, Error>),
    /// The lease was renewed, or not. With the time of the request.
    Renewed(u64, Result<Hold, Error>),
}

/// What all work needs.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) sink: Arc<Sink>,
    pub(super) journal: Arc<GroupCommit>,
    pub(super) fence: u64,
    pub(super) tracer: Tracer,
}

impl Worker {
    pub(super) async fn read(self, after: u64, limit: u32) -> Message {
        Message::Read(self.journal.journal().events_after(after, limit).await)
    }

    /// Sends an event. `event` is `None` if it must be read again.
    pub(super) async fn attempt(self, seq: u64, event: Option<Arc<StoredEvent>>) -> Message {
        let outcome = match event {
            Some(event) => self.deliver(&event).await,
            None => match self.find(seq).await {
                Ok(Some(event)) => self.deliver(&event).await,
                Ok(None) => Outcome::Gone,
                Err(error) => Outcome::Unread(error_text(error)),
            },
        };
        Message::Tried(seq, outcome)
    }

    async fn deliver(&self, event: &StoredEvent) -> Outcome {
        let mut trace = DeliveryTrace::begin(&self.tracer, self.sink.name(), event);
        let outcome = self.sink.deliver(event, trace.as_mut()).await;
        if let Some(trace) = trace {
            trace.end(&outcome);
        }
        outcome
    }

    async fn find(&self, seq: u64) -> Result<Option<StoredEvent>, Error> {
        let journal = self.journal.journal();
        let found = journal.events_after(seq.saturating_sub(1), 1).await?;
        Ok(found.into_iter().next().filter(|event| event.seq == seq))
    }

    pub(super) async fn save(self, change: SinkChange, read_to: u64) -> Message {
        let saved = self.save_now(&change).await;
        Message::Saved(change, read_to, saved)
    }

    pub(super) async fn save_now(&self, change: &SinkChange) -> Result<Hold, Error> {
        let outbox = outbox(&self.journal)?;
        outbox.save(self.sink.name(), self.fence, change).await
    }

    pub(super) async fn renew(self, sent_ms: u64, lease: Duration) -> Message {
        let renewed = match outbox(&self.journal) {
            Ok(outbox) => outbox.renew(self.sink.name(), self.fence, lease).await,
            Err(error) => Err(error),
        };
        Message::Renewed(sent_ms, renewed)
    }

    /// Stores the last change, and releases the sink.
    pub(super) async fn leave(&self, change: Option<&SinkChange>) {
        let saved = match change {
            Some(change) => self.save_now(change).await.map(drop),
            None => Ok(()),
        };
        // Also if nothing could be stored.
        let released = self.release().await.map(drop);
        if let Err(error) = saved.and(released) {
            let (name, text) = (self.sink.name(), error_text(error));
            tracing::warn!("the last state of the sink `{name}` was not stored: {text}");
        }
    }

    async fn release(&self) -> Result<Hold, Error> {
        let outbox = outbox(&self.journal)?;
        outbox.release(self.sink.name(), self.fence).await
    }

    /// Sends a report, with what is known of its tasks.
    pub(super) async fn report(self, mut report: Report) -> Message {
        for line in report.tasks_mut() {
            let journal = self.journal.journal();
            // Without its details, a report is good enough.
            if let Ok(Some(task)) = journal.find_task(&line.app_id, &line.task_id).await {
                line.name = task.name;
                line.devices = task.progress.map(|progress| Devices {
                    total: progress.total,
                    succeeded: progress.success,
                    failed: progress.fail,
                });
            }
        }
        Message::Tried(0, self.sink.report(&report).await)
    }
}
