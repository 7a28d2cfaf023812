//! `batchtask export`

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::run;
use crate::support::host::{QUIET, Setup};
use crate::support::program::Program;

/// Texts, each with its content of a cell.
const HOSTILE: [(&str, &str); 12] = [
    ("plain", "plain"),
    ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1", "'\t=1"),
    ("\r=1", "'\r=1"),
    ("\n=1", "'\n=1"),
    ("a\"b,c;d\r\ne", "a\"b,c;d\r\ne"),
    ("\u{1b}[2J\u{1}\u{7f}\u{85}", "\u{1b}[2J\u{1}\u{7f}\u{85}"),
    ("\u{202e}שלום مرحبا", "\u{202e}שלום مرحبا"),
    ("👩‍🚀 升级 é", "👩‍🚀 升级 é"),
];

#[test]
fn hostile_texts_survive_csv_and_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let address = host.address();
    for (text, _) in HOSTILE {
        // With `=`, a text that begins with `-` is not read as an option.
        let (task, status) = (format!("--task-id={text}"), format!("--status-desc={text}"));
        Program::new(["send", &task, &status])
            .at(address)
            .run()
            .expect(0);
    }
    let originals: BTreeSet<String> = HOSTILE.map(|(text, _)| text.to_owned()).into();
    let cells: BTreeSet<String> = HOSTILE.map(|(_, cell)| cell.to_owned()).into();
    for what in ["tasks", "events"] {
        let exported = run(address, &format!("export {what} --format csv")).expect(0);
        let mut csv = csv::Reader::from_reader(exported.stdout.as_bytes());
        let headings = csv.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
        let lines = run(address, &format!("export {what} --format jsonl"))
            .expect(0)
            .json_lines();
        for column in ["task_id", "status_desc"] {
            let at = headings
                .iter()
                .position(|heading| heading == column)
                .unwrap();
            let found: BTreeSet<String> = rows.iter().map(|row| row[at].to_owned()).collect();
            assert_eq!(found, cells, "{what}");
            // Nothing raw could control a terminal.
            let raw = run(address, &format!("export {what} --format jsonl")).stdout;
            assert!(!raw.contains(['\u{202e}', '\u{85}', '\u{7f}']), "{raw}");
            let text = |line: &Value| line[column].as_str().unwrap().to_owned();
            assert_eq!(
                lines.iter().map(text).collect::<BTreeSet<_>>(),
                originals,
                "{what}"
            );
        }
        // RFC 4180: every row ends with CRLF, and quotes are doubled.
        assert!(exported.stdout.ends_with("\r\n"));
        assert!(
            exported
                .stdout
                .contains("\"'=HYPERLINK(\"\"http://x\"\")\"")
        );
    }
}

#[test]
fn a_file_is_replaced_only_by_a_complete_one() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let address = host.address();
    run(address, "send").expect(0);
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("tasks.csv");
    fs::write(&file, "yesterday").unwrap();
    let export = |token: &str, options: &[&str]| {
        Program::new(["export", "tasks", "--format", "csv", "--output"])
            .argument(&file)
            .argument_each(options)
            .at(address)
            .variable(("BATCHTASK_READ_TOKEN", token))
            .run()
    };
    export("wrongToken0123456789abcdefghijkl", &[]).expect(1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "yesterday");
    export(crate::support::host::READ_TOKEN, &["--bom"]).expect(0);
    let exported = fs::read_to_string(&file).unwrap();
    assert!(exported.starts_with("\u{feff}app_id,"), "{exported}");
    assert_eq!(fs::read_dir(files.path()).unwrap().count(), 1);
}

#[test]
fn an_export_has_everything_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let address = host.address();
    let line = "send --scenario life --tasks 600 --concurrency 16 --app-id mine --json";
    let sent = run(address, line).expect(0).json()["sent"]
        .as_u64()
        .unwrap();
    run(address, "send").expect(0);

    let file = folder.path().join("events.csv");
    let line = ["export", "events", "--format", "csv", "--output"].map(AsRef::as_ref);
    let exported = Program::new(line.into_iter().chain([file.as_os_str()]))
        .at(address)
        .run();
    assert_eq!(exported.expect(0).stdout, "");
    let mut csv = csv::Reader::from_reader(fs::File::open(&file).unwrap());
    let mut seqs: Vec<u64> = Vec::new();
    for row in csv.records() {
        let row = row.unwrap();
        seqs.push(row[0].parse().unwrap());
        assert!(
            serde_json::from_str::<Value>(&row[row.len() - 1]).is_ok(),
            "a body"
        );
    }
    assert_eq!(seqs.len() as u64, sent + 1);
    assert!(seqs.is_sorted_by(|one, next| one < next));

    let tasks = run(address, "export tasks --format jsonl --app-id mine")
        .expect(0)
        .json_lines();
    let ids: BTreeSet<&str> = tasks
        .iter()
        .map(|task| task["task_id"].as_str().unwrap())
        .collect();
    assert_eq!((tasks.len(), ids.len()), (600, 600));
    assert!(
        tasks
            .iter()
            .map(|task| task["occurred_at"].as_str().unwrap())
            .is_sorted()
    );
}

#[test]
fn a_closed_output_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let address = host.address();
    run(address, "send --scenario life --tasks 100 --concurrency 16").expect(0);
    for line in [
        "export events --format csv",
        "export events --format jsonl",
        "tasks --all",
        "tasks --all --json",
        "completions bash",
    ] {
        let program = Program::new(line.split(' ')).at(address);
        let ended = program.run_into_nothing().expect(0);
        assert_eq!(ended.stderr, "", "{line}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let line = "export tasks --format csv --output /no/such/folder/x.csv";
    let ended = run(host.address(), line).expect(1);
    assert!(
        ended.stderr.contains("`/no/such/folder/x.csv`"),
        "{}",
        ended.stderr
    );
}
