//! Answers GET requests.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::push_decimal;

use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::headers::{Fields, header};
use crate::instants::{INSTANT_FORMS, parse_instant};
use crate::journal::{
    ActivityQuery, Class, Error, HOUR_MS, Journal, MINUTE_MS, PAGE_ITEMS_MAX, TaskOrder, TaskQuery,
    TaskSort,
};
use crate::json::Object;
use crate::outcomes::{Problem, Refusal, Success, report, respond};
use crate::page::{self, Context, TaskList};
use crate::routes::{Parameters, TaskName};
use crate::settings::Settings;
use crate::text::times;
use crate::views;

/// The number of items on a page if the request has no `limit`.
const PAGE_DEFAULT: u32 = 50;
/// The same for HTML pages that show each item with its body.
const BODIES_DEFAULT: u32 = 20;

/// The greatest number of spans of activity if the request has no `spans`.
const SPANS_DEFAULT: u32 = 60;
/// The lengths of spans, in minutes. Longer ones are a number of days.
const SPANS_MINUTES: [u32; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];

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

    /// `GET /tasks`
    pub(crate) fn tasks(&self, parameters: &mut Parameters) -> Result<Response, Box<Problem>> {
        let stale_before_ms = self.stale_before_ms();
        let mut query = task_query(parameters, self.now_ms, stale_before_ms)?;
        parameters.finish()?;
        loop {
            let tasks = self
                .journal
                .list_tasks(&query)
                .map_err(Problem::of_journal)?;
            let list = views::tasks(&tasks, stale_before_ms);
            match list.fitting(tasks.tasks.len()) {
                Some(fitting) => query.limit = fitting,
                None => return Ok(read(list.text)),
            }
        }
    }

    /// `GET /`
    pub(crate) fn tasks_page(
        &self,
        parameters: &mut Parameters,
        context: &Context<'_>,
    ) -> Result<Response, Box<Problem>> {
        let mut query = task_query(parameters, self.now_ms, context.stale_before_ms)?;
        parameters.finish()?;
        query.count = true;
        let activity = page::activity_query(self.now_ms);
        let (sort, order) = (query.sort, query.order);
        let tasks = self.journal.list_tasks(&query);
        let list = TaskList {
            context: *context,
            summary: supported(self.journal.summarize(context.stale_before_ms))?,
            activity: supported(self.journal.list_activity(&activity))?,
            quarantine: supported(self.journal.list_quarantine(None, 1))?,
            tasks: tasks.map_err(Problem::of_journal)?,
            sort,
            order,
            has_path_secret: !self.settings.path_secrets.is_empty(),
        };
        Ok(list.page())
    }

    /// `GET /summary`
    pub(crate) fn summary(&self, parameters: &Parameters) -> Result<Response, Box<Problem>> {
        parameters.finish()?;
        let summary = self.journal.summarize(self.stale_before_ms());
        Ok(read(views::summary(&summary.map_err(Problem::of_journal)?)))
    }

    /// `GET /activity`
    pub(crate) fn activity(&self, parameters: &mut Parameters) -> Result<Response, Box<Problem>> {
        let since_ms = instant(parameters, "since", self.now_ms)?;
        let until_ms = instant(parameters, "until", self.now_ms)?.unwrap_or(self.now_ms);
        let bounds = 1..=PAGE_ITEMS_MAX.into();
        let spans = parameters.number("spans", "a number from 1 to 500", bounds)?;
        parameters.finish()?;
        let since_ms = since_ms.unwrap_or(until_ms.saturating_sub(24 * HOUR_MS));
        let spans = spans.and_then(|spans| u32::try_from(spans).ok());
        let query = activity_query(since_ms, until_ms, spans.unwrap_or(SPANS_DEFAULT));
        let spans = self.journal.list_activity(&query);
        let length_ms = times(MINUTE_MS, query.span_minutes.into());
        let until_ms = times(length_ms, query.spans.into());
        Ok(read(views::activity(
            &spans.map_err(Problem::of_journal)?,
            query.since_ms,
            query.since_ms.saturating_add(until_ms),
            query.span_minutes,
        )))
    }

    /// `GET /quarantine/{seq}`
    pub(crate) fn reject(
        &self,
        seq: u64,
        parameters: &Parameters,
    ) -> Result<Response, Box<Problem>> {
        parameters.finish()?;
        match self.journal.find_reject(seq).map_err(Problem::of_journal)? {
            Some(reject) => Ok(read(views::reject(&reject))),
            None => Err(Refusal::NotFound.into()),
        }
    }

    /// `GET /tasks/{app_id}/{task_id}`
    pub(crate) fn task(
        &self,
        name: &TaskName,
        parameters: &Parameters,
    ) -> Result<Response, Box<Problem>> {
        parameters.finish()?;
        let task = self.journal.find_task(&name.app_id, &name.task_id);
        match task.map_err(Problem::of_journal)? {
            Some(task) => Ok(read(views::task(&task, self.stale_before_ms()))),
            None => Err(Refusal::NotFound.into()),
        }
    }

    /// `GET /page/task`
    pub(crate) fn task_page(
        &self,
        name: &TaskName,
        parameters: &mut Parameters,
        context: &Context<'_>,
    ) -> Result<Response, Box<Problem>> {
        let limit = limit(parameters, BODIES_DEFAULT)?;
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
        Ok(page::task(context, &task, &history))
    }

    /// `GET /tasks/{app_id}/{task_id}/events`
    pub(crate) fn history(
        &self,
        name: &TaskName,
        parameters: &mut Parameters,
    ) -> Result<Response, Box<Problem>> {
        let mut limit = limit(parameters, PAGE_DEFAULT)?;
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
    pub(crate) fn feed(&self, parameters: &mut Parameters) -> Result<Response, Box<Problem>> {
        let limit = limit(parameters, PAGE_DEFAULT)?;
        let after = parameters.number("after", "a sequence number", 0..=u64::MAX)?;
        let wait = "a number of seconds from 0 to 5";
        let wait_s = parameters.number("wait", wait, 0..=WAIT_MAX_S)?;
        parameters.finish()?;
        let after = after.unwrap_or(0);
        let wait_ms = u32::try_from(times(wait_s.unwrap_or(0), 1000)).unwrap_or(0);
        let events = self
            .journal
            .follow(after, limit, wait_ms)
            .map_err(Problem::of_journal)?;
        Ok(read(views::feed(&events, after)))
    }

    /// `GET /quarantine`
    pub(crate) fn quarantine(&self, parameters: &mut Parameters) -> Result<Response, Box<Problem>> {
        let mut limit = limit(parameters, PAGE_DEFAULT)?;
        let cursor = parameters.text("cursor");
        parameters.finish()?;
        loop {
            let rejects = self
                .journal
                .list_quarantine(cursor.as_deref(), limit)
                .map_err(Problem::of_journal)?;
            let list = views::quarantine(&rejects);
            match list.fitting(rejects.rejects.len()) {
                Some(fitting) => limit = fitting,
                None => return Ok(read(list.text)),
            }
        }
    }

    /// `GET /page/quarantine`
    pub(crate) fn quarantine_page(
        &self,
        parameters: &mut Parameters,
        context: &Context<'_>,
    ) -> Result<Response, Box<Problem>> {
        let limit = limit(parameters, BODIES_DEFAULT)?;
        let cursor = parameters.text("cursor");
        // The page shows the result of an operation.
        parameters.text("result");
        parameters.finish()?;
        let rejects = self.journal.list_quarantine(cursor.as_deref(), limit);
        Ok(page::quarantine(
            context,
            &rejects.map_err(Problem::of_journal)?,
        ))
    }

    /// `GET /page/body`
    pub(crate) fn body(&self, parameters: &mut Parameters) -> Result<Response, Box<Problem>> {
        const FORM: &str = "a sequence number";
        let event = parameters.number("event", FORM, 1..=u64::MAX)?;
        let reject = parameters.number("reject", FORM, 1..=u64::MAX)?;
        parameters.finish()?;
        if let Some(seq) = reject {
            let found = self.journal.find_reject(seq).map_err(Problem::of_journal)?;
            let found = found.ok_or(Refusal::NotFound)?;
            return Ok(file("reject", seq, found.reject.body));
        }
        let seq = event.ok_or(Refusal::NotFound)?;
        let events = self.journal.follow(seq.saturating_sub(1), 1, 0);
        let events = events.map_err(Problem::of_journal)?;
        match events.into_iter().find(|stored| stored.seq == seq) {
            Some(stored) => Ok(file("event", seq, stored.event.body)),
            None => Err(Refusal::NotFound.into()),
        }
    }
}

/// Returns `None` if a part of a page is not supported by the journal: the page is shown
/// without it.
fn supported<T>(result: Result<T, Error>) -> Result<Option<T>, Box<Problem>> {
    match result {
        Ok(part) => Ok(Some(part)),
        Err(Error::Unsupported(_)) => Ok(None),
        Err(error) => Err(Problem::of_journal(error)),
    }
}

/// Returns an answer that a browser stores as a file. It does not show it, because
/// everyone may have sent the content.
fn file(kind: &str, seq: u64, content: Vec<u8>) -> Response {
    let success = Success::Read;
    let report = report(success.label());
    let media_type = "application/octet-stream";
    let mut response = respond(success.status(), media_type, content, report);
    let mut disposition = String::from("attachment; filename=");
    disposition.push_str(kind);
    disposition.push('-');
    push_decimal(&mut disposition, seq);
    disposition.push_str(".json");
    let header = ("content-disposition".into(), disposition);
    response.headers.push(header);
    response
}

/// `GET /health`
pub(crate) fn health() -> Response {
    read(Object::text_of(|json| json.text("status", "up")))
}

/// `GET /openapi.json`
pub(crate) fn description(
    parameters: &Parameters,
    fields: &Fields,
) -> Result<Response, Box<Problem>> {
    packed(parameters, fields, DESCRIPTION, "application/json")
}

/// Returns an answer that is only available gzip-encoded.
pub(crate) fn packed(
    parameters: &Parameters,
    fields: &Fields,
    bytes: &[u8],
    media_type: &str,
) -> Result<Response, Box<Problem>> {
    parameters.finish()?;
    if !accepts_gzip(header(fields, "accept-encoding")) {
        return Err(Refusal::NotAcceptable.into());
    }
    let success = Success::Read;
    let report = report(success.label());
    let mut response = respond(success.status(), media_type, bytes.into(), report);
    let coding = ("content-encoding".into(), "gzip".into());
    response.headers.push(coding);
    Ok(response)
}

/// Whether a client accepts gzip: `Accept-Encoding` lists `gzip` or `*` without
/// the weight 0, or is absent (RFC 9110, 12.5.3).
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
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

/// Returns the query of the parameters. `stale_before_ms` is used if only stale
/// tasks are requested.
fn task_query(
    parameters: &mut Parameters,
    now_ms: u64,
    stale_before_ms: u64,
) -> Result<TaskQuery, Box<Problem>> {
    let mut query = TaskQuery::all();
    query.statuses = parameters.texts("status")?;
    query.task_types = parameters.texts("task_type")?;
    query.app_ids = parameters.texts("app_id")?;
    parameters.each_parsed("class", "`open`, `retryable` or `final`", |name| {
        query.classes.push(class(name)?);
        Some(())
    })?;
    parameters.each_parsed("flag", "a flag of tasks, such as `gap`", |name| {
        views::add_flag(&mut query, name)
    })?;
    let is_stale = parameters.flag("stale")?;
    query.stale_before_ms = is_stale.then_some(stale_before_ms);
    query.text = parameters.text("q");
    query.since_ms = instant(parameters, "since", now_ms)?;
    query.until_ms = instant(parameters, "until", now_ms)?;
    order(parameters, &mut query)?;
    query.count = parameters.flag("count")?;
    query.cursor = parameters.text("cursor");
    query.limit = limit(parameters, PAGE_DEFAULT)?;
    Ok(query)
}

fn class(name: &str) -> Option<Class> {
    match name {
        "open" => Some(Class::Open),
        "retryable" => Some(Class::Retryable),
        "final" => Some(Class::Final),
        _ => None,
    }
}

/// Reads the property by which tasks are sorted, and the direction. Without one,
/// the last time comes first, and the least text.
fn order(parameters: &mut Parameters, query: &mut TaskQuery) -> Result<(), Box<Problem>> {
    let form = "`changed`, `first_seen`, `status`, `app_id` or `task_id`";
    let sort = parameters.parsed("sort", form, |name| match name {
        "changed" => Some(TaskSort::Changed),
        "first_seen" => Some(TaskSort::FirstSeen),
        "status" => Some(TaskSort::Status),
        "app_id" => Some(TaskSort::Application),
        "task_id" => Some(TaskSort::Task),
        _ => None,
    })?;
    // Version 0.1 had two names of its own for the order of times.
    let order = parameters.parsed("order", "`asc` or `desc`", |name| match name {
        "asc" | "oldest" => Some(TaskOrder::Ascending),
        "desc" | "newest" => Some(TaskOrder::Descending),
        _ => None,
    })?;
    query.sort = sort.unwrap_or(TaskSort::Changed);
    query.order = order.unwrap_or(match query.sort {
        TaskSort::Changed | TaskSort::FirstSeen => TaskOrder::Descending,
        _ => TaskOrder::Ascending,
    });
    Ok(())
}

fn instant(
    parameters: &mut Parameters,
    name: &str,
    now_ms: u64,
) -> Result<Option<u64>, Box<Problem>> {
    parameters.parsed(name, INSTANT_FORMS, |text| parse_instant(text, now_ms))
}

/// Returns the activity to read: at most `spans` spans that cover the time from
/// `since_ms` until before `until_ms`.
fn activity_query(since_ms: u64, until_ms: u64, spans: u32) -> ActivityQuery {
    let day = 24 * HOUR_MS;
    let fitting = SPANS_MINUTES.into_iter().map(u64::from);
    let fitting = fitting
        .map(|minutes| covering(since_ms, until_ms, minutes))
        .find(|(_, needed, _)| *needed <= spans.into());
    let (since_ms, spans, span_minutes) = fitting.unwrap_or_else(|| {
        let (_, days, _) = covering(since_ms, until_ms, day / MINUTE_MS);
        let days = days.div_ceil(spans.max(1).into());
        covering(since_ms, until_ms, times(days, day / MINUTE_MS))
    });
    ActivityQuery {
        since_ms,
        span_minutes: u32::try_from(span_minutes).unwrap_or(u32::MAX),
        spans: u32::try_from(spans).unwrap_or(u32::MAX),
    }
}

/// Returns when the first span of this length begins, how many of them are needed,
/// and their length.
fn covering(since_ms: u64, until_ms: u64, span_minutes: u64) -> (u64, u64, u64) {
    let rest_ms = if span_minutes > 60 {
        since_ms % HOUR_MS
    } else {
        since_ms % MINUTE_MS
    };
    let since_ms = since_ms.saturating_sub(rest_ms);
    let span_ms = times(MINUTE_MS, span_minutes.max(1));
    let spans = until_ms.saturating_sub(since_ms).div_ceil(span_ms);
    (since_ms, spans.max(1), span_minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_the_range_and_are_not_too_many() {
        const DAY_MS: u64 = 24 * HOUR_MS;
        let since_ms = 1_769_862_896_789;
        for (range_ms, spans, expected) in [
            (1, 60, (1, 1)),
            (HOUR_MS, 61, (61, 1)),
            (HOUR_MS, 60, (31, 2)),
            (DAY_MS, 60, (49, 30)),
            (31 * DAY_MS, 60, (32, 1440)),
            (365 * DAY_MS, 60, (53, 7 * 1440)),
            (365 * DAY_MS, 1, (1, 366 * 1440)),
        ] {
            let query = activity_query(since_ms, since_ms + range_ms, spans);
            assert_eq!((query.spans, query.span_minutes), expected, "{range_ms}");
            let unit_ms = if query.span_minutes > 60 {
                HOUR_MS
            } else {
                MINUTE_MS
            };
            assert_eq!(query.since_ms % unit_ms, 0);
            assert!(since_ms - query.since_ms < unit_ms);
            let covered_ms = u64::from(query.spans * query.span_minutes) * MINUTE_MS;
            assert!(query.since_ms + covered_ms >= since_ms + range_ms);
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
