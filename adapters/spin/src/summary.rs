//! The overview of the journal, mostly from keys.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::{Error, StatusCounts, Summary};

use crate::bucket::Bucket;
use crate::journal::Journal;
use crate::key::{EVENT, EventKey};
use crate::limits::MAX_TASKS_READ;
use crate::timeline::Entry;

impl<B: Bucket> Journal<B> {
    /// Counts tasks by status. Only values contain arrivals, so the last arrival
    /// is that of the newest event, and stale tasks are not counted.
    pub fn summarize(&self) -> Result<Summary, Error> {
        let keys = self.scan(&[EVENT])?;
        let mut counts = StatusCounts::default();
        let mut newest: Option<(EventKey<'_>, &String)> = None;
        let mut reads = 0_usize;
        for timeline in keys.timelines() {
            let Some(Entry { key, event }) = timeline.events.last() else {
                continue;
            };
            let status: String = match event.status {
                Some(status) => status.into(),
                None if reads < MAX_TASKS_READ => {
                    reads = reads.saturating_add(1);
                    self.values([*key].into())?.expect_event(key)?.status
                }
                // Too many values to read: these are counted together.
                None => String::new(),
            };
            counts.add(event.rank, &status, 1);
            if newest.is_none_or(|(newest, _)| newest.occurred_at_ms < event.occurred_at_ms) {
                newest = Some((*event, *key));
            }
        }
        let last = match newest {
            Some((_, key)) => Some(self.values([key].into())?.expect_event(key)?),
            None => None,
        };
        Ok(Summary {
            statuses: counts.finish(),
            last_received_at_ms: last.map(|event| event.received_at_ms),
            stale: None,
            notices: Vec::new(),
            sinks: None,
        })
    }
}
