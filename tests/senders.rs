//! Only who is proven gets in: signatures, the path's secret, the read token.

use std::collections::BTreeSet;

use http::HeaderMap;
use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::host::{Host, READ_TOKEN, Setup};
use crate::support::ledger::all_events;
use crate::support::notifications::Notification;
use crate::support::signing::{DIGESTS, ORDERS, Operands, now_ms};
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

/// Pushes with the default scheme.
async fn push_signed(client: &mut Client, operands: &Operands, body: &str) -> Answer {
    let signature = operands.signature("sha256", "sorted");
    push(client, &operands.headers(&signature), body).await
}

async fn expect_nothing_stored(host: &Host) {
    assert_eq!(all_events(&mut host.client()).await, Vec::<Value>::new());
    let quarantine = host.client().read("/quarantine").await;
    assert_eq!(quarantine["rejects"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_right_signature_is_taken_and_a_wrong_or_missing_or_stale_one_stores_nothing() {
    let (_folder, setup) = enforcing();
    let host = setup.start();
    let mut client = host.client();
    let seconds = now_ms() / 1000;
    let right = Operands::at(TOKEN, seconds);
    let signature = right.signature("sha256", "sorted");
    let headers = right.headers(&signature);
    let with = |name: &str, value: &'static str| {
        headers.map(|(found, old)| (found, if found == name { value } else { old }))
    };
    let signed_by = |operands: &Operands| operands.signature("sha256", "sorted");
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
        ("of 1970", Operands::at(TOKEN, 0)),
        ("in milliseconds", Operands::at(TOKEN, now_ms())),
        ("far away", Operands::at(TOKEN, u64::MAX)),
    ] {
        eprintln!("{what}");
        let answer = push(
            &mut client,
            &operands.headers(&signed_by(&operands)),
            EXAMPLE,
        )
        .await;
        answer.expect(401, "unauthorized");
    }
    for (digest, order) in [
        ("sha1", "sorted"),
        ("hmac-sha256", "sorted"),
        ("sha256", "nonce,token,timestamp"),
        ("sha256", "nonce,timestamp,token"),
    ] {
        // The nonce would be the least as text, were it not made greater.
        let nonce = format!("z{}", right.nonce);
        let operands = Operands {
            nonce,
            ..right.clone()
        };
        let signature = operands.signature(digest, order);
        let answer = push(&mut client, &operands.headers(&signature), EXAMPLE).await;
        answer.expect(401, "unauthorized");
    }
    expect_nothing_stored(&host).await;

    // What was refused has not used the nonce up.
    let answer = push_signed(&mut client, &right, EXAMPLE).await;
    answer.expect(200, "recorded");
    for timestamp in [seconds - 290, seconds + 290] {
        let operands = Operands::at(TOKEN, timestamp);
        let answer = push_signed(&mut client, &operands, EXAMPLE).await;
        answer.expect(200, "duplicate");
    }
}

#[tokio::test]
async fn a_replay_is_refused_after_a_restart_too_and_stores_nothing() {
    let (_folder, setup) = enforcing();
    let mut host = setup.with_admin().start();
    let other = Notification::numbered(1).body();
    let (of_event, of_duplicate, of_reject) = (
        Operands::now(TOKEN),
        Operands::now(TOKEN),
        Operands::now(TOKEN),
    );
    let mut client = host.client();
    for (operands, body, outcome) in [
        (&of_event, EXAMPLE, "recorded"),
        (&of_duplicate, EXAMPLE, "duplicate"),
        (&of_reject, "{}", "quarantined"),
    ] {
        let answer = push_signed(&mut client, operands, body).await;
        answer.expect(200, outcome);
    }
    for restart in [false, true] {
        if restart {
            host = host.kill_and_restart();
        }
        let mut client = host.client();
        for operands in [&of_event, &of_duplicate, &of_reject] {
            for body in [EXAMPLE, &other, "{}", "no JSON"] {
                let answer = push_signed(&mut client, operands, body).await;
                answer.expect(401, "unauthorized");
            }
        }
        let metrics = host.metrics().await;
        assert_eq!(metrics.value("batchtask_journal_replays_total"), 12.0);
        assert_eq!(all_events(&mut client).await.len(), 1);
        assert_eq!(client.read(EXAMPLE_TASK).await["events"], 1);
        let quarantine = client.read("/quarantine").await;
        assert_eq!(quarantine["rejects"].as_array().unwrap().len(), 1);
    }
    let answer = push_signed(&mut host.client(), &Operands::now(TOKEN), &other).await;
    answer.expect(200, "recorded");
}

/// One nonce, sent many times at once, is taken once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_replays_at_the_same_time_one_is_taken() {
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

/// Every setting of the scheme is obeyed, and the default is not taken then.
#[tokio::test]
async fn the_scheme_is_what_the_settings_say() {
    for (digest, order, unit) in [
        ("sha256", "nonce,timestamp,token", "s"),
        ("sha1", "sorted", "s"),
        ("sha1", "nonce,token,timestamp", "ms"),
        ("hmac-sha256", "nonce,timestamp,token", "ms"),
        ("hmac-sha256", "sorted", "s"),
    ] {
        let (_folder, setup) = enforcing();
        let setup = setup
            .variable(("BATCHTASK_SIGNATURE_DIGEST", digest))
            .variable(("BATCHTASK_SIGNATURE_ORDER", order))
            .variable(("BATCHTASK_TIMESTAMP_UNIT", unit))
            .variable(("BATCHTASK_SIGNATURE_HEADER", "X-Signature"))
            .variable(("BATCHTASK_TIMESTAMP_HEADER", "X-Time"))
            .variable(("BATCHTASK_NONCE_HEADER", "X-Once"));
        let host = setup.start();
        let mut client = host.client();
        let timestamp = if unit == "ms" {
            now_ms()
        } else {
            now_ms() / 1000
        };
        let operands = Operands::at(TOKEN, timestamp);
        let signature = operands.signature(digest, order);
        let answer = push(&mut client, &operands.headers(&signature), EXAMPLE).await;
        answer.expect(401, "unauthorized");
        let headers = [
            ("x-signature", &*signature),
            ("x-time", &operands.timestamp),
            ("X-ONCE", &operands.nonce),
        ];
        let answer = push(&mut client, &headers, EXAMPLE).await;
        answer.expect(200, "recorded");
        let history = client.read(&format!("{EXAMPLE_TASK}/events")).await;
        let finding = format!("{digest} {order} {unit}");
        assert_eq!(history["events"][0]["signature"], finding);
    }
}

#[test]
fn a_wrong_scheme_stops_the_start_and_shows_no_token() {
    for (name, value) in [
        ("BATCHTASK_SIGNATURE", "Enforce"),
        ("BATCHTASK_SIGNATURE_DIGEST", "md5"),
        ("BATCHTASK_SIGNATURE_ORDER", "token,nonce"),
        ("BATCHTASK_SIGNATURE_HEADER", "a header"),
        ("BATCHTASK_TIMESTAMP_UNIT", "us"),
        ("BATCHTASK_TIMESTAMP_WINDOW_S", "0"),
        ("BATCHTASK_TOKEN", "aVerySecretToken,another1,athird22"),
        ("BATCHTASK_TOKEN", "aVerySecretToken!"),
        ("BATCHTASK_TOKEN", ""),
    ] {
        let (_folder, setup) = enforcing();
        let (code, said) = setup.variable((name, value)).fail();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(name), "{name}: {said}");
        assert!(!said.contains("VerySecret"), "{said}");
    }
}

/// 3 digests, 7 orders and 2 units: each is accepted, and named in the log, in
/// a metric, and to a reader.
#[tokio::test]
async fn report_accepts_and_names_each_variant() {
    let (_folder, setup) = enforcing();
    let setup = setup.variable(("BATCHTASK_SIGNATURE", "report"));
    let host = setup.with_admin().keeping_all_lines().start();
    let mut client = host.client();
    let mut named = Vec::new();
    for digest in DIGESTS {
        for order in ORDERS {
            for unit in ["s", "ms"] {
                let timestamp = if unit == "ms" {
                    now_ms()
                } else {
                    now_ms() / 1000
                };
                let mut operands = Operands::at(TOKEN, timestamp);
                // The least as text: no digit comes before it.
                operands.nonce.insert(0, '!');
                // Orders that sign the same text cannot be told apart, and the
                // first of them is named.
                let message = operands.message(digest, order);
                let mut orders = ORDERS.iter();
                let same = orders.find(|other| operands.message(digest, other) == message);
                let body = Notification::numbered(named.len() as u64).body();
                let signature = operands.signature(digest, order);
                let answer = push(&mut client, &operands.headers(&signature), &body).await;
                answer.expect(200, "recorded");
                named.push(format!("{digest} {} {unit}", same.unwrap()));
            }
        }
    }
    let wrong = "no known variant matches";
    let stale = "it matches, but the timestamp is outside the window";
    for (operands, signature, finding) in [
        (Operands::now(TOKEN), Some("00"), wrong),
        (Operands::at(TOKEN, 1), None, stale),
    ] {
        let signature = match signature {
            Some(signature) => signature.to_owned(),
            None => operands.signature("sha256", "sorted"),
        };
        let body = Notification::numbered(named.len() as u64).body();
        let answer = push(&mut client, &operands.headers(&signature), &body).await;
        answer.expect(200, "recorded");
        named.push(finding.into());
    }
    let body = Notification::numbered(named.len() as u64).body();
    client.post(&body).await.expect(200, "recorded");
    named.push("no signature".into());

    let events = all_events(&mut client).await;
    let found: Vec<_> = events.iter().map(|event| &event["signature"]).collect();
    assert_eq!(found, named.iter().collect::<Vec<_>>());
    let metrics = host.metrics().await;
    for finding in named.iter().collect::<BTreeSet<_>>() {
        let times = named.iter().filter(|other| *other == finding).count();
        let name = format!("batchtask_signatures_total{{finding=\"{finding}\"}}");
        assert_eq!(metrics.value(&name), times as f64, "{name}");
        let field = format!("signature=\"{finding}\"");
        host.says(|line| line.contains(&field)).await;
    }
    assert_eq!(
        metrics.sum("batchtask_signatures_total"),
        named.len() as f64
    );
}

/// Who is proven may send what is no notification.
#[tokio::test]
async fn report_takes_a_match_for_a_proof_and_nothing_else() {
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

/// All of an answer but the time of day.
fn whole(answer: &Answer) -> (u16, HeaderMap, String) {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    (answer.status, headers, answer.text())
}

#[tokio::test]
async fn a_path_without_the_secret_is_like_any_that_is_not_there() {
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
        format!("/notifications/{SECRET}/"),
        format!("/notifications/{SECRET}/more"),
        format!("/notifications/x{SECRET}"),
        format!("/notifications/{}", &SECRET[..SECRET.len() - 1]),
        format!("/notifications/{}", SECRET.to_uppercase()),
        format!("/notifications//{SECRET}"),
        format!("//notifications/{SECRET}"),
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
async fn readers_need_the_token_and_pushes_do_not_take_it() {
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

/// `--listen` is there already, and on loopback: another address goes through
/// a variable, with a shell that leaves the arguments out.
#[tokio::test]
async fn without_a_read_token_reads_do_not_exist_or_one_is_made_on_loopback() {
    for (address, status) in [("127.0.0.1:0", 401), ("0.0.0.0:0", 404)] {
        let folder = tempfile::tempdir().unwrap();
        let journal = format!("sqlite:{}", folder.path().join("batchtask.db").display());
        let setup = Setup::in_folder(folder.path())
            .variable(("BATCHTASK_READ_TOKEN", ""))
            .variable(("BATCHTASK_LISTEN", address))
            .variable(("BATCHTASK_JOURNAL", &journal))
            .under([
                "sh",
                "-c",
                "unset BATCHTASK_READ_TOKEN; exec \"$1\" serve --admin off",
                "sh",
            ]);
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
