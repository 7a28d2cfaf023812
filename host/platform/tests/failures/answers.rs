//! Answers that are refusals, damaged, too long, or too late.

use std::time::Duration;

use batchtask_platform::api::rules::{NewRule, RuleFilter, Subject};

use super::failure;
use crate::fake::{Fake, Fault};
use crate::support::{client, options};

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let fake = Fake::start().await;
    fake.fail([
        Fault::TooMany(None),
        Fault::TooMany(Some(0)),
        Fault::Refuse(403, "IOTDA.021102", "too fast"),
    ]);
    client(&fake).list(&RuleFilter::default()).await.unwrap();
    assert_eq!(fake.take_seen().len(), 4);
    fake.fail(vec![Fault::TooMany(None); 9]);
    let expected = "cannot list the rules: the platform answered 429 APIGW.0308: The throttling \
        threshold has been reached (request id `trace-0004`). To solve this, lower the number of \
        calls per second";
    let error = failure(options(&fake), expected).await;
    assert!(error.is_temporary());
    assert_eq!(fake.take_seen().len(), 4, "bounded");
}

#[tokio::test]
async fn the_platform_decides_how_long_to_wait() {
    let fake = Fake::start().await;
    fake.fail([Fault::TooMany(Some(1))]);
    let start = std::time::Instant::now();
    client(&fake).list(&RuleFilter::default()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_failure_of_the_platform_is_repeated_only_if_that_is_safe() {
    let fake = Fake::start().await;
    let client = client(&fake);
    fake.fail([
        Fault::Refuse(500, "IOTDA.000001", "oops"),
        Fault::CutAfter,
        Fault::Html(502),
    ]);
    client.list(&RuleFilter::default()).await.unwrap();
    assert_eq!(fake.take_seen().len(), 4);

    let rule = NewRule {
        rule_name: "r".into(),
        description: None,
        subject: Subject::batch_task(),
        app_type: "GLOBAL",
        app_id: None,
        select: None,
        condition: None,
    };
    for fault in [
        Fault::Refuse(503, "", ""),
        Fault::CutAfter,
        Fault::Html(502),
    ] {
        fake.fail([fault]);
        client.create_rule(&rule).await.unwrap_err();
        assert_eq!(fake.take_seen().len(), 1);
    }
    fake.fail([Fault::TooMany(None)]);
    client.create_rule(&rule).await.unwrap();
    assert_eq!(fake.take_seen().len(), 2);
}

#[tokio::test]
async fn a_truncated_answer_is_reported() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    options.retry.attempts = 1;
    for fault in [Fault::Truncated, Fault::HalfJson] {
        fake.fail([fault]);
        let expected = "cannot list the rules: the answer of `127.0.0.1";
        let error = failure(options.clone(), expected).await;
        assert!(
            error.to_string().ends_with("was cut off. Try again"),
            "{error}"
        );
        assert!(error.is_temporary());
    }
}

#[tokio::test]
async fn html_instead_of_json_is_reported() {
    let fake = Fake::start().await;
    for status in [200, 403, 503] {
        fake.fail(vec![Fault::Html(status); 4]);
        let host = fake.address;
        let expected = format!(
            "cannot list the rules: `{host}` answered {status} with `text/html` instead of JSON. \
             Check the URL, and whether a proxy or a login page answers instead of the platform"
        );
        failure(options(&fake), &expected).await;
        fake.state().faults.clear();
    }
}

#[tokio::test]
async fn json_of_another_form_is_reported() {
    let fake = Fake::start().await;
    for body in [
        serde_json::json!({}),
        serde_json::json!({"rules": [{}]}),
        serde_json::json!([1]),
    ] {
        fake.fail([Fault::Answer(200, body)]);
        failure(
            options(&fake),
            "cannot list the rules: the answer of `127.0.0.1",
        )
        .await;
    }
}

#[tokio::test]
async fn a_long_or_slow_answer_is_cut_short() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    fake.fail([Fault::Endless]);
    let error = failure(
        options.clone(),
        "cannot list the rules: the answer of `127.0.0.1:",
    )
    .await;
    assert!(error.to_string().contains("is longer than 16777216 bytes"));
    options.transport.timeout = Duration::from_millis(200);
    fake.fail([Fault::Hang]);
    let error = failure(options, "cannot list the rules: `127.0.0.1:").await;
    assert!(
        error.to_string().ends_with("did not answer within 0.2 s"),
        "{error}"
    );
}
