//! The bundled host with every entry point of a component, and its library.
//!
//! | entry point | component |
//! |---|---|
//! | `decide`, in instances that can only decide | the embedded one |
//! | `decide`, in instances with all imports | `receiver.wasm`, which is not the embedded one |
//! | `wasi:http` | one without `intake` |
//! | `exchange` | one with its own journal, to which `decide` does not write |

use std::path::Path;
use std::sync::Arc;

use batchtask_host::http::Server;
use batchtask_host::limits::Limits;
use batchtask_host::telemetry::Registry;
use batchtask_journal::MemoryJournal;
use tokio::net::TcpListener;

use super::artifacts::{artifact, composed};
use super::suite::{self, ENFORCE, Journal, Refuses, TOKEN};
use crate::example::without_intake;
use crate::support::EXAMPLE;
use crate::support::client::Client;
use crate::support::embedding::Embedding;
use crate::support::host::{READ_TOKEN, Setup};

/// Runs both suites against a host with this component.
async fn conforms(folder: &Path, component: Option<&Path>, refuses: Refuses) {
    let mut setup = Setup::in_folder(folder);
    if let Some(component) = component {
        setup = setup.argument("--component").argument(component);
    }
    let host = setup.start();
    suite::conforms(&mut host.client(), Journal::Feeds, refuses).await;
    let setup = setup.with_journal(folder.join("signed.db"));
    let setup = setup.variable(ENFORCE);
    let host = setup.variable(("BATCHTASK_TOKEN", TOKEN)).start();
    suite::admits_a_signature_once(&mut host.client()).await;
}

#[tokio::test]
async fn by_decide() {
    let folder = tempfile::tempdir().unwrap();
    conforms(folder.path(), None, Refuses::Heads).await;
}

#[tokio::test]
async fn by_decide_of_a_component_that_is_not_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let component = artifact("receiver.wasm");
    conforms(folder.path(), Some(&component), Refuses::Heads).await;
}

#[tokio::test]
async fn by_wasi_http() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("component.wasm");
    std::fs::write(&component, without_intake()).unwrap();
    conforms(folder.path(), Some(&component), Refuses::Bodies).await;
}

/// The host's own journal would detect the duplicate, and count both pushes.
#[tokio::test]
async fn by_exchange_of_a_component_with_a_journal_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("composed.wasm");
    composed(&component);
    let setup = Setup::in_folder(folder.path()).with_admin();
    let host = setup.argument("--component").argument(component).start();
    let mut client = host.client();
    suite::conforms(&mut client, Journal::Discards, Refuses::Heads).await;
    for _ in 0..2 {
        client.post(EXAMPLE).await.expect(200, "recorded");
    }
    let metrics = host.metrics().await;
    assert!(metrics.requests("recorded") >= 4.0);
    for count in ["commits", "recorded", "duplicates", "replays"] {
        let name = format!("batchtask_journal_{count}_total");
        assert_eq!(metrics.value(&name), 0.0, "{name}");
    }
    assert_eq!(metrics.sum("batchtask_tasks"), 0.0);
}

/// Serves the library's intake over a journal in memory, with these settings.
async fn serve(settings: &[(&str, &str)]) -> Client {
    let embedding = Embedding::over(MemoryJournal::default());
    let embedding = embedding.setting(("BATCHTASK_READ_TOKEN", READ_TOKEN));
    let embedding = settings.iter().copied().fold(embedding, Embedding::setting);
    let intake = Arc::new(embedding.build().await.expect("a receiver"));
    let (limits, registry) = (Limits::DEFAULT, Registry::default());
    let server = Server::new(intake, limits, None, &registry);
    let server = Arc::new(server.expect("its metrics have names of their own"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(server.serve(listener, std::future::pending()));
    Client::new(address)
}

#[tokio::test]
async fn as_a_library_over_a_journal_in_memory() {
    let mut client = serve(&[]).await;
    suite::conforms(&mut client, Journal::Feeds, Refuses::Heads).await;
    let mut client = serve(&[ENFORCE, ("BATCHTASK_TOKEN", TOKEN)]).await;
    suite::admits_a_signature_once(&mut client).await;
}
