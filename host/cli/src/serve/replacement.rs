//! Starts this program again, so that it takes the place of this process
//! (SIGUSR2). A program that was replaced on the disk is upgraded this way.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

/// Starts a successor with the same arguments, and reports if it ends.
pub(super) fn start() {
    if std::process::id() == 1 {
        // Its container would end with it, and the successor too.
        tracing::error!(
            "the first process of a container cannot be replaced: start a second container \
             with `--takeover` on the same journal"
        );
        return;
    }
    match spawn() {
        Ok(successor) => {
            tracing::info!("process {} is to take over", successor.id());
            std::thread::spawn(|| report(successor));
        }
        Err(error) => tracing::error!(%error, "a successor could not be started"),
    }
}

fn spawn() -> io::Result<Child> {
    Command::new(program()?)
        .args(env::args_os().skip(1))
        .env("BATCHTASK_TAKEOVER", "true")
        .spawn()
}

/// The path of this program. The system marks one that was replaced.
fn program() -> io::Result<PathBuf> {
    let path = env::current_exe()?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Ok(OsString::from_vec(bytes.to_vec()).into())
}

fn report(mut successor: Child) {
    // This process ends first if the successor takes over.
    let reason = match successor.wait() {
        Ok(status) => ExitStatus::to_string(&status),
        Err(error) => error.to_string(),
    };
    tracing::error!("the successor ended ({reason}); this process goes on");
}
