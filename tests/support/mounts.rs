//! Mounts, each seen by one host alone and gone with it.

use std::path::Path;
use std::process::{Command, Stdio};

/// How this system lets a process have mounts of its own.
const WAYS: [&[&str]; 2] = [
    &["unshare", "--mount"],
    &["unshare", "--mount", "--map-root-user"],
];

/// What makes a host see a disk of `size` (`4m`) in `folder`; none, and a line
/// that says so, where mounting is not allowed.
pub(crate) fn small_disk(folder: &Path, size: &str) -> Option<Vec<String>> {
    mounted(
        &format!("mount -t tmpfs -o size={size} none \"$0\""),
        folder,
    )
}

/// What makes a host see `file` as a mount of its own.
pub(crate) fn mounted_alone(file: &Path) -> Option<Vec<String>> {
    mounted("mount --bind \"$0\" \"$0\"", file)
}

/// What makes a host see `folder` read-only.
pub(crate) fn read_only(folder: &Path) -> Option<Vec<String>> {
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    mounted(script, folder)
}

/// Returns the command line that runs `mount`, a script about the path `$0`,
/// and then becomes the program of the further arguments.
fn mounted(mount: &str, path: &Path) -> Option<Vec<String>> {
    let script = format!("{mount} && exec \"$@\"");
    let wrapper = |way: &[&str]| -> Vec<String> {
        let path = path.to_str().expect("a temporary path is text");
        let rest = ["sh", "-c", &script, path];
        way.iter().chain(&rest).map(ToString::to_string).collect()
    };
    let works = |wrapper: &Vec<String>| {
        let mut trial = Command::new(&wrapper[0]);
        trial.args(&wrapper[1..]).arg("true");
        trial.stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    };
    let wrapper = WAYS.iter().map(|way| wrapper(way)).find(works);
    if wrapper.is_none() {
        eprintln!("skipped: nothing can be mounted here");
    }
    wrapper
}
