//! Instances with all imports. An instance is taken for a request and returned
//! after it. It is replaced when it has served enough requests, or its memory has
//! grown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntGauge};
use tokio::sync::Semaphore;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

use super::engine::Engine;
use super::imports::{Imports, Shared};
use crate::bindings::{Receiver, ReceiverPre};
use crate::settings::{LiveSettings, SettingPairs};
use crate::telemetry::{GaugeGuard, Registry};

/// Metrics of instances.
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
                "Instances of the component that exist now.",
            )?,
            made: registry.counter(
                "batchtask_instantiations_total",
                "Instances of the component that were created.",
            )?,
        })
    }

    /// Counts a new instance as alive until the guard is dropped.
    pub(super) fn count(&self) -> GaugeGuard {
        self.made.inc();
        GaugeGuard::new(&self.alive)
    }
}

/// A linked component that can be instantiated.
pub(super) trait Pre {
    /// The exports of an instance.
    type Exports;

    /// Creates an instance in a store.
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
    settings: LiveSettings,
    /// How many requests an instance serves.
    reuse: u32,
    /// One permit for each instance that may exist.
    permits: Semaphore,
    /// The unused instances; never more than there are free permits.
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
        settings: LiveSettings,
        reuse: u32,
        metrics: InstanceMetrics,
    ) -> Self {
        Self {
            engine: engine.wasmtime().clone(),
            pre,
            shared,
            settings,
            reuse,
            permits: Semaphore::new(engine.full_instances() as usize),
            idle: Mutex::default(),
            metrics,
        }
    }

    /// Makes a call with an instance that nothing else uses meanwhile. An instance
    /// that trapped, or whose call was abandoned, is not used again.
    pub(super) async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&P::Exports, &mut Store<Imports>) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        self.call_with(self.settings.current(), call).await
    }

    /// Calls an instance that has these settings.
    pub(super) async fn call_with<T>(
        &self,
        settings: SettingPairs,
        call: impl AsyncFnOnce(&P::Exports, &mut Store<Imports>) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let _permit = self.permits.acquire().await?;
        let mut instance = match self.idle_instance(&settings) {
            Some(instance) => instance,
            None => self.instantiate(settings).await?,
        };
        let value = call(&instance.exports, &mut instance.store).await?;
        instance.served += 1;
        if instance.served < self.reuse && !instance.store.data().has_grown() {
            self.idle_instances().push(instance);
        }
        Ok(value)
    }

    /// Takes an idle instance. Those with other settings are dropped.
    fn idle_instance(&self, settings: &SettingPairs) -> Option<Instance<P::Exports>> {
        let mut idle = self.idle_instances();
        std::iter::from_fn(|| idle.pop())
            .find(|instance| Arc::ptr_eq(instance.store.data().settings(), settings))
    }

    async fn instantiate(&self, settings: SettingPairs) -> wasmtime::Result<Instance<P::Exports>> {
        let mut store = Imports::store(&self.engine, &self.shared, settings);
        let exports = self.pre.instantiate(&mut store).await?;
        Ok(Instance {
            store,
            exports,
            served: 0,
            _counted: self.metrics.count(),
        })
    }

    fn idle_instances(&self) -> MutexGuard<'_, Vec<Instance<P::Exports>>> {
        // The list is valid even if a thread panicked while it held the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
