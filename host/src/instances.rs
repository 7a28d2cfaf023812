//! Instances for the `intake` way in: taken for a request, given back after
//! it, replaced when they have served enough.

use std::sync::Mutex;

use tokio::sync::Semaphore;
use wasmtime::{Engine, Store};

use crate::bindings::{Receiver, ReceiverPre};
use crate::limits::MAX_INSTANCES;
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
}

/// A component instance and its store.
struct Instance {
    store: Store<State>,
    receiver: Receiver,
    served: u32,
}

impl Instances {
    pub(crate) fn new(engine: Engine, pre: ReceiverPre<State>, shared: Shared, reuse: u32) -> Self {
        Self {
            engine,
            pre,
            shared,
            reuse,
            permits: Semaphore::new(MAX_INSTANCES as usize),
            idle: Mutex::default(),
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
        Ok(Instance {
            store,
            receiver,
            served: 0,
        })
    }

    fn idle_instances(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        // A list of instances is valid whatever a panicking thread was doing.
        self.idle
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
