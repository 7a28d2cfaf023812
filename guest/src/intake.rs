//! The export `intake` of `wit/intake.wit`, which calls the core.

use alloc::string::String;
use alloc::vec::Vec;

use crate::adapter::Adapter;
use crate::bindings::exports::batchtask::receiver::intake::{
    Admission, Decision, Guest, Input, Message, Outcome, Refusal, Request, Response,
};
use crate::component::{receiver, settings};
use crate::outcomes::{Problem, Success};

impl<A: Adapter> Guest for A {
    fn head(request: Request) -> Result<Admission, Response> {
        match receiver::<A>() {
            Ok(receiver) => receiver.head(&request).map_err(|response| *response),
            Err(problem) => Err(problem.into_response()),
        }
    }

    fn decide(input: Input) -> Decision {
        match (receiver::<A>(), input) {
            (Ok(receiver), Input::Http(request)) => receiver.decide(request),
            (Ok(receiver), Input::Message(message)) => {
                receiver.decide_message(message.source, message.body)
            }
            (Err(problem), _) => Decision::Respond(problem.into_response()),
        }
    }

    fn exchange(request: Request) -> Response {
        match receiver::<A>() {
            Ok(receiver) => receiver.exchange(request),
            Err(problem) => problem.into_response(),
        }
    }

    fn accept(message: Message) -> Result<Outcome, Refusal> {
        let accepted =
            receiver::<A>().and_then(|receiver| receiver.accept(message.source, message.body));
        match accepted {
            Ok(Success::Duplicate) => Ok(Outcome::Duplicate),
            Ok(Success::Quarantined) => Ok(Outcome::Quarantined),
            Ok(_) => Ok(Outcome::Recorded),
            Err(problem) => Err(wire_refusal(*problem)),
        }
    }

    fn check() -> Result<(), Vec<String>> {
        settings::<A>().as_ref().map(|_| ()).map_err(Vec::clone)
    }
}

fn wire_refusal(problem: Problem) -> Refusal {
    Refusal {
        status: problem.refusal.status(),
        type_uri: problem.refusal.type_uri(),
        detail: problem.detail,
        pointer: problem.pointer.map(String::from),
    }
}
