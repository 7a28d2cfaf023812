//! The export `intake`: one notification, or one buffered HTTP exchange.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use once_cell::race::OnceBox;

use crate::bindings::batchtask::receiver::settings::get;
use crate::bindings::exports::batchtask::receiver::intake::{
    Guest, Outcome, Refusal as WireRefusal, Request, Response,
};
use crate::bindings::wasi::clocks::wall_clock::now;
use crate::journal::Imported;
use crate::outcomes::{Problem, Refusal, Success};
use crate::receiver::{Receiver, Sender};
use crate::settings::Settings;

pub(crate) struct Component;

/// The settings, read once an instance: they do not change while it lives.
static SETTINGS: OnceBox<Result<Settings, Vec<String>>> = OnceBox::new();

fn settings() -> &'static Result<Settings, Vec<String>> {
    SETTINGS.get_or_init(|| Settings::read(get).into())
}

/// The heart, over what the host provides.
pub(crate) fn receiver() -> Result<Receiver<'static, Imported>, Box<Problem>> {
    let settings = settings()
        .as_ref()
        .map_err(|wrong| Problem::from(Refusal::Misconfigured).for_operator(lines(wrong)))?;
    Ok(Receiver {
        journal: &Imported,
        settings,
        now_ms: now_ms(),
    })
}

/// Lines as one, with a semicolon behind each.
fn lines(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut all, line| {
        all.push_str(line);
        all.push_str("; ");
        all
    })
}

fn now_ms() -> u64 {
    let now = now();
    now.seconds
        .saturating_mul(1000)
        .saturating_add((now.nanoseconds / 1_000_000).into())
}

pub(crate) fn exchange(request: Request) -> Response {
    match receiver() {
        Ok(receiver) => receiver.exchange(request),
        Err(problem) => problem.into_response(),
    }
}

impl Guest for Component {
    fn exchange(request: Request) -> Response {
        exchange(request)
    }

    fn accept(body: Vec<u8>) -> Result<Outcome, WireRefusal> {
        // The caller vouches for the sender.
        let sender = Sender {
            proven: true,
            ..Sender::default()
        };
        let taken = receiver().and_then(|receiver| receiver.take(body, &sender));
        match taken {
            Ok(taken) => Ok(match taken.success {
                Success::Duplicate => Outcome::Duplicate,
                Success::Quarantined => Outcome::Quarantined,
                _ => Outcome::Recorded,
            }),
            Err(problem) => Err(WireRefusal {
                status: problem.refusal.status(),
                type_uri: problem.refusal.type_uri(),
                detail: problem.detail,
                pointer: problem.pointer.map(String::from),
            }),
        }
    }

    fn check() -> Result<(), Vec<String>> {
        settings().as_ref().map(|_| ()).map_err(Vec::clone)
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "generated")]
mod export {
    crate::bindings::export!(Component with_types_in crate::bindings);
    use super::Component;
}
