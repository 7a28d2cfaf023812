//! [`Options`]: the broker, the queues, and limits.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use rustls::pki_types::ServerName;

use crate::pace::Pace;

/// The most queues that a client may receive from: the platform's limit for the links of
/// a connection.
pub const QUEUES_MAX: usize = 10;

/// The queue that every instance of the platform has.
pub const DEFAULT_QUEUE: &str = "DefaultQueue";

/// How many messages may be in progress by default.
pub const DEFAULT_MESSAGES: u32 = 1024;

/// How many bytes the messages that are in progress may have together by default.
pub const DEFAULT_MEMORY_BYTES: usize = 32 << 20;

/// The port of AMQP over TLS.
const PORT: u16 = 5671;

/// What a client receives, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The broker.
    pub broker: Broker,
    /// The id of the platform's instance, if the account has several.
    pub instance_id: Option<String>,
    /// The queues, from 1 to [`QUEUES_MAX`].
    pub queues: Vec<String>,
    /// The authorities that the broker's certificate may come from, as PEM. `None`:
    /// those of the system.
    pub authorities: Option<Vec<u8>>,
    /// How many messages may be in progress: sent by the broker and not yet accepted.
    pub messages: u32,
    /// How many bytes they may have together. While messages are about as long as the
    /// last ones, this is not exceeded.
    pub memory_bytes: usize,
    /// The waits between attempts to connect.
    pub pace: Pace,
}

impl Options {
    /// Options with the default queue and the default limits.
    pub fn new(broker: Broker) -> Self {
        Self {
            broker,
            instance_id: None,
            queues: vec![DEFAULT_QUEUE.into()],
            authorities: None,
            messages: DEFAULT_MESSAGES,
            memory_bytes: DEFAULT_MEMORY_BYTES,
            pace: Pace::CONNECT,
        }
    }
}

/// Why an option cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct OptionError {
    /// The name of the option's field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl OptionError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { field, reason }
    }
}

/// The address of a broker: `amqps://HOST` or `amqps://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The name or the IP address, without brackets.
    host: String,
    port: u16,
}

impl Broker {
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The name that the broker's certificate must have. `None` cannot happen, because
    /// the address was checked.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        ServerName::try_from(self.host.clone()).ok()
    }
}

impl FromStr for Broker {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| "it is not a valid URL")?;
        if uri.scheme_str() != Some("amqps") {
            return Err("it must begin with `amqps://`");
        }
        let authority = uri.authority().ok_or("it has no host")?;
        let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        if has_path || authority.as_str().contains('@') {
            return Err("it must have neither a user name nor a path");
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        ServerName::try_from(host.clone())
            .map_err(|_| "its host is neither a name nor an address")?;
        let has_port = authority.as_str().len() > authority.host().len();
        let port = if has_port {
            authority
                .port_u16()
                .ok_or("its port is not a number up to 65535")?
        } else {
            PORT
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_with_tls() {
        for (text, shown) in [
            ("amqps://iot.example.com", "iot.example.com:5671"),
            ("amqps://iot.example.com/", "iot.example.com:5671"),
            ("amqps://127.0.0.1:15671", "127.0.0.1:15671"),
            ("amqps://[::1]", "[::1]:5671"),
        ] {
            let broker: Broker = text.parse().unwrap();
            assert_eq!(broker.to_string(), shown);
            assert!(broker.server_name().is_some());
        }
        for text in [
            "",
            "iot.example.com",
            "amqp://iot.example.com",
            "amqps://",
            "amqps://user:password@host",
            "amqps://host/queue",
            "amqps://host?x=1",
            "amqps://host:port",
            "amqps://-",
        ] {
            assert!(text.parse::<Broker>().is_err(), "{text}");
        }
    }
}
