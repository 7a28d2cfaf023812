//! [`Sink`]: where events are passed on to.

use std::time::Duration;

use batchtask_journal::StoredEvent;

use crate::error::OptionError;
use crate::filter::Filter;
use crate::scheduler::{AfterDead, Outcome, Policy};
use crate::webhook::{Webhook, WebhookOptions};

/// How many events may wait that were not tried yet.
const WINDOW: usize = 1024;
/// How many undelivered events and how many dead letters there may be.
const PARKED_MAX: usize = 10_000;
/// The greatest number of events in progress at once.
pub const PARALLEL_MAX: usize = 256;
/// How long to wait after each refusal: that of Svix.
pub const RETRIES: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(10 * 3600),
];

/// The options of a sink.
#[derive(Eq, PartialEq)]
pub struct SinkOptions {
    /// Its name, under which the journal stores its progress.
    pub name: String,
    /// Which events are for it.
    pub filter: Filter,
    /// Where a new sink begins. A sink that the journal knows continues where it was.
    pub start: Start,
    /// How many events are in progress at once, each of another task.
    pub parallel: usize,
    /// How long to wait after each time that the receiver refused an event. After one
    /// more refusal, the event becomes a dead letter.
    pub retries: Vec<Duration>,
    /// What becomes of the later events of a task with a dead letter.
    pub after_dead: AfterDead,
    /// Its receiver.
    pub webhook: WebhookOptions,
}

/// Where a new sink begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Start {
    /// With the next event.
    #[default]
    Now,
    /// With the first event of the journal.
    Beginning,
    /// With the event of this `seq`.
    Seq(u64),
}

/// A sink whose options can be used.
pub struct Sink {
    options: SinkOptions,
    webhook: Webhook,
}

impl Sink {
    /// Checks the options.
    ///
    /// # Errors
    /// The first option that cannot be used. Shows no secret.
    pub fn new(options: SinkOptions) -> Result<Self, OptionError> {
        let webhook = Webhook::new(&options.webhook, options.parallel)?;
        Ok(Self { options, webhook })
    }

    /// Returns the name of the sink.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns the options of the sink.
    pub fn options(&self) -> &SinkOptions {
        &self.options
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            parallel: self.options.parallel.clamp(1, PARALLEL_MAX),
            window: WINDOW,
            parked_max: PARKED_MAX,
            dead_max: PARKED_MAX,
            retries: self.options.retries.clone(),
            after_dead: self.options.after_dead,
        }
    }

    pub(crate) async fn deliver(&self, event: &StoredEvent) -> Outcome {
        self.webhook.deliver(event).await
    }

    /// Sends an event that was delivered before.
    pub(crate) async fn replay(&self, event: &StoredEvent) -> Outcome {
        self.webhook.replay(event).await
    }

    pub(crate) async fn test(&self) -> Outcome {
        self.webhook.test().await
    }
}
