//! Validation, measures, restart and close.

use std::collections::BTreeSet;

use super::fixture::{Fixture, NOW_MS, Suite, all_tasks, event, reject, signed};
use crate::page::reject_bytes;
use crate::{Appended, Entry, Error, Event, GroupCommit, Reject, SignatureUse, group_commit};

/// Invalid entries, which group commit refuses before a backend sees them.
fn invalid_entries() -> Vec<Entry> {
    let valid = || event("task", "a", 1);
    let events = [
        Event {
            app_id: String::new(),
            ..valid()
        },
        Event {
            task_id: String::new(),
            ..valid()
        },
        Event {
            digest: vec![0; 31],
            ..valid()
        },
        Event {
            occurred_at_ms: u64::MAX,
            ..valid()
        },
        Event {
            received_at_ms: u64::MAX,
            ..valid()
        },
    ];
    let good = signed("any", &valid(), NOW_MS);
    let signatures = [
        SignatureUse {
            signature: good.signature.to_uppercase(),
            ..good.clone()
        },
        SignatureUse {
            signature: good.signature[1..].into(),
            ..good.clone()
        },
        SignatureUse {
            signature: "g".repeat(64),
            ..good.clone()
        },
        SignatureUse {
            digest: vec![0; 33],
            ..good
        },
    ];
    let with_signature = |signature| Entry::Event(valid(), Some(signature));
    let late = Reject {
        received_at_ms: u64::MAX,
        ..reject(b"body")
    };
    let events = events.map(|event| Entry::Event(event, None));
    let mut entries = Vec::from(events);
    entries.extend(signatures.clone().map(with_signature));
    entries.extend(signatures.map(|signature| Entry::Reject(reject(b"body"), Some(signature))));
    entries.push(Entry::Reject(late, None));
    entries
}

pub(super) async fn only_the_invalid_entry_is_refused(suite: Suite) {
    let journal = suite.journal().await;
    let options = group_commit::Options::default();
    let commits = GroupCommit::new(journal.shared(), options, None).unwrap();
    for entry in invalid_entries() {
        let text = format!("{entry:?}");
        let refused = commits.write(entry).await;
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{text}");
    }
    assert_eq!(commits.stats().commits, 0);
    let valid = event("task", "a", 1);
    // A signature that never expires is valid.
    let signature = signed("any", &valid, u64::MAX);
    let written = commits.write(Entry::Event(valid, Some(signature))).await;
    assert_eq!(written.unwrap(), Appended::Recorded);
    commits.probe().await.unwrap();
    assert_eq!((commits.stats().commits, commits.stats().recorded), (2, 1));
}

pub(super) async fn content_survives_a_restart(suite: Suite) {
    if !suite.capabilities.durable {
        return;
    }
    let journal = suite.journal().await;
    for (at, status) in [(2, "Processing"), (1, "Waitting"), (3, "Success")] {
        journal.record(event("task", status, at)).await;
    }
    let again = journal.append(event("task", "Success", 3)).await;
    assert_eq!(again, Appended::Duplicate);
    journal.quarantine(reject(b"body")).await;
    let before = everything(&journal).await;
    let journal = journal.reopen().await;
    assert_eq!(everything(&journal).await, before);
    let again = journal.append(event("task", "Success", 3)).await;
    assert_eq!(again, Appended::Duplicate);
    journal.record(event("task", "Fail", 4)).await;
    assert_eq!(journal.task("task").await.status, "Fail");
}

/// The content of the journal as a text, to compare it.
async fn everything(journal: &Fixture) -> String {
    let tasks = journal.tasks(&all_tasks()).await;
    let history = journal.history("task").await;
    let rejects = journal.list_quarantine(None, 500).await.unwrap();
    let summary = journal.summarize(NOW_MS).await.unwrap();
    format!("{tasks:?}\n{history:?}\n{rejects:?}\n{summary:?}")
}

pub(super) async fn names_of_measures_are_unique(suite: Suite) {
    let journal = suite.journal().await;
    let measures = journal.measures();
    let names: BTreeSet<_> = measures.iter().map(|measure| measure.name).collect();
    assert_eq!(names.len(), measures.len());
    for measure in measures {
        assert!(
            measure.name.starts_with("batchtask_journal_"),
            "{measure:?}"
        );
        assert!(measure.help.ends_with('.'), "{measure:?}");
    }
}

pub(super) async fn the_quarantine_is_measured(suite: Suite) {
    if !suite.capabilities.measures {
        return;
    }
    let journal = suite.journal().await;
    let value = |name: &str| {
        let measures = journal.measures();
        let found = measures.iter().find(|measure| measure.name == name);
        found.expect(name).value
    };
    let kept = reject(b"body");
    journal.quarantine(kept.clone()).await;
    let bytes = value("batchtask_journal_quarantine_bytes");
    assert_eq!(bytes, reject_bytes(&kept) as u64);
    assert_eq!(value("batchtask_journal_quarantine_dropped_total"), 0);
}

pub(super) async fn a_closed_journal_is_unavailable(suite: Suite) {
    let journal = suite.journal().await;
    journal.record(event("task", "Success", 1)).await;
    journal.close().await;
    journal.close().await;
    let refused = [
        journal.commit(vec![Entry::Probe]).await.err(),
        journal.find_task("app", "task").await.err(),
        journal.list_tasks(&all_tasks()).await.err(),
        journal.list_history("app", "task", None, 1).await.err(),
        journal.list_quarantine(None, 1).await.err(),
        journal.summarize(0).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(Error::Unavailable(_))), "{error:?}");
    }
}
