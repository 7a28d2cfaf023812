//! `batchtask completions` and `batchtask man`, generated from the definition of the
//! command line.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
#[command(after_help = "\
Examples:
  batchtask completions bash > ~/.local/share/bash-completion/completions/batchtask
  batchtask completions zsh > \"${fpath[1]}/_batchtask\"
  batchtask completions fish > ~/.config/fish/completions/batchtask.fish")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  batchtask man | man -l -
  batchtask man ~/.local/share/man/man1")]
pub(super) struct Man {
    /// The folder for the pages, one for each command. It is created if it is
    /// missing [default: print the page of `batchtask`]
    dir: Option<PathBuf>,
}

impl Completions {
    pub(super) fn run(self, mut command: Command) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "batchtask", &mut script);
        Ok(io::stdout().lock().write_all(&script)?)
    }
}

impl Man {
    pub(super) fn run(self, command: Command) -> anyhow::Result<()> {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return Ok(io::stdout().lock().write_all(&page)?);
        };
        fs::create_dir_all(&dir)
            .and_then(|()| clap_mangen::generate_to(command, &dir))
            .with_context(|| format!("cannot write to `{}`", dir.display()))
    }
}
