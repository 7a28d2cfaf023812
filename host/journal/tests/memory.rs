//! The journal in memory runs the conformance suite: as a journal of a host,
//! and as a journal of the guest.

use std::sync::Arc;

use async_trait::async_trait;
use batchtask_journal::conformance::{Capabilities, Factory, Sequential};
use batchtask_journal::{Bounds, Journal, MemoryJournal};

/// Makes journals in memory.
struct Memory;

#[async_trait]
impl Factory for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            ..Capabilities::FULL
        }
    }

    async fn open(&self, _name: &str, bounds: Bounds) -> Arc<dyn Journal> {
        Arc::new(MemoryJournal::new(bounds))
    }
}

mod host {
    use super::Memory;

    batchtask_journal::conformance_tests!(Memory);
}

/// Makes journals in memory that are used through the guest's trait.
struct MemoryOfGuest;

#[async_trait]
impl Factory for MemoryOfGuest {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            measures: false,
            // The trait of the guest cannot prune.
            prune: false,
            ..Capabilities::FULL
        }
    }

    async fn open(&self, _name: &str, bounds: Bounds) -> Arc<dyn Journal> {
        Arc::new(Sequential::new(MemoryJournal::new(bounds)))
    }
}

mod guest {
    use super::MemoryOfGuest;

    batchtask_journal::conformance_tests!(MemoryOfGuest);
}
