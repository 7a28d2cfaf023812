//! Only authenticated senders and readers are admitted: by a signature, the secret of
//! the path, or the read token.

use batchtask_guest::signature::Finding;
use http::HeaderMap;
use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::host::{Host, READ_TOKEN, Setup};
use crate::support::ledger::all_events;
use crate::support::notifications::Notification;
use crate::support::signing::{Operands, now_ms};
use crate::support::{EXAMPLE, EXAMPLE_TASK};

const TOKEN: &str = "kQ3vT9xLm2Rb7Zc5";
const OLD_TOKEN: &str = "oldTokenH6wN8pJ4";
const SECRET: &str = "pathSecret-Wd4_fG8hYs2uE6";

fn enforcing() -> (tempfile::TempDir, Setup) {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path())
        .variable(("BATCHTASK_SIGNATURE", "enforce"))
        .variable(("BATCHTASK_TOKEN", TOKEN));
    (folder, setup)
}

async fn push(client: &mut Client, headers: &[(&str, &str)], body: &str) -> Answer {
    let answer = client.exchange("POST", "/notifications", headers, body.as_bytes());
    answer.await.expect("an answer")
}

/// Pushes with the signature of these operands.
async fn push_signed(client: &mut Client, operands: &Operands, body: &str) -> Answer {
    let signature = operands.signature();
    push(client, &operands.headers(&signature), body).await
}

async fn expect_nothing_stored(host: &Host) {
    assert_eq!(all_events(&mut host.client()).await, Vec::<Value>::new());
    let quarantine = host.client().read("/quarantine").await;
    assert_eq!(quarantine["rejects"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn only_a_valid_and_recent_signature_is_accepted() {
    let (_folder, setup) = enforcing();
    let host = setup.start();
    let mut client = host.client();
    let seconds = now_ms() / 1000;
    let right = Operands::at(TOKEN, seconds);
    let signature = right.signature();
    let headers = right.headers(&signature);
    let with = |name: &str, value: &'static str| {
        headers.map(|(found, old)| (found, if found == name { value } else { old }))
    };
    for (what, headers) in [
        ("no field", vec![headers[0]]),
        ("no timestamp", vec![headers[0], headers[2], headers[3]]),
        ("no nonce", vec![headers[0], headers[1], headers[3]]),
        ("no signature", headers[..3].to_vec()),
        ("an empty one", with("signature", "").to_vec()),
        ("a short one", with("signature", "00").to_vec()),
        ("another nonce", with("nonce", "anotherNonce").to_vec()),
        ("another time", with("timestamp", "1").to_vec()),
        ("an empty nonce", with("nonce", "").to_vec()),
        ("two signatures", [&headers[..], &headers[3..]].concat()),
        ("two nonces", [&headers[..], &headers[2..3]].concat()),
    ] {
        eprintln!("{what}");
        let answer = push(&mut client, &headers, EXAMPLE).await;
        answer.expect(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    for (what, operands) in [
        ("another token", Operands::at(OLD_TOKEN, seconds)),
        ("stale", Operands::at(TOKEN, seconds - 302)),
        ("too early", Operands::at(TOKEN, seconds + 310)),
        (
            "stale, in milliseconds",
            Operands::at(TOKEN, now_ms() - 302_000),
        ),
        ("of 1970", Operands::at(TOKEN, 0)),
        ("of 11 digits", Operands::at(TOKEN, seconds * 10)),
        ("far away", Operands::at(TOKEN, u64::MAX)),
    ] {
        eprintln!("{what}");
        let answer = push_signed(&mut client, &operands, EXAMPLE).await;
        answer.expect(401, "unauthorized");
    }
    for (what, signature) in right.undocumented() {
        eprintln!("{what}");
        let answer = push(&mut client, &right.headers(&signature), EXAMPLE).await;
        answer.expect(401, "unauthorized");
    }
    expect_nothing_stored(&host).await;

    // A refused request does not use up its signature.
    let answer = push_signed(&mut client, &right, EXAMPLE).await;
    answer.expect(200, "recorded");
    for timestamp in [seconds - 290, seconds + 290] {
        let operands = Operands::at(TOKEN, timestamp);
        let answer = push_signed(&mut client, &operands, EXAMPLE).await;
        answer.expect(200, "duplicate");
    }
}

/// The unit of the timestamp and the case of the digits are not documented.
#[tokio::test]
async fn a_signature_is_accepted_in_either_unit_and_either_case() {
    let (_folder, setup) = enforcing();
    let host = setup.start();
    let mut client = host.client();
    let (in_seconds, in_milliseconds) = (Finding::ValidSeconds, Finding::ValidMilliseconds);
    let mut expected = Vec::new();
    for (timestamp, finding) in [(now_ms() / 1000, in_seconds), (now_ms(), in_milliseconds)] {
        for is_upper in [false, true] {
            let operands = Operands::at(TOKEN, timestamp);
            let lower = operands.signature();
            let upper = lower.to_uppercase();
            let (this, other) = if is_upper {
                (upper, lower)
            } else {
                (lower, upper)
            };
            let serial = expected.len() as u64;
            let body = Notification::numbered(serial).body();
            let answer = push(&mut client, &operands.headers(&this), &body).await;
            answer.expect(200, "recorded");
            // In the other case it is the same signature.
            let body = Notification::numbered(serial + 100).body();
            let answer = push(&mut client, &operands.headers(&other), &body).await;
            answer.expect(401, "unauthorized");
            expected.push(finding.text());
        }
    }
    let events = all_events(&mut client).await;
    let found: Vec<_> = events.iter().map(|event| &event["signature"]).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_signature_admits_one_notification_after_a_restart_too() {
    let (_folder, setup) = enforcing();
    let mut host = setup.with_admin().start();
    let other = Notification::numbered(1).body();
    let of_event = (Operands::now(TOKEN), EXAMPLE);
    let of_duplicate = (Operands::now(TOKEN), EXAMPLE);
    let of_reject = (Operands::now(TOKEN), "{}");
    let mut client = host.client();
    for ((operands, body), outcome) in [
        (&of_event, "recorded"),
        (&of_duplicate, "duplicate"),
        (&of_reject, "quarantined"),
    ] {
        let answer = push_signed(&mut client, operands, body).await;
        answer.expect(200, outcome);
    }
    for restart in [false, true] {
        if restart {
            host = host.kill_and_restart();
        }
        let mut client = host.client();
        for (operands, own) in [&of_event, &of_duplicate, &of_reject] {
            for body in [EXAMPLE, &other, "{}", "no JSON"] {
                let answer = push_signed(&mut client, operands, body).await;
                match (body == *own, body == EXAMPLE) {
                    (false, _) => answer.expect(401, "unauthorized"),
                    (true, true) => answer.expect(200, "duplicate"),
                    (true, false) => answer.expect(200, "quarantined"),
                };
            }
        }
        let metrics = host.metrics().await;
        assert_eq!(metrics.value("batchtask_journal_replays_total"), 9.0);
        assert_eq!(all_events(&mut client).await.len(), 1);
        assert_eq!(client.read(EXAMPLE_TASK).await["events"], 1);
        let quarantine = client.read("/quarantine").await;
        assert_eq!(quarantine["rejects"].as_array().unwrap().len(), 1);
    }
    // One duplicate with the second signature, and two with the first two signatures
    // both before and after the restart.
    let task = host.client().read(EXAMPLE_TASK).await;
    assert_eq!(task["duplicates"], 5);
    let answer = push_signed(&mut host.client(), &Operands::now(TOKEN), &other).await;
    answer.expect(200, "recorded");
}

/// A signed text can be split into nonce and timestamp in several ways, which all have
/// the same signature.
#[tokio::test]
async fn a_signature_admits_one_notification_however_its_text_is_split() {
    let (_folder, setup) = enforcing();
    let host = setup.start();
    let mut client = host.client();
    let seconds = now_ms() / 1000;
    let split = |timestamp: String, nonce: &str| Operands {
        token: TOKEN.into(),
        timestamp,
        nonce: nonce.into(),
    };
    // The first three digits of the nonce become the milliseconds.
    let in_seconds = split(seconds.to_string(), "983710");
    let in_milliseconds = split(format!("{seconds}983"), "710");
    // The last digit of the nonce becomes the first digit of the timestamp, which then
    // has 11 digits.
    let shorter = split(seconds.to_string(), "010");
    let longer = split(format!("0{seconds}"), "01");
    for (first, others) in [
        (&in_seconds, [&in_seconds, &in_milliseconds]),
        (&shorter, [&shorter, &longer]),
    ] {
        let serial = first.nonce.len() as u64;
        let body = Notification::numbered(serial).body();
        let answer = push_signed(&mut client, first, &body).await;
        answer.expect(200, "recorded");
        for operands in others {
            assert_eq!(operands.signature(), first.signature());
            for body in [EXAMPLE, "{}"] {
                let answer = push_signed(&mut client, operands, body).await;
                answer.expect(401, "unauthorized");
            }
        }
    }
    // The same notification may arrive with any valid split.
    let body = Notification::numbered(6).body();
    let answer = push_signed(&mut client, &in_milliseconds, &body).await;
    answer.expect(200, "duplicate");
    assert_eq!(all_events(&mut client).await.len(), 2);
    let quarantine = client.read("/quarantine").await;
    assert_eq!(quarantine["rejects"], Value::Array(Vec::new()));
}

/// If many notifications with the same signature arrive at once, it admits one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_concurrent_replays_is_accepted() {
    let (_folder, setup) = enforcing();
    let host = setup.start();
    let operands = Operands::now(TOKEN);
    let mut pushes = tokio::task::JoinSet::new();
    for serial in 0..32 {
        let (mut client, operands) = (host.client(), operands.clone());
        let body = Notification::numbered(serial).body();
        pushes.spawn(async move { push_signed(&mut client, &operands, &body).await.status });
    }
    let statuses = pushes.join_all().await;
    let taken = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(taken, 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401)));
    assert_eq!(all_events(&mut host.client()).await.len(), 1);
}

#[tokio::test]
async fn two_tokens_are_valid_while_one_replaces_the_other() {
    let (_folder, setup) = enforcing();
    let both = format!("{TOKEN},{OLD_TOKEN}");
    let host = setup.clone().variable(("BATCHTASK_TOKEN", &both)).start();
    let mut client = host.client();
    for (serial, token) in [TOKEN, OLD_TOKEN].iter().enumerate() {
        let body = Notification::numbered(serial as u64).body();
        let answer = push_signed(&mut client, &Operands::now(token), &body).await;
        answer.expect(200, "recorded");
    }
    let operands = Operands::now("anotherToken");
    let answer = push_signed(&mut client, &operands, EXAMPLE).await;
    answer.expect(401, "unauthorized");
    drop(client);
    host.stop();
    let host = setup.start();
    for (token, status) in [(OLD_TOKEN, 401), (TOKEN, 200)] {
        let answer = push_signed(&mut host.client(), &Operands::now(token), EXAMPLE).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[test]
fn invalid_settings_of_signatures_stop_the_start_and_show_no_token() {
    for (name, value) in [
        ("BATCHTASK_SIGNATURE", "Enforce"),
        ("BATCHTASK_TIMESTAMP_WINDOW_S", "0"),
        ("BATCHTASK_TOKEN", "aVerySecretToken,another1,athird22"),
        ("BATCHTASK_TOKEN", "aVerySecretToken!"),
        ("BATCHTASK_TOKEN", ""),
    ] {
        let (_folder, setup) = enforcing();
        let (code, said) = setup.variable((name, value)).fail();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(name), "{name}: {said}");
        assert!(!said.contains("VerySecret"), "{said}");
    }
}

/// Returns the header fields of a push whose signature check has this result.
fn fields_for(finding: Finding) -> Vec<(&'static str, String)> {
    let in_seconds = Operands::now(TOKEN);
    let with_nonce = |nonce: String| Operands {
        nonce,
        ..in_seconds.clone()
    };
    let operands = match finding {
        Finding::ValidMilliseconds => Operands::at(TOKEN, now_ms()),
        Finding::BadNonce => with_nonce("n".repeat(257)),
        Finding::BadTimestamp => Operands::at(TOKEN, 1),
        Finding::OutsideWindow => Operands::at(TOKEN, 1_000_000_000),
        Finding::NoMatch => Operands::now(OLD_TOKEN),
        Finding::ValidSeconds | Finding::NoSignature | Finding::NoTimestamp | Finding::NoNonce => {
            in_seconds
        }
    };
    let missing = match finding {
        Finding::NoSignature => "signature",
        Finding::NoTimestamp => "timestamp",
        Finding::NoNonce => "nonce",
        _ => "",
    };
    let signature = operands.signature();
    let fields = operands.headers(&signature).into_iter();
    fields
        .filter(|(name, _)| *name != missing)
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

/// Each result of the check is in the log, in a metric, and in the event.
#[tokio::test]
async fn report_accepts_and_names_each_finding() {
    let (_folder, setup) = enforcing();
    let setup = setup.variable(("BATCHTASK_SIGNATURE", "report"));
    let host = setup.with_admin().keeping_all_lines().start();
    let mut client = host.client();
    for (serial, finding) in (0..).zip(Finding::ALL) {
        let fields = fields_for(*finding);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let body = Notification::numbered(serial).body();
        let answer = push(&mut client, &fields, &body).await;
        answer.expect(200, "recorded");
    }
    let events = all_events(&mut client).await;
    let found: Vec<_> = events.iter().map(|event| &event["signature"]).collect();
    let named: Vec<_> = Finding::ALL.iter().map(|finding| finding.text()).collect();
    assert_eq!(found, named);
    let metrics = host.metrics().await;
    for finding in &named {
        let name = format!("batchtask_signatures_total{{finding=\"{finding}\"}}");
        assert_eq!(metrics.value(&name), 1.0, "{name}");
        let field = format!("signature=\"{finding}\"");
        host.says(|line| line.contains(&field)).await;
    }
    let checked = metrics.sum("batchtask_signatures_total");
    assert_eq!(checked, named.len() as f64);
}

/// In mode `report`, not even a used signature is refused.
#[tokio::test]
async fn report_does_not_remember_signatures() {
    let (_folder, setup) = enforcing();
    let host = setup.variable(("BATCHTASK_SIGNATURE", "report")).start();
    let mut client = host.client();
    let operands = Operands::now(TOKEN);
    for serial in 0..2 {
        let body = Notification::numbered(serial).body();
        let answer = push_signed(&mut client, &operands, &body).await;
        answer.expect(200, "recorded");
    }
}

/// A body that is not a notification is quarantined only if its sender is proven.
#[tokio::test]
async fn in_mode_report_only_a_valid_signature_proves_the_sender() {
    let (_folder, setup) = enforcing();
    let host = setup.variable(("BATCHTASK_SIGNATURE", "report")).start();
    let mut client = host.client();
    let answer = push_signed(&mut client, &Operands::now(TOKEN), "{}").await;
    answer.expect(200, "quarantined");
    let answer = push_signed(&mut client, &Operands::now(OLD_TOKEN), "{}").await;
    answer.expect(422, "not-a-notification");
    let answer = push_signed(&mut client, &Operands::at(TOKEN, 1), "{}").await;
    answer.expect(422, "not-a-notification");
}

/// Returns everything in an answer except its date.
fn whole(answer: &Answer) -> (u16, HeaderMap, String) {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    (answer.status, headers, answer.text())
}

#[tokio::test]
async fn a_path_without_the_secret_is_answered_like_an_unknown_path() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(("BATCHTASK_PATH_SECRET", SECRET));
    let host = setup.start();
    let mut client = host.client();
    let json = [("content-type", "application/json")];
    let cases = [
        "/notifications".to_owned(),
        "/notifications/".into(),
        "/notifications/wrong".into(),
        format!("/notifications/{SECRET}x"),
        format!("/notifications/{SECRET}/more"),
        format!("/notifications/x{SECRET}"),
        format!("/notifications/{}", &SECRET[..SECRET.len() - 1]),
        format!("/notifications/{}", SECRET.to_uppercase()),
        format!("/notifications/{SECRET}//more"),
        format!("//notifications/x{SECRET}/"),
        format!("/{SECRET}"),
        format!("/notifications?secret={SECRET}"),
        format!("/notifications/wrong?{SECRET}"),
    ];
    for method in ["POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST2"] {
        for (headers, body) in [(&json[..], EXAMPLE), (&json, "{}"), (&[], "")] {
            let has_body = !matches!(method, "GET" | "HEAD");
            let body = if has_body { body.as_bytes() } else { b"" };
            let unknown = client.exchange(method, "/nowhere", headers, body).await;
            let unknown = whole(&unknown.expect("an answer"));
            assert_eq!(unknown.0, 404);
            for target in &cases {
                let answer = client.exchange(method, target, headers, body).await;
                let answer = whole(&answer.expect("an answer"));
                assert_eq!(answer, unknown, "{method} {target}");
            }
        }
    }
    expect_nothing_stored(&host).await;
    let target = format!("/notifications/{SECRET}");
    let answer = client.exchange("POST", &target, &json, EXAMPLE.as_bytes());
    answer.await.unwrap().expect(200, "recorded");
    let answer = client.exchange("POST", &target, &json, b"{}");
    answer.await.unwrap().expect(200, "quarantined");
}

#[tokio::test]
async fn readers_need_the_token_and_pushes_do_not_accept_it() {
    let (_folder, setup) = enforcing();
    let host = setup.start();
    let mut client = host.client();
    let targets = [
        "/tasks",
        EXAMPLE_TASK,
        &format!("{EXAMPLE_TASK}/events"),
        "/events",
        "/quarantine",
    ];
    let almost = &READ_TOKEN[..READ_TOKEN.len() - 1];
    for target in targets {
        for field in [
            None,
            Some(String::new()),
            Some("Bearer".into()),
            Some("Bearer ".into()),
            Some(format!("Bearer {almost}")),
            Some(format!("Bearer {READ_TOKEN}x")),
            Some(format!("Bearer x {READ_TOKEN}")),
            Some(format!("Basic {READ_TOKEN}")),
            Some(READ_TOKEN.into()),
            Some(format!("Bearer {TOKEN}")),
        ] {
            let headers = field
                .as_ref()
                .map(|field| ("authorization", field.as_str()));
            let headers: Vec<_> = headers.into_iter().collect();
            let answer = client.exchange("GET", target, &headers, b"").await.unwrap();
            answer.expect(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(!answer.text().contains(almost));
        }
        let target = format!("{target}?token={READ_TOKEN}");
        let answer = client.exchange("GET", &target, &[], b"").await.unwrap();
        answer.expect(401, "unauthorized");
    }
    let bearer = format!("Bearer {READ_TOKEN}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &bearer),
    ];
    let answer = push(&mut client, &headers, EXAMPLE).await;
    answer.expect(401, "unauthorized");
    expect_nothing_stored(&host).await;
    let lower = format!("bearer {READ_TOKEN}");
    let headers = [("authorization", &*lower)];
    let answer = client
        .exchange("GET", "/tasks", &headers, b"")
        .await
        .unwrap();
    answer.expect(200, "read");
}

#[tokio::test]
async fn without_a_read_token_reads_do_not_exist_or_one_is_made_at_a_terminal() {
    for (address, has_terminal, status) in [
        ("127.0.0.1:0", true, 401),
        ("127.0.0.1:0", false, 404),
        ("0.0.0.0:0", true, 404),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut setup = Setup::in_folder(folder.path())
            .without_read_token()
            .listening_on(address);
        if has_terminal {
            setup = setup.on_terminal();
        }
        let host = setup.start();
        let mut client = Client::new(([127, 0, 0, 1], host.address().port()).into());
        for target in ["/tasks", "/events", "/quarantine", EXAMPLE_TASK] {
            assert_eq!(client.get(target).await.status, status, "{target}");
        }
        client.post(EXAMPLE).await.expect(200, "recorded");
        if status == 404 {
            assert!(!host.said().contains("Bearer"), "{}", host.said());
            continue;
        }
        let line = host.says(|line| line.contains("Bearer ")).await;
        let token = line
            .split(['\'', ' '])
            .skip_while(|word| *word != "Bearer")
            .nth(1);
        let token = token.unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let answer = client
            .exchange("GET", "/tasks", &headers, b"")
            .await
            .unwrap();
        answer.expect(200, "read");
        let times = host.said().matches(token).count();
        assert_eq!(times, 2, "in the link and in the line for curl, once");
    }
}
