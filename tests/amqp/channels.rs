//! Which port serves which requests, and readiness without a webhook.

use std::path::Path;

use super::brokers::eventually;
use super::brokers::rhea::Rhea;
use super::{bodies, receiving_only};
use crate::support::client::Client;
use crate::support::host::{Host, Setup};
use crate::support::notifications::Notification;
use crate::support::program::Program;

fn two_ports(folder: &Path) -> Host {
    Setup::in_folder(folder)
        .argument("--read-listen")
        .argument("127.0.0.1:0")
        .start()
}

/// The address of page and API of a host that also has a webhook.
async fn reader(host: &Host) -> Client {
    let line = host
        .says(|line| line.contains("page and API: listening on"))
        .await;
    let (_, address) = line.rsplit_once("http://").expect("an address");
    Client::new(address.trim().parse().expect("an address"))
}

#[tokio::test]
async fn with_two_ports_one_serves_the_webhook_and_the_other_one_readers() {
    let folder = tempfile::tempdir().unwrap();
    let host = two_ports(folder.path());
    let (mut webhook, mut reader) = (host.client(), reader(&host).await);
    let body = Notification::numbered(1).body();
    assert_eq!(webhook.post(&body).await.outcome(), "recorded");
    assert_eq!(reader.post(&body).await.outcome(), "not-found");
    for path in ["/tasks", "/events", "/quarantine", "/summary"] {
        webhook.get(path).await.expect(404, "not-found");
        assert_eq!(reader.get(path).await.status, 200, "{path}");
    }
    for page in ["/", "/login", "/page/style.css"] {
        assert_eq!(webhook.get(page).await.status, 404, "{page}");
        assert_eq!(reader.get(page).await.status, 200, "{page}");
    }
    for client in [&mut webhook, &mut reader] {
        assert_eq!(client.get("/health").await.status, 200);
        assert_eq!(client.request("OPTIONS", "/", &[], b"").await.status, 204);
    }
    host.stop();
}

#[tokio::test]
async fn without_a_webhook_readiness_depends_on_amqp() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    broker
        .rules(serde_json::json!({ "access_codes": ["another"] }))
        .await;
    let host = receiving_only(folder.path(), &broker).start();
    let mut admin = host.admin();
    let not_ready = eventually("it is refused", async || {
        let answer = admin.get("/readyz").await;
        (answer.status == 503 && answer.text().contains("refused the access key")).then_some(answer)
    })
    .await;
    assert!(
        not_ready.text().starts_with("AMQP: "),
        "{}",
        not_ready.text()
    );
    broker
        .rules(serde_json::json!({ "access_codes": [super::ACCESS_CODE] }))
        .await;
    eventually("it is ready", async || {
        (admin.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(host.client().post("{}").await.outcome(), "not-found");
    broker.publish(&bodies(0..3), "text").await;
    broker.counts("accepted", 3).await;
    host.stop();
}

#[tokio::test]
async fn a_host_that_nothing_reaches_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path())
        .listening_on("off")
        .argument("--read-listen")
        .argument("127.0.0.1:0")
        .start();
    host.says(|line| line.contains("WARN") && line.contains("receives nothing"))
        .await;
    assert_eq!(host.client().get("/tasks").await.status, 200);
    host.stop();
}

#[test]
fn check_covers_amqp() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("batchtask.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        Program::new(["check", "--config", file])
            .in_folder(folder.path())
            .argument("--listen")
            .argument("off")
            .argument("--admin")
            .argument("off")
            .run()
    };
    for (text, expected) in [
        (
            "[amqp]\nurl = \"amqp://host\"",
            "`amqp.url` must be `amqps://HOST`",
        ),
        (
            "[amqp]\nurl = \"amqps://host\"",
            "`amqp.access_key` is missing",
        ),
        (
            "[amqp]\nurl = \"amqps://host\"",
            "`amqp.access_code` is missing",
        ),
        ("[amqp]\nqueues = [\"a\", \"a\"]", "`a` is there twice"),
        (
            "[amqp]\nmessages = 0",
            "`amqp.messages` must be a whole number from 1 to 100000",
        ),
        (
            "[amqp]\nurl = \"amqps://host\"\naccess_key = \"k\"\naccess_code = \"hush\"\nca = \"none.pem\"",
            "`amqp.ca` cannot be read: `none.pem`",
        ),
        (
            "[amqp]\nurl = \"amqps://host\"\naccess_key = \"k\"\naccess_code = \"hush\"\nca = \"batchtask.toml\"",
            "`amqp.ca` cannot be used: it contains no certificate",
        ),
    ] {
        let ended = check(text);
        assert_eq!(ended.code, Some(2), "{text}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{text}: {ended:?}");
        assert!(!ended.stderr.contains("hush"), "{ended:?}");
    }
    let valid =
        "[amqp]\nurl = \"amqps://host\"\naccess_key = \"k\"\naccess_code = [\"hush\", \"old\"]\n";
    let ended = check(valid);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("amqp.access_code: not shown"),
        "{ended:?}"
    );
}
