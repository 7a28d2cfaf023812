//! Copies of the whole content.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_trait::async_trait;

use super::details::details;
use super::fixture::{
    Closed, Fixture, NOW_MS, Suite, all_tasks, digest, event, reject, signed, signed_reject,
};
use super::outbox;
use crate::copy::record::{Part, Records, Totals};
use crate::copy::{Batches, Content, Copied, CopyError, Head, Place, copy};
use crate::outbox::{Hold, SinkChange};
use crate::{Appended, Bounds, Entry, Error, Event, EventFlags, Source};

/// A sink.
const SINK: &str = "a sink";

/// The rank of `Success`.
const FINAL: u8 = 5;

/// A bound that makes the quarantine drop rejects.
const BOUNDS: Bounds = Bounds {
    quarantine_max_bytes: 4096,
    signatures_max: 1000,
};

/// A journal that refuses records after some calls, like one that was killed.
struct Failing {
    content: Arc<dyn Content>,
    calls_left: AtomicUsize,
}

#[async_trait]
impl Content for Failing {
    async fn head(&self) -> Result<Head, Error> {
        self.content.head().await
    }

    fn read(&self, part: Part, skip: u64) -> Batches {
        self.content.read(part, skip)
    }

    async fn begin(&self, source: &str) -> Result<(), Error> {
        self.content.begin(source).await
    }

    async fn add(&self, records: Records, place: Place) -> Result<(), Error> {
        let used = self
            .calls_left
            .fetch_update(Relaxed, Relaxed, |calls| calls.checked_sub(1));
        used.map_err(|_| Error::Unavailable("no call is left".into()))?;
        self.content.add(records, place).await
    }

    async fn finish(&self, totals: &Totals) -> Result<(), Error> {
        self.content.finish(totals).await
    }
}

/// Returns a closed journal with something of everything, or `None` if its content
/// cannot be copied.
async fn filled(suite: &Suite) -> Option<Closed> {
    let empty = suite.closed(BOUNDS);
    empty.content().await?;
    let journal = empty.open().await;
    fill_tasks(&journal).await;
    fill_additions(&journal).await;
    for serial in 0..40 {
        let reject = reject(format!("{serial} {}", "x".repeat(200)).as_bytes());
        let used = signed_reject(&format!("reject {serial}"), &reject, u64::MAX / 4);
        journal.quarantine_signed(reject, used).await;
    }
    while journal.prune(21).await.expect("pruned").more {}
    Some(journal.into_closed().await)
}

async fn fill_tasks(journal: &Fixture) {
    let whole = Event {
        event_time: None,
        event_time_ms: None,
        request_id: Some("first".into()),
        signature: Some("matched".into()),
        status_desc: "nul \0, \u{1} and 日本".into(),
        source: Source::Amqp,
        flags: EventFlags::LEGACY_FORM | EventFlags::NO_EVENT_TIME,
        body: vec![0, 159, 146, 150],
        ..event("whole \0 task", "Processing", 50)
    };
    let used = signed("event", &whole, NOW_MS * 2);
    journal.append_signed(whole.clone(), used).await;
    for serial in 0..20 {
        let request_id = Some(format!("again {serial}\0"));
        let again = Event {
            request_id,
            ..whole.clone()
        };
        assert_eq!(journal.append(again).await, Appended::Duplicate);
    }
    for (task, status, at, received_at_ms, rank) in [
        ("old", "Processing", 1, 10, 2),
        ("old", "Success", 2, 20, FINAL),
        ("history", "Success", 70, NOW_MS, FINAL),
        ("history", "Waitting", 60, NOW_MS + 5, 1),
        ("history", "Processing", 65, NOW_MS + 9, 2),
    ] {
        let event = Event {
            rank,
            received_at_ms,
            ..event(task, status, at)
        };
        journal.record(event).await;
    }
    let serials = 0..3000;
    let events = serials.map(|serial| event(&format!("task {}", serial % 7), "Processing", serial));
    let entries = events.map(|event| Entry::Event(event, None)).collect();
    journal.commit_all(entries).await;
}

/// Stores details of a task, and the progress of a sink.
async fn fill_additions(journal: &Fixture) {
    let details = details("history", "a name", 7);
    journal.describe(vec![details]).await.expect("described");
    let fence = outbox::acquire(journal, SINK, "a relay").await;
    let change = SinkChange {
        position: 9,
        paused: true,
        memo: Some("a\0 memo".into()),
        parked: vec![outbox::parked(8, "not\0 yet")],
        dead: vec![outbox::dead(6)],
        ..SinkChange::default()
    };
    let saved = outbox::save(journal, SINK, fence, &change).await;
    assert_eq!(saved, Hold::Kept);
    let released = outbox::release(journal, SINK, fence).await;
    assert_eq!(released, Hold::Kept);
}

/// Everything that can be read, as a text.
async fn readings(journal: &Fixture) -> String {
    let tasks = journal.tasks(&all_tasks()).await;
    let mut text = String::new();
    for task in &tasks.tasks {
        let history = journal
            .list_history(&task.app_id, &task.task_id, None, 500)
            .await;
        text += &format!("{task:?}\n{:?}\n", history.expect("readable"));
    }
    let quarantine = journal.list_quarantine(None, 500).await;
    text += &format!("{:?}\n", quarantine.expect("readable"));
    text += &format!(
        "{:?}\n",
        journal.summarize(NOW_MS + 7).await.expect("readable")
    );
    for stored in journal.feed(500).await {
        text += &format!("{stored:?}\n");
    }
    text += &format!("{:?}\n", outbox::load(journal, SINK).await);
    let measures = journal.measures().into_iter();
    let kept = ["quarantine", "pruned"];
    let kept = measures.filter(|measure| kept.iter().any(|part| measure.name.contains(part)));
    kept.fold(text, |text, measure| format!("{text}{measure:?}\n"))
}

async fn copied(from: &Closed, to: &Closed) -> Result<Copied, CopyError> {
    let (from, to) = (from.content().await, to.content().await);
    let (from, to) = (from.expect("content"), to.expect("content"));
    copy(&*from, &*to, &mut |_, _, _| ()).await
}

pub(super) async fn a_copy_is_the_same_journal(suite: Suite) {
    let Some(from) = filled(&suite).await else {
        return;
    };
    let to = suite.closed(BOUNDS);
    let first = copied(&from, &to).await.expect("copied");
    let [tasks, events, rejects, signatures, pruned, rest @ ..] = first.counts;
    assert_eq!((tasks, events, pruned), (9, 3004, 2));
    assert_eq!(
        rest,
        [1, 1, 1, 1],
        "details, sinks, parked events, dead letters"
    );
    assert!(rejects > 0 && rejects < 40 && signatures == 41);
    // A copy of the copy has the same digest.
    let again = suite.closed(BOUNDS);
    assert_eq!(copied(&to, &again).await.expect("copied"), first);
    let (from, to) = (from.open().await, again.open().await);
    let expected = readings(&from).await;
    assert_eq!(readings(&to).await, expected);
    for journal in [&from, &to] {
        go_on(journal).await;
    }
    assert_eq!(readings(&to).await, readings(&from).await);
}

/// A copied journal knows what its source knew.
async fn go_on(journal: &Fixture) {
    let known = event("task 1", "Processing", 1);
    assert_eq!(journal.append(known).await, Appended::Duplicate);
    let pruned = Event {
        rank: FINAL,
        ..event("old", "Success", 2)
    };
    assert_eq!(journal.append(pruned).await, Appended::Duplicate);
    let other = event("other", "Processing", 1);
    let used = signed("event", &other, NOW_MS * 2);
    assert_eq!(
        journal.append_signed(other.clone(), used).await,
        Appended::Replayed
    );
    journal.record(other).await;
    let last = journal.feed(500).await.pop().expect("an event");
    assert_eq!(last.seq, 3007);
    journal.quarantine(reject(b"new")).await;
    let page = journal.list_quarantine(None, 1).await.expect("readable");
    assert_eq!(page.rejects[0].seq, 41);
}

pub(super) async fn an_interrupted_copy_goes_on(suite: Suite) {
    let Some(from) = filled(&suite).await else {
        return;
    };
    let to = suite.closed(BOUNDS);
    let mut interrupted = 0;
    let copied = loop {
        let (source, target) = (from.content().await, to.content().await);
        let target = Failing {
            content: target.expect("content"),
            calls_left: AtomicUsize::new(1),
        };
        match copy(&*source.expect("content"), &target, &mut |_, _, _| ()).await {
            Ok(copied) => break copied,
            Err(CopyError::Target(_)) => interrupted += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(interrupted < 20, "the copy makes progress");
    };
    assert!(interrupted >= 5, "{interrupted}");
    let other = suite.closed(BOUNDS);
    assert_eq!(self::copied(&from, &other).await.expect("copied"), copied);
    let (from, to) = (from.open().await, to.open().await);
    assert_eq!(readings(&to).await, readings(&from).await);
}

pub(super) async fn a_copy_needs_an_empty_journal_or_its_own_beginning(suite: Suite) {
    let Some(from) = filled(&suite).await else {
        return;
    };
    let error = copied(&from, &from_other(&suite).await).await.unwrap_err();
    assert!(matches!(error, CopyError::NotEmpty), "{error}");
    let to = suite.closed(BOUNDS);
    let begun = to.content().await.expect("content");
    begun.begin("another journal").await.expect("begun");
    drop(begun);
    let error = copied(&from, &to).await.unwrap_err();
    assert!(matches!(error, CopyError::OtherSource), "{error}");
    let error = copied(&to, &suite.closed(BOUNDS)).await.unwrap_err();
    assert!(matches!(error, CopyError::SourceIncomplete), "{error}");
}

/// A journal with one event.
async fn from_other(suite: &Suite) -> Closed {
    let journal = suite.journal().await;
    let one = Event {
        digest: digest(&"one"),
        ..event("task", "Success", 1)
    };
    journal.record(one).await;
    journal.into_closed().await
}

pub(super) async fn a_changed_source_is_noticed(suite: Suite) {
    let Some(from) = filled(&suite).await else {
        return;
    };
    let to = suite.closed(BOUNDS);
    let (source, target) = (from.content().await, to.content().await);
    let target = Failing {
        content: target.expect("content"),
        calls_left: AtomicUsize::new(1),
    };
    let interrupted = copy(&*source.expect("content"), &target, &mut |_, _, _| ()).await;
    assert!(interrupted.is_err());
    drop(target);
    let journal = from.open().await;
    journal.record(event("late", "Processing", 1)).await;
    let error = copied(&journal.into_closed().await, &to).await.unwrap_err();
    assert!(matches!(error, CopyError::OtherSource), "{error}");
}
