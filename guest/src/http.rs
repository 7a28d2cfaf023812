//! The export `wasi:http/incoming-handler` of WASI 0.2: checks the head of a request,
//! reads the whole body, and writes the whole answer. An adapter for another version
//! calls [`fields`].

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

/// The greatest length of one blocking write, in bytes. Hosts trap on more.
const WRITE_BYTES: usize = 4096;

/// The greatest length of one read of the body, in bytes.
const READ_BYTES: u64 = 64 << 10;

impl<A: Adapter> Guest for A {
    fn handle(incoming: IncomingRequest, response_out: ResponseOutparam) {
        let request = Request {
            method: method_name(incoming.method()),
            target: incoming.path_with_query().unwrap_or_default(),
            headers: incoming.headers().entries(),
            sender_proven: false,
            // Hosts behind a proxy do not know. The `Origin` of a browser says it.
            over_https: false,
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

/// Reads the whole body. Fails if it is longer than `limit` bytes.
fn read_body(
    request: &IncomingRequest,
    declared: Option<u64>,
    limit: u64,
) -> Result<Vec<u8>, Box<Problem>> {
    let incomplete = || Box::<Problem>::from(Refusal::BodyIncomplete);
    let incoming = request.consume().map_err(|()| incomplete())?;
    // The stream must be dropped before the body. It is, because it is declared
    // after it.
    let stream = incoming.stream().map_err(|()| incomplete())?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            // The first piece is usually the whole body.
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

/// Writes the answer. Errors are ignored: they mean that the caller has
/// disconnected.
fn write(mut answer: Response, is_head: bool, out: ResponseOutparam) {
    let fields = Fields::from_list(&fields(&mut answer, is_head)).unwrap_or_else(|_| Fields::new());
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(answer.status);
    // Neither call fails the first time.
    let Ok(body) = response.body() else { return };
    let Ok(stream) = body.write() else { return };
    // First write as much as the stream accepts without waiting, so that the host
    // can send head and body in one packet: Nagle's algorithm would delay a second
    // packet by 40 ms.
    let rest = write_now(&stream, &answer.body);
    // This must happen before any write that waits, because some hosts read
    // nothing from the stream before it.
    ResponseOutparam::set(out, Ok(response));
    for piece in rest.chunks(WRITE_BYTES) {
        if stream.blocking_write_and_flush(piece).is_err() {
            break;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Takes the header fields out of an answer, and returns them in the types of `wasi:http`.
pub fn fields(answer: &mut Response, is_head: bool) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::new();
    for (name, value) in core::mem::take(&mut answer.headers) {
        fields.push((name, value.into_bytes()));
    }
    // Without a length hosts send chunks. In the answer to HEAD it would be the
    // length of GET's body, which was dropped; a 204 has no length (RFC 9110, 8.6).
    if !is_head && answer.status != 204 {
        let mut digits = String::new();
        push_decimal(&mut digits, length(&answer.body));
        fields.push(("content-length".into(), digits.into_bytes()));
    }
    fields
}

/// Writes as much as the stream accepts without waiting. Returns the rest.
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
