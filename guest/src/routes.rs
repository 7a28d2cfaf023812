//! From a request's target to one of the things there are.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use percent_encoding::percent_decode_str;

use crate::outcomes::{Problem, Refusal};

/// One of the things there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Where the platform posts; with the secret segment, if there was one.
    Notifications(Option<String>),
    /// The list of tasks.
    Tasks,
    /// One task.
    Task(TaskName),
    /// The events of one task.
    History(TaskName),
    /// All events, in order of arrival.
    Feed,
    /// What could not be understood.
    Quarantine,
}

/// What names a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    /// The resource space.
    pub app_id: String,
    /// The task in it.
    pub task_id: String,
}

impl Route {
    /// The route of a path, percent-decoded segment by segment: an id may hold
    /// a `/` as `%2F`.
    pub fn of(path: &str) -> Option<Self> {
        let segments: Vec<String> = path
            .strip_prefix('/')?
            .split('/')
            .map(decode)
            .collect::<Option<_>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Some(match segments.as_slice() {
            ["notifications"] => Self::Notifications(None),
            ["notifications", secret] => Self::Notifications(Some(secret.to_string())),
            ["tasks"] => Self::Tasks,
            ["tasks", app_id, task_id] => Self::Task(TaskName::new(app_id, task_id)),
            ["tasks", app_id, task_id, "events"] => Self::History(TaskName::new(app_id, task_id)),
            ["events"] => Self::Feed,
            ["quarantine"] => Self::Quarantine,
            _ => return None,
        })
    }

    /// The methods it takes, as the `Allow` field has them.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Notifications(_) => "POST",
            _ => "GET, HEAD",
        }
    }

    /// Whether it takes this method.
    pub fn takes(&self, method: &str) -> bool {
        self.methods().split(", ").any(|allowed| allowed == method)
    }
}

impl TaskName {
    fn new(app_id: &str, task_id: &str) -> Self {
        Self {
            app_id: app_id.into(),
            task_id: task_id.into(),
        }
    }
}

/// A path segment without its percent-encoding; none when it is not UTF-8.
fn decode(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// The parameters of a query string, each taken at most once, none left over.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Splits a query string; `+` is a space.
    pub fn of(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// A parameter as text, and out of the way.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.remove(at).1)
    }

    /// A parameter that must have a certain form.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        form: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let value = parse(&text);
        value.map(Some).ok_or_else(|| bad_parameter(name, form))
    }

    /// Refuses what nothing asked for: a misspelt filter must not look like
    /// one that matched everything.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(bad_parameter(&name, "absent, or there once only")),
            None => Ok(()),
        }
    }
}

/// A refusal that names a query parameter and the form its value should have.
pub fn bad_parameter(name: &str, form: &str) -> Problem {
    let mut detail = String::from("`");
    detail.push_str(name);
    detail.push_str("` must be ");
    detail.push_str(form);
    Problem {
        parameter: Some(name.into()),
        ..Problem::new(Refusal::BadParameter, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_may_hold_any_text() {
        let name = TaskName::new("a/b", "c d?ü");
        assert_eq!(
            Route::of("/tasks/a%2Fb/c%20d%3F%C3%BC/events"),
            Some(Route::History(name))
        );
    }

    #[test]
    fn what_is_not_there_is_no_route() {
        for path in [
            "",
            "/",
            "tasks",
            "/tasks/",
            "/tasks/a",
            "/tasks/%FF/b",
            "/notifications/a/b",
        ] {
            let found = Route::of(path);
            let ids_are_empty = matches!(&found, Some(Route::Task(_)));
            assert!(found.is_none() || ids_are_empty, "{path}: {found:?}");
        }
    }

    #[test]
    fn a_parameter_is_taken_once_and_named_when_wrong() {
        let mut parameters = Parameters::of("limit=x&q=a+b%26");
        assert_eq!(parameters.text("q").as_deref(), Some("a b&"));
        let problem = parameters.parsed("limit", "a number", |text| text.parse::<u32>().ok());
        assert_eq!(problem.unwrap_err().parameter.as_deref(), Some("limit"));
        let twice = Parameters::of("q=1").finish().unwrap_err();
        assert_eq!(twice.parameter.as_deref(), Some("q"));
    }
}
