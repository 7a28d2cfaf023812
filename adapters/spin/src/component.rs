//! The component: the guest with the journal in a bucket.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::adapter::Adapter;
use batchtask_guest::journal::{
    Activity, ActivityQuery, Appended, Error, Event, HistoryPage, QuarantinePage, Quarantined,
    Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};

use crate::bindings::wasi::config::store::{self as config, Error as ConfigError};
use crate::bindings::wasi::keyvalue::store::Bucket;
use crate::bucket;
use crate::journal::{Journal, no_activity, no_feed};
use crate::settings;

struct Spin;

impl Adapter for Spin {
    const ONE: &'static Self = &Self;

    fn settings() -> impl Fn(&str) -> Option<String> {
        variable
    }

    /// If Spin cannot read its variables, one sentence says so, and not one for each
    /// setting.
    fn check() -> Result<(), String> {
        let found = config::get(&settings::variable(settings::BUCKET));
        found.map(drop).map_err(|error| {
            let mut text = String::from("Spin's variables cannot be read: ");
            text.push_str(&error_text(error));
            text
        })
    }
}

/// Returns the value of a setting. Spin cannot return all settings at once.
fn variable(name: &str) -> Option<String> {
    let found = config::get(&settings::variable(name));
    settings::value(found.map_err(error_text))
}

fn error_text(error: ConfigError) -> String {
    match error {
        ConfigError::Upstream(text) | ConfigError::Io(text) => text,
    }
}

/// Opens the journal. Each call of the journal does this; a request makes one or
/// two calls.
fn open() -> Result<Journal<Bucket>, Error> {
    let name = variable(settings::BUCKET);
    let name = name.as_deref().unwrap_or(settings::DEFAULT_BUCKET);
    Ok(Journal {
        bucket: bucket::open(name.trim_ascii())?,
    })
}

// `inline(never)` where inlining into the guest would make the component larger.
impl batchtask_guest::journal::Journal for Spin {
    #[inline(never)]
    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error> {
        open()?.append(event, signature)
    }

    #[inline(never)]
    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        open()?.quarantine(reject, signature)
    }

    fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        open()?.find_task(app_id, task_id)
    }

    #[inline(never)]
    fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        open()?.list_tasks(query)
    }

    fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        open()?.list_history(app_id, task_id, cursor, limit)
    }

    fn follow(&self, _after: u64, _limit: u32, _wait_ms: u32) -> Result<Vec<StoredEvent>, Error> {
        Err(no_feed())
    }

    #[inline(never)]
    fn list_quarantine(&self, cursor: Option<&str>, limit: u32) -> Result<QuarantinePage, Error> {
        open()?.list_quarantine(cursor, limit)
    }

    #[inline(never)]
    fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        open()?.find_reject(seq)
    }

    fn list_activity(&self, _query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        Err(no_activity())
    }

    fn summarize(&self, _stale_before_ms: u64) -> Result<Summary, Error> {
        open()?.summarize()
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "generated")]
mod generated {
    use super::Spin;
    use batchtask_guest::bindings::handler;
    handler::export!(Spin with_types_in handler);
}
