//! [`Error`]: why a call failed. [`OptionError`]: why the client cannot be built.

use std::error::Error as StdError;
use std::time::Duration;

use crate::refusal::{Cause, Refusal, request_id_text};

/// The cause of an error, from a library or the system.
pub type Source = Box<dyn StdError + Send + Sync>;

/// An option of the client that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {reason}")]
pub struct OptionError {
    /// The name of the option.
    pub field: &'static str,
    /// The reason, with advice.
    pub reason: String,
}

impl OptionError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { field, reason }
    }
}

/// Why a call failed. The text says what was tried, what is wrong, and what to do.
/// It contains no secret. A cause is the [`source`](StdError::source), and not part
/// of the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No request can be built from the values.
    #[error("cannot {operation}: an id or a filter is too long for a URL, or malformed")]
    NoRequest {
        /// The attempted operation, as a verb phrase.
        operation: &'static str,
        /// The cause.
        source: Source,
    },
    /// The host's name has no address.
    #[error(
        "cannot {operation}: the host `{host}` is unknown. Check the region, the URL and the DNS \
         of this machine"
    )]
    UnknownHost {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The error of the resolver.
        source: Source,
    },
    /// No connection could be made, or it ended before the answer began.
    #[error(
        "cannot {operation}: no connection to `{host}`. Check the network, the firewall and the \
         proxy"
    )]
    Unreachable {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The error of the connection.
        source: Source,
    },
    /// The host's certificate is not trusted, or the host does not speak TLS.
    #[error(
        "cannot {operation}: TLS with `{host}` failed. Check the URL and its port, whether a proxy \
         replaces certificates, and the authorities that are trusted"
    )]
    Tls {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The error of TLS.
        source: Source,
    },
    /// The proxy did not open a tunnel.
    #[error(
        "cannot {operation}: the proxy `{proxy}` opened no tunnel to `{host}`. Check the proxy's \
         address, its user and password, and which hosts it allows"
    )]
    Proxy {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The proxy's host.
        proxy: String,
        /// The error of the tunnel.
        source: Source,
    },
    /// The answer took too long.
    #[error("cannot {operation}: `{host}` did not answer within {} s", after.as_secs_f32())]
    TooSlow {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The limit.
        after: Duration,
    },
    /// The answer is too long.
    #[error("cannot {operation}: the answer of `{host}` is longer than {limit} bytes")]
    TooLong {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The answer ended too early.
    #[error("cannot {operation}: the answer of `{host}` was cut off. Try again")]
    Truncated {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// Where it ended.
        source: Source,
    },
    /// The answer is not JSON.
    #[error(
        "cannot {operation}: `{host}` answered {status} with `{media_type}` instead of JSON. Check \
         the URL, and whether a proxy or a login page answers instead of the platform"
    )]
    NotJson {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The status of the answer.
        status: u16,
        /// The answer's media type.
        media_type: String,
    },
    /// The answer is JSON of another form.
    #[error(
        "cannot {operation}: the answer of `{host}` has an unexpected form{}. Check that the URL \
         is that of the application API", request_id_text(request_id.as_deref())
    )]
    Unexpected {
        /// The attempted operation.
        operation: &'static str,
        /// The host.
        host: String,
        /// The platform's id of the request.
        request_id: Option<String>,
        /// The member that is missing or malformed.
        source: Source,
    },
    /// This machine's clock differs from the platform's, so signatures are refused.
    #[error(
        "cannot {operation}: the clock of this machine is {} {} the platform's, which refuses \
         signatures that are more than 15 minutes off. Set the clock",
        duration_text(difference_ms.unsigned_abs()),
        if *difference_ms < 0 { "behind" } else { "ahead of" }
    )]
    WrongClock {
        /// The attempted operation.
        operation: &'static str,
        /// This machine's time minus the platform's, in milliseconds.
        difference_ms: i64,
    },
    /// The platform refused the call.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// A list did not end.
    #[error(
        "cannot {operation}: the list does not end. Report this as a bug, with the platform's edition"
    )]
    EndlessList {
        /// The attempted operation.
        operation: &'static str,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_temporary(),
            Self::NotJson { status, .. } => *status == 429 || *status >= 500,
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::Truncated { .. } => true,
            _ => false,
        }
    }

    /// Whether the resource does not exist.
    pub fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(|it| it.cause == Cause::NotFound)
    }

    /// Returns the platform's refusal, if it is the reason.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

fn duration_text(ms: u64) -> String {
    let minutes = (ms + 30_000) / 60_000;
    match minutes {
        0..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}
