//! [`Outgoing`]: the requests of an instance.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

use crate::options::Origin;

/// How many requests an instance may send for one message.
pub(crate) const REQUESTS_MAX: u32 = 16;

/// The longest body of a request, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 4 << 20;

/// Sends the requests of components. It is responsible for where a name leads, for time
/// limits, and for the length of answers.
#[async_trait]
pub trait Client: Send + Sync {
    /// Sends a request, and returns the answer with its body. The component gets the text of
    /// an error.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String>;
}

/// Sends the requests of one instance, if they are allowed.
pub(crate) struct Outgoing {
    client: Arc<dyn Client>,
    origins: Arc<[Origin]>,
    sent: u32,
    /// The first request that was not allowed, for the log.
    pub(crate) denied: Option<String>,
}

type Done = Box<dyn Future<Output = Result<(), HttpError>> + Send>;
type Sent = Result<(Response<WasiBody>, Done), HttpError>;

impl Outgoing {
    pub(crate) fn new(client: Arc<dyn Client>, origins: Arc<[Origin]>) -> Self {
        Self {
            client,
            origins,
            sent: 0,
            denied: None,
        }
    }

    /// Returns why a request is not allowed.
    fn refusal<T>(&self, request: &Request<T>) -> Option<String> {
        if self.sent > REQUESTS_MAX {
            return Some(format!("it sent more than {REQUESTS_MAX} requests"));
        }
        let uri = request.uri();
        let is_allowed = Origin::of(uri).is_some_and(|origin| self.origins.contains(&origin));
        // The path may be secret.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        (!is_allowed).then(|| {
            let scheme = uri.scheme_str().unwrap_or_default();
            format!("it sent a request to `{scheme}://{authority}`, which is not in `hosts`")
        })
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Done,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.sent = self.sent.saturating_add(1);
        if let Some(refusal) = self.refusal(&request) {
            self.denied.get_or_insert(refusal);
            return Box::new(async { Err(HttpError::HttpRequestDenied) });
        }
        let client = self.client.clone();
        Box::new(async move {
            let (head, body) = request.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|_| HttpError::HttpRequestBodySize(None))?;
            let request = Request::from_parts(head, body.to_bytes());
            let response = client.send(request).await.map_err(failed)?;
            let response = response.map(|body| {
                Full::new(body)
                    .map_err(|never| match never {})
                    .boxed_unsync()
            });
            let done: Done = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

fn failed(error: String) -> HttpError {
    HttpError::InternalError(Some(error))
}
