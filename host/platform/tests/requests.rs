//! Each call sends the method, the target and the JSON that the vendor's SDK was
//! recorded to send, signed so that the platform accepts it.

use batchtask_platform::api::actions::{
    ActionFilter, AmqpForwarding, ChannelDetail, HttpForwarding,
};
use batchtask_platform::api::certificates::AllCertificates;
use batchtask_platform::api::policies::{
    AllBacklogPolicies, BacklogPolicyChange, FlowFilter, NewFlowPolicy,
};
use batchtask_platform::api::queues::{AccessType, QueueFilter};
use batchtask_platform::api::rules::{NewRule, RuleChange, RuleFilter, Subject};
use batchtask_platform::api::tasks::{DeviceFilter, NewTask, TaskFilter, TaskPolicy};
use batchtask_platform::{Client, Credentials, Error, PageRequest, Secret};
use serde_json::{Value, json};

use crate::fake::{APP, Fake, Fault, SECURITY_TOKEN};
use crate::support::{key, options, recorded};

const RULE: &str = "1a7ffc5c-0000-4000-8000-000000000001";
const ACTION: &str = "1a7ffc5c-0000-4000-8000-000000000002";
const CERTIFICATE: &str = "1a7ffc5c-0000-4000-8000-000000000003";
const QUEUE: &str = "1a7ffc5c-0000-4000-8000-000000000004";
const POLICY: &str = "1a7ffc5c-0000-4000-8000-000000000005";
const INSTANCE: &str = "0f6a1c3e-0000-4000-8000-000000000001";
const TASK: &str = "5c8ba99030344005c02316ad";
const MARKER: &str = "ffffffffffffffffffffffff";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB+made/up=\n-----END CERTIFICATE-----\n";

fn limit(limit: u32) -> PageRequest {
    PageRequest {
        limit: Some(limit),
        ..PageRequest::default()
    }
}

fn marked(offset: Option<u32>) -> PageRequest {
    PageRequest {
        limit: Some(50),
        marker: Some(MARKER.into()),
        offset,
    }
}

fn http() -> ChannelDetail {
    ChannelDetail {
        http_forwarding: Some(HttpForwarding {
            url: Secret::new("https://receiver.example.com:443/notifications/abc"),
            cert_id: Some(CERTIFICATE.into()),
            cn_name: Some("receiver.example.com:443".into()),
            sni_enable: Some(true),
            signature_enable: Some(true),
            token: Some(Secret::new("abc123XYZ")),
        }),
        amqp_forwarding: None,
    }
}

fn plain_http() -> ChannelDetail {
    let http_forwarding =
        serde_json::from_value(json!({"url": "http://192.0.2.1:8080/notifications"}));
    ChannelDetail {
        http_forwarding: http_forwarding.unwrap(),
        amqp_forwarding: None,
    }
}

fn amqp() -> ChannelDetail {
    let queue_name = "batchtask-queue".into();
    ChannelDetail {
        http_forwarding: None,
        amqp_forwarding: Some(AmqpForwarding { queue_name }),
    }
}

fn rule(name: &str) -> NewRule {
    NewRule {
        rule_name: name.into(),
        description: None,
        subject: Subject::batch_task(),
        app_type: "GLOBAL",
        app_id: None,
        select: None,
        condition: None,
    }
}

fn clear() -> RuleChange {
    RuleChange {
        select: Some(String::new()),
        condition: Some(String::new()),
        active: None,
    }
}

fn active(active: bool) -> RuleChange {
    RuleChange {
        active: Some(active),
        ..RuleChange::default()
    }
}

/// Makes the recorded call of this name.
async fn call(name: &str, client: &Client) -> Result<(), Error> {
    match name {
        n if n.starts_with("rule") => rule_call(n, client).await,
        n if n.starts_with("action") => action_call(n, client).await,
        n if n.starts_with("task") => task_call(n, client).await,
        _ => other_call(name, client).await,
    }
}

async fn rule_call(name: &str, client: &Client) -> Result<(), Error> {
    let subject = Some(Subject::batch_task());
    match name {
        "rule create" => client.create_rule(&rule("batch tasks")).await.map(drop),
        "rule create in one resource space" => {
            let rule = NewRule {
                description: Some("\"quoted\" and \\".into()),
                app_type: "APP",
                app_id: Some(APP.into()),
                select: Some("*".into()),
                condition: Some("notify_data.body.status <> 'Waitting'".into()),
                ..rule("批量任务")
            };
            client.create_rule(&rule).await.map(drop)
        }
        "rule list" => {
            let filter = RuleFilter {
                subject,
                ..RuleFilter::default()
            };
            client
                .page(&filter, &PageRequest::default())
                .await
                .map(drop)
        }
        "rule list, next page, odd name" => {
            let filter = RuleFilter {
                subject,
                rule_name: Some("批 a+b/c~d*e'f(g)!".into()),
                app_type: Some("GLOBAL".into()),
                active: Some(true),
            };
            client.page(&filter, &marked(Some(50))).await.map(drop)
        }
        "rule show" => client.rule(RULE).await.map(drop),
        "rule activate" => client.change_rule(RULE, &active(true)).await,
        "rule deactivate" => client.change_rule(RULE, &active(false)).await,
        "rule clear select" => client.change_rule(RULE, &clear()).await,
        "rule delete" => client.delete_rule(RULE).await,
        _ => panic!("{name}"),
    }
}

async fn action_call(name: &str, client: &Client) -> Result<(), Error> {
    match name {
        "action create http" => client.create_action(RULE, &http()).await.map(drop),
        "action create http, plain" => client.create_action(RULE, &plain_http()).await.map(drop),
        "action create amqp" => client.create_action(RULE, &amqp()).await.map(drop),
        "action list" => {
            let filter = ActionFilter {
                rule_id: Some(RULE.into()),
                channel: None,
            };
            client.page(&filter, &marked(None)).await.map(drop)
        }
        "action show" => client.action(ACTION).await.map(drop),
        "action update" => client.change_action(ACTION, &http()).await,
        "action delete" => client.delete_action(ACTION).await,
        _ => panic!("{name}"),
    }
}

async fn task_call(name: &str, client: &Client) -> Result<(), Error> {
    match name {
        "task create" => {
            let task = NewTask {
                app_id: APP.into(),
                task_name: "升级 1".into(),
                task_type: "softwareUpgrade".into(),
                targets: vec!["device-1".into()],
                document: json!({"package_id": "32822e5744a45ede319d2c50"}),
                task_policy: Some(TaskPolicy {
                    schedule_time: Some("20260102T000000Z".into()),
                    retry_count: Some(5),
                    retry_interval: Some(60),
                }),
                ..NewTask::default()
            };
            client.create_task(&task).await.map(drop)
        }
        "task list" => {
            let filter = TaskFilter {
                task_type: Some("softwareUpgrade".into()),
                status: Some("Processing".into()),
                app_id: None,
            };
            client.page(&filter, &marked(Some(0))).await.map(drop)
        }
        "task show" => {
            let filter = DeviceFilter {
                status: Some("Fail".into()),
                target: None,
            };
            let detail = client.task(TASK, &filter, &limit(50)).await?;
            assert_eq!(detail.task.task_name, "升级 1");
            assert_eq!(detail.task.task_progress.unwrap().processing, 1);
            let error = detail.devices.items[0].error.clone().unwrap();
            assert_eq!(error.error_code.as_deref(), Some("IOTDA.014016"));
            Ok(())
        }
        "task stop" => client.stop_task(TASK, &[]).await.map(drop),
        "task retry" => {
            let results = client.retry_task(TASK, &["device-1".into()]).await?;
            assert_eq!(results[0].status, "success");
            Ok(())
        }
        "task delete" => client.delete_task(TASK).await,
        _ => panic!("{name}"),
    }
}

async fn other_call(name: &str, client: &Client) -> Result<(), Error> {
    match name {
        "certificate upload" => client.upload_certificate(PEM, Some(APP)).await.map(drop),
        "certificate list" => client.page(&AllCertificates, &limit(10)).await.map(drop),
        "certificate verify" => client.verify_certificate(CERTIFICATE, PEM).await,
        "certificate delete" => client.delete_certificate(CERTIFICATE).await,
        "backlog policy create" => {
            let policy = BacklogPolicyChange {
                policy_name: Some("batchtask".into()),
                backlog_size: Some(1_073_741_823),
                backlog_time: Some(86_399),
            };
            client.create_backlog_policy(&policy).await.map(drop)
        }
        "backlog policy list" => client.page(&AllBacklogPolicies, &limit(50)).await.map(drop),
        "backlog policy update" => {
            let change = BacklogPolicyChange {
                policy_name: None,
                backlog_size: Some(0),
                backlog_time: Some(0),
            };
            client.change_backlog_policy(POLICY, &change).await
        }
        "backlog policy delete" => client.delete_backlog_policy(POLICY).await,
        "flow-control policy create" => {
            let policy = NewFlowPolicy {
                policy_name: "batchtask".into(),
                scope: "RULE".into(),
                scope_value: Some(RULE.into()),
                limit: 800,
            };
            client.create_flow_policy(&policy).await.map(drop)
        }
        "flow-control policy list" => {
            let filter = FlowFilter {
                scope: Some("RULE".into()),
            };
            client
                .page(&filter, &PageRequest::default())
                .await
                .map(drop)
        }
        "flow-control policy delete" => client.delete_flow_policy(POLICY).await,
        "access code create" => {
            let code = client.create_access_code(AccessType::Amqp, false).await?;
            assert_eq!(
                code.access_code.expose(),
                "madeUpAccessCode000000000000000A"
            );
            Ok(())
        }
        "queue create" => client.create_queue("batchtask-queue").await.map(drop),
        "queue list" => {
            let filter = QueueFilter {
                queue_name: Some("batchtask".into()),
            };
            client
                .page(&filter, &PageRequest::default())
                .await
                .map(drop)
        }
        "queue show" => client.queue(QUEUE).await.map(drop),
        "queue delete" => client.delete_queue(QUEUE).await,
        "temporary credentials"
        | "error of the platform"
        | "error of the gateway"
        | "error without JSON" => client.rule(RULE).await.map(drop),
        _ => panic!("{name}"),
    }
}

/// Parses a body. Returns `null` if there is none.
fn json_of(body: &str) -> Value {
    match body {
        "" => Value::Null,
        body => serde_json::from_str(body).unwrap(),
    }
}

async fn check(fake: &Fake, exchange: &Value) {
    let name = exchange["name"].as_str().unwrap();
    let request = &exchange["request"];
    let recorded_header = |wanted: &str| {
        let mut headers = request["headers"].as_array().unwrap().iter();
        headers.any(|header| header[0] == wanted)
    };
    let mut options = options(fake);
    options.retry.attempts = 1;
    options.instance_id = recorded_header("instance-id").then(|| INSTANCE.into());
    if recorded_header("x-security-token") {
        let security_token = Some(Secret::new(SECURITY_TOKEN));
        options.credentials = Credentials::Keys(batchtask_platform::AccessKey {
            security_token,
            ..key()
        });
    }
    let response = &exchange["response"];
    let status = response["status"].as_u64().unwrap() as u16;
    fake.fail([Fault::Answer(status, response["body"].clone())]);
    let outcome = call(name, &Client::new(options).unwrap()).await;
    assert_eq!(outcome.is_ok(), status < 400, "{name}: {outcome:?}");

    let seen = fake.take_seen().remove(0);
    assert_eq!(seen.method, request["method"], "{name}");
    assert_eq!(seen.target, request["target"], "{name}");
    assert_eq!(
        json_of(&seen.body),
        json_of(request["body"].as_str().unwrap()),
        "{name}"
    );
    for header in ["instance-id", "x-security-token", "content-type"] {
        assert_eq!(
            seen.header(header).is_some(),
            recorded_header(header),
            "{name}: {header}"
        );
    }
}

#[tokio::test]
async fn each_call_equals_the_recorded_one() {
    for is_derived in [false, true] {
        let fake = Fake::start_edition(is_derived).await;
        for exchange in recorded(is_derived) {
            check(&fake, &exchange).await;
        }
    }
}

#[tokio::test]
async fn the_request_for_a_token_equals_the_recorded_one() {
    let file: Value = serde_json::from_str(include_str!("fixtures/iam-token.json")).unwrap();
    let exchange = &file["exchanges"][0];
    let fake = Fake::start().await;
    let mut options = options(&fake);
    let Credentials::Password(mut password) = crate::support::password() else {
        panic!("not a password");
    };
    password.password = Secret::new("made up");
    options.credentials = Credentials::Password(password);
    fake.fail([Fault::Answer(401, Value::Null)]);
    Client::new(options).unwrap().rule(RULE).await.unwrap_err();
    let seen = fake.take_seen().remove(0);
    let request = &exchange["request"];
    assert_eq!(seen.method, request["method"]);
    assert_eq!(seen.target, request["target"]);
    assert_eq!(
        json_of(&seen.body),
        json_of(request["body"].as_str().unwrap())
    );
}
