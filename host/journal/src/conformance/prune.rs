//! The removal of old tasks.

use std::sync::Arc;

use super::fixture::{Fixture, NOW_MS, Suite, all_tasks, event, task_ids};
use crate::{Appended, Entry, Error, Event, GroupCommit, StoredEvent, group_commit};

/// The rank of `Success`.
const FINAL: u8 = 5;

/// An event of a task, which arrives at this time.
fn arrives(task: &str, rank: u8, at: u64, received_at_ms: u64) -> Event {
    Event {
        rank,
        received_at_ms,
        ..event(task, "any", at)
    }
}

/// Prunes until there is nothing more to remove. Returns how many events were
/// removed.
async fn prune(journal: &Fixture, before_ms: u64) -> u64 {
    let mut events = 0;
    loop {
        let pruned = journal.prune(before_ms).await.expect("pruned");
        events += pruned.events;
        if !pruned.more {
            return events;
        }
    }
}

fn seqs(events: &[StoredEvent]) -> Vec<u64> {
    events.iter().map(|stored| stored.seq).collect()
}

pub(super) async fn only_old_final_tasks_are_pruned(suite: Suite) {
    if !suite.capabilities.prune {
        return;
    }
    let mut journal = suite.journal().await;
    for (task, rank, at, received_at_ms) in [
        ("old", 2, 1, 10),
        ("old", FINAL, 2, 20),
        ("open", 2, 1, 10),
        ("retryable", 4, 1, 10),
        ("new", FINAL, 1, 30),
        ("news", FINAL, 2, 10),
        ("news", 2, 1, 30),
    ] {
        journal
            .record(arrives(task, rank, at, received_at_ms))
            .await;
    }
    assert_eq!(prune(&journal, 20).await, 0);
    assert_eq!(prune(&journal, 21).await, 2);
    assert_eq!(prune(&journal, 30).await, 0);
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        assert!(journal.find_task("app", "old").await.unwrap().is_none());
        assert!(journal.history("old").await.is_empty());
        let page = journal.tasks(&all_tasks()).await;
        let mut left = task_ids(&page);
        left.sort_unstable();
        assert_eq!(left, ["new", "news", "open", "retryable"]);
        let summary = journal.summarize(0).await.unwrap();
        let counted: u64 = summary.statuses.iter().map(|count| count.tasks).sum();
        assert_eq!(counted, 4);
    }
}

pub(super) async fn pruned_events_do_not_come_back(suite: Suite) {
    if !suite.capabilities.prune {
        return;
    }
    let mut journal = suite.journal().await;
    let old = || arrives("old", FINAL, 1, 10);
    journal.record(old()).await;
    journal.record(arrives("new", FINAL, 1, NOW_MS)).await;
    assert_eq!(prune(&journal, 11).await, 1);
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        let again = Event {
            received_at_ms: NOW_MS + 1,
            ..old()
        };
        assert_eq!(journal.append(again).await, Appended::Duplicate);
        assert!(journal.find_task("app", "old").await.unwrap().is_none());
        let summary = journal.summarize(0).await.unwrap();
        assert_eq!(summary.last_received_at_ms, Some(NOW_MS + 1));
    }
    // Another change of the same task is a new event.
    journal.record(arrives("old", 2, 2, NOW_MS)).await;
    assert_eq!(journal.task("old").await.events, 1);
}

pub(super) async fn a_follower_goes_on_after_pruned_events(suite: Suite) {
    if !suite.capabilities.prune || !suite.capabilities.feed {
        return;
    }
    let mut journal = suite.journal().await;
    for (task, received_at_ms) in [("a", 10), ("b", 30), ("a", 11), ("c", 30), ("d", 10)] {
        let at = received_at_ms;
        journal
            .record(arrives(task, FINAL, at, received_at_ms))
            .await;
    }
    assert_eq!(prune(&journal, 20).await, 3);
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        for (after, expected) in [(0, vec![2, 4]), (1, vec![2, 4]), (3, vec![4]), (4, vec![])] {
            let events = journal.events_after(after, 500).await.unwrap();
            assert_eq!(seqs(&events), expected, "{after}");
        }
        // The number of the last event is not used again.
        assert_eq!(*journal.last_seq().borrow(), 5);
    }
    journal.record(arrives("e", 2, 1, 30)).await;
    assert_eq!(seqs(&journal.feed(1).await), [2, 4, 6]);
}

pub(super) async fn a_follower_waits_if_all_events_were_pruned(suite: Suite) {
    if !suite.capabilities.prune || !suite.capabilities.feed {
        return;
    }
    let journal = suite.journal().await;
    journal.record(arrives("old", FINAL, 1, 10)).await;
    assert_eq!(prune(&journal, 20).await, 1);
    let options = group_commit::Options::default();
    let commits = Arc::new(GroupCommit::new(journal.shared(), options, None).expect("a runtime"));
    assert!(commits.follow(0, 10, 0).await.unwrap().is_empty());
    let write = commits.write(Entry::Event(arrives("new", 2, 1, 30), None));
    let (followed, written) = tokio::join!(commits.follow(0, 10, u32::MAX), write);
    assert_eq!(written.unwrap(), Appended::Recorded);
    assert_eq!(seqs(&followed.unwrap()), [2]);
}

pub(super) async fn pages_go_on_while_tasks_are_pruned(suite: Suite) {
    if !suite.capabilities.prune {
        return;
    }
    let journal = suite.journal().await;
    for at in 1..=6 {
        let received_at_ms = if at % 2 == 0 { 10 } else { 30 };
        let task = at.to_string();
        journal
            .record(arrives(&task, FINAL, at, received_at_ms))
            .await;
    }
    let mut query = all_tasks();
    query.limit = 3;
    let first = journal.tasks(&query).await;
    assert_eq!(task_ids(&first), ["6", "5", "4"]);
    assert_eq!(prune(&journal, 20).await, 3);
    query.cursor = first.next;
    assert_eq!(task_ids(&journal.tasks(&query).await), ["3", "1"]);
}

pub(super) async fn a_journal_that_cannot_be_pruned_says_so(suite: Suite) {
    if suite.capabilities.prune {
        return;
    }
    let journal = suite.journal().await;
    journal.record(arrives("old", FINAL, 1, 10)).await;
    let refused = journal.prune(u64::MAX).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))));
}
