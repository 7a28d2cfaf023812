//! Limits the length of log lines, and escapes characters that control a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The longest line, in bytes. Collectors cut longer lines at any place, which
/// makes JSON invalid.
const LINE_BYTES_MAX: usize = 8 << 10;

/// The end of a text that was cut.
const CUT: &str = "…";

/// Cuts a line of text if it is too long. The subscriber has escaped it already.
pub(super) fn text(line: &str) -> Cow<'_, str> {
    if line.len() <= LINE_BYTES_MAX {
        return Cow::Borrowed(line);
    }
    let start = &line[..line.floor_char_boundary(LINE_BYTES_MAX - CUT.len() - 1)];
    Cow::Owned(format!("{start}{CUT}\n"))
}

/// Escapes characters in a line of JSON that control a terminal, because JSON also
/// allows them unescaped. If the line is too long, cuts its longest strings.
pub(super) fn json(line: &str) -> Cow<'_, str> {
    let mut line = escape(line);
    let mut max_chars = LINE_BYTES_MAX / 4;
    while line.len() > LINE_BYTES_MAX && max_chars > 0 {
        line = Cow::Owned(cut_strings(&line, max_chars));
        max_chars /= 2;
    }
    line
}

fn escape(json: &str) -> Cow<'_, str> {
    if json.is_ascii() && !json.contains('\x7f') {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // A line break in a string is escaped already, so this one ends the line.
            '\n' => escaped.push('\n'),
            _ if needs_escape(character) => {
                // All of them are below U+10000. Writing to a `String` cannot fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character controls a terminal, ends a line, or changes the direction of
/// text.
fn needs_escape(character: char) -> bool {
    let is_direction = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_direction || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Cuts each string in the JSON to `max_chars` characters. An escape counts as one
/// character.
fn cut_strings(json: &str, max_chars: usize) -> String {
    let mut cut = String::new();
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, string) = rest.split_at(start + 1);
        cut.push_str(before);
        let (mut count, mut end) = (0, 0);
        for length in unit_lengths(string) {
            end += length;
            count += 1;
            if count <= max_chars {
                cut.push_str(&string[end - length..end]);
            }
        }
        if count > max_chars {
            cut.push_str(CUT);
        }
        cut.push('"');
        rest = string.get(end + 1..).unwrap_or_default();
    }
    cut + rest
}

/// Returns the lengths of the characters and escapes of a string, up to the closing
/// quote.
fn unit_lengths(string: &str) -> impl Iterator<Item = usize> {
    let mut rest = string;
    std::iter::from_fn(move || {
        let length = match rest.as_bytes() {
            [] | [b'"', ..] => return None,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => rest.chars().next()?.len_utf8(),
        };
        rest = rest.get(length..)?;
        Some(length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn json_is_the_same_but_harmless() {
        let value =
            serde_json::json!({"id": "é\u{7f}\u{9b}31m\u{2028}\u{202e}x\u{301}\u{1f600}\0"});
        let line = value.to_string() + "\n";
        let written = json(&line);
        assert!(!written.trim_end().contains(needs_escape), "{written:?}");
        assert!(written.contains(r"\u009b31m\u2028\u202ex"), "{written}");
        let read: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn a_long_line_of_json_is_still_json() {
        for unit in ["x", "é", "\"", "\\", "\0", "\u{9b}", "\u{1f600}", "\\u"] {
            let long = unit.repeat(100_000);
            let values = [&*long, "short", &long, &long, &long];
            let value =
                serde_json::json!({"level": "INFO", "status": 200, "values": values, &*long: 1});
            let line = value.to_string() + "\n";
            let written = json(&line);
            assert!(written.len() <= LINE_BYTES_MAX, "{unit:?}");
            assert!(written.len() > LINE_BYTES_MAX / 8, "{unit:?}");
            assert!(written.ends_with("}\n"), "{written}");
            let read: Value = serde_json::from_str(&written).unwrap();
            assert_eq!(read["status"], 200);
            assert_eq!(read["values"][1], "short");
            let first = read["values"][0].as_str().unwrap();
            let kept = first.strip_suffix(CUT).expect("a mark");
            assert!(kept.len() > 100 && long.starts_with(kept), "{kept}");
        }
    }

    #[test]
    fn a_long_line_of_text_is_cut_between_characters() {
        let short = "x".repeat(LINE_BYTES_MAX - 1) + "\n";
        assert_eq!(text(&short), short);
        for start in ["", "x"] {
            let long = start.to_owned() + &"é".repeat(LINE_BYTES_MAX) + "\n";
            let written = text(&long);
            assert!(written.len() <= LINE_BYTES_MAX);
            let kept = written.strip_suffix("…\n").expect("a mark");
            assert!(long.starts_with(kept));
        }
    }
}
