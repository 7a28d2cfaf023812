//! Causes every described status, and checks the answers.

use std::collections::BTreeSet;

use batchtask_host::Intake;
use batchtask_journal::Error;
use http::{HeaderName, HeaderValue};

use super::description::{Description, Operation};
use super::{SECRET, target};
use crate::example::without_intake;
use crate::support::EXAMPLE;
use crate::support::client::{Answer, Client};
use crate::support::embedding::{Embedding, FaultyJournal, request};
use crate::support::host::{READ_TOKEN, Setup};

/// The statuses of an operation that have occurred.
struct Seen<'a> {
    operation: &'a Operation<'a>,
    statuses: BTreeSet<u16>,
}

impl Seen<'_> {
    /// Sends a request. The answer must have this status and match the description.
    async fn ask(
        &mut self,
        client: &mut Client,
        query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        status: u16,
    ) -> Answer {
        let target = target(self.operation.path) + query;
        let answer = client.exchange(&self.operation.method, &target, headers, body);
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        self.operation.expect(&answer);
        self.statuses.insert(status);
        answer
    }

    /// Like [`ask`](Self::ask), with a receiver in this process.
    async fn ask_within(&mut self, intake: &Intake, headers: &[(&str, &str)], status: u16) {
        let method = self.operation.method.as_str();
        let body = if method == "POST" { EXAMPLE } else { "" };
        let target = target(self.operation.path);
        let response = intake.exchange(request(method, &target, headers, body));
        let response = response.await;
        let headers = response.headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).expect("a name");
            (
                name,
                HeaderValue::try_from(value.as_str()).expect("a value"),
            )
        });
        let answer = Answer {
            status: response.status,
            headers: headers.collect(),
            body: response.body,
        };
        assert_eq!(answer.status, status, "{}", self.operation.path);
        self.operation.expect(&answer);
        self.statuses.insert(status);
    }
}

/// Builds a receiver with these settings, whose journal fails with this error.
async fn failing(error: Error, settings: &[(&str, &str)]) -> Intake {
    // A component without `intake` names invalid settings in each answer.
    let embedding = Embedding::over(FaultyJournal::failing(error)).component(without_intake());
    let embedding = settings.iter().copied().fold(embedding, Embedding::setting);
    embedding.build().await.expect("a receiver")
}

fn unavailable() -> Error {
    Error::Unavailable(String::new())
}

fn unsupported() -> Error {
    Error::Unsupported(String::new())
}

/// The paths that do not use the journal. Their 503 is that of an overloaded host, which
/// `outcomes` causes.
const NO_JOURNAL: [&str; 2] = ["/openapi.json", "/health"];
const READABLE: (&str, &str) = ("BATCHTASK_READ_TOKEN", READ_TOKEN);

/// Causes the statuses of an operation that do not need content in the journal.
async fn failures(seen: &mut Seen<'_>) {
    let bearer = format!("Bearer {READ_TOKEN}");
    let token = [("authorization", &*bearer)];
    let has_secret = seen.operation.path.ends_with("{secret}");
    let secret = ("BATCHTASK_PATH_SECRET", SECRET);
    let settings = if has_secret {
        vec![READABLE, secret]
    } else {
        vec![READABLE]
    };
    let with = |more: &[(&'static str, &'static str)]| [settings.as_slice(), more].concat();
    let statuses: BTreeSet<_> = seen.operation.statuses().collect();
    let invalid = with(&[("BATCHTASK_SIGNATURE", "maybe")]);
    let misconfigured = failing(unavailable(), &invalid).await;
    seen.ask_within(&misconfigured, &token, 500).await;
    for (error, status) in [(unsupported(), 501), (unavailable(), 503)] {
        if statuses.contains(&status) && !NO_JOURNAL.contains(&seen.operation.path) {
            let intake = failing(error, &settings).await;
            seen.ask_within(&intake, &token, status).await;
        }
    }
    if !statuses.contains(&401) {
        return;
    }
    let absent = match (seen.operation.method.as_str(), has_secret) {
        ("POST", false) => vec![secret],
        _ => vec![],
    };
    let absent = failing(unavailable(), &absent).await;
    seen.ask_within(&absent, &token, 404).await;
    let signed = [
        ("BATCHTASK_TOKEN", "kQ3vT9xLm2Rb7Zc5"),
        ("BATCHTASK_SIGNATURE", "enforce"),
    ];
    let signed = failing(unavailable(), &with(&signed)).await;
    seen.ask_within(&signed, &[], 401).await;
}

/// Causes the statuses of a push.
async fn pushes(seen: &mut Seen<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::in_folder(folder.path())
        .argument("--body-seconds")
        .argument("1")
        .variable(("BATCHTASK_MAX_BODY_BYTES", "1024"));
    if seen.operation.path.ends_with("{secret}") {
        setup = setup
            .variable(("BATCHTASK_PATH_SECRET", SECRET))
            .variable(("BATCHTASK_UNPROCESSABLE", "reject"));
    }
    let host = setup.start();
    let mut client = host.client();
    let odd = EXAMPLE.replace("Waitting", "Paused");
    let long = " ".repeat(1025);
    for (body, status) in [
        (EXAMPLE, 200),
        (EXAMPLE, 200),
        (&*odd, 200),
        ("no JSON", 400),
        ("{}", 422),
        (&*long, 413),
    ] {
        let mut client = host.client();
        seen.ask(&mut client, "", &[], body.as_bytes(), status)
            .await;
    }
    let is_proven = seen.operation.path.ends_with("{secret}");
    for (field, refused) in [
        (("content-type", "text/plain"), 415),
        (("sec-fetch-site", "cross-site"), 403),
    ] {
        let status = if is_proven { 200 } else { refused };
        seen.ask(&mut client, "", &[field], EXAMPLE.as_bytes(), status)
            .await;
    }
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n{{",
        target(seen.operation.path)
    );
    let late = client.exchange_bytes(head.as_bytes(), false).await;
    let late = late.expect("an answer");
    seen.operation.expect(&late);
    seen.statuses.insert(late.status);
}

/// Causes the statuses of a read, with a host that has a task with unusual events and
/// rejects in its quarantine.
async fn reads(seen: &mut Seen<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup
        .variable(("BATCHTASK_UNPROCESSABLE", "accept"))
        .start();
    let mut client = host.client();
    if seen.operation.path.contains("{task_id}") {
        let nobody = seen.operation.path.replace(['{', '}'], "");
        let answer = client.get(&nobody).await;
        assert_eq!(answer.status, 404);
        seen.operation.expect(&answer);
        seen.statuses.insert(404);
    }
    client.post(EXAMPLE.replace("Waitting", "Success")).await;
    for body in [EXAMPLE, EXAMPLE, "{}", "no JSON"] {
        client.post(body).await;
    }
    client.post(b"\xff").await;
    let bearer = format!("Bearer {READ_TOKEN}");
    let token = ("authorization", &*bearer);
    if seen.operation.statuses().any(|status| status == 400) {
        seen.ask(&mut client, "?undocumented=1", &[token], b"", 400)
            .await;
    }
    let answer = seen.ask(&mut client, "", &[token], b"", 200).await;
    if let Some(tag) = answer.header("etag") {
        let known = [token, ("if-none-match", tag)];
        seen.ask(&mut client, "", &known, b"", 304).await;
    }
    if seen.operation.statuses().any(|status| status == 406) {
        let plain = [token, ("accept-encoding", "identity")];
        seen.ask(&mut client, "", &plain, b"", 406).await;
    }
}

#[tokio::test]
async fn every_described_status_occurs_and_no_other() {
    let description = Description::read();
    for operation in description.operations() {
        eprintln!("operation: {} {}", operation.method, operation.path);
        let mut seen = Seen {
            operation: &operation,
            statuses: BTreeSet::new(),
        };
        failures(&mut seen).await;
        match operation.method.as_str() {
            "POST" => pushes(&mut seen).await,
            _ => reads(&mut seen).await,
        }
        if NO_JOURNAL.contains(&operation.path) {
            seen.statuses.insert(503);
        }
        let described: BTreeSet<_> = operation.statuses().collect();
        assert_eq!(seen.statuses, described, "{}", operation.path);
    }
}
