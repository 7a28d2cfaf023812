//! The export `wasi:http/incoming-handler`: checks the head of a request,
//! reads its body whole, and writes the answer whole.

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
use crate::bindings::handler::wasi::io::streams::{OutputStream, StreamError};
use crate::component::receiver;
use crate::headers::declared_length;
use crate::outcomes::{Problem, Refusal};
use crate::receiver::Receiver;

/// The most that one blocking write may hold, in bytes; hosts trap on more.
const WRITE_BYTES: usize = 4096;

/// How much is asked of the body at once, in bytes.
const READ_BYTES: u64 = 64 << 10;

impl<A: Adapter> Guest for A {
    fn handle(incoming: IncomingRequest, response_out: ResponseOutparam) {
        let request = Request {
            method: method_name(incoming.method()),
            target: incoming.path_with_query().unwrap_or_default(),
            headers: incoming.headers().entries(),
            sender_proven: false,
            body: Vec::new(),
        };
        let is_head = request.method == "HEAD";
        let response = match receiver::<A>() {
            Ok(receiver) => answer(&incoming, request, &receiver),
            Err(problem) => problem.into_response(),
        };
        drop(incoming);
        write(response, is_head, response_out);
    }
}

fn answer<A: Adapter>(
    incoming: &IncomingRequest,
    mut request: Request,
    receiver: &Receiver<'_, A>,
) -> Response {
    let limit = match receiver.head(&request) {
        Ok(admission) => admission.max_body_bytes,
        Err(response) => return *response,
    };
    if limit > 0 {
        match read_body(incoming, declared_length(&request.headers), limit) {
            Ok(body) => request.body = body,
            Err(problem) => return problem.into_response(),
        }
    }
    receiver.exchange(request)
}

/// Reads the whole body, at most `limit` bytes.
fn read_body(
    request: &IncomingRequest,
    declared: Option<u64>,
    limit: u64,
) -> Result<Vec<u8>, Box<Problem>> {
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
        if length(&body) > limit {
            return Err(Refusal::BodyTooLarge.into());
        }
    }
    match declared {
        Some(declared) if declared != length(&body) => Err(incomplete()),
        _ => Ok(body),
    }
}

/// Writes the answer. A failure here means that the caller has gone.
fn write(answer: Response, is_head: bool, out: ResponseOutparam) {
    let mut headers = Vec::new();
    for (name, value) in answer.headers {
        headers.push((name, value.into_bytes()));
    }
    // Exact, or hosts send chunks. In answer to HEAD it would be that of GET's
    // body, which is not here any more, and a 204 has none (RFC 9110, 8.6).
    if !is_head && answer.status != 204 {
        let mut digits = String::new();
        push_decimal(&mut digits, length(&answer.body));
        headers.push(("content-length".into(), digits.into_bytes()));
    }
    let fields = Fields::from_list(&headers).unwrap_or_else(|_| Fields::new());
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(answer.status);
    // Neither fails the first time.
    let Ok(body) = response.body() else { return };
    let Ok(stream) = body.write() else { return };
    // What the stream takes without waiting goes first, so that the host can
    // send head and body in one packet: with Nagle's algorithm the second
    // packet would wait 40 ms.
    let rest = write_now(&stream, &answer.body);
    // Before any write that waits: some hosts take nothing until then.
    ResponseOutparam::set(out, Ok(response));
    for piece in rest.chunks(WRITE_BYTES) {
        if stream.blocking_write_and_flush(piece).is_err() {
            break;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Writes what the stream takes without waiting, and returns the rest.
fn write_now<'a>(stream: &OutputStream, bytes: &'a [u8]) -> &'a [u8] {
    let room = stream.check_write().unwrap_or_default();
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
    match bytes.split_at_checked(room) {
        Some((now, rest)) if !now.is_empty() && stream.write(now).is_ok() => rest,
        _ => bytes,
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
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
