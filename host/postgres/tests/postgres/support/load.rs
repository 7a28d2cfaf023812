//! [`Load`]: writers that keep a ledger of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use batchtask_journal::{Appended, GroupCommit, Journal, group_commit};
use batchtask_postgres::PostgresJournal;
use tokio::task::JoinSet;

use super::entries;

/// Writers on one or more hosts. A write that fails is repeated until it succeeds.
pub(crate) struct Load {
    hosts: Vec<Arc<GroupCommit>>,
    writers: JoinSet<()>,
    ledger: Arc<Ledger>,
}

/// What was written.
#[derive(Default)]
pub(crate) struct Ledger {
    stopped: AtomicBool,
    next: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// The longest time of a write that failed, in milliseconds.
    pub(crate) longest_error_ms: AtomicU64,
    acknowledged: Mutex<BTreeMap<u64, Appended>>,
}

impl Load {
    /// Starts this many writers on each host.
    pub(crate) fn start(journals: Vec<PostgresJournal>, writers: usize) -> Self {
        let ledger = Arc::new(Ledger::default());
        let mut load = Self {
            hosts: Vec::new(),
            writers: JoinSet::new(),
            ledger,
        };
        for journal in journals {
            let options = group_commit::Options::default();
            let host = GroupCommit::new(Arc::new(journal), options, None).expect("a runtime");
            let host = Arc::new(host);
            for _ in 0..writers {
                load.writers.spawn(write(host.clone(), load.ledger.clone()));
            }
            load.hosts.push(host);
        }
        load
    }

    pub(crate) fn hosts(&self) -> &[Arc<GroupCommit>] {
        &self.hosts
    }

    /// Waits until this many more events were acknowledged.
    pub(crate) async fn progress(&self, events: usize) {
        let goal = self.ledger.acknowledged() + events;
        let until = Instant::now() + Duration::from_secs(60);
        while self.ledger.acknowledged() < goal {
            assert!(Instant::now() < until, "the load makes no progress");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the writers, each after its write was acknowledged.
    pub(crate) async fn finish(mut self) -> (Vec<Arc<GroupCommit>>, Arc<Ledger>) {
        self.ledger.stopped.store(true, Relaxed);
        let ending = async { while self.writers.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(Duration::from_secs(60), ending).await;
        ended.expect("the writers end");
        (self.hosts, self.ledger)
    }
}

async fn write(host: Arc<GroupCommit>, ledger: Arc<Ledger>) {
    while !ledger.stopped.load(Relaxed) {
        let number = ledger.next.fetch_add(1, Relaxed);
        loop {
            let started = Instant::now();
            match host.write(entries::entry(number)).await {
                Ok(outcome) => {
                    ledger.acknowledged.lock().unwrap().insert(number, outcome);
                    break;
                }
                Err(error) => {
                    assert!(batchtask_journal::is_retryable(&error), "{error}");
                    let ms = u64::try_from(started.elapsed().as_millis()).unwrap();
                    ledger.errors.fetch_add(1, Relaxed);
                    ledger.longest_error_ms.fetch_max(ms, Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

impl Ledger {
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Checks that everything that was acknowledged is stored exactly once, that
    /// the feed has no gap, and that nothing else is stored.
    pub(crate) async fn check(&self, journal: &dyn Journal) {
        let feed = feed(journal).await;
        let seqs: Vec<u64> = feed.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (1..=feed.len() as u64).collect::<Vec<_>>(), "no gaps");
        let stored: BTreeSet<u64> = feed.iter().map(|(_, number)| *number).collect();
        assert_eq!(stored.len(), feed.len(), "nothing is stored twice");
        let acknowledged = self.acknowledged.lock().unwrap();
        let missing: Vec<_> = acknowledged
            .keys()
            .filter(|key| !stored.contains(key))
            .collect();
        assert!(
            missing.is_empty(),
            "acknowledged, but not stored: {missing:?}"
        );
        assert_eq!(
            stored.len(),
            acknowledged.len(),
            "every write was repeated until it succeeded"
        );
    }
}

/// Returns the whole feed, as numbers in it and the numbers of the events.
pub(crate) async fn feed(journal: &dyn Journal) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    loop {
        let after = all.last().map_or(0, |last| last.0);
        let page = journal.events_after(after, 500).await.expect("readable");
        if page.is_empty() {
            return all;
        }
        let page = page
            .iter()
            .map(|stored| (stored.seq, entries::number(&stored.event.digest)));
        all.extend(page);
    }
}
