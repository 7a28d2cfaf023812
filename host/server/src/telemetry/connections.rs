//! Connections that fail before there is a request to answer.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus::IntCounterVec;

use super::Registry;
use crate::bursts::{Bursts, WINDOW};

macro_rules! failures {
    ($($case:ident $label:literal $text:literal)*) => {
        /// Why a connection failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ConnectionFailure {
            $(#[doc = $text] $case,)*
        }

        impl ConnectionFailure {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$case),*];

            /// The reason as a metric's label.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$case => $label),* }
            }

            /// What happened.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$case => $text),* }
            }
        }
    };
}

failures! {
    Tls            "tls"              "The TLS handshake failed."
    NotTls         "not_tls"          "The client does not speak TLS; it may have been given an `http` URL."
    NotProxied     "not_proxied"      "The connection came without a header of the PROXY protocol, or from an address that `--proxy-protocol` does not list."
    HeaderTooLarge "header_too_large" "The header of a request is longer than `--header-bytes`, or has more fields than `--header-fields`."
    BadRequest     "bad_request"      "The client does not speak HTTP; it may have been given an `https` URL."
    Ambiguous      "ambiguous"        "Two readers could understand a request differently."
    NoRoom         "no_room"          "As many connections as `--max-connections` are open."
    Timeout        "timeout"          "The client stalled in the middle of a request or an answer."
    NotAccepted    "not_accepted"     "The system could not hand over the connection; file descriptors may be used up."
}

/// Counts failed connections by reason, and logs some of them.
#[derive(Clone)]
pub struct ConnectionFailures {
    counters: IntCounterVec,
    lines: Arc<Bursts>,
}

impl ConnectionFailures {
    /// Registers the counters, which start at 0.
    ///
    /// # Errors
    /// Another metric has the same name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = registry.counters(
            "batchtask_connection_failures_total",
            "Connections that failed before or between requests, by reason.",
            "reason",
        )?;
        for failure in ConnectionFailure::ALL {
            counters.with_label_values(&[failure.label()]);
        }
        let lines = Bursts::new(|reason, more| {
            let seconds = WINDOW.as_secs();
            tracing::warn!(reason, "… {more} more failed in the last {seconds} s");
        });
        Ok(Self { counters, lines })
    }

    /// Counts a failure and logs it, unless there were many of its reason just
    /// now. `peer` is the address that the connection came from, if it has one.
    pub fn record(&self, failure: ConnectionFailure, peer: Option<SocketAddr>) {
        self.log(failure, peer, None);
    }

    /// The same with the error that shows more.
    pub fn record_error(
        &self,
        failure: ConnectionFailure,
        peer: Option<SocketAddr>,
        error: &dyn Display,
    ) {
        self.log(failure, peer, Some(error));
    }

    fn log(
        &self,
        failure: ConnectionFailure,
        peer: Option<SocketAddr>,
        error: Option<&dyn Display>,
    ) {
        let reason = failure.label();
        self.counters.with_label_values(&[reason]).inc();
        if self.lines.admits(reason) {
            tracing::warn!(
                reason,
                peer = peer.map(tracing::field::display),
                error = error.map(ToString::to_string).as_deref(),
                "a connection failed: {}",
                failure.text()
            );
        }
    }
}
