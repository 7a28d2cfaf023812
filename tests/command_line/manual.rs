//! `--help`, `batchtask completions` and `batchtask man`

use std::fs;

use crate::support::program::Program;

const COMMANDS: [&str; 11] = [
    "send",
    "tasks",
    "task",
    "tail",
    "export",
    "health",
    "backup",
    "restore",
    "prune",
    "completions",
    "man",
];

#[test]
fn the_help_of_each_command_has_examples() {
    for command in COMMANDS {
        let help = Program::new([command, "--help"]).run().expect(0).stdout;
        assert!(help.contains(&format!("\n  batchtask {command}")), "{help}");
        if !["completions", "man"].contains(&command) {
            assert!(help.contains("Exit codes:"), "{help}");
        }
    }
}

#[test]
fn no_help_shows_a_secret() {
    for command in ["tasks", "send"] {
        let help = Program::new([command, "--help"]);
        let help = help
            .variable(("BATCHTASK_READ_TOKEN", "hush-hush-hush-hush"))
            .variable(("BATCHTASK_TOKEN", "hush"))
            .run()
            .expect(0);
        assert!(!help.stdout.contains("hush"), "{}", help.stdout);
    }
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = Program::new(["completions", shell]).run().expect(0).stdout;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn every_command_has_a_man_page() {
    let page = Program::new(["man"]).run().expect(0).stdout;
    assert!(page.contains(".TH batchtask 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("man1");
    let line = ["man".as_ref(), man.as_os_str()];
    Program::new(line).run().expect(0);
    for command in COMMANDS {
        let page = fs::read_to_string(man.join(format!("batchtask-{command}.1"))).unwrap();
        assert!(
            page.contains("Examples") || page.contains("EXAMPLES"),
            "{page}"
        );
    }
}
