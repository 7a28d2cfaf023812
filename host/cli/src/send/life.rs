//! The pushes of task life cycles.

use std::collections::BTreeMap;

use batchtask_notification::time;
use bytes::Bytes;

use super::body::{Fields, Notification, TASK_TYPE, uuid};
use super::scenario::Scenario;
use batchtask_host::clock::now_ms;

/// A change of a task.
#[derive(Clone, Debug)]
struct Change {
    task: u32,
    at_ms: u64,
    status: &'static str,
    /// How many of 100 devices are done.
    done: u8,
}

/// A push of a change. A change may be pushed twice.
#[derive(Clone, Copy, Debug)]
struct Push {
    change: u32,
    request: u64,
}

/// The life cycles of some tasks, and their pushes.
pub(super) struct Lives {
    seed: u64,
    random: fastrand::Rng,
    app_id: String,
    task_type: String,
    changes: Vec<Change>,
    pushes: Vec<Push>,
    ends: BTreeMap<&'static str, u64>,
}

impl Lives {
    /// Creates life cycles that end about now. Each change is pushed once, in order
    /// of time.
    pub(super) fn new(scenario: Scenario, tasks: u32, seed: u64, fields: &Fields) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let app_id = uuid(&mut random);
        let now_ms = now_ms();
        let mut changes = Vec::new();
        let mut ends = BTreeMap::new();
        for task in 0..tasks {
            let statuses = statuses(scenario, &mut random);
            if let Some((end, _)) = statuses.last() {
                *ends.entry(*end).or_default() += 1;
            }
            changes.extend(with_times(task, &statuses, now_ms, &mut random));
        }
        changes.sort_by_key(|change| change.at_ms);
        let pushes = (0..changes.len() as u32)
            .map(|change| Push {
                change,
                request: random.u64(..),
            })
            .collect();
        Self {
            seed,
            app_id: fields.app_id.clone().unwrap_or(app_id),
            task_type: fields.task_type.clone().unwrap_or_else(|| TASK_TYPE.into()),
            random,
            changes,
            pushes,
            ends,
        }
    }

    /// Pushes `percent` of the changes once more, at a random later place. About
    /// half of these duplicates have another request id.
    pub(super) fn with_duplicates(mut self, percent: u32) -> Self {
        let count = self.pushes.len();
        let duplicates = count * percent as usize / 100;
        let mut places: Vec<usize> = (0..count).collect();
        self.random.shuffle(&mut places);
        // Sorting by place is stable, so a duplicate comes after its original.
        let mut placed: Vec<(usize, Push)> = self.pushes.into_iter().enumerate().collect();
        for &place in places.iter().take(duplicates) {
            let mut push = placed[place].1;
            if self.random.bool() {
                push.request = self.random.u64(..);
            }
            placed.push((self.random.usize(place..count), push));
        }
        placed.sort_by_key(|(place, _)| *place);
        self.pushes = placed.into_iter().map(|(_, push)| push).collect();
        self
    }

    /// Puts the pushes in random order.
    pub(super) fn shuffled(mut self) -> Self {
        self.random.shuffle(&mut self.pushes);
        self
    }

    /// The seed of the random choices.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// How many tasks end with each status.
    pub(super) fn ends(&self) -> &BTreeMap<&'static str, u64> {
        &self.ends
    }

    pub(super) fn len(&self) -> u64 {
        self.pushes.len() as u64
    }

    /// Returns the body of a push.
    pub(super) fn body(&self, index: u64) -> Bytes {
        let push = self.pushes[index as usize];
        let change = &self.changes[push.change as usize];
        let done = change.done;
        // The ids depend on the seed only, so the same seed makes the same tasks.
        let task = u64::from(change.task).wrapping_add(self.seed);
        Notification {
            app_id: &self.app_id,
            task_id: &task_id(task),
            task_type: &self.task_type,
            status: change.status,
            status_desc: &format!("{done} of 100 devices are done"),
            at: time::rfc3339(change.at_ms),
            request_id: uuid(&mut fastrand::Rng::with_seed(push.request)),
        }
        .body()
    }
}

/// Returns a task id of 24 hexadecimal digits, like the platform's.
fn task_id(number: u64) -> String {
    let id = fastrand::Rng::with_seed(number).u128(..);
    format!("{:024x}", id >> 32)
}

/// Returns the statuses of a life cycle, each with how many of 100 devices are done.
fn statuses(scenario: Scenario, random: &mut fastrand::Rng) -> Vec<(&'static str, u8)> {
    let mut statuses = Vec::new();
    if random.bool() {
        statuses.push(("Initializing", 0));
    }
    statuses.push(("Waitting", 0));
    let mut done = 0;
    for _ in 0..random.usize(1..=3) {
        done += random.u8(1..=30);
        statuses.push(("Processing", done));
    }
    for &status in scenario.end(random) {
        done = match status {
            "Success" => 100,
            "Waitting" | "Processing" => done,
            _ => (done + random.u8(1..=9)).min(99),
        };
        statuses.push((status, done));
    }
    statuses
}

/// Creates changes with these statuses, at increasing times. The last one is at most
/// ten minutes ago.
fn with_times(
    task: u32,
    statuses: &[(&'static str, u8)],
    now_ms: u64,
    random: &mut fastrand::Rng,
) -> Vec<Change> {
    let mut at_ms = now_ms.saturating_sub(random.u64(0..600_000));
    let mut changes = Vec::new();
    for &(status, done) in statuses.iter().rev() {
        changes.push(Change {
            task,
            at_ms,
            status,
            done,
        });
        at_ms = at_ms.saturating_sub(random.u64(1_000..120_000));
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use batchtask_notification::{Class, Event, Flags, Notification as Parsed, Status, Step, step};
    use clap::{Parser, ValueEnum};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fields: Fields,
        #[arg(long)]
        scenario: bool,
    }

    fn lives(scenario: Scenario, tasks: u32, seed: u64) -> Lives {
        Lives::new(scenario, tasks, seed, &Line::parse_from(["send"]).fields)
    }

    fn events(lives: &Lives) -> Vec<Event> {
        let parse = |index| {
            let notification = Parsed::parse(&lives.body(index)).unwrap();
            assert_eq!(notification.flags(), Flags::default());
            notification.into_event(now_ms())
        };
        (0..lives.len()).map(parse).collect()
    }

    /// Returns the statuses of each task, in order of occurrence.
    fn histories(mut events: Vec<Event>) -> HashMap<String, Vec<Status>> {
        events.sort_by_key(|event| event.occurred_at_ms);
        let mut histories = HashMap::<String, Vec<Status>>::new();
        for event in events {
            let status = Status::of(&event.status);
            histories.entry(event.task_id).or_default().push(status);
        }
        histories
    }

    #[test]
    fn every_life_cycle_is_possible_for_a_task() {
        for &scenario in Scenario::value_variants() {
            let lives = lives(scenario, 200, 7);
            let histories = histories(events(&lives));
            assert_eq!(histories.len(), 200);
            for statuses in histories.values() {
                let mut previous = None;
                for &status in statuses {
                    let found = step(previous.replace(status), status);
                    assert!(
                        matches!(found, Step::Usual | Step::Reopened),
                        "{statuses:?}"
                    );
                }
                assert_ne!(previous.map(Status::class), Some(Class::Open));
            }
            assert_eq!(lives.ends().values().sum::<u64>(), 200);
        }
    }

    #[test]
    fn the_requested_share_of_changes_is_duplicated_later() {
        let lives = lives(Scenario::Life, 100, 3);
        let changes = lives.len();
        let lives = lives.with_duplicates(20);
        assert_eq!(lives.len(), changes + changes * 20 / 100);
        let mut seen = HashSet::new();
        let mut latest = 0;
        for event in events(&lives) {
            if seen.insert(event.digest) {
                assert!(event.occurred_at_ms >= latest, "originals are in order");
                latest = event.occurred_at_ms;
            }
        }
        assert_eq!(seen.len() as u64, changes);
    }

    #[test]
    fn shuffled_pushes_are_the_same_in_another_order() {
        let digests = |lives: &Lives| events(lives).into_iter().map(|event| event.digest);
        let (ordered, shuffled) = (lives(Scenario::Life, 50, 9), lives(Scenario::Life, 50, 9));
        let shuffled = shuffled.shuffled();
        assert_eq!(ordered.ends(), shuffled.ends());
        assert_eq!(ordered.len(), shuffled.len());
        let times = |lives: &Lives| events(lives).into_iter().map(|event| event.occurred_at_ms);
        assert!(times(&ordered).is_sorted());
        assert!(!times(&shuffled).is_sorted());
        assert_eq!(
            digests(&shuffled).collect::<HashSet<_>>().len() as u64,
            ordered.len()
        );
    }

    #[test]
    fn the_same_seed_makes_the_same_tasks_and_another_seed_makes_others() {
        let tasks = |seed| {
            let histories = histories(events(&lives(Scenario::Life, 50, seed)));
            let mut histories: Vec<_> = histories.into_iter().collect();
            histories.sort_by(|(one, _), (other, _)| one.cmp(other));
            histories
        };
        assert_eq!(tasks(1), tasks(1));
        let ids = |seed| {
            tasks(seed)
                .into_iter()
                .map(|(id, _)| id)
                .collect::<HashSet<_>>()
        };
        assert!(ids(1).is_disjoint(&ids(1_000_000)));
    }
}
