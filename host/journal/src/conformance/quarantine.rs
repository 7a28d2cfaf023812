//! Rejects, their order and their bound.

use super::fixture::{Fixture, NOW_MS, Suite, assert_unsupported, reject};
use crate::page::{ITEM_OVERHEAD_BYTES, reject_bytes};
use crate::{Appended, Bounds, QuarantinePage, Reject, SMALL_REJECT_BYTES_MAX, Shares};

/// A reject that arrives `after_ms` after [`NOW_MS`].
fn reject_at(after_ms: u64, body: &[u8]) -> Reject {
    Reject {
        received_at_ms: NOW_MS + after_ms,
        ..reject(body)
    }
}

async fn page(journal: &Fixture, cursor: Option<&str>, limit: u32) -> QuarantinePage {
    let page = journal.list_quarantine(cursor, limit).await;
    page.expect("readable")
}

/// The first byte of each body.
fn first_bytes(page: &QuarantinePage) -> Vec<u8> {
    let rejects = page.rejects.iter();
    rejects.map(|kept| kept.reject.body[0]).collect()
}

pub(super) async fn a_reject_is_kept_word_for_word(suite: Suite) {
    let journal = suite.journal().await;
    for (at, pointer) in [(1, None), (2, Some("/notify_data/body"))] {
        let sent = Reject {
            received_at_ms: NOW_MS + at,
            reason: "not-a-notification".into(),
            detail: "nul \0 and 日本".into(),
            pointer: pointer.map(str::to_owned),
            body: vec![0, 159, 146, 150],
        };
        assert_eq!(journal.quarantine(sent.clone()).await, Appended::Recorded);
        let kept = page(&journal, None, 1).await.rejects.remove(0);
        assert_eq!(format!("{:?}", kept.reject), format!("{sent:?}"));
    }
}

pub(super) async fn rejects_are_listed_newest_first(suite: Suite) {
    let journal = suite.journal().await;
    for number in 0..7 {
        let sent = reject_at(number.into(), &[number]);
        assert_eq!(journal.quarantine(sent).await, Appended::Recorded);
    }
    let whole = page(&journal, None, 500).await;
    assert_eq!(first_bytes(&whole), [6, 5, 4, 3, 2, 1, 0]);
    assert_eq!((whole.dropped, whole.next), (0, None));
    let descends = whole
        .rejects
        .windows(2)
        .all(|pair| pair[0].seq > pair[1].seq);
    assert!(descends, "the newest reject has the greatest number");

    let first = page(&journal, None, 3).await;
    assert_eq!(first_bytes(&first), [6, 5, 4]);
    // A reject that arrives meanwhile does not shift the next page.
    journal.quarantine(reject_at(9, &[9])).await;
    let second = page(&journal, first.next.as_deref(), 3).await;
    assert_eq!(first_bytes(&second), [3, 2, 1]);
    let third = page(&journal, second.next.as_deref(), 3).await;
    assert_eq!((first_bytes(&third), third.next), (vec![0], None));
}

pub(super) async fn the_same_reject_without_a_signature_is_kept_again(suite: Suite) {
    let journal = suite.journal().await;
    for at in 0..2 {
        let sent = reject_at(at, b"body");
        assert_eq!(journal.quarantine(sent).await, Appended::Recorded);
    }
    assert_eq!(journal.quarantined().await, 2);
}

/// Bounds with room for three rejects of 100 bytes.
fn small_quarantine() -> Bounds {
    let each = ITEM_OVERHEAD_BYTES + reject(&[]).reason.len() + 100;
    Bounds {
        quarantine_max_bytes: 3 * each as u64,
        ..Bounds::default()
    }
}

pub(super) async fn the_oldest_rejects_are_dropped_and_counted(suite: Suite) {
    if !suite.capabilities.bounds {
        return;
    }
    let mut journal = suite.journal_with(small_quarantine()).await;
    for number in 1..=5 {
        let kept = journal.quarantine(reject(&[number; 100])).await;
        assert_eq!(kept, Appended::Recorded);
    }
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        let whole = page(&journal, None, 500).await;
        assert_eq!(first_bytes(&whole), [5, 4, 3]);
        assert_eq!(whole.dropped, 2, "reopened: {reopened}");
    }
    journal.quarantine(reject(&[6; 50])).await;
    let whole = page(&journal, None, 500).await;
    assert_eq!((first_bytes(&whole), whole.dropped), (vec![6, 5, 4], 3));
}

pub(super) async fn a_reject_larger_than_the_quarantine_costs_the_others_nothing(suite: Suite) {
    if !suite.capabilities.bounds {
        return;
    }
    let journal = suite.journal_with(small_quarantine()).await;
    journal.quarantine(reject(&[1; 100])).await;
    let dropped = journal.quarantine(reject(&[2; 2000])).await;
    assert_eq!(dropped, Appended::Recorded);
    let whole = page(&journal, None, 500).await;
    assert_eq!((first_bytes(&whole), whole.dropped), (vec![1], 1));
}

pub(super) async fn numbers_in_the_quarantine_are_not_reused(suite: Suite) {
    if !suite.capabilities.bounds {
        return;
    }
    let bounds = small_quarantine();
    let journal = suite.journal_with(bounds).await;
    journal.quarantine(reject(&[1; 100])).await;
    let first = page(&journal, None, 1).await.rejects[0].seq;
    // The next reject fills the whole quarantine.
    let overhead = ITEM_OVERHEAD_BYTES + reject(&[]).reason.len();
    let all = bounds.quarantine_max_bytes as usize - overhead;
    journal.quarantine(reject(&vec![2; all])).await;
    let whole = page(&journal, None, 500).await;
    assert_eq!(first_bytes(&whole), [2]);
    assert!(whole.rejects[0].seq > first);
}

pub(super) async fn a_reject_is_found_by_its_number(suite: Suite) {
    let journal = suite.journal().await;
    for at in 0..3 {
        let sent = Reject {
            received_at_ms: NOW_MS + at,
            detail: "line 1\0".into(),
            pointer: (at == 1).then(|| "/event".into()),
            ..reject(&[b'x', 0, at as u8])
        };
        journal.quarantine(sent).await;
    }
    let listed = page(&journal, None, 500).await.rejects;
    assert_eq!(listed.len(), 3);
    for kept in listed {
        let found = journal.find_reject(kept.seq).await.unwrap();
        assert_eq!(format!("{:?}", found.expect("found")), format!("{kept:?}"));
    }
    for seq in [0, 4711, u64::MAX] {
        assert!(journal.find_reject(seq).await.unwrap().is_none(), "{seq}");
    }
}

pub(super) async fn a_reject_is_removed_with_its_bytes(suite: Suite) {
    let bounds = Bounds {
        quarantine_max_bytes: 100_000,
        ..Bounds::default()
    };
    let mut journal = suite.journal_with(bounds).await;
    if !suite.capabilities.drop_rejects {
        return assert_unsupported(journal.drop_reject(1).await);
    }
    let body = vec![1; 10_000];
    for _ in 0..5 {
        journal.quarantine(reject(&body)).await;
    }
    let seqs: Vec<_> = page(&journal, None, 500).await.rejects;
    let seqs: Vec<_> = seqs.iter().map(|kept| kept.seq).collect();
    for seq in &seqs {
        assert!(journal.drop_reject(*seq).await.unwrap());
        assert!(!journal.drop_reject(*seq).await.unwrap(), "it is gone");
        assert!(journal.find_reject(*seq).await.unwrap().is_none());
    }
    assert!(!journal.drop_reject(u64::MAX).await.unwrap());
    if suite.capabilities.durable {
        journal = journal.reopen().await;
    }
    // There is room for as many as before, and the numbers go on.
    for _ in 0..9 {
        journal.quarantine(reject(&body)).await;
    }
    let page = page(&journal, None, 500).await;
    assert_eq!((page.rejects.len(), page.dropped), (9, 0));
    assert!(page.rejects[8].seq > seqs[0]);
}

/// The bytes that the rejects of a page take.
fn shares(page: &QuarantinePage) -> Shares {
    let mut shares = Shares::default();
    let bytes = |reject| reject_bytes(reject) as u64;
    let rejects = page.rejects.iter();
    rejects.for_each(|kept| shares.add(bytes(&kept.reject)));
    shares
}

pub(super) async fn large_rejects_do_not_push_small_ones_out(suite: Suite) {
    if !suite.capabilities.bounds || !suite.capabilities.robust_bounds {
        return;
    }
    let max = 8 * SMALL_REJECT_BYTES_MAX;
    let bounds = Bounds {
        quarantine_max_bytes: max,
        ..Bounds::default()
    };
    let (small, large) = (vec![1; 8_000], vec![2; 20_000]);
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let journal = suite.journal_with(bounds).await;
        for _ in 0..10 {
            journal.quarantine(reject(&small)).await;
        }
        for _ in 0..30 {
            let before = shares(&page(&journal, None, 500).await);
            let is_large = random.bool();
            let body = if is_large { &large } else { &small };
            journal.quarantine(reject(body)).await;
            let after = shares(&page(&journal, None, 500).await);
            assert!(after.total() <= max, "{after:?}");
            let (own, other) = if is_large {
                ((before.large, after.large), (before.small, after.small))
            } else {
                ((before.small, after.small), (before.large, after.large))
            };
            // The other size loses only what exceeds its half.
            assert!(
                other.1 >= other.0.min(half_less_one(max, 20_500)),
                "{before:?} {after:?}"
            );
            assert!(own.1 > 0, "the newest is kept");
        }
        // Many large rejects leave the small ones their half.
        for _ in 0..20 {
            journal.quarantine(reject(&large)).await;
        }
        let kept = shares(&page(&journal, None, 500).await);
        assert!(kept.small >= half_less_one(max, 8_500), "{kept:?}");
    }
}

/// Half of the quarantine, less one reject that may not have fitted.
fn half_less_one(max: u64, reject_bytes: u64) -> u64 {
    (max / 2).saturating_sub(reject_bytes)
}
