//! The receiver's settings, as they were given to the program.

use std::path::PathBuf;

use anyhow::{Context, bail};
use batchtask_guest::settings::{SETTINGS, Settings as Checked};
use batchtask_host::settings::Settings;
use clap::Args;

#[derive(Args)]
pub(super) struct Given {
    /// Settings of the receiver: lines of `BATCHTASK_NAME=VALUE`. Environment
    /// variables override the file
    #[arg(long, value_name = "FILE", env = "BATCHTASK_SETTINGS")]
    settings: Option<PathBuf>,
}

impl Given {
    /// The settings of the file, and over them those of the environment.
    pub(super) fn read(&self) -> anyhow::Result<Settings> {
        let environment = environment()?;
        let Some(path) = &self.settings else {
            return Ok(environment);
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings `{}`", path.display()))?;
        let settings = Settings::parse(&text).map_err(|line| {
            anyhow::anyhow!(
                "`{}`, line {line}: must be `BATCHTASK_NAME=VALUE`",
                path.display()
            )
        })?;
        if let Some(name) = settings
            .names()
            .find(|name| !SETTINGS.iter().any(|known| known.name == *name))
        {
            bail!(
                "`{}`: `{name}` is no setting of the receiver",
                path.display()
            );
        }
        Ok(settings.overridden_by(environment))
    }
}

/// Warns of variables that nothing reads: their names are probably misspelt,
/// so what they were meant to turn on is off.
pub(super) fn warn_of_misspelt(is_known: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    for name in environment()?.names() {
        if !is_known(name) {
            tracing::warn!("unknown setting `{name}` (ignored)");
        }
    }
    Ok(())
}

fn environment() -> anyhow::Result<Settings> {
    Settings::from_env().map_err(|name| anyhow::anyhow!("the value of `{name}` is not UTF-8"))
}

/// The values of all settings, or what is wrong with them.
pub(super) fn checked(settings: &Settings) -> anyhow::Result<Checked> {
    let look_up = |name: &str| settings.get(name).map(String::from);
    Checked::read(look_up).map_err(|wrong| anyhow::anyhow!(wrong.join("\n")))
}
