//! The state does not depend on the order of arrival.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::factory::Capabilities;
use super::fixture::{Fixture, NOW_MS, Suite, all_tasks, digest, event};
use crate::{Entry, Event, EventFlags, Step, StepFlags, Task};

/// How many random sets of arrivals are tried.
const CASES: u64 = 16;

/// An arrival. Two arrivals that differ in `request` only are the same event.
#[derive(Clone, Debug)]
struct Arrival {
    task: u8,
    at: u64,
    rank: u8,
    status: u8,
    request: Option<u8>,
}

impl Arrival {
    fn random(random: &mut Rng) -> Self {
        Self {
            task: random.u8(0..3),
            at: random.u64(0..4),
            rank: random.u8(0..3),
            status: random.u8(0..2),
            request: random.bool().then(|| random.u8(0..40)),
        }
    }

    fn event(&self) -> Event {
        let Self {
            task,
            at,
            rank,
            status,
            request,
        } = self;
        let status = format!("status-{status}");
        Event {
            digest: digest(&(task, at, rank, &status)),
            rank: *rank,
            request_id: request.map(|id| format!("request-{id:02}")),
            flags: match rank {
                0 => EventFlags::TIME_MISMATCH,
                1 => EventFlags::EXTRA_FIELDS,
                _ => EventFlags::empty(),
            },
            ..event(&format!("task-{task}"), &status, *at)
        }
    }
}

/// Appends the arrivals in random batches.
async fn append_all(journal: &Fixture, arrivals: &[Arrival], random: &mut Rng) {
    let mut rest = arrivals;
    while !rest.is_empty() {
        let (batch, others) = rest.split_at(random.usize(1..=rest.len().min(20)));
        let entries = batch
            .iter()
            .map(|arrival| Entry::Event(arrival.event(), None));
        journal.commit_all(entries.collect()).await;
        rest = others;
    }
}

/// Everything that must not depend on the order of arrival, as texts to compare.
async fn state(journal: &Fixture) -> Vec<String> {
    let capabilities = journal.capabilities();
    let mut lines = Vec::new();
    for mut task in journal.tasks(&all_tasks()).await.tasks {
        let alone = journal.task(&task.task_id).await;
        if capabilities.complete_lists {
            assert_eq!(format!("{alone:?}"), format!("{task:?}"));
        }
        for stored in journal.history(&task.task_id).await {
            // The request id is that of the first arrival, so it depends on the order.
            let event = Event {
                request_id: None,
                ..stored.event
            };
            lines.push(format!("{event:?}"));
            if capabilities.exact_totals {
                let (duplicates, ids) = (stored.duplicates, stored.request_ids);
                lines.push(format!("{duplicates} {ids:?}"));
            }
        }
        task = alone;
        if !capabilities.exact_totals {
            (task.duplicates, task.request_ids) = (0, Vec::new());
        }
        lines.push(format!("{task:?}"));
    }
    if !capabilities.ordered_ties {
        lines.sort();
    }
    lines.push(format!("{:?}", journal.summarize(0).await.unwrap()));
    lines
}

/// Checks that a task is what the contract says for these arrivals.
fn check_task(task: &Task, arrivals: &[Arrival], capabilities: Capabilities) {
    let events = arrivals.iter().map(Arrival::event);
    let arrived: Vec<Event> = events.filter(|e| e.task_id == task.task_id).collect();
    let key = |e: &Event| (e.occurred_at_ms, e.rank, e.digest.clone());
    let events: BTreeMap<_, _> = arrived.iter().map(|e| (key(e), e)).collect();
    let first = events.values().next().expect("an event");
    let last = events.values().last().expect("an event");
    assert_eq!(task.status, last.status);
    let (at_ms, rank) = (last.occurred_at_ms, last.rank);
    assert_eq!((task.occurred_at_ms, task.rank), (at_ms, rank));
    assert_eq!(task.first_occurred_at_ms, first.occurred_at_ms);
    assert_eq!(task.events, events.len() as u64);
    let all = events.values().map(|e| e.flags);
    assert_eq!(
        task.flags,
        all.fold(EventFlags::empty(), |all, flags| all | flags)
    );
    let steps: Vec<_> = task.trail.iter().map(step).collect();
    let expected: Vec<_> = events
        .values()
        .map(|e| (e.status.as_str(), e.occurred_at_ms))
        .collect();
    assert_eq!(steps, expected);
    if capabilities.exact_totals {
        let ids: BTreeSet<_> = arrived.iter().flat_map(|e| &e.request_id).collect();
        let ids: Vec<_> = ids.into_iter().take(16).cloned().collect();
        assert_eq!(task.request_ids, ids);
        assert_eq!(task.duplicates, (arrived.len() - events.len()) as u64);
    }
}

pub(super) async fn steps_do_not_depend_on_the_order_of_arrival(suite: Suite) {
    let journal = suite.journal().await;
    let steps = async |journal: &Fixture| journal.task("task").await.steps;
    let fails = |at_ms| Event {
        rank: 4,
        ..event("task", "Fail", at_ms)
    };
    // A first step to a result has no change before it.
    journal.record(fails(20)).await;
    assert_eq!(steps(&journal).await, StepFlags::GAP);
    // The missing change arrives late, and then a retry.
    journal.record(event("task", "Processing", 10)).await;
    assert_eq!(steps(&journal).await, StepFlags::empty());
    journal.record(event("task", "Processing", 30)).await;
    assert_eq!(steps(&journal).await, StepFlags::REOPENED);
    // A change of which the journal sees only the result.
    journal.record(event("task", "Waitting", 5)).await;
    journal.record(fails(6)).await;
    let both = StepFlags::GAP | StepFlags::REOPENED;
    assert_eq!(steps(&journal).await, both);
    let ended = Event {
        rank: 5,
        ..event("task", "Success", 40)
    };
    journal.record(ended).await;
    journal.record(event("task", "Processing", 50)).await;
    assert_eq!(steps(&journal).await, both | StepFlags::UNEXPECTED_STEP);
}

pub(super) async fn the_steps_to_the_last_64_events_count(suite: Suite) {
    let journal = suite.journal().await;
    let fails = Event {
        rank: 4,
        ..event("task", "Fail", 1)
    };
    journal.record(fails).await;
    for at_ms in 2..=65 {
        let steps = journal.task("task").await.steps;
        let expected = match at_ms {
            2 => StepFlags::GAP,
            _ => StepFlags::GAP | StepFlags::REOPENED,
        };
        assert_eq!(steps, expected, "{at_ms}");
        journal.record(event("task", "Processing", at_ms)).await;
    }
    // The first step is too old now, and then the second one.
    assert_eq!(journal.task("task").await.steps, StepFlags::REOPENED);
    journal.record(event("task", "Processing", 66)).await;
    assert_eq!(journal.task("task").await.steps, StepFlags::empty());
    // A step that has a flag is found after many that have none.
    let fails = Event {
        rank: 4,
        ..event("task", "Fail", 67)
    };
    journal.record(fails).await;
    assert_eq!(journal.task("task").await.steps, StepFlags::empty());
    for at_ms in 68..=131 {
        journal.record(event("task", "Processing", at_ms)).await;
        assert_eq!(journal.task("task").await.steps, StepFlags::REOPENED);
    }
    journal.record(event("task", "Processing", 132)).await;
    assert_eq!(journal.task("task").await.steps, StepFlags::empty());
}

fn step(step: &Step) -> (&str, u64) {
    (&step.status, step.occurred_at_ms)
}

pub(super) async fn the_order_of_arrival_changes_nothing(suite: Suite) {
    for seed in 0..CASES {
        let mut random = Rng::with_seed(seed);
        let count = random.usize(0..80);
        let mut arrivals: Vec<_> = (0..count).map(|_| Arrival::random(&mut random)).collect();
        let ordered = suite.journal().await;
        append_all(&ordered, &arrivals, &mut random).await;
        for task in ordered.tasks(&all_tasks()).await.tasks {
            let task = ordered.task(&task.task_id).await;
            check_task(&task, &arrivals, suite.capabilities);
        }
        random.shuffle(&mut arrivals);
        let shuffled = suite.journal().await;
        append_all(&shuffled, &arrivals, &mut random).await;
        assert_eq!(state(&shuffled).await, state(&ordered).await, "seed {seed}");
    }
}

pub(super) async fn rank_then_digest_decide_within_an_instant(suite: Suite) {
    let journal = suite.journal().await;
    let of_rank = |status, rank| Event {
        rank,
        ..event("task", status, NOW_MS)
    };
    journal.record(of_rank("Success", 5)).await;
    journal.record(of_rank("Processing", 2)).await;
    assert_eq!(journal.task("task").await.status, "Success");
    for (status, digest, state) in [
        ("Stopped", vec![0; 32], "Success"),
        ("Greatest", vec![255; 32], "Greatest"),
    ] {
        let sent = Event {
            digest,
            ..of_rank(status, 5)
        };
        journal.record(sent).await;
        assert_eq!(journal.task("task").await.status, state);
    }
    let trail = journal.task("task").await.trail;
    let statuses: Vec<&str> = trail.iter().map(|step| step.status.as_str()).collect();
    assert_eq!(statuses, ["Processing", "Stopped", "Success", "Greatest"]);
}

pub(super) async fn a_late_event_changes_no_state(suite: Suite) {
    let journal = suite.journal().await;
    let late = Event {
        status_desc: "late".into(),
        received_at_ms: NOW_MS + 1,
        task_type: "late".into(),
        ..event("task", "Processing", NOW_MS - 1)
    };
    journal.record(event("task", "Success", NOW_MS)).await;
    journal.record(late).await;
    let task = journal.task("task").await;
    assert_eq!((task.status.as_str(), task.events), ("Success", 2));
    assert_eq!(task.status_desc, "");
    assert_eq!(task.task_type, "softwareUpgrade");
    assert_eq!(task.first_occurred_at_ms, NOW_MS - 1);
    assert_eq!(task.last_received_at_ms, NOW_MS + 1);
}

pub(super) async fn the_flags_of_a_task_are_those_of_all_its_events(suite: Suite) {
    let journal = suite.journal().await;
    for (at, flags) in [(2, EventFlags::LEGACY_FORM), (1, EventFlags::UNKNOWN_TYPE)] {
        let sent = Event {
            flags,
            ..event("task", "Success", at)
        };
        journal.record(sent).await;
    }
    let flags = journal.task("task").await.flags;
    assert_eq!(flags, EventFlags::LEGACY_FORM | EventFlags::UNKNOWN_TYPE);
}

pub(super) async fn events_without_a_time_have_the_order_of_their_arrival(suite: Suite) {
    if !suite.capabilities.follows_arrival {
        return;
    }
    let journal = suite.journal().await;
    // Two arrivals in the same millisecond, and a clock that goes back.
    let arrivals = [
        ("Processing", 2, NOW_MS),
        ("Fail", 4, NOW_MS),
        ("Processing", 2, NOW_MS),
        ("Fail", 4, NOW_MS - 1000),
        ("Processing", 2, NOW_MS + 1000),
    ];
    for (serial, (status, rank, at_ms)) in (0..).zip(arrivals) {
        let undated = Event {
            event_time: None,
            event_time_ms: Some("soon".into()),
            rank,
            received_at_ms: at_ms,
            digest: vec![255 - serial; 32],
            ..event("task", status, at_ms)
        };
        journal.record(undated).await;
        assert_eq!(journal.task("task").await.status, status);
    }
    let history = journal.history("task").await;
    let statuses: Vec<&str> = (history.iter())
        .map(|stored| stored.event.status.as_str())
        .collect();
    assert_eq!(statuses, arrivals.map(|(status, ..)| status));
    assert!(history.iter().all(|stored| !stored.late));
    assert_eq!(history[4].event.occurred_at_ms, NOW_MS + 1000);
}
