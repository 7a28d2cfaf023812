//! What operators and readers see of AMQP, and `send --amqp`.

use rustix::process::Signal;
use serde_json::json;

use super::brokers::rhea::Rhea;
use super::brokers::{ACCESS_CODE, ACCESS_KEY, eventually};
use super::{bodies, notice, receiving_only};
use crate::support::host::Setup;
use crate::support::program::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_page_command_line_and_metrics_show_the_channel() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let host = receiving_only(folder.path(), &broker).start();
    host.says(|line| line.contains("receiving from `DefaultQueue` of 127.0.0.1"))
        .await;
    broker.publish(&bodies(0..1), "text").await;
    broker.counts("accepted", 1).await;
    let mut client = host.client();
    let history = client.read("/tasks/app/task-0/events").await;
    assert_eq!(history["events"][0]["source"], "amqp");
    let page = client.get("/page/tasks/app/task-0").await;
    assert!(
        page.text().contains("source: <bdi>amqp</bdi>"),
        "{}",
        page.text()
    );
    let shown = Program::new(["task", "app", "task-0"])
        .at(host.address())
        .run();
    assert!(shown.stdout.contains("SOURCE"), "{shown:?}");
    assert!(shown.stdout.contains("amqp"), "{shown:?}");
    let csv = Program::new(["export", "events", "--format", "csv"])
        .at(host.address())
        .run();
    assert!(
        csv.stdout.lines().next().unwrap().contains(",source,"),
        "{csv:?}"
    );
    assert!(csv.stdout.contains(",amqp,"), "{csv:?}");
    let metrics = host.metrics().await;
    for (name, value) in [
        ("connected", 1.0),
        ("deliveries_total", 1.0),
        ("accepted_total", 1.0),
        ("unsettled", 0.0),
        ("unsettled_bytes", 0.0),
        ("redelivered_total", 0.0),
        ("retries_total", 0.0),
        ("refused_total", 0.0),
    ] {
        let name = format!("batchtask_amqp_{name}");
        assert!(metrics.has(&name), "{name}");
        assert_eq!(metrics.value(&name), value, "{name}");
    }
    assert!(metrics.value("batchtask_amqp_credit") > 0.0);
    assert!(metrics.value("batchtask_amqp_last_delivery_timestamp_seconds") > 1.7e9);
    assert!(metrics.has("batchtask_amqp_failures_total"));
    host.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_one_line_and_a_notice_and_sighup_applies_a_new_code() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let file = folder.path().join("batchtask.toml");
    let write = |code: &str| {
        let text = format!(
            "[amqp]\nurl = \"{}\"\nca = \"{}\"\naccess_key = \"{ACCESS_KEY}\"\naccess_code = \"{code}\"\n",
            broker.url(),
            broker.certificates.ca.display()
        );
        std::fs::write(&file, text).unwrap();
    };
    write("wrong-code");
    let setup = Setup::in_folder(folder.path())
        .with_admin()
        .keeping_all_lines();
    let host = setup.argument("--config").argument(&file).start();
    let line = host
        .says(|line| line.contains("refused the access key, its code"))
        .await;
    assert!(
        line.contains("WARN") && line.contains("credentials"),
        "{line}"
    );
    let mut client = host.client();
    let text = eventually("there is a notice", async || notice(&mut client).await).await;
    assert!(text.contains("refused the access key"), "{text}");
    // A webhook works without AMQP.
    assert_eq!(host.admin().get("/readyz").await.status, 200);
    write(ACCESS_CODE);
    host.signal(Signal::HUP);
    host.says(|line| line.contains("receiving from")).await;
    eventually("the notice is gone", async || {
        notice(&mut client).await.is_none().then_some(())
    })
    .await;
    broker.publish(&bodies(0..5), "text").await;
    broker.counts("accepted", 5).await;
    let said = host.last_words();
    assert_eq!(said.matches("refused the access key").count(), 1, "{said}");
    assert!(
        !said.contains("wrong-code") && !said.contains(ACCESS_CODE),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_plays_the_platform_for_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let ca = broker.certificates.ca.to_str().unwrap().to_owned();
    let url = broker.url();
    let send = |code: &str| {
        Program::new([
            "send",
            "--amqp",
            &url,
            "--amqp-ca",
            &ca,
            "--scenario",
            "life",
            "--tasks",
            "20",
        ])
        .argument("--concurrency")
        .argument("8")
        .argument("--json")
        .variable(("BATCHTASK_AMQP_ACCESS_KEY", ACCESS_KEY))
        .variable(("BATCHTASK_AMQP_ACCESS_CODE", code))
    };
    let sent = tokio::task::block_in_place(|| send(ACCESS_CODE).run());
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let report: serde_json::Value = serde_json::from_str(&sent.stdout).unwrap();
    let count = report["sent"].as_u64().unwrap();
    assert_eq!(report["outcomes"][0]["outcome"], "queued", "{report}");
    broker.counts("ready", count).await;
    let host = receiving_only(folder.path(), &broker).start();
    broker.counts("accepted", count).await;
    let tasks = host.client().read("/tasks?limit=500").await;
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 20);
    host.stop();
    broker.rules(json!({ "access_codes": ["another"] })).await;
    let refused = tokio::task::block_in_place(|| send("wrong-code").run());
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        refused.stderr.contains("refused the access key, its code"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains("wrong-code"), "{refused:?}");
}
