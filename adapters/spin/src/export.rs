//! The exports: each opens the bucket, and asks the journal.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::exports::batchtask::receiver::{journal, settings as settings_export};
use crate::bindings::wasi::config::store::{self as config, Error as ConfigError};
use crate::bindings::wasi::keyvalue::store::Bucket;
use crate::bucket;
use crate::journal::{
    Appended, Error, Event, HistoryPage, Journal, Nonce, QuarantinePage, Reject, StoredEvent,
    Summary, Task, TaskPage, TaskQuery,
};
use crate::settings;

struct Adapter;

impl settings_export::Guest for Adapter {
    fn get(name: String) -> Option<String> {
        look_up(&name)
    }
}

fn look_up(setting: &str) -> Option<String> {
    let found = config::get(&settings::variable(setting));
    settings::value(found.map_err(|error| match error {
        ConfigError::Upstream(text) | ConfigError::Io(text) => text,
    }))
}

fn open() -> Result<Journal<Bucket>, Error> {
    let name = look_up(settings::BUCKET);
    let name = name.as_deref().unwrap_or(settings::DEFAULT_BUCKET);
    Ok(Journal {
        bucket: bucket::open(name.trim())?,
    })
}

impl journal::Guest for Adapter {
    fn append(event: Event, nonce: Option<Nonce>) -> Result<Appended, Error> {
        open()?.append(&event, nonce.as_ref())
    }

    fn quarantine(reject: Reject, nonce: Option<Nonce>) -> Result<Appended, Error> {
        open()?.quarantine(&reject, nonce.as_ref())
    }

    fn find_task(app_id: String, task_id: String) -> Result<Option<Task>, Error> {
        open()?.find_task(&app_id, &task_id)
    }

    fn list_tasks(query: TaskQuery) -> Result<TaskPage, Error> {
        open()?.list_tasks(&query)
    }

    fn list_history(
        app_id: String,
        task_id: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        open()?.list_history(&app_id, &task_id, cursor.as_deref(), limit)
    }

    fn follow(_after: u64, _limit: u32, _wait_ms: u32) -> Result<Vec<StoredEvent>, Error> {
        let text = "a key-value store does not know the order of arrival";
        Err(Error::Unsupported(text.into()))
    }

    fn list_quarantine(cursor: Option<String>, limit: u32) -> Result<QuarantinePage, Error> {
        open()?.list_quarantine(cursor.as_deref(), limit)
    }

    fn summarize(_: u64) -> Result<Summary, Error> {
        let text = "a key-value store is not counted through for a glance";
        Err(Error::Unsupported(text.into()))
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "generated")]
mod generated {
    crate::bindings::export!(Adapter with_types_in crate::bindings);
    use super::Adapter;
}
