//! The options as text: for `--help` and for the documentation.

use std::fmt::Write;

use super::options::{specs, variable};

/// The secrets, which have no flag, for `--help`.
pub(crate) fn secrets() -> String {
    let mut text = String::from(
        "Secrets have no flag, because other users of this machine can see command lines. Set a \
         variable, or a key of the configuration file:\n",
    );
    for spec in specs().filter(|spec| spec.kind.is_secret()) {
        let (variable, help, form) = (variable(&spec.name), spec.help, &spec.form);
        // A `String` takes everything.
        let _ = write!(text, "\n  {variable}\n          {help}. Must be {form}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::options::{Change, Spec, file_key, flag};
    use super::*;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

    #[test]
    fn the_documentation_has_every_option() {
        let text = std::fs::read_to_string(DOCUMENT).unwrap();
        let (open, close) = ("<!-- options -->\n", "<!-- /options -->");
        let (before, rest) = text.split_once(open).unwrap();
        let (found, after) = rest.split_once(close).unwrap();
        let expected = table();
        if std::env::var_os("UPDATE").is_some() {
            let updated = [before, open, &expected, "\n", close, after].concat();
            std::fs::write(DOCUMENT, updated).unwrap();
        } else {
            assert_eq!(
                found.trim(),
                expected.trim(),
                "run the tests with `UPDATE=1`"
            );
        }
    }

    /// The table of all options in the documentation, as Markdown.
    fn table() -> String {
        let mut text = String::new();
        let mut heading = "";
        for spec in specs() {
            if spec.heading != heading {
                heading = spec.heading;
                let _ = write!(
                    text,
                    "\n### {heading}\n\n| key | flag | default | reload | meaning |\n|---|---|---|---|---|\n"
                );
            }
            text.push_str(&row(spec));
        }
        text
    }

    fn row(spec: &Spec) -> String {
        let flag = if spec.kind.is_secret() {
            String::new()
        } else {
            format!("`{}`", flag(&spec.name))
        };
        let default = match spec.default.as_str() {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let reload = match spec.change {
            Change::Reload => "yes",
            Change::Restart => "",
        };
        let (name, help, form) = (file_key(&spec.name), spec.help, &spec.form);
        format!("| `{name}` | {flag} | {default} | {reload} | {help}. Must be {form} |\n")
    }
}
