//! The journal at a glance, mostly from keys.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bucket::Bucket;
use crate::journal::{Error, Journal, StatusCount, Summary};
use crate::key::{EVENT, EventKey};
use crate::limits::MAX_TASKS_READ;
use crate::timeline::Entry;

impl<B: Bucket> Journal<B> {
    /// Counts tasks. Arrivals are in values only, so that the last one told is
    /// that of the newest event, and silent tasks are not counted.
    pub fn summarize(&self) -> Result<Summary, Error> {
        let keys = self.scan(&[EVENT])?;
        let mut statuses: Vec<StatusCount> = Vec::new();
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
                None => {
                    let text = "more tasks than can be read have undocumented statuses";
                    return Err(Error::Unsupported(text.into()));
                }
            };
            let place = (event.rank, status.as_str());
            let found =
                statuses.binary_search_by(|count| (count.rank, count.status.as_str()).cmp(&place));
            match found.map(|at| statuses.get_mut(at)) {
                Ok(Some(count)) => count.tasks = count.tasks.saturating_add(1),
                Ok(None) => {}
                Err(at) => statuses.insert(
                    at,
                    StatusCount {
                        status,
                        rank: event.rank,
                        tasks: 1,
                    },
                ),
            }
            if newest.is_none_or(|(newest, _)| newest.occurred_at_ms < event.occurred_at_ms) {
                newest = Some((*event, *key));
            }
        }
        let last = match newest {
            Some((_, key)) => Some(self.values([key].into())?.expect_event(key)?),
            None => None,
        };
        Ok(Summary {
            statuses,
            last_received_at_ms: last.map(|event| event.received_at_ms),
            stale: None,
        })
    }
}
