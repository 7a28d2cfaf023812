//! The export `intake`: one notification, or one buffered HTTP exchange.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use once_cell::race::OnceBox;

use crate::adapter::Adapter;
use crate::bindings::exports::batchtask::receiver::intake::{
    Guest, Outcome, Refusal as WireRefusal, Request, Response,
};
use crate::bindings::handler::wasi::clocks::wall_clock::now;
use crate::outcomes::{Problem, Refusal, Success};
use crate::receiver::{Receiver, Sender};
use crate::settings::Settings;

/// The settings, read once an instance: they do not change while it lives.
static SETTINGS: OnceBox<Result<Settings, Vec<String>>> = OnceBox::new();

fn settings<A: Adapter>() -> &'static Result<Settings, Vec<String>> {
    SETTINGS.get_or_init(|| {
        let checked = A::check().map_err(|wrong| Vec::from([wrong]));
        checked.and_then(|()| Settings::read(A::setting)).into()
    })
}

/// The heart, over what the adapter provides.
pub(crate) fn receiver<A: Adapter>() -> Result<Receiver<'static, A>, Box<Problem>> {
    let settings = settings::<A>()
        .as_ref()
        .map_err(|wrong| Problem::new(Refusal::Misconfigured, lines(wrong)))?;
    Ok(Receiver {
        journal: A::ONE,
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

pub(crate) fn exchange<A: Adapter>(request: Request) -> Response {
    match receiver::<A>() {
        Ok(receiver) => receiver.exchange(request),
        Err(problem) => problem.into_response(),
    }
}

impl<A: Adapter> Guest for A {
    fn exchange(request: Request) -> Response {
        exchange::<A>(request)
    }

    fn accept(body: Vec<u8>) -> Result<Outcome, WireRefusal> {
        // The caller vouches for the sender.
        let sender = Sender {
            proven: true,
            ..Sender::default()
        };
        let taken = receiver::<A>().and_then(|receiver| receiver.take(body, &sender));
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
        settings::<A>().as_ref().map(|_| ()).map_err(Vec::clone)
    }
}
