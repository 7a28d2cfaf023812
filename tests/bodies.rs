//! Unusual bodies, each with its outcome: over HTTP, and through `Intake::accept`. Both
//! must give the same answer and store the same.
//!
//! The bodies are in `bodies/`, byte for byte, and their outcomes are in
//! `bodies/expected.tsv`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use batchtask_guest::outcomes::Outcome;
use batchtask_host::Intake;
use batchtask_host::component::Response;
use batchtask_host::intake::outcome;
use batchtask_journal::MemoryJournal;
use serde_json::Value;

use crate::example::both_ways;
use crate::support::client::Answer;
use crate::support::embedding::{Embedding, json_of, message, request};
use crate::support::host::{Host, READ_TOKEN, Setup};
use crate::support::ledger::{all_events, all_pages};

/// The folder with the bodies.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/bodies");

/// A body, and its result if the sender is not proven.
struct Case {
    name: String,
    body: Vec<u8>,
    outcome: String,
    flags: Vec<String>,
    pointer: Option<String>,
}

fn cases() -> Vec<Case> {
    let expected = fs::read_to_string(Path::new(FOLDER).join("expected.tsv")).unwrap();
    let lines = expected.lines().filter(|line| !line.starts_with('#'));
    lines.map(case).collect()
}

fn case(line: &str) -> Case {
    let columns: Vec<&str> = line.split('\t').collect();
    let &[name, outcome, flags, pointer] = columns.as_slice() else {
        panic!("four columns: {line}");
    };
    let body = fs::read(Path::new(FOLDER).join(name).with_added_extension("json"));
    let flags = flags.split(',').filter(|flag| *flag != "-");
    let pointer = Some(pointer).filter(|pointer| *pointer != "-");
    Case {
        name: name.into(),
        body: body.unwrap_or_else(|error| panic!("{name}: {error}")),
        outcome: outcome.into(),
        flags: flags.map(String::from).collect(),
        pointer: pointer.map(|pointer| pointer.replace("\"\"", "")),
    }
}

impl Case {
    fn is_recorded(&self) -> bool {
        self.outcome == "recorded"
    }

    /// Checks an answer to a sender that is not proven.
    fn check(&self, answer: &Answer) {
        let status = match self.outcome.as_str() {
            "not-json" => 400,
            "not-a-notification" => 422,
            _ => 200,
        };
        answer.expect(status, &self.outcome);
        let answer = answer.json();
        assert_eq!(answer["pointer"].as_str(), self.pointer.as_deref());
        let flags = answer["flags"].as_array().cloned().unwrap_or_default();
        assert_eq!(flags, self.flags);
    }
}

#[test]
fn every_body_has_an_expected_outcome() {
    let written: Vec<_> = cases().into_iter().map(|case| case.name).collect();
    let mut found: Vec<_> = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .collect();
    found.sort();
    assert_eq!(written, found, "sorted, each once");
}

/// Builds a receiver in this process.
async fn intake(unprocessable: &str) -> Intake {
    let embedding = Embedding::over(MemoryJournal::default())
        .setting(("BATCHTASK_READ_TOKEN", READ_TOKEN))
        .setting(("BATCHTASK_UNPROCESSABLE", unprocessable));
    embedding.build().await.unwrap()
}

/// Reads a page of a list from a receiver in this process.
async fn list(intake: &Intake, target: &str, member: &str) -> Vec<Value> {
    let token = format!("Bearer {READ_TOKEN}");
    let request = request("GET", target, &[("authorization", &token)], "");
    let response = intake.exchange(request).await;
    assert_eq!(response.status, 200);
    json_of(&response)[member].as_array().unwrap().clone()
}

/// Returns the label of a response's outcome.
fn label(response: &Response) -> &'static str {
    outcome(response)
        .map(Outcome::label)
        .expect("a known outcome")
}

/// Returns status and body of a response, and of an answer over HTTP.
fn both(response: &Response, answer: &Answer) -> [(u16, Value); 2] {
    [
        (response.status, json_of(response)),
        (answer.status, answer.json()),
    ]
}

/// Removes the members that depend on the time of arrival.
fn without_arrival(items: Vec<Value>) -> Vec<Value> {
    let strip = |mut item: Value| {
        let members = item.as_object_mut().unwrap();
        members.remove("received_at");
        let flags = members.get("flags").map(Value::to_string);
        // Then the time of arrival may be used as the time of occurrence.
        if flags.is_some_and(|flags| flags.contains("no_event_time")) {
            members.remove("occurred_at");
        }
        item
    };
    items.into_iter().map(strip).collect()
}

#[tokio::test]
async fn every_body_has_the_same_outcome_over_http_and_through_accept() {
    let folder = tempfile::tempdir().unwrap();
    for setup in both_ways(Setup::in_folder(folder.path())) {
        check_outcomes(&setup.start()).await;
    }
}

async fn check_outcomes(host: &Host) {
    let mut client = host.client();
    let intake = intake("reject").await;
    for case in cases() {
        eprintln!("body: {}", case.name);
        let answer = client.post(&case.body).await;
        case.check(&answer);
        let response = intake.accept(message(case.body.clone())).await;
        assert_eq!(label(&response), case.outcome);
        let [accepted, answered] = both(&response, &answer);
        assert_eq!(accepted, answered);
    }
    let events = all_events(&mut client).await;
    let bodies: Vec<_> = events.iter().map(|event| event["body"].as_str()).collect();
    let recorded = cases().into_iter().filter(Case::is_recorded);
    let sent: Vec<_> = recorded
        .map(|case| String::from_utf8(case.body).unwrap())
        .collect();
    let sent: Vec<_> = sent.iter().map(|body| Some(body.as_str())).collect();
    assert_eq!(bodies, sent, "verbatim, and nothing else");
    let embedded = list(&intake, "/events?limit=500", "events").await;
    assert_eq!(without_arrival(embedded), without_arrival(events));
    let rejects = all_pages(&mut client, "/quarantine?limit=500", "rejects").await;
    assert!(rejects.is_empty());
}

#[tokio::test]
async fn every_other_body_is_quarantined_over_http_and_through_accept() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    for setup in both_ways(setup.variable(("BATCHTASK_UNPROCESSABLE", "accept"))) {
        quarantines_or_records(&setup.start()).await;
    }
}

async fn quarantines_or_records(host: &Host) {
    let mut client = host.client();
    // The caller of `accept` has checked the sender, so `auto` quarantines.
    let intake = intake("auto").await;
    let mut expected = BTreeMap::new();
    for case in cases() {
        eprintln!("body: {}", case.name);
        let response = intake.accept(message(case.body.clone())).await;
        let answer = client.post(&case.body).await;
        let [accepted, answered] = both(&response, &answer);
        assert_eq!(accepted, answered);
        if case.is_recorded() {
            answer.expect(200, "recorded");
            assert_eq!(label(&response), "recorded");
        } else {
            answer.expect(200, "quarantined");
            assert_eq!(label(&response), "quarantined");
            assert_eq!(answer.json()["reason"], case.outcome);
            expected.insert(expected.len() as u64 + 1, case);
        }
    }
    let rejects = all_pages(&mut client, "/quarantine?limit=500", "rejects").await;
    assert_eq!(rejects.len(), expected.len());
    for reject in &rejects {
        let case = &expected[&reject["seq"].as_u64().unwrap()];
        assert_eq!(reject["reason"], case.outcome);
        assert_eq!(reject["pointer"].as_str(), case.pointer.as_deref());
        assert_eq!(reject["bytes"], case.body.len());
        // A text with many control characters, such as UTF-16, is in base64 too.
        match reject["body"].as_str() {
            Some(text) => assert_eq!(text.as_bytes(), case.body),
            None => assert_eq!(
                reject["body_base64"],
                batchtask_notification::base64(&case.body)
            ),
        }
    }
    let embedded = list(&intake, "/quarantine?limit=500", "rejects").await;
    assert_eq!(without_arrival(embedded), without_arrival(rejects));
}
