//! Instances for the `intake` way in: taken for a request, given back after
//! it, replaced when they have served enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use wasmtime::{Engine, Store};

use crate::bindings::{Receiver, ReceiverPre};
use crate::metrics::Metrics;
use crate::state::{Shared, State};

/// All instances of one component.
pub(crate) struct Instances {
    engine: Engine,
    pre: ReceiverPre<State>,
    shared: Shared,
    /// How many requests an instance serves.
    reuse: u32,
    /// One permit for each instance that may live.
    permits: Semaphore,
    /// The instances that wait; never more than permits are free.
    idle: Mutex<Vec<Instance>>,
    metrics: Arc<Metrics>,
}

/// A component instance and its store.
struct Instance {
    store: Store<State>,
    receiver: Receiver,
    served: u32,
    _alive: Alive,
}

impl Instances {
    pub(crate) fn new(
        engine: Engine,
        pre: ReceiverPre<State>,
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
        call: impl AsyncFnOnce(&Receiver, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let _permit = self.permits.acquire().await?;
        let idle = self.idle_instances().pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        let value = call(&instance.receiver, &mut instance.store).await?;
        instance.served += 1;
        if instance.served < self.reuse {
            self.idle_instances().push(instance);
        }
        Ok(value)
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance> {
        let mut store = State::store(&self.engine, &self.shared);
        let receiver = self.pre.instantiate_async(&mut store).await?;
        self.metrics.instantiations.inc();
        self.metrics.instances.inc();
        Ok(Instance {
            store,
            receiver,
            served: 0,
            _alive: Alive(self.metrics.clone()),
        })
    }

    fn idle_instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        // A list of instances is valid whatever a panicking thread was doing.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an instance for as long as it lives, however it ends.
struct Alive(Arc<Metrics>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.instances.dec();
    }
}
