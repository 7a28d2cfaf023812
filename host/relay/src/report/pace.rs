//! [`Pace`]: when the next message of a sink may be sent.

use std::time::Duration;

use fastrand::Rng;

use crate::backoff::{doubled, milliseconds};
use crate::circuit::{Circuit, CircuitState, Permit};
use crate::scheduler::{LastError, Outcome};

/// How long the first message after a silence waits, so that it contains a burst.
const GATHER_MS: u64 = 3_000;
/// The first wait after a failure that is the sink's fault. It doubles with each failure.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// The first wait after a message was refused. It doubles with each refusal.
const REFUSED_MIN: Duration = Duration::from_secs(10);
/// The longest such wait.
const REFUSED_MAX: Duration = Duration::from_secs(1800);
/// After this number of failures in a row, the sink does not work. Messages are rare, so
/// fewer are needed than for events.
const FAILURES_IN_A_ROW: u32 = 3;

/// When the next message may be sent: at most one in each period, and none while the sink
/// does not work. All times are in milliseconds.
#[derive(Debug)]
pub(super) struct Pace {
    every_ms: u64,
    rng: Rng,
    circuit: Circuit,
    /// Not before this time, because a message was sent or has failed.
    next_ms: u64,
    /// Since when there is something to send.
    waiting_since_ms: Option<u64>,
    in_flight: Option<InFlight>,
    /// Failures and refusals in a row.
    failures: u32,
    pub(super) is_paused: bool,
    pub(super) last_error: Option<LastError>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    started_ms: u64,
    is_probe: bool,
}

impl Pace {
    pub(super) fn new(every: Duration, is_paused: bool, rng: Rng) -> Self {
        Self {
            every_ms: milliseconds(every),
            rng,
            circuit: Circuit::new(FAILURES_IN_A_ROW),
            next_ms: 0,
            waiting_since_ms: None,
            in_flight: None,
            failures: 0,
            is_paused,
            last_error: None,
        }
    }

    /// Says whether there is something to send.
    pub(super) fn set_waiting(&mut self, is_waiting: bool, now_ms: u64) {
        if is_waiting {
            self.waiting_since_ms.get_or_insert(now_ms);
        } else {
            self.waiting_since_ms = None;
        }
    }

    /// Returns since when there is something to send.
    pub(super) fn waiting_since_ms(&self) -> Option<u64> {
        self.waiting_since_ms
    }

    pub(super) fn is_sending(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn circuit(&self) -> CircuitState {
        self.circuit.state()
    }

    /// Returns when the next message is due, if something is to be sent and may be.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if self.is_paused || self.is_sending() {
            return None;
        }
        let due_ms = self.next_ms.max(self.waiting_since_ms? + GATHER_MS);
        match self.circuit.permit(due_ms) {
            Permit::Wait(until_ms) => until_ms,
            Permit::Send | Permit::Probe => Some(due_ms),
        }
    }

    /// Starts a message if one is due. The caller must report its [`Outcome`].
    pub(super) fn start(&mut self, now_ms: u64) -> bool {
        if self.due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return false;
        }
        let is_probe = self.circuit.permit(now_ms) == Permit::Probe;
        if is_probe {
            self.circuit.probe();
        }
        self.in_flight = Some(InFlight {
            started_ms: now_ms,
            is_probe,
        });
        self.waiting_since_ms = None;
        true
    }

    /// Takes the result of a message. Returns whether it was accepted.
    pub(super) fn finish(&mut self, outcome: &Outcome, now_ms: u64) -> bool {
        let Some(sent) = self.in_flight.take() else {
            return false;
        };
        if let Some(text) = outcome.error() {
            let (at_ms, text) = (now_ms, text.to_owned());
            self.last_error = Some(LastError { at_ms, text });
        }
        let (retry_after, min, max) = match outcome {
            Outcome::Delivered => {
                self.circuit.succeeded();
                self.failures = 0;
                self.next_ms = sent.started_ms + self.every_ms;
                return true;
            }
            // The texts are ours, so a refusal is a fault of the sink or of its options:
            // nothing is given up.
            Outcome::Refused(_) => (None, REFUSED_MIN, REFUSED_MAX),
            Outcome::SinkFailed { retry_after, .. } => (*retry_after, RETRY_MIN, RETRY_MAX),
            Outcome::Unread(_) | Outcome::Gone => (None, RETRY_MIN, RETRY_MAX),
        };
        self.circuit
            .failed(&mut self.rng, now_ms, sent.is_probe, retry_after);
        let wait_ms = doubled(&mut self.rng, min, self.failures, max);
        self.failures = self.failures.saturating_add(1);
        self.next_ms = now_ms + wait_ms;
        false
    }
}
