//! The values of all options: flags override variables, and variables override
//! the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::fault::{Fault, Faults, Place};
use super::file;
use super::options::{self, Change, Kind, Opt, PREFIX, Spec, User};

/// The values that are set, and the faults that were found so far.
pub(crate) struct Values {
    set: BTreeMap<String, (String, Place)>,
    faults: Vec<Fault>,
}

impl Values {
    /// Gathers values from these flags, from the environment and from a file.
    pub(crate) fn gather(
        flags: &BTreeMap<String, String>,
        file: Option<&(PathBuf, Place)>,
    ) -> Self {
        let mut faults = Vec::new();
        let mut set = BTreeMap::new();
        if let Some((path, place)) = file {
            set.extend(file::read(path, place, &mut faults));
        }
        for spec in options::specs() {
            match std::env::var_os(options::variable(&spec.name)).map(OsString::into_string) {
                Some(Ok(text)) => insert(&mut set, &spec.name, &text, Place::Variable),
                Some(Err(_)) => {
                    faults.push(Fault::new(Place::Variable, spec.name, "must be UTF-8"));
                }
                None => {}
            }
        }
        for (name, text) in flags {
            insert(&mut set, name, text, Place::Flag);
        }
        set.retain(|_, (text, _)| !text.is_empty());
        Self { set, faults }
    }

    /// The values of `self`, but those of `old` for options that need a restart.
    /// Also returns the names of these options whose values differ.
    pub(crate) fn reload_over(mut self, old: &Self) -> (Self, Vec<String>) {
        let mut kept = Vec::new();
        let fixed = |spec: &Spec| spec.change == Change::Restart && spec.user != User::Client;
        for spec in options::specs().filter(fixed) {
            if self.text(&spec.name) == old.text(&spec.name) {
                continue;
            }
            match old.set.get(&spec.name) {
                Some(value) => self.set.insert(spec.name.clone(), value.clone()),
                None => self.set.remove(&spec.name),
            };
            kept.push(spec.name);
        }
        (self, kept)
    }

    /// The names of the options whose values differ.
    pub(crate) fn difference(&self, other: &Self) -> Vec<String> {
        options::specs()
            .filter(|spec| spec.user != User::Client)
            .map(|spec| spec.name)
            .filter(|name| self.text(name) != other.text(name))
            .collect()
    }

    /// The text of an option that is set.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(|(text, _)| text.as_str())
    }

    /// The value of an option, or its default. If it is invalid: a value that
    /// must not be used, because there is a fault.
    pub(crate) fn value<T: Default>(&mut self, option: &Opt<T>) -> T {
        self.parsed(option.name, option.parse)
    }

    /// The same for an option that is declared elsewhere.
    pub(crate) fn parsed<T: Default>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some(spec) = options::find(name) else {
            return T::default();
        };
        let (text, place) = match self.set.get(name) {
            Some((text, place)) => (text.clone(), place.clone()),
            None if spec.default.is_empty() => return T::default(),
            None => (spec.default.clone(), Place::Default),
        };
        parse(&text).unwrap_or_else(|reason| {
            self.faults.push(invalid(&spec, place, &text, &reason));
            T::default()
        })
    }

    /// Whether there is a fault of an option's value.
    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.faults.iter().any(|fault| fault.name() == name)
    }

    /// Adds a fault of an option's value.
    pub(crate) fn refuse(&mut self, name: &str, problem: impl Into<String>) {
        let fault = Fault::new(self.place(name), name, problem);
        self.faults.push(fault);
    }

    /// The name of an option as it is spelt where it is set, or where another
    /// one is set.
    pub(crate) fn spell(&self, name: &str, beside: &str) -> String {
        self.place(beside).spell(name)
    }

    /// Fails if there are faults.
    pub(crate) fn check(&mut self) -> Result<(), Faults> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(self.faults())
        }
    }

    /// Takes the faults.
    pub(crate) fn faults(&mut self) -> Faults {
        Faults::new(std::mem::take(&mut self.faults))
    }

    /// A line for each option that is set: its name, its value and its place.
    /// Secrets are not shown.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        options::specs().filter_map(|spec| {
            let (text, place) = self.set.get(&spec.name)?;
            let text = if spec.kind == Kind::Secret {
                "not shown".to_owned()
            } else {
                format!("`{text}`")
            };
            Some(format!("{}: {text} ({place})", spec.name))
        })
    }

    fn place(&self, name: &str) -> Place {
        self.set
            .get(name)
            .map_or(Place::Default, |(_, place)| place.clone())
    }
}

fn insert(set: &mut BTreeMap<String, (String, Place)>, name: &str, text: &str, place: Place) {
    let text = text.trim();
    if !text.is_empty() {
        set.insert(name.to_owned(), (text.to_owned(), place));
    }
}

fn invalid(spec: &Spec, place: Place, found: &str, reason: &str) -> Fault {
    let found = if spec.kind == Kind::Secret {
        " (its value is not shown)".to_owned()
    } else {
        format!(", found `{found}`")
    };
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let problem = format!("must be {}{found}{reason}", spec.form);
    Fault::new(place, &*spec.name, problem)
}

/// A warning for each variable that the program does not read. Its name is probably
/// misspelt.
pub(crate) fn unknown_variables() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_known = |name: &str| {
        let key = options::key(name);
        name == options::variable("config") || options::find(&key).is_some()
    };
    names
        .filter(move |name| name.starts_with(PREFIX) && !is_known(name))
        .map(|name| match options::nearest(&name) {
            Some(near) => {
                let near = options::variable(&near);
                format!("unknown setting `{name}` (ignored); did you mean `{near}`?")
            }
            None => format!("unknown setting `{name}` (ignored)"),
        })
}
