//! Asks before a change.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use crate::exit::Usage;

/// The answer was not yes.
#[derive(Debug, thiserror::Error)]
#[error("not confirmed: nothing was changed")]
struct NotConfirmed;

#[derive(Args)]
pub(super) struct Confirm {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

impl Confirm {
    /// Asks whether the changes that were shown should be made.
    ///
    /// # Errors
    /// The answer is not yes, or there is no terminal to ask on.
    pub(super) fn ask(&self) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Usage(NO_TERMINAL).into());
        }
        write!(io::stderr(), "Make these changes? [y/N] ")?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if is_yes(&answer) {
            Ok(())
        } else {
            Err(NotConfirmed.into())
        }
    }
}

const NO_TERMINAL: &str =
    "nothing was changed: there is no terminal to ask for confirmation, so pass `--yes`";

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for answer in ["y\n", "Y\n", "yes\r\n", " YES "] {
            assert!(is_yes(answer), "{answer}");
        }
        for answer in ["", "\n", "n\n", "no\n", "yess\n", "ja\n"] {
            assert!(!is_yes(answer), "{answer}");
        }
    }
}
