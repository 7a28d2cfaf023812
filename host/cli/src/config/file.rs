//! The configuration file: TOML, with the line of each value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::fault::{Fault, Place};
use super::options::{Kind, Spec, find, nearest};

/// The values of a file by the name of their option, and where they are.
pub(super) type Values = BTreeMap<String, (String, Place)>;

/// Reads a file. Returns the values that could be read, and adds a fault for
/// each of the others.
/// `place` is where the file is named.
pub(super) fn read(path: &Path, place: &Place, faults: &mut Vec<Fault>) -> Values {
    let problem = match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => return parse(path, &text, faults),
        Ok(Err(_)) => format!("is invalid: `{}` is not UTF-8", path.display()),
        Err(error) => format!("cannot be read: `{}`: {error}", path.display()),
    };
    faults.push(Fault::new(place.clone(), "config", problem));
    Values::new()
}

fn parse(path: &Path, text: &str, faults: &mut Vec<Fault>) -> Values {
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
    for (key, value) in table.get_ref() {
        let place = file.place(key.span());
        match file.option(key, value, &place) {
            Ok((name, text)) => {
                values.insert(name, (text, place));
            }
            // A broken line leaves keys that are not meant.
            Err(_) if file.has_error(&errors, &place) => {}
            Err(fault) => faults.push(fault),
        }
    }
    values
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

    /// Whether there is an error of syntax in the same line.
    fn has_error(&self, errors: &[toml::de::Error], place: &Place) -> bool {
        let mut places = errors.iter().filter_map(toml::de::Error::span);
        places.any(|span| self.place(span) == *place)
    }

    /// The name of an option and the text of its value.
    fn option(
        &self,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        place: &Place,
    ) -> Result<(String, String), Fault> {
        let name = key.get_ref().as_ref();
        let Some(spec) = find(name) else {
            if let DeValue::Table(_) = value.get_ref() {
                let problem = "is a table; all options are at the top of the file, without a table";
                return Err(Fault::new(place.clone(), name, problem));
            }
            let hint =
                nearest(name).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(Fault::new(
                place.clone(),
                name,
                format!("is not an option{hint}"),
            ));
        };
        let text = self.text_of(&spec, value.get_ref()).map_err(|found| {
            let problem = match found {
                Unfit::Type(found) => format!("must be {}, found {found}", spec.form),
                Unfit::Other(problem) => problem,
            };
            Fault::new(place.clone(), name, problem)
        })?;
        Ok((name.to_owned(), text))
    }

    fn text_of(&self, spec: &Spec, value: &DeValue<'_>) -> Result<String, Unfit> {
        match value {
            DeValue::String(text) if spec.kind == Kind::Secret && text.trim().is_empty() => {
                let problem = "is empty: set a value, or remove the line";
                Err(Unfit::Other(problem.into()))
            }
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(integer(number)),
            DeValue::Boolean(switch) => Ok(switch.to_string()),
            DeValue::Array(items) if spec.kind.is_list() => {
                let texts: Result<Vec<_>, _> = items
                    .iter()
                    .map(|item| self.item(spec, item.get_ref()))
                    .collect();
                Ok(texts?.join(","))
            }
            DeValue::Table(table) if spec.kind == Kind::Secret => self.secret_file(table),
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
        let path = PathBuf::from(path.as_ref());
        let text = fs::read_to_string(&path).map_err(|error| {
            Unfit::Other(format!("names the file `{}`: {error}", path.display()))
        })?;
        let text = text.trim();
        if text.is_empty() {
            let problem = format!("names the file `{}`, which is empty", path.display());
            return Err(Unfit::Other(problem));
        }
        Ok(text.to_owned())
    }
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
        let values = parse(Path::new("b.toml"), text, &mut faults);
        (values, faults)
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
