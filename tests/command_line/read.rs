//! `batchtask tasks` and `batchtask task`

use super::{NOWHERE, run};
use crate::support::host::{QUIET, Setup};
use crate::support::program::Program;

const EXAMPLE_NAMES: &str = "1a7ffc5c-d89c-44dd-8265-b1653d951ce0 1a7ffc5c-d89c-44dd-8265";

#[test]
fn a_task_is_listed_and_shown_with_its_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let address = host.address();
    run(address, "send").expect(0);

    let listed = run(address, "tasks").expect(0);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", listed.stdout);
    assert!(lines[0].starts_with("STATUS    APP  "), "{}", lines[0]);
    assert!(lines[1].starts_with("Waitting  1a7ffc5c-d89c-44dd-8265-b1653d951ce0  "));
    assert!(lines[1].contains("  2015-12-12T12:12:12.000Z  1"));

    let shown = run(address, &format!("task {EXAMPLE_NAMES}")).expect(0);
    assert!(
        shown.stdout.contains("status        Waitting (open)\n"),
        "{}",
        shown.stdout
    );
    let [.., heading, row] = shown.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{}", shown.stdout);
    };
    assert!(heading.starts_with("OCCURRED "), "{heading}");
    assert!(row.starts_with("2015-12-12T12:12:12.000Z  20"), "{row}");

    let json = run(address, &format!("task {EXAMPLE_NAMES} --json"))
        .expect(0)
        .json();
    assert_eq!(json["task"]["class"], "open");
    assert_eq!(json["events"][0]["event_time"], "20151212T121212Z");

    let ended = run(address, "task no such").expect(1);
    assert!(ended.stderr.contains("404 not-found"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn filters_orders_and_limits_are_those_of_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let address = host.address();
    run(
        address,
        "send --scenario success --tasks 600 --concurrency 16 --app-id one",
    )
    .expect(0);
    run(
        address,
        "send --scenario fail --tasks 2 --app-id two --task-type firmwareUpgrade",
    )
    .expect(0);
    run(
        address,
        "send --app-id t&hree --status Processing --event-time-ms 2020-01-01",
    )
    .expect(0);

    let count = |options: &str| {
        let tasks = run(address, &format!("tasks --json {options}")).expect(0);
        tasks.json_lines().len()
    };
    assert_eq!(count("--limit 7"), 7);
    assert_eq!(count("--limit 550"), 550, "more than a page");
    assert_eq!(count("--limit 5000"), 603);
    assert_eq!(count("--all"), 603);
    assert_eq!(count("--all --status Success"), 600);
    assert_eq!(count("--class retryable"), 2);
    assert_eq!(count("--task-type firmwareUpgrade"), 2);
    assert_eq!(count("--app-id t&hree"), 1);
    assert_eq!(
        count("--q hre --since 2019-12-31 --until 2020-01-01T00:00:01Z"),
        1
    );
    assert_eq!(count("--until 2020-01-01"), 0);
    let oldest = run(address, "tasks --json --order oldest --limit 1").expect(0);
    assert_eq!(oldest.json()["app_id"], "t&hree");

    let some = run(address, "tasks --limit 2").expect(0);
    assert!(some.stderr.contains("there are more"), "{}", some.stderr);
    let all = run(address, "tasks --all").expect(0);
    assert_eq!((all.stdout.lines().count(), all.stderr.as_str()), (604, ""));
}

#[test]
fn hostile_texts_are_escaped_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let address = host.address();
    let hostile = "\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{202e}exe";
    let line = [
        "send",
        "--app-id",
        "a",
        "--task-id",
        hostile,
        "--status-desc",
        hostile,
    ];
    Program::new(line).at(address).run().expect(0);
    let texts = [
        run(address, "tasks"),
        Program::new(["task", "a", hostile]).at(address).run(),
    ];
    for text in texts {
        let text = text.expect(0).stdout;
        assert!(
            text.contains(r"\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{202e}exe"),
            "{text}"
        );
        let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(text.chars().all(is_plain), "{text:?}");
    }
}

#[test]
fn a_wrong_token_and_an_unreachable_receiver_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let url = format!("http://{}", host.address());
    for command in ["tasks", "task a t", "tail", "export events --format csv"] {
        let with = |url: &str, token: &str| {
            let line = command.split(' ').chain(["--url", url]);
            Program::new(line)
                .variable(("BATCHTASK_READ_TOKEN", token))
                .run()
        };
        let refused = with(&url, "wrong-token-wrong-token").expect(1);
        assert!(
            refused.stderr.contains("401 unauthorized"),
            "{}",
            refused.stderr
        );
        assert!(
            !refused.stderr.contains("wrong-token"),
            "{}",
            refused.stderr
        );
        let nobody = with(&format!("http://{NOWHERE}"), "any").expect(3);
        assert!(nobody.stderr.contains("cannot reach"), "{}", nobody.stderr);
        let unnamed = Program::new(command.split(' ')).run().expect(2);
        assert!(
            unnamed.stderr.contains("BATCHTASK_READ_TOKEN"),
            "{}",
            unnamed.stderr
        );
    }
}
