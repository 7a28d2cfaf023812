//! wasmtime, set up for many short-lived instances of one component.

use std::fmt;
use std::path::Path;
use std::thread;

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, EngineWeak, InstanceAllocationStrategy,
    PoolingAllocationConfig,
};

use crate::limits::{KEEP_RESIDENT_BYTES, Limits, TIME_SLICE, WASM_STACK_BYTES};
use crate::notices::Notices;

/// How much address space a memory with guard pages reserves, in bytes: all
/// that a 32-bit address reaches, and the guard.
const GUARDED_BYTES: u64 = (4 << 30) + (32 << 20);

/// How much address space all memories together may reserve, in bytes.
const RESERVED_BYTES_MAX: u64 = 224 << 30;

/// Instances that compute at once, for each core. More would only wait for one
/// another.
const LEAN_PER_CORE: u32 = 2;

/// Instances that decide about long bodies, beside those of reads.
const LONG_BODIES: u32 = 4;

/// Instances of a component that holds one during every commit.
const COMMITTING: u32 = 256;

/// How many instances there are, and how much memory each may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pool {
    /// Instances that only decide.
    lean: u32,
    /// Instances with all imports.
    full: u32,
    memories_per_instance: u32,
    memory_bytes: u64,
}

impl Pool {
    /// The pool for these limits. The embedded component is known to hold an
    /// instance only while it computes, and to have one memory.
    pub(super) fn of(limits: &Limits, is_embedded: bool) -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Self::for_cores(u32::try_from(cores).unwrap_or(1), limits, is_embedded)
    }

    fn for_cores(cores: u32, limits: &Limits, is_embedded: bool) -> Self {
        let lean = (LEAN_PER_CORE * cores.min(8)).max(4);
        let (lean, full) = match (is_embedded, limits.max_instances) {
            (true, 0) => (lean, limits.max_reads.min(COMMITTING) + LONG_BODIES),
            (false, 0) => (0, COMMITTING),
            // At least one for each kind of call.
            (true, most) => {
                let lean = lean.min(most.div_ceil(2));
                (lean, most.saturating_sub(lean).max(1))
            }
            (false, most) => (0, most),
        };
        Self {
            lean,
            full,
            // A composed component has a handful.
            memories_per_instance: if is_embedded { 1 } else { 4 },
            memory_bytes: limits.instance_memory_bytes() as u64,
        }
    }

    /// The same with half as many instances, while there are many.
    fn halved(self) -> Option<Self> {
        (self.full > 2).then(|| Self {
            lean: self.lean.div_ceil(2),
            full: self.full.div_ceil(2),
            ..self
        })
    }

    fn instances(self) -> u32 {
        self.lean + self.full
    }

    /// How many memories all instances may have together.
    fn memories(self) -> u32 {
        self.memories_per_instance * self.instances()
    }

    fn can_be_guarded(self) -> bool {
        u64::from(self.memories()) * GUARDED_BYTES <= RESERVED_BYTES_MAX
    }

    fn allocation(self) -> PoolingAllocationConfig {
        let instances = self.instances();
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            // A composed component has a handful of core instances.
            .total_core_instances(8 * instances)
            // More than are ever in use: wasmtime splits a pool of 128 or more
            // into parts and searches them one after the other, so that with
            // one free slot it may find none.
            .total_stacks(4 * instances)
            .total_memories(self.memories())
            .total_tables(8 * instances)
            .max_memory_size(usize::try_from(self.memory_bytes).unwrap_or(usize::MAX))
            .max_unused_warm_slots(instances)
            // Clearing only the pages that were written would be faster, but
            // wasmtime 48 leaves one that was swapped out to the next instance.
            .pagemap_scan(Enabled::No)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(KEEP_RESIDENT_BYTES)
            .async_stack_keep_resident(KEEP_RESIDENT_BYTES);
        pool
    }
}

/// How an access beyond the end of a memory is caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounds {
    /// By guard pages: the code is faster, but a memory reserves 4 GiB of
    /// address space, and one that grows takes two changes of protection, for
    /// each of which the other threads are stopped.
    Guarded,
    /// By code: better for instances that serve one request.
    Checked,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guarded => "guard pages",
            Self::Checked => "bounds checks",
        })
    }
}

/// An engine, and the pool that it has.
pub(super) struct Engine {
    engine: wasmtime::Engine,
    pool: Pool,
}

impl Engine {
    /// Starts an engine. If its pool does not fit into the address space, one
    /// with bounds checked by code is started, and then one with fewer
    /// instances; a notice says so.
    ///
    /// With a `cache_dir`, compiled code is cached there, so that the next
    /// start does not compile.
    pub(super) fn start(
        cache_dir: Option<&Path>,
        pool: Pool,
        reuse: u32,
        notices: &Notices,
    ) -> wasmtime::Result<Self> {
        let wanted = if reuse > 1 && pool.can_be_guarded() {
            Bounds::Guarded
        } else {
            Bounds::Checked
        };
        let mut engine = Self::with(cache_dir, pool, wanted);
        let (mut bounds, mut smaller) = (wanted, pool);
        while let Err(error) = &engine {
            tracing::debug!("an engine with {bounds} does not start: {error:#}");
            if bounds == Bounds::Guarded {
                bounds = Bounds::Checked;
            } else if let Some(halved) = smaller.halved() {
                smaller = halved;
            } else {
                break;
            }
            engine = Self::with(cache_dir, smaller, bounds);
        }
        let engine = engine?;
        if (bounds, smaller) != (wanted, pool) {
            let text = format!(
                "the address space is limited: the component runs with {bounds} and {} instances \
                 instead of {wanted} and {}; raise `ulimit -v` for full speed",
                smaller.instances(),
                pool.instances(),
            );
            tracing::warn!("{text}");
            notices.set("address-space", text);
        }
        tick(engine.engine.weak())?;
        Ok(engine)
    }

    fn with(cache_dir: Option<&Path>, pool: Pool, bounds: Bounds) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config
            // An instance answers one request at a time; each call is faster
            // without what more would need.
            .concurrency_support(false)
            .max_wasm_stack(WASM_STACK_BYTES)
            .async_stack_size(4 * WASM_STACK_BYTES)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool.allocation()))
            .epoch_interruption(true);
        if bounds == Bounds::Checked {
            config
                .signals_based_traps(false)
                .memory_guard_size(0)
                .memory_reservation(pool.memory_bytes);
        }
        config.cache(cache_dir.and_then(cache));
        Ok(Self {
            engine: wasmtime::Engine::new(&config)?,
            pool,
        })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// How many instances that only decide there may be.
    pub(super) fn lean_instances(&self) -> u32 {
        self.pool.lean
    }

    /// How many instances with all imports there may be.
    pub(super) fn full_instances(&self) -> u32 {
        self.pool.full
    }
}

/// The cache for compiled code, or `None` if nothing can be written there: then
/// only the start takes longer.
fn cache(directory: &Path) -> Option<Cache> {
    let mut config = CacheConfig::new();
    let directory = std::path::absolute(directory).map_err(wasmtime::Error::from);
    let cache = directory.and_then(|directory| {
        config.with_directory(directory);
        Cache::new(config)
    });
    cache
        .inspect_err(|error| tracing::warn!("compiled code is not cached: {error:#}"))
        .ok()
}

/// Ends every slice of time, for as long as the engine is there.
fn tick(engine: EngineWeak) -> std::io::Result<()> {
    thread::Builder::new()
        .name("engine-clock".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TIME_SLICE);
            }
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_address_space_is_reserved_on_any_number_of_cores() {
        for cores in [1, 2, 8, 64, 1024] {
            let pool = Pool::for_cores(cores, &Limits::DEFAULT, true);
            assert!(pool.can_be_guarded(), "{cores} cores: {pool:?}");
            assert!(pool.lean >= 4 && pool.full > Limits::DEFAULT.max_reads);
            let foreign = Pool::for_cores(cores, &Limits::DEFAULT, false);
            assert!(!foreign.can_be_guarded(), "{foreign:?}");
            let checked = u64::from(foreign.memories()) * foreign.memory_bytes;
            assert!(checked <= RESERVED_BYTES_MAX, "{foreign:?}");
        }
    }

    #[test]
    fn a_chosen_number_of_instances_is_kept_to() {
        for most in [1, 2, 3, 100, 4096] {
            let limits = Limits {
                max_instances: most,
                ..Limits::DEFAULT
            };
            let pool = Pool::for_cores(4, &limits, true);
            assert!(pool.lean >= 1 && pool.full >= 1);
            assert!(pool.instances() <= most.max(2), "{pool:?}");
            assert_eq!(Pool::for_cores(4, &limits, false).full, most);
        }
    }
}
