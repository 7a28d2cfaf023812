//! [`Http`]: requests to the CA, each with one whole answer, within bounds.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use batchtask_platform::{HttpClient, TransportOptions};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use instant_acme::{BodyWrapper, BytesResponse, RenewalInfo};
use serde::Deserialize;

use crate::certificate::Certificate;
use crate::error::{Error, OptionError};
use crate::options::Options;

/// The longest answer, in bytes. A chain of certificates is the longest that is known.
const ANSWER_MAX_BYTES: usize = 1 << 20;

/// The time limit for a request, from connecting to the end of the answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A client of one CA. Clones share what it heard last.
#[derive(Clone)]
pub(crate) struct Http {
    client: Arc<HttpClient>,
    retry_after: Arc<Mutex<Option<Duration>>>,
}

/// The beginning and the end of the time that a CA suggests, and when to ask again.
pub(crate) type Suggestion = (Option<(u64, u64)>, Option<Duration>);

/// The step of a question about the renewal, for errors.
const STEP: &str = "ask when to renew the certificate";

/// What a CA says about itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Directory {
    /// Where to order. Unused here: it shows that this is a directory.
    #[serde(rename = "newOrder")]
    _new_order: String,
    pub(crate) renewal_info: Option<String>,
    #[serde(default)]
    pub(crate) meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) terms_of_service: Option<String>,
    #[serde(default)]
    pub(crate) external_account_required: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{reason}")]
    Unreachable { host: String, reason: String },
    #[error("answered {status} with something else than ACME")]
    NotAcme { url: String, status: u16 },
}

impl Http {
    pub(crate) fn new(options: &Options) -> Result<Self, OptionError> {
        let transport = TransportOptions {
            proxy: options.proxy.clone(),
            authorities: options.authorities.clone(),
            timeout: ANSWER_TIME,
            ..TransportOptions::default()
        };
        let client = HttpClient::new(&transport, true);
        let client = client.map_err(|error| OptionError::new("ca", error.reason))?;
        Ok(Self {
            client: Arc::new(client),
            retry_after: Arc::default(),
        })
    }

    /// Returns how long the CA asked to wait since this was last called.
    pub(crate) fn take_retry_after(&self) -> Option<Duration> {
        let mut kept = self.retry_after.lock();
        kept.as_mut().unwrap_or_else(|error| error.get_mut()).take()
    }

    /// Reads the directory of a CA.
    pub(crate) async fn directory(&self, url: &str) -> Result<Directory, Error> {
        let not_one = |problem: &str| Error::NotADirectory {
            url: url.to_owned(),
            problem: problem.to_owned(),
        };
        let request = Request::get(url).header(USER_AGENT, AGENT);
        let request = request.body(Full::default());
        let request = request.map_err(|_| not_one("is not a URL"))?;
        let answer = self
            .exchange(request)
            .await
            .map_err(|failure| match failure {
                Failure::Unreachable { host, reason } => Error::Unreachable { host, reason },
                failure @ Failure::NotAcme { .. } => not_one(&failure.to_string()),
            })?;
        let directory = serde_json::from_slice(answer.body());
        directory.map_err(|_| not_one("is not the directory of a CA that speaks ACME"))
    }

    /// Asks when to renew a certificate (RFC 9773). Returns the beginning and the end of the
    /// suggested time, in milliseconds since 1970, and when to ask again. Both are `None` if
    /// the CA does not suggest anything.
    pub(crate) async fn renewal_window(
        &self,
        directory: &Directory,
        certificate: &Certificate,
    ) -> Result<Suggestion, Error> {
        let Some((base, id)) = directory.renewal_info.as_ref().zip(certificate.ari()) else {
            return Ok((None, None));
        };
        let not_one = |problem: &str| Error::failed(STEP, problem);
        let request = Request::get(format!("{}/{id}", base.trim_end_matches('/')));
        let request = request.header(USER_AGENT, AGENT).body(Full::default());
        let request = request.map_err(|error| not_one(&error.to_string()))?;
        let answer = self.exchange(request).await;
        let answer = answer.map_err(|failure| not_one(&failure.to_string()))?;
        let info: RenewalInfo = serde_json::from_slice(answer.body())
            .map_err(|error| not_one(&format!("the answer is not understood: {error}")))?;
        let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        let window = &info.suggested_window;
        let start_ms = ms(window.start.unix_timestamp());
        let end_ms = ms(window.end.unix_timestamp());
        if end_ms < start_ms {
            return Err(not_one("the suggested time ends before it begins"));
        }
        if let Some(url) = &info.explanation_url {
            tracing::debug!(url, "the CA explains when to renew the certificate");
        }
        Ok((Some((start_ms, end_ms)), retry_after(answer.headers())))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failure> {
        let url = request.uri().to_string();
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = tokio::time::timeout(ANSWER_TIME, self.answer(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let reason = reason(&*error);
                return Err(Failure::Unreachable { host, reason });
            }
            Err(_) => {
                let reason = format!("no answer within {} s", ANSWER_TIME.as_secs());
                return Err(Failure::Unreachable { host, reason });
            }
        };
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            let wait = retry_after(answer.headers());
            *self
                .retry_after
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = wait;
            if !is_json(answer.headers()) {
                let status = status.as_u16();
                return Err(Failure::NotAcme { url, status });
            }
        }
        Ok(answer)
    }

    async fn answer(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Box<dyn StdError + Send + Sync>> {
        let (head, body) = self.client.request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// The name of this program for the CA.
const AGENT: &str = concat!("batchtask/", env!("CARGO_PKG_VERSION"));

impl instant_acme::HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let http = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // A body in memory cannot fail.
            let body = body.collect().await.unwrap_or_default().to_bytes();
            let request = Request::from_parts(head, Full::from(body));
            let answer = http.exchange(request).await;
            let answer = answer.map_err(|failure| instant_acme::Error::Other(failure.into()))?;
            let (parts, body) = answer.into_parts();
            let body = Box::new(body);
            Ok(BytesResponse { parts, body })
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.contains("json"))
}

/// The first cause of an error, which says most.
fn reason(error: &(dyn StdError + 'static)) -> String {
    if error.is::<LengthLimitError>() {
        return format!("its answer is longer than {ANSWER_MAX_BYTES} bytes");
    }
    let mut first = error;
    while let Some(source) = first.source() {
        first = source;
    }
    first.to_string()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(SystemTime::now()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_date() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
        let seconds = wait(&date).unwrap().as_secs();
        assert!((500..=600).contains(&seconds), "{seconds}");
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:00 GMT"), None);
    }
}
