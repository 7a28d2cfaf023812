//! [`Collector`]: posts to the collector, and reads its answer.

use std::error::Error as StdError;
use std::time::Duration;

use batchtask_platform::{HttpClient, TransportOptions};
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};

use crate::options::{self, OptionError, Options};
use crate::otlp::{Taken, taken};

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a message may take, from connecting to the end of the answer.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The client of a collector.
pub(crate) struct Collector {
    client: HttpClient,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What failed. Contains no secret.
    pub(crate) text: String,
    /// Whether the same message may be taken later, and how long the collector asks to wait.
    pub(crate) retry: Option<Option<Duration>>,
}

impl Failure {
    fn temporary(text: String) -> Self {
        let retry = Some(None);
        Self { text, retry }
    }
}

impl Collector {
    pub(crate) fn new(options: &Options) -> Result<Self, OptionError> {
        let uri = options::uri(&options.url)?;
        let transport = TransportOptions {
            proxy: None,
            authorities: options.authorities.clone(),
            connect_timeout: CONNECT_TIME,
            timeout: ANSWER_TIME,
        };
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let client = HttpClient::new(&transport, is_https);
        let client = client.map_err(|error| OptionError::new("authorities", error.reason))?;
        Ok(Self {
            client,
            headers: options::headers(&options.headers)?,
            uri,
        })
    }

    /// Returns where the collector is, for operators.
    pub(crate) fn origin(&self) -> String {
        let (scheme, authority) = (self.uri.scheme_str(), self.uri.authority());
        let authority = authority.map_or("", |authority| authority.as_str());
        format!("{}://{authority}", scheme.unwrap_or_default())
    }

    /// Sends a message, within a time limit.
    pub(crate) async fn send(&self, message: Bytes) -> Result<Taken, Failure> {
        let sent = tokio::time::timeout(ANSWER_TIME, self.post(message)).await;
        sent.unwrap_or_else(|_| {
            let limit = ANSWER_TIME.as_secs();
            Err(Failure::temporary(format!("no answer within {limit} s")))
        })
    }

    async fn post(&self, message: Bytes) -> Result<Taken, Failure> {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let fields = request.headers_mut();
        fields.insert(header::USER_AGENT, HeaderValue::from_static("batchtask"));
        for (name, value) in &self.headers {
            fields.insert(name, value.clone());
        }
        let binary = HeaderValue::from_static("application/x-protobuf");
        fields.insert(header::CONTENT_TYPE, binary);
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| Failure::temporary(innermost(&error)))?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(refused(head.status, &head.headers));
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        // The spans were taken, whatever else the answer says.
        Ok(body.map_or_else(|_| Taken::default(), |body| taken(&body.to_bytes())))
    }
}

/// Returns what an answer without success means, as the specification of OTLP says.
fn refused(status: StatusCode, headers: &http::HeaderMap) -> Failure {
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": check `traces.headers`",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ": check `traces.url`",
        _ => "",
    };
    let is_temporary = matches!(status.as_u16(), 429 | 502 | 503 | 504);
    Failure {
        text: format!("the collector answered {status}{hint}"),
        retry: is_temporary.then(|| retry_after(headers)),
    }
}

/// Returns how long the collector asks to wait, in seconds. A date is ignored.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Returns the text of the innermost error, because the outer ones say little.
fn innermost(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
