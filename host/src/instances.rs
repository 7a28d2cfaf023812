//! Instances: taken for a request, given back after it, replaced when they have
//! served enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use wasmtime::{Engine, Store};

use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

use crate::bindings::{Receiver, ReceiverPre};
use crate::metrics::{Counted, Metrics};
use crate::state::{Shared, State};

/// A component that is ready to be instantiated, by one of the ways in.
pub(crate) trait Pre {
    /// What an instance is called by.
    type Exports;

    /// A new instance in a store of its own.
    async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Self::Exports>;
}

impl Pre for ReceiverPre<State> {
    type Exports = Receiver;

    async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Receiver> {
        self.instantiate_async(store).await
    }
}

impl Pre for ProxyPre<State> {
    type Exports = Proxy;

    async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Proxy> {
        self.instantiate_async(store).await
    }
}

/// All instances of one component.
pub(crate) struct Instances<P: Pre> {
    engine: Engine,
    pre: P,
    shared: Shared,
    /// How many requests an instance serves.
    reuse: u32,
    /// One permit for each instance that may live.
    permits: Semaphore,
    /// The instances that wait; never more than permits are free.
    idle: Mutex<Vec<Instance<P::Exports>>>,
    metrics: Arc<Metrics>,
}

/// A component instance and its store.
struct Instance<E> {
    store: Store<State>,
    exports: E,
    served: u32,
    _counted: Counted,
}

impl<P: Pre> Instances<P> {
    pub(crate) fn new(
        engine: Engine,
        pre: P,
        shared: Shared,
        reuse: u32,
        metrics: Arc<Metrics>,
    ) -> Self {
        let most = shared.limits.max_instances as usize;
        Self {
            engine,
            pre,
            shared,
            reuse,
            permits: Semaphore::new(most),
            idle: Mutex::default(),
            metrics,
        }
    }

    /// Calls into an instance of its own. An instance that trapped, or whose
    /// call was abandoned, is not used again.
    pub(crate) async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&P::Exports, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let _permit = self.permits.acquire().await?;
        let idle = self.idle_instances().pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        let value = call(&instance.exports, &mut instance.store).await?;
        instance.served += 1;
        if instance.served < self.reuse {
            self.idle_instances().push(instance);
        }
        Ok(value)
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance<P::Exports>> {
        let mut store = State::store(&self.engine, &self.shared);
        let exports = self.pre.instantiate(&mut store).await?;
        self.metrics.instantiations.inc();
        Ok(Instance {
            store,
            exports,
            served: 0,
            _counted: Counted::in_gauge(&self.metrics.instances),
        })
    }

    fn idle_instances(&self) -> MutexGuard<'_, Vec<Instance<P::Exports>>> {
        // A list of instances is valid whatever a panicking thread was doing.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
