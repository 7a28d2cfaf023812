//! Each failure has one clear message, the right exit code, and shows no secret.

use std::fs;

use super::fake::{Fault, SECRET_KEY};
use super::{World, contains, without_secrets};
use crate::support::host::CODE_CACHE;
use crate::support::program::Program;

/// Runs `status`, which must end with this code and one line of error.
#[track_caller]
fn fails(world: &World, code: i32, parts: &[&str]) {
    let ended = world.run("status").expect(code);
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    contains(&ended.stderr, parts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused() {
    let world = World::new().await;
    fs::write(world.path("secret_key"), "another-secret-key").unwrap();
    fails(&world, 1, &["401", "check the access key and its secret"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_named() {
    let world = World::new().await;
    world.fake.state().clock_offset_ms = 60 * 60 * 1000;
    fails(
        &world,
        1,
        &[
            "the clock of this machine is 60 minutes behind",
            "Set the clock",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_platform_is_named() {
    let world = World::new().await;
    let ended = world
        .run("status --platform-url http://127.0.0.1:1")
        .expect(3);
    contains(
        &ended.stderr,
        &["no connection to `127.0.0.1:1`", "Check the network"],
    );
    let task = world.run("task list --platform-url https://nowhere.invalid");
    contains(
        &task.expect(3).stderr,
        &["the host `nowhere.invalid` is unknown"],
    );
    world.fake.state().limit = Some((0, Fault::CutBefore));
    fails(&world, 3, &["no connection to"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_instead_of_an_answer_is_named() {
    let world = World::new().await;
    world.fake.fail([Fault::Html(200)]);
    fails(
        &world,
        1,
        &["answered 200 with `text/html", "a proxy or a login page"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_repeats_the_request_shows_no_secret() {
    let world = World::new().await;
    world.fake.fail([Fault::Echo]);
    fails(&world, 1, &["400 IOTDA.000006"]);
    // The call that creates the action contains the token and the path secret.
    world.run("setup").expect(2);
    let seen = world.fake.take_seen().len();
    world.fake.state().limit = Some((seen + 2, Fault::Echo));
    let ended = world.run("setup --yes").expect(1);
    contains(
        &ended.stderr,
        &["run the same command again to do the rest", "IOTDA.000006"],
    );
    let seen = world.fake.take_seen().len();
    assert!(seen > 0);
    world.fake.state().limit = Some((0, Fault::CutBefore));
    let cut = world.run("setup --yes").expect(3);
    contains(&cut.stderr, &["no connection to"]);
    world.fake.state().limit = None;
    let rest = world.run("setup --yes").expect(0);
    contains(&rest.stdout, &["done: activate the rule"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_missing_option_is_named_at_once() {
    let ended = Program::new(["platform", "status"]).run().expect(2);
    contains(
        &ended.stderr,
        &[
            "`platform.region` is missing: set it in the file, by the variable \
             `BATCHTASK_PLATFORM_REGION`, or by the flag `--platform-region` of `batchtask platform`",
            "`platform.project_id` is missing",
            "`platform.access_key` is missing",
            "`platform.secret_key` is missing: set it in the file, by the variable \
             `BATCHTASK_PLATFORM_SECRET_KEY`\n",
            "`url` is missing",
        ],
    );
    let flags = ["--platform-region", "Mars", "--platform-edition", "gold"];
    let wrong = Program::new(["platform", "task", "list"].into_iter().chain(flags));
    let wrong = wrong.variable(("BATCHTASK_PLATFORM_PROXY", "https://u:hush@h"));
    let ended = wrong.run().expect(2);
    contains(
        &ended.stderr,
        &[
            "`--platform-edition` must be `basic`",
            "`BATCHTASK_PLATFORM_PROXY` must be",
        ],
    );
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
}

/// A fault of the rule's name or of the queue is reported once.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_rule_is_reported_once() {
    let world = World::new().await;
    let long = "x".repeat(257);
    for (flag, value) in [
        ("rule-name", &*long),
        ("queue", "short"),
        ("server-name", "ä"),
    ] {
        let ended = world
            .run(&format!("status --platform-{flag} {value}"))
            .expect(2);
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
        contains(&ended.stderr, &[&format!("`--platform-{flag}`")]);
    }
}

#[test]
fn a_secret_has_no_flag_and_is_not_shown_by_check() {
    for name in ["secret-key", "security-token", "password", "proxy"] {
        let flag = format!("--platform-{name}=0123456789abcdef");
        Program::new(["platform", "task", "list", &flag])
            .run()
            .expect(2);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut check = Program::new(["check", "--admin", "off", "--cache-dir", CODE_CACHE]);
    for (name, value) in [
        ("REGION", "cn-north-4"),
        ("URL", "http://127.0.0.1:1"),
        ("IAM_URL", "http://127.0.0.1:1"),
        ("PROJECT_ID", "p1"),
        ("ACCESS_KEY", "AK1"),
        ("SECRET_KEY", SECRET_KEY),
    ] {
        check = check.variable((&format!("BATCHTASK_PLATFORM_{name}"), value));
    }
    let checked = without_secrets(check.in_folder(folder.path()).run()).expect(0);
    contains(
        &checked.stdout,
        &[
            "platform.region: `cn-north-4` (variable)",
            "platform.secret_key: not shown",
        ],
    );
}

/// A user's password instead of an access key.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_as_good_as_a_key() {
    let world = World::new().await;
    let path = world.path("batchtask.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.contains("_key = "));
    let lines: Vec<&str> = lines.collect();
    let url = world.fake.url();
    let text = format!(
        "{}\nuser = 'user'\ndomain = 'tenant'\niam_url = '{url}'\n",
        lines.join("\n")
    );
    fs::write(&path, text.replace("tls_cert", "# tls_cert")).unwrap();
    let run = |password| {
        let password = ("BATCHTASK_PLATFORM_PASSWORD", password);
        without_secrets(world.command("task list").variable(password).run())
    };
    run(super::fake::PASSWORD).expect(0);
    contains(
        &run("wrong").expect(1).stderr,
        &["cannot get a token from IAM", "401"],
    );
    let both = world
        .command("task list")
        .variable(("BATCHTASK_PLATFORM_ACCESS_KEY", "AK"));
    contains(
        &both.run().expect(2).stderr,
        &["beside an access key: use only one of both"],
    );
}
