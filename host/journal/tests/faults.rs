//! The conformance suite finds every fault of a broken journal.

use std::panic;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batchtask_journal::conformance::{Broken, CHECKS, Capabilities, Factory, Fault};
use batchtask_journal::{Bounds, Journal, MemoryJournal};

/// Opens journals in memory with a fault.
struct WithFault {
    /// `None` if the fault is that the factory ignores the bounds.
    fault: Option<Fault>,
}

#[async_trait]
impl Factory for WithFault {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            ..Capabilities::FULL
        }
    }

    async fn open(&self, _name: &str, bounds: Bounds) -> Arc<dyn Journal> {
        match self.fault {
            Some(fault) => Arc::new(Broken::new(Arc::new(MemoryJournal::new(bounds)), fault)),
            None => Arc::new(MemoryJournal::default()),
        }
    }
}

/// Returns the name of the first check that fails with this fault.
async fn failed_check(fault: Option<Fault>) -> Option<&'static str> {
    for check in CHECKS {
        let running = tokio::spawn(check.run(Arc::new(WithFault { fault })));
        // A fault in the feed may make a check wait for an event forever.
        let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
        if !matches!(ended, Ok(Ok(()))) {
            return Some(check.name);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_finds_every_fault() {
    // The checks panic on purpose.
    panic::set_hook(Box::new(|_| {}));
    let mut found = Vec::new();
    for fault in Fault::ALL.iter().copied().map(Some).chain([None]) {
        found.push((fault, failed_check(fault).await));
    }
    let _ = panic::take_hook();
    let missed: Vec<_> = found.iter().filter(|(_, check)| check.is_none()).collect();
    assert!(missed.is_empty(), "no check finds {missed:?} of {found:?}");
}
