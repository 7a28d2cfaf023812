//! The heart: one function from a buffered request to a response.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::{Notification, ParseError};
use sha2::{Digest, Sha256};

use crate::bindings::exports::batchtask::receiver::intake::{Request, Response};
use crate::journal::{Appended, Error, Event, EventFlags, Journal, Nonce, Reject, error_text};
use crate::outcomes::{Problem, Refusal, Success, report, respond};
use crate::page;
use crate::reads;
use crate::routes::{Parameters, Route, TaskName, View};
use crate::sender::{same_secret, unauthorized};
use crate::settings::{Settings, Unprocessable};
use crate::views;

/// What a request is answered with: where things are kept, what the operator
/// decided, and what time it is.
pub struct Receiver<'a, J> {
    /// Where things are kept.
    pub journal: &'a J,
    /// What the operator decided.
    pub settings: &'a Settings,
    /// The time of arrival, in milliseconds since 1970 (UTC).
    pub now_ms: u64,
}

/// What a notification came to.
pub struct Taken {
    /// The row of the table.
    pub success: Success,
    /// What the sender is told, as JSON.
    pub receipt: Vec<u8>,
    /// The task it was about; none for what was quarantined.
    pub task: Option<TaskName>,
}

/// What is known of the sender of a notification.
#[derive(Default)]
pub struct Sender {
    /// A signature or a path secret matched, or the caller vouches.
    pub proven: bool,
    /// What to remember against a replay.
    pub nonce: Option<Nonce>,
    /// What the check of the signature found.
    pub signature: Option<String>,
}

const REPLAYED: &str = "the nonce was used before";

impl<J: Journal> Receiver<'_, J> {
    /// Answers a request.
    pub fn exchange(&self, request: Request) -> Response {
        let is_head = request.method == "HEAD";
        let (path, _) = split(&request.target);
        let (view, _) = View::of(path);
        // Where nothing can be read there are no pages, not even of problems.
        let is_page = view == View::Page && self.settings.read_token.is_some();
        let mut response = match self.answer(request) {
            Ok(response) => response,
            Err(problem) if is_page => page::problem(*problem),
            Err(problem) => problem.into_response(),
        };
        if is_head {
            response.body.clear();
        }
        response
    }

    fn answer(&self, request: Request) -> Result<Response, Box<Problem>> {
        let (route, view) = self.route(&request)?;
        let (_, query) = split(&request.target);
        if let Route::Notifications(_) = route {
            return self.notify(request);
        }
        let mut parameters = Parameters::of(query);
        if view == View::Page {
            parameters.drop_empty();
            if let Some(token) = parameters.text("token") {
                self.check_token(Some(&token))?;
                return Ok(page::entered(&token));
            }
        }
        self.check_reader(&request.headers)?;
        let is_feed = route == Route::Feed;
        let response = match (route, view) {
            (Route::Notifications(_), _) => Err(Refusal::NotFound.into()),
            (Route::Tasks, view) => self.tasks(parameters, view, query),
            (Route::Task(name), View::Page) => self.task_page(name, parameters, query),
            (Route::Task(name), View::Json) => self.task(name, parameters),
            (Route::History(name), _) => self.history(name, parameters),
            (Route::Feed, _) => self.feed(parameters),
            (Route::Quarantine, view) => self.quarantine(parameters, view, query),
            (Route::Summary, _) => self.summary(parameters),
            (Route::Description, _) => reads::description(parameters, &request.headers),
        }
        .map_err(Problem::told)?;
        // Nobody asks twice for the same part of the feed.
        Ok(match is_feed {
            true => response,
            false => unless_known(response, &request.headers),
        })
    }

    /// Whether anything would look at the body of a request with such a head.
    pub fn wants_body(&self, head: &Request) -> bool {
        let route = self.route(head);
        matches!(route, Ok((Route::Notifications(_), _))) && check_media_type(&head.headers).is_ok()
    }

    /// What a request is for, by its target and method.
    fn route(&self, request: &Request) -> Result<(Route, View), Box<Problem>> {
        let (path, _) = split(&request.target);
        let (view, path) = View::of(path);
        let route = Route::of(path).filter(|route| route.has(view) && self.exists(route));
        let route = route.ok_or(Refusal::NotFound)?;
        if !route.takes(&request.method) {
            let mut problem = Problem::from(Refusal::MethodNotAllowed);
            problem.allow = Some(route.methods());
            return Err(problem.into());
        }
        Ok((route, view))
    }

    /// Whether a route is there at all. A wrong secret is as unknown as any
    /// other path, and so is every read where no reader can be proven.
    fn exists(&self, route: &Route) -> bool {
        match (route, &self.settings.path_secret) {
            (Route::Notifications(None), None) => true,
            (Route::Notifications(Some(given)), Some(secret)) => same_secret(given, secret),
            (Route::Notifications(_), _) => false,
            _ => self.settings.read_token.is_some(),
        }
    }

    fn check_reader(&self, headers: &[(String, Vec<u8>)]) -> Result<(), Box<Problem>> {
        // Over HTTP/2 a browser sends a field for each (RFC 9113, 8.2.3).
        let cookies = || headers.iter().filter(|(name, _)| is(name, "cookie"));
        let cookie = || cookies().find_map(|(_, value)| page::token_of(text(value)?));
        match header(headers, "authorization").and_then(bearer) {
            Some(token) => self.check_token(Some(token)),
            None => self.check_token(cookie().as_deref()),
        }
    }

    fn check_token(&self, given: Option<&str>) -> Result<(), Box<Problem>> {
        match (given, &self.settings.read_token) {
            (Some(given), Some(token)) if same_secret(given, token) => Ok(()),
            (Some(_), _) => Err(unauthorized("the read token does not match")),
            (None, _) => Err(unauthorized("no read token")),
        }
    }

    fn notify(&self, request: Request) -> Result<Response, Box<Problem>> {
        let checked = self.settings.scheme.check(&request.headers, self.now_ms)?;
        check_media_type(&request.headers)?;
        let sender = Sender {
            proven: checked.proven || self.settings.path_secret.is_some(),
            nonce: checked.nonce,
            signature: checked.finding,
        };
        let taken = self.take(request.body, &sender)?;
        let mut report = report(taken.success.label());
        report.signature = sender.signature;
        if let Some(name) = taken.task {
            report.app_id = Some(name.app_id);
            report.task_id = Some(name.task_id);
        }
        let status = taken.success.status();
        Ok(respond(status, "application/json", taken.receipt, report))
    }

    /// Takes one notification: the way that every channel leads to. It returns
    /// success only once the journal has.
    pub fn take(&self, body: Vec<u8>, sender: &Sender) -> Result<Taken, Box<Problem>> {
        if body.len() > self.settings.max_body_bytes {
            return Err(Refusal::BodyTooLarge.into());
        }
        match Notification::parse(&body) {
            Ok(notification) => self.record(notification, body, sender),
            Err(error) if self.quarantines(sender.proven) => self.set_aside(&error, body, sender),
            Err(error) => Err(problem_of(&error)),
        }
    }

    fn record(
        &self,
        notification: Notification,
        body: Vec<u8>,
        sender: &Sender,
    ) -> Result<Taken, Box<Problem>> {
        let mut event = wire_event(notification.into_event(self.now_ms), body);
        event.signature = sender.signature.clone();
        let appended = self.journal.append(&event, sender.nonce.as_ref());
        let success = match appended.map_err(refused)? {
            Appended::Recorded => Success::Recorded,
            Appended::Duplicate => Success::Duplicate,
            Appended::Replayed => return Err(unauthorized(REPLAYED)),
        };
        Ok(Taken {
            success,
            receipt: views::receipt(success, &event),
            task: Some(TaskName {
                app_id: event.app_id,
                task_id: event.task_id,
            }),
        })
    }

    fn quarantines(&self, sender_proven: bool) -> bool {
        match self.settings.unprocessable {
            Unprocessable::Auto => sender_proven,
            Unprocessable::Accept => true,
            Unprocessable::Reject => false,
        }
    }

    fn set_aside(
        &self,
        error: &ParseError,
        body: Vec<u8>,
        sender: &Sender,
    ) -> Result<Taken, Box<Problem>> {
        let problem = problem_of(error);
        let reject = Reject {
            received_at_ms: self.now_ms,
            reason: problem.refusal.label().into(),
            detail: problem.detail,
            pointer: problem.pointer.map(String::from),
            body,
        };
        let appended = self.journal.quarantine(&reject, sender.nonce.as_ref());
        if appended.map_err(refused)? == Appended::Replayed {
            return Err(unauthorized(REPLAYED));
        }
        Ok(Taken {
            success: Success::Quarantined,
            receipt: views::receipt_of_reject(&reject),
            task: None,
        })
    }
}

/// Why a body is no notification, as the sender is told.
fn problem_of(error: &ParseError) -> Box<Problem> {
    let refusal = match error {
        ParseError::NotJson { .. } => Refusal::NotJson,
        _ => Refusal::NotANotification,
    };
    let mut problem = Problem::new(refusal, error.detail());
    problem.pointer = error.pointer();
    problem.into()
}

/// Why the journal did not do it, as the caller and the operator are told.
pub(crate) fn refused(error: Error) -> Box<Problem> {
    let refusal = match &error {
        Error::Unavailable(_) => Refusal::Unavailable,
        Error::Full(_) => Refusal::Full,
        Error::Unsupported(_) => Refusal::Unsupported,
        Error::InvalidCursor(_) => {
            return crate::routes::bad_parameter("cursor", "`next` of the page before");
        }
    };
    Problem::from(refusal)
        .for_operator(error_text(error))
        .into()
}

/// Path and query of a request's target.
fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// The answer with its entity tag, or without its body when the reader has it
/// already (RFC 9110, 13.1.2).
fn unless_known(mut response: Response, headers: &[(String, Vec<u8>)]) -> Response {
    let digest = Sha256::digest(&response.body);
    let digest = digest.get(..8).unwrap_or_default();
    let mut tag = String::from("\"");
    tag.push_str(&views::hex(digest));
    tag.push('"');
    let known = header(headers, "if-none-match").unwrap_or_default();
    let mut known = known.split(',').map(str::trim_ascii);
    if known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag) {
        let success = Success::NotModified;
        response.status = success.status();
        response.report = report(success.label());
        response.body.clear();
    }
    for (name, value) in &mut response.headers {
        if name == "cache-control" {
            *value = "private, no-cache".into();
        }
    }
    response.headers.push(("etag".into(), tag));
    response
}

/// The token of an `Authorization` field, when its scheme is `Bearer`.
fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

/// The value of a header field, when it is there once and is text.
pub(crate) fn header<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    let mut values = headers.iter().filter(|(found, _)| is(found, name));
    let (_, value) = values.next()?;
    match values.next() {
        Some(_) => None,
        None => text(value),
    }
}

/// Whether a header field has this name.
fn is(found: &str, name: &str) -> bool {
    found.eq_ignore_ascii_case(name)
}

fn text(value: &[u8]) -> Option<&str> {
    core::str::from_utf8(value).ok()
}

/// A notification is `application/json`, whatever its parameters: JSON is
/// UTF-8. A request that says nothing is believed to be one, for refusing it
/// would lose it.
fn check_media_type(headers: &[(String, Vec<u8>)]) -> Result<(), Box<Problem>> {
    let has = |name: &str| headers.iter().any(|(found, _)| is(found, name));
    let is_json = header(headers, "content-type")
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| {
            media_type
                .trim_ascii()
                .eq_ignore_ascii_case("application/json")
        });
    let is_plain = header(headers, "content-encoding")
        .is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case("identity"));
    if (has("content-type") && !is_json) || (has("content-encoding") && !is_plain) {
        return Err(Refusal::MediaType.into());
    }
    Ok(())
}

/// An event as the journal takes it: with its body.
fn wire_event(event: batchtask_notification::Event, body: Vec<u8>) -> Event {
    Event {
        app_id: event.app_id,
        task_id: event.task_id,
        task_type: event.task_type,
        status: event.status,
        status_desc: event.status_desc,
        event_time: event.event_time,
        event_time_ms: event.event_time_ms,
        request_id: event.request_id,
        digest: event.digest.into(),
        occurred_at_ms: event.occurred_at_ms,
        rank: event.rank,
        received_at_ms: event.received_at_ms,
        signature: None,
        oddities: wire_flags(event.flags),
        body,
    }
}

/// The same flags in the journal's type: the bits are in the same order.
fn wire_flags(flags: batchtask_notification::Flags) -> EventFlags {
    EventFlags::from_bits_retain(u8::try_from(flags.bits()).unwrap_or_default())
}
