//! Calls a component without `intake` through `wasi:http/incoming-handler`.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::oneshot;
use wasmtime::format_err;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error as HttpError, WasiHttpView};

use super::imports::Imports;
use super::instances::Instances;
use super::{Kind, Report, Request, Response};
use crate::settings::SettingPairs;

/// All instances of one component.
pub(super) struct WasiHttp {
    instances: Instances<ProxyPre<Imports>>,
    /// The longest body of a response, in bytes.
    max_body_bytes: usize,
}

type Answer = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

impl WasiHttp {
    pub(super) fn new(instances: Instances<ProxyPre<Imports>>, max_body_bytes: usize) -> Self {
        Self {
            instances,
            max_body_bytes,
        }
    }

    /// Creates an instance with these settings. Nothing more can be checked without
    /// a request.
    pub(super) async fn check(&self, settings: SettingPairs) -> wasmtime::Result<()> {
        self.instances
            .call_with(settings, async |_, _| Ok(()))
            .await
    }

    /// Answers a request whose body has been read completely.
    pub(super) async fn exchange(&self, request: Request) -> wasmtime::Result<Response> {
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("http://localhost{}", request.target));
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Bytes::from(request.body))?;
        self.call(request).await.map(response)
    }

    async fn call(&self, request: http::Request<Bytes>) -> wasmtime::Result<http::Response<Bytes>> {
        let never = |never: Infallible| -> HttpError { match never {} };
        let request = request.map(|body| Full::new(body).map_err(never));
        let call = self.instances.call(async |proxy, store| {
            let (sender, answer) = oneshot::channel();
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(Scheme::Http, request)?;
            let out = http.new_response_outparam(sender)?;
            let handler = proxy.wasi_http_incoming_handler();
            // The component writes the response's body into a channel while it runs, so
            // the channel must be read meanwhile. If the component traps, the channel is
            // not closed, so both futures run in `try_join!`.
            let ((), response) = tokio::try_join!(
                handler.call_handle(store, request, out),
                self.buffered(answer)
            )?;
            Ok(response)
        });
        call.await
    }

    async fn buffered(
        &self,
        answer: oneshot::Receiver<Answer>,
    ) -> wasmtime::Result<http::Response<Bytes>> {
        let answer = answer
            .await
            .map_err(|_| format_err!("the component returned without a response"))?;
        let (head, body) = answer?.into_parts();
        let body = Limited::new(body, self.max_body_bytes)
            .collect()
            .await
            .map_err(|error| format_err!("cannot read the component's response: {error}"))?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}

/// Converts a response. Its report is empty, because the component makes none.
fn response(response: http::Response<Bytes>) -> Response {
    let (head, body) = response.into_parts();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), value.into_owned())
    });
    Response {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: body.into(),
        report: Report {
            kind: Kind::Push,
            outcome: String::new(),
            app_id: None,
            task_id: None,
            detail: None,
            signature: None,
            skew_ms: None,
        },
    }
}
