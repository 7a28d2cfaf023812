//! Parses the target of a request: its path into a route, and its query.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::outcomes::Problem;
use crate::percent::decode;
use crate::text::number;

/// The resource that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The webhook, with the second segment of the path: the secret.
    Notifications(Option<String>),
    /// The list of tasks.
    Tasks,
    /// One task.
    Task(TaskName),
    /// One task, whose ids are in the query.
    TaskPage,
    /// The events of one task.
    History(TaskName),
    /// All events, in order of arrival.
    Feed,
    /// The bodies that are not batch-task notifications.
    Quarantine,
    /// One of these bodies, by its number.
    Reject(u64),
    /// What arrived over time.
    Activity,
    /// An overview of the journal.
    Summary,
    /// The description of the API.
    Description,
    /// Whether the receiver is up.
    Health,
    /// The sinks of the host, which serves their page itself.
    Sinks,
    /// The form for the token, and where it is sent.
    Login,
    /// Ends the session of a browser.
    Logout,
    /// Selects the language of the pages.
    Language,
    /// The style of the pages.
    Style,
    /// The script of the pages.
    Script,
    /// The body of an event or of a reject, as a file.
    Body,
}

/// The form in which a resource is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// JSON, for programs.
    Json,
    /// HTML, for people: `/`, everything below `/page`, and the login.
    Page,
}

impl View {
    /// Returns the view that a path names, and the path of its resource without
    /// the first `/`.
    pub fn of(path: &str) -> (Self, &str) {
        let rest = path.strip_prefix('/').unwrap_or_default();
        match rest {
            "" if path == "/" => (Self::Page, "tasks"),
            "login" | "logout" | "language" => (Self::Page, rest),
            _ => match rest.strip_prefix("page/") {
                Some(rest) => (Self::Page, rest),
                None => (Self::Json, rest),
            },
        }
    }
}

/// The two ids that identify a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    /// The id of the resource space (application).
    pub app_id: String,
    /// The id of the task in it.
    pub task_id: String,
}

/// The first segment of the webhook's path.
const WEBHOOK: &str = "notifications";

impl Route {
    /// Whether a path without its first `/` is that of the webhook. The secret
    /// in it may be wrong.
    pub fn is_webhook(path: &str) -> bool {
        let first = filled_segments(path).next().and_then(decode);
        first.as_deref() == Some(WEBHOOK)
    }

    /// The route of the webhook. Extra slashes are ignored, because an operator
    /// types the URL and a mistake would lose pushes.
    fn webhook(path: &str) -> Option<Self> {
        let mut segments = filled_segments(path);
        let (_, secret, further) = (segments.next(), segments.next(), segments.next());
        match (secret.map(decode), further) {
            (None, _) => Some(Self::Notifications(None)),
            (Some(Some(secret)), None) => Some(Self::Notifications(Some(secret))),
            _ => None,
        }
    }

    /// Returns the route of a path without its first `/`. Each segment is
    /// percent-decoded, so an id may contain a `/` as `%2F`.
    pub fn of(path: &str) -> Option<Self> {
        if Self::is_webhook(path) {
            return Self::webhook(path);
        }
        let mut segments = path.split('/');
        // `Some(None)` after the last segment, `None` if one cannot be decoded.
        let mut next = || match segments.next() {
            Some(segment) => decode(segment).map(Some),
            None => Some(None),
        };
        let (kind, first, second, third) = (next()??, next()?, next()?, next()?);
        if segments.next().is_some() {
            return None;
        }
        let name = |app_id, task_id| TaskName { app_id, task_id };
        Some(match (kind.as_str(), first, second, third.as_deref()) {
            ("tasks", None, None, None) => Self::Tasks,
            ("tasks", Some(app), Some(task), None) => Self::Task(name(app, task)),
            ("tasks", Some(app), Some(task), Some("events")) => Self::History(name(app, task)),
            ("events", None, None, None) => Self::Feed,
            ("quarantine", None, None, None) => Self::Quarantine,
            ("quarantine", Some(seq), None, None) => Self::Reject(number(&seq, 0..=u64::MAX)?),
            ("activity", None, None, None) => Self::Activity,
            ("summary", None, None, None) => Self::Summary,
            ("openapi.json", None, None, None) => Self::Description,
            ("health", None, None, None) => Self::Health,
            ("sinks", None, None, None) => Self::Sinks,
            ("login", None, None, None) => Self::Login,
            ("logout", None, None, None) => Self::Logout,
            ("language", None, None, None) => Self::Language,
            ("style.css", None, None, None) => Self::Style,
            ("script.js", None, None, None) => Self::Script,
            ("task", None, None, None) => Self::TaskPage,
            ("body", None, None, None) => Self::Body,
            _ => return None,
        })
    }

    /// Whether the resource has this view.
    pub fn has(&self, view: View) -> bool {
        match self {
            Self::Tasks | Self::Task(_) | Self::Quarantine => true,
            _ if self.is_only_page() => view == View::Page,
            _ => view == View::Json,
        }
    }

    /// Whether only people use the resource.
    fn is_only_page(&self) -> bool {
        self.is_public_page() || matches!(self, Self::TaskPage | Self::Body | Self::Sinks)
    }

    /// Whether the resource is needed before the login.
    pub fn is_public_page(&self) -> bool {
        matches!(
            self,
            Self::Login | Self::Logout | Self::Language | Self::Style | Self::Script
        )
    }

    /// The methods that the route supports, as the value of `Allow`.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Notifications(_) | Self::Logout => "POST, OPTIONS",
            Self::Login => "GET, HEAD, POST, OPTIONS",
            _ => READ_METHODS,
        }
    }

    /// Whether the route supports this method. OPTIONS is handled elsewhere.
    pub fn takes(&self, method: &str) -> bool {
        match self {
            Self::Notifications(_) | Self::Logout => method == "POST",
            Self::Login => matches!(method, "GET" | "HEAD" | "POST"),
            _ => matches!(method, "GET" | "HEAD"),
        }
    }
}

/// The methods of all routes for reading, as the value of `Allow`.
pub const READ_METHODS: &str = "GET, HEAD, OPTIONS";

/// Returns the segments of a path that are not empty.
fn filled_segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Splits the target of a request into path and query.
pub fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// How often a parameter may be repeated.
const VALUES_MAX: usize = 32;

/// The parameters of a query string. Reading a parameter removes it, so that
/// [`finish`](Self::finish) finds the unknown and repeated ones.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses a query string; `+` is a space. A text that is not UTF-8 stays
    /// percent-encoded, so it matches nothing.
    pub fn of(query: &str) -> Self {
        let query = query.replace('+', " ");
        let text = |encoded: &str| decode(encoded).unwrap_or_else(|| encoded.into());
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| match pair.split_once('=') {
            Some((name, value)) => (text(name), text(value)),
            None => (text(pair), String::new()),
        });
        Self(pairs.collect())
    }

    /// Removes the parameters without a value: a form also sends its empty
    /// fields.
    pub fn drop_empty(&mut self) {
        self.0.retain(|(_, value)| !value.is_empty());
    }

    /// Returns the parameters that have a value, and their values.
    pub fn filled(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// Removes a parameter, and returns its value.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.remove(at).1)
    }

    /// Removes a parameter that may be repeated, and returns its values.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, Box<Problem>> {
        let mut values = Vec::new();
        while let Some(value) = self.text(name) {
            if values.len() >= VALUES_MAX {
                return Err(Problem::bad_parameter(name, "given at most 32 times"));
            }
            values.push(value);
        }
        Ok(values)
    }

    /// Removes a parameter that may be repeated, and parses each of its values.
    pub fn each_parsed(
        &mut self,
        name: &str,
        form: &str,
        mut parse: impl FnMut(&str) -> Option<()>,
    ) -> Result<(), Box<Problem>> {
        let values = self.texts(name)?;
        if values.iter().all(|value| parse(value).is_some()) {
            return Ok(());
        }
        Err(Problem::bad_parameter(name, form))
    }

    /// Removes a parameter that is `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Result<bool, Box<Problem>> {
        let flag = self.parsed(name, "`true` or `false`", |text| text.parse().ok())?;
        Ok(flag.unwrap_or(false))
    }

    /// Removes a parameter, and parses its value. `form` describes a valid
    /// value, for the error.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        form: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Box<Problem>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let value = parse(&text);
        value
            .map(Some)
            .ok_or_else(|| Problem::bad_parameter(name, form))
    }

    /// Removes a parameter, and parses its value as a number within bounds.
    pub fn number(
        &mut self,
        name: &str,
        form: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Box<Problem>> {
        self.parsed(name, form, |text| number(text, bounds))
    }

    /// Fails if a parameter is left, which is an unknown or repeated one. A
    /// misspelt filter must not look like one that matches everything.
    pub fn finish(&self) -> Result<(), Box<Problem>> {
        match self.0.first() {
            Some((name, _)) => Err(Problem::bad_parameter(
                name,
                "a known parameter and must not be repeated",
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_may_be_any_text() {
        let name = TaskName {
            app_id: "a/b".into(),
            task_id: "c d?ü".into(),
        };
        assert_eq!(
            Route::of("tasks/a%2Fb/c%20d%3F%C3%BC/events"),
            Some(Route::History(name))
        );
    }

    #[test]
    fn an_encoded_webhook_is_the_webhook() {
        for path in [
            "notifications/secret",
            "%6eotifications/secret",
            "/notifications/secret",
            "//notifications//secret//",
        ] {
            assert!(Route::is_webhook(path), "{path}");
            let route = Route::Notifications(Some("secret".into()));
            assert_eq!(Route::of(path), Some(route));
        }
        for path in [
            "notifications",
            "/notifications",
            "notifications/",
            "//notifications//",
        ] {
            assert_eq!(Route::of(path), Some(Route::Notifications(None)), "{path}");
        }
        for path in [
            "tasks",
            "%FF",
            "",
            "/",
            "page/notifications",
            "notifications%2F",
        ] {
            assert!(!Route::is_webhook(path), "{path}");
        }
    }

    #[test]
    fn unknown_paths_have_no_route() {
        for path in [
            "",
            "/",
            "tasks/",
            "tasks/a",
            "tasks/%FF/b",
            "notifications/a/b",
            "notifications/%FF",
            "health/",
        ] {
            let found = Route::of(path);
            let ids_are_empty = matches!(&found, Some(Route::Task(_)));
            assert!(found.is_none() || ids_are_empty, "{path}: {found:?}");
        }
    }

    #[test]
    fn a_parameter_is_removed_when_read_and_named_when_wrong() {
        let mut parameters = Parameters::of("limit=x&q=a+b%26");
        assert_eq!(parameters.text("q").as_deref(), Some("a b&"));
        let problem = parameters.number("limit", "a number", 1..=9);
        assert_eq!(problem.unwrap_err().parameter.as_deref(), Some("limit"));
        let mut odd = Parameters::of("&a%3Db=c=d&&%2B&x=%zz%4&y=%FF&=z");
        for (name, value) in [
            ("a=b", "c=d"),
            ("+", ""),
            ("x", "%zz%4"),
            ("y", "%FF"),
            ("", "z"),
        ] {
            assert_eq!(odd.text(name).as_deref(), Some(value), "{name}");
        }
        assert!(odd.finish().is_ok());
        let twice = Parameters::of("q=1").finish().unwrap_err();
        assert_eq!(twice.parameter.as_deref(), Some("q"));
    }
}
