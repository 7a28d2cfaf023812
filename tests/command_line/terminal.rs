//! The command line at a terminal, and with an output that is full.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Child;

use crate::support::host::{QUIET, Setup};
use crate::support::notifications::Notification;
use crate::support::program::Program;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Reads what a program shows until it has ended. Returns its exit code, too.
fn shown(child: Child, terminal: File) -> (Option<i32>, String) {
    let (code, shown) = shown_until(child, terminal, |_, _| {});
    (code, shown)
}

/// The same, and calls `react` after each part, with everything so far.
fn shown_until(
    mut child: Child,
    mut terminal: File,
    mut react: impl FnMut(&str, &mut File),
) -> (Option<i32>, String) {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    // Once the program has closed its side, reading is an error.
    while let Ok(read @ 1..) = terminal.read(&mut part) {
        all.extend_from_slice(&part[..read]);
        react(&String::from_utf8_lossy(&all), &mut terminal);
    }
    let code = child.wait().expect("it ends").code();
    (code, String::from_utf8_lossy(&all).into_owned())
}

/// Returns a text without escape sequences for colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('m').expect("only colours");
        plain.push_str(rest);
    }
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_fits_the_terminal_and_is_complete_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let mut notification = Notification::numbered(1);
    notification.status_desc = format!("begin {} end", "升级 step ".repeat(300));
    let mut client = host.client();
    client
        .post(notification.body())
        .await
        .expect(200, "recorded");
    let (app, task) = (&notification.app_id, &notification.task_id);
    for arguments in [vec!["tasks"], vec!["task", app, task]] {
        for columns in [30, 80] {
            let program = Program::new(&arguments).at(host.address());
            let (child, terminal) = program.spawn_at_terminal(columns);
            let (code, shown) = shown(child, terminal);
            assert_eq!(code, Some(0), "{shown}");
            for line in without_colours(&shown).lines() {
                let width = unicode_width::UnicodeWidthStr::width(line.trim_end());
                assert!(width <= usize::from(columns), "{columns}: {line}");
            }
        }
        let piped = Program::new(&arguments).at(host.address()).run().expect(0);
        assert!(!piped.stdout.contains('\x1b'), "{}", piped.stdout);
        if arguments.len() > 1 {
            assert!(piped.stdout.contains(&notification.status_desc));
        }
    }
}

#[test]
fn colours_are_for_terminals_without_no_color() {
    for (value, is_coloured) in [("", true), ("1", false)] {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::new(["serve", "--listen", "127.0.0.1:0", "--admin", "off"])
            .argument("--journal")
            .argument(format!("sqlite:{}/journal.db", folder.path().display()))
            .variable(("XDG_RUNTIME_DIR", folder.path().to_str().unwrap()))
            .variable(("NO_COLOR", value));
        let (child, terminal) = program.spawn_at_terminal(100);
        let mut is_asked = false;
        let (code, shown) = shown_until(child, terminal, |shown, terminal| {
            if !is_asked && shown.contains("listening on") {
                is_asked = true;
                terminal.write_all(b"\x03").expect("a Ctrl-C");
            }
        });
        assert_eq!(code, Some(0), "{shown}");
        assert_eq!(shown.contains("\x1b["), is_coloured, "{shown}");
    }
}

#[test]
fn ctrl_c_leaves_a_clean_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    for columns in [30, 100] {
        let line = "send --scenario life --tasks 500 --rate 20";
        let program = Program::new(line.split(' ')).at(host.address());
        let (child, terminal) = program.spawn_at_terminal(columns);
        let mut is_asked = false;
        let (code, shown) = shown_until(child, terminal, |shown, terminal| {
            if !is_asked && shown.contains(" left") {
                is_asked = true;
                terminal.write_all(b"\x03").expect("a Ctrl-C");
            }
        });
        assert_eq!(code, Some(130), "{shown:?}");
        let last_row = shown.rsplit('\n').next().unwrap_or_default();
        let last_row = last_row.rsplit('\r').next().unwrap_or_default();
        let last_row = last_row.replace("\x1b[2K", "").replace(SHOW_CURSOR, "");
        assert_eq!(last_row, "", "{shown:?}");
        let hidden = shown.rfind(HIDE_CURSOR);
        assert!(hidden.is_none_or(|at| shown[at..].contains(SHOW_CURSOR)));
        // No row has the rest of a bar.
        let rows = shown.rsplit("\x1b[2K").next().unwrap_or_default();
        assert!(!rows.contains('█') && !rows.contains('░'), "{shown:?}");
    }
}

#[test]
fn a_full_output_is_an_error_and_no_panic() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    Program::new(["send"]).at(host.address()).run().expect(0);
    for (arguments, code) in [
        (vec!["tasks"], 1),
        (vec!["tasks", "--json"], 1),
        (vec!["export", "events", "--format", "csv"], 1),
        (vec!["tail", "--after", "0"], 1),
        (vec!["send"], 1),
        (vec!["status"], 1),
    ] {
        let program = Program::new(&arguments).at(host.address());
        let ended = program.run_into(full(), None);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
    }
    let unreachable = ["tasks", "--url", "http://127.0.0.1:9"];
    for stderr in [None, Some(full())] {
        let program = Program::new(unreachable).at(host.address());
        let ended = program.run_into(full(), stderr);
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    }
}
