//! The core: decides what to store and what to answer.
//!
//! A request is handled in two steps: [`Receiver::head`] checks what can be
//! checked before the body is read, and [`Receiver::decide`] does the rest. A
//! decision to store something contains the response to send afterwards. Only
//! the outcome is missing in it, until the journal has answered.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::{Notification, ParseError, hex, sha256};

use crate::bindings::exports::batchtask::receiver::intake::{Admission, Kind, Request, Response};
pub use crate::bindings::exports::batchtask::receiver::intake::{Decision, Entry, Write};
use crate::headers::{Fields, declared_length, header, is_cross_site, is_from_https, text, values};
use crate::journal::{Appended, Error, Event, EventFlags, Journal, Reject, SignatureUse, Source};
use crate::outcomes::{Problem, Refusal, Success, methods, report, respond};
use crate::page::{self, Context, Language};
use crate::reads::{self, Reader};
use crate::routes::{Parameters, READ_METHODS, Route, TaskName, View, split};
use crate::session::{self, Right, WRONG_TOKEN};
use crate::settings::{Settings, Unprocessable};
use crate::signature::{Mode, Proof, difference_ms, is_secret};
use crate::text::shortened;
use crate::views;

/// The core: everything, besides the request, that a decision depends on.
pub struct Receiver<'a, J> {
    /// The journal, from which reads are answered.
    pub journal: &'a J,
    /// The settings of the receiver.
    pub settings: &'a Settings,
    /// The time of arrival, in milliseconds since 1970 (UTC).
    pub now_ms: u64,
}

/// The response to a write, without the outcome: only the journal knows it.
pub struct Receipt {
    response: Response,
    outcome_at: u32,
    is_reject: bool,
}

/// The sender of a notification: the result of checking it.
#[derive(Default)]
struct Sender {
    /// True if the sender is authenticated: by a signature, the path secret or
    /// the host.
    proven: bool,
    /// The signature to remember.
    proof: Option<Proof>,
    /// The result of the signature check.
    finding: Option<&'static str>,
    /// How far this host's clock is ahead of the platform's, according to the
    /// timestamp of the signature.
    skew_ms: Option<i64>,
}

/// A request whose head was accepted.
enum Admitted {
    /// A notification.
    Push(Sender),
    /// A read, with a valid token or session.
    Read(Route, View, Right),
    /// A page that needs no session, such as the form of the login.
    Public(Route),
    /// A token to check.
    Login,
    /// The end of a session.
    Logout,
    /// `GET /health`, which needs no token.
    Health,
    /// OPTIONS, with the methods of the path.
    Methods(&'static str),
}

/// The greatest length of the form of a login, in bytes.
const FORM_BYTES_MAX: usize = 4096;

const REPLAYED: &str = "the signature was used for another notification";

impl<J: Journal> Receiver<'_, J> {
    /// Whether there are pages. Their code must not be reachable otherwise, so that it
    /// is not part of the component.
    const HAS_PAGES: bool = J::UNREADABLE.is_none();

    /// Checks the head of a request; its body is ignored.
    ///
    /// # Errors
    /// The final response, if the request is refused.
    pub fn head(&self, head: &Request) -> Result<Admission, Box<Response>> {
        let admitted = self
            .admit(head)
            .map_err(|problem| Box::new(self.refuse(head, *problem)))?;
        let (sender_proven, max_body_bytes) = match &admitted {
            Admitted::Push(sender) => (sender.proven, self.settings.max_body_bytes),
            Admitted::Read(..) => (true, 0),
            Admitted::Login => (false, FORM_BYTES_MAX),
            _ => (false, 0),
        };
        Ok(Admission {
            kind: kind(&head.target),
            sender_proven,
            max_body_bytes: u64::try_from(max_body_bytes).unwrap_or(u64::MAX),
        })
    }

    /// Decides what to store and what to answer for a request with its body.
    pub fn decide(&self, mut request: Request) -> Decision {
        let body = core::mem::take(&mut request.body);
        let decided = self
            .admit(&request)
            .and_then(|admitted| self.conclude(&request, admitted, body));
        decided.unwrap_or_else(|problem| Decision::Respond(self.refuse(&request, *problem)))
    }

    /// Decides about a notification from a channel other than HTTP. The caller
    /// has authenticated the sender.
    pub fn decide_message(&self, source: Source, body: Vec<u8>) -> Decision {
        let sender = Sender {
            proven: true,
            ..Sender::default()
        };
        match self.take(body, source, sender) {
            Ok(write) => Decision::Write(write),
            Err(problem) => Decision::Respond(problem.into_response()),
        }
    }

    /// Serves a request: decides, stores, and returns the response.
    pub fn exchange(&self, request: Request) -> Response {
        match self.decide(request) {
            Decision::Respond(response) => response,
            Decision::Write(write) => self
                .store(write)
                .unwrap_or_else(|problem| problem.into_response()),
        }
    }

    /// Stores a notification from a channel other than HTTP, and returns how it
    /// was stored. The caller has authenticated the sender.
    ///
    /// # Errors
    /// Why it was refused. Nothing was stored.
    pub fn accept(&self, source: Source, body: Vec<u8>) -> Result<Success, Box<Problem>> {
        let sender = Sender {
            proven: true,
            ..Sender::default()
        };
        let write = self.take(body, source, sender)?;
        let appended = self.append(&write)?;
        let (_, _, receipt) = write.split();
        receipt.success(appended)
    }

    fn store(&self, write: Write) -> Result<Response, Box<Problem>> {
        let appended = self.append(&write)?;
        write.into_response(appended)
    }

    fn append(&self, write: &Write) -> Result<Appended, Box<Problem>> {
        let signature = write.signature.as_ref();
        match &write.entry {
            Entry::Event(event) => self.journal.append(event, signature),
            Entry::Reject(reject) => self.journal.quarantine(reject, signature),
        }
        .map_err(Problem::of_journal)
    }

    /// Returns the response to a request that is refused. Without a read token
    /// there are no pages, so the response is JSON.
    fn refuse(&self, request: &Request, problem: Problem) -> Response {
        let has_pages = Self::HAS_PAGES && !self.settings.read_tokens.is_empty();
        let is_page = has_pages && kind(&request.target) == Kind::Page;
        let mut response = if is_page {
            let right = session::check(&request.headers, self.settings, self.now_ms).ok();
            page::problem(&self.context(request, right), problem)
        } else {
            problem.into_response()
        };
        finish(request, &mut response);
        response
    }

    /// Checks everything that can be checked with the head of a request.
    fn admit(&self, head: &Request) -> Result<Admitted, Box<Problem>> {
        let (whole_path, _) = split(&head.target);
        let (view, path) = View::of(whole_path);
        let route = Route::of(path).filter(|route| route.has(view) && self.exists(route, view));
        if head.method == "OPTIONS" {
            let allow = match (&route, whole_path) {
                (Some(route), _) => route.methods(),
                // Load balancers send `OPTIONS /`, also if there is no read token.
                (None, "/" | "*") => READ_METHODS,
                _ => return Err(Refusal::NotFound.into()),
            };
            return Ok(Admitted::Methods(allow));
        }
        let route = route.ok_or(Refusal::NotFound)?;
        if !route.takes(&head.method) {
            let mut problem = Problem::from(Refusal::MethodNotAllowed);
            problem.allow = Some(route.methods());
            return Err(problem.into());
        }
        if view == View::Page && head.method == "POST" {
            return admit_form(route, head);
        }
        match route {
            Route::Notifications(_) => self.admit_push(head).map(Admitted::Push),
            Route::Health => Ok(Admitted::Health),
            route if route.is_public_page() => Ok(Admitted::Public(route)),
            route => {
                let right = session::check(&head.headers, self.settings, self.now_ms)?;
                Ok(Admitted::Read(route, view, right))
            }
        }
    }

    fn admit_push(&self, head: &Request) -> Result<Sender, Box<Problem>> {
        let sender = self.check_sender(head)?;
        // A wrong media type must not lose a genuine push: a body from a proven
        // sender is always read as JSON.
        if !sender.proven {
            check_media_type(&head.headers)?;
        }
        let limit = u64::try_from(self.settings.max_body_bytes).unwrap_or(u64::MAX);
        match declared_length(&head.headers) {
            Some(length) if length > limit => Err(Refusal::BodyTooLarge.into()),
            _ => Ok(sender),
        }
    }

    fn check_sender(&self, head: &Request) -> Result<Sender, Box<Problem>> {
        let scheme = &self.settings.scheme;
        let checked = scheme.check(&head.headers, self.now_ms);
        let is_valid = checked
            .as_ref()
            .is_some_and(|checked| checked.finding.is_valid());
        let finding = checked.as_ref().map(|checked| checked.finding.text());
        let skew_ms = checked.as_ref().and_then(|checked| checked.skew_ms);
        if scheme.mode == Mode::Enforce && !is_valid {
            let mut problem = Problem::unauthorized(finding.unwrap_or_default());
            problem.signature = finding;
            problem.skew_ms = skew_ms;
            return Err(problem);
        }
        // A browser adds its client certificate to the requests of any page, but a
        // page of another site does not know a secret.
        let knows_a_secret = !self.settings.path_secrets.is_empty() || is_valid;
        if !knows_a_secret && is_cross_site(&head.headers) {
            return Err(Refusal::CrossSite.into());
        }
        Ok(Sender {
            proven: knows_a_secret || head.sender_proven,
            // In the mode `report` nothing is refused, so a used signature must
            // not be either: it is not remembered.
            proof: checked
                .and_then(|checked| checked.proof)
                .filter(|_| scheme.mode == Mode::Enforce),
            finding,
            skew_ms,
        })
    }

    /// Whether a route exists with these settings. A path with a wrong secret
    /// does not exist; without a read token no path for reading exists.
    fn exists(&self, route: &Route, view: View) -> bool {
        let secrets = &self.settings.path_secrets;
        if view == View::Page && !Self::HAS_PAGES {
            return false;
        }
        match route {
            Route::Notifications(None) => secrets.is_empty(),
            Route::Notifications(Some(secret)) => is_secret(secret, secrets),
            Route::Health => true,
            _ => !self.settings.read_tokens.is_empty(),
        }
    }

    fn context<'r>(&self, request: &'r Request, right: Option<Right>) -> Context<'r> {
        Context {
            target: &request.target,
            language: Language::of(&request.headers),
            right,
            now_ms: self.now_ms,
            stale_before_ms: self.now_ms.saturating_sub(self.settings.stale_after_ms),
        }
    }

    /// Returns the answer to a login: whether the token in its form is right.
    fn log_in(&self, request: &Request, body: &[u8]) -> Result<Response, Box<Problem>> {
        let form = text(body).unwrap_or_default();
        let token = Parameters::of(form).text("token").unwrap_or_default();
        let token = token.trim_ascii();
        if body.len() > FORM_BYTES_MAX || session::right_of(token, self.settings).is_none() {
            return Err(Problem::unauthorized(WRONG_TOKEN));
        }
        let is_secure = request.over_https || is_from_https(&request.headers);
        Ok(page::logged_in(
            &self.context(request, None),
            token,
            is_secure,
        ))
    }

    /// Returns a page that needs no session.
    fn public(&self, request: &Request, route: &Route) -> Result<Response, Box<Problem>> {
        let (_, query) = split(&request.target);
        let parameters = &mut Parameters::of(query);
        match route {
            Route::Style => page::style(parameters, &request.headers),
            Route::Script => page::script(parameters, &request.headers),
            Route::Language => Ok(page::selected(&self.context(request, None))),
            _ => Ok(page::form(&self.context(request, None))),
        }
    }

    fn conclude(
        &self,
        request: &Request,
        admitted: Admitted,
        body: Vec<u8>,
    ) -> Result<Decision, Box<Problem>> {
        let mut response = match admitted {
            Admitted::Push(sender) => {
                return self.take(body, Source::Push, sender).map(Decision::Write);
            }
            Admitted::Login | Admitted::Logout | Admitted::Public(_) if !Self::HAS_PAGES => {
                return Err(Refusal::NotFound.into());
            }
            Admitted::Login => self.log_in(request, &body)?,
            Admitted::Logout => page::logged_out(&request.headers, self.settings),
            Admitted::Public(route) => self.public(request, &route)?,
            Admitted::Health => reads::health(),
            Admitted::Methods(allow) => methods(allow),
            Admitted::Read(route, view, right) => {
                let is_feed = route == Route::Feed;
                let mut response = self
                    .read(request, &route, view, right)
                    .map_err(Problem::disclosed)?;
                // A reader does not ask for the same part of the feed twice.
                if !is_feed {
                    add_etag(&mut response, &request.headers);
                }
                response
            }
        };
        finish(request, &mut response);
        Ok(Decision::Respond(response))
    }

    fn read(
        &self,
        request: &Request,
        route: &Route,
        view: View,
        right: Right,
    ) -> Result<Response, Box<Problem>> {
        if let Some(why) = J::UNREADABLE {
            return Err(Problem::of_journal(Error::Unsupported(why.into())));
        }
        let context = &self.context(request, Some(right));
        let (_, query) = split(&request.target);
        let parameters = &mut Parameters::of(query);
        if view == View::Page {
            parameters.drop_empty();
        }
        let reader = Reader {
            journal: self.journal,
            settings: self.settings,
            now_ms: self.now_ms,
        };
        match (route, view) {
            (Route::Tasks, View::Page) => reader.tasks_page(parameters, context),
            (Route::Tasks, View::Json) => reader.tasks(parameters),
            (Route::Task(name), View::Page) => reader.task_page(name, parameters, context),
            (Route::TaskPage, _) => {
                let mut id = |name| parameters.text(name).unwrap_or_default();
                let (app_id, task_id) = (id("app_id"), id("task_id"));
                reader.task_page(&TaskName { app_id, task_id }, parameters, context)
            }
            (Route::Task(name), View::Json) => reader.task(name, parameters),
            (Route::History(name), _) => reader.history(name, parameters),
            (Route::Feed, _) => reader.feed(parameters),
            (Route::Quarantine, View::Page) => reader.quarantine_page(parameters, context),
            (Route::Quarantine, View::Json) => reader.quarantine(parameters),
            (Route::Reject(seq), _) => reader.reject(*seq, parameters),
            (Route::Activity, _) => reader.activity(parameters),
            // A host that has sinks serves their page itself.
            (Route::Sinks, _) => Err(Refusal::NotFound.into()),
            (Route::Body, _) => reader.body(parameters),
            (Route::Summary, _) => reader.summary(parameters),
            (Route::Description, _) => reads::description(parameters, &request.headers),
            _ => Err(Refusal::NotFound.into()),
        }
    }

    /// Decides about a notification from any channel.
    fn take(&self, body: Vec<u8>, source: Source, sender: Sender) -> Result<Write, Box<Problem>> {
        if body.len() > self.settings.max_body_bytes {
            return Err(Refusal::BodyTooLarge.into());
        }
        match Notification::parse(&body) {
            Ok(notification) => Ok(self.event(notification, body, source, sender)),
            Err(error) if self.quarantines(sender.proven) => Ok(self.reject(&error, body, sender)),
            Err(error) => {
                let mut problem = problem_of(&error);
                problem.skew_ms = sender.skew_ms;
                Err(problem)
            }
        }
    }

    fn event(
        &self,
        notification: Notification,
        body: Vec<u8>,
        source: Source,
        sender: Sender,
    ) -> Write {
        let mut event = notification.into_event(self.now_ms);
        if source == Source::Reconcile {
            event = event.reconciled();
        }
        let mut event = stored_event(event, body, source);
        event.signature = sender.finding.map(String::from);
        let skew_ms = sender.skew_ms.or_else(|| skew_of_dates(&event));
        let (receipt, outcome_at) = views::receipt(&event);
        let name = TaskName {
            app_id: event.app_id.clone(),
            task_id: event.task_id.clone(),
        };
        Write {
            signature: sender
                .proof
                .map(|proof| signature_use(proof, &event.digest)),
            response: receipt_response(receipt, Some(name), sender.finding, skew_ms),
            entry: Entry::Event(event),
            outcome_at,
        }
    }

    fn quarantines(&self, sender_proven: bool) -> bool {
        match self.settings.unprocessable {
            Unprocessable::Auto => sender_proven,
            Unprocessable::Accept => true,
            Unprocessable::Reject => false,
        }
    }

    fn reject(&self, error: &ParseError, body: Vec<u8>, sender: Sender) -> Write {
        let problem = problem_of(error);
        let reject = Reject {
            received_at_ms: self.now_ms,
            reason: problem.refusal.label().into(),
            detail: problem.detail,
            pointer: problem.pointer.map(String::from),
            body,
        };
        let (receipt, outcome_at) = views::receipt_of_reject(&reject);
        let digest = |proof| signature_use(proof, &sha256(&[&reject.body]));
        Write {
            signature: sender.proof.map(digest),
            response: receipt_response(receipt, None, sender.finding, sender.skew_ms),
            entry: Entry::Reject(reject),
            outcome_at,
        }
    }
}

impl Write {
    /// Returns the entry to store, its signature, and the receipt to complete
    /// afterwards.
    pub fn split(self) -> (Entry, Option<SignatureUse>, Receipt) {
        let receipt = Receipt {
            response: self.response,
            outcome_at: self.outcome_at,
            is_reject: matches!(self.entry, Entry::Reject(_)),
        };
        (self.entry, self.signature, receipt)
    }

    /// Returns the response, now that the journal has answered.
    ///
    /// # Errors
    /// The refusal of a signature that was used for another notification.
    pub fn into_response(self, appended: Appended) -> Result<Response, Box<Problem>> {
        let (_, _, receipt) = self.split();
        receipt.into_response(appended)
    }
}

impl Receipt {
    /// Returns the outcome that corresponds to the journal's answer.
    ///
    /// # Errors
    /// The refusal of a signature that was used for another notification.
    pub fn success(&self, appended: Appended) -> Result<Success, Box<Problem>> {
        match appended {
            Appended::Replayed => Err(Problem::unauthorized(REPLAYED)),
            _ if self.is_reject => Ok(Success::Quarantined),
            Appended::Recorded => Ok(Success::Recorded),
            Appended::Duplicate => Ok(Success::Duplicate),
        }
    }

    /// Returns the response, now that the journal has answered.
    ///
    /// # Errors
    /// The refusal of a signature that was used for another notification.
    pub fn into_response(self, appended: Appended) -> Result<Response, Box<Problem>> {
        let success = self.success(appended)?;
        let mut response = self.response;
        let at = usize::try_from(self.outcome_at).unwrap_or(usize::MAX);
        let rest = response.body.split_off(at.min(response.body.len()));
        response.body.extend_from_slice(success.label().as_bytes());
        response.body.extend_from_slice(&rest);
        response.report.outcome = success.label().into();
        Ok(response)
    }
}

/// Returns the kind of a request, which depends on the path in its target.
pub fn kind(target: &str) -> Kind {
    let (path, _) = split(target);
    match View::of(path) {
        (View::Page, _) => Kind::Page,
        (View::Json, path) if Route::is_webhook(path) => Kind::Push,
        (View::Json, _) => Kind::Read,
    }
}

/// Whether a request may read the journal. A host limits these requests, because
/// they take longer than others. What a browser needs before the login does not read,
/// so that strangers cannot take the places of readers.
pub fn is_read(request: &Request) -> bool {
    let (path, _) = split(&request.target);
    let route = Route::of(View::of(path).1);
    matches!(request.method.as_str(), "GET" | "HEAD")
        && !route.is_some_and(|route| route == Route::Health || route.is_public_page())
}

/// Returns how far this host's clock is ahead of the platform's, according to
/// the date of an event: negative if the event is dated after its arrival.
/// Otherwise `None`, because an event may arrive late.
fn skew_of_dates(event: &Event) -> Option<i64> {
    let skew_ms = difference_ms(event.received_at_ms, event.occurred_at_ms);
    (skew_ms < 0).then_some(skew_ms)
}

/// Checks the head of a form that a page sends. Pages of other sites may not send it.
fn admit_form(route: Route, head: &Request) -> Result<Admitted, Box<Problem>> {
    if is_cross_site(&head.headers) {
        return Err(Refusal::CrossSite.into());
    }
    let length = declared_length(&head.headers).unwrap_or_default();
    match route {
        Route::Login if usize::try_from(length).is_ok_and(|length| length <= FORM_BYTES_MAX) => {
            Ok(Admitted::Login)
        }
        Route::Login => Err(Refusal::BodyTooLarge.into()),
        _ => Ok(Admitted::Logout),
    }
}

/// Completes a response to a request that stores nothing.
fn finish(request: &Request, response: &mut Response) {
    response.report.kind = kind(&request.target);
    if request.method == "HEAD" {
        response.body.clear();
    }
}

fn signature_use(proof: Proof, digest: &[u8]) -> SignatureUse {
    SignatureUse {
        signature: proof.signature,
        digest: digest.into(),
        expires_at_ms: proof.expires_at_ms,
    }
}

/// Returns the response to a write. The outcome is filled in later.
fn receipt_response(
    receipt: Vec<u8>,
    task: Option<TaskName>,
    finding: Option<&'static str>,
    skew_ms: Option<i64>,
) -> Response {
    let mut report = report("");
    report.signature = finding.map(String::from);
    report.skew_ms = skew_ms;
    if let Some(name) = task {
        report.app_id = Some(name.app_id);
        report.task_id = Some(name.task_id);
    }
    // All outcomes of a write have the same status.
    respond(
        Success::Recorded.status(),
        "application/json",
        receipt,
        report,
    )
}

/// Returns the refusal of a body that is not a notification.
fn problem_of(error: &ParseError) -> Box<Problem> {
    let refusal = match error {
        ParseError::NotJson { .. } => Refusal::NotJson,
        _ => Refusal::NotANotification,
    };
    let mut problem = Problem::new(refusal, error.detail());
    problem.pointer = error.pointer();
    problem.into()
}

/// Adds an entity tag. If the request shows that the reader already has this
/// body, the response becomes a 304 (RFC 9110, 13.1.2).
fn add_etag(response: &mut Response, fields: &Fields) {
    let digest = sha256(&[&response.body]);
    let digest = digest.get(..8).unwrap_or_default();
    let mut tag = String::from("\"");
    tag.push_str(&hex(digest));
    tag.push('"');
    let known = header(fields, "if-none-match").unwrap_or_default();
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
}

/// Checks that a notification is `application/json`, with any parameters, and
/// has no content coding. A request without a media type is accepted, because
/// refusing it would lose it. An empty field counts as absent.
fn check_media_type(fields: &Fields) -> Result<(), Box<Problem>> {
    let is_right = |name, right: &str| {
        let is_empty = |value: &[u8]| value.trim_ascii().is_empty();
        values(fields, name).all(is_empty)
            || header(fields, name)
                .and_then(|value| value.split(';').next())
                .is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(right))
    };
    let labels = [
        (CONTENT_TYPE, "application/json"),
        (CONTENT_ENCODING, "identity"),
    ];
    if labels.iter().all(|(name, right)| is_right(name, right)) {
        return Ok(());
    }
    let mut found = String::from("an unauthenticated sender sent");
    for (name, _) in labels {
        for value in values(fields, name) {
            for part in [" `", name, ": ", text(value).unwrap_or("not UTF-8"), "`"] {
                found.push_str(part);
            }
        }
    }
    let found = shortened(&found, LABELS_BYTES_MAX);
    Err(Problem::from(Refusal::MediaType).for_operator(found).into())
}

const CONTENT_TYPE: &str = "content-type";
const CONTENT_ENCODING: &str = "content-encoding";

/// The greatest length of the text about these fields in a report, in bytes.
const LABELS_BYTES_MAX: usize = 256;

/// Returns an event as the journal stores it, with its body and source.
pub fn stored_event(event: batchtask_notification::Event, body: Vec<u8>, source: Source) -> Event {
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
        source,
        signature: None,
        flags: wire_flags(event.flags),
        body,
    }
}

/// Converts flags to the journal's type. The bits are in the same order.
fn wire_flags(flags: batchtask_notification::Flags) -> EventFlags {
    EventFlags::from_bits_retain(flags.bits())
}
