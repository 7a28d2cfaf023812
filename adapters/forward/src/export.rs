//! The exports.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::exports::batchtask::receiver::journal::{
    self, Appended, Error, Event, HistoryPage, Nonce, QuarantinePage, Reject, StoredEvent, Summary,
    Task, TaskPage, TaskQuery,
};
use crate::bindings::exports::batchtask::receiver::settings;
use crate::bindings::wasi::cli::environment::get_environment;
use crate::endpoint::Endpoint;
use crate::message::{self, Message};
use crate::send;

struct Adapter;

/// The value of a variable. An empty one was left alone.
fn look_up(name: &str) -> Option<String> {
    let mut variables = get_environment().into_iter();
    let (_, value) = variables.find(|(found, _)| found == name)?;
    Some(value).filter(|value| !value.is_empty())
}

impl settings::Guest for Adapter {
    fn get(name: String) -> Option<String> {
        look_up(&name)
    }
}

fn forward(message: &Message) -> Result<Appended, Error> {
    let posted = Endpoint::read(look_up)
        .map_err(String::from)
        .and_then(|endpoint| send::post(&endpoint, message));
    match posted {
        Ok(()) => Ok(Appended::Recorded),
        Err(text) => Err(Error::Unavailable(text)),
    }
}

fn unsupported<T>() -> Result<T, Error> {
    let text = "events are forwarded; nothing is kept here to be read";
    Err(Error::Unsupported(text.into()))
}

impl journal::Guest for Adapter {
    fn append(event: Event, _nonce: Option<Nonce>) -> Result<Appended, Error> {
        forward(&message::of_event(&event))
    }

    fn quarantine(reject: Reject, _nonce: Option<Nonce>) -> Result<Appended, Error> {
        forward(&message::of_reject(&reject))
    }

    fn find_task(_app_id: String, _task_id: String) -> Result<Option<Task>, Error> {
        unsupported()
    }

    fn list_tasks(_query: TaskQuery) -> Result<TaskPage, Error> {
        unsupported()
    }

    fn list_history(
        _app_id: String,
        _task_id: String,
        _cursor: Option<String>,
        _limit: u32,
    ) -> Result<HistoryPage, Error> {
        unsupported()
    }

    fn follow(_after: u64, _limit: u32, _wait_ms: u32) -> Result<Vec<StoredEvent>, Error> {
        unsupported()
    }

    fn list_quarantine(_cursor: Option<String>, _limit: u32) -> Result<QuarantinePage, Error> {
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
