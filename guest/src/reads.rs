//! Answers GET requests.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::time;

use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::headers::{Fields, header};
use crate::journal::{Class, Error, Journal, PAGE_ITEMS_MAX, TaskOrder, TaskPage, TaskQuery};
use crate::json::Object;
use crate::outcomes::{Problem, Refusal, Success, report, respond};
use crate::page::{self, TaskList};
use crate::routes::{Parameters, TaskName, View};
use crate::settings::Settings;
use crate::views;

/// The number of items on a page if the request has no `limit`.
const PAGE_DEFAULT: u32 = 50;
/// The same for HTML pages that show each item with its body.
const BODIES_DEFAULT: u32 = 20;

/// The greatest `wait` of the feed, in seconds. It is well below the time that a
/// host allows for a request.
const WAIT_MAX_S: u64 = 5;

/// `openapi.json` without spaces, compressed with gzip: 22 kB less in the
/// component.
const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// Answers reads.
pub(crate) struct Reader<'a, J> {
    pub(crate) journal: &'a J,
    pub(crate) settings: &'a Settings,
    /// The time of the request, in milliseconds since 1970 (UTC).
    pub(crate) now_ms: u64,
}

impl<J: Journal> Reader<'_, J> {
    /// An open task is stale if its last new event arrived before this, in
    /// milliseconds since 1970.
    fn stale_before_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.settings.stale_after_ms)
    }

    /// `GET /tasks` and `GET /`
    pub(crate) fn tasks(
        &self,
        mut parameters: Parameters,
        view: View,
        query_text: &str,
    ) -> Result<Response, Box<Problem>> {
        let mut query = task_query(&mut parameters)?;
        parameters.finish()?;
        let stale_before_ms = self.stale_before_ms();
        loop {
            let tasks = self
                .journal
                .list_tasks(&query)
                .map_err(Problem::of_journal)?;
            if view == View::Page {
                return self.tasks_page(tasks, query_text);
            }
            let list = views::tasks(&tasks, stale_before_ms);
            match list.fitting(tasks.tasks.len()) {
                Some(fitting) => query.limit = fitting,
                None => return Ok(read(list.text)),
            }
        }
    }

    fn tasks_page(&self, tasks: TaskPage, query_text: &str) -> Result<Response, Box<Problem>> {
        let stale_before_ms = self.stale_before_ms();
        let summary = match self.journal.summarize(stale_before_ms) {
            Ok(summary) => Some(summary),
            Err(Error::Unsupported(_)) => None,
            Err(error) => return Err(Problem::of_journal(error)),
        };
        let list = TaskList {
            summary,
            tasks,
            query: query_text,
            now_ms: self.now_ms,
            stale_before_ms,
            has_path_secret: !self.settings.path_secrets.is_empty(),
        };
        Ok(list.page())
    }

    /// `GET /summary`
    pub(crate) fn summary(&self, parameters: Parameters) -> Result<Response, Box<Problem>> {
        parameters.finish()?;
        let summary = self.journal.summarize(self.stale_before_ms());
        Ok(read(views::summary(&summary.map_err(Problem::of_journal)?)))
    }

    /// `GET /tasks/{app_id}/{task_id}`
    pub(crate) fn task(
        &self,
        name: TaskName,
        parameters: Parameters,
    ) -> Result<Response, Box<Problem>> {
        parameters.finish()?;
        let task = self.journal.find_task(&name.app_id, &name.task_id);
        match task.map_err(Problem::of_journal)? {
            Some(task) => Ok(read(views::task(&task, self.stale_before_ms()))),
            None => Err(Refusal::NotFound.into()),
        }
    }

    /// `GET /page/tasks/{app_id}/{task_id}`
    pub(crate) fn task_page(
        &self,
        name: TaskName,
        mut parameters: Parameters,
        query_text: &str,
    ) -> Result<Response, Box<Problem>> {
        let limit = limit(&mut parameters, BODIES_DEFAULT)?;
        let cursor = parameters.text("cursor");
        parameters.finish()?;
        let task = self.journal.find_task(&name.app_id, &name.task_id);
        let task = task
            .map_err(Problem::of_journal)?
            .ok_or(Refusal::NotFound)?;
        let history = self
            .journal
            .list_history(&name.app_id, &name.task_id, cursor.as_deref(), limit)
            .map_err(Problem::of_journal)?;
        Ok(page::task(
            &task,
            &history,
            query_text,
            self.now_ms,
            self.stale_before_ms(),
        ))
    }

    /// `GET /tasks/{app_id}/{task_id}/events`
    pub(crate) fn history(
        &self,
        name: TaskName,
        mut parameters: Parameters,
    ) -> Result<Response, Box<Problem>> {
        let mut limit = limit(&mut parameters, PAGE_DEFAULT)?;
        let cursor = parameters.text("cursor");
        parameters.finish()?;
        loop {
            let page = self
                .journal
                .list_history(&name.app_id, &name.task_id, cursor.as_deref(), limit)
                .map_err(Problem::of_journal)?;
            // Every task has an event. Only a page after the last one may be empty.
            if page.events.is_empty() && cursor.is_none() {
                return Err(Refusal::NotFound.into());
            }
            let list = views::history(&page);
            match list.fitting(page.events.len()) {
                Some(fitting) => limit = fitting,
                None => return Ok(read(list.text)),
            }
        }
    }

    /// `GET /events`
    pub(crate) fn feed(&self, mut parameters: Parameters) -> Result<Response, Box<Problem>> {
        let limit = limit(&mut parameters, PAGE_DEFAULT)?;
        let after = parameters.number("after", "a sequence number", 0..=u64::MAX)?;
        let wait = "a number of seconds from 0 to 5";
        let wait_s = parameters.number("wait", wait, 0..=WAIT_MAX_S)?;
        parameters.finish()?;
        let after = after.unwrap_or(0);
        let wait_ms = u32::try_from(wait_s.unwrap_or(0).saturating_mul(1000)).unwrap_or(0);
        let events = self
            .journal
            .follow(after, limit, wait_ms)
            .map_err(Problem::of_journal)?;
        Ok(read(views::feed(&events, after)))
    }

    /// `GET /quarantine`
    pub(crate) fn quarantine(
        &self,
        mut parameters: Parameters,
        view: View,
        query_text: &str,
    ) -> Result<Response, Box<Problem>> {
        let default = match view {
            View::Json => PAGE_DEFAULT,
            View::Page => BODIES_DEFAULT,
        };
        let mut limit = limit(&mut parameters, default)?;
        let cursor = parameters.text("cursor");
        parameters.finish()?;
        loop {
            let rejects = self
                .journal
                .list_quarantine(cursor.as_deref(), limit)
                .map_err(Problem::of_journal)?;
            if view == View::Page {
                return Ok(page::quarantine(&rejects, query_text));
            }
            let list = views::quarantine(&rejects);
            match list.fitting(rejects.rejects.len()) {
                Some(fitting) => limit = fitting,
                None => return Ok(read(list.text)),
            }
        }
    }
}

/// `GET /health`
pub(crate) fn health() -> Response {
    read(Object::text_of(|json| json.text("status", "up")))
}

/// `GET /openapi.json`
pub(crate) fn description(
    parameters: Parameters,
    fields: &Fields,
) -> Result<Response, Box<Problem>> {
    parameters.finish()?;
    if !accepts_gzip(header(fields, "accept-encoding")) {
        return Err(Refusal::NotAcceptable.into());
    }
    let mut response = read(DESCRIPTION.into());
    let coding = ("content-encoding".into(), "gzip".into());
    response.headers.push(coding);
    Ok(response)
}

/// Whether a client accepts gzip: `Accept-Encoding` lists `gzip` or `*` without
/// the weight 0, or is absent (RFC 9110, 12.5.3).
fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let Some(field) = accept_encoding else {
        return true;
    };
    let mut accepts_any = false;
    for coding in field.split(',') {
        let mut parts = coding.split(';').map(str::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let is_accepted = parts
            .next()
            .is_none_or(|weight| weight.bytes().any(|digit| matches!(digit, b'1'..=b'9')));
        if name.eq_ignore_ascii_case("gzip") {
            return is_accepted;
        }
        accepts_any |= is_accepted && name == "*";
    }
    accepts_any
}

/// Returns a 200 with JSON.
fn read(json: Vec<u8>) -> Response {
    let success = Success::Read;
    respond(
        success.status(),
        "application/json",
        json,
        report(success.label()),
    )
}

fn limit(parameters: &mut Parameters, default: u32) -> Result<u32, Box<Problem>> {
    let bounds = 1..=PAGE_ITEMS_MAX.into();
    let limit = parameters.number("limit", "a number from 1 to 500", bounds)?;
    Ok(limit
        .and_then(|limit| u32::try_from(limit).ok())
        .unwrap_or(default))
}

fn task_query(parameters: &mut Parameters) -> Result<TaskQuery, Box<Problem>> {
    let class = parameters.parsed(
        "class",
        "`open`, `retryable` or `final`",
        |text| match text {
            "open" => Some(Class::Open),
            "retryable" => Some(Class::Retryable),
            "final" => Some(Class::Final),
            _ => None,
        },
    )?;
    let order = parameters.parsed("order", "`newest` or `oldest`", |text| match text {
        "newest" => Some(TaskOrder::Newest),
        "oldest" => Some(TaskOrder::Oldest),
        _ => None,
    })?;
    let since_ms = instant(parameters, "since")?;
    let until_ms = instant(parameters, "until")?;
    let limit = limit(parameters, PAGE_DEFAULT)?;
    // The calls that cannot fail come last, so a `?` has no strings to drop.
    Ok(TaskQuery {
        status: parameters.text("status"),
        class,
        task_type: parameters.text("task_type"),
        app_id: parameters.text("app_id"),
        text: parameters.text("q"),
        since_ms,
        until_ms,
        order: order.unwrap_or(TaskOrder::Newest),
        cursor: parameters.text("cursor"),
        limit,
    })
}

/// Completes an instant whose last parts may be missing, with zeros.
fn whole_instant(text: &str) -> Option<String> {
    const MIDNIGHT: &str = "yyyy-mm-ddT00:00:00.000Z";
    let text = text.strip_suffix('Z').unwrap_or(text);
    let is_a_part = matches!(text.len(), 10 | 16 | 19 | 23);
    let rest = MIDNIGHT.get(text.len()..).filter(|_| is_a_part)?;
    let mut whole = String::from(text);
    whole.push_str(rest);
    Some(whole)
}

fn instant(parameters: &mut Parameters, name: &str) -> Result<Option<u64>, Box<Problem>> {
    let form = "a UTC instant such as `2026-01-31T12:00:00.000Z`, or `2026-01-31`";
    parameters.parsed(name, form, |text| {
        time::parse_milliseconds(&whole_instant(text)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_instant_may_be_missing() {
        for (text, whole) in [
            ("2026-01-31", "2026-01-31T00:00:00.000Z"),
            ("2026-01-31T12:34", "2026-01-31T12:34:00.000Z"),
            ("2026-01-31T12:34:56", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T12:34:56Z", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T12:34:56.789Z", "2026-01-31T12:34:56.789Z"),
        ] {
            assert_eq!(whole_instant(text).as_deref(), Some(whole));
        }
        for text in ["", "2026", "2026-01-31T12", "2026-01-31T12:34:56.7890"] {
            assert_eq!(whole_instant(text), None, "{text}");
        }
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (accept_encoding, accepts) in [
            (None, true),
            (Some("gzip"), true),
            (Some("deflate, GZip;q=0.5"), true),
            (Some("br, *"), true),
            (Some("gzip;q=1.0, *;q=0"), true),
            (Some(""), false),
            (Some("identity"), false),
            (Some("br, deflate"), false),
            (Some("gzip; q=0.000, *"), false),
            (Some("*;q=0"), false),
        ] {
            assert_eq!(
                accepts_gzip(accept_encoding),
                accepts,
                "{accept_encoding:?}"
            );
        }
    }
}
