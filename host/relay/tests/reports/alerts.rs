//! Alerts: people know what is true, and no message says what they know.

use std::collections::{BTreeMap, BTreeSet};

use batchtask_journal::StoredEvent;
use batchtask_journal::outbox::{SinkChange, SinkState};
use batchtask_relay::report::{
    Alert, Change, Condition, Level, Observed, Report, Reporter, Sending,
};
use batchtask_relay::scheduler::Outcome;
use fastrand::Rng;

use super::{EVERY, EVERY_MS, STATUSES, outcome, store as store_change, stored};
use crate::seeds;

/// Seeds that once found a fault.
const FAILED: &[u64] = &[];

const SINK: &str = "ops";

#[test]
fn people_know_what_is_true() {
    seeds::run(FAILED, |seed| World::new(seed).run());
}

/// What people know from the messages that were accepted.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The mark of each condition that is true.
    marks: BTreeMap<Condition, u64>,
    /// The failed tasks that were named, with the `seq` that was the newest then.
    failed: BTreeMap<String, u64>,
    subjects: BTreeSet<String>,
    /// The newest body of the quarantine that was counted.
    newest_body: u64,
}

struct World {
    rng: Rng,
    now_ms: u64,
    feed: Vec<StoredEvent>,
    /// What is true.
    levels: BTreeMap<Condition, Level>,
    store: SinkState,
    reporter: Reporter,
    saving: Option<(SinkChange, Known)>,
    sending: Option<Vec<Alert>>,
    known: Known,
    /// What people knew when the state was stored.
    known_in_store: Known,
    sent_at_ms: Option<u64>,
    started_ms: u64,
    is_down: bool,
    /// The sinks that failed before the last start, and were not tried since.
    untried: Vec<String>,
}

fn reporter(store: &SinkState, rng: &mut Rng) -> Reporter {
    let conditions: Vec<Condition> = Condition::ALL.iter().map(|(_, all)| *all).collect();
    Reporter::new(Sending::Alerts(SINK, &conditions), EVERY, store, rng.fork())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let store = SinkState::default();
        let mut world = Self {
            reporter: reporter(&store, &mut rng),
            now_ms: 1_000_000,
            feed: Vec::new(),
            levels: BTreeMap::new(),
            store,
            saving: None,
            sending: None,
            known: Known::default(),
            known_in_store: Known::default(),
            sent_at_ms: None,
            started_ms: 0,
            is_down: false,
            untried: Vec::new(),
            rng,
        };
        // What is in the quarantine at first is no news.
        let bodies = world.rng.u64(0..3);
        world
            .levels
            .insert(Condition::QuarantineGrew, Level::of_count(bodies));
        world.known.newest_body = bodies;
        world.known_in_store.newest_body = bodies;
        world.observe();
        let change = world.reporter.change().expect("the quarantine is known");
        store_change(&mut world.store, &change);
        world.reporter.saved(&change);
        world
    }

    fn run(mut self) {
        for _ in 0..800 {
            self.step();
        }
        self.settle();
    }

    fn step(&mut self) {
        match self.rng.u8(0..32) {
            0..=4 => self.arrive(),
            5..=8 => self.change_level(),
            9..=12 => self.read(),
            13..=16 => self.observe(),
            17..=20 => self.start(),
            21..=23 => self.finish(),
            24..=26 => self.now_ms += self.rng.u64(0..30_000),
            27 => self.begin_save(),
            28 => self.end_save(),
            29 if self.rng.u8(0..6) == 0 => self.is_down = !self.is_down,
            30 if self.rng.u8(0..6) == 0 => self.crash(),
            _ => {}
        }
    }

    fn arrive(&mut self) {
        let seq = self.feed.len() as u64 + 1;
        let task = self.rng.usize(0..8);
        let status = self.rng.choice(STATUSES).unwrap_or("Fail");
        self.feed.push(stored(seq, task, status, self.now_ms));
    }

    /// The last status of each task.
    fn failed(&self) -> BTreeMap<String, u64> {
        let mut failed = BTreeMap::new();
        for stored in &self.feed {
            let task = stored.event.task_id.clone();
            match stored.event.status.as_str() {
                "Fail" | "PartialSuccess" => failed.insert(task, stored.seq),
                _ => failed.remove(&task),
            };
        }
        failed
    }

    fn change_level(&mut self) {
        let conditions = [
            Condition::TaskStale,
            Condition::PushesRefused,
            Condition::WrongClock,
            Condition::CertificateExpires,
            Condition::QuarantineGrew,
            Condition::SinkFailing,
        ];
        let condition = self.rng.choice(conditions).expect("one");
        let level = self.levels.entry(condition).or_default();
        match condition {
            Condition::QuarantineGrew => level.mark += self.rng.u64(0..4),
            Condition::SinkFailing => {
                let names = ["a", "b", "c", SINK].iter();
                let failing = names.filter(|_| self.rng.bool());
                level.subjects = failing.map(|name| (*name).to_owned()).collect();
                level.mark = level.subjects.len() as u64;
                self.untried.clear();
            }
            _ => level.mark = self.rng.u64(0..4),
        }
    }

    fn observe(&mut self) {
        let mut levels = self.levels.clone();
        let failed = Level::of_count(self.failed().len() as u64);
        levels.insert(Condition::TaskFailed, failed);
        if let Some(sinks) = levels.get_mut(&Condition::SinkFailing) {
            sinks.subjects.retain(|name| !self.untried.contains(name));
            sinks.unknown.clone_from(&self.untried);
        }
        let observed = Observed {
            seq: self.feed.len() as u64,
            levels,
        };
        self.reporter.observe(&observed, self.now_ms);
        self.follow_down();
    }

    /// What got better may get as bad as it was, and is then told again.
    fn follow_down(&mut self) {
        let failing = self.failing();
        let marks = &mut self.known.marks;
        if let Some(known) = marks.get_mut(&Condition::SinkFailing)
            && (1..*known).contains(&(failing.len() as u64))
        {
            *known = failing.len() as u64;
            self.known.subjects.retain(|name| failing.contains(name));
        }
        for (condition, level) in &self.levels {
            let follows = match condition {
                Condition::QuarantineGrew | Condition::SinkFailing => false,
                _ => level.mark > 0,
            };
            if let Some(known) = self.known.marks.get_mut(condition)
                && follows
            {
                *known = level.mark.min(*known);
            }
        }
    }

    /// The sinks that fail, as far as this host knows.
    fn failing(&self) -> BTreeSet<String> {
        let sinks = self.levels.get(&Condition::SinkFailing);
        let sinks = sinks.map_or(&[][..], |level| &level.subjects);
        let tried = sinks.iter().filter(|name| !self.untried.contains(name));
        let untried = self.untried.iter();
        let untried = untried.filter(|name| self.known.subjects.contains(*name));
        let all = tried.chain(untried).filter(|name| *name != SINK);
        all.cloned().collect()
    }

    fn read(&mut self) {
        let from = self.reporter.read_to() as usize;
        let count = self.rng.usize(1..10);
        for event in self.feed.iter().skip(from).take(count) {
            self.reporter.take(event, true, self.now_ms);
        }
    }

    fn start(&mut self) {
        let Some(report) = self.reporter.next(self.now_ms) else {
            return;
        };
        let Report::Alerts(alerts) = report else {
            panic!("{report:?}");
        };
        assert!(!alerts.is_empty(), "an empty message");
        if let Some(sent_at_ms) = self.sent_at_ms {
            assert!(self.now_ms >= sent_at_ms + EVERY_MS, "too soon");
        }
        alerts.iter().for_each(|alert| self.check_news(alert));
        self.sending = Some(alerts);
        self.started_ms = self.now_ms;
    }

    /// An alert says what people do not know yet.
    fn check_news(&self, alert: &Alert) {
        let known = self.known.marks.get(&alert.condition);
        match alert.change {
            Change::Began => assert!(known.is_none(), "{alert:?} is known"),
            Change::Ended => {
                assert!(known.is_some(), "{alert:?} had not begun");
                if alert.condition == Condition::SinkFailing {
                    let mut untried = self.untried.iter();
                    let fails = untried.find(|name| self.known.subjects.contains(*name));
                    assert_eq!(fails, None, "it was not tried");
                }
            }
            Change::Rose => {
                let known = *known.expect("it had begun");
                let mut subjects = alert.level.subjects.iter();
                let is_new = subjects.any(|name| !self.known.subjects.contains(name));
                let is_worse = alert.level.mark > known;
                assert!(is_new || is_worse, "{alert:?}, {known} is known");
            }
        }
        assert!(!alert.level.subjects.iter().any(|name| name == SINK));
        assert!(alert.tasks.len() <= 10);
    }

    fn finish(&mut self) {
        if self.sending.is_some() {
            let outcome = outcome(&mut self.rng, self.is_down);
            self.finish_with(&outcome);
        }
    }

    fn finish_with(&mut self, outcome: &Outcome) {
        let Some(alerts) = self.sending.take() else {
            return;
        };
        if self.reporter.finish(outcome, self.now_ms) {
            self.sent_at_ms = Some(self.started_ms);
            alerts.into_iter().for_each(|alert| self.known.learn(alert));
        }
    }

    fn begin_save(&mut self) {
        if self.saving.is_none() {
            let change = self.reporter.change();
            self.saving = change.map(|change| (change, self.known.clone()));
        }
    }

    fn end_save(&mut self) {
        if let Some((change, known)) = self.saving.take()
            && self.rng.u8(0..10) > 0
        {
            store_change(&mut self.store, &change);
            self.known_in_store = known;
            self.reporter.saved(&change);
        }
    }

    /// The process ends. What was reported and not stored is reported again.
    fn crash(&mut self) {
        if let Some((change, known)) = self.saving.take()
            && self.rng.bool()
        {
            store_change(&mut self.store, &change);
            self.known_in_store = known;
        }
        self.sending = None;
        self.sent_at_ms = None;
        self.known = self.known_in_store.clone();
        let sinks = self.levels.get(&Condition::SinkFailing);
        self.untried = sinks.map_or_else(Vec::new, |level| level.subjects.clone());
        self.reporter = reporter(&self.store, &mut self.rng);
    }

    /// The receiver works, and nothing changes any more: people know what is true.
    fn settle(&mut self) {
        self.untried.clear();
        for _ in 0..20_000 {
            self.read();
            self.observe();
            self.start();
            self.finish_with(&Outcome::Delivered);
            let is_read = self.reporter.read_to() == self.feed.len() as u64;
            if is_read && self.reporter.counts().oldest_ms.is_none() {
                return self.check_end();
            }
            self.now_ms += 1_000;
        }
        panic!("it never ends: {:?}", self.reporter.counts());
    }

    fn check_end(&mut self) {
        for (condition, level) in &self.levels {
            let others = level.subjects.iter().filter(|name| *name != SINK);
            let mark = match condition {
                Condition::SinkFailing => others.count() as u64,
                _ => level.mark,
            };
            let known = self.known.marks.get(condition);
            match condition {
                Condition::QuarantineGrew => assert_eq!(self.known.newest_body, mark),
                _ => assert_eq!(known.is_some(), mark > 0, "{condition:?} {level:?}"),
            }
            let is_current = known.is_none_or(|known| *known >= mark);
            assert!(is_current, "{condition:?}: {known:?} {level:?}");
        }
        let failed = self.failed();
        let knows = self.known.marks.contains_key(&Condition::TaskFailed);
        assert_eq!(knows, !failed.is_empty(), "{failed:?}");
        for (task, seq) in failed {
            let known = self.known.failed.get(&task);
            assert!(known >= Some(&seq), "{task}: {known:?} {seq}");
        }
        // And nothing more is sent.
        self.now_ms += 10 * EVERY_MS;
        self.observe();
        assert_eq!(self.reporter.wake_at(), None);
    }
}

impl Known {
    fn learn(&mut self, alert: Alert) {
        let condition = alert.condition;
        if condition == Condition::QuarantineGrew {
            self.newest_body = alert.level.mark;
        }
        if alert.change == Change::Ended {
            self.marks.remove(&condition);
            match condition {
                Condition::TaskFailed => self.failed.clear(),
                Condition::SinkFailing => self.subjects.clear(),
                _ => {}
            }
            return;
        }
        self.marks.insert(condition, alert.level.mark);
        if condition == Condition::SinkFailing {
            self.subjects = alert.level.subjects.iter().cloned().collect();
        }
        for task in alert.tasks {
            self.failed.insert(task.task_id, alert.level.mark);
        }
    }
}
