//! Small disks, each seen by one host alone and gone with it.

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
    let script = format!("mount -t tmpfs -o size={size} none \"$0\" && exec \"$@\"");
    let wrapper = |way: &[&str]| -> Vec<String> {
        let folder = folder.to_str().expect("a temporary folder is text");
        let rest = ["sh", "-c", &script, folder];
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
        eprintln!("skipped: a small disk cannot be mounted here");
    }
    wrapper
}
