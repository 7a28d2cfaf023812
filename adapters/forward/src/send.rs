//! One request, within a time limit.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::bindings::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::endpoint::Endpoint;
use crate::message::{MEDIA_TYPE, Message};
use crate::signature::signatures;
use batchtask_guest::bindings::handler::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use batchtask_guest::bindings::handler::wasi::io::poll::{Pollable, poll};
use batchtask_guest::bindings::handler::wasi::io::streams::OutputStream;

/// How long a whole request may take, in nanoseconds: 8 s, because the
/// platform gives up after 15 s and must have a 503 by then.
const LIMIT_NS: u64 = 8_000_000_000;

/// The most that is written at once, in bytes.
const WRITE_BYTES: usize = 4096;

const TOO_LONG: &str = "it took too long";

/// Posts a message. Success is an answer of 2xx; the error says what came
/// instead.
pub(crate) fn post(endpoint: &Endpoint, message: &Message) -> Result<(), String> {
    let deadline = subscribe_duration(LIMIT_NS);
    let request = request(endpoint, message).ok_or("the request could not be made")?;
    let body = request.body().map_err(|()| "the request takes no body")?;
    let response = handle(request, Some(options())).map_err(|error| name(&error))?;
    write(&body, &message.body, &deadline)?;
    let _ = OutgoingBody::finish(body, None);
    match status(&response, &deadline)? {
        200..=299 => Ok(()),
        status => Err(["the answer was ", &status.to_string()].concat()),
    }
}

fn request(endpoint: &Endpoint, message: &Message) -> Option<OutgoingRequest> {
    let timestamp = message.timestamp_s.to_string();
    let signatures = signatures(&endpoint.keys, &message.id, &timestamp, &message.body);
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let mut field = |name: &str, value: &str| fields.push((name.into(), value.into()));
    field("content-type", MEDIA_TYPE);
    // Exact, or hosts send chunks.
    field("content-length", &message.body.len().to_string());
    field("webhook-id", &message.id);
    field("webhook-timestamp", &timestamp);
    if let Some(signatures) = signatures {
        field("webhook-signature", &signatures);
    }
    let request = OutgoingRequest::new(Fields::from_list(&fields).ok()?);
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

/// The host's own limits: without them a request that was given up here would
/// go on for ten minutes there. A host that has none is no failure.
///
/// There is no shorter limit for connecting, because jco takes
/// `connect-timeout` as the time until the head of the response.
fn options() -> RequestOptions {
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(LIMIT_NS));
    let _ = options.set_first_byte_timeout(Some(LIMIT_NS));
    let _ = options.set_between_bytes_timeout(Some(LIMIT_NS));
    options
}

fn write(body: &OutgoingBody, bytes: &[u8], deadline: &Pollable) -> Result<(), String> {
    const CLOSED: &str = "the connection closed before the message was sent";
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
    // From here on the answer decides. Whoever has read the whole may have
    // answered already; then a host calls the stream closed, and its end an
    // error.
    let _ = stream.flush();
    Ok(())
}

fn status(response: &FutureIncomingResponse, deadline: &Pollable) -> Result<u16, String> {
    let ready = response.subscribe();
    loop {
        match response.get() {
            Some(Ok(Ok(response))) => return Ok(response.status()),
            Some(Ok(Err(error))) => return Err(name(&error)),
            Some(Err(())) => return Err("the answer was taken twice".into()),
            None => wait(&ready, deadline)?,
        }
    }
}

/// Waits for one thing, until the time is up.
fn wait(ready: &Pollable, deadline: &Pollable) -> Result<(), String> {
    poll(&[ready, deadline]);
    match deadline.ready() && !ready.ready() {
        true => Err(TOO_LONG.into()),
        false => Ok(()),
    }
}

/// What went wrong, for the operator.
fn name(error: &ErrorCode) -> String {
    match error {
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            "the host's name was not found"
        }
        ErrorCode::ConnectionRefused => "the connection was refused",
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => TOO_LONG,
        ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => "TLS failed",
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            "this host does not let the component send there"
        }
        ErrorCode::InternalError(Some(text)) => text,
        _ => "the request failed",
    }
    .into()
}
