//! Lean instances, which can only decide: their imports are the settings and a
//! clock, and their calls need no fiber. All other imports trap; a push needs none
//! of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use batchtask_guest::receiver::Decision;
use tokio::sync::Semaphore;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, InstancePre, Lift, Linker, Lower, TypedFunc,
};
use wasmtime::{Store, format_err};

use super::convert::Convert;
use super::engine::Engine;
use super::instances::InstanceMetrics;
use super::memory::Memory;
use super::{Admission, Request, Response};
use crate::bindings::exports::batchtask::receiver::intake as export;
use crate::settings::{LiveSettings, SettingPairs};
use crate::telemetry::GaugeGuard;

/// How many time slices a call may compute: a second. A call takes microseconds;
/// this stops one that would never end.
const CALL_SLICES: u64 = 100;

/// All instances that can only decide.
pub(super) struct Lean {
    engine: wasmtime::Engine,
    pre: InstancePre<State>,
    head: ComponentExportIndex,
    decide: ComponentExportIndex,
    memory_bytes: usize,
    settings: LiveSettings,
    reuse: u32,
    permits: Semaphore,
    idle: Mutex<Vec<Instance>>,
    metrics: InstanceMetrics,
}

/// The data in the store of an instance.
struct State {
    settings: SettingPairs,
    memory: Memory,
}

struct Instance {
    store: Store<State>,
    instance: wasmtime::component::Instance,
    decide: Option<Decide>,
    served: u32,
    _counted: GaugeGuard,
}

type Head = TypedFunc<(export::Request,), (Result<export::Admission, export::Response>,)>;
type Decide = TypedFunc<(export::Input,), (export::Decision,)>;

/// `wasi:clocks/wall-clock.datetime`
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl Lean {
    pub(super) fn new(
        engine: &Engine,
        component: &Component,
        settings: LiveSettings,
        memory_bytes: usize,
        reuse: u32,
        metrics: InstanceMetrics,
    ) -> wasmtime::Result<Self> {
        let linker = linker(engine.wasmtime(), component)?;
        let intake = component
            .component_type()
            .exports(engine.wasmtime())
            .map(|(name, _)| name.to_owned())
            .find(|name| name.starts_with("batchtask:receiver/intake@"))
            .and_then(|name| component.get_export_index(None, &name))
            .ok_or_else(|| format_err!("the component does not export `intake`"))?;
        let function = |name: &str| {
            component
                .get_export_index(Some(&intake), name)
                .ok_or_else(|| format_err!("`intake` does not export `{name}`"))
        };
        Ok(Self {
            pre: linker.instantiate_pre(component)?,
            head: function("head")?,
            decide: function("decide")?,
            engine: engine.wasmtime().clone(),
            memory_bytes,
            settings,
            reuse,
            permits: Semaphore::new(engine.lean_instances() as usize),
            idle: Mutex::default(),
            metrics,
        })
    }

    pub(super) async fn head(
        &self,
        head: &Request,
    ) -> wasmtime::Result<Result<Admission, Response>> {
        let head = head.clone().convert();
        let admitted = self
            .call(|instance| {
                let function: Head = instance
                    .instance
                    .get_typed_func(&mut instance.store, self.head)?;
                let (admitted,) = function.call(&mut instance.store, (head,))?;
                Ok(admitted)
            })
            .await?;
        Ok(match admitted {
            Ok(admission) => Ok(admission.convert()),
            Err(response) => Err(response.convert()),
        })
    }

    pub(super) async fn decide(&self, input: export::Input) -> wasmtime::Result<Decision> {
        let decision = self
            .call(|instance| {
                let function = instance.decide(&self.decide)?;
                let (decision,) = function.call(&mut instance.store, (input,))?;
                Ok(decision)
            })
            .await?;
        Ok(decision.convert())
    }

    /// Makes a call, which does not yield this thread, with an instance that nothing
    /// else uses meanwhile. An instance that trapped is not used again.
    async fn call<T>(
        &self,
        call: impl FnOnce(&mut Instance) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let _permit = self.permits.acquire().await?;
        let settings = self.settings.current();
        let mut instance = match self.idle_instance(&settings) {
            Some(instance) => instance,
            None => self.instantiate(settings)?,
        };
        instance.store.set_epoch_deadline(CALL_SLICES);
        let value = call(&mut instance)?;
        instance.served += 1;
        if instance.served < self.reuse && !instance.store.data().memory.has_grown() {
            self.idle_instances().push(instance);
        }
        Ok(value)
    }

    /// Takes an idle instance. Those with other settings are dropped.
    fn idle_instance(&self, settings: &SettingPairs) -> Option<Instance> {
        let mut idle = self.idle_instances();
        std::iter::from_fn(|| idle.pop())
            .find(|instance| Arc::ptr_eq(&instance.store.data().settings, settings))
    }

    fn instantiate(&self, settings: SettingPairs) -> wasmtime::Result<Instance> {
        let state = State {
            settings,
            memory: Memory::new(self.memory_bytes),
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(CALL_SLICES);
        Ok(Instance {
            instance: self.pre.instantiate(&mut store)?,
            store,
            decide: None,
            served: 0,
            _counted: self.metrics.count(),
        })
    }

    fn idle_instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        // The list is valid even if a thread panicked while it held the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Returns the function `decide`, which is looked up once for each instance.
    fn decide(&mut self, index: &ComponentExportIndex) -> wasmtime::Result<Decide> {
        if let Some(decide) = self.decide {
            return Ok(decide);
        }
        let decide = self.instance.get_typed_func(&mut self.store, index)?;
        self.decide = Some(decide);
        Ok(decide)
    }
}

/// Returns a linker with the settings and a clock. All other imports trap.
fn linker(engine: &wasmtime::Engine, component: &Component) -> wasmtime::Result<Linker<State>> {
    let mut linker: Linker<State> = Linker::new(engine);
    for (name, _) in component.component_type().imports(engine) {
        if name.starts_with("batchtask:receiver/settings@") {
            linker.instance(name)?.func_wrap("all", |store, (): ()| {
                Ok((store.data().settings.as_ref().clone(),))
            })?;
        } else if name.starts_with("wasi:clocks/wall-clock@") {
            linker
                .instance(name)?
                .func_wrap("now", |_, (): ()| Ok((now(),)))?;
        }
    }
    linker.define_unknown_imports_as_traps(component)?;
    Ok(linker)
}

fn now() -> Datetime {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Datetime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}
