//! Instances with all imports: taken for a request, given back after it,
//! replaced when they have served enough or have grown.

use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntGauge};
use tokio::sync::Semaphore;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

use super::engine::Engine;
use super::imports::{Imports, Shared};
use crate::bindings::{Receiver, ReceiverPre};
use crate::telemetry::{GaugeGuard, Registry};

/// What is counted about instances.
#[derive(Clone)]
pub(super) struct InstanceMetrics {
    alive: IntGauge,
    made: IntCounter,
}

impl InstanceMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            alive: registry.gauge(
                "batchtask_instances",
                "Instances of the component alive now.",
            )?,
            made: registry.counter(
                "batchtask_instantiations_total",
                "Instances of the component made.",
            )?,
        })
    }

    /// Counts a new instance for as long as the guard lives.
    pub(super) fn count(&self) -> GaugeGuard {
        self.made.inc();
        GaugeGuard::new(&self.alive)
    }
}

/// A component that is ready to be instantiated.
pub(super) trait Pre {
    /// What an instance is called by.
    type Exports;

    /// A new instance in a store of its own.
    async fn instantiate(&self, store: &mut Store<Imports>) -> wasmtime::Result<Self::Exports>;
}

impl Pre for ReceiverPre<Imports> {
    type Exports = Receiver;

    async fn instantiate(&self, store: &mut Store<Imports>) -> wasmtime::Result<Receiver> {
        self.instantiate_async(store).await
    }
}

impl Pre for ProxyPre<Imports> {
    type Exports = Proxy;

    async fn instantiate(&self, store: &mut Store<Imports>) -> wasmtime::Result<Proxy> {
        self.instantiate_async(store).await
    }
}

/// All instances of one component with all imports.
pub(super) struct Instances<P: Pre> {
    engine: wasmtime::Engine,
    pre: P,
    shared: Shared,
    /// How many requests an instance serves.
    reuse: u32,
    /// One permit for each instance that may live.
    permits: Semaphore,
    /// The instances that wait; never more than permits are free.
    idle: Mutex<Vec<Instance<P::Exports>>>,
    metrics: InstanceMetrics,
}

/// A component instance and its store.
struct Instance<E> {
    store: Store<Imports>,
    exports: E,
    served: u32,
    _counted: GaugeGuard,
}

impl<P: Pre> Instances<P> {
    pub(super) fn new(
        engine: &Engine,
        pre: P,
        shared: Shared,
        reuse: u32,
        metrics: InstanceMetrics,
    ) -> Self {
        Self {
            engine: engine.wasmtime().clone(),
            pre,
            shared,
            reuse,
            permits: Semaphore::new(engine.full_instances() as usize),
            idle: Mutex::default(),
            metrics,
        }
    }

    /// Calls into an instance of its own. An instance that trapped, or whose
    /// call was abandoned, is not used again.
    pub(super) async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&P::Exports, &mut Store<Imports>) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let _permit = self.permits.acquire().await?;
        let idle = self.idle_instances().pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        let value = call(&instance.exports, &mut instance.store).await?;
        instance.served += 1;
        if instance.served < self.reuse && !instance.store.data().has_grown() {
            self.idle_instances().push(instance);
        }
        Ok(value)
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance<P::Exports>> {
        let mut store = Imports::store(&self.engine, &self.shared);
        let exports = self.pre.instantiate(&mut store).await?;
        Ok(Instance {
            store,
            exports,
            served: 0,
            _counted: self.metrics.count(),
        })
    }

    fn idle_instances(&self) -> MutexGuard<'_, Vec<Instance<P::Exports>>> {
        // A list of instances is valid whatever a panicking thread was doing.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
