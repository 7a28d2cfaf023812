//! The configuration file: TOML, with the line of each value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::fault::{Fault, Place};
use super::options::{LISTS, Spec, TABLES, file_key, find, in_table, nearest};

/// The values of a file by the name of their option, and where they are.
pub(super) type Values = BTreeMap<String, (String, Place)>;

/// The content of a file.
#[derive(Default)]
pub(super) struct Content {
    pub(super) values: Values,
    /// The tables of each list of tables, such as `[[sink]]`, by the name of the list.
    pub(super) lists: BTreeMap<String, Vec<Entry>>,
}

/// A table of a list of tables.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    values: BTreeMap<String, (Raw, Place)>,
}

/// A value that is not checked yet.
#[derive(Clone)]
pub(super) enum Raw {
    Text(String),
    /// A whole number, in decimal digits.
    Number(String),
    Switch(bool),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
    /// A value that no key has.
    Other,
}

impl fmt::Debug for Raw {
    /// Shows no value, because it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw")
    }
}

impl Entry {
    pub(super) fn get(&self, key: &str) -> Option<&(Raw, Place)> {
        self.values.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Where a key is, or where the table is if the key is missing.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.get(key)
            .map_or(&self.place, |(_, place)| place)
            .clone()
    }
}

impl Raw {
    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => Self::Number(integer(number)),
            DeValue::Boolean(switch) => Self::Switch(*switch),
            DeValue::Array(items) => {
                let items = items.iter();
                Self::List(items.map(|item| Self::of(item.get_ref())).collect())
            }
            DeValue::Table(table) => {
                let fields = table.iter();
                let fields = fields
                    .map(|(key, value)| (key.get_ref().to_string(), Self::of(value.get_ref())));
                Self::Table(fields.collect())
            }
            _ => Self::Other,
        }
    }
}

/// Reads a file. Returns the values that could be read, and adds a fault for
/// each of the others.
/// `place` is where the file is named.
pub(super) fn read(path: &Path, place: &Place, faults: &mut Vec<Fault>) -> Content {
    let problem = match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => return parse(path, &text, faults),
        Ok(Err(_)) => format!("is invalid: `{}` is not UTF-8", path.display()),
        Err(error) => format!("cannot be read: `{}`: {error}", path.display()),
    };
    faults.push(Fault::new(place.clone(), "config", problem));
    Content::default()
}

fn parse(path: &Path, text: &str, faults: &mut Vec<Fault>) -> Content {
    let file = File {
        path: path.into(),
        text,
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // Not the whole error: it quotes the line, which may contain a secret.
        let place = file.place(error.span().unwrap_or_default());
        faults.push(Fault::new(
            place,
            "",
            format!("not TOML: {}", error.message()),
        ));
    }
    let mut values = Values::new();
    let mut add = |prefix: &str, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>| {
        let place = file.place(key.span());
        match file.option(prefix, key.get_ref(), value.get_ref(), &place) {
            Ok((name, text)) => {
                values.insert(name, (text, place));
            }
            // A broken line leaves keys that are not meant.
            Err(_) if file.has_error(&errors, &place) => {}
            Err(fault) => faults.push(fault),
        }
    };
    let mut lists = BTreeMap::new();
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            (name, DeValue::Array(items)) if LISTS.contains(&name) && file.are_tables(items) => {
                let entries = items.iter().filter_map(|item| file.entry(item));
                lists.insert(name.to_owned(), entries.collect());
            }
            (name, DeValue::Table(entries)) if TABLES.contains(&name) => {
                let prefix = format!("{name}_");
                let entries = entries.iter();
                entries.for_each(|(key, value)| add(&prefix, key, value));
            }
            _ => add("", key, value),
        }
    }
    Content { values, lists }
}

struct File<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl File<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        Place::Line(self.path.clone(), line)
    }

    fn are_tables(&self, items: &[Spanned<DeValue<'_>>]) -> bool {
        let mut items = items.iter();
        items.all(|item| matches!(item.get_ref(), DeValue::Table(_)))
    }

    /// A table of a list.
    fn entry(&self, item: &Spanned<DeValue<'_>>) -> Option<Entry> {
        let DeValue::Table(table) = item.get_ref() else {
            return None;
        };
        let values = table.iter().map(|(key, value)| {
            let place = self.place(key.span());
            (key.get_ref().to_string(), (Raw::of(value.get_ref()), place))
        });
        Some(Entry {
            place: self.place(item.span()),
            values: values.collect(),
        })
    }

    /// Whether there is an error of syntax in the same line.
    fn has_error(&self, errors: &[toml::de::Error], place: &Place) -> bool {
        let mut places = errors.iter().filter_map(toml::de::Error::span);
        places.any(|span| self.place(span) == *place)
    }

    /// The name of an option and the text of its value. `prefix` is that of the
    /// options of the table in which the key is.
    fn option(
        &self,
        prefix: &str,
        key: &str,
        value: &DeValue<'_>,
        place: &Place,
    ) -> Result<(String, String), Fault> {
        let name = format!("{prefix}{key}");
        let is_here = |_: &&Spec| in_table(&name).is_some() != prefix.is_empty();
        let Some(spec) = find(&name).filter(is_here) else {
            return Err(unknown(prefix, key, value, place));
        };
        let text = self.text_of(spec, value).map_err(|found| {
            let problem = match found {
                Unfit::Type(found) => format!("must be {}, found {found}", spec.form),
                Unfit::Other(problem) => problem,
            };
            Fault::new(place.clone(), &*name, problem)
        })?;
        Ok((name, text))
    }

    fn text_of(&self, spec: &Spec, value: &DeValue<'_>) -> Result<String, Unfit> {
        match value {
            DeValue::String(text) if spec.kind.is_secret() && text.trim().is_empty() => {
                let problem = "is empty: set a value, or remove the line";
                Err(Unfit::Other(problem.into()))
            }
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(integer(number)),
            DeValue::Float(number) => Ok(number.as_str().to_owned()),
            DeValue::Boolean(switch) => Ok(switch.to_string()),
            DeValue::Array(items) if spec.kind.is_list() => {
                let texts: Result<Vec<_>, _> = items
                    .iter()
                    .map(|item| self.item(spec, item.get_ref()))
                    .collect();
                Ok(texts?.join(","))
            }
            DeValue::Table(table) if spec.kind.is_secret() => self.secret_file(table),
            other => Err(Unfit::Type(format!("a TOML {}", other.type_str()))),
        }
    }

    /// An item of a list.
    fn item(&self, spec: &Spec, value: &DeValue<'_>) -> Result<String, Unfit> {
        match value {
            DeValue::Array(_) => Err(Unfit::Type("a list in a list".into())),
            DeValue::String(text) if text.contains(',') => Err(Unfit::Other(
                "has a comma in an item of its list: write two items".into(),
            )),
            value => self.text_of(spec, value),
        }
    }

    /// A secret in a file of its own: `{ file = "PATH" }`.
    fn secret_file(&self, table: &DeTable<'_>) -> Result<String, Unfit> {
        let mut entries = table.iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else {
            return Err(Unfit::Type(NOT_A_FILE.into()));
        };
        let ("file", DeValue::String(path)) = (key.get_ref().as_ref(), value.get_ref()) else {
            return Err(Unfit::Type(NOT_A_FILE.into()));
        };
        read_secret(path).map_err(Unfit::Other)
    }
}

/// Reads a secret from a file of its own. An error is a phrase that follows the name of
/// the option.
pub(super) fn read_secret(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| format!("names the file `{path}`: {error}"))?;
    match text.trim() {
        "" => Err(format!("names the file `{path}`, which is empty")),
        text => Ok(text.to_owned()),
    }
}

/// The fault of a key that is not an option where it is.
fn unknown(prefix: &str, key: &str, value: &DeValue<'_>, place: &Place) -> Fault {
    let name = format!("{prefix}{key}");
    if let Some((table, key)) = in_table(&name).filter(|_| prefix.is_empty()) {
        let problem = format!("`{name}` must be in the table `[{table}]`, as `{key}`");
        return Fault::new(place.clone(), "", problem);
    }
    let problem = if LISTS.contains(&&*name) {
        format!("must be a list of tables: write `[[{name}]]`, and its keys below")
    } else if TABLES.contains(&&*name) {
        format!("must be a table: write `[{name}]`, and its keys below")
    } else if let Some(list) = LISTS.iter().find(|list| is_singular_or_plural(list, &name)) {
        format!("is not an option; did you mean `[[{list}]]`?")
    } else if let Some(table) = TABLES
        .iter()
        .find(|table| is_singular_or_plural(table, &name))
    {
        format!("is not an option; did you mean `[{table}]`?")
    } else if matches!(value, DeValue::Table(_)) {
        let tables = TABLES.join("`, `");
        format!(
            "is a table that does not exist; options are at the top of the file, or in a table \
             (`{tables}`)"
        )
    } else if !prefix.is_empty() && find(key).is_some() {
        format!("is not an option; `{key}` must be above all tables")
    } else {
        let near = in_a_table(&name).or_else(|| nearest(&name).map(str::to_owned));
        let hint = near.map_or_else(String::new, |near| {
            format!("; did you mean `{}`?", file_key(&near))
        });
        format!("is not an option{hint}")
    };
    Fault::new(place.clone(), name, problem)
}

/// Whether two names differ only by the `s` of a plural.
fn is_singular_or_plural(name: &str, other: &str) -> bool {
    name.trim_end_matches('s') == other.trim_end_matches('s')
}

/// The option that has this key in a table.
fn in_a_table(key: &str) -> Option<String> {
    let mut names = TABLES.iter().map(|table| format!("{table}_{key}"));
    names.find(|name| find(name).is_some())
}

/// What is found instead of the file of a secret.
const NOT_A_FILE: &str = "a table that is not `{ file = \"PATH\" }`";

/// Why a value has no text.
enum Unfit {
    /// The type of TOML is wrong.
    Type(String),
    /// Another problem.
    Other(String),
}

/// The number in decimal digits.
fn integer(number: &DeInteger<'_>) -> String {
    let parsed = i128::from_str_radix(number.as_str(), number.radix());
    parsed.map_or_else(|_| number.as_str().to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A comment.\nmax_reads = 0x10\ntakeover = true\n\
        trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\ntoken = [\"abc\", \"def\"]\nlog = \"é\"\n";

    fn parsed(text: &str) -> (Values, Vec<Fault>) {
        let mut faults = Vec::new();
        let content = parse(Path::new("b.toml"), text, &mut faults);
        (content.values, faults)
    }

    #[test]
    fn values_have_the_form_that_they_have_on_the_command_line() {
        let (values, faults) = parsed(TEXT);
        assert!(faults.is_empty(), "{faults:?}");
        for (name, text, line) in [
            ("max_reads", "16", 2),
            ("takeover", "true", 3),
            ("trusted_proxies", "10.0.0.0/8,::1", 4),
            ("token", "abc,def", 5),
            ("log", "é", 6),
        ] {
            let place = Place::Line(Path::new("b.toml").into(), line);
            assert_eq!(values[name], (text.to_owned(), place));
        }
    }

    #[test]
    fn a_table_has_the_options_of_its_prefix() {
        let text = "log = \"info\"\n[platform]\nregion = \"cn-north-4\"\n\
            calls_per_second = 5\nsecret_key = \"a,b\"\n";
        let (values, faults) = parsed(text);
        assert!(faults.is_empty(), "{faults:?}");
        for (name, text, line) in [
            ("log", "info", 1),
            ("platform_region", "cn-north-4", 3),
            ("platform_calls_per_second", "5", 4),
            ("platform_secret_key", "a,b", 5),
        ] {
            let place = Place::Line(Path::new("b.toml").into(), line);
            assert_eq!(values[name], (text.to_owned(), place));
        }
        let (dotted, faults) = parsed("platform.region = \"x\"\n");
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(dotted["platform_region"].0, "x");
    }

    #[test]
    fn a_key_in_the_wrong_place_is_a_fault() {
        for (text, expected) in [
            (
                "[platform]\nregio = \"x\"",
                "b.toml:2: `platform.regio` is not an option; did you mean `platform.region`?",
            ),
            (
                "[platform]\nlisten = \":1\"",
                "b.toml:2: `platform.listen` is not an option; `listen` must be above all tables",
            ),
            (
                "platform_region = \"x\"",
                "b.toml:1: `platform_region` must be in the table `[platform]`, as `region`",
            ),
            (
                "region = \"x\"",
                "b.toml:1: `region` is not an option; did you mean `platform.region`?",
            ),
            ("platform = 1", "b.toml:1: `platform` must be a table"),
            (
                "[nowhere]\nx = 1",
                "b.toml:1: `nowhere` is a table that does not exist",
            ),
            (
                "[sinks]\nurl = \"x\"",
                "b.toml:1: `sinks` is not an option; did you mean `[[sink]]`?",
            ),
            (
                "[[sinks]]\nurl = \"x\"",
                "b.toml:1: `sinks` is not an option; did you mean `[[sink]]`?",
            ),
            (
                "[trace]\nurl = \"x\"",
                "b.toml:1: `trace` is not an option; did you mean `[traces]`?",
            ),
            (
                "[platform]\nsecret_key = [\"a\", \"b\"]",
                "b.toml:2: `platform.secret_key` must be one secret, found a TOML array",
            ),
            (
                "[platform]\nsecret_key = \"\"",
                "b.toml:2: `platform.secret_key` is empty",
            ),
        ] {
            let faults = parsed(text).1;
            let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert_eq!(texts.len(), 1, "{texts:?}");
            assert!(texts[0].starts_with(expected), "{texts:?}");
        }
    }

    #[test]
    fn every_part_of_a_file_is_read_or_refused() {
        let whole = parsed(TEXT).0;
        for (end, _) in TEXT.char_indices() {
            let (values, faults) = parsed(&TEXT[..end]);
            assert!(values.len() <= whole.len());
            for fault in faults {
                assert!(fault.to_string().starts_with("b.toml:"), "{fault}");
            }
        }
    }

    #[test]
    fn an_error_of_syntax_does_not_hide_the_other_faults() {
        let (_, faults) = parsed("a = = 1\nmax_read = 3\n");
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(
            texts.iter().any(|text| text.contains("b.toml:1: not TOML")),
            "{texts:?}"
        );
        let near = "b.toml:2: `max_read` is not an option";
        assert!(texts.iter().any(|text| text.contains(near)), "{texts:?}");
    }
}
