//! The conformance suite of all journals, with a bucket in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use batchtask_journal::conformance::{Capabilities, Factory, Sequential};
use batchtask_journal::{Bounds, Journal as HostJournal};

use super::memory::Memory;
use crate::journal::Journal;

/// Opens journals in buckets that remain when a journal is closed.
#[derive(Default)]
struct Buckets(Mutex<HashMap<String, Memory>>);

#[async_trait]
impl Factory for Buckets {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // All content is in the bucket, which remains when the journal is closed.
            durable: true,
            // A number that grows by 1 needs a transaction.
            feed: false,
            // Without a feed there is nothing to pass on.
            outbox: false,
            // The component cannot receive other bounds than those in `limits`.
            bounds: false,
            // A set of keys has no counter. A key for each arrival would be
            // unbounded, so there is one for each request id.
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
            // Only values contain flags, arrivals and ids.
            rich_lists: false,
            // A set of keys has no counter.
            activity: false,
            // The guest's interface has no function for it.
            drop_rejects: false,
            // The guest's interface has no function for it.
            prune: false,
            // No host asks the platform for them.
            details: false,
            // The bounds in `limits` use numbers of keys and the host's clock.
            robust_bounds: false,
            // The guest's interface has no function for it.
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
