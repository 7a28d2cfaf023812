//! The component: the guest with a journal that posts its entries on.

use alloc::string::String;

use batchtask_guest::adapter::Adapter;
use batchtask_guest::journal::{Appended, Error, Event, Reject, SignatureUse, Store};
use batchtask_webhook::message::{self, Message};

use crate::bindings::wasi::cli::environment::get_environment;
use crate::endpoint::{self, Endpoint};
use crate::send;

struct Forward;

impl Adapter for Forward {
    const ONE: &'static Self = &Self;

    fn settings() -> impl Fn(&str) -> Option<String> {
        let variables = get_environment();
        move |name| endpoint::value(&variables, name)
    }

    fn check() -> Result<(), String> {
        Endpoint::read(Self::settings())
            .map(drop)
            .map_err(String::from)
    }
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

impl Store for Forward {
    const UNREADABLE: &'static str = endpoint::UNREADABLE;

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
}

#[allow(unsafe_code, unreachable_pub, reason = "generated")]
mod generated {
    use super::Forward;
    use batchtask_guest::bindings::handler;
    handler::export!(Forward with_types_in handler);
}
