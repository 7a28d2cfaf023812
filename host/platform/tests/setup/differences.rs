//! Each difference is found, and a setup repairs it and nothing else.

use batchtask_platform::setup::{Finding, Severity};
use serde_json::{Value, json};

use super::{Receiver, TOKEN, authority, look, set_up, tamper};
use crate::fake::{Fake, State};
use crate::support::client;

/// A change, the beginning of the finding, and how many steps repair it.
type Case = (fn(&mut State), &'static str, usize);

fn set(state: &mut State, name: &str, value: impl Into<Value>) {
    state.store.actions.items[0]["channel_detail"]["http_forwarding"][name] = value.into();
}

const CASES: [Case; 8] = [
    (
        |state| state.store.rules.items[0]["active"] = false.into(),
        "the rule is inactive",
        1,
    ),
    (
        |state| state.store.rules.items[0]["where"] = "1 = 2".into(),
        "the rule forwards only a part, so notifications are lost: `select * where 1 = 2`",
        1,
    ),
    (
        |state| state.store.actions.items.clear(),
        "the rule does not forward to this receiver",
        1,
    ),
    (
        |state| state.store.rules.items.clear(),
        "there is no rule `batchtask`",
        3,
    ),
    (
        |state| {
            set(
                state,
                "url",
                "https://receiver.example.com/notifications/oLdSeCrEt",
            )
        },
        "the rule forwards to another URL of this receiver, perhaps with an old secret: \
         `https://receiver.example.com/notifications/…`",
        1,
    ),
    (
        |state| set(state, "token", "oLdToKeN"),
        "pushes are signed with another token",
        1,
    ),
    (
        |state| set(state, "signature_enable", false),
        "pushes are not signed",
        1,
    ),
    (
        |state| set(state, "sni_enable", false),
        "no server name is sent",
        1,
    ),
];

#[tokio::test]
async fn each_difference_is_found_and_repaired_alone() {
    for (change, text, count) in CASES {
        let fake = Fake::start().await;
        let (client, wanted) = (client(&fake), Receiver::new().wanted());
        set_up(&client, &wanted).await.unwrap();
        let good = fake.content();
        tamper(&fake, change);
        let before = look(&client, &wanted).await;
        assert!(!before.is_good() || text.contains("only a part"), "{text}");
        let found = before
            .findings
            .iter()
            .any(|it| it.to_string().starts_with(text));
        assert!(found, "{text}: {:?}", before.findings);
        let steps = set_up(&client, &wanted).await.unwrap();
        assert_eq!(steps.len(), count, "{text}: {steps:?}");
        let rules = fake.state().store.rules.items.len();
        // Without their rule, the former actions are lost.
        if rules == 1 && fake.state().store.actions.items.len() == 1 {
            assert_eq!(fake.content(), good, "{text}");
        }
        assert!(look(&client, &wanted).await.is_good(), "{text}");
    }
}

#[tokio::test]
async fn a_new_authority_replaces_the_old_one() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let old = Receiver {
        authority: authority("our CA", 2024),
        ..Receiver::new()
    };
    set_up(&client, &old.wanted()).await.unwrap();
    let findings = look(&client, &old.wanted()).await.findings;
    let text = findings[0].to_string();
    assert_eq!(
        text,
        "the CA certificate expired on 2024-01-02: pushes fail"
    );
    let new = Receiver {
        authority: authority("our CA", 2100),
        ..Receiver::new()
    };
    let steps = set_up(&client, &new.wanted()).await.unwrap();
    assert_eq!(steps.len(), 2);
    assert!(steps[1].ends_with("the receiver's certificate is not checked with the wanted CA"));
    let status = look(&client, &new.wanted()).await;
    assert!(status.is_good());
    let is_former = |finding: &Finding| matches!(finding, Finding::FormerAuthority { .. });
    assert!(status.findings.iter().any(is_former));
    tamper(&fake, |state| {
        let id = new_id(state);
        state.store.certificates.remove_for_test(&id);
    });
    let status = look(&client, &new.wanted()).await;
    assert!(status.findings.contains(&Finding::NoAuthority));
    set_up(&client, &new.wanted()).await.unwrap();
    assert!(look(&client, &new.wanted()).await.is_good());
}

fn new_id(state: &State) -> String {
    let last = state.store.certificates.items.last().unwrap();
    last["certificate_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_hidden_token_is_not_taken_for_another() {
    for shown in [Value::Null, "******".into()] {
        let fake = Fake::start().await;
        let (client, wanted) = (client(&fake), Receiver::new().wanted());
        set_up(&client, &wanted).await.unwrap();
        tamper(&fake, |state| {
            state.store.actions.items[0]["channel_detail"]["http_forwarding"]["token"] = shown;
        });
        assert!(
            look(&client, &wanted)
                .await
                .findings
                .contains(&Finding::HiddenToken)
        );
        assert!(set_up(&client, &wanted).await.unwrap().is_empty());
        assert_eq!(set_up(&client, &wanted.rewriting()).await.unwrap().len(), 1);
        let stored = fake.state().store.actions.items[0]["channel_detail"].clone();
        assert_eq!(stored["http_forwarding"]["token"], TOKEN);
    }
}

#[tokio::test]
async fn policies_that_lose_or_delay_pushes_are_found() {
    let fake = Fake::start().await;
    let (client, wanted) = (client(&fake), Receiver::new().wanted());
    set_up(&client, &wanted).await.unwrap();
    tamper(&fake, |state| {
        let rule_id = state.store.rules.items[0]["rule_id"].clone();
        let mut add = |scope: &str, value: Value, limit: u64| {
            let number = state.store.number();
            let policy =
                json!({"policy_name": scope, "scope": scope, "scope_value": value, "limit": limit});
            state.store.flows.add_for_test(number, policy);
        };
        add("RULE", rule_id, 1);
        add("CHANNEL", "HTTP_FORWARDING".into(), 20);
        add("ACTION", "another".into(), 1);
        let number = state.store.number();
        let policy = json!({"policy_name": "b", "backlog_size": 0, "backlog_time": 0});
        state.store.backlogs.add_for_test(number, policy);
    });
    let findings = look(&client, &wanted).await.findings;
    let of = |severity| {
        let findings = findings.iter().filter(move |it| it.severity() == severity);
        findings.map(Finding::to_string).collect::<Vec<_>>()
    };
    let warnings = of(Severity::Warning);
    assert_eq!(warnings.len(), 2, "{findings:?}");
    assert!(warnings[0].starts_with("the flow-control policy `RULE` lets 1 pushes a second"));
    assert!(warnings[1].starts_with("the backlog policy `b` keeps nothing"));
    assert!(
        of(Severity::Note)
            .iter()
            .any(|it| it.contains("`CHANNEL` lets 20"))
    );
}
