//! The component: the guest with a journal that posts its entries on.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::adapter::Adapter;
use batchtask_guest::journal::{
    Activity, ActivityQuery, Appended, Error, Event, HistoryPage, Journal, QuarantinePage,
    Quarantined, Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};
use batchtask_webhook::message::{self, Message};

use crate::bindings::wasi::cli::environment::get_environment;
use crate::endpoint::Endpoint;
use crate::send;

struct Forward;

impl Adapter for Forward {
    const ONE: &'static Self = &Self;

    fn settings() -> impl Fn(&str) -> Option<String> {
        let variables = get_environment();
        move |name| value(&variables, name)
    }

    fn check() -> Result<(), String> {
        Endpoint::read(Self::settings())
            .map(drop)
            .map_err(String::from)
    }
}

/// Returns the value of a variable. An empty variable counts as unset.
fn value(variables: &[(String, String)], name: &str) -> Option<String> {
    let (_, value) = variables.iter().find(|(found, _)| found == name)?;
    (!value.is_empty()).then(|| value.clone())
}

fn forward(message: &Message) -> Result<Appended, Error> {
    let posted = Endpoint::read(Forward::settings())
        .map_err(String::from)
        .and_then(|endpoint| send::post(&endpoint, message));
    match posted {
        Ok(()) => Ok(Appended::Recorded),
        Err(text) => Err(Error::Unavailable(text)),
    }
}

const UNREADABLE: &str =
    "this receiver forwards events and does not store them, so it cannot be read";

fn unsupported<T>() -> Result<T, Error> {
    Err(Error::Unsupported(UNREADABLE.into()))
}

impl Journal for Forward {
    const UNREADABLE: Option<&'static str> = Some(UNREADABLE);

    fn append(&self, event: &Event, _signature: Option<&SignatureUse>) -> Result<Appended, Error> {
        forward(&message::of_event(event))
    }

    fn quarantine(
        &self,
        reject: &Reject,
        _signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        forward(&message::of_reject(reject))
    }

    fn find_task(&self, _app_id: &str, _task_id: &str) -> Result<Option<Task>, Error> {
        unsupported()
    }

    fn list_tasks(&self, _query: &TaskQuery) -> Result<TaskPage, Error> {
        unsupported()
    }

    fn list_history(
        &self,
        _app_id: &str,
        _task_id: &str,
        _cursor: Option<&str>,
        _limit: u32,
    ) -> Result<HistoryPage, Error> {
        unsupported()
    }

    fn follow(&self, _after: u64, _limit: u32, _wait_ms: u32) -> Result<Vec<StoredEvent>, Error> {
        unsupported()
    }

    fn list_quarantine(&self, _cursor: Option<&str>, _limit: u32) -> Result<QuarantinePage, Error> {
        unsupported()
    }

    fn find_reject(&self, _seq: u64) -> Result<Option<Quarantined>, Error> {
        unsupported()
    }

    fn list_activity(&self, _query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        unsupported()
    }

    fn summarize(&self, _stale_before_ms: u64) -> Result<Summary, Error> {
        unsupported()
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "generated")]
mod generated {
    use super::Forward;
    use batchtask_guest::bindings::handler;
    handler::export!(Forward with_types_in handler);
}
