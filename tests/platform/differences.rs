//! `platform status` explains each difference.

use serde_json::{Value, json};

use super::{World, contains};

type Change = fn(&mut Value, &mut Value);

/// A change of rule and action, and how it is explained.
const CHANGES: &[(Change, &str)] = &[
    (
        |rule, _| rule["active"] = false.into(),
        "the rule is inactive",
    ),
    (
        |rule, _| rule["where"] = "status = 'Success'".into(),
        "the rule forwards only a part",
    ),
    (
        |_, http| http["url"] = "https://receiver.example.com/notifications/oLdSeCrEt".into(),
        "another URL of this receiver, perhaps with an old secret",
    ),
    (
        |_, http| http["signature_enable"] = false.into(),
        "pushes are not signed",
    ),
    (
        |_, http| http["cert_id"] = Value::Null,
        "not checked with the wanted CA",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_is_explained_and_repaired() {
    let world = World::new().await;
    let missing = world.run("status").expect(1);
    contains(
        &missing.stdout,
        &[
            "rule     does not exist",
            "fault    there is no rule `batchtask`",
        ],
    );
    contains(
        &missing.stderr,
        &["`batchtask platform setup` shows and makes the changes"],
    );
    world.run("setup --yes").expect(0);
    for (change, text) in CHANGES {
        {
            let mut state = world.fake.state();
            let store = &mut state.store;
            let action = &mut store.actions.items[0];
            let http = action.pointer_mut("/channel_detail/http_forwarding");
            change(&mut store.rules.items[0], http.unwrap());
        }
        let status = world.run("status").expect(1);
        contains(&status.stdout, &[text]);
        assert!(!status.stdout.contains("oLdSeCrEt"), "{}", status.stdout);
        let json = world.run("status --json").expect(1).json();
        assert_eq!(json["as_wanted"], false);
        let mut findings = json["findings"].as_array().unwrap().iter();
        let is_this = |finding: &Value| finding["text"].as_str().unwrap().contains(text);
        assert!(findings.any(is_this), "{json}");
        world.run("setup --yes").expect(0);
        world.run("status").expect(0);
    }
}

/// What delays or loses pushes is a warning, and no difference.
#[tokio::test(flavor = "multi_thread")]
async fn policies_that_lose_pushes_are_warnings() {
    let world = World::new().await;
    world.run("setup --yes").expect(0);
    {
        let mut state = world.fake.state();
        let number = state.store.number();
        let flow = json!({"policy_name": "slow", "scope": "USER", "limit": 1});
        state.store.flows.add_for_test(number, flow);
        let number = state.store.number();
        let empty = json!({"policy_name": "none", "backlog_size": 0, "backlog_time": 0});
        state.store.backlogs.add_for_test(number, empty);
    }
    let status = world.run("status").expect(0);
    contains(
        &status.stdout,
        &[
            "warning  the flow-control policy `slow` lets 1 pushes a second through",
            "warning  the backlog policy `none` keeps nothing",
            "note     the CA certificate is not verified",
        ],
    );
}
