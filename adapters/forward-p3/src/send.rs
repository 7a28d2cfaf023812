//! Posts one message, within a time limit.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use batchtask_adapter_forward::endpoint::{Endpoint, LIMIT_NS, TOO_SLOW};
use batchtask_adapter_forward::failure_text;
use batchtask_webhook::message::Message;
use wit_bindgen::rt::async_support::{FutureReader, StreamReader};
use wit_bindgen::spawn_local;

use crate::bindings::wasi::clocks::monotonic_clock::wait_for;
use crate::bindings::wasi::http::client;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, Method, Request, RequestOptions, Scheme, Trailers,
};
use crate::bindings::{wit_future, wit_stream};

/// Posts a message. Returns `Ok` if the endpoint answers 2xx. Otherwise the error says
/// what happened.
pub(crate) async fn post(endpoint: &Endpoint, message: Message) -> Result<(), String> {
    let request = request(endpoint, message).ok_or("the request could not be created")?;
    let response = within_limit(client::send(request)).await.ok_or(TOO_SLOW)?;
    match response.map(|response| response.get_status_code()) {
        Ok(200..=299) => Ok(()),
        Ok(status) => Err(["the endpoint answered ", &status.to_string()].concat()),
        Err(error) => Err(failure_text!(&error, ErrorCode).into()),
    }
}

fn request(endpoint: &Endpoint, message: Message) -> Option<Request> {
    let fields = Fields::from_list(&endpoint.fields(&message)).ok()?;
    let (body, trailers) = content(message.body);
    let (request, _) = Request::new(fields, Some(body), trailers, Some(options()));
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

/// Returns the options that set the host's own time limits. A host that does not support
/// them is no error.
fn options() -> RequestOptions {
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(LIMIT_NS));
    let _ = options.set_first_byte_timeout(Some(LIMIT_NS));
    let _ = options.set_between_bytes_timeout(Some(LIMIT_NS));
    options
}

/// The trailers of a message, of which there are none.
type NoTrailers = FutureReader<Result<Option<Trailers>, ErrorCode>>;

/// Returns a body and its trailers. A task writes the body as it is read.
pub(crate) fn content(bytes: Vec<u8>) -> (StreamReader<u8>, NoTrailers) {
    let (mut writer, body) = wit_stream::new();
    // Dropping the writer says that there are no trailers.
    let (_, trailers) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        // What is left over was not wanted: the other side has disconnected.
        writer.write_all(bytes).await;
    });
    (body, trailers)
}

/// Returns what `work` results in, or `None` if that takes too long. Then `work` is
/// cancelled.
async fn within_limit<T>(work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut limit) = (pin!(work), pin!(wait_for(LIMIT_NS)));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => limit.as_mut().poll(context).map(|()| None),
    })
    .await
}
