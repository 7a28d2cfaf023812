//! The calls against the platform in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_platform::api::actions::{ActionFilter, ChannelDetail};
use batchtask_platform::api::certificates::AllCertificates;
use batchtask_platform::api::policies::{
    AllBacklogPolicies, BacklogPolicyChange, FlowFilter, NewFlowPolicy,
};
use batchtask_platform::api::queues::{AccessType, QueueFilter};
use batchtask_platform::api::rules::{NewRule, RuleFilter, Subject};
use batchtask_platform::api::tasks::{DeviceFilter, NewTask, TaskFilter};
use batchtask_platform::{AccessKey, Client, Credentials, PageRequest, Secret};

use crate::fake::{APP, Fake, Fault, SECURITY_TOKEN};
use crate::support::{client, key, options, password};

fn rule(name: String) -> NewRule {
    NewRule {
        rule_name: name,
        description: None,
        subject: Subject::batch_task(),
        app_type: "GLOBAL",
        app_id: None,
        select: None,
        condition: None,
    }
}

fn task(name: String, devices: usize) -> NewTask {
    NewTask {
        app_id: APP.into(),
        task_name: name,
        task_type: "softwareUpgrade".into(),
        targets: (0..devices)
            .map(|number| format!("device-{number}"))
            .collect(),
        ..NewTask::default()
    }
}

#[tokio::test]
async fn both_signatures_are_accepted() {
    for is_derived in [false, true] {
        let fake = Fake::start_edition(is_derived).await;
        let client = client(&fake);
        let created = client
            .create_rule(&rule("批 a+b/c~d*e'f(g)!".into()))
            .await
            .unwrap();
        let found = client.rule(&created.rule_id).await.unwrap();
        assert_eq!(found.rule_name, "批 a+b/c~d*e'f(g)!");
        assert!(!found.active);
        let filter = RuleFilter {
            rule_name: Some(found.rule_name),
            ..RuleFilter::default()
        };
        assert_eq!(client.list(&filter).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn temporary_keys_need_their_token() {
    let fake = Fake::start().await;
    fake.state().is_temporary = true;
    let error = client(&fake).list(&AllCertificates).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("A temporary key needs its security token"),
        "{error}"
    );
    let mut options = options(&fake);
    let security_token = Some(Secret::new(SECURITY_TOKEN));
    options.credentials = Credentials::Keys(AccessKey {
        security_token,
        ..key()
    });
    Client::new(options)
        .unwrap()
        .list(&AllCertificates)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_password_becomes_a_token_that_is_kept_and_renewed() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    options.credentials = password();
    let day_ms = 24 * 60 * 60 * 1000;
    let offset_ms = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (clock, skew) = (options.clock.clone(), offset_ms.clone());
    options.clock = Arc::new(move || clock() + skew.load(std::sync::atomic::Ordering::Relaxed));
    let client = Client::new(options).unwrap();
    for _ in 0..3 {
        client.list(&AllCertificates).await.unwrap();
    }
    assert_eq!(fake.state().tokens.len(), 1);
    // The platform forgot the token.
    fake.state().tokens[0].1 = 0;
    client.list(&AllCertificates).await.unwrap();
    assert_eq!(fake.state().tokens.len(), 2);
    // The token's life ends.
    offset_ms.store(day_ms, std::sync::atomic::Ordering::Relaxed);
    fake.state().clock_offset_ms = day_ms as i64;
    client.list(&AllCertificates).await.unwrap();
    assert_eq!(fake.state().tokens.len(), 3);
}

#[tokio::test]
async fn lists_of_both_shapes_are_read_to_the_end() {
    let fake = Fake::start().await;
    let client = client(&fake);
    for number in 0..120 {
        client
            .create_rule(&rule(format!("rule {number}")))
            .await
            .unwrap();
        client
            .create_task(&task(format!("task {number}"), 0))
            .await
            .unwrap();
    }
    for number in 0..100 {
        client
            .create_queue(&format!("queue-{number:04}"))
            .await
            .unwrap();
    }
    let rules = client.list(&RuleFilter::default()).await.unwrap();
    assert_eq!(rules.len(), 120);
    assert_eq!(rules[0].rule_name, "rule 119");
    assert_eq!(rules[119].rule_name, "rule 0");
    assert_eq!(
        client.list(&TaskFilter::default()).await.unwrap().len(),
        120
    );
    assert_eq!(
        client.list(&QueueFilter::default()).await.unwrap().len(),
        100
    );
    let request = PageRequest {
        limit: Some(7),
        offset: Some(3),
        marker: None,
    };
    let page = client.page(&TaskFilter::default(), &request).await.unwrap();
    assert_eq!((page.items.len(), page.count), (7, Some(120)));
    assert_eq!(page.items[0].task_name, "task 116");
    assert!(page.date_ms.is_some());
}

#[tokio::test]
async fn a_task_is_shown_with_its_devices_stopped_and_retried() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let id = client
        .create_task(&task("upgrade".into(), 70))
        .await
        .unwrap();
    fake.state().store.set_status(&id, "Processing", "half way");
    let first = PageRequest::after(None);
    let detail = client
        .task(&id, &DeviceFilter::default(), &first)
        .await
        .unwrap();
    assert_eq!(detail.task.status_desc, "half way");
    assert_eq!(detail.task.task_progress.unwrap().waitting, 70);
    assert_eq!(
        (detail.devices.items.len(), detail.devices.count),
        (50, Some(70))
    );
    let rest = PageRequest::after(detail.devices.marker);
    let detail = client
        .task(&id, &DeviceFilter::default(), &rest)
        .await
        .unwrap();
    assert_eq!(detail.devices.items.len(), 20);
    assert!(client.stop_task(&id, &[]).await.unwrap().is_empty());
    let stopped = DeviceFilter {
        status: Some("Stopped".into()),
        target: None,
    };
    let detail = client.task(&id, &stopped, &first).await.unwrap();
    assert_eq!(
        (detail.task.status.as_str(), detail.devices.count),
        ("Stopped", Some(70))
    );
    let error = client.retry_task(&id, &[]).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code, "IOTDA.014112");
    fake.state().store.set_status(&id, "Fail", "");
    let results = client.retry_task(&id, &["device-3".into()]).await.unwrap();
    assert_eq!(results[0].target, "device-3");
    client.delete_task(&id).await.unwrap();
    let error = client.task(&id, &stopped, &first).await.unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test]
async fn policies_queues_codes_and_spaces_have_calls() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let change = |size| BacklogPolicyChange {
        policy_name: None,
        backlog_size: Some(size),
        backlog_time: Some(60),
    };
    let policy = client.create_backlog_policy(&change(1)).await.unwrap();
    client
        .change_backlog_policy(&policy.policy_id, &change(2))
        .await
        .unwrap();
    assert_eq!(
        client.list(&AllBacklogPolicies).await.unwrap()[0].backlog_size,
        2
    );
    client
        .delete_backlog_policy(&policy.policy_id)
        .await
        .unwrap();
    let flow = NewFlowPolicy {
        policy_name: "slow".into(),
        scope: "USER".into(),
        scope_value: None,
        limit: 1,
    };
    let flow = client.create_flow_policy(&flow).await.unwrap();
    assert_eq!(
        client.list(&FlowFilter::default()).await.unwrap()[0].limit,
        1
    );
    client.delete_flow_policy(&flow.policy_id).await.unwrap();
    let queue = client.create_queue("batchtask").await.unwrap();
    assert_eq!(client.queue(&queue.queue_id).await.unwrap(), queue);
    client.delete_queue(&queue.queue_id).await.unwrap();
    let code = client
        .create_access_code(AccessType::Amqp, true)
        .await
        .unwrap();
    assert!(!format!("{code:?}").contains(code.access_code.expose()));
    assert_eq!(client.applications().await.unwrap()[0].app_id, APP);
}

#[tokio::test]
async fn what_the_platform_leaves_out_is_empty() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let bare = serde_json::json!({"actions": [{"action_id": "a", "channel": "OBS_FORWARDING",
        "channel_detail": {"obs_forwarding": {}}, "rule_id": null}], "count": 1});
    fake.fail([Fault::Answer(200, bare)]);
    let actions = client.list(&ActionFilter::default()).await.unwrap();
    assert_eq!(actions[0].channel_detail, ChannelDetail::default());
    assert_eq!(actions[0].rule_id, "");
}

#[tokio::test]
async fn calls_keep_their_budget() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    options.calls_per_second = 50;
    let client = Client::new(options).unwrap();
    let start = Instant::now();
    for _ in 0..26 {
        client.applications().await.unwrap();
    }
    assert!(
        start.elapsed() >= Duration::from_millis(495),
        "{:?}",
        start.elapsed()
    );
}
