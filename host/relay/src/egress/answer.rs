//! What an answer means.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};

use super::Answer;
use crate::scheduler::Outcome;

/// How much of an answer is shown to operators, in characters.
const EXCERPT_CHARS: usize = 200;

impl Answer {
    /// Returns the result of the request. `shows_secret` returns whether a text must
    /// not be shown.
    pub(crate) fn outcome(&self, shows_secret: impl Fn(&str) -> bool) -> Outcome {
        if self.status.is_success() {
            return Outcome::Delivered;
        }
        let mut error = format!("the receiver answered {}", self.status);
        if self.status.is_redirection() {
            error.push_str("; redirects are not followed: set the final URL");
        }
        self.explain(&mut error, shows_secret);
        if is_fault_of_event(self.status) {
            return Outcome::Refused(error);
        }
        Outcome::SinkFailed {
            error,
            retry_after: self.retry_after(),
        }
    }

    /// Adds the beginning of the body to an error, unless it shows a secret.
    pub(crate) fn explain(&self, error: &mut String, shows_secret: impl Fn(&str) -> bool) {
        let text = String::from_utf8_lossy(&self.body);
        let excerpt = excerpt(&text);
        if !excerpt.is_empty() && !shows_secret(&text) {
            error.push_str(": ");
            error.push_str(&excerpt);
        }
    }

    /// Returns how long the receiver asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, SystemTime::now())
    }
}

/// Returns the beginning of a text, without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let excerpt: String = text.chars().take(EXCERPT_CHARS).map(printable).collect();
    excerpt.trim().to_owned()
}

/// Returns the outcome of a request without an answer.
pub(crate) fn failed(error: String) -> Outcome {
    Outcome::SinkFailed {
        error,
        retry_after: None,
    }
}

/// Whether the receiver refuses this event, and works otherwise.
fn is_fault_of_event(status: StatusCode) -> bool {
    let is_of_sink = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_client_error() && !is_of_sink
}

/// Returns how long the receiver asks to wait: a number of seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, body: &[u8]) -> Outcome {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_vec(),
        };
        answer.outcome(|text| text.contains("hush"))
    }

    #[test]
    fn the_status_says_whose_fault_it_is() {
        for status in [200, 201, 202, 204] {
            assert_eq!(outcome(status, b""), Outcome::Delivered);
        }
        for status in [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451] {
            assert!(
                matches!(outcome(status, b""), Outcome::Refused(_)),
                "{status}"
            );
        }
        for status in [301, 302, 307, 408, 425, 429, 500, 501, 502, 503, 504, 599] {
            let outcome = outcome(status, b"");
            assert!(matches!(outcome, Outcome::SinkFailed { .. }), "{status}");
        }
    }

    #[test]
    fn an_excerpt_shows_no_secret_and_no_control_characters() {
        let Outcome::Refused(error) = outcome(422, b" unknown\nfield \xff\x1b[31m ") else {
            panic!();
        };
        let expected =
            "the receiver answered 422 Unprocessable Entity: unknown field \u{fffd} [31m";
        assert_eq!(error, expected);
        let Outcome::Refused(error) = outcome(401, b"not hush") else {
            panic!();
        };
        assert_eq!(error, "the receiver answered 401 Unauthorized");
        let Outcome::Refused(error) = outcome(400, "é".repeat(1000).as_bytes()) else {
            panic!();
        };
        assert!(error.chars().count() < 300);
    }

    #[test]
    fn a_pause_is_a_number_or_a_date() {
        let now = httpdate::parse_http_date("Sat, 12 Dec 2015 12:12:12 GMT").unwrap();
        let wait = |text: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            wait("Sat, 12 Dec 2015 12:13:12 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(wait("Sat, 12 Dec 2015 12:11:12 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
