//! The way in of a component without `intake`: `wasi:http/incoming-handler`.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::oneshot;
use wasmtime::format_err;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error as HttpError, WasiHttpView};

use crate::instances::Instances;
use crate::state::State;

/// All instances of one component.
pub(crate) struct WasiHttp {
    instances: Instances<ProxyPre<State>>,
    /// How long an answer's body may be.
    max_body_bytes: usize,
}

type Answer = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

impl WasiHttp {
    pub(crate) fn new(instances: Instances<ProxyPre<State>>, max_body_bytes: usize) -> Self {
        Self {
            instances,
            max_body_bytes,
        }
    }

    /// Makes an instance; there is nothing more to ask without a request.
    pub(crate) async fn check(&self) -> wasmtime::Result<()> {
        self.instances.call(async |_, _| Ok(())).await
    }

    /// A whole exchange: the request's body is in memory, and so is the
    /// answer's when this returns.
    pub(crate) async fn exchange(
        &self,
        request: http::Request<Bytes>,
    ) -> wasmtime::Result<http::Response<Bytes>> {
        let never = |never: Infallible| -> HttpError { match never {} };
        let request = request.map(|body| Full::new(body).map_err(never));
        let call = self.instances.call(async |proxy, store| {
            let (sender, answer) = oneshot::channel();
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(Scheme::Http, request)?;
            let out = http.new_response_outparam(sender)?;
            let handler = proxy.wasi_http_incoming_handler();
            // The component writes the answer's body while it runs, into a
            // channel that somebody must empty; when it traps, nobody ends it.
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
            .map_err(|_| format_err!("the component gave no answer"))?;
        let (head, body) = answer?.into_parts();
        let body = Limited::new(body, self.max_body_bytes)
            .collect()
            .await
            .map_err(|error| format_err!("the answer was not whole: {error}"))?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}
