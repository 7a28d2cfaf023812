//! The README's tables are those of the code. `UPDATE=1 cargo test` updates
//! them anew.

use batchtask_guest::outcomes::{Refusal, Success};
use batchtask_guest::settings::SETTINGS;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

#[test]
fn the_table_of_outcomes_is_that_of_the_code() {
    let successes = Success::ALL
        .iter()
        .map(|row| (row.status(), row.label(), row.text()));
    let refusals = Refusal::ALL
        .iter()
        .map(|row| (row.status(), row.label(), row.text()));
    let mut rows: Vec<_> = successes.chain(refusals).collect();
    rows.sort_by_key(|&(status, ..)| status);
    let row = |(status, label, text)| format!("| {status} | `{label}` | {text} |\n");
    holds("outcomes", &rows.into_iter().map(row).collect::<String>());
}

#[test]
fn the_table_of_settings_is_that_of_the_code() {
    let row = |setting: &batchtask_guest::settings::Setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let (name, text, form) = (setting.name, setting.text, setting.form);
        format!("| `{name}` | {default} | {text}. Must be {form} |\n")
    };
    holds("settings", &SETTINGS.iter().map(row).collect::<String>());
}

/// Asserts that the README has these rows between the marks of this name.
fn holds(name: &str, rows: &str) {
    let readme = std::fs::read_to_string(README).unwrap();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = readme.split_once(&open).unwrap();
    let (found, after) = rest.split_once(&close).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        let updated = [before, &open, rows, &close, after].concat();
        std::fs::write(README, updated).unwrap();
    } else {
        assert_eq!(
            found, rows,
            "run `UPDATE=1 cargo test -p batchtask-guest -- --test-threads 1`"
        );
    }
}
