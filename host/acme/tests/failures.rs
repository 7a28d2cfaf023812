//! What fails is explained, harms nothing, and is tried again in time.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use batchtask_acme::schedule::Memory;
use http::StatusCode;

use crate::front::Front;
use crate::support::{NAME, Running, Server, World};

const MINUTE_MS: u64 = 60 * 1000;

fn now_ms() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_challenge_leaves_the_certificate_and_is_tried_again_later() {
    let Some(world) = World::new().await else {
        return;
    };
    let old = world.write_certificate(NAME, -80, 10);
    // It listens elsewhere, so the CA gets no answer.
    let (elsewhere, _) = Server::start().await;
    let mut running = Running::start(world.options(&[NAME]), elsewhere.clone(), None);
    let problem = running.problem().await;
    contains(
        &problem,
        &[
            "could not validate `receiver.example.com` (tls-alpn-01)",
            "port 443 of this name must lead to this host",
            "The next attempt is in 1 min",
        ],
    );
    assert_eq!(running.orders("failed"), 1);
    assert!(!elsewhere.has_challenges());
    running.stop().await;
    assert_eq!(world.certificate().pem(), old);
    let memory = world.memory();
    assert_eq!(memory.failures, 1);
    assert!(memory.retry_ms >= memory.attempted_ms + MINUTE_MS);

    // A restart does not shorten the pause, nor does an operator.
    let mut running = world.start(world.options(&[NAME]));
    running.problem().await;
    running.manager.hurry();
    let early = tokio::time::timeout(Duration::from_secs(2), running.has_issued(1)).await;
    assert!(early.is_err());
    assert_eq!(running.orders("failed"), 0);
    running.stop().await;

    world.change_memory(|memory| memory.retry_ms = now_ms());
    let running = world.start(world.options(&[NAME]));
    running.has_issued(1).await;
    running.stop().await;
    assert_eq!(world.memory().failures, 0);
    world.accepts(NAME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_away_wrong_or_not_trusted_is_explained() {
    let Some(mut world) = World::new().await else {
        return;
    };
    let good = world.options(&[NAME]);
    let of = |directory: &str| {
        let mut options = good.clone();
        options.directory = directory.to_owned();
        options
    };
    let base = world.pebble.directory().replace("/dir", "");
    let other_ca = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    let mut untrusted = good.clone();
    untrusted.authorities = Some(other_ca.cert.pem().into_bytes());
    let host = format!("https://{NAME}.invalid/dir");
    for (options, parts) in [
        (
            of(&format!("{base}/nonce-plz")),
            &["check `acme.directory`"][..],
        ),
        (
            of(&format!("{base}/missing")),
            &["answered 404", "check `acme.directory`"],
        ),
        (untrusted, &["127.0.0.1` cannot be reached", "`acme.ca`"]),
        (
            of(&host),
            &["receiver.example.com.invalid` cannot be reached"],
        ),
        (of("https://127.0.0.1:1/dir"), &["Connection refused"]),
    ] {
        let mut running = world.start(options);
        contains(&running.problem().await, parts);
        assert_eq!(running.orders("failed"), 1);
        running.stop().await;
        world.change_memory(|memory| *memory = Memory::default());
    }
    world.pebble.stop();
    let mut running = world.start(good);
    contains(&running.problem().await, &["cannot be reached", "refused"]);
    running.stop().await;
    // Only the state: no account was created, and there is no certificate.
    let names: Vec<String> = world.modes().into_keys().collect();
    assert_eq!(names, ["lock", "state.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_that_the_ca_asks_for_is_kept() {
    let Some(world) = World::new().await else {
        return;
    };
    let front = Front::start(&world.pebble).await;
    let mut options = world.options(&[NAME]);
    options.directory = front.directory();
    for (media_type, body, parts) in [
        (
            "application/problem+json",
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many\ncertificates"}"#,
            &[
                "refused the order: too many certificates (rateLimited)",
                "in 120 min",
            ][..],
        ),
        (
            "text/html",
            "<h1>busy</h1>",
            &["answered 429", "in 120 min"],
        ),
    ] {
        front.refuse(StatusCode::TOO_MANY_REQUESTS, media_type, body);
        let mut running = world.start(options.clone());
        contains(&running.problem().await, parts);
        // An operator cannot shorten it.
        running.manager.hurry();
        running.stop().await;
        let memory = world.memory();
        let wait_ms = memory.refused_until_ms - memory.seen_ms.min(now_ms());
        assert!(
            wait_ms > 115 * MINUTE_MS && wait_ms <= 121 * MINUTE_MS,
            "{wait_ms}"
        );
        world.change_memory(|memory| *memory = Memory::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_asks_nothing_of_the_ca() {
    let Some(world) = World::new().await else {
        return;
    };
    let front = Front::start(&world.pebble).await;
    let mut options = world.options(&[NAME]);
    options.directory = front.directory();
    let place = world.cache().join("state.json");
    fs::create_dir_all(world.cache()).unwrap();
    let mut running = world.start(options);
    running.stop().await;
    // From here on, the state cannot be written.
    let _ = fs::remove_file(&place);
    fs::create_dir(&place).unwrap();
    let mut options = world.options(&[NAME]);
    options.directory = front.directory();
    running = world.start(options);
    contains(&running.problem().await, &["state.json` cannot be"]);
    running.stop().await;
}

/// The disk is full, or the folder read-only, at the worst moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_written_is_kept_until_it_can() {
    let Some(world) = World::new().await else {
        return;
    };
    let place = world.cache().join("certificate.pem");
    let hook = block_the_certificate(&world, &place);
    let mut options = world.options(&[NAME]);
    options.dns_hook = Some(hook);
    let mut running = world.start(options);
    let problem = running.problem().await;
    contains(&problem, &["certificate.pem` cannot be written"]);
    assert_eq!(running.orders("issued"), 1);
    fs::remove_dir(&place).unwrap();
    running.manager.hurry();
    running.reaches(|state| state.problem.is_none()).await;
    assert_eq!(running.orders("issued") + running.orders("failed"), 1);
    running.stop().await;
    world.accepts(NAME).await;
}

/// A hook that sets the record, and puts a folder in the place of the certificate.
fn block_the_certificate(world: &World, place: &Path) -> std::path::PathBuf {
    let block = format!(
        "[ \"$1\" = cleanup ] && mkdir -p '{}'; true",
        place.display()
    );
    crate::dns::hook(world, &block)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_an_order_leaves_nothing_behind() {
    let Some(world) = World::new().await else {
        return;
    };
    // The record is set, and the hook does not end.
    let hook = crate::dns::hook(&world, "[ \"$1\" = present ] && sleep 1000; true");
    let mut options = world.options(&[NAME]);
    options.dns_hook = Some(hook);
    let running = world.start(options);
    let calls = world.folder.path().join("calls");
    let called = async {
        while !fs::read_to_string(&calls).is_ok_and(|calls| calls.contains("present")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, called)
        .await
        .unwrap();
    running.stop().await;
    contains(
        &fs::read_to_string(&calls).unwrap(),
        &["cleanup _acme-challenge"],
    );
    // It does not count as a failure.
    let memory = world.memory();
    assert_eq!((memory.failures, memory.error), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_replaced() {
    let Some(world) = World::new().await else {
        return;
    };
    fs::create_dir(world.cache()).unwrap();
    for name in ["certificate.pem", "account.json", "state.json"] {
        fs::write(world.cache().join(name), "garbage {").unwrap();
    }
    let running = world.start(world.options(&[NAME]));
    running.has_issued(1).await;
    running.stop().await;
    world.accepts(NAME).await;
    world.account();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_folder_order_one_certificate() {
    let Some(world) = World::new().await else {
        return;
    };
    let mut both = [(); 2].map(|()| world.start(world.options(&[NAME])));
    for running in &mut both {
        running.is_good().await;
    }
    let issued: u64 = both.iter().map(|running| running.orders("issued")).sum();
    let failed: u64 = both.iter().map(|running| running.orders("failed")).sum();
    assert_eq!((issued, failed), (1, 0));
    for running in both {
        running.stop().await;
    }
}
