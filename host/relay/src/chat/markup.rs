//! Texts in the markup of a service.

use crate::report::note::{Note, Part};

/// Returns a note in the Markdown of DingTalk, which knows escapes.
pub(super) fn dingtalk(note: &Note) -> String {
    let title = format!("#### {}", escaped(&note.title));
    let lines = note.all_lines().map(|parts| markdown(parts, &escaped));
    // A single line end does not begin a new line.
    let lines: Vec<String> = std::iter::once(title).chain(lines).collect();
    lines.join("\n\n")
}

/// Returns a note in the Markdown of WeCom, which knows no escapes.
pub(super) fn wecom(note: &Note) -> String {
    let title = format!("**{}**", replaced(&note.title));
    let lines = note.all_lines().map(|parts| markdown(parts, &replaced));
    let lines: Vec<String> = std::iter::once(title).chain(lines).collect();
    lines.join("\n")
}

fn markdown(parts: &[Part], plain: &dyn Fn(&str) -> String) -> String {
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) => plain(text),
        // Neither is allowed in a URL, but a browser accepts them.
        Part::Link { text, url } => {
            let url = url.replace('(', "%28").replace(')', "%29");
            format!("[{}]({url})", plain(text))
        }
    });
    parts.collect()
}

/// Returns a text in which no character is markup: with a backslash before each that may be.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if "\\`*_{}[]()<>#+-!|~&".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Returns a text in which no character is markup: those that are look alike.
fn replaced(text: &str) -> String {
    let replace = |c| match c {
        '<' => '\u{ff1c}',
        '>' => '\u{ff1e}',
        '[' => '\u{ff3b}',
        ']' => '\u{ff3d}',
        '*' => '\u{ff0a}',
        '`' => '\u{ff40}',
        '#' => '\u{ff03}',
        c => c,
    };
    text.chars().map(replace).collect()
}

/// Returns a text as Slack shows it where its own markup is allowed.
pub(super) fn slack(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let text = "[x](http://evil) <@all> **b** `c` _d_ # e";
        let shown = escaped(text);
        let unescaped = shown.replace('\\', "");
        assert_eq!(unescaped, text);
        let mut before = ' ';
        for c in shown.chars() {
            assert!(!"[]()<>*`_#".contains(c) || before == '\\', "{shown}");
            before = c;
        }
        assert!(!replaced(text).contains(['[', ']', '<', '>', '*', '`', '#']));
        assert_eq!(slack("<!channel> & co"), "&lt;!channel&gt; &amp; co");
    }

    #[test]
    fn a_link_ends_where_its_url_ends() {
        let link = Part::Link {
            text: "a]b".into(),
            url: "https://example.com/(x)".into(),
        };
        assert_eq!(
            markdown(&[link], &escaped),
            "[a\\]b](https://example.com/%28x%29)"
        );
    }
}
