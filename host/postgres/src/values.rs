//! Texts as the tables store them.

use std::borrow::Cow;

/// Begins the two characters that stand for NUL, or for this character itself.
/// PostgreSQL cannot store NUL. The order of texts stays the same.
const ESCAPE: char = '\u{1}';
const ESCAPED_NUL: &str = "\u{1}\u{2}";
const ESCAPED_ESCAPE: &str = "\u{1}\u{3}";

/// Returns a text as it is stored. Almost every text is stored unchanged.
///
/// Two texts contain one another if and only if their stored forms do, except
/// that U+0002 and U+0003 at the start of a search text also match a part of an
/// escape.
pub(crate) fn to_stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    // The order matters: the first replacement does not add a NUL.
    let text = text.replace(ESCAPE, ESCAPED_ESCAPE);
    Cow::Owned(text.replace('\0', ESCAPED_NUL))
}

/// Returns the text of a stored text.
pub(crate) fn from_stored(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    let mut found = String::with_capacity(text.len());
    let mut is_escaped = false;
    for character in text.chars() {
        match (is_escaped, character) {
            (false, ESCAPE) => {}
            (true, '\u{2}') => found.push('\0'),
            (true, _) => found.push(ESCAPE),
            (false, other) => found.push(other),
        }
        is_escaped = !is_escaped && character == ESCAPE;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 12] = [
        "",
        "\0",
        "\0\0",
        "\0\u{1}",
        "\u{1}",
        "\u{1}\0",
        "\u{1}\u{2}",
        "\u{1}\u{3}",
        "\u{2}",
        "\u{3}",
        "a\0b",
        "日本",
    ];

    #[test]
    fn stored_texts_have_no_nul_and_come_back() {
        for text in TEXTS {
            let stored = to_stored(text);
            assert!(!stored.contains('\0'), "{text:?}");
            assert_eq!(from_stored(stored.into_owned()), text);
        }
    }

    #[test]
    fn stored_texts_keep_their_order() {
        for a in TEXTS {
            for b in TEXTS {
                assert_eq!(a.cmp(b), to_stored(a).cmp(&to_stored(b)), "{a:?} {b:?}");
            }
        }
    }
}
