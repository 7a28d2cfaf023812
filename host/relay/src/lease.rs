//! [`Lease`]: whether this host owns a sink. Without input and output.

use std::time::Duration;

use crate::backoff::milliseconds;

/// The lease of one sink. All times are in milliseconds of a clock that only goes
/// forward.
///
/// The store counts a lease from the moment at which it handles the request. This host
/// counts it from the moment at which it sent the request, so its lease ends before
/// that of the store.
#[derive(Debug)]
pub struct Lease {
    length_ms: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Another host may own the sink.
    Free { ask_at_ms: u64 },
    /// This host owns it.
    Held {
        fence: u64,
        until_ms: u64,
        renew_at_ms: u64,
    },
}

/// What a host should do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Acquire the sink.
    Acquire,
    /// Renew the lease with this fencing number.
    Renew(u64),
    /// Nothing before this time.
    WaitUntil(u64),
}

impl Lease {
    /// Returns a lease that is not held.
    pub fn new(length: Duration) -> Self {
        Self {
            length_ms: milliseconds(length),
            state: State::Free { ask_at_ms: 0 },
        }
    }

    /// Returns the fencing number, while the sink is owned.
    pub fn fence(&self, now_ms: u64) -> Option<u64> {
        match self.state {
            State::Held {
                fence, until_ms, ..
            } if now_ms < until_ms => Some(fence),
            _ => None,
        }
    }

    /// Returns what to do. A request whose result is not known yet must not be sent
    /// again.
    pub fn step(&mut self, now_ms: u64) -> Step {
        match self.state {
            State::Held { until_ms, .. } if now_ms >= until_ms => {
                self.state = State::Free { ask_at_ms: now_ms };
                Step::Acquire
            }
            State::Held {
                fence, renew_at_ms, ..
            } if now_ms >= renew_at_ms => Step::Renew(fence),
            State::Held {
                renew_at_ms,
                until_ms,
                ..
            } => Step::WaitUntil(renew_at_ms.min(until_ms)),
            State::Free { ask_at_ms } if now_ms >= ask_at_ms => Step::Acquire,
            State::Free { ask_at_ms } => Step::WaitUntil(ask_at_ms),
        }
    }

    /// The sink was acquired or renewed, with a request that was sent at `sent_ms`.
    pub fn granted(&mut self, fence: u64, sent_ms: u64) {
        self.state = State::Held {
            fence,
            until_ms: sent_ms.saturating_add(self.length_ms),
            renew_at_ms: sent_ms.saturating_add(self.length_ms / 3),
        };
    }

    /// A renewal failed without an answer: the lease goes on to its end.
    pub fn unanswered(&mut self, now_ms: u64) {
        match &mut self.state {
            State::Held { renew_at_ms, .. } => *renew_at_ms = now_ms + self.length_ms / 10,
            State::Free { ask_at_ms } => *ask_at_ms = now_ms + self.length_ms / 5,
        }
    }

    /// Another host owns the sink.
    pub fn lost(&mut self, now_ms: u64) {
        let ask_at_ms = now_ms.saturating_add(self.length_ms / 5);
        self.state = State::Free { ask_at_ms };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Lease {
        let mut lease = Lease::new(Duration::from_secs(30));
        assert_eq!(lease.step(0), Step::Acquire);
        lease.granted(7, 1_000);
        lease
    }

    #[test]
    fn a_lease_is_renewed_before_it_ends() {
        let mut lease = held();
        assert_eq!(lease.step(1_000), Step::WaitUntil(11_000));
        assert_eq!(lease.step(11_000), Step::Renew(7));
        lease.granted(7, 11_000);
        assert_eq!(lease.fence(40_999), Some(7));
    }

    #[test]
    fn a_lease_without_an_answer_ends_in_time() {
        let mut lease = held();
        lease.unanswered(11_000);
        assert_eq!(lease.step(11_000), Step::WaitUntil(14_000));
        lease.unanswered(29_000);
        assert_eq!(lease.step(29_000), Step::WaitUntil(31_000));
        assert_eq!(lease.fence(30_999), Some(7));
        assert_eq!(lease.fence(31_000), None);
        assert_eq!(lease.step(31_000), Step::Acquire);
    }

    #[test]
    fn a_lost_lease_is_asked_for_again() {
        let mut lease = held();
        lease.lost(12_000);
        assert_eq!(lease.fence(12_000), None);
        assert_eq!(lease.step(12_000), Step::WaitUntil(18_000));
        assert_eq!(lease.step(18_000), Step::Acquire);
    }
}
