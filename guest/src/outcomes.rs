//! The outcomes of requests. The answers, the labels in logs and metrics, and
//! the table in the README are made from the two tables here.
//!
//! [`Success`] and [`Refusal`] are two types, so an error cannot have the
//! status 200.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::bindings::exports::batchtask::receiver::intake::{Kind, Report, Response};
use crate::journal::{Error, error_text};
use crate::json::Object;

macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident { $($case:ident $status:literal $label:literal $text:literal)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $text] $case,)*
        }

        impl $name {
            /// Every row of the table.
            pub const ALL: &[Self] = &[$(Self::$case),*];

            /// The HTTP status code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$case => $status),* }
            }

            /// The name in logs and metrics, and in the type URI of a refusal.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$case => $label),* }
            }

            /// A sentence that explains the outcome.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$case => $text),* }
            }
        }
    };
}

outcomes! {
    /// How a request was served.
    Success {
        Recorded    200 "recorded"    "The event is new, and is now durable."
        Duplicate   200 "duplicate"   "The event was already durable. The repetition was counted."
        Quarantined 200 "quarantined" "The body is not a batch-task notification. It is in the quarantine."
        Read        200 "read"        "A read was answered."
        Operated    200 "operated"    "A command of an operator was carried out."
        Methods     204 "methods"     "`Allow` lists the methods of the path."
        LoggedIn    303 "logged-in"   "The token is right. `Set-Cookie` begins a session."
        LoggedOut   303 "logged-out"  "The session of the browser is over."
        Redirected  303 "redirected"  "`Location` has the page."
        NotModified 304 "not-modified" "The answer still has the tag in `If-None-Match`."
    }
}

outcomes! {
    /// Why a request was refused. Nothing of it was stored.
    Refusal {
        NotFound         404 "not-found"          "Not found."
        MethodNotAllowed 405 "method-not-allowed" "The path does not support this method. See `Allow`."
        NotAcceptable    406 "not-acceptable"     "Only available gzip-encoded. Send `Accept-Encoding: gzip`."
        Unauthorized     401 "unauthorized"       "Authentication failed."
        CrossSite        403 "cross-site"         "Web pages of other sites may not send this request."
        Conflict         409 "conflict"           "The sink is not in a state that allows this."
        TooManyLogins    429 "too-many-logins"    "Too many logins failed. Try again in a minute."
        MediaType        415 "unsupported-media-type" "Send `Content-Type: application/json` and no `Content-Encoding`."
        BodyTooLarge     413 "body-too-large"     "The body is longer than `BATCHTASK_MAX_BODY_BYTES`."
        BodyIncomplete   400 "body-incomplete"    "The body is incomplete."
        NotJson          400 "not-json"           "The body is not JSON (RFC 8259)."
        NotANotification 422 "not-a-notification" "The body is JSON, but not a batch-task notification."
        BadParameter     400 "bad-parameter"      "A query parameter is invalid."
        Misconfigured    500 "misconfigured"      "A setting of the receiver is invalid. `detail` names it."
        Unavailable      503 "journal-unavailable" "The journal is not available. Try again later."
        Full             503 "journal-full"       "The journal is full."
        Slow             503 "too-slow"           "The request took too long. Try again."
        Overloaded       503 "overloaded"         "The receiver is overloaded. Try again later."
        BodyTimeout      408 "body-timeout"       "The body did not arrive in time."
        Failed           500 "failed"             "The receiver failed. Its log says why."
        Unsupported      501 "journal-unsupported" "The journal of this host does not support this."
    }
}

/// The outcome of a request: a row of either table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request was served.
    Success(Success),
    /// The request was refused.
    Refusal(Refusal),
}

impl Outcome {
    /// Returns the outcome with this label, if there is one.
    pub fn of(label: &str) -> Option<Self> {
        let success = Success::ALL.iter().find(|row| row.label() == label);
        let refusal = || Refusal::ALL.iter().find(|row| row.label() == label);
        match success {
            Some(row) => Some(Self::Success(*row)),
            None => refusal().map(|row| Self::Refusal(*row)),
        }
    }

    /// The label of the outcome.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success(row) => row.label(),
            Self::Refusal(row) => row.label(),
        }
    }
}

/// The value of `Retry-After` in a 503, in seconds.
const RETRY_AFTER_S: &str = "5";

/// The same after too many failed logins.
const RETRY_LOGIN_AFTER_S: &str = "60";

impl Refusal {
    /// The beginning of all type URIs; the label follows.
    pub const TYPE_URI_BASE: &'static str = "urn:batchtask:problem:";

    /// The stable type URI (RFC 9457).
    pub fn type_uri(self) -> String {
        let mut uri = Self::TYPE_URI_BASE.to_string();
        uri.push_str(self.label());
        uri
    }
}

/// A refusal with its details, for the caller and for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The row of the table.
    pub refusal: Refusal,
    /// What is wrong, for the caller.
    pub detail: String,
    /// What is wrong, for the operator. It is not sent to the caller.
    pub operator: Option<String>,
    /// JSON Pointer (RFC 6901) to the member of the body that is wrong.
    pub pointer: Option<&'static str>,
    /// The query parameter that is wrong.
    pub parameter: Option<String>,
    /// The methods that the path supports, for a 405.
    pub allow: Option<&'static str>,
    /// The result of the signature check, for the report.
    pub signature: Option<&'static str>,
    /// How far this host's clock is ahead of the platform's, for the report.
    pub skew_ms: Option<i64>,
}

/// Results contain a boxed problem: a problem is large and rare, and the code
/// that moves it through every result was a tenth of the component.
impl From<Refusal> for Box<Problem> {
    fn from(refusal: Refusal) -> Self {
        Problem::from(refusal).into()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal, refusal.text())
    }
}

impl Problem {
    /// Returns a problem with this text for the caller.
    pub fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self {
            refusal,
            detail: detail.into(),
            operator: None,
            pointer: None,
            parameter: None,
            allow: None,
            signature: None,
            skew_ms: None,
        }
    }

    /// Adds a text for the operator.
    pub fn for_operator(mut self, text: impl Into<String>) -> Self {
        self.operator = Some(text.into());
        self
    }

    /// Returns the refusal of a caller who could not be authenticated. The
    /// reason is only for the operator.
    pub fn unauthorized(reason: &str) -> Box<Self> {
        Self::from(Refusal::Unauthorized)
            .for_operator(reason)
            .into()
    }

    /// Returns the refusal for an error of the journal.
    pub fn of_journal(error: Error) -> Box<Self> {
        let refusal = match &error {
            Error::Unavailable(_) => Refusal::Unavailable,
            Error::Full(_) => Refusal::Full,
            Error::Unsupported(_) => Refusal::Unsupported,
            Error::InvalidCursor(_) => {
                return Self::bad_parameter(
                    "cursor",
                    "`next` or `previous` of a page of the same list",
                );
            }
        };
        Self::from(refusal).for_operator(error_text(error)).into()
    }

    /// Returns the refusal of a query parameter. `form` says what it must be.
    pub fn bad_parameter(name: &str, form: &str) -> Box<Self> {
        let mut detail = String::from("`");
        detail.push_str(name);
        detail.push_str("` must be ");
        detail.push_str(form);
        let mut problem = Self::new(Refusal::BadParameter, detail);
        problem.parameter = Some(name.into());
        problem.into()
    }

    /// Replaces the caller's text with the operator's text. This is for reads:
    /// readers are operators, and most hosts do not log the operator's text.
    pub fn disclosed(mut self: Box<Self>) -> Box<Self> {
        if let Some(text) = self.operator.take() {
            self.detail = text;
        }
        self
    }

    /// Returns the response, as `application/problem+json`.
    pub fn into_response(self) -> Response {
        let mut response = respond(
            self.refusal.status(),
            "application/problem+json",
            self.details(),
            report(""),
        );
        self.complete(&mut response);
        response
    }

    /// Sets the status, the header field and the report of a response whose
    /// body shows this problem.
    pub(crate) fn complete(self, response: &mut Response) {
        let extra = match self.refusal.status() {
            401 => Some(("www-authenticate", "Bearer")),
            405 => self.allow.map(|methods| ("allow", methods)),
            429 => Some(("retry-after", RETRY_LOGIN_AFTER_S)),
            503 => Some(("retry-after", RETRY_AFTER_S)),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers.push((name.into(), value.into()));
        }
        response.status = self.refusal.status();
        response.report = report(self.refusal.label());
        response.report.detail = self.operator.or(Some(self.detail));
        response.report.signature = self.signature.map(String::from);
        response.report.skew_ms = self.skew_ms;
    }

    /// The body of the response (RFC 9457).
    fn details(&self) -> Vec<u8> {
        let title = self.refusal.text();
        Object::text_of(|json| {
            json.text("type", &self.refusal.type_uri());
            json.text("title", title);
            json.number("status", self.refusal.status().into());
            if self.detail != title {
                json.text("detail", &self.detail);
            }
            json.text_if_any("pointer", self.pointer);
            json.text_if_any("parameter", self.parameter.as_deref());
        })
    }
}

/// The answer to OPTIONS, which has no body.
pub(crate) fn methods(allow: &'static str) -> Response {
    let success = Success::Methods;
    Response {
        status: success.status(),
        headers: Vec::from([("allow".into(), allow.into())]),
        body: Vec::new(),
        report: report(success.label()),
    }
}

/// Returns an answer that leads to another address.
pub fn redirect(success: Success, location: String) -> Response {
    let mut response = respond(
        success.status(),
        "text/plain",
        Vec::new(),
        report(success.label()),
    );
    response.headers.push(("location".into(), location));
    response
}

/// An answer with a body.
pub fn respond(status: u16, media_type: &str, body: Vec<u8>, report: Report) -> Response {
    Response {
        status,
        headers: Vec::from([
            ("content-type".into(), media_type.into()),
            ("cache-control".into(), "no-store".into()),
            ("x-content-type-options".into(), "nosniff".into()),
        ]),
        body,
        report,
    }
}

/// A report without a task. The caller sets the kind of the request.
pub fn report(outcome: &str) -> Report {
    Report {
        kind: Kind::Push,
        outcome: outcome.into(),
        app_id: None,
        task_id: None,
        detail: None,
        signature: None,
        skew_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_unique_and_refusals_are_errors() {
        let labels: Vec<_> = (Success::ALL.iter().map(|row| row.label()))
            .chain(Refusal::ALL.iter().map(|row| row.label()))
            .collect();
        assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len());
        assert!(Success::ALL.iter().all(|row| row.status() < 400));
        assert!(Refusal::ALL.iter().all(|row| row.status() >= 400));
    }

    #[test]
    fn a_problem_is_rfc_9457_and_does_not_contain_the_operators_text() {
        let problem = Problem::from(Refusal::Unavailable).for_operator("disk on fire");
        let response = problem.into_response();
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, 503);
        assert_eq!(body["type"], "urn:batchtask:problem:journal-unavailable");
        assert_eq!(body["status"], 503);
        assert!(!body.to_string().contains("fire"));
        assert_eq!(response.report.detail.as_deref(), Some("disk on fire"));
        assert!(
            response
                .headers
                .iter()
                .any(|(name, _)| name == "retry-after")
        );
    }
}
