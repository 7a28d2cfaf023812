//! The way in of a component without `intake`: `wasi:http/incoming-handler`,
//! by wasmtime's own instance handler.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use wasmtime::component::GuestTaskId;
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};

use crate::state::{Shared, State};

/// All instances of one component.
pub(crate) struct WasiHttp(ProxyHandler<Workers>);

impl WasiHttp {
    pub(crate) fn new(engine: Engine, pre: ProxyPre<State>, shared: Shared, reuse: u32) -> Self {
        Self(ProxyHandler::new(Workers {
            engine,
            pre,
            shared,
            reuse,
        }))
    }

    /// A whole exchange: the request's body is in memory, and so is the
    /// answer's when this returns.
    pub(crate) async fn exchange(
        &self,
        request: http::Request<Bytes>,
    ) -> wasmtime::Result<http::Response<Bytes>> {
        let request = request.map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        });
        let response = self.0.handle((), request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.0.state().shared.limits.instance_memory_bytes())
            .collect()
            .await
            .map_err(|error| wasmtime::format_err!("the answer was not whole: {error}"))?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}

struct Workers {
    engine: Engine,
    pre: ProxyPre<State>,
    shared: Shared,
    reuse: u32,
}

impl HandlerState for Workers {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Worker>> {
        let within = self.shared.limits.request_time();
        let mut store = State::store(&self.engine, &self.shared);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration {
                within,
                elapsed: Box::pin(tokio::time::sleep(within)),
            },
            state: Worker {
                reuse: self.reuse,
                within,
            },
        })
    }
}

struct Worker {
    reuse: u32,
    within: Duration,
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.reuse as usize {
            ShouldAccept::Never
        } else if concurrent > 0 {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(tokio::time::sleep(self.within))
    }

    fn drop(&self, store: Store<State>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            tracing::error!(error = format!("{error:#}"), "an instance failed");
        }
        drop(store);
    }
}

/// Ends an instance that outlived the time of a request, or waited as long for
/// one. The time in [`Worker::on_request_start`] does not elapse while the
/// guest is in a call to the host (wasmtime issues 11869 and 11870); this does.
struct Expiration {
    within: Duration,
    elapsed: Pin<Box<tokio::time::Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let deadline = (start + self.within).into();
        if self.elapsed.deadline() != deadline {
            self.elapsed.as_mut().reset(deadline);
        }
        self.elapsed.as_mut().poll(context)
    }
}
