//! The request for an event.

use batchtask_journal::StoredEvent;
use batchtask_notification::hex;
use batchtask_span::{Context, TRACEPARENT, TRACESTATE};
use batchtask_webhook::message::{self, MEDIA_TYPE, Message, Trace};
use batchtask_webhook::signature::signatures;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;

use super::options::{Mode, Target};

type Made = Result<Request<Full<Bytes>>, http::Error>;

/// Returns the request for an event, with the trace that the event came with. `now_s` is the
/// time of the attempt, in seconds since 1970: receivers refuse old signatures.
pub(super) fn of_event(
    target: &Target,
    event: &StoredEvent,
    trace: Option<Trace<'_>>,
    now_s: u64,
) -> Made {
    match target.mode {
        Mode::Structured => of_message(target, &message::of_stored(event, trace), now_s),
        Mode::Binary => {
            let fields = message::binary_fields(event, trace);
            let id = hex(&event.event.digest);
            request(target, &fields, &id, now_s, event.event.body.clone())
        }
    }
}

/// Marks a request as a replay.
pub(super) fn mark_replay(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let value = HeaderValue::from_static("true");
    request.headers_mut().insert("batchtask-replay", value);
    request
}

/// Passes the trace of a delivery on.
pub(super) fn mark_trace(
    mut request: Request<Full<Bytes>>,
    context: &Context,
) -> Request<Full<Bytes>> {
    let (parent, state) = (context.traceparent(), context.tracestate());
    let fields = [(TRACEPARENT, Some(&*parent)), (TRACESTATE, state)];
    for (name, value) in fields {
        // A context has only characters of header fields.
        let value = value.map(HeaderValue::try_from).and_then(Result::ok);
        if let Some(value) = value {
            request.headers_mut().insert(name, value);
        }
    }
    request
}

/// Returns the request for a message in structured mode.
pub(super) fn of_message(target: &Target, message: &Message, now_s: u64) -> Made {
    let fields = [(header::CONTENT_TYPE.as_str(), MEDIA_TYPE.to_owned())];
    request(target, &fields, &message.id, now_s, message.body.clone())
}

fn request(
    target: &Target,
    fields: &[(&'static str, String)],
    id: &str,
    now_s: u64,
    body: Vec<u8>,
) -> Made {
    let timestamp = now_s.to_string();
    let signatures = signatures(&target.keys, id, &timestamp, &body);
    let mut request = Request::post(&target.uri).header(header::USER_AGENT, "batchtask");
    for (name, value) in fields {
        request = request.header(*name, value);
    }
    request = request
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp);
    if let Some(signatures) = signatures {
        request = request.header("webhook-signature", signatures);
    }
    for (name, value) in &target.headers {
        request = request.header::<_, HeaderValue>(name, value.clone());
    }
    request.body(Full::new(body.into()))
}
