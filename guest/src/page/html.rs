//! Writes HTML text. Every value is escaped.

use alloc::string::String;

/// A document that is being written.
#[derive(Default)]
pub(super) struct Html {
    text: String,
}

impl Html {
    /// Returns the text of the document.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Adds markup, unchanged.
    pub(super) fn markup(&mut self, markup: &str) {
        self.text.push_str(markup);
    }

    /// Adds markup in which each `$` is replaced by the next value, escaped. A
    /// `$` may be in text, or in an attribute in single quotes.
    pub(super) fn fill(&mut self, markup: &str, values: &[&str]) {
        debug_assert_eq!(markup.matches('$').count(), values.len(), "{markup}");
        let mut values = values.iter();
        for (place, piece) in markup.split('$').enumerate() {
            if place > 0
                && let Some(value) = values.next()
            {
                self.text(value);
            }
            self.markup(piece);
        }
    }

    /// Adds text, escaped. Characters that HTML does not allow are replaced by
    /// visible ones: C0 control characters by their pictures, others by U+FFFD.
    fn text(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '\'' => self.text.push_str("&#39;"),
                '\n' | '\t' => self.text.push(character),
                '\0'..'\x20' => {
                    let picture = u32::from(character).saturating_add(0x2400);
                    self.text.extend(char::from_u32(picture));
                }
                '\x7f'..'\u{a0}' => self.text.push(char::REPLACEMENT_CHARACTER),
                _ => self.text.push(character),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(markup: &str, values: &[&str]) -> String {
        let mut html = Html::default();
        html.fill(markup, values);
        html.into_text()
    }

    #[test]
    fn values_are_inserted_in_order() {
        assert_eq!(filled("<b id='$'>$</b>", &["1", "2"]), "<b id='1'>2</b>");
        assert_eq!(filled("$", &["$"]), "$");
        assert_eq!(filled("none", &[]), "none");
    }

    #[test]
    fn no_value_is_markup() {
        assert_eq!(
            filled("$", &["<script>'&\"</script>"]),
            "&lt;script&gt;&#39;&amp;\"&lt;/script&gt;"
        );
        assert_eq!(filled("$", &["\0\x1b\x7f\u{85}\u{a0}é\n"]), "␀␛��\u{a0}é\n");
    }
}
