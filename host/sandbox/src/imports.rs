//! [`Imports`]: what an instance can use, and its limits.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::batchtask::receiver::settings;
use crate::outgoing::Outgoing;
use crate::output::Output;

/// How many time slices an instance may compute for one message: 2 seconds.
pub(crate) const SLICES_MAX: u32 = 200;

/// How many entries all tables of an instance may have. A component of 10 MB has a few
/// thousand functions in its table.
const TABLE_ENTRIES_MAX: usize = 100_000;

/// How many resources an instance may hold, such as streams.
const RESOURCES_MAX: usize = 1000;

/// The header of a request may have at most this many bytes.
const FIELDS_BYTES_MAX: usize = 64 << 10;

/// The longest answer to a request for random bytes.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The data in the store of an instance.
pub(crate) struct Imports {
    settings: Arc<Vec<(String, String)>>,
    growth: Growth,
    slices: u32,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(crate) outgoing: Outgoing,
    pub(crate) output: Output,
}

/// Limits the memories and tables of an instance together.
struct Growth {
    bytes_left: usize,
    entries_left: usize,
}

impl Imports {
    /// Creates a store for one instance.
    pub(crate) fn store(
        engine: &Engine,
        settings: Arc<Vec<(String, String)>>,
        memory_bytes: usize,
        outgoing: Outgoing,
    ) -> Store<Self> {
        let output = Output::default();
        let mut wasi = WasiCtx::builder();
        wasi.stdout(output.clone())
            .stderr(output.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES_MAX);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES_MAX);
        let imports = Self {
            settings,
            growth: Growth {
                bytes_left: memory_bytes,
                entries_left: TABLE_ENTRIES_MAX,
            },
            slices: 0,
            table,
            wasi: wasi.build(),
            http,
            outgoing,
            output,
        };
        let mut store = Store::new(engine, imports);
        store.limiter(|imports| &mut imports.growth);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            let imports = store.data_mut();
            imports.slices += 1;
            if imports.slices > SLICES_MAX {
                return Err(wasmtime::Error::msg("it computed for too long"));
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }

    /// Returns a linker with everything that a component may import.
    pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Self>> {
        let mut linker: Linker<Self> = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        settings::add_to_linker::<_, HasSelf<Self>>(&mut linker, |imports| imports)?;
        Ok(linker)
    }
}

impl WasiView for Imports {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Imports {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outgoing,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl settings::Host for Imports {
    async fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.settings.as_ref().clone())
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(take(&mut self.bytes_left, desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(take(
            &mut self.entries_left,
            desired.saturating_sub(current),
        ))
    }
}

/// Takes a part of what is left, if there is enough.
fn take(left: &mut usize, part: usize) -> bool {
    let rest = left.checked_sub(part);
    *left = rest.unwrap_or(*left);
    rest.is_some()
}
