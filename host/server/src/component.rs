//! Runs the component on Wasmtime.
//!
//! - [`Component`]: a compiled component, built with [`Options`]. Each call goes
//!   to one of its exports.
//! - `engine`: Wasmtime, configured for many short-lived instances.
//! - `instances`: instances with all imports; `lean`: instances that can only
//!   decide; `imports`: what an instance can call; `memory`: its memory limit.
//! - `wasi_http`: calls a component that does not export `intake`.
//! - `convert`: converts between the generated types and the guest crate's types.

mod convert;
mod engine;
mod imports;
mod instances;
mod lean;
mod memory;
mod wasi_http;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use batchtask_guest::outcomes::{Problem, Refusal, Success};
use batchtask_guest::receiver::Decision;
use batchtask_journal::{GroupCommit, Source};
use batchtask_span::Tracer;
use wasmtime::component::types::ComponentItem;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use self::convert::Convert;
use self::engine::{Engine, Pool};
use self::imports::{Imports, Shared};
use self::instances::{InstanceMetrics, Instances};
use self::lean::Lean;
use self::wasi_http::WasiHttp;
use crate::bindings::ReceiverPre;
use crate::bindings::exports::batchtask::receiver::intake as export;
use crate::limits::Limits;
use crate::notices::Notices;
use crate::settings::{LiveSettings, SettingPairs, Settings};
use crate::telemetry::Registry;

pub use batchtask_guest::bindings::exports::batchtask::receiver::intake::{
    Admission, Kind, Report, Request, Response,
};

/// The component that is built with the host, as a wasm binary.
pub const EMBEDDED: &[u8] = include_bytes!(env!("BATCHTASK_COMPONENT"));

/// How many requests an instance serves by default. With 1, every request gets
/// a fresh instance, which isolates requests from each other but takes 16 to 20 %
/// more processor time at 800 requests a second.
pub const DEFAULT_REUSE: u32 = 1000;

/// The longest body that a lean instance decides about, in bytes. Lean instances
/// do not yield their thread, and take less than a millisecond for this many
/// bytes. Longer bodies go to full instances, which yield.
const LEAN_BODY_BYTES: usize = 64 << 10;

/// A notification from a channel other than HTTP.
#[derive(Clone, Debug)]
pub struct Message {
    /// The channel.
    pub source: Source,
    /// The notification.
    pub body: Vec<u8>,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The bytes are not a component that this host can run.
    #[error("this host cannot run the component: {0:#}")]
    Component(wasmtime::Error),
    /// The component does not export an interface that the host can call.
    #[error(
        "the component exports neither `batchtask:receiver/intake` nor `wasi:http/incoming-handler`"
    )]
    NoExport,
    /// Settings are invalid. There is one line for each.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// Two metrics have the same name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// The options of a component.
#[derive(Clone, Debug)]
pub struct Options {
    /// The receiver's settings.
    pub settings: Settings,
    /// The component, as a wasm binary.
    pub wasm: Vec<u8>,
    /// The folder for the cache of compiled code, or `None` for no cache.
    pub cache_dir: Option<PathBuf>,
    /// How many requests an instance serves, at least 1.
    pub reuse: u32,
    /// The limits of the host.
    pub limits: Limits,
    /// The host's notices, which the component shows.
    pub notices: Notices,
    /// Where metrics are registered.
    pub registry: Registry,
    /// What records traces.
    pub tracer: Tracer,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            wasm: EMBEDDED.into(),
            cache_dir: None,
            reuse: DEFAULT_REUSE,
            limits: Limits::DEFAULT,
            notices: Notices::default(),
            registry: Registry::default(),
            tracer: Tracer::default(),
        }
    }
}

/// A compiled component. Any number of calls may run at once.
pub struct Component {
    exports: Exports,
    settings: LiveSettings,
}

/// The exports that the host calls.
enum Exports {
    /// `intake.decide`; the host commits.
    Decide {
        lean: Option<Lean>,
        full: Instances<ReceiverPre<Imports>>,
    },
    /// `intake.exchange`; the component has its own journal, and commits.
    Exchange(Instances<ReceiverPre<Imports>>),
    /// `wasi:http/incoming-handler`; the component has no `intake`, and commits.
    WasiHttp(WasiHttp),
}

/// Why a call into the component failed.
pub(crate) enum Failure {
    /// The component trapped, or could not be instantiated.
    Trap(wasmtime::Error),
    /// The deadline passed before the call returned.
    Slow,
}

/// The result of a call.
pub(crate) type Called<T> = Result<T, Failure>;

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

/// Waits for a call. Fails if the deadline passes first.
async fn until<T>(deadline: Instant, call: impl Future<Output = wasmtime::Result<T>>) -> Called<T> {
    match tokio::time::timeout_at(deadline.into(), call).await {
        Ok(called) => Ok(called?),
        Err(_elapsed) => Err(Failure::Slow),
    }
}

impl Component {
    /// Compiles a component. Call [`check`](Self::check) before the first
    /// request.
    pub(crate) fn build(options: &Options, journal: Arc<GroupCommit>) -> Result<Self, BuildError> {
        let metrics = InstanceMetrics::register(&options.registry)?;
        let settings = LiveSettings::new(options.settings.pairs());
        let shared = Shared {
            journal,
            notices: options.notices.clone(),
            memory_bytes: options.limits.instance_memory_bytes(),
        };
        let reuse = options.reuse.max(1);
        let exports = || {
            let pool = Pool::of(&options.limits, options.wasm == EMBEDDED);
            let engine =
                Engine::start(options.cache_dir.as_deref(), pool, reuse, &options.notices)?;
            let component =
                wasmtime::component::Component::from_binary(engine.wasmtime(), &options.wasm)?;
            let pre = Imports::linker(engine.wasmtime())?.instantiate_pre(&component)?;
            if has_instance(&component, Side::Export, "batchtask:receiver/intake@") {
                let decides = has_instance(&component, Side::Import, "batchtask:receiver/journal@");
                // Another component may compute for a long time, so it gets only
                // instances that yield.
                let lean = (decides && options.wasm == EMBEDDED)
                    .then(|| {
                        let memory_bytes = shared.memory_bytes;
                        Lean::new(
                            &engine,
                            &component,
                            settings.clone(),
                            memory_bytes,
                            reuse,
                            metrics.clone(),
                        )
                    })
                    .transpose()?;
                let pre = ReceiverPre::new(pre)?;
                let full = Instances::new(&engine, pre, shared, settings.clone(), reuse, metrics);
                return Ok(Some(if decides {
                    Exports::Decide { lean, full }
                } else {
                    Exports::Exchange(full)
                }));
            }
            if has_instance(&component, Side::Export, "wasi:http/incoming-handler@") {
                let max_body_bytes = shared.memory_bytes;
                let pre = ProxyPre::new(pre)?;
                let instances =
                    Instances::new(&engine, pre, shared, settings.clone(), reuse, metrics);
                let handler = WasiHttp::new(instances, max_body_bytes);
                return Ok(Some(Exports::WasiHttp(handler)));
            }
            Ok(None)
        };
        let exports = exports().map_err(BuildError::Component)?;
        Ok(Self {
            exports: exports.ok_or(BuildError::NoExport)?,
            settings,
        })
    }

    /// Creates an instance, and lets it check its settings.
    pub(crate) async fn check(&self) -> Result<(), BuildError> {
        self.check_settings(self.settings.current()).await
    }

    /// Uses other settings from the next call on, if they are valid.
    pub(crate) async fn reload(&self, settings: &Settings) -> Result<(), BuildError> {
        let pairs = settings.pairs();
        self.check_settings(pairs.clone()).await?;
        self.settings.replace(pairs);
        Ok(())
    }

    async fn check_settings(&self, settings: SettingPairs) -> Result<(), BuildError> {
        let instances = match &self.exports {
            Exports::Decide { full, .. } | Exports::Exchange(full) => full,
            Exports::WasiHttp(handler) => {
                return handler.check(settings).await.map_err(BuildError::Component);
            }
        };
        let call = instances.call_with(settings, async |receiver, store| {
            receiver.batchtask_receiver_intake().call_check(store).await
        });
        call.await
            .map_err(BuildError::Component)?
            .map_err(BuildError::Settings)
    }

    /// Checks the head of a request. Returns `None` if the component does not
    /// export this check.
    pub(crate) async fn head(
        &self,
        head: &Request,
        deadline: Instant,
    ) -> Called<Option<Result<Admission, Response>>> {
        let instances = match &self.exports {
            Exports::Decide {
                lean: Some(lean), ..
            } => return Ok(Some(lean.head(head).await?)),
            Exports::Decide { full, .. } | Exports::Exchange(full) => full,
            Exports::WasiHttp(_) => return Ok(None),
        };
        let head = head.clone().convert();
        let admitted = instances.call(async |receiver, store| {
            let intake = receiver.batchtask_receiver_intake();
            intake.call_head(store, &head).await
        });
        Ok(Some(match until(deadline, admitted).await? {
            Ok(admission) => Ok(admission.convert()),
            Err(response) => Err(response.convert()),
        }))
    }

    /// Decides about a request that may read the journal.
    pub(crate) async fn decide(&self, request: Request, deadline: Instant) -> Called<Decision> {
        match &self.exports {
            Exports::Decide { full, .. } => {
                let input = export::Input::Http(request.convert());
                until(deadline, decide(full, input)).await
            }
            Exports::Exchange(instances) => {
                let request = request.convert();
                let response = instances.call(async |receiver, store| {
                    let intake = receiver.batchtask_receiver_intake();
                    intake.call_exchange(store, &request).await
                });
                Ok(Decision::Respond(
                    until(deadline, response).await?.convert(),
                ))
            }
            Exports::WasiHttp(handler) => {
                let response = until(deadline, handler.exchange(request)).await?;
                Ok(Decision::Respond(response))
            }
        }
    }

    /// Decides about a request that cannot read the journal.
    pub(crate) async fn decide_push(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Called<Decision> {
        match &self.exports {
            Exports::Decide {
                lean: Some(lean), ..
            } if request.body.len() <= LEAN_BODY_BYTES => {
                Ok(lean.decide(export::Input::Http(request.convert())).await?)
            }
            // Boxed, so that the future of a push is small. Few pushes come here.
            _ => Box::pin(self.decide(request, deadline)).await,
        }
    }

    /// Decides about a notification from another channel.
    pub(crate) async fn decide_message(
        &self,
        message: Message,
        deadline: Instant,
    ) -> Called<Decision> {
        match &self.exports {
            Exports::Decide {
                lean: Some(lean), ..
            } if message.body.len() <= LEAN_BODY_BYTES => {
                Ok(lean.decide(export::Input::Message(message.into())).await?)
            }
            Exports::Decide { full, .. } => {
                let input = export::Input::Message(message.into());
                until(deadline, decide(full, input)).await
            }
            Exports::Exchange(instances) => {
                let message = message.into();
                let accepted = instances.call(async |receiver, store| {
                    let intake = receiver.batchtask_receiver_intake();
                    intake.call_accept(store, &message).await
                });
                let accepted = until(deadline, accepted).await?;
                Ok(Decision::Respond(accepted_response(accepted)))
            }
            Exports::WasiHttp(_) => {
                let problem = Problem::from(Refusal::Unsupported);
                Ok(Decision::Respond(problem.into_response()))
            }
        }
    }
}

/// Converts the result of `accept` into a response.
fn accepted_response(accepted: Result<export::Outcome, export::Refusal>) -> Response {
    let (status, outcome, detail) = match &accepted {
        Ok(export::Outcome::Recorded) => (200, Success::Recorded.label(), None),
        Ok(export::Outcome::Duplicate) => (200, Success::Duplicate.label(), None),
        Ok(export::Outcome::Quarantined) => (200, Success::Quarantined.label(), None),
        Err(refusal) => {
            let uri = refusal.type_uri.as_str();
            let label = uri.strip_prefix(Refusal::TYPE_URI_BASE).unwrap_or(uri);
            (refusal.status, label, Some(refusal.detail.clone()))
        }
    };
    Response {
        status,
        headers: Vec::new(),
        body: Vec::new(),
        report: Report {
            kind: Kind::Push,
            outcome: outcome.into(),
            app_id: None,
            task_id: None,
            detail,
            signature: None,
            skew_ms: None,
        },
    }
}

impl From<Message> for export::Message {
    fn from(message: Message) -> Self {
        Self {
            source: message.source.convert(),
            body: message.body,
        }
    }
}

async fn decide(
    instances: &Instances<ReceiverPre<Imports>>,
    input: export::Input,
) -> wasmtime::Result<Decision> {
    let decision = instances.call(async |receiver, store| {
        let intake = receiver.batchtask_receiver_intake();
        intake.call_decide(store, &input).await
    });
    Ok(decision.await?.convert())
}

/// The imports or the exports of a component.
enum Side {
    Import,
    Export,
}

/// Whether a component imports or exports an interface whose name begins with
/// `prefix`.
fn has_instance(component: &wasmtime::component::Component, side: Side, prefix: &str) -> bool {
    let ty = component.component_type();
    let is_it = |name: &str, item: &ComponentItem| {
        name.starts_with(prefix) && matches!(item, ComponentItem::ComponentInstance(_))
    };
    match side {
        Side::Import => ty
            .imports(component.engine())
            .any(|(name, import)| is_it(name, &import.ty)),
        Side::Export => ty
            .exports(component.engine())
            .any(|(name, export)| is_it(name, &export.ty)),
    }
}
