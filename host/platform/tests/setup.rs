//! Setup, status and removal against the platform in memory.
//!
//! | module | content |
//! |---|---|
//! | `differences` | each difference is found and repaired |
//! | `removals` | a removal deletes what is ours |
//! | `interruptions` | interrupted after any call, and run again |

mod differences;
mod interruptions;
mod removals;

use batchtask_platform::setup::{
    Actual, Authority, HttpTarget, Plan, SetupStatus, Target, Wanted, status,
};
use batchtask_platform::{Client, Error, Secret};
use serde_json::Value;

use crate::fake::{APP, Fake};
use crate::support::client;

const URL: &str = "https://receiver.example.com/notifications/pAtHsEcReT000000";
const TOKEN: &str = "pUsHtOkEn";
const RULE: &str = "batchtask";

/// A CA whose life ends in this year.
fn authority(name: &str, year: i32) -> Authority {
    let mut parameters = rcgen::CertificateParams::default();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
    let key = rcgen::KeyPair::generate().unwrap();
    Authority::from_pem(&parameters.self_signed(&key).unwrap().pem()).unwrap()
}

/// The receiver that most tests set up.
struct Receiver {
    authority: Authority,
    url: &'static str,
    token: &'static str,
    server_name: &'static str,
    app_id: Option<&'static str>,
}

impl Receiver {
    fn new() -> Self {
        Self {
            authority: authority("batchtask trial CA", 2100),
            url: URL,
            token: TOKEN,
            server_name: "receiver.example.com:443",
            app_id: None,
        }
    }

    fn wanted(&self) -> Wanted {
        let target = HttpTarget::new(Secret::new(self.url)).unwrap();
        let target = target.with_token(Secret::new(self.token)).unwrap();
        let target = target.with_server_name(self.server_name).unwrap();
        let target = target.with_authority(self.authority.clone()).unwrap();
        Wanted::new(RULE, self.app_id.map(str::to_owned), Target::Http(target)).unwrap()
    }
}

fn queue() -> Wanted {
    Wanted::new(RULE, None, Target::queue("batchtask-queue").unwrap()).unwrap()
}

/// Plans and applies, and returns the steps that were done.
async fn set_up(client: &Client, wanted: &Wanted) -> Result<Vec<String>, Error> {
    let plan = Plan::of_setup(wanted, &Actual::read(client, wanted).await?);
    apply(client, plan).await
}

async fn remove(client: &Client, wanted: &Wanted) -> Result<Vec<String>, Error> {
    let plan = Plan::of_removal(wanted, &Actual::read(client, wanted).await?);
    apply(client, plan).await
}

async fn apply(client: &Client, plan: Plan) -> Result<Vec<String>, Error> {
    let mut done = Vec::new();
    let all = format!("{plan:?} {:?}", plan.notes());
    check_secrets(&all);
    let outcome = plan.apply(client, |step| done.push(step.to_string())).await;
    outcome.map(|()| done)
}

fn check_secrets(text: &str) {
    for secret in ["pAtHsEcReT", TOKEN, "oLdSeCrEt", "oLdToKeN"] {
        assert!(!text.contains(secret), "{text}");
    }
}

async fn look(client: &Client, wanted: &Wanted) -> SetupStatus {
    let status = status(wanted, &Actual::read(client, wanted).await.unwrap());
    check_secrets(&format!("{status:?}"));
    status
        .findings
        .iter()
        .for_each(|finding| check_secrets(&finding.to_string()));
    status
}

/// Which calls changed something.
fn changes(fake: &Fake) -> Vec<String> {
    let seen = fake
        .take_seen()
        .into_iter()
        .filter(|seen| seen.method != "GET");
    let path = |target: &str| {
        target
            .rsplit_once("0123456789abcdef/")
            .unwrap()
            .1
            .to_owned()
    };
    seen.map(|seen| format!("{} {}", seen.method, path(&seen.target)))
        .collect()
}

/// Changes what is stored, as a user of the console could.
fn tamper(fake: &Fake, change: impl FnOnce(&mut crate::fake::State)) {
    change(&mut fake.state());
}

/// Everything that a stranger has on the platform.
async fn strangers(fake: &Fake) -> Value {
    let client = client(fake);
    let target =
        HttpTarget::new(Secret::new("https://elsewhere.example.com/notifications/x")).unwrap();
    let target = target
        .with_authority(authority("a stranger's CA", 2100))
        .unwrap();
    let other = Wanted::new("stranger", None, Target::Http(target)).unwrap();
    set_up(&client, &other).await.unwrap();
    let other = Wanted::new(
        "strange queue",
        None,
        Target::queue("stranger-queue").unwrap(),
    )
    .unwrap();
    set_up(&client, &other).await.unwrap();
    // The same name for another resource space, and another subject.
    let mut state = fake.state();
    for (app_type, resource) in [("APP", "batchtask"), ("GLOBAL", "device")] {
        let mut rule = state.store.rules.items[0].clone();
        let number = state.store.number();
        rule["rule_name"] = RULE.into();
        rule["app_type"] = app_type.into();
        rule["app_id"] = "another".into();
        rule["subject"]["resource"] = resource.into();
        rule["rule_id"] = format!("1a7ffc5c-0000-4000-8000-{number:012x}").into();
        rule["marker_of_the_fake"] = format!("{number:024x}").into();
        state.store.rules.items.push(rule);
    }
    drop(state);
    fake.take_seen();
    fake.content()
}

#[tokio::test]
async fn a_setup_creates_what_is_missing_and_a_second_changes_nothing() {
    let fake = Fake::start().await;
    strangers(&fake).await;
    let (client, wanted) = (client(&fake), Receiver::new().wanted());
    let before = look(&client, &wanted).await;
    assert_eq!(
        before.findings[0].to_string(),
        "there is no rule `batchtask`"
    );
    assert_eq!(
        set_up(&client, &wanted).await.unwrap(),
        [
            "upload the CA certificate `batchtask trial CA`",
            "create the rule `batchtask` for all resource spaces",
            "forward to `https://receiver.example.com/notifications/…`, signed, with the server \
             name `receiver.example.com:443`, checked with the CA `batchtask trial CA`",
            "activate the rule `batchtask`",
        ]
    );
    assert_eq!(changes(&fake).len(), 4);
    let after = look(&client, &wanted).await;
    assert!(after.is_good() && after.rule_id.is_some() && after.action_id.is_some());
    assert_eq!(after.findings.len(), 2, "{:?}", after.findings);
    let stored = fake.state().store.actions.items.last().unwrap()["channel_detail"].clone();
    assert_eq!(stored["http_forwarding"]["url"], URL);
    assert_eq!(stored["http_forwarding"]["token"], TOKEN);

    let content = fake.content();
    assert!(set_up(&client, &wanted).await.unwrap().is_empty());
    assert!(changes(&fake).is_empty());
    assert_eq!(fake.content(), content);
    assert_eq!(fake.state().store.access_codes, 0);
}

#[tokio::test]
async fn a_queue_is_set_up_for_one_resource_space() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let wanted = Wanted::new(
        RULE,
        Some(APP.into()),
        Target::queue("batchtask-queue").unwrap(),
    )
    .unwrap();
    let steps = set_up(&client, &wanted).await.unwrap();
    assert_eq!(
        steps,
        [
            "create the queue `batchtask-queue`",
            "create the rule `batchtask` for the resource space `jeQDJQZltU8iKgFFoW060F5SGZka`",
            "forward to the queue `batchtask-queue`",
            "activate the rule `batchtask`",
        ]
    );
    assert_eq!(look(&client, &wanted).await.findings, []);
    assert!(set_up(&client, &wanted).await.unwrap().is_empty());
    assert_eq!(
        fake.state().store.access_codes,
        0,
        "the old code would become invalid"
    );
    // A second rule for another space is not ours.
    let all = Wanted::new(RULE, None, Target::queue("DefaultQueue").unwrap()).unwrap();
    assert_eq!(set_up(&client, &all).await.unwrap().len(), 3);
    let text = look(&client, &all).await.findings[0].to_string();
    assert!(
        text.starts_with("rules of this name exist for jeQD"),
        "{text}"
    );
    remove(&client, &all).await.unwrap();
    assert!(look(&client, &wanted).await.is_good());
}

#[test]
fn bad_wishes_are_named() {
    let target = |url: &str| HttpTarget::new(Secret::new(url));
    let https = || target(URL).unwrap();
    let http = || target("http://h/").unwrap();
    let ca = || authority("a", 2100);
    let several = format!("{}{}", ca().pem(), ca().pem());
    let name = |name: &str| Wanted::new(name, None, Target::queue("DefaultQueue").unwrap());
    let app = Wanted::new(
        RULE,
        Some(" ".into()),
        Target::queue("DefaultQueue").unwrap(),
    );
    for (field, outcome) in [
        ("url", target("receiver.example.com").map(drop)),
        ("url", target("https://user:pass@h/").map(drop)),
        ("token", https().with_token(Secret::new("ab")).map(drop)),
        (
            "token",
            https().with_token(Secret::new("with space")).map(drop),
        ),
        ("server_name", https().with_server_name("").map(drop)),
        ("server_name", http().with_server_name("h").map(drop)),
        ("ca", http().with_authority(ca()).map(drop)),
        ("ca", Authority::from_pem("").map(drop)),
        ("ca", Authority::from_pem(&several).map(drop)),
        ("ca", Authority::of_chain("").map(drop)),
        ("queue", Target::queue("short").map(drop)),
        ("rule_name", name("").map(drop)),
        ("app_id", app.map(drop)),
    ] {
        assert_eq!(outcome.unwrap_err().field, field);
    }
}
