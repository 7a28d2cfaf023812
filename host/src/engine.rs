//! wasmtime, set up for many short-lived instances of one component.

use std::path::{Path, PathBuf};
use std::thread;

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy,
    PoolingAllocationConfig,
};

use crate::limits::{KEEP_RESIDENT_BYTES, Limits, TIME_SLICE, WASM_STACK_BYTES};

/// An engine for as many instances at once as the limits say, each of which
/// serves as many requests as `reuse` says.
///
/// With a `cache_dir`, compiled code is kept there, so that the next start does
/// not compile.
pub(crate) fn engine(
    cache_dir: Option<&Path>,
    limits: &Limits,
    reuse: u32,
) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        // An instance answers one request at a time; each call does better
        // without what more would need.
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(4 * WASM_STACK_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)))
        .epoch_interruption(true);
    if reuse == 1 {
        // Guard pages make code faster and instances dearer: one whose memory
        // grew takes two changes of protection, for each of which the other
        // threads are stopped.
        config
            .signals_based_traps(false)
            .memory_guard_size(0)
            .memory_reservation(limits.instance_memory_bytes() as u64);
    }
    config.cache(cache_dir.and_then(cache));
    let engine = Engine::new(&config)?;
    tick(engine.weak())?;
    Ok(engine)
}

/// Where compiled code is kept; nowhere when nothing can be written there, for
/// then only the start takes longer.
fn cache(directory: &Path) -> Option<Cache> {
    let mut config = CacheConfig::new();
    let directory = std::path::absolute(directory).map_err(wasmtime::Error::from);
    let cache = directory.and_then(|directory| {
        config.with_directory(directory);
        Cache::new(config)
    });
    cache
        .inspect_err(|error| tracing::warn!("compiled code is not kept: {error:#}"))
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

/// Slots for instances, their pages kept between uses: giving them back to the
/// kernel each time costs more than the instance itself.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let instances = limits.max_instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // A composed component has a handful of core instances.
        .total_core_instances(8 * instances)
        // More than are ever in use: wasmtime splits these into a part for each
        // core and looks through one part after the other, so that of a pool
        // with one free slot it may find none, which would be a 500.
        .total_stacks(4 * instances)
        .total_memories(4 * instances)
        .total_tables(8 * instances)
        .max_memory_size(limits.instance_memory_bytes())
        .max_unused_warm_slots(instances)
        // Clearing only the pages that were written would be faster, but
        // wasmtime 48 leaves one that was swapped out to the next instance.
        .pagemap_scan(Enabled::No)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(KEEP_RESIDENT_BYTES);
    pool
}

/// Where compiled code is kept unless the operator says otherwise:
/// `$XDG_CACHE_HOME/batchtask`, or the same under `~/.cache`; nowhere when
/// neither is known.
pub(crate) fn default_cache_dir() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
    Some(base.join("batchtask")).filter(|path| path.is_absolute())
}
