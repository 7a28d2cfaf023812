//! The imports of an instance: the journal, the settings, and a clock. An instance
//! can reach nothing else.

use std::sync::Arc;

use batchtask_journal::{Entry, GroupCommit};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use super::convert::Convert;
use super::memory::Memory;
use crate::bindings::batchtask::receiver::journal::{
    Activity, ActivityQuery, Appended, Error, Event, HistoryPage, QuarantinePage, Quarantined,
    Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};
use crate::bindings::batchtask::receiver::{journal as import, settings};
use crate::notices::Notices;
use crate::settings::SettingPairs;

/// State that all instances share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) journal: Arc<GroupCommit>,
    pub(super) notices: Notices,
    /// The memory limit of an instance.
    pub(super) memory_bytes: usize,
}

/// The data in the store of an instance.
pub(super) struct Imports {
    receiver: Receiver,
    memory: Memory,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoing,
}

impl Imports {
    /// Creates a store for an instance.
    pub(super) fn store(engine: &Engine, shared: &Shared, settings: SettingPairs) -> Store<Self> {
        let state = Self {
            receiver: Receiver {
                shared: shared.clone(),
                settings,
            },
            memory: Memory::new(shared.memory_bytes),
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoing,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|imports| &mut imports.memory);
        // The instance yields its thread after each time slice. Otherwise an instance
        // that computes forever would block the thread, and could not be stopped.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// Returns a linker with everything that a component may import.
    pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Self>> {
        let mut linker: Linker<Self> = Linker::new(engine);
        wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
        import::add_to_linker::<_, Receiver>(&mut linker, |imports| &mut imports.receiver)?;
        settings::add_to_linker::<_, Receiver>(&mut linker, |imports| &mut imports.receiver)?;
        Ok(linker)
    }

    /// The settings of the instance.
    pub(super) fn settings(&self) -> &SettingPairs {
        &self.receiver.settings
    }

    /// Whether the instance has more memory than stays mapped between uses.
    /// Such an instance is not used again.
    pub(super) fn has_grown(&self) -> bool {
        self.memory.has_grown()
    }
}

/// The imports of the world `receiver`.
struct Receiver {
    shared: Shared,
    settings: SettingPairs,
}

impl HasData for Receiver {
    type Data<'a> = &'a mut Self;
}

/// Denies all requests that the component sends.
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
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

type Called<T> = wasmtime::Result<Result<T, Error>>;

/// Converts a result of the host's journal into the component's types.
fn called<T: Convert<U>, U>(result: Result<T, batchtask_journal::Error>) -> Called<U> {
    Ok(result.map(T::convert).map_err(Convert::convert))
}

impl import::Host for Receiver {
    async fn append(&mut self, event: Event, signature: Option<SignatureUse>) -> Called<Appended> {
        let entry = Entry::Event(event.convert(), signature.convert());
        called(self.shared.journal.write(entry).await)
    }

    async fn quarantine(
        &mut self,
        reject: Reject,
        signature: Option<SignatureUse>,
    ) -> Called<Appended> {
        let entry = Entry::Reject(reject.convert(), signature.convert());
        called(self.shared.journal.write(entry).await)
    }

    async fn find_task(&mut self, app_id: String, task_id: String) -> Called<Option<Task>> {
        called(
            self.shared
                .journal
                .journal()
                .find_task(&app_id, &task_id)
                .await,
        )
    }

    async fn list_tasks(&mut self, query: TaskQuery) -> Called<TaskPage> {
        called(
            self.shared
                .journal
                .journal()
                .list_tasks(&query.convert())
                .await,
        )
    }

    async fn list_history(
        &mut self,
        app_id: String,
        task_id: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Called<HistoryPage> {
        let journal = self.shared.journal.journal();
        called(
            journal
                .list_history(&app_id, &task_id, cursor.as_deref(), limit)
                .await,
        )
    }

    async fn follow(&mut self, after: u64, limit: u32, wait_ms: u32) -> Called<Vec<StoredEvent>> {
        called(self.shared.journal.follow(after, limit, wait_ms).await)
    }

    async fn list_quarantine(
        &mut self,
        cursor: Option<String>,
        limit: u32,
    ) -> Called<QuarantinePage> {
        called(
            self.shared
                .journal
                .journal()
                .list_quarantine(cursor.as_deref(), limit)
                .await,
        )
    }

    async fn find_reject(&mut self, seq: u64) -> Called<Option<Quarantined>> {
        called(self.shared.journal.journal().find_reject(seq).await)
    }

    async fn list_activity(&mut self, query: ActivityQuery) -> Called<Vec<Activity>> {
        let journal = self.shared.journal.journal();
        called(journal.list_activity(&query.convert()).await)
    }

    async fn summarize(&mut self, stale_before_ms: u64) -> Called<Summary> {
        let summary = self
            .shared
            .journal
            .journal()
            .summarize(stale_before_ms)
            .await;
        called(summary.map(|mut summary| {
            self.shared.notices.add_to(&mut summary);
            summary
        }))
    }
}

impl settings::Host for Receiver {
    async fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.settings.as_ref().clone())
    }
}
