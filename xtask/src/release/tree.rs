//! Folders: copies them, and archives them so that the same content has the same bytes
//! everywhere.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::commit::Commit;
use crate::command::{output, run};

/// Makes an empty folder. What was in it is removed.
pub(super) fn renew(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
    .with_context(|| folder.display().to_string())
}

/// Copies a file, or a folder with all that is in it.
pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let context = || format!("`{}` to `{}`", from.display(), to.display());
    if from.is_dir() {
        fs::create_dir_all(to).with_context(context)?;
        for entry in fs::read_dir(from).with_context(context)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(context)?;
    }
    fs::copy(from, to).with_context(context)?;
    Ok(())
}

/// Copies the files that are under version control, as they are in the checkout.
pub(crate) fn copy_sources(root: &Path, to: &Path) -> anyhow::Result<()> {
    renew(to)?;
    let mut list = Command::new("git");
    let names = output(list.current_dir(root).args(["ls-files", "-z"]))?;
    for name in String::from_utf8(names)?.split_terminator('\0') {
        let file = root.join(name);
        // A file may have been removed, but not yet from the index.
        if file.exists() {
            copy(&file, &to.join(name))?;
        }
    }
    Ok(())
}

/// Returns the names of the files in a folder, in order. Folders in it are left out.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Writes the content of a folder to the archive `output`. Everything belongs to root,
/// and has the time of the commit.
pub(super) fn archive(folder: &Path, output: &Path, commit: &Commit) -> anyhow::Result<()> {
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    names.sort_unstable();
    let create = ["--create", "--sort=name", "--owner=0", "--group=0"];
    run(tar(folder, output, commit).args(create).args(names))
}

/// Adds an empty folder to an archive, with this owner and the mode 700.
pub(super) fn add_folder(
    folder: &Path,
    name: &str,
    output: &Path,
    owner: &str,
    commit: &Commit,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join(name)).with_context(|| name.to_owned())?;
    let owner = [format!("--owner={owner}"), format!("--group={owner}")];
    let append = ["--append", "--no-recursion", "--mode=700", name];
    run(tar(folder, output, commit).args(owner).args(append))
}

fn tar(folder: &Path, output: &Path, commit: &Commit) -> Command {
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(folder).arg("--file").arg(output);
    // The modes must not depend on the umask of the user who builds.
    tar.args(["--format=gnu", "--numeric-owner", "--mode=u=rwX,go=rX"])
        .arg(format!("--mtime=@{}", commit.epoch));
    tar
}

/// Replaces a file by a compressed one, whose name ends with `.gz`.
pub(super) fn compress(file: &Path) -> anyhow::Result<()> {
    run(Command::new("gzip")
        .args(["--no-name", "--best", "--force"])
        .arg(file))
}
