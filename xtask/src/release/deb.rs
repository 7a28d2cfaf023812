//! The package for Debian and its relatives.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::manual::COMPLETIONS;
use super::{Release, VERSION, tree, write};
use crate::command::{output, run};

/// The scripts that `dpkg` runs, and the list of files that belong to the administrator.
const CONTROL: &[(&str, &str, &str)] = &[
    ("postinst", include_str!("deb/postinst"), "755"),
    ("prerm", include_str!("deb/prerm"), "755"),
    ("postrm", include_str!("deb/postrm"), "755"),
    ("conffiles", "/etc/batchtask/batchtask.toml\n", "644"),
];

/// Files of the repository, and where they are installed.
const FILES: &[(&str, &str)] = &[
    (
        "deploy/systemd/batchtask.service",
        "usr/lib/systemd/system/batchtask.service",
    ),
    (
        "deploy/systemd/batchtask.socket",
        "usr/lib/systemd/system/batchtask.socket",
    ),
    (
        "deploy/systemd/sysusers.conf",
        "usr/lib/sysusers.d/batchtask.conf",
    ),
    (
        "deploy/systemd/tmpfiles.conf",
        "usr/lib/tmpfiles.d/batchtask.conf",
    ),
    (
        "deploy/systemd/batchtask.toml",
        "etc/batchtask/batchtask.toml",
    ),
    ("deploy/grafana", "usr/share/doc/batchtask/examples/grafana"),
    ("deploy/nginx", "usr/share/doc/batchtask/examples/nginx"),
    (
        "deploy/prometheus",
        "usr/share/doc/batchtask/examples/prometheus",
    ),
    ("CHANGELOG.md", "usr/share/doc/batchtask/NEWS.md"),
    ("README.md", "usr/share/doc/batchtask/README.md"),
    ("docs", "usr/share/doc/batchtask/docs"),
];

/// The folders of completions, in the order of [`COMPLETIONS`].
const COMPLETION_FOLDERS: [&str; 3] = [
    "usr/share/bash-completion/completions",
    "usr/share/zsh/vendor-completions",
    "usr/share/fish/vendor_completions.d",
];

/// What `lintian` would complain about, which is as it should be.
const OVERRIDES: &str = "\
# The program needs no library of the system.
batchtask: statically-linked-binary [usr/bin/batchtask]
# It is not a part of Debian.
batchtask: initial-upload-closes-no-bugs *
";

/// Writes the package `batchtask_VERSION_amd64.deb`.
pub(super) fn build(release: &Release, program: &Path, manual: &Path) -> anyhow::Result<()> {
    let root = release.work.join("deb");
    tree::renew(&root)?;
    tree::copy(program, &root.join("usr/bin/batchtask"))?;
    for (from, to) in FILES {
        tree::copy(&release.root.join(from), &root.join(to))?;
    }
    manuals(&root, manual)?;
    documents(release, &root)?;
    write(
        &root.join("usr/share/lintian/overrides/batchtask"),
        OVERRIDES,
    )?;
    // The modes must not depend on the umask of the user who builds.
    run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(&root))?;
    control(&root)?;
    let package = format!("batchtask_{VERSION}_amd64.deb");
    run(Command::new("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", &release.commit.epoch)
        // The number of threads decides how the content is split.
        .env("DPKG_DEB_THREADS_MAX", "1")
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(&root)
        .arg(release.output.join(package)))
}

fn manuals(root: &Path, manual: &Path) -> anyhow::Result<()> {
    let pages = root.join("usr/share/man/man1");
    tree::copy(&manual.join("man"), &pages)?;
    for page in tree::files(&pages)? {
        tree::compress(&pages.join(page))?;
    }
    for (folder, (_, name)) in COMPLETION_FOLDERS.iter().zip(COMPLETIONS) {
        let script = manual.join("completions").join(name);
        tree::copy(&script, &root.join(folder).join(name))?;
    }
    Ok(())
}

fn documents(release: &Release, root: &Path) -> anyhow::Result<()> {
    let folder = root.join("usr/share/doc/batchtask");
    write(&folder.join("copyright"), include_str!("deb/copyright"))?;
    let changelog = format!(
        "batchtask ({VERSION}) stable; urgency=medium\n\n  * NEWS.md says what changed.\n\n -- {MAINTAINER}  {}\n",
        release.commit.rfc5322
    );
    let path = folder.join("changelog");
    write(&path, changelog)?;
    tree::compress(&path)
}

const MAINTAINER: &str = "The batchtask maintainers <batchtask@example.org>";

/// Writes what describes the package.
fn control(root: &Path) -> anyhow::Result<()> {
    let mut find = Command::new("find");
    find.current_dir(root)
        .args(["etc", "usr", "-type", "f", "-print0"]);
    let found = String::from_utf8(output(&mut find)?)?;
    let mut files: Vec<&str> = found.split_terminator('\0').collect();
    files.sort_unstable();
    let sums = output(Command::new("md5sum").current_dir(root).args(&files))?;
    let bytes = files
        .iter()
        .map(|file| Ok(fs::metadata(root.join(file))?.len()));
    let bytes: u64 = bytes.sum::<anyhow::Result<u64>>()?;
    let folder = root.join("DEBIAN");
    write(&folder.join("md5sums"), sums)?;
    for (name, text, mode) in CONTROL {
        let path = folder.join(name);
        write(&path, text)?;
        run(Command::new("chmod").arg(mode).arg(path))?;
    }
    write(&folder.join("control"), description(bytes.div_ceil(1024)))
}

fn description(size_kib: u64) -> String {
    format!(
        "Package: batchtask
Version: {VERSION}
Architecture: amd64
Maintainer: {MAINTAINER}
Installed-Size: {size_kib}
Depends: procps, systemd (>= 252)
Recommends: ca-certificates, curl, openssl
Suggests: postgresql
Section: net
Priority: optional
Description: receiver of batch-task notifications of Huawei Cloud IoTDA
 The platform pushes a notification for each change of a batch task, and pushes
 it only once. This webhook stores each of them before it answers, shows the
 tasks on a page, and passes the changes on.
"
    )
}
