//! Digests: every event is in a message.

use batchtask_journal::StoredEvent;
use batchtask_journal::outbox::{SinkChange, SinkState};
use batchtask_relay::report::{Collected, Report, Reporter, Sending, TASKS_MAX};
use batchtask_relay::scheduler::Outcome;
use fastrand::Rng;

use super::{EVERY, EVERY_MS, STATUSES, outcome, store, stored};
use crate::seeds;

/// Seeds that once found a fault.
const FAILED: &[u64] = &[];

/// How long the first event after a silence waits, and some time for the model's steps.
const SOON_MS: u64 = 5_000;

#[test]
fn every_event_is_in_a_message() {
    seeds::run(FAILED, |seed| World::new(seed).run());
}

struct World {
    rng: Rng,
    now_ms: u64,
    /// The feed, with whether an event is for the sink.
    feed: Vec<(StoredEvent, bool)>,
    tasks: usize,
    store: SinkState,
    reporter: Reporter,
    saving: Option<SinkChange>,
    sending: Option<Collected>,
    /// When the last message was sent that was accepted.
    sent_at_ms: Option<u64>,
    started_ms: u64,
    is_down: bool,
    /// How many accepted messages had the event with this `seq`.
    reported: Vec<u32>,
    crashes: u32,
}

fn reporter(store: &SinkState, rng: &mut Rng) -> Reporter {
    Reporter::new(Sending::Digests, EVERY, store, rng.fork())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let store = SinkState::default();
        Self {
            reporter: reporter(&store, &mut rng),
            tasks: rng.usize(1..=30),
            now_ms: 1_000_000,
            feed: Vec::new(),
            store,
            saving: None,
            sending: None,
            sent_at_ms: None,
            started_ms: 0,
            is_down: false,
            reported: Vec::new(),
            crashes: 0,
            rng,
        }
    }

    fn run(mut self) {
        for _ in 0..800 {
            self.step();
            self.check();
        }
        self.settle();
    }

    fn step(&mut self) {
        match self.rng.u8(0..30) {
            0..=6 => self.arrive(),
            7..=12 => self.read(),
            13..=17 => self.start(),
            18..=20 => self.finish(),
            21..=24 => self.now_ms += self.rng.u64(0..20_000),
            25 => self.saving = self.saving.take().or_else(|| self.reporter.change()),
            26 => self.saved(),
            27 if self.rng.u8(0..6) == 0 => self.is_down = !self.is_down,
            28 if self.rng.u8(0..8) == 0 => self.crash(),
            29 if self.rng.u8(0..8) == 0 => match self.rng.bool() {
                true => self.reporter.pause(),
                false => self.reporter.resume(),
            },
            _ => {}
        }
    }

    fn arrive(&mut self) {
        let task = self.rng.usize(0..self.tasks);
        let known = self.rng.choice(STATUSES).unwrap_or("Fail").to_owned();
        let status = match self.rng.u8(0..10) {
            0 => format!("Odd{}", self.rng.u8(..)),
            _ => known,
        };
        let seq = self.feed.len() as u64 + 1;
        let mut event = stored(seq, task, &status, self.now_ms);
        event.late = self.rng.u8(0..10) == 0;
        let is_admitted = self.rng.u8(..) > 60;
        self.feed.push((event, is_admitted));
        self.reported.push(0);
    }

    fn read(&mut self) {
        let from = self.reporter.read_to() as usize;
        let count = self.rng.usize(1..20);
        for (event, is_admitted) in self.feed.iter().skip(from).take(count) {
            self.reporter.take(event, *is_admitted, self.now_ms);
        }
    }

    fn start(&mut self) {
        if let Some(report) = self.reporter.next(self.now_ms) {
            let Report::Digest(collected) = report else {
                panic!("{report:?}");
            };
            self.started(collected);
        }
    }

    fn started(&mut self, collected: Collected) {
        assert!(self.sending.is_none(), "two messages at once");
        if let Some(sent_at_ms) = self.sent_at_ms {
            assert!(self.now_ms >= sent_at_ms + EVERY_MS, "too soon");
        }
        assert_eq!(self.in_range(&collected), collected.events);
        assert!(collected.tasks.len() <= TASKS_MAX && collected.statuses.len() <= 12);
        let counted: u64 = collected.statuses.values().sum();
        assert_eq!(counted + collected.other_statuses, collected.events);
        let named: u64 = collected.tasks.iter().map(|task| task.changes).sum();
        assert_eq!(named + collected.of_other_tasks, collected.events);
        self.sending = Some(collected);
        self.started_ms = self.now_ms;
    }

    /// How many events for the sink are in the range of a digest.
    fn in_range(&self, collected: &Collected) -> u64 {
        let (first, last) = collected.seqs;
        let range = self
            .feed
            .iter()
            .take(last as usize)
            .skip(first as usize - 1);
        range.filter(|(_, is_admitted)| *is_admitted).count() as u64
    }

    fn finish(&mut self) {
        if self.sending.is_some() {
            let outcome = outcome(&mut self.rng, self.is_down);
            self.finish_with(&outcome);
        }
    }

    fn finish_with(&mut self, outcome: &Outcome) {
        let Some(sent) = self.sending.take() else {
            return;
        };
        let is_accepted = self.reporter.finish(outcome, self.now_ms);
        assert_eq!(is_accepted, *outcome == Outcome::Delivered);
        if is_accepted {
            self.sent_at_ms = Some(self.started_ms);
            for seq in sent.seqs.0..=sent.seqs.1 {
                self.reported[seq as usize - 1] += 1;
            }
        }
    }

    fn saved(&mut self) {
        if let Some(change) = self.saving.take()
            && self.rng.u8(0..10) > 0
        {
            store(&mut self.store, &change);
            self.reporter.saved(&change);
        }
    }

    /// The process ends. A change that is being stored may be stored or not.
    fn crash(&mut self) {
        if let Some(change) = self.saving.take()
            && self.rng.bool()
        {
            store(&mut self.store, &change);
        }
        self.crashes += 1;
        self.sending = None;
        // The pace of the former process is not stored.
        self.sent_at_ms = None;
        self.reporter = reporter(&self.store, &mut self.rng);
    }

    fn check(&mut self) {
        let done = self.feed.iter().take(self.store.position as usize);
        for ((event, is_admitted), reported) in done.zip(&self.reported) {
            assert!(!is_admitted || *reported > 0, "{} is lost", event.seq);
        }
        if let Some(wake_at) = self.reporter.wake_at()
            && wake_at <= self.now_ms
        {
            let report = self
                .reporter
                .next(self.now_ms)
                .expect("it wakes for a report");
            let Report::Digest(collected) = report else {
                panic!("{report:?}");
            };
            self.started(collected);
        }
    }

    /// The receiver works from now on: everything is reported, and then an event soon.
    fn settle(&mut self) {
        self.reporter.resume();
        self.deliver_all();
        for ((event, is_admitted), reported) in self.feed.iter().zip(&self.reported) {
            let is_right = match (is_admitted, self.crashes) {
                (true, 0) => *reported == 1,
                (true, _) => *reported >= 1,
                (false, _) => true,
            };
            assert!(is_right, "{}: {reported} times", event.seq);
        }
        self.now_ms += 2 * EVERY_MS;
        let seq = self.feed.len() as u64 + 1;
        self.feed.push((stored(seq, 0, "Fail", self.now_ms), true));
        self.reported.push(0);
        let arrived_ms = self.now_ms;
        self.deliver_all();
        assert!(self.started_ms <= arrived_ms + SOON_MS, "not soon");
        let change = self.reporter.change().expect("progress");
        store(&mut self.store, &change);
        assert_eq!(self.store.position, seq);
    }

    fn deliver_all(&mut self) {
        for _ in 0..20_000 {
            self.read();
            self.start();
            self.finish_with(&Outcome::Delivered);
            let is_read = self.reporter.read_to() == self.feed.len() as u64;
            if is_read && self.reporter.counts().undelivered == 0 {
                return;
            }
            self.now_ms += 1_000;
        }
        panic!("it never ends: {:?}", self.reporter.counts());
    }
}
