//! Random schedules: a CA that fails and has limits, restarts, operators, and a clock that is
//! set. A model checks each step.

use std::time::Duration;

use batchtask_acme::schedule::{Next, Schedule, Validity};
use fastrand::Rng;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Seeds that once found a fault.
const FAILED: &[u64] = &[];

/// How many seeds run by default.
const SEEDS: u64 = 300;

#[test]
fn every_schedule_keeps_the_limits() {
    let seeds = std::env::var("BATCHTASK_TEST_ACME_SEEDS");
    let seeds = seeds.map_or(SEEDS, |text| text.parse().expect("a number"));
    for seed in FAILED.iter().copied().chain(0..seeds) {
        let checked = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(checked.is_ok(), "the schedule of seed {seed} fails");
    }
}

/// What the CA does with an order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ca {
    Issues,
    Fails,
    /// Asks to wait for this number of milliseconds.
    Limits(u64),
}

struct World {
    rng: Rng,
    /// The true time, and how far the clock of the host is ahead of it.
    now_ms: u64,
    ahead_ms: i64,
    ca: Ca,
    life_ms: u64,
    suggests: bool,
    schedule: Schedule,
    /// The certificate in use.
    certificate: Option<Validity>,
    issued: u64,
    /// The true times of what the CA saw, and of changes of the clock.
    failed_at: Vec<u64>,
    issued_at: Vec<u64>,
    clock_at: Vec<u64>,
    refused_until_ms: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let life_days = [6, 10, 47, 90][rng.usize(0..4)];
        Self {
            now_ms: 1_800_000_000_000,
            ahead_ms: 0,
            ca: Ca::Issues,
            life_ms: life_days * DAY_MS,
            suggests: rng.bool(),
            schedule: Schedule::new(Default::default(), rng.fork()),
            certificate: None,
            issued: 0,
            failed_at: Vec::new(),
            issued_at: Vec::new(),
            clock_at: Vec::new(),
            refused_until_ms: 0,
            rng,
        }
    }

    /// What the host believes.
    fn clock(&self) -> u64 {
        self.now_ms.saturating_add_signed(self.ahead_ms)
    }

    fn run(mut self) {
        for _ in 0..600 {
            self.disturb();
            self.act();
        }
        self.settle();
    }

    fn disturb(&mut self) {
        match self.rng.u8(0..40) {
            0..=3 => self.ca = Ca::Issues,
            4..=6 => self.ca = Ca::Fails,
            7 => self.ca = Ca::Limits(self.rng.u64(0..10 * DAY_MS)),
            8..=10 => self.restart(),
            11..=12 => self.schedule.hurry(self.clock()),
            13 if self.rng.u8(0..6) == 0 => {
                self.ahead_ms = self.rng.i64(-400..400) * HOUR_MS as i64;
                self.clock_at.push(self.now_ms);
            }
            14 => {
                self.ahead_ms = 0;
                self.clock_at.push(self.now_ms);
            }
            _ => {}
        }
    }

    /// A crash: only what was stored is known.
    fn restart(&mut self) {
        let stored = serde_json::to_string(self.schedule.memory()).unwrap();
        let memory = serde_json::from_str(&stored).unwrap();
        self.schedule = Schedule::new(memory, self.rng.fork());
        self.schedule.found(self.certificate.clone());
    }

    /// Does what is due, or lets time pass.
    fn act(&mut self) {
        match self.schedule.next(self.clock()) {
            Next::Order => self.order(),
            Next::AskWindow => self.ask(),
            Next::Wait { until_ms } => {
                assert!(until_ms > self.clock(), "it does not wait");
                let wait_ms = until_ms - self.clock();
                let passes_ms = if self.rng.bool() {
                    wait_ms
                } else {
                    self.rng.u64(0..=wait_ms)
                };
                self.now_ms += passes_ms.clamp(1, 5 * DAY_MS);
            }
        }
    }

    fn order(&mut self) {
        self.check_reason();
        self.schedule.begin(self.clock());
        let crashes = self.rng.u8(0..30) == 0;
        match self.ca {
            Ca::Issues => {
                self.issued_at.push(self.now_ms);
                self.check_issued();
                if crashes {
                    // It was issued for nothing.
                    return self.restart();
                }
                self.issued += 1;
                let certificate = Validity {
                    id: format!("{}-{}", self.issued, self.rng.u64(..)),
                    from_ms: self.now_ms - HOUR_MS,
                    until_ms: self.now_ms + self.life_ms,
                    is_wanted: true,
                };
                self.certificate = Some(certificate.clone());
                self.schedule.issued(self.clock(), certificate);
            }
            _ if crashes => {
                self.failed_at.push(self.now_ms);
                self.restart();
            }
            Ca::Fails => self.fail(None),
            Ca::Limits(wait_ms) => {
                self.fail(Some(Duration::from_millis(wait_ms)));
                self.refused_until_ms = self.now_ms + wait_ms.min(7 * DAY_MS);
            }
        }
    }

    fn fail(&mut self, retry_after: Option<Duration>) {
        self.failed_at.push(self.now_ms);
        self.check_failed();
        self.schedule.failed(self.clock(), "no".into(), retry_after);
    }

    fn ask(&mut self) {
        let Some(certificate) = &self.certificate else {
            panic!("there is nothing to ask for");
        };
        let end_ms = certificate.from_ms + self.life_ms / 2;
        let range_ms = self.suggests.then_some((end_ms - HOUR_MS, end_ms));
        let id = certificate.id.clone();
        let after = Some(Duration::from_millis(self.rng.u64(0..2 * DAY_MS)));
        self.schedule.suggested(self.clock(), &id, range_ms, after);
    }

    /// An order has a reason: there is no certificate, or its time has come.
    fn check_reason(&self) {
        let Some(certificate) = &self.certificate else {
            return;
        };
        // The clock has always been right while this certificate was in use.
        let is_trusted = !self.clock_changed_since(certificate.from_ms) && self.ahead_ms == 0;
        if is_trusted {
            let part = if self.suggests { 45 } else { 60 };
            let earliest_ms = certificate.from_ms + self.life_ms * part / 100;
            assert!(self.now_ms >= earliest_ms, "it orders too early");
        }
        let is_refused = self.now_ms < self.refused_until_ms;
        let was_right = !self.clock_changed_since(self.refused_until_ms.saturating_sub(8 * DAY_MS));
        assert!(!is_refused || !was_right, "the CA asked to wait");
    }

    /// Let's Encrypt allows five failures an hour. Each change of the clock may cost one more.
    fn check_failed(&self) {
        let since_ms = self.now_ms.saturating_sub(HOUR_MS);
        let failed = self.failed_at.iter().filter(|at| **at > since_ms).count();
        let changed = self.clock_at.iter().filter(|at| **at > since_ms).count();
        assert!(failed <= 5 + changed, "{failed} failures in an hour");
    }

    /// Let's Encrypt issues five certificates for the same names in seven days. Each change of
    /// the clock, and each crash before the certificate is stored, may cost one more.
    fn check_issued(&self) {
        let since_ms = self.now_ms.saturating_sub(7 * DAY_MS);
        let issued = self.issued_at.iter().filter(|at| **at > since_ms).count();
        let changed = self.clock_at.iter().filter(|at| **at > since_ms).count();
        assert!(issued <= 5 + changed + 5, "{issued} certificates in a week");
    }

    fn clock_changed_since(&self, since_ms: u64) -> bool {
        self.clock_at.iter().any(|at| *at >= since_ms)
    }

    /// The CA works again, and the clock is right: from some time on, the certificate is
    /// always valid.
    fn settle(&mut self) {
        self.ca = Ca::Issues;
        self.ahead_ms = 0;
        self.clock_at.push(self.now_ms);
        let works_since_ms = self.now_ms;
        while self.now_ms < works_since_ms + 200 * DAY_MS {
            match self.schedule.next(self.clock()) {
                Next::Order => self.order(),
                Next::AskWindow => self.ask(),
                Next::Wait { until_ms } => {
                    assert!(until_ms > self.now_ms);
                    self.now_ms = until_ms.min(self.now_ms + DAY_MS);
                }
            }
            let is_valid = self
                .certificate
                .as_ref()
                .is_some_and(|it| (it.from_ms..it.until_ms).contains(&self.now_ms));
            let is_settled = self.now_ms > works_since_ms + 8 * DAY_MS;
            assert!(is_valid || !is_settled, "the certificate expired");
        }
    }
}
