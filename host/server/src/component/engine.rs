//! The Wasmtime engine, configured for many short-lived instances of one
//! component.

use std::fmt;
use std::path::Path;
use std::thread;

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, EngineWeak, InstanceAllocationStrategy,
    PoolingAllocationConfig,
};

use crate::limits::{KEEP_RESIDENT_BYTES, Limits, TIME_SLICE, WASM_STACK_BYTES};
use crate::notices::Notices;

/// Address space that a memory with guard pages reserves, in bytes: everything
/// that a 32-bit address can reach, and the guard.
const GUARDED_BYTES: u64 = (4 << 30) + (32 << 20);

/// Address space that all memories together may reserve, in bytes.
const RESERVED_BYTES_MAX: u64 = 224 << 30;

/// Lean instances for each core. More of them would only wait for each other.
const LEAN_PER_CORE: u32 = 2;

/// Full instances for long bodies, in addition to those for reads.
const LONG_BODIES: u32 = 4;

/// Full instances for a component that may commit by itself: it holds an instance
/// during each commit.
const COMMITTING: u32 = 256;

/// The number of instances, and the memory limit of each.
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
    /// Returns the pool for these limits. The embedded component has one memory,
    /// and holds an instance only while it computes.
    pub(super) fn of(limits: &Limits, is_embedded: bool) -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Self::for_cores(u32::try_from(cores).unwrap_or(1), limits, is_embedded)
    }

    fn for_cores(cores: u32, limits: &Limits, is_embedded: bool) -> Self {
        let lean = (LEAN_PER_CORE * cores.min(8)).max(4);
        let (lean, full) = match (is_embedded, limits.max_instances) {
            (true, 0) => (lean, limits.max_reads.min(COMMITTING) + LONG_BODIES),
            (false, 0) => (0, COMMITTING),
            // At least one instance of each kind.
            (true, max) => {
                let lean = lean.min(max.div_ceil(2));
                (lean, max.saturating_sub(lean).max(1))
            }
            (false, max) => (0, max),
        };
        Self {
            lean,
            full,
            // A composed component has a few memories.
            memories_per_instance: if is_embedded { 1 } else { 4 },
            memory_bytes: limits.instance_memory_bytes() as u64,
        }
    }

    /// Returns a pool with half as many instances, or `None` if it is too small
    /// to halve.
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

    /// How many memories all instances have together.
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
            // A composed component has a few core instances.
            .total_core_instances(8 * instances)
            // More than are ever in use: wasmtime splits a pool of 128 or more
            // into parts and searches them one after another, so it may miss the
            // last free slot.
            .total_stacks(4 * instances)
            .total_memories(self.memories())
            .total_tables(8 * instances)
            .max_memory_size(usize::try_from(self.memory_bytes).unwrap_or(usize::MAX))
            .max_unused_warm_slots(instances)
            // Clearing only the pages that were written would be faster, but
            // wasmtime 48 does not clear a page that was swapped out, and so the next
            // instance could read it.
            .pagemap_scan(Enabled::No)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(KEEP_RESIDENT_BYTES)
            .async_stack_keep_resident(KEEP_RESIDENT_BYTES);
        pool
    }
}

/// How an access beyond the end of a memory is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounds {
    /// By guard pages. The code is faster, but each memory reserves 4 GiB of
    /// address space. When a memory grows, the protection of pages changes twice,
    /// and each change stops all threads.
    Guarded,
    /// By checks in the code: better for instances that serve one request.
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

/// An engine and its pool.
pub(super) struct Engine {
    engine: wasmtime::Engine,
    pool: Pool,
}

impl Engine {
    /// Starts an engine. If its pool does not fit into the address space, falls
    /// back to bounds checks in the code, then to fewer instances, and sets a
    /// notice.
    ///
    /// Caches compiled code in `cache_dir`, if there is one, so that the next start
    /// does not compile.
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
            tracing::debug!("cannot start an engine with {bounds}: {error:#}");
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
                "the address space is limited, so the component runs with {bounds} and {} \
                 instances instead of {wanted} and {}: raise `ulimit -v` for full speed",
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
            // An instance answers one request at a time, and calls are faster without
            // support for concurrent ones.
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

    /// The maximum number of instances that can only decide.
    pub(super) fn lean_instances(&self) -> u32 {
        self.pool.lean
    }

    /// The maximum number of instances with all imports.
    pub(super) fn full_instances(&self) -> u32 {
        self.pool.full
    }
}

/// Returns the cache for compiled code. Returns `None` if the directory cannot be
/// used; then the start takes longer.
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

/// Starts a thread that ends each time slice, for as long as the engine exists.
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
    fn the_reserved_address_space_is_bounded_on_any_number_of_cores() {
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
    fn a_configured_number_of_instances_is_not_exceeded() {
        for max_instances in [1, 2, 3, 100, 4096] {
            let limits = Limits {
                max_instances,
                ..Limits::DEFAULT
            };
            let pool = Pool::for_cores(4, &limits, true);
            assert!(pool.lean >= 1 && pool.full >= 1);
            assert!(pool.instances() <= max_instances.max(2), "{pool:?}");
            assert_eq!(Pool::for_cores(4, &limits, false).full, max_instances);
        }
    }
}
