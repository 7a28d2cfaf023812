//! Tables for terminals.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::columns;

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

    /// Writes the table. On a terminal, long cells are cut so that each row fits; a pipe
    /// gets complete rows.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_within(out, columns())
    }

    fn write_within(&self, out: &mut impl Write, columns: Option<usize>) -> io::Result<()> {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        if let Some(columns) = columns {
            shrink(&mut widths, columns);
        }
        for row in &self.rows {
            let cells = row.iter().zip(widths);
            let cells: Vec<_> = cells.map(|(cell, width)| cut(cell, width)).collect();
            write_padded(out, &cells, &widths, columns)?;
        }
        Ok(())
    }
}

/// The spaces between two columns.
const GAP: usize = 2;
/// A column does not become narrower than this.
const NARROW: usize = 6;

/// Makes the widest columns narrower until a row fits into the terminal.
fn shrink(widths: &mut [usize], columns: usize) {
    loop {
        let gaps = GAP * widths.len().saturating_sub(1);
        let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(columns);
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else {
            return;
        };
        if excess == 0 || *widest <= NARROW {
            return;
        }
        *widest -= 1;
    }
}

/// Cuts a text that is wider than this. An ellipsis shows that it was cut.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        let taken = short.width() + character.width().unwrap_or(0);
        if taken + 1 > width {
            break;
        }
        short.push(character);
    }
    short + "…"
}

/// Writes a line of cells, each padded to its width. On a terminal, the last cell is cut
/// so that the line fits.
pub(super) fn write_row(
    out: &mut impl Write,
    cells: &[String],
    widths: &[usize],
) -> io::Result<()> {
    let Some((last, before)) = cells.split_last() else {
        return Ok(());
    };
    let Some(columns) = columns() else {
        return write_padded(out, cells, widths, None);
    };
    let taken = before.iter().zip(widths);
    let taken: usize = taken
        .map(|(cell, width)| cell.width().max(*width) + GAP)
        .sum();
    let mut fitting = before.to_vec();
    fitting.push(cut(last, columns.saturating_sub(taken).max(NARROW)));
    write_padded(out, &fitting, widths, Some(columns))
}

/// Writes a line of cells, each padded to its width, without trailing spaces. On a terminal
/// that is too narrow for all cells, the line is cut.
fn write_padded(
    out: &mut impl Write,
    cells: &[String],
    widths: &[usize],
    columns: Option<usize>,
) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line += cell;
        line.extend(std::iter::repeat_n(
            ' ',
            GAP + width.saturating_sub(cell.width()),
        ));
    }
    let line = line.trim_end();
    match columns {
        Some(columns) => writeln!(out, "{}", cut(line, columns)),
        None => writeln!(out, "{line}"),
    }
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

/// Escapes the same characters in JSON, where that changes nothing but the notation. The
/// JSON becomes one line.
pub(super) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // In JSON, these can only be between tokens.
            '\n' | '\r' | '\t' => escaped.push(' '),
            _ if is_printable(character) => escaped.push(character),
            // All of them are in the basic plane.
            _ => escaped += &format!("\\u{:04x}", u32::from(character)),
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
        table.write_within(&mut out, None).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "A     B\n升级  x\n      a\\tb\n"
        );
    }

    #[test]
    fn a_table_fits_the_terminal_and_a_pipe_gets_everything() {
        let text = "升级失败 ".repeat(600);
        let mut table = Table::new(["STATUS", "TASK", "TEXT"]);
        table.push(["PartialSuccess", "1a7ffc5c-d89c-44dd-8265", &text]);
        for columns in [30, 80, 200] {
            let mut out = Vec::new();
            table.write_within(&mut out, Some(columns)).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.lines().all(|line| line.width() <= columns), "{out}");
            assert!(out.contains('…'), "{out}");
        }
        let mut out = Vec::new();
        table.write_within(&mut out, None).unwrap();
        assert!(String::from_utf8(out).unwrap().contains(text.trim_end()));
    }

    #[test]
    fn json_is_escaped_and_stays_the_same_value() {
        for text in [
            "a\u{202e}b",
            "\u{9b}31m\u{7f}",
            "升级 👍",
            "\u{feff}\u{2028}",
        ] {
            let json = serde_json::json!({ "text": text, "next": [1] }).to_string();
            let escaped = escape_json(&json.replace(',', ",\n\t"));
            assert_eq!(escape_unprintable(&escaped), escaped);
            let value: serde_json::Value = serde_json::from_str(&escaped).unwrap();
            assert_eq!(value["text"], text);
        }
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
