//! The receiver that posts every event on, as `batchtask-adapter-forward` does, for
//! hosts of WASI 0.3.
//!
//! There, requests are tasks of one instance: while one waits for the endpoint, others are
//! decided. The guest itself does not wait: `Receiver::decide` returns what to store, and
//! this shell posts it before it answers.
//!
//! - `bindings`: the bindings of `wit/world.wit`.
//! - `send`: posts one message, within a time limit.

#![cfg(target_arch = "wasm32")]
#![no_std]

extern crate alloc;

mod bindings;
mod send;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use batchtask_adapter_forward::endpoint::{self, Endpoint};
use batchtask_guest::adapter::Adapter;
use batchtask_guest::bindings::exports::batchtask::receiver::intake;
use batchtask_guest::component::receiver_at;
use batchtask_guest::headers::declared_length;
use batchtask_guest::http::fields;
use batchtask_guest::journal::{Appended, Error, Event, Reject, SignatureUse, Store};
use batchtask_guest::outcomes::{Problem, Refusal};
use batchtask_guest::receiver::{Decision, Entry, Receiver, Write};
use batchtask_webhook::message;

use bindings::exports::wasi::http::handler::Guest;
use bindings::wasi::cli::environment::get_environment;
use bindings::wasi::clocks::system_clock;
use bindings::wasi::http::types::{ErrorCode, Fields, Method, Request, Response};
use bindings::wit_future;
use wit_bindgen::rt::async_support::StreamResult;

/// The greatest length of one read of the body, in bytes.
const READ_BYTES: usize = 64 << 10;

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

/// Nothing calls these: [`store`] carries out what the receiver decides, because it has to
/// wait.
impl Store for Forward {
    const UNREADABLE: &'static str = endpoint::UNREADABLE;

    fn append(&self, _: &Event, _: Option<&SignatureUse>) -> Result<Appended, Error> {
        Err(Error::Unsupported(Self::UNREADABLE.into()))
    }

    fn quarantine(&self, _: &Reject, _: Option<&SignatureUse>) -> Result<Appended, Error> {
        Err(Error::Unsupported(Self::UNREADABLE.into()))
    }
}

impl Guest for Forward {
    async fn handle(incoming: Request) -> Result<Response, ErrorCode> {
        let request = intake::Request {
            method: method_name(incoming.get_method()),
            target: incoming.get_path_with_query().unwrap_or_default(),
            headers: incoming.get_headers().copy_all(),
            sender_proven: false,
            // Hosts behind a proxy do not know. The `Origin` of a browser says it.
            over_https: false,
            body: Vec::new(),
        };
        let is_head = request.method == "HEAD";
        let answer = match receiver_at::<Self>(now_ms()) {
            Ok(receiver) => answer(incoming, request, &receiver).await,
            Err(problem) => Err(problem),
        };
        let answer = answer.unwrap_or_else(|problem| problem.into_response());
        Ok(response(answer, is_head))
    }
}

async fn answer(
    incoming: Request,
    mut request: intake::Request,
    receiver: &Receiver<'_, Forward>,
) -> Result<intake::Response, Box<Problem>> {
    let limit = match receiver.head(&request) {
        Ok(admission) => admission.max_body_bytes,
        Err(response) => return Ok(*response),
    };
    if limit > 0 {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        request.body = read_body(incoming, declared_length(&request.headers), limit).await?;
    }
    match receiver.decide(request) {
        Decision::Respond(response) => Ok(response),
        Decision::Write(write) => store(write).await,
    }
}

/// Posts what is to be stored, and returns the answer for the sender.
async fn store(write: Write) -> Result<intake::Response, Box<Problem>> {
    let message = match &write.entry {
        Entry::Event(event) => message::of_event(event),
        Entry::Reject(reject) => message::of_reject(reject),
    };
    let posted = match Endpoint::read(Forward::settings()) {
        Ok(endpoint) => send::post(&endpoint, message).await,
        Err(text) => Err(text.into()),
    };
    match posted {
        Ok(()) => write.into_response(Appended::Recorded),
        Err(text) => Err(Problem::of_journal(Error::Unavailable(text))),
    }
}

/// Reads the whole body. Fails if it is longer than `limit` bytes.
async fn read_body(
    request: Request,
    declared: Option<u64>,
    limit: usize,
) -> Result<Vec<u8>, Box<Problem>> {
    // Dropping the writer reports that the body was taken.
    let (_, taken) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = Request::consume_body(request, taken);
    let mut body = Vec::new();
    loop {
        let (result, piece) = stream.read(Vec::with_capacity(READ_BYTES)).await;
        body.extend_from_slice(&piece);
        if body.len() > limit {
            return Err(Refusal::BodyTooLarge.into());
        }
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let is_whole = trailers.await.is_ok() && declared.is_none_or(|declared| declared == length);
    if is_whole {
        Ok(body)
    } else {
        Err(Refusal::BodyIncomplete.into())
    }
}

/// Returns an answer as a response of `wasi:http`, whose body is written afterwards.
/// Errors are ignored: they mean that the caller has disconnected.
fn response(mut answer: intake::Response, is_head: bool) -> Response {
    let fields = fields(&mut answer, is_head);
    let fields = Fields::from_list(&fields).unwrap_or_else(|_| Fields::new());
    let (body, trailers) = send::content(answer.body);
    let (response, _) = Response::new(fields, Some(body), trailers);
    let _ = response.set_status_code(answer.status);
    response
}

fn now_ms() -> u64 {
    let now = system_clock::now();
    u64::try_from(now.seconds)
        .unwrap_or_default()
        .saturating_mul(1000)
        .saturating_add((now.nanoseconds / 1_000_000).into())
}

fn method_name(method: Method) -> String {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    }
    .into()
}
