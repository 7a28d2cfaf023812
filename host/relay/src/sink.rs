//! [`Sink`]: where events are passed on to.

use std::time::Duration;

use batchtask_journal::StoredEvent;

use crate::chat::{Chat, ChatOptions};
use crate::component::{Component, ComponentOptions};
use crate::error::OptionError;
use crate::filter::Filter;
use crate::mail::{Mail, MailOptions};
use crate::report::note::{Language, Writer};
use crate::report::{Condition, Report};
use crate::scheduler::{AfterDead, Outcome, Policy};
use crate::trace::DeliveryTrace;
use crate::webhook::{Webhook, WebhookOptions};

/// How many events may wait that were not tried yet.
const WINDOW: usize = 1024;
/// How many undelivered events and how many dead letters there may be.
const PARKED_MAX: usize = 10_000;
/// The greatest number of events in progress at once.
pub const PARALLEL_MAX: usize = 256;

/// The options of a sink.
#[derive(Eq, PartialEq)]
pub struct SinkOptions {
    /// Its name, under which the journal stores its progress.
    pub name: String,
    /// Which events are for it.
    pub filter: Filter,
    /// Where a new sink begins. A sink that the journal knows continues where it was.
    pub start: Start,
    /// What is passed on to it.
    pub passing: Passing,
    /// What it is.
    pub kind: Kind,
}

/// What a sink is, with the options of its receiver.
#[derive(Eq, PartialEq)]
pub enum Kind {
    /// A URL to which each event, or alerts are posted.
    Webhook(WebhookOptions),
    /// A bot of a chat, which gets digests or alerts.
    Chat(ChatOptions),
    /// Mail, with digests or alerts.
    Mail(MailOptions),
    /// A component of the operator, which gets each event, or alerts.
    Component(ComponentOptions),
}

/// What is passed on to a sink.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Passing {
    /// Each event, in order within its task.
    Events(EventOptions),
    /// Digests of the events.
    Digests(ReportOptions),
    /// Alerts of these conditions.
    Alerts(ReportOptions, Vec<Condition>),
}

/// How events are passed on one by one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventOptions {
    /// How many events are in progress at once, each of another task.
    pub parallel: usize,
    /// How long to wait after each time that the receiver refused an event. After one
    /// more refusal, the event becomes a dead letter.
    pub retries: Vec<Duration>,
    /// What becomes of the later events of a task with a dead letter.
    pub after_dead: AfterDead,
}

/// How digests and alerts are sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportOptions {
    /// The shortest time between two messages.
    pub every: Duration,
    /// The URL of the receiver's page, to which messages have links.
    pub page: Option<String>,
    /// The language of the messages.
    pub language: Language,
}

impl EventOptions {
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            parallel: self.parallel.clamp(1, PARALLEL_MAX),
            window: WINDOW,
            parked_max: PARKED_MAX,
            dead_max: PARKED_MAX,
            retries: self.retries.clone(),
            after_dead: self.after_dead,
        }
    }
}

impl Passing {
    /// Returns how reports are sent, if they are.
    fn reports(&self) -> Option<&ReportOptions> {
        match self {
            Self::Events(_) => None,
            Self::Digests(options) | Self::Alerts(options, _) => Some(options),
        }
    }

    /// Returns how many messages may be in progress at once.
    fn parallel(&self) -> usize {
        match self {
            Self::Events(options) => options.parallel,
            Self::Digests(_) | Self::Alerts(..) => 1,
        }
    }
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
    client: Client,
}

/// The client of a sink's receiver.
enum Client {
    Webhook(Webhook),
    Chat(Chat, Writer),
    Mail(Mail, Writer),
    Component(Component),
}

impl Sink {
    /// Checks the options.
    ///
    /// # Errors
    /// The first option that cannot be used. Shows no secret.
    pub fn new(options: SinkOptions) -> Result<Self, OptionError> {
        let client = Client::new(&options)?;
        Ok(Self { options, client })
    }

    /// Returns the name of the sink.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns the options of the sink.
    pub fn options(&self) -> &SinkOptions {
        &self.options
    }

    /// Sends an event. `trace` is the trace that it belongs to, if it is known.
    pub(crate) async fn deliver(
        &self,
        event: &StoredEvent,
        trace: Option<&mut DeliveryTrace>,
    ) -> Outcome {
        match &self.client {
            Client::Webhook(webhook) => webhook.deliver(event, trace).await,
            Client::Component(component) => {
                let origin = trace.as_deref().map(DeliveryTrace::origin);
                component.deliver(event, origin).await
            }
            Client::Chat(..) | Client::Mail(..) => Outcome::Refused(NO_EVENTS.into()),
        }
    }

    /// Sends an event that was delivered before.
    pub(crate) async fn replay(&self, event: &StoredEvent) -> Outcome {
        match &self.client {
            Client::Webhook(webhook) => webhook.replay(event).await,
            Client::Component(component) => component.replay(event).await,
            Client::Chat(..) | Client::Mail(..) => Outcome::Refused(NO_EVENTS.into()),
        }
    }

    /// Sends a digest or alerts.
    pub(crate) async fn report(&self, report: &Report) -> Outcome {
        match &self.client {
            Client::Webhook(webhook) => webhook.report(self.name(), report).await,
            Client::Component(component) => component.report(self.name(), report).await,
            Client::Chat(chat, writer) => chat.send(&writer.note(self.name(), report)).await,
            Client::Mail(mail, writer) => mail.send(&writer.note(self.name(), report)).await,
        }
    }

    /// Sends a message that reports nothing.
    pub(crate) async fn test(&self) -> Outcome {
        match &self.client {
            Client::Webhook(webhook) => webhook.test().await,
            Client::Component(component) => component.test().await,
            Client::Chat(..) | Client::Mail(..) => self.report(&Report::Test).await,
        }
    }
}

/// Why an event is not sent to a sink of people. [`Client::new`] refuses such options.
const NO_EVENTS: &str = "a sink of this kind gets no single events";

impl Client {
    fn new(options: &SinkOptions) -> Result<Self, OptionError> {
        let (passing, parallel) = (&options.passing, options.passing.parallel());
        let writer = passing.reports().map(Writer::new).transpose()?;
        match (&options.kind, writer) {
            (Kind::Webhook(_) | Kind::Component(_), _)
                if matches!(passing, Passing::Digests(_)) =>
            {
                let reason = "a sink of this kind gets events or alerts";
                Err(OptionError::new("kind", reason))
            }
            (Kind::Component(component), _) => {
                let component = Component::new(&options.name, component, parallel)?;
                Ok(Self::Component(component))
            }
            (Kind::Webhook(webhook), _) => Ok(Self::Webhook(Webhook::new(webhook, parallel)?)),
            (Kind::Chat(chat), Some(writer)) => Ok(Self::Chat(Chat::new(chat)?, writer)),
            (Kind::Mail(mail), Some(writer)) => Ok(Self::Mail(Mail::new(mail)?, writer)),
            (Kind::Chat(_) | Kind::Mail(_), None) => Err(OptionError::new("kind", NO_EVENTS)),
        }
    }
}
