//! The progress bar of long commands.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a progress bar, which is shown only on a terminal.
pub(super) fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}{wide_bar} {human_pos}/{human_len}, {eta} left");
    let bar = ProgressBar::new(length);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
