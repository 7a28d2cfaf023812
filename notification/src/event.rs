//! A change of status that was reported: when it happened, and its place in the
//! order of changes.

use crate::notification::{Notification, Timestamp};
use crate::{Flags, Status, sha256};
use alloc::string::String;
use alloc::vec::Vec;

/// An event that is dated more than this after its arrival is flagged, in
/// milliseconds: five minutes.
pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;

/// The place of an event in the order of its task's changes: `occurred_at_ms`,
/// `rank`, `digest`.
pub type Key = (u64, u8, [u8; 32]);

/// A change of a task's status, made from a notification that has arrived by
/// [`Notification::into_event`].
///
/// The state of a task is its event with the greatest [`key`](Self::key). So
/// it depends only on the set of events, not on the order of their arrival and
/// not on repetitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The id of the resource space (application) that the task belongs to.
    /// Never empty.
    pub app_id: String,
    /// The id of the batch task. Never empty; unique only together with
    /// `app_id`.
    pub task_id: String,
    /// The task type, such as `softwareUpgrade`. Any text is possible.
    pub task_type: String,
    /// The status, such as `Waitting`. Any text is possible.
    pub status: String,
    /// The platform's description of the status. It may be empty or long.
    pub status_desc: String,
    /// `event_time` as received: `yyyyMMdd'T'HHmmss'Z'` unless flagged.
    pub event_time: Option<String>,
    /// `event_time_ms` as received: `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'` unless
    /// flagged.
    pub event_time_ms: Option<String>,
    /// The platform's trace id. It is not unique, so it is not a key.
    pub request_id: Option<String>,
    /// The SHA-256 of the fields above. `request_id` is included only if neither
    /// time can be read, because nothing else distinguishes such changes. Two
    /// events with the same digest are the same event.
    ///
    /// Each field, in the order above, adds its length in bytes as four bytes in
    /// big-endian order, and then its UTF-8. An absent time has the length 0. An
    /// absent request id adds nothing.
    pub digest: [u8; 32],
    /// When the change happened, in milliseconds since 1970 (UTC):
    /// `event_time_ms`, or else `event_time`, or else the time of arrival. If
    /// the platform gave a time, this host's clock has no influence, because a
    /// wrong clock must not change the order of events.
    pub occurred_at_ms: u64,
    /// Orders changes with the same time, see [`Status::rank`].
    pub rank: u8,
    /// When the notification arrived, in milliseconds since 1970 (UTC).
    pub received_at_ms: u64,
    /// Notable facts about the event.
    pub flags: Flags,
}

impl Event {
    /// Returns the place of the event in the order of its task's changes.
    pub fn key(&self) -> Key {
        (self.occurred_at_ms, self.rank, self.digest)
    }

    /// Returns the event of a change that no notification reported: the platform was
    /// asked, and its time is that of the answer, to the second.
    ///
    /// It is placed one millisecond before that second, so it comes before every
    /// notified change of that second, whatever its rank is. Then a notification
    /// that is late does no harm: a change before the answer comes before this one,
    /// and a change after the answer comes after it. Its digest differs from that of
    /// a notification with the same content, which is therefore still stored.
    pub fn reconciled(mut self) -> Self {
        self.occurred_at_ms = self.occurred_at_ms.saturating_sub(1);
        self.digest = sha256(&[&self.digest, b"reconciled"]);
        self.flags |= Flags::RECONCILED;
        self
    }
}

impl Notification {
    /// Returns the event that this notification reports. `received_at_ms` is the
    /// time of its arrival, in milliseconds since 1970 (UTC).
    pub fn into_event(self, received_at_ms: u64) -> Event {
        let digest = self.digest();
        let occurred_at_ms = self.dated_at_ms().unwrap_or(received_at_ms);
        let skewed = occurred_at_ms > received_at_ms.saturating_add(MAX_AHEAD_MS);
        let text = |time: Timestamp| time.text;
        Event {
            digest,
            occurred_at_ms,
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

    /// Returns when the change happened according to the platform, if one of the
    /// two times can be read.
    fn dated_at_ms(&self) -> Option<u64> {
        let mut times = [&self.event_time_ms, &self.event_time]
            .into_iter()
            .flatten();
        times.find_map(|time| time.at_ms)
    }

    /// See [`Event::digest`].
    fn digest(&self) -> [u8; 32] {
        let request_id = match self.dated_at_ms() {
            Some(_) => None,
            None => self.request_id(),
        };
        let mut fields = Vec::from([
            self.app_id(),
            self.task_id(),
            self.task_type(),
            self.status(),
            self.status_desc(),
            self.event_time().unwrap_or_default(),
            self.event_time_ms().unwrap_or_default(),
        ]);
        fields.extend(request_id);
        // No body is as long as 4 GiB.
        let length = |field: &str| u32::try_from(field.len()).unwrap_or(u32::MAX);
        let lengths = fields.iter().map(|field| length(field).to_be_bytes());
        let lengths: Vec<_> = lengths.collect();
        let mut parts: Vec<&[u8]> = Vec::new();
        for (length, field) in lengths.iter().zip(fields) {
            parts.push(length);
            parts.push(field.as_bytes());
        }
        sha256(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TASK_TYPES;
    use crate::notification::Task;

    const SECONDS: (&str, u64) = ("20151212T121212Z", 1_449_922_332_000);
    const MILLISECONDS: (&str, u64) = ("2015-12-12T12:12:12.345Z", 1_449_922_332_345);

    fn notification(seconds: bool, milliseconds: bool) -> Notification {
        let time = |(text, at_ms): (&str, u64)| Timestamp {
            text: text.into(),
            at_ms: Some(at_ms),
        };
        Notification {
            task: Task {
                app_id: "a".into(),
                task_id: "t".into(),
                task_type: TASK_TYPES[1].into(),
                status: "Fail".into(),
                status_desc: "Gerät 7 ✗".into(),
            },
            event_time: seconds.then(|| time(SECONDS)),
            event_time_ms: milliseconds.then(|| time(MILLISECONDS)),
            request_id: Some("r".into()),
            flags: Flags::LEGACY_FORM,
        }
    }

    #[test]
    fn fields_are_copied() {
        let event = notification(true, true).into_event(MILLISECONDS.1);
        assert_eq!(event.app_id, "a");
        assert_eq!(event.task_id, "t");
        assert_eq!(event.task_type, "softwareUpgrade");
        assert_eq!(event.status, "Fail");
        assert_eq!(event.status_desc, "Gerät 7 ✗");
        assert_eq!(event.event_time.as_deref(), Some(SECONDS.0));
        assert_eq!(event.event_time_ms.as_deref(), Some(MILLISECONDS.0));
        assert_eq!(event.request_id.as_deref(), Some("r"));
        assert_eq!(event.received_at_ms, MILLISECONDS.1);
        assert_eq!(event.rank, 4);
        assert_eq!(event.flags, Flags::LEGACY_FORM);
        assert_eq!(event.key(), (event.occurred_at_ms, 4, event.digest));
    }

    #[test]
    fn the_best_available_time_is_used() {
        let received = MILLISECONDS.1 + 7;
        for (seconds, milliseconds, occurred_at_ms) in [
            (true, true, MILLISECONDS.1),
            (false, true, MILLISECONDS.1),
            (true, false, SECONDS.1),
            (false, false, received),
        ] {
            let event = notification(seconds, milliseconds).into_event(received);
            assert_eq!(event.occurred_at_ms, occurred_at_ms);
        }
    }

    #[test]
    fn more_than_five_minutes_ahead_is_flagged_and_keeps_its_date() {
        let just = MILLISECONDS.1 - 300_000;
        for (received, skewed) in [
            (u64::MAX, false),
            (just, false),
            (just - 1, true),
            (0, true),
        ] {
            let event = notification(true, true).into_event(received);
            assert_eq!(event.occurred_at_ms, MILLISECONDS.1);
            assert_eq!(event.flags.contains(Flags::CLOCK_SKEW), skewed);
        }
    }

    /// The clock of the host is 10 minutes slow: `Success` of now, and then
    /// `Processing` dated 5 seconds before.
    #[test]
    fn a_slow_clock_does_not_change_the_order_of_dated_events() {
        let at = |status: &str, at_ms| {
            let mut notification = notification(true, true);
            notification.task.status = status.into();
            notification.event_time_ms = Some(Timestamp {
                text: crate::time::rfc3339(at_ms),
                at_ms: Some(at_ms),
            });
            notification.into_event(MILLISECONDS.1 - 600_000)
        };
        let success = at("Success", MILLISECONDS.1);
        let processing = at("Processing", MILLISECONDS.1 - 5000);
        assert!(success.key() > processing.key());
    }

    /// Computed with another implementation (Python's `hashlib`).
    #[test]
    fn known_digests() {
        for (seconds, milliseconds, digest) in [
            (
                true,
                false,
                "a7390c9a7e81f59f9cc45c2e2d6378c1d98015766e8432fb429fc669f331b91d",
            ),
            (
                false,
                true,
                "8d43e5e207e572a6bbc752ec9fda3da90d9b3535add82ce2d908ec5c7df6096b",
            ),
            (
                false,
                false,
                "e71707f353e5c23b157bb9b9d0b978094d9aafe877570295d6c2d69a10608c2b",
            ),
            (
                true,
                true,
                "364d8293f6731f74863dd48971e2e9714ae8b823a017419ade9e272dc58ed6e6",
            ),
        ] {
            let event = notification(seconds, milliseconds).into_event(0);
            assert_eq!(hex(event.digest), digest);
        }
        let mut untraced = notification(false, false);
        untraced.request_id = None;
        assert_eq!(
            hex(untraced.into_event(0).digest),
            "20d23baea630edbb20e3a4ce9c5bdad53f3f3a47fce78e4763f1f2634ebc37ce",
            "as in version 0.1"
        );
        let example = include_bytes!("../../tests/samples/seed-example.json");
        let event = Notification::parse(example).unwrap().into_event(0);
        assert_eq!(
            hex(event.digest),
            "60ce0cd6e58baadd1d2a2853d208eaeeca96c401aa3c32f8f08a3738ca28ae75"
        );
    }

    #[test]
    fn request_ids_distinguish_changes_without_a_time() {
        let undated = |request_id: Option<&str>| {
            let mut undated = notification(false, false);
            undated.request_id = request_id.map(String::from);
            undated.into_event(0).digest
        };
        let unreadable = |request_id: &str| {
            let mut unreadable = notification(true, false);
            unreadable.request_id = Some(request_id.into());
            unreadable.event_time = Some(Timestamp {
                text: "soon".into(),
                at_ms: None,
            });
            unreadable.into_event(0).digest
        };
        let digests = [
            undated(None),
            undated(Some("")),
            undated(Some("r")),
            undated(Some("s")),
            unreadable("r"),
            unreadable("s"),
        ];
        let different: std::collections::BTreeSet<_> = digests.into_iter().collect();
        assert_eq!(different.len(), digests.len());
        assert_eq!(undated(Some("r")), undated(Some("r")));
    }

    #[test]
    fn a_reconciled_change_comes_before_every_notified_change_of_its_second() {
        let found = notification(true, false).into_event(SECONDS.1).reconciled();
        let notified = notification(true, false).into_event(SECONDS.1);
        assert_ne!(found.digest, notified.digest);
        assert_eq!(found.flags, Flags::LEGACY_FORM | Flags::RECONCILED);
        for (status, at_ms) in [("Initializing", SECONDS.1), ("Success", SECONDS.1 + 999)] {
            let mut other = notification(true, true);
            other.task.status = status.into();
            other.event_time_ms = Some(Timestamp {
                text: crate::time::rfc3339(at_ms),
                at_ms: Some(at_ms),
            });
            assert!(found.key() < other.into_event(at_ms).key(), "{status}");
        }
        let again = notification(true, false).into_event(0).reconciled();
        assert_eq!(
            again.key(),
            found.key(),
            "the clock of the host changes nothing"
        );
    }

    fn hex(digest: [u8; 32]) -> String {
        digest
            .iter()
            .map(|byte| std::format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn the_digest_depends_only_on_the_change() {
        let digest = notification(true, true).into_event(0).digest;
        let mut again = notification(true, true);
        again.request_id = None;
        again.flags = Flags::empty();
        assert_eq!(again.clone().into_event(1).digest, digest);

        // The same joined text, but split differently into fields.
        again.task.app_id = "at".into();
        again.task.task_id = "".into();
        assert_ne!(again.into_event(0).digest, digest);
    }
}
