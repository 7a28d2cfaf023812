//! A notification that has arrived: when its change happened, and its place in
//! the order of changes.

use crate::notification::{Notification, Timestamp};
use crate::{Flags, Status};
use alloc::string::String;
use sha2::{Digest as _, Sha256};

/// How far after its arrival an event may be dated, in milliseconds: five
/// minutes. Beyond that its clock is not believed.
pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;

/// The place of an event in the order of its task's changes: `occurred_at_ms`,
/// `rank`, `digest`.
pub type Key = (u64, u8, [u8; 32]);

/// A change of a task's status that has arrived. It is made by
/// [`Notification::into_event`].
///
/// The state of a task is its event with the greatest [`key`](Self::key). So
/// it depends on which events there are, and on nothing else: not on the order
/// of their arrival, and not on repetitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The resource space that the task belongs to. Never empty.
    pub app_id: String,
    /// The batch task. Never empty; unique only together with `app_id`.
    pub task_id: String,
    /// For example `softwareUpgrade`; any text is possible.
    pub task_type: String,
    /// For example `Waitting`; any text is possible.
    pub status: String,
    /// The platform's free text, perhaps empty, perhaps long.
    pub status_desc: String,
    /// `event_time` as it came: `yyyyMMdd'T'HHmmss'Z'`.
    pub event_time: Option<String>,
    /// `event_time_ms` as it came: `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`.
    pub event_time_ms: Option<String>,
    /// The platform's trace id. Not unique, not a key.
    pub request_id: Option<String>,
    /// SHA-256 over the fields above except `request_id`. Two events with the
    /// same digest are the same event.
    ///
    /// Each field, in the order above, adds its length in bytes as four bytes,
    /// the highest first, and then its UTF-8; an absent time is of length 0.
    pub digest: [u8; 32],
    /// When the change happened, in milliseconds since 1970 (UTC):
    /// `event_time_ms`, else `event_time`, else the arrival. The arrival too
    /// when that would be more than [`MAX_AHEAD_MS`] after it.
    pub occurred_at_ms: u64,
    /// Orders changes of one instant, see [`Status::rank`].
    pub rank: u8,
    /// When the notification arrived, in milliseconds since 1970 (UTC).
    pub received_at_ms: u64,
    /// What was odd about it.
    pub flags: Flags,
}

impl Event {
    /// The place of the event in the order of its task's changes.
    pub fn key(&self) -> Key {
        (self.occurred_at_ms, self.rank, self.digest)
    }
}

impl Notification {
    /// The event that this notification tells of, having arrived at
    /// `received_at_ms`, in milliseconds since 1970 (UTC).
    pub fn into_event(self, received_at_ms: u64) -> Event {
        let digest = self.digest();
        let told_at_ms = self
            .event_time_ms
            .as_ref()
            .or(self.event_time.as_ref())
            .map_or(received_at_ms, |time| time.at_ms);
        let skewed = told_at_ms > received_at_ms.saturating_add(MAX_AHEAD_MS);
        let text = |time: Timestamp| time.text;
        Event {
            digest,
            occurred_at_ms: if skewed { received_at_ms } else { told_at_ms },
            rank: Status::of(&self.task.status).rank(),
            received_at_ms,
            flags: self.flags | Flags::CLOCK_SKEW.when(skewed),
            app_id: self.task.app_id,
            task_id: self.task.task_id,
            task_type: self.task.task_type,
            status: self.task.status,
            status_desc: self.task.status_desc,
            event_time: self.event_time.map(text),
            event_time_ms: self.event_time_ms.map(text),
            request_id: self.request_id,
        }
    }

    /// See [`Event::digest`].
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for field in [
            self.app_id(),
            self.task_id(),
            self.task_type(),
            self.status(),
            self.status_desc(),
            self.event_time().unwrap_or_default(),
            self.event_time_ms().unwrap_or_default(),
        ] {
            // No body is as long as 4 GiB.
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            digest.update(length.to_be_bytes());
            digest.update(field);
        }
        digest.finalize().into()
    }
}
