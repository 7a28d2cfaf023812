//! A bad setting stops the start, by name.

use crate::support::EXAMPLE;
use crate::support::host::Setup;

/// Starts the host without its arguments, so that variables count instead.
const ARGUMENTS_DROPPED: [&str; 4] = ["sh", "-c", r#"exec "$1" serve --admin off"#, "sh"];

#[test]
fn a_bad_setting_stops_the_start_and_is_named() {
    for (name, value, says) in [
        ("BATCHTASK_UNPROCESSABLE", "maybe", "found `maybe`"),
        ("BATCHTASK_MAX_BODY_BYTES", "12 kB", "found `12 kB`"),
        ("BATCHTASK_MAX_BODY_BYTES", "1", "from 1024"),
        ("BATCHTASK_SIGNATURE", "yes", "found `yes`"),
        ("BATCHTASK_SIGNATURE", "enforce", "`BATCHTASK_TOKEN`"),
        ("BATCHTASK_READ_TOKEN", "short", "not shown"),
        ("BATCHTASK_PATH_SECRET", "a/b/c/d/e/f/g/h/i/j", "not shown"),
        ("BATCHTASK_INSTANCE_REUSE", "0", "from 1"),
        ("BATCHTASK_MAX_IN_FLIGHT", "0", "from 1"),
        ("BATCHTASK_REQUEST_SECONDS", "0", "from 1"),
        ("BATCHTASK_LOG_FORMAT", "xml", "`text` or `json`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).variable((name, value));
        let (code, said) = setup.fail();
        assert_eq!(code, Some(2), "{name}={value}");
        assert!(said.contains(says), "{name}={value}: {said}");
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn every_bad_setting_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path())
        .variable(("BATCHTASK_UNPROCESSABLE", "maybe"))
        .variable(("BATCHTASK_MAX_BODY_BYTES", "much"));
    let (_, said) = setup.fail();
    for name in ["BATCHTASK_UNPROCESSABLE", "BATCHTASK_MAX_BODY_BYTES"] {
        assert!(said.contains(name), "{said}");
    }
}

/// Settings of earlier versions, and misspelt ones.
#[tokio::test]
async fn an_unknown_setting_is_named_and_ignored() {
    let names = [
        "BATCHTASK_SIGNATURE_DIGEST",
        "BATCHTASK_NONCE_HEADER",
        "BATCHTASK_TOKENS",
    ];
    let folder = tempfile::tempdir().unwrap();
    let setup = names
        .iter()
        .fold(Setup::in_folder(folder.path()), |setup, name| {
            setup.variable((*name, "hush-hush-hush"))
        });
    let host = setup.start();
    for name in names {
        let expected = format!("unknown setting `{name}` (ignored)");
        host.says(|line| line.contains(&expected)).await;
    }
    assert!(!host.said().contains("hush"), "{}", host.said());
    host.client().post(EXAMPLE).await.expect(200, "recorded");
}

/// Without it only the start takes longer.
#[tokio::test]
async fn a_cache_folder_that_cannot_be_made_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let journal = format!("sqlite:{}", setup.journal().display());
    let setup = setup
        .variable(("BATCHTASK_LISTEN", "127.0.0.1:0"))
        .variable(("BATCHTASK_JOURNAL", &journal))
        .variable(("BATCHTASK_CACHE_DIR", "/dev/null/cache"));
    let host = setup.under(ARGUMENTS_DROPPED).start();
    host.says(|line| line.contains("compiled code is not cached"))
        .await;
    host.client().post(EXAMPLE).await.expect(200, "recorded");
}

#[test]
fn an_address_that_cannot_be_had_stops_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, expected) in [("nowhere", 2), ("nowhere.invalid:0", 1), (&taken, 1)] {
        let setup = Setup::in_folder(folder.path()).variable(("BATCHTASK_LISTEN", address));
        let (code, said) = setup.under(ARGUMENTS_DROPPED).fail();
        assert_eq!(code, Some(expected), "{said}");
        assert!(said.contains(&format!("`{address}`")), "{said}");
    }
}

#[test]
fn a_journal_that_is_no_sqlite_url_stops_the_start() {
    for journal in ["batchtask.db", "sqlite:", "mysql://localhost"] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).variable(("BATCHTASK_JOURNAL", journal));
        let setup = setup.variable(("BATCHTASK_LISTEN", "127.0.0.1:0"));
        let (code, said) = setup.under(ARGUMENTS_DROPPED).fail();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("`sqlite:PATH`"), "{said}");
    }
}

#[test]
fn a_component_that_cannot_be_run_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).argument("--component");
    let missing = folder.path().join("missing.wasm");
    let (code, said) = setup.clone().argument(&missing).fail();
    assert_eq!(code, Some(1));
    assert!(said.contains("missing.wasm"), "{said}");

    let empty = folder.path().join("empty.wasm");
    std::fs::write(&empty, b"\0asm\x0d\0\x01\0").unwrap();
    let (code, said) = setup.argument(&empty).fail();
    assert_eq!(code, Some(1));
    assert!(said.contains("wasi:http/incoming-handler"), "{said}");
}
