//! Answers and errors of the client commands.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use super::table::escape_unprintable;

/// The time limit for an answer, which is that of the platform.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(15);

/// The longest answer, in bytes: several times the longest page of events.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection could be made, or it ended before the answer was complete.
    #[error("cannot reach {url}{}", advice_for(source.as_ref()))]
    Unreachable {
        url: String,
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer took longer than [`ANSWER_TIME`].
    #[error("{url} did not answer within {} s", ANSWER_TIME.as_secs())]
    TooSlow { url: String },
    /// The answer is longer than [`MAX_ANSWER_BYTES`].
    #[error("the answer of {url} is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong { url: String },
    /// The status of the answer is not 200.
    #[error("{url} refused the request: {refusal}{}", .refusal.advice())]
    Refused { url: String, refusal: Refusal },
    /// The URL would be too long.
    #[error("an id or a filter is too long for a URL")]
    NoUrl { source: http::uri::InvalidUri },
    /// The answer's body is not the expected JSON.
    #[error("{url} is not a batchtask receiver: unexpected response")]
    NotUnderstood {
        url: String,
        source: serde_json::Error,
    },
}

/// Returns what to do about a failed connection.
fn advice_for(error: &(dyn Error + Send + Sync + 'static)) -> &'static str {
    let first: &(dyn Error + 'static) = error;
    let causes = std::iter::successors(Some(first), |error| (**error).source());
    let mut texts = causes.map(ToString::to_string);
    texts
        .find_map(|text| {
            let hint = ADVICE.iter().find(|(part, _)| text.contains(part));
            hint.map(|(_, advice)| *advice)
        })
        .unwrap_or_default()
}

/// Parts of the texts of errors, and what to do about them. The libraries in between
/// keep no type for most of these.
const ADVICE: &[(&str, &str)] = &[
    (
        "InvalidContentType",
        " (it does not use TLS: try `http://`)",
    ),
    ("invalid HTTP version", " (it may use TLS: try `https://`)"),
    (
        "UnknownIssuer",
        " (its certificate has an unknown authority: name it with `--ca`)",
    ),
    (
        "BadSignature",
        " (its certificate has another authority than `--ca`)",
    ),
    (
        "CaUsedAsEndEntity",
        " (its certificate is that of an authority: `batchtask tls self-signed` makes one for a server)",
    ),
    (
        "no tunnel",
        " (the proxy made no connection to it: check HTTPS_PROXY, or list the host in NO_PROXY)",
    ),
    (
        "name resolution failed",
        " (the name of its host is unknown: check `--url`)",
    ),
    (
        "Connection refused",
        " (is the receiver running, and does it listen there?)",
    ),
];

impl ClientError {
    /// Whether there was no answer.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TooSlow { .. })
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => matches!(refusal.status, 408 | 429 | 500 | 502..=504),
            _ => self.is_unanswered(),
        }
    }
}

/// A refusal: an answer whose status is not 200, perhaps with a problem (RFC 9457).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The last part of the problem's type, or `other`.
    pub(super) label: String,
    /// The reason, as text.
    pub(super) detail: String,
}

impl Refusal {
    /// Reads the refusal in an answer, which may come from a proxy.
    pub(super) fn of(answer: &Answer) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Problem {
            r#type: String,
            title: String,
            detail: Option<String>,
        }
        let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
        let base = batchtask_guest::outcomes::Refusal::TYPE_URI_BASE;
        let mut detail = problem.detail.unwrap_or(problem.title);
        if detail.is_empty() {
            let reason = answer.status.canonical_reason();
            detail = reason.unwrap_or("unknown status code").into();
        }
        Self {
            status: answer.status.as_u16(),
            label: problem.r#type.strip_prefix(base).unwrap_or("other").into(),
            detail,
        }
    }

    /// Returns what to do about the refusal of a read, to be printed after it.
    fn advice(&self) -> &'static str {
        match self.status {
            401 => " (set BATCHTASK_READ_TOKEN to the receiver's read token)",
            404 => " (check the ids and the URL; a receiver without a read token answers no reads)",
            _ => "",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, detail) = (
            escape_unprintable(&self.label),
            escape_unprintable(&self.detail),
        );
        write!(f, "{} {label}: {detail}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &'static str) -> Refusal {
        Refusal::of(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::from(body),
        })
    }

    #[test]
    fn a_refusal_is_shown_with_its_label_and_detail() {
        let body = r#"{"type":"urn:batchtask:problem:not-a-notification","title":"t",
            "status":422,"detail":"a string\u001b[2J","pointer":"/event"}"#;
        assert_eq!(
            refusal(422, body).to_string(),
            r"422 not-a-notification: a string\u{1b}[2J"
        );
    }

    #[test]
    fn an_answer_without_a_problem_is_shown_by_its_status() {
        let expected = "502 other: Bad Gateway";
        assert_eq!(refusal(502, "<html>").to_string(), expected);
        assert_eq!(refusal(502, "[]").to_string(), expected);
        assert_eq!(refusal(502, "{}").to_string(), expected);
    }

    #[test]
    fn only_temporary_errors_are_retried() {
        let refused = |status| ClientError::Refused {
            url: String::new(),
            refusal: refusal(status, "{}"),
        };
        for (status, is_temporary) in [
            (400, false),
            (401, false),
            (404, false),
            (501, false),
            (503, true),
        ] {
            assert_eq!(refused(status).is_temporary(), is_temporary, "{status}");
            assert!(!refused(status).is_unanswered());
        }
    }
}
