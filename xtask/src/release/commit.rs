//! The commit that is released.

use std::path::Path;
use std::process::Command;

use crate::command::text;

/// The commit that is checked out, and when it was made.
pub(super) struct Commit {
    /// Seconds since 1970: `SOURCE_DATE_EPOCH`.
    pub(super) epoch: String,
    /// The time as RFC 3339, UTC.
    pub(super) rfc3339: String,
    /// The time as RFC 5322.
    pub(super) rfc5322: String,
    /// Its id.
    pub(super) id: String,
    /// Whether the checkout has changes that are not committed.
    pub(super) has_changes: bool,
}

impl Commit {
    /// Reads the commit that is checked out in `root`.
    pub(super) fn head(root: &Path) -> anyhow::Result<Self> {
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(root).env("TZ", "UTC").args(arguments);
            text(&mut git)
        };
        let show = |format: &str| {
            git(&[
                "log",
                "-1",
                "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
                format,
            ])
        };
        Ok(Self {
            epoch: show("--format=%ct")?,
            rfc3339: show("--format=%cd")?,
            rfc5322: show("--format=%cD")?,
            id: show("--format=%H")?,
            has_changes: !git(&["status", "--porcelain"])?.is_empty(),
        })
    }
}
