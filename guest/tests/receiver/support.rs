//! A journal in memory, and requests.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use batchtask_guest::bindings::exports::batchtask::receiver::intake::Request;
use batchtask_guest::journal::{
    Activity, ActivityQuery, Appended, Error, Event, HistoryPage, Journal, QuarantinePage,
    Quarantined, Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};
use batchtask_guest::settings::Settings;

/// A journal that only keeps digests and signatures. It forgets a signature as
/// soon as `wit/journal.wit` allows, and does not support reads. Only [`StoreOnly`] says
/// so in advance.
#[derive(Default)]
pub(crate) struct Digests<const STORE_ONLY: bool = false> {
    digests: RefCell<HashSet<Vec<u8>>>,
    uses: RefCell<HashMap<String, SignatureUse>>,
}

/// A journal that is never asked for anything.
pub(crate) type StoreOnly = Digests<true>;

impl<const STORE_ONLY: bool> Digests<STORE_ONLY> {
    fn keep(&self, digest: &[u8], signature: Option<&SignatureUse>, now_ms: u64) -> Appended {
        let mut uses = self.uses.borrow_mut();
        uses.retain(|_, used| used.expires_at_ms > now_ms);
        if let Some(signature) = signature {
            let used = uses.entry(signature.signature.clone());
            if used.or_insert_with(|| signature.clone()).digest != signature.digest {
                return Appended::Replayed;
            }
        }
        if self.digests.borrow_mut().insert(digest.into()) {
            Appended::Recorded
        } else {
            Appended::Duplicate
        }
    }
}

fn unsupported<T>() -> Result<T, Error> {
    Err(Error::Unsupported("this journal cannot be read".into()))
}

impl<const STORE_ONLY: bool> Journal for Digests<STORE_ONLY> {
    const UNREADABLE: Option<&'static str> = if STORE_ONLY {
        Some("it only stores")
    } else {
        None
    };

    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error> {
        Ok(self.keep(&event.digest, signature, event.received_at_ms))
    }

    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        Ok(self.keep(&reject.body, signature, reject.received_at_ms))
    }

    fn find_task(&self, _: &str, _: &str) -> Result<Option<Task>, Error> {
        unsupported()
    }

    fn list_tasks(&self, _: &TaskQuery) -> Result<TaskPage, Error> {
        unsupported()
    }

    fn list_history(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: u32,
    ) -> Result<HistoryPage, Error> {
        unsupported()
    }

    fn follow(&self, _: u64, _: u32, _: u32) -> Result<Vec<StoredEvent>, Error> {
        unsupported()
    }

    fn list_quarantine(&self, _: Option<&str>, _: u32) -> Result<QuarantinePage, Error> {
        unsupported()
    }

    fn find_reject(&self, _: u64) -> Result<Option<Quarantined>, Error> {
        unsupported()
    }

    fn list_activity(&self, _: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        unsupported()
    }

    fn summarize(&self, _: u64) -> Result<Summary, Error> {
        unsupported()
    }
}

/// Returns settings with these values. The others have their defaults.
pub(crate) fn settings(values: &[(&str, &str)]) -> Settings {
    let value = |name: &str| {
        let found = values.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).into())
    };
    Settings::read(value).unwrap()
}

/// Returns a request with header fields and a body.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    Request {
        method: method.into(),
        target: target.into(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        sender_proven: false,
        over_https: false,
        body: body.into(),
    }
}

/// Returns a notification that a task has this status.
pub(crate) fn notification(status: &str) -> String {
    [
        r#"{"resource":"batchtask","event":"update","event_time":"20151212T121212Z","notify_data":{"body":"#,
        r#"{"app_id":"a","task_id":"t","task_type":"softwareUpgrade","status_desc":"","status":""#,
        status,
        r#""}}}"#,
    ]
    .concat()
}
