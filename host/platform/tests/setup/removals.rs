//! A removal deletes what is ours, and nothing else.

use batchtask_platform::Secret;
use batchtask_platform::setup::{Actual, HttpTarget, Plan, Target, Wanted};

use super::{Receiver, apply, look, queue, remove, set_up, strangers, tamper};
use crate::fake::Fake;
use crate::support::client;

#[tokio::test]
async fn another_target_of_the_rule_is_left_alone() {
    let fake = Fake::start().await;
    let (client, wanted) = (client(&fake), Receiver::new().wanted());
    set_up(&client, &wanted).await.unwrap();
    let moved = Receiver {
        url: "https://moved.example.com/notifications/pAtHsEcReT",
        ..Receiver::new()
    };
    let steps = set_up(&client, &moved.wanted()).await.unwrap();
    assert_eq!(steps.len(), 1, "{steps:?}");
    let findings = look(&client, &moved.wanted()).await.findings;
    let further = "the rule also forwards to `https://receiver.example.com/notifications/…`: this \
        is left alone";
    assert!(
        findings.iter().any(|it| it.to_string() == further),
        "{findings:?}"
    );
    let actual = Actual::read(&client, &moved.wanted()).await.unwrap();
    let plan = Plan::of_removal(&moved.wanted(), &actual);
    assert!(plan.notes()[0].starts_with("the rule `batchtask` stays, because it also forwards to"));
    apply(&client, plan).await.unwrap();
    let status = look(&client, &wanted).await;
    assert!(status.rule_id.is_some() && status.action_id.is_some());
}

#[tokio::test]
async fn a_removal_touches_nothing_else() {
    for wanted in [Receiver::new().wanted(), queue()] {
        let fake = Fake::start().await;
        let before = strangers(&fake).await;
        let client = client(&fake);
        set_up(&client, &wanted).await.unwrap();
        assert_ne!(fake.content(), before);
        assert_eq!(remove(&client, &wanted).await.unwrap().len(), 3);
        assert_eq!(fake.content(), before);
        assert!(remove(&client, &wanted).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_something_else_needs_stays() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let receiver = Receiver::new();
    set_up(&client, &receiver.wanted()).await.unwrap();
    let other = HttpTarget::new(Secret::new("https://other.example.com/")).unwrap();
    let other = other.with_authority(receiver.authority.clone()).unwrap();
    let other = Wanted::new("other", None, Target::Http(other)).unwrap();
    set_up(&client, &other).await.unwrap();
    assert_eq!(remove(&client, &receiver.wanted()).await.unwrap().len(), 2);
    assert_eq!(fake.state().store.certificates.items.len(), 1);
    // Devices may depend on a verified authority.
    tamper(&fake, |state| {
        state.store.certificates.items[0]["status"] = true.into()
    });
    let plan = Plan::of_removal(&other, &Actual::read(&client, &other).await.unwrap());
    assert!(plan.notes()[0].contains("stays, because it is verified"));
    assert_eq!(apply(&client, plan).await.unwrap().len(), 2);

    set_up(&client, &queue()).await.unwrap();
    let other = Wanted::new("other", None, Target::queue("batchtask-queue").unwrap()).unwrap();
    set_up(&client, &other).await.unwrap();
    assert_eq!(remove(&client, &queue()).await.unwrap().len(), 2);
    assert_eq!(remove(&client, &other).await.unwrap().len(), 3);
    assert!(fake.state().store.queues.items.is_empty());
}
