//! The events of all tasks, in order of arrival.

use std::sync::Arc;

use super::fixture::{Fixture, Suite, event};
use crate::{Appended, Entry, Error, GroupCommit, StoredEvent, group_commit};

fn seqs(events: &[StoredEvent]) -> Vec<u64> {
    events.iter().map(|stored| stored.seq).collect()
}

fn group_commit(journal: &Fixture) -> Arc<GroupCommit> {
    let options = group_commit::Options::default();
    let commits = GroupCommit::new(journal.shared(), options, None);
    Arc::new(commits.expect("a runtime"))
}

pub(super) async fn the_feed_is_dense_and_in_order(suite: Suite) {
    if !suite.capabilities.feed {
        return;
    }
    let mut journal = suite.journal().await;
    assert_eq!(*journal.last_seq().borrow(), 0);
    assert!(journal.events_after(0, 10).await.unwrap().is_empty());
    // Some in batches and some alone. The order of occurrence is the reverse.
    let sent = |number: u64| event(&(number % 3).to_string(), "any", 100 - number);
    for start in [0, 10, 20] {
        let batch = (start..start + 9).map(|number| Entry::Event(sent(number), None));
        journal.commit_all(batch.collect()).await;
        journal.record(sent(start + 9)).await;
        assert_eq!(*journal.last_seq().borrow(), start + 10);
    }
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        let feed = journal.feed(500).await;
        assert_eq!(seqs(&feed), (1..=30).collect::<Vec<_>>());
        let times: Vec<u64> = feed.iter().map(|s| s.event.occurred_at_ms).collect();
        assert_eq!(times, (71..=100).rev().collect::<Vec<_>>());
        assert_eq!(*journal.last_seq().borrow(), 30);
        // The same event has the same number everywhere.
        let history = journal.history("0").await;
        let expected: Vec<u64> = (0..10).rev().map(|number| 3 * number + 1).collect();
        assert_eq!(seqs(&history), expected);
    }
}

pub(super) async fn a_duplicate_has_no_number(suite: Suite) {
    if !suite.capabilities.feed {
        return;
    }
    let journal = suite.journal().await;
    for (status, outcome) in [
        ("a", Appended::Recorded),
        ("a", Appended::Duplicate),
        ("b", Appended::Recorded),
        ("a", Appended::Duplicate),
    ] {
        assert_eq!(journal.append(event("task", status, 1)).await, outcome);
    }
    let feed = journal.feed(500).await;
    assert_eq!(seqs(&feed), [1, 2]);
    assert_eq!(feed[0].duplicates, 2);
    assert_eq!(*journal.last_seq().borrow(), 2);
}

pub(super) async fn the_feed_has_pages(suite: Suite) {
    if !suite.capabilities.feed {
        return;
    }
    let journal = suite.journal().await;
    let batch = (0..20).map(|at| Entry::Event(event("task", "any", at), None));
    journal.commit_all(batch.collect()).await;
    for limit in [1, 7, 20, 500, u32::MAX] {
        let feed = journal.feed(limit).await;
        assert_eq!(seqs(&feed), (1..=20).collect::<Vec<_>>(), "{limit}");
    }
    for (after, limit, expected) in [
        (0, 3, vec![1, 2, 3]),
        (4, 2, vec![5, 6]),
        (18, 9, vec![19, 20]),
        (19, 0, vec![20]),
        (20, 9, vec![]),
        (u64::MAX, 9, vec![]),
    ] {
        let events = journal.events_after(after, limit).await.unwrap();
        assert_eq!(seqs(&events), expected, "{after} {limit}");
    }
}

pub(super) async fn following_waits_for_the_next_event(suite: Suite) {
    if !suite.capabilities.feed {
        return;
    }
    let journal = suite.journal().await;
    let commits = group_commit(&journal);
    assert!(commits.follow(0, 10, 0).await.unwrap().is_empty());
    let write = commits.write(Entry::Event(event("task", "Success", 1), None));
    let (followed, written) = tokio::join!(commits.follow(0, 10, u32::MAX), write);
    assert_eq!(written.unwrap(), Appended::Recorded);
    assert_eq!(seqs(&followed.unwrap()), [1]);
    // An event that exists already is returned without a wait.
    let followed = commits.follow(0, 10, u32::MAX).await.unwrap();
    assert_eq!(seqs(&followed), [1]);
    assert!(commits.follow(1, 10, 0).await.unwrap().is_empty());
    assert!(commits.follow(u64::MAX, 10, 0).await.unwrap().is_empty());
}

pub(super) async fn a_follower_sees_every_event_once(suite: Suite) {
    if !suite.capabilities.feed {
        return;
    }
    let journal = suite.journal().await;
    let commits = group_commit(&journal);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let commits = commits.clone();
        writers.spawn(async move {
            for at in 0..100 {
                let sent = event(&writer.to_string(), "Processing", at);
                commits.write(Entry::Event(sent, None)).await.unwrap();
            }
        });
    }
    let mut followed = Vec::new();
    while followed.len() < 300 {
        let after = followed.last().copied().unwrap_or(0);
        let events = commits.follow(after, 7, u32::MAX).await.unwrap();
        assert!(!events.is_empty(), "the wait is long enough");
        followed.extend(seqs(&events));
    }
    writers.join_all().await;
    assert_eq!(followed, (1..=300).collect::<Vec<_>>());
}

pub(super) async fn closing_ends_the_wait_of_followers(suite: Suite) {
    if !suite.capabilities.feed {
        return;
    }
    let journal = suite.journal().await;
    let commits = group_commit(&journal);
    let follower = commits.clone();
    let following = tokio::spawn(async move { follower.follow(0, 10, u32::MAX).await });
    commits.close();
    assert!(following.await.unwrap().unwrap().is_empty());
}

pub(super) async fn a_journal_without_a_feed_says_so(suite: Suite) {
    if suite.capabilities.feed {
        return;
    }
    let journal = suite.journal().await;
    journal.record(event("task", "Success", 1)).await;
    let events = journal.events_after(0, 10).await;
    assert!(matches!(events, Err(Error::Unsupported(_))));
    // A follower gets the error at once, whatever it waits for.
    let commits = group_commit(&journal);
    for after in [0, u64::MAX] {
        let events = commits.follow(after, 10, u32::MAX).await;
        assert!(matches!(events, Err(Error::Unsupported(_))), "{after}");
    }
}
