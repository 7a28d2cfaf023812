//! A client of a receiver: one request, one whole answer, within bounds.

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use batchtask_host::tls::certificates;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;

use super::answer::{ANSWER_TIME, Answer, ClientError, MAX_ANSWER_BYTES, Refusal};
use super::config::{CA, URL, Values};

/// The longest that connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A connection is not used again once it was idle so long: a receiver closes
/// it soon after.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// Where a receiver is.
pub(super) struct Server {
    url: BaseUrl,
    /// The authorities that its certificate may come from. `None`: those of the
    /// system.
    ca: Option<PathBuf>,
}

impl Server {
    /// A server at this URL, without TLS.
    pub(super) fn at(url: BaseUrl) -> Self {
        Self { url, ca: None }
    }

    pub(super) fn new(values: &mut Values) -> Self {
        // The secrets in the file are for the receiver of the file. The default URL
        // may be that of another one.
        if values.text(URL.name).is_none() && values.text("tls_cert").is_some() {
            values.refuse(
                "tls_cert",
                "is set, so set `url` too: the URL of this receiver",
            );
        }
        Self {
            url: values.value(&URL),
            ca: values.value(&CA),
        }
    }
}

/// An `http` or `https` URL to which paths are appended.
#[derive(Clone, Debug, Default)]
pub(super) struct BaseUrl {
    text: String,
    is_https: bool,
}

impl BaseUrl {
    /// The URL, without a slash at its end.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }
}

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| "it is not a valid URL")?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("it must begin with `http://` or `https://`"),
        };
        if uri.query().is_some() || uri.authority().is_none_or(|it| it.as_str().contains('@')) {
            return Err("it must have a host, and neither a user name nor a query");
        }
        let text = text.trim_end_matches('/').to_owned();
        Ok(Self { text, is_https })
    }
}

/// A client of one receiver, with a pool of connections.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: BaseUrl,
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

    /// The URL of the receiver, without a path.
    pub(super) fn url(&self) -> &str {
        self.base.text()
    }

    /// Returns the URL of a path that begins with `/`.
    pub(super) fn uri(&self, path: &str) -> Result<Uri, ClientError> {
        let uri = format!("{}{path}", self.base.text).parse();
        uri.map_err(|source| ClientError::NoUrl { source })
    }

    /// Sends a request for an absolute URL, and reads the whole answer.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, ClientError> {
        // Errors name only the base URL, because paths contain secrets and ids.
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

    /// Parses the JSON of an answer.
    ///
    /// # Errors
    /// The status is not 200, or the JSON has another form.
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
    let roots = match &server.ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots
                    .add(authority)
                    .with_context(|| format!("cannot use a certificate in `{}`", path.display()))?;
            }
            roots
        }
        // The system's authorities are read only when they are needed.
        None if server.url.is_https => batchtask_trust::roots(None).context("`--ca`")?,
        None => RootCertStore::empty(),
    };
    Ok(batchtask_trust::client(roots)?.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_a_host_and_may_have_a_path() {
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
}
