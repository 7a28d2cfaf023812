//! When the use of a signature is a replay.

use super::fixture::{Fixture, NOW_MS, Suite, event, reject, signed, signed_reject};
use crate::{Appended, Bounds, Entry, Event, Reject};

/// When a signature that is used at [`NOW_MS`] expires.
const LATER_MS: u64 = NOW_MS + 1000;

/// An event of the task `task` with this status, which arrives at this time.
fn arrives(status: &str, received_at_ms: u64) -> Event {
    Event {
        received_at_ms,
        ..event("task", status, 1)
    }
}

/// Appends an event that arrives at `now_ms`, with the signature called `once`.
async fn use_once(journal: &Fixture, status: &str, now_ms: u64, expires_at_ms: u64) -> Appended {
    let event = arrives(status, now_ms);
    let signature = signed("once", &event, expires_at_ms);
    journal.append_signed(event, signature).await
}

pub(super) async fn a_signature_admits_its_notification_again(suite: Suite) {
    let journal = suite.journal().await;
    let event = event("task", "Processing", 1);
    let use_it = || signed("once", &event, LATER_MS);
    let first = journal.append_signed(event.clone(), use_it()).await;
    assert_eq!(first, Appended::Recorded);
    for request_id in ["a", "b"] {
        let again = Event {
            request_id: Some(request_id.into()),
            ..event.clone()
        };
        let again = journal.append_signed(again, use_it()).await;
        assert_eq!(again, Appended::Duplicate);
    }
    let task = journal.task("task").await;
    assert_eq!((task.events, task.duplicates), (1, 2));
    assert_eq!(task.request_ids, ["a", "b"]);
}

pub(super) async fn a_signature_admits_no_other_notification(suite: Suite) {
    let journal = suite.journal().await;
    let first = use_once(&journal, "Processing", NOW_MS, LATER_MS).await;
    assert_eq!(first, Appended::Recorded);
    let other = use_once(&journal, "Success", NOW_MS, LATER_MS).await;
    assert_eq!(other, Appended::Replayed);
    let task = journal.task("task").await;
    assert_eq!((task.status.as_str(), task.events), ("Processing", 1));
    // An event that is known already is another notification too.
    journal.record(arrives("Fail", NOW_MS)).await;
    let known = use_once(&journal, "Fail", NOW_MS, LATER_MS).await;
    assert_eq!(known, Appended::Replayed);
    assert_eq!(journal.task("task").await.duplicates, 0);
    // Another signature is not affected.
    let event = arrives("Success", NOW_MS);
    let signature = signed("another", &event, LATER_MS);
    let another = journal.append_signed(event, signature).await;
    assert_eq!(another, Appended::Recorded);
}

pub(super) async fn a_signature_of_a_reject_admits_it_again(suite: Suite) {
    let journal = suite.journal().await;
    let (one, other) = (reject(b"one"), reject(b"other"));
    for (sent, outcome) in [
        (&one, Appended::Recorded),
        (&one, Appended::Duplicate),
        (&other, Appended::Replayed),
        (&one, Appended::Duplicate),
    ] {
        let signature = signed_reject("once", sent, LATER_MS);
        let answered = journal.quarantine_signed(sent.clone(), signature).await;
        assert_eq!(answered, outcome);
    }
    assert_eq!(journal.quarantined().await, 1);
}

pub(super) async fn events_and_rejects_share_the_signatures(suite: Suite) {
    let journal = suite.journal().await;
    let first = use_once(&journal, "Processing", NOW_MS, LATER_MS).await;
    assert_eq!(first, Appended::Recorded);
    let sent = reject(b"body");
    let signature = signed_reject("once", &sent, LATER_MS);
    let replayed = journal.quarantine_signed(sent, signature).await;
    assert_eq!(replayed, Appended::Replayed);
    assert_eq!(journal.quarantined().await, 0);

    let sent = reject(b"body");
    let signature = signed_reject("twice", &sent, LATER_MS);
    let kept = journal.quarantine_signed(sent, signature).await;
    assert_eq!(kept, Appended::Recorded);
    let event = event("another", "Success", 1);
    let signature = signed("twice", &event, LATER_MS);
    let replayed = journal.append_signed(event, signature).await;
    assert_eq!(replayed, Appended::Replayed);
    let found = journal.find_task("app", "another").await.unwrap();
    assert!(found.is_none());
}

pub(super) async fn a_signature_counts_within_its_batch(suite: Suite) {
    let journal = suite.journal().await;
    let entry = |status: &str| {
        let event = arrives(status, NOW_MS);
        let signature = signed("once", &event, LATER_MS);
        Entry::Event(event, Some(signature))
    };
    let rejected = |body: &[u8]| {
        let reject = reject(body);
        let signature = signed_reject("twice", &reject, LATER_MS);
        Entry::Reject(reject, Some(signature))
    };
    let batch = vec![
        entry("Processing"),
        entry("Success"),
        entry("Processing"),
        rejected(b"one"),
        rejected(b"one"),
        rejected(b"other"),
    ];
    let outcomes = journal.commit_all(batch).await;
    let expected = [
        Appended::Recorded,
        Appended::Replayed,
        Appended::Duplicate,
        Appended::Recorded,
        Appended::Duplicate,
        Appended::Replayed,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(journal.task("task").await.events, 1);
    assert_eq!(journal.quarantined().await, 1);
}

pub(super) async fn a_signature_is_free_once_it_expired(suite: Suite) {
    let journal = suite.journal().await;
    for (now_ms, status, outcome) in [
        (10, "a", Appended::Recorded),
        (19, "b", Appended::Replayed),
        (20, "b", Appended::Recorded),
        // From now on, the signature belongs to `b`.
        (29, "a", Appended::Replayed),
        (29, "b", Appended::Duplicate),
    ] {
        let answered = use_once(&journal, status, now_ms, now_ms + 10).await;
        assert_eq!(answered, outcome, "{now_ms} {status}");
    }
    let at = |received_at_ms| Reject {
        received_at_ms,
        ..reject(b"body")
    };
    for (now_ms, outcome) in [
        (110, Appended::Recorded),
        (119, Appended::Duplicate),
        // The signature was used again meanwhile, so it expires later.
        (128, Appended::Duplicate),
        (138, Appended::Recorded),
    ] {
        let signature = signed_reject("reject", &at(now_ms), now_ms + 10);
        let answered = journal.quarantine_signed(at(now_ms), signature).await;
        assert_eq!(answered, outcome, "{now_ms}");
    }
}

pub(super) async fn a_later_expiry_is_kept(suite: Suite) {
    let journal = suite.journal().await;
    assert_eq!(use_once(&journal, "a", 10, 20).await, Appended::Recorded);
    assert_eq!(use_once(&journal, "a", 15, 30).await, Appended::Duplicate);
    assert_eq!(use_once(&journal, "b", 29, 39).await, Appended::Replayed);
    assert_eq!(use_once(&journal, "b", 30, 40).await, Appended::Recorded);
}

pub(super) async fn an_earlier_expiry_changes_nothing(suite: Suite) {
    let journal = suite.journal().await;
    assert_eq!(use_once(&journal, "a", 10, 30).await, Appended::Recorded);
    assert_eq!(use_once(&journal, "a", 10, 20).await, Appended::Duplicate);
    assert_eq!(use_once(&journal, "b", 29, 39).await, Appended::Replayed);
}

pub(super) async fn a_replay_changes_nothing(suite: Suite) {
    let journal = suite.journal().await;
    assert_eq!(use_once(&journal, "a", 10, 20).await, Appended::Recorded);
    assert_eq!(use_once(&journal, "b", 15, 90).await, Appended::Replayed);
    // The signature still belongs to `a`, with the old expiry.
    assert_eq!(use_once(&journal, "a", 19, 20).await, Appended::Duplicate);
    assert_eq!(use_once(&journal, "b", 20, 30).await, Appended::Recorded);
}

pub(super) async fn the_signature_of_a_duplicate_is_remembered(suite: Suite) {
    let journal = suite.journal().await;
    journal.record(arrives("a", NOW_MS)).await;
    let again = use_once(&journal, "a", NOW_MS, LATER_MS).await;
    assert_eq!(again, Appended::Duplicate);
    let other = use_once(&journal, "b", NOW_MS, LATER_MS).await;
    assert_eq!(other, Appended::Replayed);
}

pub(super) async fn a_signature_survives_a_restart(suite: Suite) {
    if !suite.capabilities.durable {
        return;
    }
    let journal = suite.journal().await;
    let first = use_once(&journal, "a", NOW_MS, LATER_MS).await;
    assert_eq!(first, Appended::Recorded);
    let journal = journal.reopen().await;
    let other = use_once(&journal, "b", NOW_MS, LATER_MS).await;
    assert_eq!(other, Appended::Replayed);
    let same = use_once(&journal, "a", NOW_MS, LATER_MS).await;
    assert_eq!(same, Appended::Duplicate);
}

pub(super) async fn excess_signatures_are_forgotten_in_order_of_expiry(suite: Suite) {
    if !suite.capabilities.bounds {
        return;
    }
    let bounds = Bounds {
        signatures_max: 10,
        ..Bounds::default()
    };
    let journal = suite.journal_with(bounds).await;
    for number in 0..20 {
        let event = event("task", "a", number);
        let signature = signed(&number.to_string(), &event, LATER_MS - number);
        let first = journal.append_signed(event, signature).await;
        assert_eq!(first, Appended::Recorded);
    }
    for number in 0..20 {
        let event = event("other", "a", number);
        let signature = signed(&number.to_string(), &event, NOW_MS + 1);
        let other = journal.append_signed(event, signature).await;
        // The signatures of the first ten expire last.
        let expected = if number < 10 {
            Appended::Replayed
        } else {
            Appended::Recorded
        };
        assert_eq!(other, expected, "{number}");
    }
}

pub(super) async fn a_clock_that_jumps_ahead_frees_no_signature(suite: Suite) {
    if !suite.capabilities.robust_bounds {
        return;
    }
    /// A jump shorter than the life of a signature, and a much longer one.
    const JUMPS_MS: [u64; 2] = [900, 366 * 24 * 60 * 60 * 1000];
    for jump_ms in JUMPS_MS {
        let journal = suite.journal().await;
        let first = use_once(&journal, "a", NOW_MS, LATER_MS).await;
        assert_eq!(first, Appended::Recorded);
        for number in 0..200 {
            let ahead_ms = LATER_MS + jump_ms + number;
            let event = arrives(&number.to_string(), ahead_ms);
            let signature = signed(&number.to_string(), &event, ahead_ms + 1000);
            let other = journal.append_signed(event, signature).await;
            assert_eq!(other, Appended::Recorded);
        }
        // The clock is right again, and the signature has not expired.
        let other = use_once(&journal, "b", NOW_MS + 1, LATER_MS).await;
        assert_eq!(other, Appended::Replayed, "{jump_ms}");
    }
}
