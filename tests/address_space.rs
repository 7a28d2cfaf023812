//! The host starts with little address space, reserves little of it, and reports when a
//! lack of address space makes it slower.

use serde_json::Value;

use crate::support::EXAMPLE;
use crate::support::host::{Host, Setup};

/// How much address space a host may reserve on any number of cores, in KiB.
const RESERVED_KIB: u64 = 256 << 20;

/// Limits the address space of a host to this many KiB.
fn limited(setup: Setup, kib: &str) -> Setup {
    let limit = format!("ulimit -v {kib}; exec \"$@\"");
    setup.under(["sh", "-c", &limit, "sh"])
}

/// Returns the notice about the address space. It must be in the summary and in the
/// log, or in neither. The host must answer.
async fn notice(host: &Host) -> Option<String> {
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    let summary = client.read("/summary").await;
    let notices = summary["notices"].as_array().expect("a list");
    let found = notices
        .iter()
        .find(|notice| notice["name"] == "address-space");
    let text = found.map(|notice| {
        assert!(notice["since"].is_string(), "{notice}");
        notice["text"].as_str().expect("a text").to_owned()
    });
    let said = host.said();
    match &text {
        Some(text) => assert!(said.contains(&**text), "{text}: {said}"),
        None => {
            assert_eq!(summary["notices"], Value::Array(Vec::new()));
            assert!(!said.contains("address space"), "{said}");
        }
    }
    text
}

#[tokio::test]
async fn a_host_reserves_little() {
    for reuse in ["1", "1000"] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path());
        let host = setup.argument("--instance-reuse").argument(reuse).start();
        assert_eq!(notice(&host).await, None);
        let reserved_kib = host.peak_address_space_kib();
        eprintln!("reuse {reuse}: {} GiB reserved", reserved_kib >> 20);
        assert!(reserved_kib < RESERVED_KIB, "reuse {reuse}: {reserved_kib}");
    }
}

/// 64 GiB are enough for fresh instances, but not for guard pages.
#[tokio::test]
async fn a_host_without_room_for_guard_pages_checks_bounds_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let setup = limited(Setup::in_folder(folder.path()), "67108864");
    let host = setup
        .clone()
        .argument("--instance-reuse")
        .argument("1")
        .start();
    assert_eq!(notice(&host).await, None, "no fallback was needed");
    host.stop();
    let journal = folder.path().join("another.db");
    let setup = setup.with_journal(journal);
    let host = setup.argument("--instance-reuse").argument("1000").start();
    let text = notice(&host).await.expect("a notice");
    assert!(text.contains("runs with bounds checks and "), "{text}");
    assert!(text.contains(" instead of guard pages and "), "{text}");
    assert!(text.contains("raise `ulimit -v`"), "{text}");
}

/// With 8 GiB, there is no room for all instances of up to 1 GiB each.
#[tokio::test]
async fn a_host_without_room_for_its_instances_has_fewer_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let setup = setup.argument("--instance-memory-mib").argument("1024");
    let host = limited(setup, "8388608").start();
    let text = notice(&host).await.expect("a notice");
    // `… runs with bounds checks and 6 instances instead of bounds checks and 40; …`
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<u32> = numbers.filter_map(|number| number.parse().ok()).collect();
    let [fewer, wanted] = numbers.as_slice() else {
        panic!("two numbers: {text}");
    };
    assert!(0 < *fewer && fewer < wanted, "{text}");
}

/// With the default settings, the host starts, with or without fewer instances.
#[tokio::test]
async fn a_host_starts_in_little_address_space() {
    for kib in ["8388608", "3145728"] {
        let folder = tempfile::tempdir().unwrap();
        let host = limited(Setup::in_folder(folder.path()), kib).start();
        let notice = notice(&host).await;
        eprintln!("{kib} KiB: {notice:?}");
    }
}
