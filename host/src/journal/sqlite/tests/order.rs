//! The state is a function of what arrived, not of how.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;
use crate::journal::Step;

/// One arrival; equal fields but for `request` are the same event.
#[derive(Clone, Debug)]
struct Arrival {
    task: u8,
    at: u64,
    rank: u8,
    status: u8,
    request: Option<u8>,
}

impl Arrival {
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
            oddities: match rank {
                0 => EventFlags::CLOCK_SKEW,
                1 => EventFlags::NO_EVENT_TIME,
                _ => EventFlags::empty(),
            },
            ..event(&format!("task-{task}"), &status, *at)
        }
    }
}

fn arrival() -> impl Strategy<Value = Arrival> {
    (
        0..3u8,
        0..4u64,
        0..3u8,
        0..2u8,
        proptest::option::of(0..40u8),
    )
        .prop_map(|(task, at, rank, status, request)| Arrival {
            task,
            at,
            rank,
            status,
            request,
        })
}

/// Some arrivals, and the same in another order.
fn arrivals() -> impl Strategy<Value = (Vec<Arrival>, Vec<Arrival>)> {
    proptest::collection::vec(arrival(), 0..80)
        .prop_flat_map(|arrivals| (Just(arrivals.clone()), Just(arrivals).prop_shuffle()))
}

/// All that must not depend on the order of arrival, in comparable form.
async fn state(journal: &SqliteJournal) -> Vec<String> {
    let mut lines = Vec::new();
    for task in journal.list_tasks(all_tasks()).await.unwrap().tasks {
        let history = journal.list_history("app".into(), task.task_id.clone(), None, 500);
        for stored in history.await.unwrap().events {
            // The request id of the first arrival is one of them.
            let event = Event {
                request_id: None,
                ..stored.event
            };
            lines.push(format!(
                "{event:?} {} {:?}",
                stored.duplicates, stored.request_ids
            ));
        }
        lines.push(format!("{task:?}"));
    }
    let summary = journal.summarize(0).await.unwrap();
    lines.push(format!("{summary:?}"));
    lines
}

async fn append_in_turn(arrivals: &[Arrival]) -> Fixture {
    let journal = Fixture::new();
    for arrival in arrivals {
        journal.append(arrival.event(), None).await.unwrap();
    }
    journal
}

async fn append_at_once(arrivals: &[Arrival]) -> Fixture {
    let journal = Arc::new(Fixture::new());
    let mut appends = tokio::task::JoinSet::new();
    for arrivals in arrivals.chunks(7) {
        let (journal, arrivals) = (journal.clone(), arrivals.to_vec());
        appends.spawn(async move {
            for arrival in arrivals {
                journal.append(arrival.event(), None).await.unwrap();
            }
        });
    }
    appends.join_all().await;
    Arc::try_unwrap(journal).unwrap_or_else(|_| panic!("all have ended"))
}

/// What a task must be, straight from the contract.
fn check_task(task: &Task, arrivals: &[Arrival]) {
    let of_task = arrivals
        .iter()
        .map(Arrival::event)
        .filter(|e| e.task_id == task.task_id);
    let arrived: Vec<Event> = of_task.collect();
    let events: BTreeMap<_, _> = arrived
        .iter()
        .map(|e| ((e.occurred_at_ms, e.rank, e.digest.clone()), e))
        .collect();
    let (first, last) = (
        events.values().next().unwrap(),
        events.values().last().unwrap(),
    );
    assert_eq!(task.status, last.status);
    assert_eq!(
        (task.occurred_at_ms, task.rank),
        (last.occurred_at_ms, last.rank)
    );
    assert_eq!(task.first_occurred_at_ms, first.occurred_at_ms);
    assert_eq!(task.events, events.len() as u64);
    assert_eq!(task.duplicates, (arrived.len() - events.len()) as u64);
    let ids: BTreeSet<_> = arrived
        .iter()
        .filter_map(|e| e.request_id.clone())
        .collect();
    assert_eq!(
        task.request_ids,
        ids.into_iter().take(16).collect::<Vec<_>>()
    );
    let steps = |steps: &[Step]| -> Vec<_> {
        steps
            .iter()
            .map(|step| (step.status.clone(), step.occurred_at_ms))
            .collect()
    };
    let expected: Vec<_> = events
        .values()
        .map(|e| (e.status.clone(), e.occurred_at_ms))
        .collect();
    assert_eq!(steps(&task.trail), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn tasks_and_histories_do_not_depend_on_the_order_of_arrival((one, other) in arrivals()) {
        Runtime::new().unwrap().block_on(async {
            let in_turn = append_in_turn(&one).await;
            for task in in_turn.list_tasks(all_tasks()).await.unwrap().tasks {
                check_task(&task, &one);
            }
            let expected = state(&in_turn).await;
            let at_once = append_at_once(&other).await;
            assert_eq!(state(&at_once).await, expected);
            assert_eq!(state(&at_once.reopen()).await, expected);
        });
    }
}

#[tokio::test]
async fn the_least_16_request_ids_are_kept_whatever_came_first() {
    for reverse in [false, true] {
        let journal = Fixture::new();
        let mut ids: Vec<String> = (0..40).map(|id| format!("{id:02}")).collect();
        if reverse {
            ids.reverse();
        }
        for id in ids {
            let again = Event {
                request_id: Some(id),
                ..event("task", "Success", NOW_MS)
            };
            journal.append(again, None).await.unwrap();
        }
        let expected: Vec<String> = (0..16).map(|id| format!("{id:02}")).collect();
        assert_eq!(journal.task("task").await.request_ids, expected);
        assert_eq!(
            journal.history("task").await.remove(0).request_ids,
            expected
        );
    }
}
