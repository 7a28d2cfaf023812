//! The first certificate, its renewal, restarts, and accounts.

use std::fs;

use batchtask_acme::ExternalAccount;

use crate::front::Front;
use crate::pebble::{EXTERNAL_ID, EXTERNAL_KEY, Needs, Pebble};
use crate::support::{DAY_MS, NAME, Server, World};

const OTHER: &str = "other.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_obtained_and_used_again_after_a_restart() {
    let Some(mut world) = World::new().await else {
        return;
    };
    let mut running = world.start(world.options(&[NAME, OTHER]));
    running.is_good().await;
    assert_eq!(running.orders("issued"), 1);
    world.accepts(NAME).await;
    world.accepts(OTHER).await;
    let mut answered = world.server.answered();
    answered.sort();
    answered.dedup();
    assert_eq!(answered, [OTHER, NAME]);
    assert!(!world.server.has_challenges());
    let modes = world.modes();
    let names: Vec<&String> = modes.keys().collect();
    assert_eq!(
        names,
        ["account.json", "certificate.pem", "lock", "state.json"]
    );
    assert!(modes.values().all(|mode| *mode == 0o600), "{modes:?}");
    running.stop().await;

    // Without the CA: nothing is due.
    world.pebble.stop();
    let before = world.certificate();
    let mut running = world.start(world.options(&[NAME, OTHER]));
    running.is_good().await;
    assert_eq!(running.orders("issued") + running.orders("failed"), 0);
    assert_eq!(world.certificate(), before);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_time_with_the_same_account() {
    let Some(world) = World::new().await else {
        return;
    };
    // Two thirds of its life have not passed.
    let fresh = world.write_certificate(NAME, -50, 40);
    let mut running = world.start(world.options(&[NAME]));
    running.is_good().await;
    assert_eq!(world.certificate().pem(), fresh);
    assert_eq!(running.orders("issued"), 0);
    running.stop().await;

    let old = world.write_certificate(NAME, -61, 29);
    let running = world.start(world.options(&[NAME]));
    running.has_issued(1).await;
    running.stop().await;
    assert_ne!(world.certificate().pem(), old);
    world.accepts(NAME).await;
    let account = world.account();

    // One that has expired.
    world.write_certificate(NAME, -100, -10);
    world.change_memory(|memory| memory.issued_ms -= 3 * DAY_MS);
    let running = world.start(world.options(&[NAME]));
    running.has_issued(1).await;
    running.stop().await;
    world.accepts(NAME).await;
    assert_eq!(world.account(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_another_ca_need_another_certificate_at_once() {
    let Some(world) = World::new().await else {
        return;
    };
    let mut running = world.start(world.options(&[NAME]));
    running.is_good().await;
    running.stop().await;
    let first = world.certificate();

    let running = world.start(world.options(&[NAME, OTHER]));
    running.has_issued(1).await;
    running.stop().await;
    world.accepts(OTHER).await;
    let account = world.account();

    // Fewer names need no other certificate.
    let second = world.certificate();
    assert_ne!(first, second);
    let mut running = world.start(world.options(&[OTHER]));
    running.is_good().await;
    assert_eq!(running.orders("issued"), 0);
    running.stop().await;
    assert_eq!(world.certificate(), second);

    // The same CA under another URL.
    let front = Front::start(&world.pebble).await;
    let mut options = world.options(&[OTHER]);
    options.directory = front.directory();
    let running = world.start(options);
    running.has_issued(1).await;
    running.stop().await;
    assert_ne!(world.certificate(), second);
    assert_ne!(world.account(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_ca_forgot_is_created_again() {
    let Some(mut world) = World::new().await else {
        return;
    };
    let mut options = world.options(&[NAME]);
    options.contacts = vec!["ops@example.com".into()];
    let mut running = world.start(options.clone());
    running.is_good().await;
    running.stop().await;
    let account = world.account();

    // The contact changes, and the account stays.
    fs::remove_file(world.cache().join("certificate.pem")).unwrap();
    options.contacts = vec!["other@example.com".into()];
    let running = world.start(options.clone());
    running.has_issued(1).await;
    running.stop().await;
    assert_eq!(world.account(), account);
    let stored = fs::read_to_string(world.cache().join("account.json")).unwrap();
    assert!(stored.contains("other@example.com"), "{stored}");

    world.pebble.restart();
    fs::remove_file(world.cache().join("certificate.pem")).unwrap();
    let running = world.start(options);
    running.has_issued(1).await;
    running.stop().await;
    assert_ne!(world.account(), account);
    world.accepts(NAME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_be_bound_to_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = Server::start().await;
    let needs = Needs {
        external_account: true,
    };
    let Some(pebble) = Pebble::start_with(folder.path(), address.port(), needs) else {
        return;
    };
    let world = World {
        folder,
        server,
        pebble,
    };
    let mut options = world.options(&[NAME]);
    let mut running = world.start(options.clone());
    let problem = running.problem().await;
    assert!(problem.contains("set `acme.eab_key_id`"), "{problem}");
    running.stop().await;

    world.change_memory(|memory| memory.retry_ms = 0);
    let account = ExternalAccount::new(EXTERNAL_ID, EXTERNAL_KEY);
    options.external_account = Some(account.unwrap());
    let running = world.start(options);
    running.has_issued(1).await;
    running.stop().await;
    world.accepts(NAME).await;
}

/// The CA suggests to renew at once, as before it revokes certificates.
#[tokio::test(flavor = "multi_thread")]
async fn the_ca_can_ask_for_a_renewal() {
    let Some(world) = World::new().await else {
        return;
    };
    let front = Front::start(&world.pebble).await;
    front.suggest("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    let mut options = world.options(&[NAME]);
    options.directory = front.directory();
    let mut running = world.start(options.clone());
    running.is_good().await;
    let first = world.certificate();
    // Not again and again: the next certificate waits for the limits of the CA.
    assert_eq!(running.orders("issued"), 1);
    front.is_asked().await;
    running.stop().await;
    assert!(world.memory().window.unwrap().range_ms.is_some());

    world.change_memory(|memory| memory.issued_ms -= 3 * DAY_MS);
    let running = world.start(options);
    running.has_issued(1).await;
    running.stop().await;
    assert_ne!(world.certificate(), first);
    // Pebble ignores which certificate is replaced, so it was ordered again without that.
    let orders = front.orders();
    let replaces = orders.iter().filter(|order| order.contains("replaces"));
    assert_eq!((orders.len(), replaces.count()), (3, 1), "{orders:?}");
}
