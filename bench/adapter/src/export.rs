//! The exports of the adapter.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::exports::batchtask::receiver::journal::{
    self, Activity, ActivityQuery, Appended, Error, Event, HistoryPage, QuarantinePage,
    Quarantined, Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};
use crate::bindings::exports::batchtask::receiver::settings;

struct Adapter;

impl settings::Guest for Adapter {
    fn all() -> Vec<(String, String)> {
        Vec::new()
    }
}

fn unsupported<T>() -> Result<T, Error> {
    Err(Error::Unsupported("this journal stores nothing".into()))
}

impl journal::Guest for Adapter {
    fn append(_: Event, _: Option<SignatureUse>) -> Result<Appended, Error> {
        Ok(Appended::Recorded)
    }

    fn quarantine(_: Reject, _: Option<SignatureUse>) -> Result<Appended, Error> {
        Ok(Appended::Recorded)
    }

    fn find_task(_: String, _: String) -> Result<Option<Task>, Error> {
        unsupported()
    }

    fn list_tasks(_: TaskQuery) -> Result<TaskPage, Error> {
        unsupported()
    }

    fn list_history(_: String, _: String, _: Option<String>, _: u32) -> Result<HistoryPage, Error> {
        unsupported()
    }

    fn follow(_: u64, _: u32, _: u32) -> Result<Vec<StoredEvent>, Error> {
        unsupported()
    }

    fn list_quarantine(_: Option<String>, _: u32) -> Result<QuarantinePage, Error> {
        unsupported()
    }

    fn find_reject(_: u64) -> Result<Option<Quarantined>, Error> {
        unsupported()
    }

    fn list_activity(_: ActivityQuery) -> Result<Vec<Activity>, Error> {
        unsupported()
    }

    fn summarize(_: u64) -> Result<Summary, Error> {
        unsupported()
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "generated")]
mod generated {
    crate::bindings::export!(Adapter with_types_in crate::bindings);
    use super::Adapter;
}
