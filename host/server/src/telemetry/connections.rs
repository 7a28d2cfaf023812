//! Counts and logs connections that fail before or between requests.

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

failures! {
    Tls            "tls"              "The TLS handshake failed."
    NoCertificate  "no_certificate"   "There is no TLS certificate yet, because the CA has not issued one."
    NotTls         "not_tls"          "The client does not speak TLS, for example because of an `http` URL."
    NotProxied     "not_proxied"      "The connection did not begin with a PROXY protocol header, or its address is not listed in `--proxy-protocol`."
    HeaderTooLarge "header_too_large" "The header of a request is longer than `--header-bytes`, or has more fields than `--header-fields`."
    BadRequest     "bad_request"      "The client does not speak HTTP, for example because of an `https` URL."
    Ambiguous      "ambiguous"        "A request is ambiguous: two HTTP parsers could read it differently."
    NoRoom         "no_room"          "The limit `--max-connections` is reached."
    Timeout        "timeout"          "The client stalled in the middle of a request or an answer."
    NotAccepted    "not_accepted"     "The system could not accept the connection; file descriptors may be used up."
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
            tracing::warn!(reason, "… {more} more failures in the last {seconds} s");
        });
        Ok(Self { counters, lines })
    }

    /// Counts a failure. Logs it too, unless many failures with this reason were
    /// logged just before. `peer` is the client's address, if it has one.
    pub fn record(&self, failure: ConnectionFailure, peer: Option<SocketAddr>) {
        self.log(failure, peer, None);
    }

    /// Does the same as [`record`](Self::record), and logs an error with it.
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
