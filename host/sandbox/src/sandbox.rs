//! [`Sandbox`]: a component that can be called.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Message;
use crate::bindings::ComponentPre;
use crate::bindings::exports::batchtask::receiver::delivery;
use crate::engine;
use crate::imports::Imports;
use crate::options::{Options, Origin};
use crate::outgoing::{Client, Outgoing};

/// A component of an operator.
pub struct Sandbox {
    component: Arc<Callable>,
    /// Runs the component. `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The bytes are not a component with the world `sink`.
    #[error("it is not a component with the world `sink` of `batchtask:receiver@0.2.0`: {0}")]
    Component(String),
    /// Its thread did not start.
    #[error("its thread did not start: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a message was not delivered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The receiver does not work now, as the component reports.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// How long the receiver asks to wait.
        retry_after: Option<Duration>,
    },
    /// The component did not return in time.
    #[error("the component did not return within {} ms", .0.as_millis())]
    Late(Duration),
    /// The receiver does not take this message, as the component reports.
    #[error("{0}")]
    Refused(String),
    /// The component failed with this message, or exceeded a limit.
    #[error("the component failed: {0}")]
    Trap(String),
}

/// What is needed for a call.
struct Callable {
    engine: Engine,
    pre: ComponentPre<Imports>,
    name: String,
    settings: Arc<Vec<(String, String)>>,
    origins: Arc<[Origin]>,
    memory_bytes: usize,
    timeout: Duration,
    client: Arc<dyn Client>,
}

impl Sandbox {
    /// Compiles a component, whose requests `client` sends. This takes seconds for a
    /// component of several megabytes, unless its code is in the cache.
    ///
    /// # Errors
    /// The component cannot be used.
    pub fn new(options: &Options, client: Arc<dyn Client>) -> Result<Self, BuildError> {
        let unusable = |error: wasmtime::Error| BuildError::Component(format!("{error:#}"));
        let engine = engine::start(options.cache_dir.as_deref()).map_err(unusable)?;
        let component = Component::from_binary(&engine, &options.wasm).map_err(unusable)?;
        let linker = Imports::linker(&engine).map_err(unusable)?;
        let pre = linker.instantiate_pre(&component).map_err(unusable)?;
        let pre = ComponentPre::new(pre).map_err(unusable)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sandbox")
            .enable_all()
            .build()?;
        let component = Callable {
            engine,
            pre,
            name: options.name.clone(),
            settings: Arc::new(options.settings.clone()),
            origins: options.origins.clone().into(),
            memory_bytes: options.memory_bytes,
            timeout: options.timeout,
            client,
        };
        Ok(Self {
            component: Arc::new(component),
            runtime: Some(runtime),
        })
    }

    /// Lets a fresh instance deliver a message.
    ///
    /// # Errors
    /// The message was not delivered.
    pub async fn deliver(&self, message: Message) -> Result<(), Failure> {
        let ended = || Failure::Trap("its thread ended: a bug".into());
        let runtime = self.runtime.as_ref().ok_or_else(ended)?;
        let component = self.component.clone();
        let call = runtime.spawn(async move { component.deliver(message).await });
        AbortOnDropHandle::new(call)
            .await
            .unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Waiting for the thread is not allowed where futures run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Callable {
    async fn deliver(&self, message: Message) -> Result<(), Failure> {
        let outgoing = Outgoing::new(self.client.clone(), self.origins.clone());
        let settings = self.settings.clone();
        let mut store = Imports::store(&self.engine, settings, self.memory_bytes, outgoing);
        let called = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let delivery = instance.batchtask_receiver_delivery();
            delivery.call_deliver(&mut store, &message).await
        };
        let called = tokio::time::timeout(self.timeout, called).await;
        let imports = store.data();
        let (name, output) = (&self.name, imports.output.line());
        if !output.is_empty() {
            tracing::debug!("the component of the sink `{name}` wrote: {output}");
        }
        let denied = imports.outgoing.denied.as_deref();
        match called {
            Err(_) => Err(Failure::Late(self.timeout)),
            Ok(Err(trap)) => Err(Failure::Trap(explain(
                &root(&trap),
                [denied, Some(&output)],
            ))),
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(failure))) => Err(reported(failure, denied)),
        }
    }
}

/// Converts what the component reports. A request that was denied explains it best.
fn reported(failure: delivery::Failure, denied: Option<&str>) -> Failure {
    match failure {
        delivery::Failure::Unavailable(unavailable) => Failure::Unavailable {
            reason: explain(&unavailable.reason, [denied, None]),
            retry_after: unavailable
                .retry_after_s
                .map(|seconds| Duration::from_secs(seconds.into())),
        },
        delivery::Failure::Refused(reason) => Failure::Refused(explain(&reason, [denied, None])),
    }
}

/// The longest text of a component in an error, in characters.
const TEXT_CHARS_MAX: usize = 500;

/// Adds explanations to a text.
fn explain(text: &str, more: [Option<&str>; 2]) -> String {
    let more = more.into_iter().flatten().filter(|text| !text.is_empty());
    let texts: Vec<&str> = [text].into_iter().chain(more).collect();
    let text = texts.join("; ");
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(TEXT_CHARS_MAX).map(printable).collect()
}

/// Returns the cause of a trap, without the names of functions.
fn root(trap: &wasmtime::Error) -> String {
    trap.root_cause().to_string()
}
