//! How the suite opens a journal, and which abilities it may expect.

use std::sync::Arc;

use async_trait::async_trait;

use crate::copy::Content;
use crate::{Bounds, Journal};

/// Opens the journals that the checks use.
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// Returns the abilities of the journals.
    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    /// Opens the journal called `name`, and creates it if it does not exist. The
    /// names are short and consist of digits. The suite closes a journal before it
    /// opens it again.
    async fn open(&self, name: &str, bounds: Bounds) -> Arc<dyn Journal>;

    /// Opens the content of the journal called `name` for a copy, and creates the journal
    /// if it does not exist. Returns `None` if its content cannot be copied.
    async fn content(&self, name: &str) -> Option<Arc<dyn Content>> {
        let _ = name;
        None
    }
}

/// The abilities of a journal. A check that needs more passes without checking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// Its content survives closing and opening again.
    pub durable: bool,
    /// It has a feed. Otherwise `events_after` returns `Unsupported`.
    pub feed: bool,
    /// It keeps the [`Bounds`] that it was opened with. Otherwise it has its own
    /// bounds, which the suite does not check.
    pub bounds: bool,
    /// It counts every duplicate, and lists the first request ids in
    /// alphabetical order. Otherwise a duplicate is counted once for each request
    /// id, and any of the request ids are listed.
    pub exact_totals: bool,
    /// A task in a list is the same as the task alone. Otherwise flags and
    /// request ids may be missing in the list.
    pub complete_lists: bool,
    /// Tasks that changed at the same instant are listed by application id and
    /// task id. Otherwise their order is arbitrary, but the same on all pages.
    pub ordered_ties: bool,
    /// Events without a time are in order of arrival, also within a millisecond.
    /// Otherwise the rank decides within a millisecond.
    pub follows_arrival: bool,
    /// The summary counts stale tasks, and its last arrival covers all events
    /// and duplicates.
    pub exact_summary: bool,
    /// It filters tasks by flags and staleness, sorts them by every property, and
    /// counts them. Otherwise such a query returns `Unsupported`, and nothing is
    /// counted.
    pub rich_lists: bool,
    /// It counts arrivals. Otherwise `list_activity` returns `Unsupported`.
    pub activity: bool,
    /// Rejects can be removed from it. Otherwise `drop_reject` returns
    /// `Unsupported`.
    pub drop_rejects: bool,
    /// Old tasks can be removed from it. Otherwise `prune` returns
    /// `Unsupported`.
    pub prune: bool,
    /// It stores details of tasks. Otherwise `describe` returns `Unsupported`.
    pub details: bool,
    /// Large rejects do not displace small ones, and no signature is forgotten
    /// when the clock jumps ahead.
    pub robust_bounds: bool,
    /// It stores the progress of sinks.
    pub outbox: bool,
    /// It measures its quarantine.
    pub measures: bool,
    /// The greatest length of a text or a body, in bytes. At least 300,000.
    pub item_bytes_max: usize,
}

impl Capabilities {
    /// All abilities.
    pub const FULL: Self = Self {
        durable: true,
        feed: true,
        bounds: true,
        exact_totals: true,
        complete_lists: true,
        ordered_ties: true,
        follows_arrival: true,
        exact_summary: true,
        rich_lists: true,
        activity: true,
        drop_rejects: true,
        prune: true,
        details: true,
        robust_bounds: true,
        outbox: true,
        measures: true,
        item_bytes_max: usize::MAX,
    };
}
