//! The suite that every journal runs, over a bucket in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use batchtask_journal::conformance::{Capabilities, Factory, Sequential};
use batchtask_journal::{Bounds, Journal as HostJournal};

use super::memory::Memory;
use crate::journal::Journal;

/// Opens journals over buckets that stay when a journal is closed.
#[derive(Default)]
struct Buckets(Mutex<HashMap<String, Memory>>);

#[async_trait]
impl Factory for Buckets {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // All content is in the bucket, which outlives the journal.
            durable: true,
            // No number grows by 1 without a transaction.
            feed: false,
            // The component has no bounds to pass on: those in `limits` hold.
            bounds: false,
            // A set of keys has no counter. Each arrival as a key of its own
            // would have no bound, so there is a key for each request id.
            exact_totals: false,
            // A list reads one value for each task, not all of its events.
            complete_lists: false,
            // Only values contain the ids. An order by id would read a value
            // for each task in the bucket.
            ordered_ties: false,
            // An append does not read the other events of its task.
            follows_arrival: false,
            // Only values contain the arrivals, for the same reason.
            exact_summary: false,
            // The interface of the guest cannot prune: a store has its own means.
            prune: false,
            // Its bounds are those in `limits`, by number and by the host's clock.
            robust_bounds: false,
            // The interface of the guest has no measures.
            measures: false,
            // A text and the rest of its event share `MAX_VALUE_BYTES`.
            item_bytes_max: 390_000,
        }
    }

    async fn open(&self, name: &str, _bounds: Bounds) -> Arc<dyn HostJournal> {
        let mut buckets = self.0.lock().unwrap();
        let bucket = buckets.entry(name.into()).or_default().clone();
        Arc::new(Sequential::new(Journal { bucket }))
    }
}

batchtask_journal::conformance_tests!(Buckets::default());
