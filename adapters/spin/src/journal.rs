//! The interface `journal`, stored in a bucket.

use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::{
    Activity, ActivityQuery, Appended, Error, Event, HistoryPage, Journal as GuestJournal,
    QuarantinePage, Quarantined, Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage,
    TaskQuery,
};

use crate::bucket::Bucket;
use crate::limits::MAX_KEYS;
use crate::timeline::Keys;
use crate::value::decode_event;

/// The journal in a bucket.
pub struct Journal<B> {
    /// The bucket that stores everything.
    pub bucket: B,
}

impl<B: Bucket> Journal<B> {
    /// Returns all keys that begin with one of the prefixes, in order.
    pub(crate) fn scan(&self, prefixes: &[&str]) -> Result<Keys, Error> {
        let mut keys = self.bucket.keys()?;
        keys.retain(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)));
        // Each kind on its own, so that repetitions do not make events unreadable.
        for prefix in prefixes {
            let of_kind = keys.iter().filter(|key| key.starts_with(prefix));
            if of_kind.count() > MAX_KEYS {
                let text = "the bucket contains too many keys to read";
                return Err(Error::Unsupported(text.into()));
            }
        }
        Ok(Keys(sorted(keys)))
    }

    /// Reads the values of these keys. Keys that do not exist are skipped.
    pub(crate) fn values<'a>(&self, keys: Vec<&'a String>) -> Result<Values<'a>, Error> {
        let mut found = Vec::new();
        for key in keys {
            if let Some(value) = self.bucket.get(key)? {
                found.push((key.as_str(), value));
            }
        }
        Ok(Values(found))
    }
}

impl<B: Bucket> GuestJournal for Journal<B> {
    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error> {
        self.append(event, signature)
    }

    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        self.quarantine(reject, signature)
    }

    fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        self.find_task(app_id, task_id)
    }

    fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        self.list_tasks(query)
    }

    fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        self.list_history(app_id, task_id, cursor, limit)
    }

    fn follow(&self, _after: u64, _limit: u32, _wait_ms: u32) -> Result<Vec<StoredEvent>, Error> {
        Err(no_feed())
    }

    fn list_quarantine(&self, cursor: Option<&str>, limit: u32) -> Result<QuarantinePage, Error> {
        self.list_quarantine(cursor, limit)
    }

    fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        self.find_reject(seq)
    }

    fn list_activity(&self, _query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        Err(no_activity())
    }

    fn summarize(&self, _stale_before_ms: u64) -> Result<Summary, Error> {
        self.summarize()
    }
}

/// Returns the error of a read of the feed.
pub(crate) fn no_feed() -> Error {
    Error::Unsupported("a key-value store does not know the order of arrival".into())
}

/// Returns the error of a read of the activity.
pub(crate) fn no_activity() -> Error {
    Error::Unsupported("a key-value store does not count events by time".into())
}

/// Sorts texts. It uses a heap, which needs 3 kB less code than sorting a slice.
#[inline(never)]
pub(crate) fn sorted(texts: Vec<String>) -> Vec<String> {
    BinaryHeap::from(texts).into_sorted_vec()
}

/// Keys and the values that were read for them.
pub(crate) struct Values<'a>(Vec<(&'a str, Vec<u8>)>);

impl Values<'_> {
    /// Returns the value of a key, if it was read.
    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(found, _)| *found == key);
        found.map(|(_, value)| value.as_slice())
    }

    /// Returns the event of a key, if it was read and is valid.
    pub(crate) fn event(&self, key: &str) -> Option<Event> {
        decode_event(self.get(key)?)
    }

    /// Returns the event of a key, or an error if it was not read or is invalid.
    pub(crate) fn expect_event(&self, key: &str) -> Result<Event, Error> {
        self.event(key).ok_or_else(|| damaged(key))
    }
}

/// Returns the error of a key without a valid value.
pub(crate) fn damaged(key: &str) -> Error {
    let mut text = String::from("the value of the key `");
    text.push_str(key);
    text.push_str("` was removed, or was not written by this journal");
    Error::Unavailable(text)
}
