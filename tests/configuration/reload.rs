//! SIGHUP reads the configuration again, and misses no push.

use std::time::Duration;

use rustix::process::Signal;

use super::write;
use crate::support::host::{Host, READ_TOKEN, Setup};
use crate::support::pushes::Pushes;
use crate::support::{PATIENCE, scale};

/// The rate at which the platform pushes a backlog.
const PER_S: u32 = 800;

/// Connections that it keeps.
const CONNECTIONS: usize = 64;

/// How often the configuration is reloaded.
const RELOADS: usize = 12;

const NEXT_TOKEN: &str = "next-token-of-the-readers";

/// Waits until this many lines of the log contain a text.
async fn counts(host: &Host, text: &str, count: usize) {
    let counted = async {
        while host.said().matches(text).count() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counted).await;
    assert!(counted.is_ok(), "{count} times `{text}`: {}", host.said());
}

async fn reload(host: &Host, text: &str) -> String {
    let before = host.said().matches("reloaded").count();
    write(host.setup().journal().parent().unwrap(), text);
    host.signal(Signal::HUP);
    counts(host, "reloaded", before + 1).await;
    let said = host.said();
    let mut lines = said.lines().filter(|line| line.contains("reloaded"));
    lines.nth(before).unwrap().to_owned()
}

fn start(folder: &std::path::Path, text: &str) -> Host {
    let path = write(folder, text);
    Setup::in_folder(folder)
        .without_read_token()
        .keeping_all_lines()
        .argument("--config")
        .argument(path)
        .start()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_miss_no_push_whether_valid_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = "log = 'info,batchtask_host::intake=warn'\n";
    let first = format!("{quiet}read_token = '{READ_TOKEN}'\n");
    let host = start(folder.path(), &first);
    let pushes = Pushes::start(PER_S, (0..CONNECTIONS).map(|_| host.client()));
    let texts = [
        (
            format!("{first}stale_after_s = 60\n"),
            "`stale_after_s` changed",
        ),
        (
            format!("{first}stale_after_s = 59\n"),
            "nothing was reloaded",
        ),
        (
            format!("{first}token = 'abc'\nsignature = 'report'\n"),
            "`token`, `signature`",
        ),
        ("not = toml = at all".to_owned(), "nothing was reloaded"),
        (
            format!("{first}trusted_proxies = ['127.0.0.1']\n"),
            "`trusted_proxies`",
        ),
        (
            format!("{first}signature = 'enforce'\n"),
            "nothing was reloaded",
        ),
        (format!("{first}max_reads = 7\n"), "reloaded"),
        (
            format!("{quiet}read_token = ['{NEXT_TOKEN}', '{READ_TOKEN}']\n"),
            "`read_token` changed",
        ),
    ];
    for number in 0..scale("BATCHTASK_TEST_RELOADS", RELOADS) {
        pushes.answered(50).await;
        let (text, expected) = &texts[number % texts.len()];
        let line = reload(&host, text).await;
        assert!(line.contains(expected), "{text}: {line}");
    }
    let line = reload(&host, &first).await;
    assert!(line.contains("changed"), "{line}");
    pushes.answered(400).await;
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    eprintln!("{} pushes, the slowest {:?}", ledger.len(), report.slowest);
    assert_eq!(ledger.check(&mut host.client()).await, 0);
    host.stop();
}

#[tokio::test]
async fn a_reload_changes_who_may_read_and_says_what_needs_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let former = format!("read_token = '{READ_TOKEN}'\n");
    let host = start(folder.path(), &former);
    let mut client = host.client();
    let next = format!("Bearer {NEXT_TOKEN}");
    let by_next = [("authorization", &*next)];
    client.get("/tasks").await.expect(200, "read");
    let answer = client.exchange("GET", "/tasks", &by_next, b"").await;
    answer.unwrap().expect(401, "unauthorized");

    reload(
        &host,
        &format!("read_token = ['{NEXT_TOKEN}', '{READ_TOKEN}']\n"),
    )
    .await;
    client.get("/tasks").await.expect(200, "read");
    let answer = client.exchange("GET", "/tasks", &by_next, b"").await;
    answer.unwrap().expect(200, "read");

    let text =
        format!("read_token = '{NEXT_TOKEN}'\nmax_reads = 3\nkeep_days = 9\nlog = 'debug'\n");
    let line = reload(&host, &text).await;
    assert!(line.contains("`log`, `read_token` changed"), "{line}");
    host.says(|line| {
        line.contains(" WARN ")
            && line.contains("a restart is needed to change `keep_days`, `max_reads`")
    })
    .await;
    client.get("/tasks").await.expect(401, "unauthorized");
    host.says(|line| line.contains("DEBUG")).await;

    let line = reload(&host, "read_token = 'short'\nlisten = 'x'\n").await;
    assert!(line.contains(" ERROR "), "{line}");
    let answer = client.exchange("GET", "/tasks", &by_next, b"").await;
    answer.unwrap().expect(200, "read");
    assert!(!host.said().contains(NEXT_TOKEN), "{}", host.said());
    host.stop();
}
