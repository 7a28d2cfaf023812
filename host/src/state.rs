//! What an instance can reach: the journal, the settings, a clock, and nothing
//! else.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use crate::bindings::batchtask::receiver::{journal as import, settings};
use crate::journal::{
    Appended, Error, Event, HistoryPage, Journal, Nonce, QuarantinePage, Reject, StoredEvent,
    Summary, Task, TaskPage, TaskQuery,
};
use crate::limits::Limits;
use crate::settings::Settings;

/// What all instances share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) limits: Arc<Limits>,
}

/// The data of one instance's store.
pub(crate) struct State {
    shared: Shared,
    limits: StoreLimits,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoing,
}

impl State {
    /// A store for one instance.
    pub(crate) fn store(engine: &Engine, shared: &Shared) -> Store<Self> {
        let state = Self {
            shared: shared.clone(),
            limits: StoreLimitsBuilder::new()
                .memory_size(shared.limits.instance_memory_bytes())
                .build(),
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoing,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        // Nobody else would be served while an instance computes for ever:
        // each slice of time it lets others go on, one of which ends it.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// Everything that a component may import.
    pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Self>> {
        let mut linker: Linker<Self> = Linker::new(engine);
        wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
        import::add_to_linker::<_, Imports>(&mut linker, |state| &mut state.shared)?;
        settings::add_to_linker::<_, Imports>(&mut linker, |state| &mut state.shared)?;
        Ok(linker)
    }
}

struct Imports;

impl HasData for Imports {
    type Data<'a> = &'a mut Shared;
}

/// The component is given no way out: a request that it sends is denied.
struct NoOutgoing;

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ),
    HttpError,
>;

impl WasiHttpHooks for NoOutgoing {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

type Called<T> = wasmtime::Result<Result<T, Error>>;

impl import::Host for Shared {
    async fn append(&mut self, event: Event, nonce: Option<Nonce>) -> Called<Appended> {
        Ok(self.journal.append(event, nonce).await)
    }

    async fn quarantine(&mut self, reject: Reject, nonce: Option<Nonce>) -> Called<Appended> {
        Ok(self.journal.quarantine(reject, nonce).await)
    }

    async fn find_task(&mut self, app_id: String, task_id: String) -> Called<Option<Task>> {
        Ok(self.journal.find_task(app_id, task_id).await)
    }

    async fn list_tasks(&mut self, query: TaskQuery) -> Called<TaskPage> {
        Ok(self.journal.list_tasks(query).await)
    }

    async fn list_history(
        &mut self,
        app_id: String,
        task_id: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Called<HistoryPage> {
        Ok(self
            .journal
            .list_history(app_id, task_id, cursor, limit)
            .await)
    }

    async fn follow(&mut self, after: u64, limit: u32, wait_ms: u32) -> Called<Vec<StoredEvent>> {
        Ok(self.journal.follow(after, limit, wait_ms).await)
    }

    async fn list_quarantine(
        &mut self,
        cursor: Option<String>,
        limit: u32,
    ) -> Called<QuarantinePage> {
        Ok(self.journal.list_quarantine(cursor, limit).await)
    }

    async fn summarize(&mut self, stale_before_ms: u64) -> Called<Summary> {
        Ok(self.journal.summarize(stale_before_ms).await)
    }
}

impl settings::Host for Shared {
    async fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.settings.get(&name).map(String::from))
    }
}
