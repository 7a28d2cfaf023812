//! [`Answer`]: a successful answer of the platform.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::refusal::{Cause, Refusal};
use crate::transport::RawAnswer;

/// The platform refuses a signature whose time differs by more than this, in
/// milliseconds.
const CLOCK_TOLERANCE_MS: u64 = 15 * 60 * 1000;

/// The longest media type that an error shows, in characters.
const MEDIA_TYPE_CHARS_MAX: usize = 100;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) operation: &'static str,
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// How long the platform asked to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

/// The request that an answer is for.
pub(crate) struct Asked<'a> {
    pub(crate) operation: &'static str,
    pub(crate) host: &'a str,
    /// Texts that a refusal must not repeat.
    pub(crate) secrets: Vec<&'a str>,
    /// The time of the request, in milliseconds since 1970.
    pub(crate) now_ms: u64,
}

impl Asked<'_> {
    /// Decides whether an answer is a success: any status from 200 to 299, with
    /// JSON or without a body.
    pub(crate) fn judge(self, raw: RawAnswer) -> Result<Answer, Failure> {
        let json = parsed(&raw.body);
        if raw.status.is_success() && json.is_ok() {
            return Ok(Answer {
                operation: self.operation,
                host: self.host.to_owned(),
                headers: raw.headers,
                body: raw.body,
            });
        }
        let retry_after = retry_after(&raw.headers);
        let error = self.error(raw, json);
        Err(Failure { error, retry_after })
    }

    fn error(self, raw: RawAnswer, json: Result<Option<Value>, serde_json::Error>) -> Error {
        let (operation, host) = (self.operation, self.host.to_owned());
        let body = match json {
            Ok(body) => body,
            Err(error) if error.is_eof() && looks_like_json(&raw.body) => {
                let source = error.into();
                return Error::Truncated {
                    operation,
                    host,
                    source,
                };
            }
            Err(_) => {
                let (status, media_type) = (raw.status.as_u16(), media_type(&raw.headers));
                return Error::NotJson {
                    operation,
                    host,
                    status,
                    media_type,
                };
            }
        };
        let id = request_id(&raw.headers);
        let refusal = Refusal::new(operation, raw.status, id, body.as_ref(), self.secrets);
        let difference_ms = date_ms(&raw.headers).map(|date| difference(self.now_ms, date));
        match difference_ms {
            Some(difference_ms)
                if refusal.cause == Cause::WrongCredentials
                    && difference_ms.unsigned_abs() > CLOCK_TOLERANCE_MS =>
            {
                Error::WrongClock {
                    operation,
                    difference_ms,
                }
            }
            _ => Error::Refused(Box::new(refusal)),
        }
    }
}

impl Answer {
    /// Parses the body.
    ///
    /// # Errors
    /// The JSON has another form.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(error))
    }

    /// Returns the error of an answer of another form.
    pub(crate) fn unexpected(&self, error: impl Into<crate::error::Source>) -> Error {
        Error::Unexpected {
            operation: self.operation,
            host: self.host.clone(),
            request_id: request_id(&self.headers),
            source: error.into(),
        }
    }

    /// Returns the platform's time, in milliseconds since 1970.
    pub(crate) fn date_ms(&self) -> Option<u64> {
        date_ms(&self.headers)
    }
}

/// Parses a body. Returns `None` if it is empty.
fn parsed(body: &Bytes) -> Result<Option<Value>, serde_json::Error> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body).map(Some)
}

fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let essence = value.and_then(|it| it.split(';').next());
    let essence = essence.unwrap_or("no media type").trim();
    essence.chars().take(MEDIA_TYPE_CHARS_MAX).collect()
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(REQUEST_ID)?.to_str().ok()?;
    Some(value.to_owned())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn date_ms(headers: &HeaderMap) -> Option<u64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    since.as_millis().try_into().ok()
}

fn difference(ours_ms: u64, theirs_ms: u64) -> i64 {
    let clamped = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    clamped(ours_ms) - clamped(theirs_ms)
}
