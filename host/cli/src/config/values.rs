//! The values of all options: flags override variables, and variables override
//! the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::fault::{Fault, Faults, Place};
use super::file::{self, Content, Entry};
use super::options::{self, Change, Opt, PREFIX, SINKS, Spec, User};

/// The values that are set, and the faults that were found so far.
pub(crate) struct Values {
    set: BTreeMap<String, (String, Place)>,
    /// The tables `[[sink]]` of the file.
    sinks: Vec<Entry>,
    faults: Vec<Fault>,
}

impl Values {
    /// Gathers values from these flags, from the environment and from a file.
    pub(crate) fn gather(
        flags: &BTreeMap<String, String>,
        file: Option<&(PathBuf, Place)>,
    ) -> Self {
        let mut faults = Vec::new();
        let mut content = Content::default();
        if let Some((path, place)) = file {
            content = file::read(path, place, &mut faults);
        }
        let sinks = content.lists.remove(SINKS).unwrap_or_default();
        let mut set = content.values;
        for spec in options::specs() {
            match std::env::var_os(options::variable(&spec.name)).map(OsString::into_string) {
                Some(Ok(text)) => insert(&mut set, &spec.name, &text, Place::Variable),
                Some(Err(_)) => {
                    faults.push(Fault::new(Place::Variable, &*spec.name, "must be UTF-8"));
                }
                None => {}
            }
        }
        for (name, text) in flags {
            insert(&mut set, name, text, Place::Flag);
            if has_password(text) {
                let problem = "has a password, which other users of this machine can see: set \
                               PGPASSWORD, or the URL in the configuration file";
                faults.push(Fault::new(Place::Flag, name, problem));
            }
        }
        set.retain(|_, (text, _)| !text.is_empty());
        Self { set, sinks, faults }
    }

    /// The values of `self`, but those of `old` for options that need a restart.
    /// Also returns the names of these options whose values differ.
    pub(crate) fn reload_over(mut self, old: &Self) -> (Self, Vec<&'static str>) {
        let mut kept = Vec::new();
        let fixed = |spec: &&Spec| spec.change == Change::Restart && spec.user.is_served();
        for spec in options::specs().filter(fixed) {
            if self.text(&spec.name) == old.text(&spec.name) {
                continue;
            }
            match old.set.get(&spec.name) {
                Some(value) => self.set.insert(spec.name.clone(), value.clone()),
                None => self.set.remove(&spec.name),
            };
            kept.push(&*spec.name);
        }
        (self, kept)
    }

    /// The names of the options whose values differ.
    pub(crate) fn difference(&self, other: &Self) -> Vec<&'static str> {
        options::specs()
            .filter(|spec| spec.user.is_served())
            .map(|spec| &*spec.name)
            .filter(|name| self.text(name) != other.text(name))
            .collect()
    }

    /// The tables `[[sink]]` of the file.
    pub(super) fn sinks(&self) -> &[Entry] {
        &self.sinks
    }

    /// Adds faults that were found in a list of tables.
    pub(super) fn add_faults(&mut self, faults: Vec<Fault>) {
        self.faults.extend(faults);
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
            self.faults.push(invalid(spec, place, &text, &reason));
            T::default()
        })
    }

    /// Whether an option of this user is set.
    pub(crate) fn has_any(&self, user: User) -> bool {
        options::specs().any(|spec| spec.user == user && self.set.contains_key(&spec.name))
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

    /// A line for each option that is set: its name, its value and its place. Also a line
    /// for each sink. Secrets are not shown.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let sinks = self.sinks.iter().map(|entry| {
            let keys: Vec<&str> = entry.keys().collect();
            format!("[[{SINKS}]]: {} ({})", keys.join(", "), entry.place)
        });
        let options = options::specs().filter_map(|spec| {
            let (text, place) = self.set.get(&spec.name)?;
            let text = if spec.kind.is_secret() {
                "not shown".to_owned()
            } else {
                format!("`{}`", without_password(text))
            };
            let name = options::file_key(&spec.name);
            Some(format!("{name}: {text} ({place})"))
        });
        options.chain(sinks)
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
    let found = if spec.kind.is_secret() {
        " (its value is not shown)".to_owned()
    } else {
        format!(", found `{}`", without_password(found))
    };
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let problem = format!("must be {}{found}{reason}", spec.form);
    Fault::new(place, &*spec.name, problem)
}

/// Whether a text is a URL with a password.
fn has_password(text: &str) -> bool {
    without_password(text) != text
}

/// The text without the password, if it is a URL with one.
fn without_password(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Cow::Borrowed(text);
    };
    let mut shown = rest.to_owned();
    if let Some((user, host)) = rest.rsplit_once('@')
        && let Some((name, _)) = user.split_once(':')
    {
        shown = format!("{name}:…@{host}");
    }
    if let Some((before, password)) = shown.split_once("password=") {
        let after = password.find('&').map_or("", |end| &password[end..]);
        shown = format!("{before}password=…{after}");
    }
    if shown == rest {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{scheme}://{shown}"))
    }
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
                let near = options::variable(near);
                format!("unknown setting `{name}` (ignored); did you mean `{near}`?")
            }
            None => format!("unknown setting `{name}` (ignored)"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, shown) in [
            ("postgres://a:hush@db/x", "postgres://a:…@db/x"),
            ("postgres://a:hu@sh@db,db2/x", "postgres://a:…@db,db2/x"),
            (
                "postgres://db/x?password=hush&sslmode=require",
                "postgres://db/x?password=…&sslmode=require",
            ),
            ("postgres://a@db/x", "postgres://a@db/x"),
            ("sqlite:b.db", "sqlite:b.db"),
            ("http://host:80/x", "http://host:80/x"),
        ] {
            assert_eq!(without_password(text), shown);
            assert_eq!(has_password(text), text != shown, "{text}");
        }
    }
}
