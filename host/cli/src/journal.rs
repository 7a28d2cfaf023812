//! Which journal: the option `--journal` of several commands.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

#[derive(Args)]
pub(super) struct JournalUrl {
    /// Where notifications are kept: `sqlite:PATH`. `sqlite://PATH` is the same;
    /// a path is relative to the current folder unless it begins with `/`
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite:batchtask.db",
        env = "BATCHTASK_JOURNAL"
    )]
    journal: String,
}

impl JournalUrl {
    /// Returns the path in the URL.
    pub(super) fn path(&self) -> anyhow::Result<PathBuf> {
        parse(&self.journal)
    }
}

/// `sqlite:PATH`, with or without the two slashes that other programs demand.
fn parse(url: &str) -> anyhow::Result<PathBuf> {
    let Some(path) = url.strip_prefix("sqlite:") else {
        bail!("`--journal` must be `sqlite:PATH`, found `{url}`");
    };
    let (path, is_url) = match path.strip_prefix("//") {
        Some(path) => (path, true),
        None => (path, false),
    };
    if path.is_empty() {
        bail!("`--journal` must be `sqlite:PATH`, found `{url}`, which has no path");
    }
    if path == ":memory:" {
        bail!("`--journal {url}`: a journal must survive a restart, so it needs a file");
    }
    if is_url && path.contains('?') {
        bail!("`--journal {url}`: there are no parameters. For a file name with `?` use `sqlite:`");
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_usual_form_names_the_file_that_is_meant() {
        for (url, path) in [
            ("sqlite:batchtask.db", "batchtask.db"),
            ("sqlite:./folder/batchtask.db", "./folder/batchtask.db"),
            ("sqlite:/srv/batchtask.db", "/srv/batchtask.db"),
            ("sqlite://data.db", "data.db"),
            ("sqlite://folder/data.db", "folder/data.db"),
            ("sqlite:///srv/data.db", "/srv/data.db"),
            ("sqlite:////srv/data.db", "//srv/data.db"),
            ("sqlite:what?.db", "what?.db"),
        ] {
            assert_eq!(parse(url).unwrap(), Path::new(path), "{url}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_what_is_right() {
        for (url, text) in [
            ("batchtask.db", "`sqlite:PATH`"),
            ("sqlite:", "no path"),
            ("sqlite://", "no path"),
            ("postgres://localhost", "`sqlite:PATH`"),
            ("sqlite::memory:", "needs a file"),
            ("sqlite://:memory:", "needs a file"),
            ("sqlite://data.db?mode=rwc", "no parameters"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(url), "{error}");
        }
    }
}
