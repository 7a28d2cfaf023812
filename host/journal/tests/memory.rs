//! The journal in memory runs the conformance suite: as a journal of a host,
//! and as a journal of the guest.

use std::sync::Arc;

use async_trait::async_trait;
use batchtask_journal::conformance::{Capabilities, Factory, Sequential};
use batchtask_journal::{Bounds, Journal, MemoryJournal};

/// Opens journals in memory.
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

/// Opens journals in memory that are used through the guest's trait.
struct MemoryThroughGuest;

#[async_trait]
impl Factory for MemoryThroughGuest {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            measures: false,
            // The guest's trait has none of these.
            outbox: false,
            drop_rejects: false,
            prune: false,
            details: false,
            ..Capabilities::FULL
        }
    }

    async fn open(&self, _name: &str, bounds: Bounds) -> Arc<dyn Journal> {
        Arc::new(Sequential::new(MemoryJournal::new(bounds)))
    }
}

mod guest {
    use super::MemoryThroughGuest;

    batchtask_journal::conformance_tests!(MemoryThroughGuest);
}
