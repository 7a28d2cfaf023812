//! [`Spin`]: a host with one instance per request, and with Spin's imports in the drafts
//! that Spin uses. Only the items that are needed are declared.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use wasmtime::component::{Component, HasData, Linker, Resource, ResourceTable};
use wasmtime::{Config, Engine};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use self::bindings::wasi::config::store as config;
use self::bindings::wasi::keyvalue::store as keyvalue;
use super::store::Store;
use crate::support::client::Client;
use crate::support::host::READ_TOKEN;

mod bindings {
    #![allow(clippy::all, unused, reason = "generated")]
    wasmtime::component::bindgen!({
        path: "../../adapters/spin/wit",
        world: "batchtask:spin/imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::Bucket },
    });
}

/// Reading a variable with this value fails.
pub(crate) const UNREADABLE: &str = "(unreadable)";

/// A host that listens. Dropping it stops it.
pub(crate) struct Spin {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Drop for Spin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Spin {
    /// Serves a component, with the read token and these variables.
    pub(crate) async fn start(
        component: &Path,
        store: &Store,
        variables: &[(&'static str, &'static str)],
    ) -> Self {
        let pre = prepare(component).expect("the component fits the host");
        let variables = variables.iter().copied();
        let token = ("batchtask_read_token", READ_TOKEN);
        let shared = Shared {
            pre,
            store: store.clone(),
            variables: Arc::new(variables.chain([token]).collect()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let accepting = tokio::spawn(accept(listener, shared)).abort_handle();
        Self { address, accepting }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }
}

#[derive(Clone)]
struct Shared {
    pre: ProxyPre<State>,
    store: Store,
    variables: Arc<HashMap<&'static str, &'static str>>,
}

fn prepare(component: &Path) -> wasmtime::Result<ProxyPre<State>> {
    let engine = Engine::new(&Config::new())?;
    let component = Component::from_file(&engine, component)?;
    let mut linker: Linker<State> = Linker::new(&engine);
    wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
    config::add_to_linker::<_, Imports>(&mut linker, |state| state)?;
    keyvalue::add_to_linker::<_, Imports>(&mut linker, |state| state)?;
    ProxyPre::new(linker.instantiate_pre(&component)?)
}

async fn accept(listener: TcpListener, shared: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let serve = hyper::service::service_fn(move |request| answer(shared.clone(), request));
        // An error of a connection matters only to its client.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
    }
}

async fn answer(
    shared: Shared,
    request: hyper::Request<Incoming>,
) -> wasmtime::Result<hyper::Response<HyperOutgoingBody>> {
    let state = State {
        store: shared.store,
        variables: shared.variables,
        table: ResourceTable::new(),
        wasi: WasiCtx::builder().build(),
        http: WasiHttpCtx::new(),
        hooks: NoOutgoing,
    };
    let mut store = wasmtime::Store::new(shared.pre.engine(), state);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let out = http.new_response_outparam(sender)?;
    let handled = tokio::spawn(async move {
        let proxy = shared.pre.instantiate_async(&mut store).await?;
        let handler = proxy.wasi_http_incoming_handler();
        handler.call_handle(store, request, out).await
    });
    match receiver.await {
        Ok(response) => Ok(response?),
        Err(_) => Err(wasmtime::format_err!("no answer: {:?}", handled.await)),
    }
}

struct State {
    store: Store,
    variables: Arc<HashMap<&'static str, &'static str>>,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoing,
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
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// `allowed_outbound_hosts = []`
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

struct Imports;

impl HasData for Imports {
    type Data<'a> = &'a mut State;
}

/// The only bucket.
#[allow(unreachable_pub, reason = "the generated code exports it")]
pub struct Bucket;

type Answered<T> = wasmtime::Result<Result<T, keyvalue::Error>>;

fn other<T>(result: Result<T, String>) -> Answered<T> {
    Ok(result.map_err(keyvalue::Error::Other))
}

impl config::Host for State {
    async fn get(
        &mut self,
        key: String,
    ) -> wasmtime::Result<Result<Option<String>, config::Error>> {
        let value = self.variables.get(key.as_str()).copied();
        // Every variable of the manifest has a value.
        let value = value.or(key.starts_with("batchtask_").then_some(""));
        Ok(match value {
            Some(UNREADABLE) => Err(config::Error::Upstream("the vault is sealed".into())),
            value => Ok(value.map(String::from)),
        })
    }
}

impl keyvalue::Host for State {
    async fn open(&mut self, identifier: String) -> Answered<Resource<Bucket>> {
        if self.store.is_bucket(&identifier) {
            Ok(Ok(self.table.push(Bucket)?))
        } else {
            Ok(Err(keyvalue::Error::AccessDenied))
        }
    }
}

impl keyvalue::HostBucket for State {
    async fn get(&mut self, _: Resource<Bucket>, key: String) -> Answered<Option<Vec<u8>>> {
        other(self.store.read(|values| values.get(&key).cloned()).await)
    }

    async fn set(&mut self, _: Resource<Bucket>, key: String, value: Vec<u8>) -> Answered<()> {
        other(self.store.write(key, value).await)
    }

    async fn delete(&mut self, _: Resource<Bucket>, key: String) -> Answered<()> {
        other(self.store.remove(&key).await)
    }

    async fn exists(&mut self, _: Resource<Bucket>, key: String) -> Answered<bool> {
        other(self.store.read(|values| values.contains_key(&key)).await)
    }

    async fn list_keys(
        &mut self,
        _: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Answered<keyvalue::KeyResponse> {
        if cursor.is_some() {
            return other(Err("list_keys: cursor not supported".into()));
        }
        let keys = self.store.read(|values| values.keys().cloned().collect());
        other(
            keys.await
                .map(|keys| keyvalue::KeyResponse { keys, cursor: None }),
        )
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}
