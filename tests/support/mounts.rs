//! Mounts that only one host sees, and that disappear with it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Commands that give a process its own mounts. Which of them work depends on the
/// system.
const UNSHARE: [&[&str]; 2] = [
    &["unshare", "--mount"],
    &["unshare", "--mount", "--map-root-user"],
];

/// Returns a command line under which a host sees a disk of `size` (such as `4m`) in
/// `folder`. If mounting is not allowed, prints a line and returns `None`.
pub(crate) fn small_disk(folder: &Path, size: &str) -> Option<Vec<String>> {
    mounted(
        &format!("mount -t tmpfs -o size={size} none \"$0\""),
        folder,
    )
}

/// Returns a command line under which a host sees `file` as a mount of its own.
pub(crate) fn mounted_alone(file: &Path) -> Option<Vec<String>> {
    mounted("mount --bind \"$0\" \"$0\"", file)
}

/// Returns a command line under which a host sees `folder` as read-only.
pub(crate) fn read_only(folder: &Path) -> Option<Vec<String>> {
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    mounted(script, folder)
}

/// Returns a command line under which a host sees only processes in `/proc`.
pub(crate) fn hidden_processes() -> Option<Vec<String>> {
    mounted(
        "mount -t proc -o subset=pid proc \"$0\"",
        Path::new("/proc"),
    )
}

/// Returns a command line that runs the script `mount` with the path `$0`, and then
/// executes its remaining arguments.
fn mounted(mount: &str, path: &Path) -> Option<Vec<String>> {
    let script = format!("{mount} && exec \"$@\"");
    let wrapper = |unshare: &[&str]| -> Vec<String> {
        let path = path.to_str().expect("a temporary path is text");
        let rest = ["sh", "-c", &script, path];
        unshare
            .iter()
            .chain(&rest)
            .map(ToString::to_string)
            .collect()
    };
    let works = |wrapper: &Vec<String>| {
        let mut trial = Command::new(&wrapper[0]);
        trial.args(&wrapper[1..]).arg("true");
        trial.stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    };
    let wrapper = UNSHARE.iter().map(|unshare| wrapper(unshare)).find(works);
    if wrapper.is_none() {
        eprintln!("skipped: nothing can be mounted here");
    }
    wrapper
}
