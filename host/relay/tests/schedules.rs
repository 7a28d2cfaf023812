//! Random schedules of the scheduler: a receiver that fails in every way, a store that
//! fails, and crashes. A model checks each step.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use batchtask_journal::outbox::{SinkChange, SinkState};
use batchtask_relay::scheduler::{AfterDead, Offered, Outcome, Policy, Scheduler};
use fastrand::Rng;

use crate::seeds;

/// Seeds that once found a fault.
///
/// - 1559: a dead letter after the stored position was sent again after a crash.
const FAILED: &[u64] = &[1559];

const APP: &str = "app";

#[test]
fn every_schedule_keeps_the_rules() {
    seeds::run(FAILED, |seed| World::new(seed).run());
}

/// What the feed, the receiver and the store do.
struct World {
    rng: Rng,
    policy: Policy,
    now_ms: u64,
    /// The task of each event of the feed; event `n` is at index `n - 1`. `None`: it is
    /// not for the sink.
    feed: Vec<Option<usize>>,
    /// What happens to an event: the receiver refuses it this number of times, or always.
    refusals: Vec<u32>,
    /// Until when the receiver is down.
    down_until_ms: u64,
    store: SinkState,
    scheduler: Scheduler,
    /// Events in progress.
    in_flight: BTreeSet<u64>,
    /// A change that is being stored.
    saving: Option<(SinkChange, u64)>,
    delivered: BTreeSet<u64>,
    /// Events that were delivered since the last start.
    delivered_since_start: HashSet<u64>,
    /// How often an event was delivered again although no crash lies between.
    crashes: u32,
}

const ALWAYS: u32 = u32::MAX;

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let policy = Policy {
            parallel: rng.usize(1..=8),
            window: rng.usize(1..=20),
            parked_max: rng.usize(20..=60),
            dead_max: rng.usize(1..=30),
            retries: (0..rng.usize(0..3))
                .map(|_| Duration::from_millis(rng.u64(0..5_000)))
                .collect(),
            after_dead: if rng.bool() {
                AfterDead::Skip
            } else {
                AfterDead::Hold
            },
        };
        let tasks = rng.usize(1..=12);
        let events = rng.usize(1..=150);
        let feed = (0..events).map(|_| (rng.u8(..) > 40).then(|| rng.usize(0..tasks)));
        let feed: Vec<_> = feed.collect();
        let refusals = feed.iter().map(|_| match rng.u8(..) {
            0..=5 => ALWAYS,
            6..=25 => rng.u32(1..4),
            _ => 0,
        });
        let refusals = refusals.collect();
        let store = SinkState::default();
        let scheduler = Scheduler::new(policy.clone(), store.clone(), rng.fork());
        Self {
            rng,
            policy,
            now_ms: 1_000_000,
            feed,
            refusals,
            down_until_ms: 0,
            store,
            scheduler,
            in_flight: BTreeSet::new(),
            saving: None,
            delivered: BTreeSet::new(),
            delivered_since_start: HashSet::new(),
            crashes: 0,
        }
    }

    fn run(mut self) {
        for _ in 0..1_500 {
            self.step();
            self.check();
        }
        self.settle();
    }

    fn step(&mut self) {
        match self.rng.u8(0..40) {
            0..=7 => self.read(),
            8..=20 => self.start_due(),
            21..=29 => self.finish_one(),
            30..=32 => self.now_ms += self.rng.u64(0..2_000),
            33..=34 => self.begin_save(),
            35 => self.end_save(),
            36 if self.rng.u8(0..8) == 0 => self.crash(),
            37 if self.rng.u8(0..10) == 0 => {
                self.down_until_ms = self.now_ms + self.rng.u64(0..30_000);
            }
            38 if self.rng.u8(0..6) == 0 => self.operate(),
            _ => {}
        }
    }

    fn read(&mut self) {
        let Some(after) = self.scheduler.wants_after() else {
            return;
        };
        for seq in (after + 1..=self.feed.len() as u64).take(self.rng.usize(1..10)) {
            match self.feed[seq as usize - 1] {
                None => self.scheduler.skip(seq),
                Some(task) => self.scheduler.offer(
                    Offered {
                        seq,
                        app_id: APP,
                        task_id: &task.to_string(),
                        received_at_ms: self.now_ms,
                    },
                    self.now_ms,
                ),
            }
        }
    }

    fn start_due(&mut self) {
        while let Some(delivery) = self.scheduler.next(self.now_ms) {
            self.started(delivery.seq);
            if self.rng.bool() {
                break;
            }
        }
    }

    /// At most one event of a task is in progress, and all earlier ones are done.
    fn started(&mut self, seq: u64) {
        let task = self.task(seq);
        for other in &self.in_flight {
            assert_ne!(self.task(*other), task, "{other} and {seq} at once");
        }
        let is_of_task = |earlier: &u64| self.feed[*earlier as usize - 1] == Some(task);
        for earlier in (1..seq).filter(is_of_task) {
            let is_dead = self.dead().contains(&earlier);
            if is_dead {
                let skips = self.policy.after_dead == AfterDead::Skip;
                assert!(skips, "{seq} was sent although {earlier} holds its task");
            } else {
                let is_done = self.delivered.contains(&earlier) || self.dropped(earlier);
                assert!(is_done, "{seq} was sent before {earlier}");
            }
        }
        assert!(!self.delivered_since_start.contains(&seq), "{seq} again");
        assert!(self.in_flight.insert(seq));
        assert!(self.in_flight.len() <= self.policy.parallel);
    }

    fn task(&self, seq: u64) -> usize {
        self.feed[seq as usize - 1].expect("an event for the sink")
    }

    fn dead(&self) -> BTreeSet<u64> {
        self.scheduler
            .dead_letters()
            .map(|letter| letter.seq)
            .collect()
    }

    /// Dropped events are marked as never refused any more.
    fn dropped(&self, seq: u64) -> bool {
        self.refusals[seq as usize - 1] == DROPPED
    }

    fn finish_one(&mut self) {
        let at = self.rng.usize(0..self.in_flight.len().max(1));
        if let Some(seq) = self.in_flight.iter().nth(at).copied() {
            self.in_flight.remove(&seq);
            self.finish(seq);
        }
    }

    fn finish(&mut self, seq: u64) {
        let outcome = self.outcome(seq);
        if outcome == Outcome::Delivered {
            self.delivered.insert(seq);
            self.delivered_since_start.insert(seq);
        }
        self.scheduler.finish(seq, outcome, self.now_ms);
    }

    fn outcome(&mut self, seq: u64) -> Outcome {
        let failed = |retry_after| Outcome::SinkFailed {
            error: "down".into(),
            retry_after,
        };
        if self.now_ms < self.down_until_ms {
            return failed(None);
        }
        match self.rng.u8(..) {
            0..=30 => return failed(None),
            31..=35 => return failed(Some(Duration::from_millis(self.rng.u64(0..3_000)))),
            36..=38 => return Outcome::Unread("busy".into()),
            _ => {}
        }
        let refusals = &mut self.refusals[seq as usize - 1];
        match *refusals {
            0 => Outcome::Delivered,
            ALWAYS => Outcome::Refused("never".into()),
            _ => {
                *refusals -= 1;
                Outcome::Refused("not yet".into())
            }
        }
    }

    fn begin_save(&mut self) {
        if self.saving.is_none() {
            let read_to = self.scheduler.counts().read_to;
            self.saving = self.scheduler.change().map(|change| (change, read_to));
        }
    }

    fn end_save(&mut self) {
        if let Some((change, read_to)) = self.saving.take()
            && self.rng.u8(0..10) > 0
        {
            store(&mut self.store, &change);
            self.scheduler.saved(&change, read_to);
        }
    }

    /// The process ends. A change that is being stored may be stored or not.
    fn crash(&mut self) {
        if let Some((change, _)) = self.saving.take()
            && self.rng.bool()
        {
            store(&mut self.store, &change);
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.crashes += 1;
        self.in_flight.clear();
        self.delivered_since_start.clear();
        let rng = self.rng.fork();
        self.scheduler = Scheduler::new(self.policy.clone(), self.store.clone(), rng);
        // A drop that was not stored is undone.
        let dead: Vec<u64> = self.dead().into_iter().collect();
        for seq in dead {
            self.refusals[seq as usize - 1] = ALWAYS;
        }
        let kept: Vec<u64> = self.kept();
        for seq in kept {
            let refusals = &mut self.refusals[seq as usize - 1];
            if *refusals == DROPPED {
                *refusals = ALWAYS;
            }
        }
    }

    /// Events that the store still has to deliver.
    fn kept(&self) -> Vec<u64> {
        let parked = self.store.parked.iter().map(|event| event.seq);
        let unread = self.store.position + 1..=self.feed.len() as u64;
        parked.chain(unread).collect()
    }

    fn operate(&mut self) {
        let dead: Vec<u64> = self.dead().into_iter().collect();
        let Some(seq) = self.rng.choice(dead) else {
            match self.rng.bool() {
                true => self.scheduler.pause(),
                false => self.scheduler.resume(),
            }
            return;
        };
        if self.policy.after_dead == AfterDead::Hold && self.rng.bool() {
            self.refusals[seq as usize - 1] = 0;
            assert!(self.scheduler.retry_dead(seq, self.now_ms));
        } else {
            self.refusals[seq as usize - 1] = DROPPED;
            assert!(self.scheduler.drop_dead(seq));
        }
    }

    /// The counts agree with the model, and whatever may be sent is sent.
    fn check(&mut self) {
        let counts = self.scheduler.counts();
        assert_eq!(counts.in_flight, self.in_flight.len());
        assert!(counts.parked <= counts.undelivered);
        assert!(counts.undelivered <= self.policy.parked_max + 10 + self.policy.dead_max);
        assert!(counts.dead <= self.policy.dead_max);
        if let Some(wake_at) = self.scheduler.wake_at()
            && wake_at <= self.now_ms
        {
            let delivery = self.scheduler.next(self.now_ms);
            let delivery = delivery.expect("it wakes for an event");
            self.started(delivery.seq);
        }
    }

    /// The receiver works from now on: everything is delivered or a dead letter.
    fn settle(&mut self) {
        self.scheduler.resume();
        for _ in 0..100_000 {
            self.read();
            self.start_due();
            while let Some(seq) = self.in_flight.pop_first() {
                let is_hopeless = self.refusals[seq as usize - 1] == ALWAYS;
                let outcome = if is_hopeless {
                    Outcome::Refused("never".into())
                } else {
                    self.delivered.insert(seq);
                    Outcome::Delivered
                };
                self.scheduler.finish(seq, outcome, self.now_ms);
            }
            for seq in self.dead() {
                self.refusals[seq as usize - 1] = DROPPED;
                self.scheduler.drop_dead(seq);
            }
            let is_read = self.scheduler.counts().read_to == self.feed.len() as u64;
            if is_read && self.scheduler.counts().undelivered == 0 {
                return self.check_end();
            }
            self.now_ms += 1_000;
        }
        panic!("it never ends: {:?}", self.scheduler.counts());
    }

    fn check_end(&mut self) {
        for seq in 1..=self.feed.len() as u64 {
            let is_for_sink = self.feed[seq as usize - 1].is_some();
            let is_done = self.delivered.contains(&seq) || self.dropped(seq);
            assert!(!is_for_sink || is_done, "{seq} is lost");
        }
        if let Some(change) = self.scheduler.final_change() {
            store(&mut self.store, &change);
        }
        assert_eq!(self.store.position, self.feed.len() as u64);
        assert_eq!((&self.store.parked, &self.store.dead), (&vec![], &vec![]));
    }
}

/// Marks an event that an operator dropped.
const DROPPED: u32 = u32::MAX - 1;

/// What every journal does with a change.
fn store(state: &mut SinkState, change: &SinkChange) {
    assert!(change.position >= state.position, "the position goes back");
    state.position = change.position;
    state.paused = change.paused;
    let mut parked: BTreeMap<_, _> = take(&mut state.parked, |event| event.seq);
    let mut dead: BTreeMap<_, _> = take(&mut state.dead, |letter| letter.seq);
    for seq in &change.unparked {
        parked.remove(seq);
    }
    for seq in &change.resolved {
        dead.remove(seq);
    }
    parked.extend(change.parked.iter().map(|event| (event.seq, event.clone())));
    dead.extend(
        change
            .dead
            .iter()
            .map(|letter| (letter.seq, letter.clone())),
    );
    let mut stored = parked.keys().chain(dead.keys());
    assert!(stored.all(|seq| *seq <= state.position));
    state.parked = parked.into_values().collect();
    state.dead = dead.into_values().collect();
}

fn take<T>(list: &mut Vec<T>, seq: fn(&T) -> u64) -> BTreeMap<u64, T> {
    list.drain(..).map(|item| (seq(&item), item)).collect()
}
