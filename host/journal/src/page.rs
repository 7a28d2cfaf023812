//! [`Page`]: decides where a page ends, by the same rule and the same measure in
//! every backend.

use batchtask_guest::journal::{PAGE_BYTES_MAX, PAGE_ITEMS_MAX};

use crate::{Event, Reject, Task};

/// About how many bytes an item takes in addition to its texts: numbers, names
/// of members, index entries.
pub const ITEM_OVERHEAD_BYTES: usize = 256;

/// Collects items until it has reached its limit of items or bytes.
pub struct Page<T> {
    items: Vec<T>,
    bytes: usize,
    limit: usize,
    has_more: bool,
}

impl<T> Page<T> {
    /// Returns an empty page for at most `limit` items. The limit is clamped to
    /// the range from 1 to [`PAGE_ITEMS_MAX`].
    pub fn new(limit: u32) -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
            limit: limit.clamp(1, PAGE_ITEMS_MAX) as usize,
            has_more: false,
        }
    }

    /// Returns whether the page is full. Call it only when there is another item:
    /// if the page is full, that item begins the next page.
    pub fn is_full(&mut self) -> bool {
        self.has_more = self.items.len() >= self.limit || self.bytes >= PAGE_BYTES_MAX;
        self.has_more
    }

    /// Adds an item of about `bytes` bytes.
    pub fn push(&mut self, item: T, bytes: usize) {
        self.items.push(item);
        self.bytes += bytes;
    }

    /// Returns how many rows to query: one more than the limit, to learn whether
    /// another page follows.
    pub fn rows(&self) -> usize {
        self.limit + 1
    }

    /// Returns the items, and the cursor of the last item if another page
    /// follows.
    pub fn finish(self, cursor: impl FnOnce(&T) -> String) -> (Vec<T>, Option<String>) {
        let (items, has_more) = self.finish_rows();
        let next = items.last().filter(|_| has_more).map(cursor);
        (items, next)
    }

    /// Returns the items, and whether another page follows.
    pub fn finish_rows(self) -> (Vec<T>, bool) {
        (self.items, self.has_more)
    }
}

/// Returns about how many bytes an event takes, on a page and in memory.
pub fn event_bytes(event: &Event) -> usize {
    let optional = [
        &event.event_time,
        &event.event_time_ms,
        &event.request_id,
        &event.signature,
    ];
    let optional = optional.into_iter().flatten().map(String::len);
    ITEM_OVERHEAD_BYTES
        + event.app_id.len()
        + event.task_id.len()
        + event.task_type.len()
        + event.status.len()
        + event.status_desc.len()
        + optional.sum::<usize>()
        + event.body.len()
}

/// Returns about how many bytes a reject takes. This size also counts towards
/// [`Bounds::quarantine_max_bytes`](crate::Bounds::quarantine_max_bytes).
pub fn reject_bytes(reject: &Reject) -> usize {
    ITEM_OVERHEAD_BYTES
        + reject.reason.len()
        + reject.detail.len()
        + reject.pointer.as_ref().map_or(0, String::len)
        + reject.body.len()
}

/// Returns about how many bytes a task takes on a page.
pub fn task_bytes(task: &Task) -> usize {
    /// The bytes of a step's time and punctuation.
    const STEP_BYTES: usize = 32;
    let steps = task.trail.iter().map(|step| step.status.len() + STEP_BYTES);
    ITEM_OVERHEAD_BYTES
        + task.app_id.len()
        + task.task_id.len()
        + task.task_type.len()
        + task.status.len()
        + task.status_desc.len()
        + task.name.as_ref().map_or(0, String::len)
        + task.progress.map_or(0, |_| ITEM_OVERHEAD_BYTES)
        + task.request_ids.iter().map(String::len).sum::<usize>()
        + steps.sum::<usize>()
}
