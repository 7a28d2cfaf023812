//! Certificates by DNS records, which a program sets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::{NAME, World};

/// A hook that sets records at Pebble's name server, notes each call, and then runs a shell
/// script with the same arguments.
pub(crate) fn hook(world: &World, script: &str) -> PathBuf {
    let path = world.folder.path().join("hook");
    let calls = world.folder.path().join("calls");
    let (calls, names) = (calls.display(), world.pebble.names_management());
    let text = format!(
        r#"#!/bin/sh
echo "$@" >> '{calls}'
case "$1" in
    present) curl -sf -d "{{\"host\":\"$2.\",\"value\":\"$3\"}}" http://{names}/set-txt || exit ;;
    cleanup) curl -sf -d "{{\"host\":\"$2.\"}}" http://{names}/clear-txt || exit ;;
esac
{script}
"#
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sets_records_also_for_a_wildcard() {
    let Some(world) = World::new().await else {
        return;
    };
    let mut options = world.options(&["*.example.com", NAME]);
    options.dns_hook = Some(hook(&world, "true"));
    let running = world.start(options);
    running.has_issued(1).await;
    running.stop().await;
    world.accepts("any.example.com").await;
    world.accepts(NAME).await;
    let calls = fs::read_to_string(world.folder.path().join("calls")).unwrap();
    for call in [
        "present _acme-challenge.example.com ",
        "present _acme-challenge.receiver.example.com ",
        "cleanup _acme-challenge.example.com ",
        "cleanup _acme-challenge.receiver.example.com ",
    ] {
        assert_eq!(calls.matches(call).count(), 1, "{call}: {calls}");
    }
    assert!(world.server.answered().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_is_explained_and_cleans_up() {
    let Some(world) = World::new().await else {
        return;
    };
    let mut options = world.options(&[NAME]);
    options.dns_hook = Some(hook(
        &world,
        "echo 'no such zone' >&2; [ \"$1\" = cleanup ]",
    ));
    let mut running = world.start(options);
    let problem = running.problem().await;
    for part in ["hook` failed with exit status: 1: no such zone", "present"] {
        assert!(problem.contains(part), "{problem}");
    }
    running.stop().await;
    let calls = fs::read_to_string(world.folder.path().join("calls")).unwrap();
    assert!(calls.contains("cleanup _acme-challenge.receiver.example.com "));
}

/// The CA asks the name servers itself: a program that only says that it worked is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_there_is_refused_by_the_ca() {
    let Some(world) = World::new().await else {
        return;
    };
    let path = hook(&world, "true");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let mut options = world.options(&[NAME]);
    options.dns_hook = Some(path);
    let mut running = world.start(options);
    let problem = running.problem().await;
    let part = "could not validate `receiver.example.com` (dns-01)";
    assert!(problem.contains(part), "{problem}");
    running.stop().await;
}
