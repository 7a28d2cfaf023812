//! The receiver that imports `journal` and `settings`. A host provides them, or
//! an adapter that is composed with it.

#![cfg(target_arch = "wasm32")]
#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::adapter::Adapter;
use batchtask_guest::bindings;
use batchtask_guest::bindings::batchtask::receiver::{journal, settings};
use batchtask_guest::journal::{
    Activity, ActivityQuery, Appended, Error, Event, HistoryPage, Journal, QuarantinePage,
    Quarantined, Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};

struct Imported;

impl Adapter for Imported {
    const ONE: &'static Self = &Self;

    fn settings() -> impl Fn(&str) -> Option<String> {
        let all = settings::all();
        move |name| {
            let (_, value) = all.iter().find(|(found, _)| found == name)?;
            Some(value.clone())
        }
    }
}

impl Journal for Imported {
    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error> {
        journal::append(event, signature)
    }

    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        journal::quarantine(reject, signature)
    }

    fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        journal::find_task(app_id, task_id)
    }

    fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        journal::list_tasks(query)
    }

    fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        journal::list_history(app_id, task_id, cursor, limit)
    }

    fn follow(&self, after: u64, limit: u32, wait_ms: u32) -> Result<Vec<StoredEvent>, Error> {
        journal::follow(after, limit, wait_ms)
    }

    fn list_quarantine(&self, cursor: Option<&str>, limit: u32) -> Result<QuarantinePage, Error> {
        journal::list_quarantine(cursor, limit)
    }

    fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        journal::find_reject(seq)
    }

    fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        journal::list_activity(*query)
    }

    fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        journal::summarize(stale_before_ms)
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "generated")]
mod generated {
    use super::{Imported, bindings};
    bindings::export!(Imported with_types_in bindings);
    bindings::handler::export!(Imported with_types_in bindings::handler);
}
