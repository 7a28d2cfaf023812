//! Reads the events of a task.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use batchtask_guest::journal::{
    Error, Event, HistoryPage, PAGE_BYTES_MAX, REQUEST_IDS_MAX, StoredEvent,
};

use crate::bucket::Bucket;
use crate::journal::Journal;
use crate::key::{self, EVENT, EventKey, REPEAT};
use crate::tasks::{listed, repeated_ids};
use crate::timeline::{Entry, Keys};

impl<B: Bucket> Journal<B> {
    /// Returns a page of a task's events, in order of occurrence.
    pub fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        let task = key::task(app_id, task_id);
        let after = cursor.map(|cursor| key_of(cursor, &task)).transpose()?;
        let keys = self.scan_task(&task)?;
        let timeline = keys.timeline(&task);
        let entries = timeline
            .as_ref()
            .map_or(&[][..], |timeline| &timeline.events);
        let start = match &after {
            Some(after) => entries.partition_point(|entry| entry.key <= after),
            None => 0,
        };
        let (before, rest) = entries.split_at_checked(start).unwrap_or_default();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut events = self.read(&keys, rest, limit)?;
        let next = rest.get(events.len());
        self.mark_late(&mut events, next)?;
        let last = events.len().checked_sub(1).and_then(|last| rest.get(last));
        Ok(HistoryPage {
            events,
            previous_status: before.last().map(|entry| self.status(entry)).transpose()?,
            next: last
                .filter(|_| next.is_some())
                .map(|entry| cursor_at(entry.key, &task)),
        })
    }

    /// Reads as many of these events as fit on a page.
    fn read(
        &self,
        keys: &Keys,
        entries: &[Entry<'_>],
        limit: usize,
    ) -> Result<Vec<StoredEvent>, Error> {
        let (mut events, mut bytes) = (Vec::new(), 0_usize);
        for entry in entries {
            if events.len() >= limit || bytes >= PAGE_BYTES_MAX {
                break;
            }
            let mut prefix = key::task_prefix(REPEAT, entry.event.task);
            prefix.push_str(entry.event.digest);
            let repeats = keys.with_prefix(&prefix);
            let mut keys_to_read = vec![entry.key];
            keys_to_read.extend(repeats.iter().take(REQUEST_IDS_MAX));
            let values = self.values(keys_to_read)?;
            let event = values.expect_event(entry.key)?;
            let mut request_ids = repeated_ids(repeats, &values);
            request_ids.extend(event.request_id.clone());
            bytes = bytes.saturating_add(values.get(entry.key).map_or(0, <[u8]>::len));
            events.push(StoredEvent {
                seq: event.received_at_ms,
                duplicates: u64::try_from(repeats.len()).unwrap_or(u64::MAX),
                request_ids: listed(request_ids),
                late: false,
                event,
            });
        }
        Ok(events)
    }

    /// Marks the events that arrived after an event that follows them in order of
    /// occurrence. `next` is the event after the page.
    fn mark_late(&self, events: &mut [StoredEvent], next: Option<&Entry<'_>>) -> Result<(), Error> {
        let mut earliest_ms = match next {
            Some(entry) => self.event(entry)?.received_at_ms,
            None => u64::MAX,
        };
        for stored in events.iter_mut().rev() {
            stored.late = stored.event.received_at_ms > earliest_ms;
            earliest_ms = earliest_ms.min(stored.event.received_at_ms);
        }
        Ok(())
    }

    fn status(&self, entry: &Entry<'_>) -> Result<String, Error> {
        match entry.event.status {
            Some(status) => Ok(status.into()),
            None => Ok(self.event(entry)?.status),
        }
    }

    fn event(&self, entry: &Entry<'_>) -> Result<Event, Error> {
        self.values(vec![entry.key])?.expect_event(entry.key)
    }
}

/// Returns the cursor of a page that ends with this event: its key without the
/// task.
fn cursor_at(key: &str, task: &str) -> String {
    let rest = key.strip_prefix(&key::task_prefix(EVENT, task));
    rest.unwrap_or_default().into()
}

/// Returns the key of the event in a cursor that [`cursor_at`] made.
fn key_of(cursor: &str, task: &str) -> Result<String, Error> {
    let mut key = key::task_prefix(EVENT, task);
    key.push_str(cursor);
    match EventKey::parse(&key) {
        Some(_) => Ok(key),
        None => Err(Error::InvalidCursor(
            "the cursor belongs to another list".into(),
        )),
    }
}
