//! Starts a new process of this program, which replaces this one (SIGUSR2). If the
//! program's file was replaced before, this upgrades the program.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

/// Starts a successor with the same arguments, and logs an error if it ends.
pub(super) fn start() {
    if std::process::id() == 1 {
        // The container, and so the successor, would end with this process.
        tracing::error!(
            "process 1 of a container cannot be replaced: start a second container with \
             `--takeover` on the same journal"
        );
        return;
    }
    match spawn() {
        Ok(successor) => {
            tracing::info!("started process {} as the successor", successor.id());
            std::thread::spawn(|| report(successor));
        }
        Err(error) => tracing::error!(%error, "cannot start a successor"),
    }
}

fn spawn() -> io::Result<Child> {
    Command::new(program()?)
        .args(env::args_os().skip(1))
        .env("BATCHTASK_TAKEOVER", "true")
        .spawn()
}

/// Returns the path of this program, without the mark that the system adds if the
/// file was replaced.
fn program() -> io::Result<PathBuf> {
    let path = env::current_exe()?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Ok(OsString::from_vec(bytes.to_vec()).into())
}

/// Waits until the successor ends, and logs an error.
fn report(mut successor: Child) {
    // If the successor takes over, this process ends first.
    let reason = match successor.wait() {
        Ok(status) => ExitStatus::to_string(&status),
        Err(error) => error.to_string(),
    };
    tracing::error!("the successor ended ({reason}); this process continues");
}
