//! Passes the events of a journal on to sinks: at least once, in order within a task,
//! always under the same id.
//!
//! The journal is the queue. A sink stores only its position in the feed, and the few
//! events before it that are not delivered yet. No event is dropped unless an operator
//! asks for it.
//!
//! | module | content |
//! |---|---|
//! | `relay` | [`Relay`]: all sinks; starts, replaces and stops them |
//! | `runner` | one sink: the feed, the deliveries, and what is stored |
//! | `sink` | [`Sink`]: where events are passed on to, and its options |
//! | `filter` | [`Filter`]: which events are for a sink |
//! | [`scheduler`] | [`Scheduler`](scheduler::Scheduler): which event is sent next, without input and output |
//! | [`circuit`] | [`Circuit`](circuit::Circuit): whether a sink works, without input and output |
//! | [`lease`] | [`Lease`](lease::Lease): whether this host owns a sink, without input and output |
//! | `backoff` | how long to wait before another attempt |
//! | [`report`] | digests and alerts: what is sent to people, and when; without input and output |
//! | `webhook` | posts events and alerts to a URL |
//! | `chat` | posts digests and alerts to chats |
//! | `mail` | sends digests and alerts as mail |
//! | `component` | passes events to a component of the operator, in a sandbox |
//! | `egress` | connections to receivers, to checked addresses only |
//! | `trace` | a delivery in the trace of the request that brought its event |
//! | `command` | [`Command`]: what an operator asks of a sink |
//! | `status` | [`SinkStatus`]: what operators see of a sink |
//! | `metrics` | [`RelayMetrics`]: the metrics of all sinks |
//! | `clock` | a clock that only goes forward |
//! | `error` | [`OptionError`] and [`CommandError`] |
//!
//! Whose fault a failure is decides what happens. A connection that fails, a time limit,
//! and the statuses 3xx, 408, 425, 429 and 5xx are the sink's fault: the event is tried
//! again for as long as it takes, and after ten such failures in a row nothing is sent for
//! a while. Any other 4xx is the event's fault: it is tried a few times, and then becomes
//! a dead letter.

mod backoff;
mod chat;
pub mod circuit;
mod clock;
mod command;
mod component;
mod egress;
mod error;
mod filter;
pub mod lease;
mod mail;
mod metrics;
mod relay;
pub mod report;
mod runner;
pub mod scheduler;
mod sink;
mod status;
mod trace;
mod webhook;

pub use self::chat::{ChatOptions, Service};
pub use self::command::{Command, Replay, Reply};
pub use self::component::ComponentOptions;
pub use self::egress::{HttpOptions, Identity, TlsOptions};
pub use self::error::{CommandError, OptionError};
pub use self::filter::Filter;
pub use self::mail::{MailOptions, Security};
pub use self::metrics::RelayMetrics;
pub use self::relay::Relay;
pub use self::report::note::Language;
pub use self::sink::{
    EventOptions, Kind, PARALLEL_MAX, Passing, ReportOptions, Sink, SinkOptions, Start,
};
pub use self::status::{Ownership, Results, SinkStatus};
pub use self::webhook::{Mode, WebhookOptions};
/// Where the requests of a component may be sent.
pub use batchtask_sandbox::Origin;
