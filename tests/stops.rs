//! A graceful stop loses nothing and breaks no answer.

use std::sync::Arc;

use crate::disks::lock;
use crate::support::EXAMPLE;
use crate::support::host::{QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;

const STOPS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_under_load_answer_every_request_that_they_take() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(32, &ledger);
    for _ in 0..STOPS {
        let host = setup.start();
        load.point_at(host.address());
        ledger.reaches(ledger.len() + 500).await;
        // It must exit with 0. A broken answer would be seen as wrong.
        host.stop();
        load.point_away();
    }
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    assert_eq!(seen.unavailable, 0);

    let host = setup.start();
    let unanswered = ledger.check(&mut host.client()).await;
    assert_eq!(unanswered, 0, "what was stored was answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_the_request_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    let mut client = host.client();
    client.read("/tasks").await;
    let locked = lock(setup.journal());
    let posted = tokio::spawn(async move { client.post(EXAMPLE).await });
    // It is under way once another, which came later, was refused for the lock
    // that holds both.
    let refused = host
        .client()
        .post(EXAMPLE.replace("Waitting", "Fail"))
        .await;
    assert_eq!(refused.status, 503);
    host.ask_to_stop();
    drop(locked);
    let answer = posted.await.unwrap();
    assert!(matches!(answer.status, 200 | 503), "a whole answer");
    host.stop();
}
