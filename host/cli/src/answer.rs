//! What a request of the command line comes to: an answer, a refusal, or none.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use super::table::plain;

/// The longest that an answer may take: the platform's limit.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(15);

/// The longest answer: several times the page of events that a receiver sends.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why there is no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection, or it ended before the answer did.
    #[error("cannot reach {url}")]
    Unreachable {
        url: String,
        source: Box<dyn Error + Send + Sync>,
    },
    /// It took longer than [`ANSWER_TIME`].
    #[error("{url} did not answer within {} s", ANSWER_TIME.as_secs())]
    TooSlow { url: String },
    /// It has more bytes than [`MAX_ANSWER_BYTES`].
    #[error("{url} answered more than {MAX_ANSWER_BYTES} bytes")]
    TooLong { url: String },
    /// A problem was answered.
    #[error("{url} refused: {refusal}")]
    Refused { url: String, refusal: Refusal },
    /// An id or a filter is too long for a URL.
    #[error("that cannot be asked for")]
    NoUrl { source: http::uri::InvalidUri },
    /// The answer is none that a receiver gives.
    #[error("{url} did not answer as a receiver does")]
    NotUnderstood {
        url: String,
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Whether nobody answered.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TooSlow { .. })
    }

    /// Whether the same request may be answered later on.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => matches!(refusal.status, 408 | 429 | 500 | 502..=504),
            _ => self.is_unanswered(),
        }
    }
}

/// An answer that is no success: RFC 9457, as far as it goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The last part of the problem's type, or `other`.
    pub(super) label: String,
    /// What is wrong, for people.
    pub(super) detail: String,
}

impl Refusal {
    /// The refusal in an answer, whoever gave it.
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
            detail = reason.unwrap_or("not as a receiver answers").into();
        }
        Self {
            status: answer.status.as_u16(),
            label: problem.r#type.strip_prefix(base).unwrap_or("other").into(),
            detail,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, detail) = (plain(&self.label), plain(&self.detail));
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
    fn a_refusal_is_told_by_its_label_and_detail() {
        let body = r#"{"type":"urn:batchtask:problem:not-a-notification","title":"t",
            "status":422,"detail":"a string\u001b[2J","pointer":"/event"}"#;
        assert_eq!(
            refusal(422, body).to_string(),
            r"422 not-a-notification: a string\u{1b}[2J"
        );
    }

    #[test]
    fn who_answers_otherwise_is_quoted_by_status_alone() {
        let expected = "502 other: Bad Gateway";
        assert_eq!(refusal(502, "<html>").to_string(), expected);
        assert_eq!(refusal(502, "[]").to_string(), expected);
        assert_eq!(refusal(502, "{}").to_string(), expected);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused = |status| ClientError::Refused {
            url: String::new(),
            refusal: refusal(status, "{}"),
        };
        for (status, passes) in [
            (400, false),
            (401, false),
            (404, false),
            (501, false),
            (503, true),
        ] {
            assert_eq!(refused(status).is_passing(), passes, "{status}");
            assert!(!refused(status).is_unanswered());
        }
    }
}
