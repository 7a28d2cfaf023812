//! A graceful stop loses nothing and breaks no answer.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::EXAMPLE;
use crate::support::host::{QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;

const STOPS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_under_load_answer_every_accepted_request() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(32, &ledger);
    for _ in 0..STOPS {
        let host = setup.start();
        load.point_at(host.address());
        ledger.reaches(ledger.len() + 500).await;
        // It must exit with 0. A broken answer would be in `seen.wrong`.
        host.stop();
        load.point_away();
    }
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    assert_eq!(seen.unavailable, 0);

    let host = setup.start();
    let unanswered = ledger.check(&mut host.client()).await;
    assert_eq!(unanswered, 0, "each stored event was acknowledged");
}

#[tokio::test]
async fn a_stop_waits_for_requests_in_progress() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path());
        let host = setup.start();
        let mut client = host.client();
        client.begin("/notifications", EXAMPLE.len()).await;
        let address = host.address();
        let stopped = tokio::task::spawn_blocking(move || host.stop_by(signal));
        // From some moment on, no new connection is accepted.
        while TcpStream::connect(address).await.is_ok() {}
        let answer = client.exchange_bytes(EXAMPLE.as_bytes(), false).await;
        answer.expect("a whole answer").expect(200, "recorded");
        stopped.await.unwrap();
        let host = setup.start();
        host.client().post(EXAMPLE).await.expect(200, "duplicate");
    }
}

#[tokio::test]
async fn a_stop_answers_a_reader_that_waits_for_news() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let mut client = host.client();
    client.read("/events").await;
    let reading = tokio::spawn(async move { client.read("/events?wait=2").await });
    host.client().read("/events?wait=1").await;
    tokio::task::spawn_blocking(move || host.stop())
        .await
        .unwrap();
    assert_eq!(reading.await.unwrap()["last_seq"], 0);
}
