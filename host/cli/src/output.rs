//! Writes to the terminal or to a pipe. Unlike `println!`, nothing panics if the reader
//! has gone.

use std::io::{self, IsTerminal, Write};

use super::table::escape_unprintable;

/// Writes a line to the standard output. What could control a terminal is escaped.
pub(super) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", escape_unprintable(text.trim_end()))
}

/// Writes a note for people to stderr. It is lost if stderr cannot be written, because
/// there is no other place for it.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Returns the number of columns of the terminal that shows the standard output, or
/// `None` if it is not a terminal.
pub(super) fn columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let (columns, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(columns.0)).filter(|columns| *columns > 0)
}
