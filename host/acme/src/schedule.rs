//! [`Schedule`]: when to order a certificate. It does no input or output, and reads no
//! clock.

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The pauses after one failure, after two in a row, and so on. The first hour has three
/// attempts: Let's Encrypt allows five failures an hour for a name.
const PAUSES_MS: [u64; 4] = [MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS];

/// Without a certificate that is valid for at least this time, the longest pause is not
/// used.
const URGENT_MS: u64 = 2 * DAY_MS;

/// How soon after an attempt an operator can ask for the next one. With the first attempts,
/// which follow one another sooner, these are five in an hour.
const ASKED_PAUSE_MS: u64 = 20 * MINUTE_MS;

/// The longest time between a certificate and the next for the same names: Let's Encrypt
/// issues five of them in seven days.
const SPACING_MAX_MS: u64 = 34 * HOUR_MS;

/// The longest wait that a CA can ask for.
const RETRY_AFTER_MAX_MS: u64 = 7 * DAY_MS;

/// How often the CA is asked for the time of the renewal, at most and at least (RFC 9773,
/// section 4.3.2), and if it does not answer.
const ASK_AGAIN_MS: (u64, u64) = (MINUTE_MS, DAY_MS);
const ASK_AGAIN_FAILED_MS: u64 = 6 * HOUR_MS;

/// A certificate as the schedule sees it. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Distinguishes it from others.
    pub id: String,
    /// When its life begins.
    pub from_ms: u64,
    /// When its life ends.
    pub until_ms: u64,
    /// Whether it is for all wanted names, and from the wanted CA.
    pub is_wanted: bool,
}

impl Validity {
    fn life_ms(&self) -> u64 {
        self.until_ms.saturating_sub(self.from_ms)
    }

    /// A number from 0 to 1 that is the same whenever it is asked for, so that restarts do
    /// not change the time of the renewal. Ids are random, so the numbers are, too.
    fn fraction(&self) -> f64 {
        let fold = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = self.id.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
        Rng::with_seed(hash).f64()
    }

    /// When it is renewed unless the CA suggests another time: shortly before two thirds of
    /// its life.
    fn renewed_at_ms(&self) -> u64 {
        let part = 0.62 + 0.04 * self.fraction();
        self.from_ms + share(self.life_ms(), part)
    }
}

/// What the schedule remembers, also after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The time when it was last changed. The other times are relative to it: if the clock
    /// is set back, they move with it.
    pub seen_ms: u64,
    /// The number of attempts since the last success.
    pub failures: u32,
    /// When the last attempt began.
    pub attempted_ms: u64,
    /// When the next attempt is due after a failure.
    pub retry_ms: u64,
    /// Until when the CA asked to wait.
    pub refused_until_ms: u64,
    /// When a certificate was last issued.
    pub issued_ms: u64,
    /// Why the last attempt failed. `None` after a success, and until an attempt ends.
    pub error: Option<String>,
    /// What the CA suggested for the renewal.
    pub window: Option<Window>,
}

/// The time in which the CA suggests to renew a certificate (ARI, RFC 9773).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The id of the certificate.
    pub id: String,
    /// Its beginning and end. `None`: the CA suggests nothing.
    pub range_ms: Option<(u64, u64)>,
    /// When to ask again.
    pub ask_again_ms: u64,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Order a certificate.
    Order,
    /// Ask the CA when to renew the certificate.
    AskWindow,
    /// Wait until this time, or until something changes.
    Wait {
        /// The time, in milliseconds since 1970.
        until_ms: u64,
    },
}

/// Decides when to order a certificate. All times are in milliseconds since 1970, by a
/// clock that may be set.
#[derive(Debug)]
pub struct Schedule {
    memory: Memory,
    certificate: Option<Validity>,
    rng: Rng,
}

impl Schedule {
    /// Continues with what was remembered.
    pub fn new(memory: Memory, rng: Rng) -> Self {
        Self {
            memory,
            certificate: None,
            rng,
        }
    }

    /// Returns what must be stored.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Uses what another host stored.
    pub fn remember(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// Reports the certificate that is in use now.
    pub fn found(&mut self, certificate: Option<Validity>) {
        self.certificate = certificate;
    }

    /// Returns what to do now.
    pub fn next(&mut self, now_ms: u64) -> Next {
        self.look_at_clock(now_ms);
        let order_ms = self.wanted_at_ms().max(self.allowed_at_ms(now_ms));
        if order_ms <= now_ms {
            return Next::Order;
        }
        match self.asked_at_ms() {
            Some(ask_ms) if ask_ms <= now_ms => Next::AskWindow,
            ask_ms => Next::Wait {
                until_ms: order_ms.min(ask_ms.unwrap_or(u64::MAX)),
            },
        }
    }

    /// Returns when a certificate will be ordered, as far as it is known.
    pub fn order_at_ms(&self, now_ms: u64) -> u64 {
        self.wanted_at_ms().max(self.allowed_at_ms(now_ms))
    }

    /// An attempt begins. Until its end is reported, it counts as a failure: so a program
    /// that ends in each attempt waits as well.
    pub fn begin(&mut self, now_ms: u64) {
        self.look_at_clock(now_ms);
        let memory = &mut self.memory;
        memory.failures = memory.failures.saturating_add(1);
        memory.attempted_ms = now_ms;
        memory.error = None;
        self.pause(now_ms);
    }

    /// The attempt failed. `retry_after` is how long the CA asked to wait.
    pub fn failed(&mut self, now_ms: u64, error: String, retry_after: Option<Duration>) {
        self.look_at_clock(now_ms);
        self.pause(now_ms);
        self.memory.error = Some(error);
        if let Some(wait) = retry_after {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.memory.refused_until_ms = now_ms + wait_ms.min(RETRY_AFTER_MAX_MS);
        }
    }

    /// The attempt was ended before it had a result, and nothing was wrong.
    pub fn cancelled(&mut self, now_ms: u64) {
        self.look_at_clock(now_ms);
        self.memory.failures = self.memory.failures.saturating_sub(1);
        self.memory.error = None;
    }

    /// The attempt resulted in this certificate.
    pub fn issued(&mut self, now_ms: u64, certificate: Validity) {
        self.look_at_clock(now_ms);
        self.memory = Memory {
            seen_ms: now_ms,
            attempted_ms: self.memory.attempted_ms,
            issued_ms: now_ms,
            ..Memory::default()
        };
        self.certificate = Some(certificate);
    }

    /// The CA suggests this time for the renewal of the certificate `id`, and to ask again
    /// after `ask_after`. `None`: it could not be asked, or suggests nothing.
    pub fn suggested(
        &mut self,
        now_ms: u64,
        id: &str,
        range_ms: Option<(u64, u64)>,
        ask_after: Option<Duration>,
    ) {
        self.look_at_clock(now_ms);
        let ask_ms = ask_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        let (least_ms, most_ms) = ASK_AGAIN_MS;
        let ask_ms = ask_ms.map_or(ASK_AGAIN_FAILED_MS, |ms| ms.clamp(least_ms, most_ms));
        let known = self.memory.window.take().filter(|window| window.id == id);
        self.memory.window = Some(Window {
            id: id.to_owned(),
            // A CA that cannot be reached does not change what it suggested.
            range_ms: range_ms.or(known.and_then(|window| window.range_ms)),
            ask_again_ms: now_ms + ask_ms,
        });
    }

    /// An operator asks for an attempt as soon as the limits of the CA allow it.
    pub fn hurry(&mut self, now_ms: u64) {
        self.look_at_clock(now_ms);
        let soon_ms = (self.memory.attempted_ms + ASKED_PAUSE_MS).max(now_ms);
        self.memory.retry_ms = self.memory.retry_ms.min(soon_ms);
    }

    /// If the clock was set back, moves all times back with it. Otherwise a clock that was
    /// ahead for a moment would stop the renewal.
    fn look_at_clock(&mut self, now_ms: u64) {
        let memory = &mut self.memory;
        let back_ms = memory.seen_ms.saturating_sub(now_ms);
        if back_ms > 0 {
            let times = [
                &mut memory.attempted_ms,
                &mut memory.retry_ms,
                &mut memory.refused_until_ms,
                &mut memory.issued_ms,
            ];
            for time in times {
                *time = time.saturating_sub(back_ms);
            }
            if let Some(window) = &mut memory.window {
                window.ask_again_ms = window.ask_again_ms.saturating_sub(back_ms);
            }
        }
        memory.seen_ms = now_ms;
    }

    /// When an order is wanted, whether it is allowed or not.
    fn wanted_at_ms(&self) -> u64 {
        let Some(certificate) = self.certificate.as_ref().filter(|it| it.is_wanted) else {
            return 0;
        };
        let window = self.memory.window.as_ref();
        let window = window.filter(|window| window.id == certificate.id);
        match window.and_then(|window| window.range_ms) {
            Some((start_ms, end_ms)) => {
                start_ms + share(end_ms.saturating_sub(start_ms), certificate.fraction())
            }
            None => certificate.renewed_at_ms(),
        }
    }

    /// From when on the limits allow an order.
    fn allowed_at_ms(&self, now_ms: u64) -> u64 {
        let memory = &self.memory;
        let retry_ms = if memory.failures > 0 {
            memory.retry_ms
        } else {
            0
        };
        let certificate = self.certificate.as_ref().filter(|it| it.is_wanted);
        // Not after a change of the names, which have limits of their own.
        let spaced_ms = certificate
            .filter(|_| memory.issued_ms > 0)
            .map_or(0, |it| {
                memory.issued_ms + (it.life_ms() / 4).min(SPACING_MAX_MS)
            });
        let refused_ms = memory.refused_until_ms.min(now_ms + RETRY_AFTER_MAX_MS);
        retry_ms.max(refused_ms).max(spaced_ms)
    }

    /// When to ask for the time of the renewal, if there is a certificate to ask for.
    fn asked_at_ms(&self) -> Option<u64> {
        let certificate = self.certificate.as_ref().filter(|it| it.is_wanted)?;
        let window = self.memory.window.as_ref();
        let window = window.filter(|window| window.id == certificate.id);
        Some(window.map_or(0, |window| window.ask_again_ms))
    }

    /// Sets when the next attempt is due after a failure. It differs by up to a tenth, so
    /// that hosts that failed together do not try again together.
    fn pause(&mut self, now_ms: u64) {
        let is_urgent = self
            .certificate
            .as_ref()
            .is_none_or(|it| it.until_ms < now_ms + URGENT_MS);
        let last = PAUSES_MS.len() - 1 - usize::from(is_urgent);
        let index = (self.memory.failures.saturating_sub(1) as usize).min(last);
        let pause_ms = PAUSES_MS.get(index).copied().unwrap_or(HOUR_MS);
        self.memory.retry_ms = now_ms + self.rng.u64(pause_ms..=pause_ms + pause_ms / 10);
    }
}

/// A part of a time. Times are far below 2^53, up to which `f64` is exact.
fn share(time_ms: u64, part: f64) -> u64 {
    (time_ms as f64 * part) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn certificate(from_ms: u64, days: u64) -> Validity {
        Validity {
            id: "a".into(),
            from_ms,
            until_ms: from_ms + days * DAY_MS,
            is_wanted: true,
        }
    }

    fn schedule() -> Schedule {
        Schedule::new(Memory::default(), Rng::with_seed(1))
    }

    /// When the order is due, without a CA that suggests a time.
    fn due_ms(schedule: &mut Schedule, now_ms: u64) -> u64 {
        if schedule.next(now_ms) == Next::AskWindow {
            schedule.suggested(now_ms, "a", None, None);
        }
        schedule.order_at_ms(now_ms)
    }

    #[test]
    fn a_certificate_is_renewed_shortly_before_two_thirds_of_its_life() {
        for days in [6, 47, 90] {
            let mut schedule = schedule();
            schedule.found(Some(certificate(NOW_MS, days)));
            let after_ms = due_ms(&mut schedule, NOW_MS) - NOW_MS;
            let life_ms = days * DAY_MS;
            assert!(after_ms >= life_ms * 6 / 10 && after_ms <= life_ms * 2 / 3);
        }
    }

    #[test]
    fn without_the_wanted_certificate_one_is_ordered_at_once() {
        let mut schedule = schedule();
        assert_eq!(schedule.next(NOW_MS), Next::Order);
        let other = Validity {
            is_wanted: false,
            ..certificate(NOW_MS, 90)
        };
        // Also if one was issued just before, for other names.
        schedule.issued(NOW_MS, certificate(NOW_MS, 90));
        schedule.found(Some(other));
        assert_eq!(schedule.next(NOW_MS + 1), Next::Order);
    }

    #[test]
    fn the_time_that_the_ca_suggests_counts() {
        let mut schedule = schedule();
        schedule.found(Some(certificate(NOW_MS, 90)));
        assert_eq!(schedule.next(NOW_MS), Next::AskWindow);
        let range_ms = (NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS);
        schedule.suggested(NOW_MS, "a", Some(range_ms), Some(Duration::from_secs(1)));
        let order_ms = schedule.order_at_ms(NOW_MS);
        assert!(order_ms >= range_ms.0 && order_ms <= range_ms.1);
        // It is asked again, but not as often as it says.
        let until_ms = NOW_MS + MINUTE_MS;
        assert_eq!(schedule.next(NOW_MS), Next::Wait { until_ms });
        // A failure to ask changes nothing.
        schedule.suggested(until_ms, "a", None, None);
        assert_eq!(schedule.order_at_ms(until_ms), order_ms);
        // A window in the past: the CA wants to revoke the certificate.
        schedule.suggested(until_ms, "a", Some((1, 2)), Some(Duration::from_secs(1)));
        assert_eq!(schedule.next(until_ms), Next::Order);
    }

    #[test]
    fn pauses_grow_and_survive_a_restart() {
        let mut schedule = schedule();
        schedule.found(Some(certificate(NOW_MS - 60 * DAY_MS, 90)));
        let mut now_ms = NOW_MS;
        for pause_ms in [MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 6 * HOUR_MS] {
            assert_eq!(schedule.next(now_ms), Next::Order);
            schedule.begin(now_ms);
            schedule.failed(now_ms, "no".into(), None);
            let text = serde_json::to_string(schedule.memory()).unwrap();
            let memory = serde_json::from_str(&text).unwrap();
            schedule = Schedule::new(memory, Rng::with_seed(now_ms));
            schedule.found(Some(certificate(NOW_MS - 60 * DAY_MS, 90)));
            let due_ms = due_ms(&mut schedule, now_ms) - now_ms;
            assert!(due_ms >= pause_ms && due_ms <= pause_ms * 11 / 10);
            now_ms += due_ms;
        }
    }

    #[test]
    fn an_attempt_that_never_ends_counts_as_a_failure() {
        let mut schedule = schedule();
        schedule.begin(NOW_MS);
        let memory = schedule.memory().clone();
        let mut schedule = Schedule::new(memory, Rng::with_seed(2));
        assert!(matches!(schedule.next(NOW_MS + 1), Next::Wait { .. }));
    }

    #[test]
    fn the_wait_that_a_ca_asks_for_is_bounded_and_an_operator_cannot_shorten_it() {
        let mut schedule = schedule();
        schedule.begin(NOW_MS);
        let long = Duration::from_millis(30 * DAY_MS);
        schedule.failed(NOW_MS, "rate limited".into(), Some(long));
        schedule.hurry(NOW_MS);
        let until_ms = NOW_MS + RETRY_AFTER_MAX_MS;
        assert_eq!(schedule.next(NOW_MS), Next::Wait { until_ms });
        assert_eq!(schedule.next(until_ms), Next::Order);
    }

    #[test]
    fn an_operator_can_ask_for_an_attempt_every_twenty_minutes() {
        let mut schedule = schedule();
        schedule.found(Some(certificate(NOW_MS - 60 * DAY_MS, 90)));
        let mut now_ms = NOW_MS;
        for _ in 0..6 {
            schedule.begin(now_ms);
            schedule.failed(now_ms, "no".into(), None);
            now_ms += 7 * HOUR_MS;
        }
        now_ms -= 7 * HOUR_MS;
        schedule.hurry(now_ms + 1);
        assert_eq!(due_ms(&mut schedule, now_ms + 1), now_ms + ASKED_PAUSE_MS);
        assert_eq!(schedule.next(now_ms + ASKED_PAUSE_MS), Next::Order);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_moment_stops_nothing() {
        let mut schedule = schedule();
        let ahead_ms = NOW_MS + 3650 * DAY_MS;
        schedule.begin(ahead_ms);
        schedule.failed(ahead_ms, "no".into(), Some(Duration::from_millis(DAY_MS)));
        let Next::Wait { until_ms } = schedule.next(NOW_MS) else {
            panic!("it waits");
        };
        assert_eq!(until_ms, NOW_MS + DAY_MS);
    }

    /// With a clock that is years ahead, each new certificate seems to have expired.
    #[test]
    fn with_a_wrong_clock_certificates_are_not_ordered_again_and_again() {
        let mut schedule = schedule();
        let ahead_ms = NOW_MS + 3650 * DAY_MS;
        schedule.begin(ahead_ms);
        schedule.issued(ahead_ms, certificate(NOW_MS, 90));
        assert_eq!(due_ms(&mut schedule, ahead_ms), ahead_ms + SPACING_MAX_MS);
    }
}
