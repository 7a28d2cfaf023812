//! The receiver, ready to be asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use batchtask_guest::outcomes::{Problem, Refusal};
use bytes::Bytes;
use wasmtime::component::{Component, types::ComponentItem};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::bindings::ReceiverPre;
use crate::bindings::exports::batchtask::receiver::intake;
use crate::engine::engine;
use crate::instances::Instances;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::state::{Shared, State};
use crate::wasi_http::WasiHttp;

pub use crate::bindings::exports::batchtask::receiver::intake::{
    Outcome, Refusal as AcceptRefusal, Report, Request, Response,
};

/// The component that is built with the host.
pub const EMBEDDED_COMPONENT: &[u8] = include_bytes!(env!("BATCHTASK_COMPONENT"));

/// How many requests an instance serves, unless said otherwise.
pub const DEFAULT_REUSE: u32 = 1000;

/// Why there is no receiver.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file is no component that this host can run.
    #[error("the component cannot be run: {0:#}")]
    Component(wasmtime::Error),
    /// The component exports neither way in.
    #[error(
        "the component exports neither `batchtask:receiver/intake` nor `wasi:http/incoming-handler`"
    )]
    NoWayIn,
    /// Settings have no valid value; a line for each.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// What a receiver is made of.
pub struct Builder {
    journal: Arc<dyn Journal>,
    settings: Settings,
    component: Vec<u8>,
    cache_dir: Option<PathBuf>,
    reuse: u32,
    limits: Limits,
    metrics: Option<Arc<Metrics>>,
}

impl Builder {
    /// What the operator decided; nothing, unless said.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Another component than [`EMBEDDED_COMPONENT`], as wasm binary.
    pub fn component(mut self, wasm: Vec<u8>) -> Self {
        self.component = wasm;
        self
    }

    /// Where compiled code is kept; nowhere, unless said.
    pub fn cache_dir(mut self, directory: Option<PathBuf>) -> Self {
        self.cache_dir = directory;
        self
    }

    /// How many requests an instance serves, at least 1; [`DEFAULT_REUSE`],
    /// unless said.
    pub fn instance_reuse(mut self, requests: u32) -> Self {
        self.reuse = requests.max(1);
        self
    }

    /// How much it may take; [`Limits::DEFAULT`], unless said.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where instances and failures are counted; nowhere that can be seen,
    /// unless said.
    pub fn metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Compiles the component and has it check its settings.
    pub async fn build(self) -> Result<Receiver, BuildError> {
        let shared = Shared {
            journal: self.journal.clone(),
            settings: Arc::new(self.settings.clone()),
            limits: Arc::new(self.limits.clone()),
        };
        let metrics = match &self.metrics {
            Some(metrics) => metrics.clone(),
            None => Arc::new(Metrics::new()?),
        };
        let way_in = self.way_in(shared, metrics.clone());
        let receiver = Receiver {
            way_in: way_in
                .map_err(BuildError::Component)?
                .ok_or(BuildError::NoWayIn)?,
            request_time: self.limits.request_time(),
            metrics,
        };
        receiver.check().await?;
        Ok(receiver)
    }

    fn way_in(&self, shared: Shared, metrics: Arc<Metrics>) -> wasmtime::Result<Option<WayIn>> {
        let engine = engine(self.cache_dir.as_deref(), &self.limits, self.reuse)?;
        let component = Component::from_binary(&engine, &self.component)?;
        let pre = State::linker(&engine)?.instantiate_pre(&component)?;
        if exports(&component, "batchtask:receiver/intake@") {
            let pre = ReceiverPre::new(pre)?;
            let instances = Instances::new(engine, pre, shared, self.reuse, metrics);
            return Ok(Some(WayIn::Intake(instances)));
        }
        if exports(&component, "wasi:http/incoming-handler@") {
            let pre = ProxyPre::new(pre)?;
            let instances = Instances::new(engine, pre, shared, self.reuse, metrics);
            let max_body_bytes = self.limits.instance_memory_bytes();
            return Ok(Some(WayIn::WasiHttp(WasiHttp::new(
                instances,
                max_body_bytes,
            ))));
        }
        Ok(None)
    }
}

/// Whether a component exports an instance whose name begins so.
fn exports(component: &Component, prefix: &str) -> bool {
    let ty = component.component_type();
    ty.exports(component.engine()).any(|(name, export)| {
        name.starts_with(prefix) && matches!(export.ty, ComponentItem::ComponentInstance(_))
    })
}

/// The receiver: a component over a journal. Shared by reference; any number
/// of exchanges may run at once.
pub struct Receiver {
    way_in: WayIn,
    request_time: Duration,
    metrics: Arc<Metrics>,
}

enum WayIn {
    Intake(Instances<ReceiverPre<State>>),
    WasiHttp(WasiHttp),
}

impl Receiver {
    /// A receiver over this journal.
    pub fn builder(journal: Arc<dyn Journal>) -> Builder {
        Builder {
            journal,
            settings: Settings::default(),
            component: EMBEDDED_COMPONENT.into(),
            cache_dir: None,
            reuse: DEFAULT_REUSE,
            limits: Limits::DEFAULT,
            metrics: None,
        }
    }

    /// Answers a request whose body was read to its end. Never fails: what
    /// goes wrong is an answer too.
    pub async fn exchange(&self, request: Request) -> Response {
        self.exchange_within(self.request_time, request).await
    }

    /// The same, in what is left of a request's time.
    pub(crate) async fn exchange_within(&self, time: Duration, request: Request) -> Response {
        let answered = tokio::time::timeout(time, async {
            match &self.way_in {
                WayIn::Intake(instances) => {
                    let call = instances.call(async |receiver, store| {
                        let intake = receiver.batchtask_receiver_intake();
                        intake.call_exchange(store, &request).await
                    });
                    call.await
                }
                WayIn::WasiHttp(handler) => over_wasi_http(handler, request).await,
            }
        });
        match answered.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => self.failed(&error),
            Err(_elapsed) => refusal(Refusal::Slow, None),
        }
    }

    /// Takes one notification that came by another channel, from a sender that
    /// the caller has checked.
    pub async fn accept(&self, body: &[u8]) -> Result<Outcome, AcceptRefusal> {
        let WayIn::Intake(instances) = &self.way_in else {
            return Err(accept_refusal(Refusal::Unsupported));
        };
        let call = instances.call(async |receiver, store| {
            receiver
                .batchtask_receiver_intake()
                .call_accept(store, body)
                .await
        });
        match tokio::time::timeout(self.request_time, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.failed(&error);
                Err(accept_refusal(Refusal::Failed))
            }
            Err(_elapsed) => Err(accept_refusal(Refusal::Slow)),
        }
    }

    /// Makes an instance, and has it check its settings.
    pub async fn check(&self) -> Result<(), BuildError> {
        let instances = match &self.way_in {
            WayIn::Intake(instances) => instances,
            WayIn::WasiHttp(handler) => {
                return handler.check().await.map_err(BuildError::Component);
            }
        };
        let call = instances.call(async |receiver, store| {
            receiver.batchtask_receiver_intake().call_check(store).await
        });
        call.await
            .map_err(BuildError::Component)?
            .map_err(BuildError::Settings)
    }

    /// The answer when the component trapped, or could not be instantiated.
    fn failed(&self, error: &wasmtime::Error) -> Response {
        self.metrics.failures.inc();
        tracing::error!(error = format!("{error:#}"), "the component failed");
        refusal(Refusal::Failed, None)
    }
}

async fn over_wasi_http(handler: &WasiHttp, request: Request) -> wasmtime::Result<Response> {
    let mut builder = http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("http://localhost{}", request.target));
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    let response = handler
        .exchange(builder.body(Bytes::from(request.body))?)
        .await?;
    let (head, body) = response.into_parts();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), value.into_owned())
    });
    Ok(Response {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: body.into(),
        report: Report {
            outcome: head.status.as_str().to_owned(),
            app_id: None,
            task_id: None,
            detail: None,
            signature: None,
        },
    })
}

/// A refusal of the host's own, out of the component's table.
pub(crate) fn refusal(refusal: Refusal, operator: Option<String>) -> Response {
    let problem = Problem {
        operator,
        ..Problem::from(refusal)
    };
    let response = problem.into_response();
    let report = response.report;
    Response {
        status: response.status,
        headers: response.headers,
        body: response.body,
        report: Report {
            outcome: report.outcome,
            app_id: report.app_id,
            task_id: report.task_id,
            detail: report.detail,
            signature: report.signature,
        },
    }
}

fn accept_refusal(refusal: Refusal) -> intake::Refusal {
    intake::Refusal {
        status: refusal.status(),
        type_uri: refusal.type_uri(),
        detail: refusal.text().to_owned(),
        pointer: None,
    }
}
