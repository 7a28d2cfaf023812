//! [`Reader`]: reads the values of one table.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::TABLE;
use super::keys::{KEYS, KindName, Spec};
use crate::config::fault::Fault;
use crate::config::file::{Entry, Raw, read_secret};

/// Reads one table, and gathers its faults.
pub(super) struct Reader<'a> {
    entry: &'a Entry,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(entry: &'a Entry) -> Self {
        Self {
            entry,
            faults: Vec::new(),
        }
    }

    /// Returns the faults of this table that were found so far.
    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Refuses keys that are not known, or that belong to sinks of another kind.
    pub(super) fn check_keys(&mut self, kind: KindName) {
        for key in self.entry.keys() {
            match KEYS.iter().find(|spec| spec.name == key) {
                None => self.refuse_unknown(key, kind),
                Some(spec) if !spec.is_of(kind) => {
                    let kinds: Vec<String> = spec.kinds().map(|kind| format!("`{kind}`")).collect();
                    let (kinds, word) = (kinds.join(", "), kind.word());
                    let problem =
                        format!("is a key of the kind {kinds}, and this sink is a `{word}`");
                    self.fault(key, problem);
                }
                Some(_) => {}
            }
        }
    }

    fn refuse_unknown(&mut self, key: &str, kind: KindName) {
        let likeness = |spec: &&&Spec| (1000.0 * strsim::jaro_winkler(key, spec.name)) as u32;
        let near = KEYS.iter().filter(|spec| spec.is_of(kind));
        let near = near.max_by_key(likeness);
        let hint = near.filter(|spec| likeness(spec) > 800);
        let hint = hint.map_or_else(String::new, |spec| {
            format!("; did you mean `{TABLE}.{}`?", spec.name)
        });
        self.fault(key, format!("is not a key of a sink{hint}"));
    }

    /// Whether a key is set.
    pub(super) fn has(&self, spec: &Spec) -> bool {
        self.entry.get(spec.name).is_some()
    }

    /// Returns the text of a key that is set, as it is.
    pub(super) fn value(&self, spec: &Spec) -> Option<&'a str> {
        match self.entry.get(spec.name) {
            Some((Raw::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// Returns the value of a key, or its default.
    pub(super) fn raw(&self, spec: &Spec) -> Option<Raw> {
        match self.entry.get(spec.name) {
            Some((raw, _)) => Some(raw.clone()),
            None if spec.default.is_empty() => None,
            None => Some(Raw::Text(spec.default.into())),
        }
    }

    pub(super) fn text(&mut self, spec: &Spec) -> Option<String> {
        match self.raw(spec)? {
            Raw::Text(text) => Some(text),
            _ => self.refuse_form(spec),
        }
    }

    pub(super) fn required_text(&mut self, spec: &Spec) -> Option<String> {
        self.require(spec);
        self.text(spec)
    }

    /// Refuses a table without this key.
    pub(super) fn require(&mut self, spec: &Spec) {
        if !self.has(spec) {
            self.refuse(spec, "is missing");
        }
    }

    /// Refuses a table that has the first key and not the second.
    pub(super) fn needs(&mut self, set: &Spec, missing: &Spec) {
        if self.has(set) && !self.has(missing) {
            self.refuse(set, format!("needs `{TABLE}.{}`: set both", missing.name));
        }
    }

    /// Returns a list, or the one value as a list. A default is separated by commas.
    pub(super) fn list(&self, spec: &Spec) -> Vec<Raw> {
        match self.entry.get(spec.name) {
            Some((Raw::List(items), _)) => items.clone(),
            Some((raw, _)) => vec![raw.clone()],
            None => {
                let items = spec.default.split(", ").filter(|item| !item.is_empty());
                items.map(|item| Raw::Text(item.into())).collect()
            }
        }
    }

    pub(super) fn texts(&mut self, spec: &Spec) -> Vec<String> {
        let text = |raw: Raw| match raw {
            Raw::Text(text) => Some(text),
            _ => None,
        };
        let texts: Option<Vec<String>> = self.list(spec).into_iter().map(text).collect();
        texts.or_else(|| self.refuse_form(spec)).unwrap_or_default()
    }

    /// Returns the choice that a text names.
    pub(super) fn choice<T: Copy>(&mut self, spec: &Spec, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text(spec)?;
        let mut choices = choices.iter();
        let found = choices.find(|(known, _)| *known == word);
        found
            .map(|(_, choice)| *choice)
            .or_else(|| self.refuse_form(spec))
    }

    /// Returns the choices that a text or a list of texts names.
    pub(super) fn choices<T: Copy>(&mut self, spec: &Spec, choices: &[(&str, T)]) -> Vec<T> {
        let words = self.texts(spec);
        let choice = |word: &String| {
            let mut choices = choices.iter();
            let found = choices.find(|(known, _)| known == word);
            found.map(|(_, choice)| *choice)
        };
        let found: Option<Vec<T>> = words.iter().map(choice).collect();
        found.or_else(|| self.refuse_form(spec)).unwrap_or_default()
    }

    pub(super) fn number<T: FromStr + PartialOrd>(
        &mut self,
        spec: &Spec,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let number = match self.raw(spec)? {
            Raw::Number(text) | Raw::Text(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .or_else(|| self.refuse_form(spec))
    }

    pub(super) fn switch(&mut self, spec: &Spec) -> bool {
        match self.raw(spec) {
            Some(Raw::Switch(switch)) => switch,
            Some(Raw::Text(text)) if !self.has(spec) => text == "true",
            _ => self.refuse_form(spec).unwrap_or_default(),
        }
    }

    /// Returns a time such as `30s`, within these bounds.
    pub(super) fn time(
        &mut self,
        spec: &Spec,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let text = self.text(spec)?;
        time(&text)
            .filter(|time| range.contains(time))
            .or_else(|| self.refuse_form(spec))
    }

    /// Returns a text, or the content of a file.
    pub(super) fn secret(&mut self, spec: &Spec) -> Option<String> {
        let raw = self.raw(spec)?;
        self.secret_of(spec, &raw)
    }

    pub(super) fn secret_of(&mut self, spec: &Spec, raw: &Raw) -> Option<String> {
        match raw {
            Raw::Text(text) => Some(text.trim().to_owned()),
            Raw::Table(fields) => match &fields[..] {
                [(key, Raw::Text(path))] if key == "file" => {
                    let read = read_secret(path);
                    read.map_err(|problem| self.refuse(spec, problem)).ok()
                }
                _ => self.refuse_form(spec),
            },
            _ => self.refuse_form(spec),
        }
    }

    /// Returns a table of names with texts or the contents of files.
    pub(super) fn secrets(&mut self, spec: &Spec) -> Vec<(String, String)> {
        match self.raw(spec) {
            None => Vec::new(),
            Some(Raw::Table(fields)) => {
                let fields = fields.into_iter();
                fields
                    .map(|(name, value)| {
                        let value = self.secret_of(spec, &value);
                        (name, value.unwrap_or_default())
                    })
                    .collect()
            }
            Some(_) => self.refuse_form(spec).unwrap_or_default(),
        }
    }

    /// Returns the content of a file.
    pub(super) fn file(&mut self, spec: &Spec) -> Option<Vec<u8>> {
        let path = self.text(spec)?;
        let read = std::fs::read(&path).map_err(|error| {
            self.refuse(spec, format!("names the file `{path}`: {error}"));
        });
        read.ok()
    }

    /// Adds the fault that a value has not the form of its key. Returns `None`.
    pub(super) fn refuse_form<T>(&mut self, spec: &Spec) -> Option<T> {
        self.refuse(spec, format!("must be {}", spec.form));
        None
    }

    pub(super) fn refuse(&mut self, spec: &Spec, problem: impl Into<String>) {
        self.fault(spec.name, problem);
    }

    pub(super) fn fault(&mut self, key: &str, problem: impl Into<String>) {
        let place = self.entry.place_of(key);
        let fault = Fault::new(place, format!("{TABLE}.{key}"), problem);
        self.faults.push(fault);
    }
}

/// Parses a time such as `30s`, `5m` or `2h`.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    let time = Duration::from_secs(u64::from(number) * seconds);
    (time <= Duration::from_secs(7 * 24 * 3600)).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("30s", 30),
            ("5m", 300),
            ("2h", 7200),
            ("168h", 604_800),
        ] {
            assert_eq!(time(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "5", "1d", "-1s", "169h", "1.5h", "5 m", "é"] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
