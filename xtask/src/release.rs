//! `cargo xtask release`: everything that a user can install, in `dist/release/`.
//!
//! - `commit`: the commit that is released, and its time, which every file gets.
//! - `program`: the static program; `manual`: its man pages and completions.
//! - `tree`: folders as archives that are the same everywhere.
//! - `deb`: the Debian package.
//! - `oci`: image layouts; `image`: that of the program; `artifacts`: that of the components.
//! - `sbom`: what the program and the component are made of.
//! - `sums`: checksums and their signature; `compare`: two releases, file by file.
//! - `trial`: installs, runs and upgrades them.

mod artifacts;
mod commit;
mod compare;
mod deb;
mod image;
mod manual;
mod oci;
mod program;
mod sbom;
mod sums;
mod tree;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use self::commit::Commit;
pub(crate) use self::tree::copy_sources;

/// The version of everything.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the archive contains besides the program and its manuals: what they link to.
const DOCUMENTS: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "bench",
    "deploy",
    "docs",
    "examples",
    "guest/openapi.json",
    "spin.toml",
    "tests/samples",
    "wit",
];

/// What the parts of a release need.
struct Release<'a> {
    /// The root of the repository.
    root: &'a Path,
    /// The folder of the finished files: `dist/release`.
    output: PathBuf,
    /// The folder of everything in between.
    work: PathBuf,
    commit: Commit,
}

/// Runs the command with these arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let output = root.join("dist/release");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => Release::new(root, output)?.build(),
        ["--compare", other] => compare::compare(&output, other.as_ref()),
        ["--try"] => trial::install(root, &output),
        ["--upgrade", old] => trial::upgrade(root, old.as_ref()),
        _ => bail!("usage: cargo xtask release [--compare FOLDER | --try | --upgrade OLD]"),
    }
}

impl<'a> Release<'a> {
    fn new(root: &'a Path, output: PathBuf) -> anyhow::Result<Self> {
        let work = work(root);
        let commit = Commit::head(root)?;
        Ok(Self {
            root,
            output,
            work,
            commit,
        })
    }

    fn build(&self) -> anyhow::Result<()> {
        tree::renew(&self.output)?;
        let program = program::build(self)?;
        let manual = manual::write(self, &program)?;
        crate::components(self.root, &self.output)?;
        self.archive(&program, &manual)?;
        deb::build(self, &program, &manual)?;
        image::build(self, &program)?;
        artifacts::build(self)?;
        sbom::write(self)?;
        sums::write(&self.output)?;
        for file in tree::files(&self.output)? {
            let size = fs::metadata(self.output.join(&file))?.len();
            println!("dist/release/{file}: {size} bytes");
        }
        if self.commit.has_changes {
            println!("NOT A RELEASE: the checkout has changes that are not committed");
        }
        Ok(())
    }

    /// Writes the program with its manuals and `deploy/` as one archive, for systems
    /// without a package.
    fn archive(&self, program: &Path, manual: &Path) -> anyhow::Result<()> {
        let name = format!("batchtask-{VERSION}-x86_64-linux");
        let folder = self.work.join("archive");
        tree::renew(&folder)?;
        let inner = folder.join(&name);
        tree::copy(program, &inner.join("batchtask"))?;
        tree::copy(manual, &inner)?;
        for part in DOCUMENTS {
            tree::copy(&self.root.join(part), &inner.join(part))?;
        }
        let archive = self.output.join(format!("{name}.tar"));
        tree::archive(&folder, &archive, &self.commit)?;
        tree::compress(&archive)
    }
}

/// Returns the folder of everything that a release is made of.
fn work(root: &Path) -> PathBuf {
    root.join("target/package")
}

/// Writes a file, and creates its folder.
fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, content))
        .with_context(|| path.display().to_string())
}
