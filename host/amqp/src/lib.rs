//! Receives the platform's notifications from AMQP 1.0 queues.
//!
//! A [`Client`] keeps one connection to a [`Broker`] with a link for each queue. It passes
//! each message to an [`Inbox`], and accepts it once the inbox has stored it. So a message
//! is in the queue or in the journal at every moment, and it may be in both.
//!
//! - [`Client`]: connects, and connects again; `consume`: the links of a connection;
//!   `link`: receives and accepts the messages of a queue; `window`: how many it may be
//!   sent; `body`: the bytes of a message.
//! - `login`: a connection whose access code and clock are accepted; `dial`: TCP and TLS.
//! - [`Options`] and [`Credentials`]; [`Failure`]: why a connection or a link fails.
//! - `pace`: waits between attempts; [`Metrics`].
//! - [`Publisher`]: sends messages, to simulate the platform.
//!
//! The crate knows neither the receiver nor its journal, so its tests against brokers
//! are built without them.

mod body;
mod client;
mod consume;
mod credentials;
mod dial;
mod failure;
mod link;
mod login;
mod metrics;
mod options;
mod pace;
mod publish;
mod window;

pub use self::client::{Client, State};
pub use self::credentials::Credentials;
pub use self::failure::{Failure, Reason};
pub use self::metrics::Metrics;
pub use self::options::{
    Broker, DEFAULT_MEMORY_BYTES, DEFAULT_MESSAGES, DEFAULT_QUEUE, OptionError, Options, QUEUES_MAX,
};
pub use self::pace::Pace;
pub use self::publish::{PublishError, Publisher};

use std::future::Future;

use bytes::Bytes;

/// What an [`Inbox`] did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is durable. It is accepted now.
    Stored,
    /// It is not stored, but may be later. It stays in the queue until then.
    Retry,
    /// It can never be stored. It is accepted, because it would come again forever.
    Never,
}

/// Stores messages.
pub trait Inbox: Send + Sync + 'static {
    /// Stores the body of a message. Many calls run at once. A call may be dropped before
    /// it returns; then the message comes again.
    fn accept(&self, body: Bytes) -> impl Future<Output = Verdict> + Send;
}
