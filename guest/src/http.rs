//! The export `wasi:http/incoming-handler`: reads a request whole, asks the
//! heart, writes the answer whole.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::push_decimal;

use crate::adapter::Adapter;
use crate::bindings::exports::batchtask::receiver::intake::{Request, Response};
use crate::bindings::handler::exports::wasi::http::incoming_handler::Guest;
use crate::bindings::handler::wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use crate::bindings::handler::wasi::io::streams::StreamError;
use crate::intake::{exchange, receiver};
use crate::outcomes::{Problem, Refusal};
use crate::receiver::{Receiver, header};

/// The most that one write may hold, in bytes; the host traps on more.
const WRITE_BYTES: usize = 4096;

/// How much is asked of the body at once, in bytes.
const READ_BYTES: u64 = 64 << 10;

impl<A: Adapter> Guest for A {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let is_head = matches!(request.method(), Method::Head);
        let receiver = receiver::<A>();
        let response = match receiver.and_then(|receiver| read(&request, &receiver)) {
            Ok(request) => exchange::<A>(request),
            Err(problem) => problem.into_response(),
        };
        drop(request);
        write(response, is_head, response_out);
    }
}

fn read<A: Adapter>(
    request: &IncomingRequest,
    receiver: &Receiver<'_, A>,
) -> Result<Request, Box<Problem>> {
    let mut whole = Request {
        method: method_name(request.method()),
        target: request.path_with_query().unwrap_or_default(),
        headers: request.headers().entries(),
        body: Vec::new(),
    };
    if receiver.wants_body(&whole) {
        whole.body = read_body(request, &whole.headers, receiver.settings.max_body_bytes)?;
    }
    Ok(whole)
}

/// The whole body. One that is longer than `limit`, or says it is, is not read
/// on.
fn read_body(
    request: &IncomingRequest,
    headers: &[(String, Vec<u8>)],
    limit: usize,
) -> Result<Vec<u8>, Box<Problem>> {
    let declared = header(headers, "content-length").and_then(|length| length.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(Refusal::BodyTooLarge.into());
    }
    let incomplete = || Box::<Problem>::from(Refusal::BodyIncomplete);
    let incoming = request.consume().map_err(|()| incomplete())?;
    // Declared after the body and so dropped before it, as the host demands.
    let stream = incoming.stream().map_err(|()| incomplete())?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            // The first piece is mostly the whole.
            Ok(piece) if body.is_empty() => body = piece,
            Ok(piece) => body.extend_from_slice(&piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return Err(incomplete()),
        }
        if body.len() > limit {
            return Err(Refusal::BodyTooLarge.into());
        }
    }
    match declared {
        Some(length) if length != body.len() => Err(incomplete()),
        _ => Ok(body),
    }
}

/// Writes the answer. What fails here fails because the caller has gone: there
/// is nobody left to tell.
fn write(answer: Response, is_head: bool, out: ResponseOutparam) {
    let mut headers: Vec<(String, Vec<u8>)> = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name, value.into_bytes()))
        .collect();
    // Exact, or hosts send chunks. In answer to HEAD it would be that of GET's
    // body, which is not here any more.
    if !is_head {
        let mut length = String::new();
        push_decimal(
            &mut length,
            u64::try_from(answer.body.len()).unwrap_or(u64::MAX),
        );
        headers.push(("content-length".into(), length.into_bytes()));
    }
    let fields = Fields::from_list(&headers).unwrap_or_else(|_| Fields::new());
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(answer.status);
    let Ok(body) = response.body() else { return };
    // Before the body: some hosts wait for it.
    ResponseOutparam::set(out, Ok(response));
    if let Ok(stream) = body.write() {
        for piece in answer.body.chunks(WRITE_BYTES) {
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
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
