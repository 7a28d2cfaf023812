//! `batchtask tail`

use std::sync::Arc;

use serde_json::Value;

use super::run;
use crate::support::host::{QUIET, Setup};
use crate::support::ledger::{Ledger, all_events};
use crate::support::load::Load;
use crate::support::program::Program;
use crate::support::relay::Relay;

/// How often the host is killed.
const KILLS: usize = 20;

/// The number of connections that post meanwhile.
const CONNECTIONS: usize = 4;

fn seq(line: &str) -> u64 {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    event["seq"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_every_event_is_shown_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(CONNECTIONS, &ledger);
    let relay = Relay::start().await;
    let mut host = setup.start();
    relay.point_at(host.address());
    load.point_at(host.address());
    let tail = Program::new(["tail", "--from-start", "--json"]);
    let mut tail = tail.at(relay.address()).follow();
    for kill in 0..KILLS {
        // Wait until it has reconnected and is showing events.
        let count = tail.count();
        tail.writes(|lines| lines.len() > count + kill % 3 * 10)
            .await;
        host.kill();
        load.point_away();
        relay.point_away();
        host = setup.start();
        relay.point_at(host.address());
        load.point_at(host.address());
    }
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);

    let events = all_events(&mut host.client()).await;
    let stored: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    let last = *stored.last().expect("some events");
    let lines = tail
        .writes(|lines| lines.last().is_some_and(|line| seq(line) >= last))
        .await;
    let shown: Vec<u64> = lines.iter().map(|line| seq(line)).collect();
    assert_eq!(shown, stored);
    for (line, event) in lines.iter().zip(&events) {
        let line: Value = serde_json::from_str(line).unwrap();
        // Members that count duplicates may be newer in `event`.
        for member in ["digest", "body", "received_at"] {
            assert_eq!(line[member], event[member], "{line}");
        }
    }
}

#[tokio::test]
async fn filters_and_a_time_select_events() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let address = host.address();
    run(address, "send --scenario fail --tasks 3 --app-id one").expect(0);
    run(address, "send --scenario success --tasks 2 --app-id two").expect(0);
    run(address, "send --task-id last --app-id two --status Fail").expect(0);
    let events = run(address, "export events --format jsonl").expect(0);
    let events = events.json_lines();
    let matching = |holds: &dyn Fn(&Value) -> bool| {
        let matching = events.iter().filter(|event| holds(event));
        matching
            .map(|event| event["seq"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let failed = |event: &Value| event["status"] == "Fail";
    for (options, expected) in [
        (
            &["--from-start", "--class", "retryable"][..],
            matching(&failed),
        ),
        (
            &["--since", "1h", "--status", "Fail", "--status", "none"],
            matching(&failed),
        ),
        (
            &[
                "--since",
                "2026-01-01T08:00+08:00",
                "--app-id",
                "two",
                "--status",
                "Fail",
            ],
            matching(&|event| failed(event) && event["app_id"] == "two"),
        ),
        (
            &["--from-start", "--task-id", "last"],
            matching(&|event| event["task_id"] == "last"),
        ),
    ] {
        assert!(!expected.is_empty(), "{options:?}");
        let line = [&["tail", "--json"][..], options].concat();
        let mut tail = Program::new(line).at(address).follow();
        let lines = tail.writes(|lines| lines.len() == expected.len()).await;
        let seqs: Vec<u64> = lines.iter().map(|line| seq(line)).collect();
        assert_eq!(seqs, expected, "{options:?}");
    }
    let future = ["tail", "--since", "2999-01-01"];
    let mut tail = Program::new(future).at(address).follow();
    tail.says(&format!("after seq {}", events.len())).await;
}

#[tokio::test]
async fn it_begins_with_the_next_event_or_after_the_given_one() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let address = host.address();
    let start = |options: &[&str]| {
        Program::new([&["tail"][..], options].concat())
            .at(address)
            .follow()
    };

    let mut from_empty = start(&["--json"]);
    from_empty.says("following the events after seq 0").await;
    run(address, "send").expect(0);
    from_empty.writes(|lines| lines.len() == 1).await;

    // An irregular number of events, to test the search for the last one.
    run(address, "send --scenario success --tasks 7 --seed 1").expect(0);
    let events = run(address, "export events --format jsonl")
        .expect(0)
        .json_lines();
    let last = events.len();
    let mut from_now = start(&[]);
    from_now
        .says(&format!("following the events after seq {last}"))
        .await;
    let mut after = start(&["--after", &(last - 2).to_string(), "--json"]);
    after.writes(|lines| lines.len() == 2).await;

    run(address, "send --task-id next --status-desc a\tb").expect(0);
    let lines = from_now.writes(|lines| !lines.is_empty()).await;
    let [line] = lines.as_slice() else {
        panic!("one event: {lines:?}");
    };
    assert!(line.starts_with(&format!("{:<6}  20", last + 1)), "{line}");
    assert!(line.ends_with(r"  a\tb"), "{line}");
    let lines = after.writes(|lines| lines.len() == 3).await;
    let seqs: Vec<u64> = lines.iter().map(|line| seq(line)).collect();
    assert_eq!(seqs, [last as u64 - 1, last as u64, last as u64 + 1]);
}
