//! Posts one message, within a time limit.

use alloc::string::{String, ToString};

use crate::bindings::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::endpoint::{Endpoint, LIMIT_NS, TOO_SLOW};
use batchtask_guest::bindings::handler::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use batchtask_guest::bindings::handler::wasi::io::poll::{Pollable, poll};
use batchtask_guest::bindings::handler::wasi::io::streams::OutputStream;
use batchtask_webhook::message::Message;

/// The greatest length of one write, in bytes.
const WRITE_BYTES: usize = 4096;

/// Posts a message. Returns `Ok` if the endpoint answers 2xx. Otherwise the
/// error says what happened.
pub(crate) fn post(endpoint: &Endpoint, message: &Message) -> Result<(), String> {
    let deadline = subscribe_duration(LIMIT_NS);
    let request = request(endpoint, message).ok_or("the request could not be created")?;
    let body = request.body().map_err(|()| "the request has no body")?;
    let response = handle(request, Some(options())).map_err(|error| text_of(&error))?;
    write(&body, &message.body, &deadline)?;
    let _ = OutgoingBody::finish(body, None);
    match status(&response, &deadline)? {
        200..=299 => Ok(()),
        status => Err(["the endpoint answered ", &status.to_string()].concat()),
    }
}

fn request(endpoint: &Endpoint, message: &Message) -> Option<OutgoingRequest> {
    let request = OutgoingRequest::new(Fields::from_list(&endpoint.fields(message)).ok()?);
    let scheme = if endpoint.is_tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    request.set_method(&Method::Post).ok()?;
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(&endpoint.authority)).ok()?;
    request.set_path_with_query(Some(&endpoint.target)).ok()?;
    Some(request)
}

/// Returns the options that set the host's own time limits. Without them the
/// host would continue an abandoned request for ten minutes. A host that does
/// not support them is no error.
///
/// There is no shorter limit for connecting, because jco uses `connect-timeout`
/// as the time until the head of the response.
fn options() -> RequestOptions {
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(LIMIT_NS));
    let _ = options.set_first_byte_timeout(Some(LIMIT_NS));
    let _ = options.set_between_bytes_timeout(Some(LIMIT_NS));
    options
}

fn write(body: &OutgoingBody, bytes: &[u8], deadline: &Pollable) -> Result<(), String> {
    const CLOSED: &str = "the endpoint closed the connection before the message was sent";
    let stream: OutputStream = body.write().map_err(|()| CLOSED)?;
    let writable = stream.subscribe();
    let mut rest = bytes;
    while !rest.is_empty() {
        let room = stream.check_write().map_err(|_| CLOSED)?;
        let room = usize::try_from(room)
            .unwrap_or(WRITE_BYTES)
            .min(WRITE_BYTES);
        let Some((piece, after)) = rest.split_at_checked(room.min(rest.len())) else {
            break;
        };
        if piece.is_empty() {
            wait(&writable, deadline)?;
        } else {
            stream.write(piece).map_err(|_| CLOSED)?;
            rest = after;
        }
    }
    // From here on only the answer matters. An endpoint that has read the whole
    // message may already have answered. Then the host reports that the stream is
    // closed, and flushing it is an error.
    let _ = stream.flush();
    Ok(())
}

fn status(response: &FutureIncomingResponse, deadline: &Pollable) -> Result<u16, String> {
    let ready = response.subscribe();
    loop {
        match response.get() {
            Some(Ok(Ok(response))) => return Ok(response.status()),
            Some(Ok(Err(error))) => return Err(text_of(&error)),
            Some(Err(())) => return Err("the answer was read twice".into()),
            None => wait(&ready, deadline)?,
        }
    }
}

/// Waits until `ready` is ready. Fails if the deadline passes before that.
fn wait(ready: &Pollable, deadline: &Pollable) -> Result<(), String> {
    poll(&[ready, deadline]);
    if deadline.ready() && !ready.ready() {
        Err(TOO_SLOW.into())
    } else {
        Ok(())
    }
}

/// Returns the text of an error, for the operator.
fn text_of(error: &ErrorCode) -> String {
    crate::failure_text!(error, ErrorCode).into()
}
