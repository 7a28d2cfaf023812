//! The progress of sinks.

use std::time::Duration;

use super::fixture::{Fixture, Suite};
use crate::Error;
use crate::outbox::{Acquired, DeadLetter, Hold, Outbox, ParkedEvent, SinkChange, SinkState};

/// A lease that outlasts a check.
const LONG: Duration = Duration::from_secs(3600);

fn outbox(journal: &Fixture) -> &dyn Outbox {
    journal.outbox().expect("an outbox")
}

pub(super) async fn acquire(journal: &Fixture, sink: &str, owner: &str) -> u64 {
    let acquired = outbox(journal).acquire(sink, owner, LONG, 7).await;
    match acquired.expect("acquired") {
        Acquired::Owned(fence) => fence,
        Acquired::HeldBy(other) => panic!("`{other}` has the sink"),
    }
}

pub(super) async fn load(journal: &Fixture, sink: &str) -> SinkState {
    let state = outbox(journal).load(sink).await.expect("readable");
    state.expect("a known sink")
}

pub(super) async fn save(journal: &Fixture, sink: &str, fence: u64, change: &SinkChange) -> Hold {
    let saved = outbox(journal).save(sink, fence, change).await;
    saved.expect("saved")
}

async fn renew(journal: &Fixture, sink: &str, fence: u64, lease: Duration) -> Hold {
    let renewed = outbox(journal).renew(sink, fence, lease).await;
    renewed.expect("renewed")
}

pub(super) async fn release(journal: &Fixture, sink: &str, fence: u64) -> Hold {
    let released = outbox(journal).release(sink, fence).await;
    released.expect("released")
}

async fn is_unknown(journal: &Fixture, sink: &str) -> bool {
    let state = outbox(journal).load(sink).await;
    state.expect("readable").is_none()
}

pub(super) fn parked(seq: u64, error: &str) -> ParkedEvent {
    ParkedEvent {
        seq,
        app_id: "app".into(),
        task_id: format!("task\0{seq}"),
        attempts: 3,
        not_before_ms: 1_700_000_000_000 + seq,
        error: error.into(),
    }
}

pub(super) fn dead(seq: u64) -> DeadLetter {
    DeadLetter {
        seq,
        app_id: "app\0".into(),
        task_id: "task".into(),
        attempts: 8,
        died_at_ms: 1_700_000_000_000,
        error: "404 Not Found\0".into(),
    }
}

pub(super) async fn a_new_sink_begins_at_its_position(suite: Suite) {
    if !suite.capabilities.outbox {
        return;
    }
    let journal = suite.journal().await;
    assert!(is_unknown(&journal, "hook").await);
    acquire(&journal, "hook", "a").await;
    let state = load(&journal, "hook").await;
    let expected = SinkState {
        owner: "a".into(),
        position: 7,
        ..SinkState::default()
    };
    assert_eq!(state, expected);
    assert!(is_unknown(&journal, "other").await);
}

pub(super) async fn the_progress_of_a_sink_is_kept(suite: Suite) {
    if !suite.capabilities.outbox {
        return;
    }
    let mut journal = suite.journal().await;
    let fence = acquire(&journal, "hook", "a").await;
    let first = SinkChange {
        position: 20,
        memo: Some("{\"since\":1,\"id\":\"\0ü\"}".into()),
        parked: vec![parked(12, ""), parked(9, "timeout"), parked(11, "")],
        dead: vec![dead(10), dead(8)],
        ..SinkChange::default()
    };
    let second = SinkChange {
        position: 30,
        paused: true,
        memo: None,
        parked: vec![parked(11, "reset"), parked(25, "")],
        unparked: vec![9, 12, 404],
        dead: vec![dead(21)],
        resolved: vec![8, 404],
    };
    // A change may be repeated.
    for change in [&first, &first, &second, &second] {
        assert_eq!(save(&journal, "hook", fence, change).await, Hold::Kept);
    }
    let other = acquire(&journal, "other", "a").await;
    let change = SinkChange {
        position: 1,
        ..SinkChange::default()
    };
    assert_eq!(save(&journal, "other", other, &change).await, Hold::Kept);
    let expected = SinkState {
        owner: "a".into(),
        position: 30,
        paused: true,
        memo: first.memo.clone().unwrap_or_default(),
        parked: vec![parked(11, "reset"), parked(25, "")],
        dead: vec![dead(10), dead(21)],
    };
    assert_eq!(load(&journal, "hook").await, expected);
    if suite.capabilities.durable {
        journal = journal.reopen().await;
        assert_eq!(load(&journal, "hook").await, expected);
    }
    // The next owner continues there, and not at its own first position.
    assert_eq!(release(&journal, "hook", fence).await, Hold::Kept);
    assert_eq!(load(&journal, "hook").await.owner, "");
    let fence = acquire(&journal, "hook", "b").await;
    assert_eq!(load(&journal, "hook").await.position, 30);
    let forget = SinkChange {
        memo: Some(String::new()),
        ..SinkChange::default()
    };
    assert_eq!(save(&journal, "hook", fence, &forget).await, Hold::Kept);
    assert_eq!(load(&journal, "hook").await.memo, "");
}

pub(super) async fn a_former_owner_of_a_sink_is_refused(suite: Suite) {
    if !suite.capabilities.outbox {
        return;
    }
    let journal = suite.journal().await;
    let former = acquire(&journal, "hook", "a").await;
    if journal.is_shared() {
        let refused = outbox(&journal).acquire("hook", "b", LONG, 0).await;
        assert_eq!(refused.expect("asked"), Acquired::HeldBy("a".into()));
        let shortened = renew(&journal, "hook", former, Duration::ZERO).await;
        assert_eq!(shortened, Hold::Kept);
    }
    let fence = acquire(&journal, "hook", "b").await;
    assert!(fence > former, "{fence} {former}");
    let change = SinkChange {
        position: 99,
        paused: true,
        memo: Some("late".into()),
        parked: vec![parked(1, "late")],
        unparked: Vec::new(),
        dead: vec![dead(2)],
        resolved: Vec::new(),
    };
    let before = load(&journal, "hook").await;
    for number in [former, fence + 1, 0] {
        assert_eq!(save(&journal, "hook", number, &change).await, Hold::Lost);
        assert_eq!(renew(&journal, "hook", number, LONG).await, Hold::Lost);
        assert_eq!(release(&journal, "hook", number).await, Hold::Lost);
    }
    assert_eq!(save(&journal, "none", 1, &change).await, Hold::Lost);
    assert_eq!(load(&journal, "hook").await, before);
    assert_eq!(renew(&journal, "hook", fence, LONG).await, Hold::Kept);
    assert_eq!(save(&journal, "hook", fence, &change).await, Hold::Kept);
    // Even a released sink gets a greater number.
    assert_eq!(release(&journal, "hook", fence).await, Hold::Kept);
    assert!(acquire(&journal, "hook", "a").await > fence);
}

pub(super) async fn the_outbox_of_a_closed_journal_is_unavailable(suite: Suite) {
    if !suite.capabilities.outbox {
        return;
    }
    let journal = suite.journal().await;
    let fence = acquire(&journal, "hook", "a").await;
    journal.close().await;
    let outbox = outbox(&journal);
    let refused = [
        outbox.acquire("hook", "a", LONG, 0).await.err(),
        outbox.renew("hook", fence, LONG).await.err(),
        outbox.release("hook", fence).await.err(),
        outbox.load("hook").await.err(),
        outbox
            .save("hook", fence, &SinkChange::default())
            .await
            .err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(Error::Unavailable(_))), "{error:?}");
    }
}
