//! Tables for terminals.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

/// A table with aligned columns. The width of wide characters is respected.
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Creates a table with these headings.
    pub(super) fn new(headings: [&str; COLUMNS]) -> Self {
        let rows = vec![headings.map(str::to_owned)];
        Self { rows }
    }

    pub(super) fn push(&mut self, row: [&str; COLUMNS]) {
        self.rows.push(row.map(escape_unprintable));
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        for row in &self.rows {
            write_row(out, row, &widths)?;
        }
        Ok(())
    }
}

/// Writes a line of cells, each padded to its width, without trailing spaces.
pub(super) fn write_row(
    out: &mut impl Write,
    cells: &[String],
    widths: &[usize],
) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line += cell;
        line.extend(std::iter::repeat_n(
            ' ',
            2 + width.saturating_sub(cell.width()),
        ));
    }
    writeln!(out, "{}", line.trim_end())
}

/// Escapes control characters and invisible characters in a text from the receiver,
/// because they could control the terminal or change the order of the text.
pub(super) fn escape_unprintable(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_default());
        }
    }
    escaped
}

fn is_printable(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !character.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_in_any_script() {
        let mut table = Table::new(["A", "B"]);
        table.push(["升级", "x"]);
        table.push(["", "a\tb"]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "A     B\n升级  x\n      a\\tb\n"
        );
    }

    #[test]
    fn only_visible_characters_reach_the_terminal() {
        for (text, expected) in [
            ("a\u{1b}[2J\r\n", r"a\u{1b}[2J\r\n"),
            ("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}"),
            ("\u{202e}exe.\u{2066}", r"\u{202e}exe.\u{2066}"),
            ("\u{feff}\u{2028}\u{200b}", r"\u{feff}\u{2028}\u{200b}"),
            ("שלום ✓ 👍 é", "שלום ✓ 👍 é"),
        ] {
            assert_eq!(escape_unprintable(text), expected);
        }
    }
}
