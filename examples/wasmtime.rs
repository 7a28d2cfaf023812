//! Embeds the receiver with Wasmtime alone, with a journal in memory and default
//! settings. It calls `accept`, `exchange`, `decide` and the HTTP handler.
//!
//! ```text
//! cargo run --package batchtask-host --example wasmtime -- dist/receiver.wasm tests/samples/seed-example.json
//! ```
#![allow(clippy::print_stdout, reason = "the example prints its results")]
#![allow(missing_docs, reason = "generated")]

use std::collections::HashMap;

use http_body_util::{BodyExt, Full};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Result, Store, format_err};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::{Proxy, http::types::Scheme};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use crate::batchtask::receiver::{journal::*, settings};
use crate::exports::batchtask::receiver::intake::{Decision, Input, Message, Request, Source};

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "batchtask:receiver/receiver",
    exports: { default: async },
});

/// The host's side of an instance. The events are lost when it is dropped.
struct State {
    events: HashMap<Vec<u8>, Event>,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoing,
}

type Answer<T> = std::result::Result<T, Error>;

fn unsupported<T>() -> Answer<T> {
    Err(Error::Unsupported("this journal cannot be read".into()))
}

#[rustfmt::skip]
impl Host for State {
    fn append(&mut self, event: Event, _: Option<SignatureUse>) -> Answer<Appended> {
        match self.events.insert(event.digest.clone(), event) {
            None => Ok(Appended::Recorded),
            Some(_) => Ok(Appended::Duplicate),
        }
    }
    fn quarantine(&mut self, _: Reject, _: Option<SignatureUse>) -> Answer<Appended> { unsupported() }
    fn find_task(&mut self, _: String, _: String) -> Answer<Option<Task>> { unsupported() }
    fn list_tasks(&mut self, _: TaskQuery) -> Answer<TaskPage> { unsupported() }
    fn list_history(&mut self, _: String, _: String, _: Option<String>, _: u32) -> Answer<HistoryPage> { unsupported() }
    fn follow(&mut self, _: u64, _: u32, _: u32) -> Answer<Vec<StoredEvent>> { unsupported() }
    fn list_quarantine(&mut self, _: Option<String>, _: u32) -> Answer<QuarantinePage> { unsupported() }
    fn find_reject(&mut self, _: u64) -> Answer<Option<Quarantined>> { unsupported() }
    fn list_activity(&mut self, _: ActivityQuery) -> Answer<Vec<Activity>> { unsupported() }
    fn summarize(&mut self, _: u64) -> Answer<Summary> { unsupported() }
}

impl settings::Host for State {
    fn all(&mut self) -> Vec<(String, String)> {
        Vec::new()
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

/// Refuses outgoing requests: the receiver does not send any.
struct NoOutgoing;

type Done = Box<dyn Future<Output = std::result::Result<(), HttpError>> + Send>;
type Sent = std::result::Result<(http::Response<WasiBody>, Done), HttpError>;

impl WasiHttpHooks for NoOutgoing {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Done,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut paths = std::env::args().skip(1);
    let mut path = || {
        paths
            .next()
            .ok_or(format_err!("usage: wasmtime COMPONENT BODY"))
    };
    let engine = Engine::default();
    let component = Component::from_file(&engine, path()?)?;
    let body = std::fs::read(path()?)?;
    let mut linker: Linker<State> = Linker::new(&engine);
    wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
    Receiver::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    let mut store = Store::new(
        &engine,
        State {
            events: HashMap::new(),
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoing,
        },
    );

    let receiver = Receiver::instantiate_async(&mut store, &component, &linker).await?;
    let intake = receiver.batchtask_receiver_intake();
    let message = Message {
        source: Source::Amqp,
        body: body.clone(),
    };
    let outcome = intake.call_accept(&mut store, &message).await?;
    println!("accept: {outcome:?}");

    let request = Request {
        method: "POST".into(),
        target: "/notifications".into(),
        headers: vec![("content-type".into(), b"application/json".into())],
        // True if the host has checked a client certificate of the sender.
        sender_proven: false,
        over_https: false,
        body: body.clone(),
    };
    let response = intake.call_exchange(&mut store, &request).await?;
    println!(
        "exchange: {} {}",
        response.status,
        String::from_utf8_lossy(&response.body)
    );

    // A host that stores events itself calls `decide`, stores the entry, and then
    // sends the response.
    match intake
        .call_decide(&mut store, &Input::Http(request))
        .await?
    {
        Decision::Respond(response) => println!("decide: respond {}", response.status),
        Decision::Write(write) => {
            let (before, after) = write.response.body.split_at(write.outcome_at as usize);
            let body = [before, b"recorded", after].concat();
            println!("decide: store, then {}", String::from_utf8_lossy(&body));
        }
    }

    let proxy = Proxy::instantiate_async(&mut store, &component, &linker).await?;
    let request = http::Request::post("http://localhost/notifications");
    let request =
        request.body(Full::new(body.into()).map_err(|never| -> HttpError { match never {} }))?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let request = store
        .data_mut()
        .http()
        .new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(sender)?;
    let handled = proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut store, request, out);
    let answered = async { receiver.await?.map_err(wasmtime::Error::from) };
    let (handled, answered) = tokio::join!(handled, answered);
    handled?;
    let response = answered?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    println!(
        "incoming-handler: {status} {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}
