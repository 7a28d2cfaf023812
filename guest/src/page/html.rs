//! Writes HTML text. Every value is escaped.

use alloc::string::String;
use batchtask_notification::{push_decimal, time};

use super::context::{Context, Language};

/// A document that is being written.
///
/// Markup has the texts of both languages, as `{English|中文}`. In it, `~` is the
/// relative address of the page of tasks, which is the beginning of every link, and each
/// `$` is the next value. A value may be in text, or in an attribute in single quotes.
#[derive(Default)]
pub struct Html {
    text: String,
    root: String,
    language: Language,
}

impl Html {
    /// Returns an empty document.
    pub(super) fn new(context: &Context<'_>) -> Self {
        Self {
            text: String::new(),
            root: context.root(),
            language: context.language,
        }
    }

    /// Returns the text of the document.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Adds markup without values.
    pub fn markup(&mut self, markup: &str) {
        self.fill(markup, &[]);
    }

    /// Adds markup with values, which are escaped.
    pub fn fill(&mut self, markup: &str, values: &[&str]) {
        debug_assert_eq!(markup.matches('$').count(), values.len(), "{markup}");
        let mut values = values.iter();
        let mut is_other_language = false;
        for character in markup.chars() {
            match character {
                '{' => is_other_language = self.language != Language::English,
                '|' => is_other_language = !is_other_language,
                '}' => is_other_language = false,
                _ if is_other_language => {}
                '$' => self.text(values.next().copied().unwrap_or_default()),
                '~' => self.text.push_str(&self.root),
                _ => self.text.push(character),
            }
        }
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        push_decimal(&mut self.text, number);
    }

    /// Adds an instant, to the second. The script shows it in local time.
    pub fn instant(&mut self, at_ms: u64) {
        let exact = time::rfc3339(at_ms);
        let (day, rest) = exact.split_once('T').unwrap_or_default();
        let second = rest.split('.').next().unwrap_or_default();
        self.fill("<time datetime='$'>$ $</time>", &[&exact, day, second]);
    }

    /// Adds a length of time, in its two greatest units.
    pub fn span(&mut self, milliseconds: u64) {
        const UNITS: [(u64, &str); 4] = [
            (86_400, "{ d| 天}"),
            (3600, "{ h| 小时}"),
            (60, "{ min| 分}"),
            (1, "{ s| 秒}"),
        ];
        let mut rest = milliseconds / 1000;
        let mut shown = 0_u32;
        for (seconds, unit) in UNITS {
            let number = rest.checked_div(seconds).unwrap_or(0);
            rest = rest.checked_rem(seconds).unwrap_or(0);
            let is_last = seconds == 1 && shown == 0;
            if number > 0 && shown < 2 || is_last {
                if shown > 0 {
                    self.text.push(' ');
                }
                self.number(number);
                self.markup(unit);
            }
            // After the greatest unit, only the next one.
            if shown > 0 || number > 0 {
                shown = shown.saturating_add(1);
            }
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
        assert_eq!(filled("$ {a|b}", &["{|}~"]), "{|}~ a");
    }

    #[test]
    fn markup_has_two_languages_and_relative_links() {
        let markup = "<a href='~page/$'>{Next|下一页}</a>{|无}";
        for (language, expected) in [
            (Language::English, "<a href='../page/x'>Next</a>"),
            (Language::Chinese, "<a href='../page/x'>下一页</a>无"),
        ] {
            let mut html = Html {
                root: "../".into(),
                language,
                ..Html::default()
            };
            html.fill(markup, &["x"]);
            assert_eq!(html.into_text(), expected);
        }
    }

    #[test]
    fn a_span_has_the_two_greatest_units() {
        for (ms, text) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (3_601_000, "1 h"),
            (3_661_000, "1 h 1 min"),
            (90_000_000, "1 d 1 h"),
            (86_460_000, "1 d"),
        ] {
            let mut html = Html::default();
            html.span(ms);
            assert_eq!(html.into_text(), text, "{ms}");
        }
    }
}
