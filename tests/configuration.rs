//! The configuration: its file, `batchtask check`, and SIGHUP.

mod broken;
mod equal;
mod reload;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::EXAMPLE_TASK;
use crate::support::host::{CODE_CACHE, READ_TOKEN, Setup};
use crate::support::program::Program;

/// Writes a configuration file.
fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("batchtask.toml");
    fs::write(&path, text).unwrap();
    path
}

/// `batchtask check` with this file, in its folder.
fn check(path: &Path) -> Program {
    let path = path.to_str().unwrap();
    Program::new(["check", "--cache-dir", CODE_CACHE, "--config", path])
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(
        folder.path(),
        "max_reads = 1\nmax_in_flight = 1\nkeep_days = 2\nlisten = '127.0.0.1:0'\nadmin = 'off'\n",
    );
    let journal = format!("sqlite:{}", folder.path().join("b.db").display());
    let checked = check(&path)
        .argument("--max-reads")
        .argument("3")
        .variable(("BATCHTASK_MAX_READS", "2"))
        .variable(("BATCHTASK_MAX_IN_FLIGHT", "2"))
        .variable(("BATCHTASK_KEEP_DAYS", ""))
        .variable(("BATCHTASK_JOURNAL", &journal))
        .run()
        .expect(0);
    for line in [
        "max_reads: `3` (flag)".to_owned(),
        "max_in_flight: `2` (variable)".to_owned(),
        format!("keep_days: `2` ({}:3)", path.display()),
        "the configuration is valid".to_owned(),
    ] {
        assert!(checked.stdout.contains(&line), "{}", checked.stdout);
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "admin = 'off'\n");
    let mut program = check(&path).in_folder(folder.path());
    for name in [
        "LISTEN",
        "MAX_READS",
        "TLS_CERT",
        "TOKEN",
        "SIGNATURE",
        "TAKEOVER",
    ] {
        program = program.variable((&format!("BATCHTASK_{name}"), ""));
    }
    program.run().expect(0);
    let empty = Program::new(["check", "--admin", "off", "--cache-dir", CODE_CACHE]);
    let empty = empty.in_folder(folder.path());
    empty.variable(("BATCHTASK_CONFIG", "")).run().expect(0);
}

#[test]
fn check_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "admin = 'off'\nlisten = '127.0.0.1:0'\n");
    check(&path).in_folder(folder.path()).run().expect(0);
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["batchtask.toml"]);
}

#[tokio::test]
async fn check_accepts_the_configuration_of_a_running_host() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let text = format!(
        "listen = '{}'\nadmin = 'off'\njournal = 'sqlite:{}'\n",
        host.address(),
        host.setup().journal().display()
    );
    check(&write(folder.path(), &text)).run().expect(0);
    host.client()
        .post(crate::support::EXAMPLE)
        .await
        .expect(200, "recorded");
    host.stop();
}

/// The commands find the URL, the tokens and the journal in the same file.
#[tokio::test]
async fn one_file_serves_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("read_token");
    fs::write(&secret, format!("{READ_TOKEN}\n")).unwrap();
    let text = |listen: &str, url: &str| {
        format!(
            "listen = '{listen}'\nadmin = 'off'\nurl = '{url}'\n\
             read_token = [{{ file = '{}' }}, 'the-former-token-of-readers']\n\
             path_secret = ['new-secret-0123456789', 'old-secret-0123456789']\n\
             token = ['NewToken1', 'OldToken1']\nsignature = 'enforce'\n",
            secret.display(),
        )
    };
    let path = write(folder.path(), &text("127.0.0.1:0", "http://127.0.0.1:1"));
    let host = Setup::in_folder(folder.path())
        .without_read_token()
        .argument("--config")
        .argument(&path)
        .start();
    let url = format!("http://{}", host.address());
    let path = write(folder.path(), &text("127.0.0.1:0", &url));
    let path = path.to_str().unwrap();
    let run = |line: &str| {
        let line = line.split(' ').chain(["--config", path]);
        Program::new(line).in_folder(folder.path()).run()
    };
    run("send").expect(0);
    let tasks = run("tasks --json").expect(0);
    assert_eq!(tasks.json_lines().len(), 1);
    let former = Program::new(["tasks", "--url", &url]);
    former
        .variable(("BATCHTASK_READ_TOKEN", "the-former-token-of-readers"))
        .run()
        .expect(0);
    let mut client = host.client();
    client.get(EXAMPLE_TASK).await.expect(200, "read");
    for secret in ["new-secret-0123456789", "old-secret-0123456789"] {
        let target = format!("/notifications/{secret}");
        // The path exists; the signature is missing.
        let answer = client.request("POST", &target, &[], b"{}").await;
        answer.expect(401, "unauthorized");
    }
    let answer = client.request("POST", "/notifications/other-secret-01234", &[], b"{}");
    answer.await.expect(404, "not-found");
    host.stop();
}

#[test]
fn a_secret_has_no_flag() {
    for flag in ["--path-secret", "--token", "--read-token"] {
        Program::new(["serve", flag, "0123456789abcdef"])
            .run()
            .expect(2);
    }
    let help = Program::new(["serve", "--help"]).run().expect(0);
    assert!(!help.stdout.contains("--path-secret"), "{}", help.stdout);
    let help = Program::new(["--help"]).run().expect(0);
    for name in [
        "BATCHTASK_READ_TOKEN",
        "BATCHTASK_PATH_SECRET",
        "BATCHTASK_TOKEN",
    ] {
        assert!(help.stdout.contains(name), "{}", help.stdout);
    }
}
