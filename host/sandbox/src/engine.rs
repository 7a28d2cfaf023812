//! Wasmtime, for components that may be hostile.

use std::path::Path;
use std::thread;
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, Engine, EngineWeak};

/// How often a component that computes is interrupted.
pub(crate) const TIME_SLICE: Duration = Duration::from_millis(10);

/// The stack of a component, in bytes.
const STACK_BYTES: usize = 512 << 10;

/// Starts an engine. Code checks the bounds of memories, so that they reserve no address
/// space.
pub(crate) fn start(cache_dir: Option<&Path>) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(4 * STACK_BYTES)
        .signals_based_traps(false)
        .memory_guard_size(0)
        .memory_reservation(0)
        .cache(cache_dir.and_then(cache));
    let engine = Engine::new(&config)?;
    tick(engine.weak())?;
    Ok(engine)
}

/// Returns the cache for compiled code. Returns `None` if the directory cannot be
/// used; then each start compiles the component.
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
        .name("sandbox-clock".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TIME_SLICE);
            }
        })
        .map(drop)
}
