//! [`Circuit`]: whether a sink works. Without input and output.

use std::time::Duration;

use fastrand::Rng;

use crate::backoff;

/// The first pause of an open circuit. It doubles each time a probe fails.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause of an open circuit.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The longest pause that a receiver may ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How many attempts in a row must fail. A receiver that fails every fifth request at
/// random hardly ever fails so often in a row.
const FAILURES_IN_A_ROW: u32 = 10;

/// Keeps requests away from a sink that does not work. All times are in milliseconds.
///
/// After some failures in a row that are the sink's fault (ten by default), it opens: nothing is sent for
/// a while. Then one event is sent as a probe. If it fails, the circuit stays open for
/// twice as long; any success closes it.
#[derive(Debug)]
pub struct Circuit {
    state: State,
    /// How many failures in a row open it.
    failures_max: u32,
    failures_in_a_row: u32,
    /// How often it opened since the last success.
    openings: u32,
    /// Until when the receiver asked for a pause.
    not_before_ms: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until_ms: u64,
    },
    /// A probe is in progress.
    Probing,
}

/// The state of a circuit, for operators.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CircuitState {
    /// Events are sent.
    #[default]
    Closed,
    /// Nothing is sent for a while.
    Open,
    /// One event is sent, to see whether the sink works again.
    HalfOpen,
}

/// Whether an event may be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Permit {
    /// It may.
    Send,
    /// It may, as a probe.
    Probe,
    /// Not before this time. `None`: not before the probe has a result.
    Wait(Option<u64>),
}

impl Default for Circuit {
    fn default() -> Self {
        Self::new(FAILURES_IN_A_ROW)
    }
}

impl Circuit {
    /// Returns a circuit that opens after this number of failures in a row.
    pub(crate) fn new(failures_max: u32) -> Self {
        Self {
            state: State::Closed,
            failures_max,
            failures_in_a_row: 0,
            openings: 0,
            not_before_ms: 0,
        }
    }

    /// Returns whether an event may be sent now. Does not change anything: call
    /// [`probe`](Self::probe) before a probe is sent.
    pub(crate) fn permit(&self, now_ms: u64) -> Permit {
        let until_ms = match self.state {
            State::Probing => return Permit::Wait(None),
            State::Open { until_ms } => until_ms.max(self.not_before_ms),
            State::Closed => self.not_before_ms,
        };
        match self.state {
            _ if now_ms < until_ms => Permit::Wait(Some(until_ms)),
            State::Open { .. } => Permit::Probe,
            _ => Permit::Send,
        }
    }

    /// A probe is sent.
    pub(crate) fn probe(&mut self) {
        self.state = State::Probing;
    }

    /// The sink answered.
    pub(crate) fn succeeded(&mut self) {
        self.state = State::Closed;
        self.failures_in_a_row = 0;
        self.openings = 0;
    }

    /// A request failed, and it is the sink's fault.
    pub(crate) fn failed(
        &mut self,
        rng: &mut Rng,
        now_ms: u64,
        is_probe: bool,
        retry_after: Option<Duration>,
    ) {
        if let Some(pause) = retry_after {
            let pause_ms = backoff::milliseconds(pause.min(RETRY_AFTER_MAX));
            self.not_before_ms = self.not_before_ms.max(now_ms.saturating_add(pause_ms));
        }
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let opens = match self.state {
            State::Closed => self.failures_in_a_row >= self.failures_max,
            // Requests that began earlier say nothing new.
            State::Open { .. } => false,
            State::Probing => is_probe,
        };
        if opens {
            let pause_ms = backoff::doubled(rng, PAUSE_MIN, self.openings, PAUSE_MAX);
            self.openings = self.openings.saturating_add(1);
            let until_ms = now_ms.saturating_add(pause_ms);
            self.state = State::Open { until_ms };
        }
    }

    /// A probe ended without a result.
    pub(crate) fn abandoned(&mut self, now_ms: u64) {
        if matches!(self.state, State::Probing) {
            self.state = State::Open { until_ms: now_ms };
        }
    }

    /// Returns its state.
    pub fn state(&self) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::Probing => CircuitState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(circuit: &mut Circuit, rng: &mut Rng, now_ms: u64, times: u32) {
        for _ in 0..times {
            circuit.failed(rng, now_ms, false, None);
        }
    }

    #[test]
    fn ten_failures_in_a_row_open_it() {
        let (mut circuit, mut rng) = (Circuit::default(), Rng::with_seed(1));
        fail(&mut circuit, &mut rng, 0, 9);
        circuit.succeeded();
        fail(&mut circuit, &mut rng, 0, 9);
        assert_eq!(circuit.permit(0), Permit::Send);
        fail(&mut circuit, &mut rng, 0, 1);
        assert_eq!(circuit.state(), CircuitState::Open);
        let Permit::Wait(Some(until_ms)) = circuit.permit(0) else {
            panic!("{circuit:?}");
        };
        assert!((500..=1000).contains(&until_ms), "{until_ms}");
        assert_eq!(circuit.permit(until_ms), Permit::Probe);
    }

    #[test]
    fn only_the_probe_decides() {
        let (mut circuit, mut rng) = (Circuit::default(), Rng::with_seed(1));
        fail(&mut circuit, &mut rng, 0, 10);
        circuit.probe();
        assert_eq!(circuit.permit(5_000), Permit::Wait(None));
        fail(&mut circuit, &mut rng, 5_000, 20);
        assert_eq!(circuit.state(), CircuitState::HalfOpen);
        circuit.failed(&mut rng, 5_000, true, None);
        let Permit::Wait(Some(until_ms)) = circuit.permit(5_000) else {
            panic!("{circuit:?}");
        };
        assert!((6_000..=7_000).contains(&until_ms), "{until_ms}");
        circuit.probe();
        circuit.abandoned(8_000);
        assert_eq!(circuit.permit(8_000), Permit::Probe);
        circuit.succeeded();
        assert_eq!(circuit.permit(8_000), Permit::Send);
    }

    #[test]
    fn a_receiver_may_ask_for_a_pause() {
        let (mut circuit, mut rng) = (Circuit::default(), Rng::with_seed(1));
        circuit.failed(&mut rng, 100, false, Some(Duration::from_secs(7)));
        assert_eq!(circuit.permit(100), Permit::Wait(Some(7_100)));
        // A request that began earlier does not shorten it.
        circuit.succeeded();
        circuit.failed(&mut rng, 100, false, Some(Duration::from_secs(2)));
        assert_eq!(circuit.permit(7_099), Permit::Wait(Some(7_100)));
        assert_eq!(circuit.permit(7_100), Permit::Send);
        circuit.failed(&mut rng, 0, false, Some(Duration::MAX));
        assert_eq!(circuit.permit(3_600_000), Permit::Send);
    }
}
