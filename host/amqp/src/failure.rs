//! [`Failure`]: why a connection or a link fails, in words that tell what to do.

mod tls;

use std::io;

use fe2o3_amqp::connection::{self, OpenError};
use fe2o3_amqp::link::{
    IllegalLinkStateError, LinkStateError, ReceiverAttachError, RecvError, SessionStopReason,
};
use fe2o3_amqp::session::BeginError;
use fe2o3_amqp::transport;
use fe2o3_amqp::types::definitions;

use crate::options::Broker;

macro_rules! reasons {
    ($($case:ident $label:literal $text:literal)*) => {
        /// The kind of a failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $text] $case,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$case),*];

            /// Returns the reason as a metric label.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$case => $label),* }
            }

            /// Returns a sentence that says what happened.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$case => $text),* }
            }
        }
    };
}

reasons! {
    UnknownHost "unknown_host" "The name of the broker has no address."
    Unreachable "unreachable"  "There is no way to the broker, or it did not answer in time."
    PortClosed  "port_closed"  "No program listens at the broker's port."
    Tls         "tls"          "The certificate of the broker is not trusted, or it does not speak TLS."
    Protocol    "protocol"     "The broker does not speak AMQP 1.0, or does not allow a password."
    Credentials "credentials"  "The access key or its code is wrong."
    Clock       "clock"        "The clock of this host is wrong. Messages are received nevertheless."
    Queue       "queue"        "There is no such queue, or it may not be read."
    Silent      "silent"       "The broker sent nothing for too long."
    Closed      "closed"       "The broker closed the connection or the link."
    Lost        "lost"         "The connection was cut."
}

/// Why a connection or a link fails. Contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The kind.
    pub reason: Reason,
    /// What happened, and what to do.
    pub text: String,
}

impl Failure {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { reason, text }
    }

    pub(crate) fn late(broker: &Broker, step: &str) -> Self {
        let text = format!("{broker} did not answer in time: {step}");
        Self::new(Reason::Unreachable, text)
    }

    /// The failure of a TCP connection.
    pub(crate) fn of_tcp(broker: &Broker, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            let text = format!("no program listens at {broker}: check `amqp.url` and the firewall");
            return Self::new(Reason::PortClosed, text);
        }
        let text = format!("{broker} is not reachable: {error}");
        Self::new(Reason::Unreachable, text)
    }

    /// The failure of a login, or of what follows until the connection is open.
    pub(crate) fn of_open(broker: &Broker, error: &OpenError) -> Self {
        match error {
            OpenError::SaslError { .. } => {
                let text = format!(
                    "{broker} refused the access key, its code, or the clock of this host: check \
                     `amqp.access_key` and `amqp.access_code`"
                );
                Self::new(Reason::Credentials, text)
            }
            OpenError::ProtocolHeaderMismatch(_) | OpenError::DecodeError(_) => {
                let text = format!("{broker} does not speak AMQP 1.0 with a login");
                Self::new(Reason::Protocol, text)
            }
            OpenError::NotImplemented(_) => {
                let text = format!("{broker} does not allow a login with a password (SASL PLAIN)");
                Self::new(Reason::Protocol, text)
            }
            OpenError::Io(error) => Self::of_io(broker, error),
            OpenError::TransportError(error) => Self::of_transport(broker, error),
            OpenError::RemoteClosedWithError(error) => closed(broker, Some(error)),
            OpenError::RemoteClosed => closed(broker, None),
            error => {
                let text = format!("the connection to {broker} cannot be opened: {error}");
                Self::new(Reason::Protocol, text)
            }
        }
    }

    /// The failure of an open connection.
    pub(crate) fn of_connection(broker: &Broker, error: &connection::Error) -> Self {
        match error {
            connection::Error::TransportError(error) => Self::of_transport(broker, error),
            connection::Error::RemoteClosedWithError(error) => closed(broker, Some(error)),
            connection::Error::RemoteClosed => closed(broker, None),
            _ => lost(broker),
        }
    }

    fn of_transport(broker: &Broker, error: &transport::Error) -> Self {
        match error {
            transport::Error::IdleTimeoutElapsed => {
                let text = format!("{broker} sent nothing for too long");
                Self::new(Reason::Silent, text)
            }
            transport::Error::Io(error) => Self::of_io(broker, error),
            _ => {
                let text = format!("{broker} sent what is not AMQP 1.0");
                Self::new(Reason::Protocol, text)
            }
        }
    }

    fn of_io(broker: &Broker, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return lost(broker);
        }
        let text = format!("the connection to {broker} was cut: {error}");
        Self::new(Reason::Lost, text)
    }

    /// The failure of a session that cannot begin.
    pub(crate) fn of_begin(broker: &Broker, error: &BeginError) -> Self {
        match error {
            BeginError::RemoteEndedWithError(error) => closed(broker, Some(error)),
            BeginError::RemoteEnded => closed(broker, None),
            _ => lost(broker),
        }
    }

    /// The failure of a link that the broker refuses.
    pub(crate) fn refused_queue(broker: &Broker, queue: &str, error: &definitions::Error) -> Self {
        no_queue(broker, queue, &described(error))
    }

    /// The failure of a link that cannot be attached.
    pub(crate) fn of_attach(broker: &Broker, queue: &str, error: &ReceiverAttachError) -> Self {
        match error {
            ReceiverAttachError::RemoteClosedWithError(error)
            | ReceiverAttachError::SessionStopped(SessionStopReason::RemoteEndedWithError(error)) => {
                Self::refused_queue(broker, queue, error)
            }
            ReceiverAttachError::SessionStopped(SessionStopReason::ConnectionStopped(_)) => {
                lost(broker)
            }
            error => no_queue(broker, queue, &error.to_string()),
        }
    }

    /// The failure of an attached link.
    pub(crate) fn of_receive(broker: &Broker, queue: &str, error: &RecvError) -> Self {
        let RecvError::LinkStateError(error) = error else {
            let text =
                format!("{broker} sent a message of `{queue}` that breaks AMQP 1.0: {error}");
            return Self::new(Reason::Protocol, text);
        };
        match error {
            LinkStateError::RemoteClosedWithError(error)
            | LinkStateError::RemoteDetachedWithError(error)
            | LinkStateError::SessionStopped(SessionStopReason::RemoteEndedWithError(error)) => {
                let text = format!(
                    "{broker} closed the link of `{queue}`: {}",
                    described(error)
                );
                Self::new(Reason::Closed, text)
            }
            LinkStateError::SessionStopped(SessionStopReason::ConnectionStopped(_)) => lost(broker),
            _ => Self::new(
                Reason::Closed,
                format!("{broker} closed the link of `{queue}`"),
            ),
        }
    }

    /// The failure of a frame that cannot be sent.
    pub(crate) fn of_send(broker: &Broker, _: &IllegalLinkStateError) -> Self {
        lost(broker)
    }
}

fn lost(broker: &Broker) -> Failure {
    let text = format!("the connection to {broker} was cut");
    Failure::new(Reason::Lost, text)
}

fn closed(broker: &Broker, error: Option<&definitions::Error>) -> Failure {
    let reason = error.map_or_else(String::new, |error| format!(": {}", described(error)));
    let text = format!("{broker} closed the connection{reason}");
    Failure::new(Reason::Closed, text)
}

fn no_queue(broker: &Broker, queue: &str, reason: &str) -> Failure {
    let text = format!("{broker} refused the queue `{queue}`: check `amqp.queues` ({reason})");
    Failure::new(Reason::Queue, text)
}

/// Returns the broker's own words, or the name of the condition.
fn described(error: &definitions::Error) -> String {
    let words = error
        .description
        .as_deref()
        .filter(|words| !words.is_empty());
    words.map_or_else(|| format!("{:?}", error.condition), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_rows_of_the_documentation() {
        let text = include_str!("../../../docs/amqp.md");
        for reason in Reason::ALL {
            assert!(
                text.contains(&format!("`{}`", reason.label())),
                "{reason:?}"
            );
            assert!(reason.text().ends_with('.'), "{reason:?}");
        }
    }
}
