//! A client of a receiver: one request, one whole answer, within bounds.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::table::plain;
use crate::tls::certificates;

/// The longest that connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The longest that an answer may take, as the platform has it.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// A connection is not used again once it was idle so long: a receiver closes
/// it soon after.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The longest answer: some times the page of events that a receiver gives.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Where a receiver is.
#[derive(Args)]
pub(super) struct Server {
    /// Where the receiver listens
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "BATCHTASK_URL"
    )]
    url: BaseUrl,
    /// The authorities that the receiver's certificate may come from, PEM
    /// [default: those of the system]
    #[arg(long, value_name = "FILE", env = "BATCHTASK_CA")]
    ca: Option<PathBuf>,
}

/// An `http` or `https` URL that paths are appended to.
#[derive(Clone, Debug)]
struct BaseUrl {
    text: String,
    is_https: bool,
}

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("it must begin with `http://` or `https://`"),
        };
        if uri.query().is_some() || uri.authority().is_none_or(|it| it.as_str().contains('@')) {
            return Err("it must be a host, perhaps with a port and a path");
        }
        let text = text.trim_end_matches('/').to_owned();
        Ok(Self { text, is_https })
    }
}

/// A receiver, over a pool of connections.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: BaseUrl,
}

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
    /// What is wrong, with the member or parameter at fault.
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
            pointer: Option<String>,
        }
        let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
        let base = batchtask_guest::outcomes::Refusal::TYPE_URI_BASE;
        let mut detail = problem.detail.unwrap_or(problem.title);
        if let Some(pointer) = problem.pointer {
            detail = format!("{detail} (`{pointer}`)");
        }
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

impl Client {
    pub(super) fn new(server: Server) -> anyhow::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIME));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&server)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .build(connector);
        let base = server.url;
        Ok(Self { http, base })
    }

    /// The URL of a path, which begins with `/`.
    pub(super) fn uri(&self, path: &str) -> Result<Uri, ClientError> {
        let uri = format!("{}{path}", self.base.text).parse();
        uri.map_err(|source| ClientError::NoUrl { source })
    }

    /// Sends a request for an absolute URL, and reads the whole answer.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, ClientError> {
        // Paths hold secrets and ids: what is told is where it went.
        let url = self.base.text.clone();
        let exchanged = tokio::time::timeout(ANSWER_TIME, self.answer(request)).await;
        let Ok(exchanged) = exchanged else {
            return Err(ClientError::TooSlow { url });
        };
        exchanged.map_err(|source| match source.downcast_ref() {
            Some(LengthLimitError { .. }) => ClientError::TooLong { url },
            None => ClientError::Unreachable { url, source },
        })
    }

    async fn answer(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let (head, body) = self.http.request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
        Ok(Answer {
            status: head.status,
            body: body.to_bytes(),
        })
    }

    /// The value in an answer of 200, or the refusal in any other.
    pub(super) fn value<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ClientError> {
        let url = self.base.text.clone();
        if answer.status != StatusCode::OK {
            let refusal = Refusal::of(answer);
            return Err(ClientError::Refused { url, refusal });
        }
        serde_json::from_slice(&answer.body)
            .map_err(|source| ClientError::NotUnderstood { url, source })
    }
}

fn tls(server: &Server) -> anyhow::Result<ClientConfig> {
    use hyper_rustls::ConfigBuilderExt;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match &server.ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots
                    .add(authority)
                    .with_context(|| format!("`{}`", path.display()))?;
            }
            builder.with_root_certificates(roots)
        }
        // The system's are read only when they are needed.
        None if server.url.is_https => builder
            .with_native_roots()
            .context("the system has no authorities; name one with `--ca`")?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_a_place_that_paths_are_appended_to() {
        for (text, base) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            (
                "https://[::1]/behind/a/proxy/",
                "https://[::1]/behind/a/proxy",
            ),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().text, base);
        }
        for text in [
            "",
            "127.0.0.1:8080",
            "ftp://host",
            "http://",
            "http://user:password@host",
            "http://host/?q=1",
            "/tasks",
        ] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }

    fn refusal(status: u16, body: &'static str) -> Refusal {
        Refusal::of(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::from(body),
        })
    }

    #[test]
    fn a_refusal_is_told_by_its_label_and_detail() {
        let body = r#"{"type":"urn:batchtask:problem:not-a-notification","title":"t",
            "status":422,"detail":"expected a string\u001b[2J","pointer":"/event","new":1}"#;
        assert_eq!(
            refusal(422, body).to_string(),
            r"422 not-a-notification: expected a string\u{1b}[2J (`/event`)"
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
