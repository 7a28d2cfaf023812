//! What arrived, by spans of time.

use batchtask_guest::journal::{HOUR_MS, MINUTE_MS};

use super::fixture::{Fixture, Suite, assert_unsupported, event};
use crate::{Activity, ActivityQuery, Appended, Event, Source};

/// A full hour.
const START_MS: u64 = 1_700_002_800_000;

/// An event of the task `task` that arrives this long after [`START_MS`].
fn arriving(after_ms: u64, rank: u8) -> Event {
    Event {
        rank,
        received_at_ms: START_MS + after_ms,
        ..event("task", &format!("rank {rank}"), after_ms)
    }
}

/// The counts of spans of this length, as (start after [`START_MS`] in minutes,
/// notifications, failures).
async fn counts(journal: &Fixture, span_minutes: u32, spans: u32) -> Vec<(u64, u64, u64)> {
    let query = ActivityQuery {
        since_ms: START_MS,
        span_minutes,
        spans,
    };
    let found = journal.list_activity(&query).await.expect("readable");
    let minutes = |span: &Activity| (span.start_ms - START_MS) / MINUTE_MS;
    let found = found.iter();
    found
        .map(|span| (minutes(span), span.notifications, span.failures))
        .collect()
}

/// A journal in which events arrived at several times.
async fn arrivals(suite: &Suite) -> Fixture {
    let journal = suite.journal().await;
    for (after_ms, rank) in [
        (0, 2),
        (MINUTE_MS - 1, 4),
        (MINUTE_MS, 4),
        (2 * MINUTE_MS + 1, 5),
        (59 * MINUTE_MS, 1),
        (HOUR_MS, 4),
        (3 * HOUR_MS, 2),
        (200 * HOUR_MS, 2),
    ] {
        journal.record(arriving(after_ms, rank)).await;
    }
    let before = Event {
        received_at_ms: START_MS - 1,
        ..event("task", "before", 1)
    };
    journal.record(before).await;
    journal
}

pub(super) async fn arrivals_are_counted_by_span(suite: Suite) {
    if !suite.capabilities.activity {
        return;
    }
    let mut journal = arrivals(&suite).await;
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        let minutes = [(0, 2, 1), (1, 1, 1), (2, 1, 0), (59, 1, 0)];
        assert_eq!(counts(&journal, 1, 60).await, minutes);
        assert_eq!(counts(&journal, 1, 2).await, minutes[..2]);
        assert_eq!(counts(&journal, 2, 2).await, [(0, 3, 2), (2, 1, 0)]);
        assert_eq!(counts(&journal, 60, 2).await, [(0, 5, 2), (60, 1, 1)]);
        assert_eq!(counts(&journal, 120, 2).await, [(0, 6, 3), (120, 1, 0)]);
        let days = [(0, 7, 3), (8 * 24 * 60, 1, 0)];
        assert_eq!(counts(&journal, 24 * 60, 500).await, days);
    }
}

pub(super) async fn only_new_notifications_are_counted(suite: Suite) {
    if !suite.capabilities.activity {
        return;
    }
    let journal = suite.journal().await;
    journal.record(arriving(1, 4)).await;
    assert_eq!(journal.append(arriving(1, 4)).await, Appended::Duplicate);
    let found = Event {
        source: Source::Reconcile,
        ..arriving(2, 2)
    };
    journal.record(found).await;
    let found_failure = Event {
        source: Source::Reconcile,
        ..arriving(3, 4)
    };
    journal.record(found_failure).await;
    let consumed = Event {
        source: Source::Amqp,
        ..arriving(4, 2)
    };
    journal.record(consumed).await;
    assert_eq!(counts(&journal, 1, 1).await, [(0, 2, 2)]);
}

pub(super) async fn a_journal_without_activity_says_so(suite: Suite) {
    if suite.capabilities.activity {
        return;
    }
    let journal = suite.journal().await;
    let query = ActivityQuery {
        since_ms: START_MS,
        span_minutes: 1,
        spans: 1,
    };
    assert_unsupported(journal.list_activity(&query).await);
}
