//! Chats: digests and alerts of a host.

use serde_json::Value;

use super::operations::{assert_faults, check, post, sinks, until};
use super::receiver::{Reaction, Receiver};
use super::services::{SERVICES, answer, seen, signs};
use super::{setup, write};

const SECRET: &str = "SEC0123456789abcdef";

fn secret(service: &str) -> Option<&'static str> {
    signs(service).then_some(SECRET)
}

async fn bot(service: &'static str) -> Receiver {
    let secret = secret(service);
    Receiver::start(move |received| Reaction::Say(answer(service, secret, received))).await
}

/// A sink of a bot.
fn sink(service: &str, bot: &Receiver, more: &str) -> String {
    let secret = secret(service).map(|secret| format!("secret = '{secret}'\n"));
    format!(
        "[[sink]]\nname = '{service}'\nkind = 'chat'\nservice = '{service}'\n\
         url = '{}?access_token=hush'\nstart = 'beginning'\nevery = '10s'\n{}{more}\n",
        bot.url(),
        secret.unwrap_or_default()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_can_be_tested_and_gets_a_digest() {
    let folder = tempfile::tempdir().unwrap();
    let mut bots = Vec::new();
    let mut text = String::new();
    for service in SERVICES {
        let bot = bot(service).await;
        text += &sink(service, &bot, "");
        bots.push((service, bot));
    }
    write(folder.path(), &text);
    let host = setup(folder.path()).start();
    for service in SERVICES {
        let tested = sinks(&host, &["test", service]).expect(0).stdout;
        assert_eq!(tested, format!("the sink `{service}` accepted the test\n"));
        let replayed = sinks(&host, &["replay", service, "--all"]).expect(1).stderr;
        assert!(replayed.contains("gets digests or alerts"), "{replayed}");
    }
    post(&host, 0, 7).await;
    for service in SERVICES {
        until(&host, service, |sink| sink["delivered"] == 1).await;
    }
    host.stop();
    for (service, bot) in bots {
        let received = bot.received();
        let seen = seen(service, &received[1].json());
        assert!(
            seen.contains("7 changes of batch tasks"),
            "{service}: {seen}"
        );
        assert_eq!(received.len(), 2, "{service}");
    }
}

/// Returns the alerts of the message with this number.
async fn alerts(receiver: &Receiver, count: usize) -> Vec<Value> {
    receiver.accepts(count).await;
    let message = receiver.received()[count - 1].json();
    assert_eq!(message["type"], "batchtask.alert");
    assert_eq!(message["data"]["sink"], "alerts");
    message["data"]["alerts"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_reports_what_needs_attention() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let broken = Receiver::start(|_| Reaction::Answer(500, vec![])).await;
    let text = [
        format!(
            "[[sink]]\nname = 'alerts'\nurl = '{}'\nsecret = '{}'\nevery = '10s'\n\
             alerts = ['quarantine_grew', 'sink_failing', 'pushes_refused']\n",
            receiver.url(),
            super::SECRETS[0]
        ),
        sink("slack", &broken, ""),
    ];
    write(folder.path(), &text.concat());
    let secret = "pathSecretOfTheTests0123456789";
    let host = setup(folder.path())
        .variable(("BATCHTASK_PATH_SECRET", secret))
        .start();
    // What follows is new only once the quarantine is known.
    until(&host, "alerts", |sink| sink["state"] == "running").await;
    until(&host, "slack", |sink| {
        sink["state"] == "failing" || sink["state"] == "running"
    })
    .await;
    let path = format!("/notifications/{secret}");
    let headers = [("content-type", "application/json")];
    let mut client = host.client();
    for body in ["{\"a\":1}", "{\"a\":2}"] {
        let answer = client
            .exchange("POST", &path, &headers, body.as_bytes())
            .await;
        assert_eq!(answer.expect("an answer").status, 200);
    }
    let body = crate::support::EXAMPLE;
    let answer = client
        .exchange("POST", &path, &headers, body.as_bytes())
        .await;
    assert_eq!(answer.expect("an answer").status, 200);
    let mut found: Vec<Value> = alerts(&receiver, 1).await;
    let mut count = 1;
    while found.len() < 2 {
        count += 1;
        found.extend(alerts(&receiver, count).await);
    }
    let named = |name: &str| {
        found
            .iter()
            .find(|alert| alert["condition"] == name)
            .cloned()
    };
    let failing = named("sink_failing").expect("a failing sink");
    assert_eq!(failing["change"], "began");
    assert_eq!(failing["subjects"], serde_json::json!(["slack"]));
    let quarantine = named("quarantine_grew").expect("a quarantine");
    assert_eq!(
        (&quarantine["change"], &quarantine["count"]),
        (&"began".into(), &2.into())
    );
    assert!(!receiver.received()[0].field("webhook-signature").is_empty());
    // A restart repeats nothing.
    let host = host.kill_and_restart();
    until(&host, "alerts", |sink| sink["state"] == "running").await;
    until(&host, "slack", |sink| sink["state"] == "failing").await;
    host.stop();
    assert_eq!(receiver.received_count(), count);
}

#[test]
fn every_fault_of_a_chat_or_mail_has_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "[[sink]]\nname = 'a'\nkind = 'chat'\nurl = 'https://hush/'\nparallel = 2\n\
        host = 'x'\nevery = '5s'\n\
        [[sink]]\nname = 'b'\nkind = 'chat'\nservice = 'irc'\nlanguage = 'fr'\n\
        [[sink]]\nname = 'c'\nkind = 'mail'\nurl = 'https://hush/'\nuser = 'u'\nport = 0\n\
        security = 'ssl'\n\
        [[sink]]\nname = 'd'\nurl = 'http://a/'\nalerts = ['fire']\nretries = ['5s']\n\
        [[sink]]\nname = 'e'\nurl = 'http://a/'\nevery = '60s'\nservice = 'slack'\n";
    let refused = check(folder.path(), bad).expect(2).stderr;
    let expected = [
        "b.toml:1: `sink.service` is missing",
        "b.toml:5: `sink.parallel` is a key of the kind `webhook`, `component`, and this sink is a `chat`",
        "b.toml:6: `sink.host` is a key of the kind `mail`, and this sink is a `chat`",
        "b.toml:7: `sink.every` must be a time from `10s` to `1h`",
        "b.toml:8: `sink.url` is missing",
        "b.toml:11: `sink.service` must be `feishu`, `lark`, `dingtalk`, `wecom`, `slack` or `teams`",
        "b.toml:12: `sink.language` must be `en` or `zh`",
        "b.toml:13: `sink.from` is missing",
        "b.toml:13: `sink.host` is missing",
        "b.toml:13: `sink.to` is missing",
        "b.toml:16: `sink.url` is a key of the kind `webhook`, `chat`, and this sink is a `mail`",
        "b.toml:17: `sink.user` needs `sink.password`: set both",
        "b.toml:18: `sink.port` must be a whole number",
        "b.toml:19: `sink.security` must be `starttls`, `tls` or `none`",
        "b.toml:23: `sink.alerts` must be `task_failed`",
        "b.toml:24: `sink.retries` is of no use with `sink.alerts`",
        "b.toml:28: `sink.every` is of no use for this kind without `sink.alerts`",
        "b.toml:29: `sink.service` is a key of the kind `chat`, and this sink is a `webhook`",
    ];
    assert_faults(&refused, &expected);
    let mail =
        "[[sink]]\nname = 'a'\nkind = 'mail'\nhost = 'mail.example.com'\nto = 'b@example.com'\n";
    for (text, expected) in [
        (
            "[[sink]]\nname = 'a'\nkind = 'chat'\nservice = 'slack'\nurl = 'https://a/'\nsecret = 'hush'\n",
            "b.toml:6: `sink.secret` cannot be used: messages to Slack are not signed",
        ),
        (
            "[[sink]]\nname = 'a'\nkind = 'chat'\nservice = 'slack'\nurl = 'https://a/'\npage = 'a'\n",
            "b.toml:6: `sink.page` cannot be used: it must begin with `https://`",
        ),
        (
            &format!("{mail}from = 'a@example.com'\nsecurity = 'none'\n"),
            "b.toml:7: `sink.security` cannot be used: others could read",
        ),
        (
            &format!("{mail}from = 'nobody'\n"),
            "b.toml:6: `sink.from` cannot be used: `nobody` is not a mail address",
        ),
    ] {
        assert_faults(&check(folder.path(), text).expect(2).stderr, &[expected]);
    }
}
