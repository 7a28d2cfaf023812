//! Counts over all tasks.

use std::collections::BTreeMap;

use batchtask_guest::journal::StatusCounts;

use super::fixture::{NOW_MS, Suite, event};
use crate::{Appended, Entry, Event, Source, Summary};

/// The counts, as (status, rank, tasks).
fn counts(summary: &Summary) -> Vec<(&str, u8, u64)> {
    let statuses = summary.statuses.iter();
    statuses
        .map(|count| (count.status.as_str(), count.rank, count.tasks))
        .collect()
}

pub(super) async fn tasks_are_counted_by_status(suite: Suite) {
    let mut journal = suite.journal().await;
    let empty = journal.summarize(NOW_MS).await.unwrap();
    assert!(empty.statuses.is_empty());
    assert_eq!(empty.last_received_at_ms, None);
    for (task, status, rank, at) in [
        ("a", "Waitting", 1, 1),
        ("a", "Success", 5, 2),
        ("b", "Waitting", 1, 1),
        ("c", "Success", 5, 1),
        ("d", "Stopped", 5, 1),
    ] {
        let sent = Event {
            rank,
            ..event(task, status, at)
        };
        journal.record(sent).await;
    }
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        let summary = journal.summarize(NOW_MS).await.unwrap();
        let expected = [("Waitting", 1, 1), ("Stopped", 5, 1), ("Success", 5, 2)];
        assert_eq!(counts(&summary), expected);
        assert_eq!(summary.last_received_at_ms, Some(NOW_MS));
        assert!(summary.notices.is_empty(), "notices are the host's");
    }
}

pub(super) async fn a_duplicate_is_an_arrival(suite: Suite) {
    if !suite.capabilities.exact_summary {
        return;
    }
    let journal = suite.journal().await;
    journal.record(event("a", "Success", 1)).await;
    let later = Event {
        received_at_ms: NOW_MS + 7,
        ..event("a", "Success", 1)
    };
    assert_eq!(journal.append(later).await, Appended::Duplicate);
    let earlier = Event {
        received_at_ms: NOW_MS + 3,
        ..event("b", "Success", 2)
    };
    journal.record(earlier).await;
    let summary = journal.summarize(NOW_MS).await.unwrap();
    assert_eq!(summary.last_received_at_ms, Some(NOW_MS + 7));
    assert_eq!(journal.task("a").await.last_received_at_ms, NOW_MS);
}

pub(super) async fn a_change_from_a_query_is_no_arrival(suite: Suite) {
    if !suite.capabilities.exact_summary {
        return;
    }
    let journal = suite.journal().await;
    let found = |task: &str, received_at_ms| Event {
        source: Source::Reconcile,
        received_at_ms,
        ..event(task, "Success", 1)
    };
    journal.record(found("a", NOW_MS)).await;
    let summary = journal.summarize(NOW_MS).await.unwrap();
    assert_eq!(summary.last_received_at_ms, None);
    journal.record(event("b", "Success", 1)).await;
    journal.record(found("c", NOW_MS + 9)).await;
    let summary = journal.summarize(NOW_MS).await.unwrap();
    assert_eq!(summary.last_received_at_ms, Some(NOW_MS));
}

pub(super) async fn open_tasks_without_news_are_stale(suite: Suite) {
    if !suite.capabilities.exact_summary {
        return;
    }
    let journal = suite.journal().await;
    for (task, rank, received_at_ms) in [
        ("0", 0, NOW_MS),
        ("3", 3, NOW_MS + 5),
        ("4", 4, NOW_MS),
        ("5", 5, NOW_MS),
    ] {
        let sent = Event {
            rank,
            received_at_ms,
            ..event(task, "any", 1)
        };
        journal.record(sent).await;
    }
    for (stale_before_ms, stale) in [
        (0, 0),
        (NOW_MS, 0),
        (NOW_MS + 1, 1),
        (NOW_MS + 5, 1),
        (NOW_MS + 6, 2),
        (u64::MAX, 2),
    ] {
        let summary = journal.summarize(stale_before_ms).await.unwrap();
        assert_eq!(summary.stale, Some(stale), "{stale_before_ms}");
    }
}

pub(super) async fn many_statuses_are_counted_together(suite: Suite) {
    let journal = suite.journal().await;
    let mut entries = Vec::new();
    for number in 0..100 {
        let rank = if number % 2 == 0 { 2 } else { 4 };
        let sent = Event {
            rank,
            ..event(&number.to_string(), &format!("made up {number}"), 1)
        };
        entries.push(Entry::Event(sent, None));
    }
    journal.commit_all(entries).await;
    let summary = journal.summarize(NOW_MS).await.unwrap();
    let mut by_rank = BTreeMap::new();
    for (_, rank, tasks) in counts(&summary) {
        *by_rank.entry(rank).or_insert(0) += tasks;
    }
    assert_eq!(by_rank, BTreeMap::from([(2, 50), (4, 50)]));
    // The listed statuses, and one count without a status for each rank.
    assert!(summary.statuses.len() <= StatusCounts::LISTED + 2);
    assert!(
        summary
            .statuses
            .is_sorted_by_key(|count| (count.rank, count.status.clone()))
    );
}
