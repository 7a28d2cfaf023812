//! [`Hook`]: a program of the operator that sets and removes DNS records.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::error::Error;

/// How long the program may take to set a record and see it on the name servers.
pub const HOOK_TIME: Duration = Duration::from_secs(300);

/// How much of what the program writes is read, in bytes.
const OUTPUT_MAX_BYTES: u64 = 64 * 1024;

/// How much of that is shown, in characters.
const SHOWN_MAX: usize = 500;

/// What the program is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Set a record.
    Present,
    /// Remove the record.
    Cleanup,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Cleanup => "cleanup",
        }
    }
}

/// A program that is called with an action, the name of a TXT record, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    program: PathBuf,
}

impl Hook {
    pub(crate) fn new(program: &Path) -> Self {
        let program = program.to_owned();
        Self { program }
    }

    /// Calls the program, and ends it after `limit`.
    pub(crate) async fn call(
        &self,
        action: Action,
        name: &str,
        value: &str,
        limit: Duration,
    ) -> Result<(), Error> {
        let mut command = Command::new(&self.program);
        command.args([action.word(), name, value]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        // A group of its own, so that its children end with it.
        command.process_group(0).kill_on_drop(true);
        for (variable, _) in std::env::vars_os() {
            // Secrets of the receiver, and the socket of the service manager.
            let text = variable.to_string_lossy();
            if text.starts_with("BATCHTASK_") || text == "NOTIFY_SOCKET" || text == "PGPASSWORD" {
                command.env_remove(&variable);
            }
        }
        let mut child = command
            .spawn()
            .map_err(|error| self.error(format!("cannot be started: {error}")))?;
        // Dropped before the child, whose id is its own until then.
        let mut group = Group::of(&child);
        let ended = tokio::time::timeout(limit, ended(&mut child)).await;
        if ended.is_ok() {
            group.0 = None;
        }
        match ended {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(problem))) => {
                Err(self.error(format!("{problem} (`{} {name}`)", action.word())))
            }
            Ok(Err(error)) => Err(self.error(format!("cannot be waited for: {error}"))),
            Err(_) => {
                let seconds = limit.as_secs();
                let action = action.word();
                Err(self.error(format!(
                    "did not end within {seconds} s (`{action} {name}`)"
                )))
            }
        }
    }

    fn error(&self, problem: String) -> Error {
        let program = self.program.clone();
        Error::Hook { program, problem }
    }
}

/// Waits for the program. Returns how it failed, or `None`.
async fn ended(child: &mut Child) -> std::io::Result<Option<String>> {
    let said = match child.stderr.take() {
        Some(stderr) => tail(stderr).await,
        None => String::new(),
    };
    let status = child.wait().await?;
    if status.success() {
        return Ok(None);
    }
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    Ok(Some(format!("failed with {status}{said}")))
}

/// The end of what a program writes, in one line. What is beyond the limit is discarded,
/// so that the program does not wait.
async fn tail(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is left out.
    let _ = (&mut stderr)
        .take(OUTPUT_MAX_BYTES)
        .read_to_end(&mut bytes)
        .await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    let text = String::from_utf8_lossy(&bytes);
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ").replace(|c: char| c.is_control(), " ");
    let length = line.chars().count();
    line.chars()
        .skip(length.saturating_sub(SHOWN_MAX))
        .collect()
}

/// Ends all processes of a group when it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    /// A hook with this shell script.
    fn hook(folder: &Path, script: &str) -> Hook {
        let path = folder.join("hook");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Hook::new(&path)
    }

    async fn call(hook: &Hook) -> Result<(), String> {
        let limit = Duration::from_secs(20);
        let called = hook.call(Action::Present, "_acme-challenge.a", "value", limit);
        called.await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_program_gets_an_action_a_name_and_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo "$@" > "$(dirname "$0")/said""#;
        call(&hook(folder.path(), script)).await.unwrap();
        let said = fs::read_to_string(folder.path().join("said")).unwrap();
        assert_eq!(said, "present _acme-challenge.a value\n");
    }

    #[tokio::test]
    async fn a_failure_shows_the_end_of_what_the_program_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "yes 'a long line of text' | head -c 300000 >&2; echo 'no such zone' >&2; exit 3";
        let error = call(&hook(folder.path(), script)).await.unwrap_err();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("`present _acme-challenge.a`"), "{error}");
        assert!(error.len() < 1000, "{error}");
        let script = "echo 'no such\nzone' >&2; exit 1";
        let error = call(&hook(folder.path(), script)).await.unwrap_err();
        assert!(error.contains(": no such zone"), "{error}");
        let missing = call(&Hook::new(&folder.path().join("missing"))).await;
        assert!(missing.unwrap_err().contains("cannot be started"));
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        // The child holds stderr open.
        let script = r#"sleep 1000 & echo $! > "$(dirname "$0")/child"; wait"#;
        let hook = hook(folder.path(), script);
        let started = Instant::now();
        let limit = Duration::from_secs(1);
        let error = hook
            .call(Action::Cleanup, "a", "b", limit)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("did not end within 1 s"),
            "{error}"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
        let child = fs::read_to_string(folder.path().join("child")).unwrap();
        let state = format!("/proc/{}/stat", child.trim());
        let is_gone = || fs::read_to_string(&state).map_or(true, |stat| stat.contains(") Z "));
        while !is_gone() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the child lives"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
