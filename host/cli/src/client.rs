//! A client of a receiver: one request, one whole answer, within bounds.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use batchtask_host::tls::certificates;
use batchtask_platform::{HttpClient, TransportOptions};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::answer::{ANSWER_TIME, Answer, ClientError, MAX_ANSWER_BYTES, Refusal};
use super::config::{ACME_DOMAINS, CA, TLS_CERT, URL, Values};
use super::proxy::proxy_for;

/// The longest that connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Where a receiver is.
pub(super) struct Server {
    url: BaseUrl,
    /// The authorities that its certificate may come from. `None`: those of the
    /// system.
    ca: Option<PathBuf>,
}

impl Server {
    pub(super) fn new(values: &mut Values) -> Self {
        // The secrets in the file are for the receiver of the file. The default URL
        // may be that of another one.
        let mut certificates = [TLS_CERT.name, ACME_DOMAINS.name].into_iter();
        if values.text(URL.name).is_none()
            && let Some(name) = certificates.find(|name| values.text(name).is_some())
        {
            values.refuse(name, "is set, so set `url` too: the URL of this receiver");
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
    host: String,
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
        let text = ascii_host(text).ok_or("its host is not a valid name")?;
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
        let host = uri.host().unwrap_or_default().to_owned();
        Ok(Self {
            text,
            host,
            is_https,
        })
    }
}

/// Returns a URL whose host is in ASCII: a host in another script becomes Punycode
/// (UTS 46), as in a browser. Returns `None` if it is not a valid name.
fn ascii_host(url: &str) -> Option<String> {
    let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.is_ascii()) else {
        return Some(url.to_owned());
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, format!(":{port}")),
        None => (authority, String::new()),
    };
    let host = idna::domain_to_ascii(host).ok()?;
    Some(format!("{scheme}://{host}{port}{path}"))
}

/// A client of one receiver, with a pool of connections.
pub(super) struct Client {
    http: HttpClient,
    base: BaseUrl,
}

impl Client {
    pub(super) fn new(server: Server) -> anyhow::Result<Self> {
        let is_https = server.url.is_https;
        let variable = |name: &str| std::env::var(name).ok();
        let options = TransportOptions {
            proxy: proxy_for(&server.url.host, is_https, variable)?,
            authorities: server.ca.as_deref().map(authorities).transpose()?,
            connect_timeout: CONNECT_TIME,
            timeout: ANSWER_TIME,
        };
        let http = HttpClient::new(&options, is_https);
        let http = http.map_err(|error| anyhow::anyhow!(error.reason));
        let base = server.url;
        Ok(Self {
            http: http.context("`--ca`")?,
            base,
        })
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

/// Reads a file of certificates.
fn authorities(path: &Path) -> anyhow::Result<Vec<u8>> {
    // Its errors name the file and what is wrong with it.
    certificates(path)?;
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
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
            (
                "http://bücher.example:81/x",
                "http://xn--bcher-kva.example:81/x",
            ),
            ("https://例子.测试", "https://xn--fsqu00a.xn--0zwm56d"),
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
            "http://ü\u{fffd}.example",
        ] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }
}
