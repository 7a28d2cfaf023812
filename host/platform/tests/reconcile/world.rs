//! The platform and the receiver of the simulation.

use std::collections::{BTreeMap, BTreeSet};

use batchtask_notification::{Class, Status, Step, step, time};
use batchtask_platform::Page;
use batchtask_platform::api::tasks::{Task, TaskProgress};
use batchtask_platform::reconcile::{FoundEvent, Listed, LocalTask, Seen, TaskKey, Verdict, judge};

pub(crate) const APP: &str = "app";
pub(crate) const MINUTE_MS: u64 = 60 * 1000;
pub(crate) const HOUR_MS: u64 = 60 * MINUTE_MS;

/// One change of a task on the platform.
#[derive(Clone)]
struct Change {
    at_ms: u64,
    status: &'static str,
}

/// The order of the events of a task. An event that was found sorts before every
/// pushed event of its second.
type Key = (u64, bool, u8, &'static str);

/// What the receiver has of a task.
#[derive(Default)]
struct Stored {
    events: BTreeSet<Key>,
    last_received_at_ms: u64,
    name: Option<String>,
    /// The statuses that it had here, and since when.
    shown: Vec<(u64, &'static str)>,
}

impl Stored {
    /// Stores an event. Returns whether it is new.
    fn add(&mut self, event: Key, now_ms: u64) -> bool {
        let is_new = self.events.insert(event);
        let status = self.events.last().unwrap().3;
        if is_new {
            self.last_received_at_ms = now_ms;
        }
        if self.shown.last().is_none_or(|last| last.1 != status) {
            self.shown.push((now_ms, status));
        }
        is_new
    }
}

/// A push that is on its way.
type Push = (u64, u64, TaskKey, &'static str);

pub(crate) struct World {
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
    /// How many changes no push reported.
    pub(crate) lost: usize,
    /// How many events were found.
    pub(crate) found: usize,
    /// How many of them did not change the state.
    pub(crate) useless: usize,
    platform: BTreeMap<TaskKey, Vec<Change>>,
    /// From the last to the first.
    pushes: Vec<Push>,
    receiver: BTreeMap<TaskKey, Stored>,
}

/// Returns an open task, as it is known here.
pub(crate) fn open_task(id: &str, at_ms: u64) -> LocalTask {
    LocalTask {
        key: TaskKey {
            app_id: APP.into(),
            task_id: id.into(),
        },
        status: "Processing".into(),
        occurred_at_ms: at_ms,
        last_received_at_ms: at_ms,
        has_gap: false,
    }
}

fn task(key: &TaskKey, status: &str, created_at_ms: u64) -> Task {
    let created = time::rfc3339(created_at_ms);
    let created = format!("{}Z", created.split('.').next().unwrap());
    serde_json::from_value(serde_json::json!({
        "task_id": key.task_id, "task_name": format!("task {}", key.task_id),
        "task_type": "softwareUpgrade", "status": status, "create_time": created,
        "task_progress": TaskProgress::default(),
    }))
    .unwrap()
}

/// Makes the life of a task: it ends, or is retried and then ends.
fn life(random: &mut fastrand::Rng, created_at_ms: u64) -> Vec<Change> {
    let mut at_ms = created_at_ms;
    let mut changes = Vec::new();
    let mut add = |random: &mut fastrand::Rng, status| {
        changes.push(Change { at_ms, status });
        at_ms += match random.u8(0..4) {
            // Several changes within a second.
            0 => random.u64(1..900),
            1 => random.u64(1000..MINUTE_MS),
            _ => random.u64(MINUTE_MS..40 * MINUTE_MS),
        };
    };
    for status in ["Initializing", "Waitting", "Processing"] {
        add(random, status);
    }
    while random.bool() {
        let failed = ["Fail", "PartialSuccess"][random.usize(0..2)];
        add(random, failed);
        add(random, "Processing");
    }
    match random.u8(0..4) {
        0 => {
            add(random, "Stopping");
            add(random, "Stopped");
        }
        1 => add(random, "Fail"),
        _ => add(random, "Success"),
    }
    changes
}

impl World {
    pub(crate) fn new(seed: u64, tasks: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let start_ms = 1_790_000_000_000;
        let mut world = Self {
            start_ms,
            end_ms: start_ms + 12 * HOUR_MS,
            lost: 0,
            found: 0,
            useless: 0,
            platform: BTreeMap::new(),
            pushes: Vec::new(),
            receiver: BTreeMap::new(),
        };
        for number in 0..tasks {
            let task_id = format!("{number:024x}");
            let key = TaskKey {
                app_id: APP.into(),
                task_id,
            };
            let created_at_ms = start_ms + random.u64(0..4 * HOUR_MS);
            let changes = life(&mut random, created_at_ms);
            for change in &changes {
                world.push(&mut random, &key, change);
            }
            world.platform.insert(key, changes);
        }
        world
            .pushes
            .sort_by_key(|push| std::cmp::Reverse(push.clone()));
        world
    }

    /// Sends a push, perhaps twice, late, or not at all.
    fn push(&mut self, random: &mut fastrand::Rng, key: &TaskKey, change: &Change) {
        if random.f64() < 0.3 || self.is_cut_off(change.at_ms) && random.bool() {
            self.lost += 1;
            return;
        }
        for _ in 0..1 + usize::from(random.f64() < 0.05) {
            let mut arrives_ms = change.at_ms + random.u64(0..2 * MINUTE_MS);
            if self.is_cut_off(arrives_ms) {
                arrives_ms = self.outage().end + random.u64(0..MINUTE_MS);
            }
            self.pushes
                .push((arrives_ms, change.at_ms, key.clone(), change.status));
        }
    }

    fn outage(&self) -> std::ops::Range<u64> {
        self.start_ms + 2 * HOUR_MS..self.start_ms + 3 * HOUR_MS
    }

    /// Whether nothing comes through.
    pub(crate) fn is_cut_off(&self, now_ms: u64) -> bool {
        self.outage().contains(&now_ms)
    }

    pub(crate) fn next_arrival_ms(&self) -> u64 {
        self.pushes.last().map_or(u64::MAX, |push| push.0)
    }

    /// Stores the pushes that have arrived. Returns the tasks that they changed.
    pub(crate) fn arrivals(&mut self, now_ms: u64) -> Vec<LocalTask> {
        let mut changed = Vec::new();
        while self.next_arrival_ms() <= now_ms {
            let (_, at_ms, key, status) = self.pushes.pop().unwrap();
            let stored = self.receiver.entry(key.clone()).or_default();
            let before = stored.events.last().map(|event| Status::of(event.3));
            // A push repeated is no event.
            if stored.add((at_ms, true, Status::of(status).rank(), status), now_ms) {
                let mut task = self.local(&key).unwrap();
                task.has_gap = step(before, Status::of(&task.status)) == Step::Gap;
                changed.push(task);
            }
        }
        changed
    }

    pub(crate) fn keys(&self) -> Vec<TaskKey> {
        self.platform.keys().cloned().collect()
    }

    /// The status of a task on the platform.
    pub(crate) fn status(&self, key: &TaskKey, now_ms: u64) -> &'static str {
        let changes = &self.platform[key];
        let past = changes.iter().rev().find(|change| change.at_ms <= now_ms);
        past.map_or("", |change| change.status)
    }

    /// What is known here of a task.
    pub(crate) fn local(&self, key: &TaskKey) -> Option<LocalTask> {
        let stored = self.receiver.get(key)?;
        let (occurred_at_ms, _, _, status) = *stored.events.last()?;
        Some(LocalTask {
            key: key.clone(),
            status: status.into(),
            occurred_at_ms,
            last_received_at_ms: stored.last_received_at_ms,
            has_gap: false,
        })
    }

    /// How many tasks have a name here.
    pub(crate) fn named(&self) -> usize {
        self.receiver
            .values()
            .filter(|stored| stored.name.is_some())
            .count()
    }

    /// Returns how long after a task ended its end was shown here, for each task that
    /// was open here when it ended, long after the outage.
    pub(crate) fn delays_ms(&self) -> Vec<u64> {
        let mut delays_ms = Vec::new();
        for (key, stored) in &self.receiver {
            let end_ms = self.platform[key].last().unwrap().at_ms;
            let before = stored.shown.iter().rev().find(|shown| shown.0 <= end_ms);
            let was_open = before.is_some_and(|shown| Status::of(shown.1).class() == Class::Open);
            if was_open && end_ms > self.outage().end + 30 * MINUTE_MS {
                delays_ms.push(stored.shown.last().unwrap().0 - end_ms);
            }
        }
        delays_ms
    }

    pub(crate) fn show(&self, key: &TaskKey, now_ms: u64) -> Seen {
        let created_at_ms = self.platform[key][0].at_ms;
        self.seen(&task(key, self.status(key, now_ms), created_at_ms), now_ms)
    }

    /// An answer, with a `Date` that is rounded down to the second.
    pub(crate) fn seen(&self, task: &Task, now_ms: u64) -> Seen {
        let key = TaskKey {
            app_id: APP.into(),
            task_id: task.task_id.clone(),
        };
        Seen {
            key,
            task: task.clone(),
            date_ms: now_ms - now_ms % 1000,
            failed_devices: None,
        }
    }

    /// A page, from the newest task to the oldest.
    pub(crate) fn list(&self, listed: &Listed, now_ms: u64) -> Page<Task> {
        let mut all: Vec<(u64, &TaskKey)> = self
            .platform
            .iter()
            .map(|(key, changes)| (changes[0].at_ms, key))
            .filter(|(created, key)| {
                let status = self.status(key, now_ms);
                *created <= now_ms && listed.status.is_none_or(|wanted| wanted == status)
            })
            .collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let marker_of = |(created, key): (u64, &TaskKey)| format!("{created:020}{}", key.task_id);
        let count = all.len() as u64;
        let wanted = listed.marker.clone().unwrap_or_else(|| "f".repeat(44));
        let items: Vec<_> = all
            .into_iter()
            .filter(|it| marker_of(*it) < wanted)
            .take(50)
            .collect();
        Page {
            count: Some(count),
            marker: items.last().map(|it| marker_of(*it)),
            date_ms: Some(now_ms - now_ms % 1000),
            items: items
                .into_iter()
                .map(|(created, key)| task(key, self.status(key, now_ms), created))
                .collect(),
        }
    }

    /// Judges an answer, and stores what it means.
    pub(crate) fn store(
        &mut self,
        seen: &Seen,
        adopt_since_ms: u64,
        now_ms: u64,
    ) -> (Option<LocalTask>, Verdict) {
        let verdict = judge(seen, self.local(&seen.key).as_ref(), adopt_since_ms);
        if let Verdict::Found(_, event) = &verdict {
            self.store_event(event, now_ms);
        }
        match &verdict {
            Verdict::Found(details, _) | Verdict::Same(details) | Verdict::Overtaken(details) => {
                let stored = self.receiver.get_mut(&seen.key).unwrap();
                stored.name = Some(details.name.clone());
            }
            Verdict::Foreign => {}
        }
        (self.local(&seen.key), verdict)
    }

    fn store_event(&mut self, event: &FoundEvent, now_ms: u64) {
        let changes = &self.platform[&event.key];
        let status = changes
            .iter()
            .find(|it| it.status == event.status)
            .unwrap()
            .status;
        let before = self.local(&event.key);
        let stored = self.receiver.entry(event.key.clone()).or_default();
        let rank = Status::of(status).rank();
        stored.add((event.occurred_at_ms, false, rank, status), now_ms);
        self.found += 1;
        let after = self.local(&event.key).unwrap();
        if before.is_some_and(|before| before.status == after.status) || after.status != status {
            self.useless += 1;
        }
    }
}
