//! Counts instructions with callgrind. The counts are the same in every run on the same
//! machine, whatever else runs there.

use std::fs;
use std::hint::black_box;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use batchtask_guest::bindings::exports::batchtask::receiver::intake::Request;
use batchtask_guest::receiver::Receiver;
use batchtask_guest::settings::Settings;
use batchtask_journal::MemoryJournal;
use batchtask_notification::Notification;

use crate::measure::results;
use crate::{load, nothing};

/// By what fraction a count may exceed the checked-in one.
const TOLERANCE: f64 = 0.05;
/// The repetitions of two runs. Their difference excludes the cost of start and end.
const FEW: u64 = 100;
const MANY: u64 = 2100;

/// The work whose instructions are counted.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Work {
    /// Parsing of a notification, from bytes to an event with its digest.
    Parse,
    /// A request to the core of the component, with a journal in memory.
    Request,
    /// A push over HTTP to the host's library, with a journal that stores nothing.
    Push,
}

impl Work {
    const ALL: [(Self, &str); 3] = [
        (Self::Parse, "parse"),
        (Self::Request, "request"),
        (Self::Push, "push"),
    ];

    /// Does the work this many times.
    pub(crate) fn run(self, times: u64) -> anyhow::Result<()> {
        match self {
            Self::Parse => parse(times),
            Self::Request => request(times),
            Self::Push => {
                // Not on the threads of the caller, whose number depends on the machine.
                let pushes = std::thread::spawn(move || nothing::push(times));
                pushes.join().map_err(|_| anyhow::anyhow!("it panicked"))?
            }
        }
    }
}

/// When the notifications arrive, in milliseconds since 1970.
const NOW_MS: u64 = 1_795_000_000_000;

fn parse(times: u64) -> anyhow::Result<()> {
    for number in 0..times {
        let body = load::body(number, 0);
        let notification = Notification::parse(body.as_bytes()).ok();
        let notification = notification.context("not a notification")?;
        black_box(notification.into_event(NOW_MS));
    }
    Ok(())
}

fn request(times: u64) -> anyhow::Result<()> {
    let settings = Settings::read(|_| None)
        .map_err(|faults| anyhow::anyhow!("the defaults are invalid: {faults:?}"))?;
    let receiver = Receiver {
        journal: &MemoryJournal::default(),
        settings: &settings,
        now_ms: NOW_MS,
    };
    for number in 0..times {
        let response = receiver.exchange(Request {
            method: "POST".into(),
            target: "/notifications".into(),
            headers: vec![("content-type".into(), b"application/json".into())],
            sender_proven: false,
            over_https: false,
            body: load::body(number, 0).into_bytes(),
        });
        ensure!(black_box(response).status == 200, "not recorded");
    }
    Ok(())
}

/// Counts all work. Fails if a count exceeds the checked-in one by more than the
/// tolerance. With `update`, writes the counts to the checked-in file instead.
pub(crate) fn check(update: bool) -> anyhow::Result<String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok("skipped: valgrind is not installed (Debian package `valgrind`)".into());
    }
    let path = results("counts.toml");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let mut text = String::from(
        "# Native instructions on x86-64. `cargo xtask bench count --update` writes this file.\n",
    );
    let (mut report, mut grown) = (String::new(), Vec::new());
    for (_, name) in Work::ALL {
        let count = count(name)?;
        let before = known.lines().find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(" = ")?
                .parse::<u64>()
                .ok()
        });
        report += &format!(
            "{name}: {count} instructions, {} checked in\n",
            before.unwrap_or(0)
        );
        text += &format!("{name} = {count}\n");
        if before.is_none_or(|before| count as f64 > before as f64 * (1.0 + TOLERANCE)) {
            grown.push(name);
        }
    }
    if update {
        fs::write(&path, text)?;
    } else if !grown.is_empty() {
        bail!(
            "{report}{} exceeds its count in `{}` by more than 5 %: make it cheaper, or raise the \
             count with `cargo xtask bench count --update`",
            grown.join(", "),
            path.display()
        );
    }
    Ok(report)
}

fn count(work: &str) -> anyhow::Result<u64> {
    // The first run may compile the component, for the processor that callgrind shows it.
    callgrind(work, 1)?;
    let [few, many] = [FEW, MANY].map(|times| callgrind(work, times));
    let (few, many) = (few?, many?);
    let more = many.checked_sub(few);
    let more = more.with_context(|| format!("{work}: {FEW} took {few}, but {MANY} took {many}"))?;
    Ok(more / (MANY - FEW))
}

fn callgrind(work: &str, times: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["work", work, &times.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}");
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = line.with_context(|| format!("no count: {text}"))?;
    Ok(count.trim().parse()?)
}
