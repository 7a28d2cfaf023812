//! Every failure has one clear message, and no message contains a secret.
//!
//! | module | content |
//! |---|---|
//! | `connections` | names, connections, TLS and proxies |
//! | `answers` | answers that are refusals, damaged, too long, or too late |

mod answers;
mod connections;

use std::sync::Arc;

use batchtask_platform::api::actions::{ChannelDetail, HttpForwarding};
use batchtask_platform::api::rules::{Rule, RuleFilter};
use batchtask_platform::{
    AccessKey, Client, ClientOptions, Credentials, Edition, Endpoint, Error, Secret,
};

use crate::fake::{self, Fake, Fault};
use crate::support::{SECRETS, chain, client, key, options, password};

/// Lists the rules, which fails. Checks that the error is one clear message.
async fn failure(options: ClientOptions, expected: &str) -> Error {
    let client = Client::new(options).unwrap();
    let outcome: Result<Vec<Rule>, Error> = client.list(&RuleFilter::default()).await;
    let error = outcome.unwrap_err();
    check(&error, expected);
    error
}

fn check(error: &Error, expected: &str) {
    let text = chain(error);
    assert!(text.starts_with(expected), "{text}");
    let all = format!("{text} {error:?}");
    for secret in SECRETS {
        assert!(!all.contains(secret), "{all}");
    }
    assert!(!text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_wrong_key_is_reported() {
    for is_derived in [false, true] {
        let fake = Fake::start_edition(is_derived).await;
        let mut options = options(&fake);
        let secret = Secret::new("another");
        options.credentials = Credentials::Keys(AccessKey { secret, ..key() });
        let error = failure(
            options,
            "cannot list the rules: the platform answered 401 APIGW.0301: Incorrect IAM \
             authentication information: verify aksk signature fail (request id `trace-0001`). To \
             solve this, check the access key and its secret",
        );
        assert!(!error.await.is_temporary());
        assert_eq!(fake.take_seen().len(), 1, "not repeated");
    }
}

#[tokio::test]
async fn a_wrong_edition_is_reported() {
    let fake = Fake::start_edition(true).await;
    let mut options = options(&fake);
    options.endpoint = Endpoint::new(Edition::Basic, fake::REGION, Some(&fake.url())).unwrap();
    let error = failure(options, "cannot list the rules: the platform answered 401").await;
    assert!(
        error
            .to_string()
            .contains("the edition, which decides the signature")
    );
}

#[tokio::test]
async fn a_wrong_password_is_reported() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    let Credentials::Password(mut user) = password() else {
        panic!("not a password");
    };
    user.user = "somebody".into();
    options.credentials = Credentials::Password(user);
    let expected = "cannot get a token from IAM: the platform answered 401: The username or \
        password is wrong (request id `trace-0001`). To solve this, check the access key";
    failure(options, expected).await;
}

#[tokio::test]
async fn a_wrong_clock_is_reported() {
    for (minutes, text) in [(-20, "20 minutes behind"), (300, "5 hours ahead of")] {
        let fake = Fake::start().await;
        let mut options = options(&fake);
        let clock = options.clock.clone();
        options.clock = Arc::new(move || clock().saturating_add_signed(minutes * 60_000));
        let expected = format!("cannot list the rules: the clock of this machine is {text}");
        let error = failure(options, &expected).await;
        assert!(error.to_string().ends_with("Set the clock"), "{error}");
    }
    let fake = Fake::start().await;
    fake.state().clock_offset_ms = 14 * 60 * 1000;
    client(&fake).list(&RuleFilter::default()).await.unwrap();
}

#[tokio::test]
async fn a_missing_permission_is_reported() {
    let fake = Fake::start().await;
    fake.state().is_forbidden = true;
    let error = failure(
        options(&fake),
        "cannot list the rules: the platform answered 403 APIGW.0302",
    )
    .await;
    assert!(
        error
            .to_string()
            .contains("give the user the permission for IoTDA")
    );
}

#[tokio::test]
async fn a_missing_subscription_is_reported() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    options.project_id = "another".into();
    let error = failure(
        options,
        "cannot list the rules: the platform answered 403 IOTDA.000021",
    )
    .await;
    assert!(
        error
            .to_string()
            .contains("subscribe to IoTDA in this region")
    );
}

#[tokio::test]
async fn a_refusal_that_repeats_the_request_shows_no_secret() {
    let fake = Fake::start().await;
    let target = ChannelDetail {
        http_forwarding: Some(HttpForwarding {
            url: Secret::new("https://h.example.com/notifications/pAtHsEcReT?k=qUeRyS"),
            cert_id: None,
            cn_name: None,
            sni_enable: None,
            signature_enable: Some(true),
            token: Some(Secret::new("pUsHtOkEn")),
        }),
        amqp_forwarding: None,
    };
    for credentials in [Credentials::Keys(key()), password()] {
        let mut options = options(&fake);
        options.credentials = credentials;
        let client = Client::new(options).unwrap();
        client.applications().await.unwrap();
        fake.fail([Fault::Echo]);
        let error = client.create_action("rule", &target).await.unwrap_err();
        check(
            &error,
            "cannot create the rule action: the platform answered 400 IOTDA.000006",
        );
        let all = format!("{error} {error:?} {target:?} {client:?}");
        for secret in ["pAtHsEcReT", "pUsHtOkEn", "qUeRyS"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
    let options = options(&fake);
    let all = format!(
        "{:?} {:?} {:?}",
        options.credentials,
        password(),
        options.endpoint
    );
    assert!(SECRETS.iter().all(|secret| !all.contains(secret)), "{all}");
}

#[tokio::test]
async fn bad_options_are_named() {
    let fake = Fake::start().await;
    type Change = fn(&mut ClientOptions);
    let cases: [(&str, Change); 6] = [
        ("project_id", |options| {
            options.project_id = "a project".into()
        }),
        ("instance_id", |options| {
            options.instance_id = Some("\n".into())
        }),
        ("calls_per_second", |options| options.calls_per_second = 0),
        ("access_key", |options| {
            options.credentials = Credentials::Keys(AccessKey {
                id: "".into(),
                ..key()
            });
        }),
        ("secret_key", |options| {
            let secret = Secret::new("two\nlines");
            options.credentials = Credentials::Keys(AccessKey { secret, ..key() });
        }),
        ("security_token", |options| {
            let security_token = Some(Secret::new(""));
            options.credentials = Credentials::Keys(AccessKey {
                security_token,
                ..key()
            });
        }),
    ];
    for (field, change) in cases {
        let mut options = options(&fake);
        change(&mut options);
        assert_eq!(Client::new(options).unwrap_err().field, field);
    }
}
