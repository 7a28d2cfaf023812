//! `batchtask send`

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::{NOWHERE, run};
use crate::support::EXAMPLE;
use crate::support::host::{QUIET, READ_TOKEN, Setup};
use crate::support::program::{Ended, Program};

#[test]
fn the_sample_is_sent_as_often_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let once = run(host.address(), "send").expect(0);
    assert!(
        once.stdout.contains("recorded  200     1\n"),
        "{}",
        once.stdout
    );
    let again = run(host.address(), "send --count 3 --json")
        .expect(0)
        .json();
    assert_eq!(again["sent"], 3);
    let duplicates = json!([{"outcome": "duplicate", "status": 200, "count": 3, "detail": null}]);
    assert_eq!(again["outcomes"], duplicates);
    let events = run(host.address(), "export events --format jsonl").expect(0);
    let [event]: [Value; 1] = events.json_lines().try_into().unwrap();
    assert_eq!(event["body"], EXAMPLE, "byte for byte");
    assert_eq!(event["duplicates"], 3);
}

#[test]
fn fields_and_files_are_sent_as_given() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let address = host.address();
    run(address, "send --app-id a/b --task-id 7 --status Success --status-desc done --event-time-ms 2026-01-31T12:00:00Z").expect(0);
    let task = run(address, "task a/b 7 --json").expect(0).json();
    assert_eq!(task["task"]["status"], "Success");
    assert_eq!(task["task"]["status_desc"], "done");
    assert_eq!(task["task"]["occurred_at"], "2026-01-31T12:00:00.000Z");

    let file = folder.path().join("push.json");
    fs::write(&file, EXAMPLE).unwrap();
    let line = ["send".as_ref(), "--file".as_ref(), file.as_os_str()];
    Program::new(line).at(address).run().expect(0);
    let from_stdin = Program::new(["send", "--file", "-"]).at(address);
    let ended = from_stdin.run_with_input(EXAMPLE.as_bytes()).expect(0);
    assert!(ended.stdout.contains("duplicate"), "{}", ended.stdout);
}

#[test]
fn a_body_that_is_too_long_is_a_refusal_and_not_a_broken_connection() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let sent = Program::new(["send", "--file", "-"]).at(host.address());
    let ended = sent.run_with_input(&vec![b' '; 4 << 20]).expect(1);
    assert!(
        ended.stdout.contains("body-too-large  413"),
        "{}",
        ended.stdout
    );
}

/// As after a return to an earlier version, whose journal lacks what came later.
#[test]
fn an_export_is_sent_to_another_receiver() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = Setup::in_folder(from.path()).start();
    let to = Setup::in_folder(to.path()).start();
    run(from.address(), "send --scenario life --tasks 30 --seed 7").expect(0);
    let exported = |of| run(of, "export events --format jsonl").expect(0);
    let events = exported(from.address());
    let send = || {
        let send = Program::new(["send", "--events", "-", "--json"]).at(to.address());
        send.run_with_input(events.stdout.as_bytes())
            .expect(0)
            .json()
    };
    let sent = send();
    let count = events.json_lines().len();
    assert_eq!(sent["sent"], count, "{sent}");
    assert_eq!(send()["outcomes"][0]["outcome"], "duplicate");
    let bodies = |events: Ended| -> Vec<Value> {
        let lines = events.json_lines().into_iter();
        lines.map(|event| event["body"].clone()).collect()
    };
    assert_eq!(bodies(exported(to.address())), bodies(events));
    for (input, reason) in [("{}", "line 1 is not an event"), ("", "no notification")] {
        let send = Program::new(["send", "--events", "-"]).at(to.address());
        let ended = send.run_with_input(input.as_bytes()).expect(1);
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
}

#[test]
fn what_is_refused_is_told_once_and_is_an_exit_code_of_1() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let sent = Program::new(["send", "--file", "-", "--count", "3"]).at(host.address());
    let ended = sent
        .run_with_input(b"{\"resource\":\"batchtask\"}")
        .expect(1);
    assert_eq!(
        ended
            .stdout
            .matches("not-a-notification  422     3")
            .count(),
        1
    );
    assert_eq!(
        ended.stdout.matches("/notify_data").count(),
        1,
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("3 of 3 notifications were refused"),
        "{}",
        ended.stderr
    );
}

#[test]
fn lives_with_duplicates_and_disorder_end_as_they_must() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let line = "send --scenario life --tasks 200 --duplicates 25 --disorder --seed 7 --concurrency 8 --app-id mine --json";
    let report = run(host.address(), line).expect(0).json();
    let counts: BTreeMap<&str, u64> = report["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["outcome"].as_str().unwrap(),
                row["count"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(counts.len(), 2, "{report}");
    assert_eq!(counts["duplicate"], counts["recorded"] / 4);
    assert_eq!(report["seed"], 7);

    let tasks = run(host.address(), "tasks --all --json --app-id mine")
        .expect(0)
        .json_lines();
    assert_eq!(tasks.len(), 200);
    let sum = |member| {
        tasks
            .iter()
            .filter_map(|task| task[member].as_u64())
            .sum::<u64>()
    };
    assert_eq!(sum("events"), counts["recorded"]);
    assert_eq!(sum("duplicates"), counts["duplicate"]);
    let mut ends = BTreeMap::<&str, u64>::new();
    for task in &tasks {
        *ends.entry(task["status"].as_str().unwrap()).or_default() += 1;
        let flags = &task["flags"];
        assert!(
            flags == &json!([]) || flags == &json!(["reopened"]),
            "{task}"
        );
    }
    assert_eq!(json!(ends), report["tasks"]);
}

#[test]
fn a_push_is_signed_with_the_token_of_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path())
        .variable(("BATCHTASK_TOKEN", "Secret7"))
        .variable(("BATCHTASK_SIGNATURE", "enforce"))
        .start();
    let path = folder.path().join("batchtask.toml");
    fs::write(&path, "token = 'Secret7'\n").unwrap();
    let path = path.to_str().unwrap();
    let signed = Program::new(["send", "--count", "5", "--config", path]);
    signed.at(host.address()).run().expect(0);

    let ended = run(host.address(), "send").expect(1);
    assert!(
        ended.stdout.contains("unauthorized  401"),
        "{}",
        ended.stdout
    );
    let wrong = Program::new(["send"]).at(host.address());
    wrong
        .variable(("BATCHTASK_TOKEN", "Other7"))
        .run()
        .expect(1);
}

#[test]
fn a_path_secret_is_part_of_the_url_and_is_not_told() {
    const SECRET: &str = "open-sesame-open-sesame";
    let folder = tempfile::tempdir().unwrap();
    let variable = ("BATCHTASK_PATH_SECRET", SECRET);
    let host = Setup::in_folder(folder.path()).variable(variable).start();
    let send = |secret| {
        let send = Program::new(["send"]).at(host.address());
        send.variable(("BATCHTASK_PATH_SECRET", secret)).run()
    };
    send(SECRET).expect(0);
    let wrong = "close-sesame-close-sesame";
    let ended = send(wrong).expect(1);
    assert!(ended.stdout.contains("not-found"), "{}", ended.stdout);
    assert!(!format!("{ended:?}").contains(wrong), "{ended:?}");
}

#[test]
fn https_needs_an_authority_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().to_str().unwrap();
    let line = ["tls", "self-signed", certificates, "--host", "127.0.0.1"];
    Program::new(line).run().expect(0);
    let mut setup = Setup::in_folder(folder.path());
    for (option, file) in [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")] {
        setup = setup.argument(option).argument(folder.path().join(file));
    }
    let host = setup.start();
    let url = format!("https://{}", host.address());
    let authority = format!("{certificates}/ca.pem");
    let known = |command| Program::new([command, "--url", &url, "--ca", &authority]);
    known("send").run().expect(0);
    let tasks = known("tasks").variable(("BATCHTASK_READ_TOKEN", READ_TOKEN));
    assert!(tasks.run().expect(0).stdout.contains("Waitting"));

    // Another authority than the one that signed.
    let other = tempfile::tempdir().unwrap();
    let certificates = other.path().to_str().unwrap();
    let line = ["tls", "self-signed", certificates, "--host", "127.0.0.1"];
    Program::new(line).run().expect(0);
    let authority = format!("{certificates}/ca.pem");
    let ended = Program::new(["send", "--url", &url, "--ca", &authority]).run();
    let ended = ended.expect(3);
    assert!(ended.stderr.contains("certificate"), "{}", ended.stderr);
}

#[test]
fn a_rate_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let line = "send --count 21 --rate 50 --concurrency 4 --json";
    let report = run(host.address(), line).expect(0).json();
    let seconds = report["seconds"].as_f64().unwrap();
    assert!(seconds >= 0.4, "20 pauses of 20 ms: {seconds}");
    let (p50, p99) = (&report["latency_ms"]["p50"], &report["latency_ms"]["p99"]);
    assert!(
        p50.as_f64() > Some(0.0) && p50.as_f64() <= p99.as_f64(),
        "{report}"
    );
}

#[test]
fn nobody_there_is_an_exit_code_of_3_at_once() {
    let address = NOWHERE.parse().unwrap();
    let ended = run(address, "send --count 1000").expect(3);
    assert!(
        ended
            .stderr
            .contains("1 of 1 notifications were not answered"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_line_that_makes_no_sense_is_an_exit_code_of_2() {
    let address = NOWHERE.parse().unwrap();
    for line in [
        "send --file x --scenario life",
        "send --file x --status Fail",
        "send --scenario life --count 2",
        "send --scenario life --task-id x",
        "send --tasks 2",
        "send --scenario life --duplicates 101",
        "send --rate 0",
        "send --count 0",
        "send --event-time-ms now",
        "send --url ftp://host",
    ] {
        run(address, line).expect(2);
    }
}
